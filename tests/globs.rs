//! `--glob` in `consume` and `subscribe`: the streams that patterns match, on one server and on a cluster.

use crate::harness::{Cluster, Server, Test};

fn filled() -> Server {
    let server = Server::start();
    for stream in ["orders:a", "orders:bb", "x[y]", "xy"] {
        server.add_numbered(stream, 2);
    }
    server.cli(["SET", "orders:no", "stream"]);
    server
}

/// The streams and IDs of lines, sorted.
fn places(lines: &str) -> Vec<(String, String)> {
    let place = |line: &str| {
        let line: serde_json::Value = serde_json::from_str(line).unwrap();
        let text = |key: &str| line[key].as_str().unwrap().to_owned();
        (text("stream"), text("id"))
    };
    let mut places: Vec<_> = lines.lines().map(place).collect();
    places.sort();
    places
}

fn two_of(streams: &[&str]) -> Vec<(String, String)> {
    let two = |stream: &&str| ["1-0", "2-0"].map(|id| ((*stream).to_owned(), id.to_owned()));
    streams.iter().flat_map(two).collect()
}

fn program(server: &Server, args: &str) -> Test {
    Test::new(server).args(args.split_whitespace())
}

#[test]
fn streams_that_match_are_read() {
    let server = filled();
    for (patterns, told, streams) in [
        ("orders:*", "2 streams match orders:*\n", &["orders:a", "orders:bb"][..]),
        ("orders:?", "1 stream matches orders:?\n", &["orders:a"]),
        // Brackets are what they are, and two patterns may match one stream.
        ("x[y] x* xy", "2 streams match x[y], x*, xy\n", &["x[y]", "xy"]),
    ] {
        let read = program(&server, &format!("consume --glob --from beginning -e {patterns}"));
        let read = read.stderr(told).stdout_any().run();
        assert_eq!(places(&read.stdout()), two_of(streams), "{patterns}");
    }
    let quiet = program(&server, "consume --glob o* --from beginning -e -q");
    assert_eq!(quiet.stderr("").stdout_any().run().stdout().lines().count(), 4);
}

#[test]
fn groups_are_made_on_streams_that_match_and_read_there() {
    let server = filled();
    program(&server, "subscribe --glob orders:* -l billing --from beginning")
        .stderr(
            "2 streams match orders:*\n\
             created group orders:a:billing:cg on orders:a, from beginning\n\
             created group orders:bb:billing:cg on orders:bb, from beginning\n",
        )
        .run();
    assert_eq!(server.groups("xy"), []);
    let read = program(&server, "consume --glob orders:* -l billing -e");
    let read = read.stderr("2 streams match orders:*\n").stdout_any().run();
    assert_eq!(places(&read.stdout()), two_of(&["orders:a", "orders:bb"]));
    for stream in ["orders:a", "orders:bb"] {
        let group = format!("{stream}:billing:cg");
        assert_eq!(server.groups(stream), [(group.clone(), "2-0".to_owned())]);
        assert_eq!(server.pending(stream, &group), [""; 0]);
    }
    program(&server, "consume --glob x* -g none -e")
        .status(1)
        .stderr_has(["has no group 'none'"])
        .run();
}

#[test]
fn dead_letters_of_streams_that_match_are_left_out() {
    let server = filled();
    program(&server, "subscribe --glob orders:* -g g --from beginning -q").run();
    let handle = "consume --glob orders:* -g g -e --max-deliveries 1 --dead-letter orders:dead -- false";
    program(&server, handle)
        .status(1)
        .stderr_has(["2 streams match orders:*\n", "4 messages failed; moved to orders:dead"])
        .run();
    assert_eq!(server.ids("orders:dead").len(), 4);
    // It is there now, has no group, and what is in it stays.
    program(&server, handle)
        .stderr("2 streams match orders:* besides orders:dead\n")
        .run();
    assert_eq!(server.ids("orders:dead").len(), 4);
    assert_eq!(server.groups("orders:dead"), []);
}

#[test]
fn names_that_are_not_text_are_left_out() {
    let server = filled();
    server.command([&b"XADD"[..], b"orders:\xe8", b"*", b"a", b"b"]);
    let read = program(&server, "consume --glob orders:* --from beginning -e");
    let read = read
        .stderr("warning: left out, since only a name that is UTF-8 can be used here: orders:\\xe8\n2 streams match orders:*\n")
        .stdout_any()
        .run();
    assert_eq!(places(&read.stdout()), two_of(&["orders:a", "orders:bb"]));
}

#[test]
fn what_cannot_be_meant_is_refused() {
    let server = filled();
    for verb in ["consume -e", "subscribe -g g"] {
        program(&server, &format!("{verb} --glob nobody* none"))
            .status(1)
            .stderr(
                "error: no stream matches nobody*, none\nhint: * stands for anything, ? for one byte, all else for \
                 itself; list the streams there are: redis-streamer pending\n",
            )
            .run();
        // No server is asked.
        Test::without_server()
            .args(verb.split(' '))
            .args(["--glob", "orders:{0..3}"])
            .status(2)
            .stderr(
                "error: orders:{0..3} names partitions, and --glob takes patterns with * and ?\n\
                 hint: without --glob 'orders:{0..3}' names them\n",
            )
            .run();
    }
    for (args, words) in [
        ("consume --glob o* -- cat", "needs a group"),
        ("consume --glob o* -g g --ack read -n 1", "reads one stream"),
        ("subscribe --glob o*", "which group?"),
        ("subscribe --glob o* -g g --reset", "--from"),
    ] {
        let refused = Test::without_server().args(args.split(' ')).status(2);
        refused.stderr_has([words]).run();
    }
    assert_eq!(server.groups("orders:a"), []);
}

#[test]
fn one_run_makes_only_so_many_connections() {
    let server = Server::start();
    let add = "for i = 1, 1025 do redis.call('XADD', 's:' .. i, '1-1', 'name', 'n', 'body', '1') end";
    server.cli(["EVAL", add, "0"]);
    program(&server, "consume --glob s:* -l billing -e --on-nogroup latest")
        .status(2)
        .stderr_has(["1,025 streams match s:*\n", "take 1,025 connections"])
        .run();
    assert_eq!(server.groups("s:1"), []);
    // Where they share one, they may be more.
    let read = program(&server, "consume --glob s:* --from beginning -e");
    assert_eq!(read.stderr_any().stdout_any().run().stdout().lines().count(), 1025);
}

#[test]
fn streams_of_all_nodes_are_found() {
    let cluster = Cluster::start();
    let streams: Vec<_> = cluster.nodes()[..3]
        .iter()
        .map(|node| cluster.name_at(node, "s"))
        .collect();
    for stream in &streams {
        cluster.node_of(stream).add_numbered(stream, 2);
    }
    let mut names: Vec<_> = streams.iter().map(String::as_str).collect();
    names.sort_unstable();
    let node = &cluster.nodes()[0];
    program(node, "subscribe --glob s* -g g --from beginning -q").run();
    for how in ["--from beginning", "-g g"] {
        let read = program(node, &format!("consume --glob s* -e {how}"));
        let read = read.stderr("3 streams match s*\n").stdout_any().run();
        assert_eq!(places(&read.stdout()), two_of(&names), "{how}");
    }
    for stream in &streams {
        assert_eq!(cluster.node_of(stream).pending(stream, "g"), [""; 0]);
    }
    // One that is away may have streams that match.
    cluster.nodes()[2].kill9();
    for verb in ["consume --from beginning -e", "subscribe -g other"] {
        program(node, &format!("{verb} --glob s*"))
            .status(3)
            .stderr_has(["cannot be listed, and some may match"])
            .run();
    }
    assert_eq!(node.groups(&streams[0]).len(), 1);
}
