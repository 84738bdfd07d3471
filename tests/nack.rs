//! `nack`: what is not done goes to others at once, or becomes a dead letter, once; and nobody is robbed.

use crate::harness::{Cluster, Dice, End, Fate, Proxy, Sentinels, Server, Signal, Test};
use crate::middleman::{Middleman, Verdict, is};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

const GROUP: &str = "s:billing:cg";

/// Entries 1-0 to N-0 of `s`, all of them pending under `c` in its group.
fn pending(count: usize) -> Server {
    let server = Server::options().append_only().start();
    prepare(&server, "s", count);
    server
}

fn prepare(server: &Server, stream: &str, count: usize) {
    server.add_numbered(stream, count);
    let group = format!("{stream}:billing:cg");
    server.cli(["XGROUP", "CREATE", stream, &group, "0"]);
    server.cli(["XREADGROUP", "GROUP", &group, "c", "STREAMS", stream, ">"]);
}

fn nack(server: &Server, args: &str) -> Test {
    Test::new(server)
        .args(["nack", "s", "-l", "billing"])
        .args(args.split_whitespace())
}

/// What another consumer gets at once, each with how often it was delivered.
fn redelivered(server: &Server) -> Vec<String> {
    let consume = ["consume", "s", "-l", "billing", "-e", "--template", "{id} {deliveries}"];
    let output = Test::new(server).args(consume).stdout_any().run().stdout();
    output.lines().map(str::to_owned).collect()
}

fn owner(server: &Server, id: &str) -> String {
    let row = server.cli(["XPENDING", "s", GROUP, id, id, "1"]);
    row.lines().nth(1).unwrap_or_default().to_owned()
}

/// The dead letters, each by its message and why.
fn dead(server: &Server, stream: &str) -> Vec<String> {
    let entries = server.entries(stream).into_iter();
    entries
        .map(|entry| {
            let value = |name: &str| {
                let found = entry.fields.iter().rfind(|(field, _)| field == name.as_bytes());
                String::from_utf8(found.unwrap().1.clone()).unwrap()
            };
            format!("{} {}", value("dead-id"), value("dead-reason"))
        })
        .collect()
}

#[test]
fn others_get_at_once_what_is_handed_back_with_its_count() {
    let server = pending(5);
    nack(&server, "1-0 3-0").stdout("2\n").run();
    assert_eq!(redelivered(&server), ["1-0 2", "3-0 2"]);
    assert_eq!(server.pending("s", GROUP), ["2-0", "4-0", "5-0"]);
    // The count is what it was.
    for _ in 0..3 {
        nack(&server, "2-0").stdout_any().run();
    }
    assert_eq!(redelivered(&server), ["2-0 2"]);
}

#[test]
fn only_what_was_pending_in_somebodys_hands_counts() {
    let server = pending(3);
    nack(&server, "1-0 99-0 1-0").stdout("1\n").run();
    // It is in nobody's hands.
    nack(&server, "1-0").stdout("0\n").run();
    nack(&server, "--strict 2-0 1-0")
        .status(4)
        .stdout("1\n")
        .stderr_has(["error: 1 of 2 was not pending: 1-0"])
        .run();
    nack(&server, "--strict 3-0").stdout("1\n").run();
}

#[test]
fn json_tells_of_each_stream() {
    let server = pending(3);
    nack(&server, "--json 1-0 9-9")
        .stdout(
            "{\"handed_back\":1,\"answer_lost\":0,\"not_pending\":1,\"streams\":[{\"stream\":\"s\",\
             \"group\":\"s:billing:cg\",\"handed_back\":1,\"answer_lost\":0,\"not_pending\":1}]}\n",
        )
        .run();
    nack(&server, "--json 2-0 --dead-letter dl --reason r")
        .stdout(
            "{\"dead_letters\":1,\"answer_lost\":0,\"not_pending\":0,\"streams\":[{\"stream\":\"s\",\
             \"group\":\"s:billing:cg\",\"dead_letters\":1,\"answer_lost\":0,\"not_pending\":0}]}\n",
        )
        .run();
}

#[test]
fn a_group_that_is_not_there_is_an_error() {
    let server = pending(1);
    Test::new(&server)
        .args(["nack", "s", "-g", "nobody", "1-0"])
        .status(1)
        .stderr_has(["error: ", "nobody"])
        .run();
    assert_eq!(owner(&server, "1-0"), "c");
}

#[test]
fn lines_say_of_which_stream_they_are() {
    let server = pending(3);
    prepare(&server, "t", 2);
    let lines = "{\"stream\":\"t\",\"id\":\"1-0\",\"name\":\"n\",\"body\":1}\n2-0\n{\"id\":\"3-0\"}\n";
    nack(&server, "-").stdin(lines).stdout("3\n").run();
    assert_eq!(server.consumers("t", "t:billing:cg"), ["c", "handed-back"]);
    assert_eq!(owner(&server, "1-0"), "c");
    assert_eq!(owner(&server, "2-0"), "handed-back");
    nack(&server, "")
        .stdin("1-0\noops\n")
        .status(1)
        .stdout("1\n")
        .stderr_has(["stdin:2:1"])
        .run();
    assert_eq!(owner(&server, "1-0"), "handed-back");
}

#[test]
fn thousands_at_once() {
    let server = pending(2500);
    let ids: String = (1..=2500).map(|n| format!("{n}-0\n")).collect();
    nack(&server, "--strict").stdin(ids).stdout("2500\n").run();
    assert_eq!(redelivered(&server).len(), 2500);
}

#[test]
fn what_was_delivered_again_since_is_left_alone() {
    let server = pending(3);
    let read = [
        "consume",
        "s",
        "-l",
        "billing",
        "-e",
        "--ack",
        "manual",
        "--claim-idle",
        "0s",
    ];
    let lines = Test::new(&server).args(read).stdout_any().run().stdout();
    assert_eq!(lines.lines().count(), 3);
    // Somebody else got one after that.
    server.cli(["XCLAIM", "s", GROUP, "other", "0", "2-0"]);
    for dead in ["", "--dead-letter dl --reason r"] {
        nack(&server, &format!("--strict {dead}"))
            .stdin(lines.lines().nth(1).unwrap())
            .status(4)
            .stdout("0\n")
            .stderr_has(["error: 1 of 1 was not pending: 2-0"])
            .run();
    }
    assert_eq!(owner(&server, "2-0"), "other");
    nack(&server, "").stdin(lines).stdout("2\n").run();
    assert_eq!(redelivered(&server), ["1-0 3", "3-0 3"]);
    assert_eq!(server.ids("dl"), [""; 0]);
}

#[test]
fn with_a_consumer_only_its_own_goes() {
    let server = pending(3);
    server.cli(["XCLAIM", "s", GROUP, "other", "0", "2-0"]);
    nack(&server, "-c c 1-0 2-0").stdout("1\n").run();
    assert_eq!(owner(&server, "2-0"), "other");
    nack(&server, "-c other 2-0 3-0 --dead-letter dl --reason r")
        .stdout("1\n")
        .run();
    assert_eq!(owner(&server, "3-0"), "c");
    assert_eq!(dead(&server, "dl"), ["2-0 r"]);
}

/// Somebody claims the entry after it was looked at, before it goes.
#[test]
fn who_claims_it_in_between_keeps_it() {
    for dead in ["", "--dead-letter dl --reason r"] {
        let server = pending(2);
        // So that a claim can be told from the delivery.
        server.cli(["XCLAIM", "s", GROUP, "c", "0", "1-0", "IDLE", "60000", "JUSTID"]);
        let (claimant, has_claimed) = (server.client(), AtomicBool::new(false));
        let middleman = Middleman::start(&server, move |words| {
            if is(words, "XCLAIM") && !has_claimed.swap(true, Ordering::SeqCst) {
                claimant.command(["XCLAIM", "s", GROUP, "other", "0", "1-0"]);
            }
            Verdict::Pass
        });
        // It was delivered once, the caller knows.
        nack(&server, dead)
            .args(["-u", &middleman.url()])
            .stdin("{\"stream\":\"s\",\"id\":\"1-0\",\"deliveries\":1}\n")
            .stdout("0\n")
            .run();
        assert_eq!(owner(&server, "1-0"), "other");
        assert_eq!(server.ids("dl"), [""; 0]);
    }
}

#[test]
fn xnack_hands_back_where_the_server_has_it() {
    let server = pending(2);
    // It knows XNACK, as Redis 8.8 does and no server that can be installed here.
    let nacks = Arc::new(Mutex::new(Vec::new()));
    let heard = Arc::clone(&nacks);
    let newer = Middleman::start(&server, move |words| {
        if !is(words, "XNACK") {
            return Verdict::Pass;
        }
        let line = String::from_utf8(words.join(&b' ')).unwrap();
        heard.lock().unwrap().push(line);
        Verdict::Answer(b":2\r\n".to_vec())
    });
    nack(&server, "1-0 2-0").args(["-u", &newer.url()]).stdout("2\n").run();
    assert_eq!(
        *nacks.lock().unwrap(),
        [format!("XNACK s {GROUP} SILENT IDS 2 1-0 2-0 RETRYCOUNT 1")]
    );
}

#[test]
fn dead_letters_hold_the_message_and_where_it_came_from() {
    let server = pending(40);
    let ids: String = (1..=39).map(|n| format!("{n}-0\n")).collect();
    nack(&server, "--dead-letter dl")
        .args(["--reason", "unknown customer"])
        .stdin(ids)
        .stdout("39\n")
        .run();
    assert_eq!(server.pending("s", GROUP), ["40-0"]);
    let first = &server.entries("dl")[0];
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    let fields = first.fields.iter().map(|(n, v)| format!("{}={}", text(n), text(v)));
    let fields: Vec<_> = fields.collect();
    assert_eq!(
        fields[fields.len() - 5..],
        [
            "dead-stream=s",
            "dead-group=s:billing:cg",
            "dead-id=1-0",
            "dead-deliveries=1",
            "dead-reason=unknown customer"
        ]
    );
    let expected: Vec<_> = (1..=39).map(|n| format!("{n}-0 unknown customer")).collect();
    assert_eq!(dead(&server, "dl"), expected);
    // And back.
    Test::new(&server)
        .args(["redrive", "dl"])
        .stdout_any()
        .stderr_any()
        .run();
    assert_eq!(server.ids("s").len(), 79);
    assert_eq!(server.bodies("s")[40..], server.bodies("s")[..39]);
}

#[test]
fn what_is_gone_cannot_become_a_dead_letter() {
    let server = pending(3);
    server.cli(["XDEL", "s", "2-0"]);
    nack(&server, "1-0 2-0 3-0 --dead-letter dl --reason r")
        .status(1)
        .stdout("2\n")
        .stderr(
            "error: 1 message left pending, deleted or trimmed by now: 2-0\n\
             hint: nothing is left of them that could become a dead letter: acknowledge them with ack\n",
        )
        .run();
    assert_eq!(server.pending("s", GROUP), ["2-0"]);
    assert_eq!(dead(&server, "dl"), ["1-0 r", "3-0 r"]);
}

#[test]
fn what_makes_no_sense_is_refused() {
    let server = pending(1);
    for (args, error) in [
        (
            "1-0 --dead-letter s --reason r",
            "--dead-letter s is where the messages are",
        ),
        ("1-0 --dead-letter dl", "--reason"),
        ("1-0 --reason r", "--dead-letter"),
        ("1-x", "'1-x'"),
    ] {
        nack(&server, args).status(2).stderr_has([error]).run();
    }
    server.cli(["SET", "text", "x"]);
    nack(&server, "1-0 --dead-letter text --reason r")
        .status(1)
        .stderr_has(["error: ", "text"])
        .run();
    assert_eq!(owner(&server, "1-0"), "c");
}

#[test]
fn lost_answers_hand_nothing_back_twice_and_lose_nothing() {
    for bytes in ["XPENDING", "XCLAIM"] {
        let server = pending(5);
        let proxy = Proxy::start(server.socket(), [Fate::Unanswered(bytes.as_bytes(), End::Fin)]);
        nack(&server, "--strict 1-0 2-0 3-0 4-0 5-0")
            .args(["-u", &proxy.url()])
            .stdout("5\n")
            .stderr_any()
            .run();
        assert_eq!(proxy.cuts(), 1);
        assert_eq!(redelivered(&server), ["1-0 2", "2-0 2", "3-0 2", "4-0 2", "5-0 2"]);
    }
}

#[test]
fn a_dead_letter_whose_answer_is_lost_stands_once() {
    for end in [End::Fin, End::Reset] {
        for bytes in ["XRANGE", "XCLAIM", "MULTI", "dead-reason"] {
            let server = pending(40);
            let proxy = Proxy::start(server.socket(), [Fate::Unanswered(bytes.as_bytes(), end)]);
            let ids: String = (1..=40).map(|n| format!("{n}-0\n")).collect();
            nack(&server, "--strict --dead-letter dl --reason r")
                .args(["-u", &proxy.url()])
                .stdin(ids)
                .stdout("40\n")
                .stderr_any()
                .run();
            assert_eq!(proxy.cuts(), 1, "{bytes}");
            let expected: Vec<_> = (1..=40).map(|n| format!("{n}-0 r")).collect();
            assert_eq!(dead(&server, "dl"), expected, "{bytes}");
            assert_eq!(server.pending("s", GROUP), [""; 0]);
        }
    }
}

/// Killed at any moment and run again.
#[test]
fn killed_runs_lose_nothing_and_make_no_dead_letter_twice() {
    const COUNT: usize = 3000;
    let server = pending(COUNT);
    let ids: String = (1..=COUNT).map(|n| format!("{n}-0\n")).collect();
    server.file("ids", ids);
    let run = || {
        Test::shell(
            &server,
            "exec redis-streamer nack s -l billing --dead-letter dl --reason r < ids",
        )
    };
    let mut dice = Dice::seeded(16);
    let mut kills = 0;
    while !server.pending("s", GROUP).is_empty() && kills < 100 {
        let mut running = run().spawn();
        kills += usize::from(running.end_within(dice.millis(0, 80), Signal::KILL));
        running.wait();
    }
    assert!(kills >= 2, "{kills}");
    run().stdout_any().run();
    let mut letters = dead(&server, "dl");
    letters.sort();
    let mut expected: Vec<_> = (1..=COUNT).map(|n| format!("{n}-0 r")).collect();
    expected.sort();
    assert_eq!(letters, expected);
    assert_eq!(server.pending("s", GROUP), [""; 0]);
}

#[test]
fn a_server_that_is_killed_meanwhile_has_each_dead_letter_once() {
    const COUNT: usize = 2000;
    let server = pending(COUNT);
    let ids: String = (1..=COUNT).map(|n| format!("{n}-0\n")).collect();
    server.file("ids", ids);
    let script = "exec redis-streamer nack s -l billing --dead-letter dl --reason r < ids";
    let mut running = Test::shell(&server, script).spawn();
    crate::harness::wait_until("some dead letters", || !server.ids("dl").is_empty());
    server.kill9();
    server.restart();
    let output = running.wait();
    assert_eq!(output.status, 0, "{}", output.stderr());
    assert_eq!(output.stdout(), format!("{COUNT}\n"));
    let expected: Vec<_> = (1..=COUNT).map(|n| format!("{n}-0 r")).collect();
    assert_eq!(dead(&server, "dl"), expected);
    assert_eq!(server.pending("s", GROUP), [""; 0]);
}

/// Streams at three nodes, what is pending there, and lines that name it.
fn at_three_nodes(count: usize) -> (Cluster, [String; 3], String) {
    let cluster = Cluster::start();
    let streams = [0, 1, 2].map(|number| cluster.name_at(&cluster.nodes()[number], "s"));
    let mut lines = String::new();
    for stream in &streams {
        prepare(cluster.node_of(stream), stream, count);
    }
    for number in 1..=count {
        for stream in &streams {
            lines += &format!("{{\"stream\":\"{stream}\",\"id\":\"{number}-0\"}}\n");
        }
    }
    (cluster, streams, lines)
}

#[test]
fn on_a_cluster_each_goes_at_its_node() {
    let (cluster, streams, lines) = at_three_nodes(20);
    Test::new(&cluster.nodes()[0])
        .args(["nack", &streams[1], "-l", "billing", "-", "--strict"])
        .stdin(lines)
        .stdout("60\n")
        .stderr_any()
        .run();
    for stream in &streams {
        let consumers = cluster
            .node_of(stream)
            .consumers(stream, &format!("{stream}:billing:cg"));
        assert_eq!(consumers, ["c", "handed-back"]);
        let read = ["consume", stream, "-l", "billing", "-e"];
        let read = Test::new(&cluster.nodes()[0]).args(read).stdout_any().run();
        assert_eq!(read.stdout().lines().count(), 20);
    }
}

#[test]
fn on_a_cluster_dead_letters_may_be_at_any_node() {
    let (cluster, streams, lines) = at_three_nodes(20);
    // In the slot of the first, and so at other nodes than two of them.
    let letters = format!("{{{}}}:dead", streams[0]);
    Test::new(&cluster.nodes()[2])
        .args(["nack", &streams[1], "-l", "billing", "-", "--strict"])
        .args(["--dead-letter", &letters, "--reason", "r"])
        .stdin(lines)
        .stdout("60\n")
        .stderr_any()
        .run();
    for stream in &streams {
        let pending = cluster.node_of(stream).pending(stream, &format!("{stream}:billing:cg"));
        assert_eq!(pending, [""; 0]);
    }
    let node = cluster.node_of(&letters);
    let mut seen = BTreeMap::new();
    for letter in dead(node, &letters) {
        *seen.entry(letter).or_insert(0) += 1;
    }
    assert_eq!(seen.len(), 20);
    assert!(seen.values().all(|count| *count == 3), "{seen:?}");
}

#[test]
fn of_partitions_the_lines_say_which() {
    let server = Server::start();
    prepare(&server, "p:0", 2);
    prepare(&server, "p:1", 2);
    let nack = || Test::new(&server).args(["nack", "p:{0..1}", "-l", "billing"]);
    nack()
        .arg("1-0")
        .status(2)
        .stderr_has(["in which of the streams"])
        .run();
    nack()
        .stdin("{\"stream\":\"p:0\",\"id\":\"1-0\"}\n{\"stream\":\"p:1\",\"id\":\"2-0\"}\n")
        .stdout("2\n")
        .stderr_any()
        .run();
    for stream in ["p:0", "p:1"] {
        let consumers = server.consumers(stream, &format!("{stream}:billing:cg"));
        assert_eq!(consumers, ["c", "handed-back"]);
    }
}

#[test]
fn through_sentinels() {
    let all = Sentinels::start();
    let master = all.master();
    prepare(master, "s", 3);
    let nack = |args: &[&str]| {
        Test::without_server()
            .dir(&all.servers()[0].work())
            .env("REDIS_STREAMER_URL", all.url())
            .args(["nack", "s", "-l", "billing", "--strict"])
            .args(args)
    };
    nack(&["1-0"]).stdout("1\n").run();
    nack(&["2-0", "--dead-letter", "dl", "--reason", "r"])
        .stdout("1\n")
        .run();
    assert_eq!(owner(master, "1-0"), "handed-back");
    assert_eq!(dead(master, "dl"), ["2-0 r"]);
}
