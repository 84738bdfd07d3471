//! What is easily mistyped, and what is said then: names, points, streams that are not there.

use super::{GROUP, group, grouped, lines, plain};
use crate::harness::{Cluster, Server, Signal, Test};

/// `s` with one message of each name, the group at its beginning.
fn named(names: &[&str]) -> Server {
    let server = grouped(0);
    for (n, name) in names.iter().enumerate() {
        server.add_message("s", &format!("{}-0", n + 1), name, "1");
    }
    server
}

#[test]
fn what_is_passed_over_is_counted() {
    let server = named(&["user.created", "user.deleted", "order.placed", "cart.left"]);
    let names = [
        "-e",
        "--template",
        "{name}",
        "--match",
        "user.c*",
        "--match",
        "order.placed",
    ];
    plain(&server)
        .args(["--from", "beginning"])
        .args(names)
        .stdout("user.created\norder.placed\n")
        .run();
    group(&server)
        .args(names)
        .stdout("user.created\norder.placed\n")
        .stderr("passed over and acknowledged 2 messages\n")
        .run();
    assert_eq!(server.pending("s", GROUP), [""; 0]);
    server.cli(["XGROUP", "SETID", "s", GROUP, "0"]);
    let quietly = Test::new(&server)
        .args(["-q", "consume", "s", "-l", "billing"])
        .args(names);
    quietly.args(["--", "true"]).run();
    // All of a run are counted together.
    server.add_message("t", "1-0", "user.created", "1");
    for stream in ["s", "t"] {
        server.cli(["XGROUP", "CREATE", stream, "g", "0"]);
    }
    Test::new(&server)
        .args(["consume", "s", "t", "-g", "g", "-e", "--match", "none", "--", "true"])
        .stderr("passed over and acknowledged 5 messages\n")
        .run();
}

#[test]
fn what_another_glob_would_match_is_not_acknowledged_unseen() {
    let server = named(&["user.created"]);
    for pattern in [
        "user.{created,deleted}",
        "user.[cd]*",
        "^user",
        "user\\..*",
        ".*created",
        "!user",
        "a|b",
    ] {
        group(&server)
            .args(["-e", "--match", pattern])
            .status(2)
            .stderr_has(["has no meaning here: only * (anything) and ? (one character) have"])
            .run();
    }
    assert_eq!(server.cli(["XINFO", "CONSUMERS", "s", GROUP]), "");
}

#[test]
fn a_stream_that_does_not_exist_is_named_and_waited_for() {
    let server = Server::start();
    let missing = || Test::new(&server).args(["consume", "orders"]);
    let mut waiting = missing().args(["--from", "beginning"]).spawn();
    waiting.wait_stderr("stream orders does not exist yet: waiting for its first message\n");
    missing().arg("-e").stderr("stream orders does not exist\n").run();
    missing()
        .args(["--to", "latest"])
        .stderr("stream orders does not exist\n")
        .run();
    missing().args(["-e", "-q"]).run();
    server.add_message("orders", "1-0", "n", "1");
    assert!(waiting.line().contains("\"1-0\""));
    waiting.signal(Signal::TERM);
    let said = "stream orders does not exist yet: waiting for its first message\n";
    assert_eq!(waiting.wait().stderr(), said);
    // One that is there, and empty, is no slip.
    server.cli(["XTRIM", "orders", "MAXLEN", "0"]);
    missing().arg("-e").run();
}

#[test]
fn the_stream_that_was_meant_is_asked_for() {
    let server = Server::start();
    server.add_message("orders", "1-0", "n", "1");
    let mistyped = |args: &[&str]| Test::new(&server).args(["consume", "ordres"]).args(args);
    mistyped(&["-e"])
        .stderr("stream ordres does not exist; did you mean orders?\n")
        .run();
    let scans = server.calls("scan");
    mistyped(&["-e", "-q"]).run();
    mistyped(&["-e", "returns"])
        .stderr("stream ordres does not exist\nstream returns does not exist\n")
        .run();
    assert_eq!(server.calls("scan"), scans);
    let mut waiting = mistyped(&["--from", "beginning"]).spawn();
    waiting.wait_stderr("stream ordres does not exist yet: waiting for its first message; did you mean orders?\n");
    server.add_message("ordres", "1-0", "n", "1");
    assert!(waiting.line().contains("\"1-0\""));
    waiting.signal(Signal::TERM);
    assert_eq!(waiting.wait().status, 128 + 15);
}

#[test]
fn streams_that_do_not_exist_are_named_wherever_they_would_be() {
    let cluster = Cluster::start();
    let [a, b, c] = [0, 1, 2].map(|number| cluster.name_at(&cluster.nodes()[number], "s"));
    cluster.node_of(&a).add_numbered(&a, 1);
    Test::new(&cluster.nodes()[0])
        .args(["consume", &a, &b, &c, "--from", "beginning", "-e", "--template", "{id}"])
        .stdout("1-0\n")
        .stderr_has([&b, &c].map(|stream| format!("stream {stream} does not exist\n")))
        .run();
}

#[test]
fn reading_goes_on_behind_an_entry() {
    let server = Server::start();
    server.add_numbered("s", 5);
    plain(&server)
        .args(["--after", "3-0", "-e"])
        .stdout(lines([4, 5]))
        .run();
    plain(&server)
        .args(["--after", "2-7", "--to", "3-0"])
        .stdout(lines([3]))
        .run();
    for other in [&["--from", "1-0"][..], &["--last", "1"]] {
        let both = plain(&server).args(["--after", "3-0"]).args(other);
        both.status(2).stderr_has(["cannot be used with"]).run();
    }
    group(&server)
        .args(["--after", "3-0"])
        .status(2)
        .stderr_has(["error: --after is for reading without a group"])
        .run();
}

#[test]
fn dates_and_now_are_points() {
    let server = Server::start();
    for id in ["1714521599999-0", "1714521600000-0", "1714608000000-0"] {
        server.add_message("s", id, "n", "1");
    }
    let ids = |options: &[&str]| {
        let test = plain(&server).args(["--template", "{id}"]).args(options);
        test.stdout_any().run().stdout()
    };
    assert_eq!(
        ids(&["--from", "2024-05-01", "--to", "2024-05-01"]),
        "1714521600000-0\n"
    );
    assert_eq!(ids(&["--from", "2024-05-02", "-e"]), "1714608000000-0\n");
    assert_eq!(ids(&["--from", "now", "-e"]), "");
    assert_eq!(ids(&["--to", "now"]).lines().count(), 3);
    Test::new(&server)
        .args(["subscribe", "s", "-g", "g", "--from", "2024-05-02"])
        .stderr_has(["created group g on s"])
        .run();
    assert_eq!(
        server
            .cli(["XREADGROUP", "GROUP", "g", "c", "STREAMS", "s", ">"])
            .matches("1714608000000-0")
            .count(),
        1
    );
}
