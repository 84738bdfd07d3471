//! `send-batch`: many messages from lines, where each of them ends up, and what is said about it.

mod csv;
mod lines;

use crate::harness::{Server, Test, entry};
use std::time::{Duration, Instant};

const SENT_1: &str = "sent 1 message to s[..]\n";
const SENT_2: &str = "sent 2 messages to s[..]\n";
const SENT_3: &str = "sent 3 messages to s[..]\n";

const THREE: &str = r#"{"name":"a","body":1}
{"name":"b","body":{"x": [1.0, 1e3]}}
{"name":"c","body":"text"}
"#;

fn batch(server: &Server) -> Test {
    Test::new(server).args(["send-batch", "s"])
}

#[test]
fn lines_become_messages_in_order() {
    let server = Server::start();
    batch(&server).stdin(THREE).stderr_like(SENT_3).run();
    let expected = [
        entry("", &[("name", "a"), ("body", "1")]).fields,
        entry("", &[("name", "b"), ("body", r#"{"x": [1.0, 1e3]}"#)]).fields,
        entry("", &[("name", "c"), ("body", r#""text""#)]).fields,
    ];
    assert_eq!(server.fields("s"), expected);
}

#[test]
fn quiet_has_no_summary() {
    let server = Server::start();
    batch(&server).arg("-q").stdin(THREE).run();
    assert_eq!(server.ids("s").len(), 3);
}

#[test]
fn files_and_stdin_in_the_order_given() {
    let server = Server::start();
    server.file("a.jsonl", "{\"name\":\"a\",\"body\":1}\n");
    server.file("b.jsonl", "{\"name\":\"a\",\"body\":3}"); // no line break at its end
    batch(&server)
        .args(["a.jsonl", "-", "b.jsonl"])
        .stdin("{\"name\":\"a\",\"body\":2}\n")
        .stderr_like(SENT_3)
        .run();
    assert_eq!(server.bodies("s"), ["1", "2", "3"]);
}

#[test]
fn name_makes_every_line_a_body() {
    let server = Server::start();
    batch(&server)
        .args(["--name", "user.created"])
        .stdin("{\"id\": 1}\n\n  \n[2]\r\n\"three\"")
        .stderr_like(SENT_3)
        .run();
    assert_eq!(server.bodies("s"), ["{\"id\": 1}", "[2]", "\"three\""]);
    for fields in server.fields("s") {
        assert_eq!(fields[0], (b"name".to_vec(), b"user.created".to_vec()));
    }
}

#[test]
fn text_lines_become_strings_blank_ones_too() {
    let server = Server::start();
    batch(&server)
        .args(["--input", "text", "--name", "log"])
        .stdin("one \"1\"\n\ntwo\r\n")
        .stderr_like(SENT_3)
        .run();
    assert_eq!(server.bodies("s"), [r#""one \"1\"""#, r#""""#, r#""two""#]);
}

#[test]
fn a_byte_order_mark_is_no_part_of_the_input() {
    let inputs = [
        (&["--name", "n"][..], "1\n2\n"),
        (&["--name", "n", "--input", "csv"], "\"a\nb\",c\n1,2\n3,4\n"),
        (&["--name", "n", "--input", "text"], "1\n2"),
    ];
    for (options, text) in inputs {
        let server = Server::start();
        batch(&server)
            .args(options)
            .stdin(format!("\u{feff}{text}"))
            .stderr_like(SENT_2)
            .run();
        let plain = batch(&server).args(options).args(["-q"]).stdin(text);
        plain.run();
        let bodies = server.bodies("s");
        assert_eq!(bodies[..2], bodies[2..], "{options:?}");
    }
}

#[test]
fn files_to_write_must_differ() {
    let server = Server::start();
    let dir = server.work();
    batch(&server)
        .dir(&dir)
        .args(["--name", "n", "--receipts", "out", "--rejects", "./out"])
        .stdin("1\n")
        .status(2)
        .stderr_has(["--rejects and --receipts name one file"])
        .run();
    // A device is written to as often as one likes, and read too.
    batch(&server)
        .args(["/dev/null", "--rejects", "/dev/null", "--receipts", "/dev/null"])
        .stderr_any()
        .run();
}

#[test]
fn text_and_csv_need_a_name() {
    let server = Server::start();
    for input in ["text", "csv"] {
        batch(&server)
            .args(["--input", input])
            .stdin("a\n")
            .status(2)
            .stderr_has(["error: ", "--name"])
            .run();
    }
}

#[test]
fn keep_ids_keeps_them() {
    let server = Server::start();
    batch(&server)
        .arg("--keep-ids")
        .stdin("{\"id\":\"7-7\",\"name\":\"n\",\"body\":1}\n{\"id\":\"9-0\",\"name\":\"n\",\"body\":2}\n")
        .stderr_like(SENT_2)
        .run();
    assert_eq!(server.ids("s"), ["7-7", "9-0"]);
}

#[test]
fn lines_that_are_no_messages_are_named() {
    let server = Server::start();
    let lines: &[(&[u8], &str)] = &[
        (br#"{"name":"n","body":1,"nam":2}"#, "nam"),
        (br#"{"name":"n"}"#, "body"),
        (br#"{"body":1}"#, "name"),
        (br#"{"name":1,"body":1}"#, "name"),
        (br#"{"name":"n","body":1,"fields":{"a":1}}"#, "a"),
        (br#"{"fields":{"a":{"base64":"%"}}}"#, "base64"),
        (br#"{"name":"n","body":NaN}"#, "NaN"),
        (b"{\"name\":\"n\",\"body\":\"\xff\"}", "UTF-8"),
        (br#"{}"#, ""),
        (br#"[1]"#, ""),
        (br#"{"name":"n","body":1"#, ""),
    ];
    for (line, named) in lines {
        let stdin = [THREE.as_bytes(), line, b"\n"].concat();
        batch(&server)
            .stdin(stdin)
            .status(1)
            .stderr_has(["error: ", "stdin:4", named, "3"])
            .run();
        // All before the bad line is in the stream.
        assert_eq!(server.bodies("s").len(), 3);
        server.cli(["DEL", "s"]);
    }
}

#[test]
fn the_first_bad_line_ends_it() {
    let server = Server::start();
    server.file(
        "in.jsonl",
        "{\"name\":\"a\",\"body\":1}\noops\n{\"name\":\"a\",\"body\":3}\n",
    );
    batch(&server)
        .arg("in.jsonl")
        .status(1)
        .stderr_has(["error: in.jsonl:2:", "oops", "1"])
        .run();
    assert_eq!(server.bodies("s"), ["1"]);
}

#[test]
fn on_reject_skip_goes_on_and_still_fails() {
    let server = Server::start();
    batch(&server)
        .args(["--on-reject", "skip"])
        .stdin("{\"name\":\"a\",\"body\":1}\noops\n{\"name\":\"a\",\"body\":3}\n")
        .status(1)
        .stderr_has(["stdin:2"])
        .run();
    assert_eq!(server.bodies("s"), ["1", "3"]);
}

#[test]
fn rejects_are_written_as_they_stood() {
    let server = Server::start();
    batch(&server)
        .args(["--rejects", "bad.jsonl"])
        .stdin("{\"name\":\"a\",\"body\":1}\n  oops \n{\"name\":\"a\",\"body\":3}\n{\"x\":1}\n")
        .status(1)
        .stderr_any()
        .run();
    assert_eq!(server.bodies("s"), ["1", "3"]);
    assert_eq!(server.read("bad.jsonl"), "  oops \n{\"x\":1}\n");
}

#[test]
fn lines_that_cannot_be_kept_as_rejects_are_named() {
    let server = Server::start();
    batch(&server)
        .args(["--name", "n", "--rejects", "/dev/full"])
        .stdin("1\noops\n3\n")
        .status(1)
        .stderr_has(["stdin:2", "cannot write the rejects", "No space left"])
        .run();
}

#[test]
fn a_long_line_from_a_pipe() {
    let server = Server::start();
    let long = "x".repeat(20_000_000);
    batch(&server)
        .args(["--input", "text", "--name", "n"])
        .stdin(format!("short\n{long}\nshort"))
        .stderr_any()
        .run();
    assert_eq!(server.bodies("s"), ["\"short\"", &format!("\"{long}\""), "\"short\""]);
}

#[test]
fn rejects_with_stop_end_at_the_first() {
    let server = Server::start();
    batch(&server)
        .args(["--rejects", "bad.jsonl", "--on-reject", "stop"])
        .stdin("{\"name\":\"a\",\"body\":1}\noops\n{\"name\":\"a\",\"body\":3}\n")
        .status(1)
        .stderr_has(["stdin:2"])
        .run();
    assert_eq!(server.bodies("s"), ["1"]);
    assert_eq!(server.read("bad.jsonl"), "oops\n");
}

#[test]
fn what_the_server_refuses_is_rejected_too() {
    let server = Server::start();
    let line = |id: &str| format!("{{\"id\":\"{id}\",\"name\":\"n\",\"body\":\"{id}\"}}\n");
    let (first, again, last) = (line("5-0"), line("4-0"), line("6-0"));
    batch(&server)
        .args(["--keep-ids", "--rejects", "bad.jsonl"])
        .stdin(format!("{first}{again}{last}"))
        .status(1)
        .stderr_any()
        .run();
    assert_eq!(server.ids("s"), ["5-0", "6-0"]);
    assert_eq!(server.read("bad.jsonl"), again);
}

#[test]
fn a_key_of_another_type_takes_nothing() {
    let server = Server::start();
    server.cli(["SET", "s", "string"]);
    batch(&server)
        .stdin(THREE)
        .status(1)
        .stderr_has(["error: ", "not a stream"])
        .run();
    assert_eq!(server.cli(["GET", "s"]), "string");
}

#[test]
fn ids_are_printed_in_order() {
    let server = Server::start();
    let output = batch(&server)
        .arg("--ids")
        .stdin(THREE)
        .stdout_like("[ID]\n[ID]\n[ID]\n")
        .stderr_like(SENT_3)
        .run();
    let ids: Vec<_> = server.ids("s");
    assert_eq!(output.stdout().lines().collect::<Vec<_>>(), ids);
}

#[test]
fn receipts_name_file_line_and_id() {
    let server = Server::start();
    server.file("a.jsonl", "\n{\"name\":\"a\",\"body\":1}\n");
    batch(&server)
        .args(["a.jsonl", "-", "--receipts", "receipts.jsonl"])
        .stdin("{\"name\":\"a\",\"body\":2}\n")
        .stderr_like(SENT_2)
        .run();
    let ids = server.ids("s");
    let expected = format!(
        "{{\"file\":\"a.jsonl\",\"line\":2,\"id\":\"{}\"}}\n{{\"file\":\"stdin\",\"line\":1,\"id\":\"{}\"}}\n",
        ids[0], ids[1]
    );
    assert_eq!(server.read("receipts.jsonl"), expected);
}

#[test]
fn json_summary_on_stdout() {
    let server = Server::start();
    let output = batch(&server)
        .args(["--json", "--on-reject", "skip"])
        .stdin(format!("{THREE}oops\n"))
        .status(1)
        .stdout_any()
        .stderr_any()
        .run();
    let summary: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(summary["stream"], "s");
    assert_eq!(summary["sent"], 3);
    assert_eq!(summary["rejected"], 1);
    assert!(summary["seconds"].is_number());
}

#[test]
fn json_and_ids_exclude_each_other() {
    let server = Server::start();
    batch(&server)
        .args(["--json", "--ids"])
        .status(2)
        .stderr_has(["--json", "--ids"])
        .run();
}

#[test]
fn nothing_in_nothing_sent() {
    let server = Server::start();
    batch(&server)
        .stdin("\n\n")
        .stderr_like("sent 0 messages to s[..]\n")
        .run();
    assert_eq!(server.cli(["EXISTS", "s"]), "0");
}

#[test]
fn thousands_keep_their_order() {
    let server = Server::start();
    let stdin: String = (0..20_000).map(|n| format!("{n}\n")).collect();
    batch(&server)
        .args(["--name", "n"])
        .stdin(&stdin)
        .stderr_like("sent 20[..]000 messages to s[..]\n")
        .run();
    assert_eq!(server.bodies("s").join("\n") + "\n", stdin);
}

#[test]
fn a_long_line_is_a_line() {
    let server = Server::start();
    let body = format!("\"{}\"", "x".repeat(3_000_000));
    batch(&server)
        .args(["--name", "n"])
        .stdin(&body)
        .stderr_like(SENT_1)
        .run();
    assert_eq!(server.bodies("s"), [body]);
}

#[test]
fn maxlen_and_retention_trim() {
    let server = Server::start();
    let stdin: String = (0..500).map(|n| format!("{n}\n")).collect();
    batch(&server)
        .args(["--name", "n", "--maxlen", "100"])
        .stdin(&stdin)
        .stderr_any()
        .run();
    let length = server.ids("s").len();
    assert!((100..=200).contains(&length), "{length} entries");
    assert_eq!(server.bodies("s").pop().unwrap(), "499");

    server.add_numbered("t", 500); // IDs of January 1970
    Test::new(&server)
        .args(["send-batch", "t", "--name", "n", "--retention", "1h"])
        .stdin("1\n")
        .stderr_any()
        .run();
    assert!(server.ids("t").len() <= 100);
}

#[test]
fn rate_holds_back() {
    let server = Server::start();
    let start = Instant::now();
    batch(&server)
        .args(["--name", "n", "--rate", "20"])
        .stdin("1\n".repeat(9))
        .stderr_any()
        .run();
    // 9 messages at 20 a second are 8 pauses of 50 ms; half of it tells a rate from none.
    assert!(start.elapsed() >= Duration::from_millis(200));
    assert_eq!(server.ids("s").len(), 9);
}

#[test]
fn a_sending_that_was_complete_says_so() {
    let server = Server::start();
    std::fs::write(server.dir().join("in"), "1\n2\n3\n").unwrap();
    for stream in ["s", "s:{0..2}"] {
        let checkpoint = format!("{}.checkpoint", stream.len());
        let args = ["send-batch", stream, "in", "--name", "n", "--checkpoint", &checkpoint];
        let run = || Test::new(&server).dir(server.dir()).args(args);
        run().stderr_has(["sent 3 messages to"]).run();
        run().stderr("already complete, 3 lines\n").run();
    }
    assert_eq!(server.entries("s").len(), 3);
}
