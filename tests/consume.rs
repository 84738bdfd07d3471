//! `consume`: which entries come, how their lines read, and what the group holds afterwards.

use crate::harness::{Server, Signal, Test, entry, wait_until};
use std::time::{Duration, Instant};

const GROUP: &str = "s:billing:cg";

/// `s` with the entries 1-0 to N-0 and a group at its beginning.
fn grouped(count: usize) -> Server {
    let server = Server::start();
    server.add_numbered("s", count);
    server.cli(["XGROUP", "CREATE", "s", GROUP, "0", "MKSTREAM"]);
    server
}

/// The lines of the entries of `add_numbered` with these numbers.
fn lines(numbers: impl IntoIterator<Item = usize>) -> String {
    numbers
        .into_iter()
        .map(|n| format!("{{\"stream\":\"s\",\"id\":\"{n}-0\",\"name\":\"n\",\"body\":{n}}}\n"))
        .collect()
}

fn plain(server: &Server) -> Test {
    Test::new(server).args(["consume", "s"])
}

fn group(server: &Server) -> Test {
    Test::new(server).args(["consume", "s", "-l", "billing"])
}

/// Delivers entries to another consumer, which then leaves them behind.
fn deliver(server: &Server, consumer: &str, count: &str) {
    server.cli([
        "XREADGROUP",
        "GROUP",
        GROUP,
        consumer,
        "COUNT",
        count,
        "STREAMS",
        "s",
        ">",
    ]);
}

// --- the line contract

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

// --- plain reads

#[test]
fn follows_from_the_end() {
    let server = Server::start();
    server.add_numbered("s", 3);
    let mut consume = plain(&server).spawn();
    server.wait_blocked();
    server.add_message("s", "4-0", "n", "4");
    assert_eq!(consume.line() + "\n", lines([4]));
    server.add_message("s", "5-0", "n", "5");
    assert_eq!(consume.line() + "\n", lines([5]));
    consume.signal(Signal::TERM);
    assert_eq!(consume.wait().status, 128 + 15);
}

#[test]
fn follows_a_stream_that_is_yet_to_come() {
    let server = Server::start();
    let consume = plain(&server).args(["-n", "1"]).spawn();
    server.wait_blocked();
    server.add_numbered("s", 1);
    let output = { consume }.wait();
    assert_eq!((output.status, output.stdout()), (0, lines([1])));
}

#[test]
fn from_the_beginning_to_the_end() {
    let server = Server::start();
    server.add_numbered("s", 5);
    plain(&server)
        .args(["--from", "beginning", "--exit-on-empty"])
        .stdout(lines(1..=5))
        .run();
    plain(&server).arg("-e").run();
}

#[test]
fn from_and_to_a_point() {
    let server = Server::start();
    server.add_numbered("s", 5);
    for (from, to, expected) in [
        ("2-5", "4-5", 3..=4),
        ("2-0", "4-0", 2..=4),
        ("beginning", "3-0", 1..=3),
        ("4-0", "latest", 4..=5),
    ] {
        plain(&server)
            .args(["--from", from, "--to", to])
            .stdout(lines(expected))
            .run();
    }
    plain(&server).args(["--from", "4-0", "-e"]).stdout(lines([4, 5])).run();
    plain(&server).args(["--to", "2-0"]).stdout(lines([1, 2])).run();
}

#[test]
fn from_a_time_ago() {
    let server = Server::start();
    server.add_numbered("s", 2);
    server.add_message("s", "*", "now", "1");
    let output = plain(&server).args(["--from", "-15m", "-e"]).stdout_any().run();
    let got = output.stdout();
    assert_eq!(got.lines().count(), 1);
    assert!(got.contains(r#""name":"now""#));
}

#[test]
fn last_n_start_before_the_end() {
    let server = Server::start();
    server.add_numbered("s", 5);
    for (last, expected) in [("2", 4..=5), ("9", 1..=5)] {
        plain(&server)
            .args(["--last", last, "-e"])
            .stdout(lines(expected))
            .run();
    }
    let mut consume = plain(&server).args(["--last", "1", "-n", "2"]).spawn();
    assert_eq!(consume.line() + "\n", lines([5]));
    server.add_message("s", "6-0", "n", "6");
    assert_eq!(consume.line() + "\n", lines([6]));
    assert_eq!(consume.wait().status, 0);
}

#[test]
fn max_ends_it() {
    let server = Server::start();
    server.add_numbered("s", 5);
    for n in ["-n", "--max"] {
        plain(&server)
            .args(["--from", "beginning", n, "2"])
            .stdout(lines([1, 2]))
            .run();
    }
}

#[test]
fn count_is_only_the_size_of_a_read() {
    let server = Server::start();
    server.add_numbered("s", 50);
    plain(&server)
        .args(["--from", "beginning", "-e", "--count", "3"])
        .stdout(lines(1..=50))
        .run();
}

#[test]
fn many_streams_in_one_read() {
    let server = Server::start();
    server.add_numbered("a", 2);
    server.add_numbered("b", 2);
    let output = Test::new(&server)
        .args(["consume", "a", "b", "--from", "beginning", "-e"])
        .stdout_any()
        .run();
    let got = output.stdout();
    let mut places: Vec<_> = got.lines().map(|line| &line[..24]).collect();
    places.sort_unstable();
    let expected = [("a", 1), ("a", 2), ("b", 1), ("b", 2)]
        .map(|(stream, n)| format!("{{\"stream\":\"{stream}\",\"id\":\"{n}-0\""));
    assert_eq!(places, expected.each_ref().map(|place| &place[..24]));
}

#[test]
fn match_is_a_glob_on_names() {
    let server = Server::start();
    for (id, name) in [("1-0", "user.created"), ("2-0", "order.paid"), ("3-0", "user.gone")] {
        server.add_message("s", id, name, "1");
    }
    server.add("s", "4-0", &[("t", "1")]);
    plain(&server)
        .args(["--from", "beginning", "-e", "--match", "user.*"])
        .stdout(
            "{\"stream\":\"s\",\"id\":\"1-0\",\"name\":\"user.created\",\"body\":1}\n\
             {\"stream\":\"s\",\"id\":\"3-0\",\"name\":\"user.gone\",\"body\":1}\n",
        )
        .run();
}

#[test]
fn rare_matches_are_looked_for_in_large_replies() {
    let server = Server::start();
    server.add_numbered("s", 2000);
    server.add_message("s", "2001-0", "rare", "1");
    plain(&server)
        .args(["--from", "beginning", "-n", "1", "--match", "rare"])
        .stdout("{\"stream\":\"s\",\"id\":\"2001-0\",\"name\":\"rare\",\"body\":1}\n")
        .run();
    assert!(server.calls("xread") < 20, "{} reads", server.calls("xread"));
}

// --- in a group

#[test]
fn reads_acknowledges_and_leaves_no_consumer() {
    let server = grouped(5);
    group(&server).arg("-e").stdout(lines(1..=5)).run();
    assert!(server.pending("s", GROUP).is_empty());
    assert!(server.consumers("s", GROUP).is_empty());
    // All is read: nothing comes twice.
    group(&server).arg("-e").run();
    let verbatim = ["consume", "s", "-g", GROUP, "-e"];
    Test::new(&server).args(verbatim).run();
}

#[test]
fn ends_at_the_end_of_thousands() {
    let server = grouped(5000);
    group(&server).arg("-e").stdout(lines(1..=5000)).run();
    assert!(server.pending("s", GROUP).is_empty());
}

#[test]
fn a_count_of_one_reads_one_by_one() {
    let server = grouped(20);
    group(&server).args(["-e", "--count", "1"]).stdout(lines(1..=20)).run();
}

#[test]
fn max_leaves_the_rest_to_others() {
    let server = grouped(5);
    group(&server).args(["-n", "2"]).stdout(lines([1, 2])).run();
    let output = group(&server).arg("-e").stdout_any().run();
    // Handed back or never taken: a handed-back one may come as a redelivery.
    let got = output.stdout();
    let ids: Vec<_> = got.lines().map(|line| &line[..27]).collect();
    assert_eq!(ids.len(), 3, "{got}");
    for (line, n) in ids.iter().zip(3..) {
        assert!(line.contains(&format!("\"id\":\"{n}-0\"")), "{got}");
    }
    assert!(server.pending("s", GROUP).is_empty());
}

#[test]
fn manual_leaves_all_pending() {
    let server = grouped(3);
    group(&server)
        .args(["-e", "--ack", "manual"])
        .stdout(lines(1..=3))
        .run();
    assert_eq!(server.pending("s", GROUP), ["1-0", "2-0", "3-0"]);
    // Deleting the consumer would lose them.
    assert_eq!(server.consumers("s", GROUP).len(), 1);
}

#[test]
fn ack_read_never_has_them_pending() {
    let server = grouped(3);
    group(&server).args(["-e", "--ack", "read"]).stdout(lines(1..=3)).run();
    assert!(server.pending("s", GROUP).is_empty());
    assert!(server.consumers("s", GROUP).is_empty());
}

#[test]
fn a_named_consumer_reads_its_own_again_first() {
    let server = grouped(3);
    deliver(&server, "me", "2");
    let expected = "{\"stream\":\"s\",\"id\":\"1-0\",\"name\":\"n\",\"body\":1,\"deliveries\":2}\n\
         {\"stream\":\"s\",\"id\":\"2-0\",\"name\":\"n\",\"body\":2,\"deliveries\":2}\n\
         {\"stream\":\"s\",\"id\":\"3-0\",\"name\":\"n\",\"body\":3}\n";
    group(&server).args(["-e", "-c", "me"]).stdout(expected).run();
    assert!(server.pending("s", GROUP).is_empty());
    // The name is the user's, not self-made: it stays.
    assert_eq!(server.consumers("s", GROUP), ["me"]);
}

#[test]
fn deliveries_follow_the_fields() {
    let server = Server::start();
    server.add("s", "1-0", &[("t", "1")]);
    server.cli(["XGROUP", "CREATE", "s", GROUP, "0"]);
    deliver(&server, "me", "1");
    group(&server)
        .args(["-e", "-c", "me"])
        .stdout("{\"stream\":\"s\",\"id\":\"1-0\",\"fields\":{\"t\":\"1\"},\"deliveries\":2}\n")
        .run();
    assert!(server.pending("s", GROUP).is_empty());
}

#[test]
fn an_entry_deleted_while_pending_is_let_go() {
    let server = grouped(3);
    deliver(&server, "me", "2");
    server.cli(["XDEL", "s", "1-0"]);
    let output = group(&server).args(["-e", "-c", "me"]).stdout_any().stderr_any().run();
    assert_eq!(output.stdout().lines().count(), 2);
    assert!(server.pending("s", GROUP).is_empty());
}

#[test]
fn entries_that_are_no_messages_are_acknowledged() {
    let server = Server::start();
    server.add("s", "1-0", &[("name", "n"), ("body", "NaN")]);
    server.cli(["XGROUP", "CREATE", "s", GROUP, "0"]);
    group(&server)
        .arg("-e")
        .stdout("{\"stream\":\"s\",\"id\":\"1-0\",\"fields\":{\"name\":\"n\",\"body\":\"NaN\"}}\n")
        .run();
    assert!(server.pending("s", GROUP).is_empty());
}

#[test]
fn what_does_not_match_is_acknowledged() {
    let server = Server::start();
    server.add_message("s", "1-0", "user.created", "1");
    server.add_message("s", "2-0", "order.paid", "2");
    server.add("s", "3-0", &[("t", "1")]);
    server.cli(["XGROUP", "CREATE", "s", GROUP, "0"]);
    group(&server)
        .args(["-e", "--match", "order.*"])
        .stdout("{\"stream\":\"s\",\"id\":\"2-0\",\"name\":\"order.paid\",\"body\":2}\n")
        .run();
    assert!(server.pending("s", GROUP).is_empty());
}

#[test]
fn rare_matches_are_looked_for_in_ever_larger_replies() {
    let server = Server::start();
    server.add_numbered("s", 2000);
    server.add_message("s", "2001-0", "rare", "1");
    for id in 2002..2500 {
        server.add_message("s", &format!("{id}-0"), "n", "2");
    }
    server.cli(["XGROUP", "CREATE", "s", GROUP, "0"]);
    group(&server)
        .args(["-n", "1", "--match", "rare"])
        .stdout("{\"stream\":\"s\",\"id\":\"2001-0\",\"name\":\"rare\",\"body\":1}\n")
        .run();
    assert!(server.calls("xreadgroup") < 40, "{} reads", server.calls("xreadgroup"));
    // What lies behind it was not passed over: it is still to come, as if for the first time.
    let lines = (2002..2500).map(|id| format!("{{\"stream\":\"s\",\"id\":\"{id}-0\",\"name\":\"n\",\"body\":2}}\n"));
    group(&server).arg("-e").stdout(lines.collect::<String>()).run();
    assert!(server.pending("s", GROUP).is_empty());
}

#[test]
fn each_stream_has_its_own_group_of_a_listener() {
    let server = Server::start();
    for stream in ["a", "b"] {
        server.add_numbered(stream, 2);
        server.cli(["XGROUP", "CREATE", stream, &format!("{stream}:l:cg"), "0"]);
    }
    let output = Test::new(&server)
        .args(["consume", "a", "b", "-l", "l", "-e"])
        .stdout_any()
        .run();
    assert_eq!(output.stdout().lines().count(), 4);
    for stream in ["a", "b"] {
        let group = format!("{stream}:l:cg");
        assert!(server.pending(stream, &group).is_empty());
        assert!(server.consumers(stream, &group).is_empty());
    }
}

#[test]
fn waits_for_what_comes() {
    let server = grouped(0);
    let mut consume = group(&server).args(["-n", "2"]).spawn();
    server.wait_blocked();
    server.add_message("s", "1-0", "n", "1");
    assert_eq!(consume.line() + "\n", lines([1]));
    // What is printed is acknowledged at once, not only at the end.
    wait_until("the acknowledgement", || server.pending("s", GROUP).is_empty());
    server.add_message("s", "2-0", "n", "2");
    let output = consume.wait();
    assert_eq!((output.status, output.stdout()), (0, lines([1, 2])));
    assert!(server.consumers("s", GROUP).is_empty());
}

#[test]
fn short_blocks_and_rests_read_on() {
    let server = grouped(0);
    let mut consume = group(&server)
        .args(["-n", "3", "--block", "10ms", "--rest", "10ms"])
        .spawn();
    for n in 1..=3 {
        server.add_message("s", &format!("{n}-0"), "n", &n.to_string());
        assert_eq!(consume.line() + "\n", lines([n]));
    }
    assert_eq!(consume.wait().status, 0);
}

#[test]
fn the_consumers_name_tells_who_it_is() {
    for (args, group, env, expected) in [
        (
            ["-l", "billing"],
            GROUP,
            [("POD_NAME", "pod/7"), ("HOSTNAME", "x")],
            "billing.pod-7",
        ),
        (
            ["-l", "a b"],
            "s:a-b:cg",
            [("POD_NAME", ""), ("HOSTNAME", "host1")],
            "a-b.host1",
        ),
        (
            ["-g", "my group"],
            "my group",
            [("POD_NAME", "p"), ("HOSTNAME", "")],
            "my-group.p",
        ),
    ] {
        let server = Server::start();
        server.add_numbered("s", 1);
        server.cli(["XGROUP", "CREATE", "s", group, "0"]);
        let mut test = Test::new(&server).args(["consume", "s", "--ack", "manual"]).args(args);
        for (name, value) in env.iter().filter(|(_, value)| !value.is_empty()) {
            test = test.env(name, value);
        }
        let mut consume = test.spawn();
        consume.line();
        let [consumer] = server.consumers("s", group).try_into().unwrap();
        let prefix = format!("{expected}.{}.", consume.pid());
        let hex = consumer.strip_prefix(&prefix);
        let hex = hex.unwrap_or_else(|| panic!("{consumer} is not {prefix}8HEX"));
        assert!(hex.len() == 8 && hex.bytes().all(|byte| byte.is_ascii_hexdigit()));
        // Acknowledged by another: nothing is pending under the name any more.
        server.cli(["XACK", "s", group, "1-0"]);
        consume.signal(Signal::TERM);
        assert_eq!(consume.wait().status, 128 + 15);
        assert!(server.consumers("s", group).is_empty());
    }
}

// --- conditions and missing groups

#[test]
fn timeout_fails_if_max_was_not_reached() {
    let server = grouped(1);
    let start = Instant::now();
    group(&server)
        .args(["-n", "2", "--timeout", "300ms"])
        .status(4)
        .stdout(lines([1]))
        .stderr_has(["error: "])
        .run();
    assert!(start.elapsed() >= Duration::from_millis(300));
    assert!(server.pending("s", GROUP).is_empty());
    assert!(server.consumers("s", GROUP).is_empty());
}

#[test]
fn timeout_of_a_plain_read() {
    let server = Server::start();
    plain(&server)
        .args(["-n", "1", "--timeout", "100ms"])
        .status(4)
        .stderr_has(["error: "])
        .run();
}

#[test]
fn no_rest_outlasts_the_timeout() {
    let server = Server::start();
    server.cli(["XGROUP", "CREATE", "s", "g", "0", "MKSTREAM"]);
    for group in [&[][..], &["-g", "g"], &["-g", "g", "--", "cat"]] {
        Test::new(&server)
            .args(["consume", "s", "--rest", "600s", "-n", "1", "--timeout", "200ms"])
            .args(group)
            .status(4)
            .stderr_has(["200ms passed"])
            .run();
    }
}

#[test]
fn timeout_is_quiet_when_max_was_reached() {
    let server = grouped(1);
    group(&server)
        .args(["-n", "1", "--timeout", "30s"])
        .stdout(lines([1]))
        .run();
}

#[test]
fn a_missing_group_is_created_when_asked_for() {
    for (choice, expected) in [("beginning", lines([1, 2])), ("latest", String::new())] {
        let server = Server::start();
        server.add_numbered("s", 2);
        group(&server)
            .args(["-e", "--on-nogroup", choice])
            .stdout(expected)
            .stderr_has([GROUP])
            .run();
        assert_eq!(server.groups("s"), [(GROUP.into(), "2-0".into())]);
    }
}

#[test]
fn a_group_lost_under_way() {
    let server = grouped(0);
    let mut fails = group(&server).spawn();
    server.wait_blocked();
    server.cli(["DEL", "s"]);
    let output = fails.wait();
    assert_eq!(output.status, 1);
    assert!(
        output.stderr().contains("subscribe s -l billing"),
        "{}",
        output.stderr()
    );

    server.cli(["XGROUP", "CREATE", "s", GROUP, "0", "MKSTREAM"]);
    let mut recreates = group(&server).args(["--on-nogroup", "beginning", "-n", "1"]).spawn();
    server.wait_blocked();
    server.cli(["DEL", "s"]);
    server.add_numbered("s", 1);
    let output = recreates.wait();
    assert_eq!((output.status, output.stdout()), (0, lines([1])));
    assert!(output.stderr().contains(GROUP), "{}", output.stderr());
}

#[test]
fn usage_errors() {
    let server = Server::start();
    let uses: &[&[&str]] = &[
        &["consume"],
        &["consume", "s", "--timeout", "1s"],
        &["consume", "s", "-n", "0"],
        &["consume", "s", "--ack", "manual"],
        &["consume", "s", "-l", "l", "--ack", "maybe"],
        &["consume", "s", "-l", "l", "--ack", "manual", "--dedup"],
        &["consume", "s", "-l", "l", "--from", "beginning"],
        &["consume", "s", "--last", "1", "--from", "beginning"],
    ];
    for args in uses {
        Test::new(&server).args(*args).status(2).stderr_has(["error: "]).run();
    }
}

#[test]
fn reads_do_not_write() {
    let server = Server::start();
    server.add_numbered("s", 1);
    plain(&server)
        .args(["--from", "beginning", "-e"])
        .stdout(lines([1]))
        .run();
    assert!(server.groups("s").is_empty());
    assert_eq!(server.entries("s"), [entry("1-0", &[("name", "n"), ("body", "1")])]);
}
