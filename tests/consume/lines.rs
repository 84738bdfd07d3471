//! How the lines of entries read.

use super::plain;
use crate::harness::{Server, Test};

#[test]
fn a_message_is_a_line() {
    let server = Server::start();
    server.add_message("orders", "1700000000000-0", "user.created", r#"{"user_id":123}"#);
    Test::new(&server)
        .args(["consume", "orders", "--from", "beginning", "-e"])
        .stdout(
            "{\"stream\":\"orders\",\"id\":\"1700000000000-0\",\
             \"name\":\"user.created\",\"body\":{\"user_id\":123}}\n",
        )
        .run();
}

/// What `consume` prints for one entry of these fields, after the stream and the ID.
fn line_of(fields: &[(&[u8], &[u8])]) -> String {
    let server = Server::start();
    server.add("s", "1-0", fields);
    let output = plain(&server).args(["--from", "beginning", "-e"]).stdout_any().run();
    let line = output.stdout();
    let rest = line.strip_prefix(r#"{"stream":"s","id":"1-0","#).unwrap();
    rest.strip_suffix("}\n").unwrap().to_owned()
}

#[test]
fn bodies_are_passed_through_byte_for_byte() {
    for body in [
        r#"{ "a" : 1.0,  "a":1e400, "b":12345678901234567890123 }"#,
        r#""\u00e9\ud83d\ude00é\/""#,
        r#""\ud800""#,
        "-0.0",
        "[ ]",
        &format!("{}{}", "[".repeat(500), "]".repeat(500)),
    ] {
        let line = line_of(&[(b"name", b"n"), (b"body", body.as_bytes())]);
        assert_eq!(line, format!("\"name\":\"n\",\"body\":{body}"));
    }
}

#[test]
fn line_breaks_in_a_body_become_spaces() {
    let body = b"{\r\n  \"a\":\n1}";
    let line = line_of(&[(b"name", b"n"), (b"body", body)]);
    assert_eq!(line, r#""name":"n","body":{    "a": 1}"#);
}

#[test]
fn other_fields_stand_after_the_body() {
    let line = line_of(&[(b"name", b"n"), (b"body", b"1"), (b"z", b"1"), (b"a", b"\"\n\x1b")]);
    assert_eq!(line, r#""name":"n","body":1,"fields":{"z":"1","a":"\"\n\u001b"}"#);
}

#[test]
fn what_is_no_message_is_all_fields() {
    for (fields, expected) in [
        (&[("name", "n"), ("body", "NaN")][..], r#"{"name":"n","body":"NaN"}"#),
        (&[("name", "n"), ("body", "")], r#"{"name":"n","body":""}"#),
        (
            &[("name", "n"), ("body", "{\"a\":1")],
            r#"{"name":"n","body":"{\"a\":1"}"#,
        ),
        (&[("name", "n")], r#"{"name":"n"}"#),
        (&[("body", "1"), ("x", "y")], r#"{"body":"1","x":"y"}"#),
        (&[("t", "21.5")], r#"{"t":"21.5"}"#),
        (
            &[("name", "a"), ("name", "b"), ("body", "1")],
            r#"[["name","a"],["name","b"],["body","1"]]"#,
        ),
        (
            &[("name", "a"), ("body", "1"), ("body", "2")],
            r#"[["name","a"],["body","1"],["body","2"]]"#,
        ),
    ] {
        let fields: Vec<_> = fields
            .iter()
            .map(|(name, value)| (name.as_bytes(), value.as_bytes()))
            .collect();
        assert_eq!(line_of(&fields), format!("\"fields\":{expected}"));
    }
}

#[test]
fn bytes_that_are_no_text_are_base64() {
    assert_eq!(
        line_of(&[(b"raw", b"\xff\x00\x80")]),
        r#""fields":{"raw":{"base64":"/wCA"}}"#
    );
    assert_eq!(
        line_of(&[(b"name", b"\xff"), (b"body", b"1")]),
        r#""fields":{"name":{"base64":"/w=="},"body":"1"}"#
    );
    assert_eq!(
        line_of(&[(b"name", b"n"), (b"body", b"\"\xff\"")]),
        r#""fields":{"name":"n","body":{"base64":"Iv8i"}}"#
    );
    assert_eq!(
        line_of(&[(b"name", b"n"), (b"body", b"1"), (b"x", b"\xff")]),
        r#""name":"n","body":1,"fields":{"x":{"base64":"/w=="}}"#
    );
}

#[test]
fn names_that_repeat_or_are_no_text_make_pairs() {
    assert_eq!(
        line_of(&[(b"name", b"n"), (b"body", b"1"), (b"x", b"1"), (b"x", b"2")]),
        r#""name":"n","body":1,"fields":[["x","1"],["x","2"]]"#
    );
    assert_eq!(
        line_of(&[(b"\xff", b"v"), (b"k", b"\xfe")]),
        r#""fields":[[{"base64":"/w=="},"v"],["k",{"base64":"/g=="}]]"#
    );
}
