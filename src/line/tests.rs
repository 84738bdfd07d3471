use proptest::prelude::*;
use serde_json::value::RawValue;

use super::*;
use crate::streamer::EntryId;

fn entry<'a>(fields: &[(&'a [u8], &'a [u8])]) -> Entry<'a> {
    Entry {
        id: EntryId { ms: 5, seq: 1 },
        fields: fields.to_vec(),
        deliveries: None,
    }
}

fn written(fields: &[(&[u8], &[u8])]) -> String {
    let mut out = Vec::new();
    write(&mut out, "s", &entry(fields));
    out.push(b'\n');
    String::from_utf8(out).unwrap()
}

#[track_caller]
fn assert_line(fields: &[(&[u8], &[u8])], rest: &str) {
    let line = written(fields);
    assert_eq!(line, format!("{{\"stream\":\"s\",\"id\":\"5-1\",{rest}}}\n"));
    let back = parse(line.trim_end_matches('\n')).unwrap();
    assert_eq!(back.stream.as_deref(), Some("s"));
    assert_eq!(back.id, Some(EntryId { ms: 5, seq: 1 }));
    let back: Vec<_> = back.fields.iter().map(|(n, v)| (n.as_ref(), v.as_ref())).collect();
    assert_eq!(back, fields);
}

#[test]
fn a_message_is_name_and_body() {
    assert_line(
        &[(b"name", b"user.created"), (b"body", b"{\"user_id\": 123}")],
        r#""name":"user.created","body":{"user_id": 123}"#,
    );
}

#[test]
fn bodies_pass_byte_for_byte() {
    for body in [
        "1.0e+05",
        "12345678901234567890123",
        r#"{"a":1,"a":2}"#,
        r#""\u00e9\ud800""#,
        "null",
        "  [ 1 ]\t",
    ] {
        assert_line(
            &[(b"name", b"n"), (b"body", body.as_bytes())],
            &format!(r#""name":"n","body":{body}"#),
        );
    }
}

#[test]
fn line_breaks_between_tokens_become_spaces() {
    assert_eq!(
        written(&[(b"name", b"n"), (b"body", b"{\r\n\"a\":\n1}\n")]),
        "{\"stream\":\"s\",\"id\":\"5-1\",\"name\":\"n\",\"body\":{  \"a\": 1} }\n"
    );
}

#[test]
fn other_fields_follow_or_stand_alone() {
    assert_line(
        &[(b"name", b"n"), (b"body", b"1"), (b"trace", b"x\"y")],
        r#""name":"n","body":1,"fields":{"trace":"x\"y"}"#,
    );
    assert_line(
        &[(b"name", b"n"), (b"body", b"NaN")],
        r#""fields":{"name":"n","body":"NaN"}"#,
    );
    assert_line(&[(b"a", b"\xff")], r#""fields":{"a":{"base64":"/w=="}}"#);
}

#[test]
fn repeated_or_binary_names_make_pairs() {
    assert_line(&[(b"a", b"1"), (b"a", b"2")], r#""fields":[["a","1"],["a","2"]]"#);
    assert_line(&[(b"\xfe", b"1")], r#""fields":[[{"base64":"/g=="},"1"]]"#);
    assert_line(
        &[(b"name", b"n"), (b"body", b"1"), (b"a", b"1"), (b"a", b"2")],
        r#""name":"n","body":1,"fields":[["a","1"],["a","2"]]"#,
    );
}

#[test]
fn an_unusual_order_is_marked() {
    assert_line(
        &[(b"body", b"1"), (b"name", b"n")],
        r#""name":"n","body":1,"fields":[["body"],["name"]]"#,
    );
    assert_line(
        &[(b"trace", b"t"), (b"name", b"n"), (b"body", b"1")],
        r#""name":"n","body":1,"fields":[["trace","t"],["name"],["body"]]"#,
    );
}

#[test]
fn deliveries_stand_only_on_a_redelivery() {
    let mut out = Vec::new();
    for deliveries in [None, Some(1), Some(3)] {
        write(
            &mut out,
            "s",
            &Entry {
                deliveries,
                ..entry(&[(b"name", b"n"), (b"body", b"1")])
            },
        );
        out.push(b'\n');
    }
    let lines: Vec<_> = std::str::from_utf8(&out).unwrap().lines().collect();
    assert_eq!(lines[0], lines[1]);
    assert!(lines[2].ends_with(r#""body":1,"deliveries":3}"#), "{}", lines[2]);
}

#[test]
fn a_time_stands_behind_the_id_and_is_read_past() {
    let timed = |ms| {
        let mut out = Vec::new();
        let id = EntryId { ms, seq: 1 };
        let entry = Entry {
            id,
            ..entry(&[(b"name", b"n"), (b"body", b" 1 ")])
        };
        write_timed(&mut out, "s", &entry);
        String::from_utf8(out).unwrap()
    };
    let line = timed(1_700_000_000_000);
    assert_eq!(
        line,
        r#"{"stream":"s","id":"1700000000000-1","time":"2023-11-14T22:13:20.000Z","name":"n","body": 1 }"#
    );
    assert_eq!(parse(&line).unwrap().fields[1].1.as_ref(), b" 1 ");
    assert!(timed(5).contains(r#""time":"1970-01-01T00:00:00.005Z""#));
    // No calendar has such a year.
    assert!(timed(u64::MAX).contains(r#","time":null,"#));
}

#[test]
fn the_short_way_is_taken_for_plain_messages_only() {
    let message = Message {
        name: "a.b",
        body: "{\"x\": 1}",
    };
    assert_eq!(parse_message(r#"{"name":"a.b","body":{"x": 1}}"#), Some(message));
    for line in [
        r#"{"name": "a.b","body":1}"#,
        r#"{"name":"a\u0062","body":1}"#,
        r#"{"name":"a","body":1,"fields":{"a":"b"}}"#,
        r#"{"name":"a","body":1"#,
        r#"{"body":1,"name":"a"}"#,
        "{\"name\":\"a\tb\",\"body\":1}",
    ] {
        assert_eq!(parse_message(line), None, "{line}");
    }
}

#[test]
fn spaces_of_a_foreign_line_are_not_the_body_s() {
    let line = parse(r#"{"name": "n", "body": {"a": 1} }"#).unwrap();
    assert_eq!(line.fields[1].1.as_ref(), br#"{"a": 1}"#);
    assert_eq!((line.stream, line.id), (None, None));
}

#[test]
fn bad_lines_say_what_and_where() {
    for (line, column, reason) in [
        (r#"{"name":"n","body":{"a":}}"#, 25, "expected value"),
        (r#"{"name":"n","body":1,"x":1}"#, 24, "unknown key `x`"),
        (r#"{"name":"n"}"#, 12, "key `body` is missing"),
        (r#"{"body":1}"#, 10, "key `name` is missing"),
        (r#"{}"#, 2, "keys `name` and `body` are missing"),
        (r#"{"name":5,"body":1}"#, 9, "`name` must be a string"),
        (r#"{"name":"n","body":1,"id":"x"}"#, 27, "`id`: not an entry ID"),
        (
            r#"{"name":"n","body":1,"fields":{"a":1}}"#,
            36,
            "invalid type: integer `1`",
        ),
        (r#"{"fields":{"a":{"base64":"!"}}}"#, 29, "not base64"),
        (r#"{"fields":{}}"#, 11, "at least one field"),
        (r#"{"fields":[["name"]]}"#, 11, "marks a key"),
        (r#"{"name":"n","body":1,"fields":[["name"]]}"#, 31, "must mark both"),
        (r#"{"name":"n","name":"m","body":1}"#, 18, "duplicate key `name`"),
        (r#"[1]"#, 1, "expected a JSON object"),
        (r#" 5"#, 2, "expected a JSON object"),
        ("", 1, "expected a JSON object"),
        (r#"{"name":"n","body":1} x"#, 23, "trailing characters"),
    ] {
        let error = parse(line).unwrap_err();
        assert!(error.reason.contains(reason), "{line}: {error:?}");
        assert!(error.column.abs_diff(column) <= 2, "{line}: {error:?}");
    }
}

/// Values as a stream may hold them: any bytes, texts, and JSON with raw spaces.
fn any_value() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        proptest::collection::vec(any::<u8>(), 0..20),
        ".{0,20}".prop_map(String::into_bytes),
        any_json().prop_map(String::into_bytes),
    ]
}

fn any_json() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        Just("null".to_owned()),
        "-?[1-9][0-9]{0,30}(\\.[0-9]{1,5})?([eE][+-]?[0-9]{1,3})?",
        ".{0,10}".prop_map(|text| serde_json::Value::from(text).to_string()),
    ];
    leaf.prop_recursive(4, 32, 4, |inner| {
        prop_oneof![
            ("[ \t]{0,2}", inner.clone()).prop_map(|(space, value)| format!("{space}{value}{space}")),
            proptest::collection::vec(inner.clone(), 0..4).prop_map(|items| format!("[{}]", items.join(" ,"))),
            proptest::collection::vec(("[ab]", inner), 0..4).prop_map(|items| {
                let items: Vec<_> = items.iter().map(|(k, v)| format!("\"{k}\" :{v}")).collect();
                format!("{{{}}}", items.join(","))
            }),
        ]
    })
}

fn any_field() -> impl Strategy<Value = (Vec<u8>, Vec<u8>)> {
    prop_oneof![
        any_json().prop_map(|body| (b"body".to_vec(), body.into_bytes())),
        ".{0,8}".prop_map(|name| (b"name".to_vec(), name.into_bytes())),
        ("[ab]", any_value()).prop_map(|(name, value)| (name.into_bytes(), value)),
        (any_value(), any_value()),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    /// The one exception, line breaks in a body that is JSON, is taken out of the comparison.
    #[test]
    fn any_entry_survives_the_line(
        fields in proptest::collection::vec(any_field(), 1..6),
        (ms, seq) in any::<(u64, u64)>(),
        stream in ".{0,8}",
    ) {
        let borrowed: Vec<_> = fields.iter().map(|(n, v)| (n.as_slice(), v.as_slice())).collect();
        let entry = Entry { id: EntryId { ms, seq }, fields: borrowed, deliveries: None };
        let mut out = Vec::new();
        write(&mut out, &stream, &entry);
        let text = std::str::from_utf8(&out).unwrap();
        prop_assert_eq!(text.matches('\n').count(), 0);
        prop_assert!(serde_json::from_str::<&RawValue>(text).is_ok());
        let back = parse(text).unwrap();
        prop_assert_eq!(back.stream.as_deref(), Some(stream.as_str()));
        prop_assert_eq!(back.id, Some(entry.id));
        let body = entry.message().map(|message| message.body.as_bytes());
        let expected: Vec<_> = entry.fields.iter().map(|(name, value)| match body {
            Some(body) if *name == BODY => {
                let spaced = body.iter().map(|b| if matches!(b, b'\n' | b'\r') { b' ' } else { *b }).collect();
                (name.to_vec(), spaced)
            }
            _ => (name.to_vec(), value.to_vec()),
        }).collect();
        let back: Vec<_> = back.fields.into_iter().map(|(n, v)| (n.into_owned(), v.into_owned())).collect();
        prop_assert_eq!(back, expected);
    }

    #[test]
    fn the_short_way_to_a_message_agrees_with_the_long_one(name in ".{0,9}", space in "[ \t]{0,2}", body in any_json(), behind in prop_oneof![Just(""), Just(",\"id\":\"1-1\""), Just(",\"body\":2"), Just("}"), Just("x")]) {
        for line in [
            format!("{{\"name\":\"{name}\",\"body\":{space}{body}{behind}}}"),
            format!("{{\"name\":{},\"body\":{body}{behind}}}", serde_json::Value::from(name)),
        ] {
            if let Some(message) = parse_message(&line) {
                let long = parse(&line).unwrap();
                prop_assert_eq!((long.stream, long.id), (None, None));
                let fields: Vec<_> = long.fields.iter().map(|(n, v)| (n.as_ref(), v.as_ref())).collect();
                prop_assert_eq!(fields, [(NAME, message.name.as_bytes()), (BODY, message.body.as_bytes())]);
            }
        }
    }

    #[test]
    fn no_text_makes_the_reader_panic(text in ".{0,60}") {
        let _ = parse(&text);
        let _ = parse_message(&text);
        let _ = parse_reference(&text);
    }

    #[test]
    fn no_json_makes_the_reader_panic(name in any_json(), body in any_json(), fields in any_json()) {
        let _ = parse(&format!("{{\"name\":{name},\"body\":{body},\"fields\":{fields}}}"));
        let _ = parse(&format!("{{\"fields\":{fields}}}"));
    }
}

#[test]
fn a_line_tells_how_often_it_was_delivered() {
    let deliveries = |line| parse_reference(line).unwrap().deliveries;
    assert_eq!(deliveries(r#"{"stream":"s","id":"1-0","name":"n","body":1}"#), Some(1));
    assert_eq!(deliveries(r#"{"stream":"s","id":"1-0","fields":{"a":"b"}}"#), Some(1));
    assert_eq!(
        deliveries(r#"{"stream":"s","id":"1-0","name":"n","body":1,"deliveries":3}"#),
        Some(3)
    );
    assert_eq!(deliveries(r#"{"id":"1-0","deliveries":2}"#), Some(2));
    // Cut down to what names the entry, it does not.
    assert_eq!(deliveries(r#"{"stream":"s","id":"1-0"}"#), None);
    assert_eq!(deliveries(r#"{"id":"1-0","deliveries":"many"}"#), None);
}
