//! What a single server does, a cluster does, too.

use std::collections::BTreeSet;

use super::Three;
use crate::harness::{Cluster, Server, Test};

/// The place of each printed line: its stream and ID.
fn places(lines: &str) -> BTreeSet<(String, String)> {
    let place = |line: &str| {
        let line: serde_json::Value = serde_json::from_str(line).unwrap();
        let text = |key: &str| line[key].as_str().unwrap().to_owned();
        (text("stream"), text("id"))
    };
    lines.lines().map(place).collect()
}

#[test]
fn messages_go_to_the_node_of_their_stream() {
    let three = Three::start();
    for stream in &three.streams {
        three.program(&format!("send {stream} 1 --name n")).stdout_any().run();
        three
            .program(&format!("send {stream} 2 --name n --retention 1h"))
            .stdout_any()
            .run();
        let lines: String = (3..=3000).map(|n| format!("{n}\n")).collect();
        let sent = three.program(&format!("send-batch {stream} --name n")).stdin(lines);
        sent.stderr_any().run();
        let expected: Vec<String> = (1..=3000).map(|n| n.to_string()).collect();
        assert_eq!(three.node_of(stream).bodies(stream), expected);
    }
}

#[test]
fn several_streams_are_read_at_once() {
    let three = Three::start();
    let all = three.all();
    let subscribed = three.program(&format!("subscribe {all} -g g --from beginning"));
    subscribed.stderr_any().run();
    for stream in &three.streams {
        three.node_of(stream).add_numbered(stream, 2500);
    }
    let expected: BTreeSet<_> = three
        .streams
        .iter()
        .flat_map(|stream| (1..=2500).map(move |n| (stream.clone(), format!("{n}-0"))))
        .collect();
    for how in ["--from beginning", "-g g"] {
        let read = three.program(&format!("consume {all} -e {how}")).stdout_any().run();
        let lines = read.stdout();
        assert_eq!(lines.lines().count(), 7500, "{how}");
        assert_eq!(places(&lines), expected, "{how}");
    }
    for stream in &three.streams {
        let node = three.node_of(stream);
        assert_eq!(node.pending(stream, "g"), Vec::<String>::new());
        assert_eq!(node.consumers(stream, "g"), Vec::<String>::new());
    }
    let read = three.program(&format!("consume {all} --last 2")).args(["-n", "6"]);
    assert_eq!(read.stdout_any().run().stdout().lines().count(), 6);
}

#[test]
fn acknowledgements_go_to_the_node_of_their_stream() {
    let three = Three::start();
    three.fill(40);
    let all = three.all();
    let read = three.program(&format!("consume {all} -g g -e --ack manual"));
    let lines = read.stdout_any().run().stdout();
    assert_eq!(lines.lines().count(), 120);
    let [first, ..] = &three.streams;
    let acked = three.program(&format!("ack {first} - -g g")).stdin(lines);
    acked.stderr_any().stdout_any().run();
    for stream in &three.streams {
        assert_eq!(three.node_of(stream).pending(stream, "g"), Vec::<String>::new());
        assert_eq!(three.node_of(stream).consumers(stream, "g"), ["awaiting-ack"]);
    }
}

#[test]
fn pending_shows_all_nodes() {
    let three = Three::start();
    three.fill(5);
    let all = three.all();
    let read = three.program(&format!("consume {all} -g g -e --ack manual"));
    read.stdout_any().run();
    let mut expected = three.streams.to_vec();
    expected.sort();
    for url in [three.cluster.url(), three.cluster.nodes()[2].url()] {
        let shown = three.program("pending --json").args(["-u", &url]).stdout_any().run();
        let shown: serde_json::Value = serde_json::from_str(&shown.stdout()).unwrap();
        let streams = shown.as_array().unwrap().iter();
        let names: Vec<_> = streams.map(|stream| stream["stream"].as_str().unwrap()).collect();
        assert_eq!(names, expected, "{shown}");
    }
    for stream in &three.streams {
        let table = three.program(&format!("pending {stream}")).stdout_any().run().stdout();
        assert!(table.contains('5'), "{table}");
        let entries = three.program(&format!("pending {stream} -g g")).stdout_any().run();
        assert!(entries.stdout().contains("5-0"), "{}", entries.stdout());
    }
}

#[test]
fn groups_are_moved_at_the_node_of_their_stream() {
    let three = Three::start();
    three.fill(5);
    let all = three.all();
    three.program(&format!("consume {all} -g g -e")).stdout_any().run();
    three
        .program(&format!("subscribe {all} -g new --to-group g"))
        .stderr_any()
        .run();
    let moved = three.program(&format!("subscribe {all} -g g --reset --from beginning"));
    let told = moved.stderr_any().run().stderr();
    assert_eq!(
        told.matches(" to beginning: 5 entries come again\n").count(),
        3,
        "{told}"
    );
    for stream in &three.streams {
        let stand = |name: &str, at: &str| (name.to_owned(), at.to_owned());
        assert_eq!(
            three.node_of(stream).groups(stream),
            [stand("g", "0-0"), stand("new", "5-0")]
        );
    }
}

#[test]
fn groups_and_consumers_are_removed_at_the_node_of_their_stream() {
    let three = Three::start();
    three.fill(5);
    let all = three.all();
    let dead = three.program(&format!("consume {all} -g g -c dead -n 15 --ack manual"));
    dead.stdout_any().run();
    let removed = three.program(&format!("unsubscribe {all} -g g -c dead --force"));
    let told = removed.stderr_any().run().stderr();
    assert_eq!(told.matches("; 5 entries handed back").count(), 3, "{told}");
    let rest = three
        .program(&format!("consume {all} -g g -e --dedup"))
        .stdout_any()
        .run();
    assert_eq!(rest.stdout().lines().count(), 15);
    let ledgers = || {
        three
            .cluster
            .nodes()
            .iter()
            .map(|node| node.cli(["KEYS", "*:processed"]).lines().count())
    };
    assert_eq!(ledgers().sum::<usize>(), 3);
    let removed = three.program(&format!("unsubscribe {all} -g g --force"));
    let told = removed.stderr_any().run().stderr();
    assert_eq!(told.matches("its ledger of 5 processed entries").count(), 3, "{told}");
    assert_eq!(ledgers().sum::<usize>(), 0);
    for stream in &three.streams {
        assert_eq!(three.node_of(stream).groups(stream), []);
    }
}

#[test]
fn pending_watches_counts_and_finds_at_all_nodes() {
    let three = Three::start();
    three.fill(5);
    let all = three.all();
    let read = three.program(&format!("consume {all} -g g -c me -e --ack manual"));
    read.stdout_any().run();
    let text = |args: &str| three.program(args).stdout_any().run().stdout();
    let names = |json: &str| {
        let json: serde_json::Value = serde_json::from_str(json).unwrap();
        let streams = json["streams"].as_array().unwrap_or_else(|| json.as_array().unwrap());
        let mut names: Vec<_> = streams
            .iter()
            .map(|s| s["stream"].as_str().unwrap().to_owned())
            .collect();
        names.sort();
        names.dedup();
        names
    };
    let mut expected = three.streams.to_vec();
    expected.sort();
    let metrics = text("pending --openmetrics");
    for stream in &expected {
        assert!(
            metrics.contains(&format!("group_behind_seconds{{stream=\"{stream}\"")),
            "{metrics}"
        );
    }
    assert_eq!(names(&text("pending --json --glob *")), expected);
    assert_eq!(names(&text("pending --json --dead-consumers 0s")), expected);
    for args in [
        "pending --watch --interval 100ms".to_owned(),
        format!("pending {all} --watch --interval 100ms"),
    ] {
        let mut running = three.program(&args).stdout_any().spawn();
        for _ in 0..2 {
            assert_eq!(names(&running.line()), expected);
        }
        running.signal(crate::harness::Signal::TERM);
        running.wait();
    }
    three
        .program("pending --max-behind 1s")
        .status(4)
        .stdout_any()
        .stderr_has(["behind"])
        .run();
}

#[test]
fn a_node_that_is_away_is_named_and_the_rest_is_shown() {
    let three = Three::start();
    three.fill(5);
    let away = &three.cluster.nodes()[1];
    let [first, second, third] = &three.streams;
    away.kill9();
    let shown = three.program("pending").status(3).stdout_any().stderr_any().run();
    let text = shown.stdout();
    assert!(
        text.contains(first) && text.contains(third) && !text.contains(second),
        "{text}"
    );
    let named = format!("the streams of 127.0.0.1:{} are missing", away.port());
    assert!(shown.stderr().contains(&named), "{}", shown.stderr());
    let lines: String = [second, first, third]
        .iter()
        .map(|stream| format!("{{\"stream\":\"{stream}\",\"id\":\"1-0\"}}\n"))
        .collect();
    for stream in [first, third] {
        three
            .node_of(stream)
            .cli(["XREADGROUP", "GROUP", "g", "c", "COUNT", "1", "STREAMS", stream, ">"]);
    }
    let acked = three.program(&format!("ack {first} - -g g --reconnect-for 300ms"));
    let output = acked.stdin(lines).status(3).stdout_any().stderr_any().run();
    assert!(output.stderr().contains(second.as_str()), "{}", output.stderr());
    for stream in [first, third] {
        assert_eq!(three.node_of(stream).pending(stream, "g"), Vec::<String>::new());
    }
}

#[test]
fn dead_letters_and_ledgers_are_at_other_nodes() {
    let three = Three::start();
    three.fill(20);
    let [first, second, _] = &three.streams;
    let options = "-g g -e --dedup --max-deliveries 1 --retry-delay 10ms";
    let run = three.program(&format!("consume {first} {options} --dead-letter {second}"));
    let output = run.args(["--", "false"]).status(1).stderr_any().run();
    assert!(
        output
            .stderr()
            .contains(&format!("20 messages failed; moved to {second}")),
        "{}",
        output.stderr()
    );
    let node = three.node_of(second);
    assert_eq!(node.cli(["XLEN", second]), "40");
    assert_eq!(three.node_of(first).pending(first, "g"), Vec::<String>::new());
    let ledger = format!("stream:{first}:group:g:processed");
    assert_eq!(three.node_of(&ledger).cli(["ZCARD", &ledger]), "20");
}

#[test]
fn a_name_whose_marker_is_elsewhere_is_sent_without_one() {
    let three = Three::start();
    for stream in ["a}b", "x}y}z"] {
        let lines: String = (1..=3000).map(|n| format!("{n}\n")).collect();
        for (sent, node) in (1..).zip(three.cluster.nodes()) {
            let run = three.program(&format!("send-batch {stream} --name n"));
            run.args(["-u", &node.url()]).stdin(&lines).stderr_any().run();
            let length = (sent * 3000).to_string();
            assert_eq!(three.node_of(stream).cli(["XLEN", stream]), length);
        }
    }
}

#[test]
fn another_database_is_refused_clearly() {
    let three = Three::start();
    let node = &three.cluster.nodes()[0];
    for (url, status) in [
        (format!("{}/1", node.url()), 1),
        (format!("{}/1", three.cluster.url()), 2),
    ] {
        let run = Test::new(node).args(["-u", &url, "send", "s", "1", "--name", "n"]);
        let output = run.status(status).stderr_any().run();
        // A cluster of Valkey may have more, and has not unless told so.
        let told = ["only database 0", "no database of this number"];
        let is_told = told.iter().any(|told| output.stderr().contains(told));
        assert!(is_told, "{}", output.stderr());
    }
}

#[test]
fn seeds_may_be_down_and_no_server_need_be_a_cluster() {
    let three = Three::start();
    three.cluster.nodes()[0].kill9();
    let [_, stream, _] = &three.streams;
    let run = three.program(&format!("send {stream} 1 --name n"));
    run.args(["-u", &three.cluster.url()]).stdout_any().run();
    let plain = Server::options().tcp4().start();
    let url = plain.url().replace("redis://", "redis+cluster://");
    let run = Test::new(&plain).args(["-u", &url, "send", "s", "1", "--name", "n"]);
    let output = run.status(1).stderr_any().run();
    assert!(
        output.stderr().contains("cluster support disabled"),
        "{}",
        output.stderr()
    );
}

#[test]
fn clusters_with_names_users_and_certificates() {
    let secret = Server::options().user("eve on >p ~* +@all").password("q");
    let tls = Server::options().tls().password("q");
    let ipv6 = Server::options().tcp6();
    let clusters = [
        Cluster::options().hostnames().nodes(secret).start_if_able(),
        Cluster::options().hostnames().nodes(tls).start_if_able(),
        Some(Cluster::options().nodes(ipv6).start()),
    ];
    for cluster in clusters.into_iter().flatten() {
        let three = Three::of(cluster);
        three.fill(10);
        let all = three.all();
        let read = three.program(&format!("consume {all} -g g -e"));
        let read = match three.cluster.nodes()[0].password() {
            Some(password) => read.env("REDISCLI_AUTH", password),
            None => read,
        };
        let authority = three.cluster.nodes()[0].dir().join("ca.crt");
        let read = match authority.exists() {
            true => read.arg("--cacert").arg(authority),
            false => read,
        };
        assert_eq!(read.stdout_any().run().stdout().lines().count(), 30);
    }
}
