//! `ack`: what was pending and is no more.

use crate::harness::{Server, Test};

/// Entries 1-0 to 5-0 of `s`, of which 1-0 to 3-0 are pending in its group `s:billing:cg`.
fn pending_three() -> Server {
    let server = Server::start();
    prepare(&server, "s");
    server
}

fn prepare(server: &Server, stream: &str) {
    server.add_numbered(stream, 5);
    let group = format!("{stream}:billing:cg");
    server.cli(["XGROUP", "CREATE", stream, &group, "0"]);
    server.cli(["XREADGROUP", "GROUP", &group, "c", "COUNT", "3", "STREAMS", stream, ">"]);
}

fn ack(server: &Server) -> Test {
    Test::new(server).args(["ack", "s", "-l", "billing"])
}

#[test]
fn acknowledges_ids_and_counts_them() {
    let server = pending_three();
    ack(&server).args(["1-0", "3-0"]).stdout("2\n").run();
    assert_eq!(server.pending("s", "s:billing:cg"), ["2-0"]);
}

#[test]
fn with_the_name_of_the_group() {
    let server = pending_three();
    Test::new(&server)
        .args(["ack", "s", "-g", "s:billing:cg", "2-0"])
        .stdout("1\n")
        .run();
    assert_eq!(server.pending("s", "s:billing:cg"), ["1-0", "3-0"]);
}

#[test]
fn counts_only_what_was_pending() {
    let server = pending_three();
    ack(&server).args(["1-0", "4-0", "99-0", "1-0"]).stdout("1\n").run();
    ack(&server).arg("1-0").stdout("0\n").run();
}

#[test]
fn strict_fails_if_any_was_not_pending() {
    let server = pending_three();
    ack(&server).args(["--strict", "1-0", "2-0"]).stdout("2\n").run();
    ack(&server)
        .args(["--strict", "3-0", "99-0"])
        .status(4)
        .stdout("1\n")
        .stderr_has(["error: "])
        .run();
    assert!(server.pending("s", "s:billing:cg").is_empty());
}

#[test]
fn bare_ids_on_stdin() {
    let server = pending_three();
    ack(&server).arg("-").stdin("1-0\n\n2-0\r\n").stdout("2\n").run();
    ack(&server).stdin("3-0").stdout("1\n").run();
    assert!(server.pending("s", "s:billing:cg").is_empty());
}

#[test]
fn lines_on_stdin() {
    let server = pending_three();
    ack(&server)
        .arg("-")
        .stdin("{\"stream\":\"s\",\"id\":\"1-0\",\"name\":\"n\",\"body\":{\"id\":\"2-0\"}}\n{\"id\":\"3-0\"}\n")
        .stdout("2\n")
        .run();
    assert_eq!(server.pending("s", "s:billing:cg"), ["2-0"]);
}

#[test]
fn a_lines_own_stream_wins() {
    let server = pending_three();
    prepare(&server, "t");
    ack(&server)
        .stdin("{\"stream\":\"t\",\"id\":\"1-0\"}\n2-0\n")
        .stdout("2\n")
        .run();
    assert_eq!(server.pending("t", "t:billing:cg"), ["2-0", "3-0"]);
    assert_eq!(server.pending("s", "s:billing:cg"), ["1-0", "3-0"]);
}

#[test]
fn thousands_at_once() {
    let server = Server::start();
    server.add_numbered("s", 5000);
    server.cli(["XGROUP", "CREATE", "s", "s:billing:cg", "0"]);
    server.cli(["XREADGROUP", "GROUP", "s:billing:cg", "c", "STREAMS", "s", ">"]);
    let ids: String = (1..=5000).map(|n| format!("{n}-0\n")).collect();
    ack(&server).stdin(ids).stdout("5000\n").run();
    assert!(server.pending("s", "s:billing:cg").is_empty());
}

#[test]
fn a_bad_line_is_named() {
    let server = pending_three();
    for line in ["oops", "{\"stream\":\"s\"}", "{\"id\":\"1-x\"}", "{\"id\":"] {
        ack(&server)
            .stdin(format!("{line}\n"))
            .status(1)
            .stdout_any()
            .stderr_has(["error: ", "stdin:1"])
            .run();
    }
    assert_eq!(server.pending("s", "s:billing:cg").len(), 3);
}

#[test]
fn json_tells_what_became_of_which_stream() {
    let server = pending_three();
    prepare(&server, "t");
    let lines = "{\"stream\":\"t\",\"id\":\"2-0\"}\n1-0\n2-0\n5-0\n";
    ack(&server)
        .args(["-", "--json"])
        .stdin(lines)
        .stdout(
            "{\"acknowledged\":3,\"answer_lost\":0,\"not_pending\":1,\"streams\":[\
             {\"stream\":\"s\",\"group\":\"s:billing:cg\",\"acknowledged\":2,\"answer_lost\":0,\"not_pending\":1},\
             {\"stream\":\"t\",\"group\":\"t:billing:cg\",\"acknowledged\":1,\"answer_lost\":0,\"not_pending\":0}]}\n",
        )
        .run();
    // What was done before a bad line is told all the same, and nothing is not.
    ack(&server)
        .args(["-", "--json"])
        .stdin("3-0\nnonsense\n")
        .status(1)
        .stdout_has(["{\"acknowledged\":1,"])
        .stderr_has(["error: "])
        .run();
    ack(&server)
        .args(["-", "--json"])
        .stdin("nonsense\n")
        .status(1)
        .stderr_has(["error: "])
        .run();
}
