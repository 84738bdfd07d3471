//! Many messages, each to the stream that its line names.

use super::World;
use crate::harness::{End, Fate, Proxy, Server, Signal, Test, wait_until};
use std::collections::HashMap;

/// Numbered lines for so many streams, mixed.
fn lines(streams: usize, count: usize) -> String {
    let line = |n: usize| {
        let stream = stream(n, streams);
        format!("{{\"stream\":\"{stream}\",\"id\":\"{n}-0\",\"name\":\"n\",\"body\":{n}}}\n")
    };
    (1..=count).map(line).collect()
}

/// The stream of the line of this number.
fn stream(n: usize, streams: usize) -> String {
    format!("k:{}", n * 7 % streams)
}

/// What each stream is to hold.
fn expected(streams: usize, numbers: impl Iterator<Item = usize>) -> HashMap<String, Vec<String>> {
    let mut expected: HashMap<String, Vec<String>> = HashMap::new();
    for n in numbers {
        expected.entry(stream(n, streams)).or_default().push(n.to_string());
    }
    expected
}

#[track_caller]
fn assert_holds(world: &World, expected: &HashMap<String, Vec<String>>) {
    for (stream, bodies) in expected {
        assert!(world.node_of(stream).bodies(stream) == *bodies, "{stream}");
    }
}

fn keep(server: &Server, args: &str) -> Test {
    Test::new(server)
        .args(["send-batch", "--keep-streams"])
        .args(args.split_whitespace())
}

#[test]
fn each_line_goes_to_its_stream_once_and_in_order() {
    World::each(|world| {
        let server = world.server();
        server.file("in", lines(40, 20_000));
        let sent = keep(server, "in --receipts receipts --ids")
            .stdout_any()
            .stderr_any()
            .run();
        assert!(
            sent.stderr().starts_with("sent 20,000 messages to 40 streams"),
            "{}",
            sent.stderr()
        );
        assert_holds(world, &expected(40, 1..=20_000));
        let mut told: HashMap<String, Vec<(u64, String)>> = HashMap::new();
        for receipt in server.lines("receipts") {
            let receipt: serde_json::Value = serde_json::from_str(&receipt).unwrap();
            let text = |key: &str| receipt[key].as_str().unwrap().to_owned();
            let line = receipt["line"].as_u64().unwrap();
            told.entry(text("stream")).or_default().push((line, text("id")));
        }
        for (name, bodies) in expected(40, 1..=20_000) {
            let (numbers, ids): (Vec<_>, Vec<_>) = told.remove(&name).unwrap().into_iter().unzip();
            assert_eq!(numbers.iter().map(u64::to_string).collect::<Vec<_>>(), bodies, "{name}");
            assert_eq!(ids, world.node_of(&name).ids(&name), "{name}");
            let prefix = format!("{name} ");
            let printed = sent.stdout();
            let printed: Vec<_> = printed.lines().filter_map(|line| line.strip_prefix(&prefix)).collect();
            assert_eq!(printed, ids, "{name}");
            assert_eq!(world.node_of(&name).cli(["KEYS", "redis-streamer:*"]), "");
        }
    });
}

#[test]
fn several_streams_are_copied_between_servers_byte_for_byte() {
    let from = Server::start();
    from.add_numbered("a", 500);
    from.add("b", "7-0", &[(&b"k\xff"[..], &b"\x00\xfe"[..]), (b"k", b"2")]);
    from.add("b", "7-1", &[("body", " {\"x\": 1.50} "), ("name", "é \"quoted\"")]);
    from.add_message("c \"}{ é", "9-3", "n", "[1,  2]");
    let copy = "redis-streamer consume a b 'c \"}{ é' --from beginning -e | \
                redis-streamer send-batch --keep-streams --keep-ids --json -u $TO";
    World::each(|world| {
        Test::shell(&from, copy)
            .env("TO", world.server().url())
            .stdout_has(["{\"streams\":3,\"sent\":503,\"rejected\":0,"])
            .run();
        for stream in ["a", "b", "c \"}{ é"] {
            assert!(
                from.entries(stream) == world.node_of(stream).entries(stream),
                "{stream}"
            );
        }
    });
}

#[test]
fn lines_of_no_stream_are_rejected() {
    let server = Server::start();
    let good = |n: usize, stream: &str| format!("{{\"stream\":\"{stream}\",\"name\":\"n\",\"body\":{n}}}\n");
    let bare = "{\"name\":\"n\",\"body\":0}\n";
    let input = [
        bare,
        &good(1, "a"),
        bare,
        &good(2, "b"),
        &good(3, ""),
        "{}\n",
        &good(4, "a"),
    ]
    .concat();
    const MISSING: &str = "key `stream` is missing, and --keep-streams needs it";
    keep(&server, "--rejects rejects")
        .stdin(&input)
        .status(1)
        .stderr_has([
            "sent 3 messages to 2 streams\n",
            &*format!("error: 4 lines not sent, the first stdin:1:1: {MISSING}"),
        ])
        .run();
    assert_eq!(server.read("rejects"), [bare, bare, &good(3, ""), "{}\n"].concat());
    assert_eq!(
        (server.bodies("a"), server.bodies("b")),
        (vec!["1".into(), "4".into()], vec!["2".into()])
    );
    // The first ends it, unless told otherwise: what stands before is sent.
    keep(&server, "")
        .stdin([&good(5, "a"), &good(6, "b"), bare, &good(7, "a")].concat())
        .status(1)
        .stderr_has([
            &*format!("error: stdin:3:1: {MISSING}"),
            "; 2 lines before it sent, nothing after it",
        ])
        .run();
    assert_eq!((server.bodies("a").len(), server.bodies("b").len()), (3, 2));
    keep(&server, "")
        .stdin(bare)
        .status(1)
        .stderr_has(["stdin:1:1: ", MISSING])
        .run();
    keep(&server, "").stderr("sent 0 messages to 0 streams\n").run();
}

#[test]
fn a_stream_too_many_is_an_error_that_says_so() {
    let server = Server::start();
    let line = |n: usize| format!("{{\"stream\":\"k:{n}\",\"name\":\"n\",\"body\":{n}}}\n");
    let input: String = (1..=1025).chain([1]).map(line).collect();
    keep(&server, "--on-reject skip")
        .stdin(input)
        .status(1)
        .stderr_has([
            "warning: stdin:1025:1: one stream too many: a sending takes 1024, each with a connection: ",
            "sent 1,025 messages to 1,024 streams",
            "error: 1 line not sent, each named above",
        ])
        .run();
    assert_eq!(server.bodies("k:1"), ["1", "1"]);
    assert_eq!(server.cli(["EXISTS", "k:1025"]), "0");
    assert_eq!(server.cli(["DBSIZE"]), "1024");
}

#[test]
fn lost_connections_lose_double_and_reorder_nothing() {
    let server = Server::start();
    server.file("in", lines(6, 12_000));
    let fates = (0..24).map(|n| match n % 3 {
        0 => Fate::Landed(20_000 + 9_000 * n, End::Fin),
        1 => Fate::Request(15_000 + 7_000 * n, End::Reset),
        _ => Fate::Landed(1_000 * n, End::Fin),
    });
    let proxy = Proxy::start(server.socket(), fates);
    keep(&server, "in --receipts receipts -q -u").arg(proxy.url()).run();
    assert!(proxy.cuts() > 0);
    assert_holds(&World::One(server), &expected(6, 1..=12_000));
}

#[test]
fn a_server_that_crashes_and_comes_back_has_all_once() {
    let server = Server::options().append_only().start();
    let mut running = keep(&server, "--rate 20000").stdin(lines(5, 20_000)).spawn();
    wait_until("some to be in", || server.cli(["EXISTS", "k:0"]) == "1");
    server.kill9();
    server.restart();
    let output = running.wait();
    assert_eq!(output.status, 0, "{}", output.stderr());
    assert_holds(&World::One(server), &expected(5, 1..=20_000));
}

#[test]
fn a_line_that_trickles_in_is_sent_at_once_and_a_signal_ends_it() {
    let server = Server::start();
    let mut running = keep(&server, "").spawn_open();
    for n in 1..=4 {
        running.feed(&lines(3, n).lines().last().map(|line| format!("{line}\n")).unwrap());
        let stream = stream(n, 3);
        wait_until("the line", || server.bodies(&stream).contains(&n.to_string()));
    }
    running.signal(Signal::TERM);
    let output = running.wait();
    assert_eq!(output.status, 143, "{}", output.stderr());
    assert!(
        output.stderr().contains("ended by a signal: 4 lines sent"),
        "{}",
        output.stderr()
    );
    assert_eq!(server.cli(["KEYS", "redis-streamer:*"]), "");
}

#[test]
fn one_stream_that_fails_ends_all_and_is_named() {
    let server = Server::start();
    server.cli(["SET", "k:1", "no stream"]);
    let mut running = keep(&server, "").spawn_open();
    running.feed("{\"stream\":\"k:0\",\"name\":\"n\",\"body\":1}\n");
    wait_until("the first line", || server.bodies("k:0").len() == 1);
    running.feed("{\"stream\":\"k:1\",\"name\":\"n\",\"body\":2}\n");
    // Although more might come.
    let output = running.wait();
    assert_eq!(output.status, 1, "{}", output.stderr());
    let stderr = output.stderr();
    assert!(stderr.contains("k:1") && stderr.contains("1 line"), "{stderr}");
    Test::without_server()
        .args(["send-batch", "--keep-streams", "-u", "redis://127.0.0.1:1"])
        .stdin(lines(2, 10))
        .status(3)
        .stderr_has([
            "error: the sending broke off: no line was sent\n",
            "cannot connect to 127.0.0.1:1",
        ])
        .run();
}

#[test]
fn what_does_not_go_together_is_refused_and_what_stands_first_is_a_file() {
    let server = Server::start();
    for (args, said) in [
        (
            "--checkpoint c",
            "--checkpoint is for streams that are known from the beginning",
        ),
        ("--name n", "--keep-streams needs lines that name their streams"),
        (
            "--input csv --name n",
            "--keep-streams needs lines that name their streams",
        ),
        ("--key /body", "cannot be used with"),
    ] {
        keep(&server, args)
            .stdin(lines(2, 2))
            .status(2)
            .stderr_has([said])
            .run();
    }
    keep(&server, "orders")
        .status(1)
        .stderr_has(["cannot open orders"])
        .run();
    server.file("one", lines(2, 2));
    server.file("two", lines(2, 1));
    keep(&server, "one two -q").run();
    assert_eq!(server.bodies("k:1"), ["1", "1"]);
    Test::new(&server)
        .arg("send-batch")
        .status(2)
        .stderr_has(["STREAM"])
        .run();
}

#[test]
fn streams_are_trimmed_and_fields_added_as_elsewhere() {
    let server = Server::start();
    keep(&server, "-q --maxlen 2 -f k=v").stdin(lines(2, 10)).run();
    for stream in ["k:0", "k:1"] {
        assert_eq!(server.values(stream, &["k"]), ["v", "v"]);
    }
    keep(&server, "-q --retention 1h").stdin(lines(2, 10)).run();
    assert_eq!(server.cli(["XLEN", "k:0"]), "7");
}

#[test]
fn lines_of_a_key_that_is_no_stream_are_rejected_and_the_others_sent() {
    World::each(|world| {
        world.node_of("wrong").cli(["SET", "wrong", "x"]);
        let line = |n: usize| {
            let stream = if n.is_multiple_of(2) { "wrong" } else { "k" };
            format!("{{\"stream\":\"{stream}\",\"name\":\"n\",\"body\":{n}}}\n")
        };
        let lines: Vec<_> = (1..=1000).map(line).collect();
        let rejected: Vec<_> = lines.iter().filter(|line| line.contains("wrong")).cloned().collect();
        keep(world.server(), "--rejects rejects")
            .stdin(lines.concat())
            .status(1)
            .stderr_has(["500 lines not sent", "key 'wrong' is not a stream"])
            .run();
        assert_eq!(world.node_of("k").bodies("k").len(), 500);
        assert_eq!(world.server().lines("rejects").join("\n") + "\n", rejected.concat());
    });
}

#[test]
fn lines_of_a_stream_that_may_not_be_added_to_are_rejected_and_the_others_sent() {
    let server = Server::options()
        .user("eve on nopass ~k ~redis-streamer:* +@all")
        .start();
    let line = |stream: &str, n: usize| format!("{{\"stream\":\"{stream}\",\"name\":\"n\",\"body\":{n}}}\n");
    for rights in ["+@all", "-xlen", "-@all +xadd"] {
        server.cli(["FLUSHALL"]);
        for right in rights.split(' ') {
            server.cli(["ACL", "SETUSER", "eve", right]);
        }
        let input = [line("k", 1), line("closed", 2), line("k", 3), line("closed", 4)].concat();
        keep(&server, "--user eve --rejects rejects")
            .stdin(input)
            .status(1)
            .stderr_has(["2 lines not sent", "the server denies access to key 'closed'"])
            .run();
        assert_eq!(server.bodies("k"), ["1", "3"], "{rights}");
        assert_eq!(
            server.read("rejects"),
            [line("closed", 2), line("closed", 4)].concat(),
            "{rights}"
        );
    }
}

/// As where a line cannot be read: what stands before is sent, and nothing behind.
#[test]
fn the_first_line_of_a_key_that_is_no_stream_ends_it_exactly_there() {
    let server = Server::start();
    let line = |stream: &str, n: usize| format!("{{\"stream\":\"{stream}\",\"name\":\"n\",\"body\":{n}}}\n");
    for _ in 0..5 {
        server.cli(["FLUSHALL"]);
        server.cli(["SET", "wrong", "x"]);
        let input = [line("a", 1), line("a", 2), line("wrong", 3), line("b", 4), line("a", 5)];
        keep(&server, "")
            .stdin(input.concat())
            .status(1)
            .stderr_has([
                "error: stdin:3:1: key 'wrong' is not a stream: ",
                "; 2 lines before it sent, nothing after it",
            ])
            .run();
        assert_eq!(server.bodies("a"), ["1", "2"]);
        assert!(server.bodies("b").is_empty());
    }
}

/// As a server that is lost is waited for, whatever stream comes next.
#[test]
fn a_stream_that_comes_up_while_the_server_is_away_waits_for_it() {
    let server = Server::options().append_only().start();
    let mut running = keep(&server, "--reconnect-for 1h").spawn_open();
    let line = |stream: &str, n: usize| format!("{{\"stream\":\"{stream}\",\"name\":\"n\",\"body\":{n}}}\n");
    running.feed(&line("a", 1));
    wait_until("the first line", || server.bodies("a").len() == 1);
    server.kill9();
    running.feed(&line("b", 2));
    wait_until("the new stream to find the server away", || {
        running.stderr_so_far().contains("cannot connect")
    });
    server.restart();
    running.feed(&line("a", 3));
    running.close_stdin();
    assert_eq!(running.wait().status, 0);
    assert_eq!(
        (server.bodies("a"), server.bodies("b")),
        (vec!["1".to_owned(), "3".to_owned()], vec!["2".to_owned()])
    );
}
