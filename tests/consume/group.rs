//! Reading in a group, and what the group holds afterwards.

use super::{GROUP, deliver, group, grouped, lines};
use crate::harness::{Server, Signal, Test, wait_until};

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
        .stderr("passed over and acknowledged 2 messages\n")
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
        .stderr("passed over and acknowledged 2,000 messages\n")
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
