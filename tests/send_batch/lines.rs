//! What lines hold beside a name and a body, and what is added to them.

use super::{SENT_1, SENT_2, SENT_3, THREE, batch};
use crate::harness::{Server, entry};

#[test]
fn fields_are_added_to_each_entry() {
    let server = Server::start();
    let lines = concat!(
        r#"{"name":"n","body":1}"#,
        "\n",
        r#"{"fields":{"only":"fields"}}"#,
        "\n",
        r#"{"name":"n","body":1,"fields":{"k":"1"}}"#,
        "\n",
    );
    batch(&server)
        .args(["-f", "k=v=w", "--field", "é="])
        .stdin(lines)
        .stderr_like(SENT_3)
        .run();
    let more = [("k", "v=w"), ("é", "")];
    let expected = [
        entry("", &[&[("name", "n"), ("body", "1")][..], &more].concat()).fields,
        entry("", &[&[("only", "fields")][..], &more].concat()).fields,
        entry("", &[&[("name", "n"), ("body", "1"), ("k", "1")][..], &more].concat()).fields,
    ];
    assert_eq!(server.fields("s"), expected);
    for input in ["jsonl", "text", "csv"] {
        let run = batch(&server).args(["--name", "n", "-f", "k=v", "--input", input]);
        run.stdin("\"a\"\n\"b\"\n").stderr_any().run();
    }
    assert_eq!(
        server.values("s", &["k"]),
        ["v=w", "v=w", "1", "v=w", "v", "v", "v", "v", "v"]
    );
    for field in ["name=x", "body=1"] {
        let run = batch(&server).args(["-f", field]).stdin(THREE).status(2);
        run.stderr_has([&format!("error: -f {}=… beside", &field[..4])]).run();
    }
}

#[test]
fn a_line_that_looks_like_a_body_gets_a_hint() {
    let server = Server::start();
    const BARE: &str = "hint: each line a body? add --name NAME";
    for line in [
        "{\"id\":1}",
        "{\"id\":1,\"name\":\"Zoë\"}",
        "[1]",
        "7",
        "\"text\"",
        "{}",
    ] {
        let run = batch(&server).arg("-q").stdin(line).status(1);
        run.stderr_has(["error: stdin:1:", BARE]).run();
    }
    for line in [
        "{\"name\":\"n\",\"body\":1,\"x\":2}",
        "{\"fields\":{}}",
        "oops",
        "{\"id\":1",
    ] {
        let run = batch(&server).arg("-q").stdin(line).status(1);
        run.stderr_has(["error: stdin:1:", "hint: to leave such lines out"])
            .run();
    }
    let run = batch(&server)
        .args(["-q", "--on-reject", "skip"])
        .stdin("{\"id\":1}\n{\"id\":2}\n");
    run.status(1)
        .stderr_has(["error: 2 lines not sent, each named above", BARE])
        .run();
    assert_eq!(server.cli(["EXISTS", "s"]), "0");
}

#[test]
fn extra_fields_follow_the_message() {
    let server = Server::start();
    let lines = concat!(
        r#"{"fields":{"z":"1","a":"2"},"body":{},"name":"n"}"#,
        "\n",
        r#"{"fields":{"only":"fields"}}"#,
        "\n",
        r#"{"name":"n","body":1,"fields":[["x","1"],["x","2"]]}"#,
        "\n",
    );
    batch(&server).stdin(lines).stderr_like(SENT_3).run();
    let expected = [
        entry("", &[("name", "n"), ("body", "{}"), ("z", "1"), ("a", "2")]).fields,
        entry("", &[("only", "fields")]).fields,
        entry("", &[("name", "n"), ("body", "1"), ("x", "1"), ("x", "2")]).fields,
    ];
    assert_eq!(server.fields("s"), expected);
}

#[test]
fn base64_values_are_bytes() {
    let server = Server::start();
    let lines = concat!(
        r#"{"fields":{"raw":{"base64":"/wCA"}}}"#,
        "\n",
        r#"{"fields":[[{"base64":"/w=="},"v"],["k",{"base64":""}]]}"#,
        "\n",
    );
    batch(&server).stdin(lines).stderr_like(SENT_2).run();
    let expected = [
        vec![(b"raw".to_vec(), b"\xff\x00\x80".to_vec())],
        vec![(b"\xff".to_vec(), b"v".to_vec()), (b"k".to_vec(), Vec::new())],
    ];
    assert_eq!(server.fields("s"), expected);
}

#[test]
fn stream_id_and_deliveries_are_passed_over() {
    let server = Server::start();
    batch(&server)
        .stdin(r#"{"stream":"other","id":"7-7","name":"n","body":1,"deliveries":3}"#)
        .stderr_like(SENT_1)
        .run();
    let expected = [("name", "n"), ("body", "1")];
    assert_eq!(server.fields("s"), [entry("", &expected).fields]);
    assert_ne!(server.ids("s"), ["7-7"]);
    assert_eq!(server.cli(["EXISTS", "other"]), "0");
}
