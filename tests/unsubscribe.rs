//! `unsubscribe`: groups and consumers that go, what goes with them, and what is in the way.

use crate::harness::{Server, Signal, Test, wait_until};
use crate::middleman::{Middleman, Verdict, mentions};
use std::sync::atomic::{AtomicBool, Ordering};

/// `s` with the entries 1-0 to N-0, and the group `g` at its beginning.
fn stream(count: usize) -> Server {
    let server = Server::start();
    server.add_numbered("s", count);
    server.cli(["XGROUP", "CREATE", "s", "g", "0", "MKSTREAM"]);
    server
}

/// Delivers the next entries to a consumer. `XCLAIM … IDLE` and the like do not make a consumer look idle: only time does.
fn deliver(server: &Server, consumer: &str, count: usize) {
    let count = count.to_string();
    server.cli([
        "XREADGROUP",
        "GROUP",
        "g",
        consumer,
        "COUNT",
        &count,
        "STREAMS",
        "s",
        ">",
    ]);
}

fn unsubscribe(server: &Server, args: &str) -> Test {
    Test::new(server)
        .args(["unsubscribe", "s", "-g", "g"])
        .args(args.split_whitespace())
}

fn group_names(server: &Server, stream: &str) -> Vec<String> {
    server.groups(stream).into_iter().map(|(name, _)| name).collect()
}

/// Each pending entry: its ID, its consumer, how often it was delivered.
fn rows(server: &Server) -> Vec<(String, String, String)> {
    let rows = server.cli(["XPENDING", "s", "g", "-", "+", "100"]);
    let lines: Vec<_> = rows.lines().filter(|line| !line.is_empty()).collect();
    let row = |row: &[&str]| (row[0].to_owned(), row[1].to_owned(), row[3].to_owned());
    lines.chunks(4).map(row).collect()
}

/// What `--json` says of the one subject, be it in an array.
fn json(test: Test) -> serde_json::Value {
    let output = test.stdout_any().stderr_any().run();
    match serde_json::from_str(&output.stdout()).unwrap() {
        serde_json::Value::Array(rows) => rows[0].clone(),
        object => object,
    }
}

#[test]
fn a_group_that_nobody_misses_goes() {
    let server = stream(0);
    server.cli(["XADD", "s", "1-0", "k", "v"]);
    server.cli(["XGROUP", "SETID", "s", "g", "$"]);
    unsubscribe(&server, "").stderr("removed group g on s\n").run();
    assert_eq!(group_names(&server, "s"), [""; 0]);
    assert_eq!(server.cli(["XLEN", "s"]), "1");
}

#[test]
fn what_would_go_with_a_group_needs_force() {
    let server = stream(5);
    deliver(&server, "till", 2);
    unsubscribe(&server, "")
        .status(1)
        .stderr_has([
            "group g on s is not removed: 2 entries pending, 3 entries undelivered, till was at work ",
            "hint: see it: redis-streamer pending s -g g; --force removes it all the same",
        ])
        .run();
    assert_eq!(group_names(&server, "s"), ["g"]);
    unsubscribe(&server, "--force --json")
        .stdout_has(["\"pending\":2", "\"at_work\":[\"till\"]", "\"removed\":true"])
        .run();
    assert_eq!(group_names(&server, "s"), [""; 0]);
    assert_eq!(server.ids("s").len(), 5);
}

#[test]
fn each_thing_in_the_way_is_enough() {
    let server = stream(1);
    let said = |part: &str| {
        let output = unsubscribe(&server, "").status(1).stderr_has([part]).run();
        assert_eq!(group_names(&server, "s"), ["g"]);
        output.stderr()
    };
    let text = said("undelivered");
    assert!(!text.contains("pending,") && !text.contains("at work"), "{text}");
    server.cli(["XGROUP", "SETID", "s", "g", "$"]);
    server.cli(["XGROUP", "CREATECONSUMER", "s", "g", "till"]);
    let text = said("till was at work");
    assert!(!text.contains("undelivered"), "{text}");
}

#[test]
fn an_entry_that_comes_while_a_group_is_looked_at_is_not_lost() {
    let server = stream(0);
    let (client, is_first) = (server.client(), AtomicBool::new(true));
    let middleman = Middleman::start(&server, move |words| {
        if mentions(words, "MULTI") && is_first.swap(false, Ordering::SeqCst) {
            client.command(["XADD", "s", "7-0", "k", "v"]);
        }
        Verdict::Pass
    });
    unsubscribe(&server, "")
        .args(["-u", &middleman.url()])
        .status(1)
        .stderr_has(["group g on s is not removed: ", "undelivered"])
        .run();
    assert_eq!(group_names(&server, "s"), ["g"]);
}

#[test]
fn the_ledger_goes_with_the_group() {
    let server = stream(3);
    Test::new(&server)
        .args(["consume", "s", "-g", "g", "-e", "--dedup"])
        .stdout_any()
        .run();
    let ledger = "stream:s:group:g:processed";
    assert_eq!(server.cli(["ZCARD", ledger]), "3");
    unsubscribe(&server, "")
        .stderr("removed group g on s, and with it its ledger of 3 processed entries\n")
        .run();
    assert_eq!(server.cli(["EXISTS", ledger]), "0");
}

#[test]
fn what_only_looks_like_a_ledger_stays() {
    let server = stream(0);
    server.cli(["SET", "stream:s:group:g:processed", "other"]);
    unsubscribe(&server, "").stderr("removed group g on s\n").run();
    assert_eq!(server.cli(["GET", "stream:s:group:g:processed"]), "other");
}

#[test]
fn what_is_pending_under_a_consumer_is_handed_back() {
    let server = stream(3);
    deliver(&server, "till", 2);
    deliver(&server, "other", 1);
    server.cli(["XCLAIM", "s", "g", "till", "0", "2-0", "RETRYCOUNT", "4", "JUSTID"]);
    unsubscribe(&server, "--consumer till")
        .status(1)
        .stderr_has([
            "consumer till of group g on s is not removed: it was at work ",
            "hint: end it first; --force ",
        ])
        .run();
    assert!(server.consumers("s", "g").contains(&"till".into()));
    unsubscribe(&server, "-c till --force")
        .stderr("removed consumer till of group g on s; 2 entries handed back to the others\n")
        .run();
    assert!(!server.consumers("s", "g").contains(&"till".into()));
    let rows = rows(&server);
    let of = |id: &str| {
        let (_, consumer, deliveries) = rows.iter().find(|row| row.0 == id).unwrap();
        (consumer.as_str(), deliveries.as_str())
    };
    assert_eq!(of("3-0"), ("other", "1"));
    if !server.knows("XNACK") {
        assert_eq!((of("1-0"), of("2-0")), (("handed-back", "1"), ("handed-back", "4")));
    }
    let rest = Test::new(&server)
        .args(["consume", "s", "-g", "g", "-n", "2", "--timeout", "20s"])
        .stdout_any()
        .run();
    assert!(
        rest.stdout().contains("1-0") && rest.stdout().contains("\"deliveries\":5"),
        "{}",
        rest.stdout()
    );
}

#[test]
fn many_entries_are_handed_back_page_by_page() {
    let server = stream(2500);
    deliver(&server, "till", 2500);
    unsubscribe(&server, "-c till --force")
        .stderr("removed consumer till of group g on s; 2,500 entries handed back to the others\n")
        .run();
    assert_eq!(rows(&server).len(), 100);
    assert_eq!(server.pending("s", "g").len(), 2500);
}

#[test]
fn what_a_consumer_takes_as_its_name_goes_stays_pending_under_it() {
    let server = stream(3);
    deliver(&server, "till", 1);
    let (client, is_first) = (server.client(), AtomicBool::new(true));
    let middleman = Middleman::start(&server, move |words| {
        if mentions(words, "MULTI") && is_first.swap(false, Ordering::SeqCst) {
            client.command(["XREADGROUP", "GROUP", "g", "till", "STREAMS", "s", ">"]);
        }
        Verdict::Pass
    });
    unsubscribe(&server, "-c till --force")
        .args(["-u", &middleman.url()])
        .status(1)
        .stderr_has(["consumer till of group g on s is not removed: it is at work, and took 2 entries meanwhile"])
        .run();
    let till: Vec<_> = rows(&server).into_iter().filter(|row| row.1 == "till").collect();
    let row = |id: &str| (id.to_owned(), "till".to_owned(), "1".to_owned());
    assert_eq!(till, [row("2-0"), row("3-0")]);
    assert_eq!(server.pending("s", "g").len(), 3);
}

#[test]
fn a_consumer_that_is_at_work_goes_on_and_nothing_is_lost() {
    let server = stream(0);
    let mut consumer = Test::new(&server)
        .args(["consume", "s", "-g", "g", "-c", "till"])
        .spawn();
    server.wait_blocked();
    let mut got = Vec::new();
    for n in 1..=20 {
        server.cli(["XADD", "s", &format!("{n}-0"), "name", "n", "body", "1"]);
        unsubscribe(&server, "-c till --force").spawn().wait();
        got.push(consumer.line());
    }
    consumer.signal(Signal::TERM);
    consumer.wait();
    wait_until("all to be settled", || server.pending("s", "g").is_empty());
    assert_eq!(got.len(), 20);
}

#[test]
fn what_was_handed_back_is_not_handed_back_to_itself() {
    let server = stream(1);
    deliver(&server, "till", 1);
    server.cli(["XCLAIM", "s", "g", "handed-back", "0", "1-0", "TIME", "0", "JUSTID"]);
    for options in ["-c handed-back", "-c handed-back --force"] {
        unsubscribe(&server, options)
            .status(1)
            .stderr(
                "error: consumer handed-back of group g on s is not removed: it keeps 1 entry that consumers handed back as they ended\n\
                 hint: any consumer of the group gets them at once: redis-streamer consume s -g g\n",
            )
            .run();
    }
    server.cli(["XACK", "s", "g", "1-0"]);
    unsubscribe(&server, "-c handed-back")
        .stderr("removed consumer handed-back of group g on s\n")
        .run();
}

#[test]
fn of_several_streams_none_goes_if_something_is_in_the_way() {
    let server = Server::start();
    for n in 0..3 {
        let stream = format!("s:{n}");
        server.cli([
            "XGROUP",
            "CREATE",
            &stream,
            &format!("{stream}:billing:cg"),
            "$",
            "MKSTREAM",
        ]);
    }
    server.cli(["XADD", "s:1", "1-0", "k", "v"]);
    let run = || Test::new(&server).args(["unsubscribe", "s:{0..3}", "-l", "billing"]);
    run()
        .status(1)
        .stderr_has(["error: group s:1:billing:cg on s:1 is not removed: "])
        .run();
    assert_eq!(group_names(&server, "s:0").len(), 1);
    server.cli(["XADD", "s:2", "1-0", "k", "v"]);
    run()
        .status(1)
        .stderr_has([
            "warning: group s:1:billing:cg on s:1 is not removed: ",
            "warning: group s:2:billing:cg on s:2 is not removed: ",
            "error: 2 of 4 are not removed\n",
        ])
        .run();
    for stream in ["s:1", "s:2"] {
        server.cli(["XTRIM", stream, "MAXLEN", "0"]);
    }
    run()
        .stderr(
            "removed group s:0:billing:cg on s:0\n\
             removed group s:1:billing:cg on s:1\n\
             removed group s:2:billing:cg on s:2\n\
             group s:3:billing:cg on s:3 is not there\n",
        )
        .run();
    run()
        .status(1)
        .stderr(
            "error: group s:0:billing:cg on s:0 is not there, nor are the others\n\
             hint: see what there is: redis-streamer pending s:0\n",
        )
        .run();
}

#[test]
fn a_failure_midway_names_what_is_left() {
    let server = Server::start();
    for stream in ["a", "b"] {
        server.cli(["XGROUP", "CREATE", stream, "g", "$", "MKSTREAM"]);
    }
    let middleman = Middleman::start(&server, |words| {
        match mentions(words, "DESTROY") && mentions(words, "b") {
            true => Verdict::Cut,
            false => Verdict::Pass,
        }
    });
    Test::new(&server)
        .args(["unsubscribe", "a", "b", "-g", "g", "-u", &middleman.url()])
        .status(3)
        .stderr_has(["removed group g on a\n", "error: group g on b is not removed\n"])
        .run();
    assert_eq!(group_names(&server, "a"), [""; 0]);
    assert_eq!(group_names(&server, "b"), ["g"]);
}

#[test]
fn hints_name_the_group_as_it_was_named() {
    let server = stream(1);
    server.cli(["XGROUP", "CREATE", "s", "s:billing:cg", "0"]);
    for group in [&["-l", "billing"], &["-g", "s:billing:cg"]] {
        Test::new(&server)
            .args(["unsubscribe", "s"])
            .args(group)
            .status(1)
            .stderr_has([format!("hint: see it: redis-streamer pending s {}; ", group.join(" "))])
            .run();
        Test::new(&server)
            .args(["unsubscribe", "s", "-c", "gone"])
            .args(group)
            .status(1)
            .stderr_has([format!(
                "hint: see what there is: redis-streamer pending s {}\n",
                group.join(" ")
            )])
            .run();
    }
    // Where nobody named it, its listener does.
    for args in [&["pending", "--max-lag", "0"][..], &["pending", "s", "--max-lag", "0"]] {
        server.cli(["XGROUP", "SETID", "s", "g", "$"]);
        Test::new(&server)
            .args(args)
            .status(4)
            .stdout_any()
            .stderr_has(["hint: see who has what: redis-streamer pending s -l billing\n"])
            .run();
    }
    server.cli(["XREADGROUP", "GROUP", "s:billing:cg", "till", "STREAMS", "s", ">"]);
    Test::new(&server)
        .args(["pending", "--dead-consumers", "0s"])
        .stdout_has(["  redis-streamer unsubscribe s -l billing --consumer till\n"])
        .run();
}

#[test]
fn a_dry_run_changes_nothing() {
    let server = stream(2);
    deliver(&server, "till", 1);
    unsubscribe(&server, "--dry-run")
        .status(1)
        .stdout_has(["would not remove group g on s: 1 entry pending, "])
        .stderr("error: nothing would be removed\nhint: see it: redis-streamer pending s -g g; --force removes it all the same\n")
        .run();
    unsubscribe(&server, "--dry-run --force")
        .stdout_has(["would remove group g on s, and with it 1 entry pending, "])
        .run();
    unsubscribe(&server, "--dry-run --force -c till")
        .stdout("would remove consumer till of group g on s; 1 entry handed back to the others\n")
        .run();
    let row = json(unsubscribe(&server, "--dry-run --json -c till").status(1));
    assert_eq!(row["consumer"], "till");
    assert_eq!((&row["pending"], &row["removed"]), (&1.into(), &false.into()));
    assert_eq!(row["in_the_way"].as_array().unwrap().len(), 1);
    assert_eq!(rows(&server), [("1-0".into(), "till".into(), "1".into())]);
}

#[test]
fn what_is_not_there_is_an_error_and_which_group_a_question() {
    let server = stream(1);
    unsubscribe(&server, "-c nobody")
        .status(1)
        .stderr(
            "error: consumer nobody of group g on s is not there\n\
             hint: see what there is: redis-streamer pending s -g g\n",
        )
        .run();
    Test::new(&server)
        .args(["unsubscribe", "nothing", "-g", "g"])
        .status(1)
        .stderr_has(["error: group g on nothing is not there\n"])
        .run();
    Test::new(&server)
        .args(["unsubscribe", "s"])
        .status(2)
        .stderr_has(["which group?"])
        .run();
}

#[test]
fn what_is_undelivered_is_counted_up_to_a_bound() {
    let server = stream(12_000);
    let known = if server.tells_lag() {
        "12,000 entries undelivered"
    } else {
        ">10,000 entries undelivered"
    };
    unsubscribe(&server, "").status(1).stderr_has([known]).run();
    server.cli(["XDEL", "s", "6000-0"]);
    // Now the server does not know it any more.
    server.cli(["XGROUP", "SETID", "s", "g", "1-0"]);
    unsubscribe(&server, "")
        .status(1)
        .stderr_has([">10,000 entries undelivered"])
        .run();
    server.cli(["XGROUP", "SETID", "s", "g", "2000-0"]);
    unsubscribe(&server, "")
        .status(1)
        .stderr_has([": 9,999 entries undelivered"])
        .run();
}

#[test]
fn what_is_undelivered_has_the_names_that_pending_gives_it() {
    let server = stream(12_000);
    server.cli(["XDEL", "s", "6000-0"]);
    server.cli(["XGROUP", "SETID", "s", "g", "1-0"]);
    for (id, lag, is_lower_bound) in [("1-0", 10_001, true), ("11000-0", 1_000, false)] {
        server.cli(["XGROUP", "SETID", "s", "g", id]);
        let gone = json(unsubscribe(&server, "--dry-run --json").status(1));
        let pending = json(Test::new(&server).args(["pending", "s", "-g", "g", "--json"]));
        for found in [&gone, &pending] {
            assert_eq!(
                (&found["lag"], &found["lag_is_lower_bound"]),
                (&lag.into(), &is_lower_bound.into())
            );
        }
    }
}

/// No entry can follow, and none is asked for.
#[test]
fn a_group_at_the_last_id_there_can_be_lacks_nothing() {
    let server = stream(3);
    let last = format!("{0}-{0}", u64::MAX);
    server.cli(["XDEL", "s", "2-0"]);
    server.cli(["XGROUP", "SETID", "s", "g", &last]);
    let pending = json(Test::new(&server).args(["pending", "s", "-g", "g", "--json"]));
    assert_eq!(
        (&pending["lag"], &pending["lag_is_lower_bound"]),
        (&0.into(), &false.into())
    );
    unsubscribe(&server, "").stderr("removed group g on s\n").run();
}

/// A stream, a group and a consumer whose names are not UTF-8; the consumer has an entry.
fn bytes() -> Server {
    let server = Server::start();
    server.command([&b"XADD"[..], b"caf\xe8", b"1-0", b"k", b"v"]);
    server.command([&b"XGROUP"[..], b"CREATE", b"caf\xe8", b"g\xff", b"0"]);
    let read = [&b"GROUP"[..], b"g\xff", b"c\xfe", b"STREAMS", b"caf\xe8", b">"];
    server.command([&[&b"XREADGROUP"[..]], &read[..]].concat());
    server
}

#[test]
fn what_dead_consumers_advises_can_be_pasted() {
    let server = bytes();
    server.cli(["SET", "still", "here"]);
    let shown = Test::new(&server)
        .args(["pending", "--dead-consumers", "0s"])
        .stdout_any()
        .run()
        .stdout();
    let advised = shown.lines().last().unwrap().trim();
    let command = "redis-streamer unsubscribe 'base64:Y2Fm6A==' -g 'base64:Z/8=' --consumer 'base64:Y/4='";
    assert_eq!(advised.replace('\'', ""), command.replace('\'', ""), "{shown}");
    let words = advised.replace('\'', "");
    let words = || words.split_whitespace().skip(1);
    // It has just been at work.
    Test::new(&server)
        .args(words())
        .status(1)
        .stderr_has(["consumer c\\xfe of group g\\xff on caf\\xe8 is not removed: it was at work "])
        .run();
    Test::new(&server)
        .args(words())
        .arg("--force")
        .stderr("removed consumer c\\xfe of group g\\xff on caf\\xe8; 1 entry handed back to the others\n")
        .run();
    let pending = server.command([&b"XPENDING"[..], b"caf\xe8", b"g\xff", b"-", b"+", b"9"]);
    let pending = format!("{pending:?}");
    assert!(pending.contains("1-0") && pending.contains("handed-back"), "{pending}");
    Test::new(&server)
        .args(words())
        .status(1)
        .stderr_has([
            "consumer c\\xfe of group g\\xff on caf\\xe8 is not there",
            "hint: see what there is: redis-streamer pending base64:Y2Fm6A== -g base64:Z/8=",
        ])
        .run();
}

#[test]
fn groups_of_names_that_are_not_text_go() {
    let server = bytes();
    // With a ledger, as of --dedup, and beside a listener's group.
    let ledger = b"stream:caf\xe8:group:g\xff:processed";
    server.command([&b"ZADD"[..], ledger, b"1", b"1-0"]);
    server.command([&b"XGROUP"[..], b"CREATE", b"caf\xe8", b"caf\xe8:billing:cg", b"$"]);
    let unsubscribe = |args: &[&str]| Test::new(&server).args(["unsubscribe", "base64:Y2Fm6A=="]).args(args);
    let row = json(unsubscribe(&["-g", "base64:Z/8=", "--dry-run", "--json", "--force"]));
    assert_eq!(row["stream"], serde_json::json!({"base64": "Y2Fm6A=="}));
    assert_eq!(row["group"], serde_json::json!({"base64": "Z/8="}));
    assert_eq!(row["ledger"], 1);
    unsubscribe(&["-g", "base64:Z/8="])
        .status(1)
        .stderr_has([
            "group g\\xff on caf\\xe8 is not removed: 1 entry pending, c\\xfe was at work ",
            "hint: see it: redis-streamer pending base64:Y2Fm6A== -g base64:Z/8=; --force",
        ])
        .run();
    unsubscribe(&["-g", "base64:Z/8=", "--force"])
        .stderr("removed group g\\xff on caf\\xe8, and with it 1 entry pending, its ledger of 1 processed entry\n")
        .run();
    unsubscribe(&["-l", "billing"])
        .stderr("removed group caf\\xe8:billing:cg on caf\\xe8\n")
        .run();
    let groups = server.command([&b"XINFO"[..], b"GROUPS", b"caf\xe8"]);
    assert_eq!(groups, redis::Value::Array(Vec::new()));
    assert_eq!(server.cli(["DBSIZE"]), "1");
}

/// Before Redis 7.2 the server does not see by itself who asks in vain.
#[test]
fn a_consumer_that_waits_in_vain_is_at_work() {
    let server = stream(0);
    let idle = || -> Vec<u64> {
        let rows = server.cli(["XINFO", "CONSUMERS", "s", "g"]);
        let lines: Vec<_> = rows.lines().collect();
        let idle = lines.windows(2).filter(|pair| pair[0] == "idle");
        idle.map(|pair| pair[1].parse().unwrap()).collect()
    };
    let start = |more: &&[&str]| Test::new(&server).args(["consume", "s", "-g", "g"]).args(*more).spawn();
    let ways: [&[&str]; 3] = [&[], &["--ack", "read"], &["--", "true"]];
    let mut consumers: Vec<_> = ways.iter().map(start).collect();
    wait_until("the consumers to be seen", || idle().len() == ways.len());
    unsubscribe(&server, "").status(1).stderr_has(["was at work"]).run();
    // They go on to be.
    let mut longest = [0; 3];
    let mut shown = [false; 3];
    wait_until("the consumers to show themselves again", || {
        for (place, idle) in idle().into_iter().enumerate() {
            shown[place] |= idle < longest[place];
            longest[place] = longest[place].max(idle);
        }
        shown == [true; 3]
    });
    for consumer in &mut consumers {
        consumer.signal(Signal::TERM);
        assert_eq!(consumer.wait().status, 143);
    }
    assert_eq!(server.consumers("s", "g"), [""; 0]);
    // Nor does one that never waits leave its name behind.
    Test::new(&server).args(["consume", "s", "-g", "g", "-e"]).run();
    assert_eq!(server.consumers("s", "g"), [""; 0]);
}
