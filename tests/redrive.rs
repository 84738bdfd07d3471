//! `redrive`: dead letters go back to where they came from, each once.

mod killed;
mod moving;
mod refusals;

use crate::harness::{Cluster, Fields, Server, Test, wait_until};
use std::collections::BTreeMap;

/// A dead letter's own fields, and where it came from.
fn letter(number: usize, stream: &str) -> Vec<(String, String)> {
    let own = [
        ("name".to_owned(), format!("n{}", number % 3)),
        ("body".to_owned(), number.to_string()),
    ];
    own.into_iter().chain(dead(number, stream)).collect()
}

/// What makes a message a dead letter.
fn dead(number: usize, stream: &str) -> Vec<(String, String)> {
    let fields = [
        ("dead-stream", stream.to_owned()),
        ("dead-group", "g".to_owned()),
        ("dead-id", format!("{number}-0")),
        ("dead-deliveries", "3".to_owned()),
        ("dead-reason", "exit code 1".to_owned()),
    ];
    fields.map(|(name, value)| (name.to_owned(), value)).to_vec()
}

/// Fills a stream with numbered dead letters of several streams in turn.
fn fill(server: &Server, stream: &str, count: usize, origins: &[&str]) {
    let script = "for i = 1, ARGV[1] do \
         redis.call('XADD', KEYS[1], '*', 'name', 'n' .. i % 3, 'body', tostring(i), \
         'dead-stream', ARGV[2 + i % (#ARGV - 1)], 'dead-group', 'g', 'dead-id', i .. '-0', \
         'dead-deliveries', '3', 'dead-reason', 'exit code 1') end";
    let count = count.to_string();
    let mut args = vec!["EVAL", script, "1", stream, &count];
    args.extend(origins);
    server.command(args);
}

fn redrive(server: &Server, args: &str) -> Test {
    Test::new(server).arg("redrive").args(args.split_whitespace())
}

fn numbers(bodies: &[String]) -> Vec<usize> {
    bodies.iter().map(|body| body.parse().unwrap()).collect()
}

/// The keys that are there, but for these streams.
fn other_keys(server: &Server, streams: &[&str]) -> Vec<String> {
    let keys = server.cli(["KEYS", "*"]);
    keys.lines()
        .filter(|key| !streams.contains(key))
        .map(str::to_owned)
        .collect()
}

#[test]
fn dead_letters_go_back_to_where_they_came_from() {
    let server = Server::start();
    fill(&server, "dead", 3000, &["orders", "returns"]);
    redrive(&server, "dead")
        .stdout("TO       MOVED\norders    1500\nreturns   1500\n")
        .stderr("moved 3,000 dead letters of dead\n")
        .run();
    let own = |number: usize| -> Fields {
        let own = letter(number, "").into_iter().take(2);
        own.map(|(name, value)| (name.into_bytes(), value.into_bytes()))
            .collect()
    };
    let expected = |rest: usize| (1..=3000).filter(|n| n % 2 == rest).map(own).collect::<Vec<_>>();
    assert_eq!(server.fields("returns"), expected(1));
    assert_eq!(server.fields("orders"), expected(0));
    assert_eq!(server.ids("dead"), [""; 0]);
    assert_eq!(other_keys(&server, &["dead", "orders", "returns"]), [""; 0]);
    redrive(&server, "dead").stderr("moved 0 dead letters of dead\n").run();
}

#[test]
fn fields_are_those_of_the_message_as_it_was() {
    let server = Server::start();
    let own: [(&[u8], &[u8]); 5] = [
        (b"dead-line", b"7"),
        (b"body", b"{\"a\": 1}"),
        (b"\xff\x00", b"\r\n\xfe"),
        (b"body", b"2"),
        (b"", b""),
    ];
    let added = dead(1, "orders");
    let added = added.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes()));
    let all: Vec<(&[u8], &[u8])> = own.into_iter().chain(added).collect();
    server.add("dead", "1-0", &all);
    redrive(&server, "dead").stdout_any().stderr_any().run();
    let expected: Fields = own
        .iter()
        .map(|(name, value)| (name.to_vec(), value.to_vec()))
        .collect();
    assert_eq!(server.fields("orders"), [expected]);
}

#[test]
fn a_message_that_died_by_a_consumer_is_as_it_was() {
    let server = Server::start();
    server.add_numbered("orders", 3);
    let before = server.fields("orders");
    server.cli(["XGROUP", "CREATE", "orders", "g", "0"]);
    Test::new(&server)
        .args("consume orders -g g -e --max-deliveries 1 --dead-letter dead -- false".split(' '))
        .status(1)
        .stderr_any()
        .run();
    assert_eq!(server.ids("dead").len(), 3);
    server.cli(["DEL", "orders"]);
    redrive(&server, "dead").stdout_any().stderr_any().run();
    assert_eq!(server.fields("orders"), before);
}

#[test]
fn some_of_them_are_chosen() {
    for (args, moved) in [
        ("-n 4", vec![1, 2, 3, 4]),
        ("--match n1", vec![1, 4, 7, 10]),
        ("--match n? -n 1", vec![1]),
        ("--from 4-0 --before 7-0", vec![4, 5, 6]),
        ("--before 3", vec![1, 2]),
        ("--from 9", vec![9, 10]),
        ("--before beginning", vec![]),
        ("--from latest", vec![]),
        ("--before -1d", (1..=10).collect()),
    ] {
        let server = Server::start();
        for number in 1..=10 {
            server.add("dead", &format!("{number}-0"), &letter(number, "orders"));
        }
        let left: Vec<usize> = (1..=10).filter(|number| !moved.contains(number)).collect();
        redrive(&server, &format!("dead --to {{x}} {args}"))
            .stdout_any()
            .stderr_any()
            .run();
        assert_eq!(numbers(&server.bodies("{x}")), moved, "{args}");
        assert_eq!(numbers(&server.bodies("dead")), left, "{args}");
    }
}

#[test]
fn a_dry_run_says_what_would_go_where() {
    let server = Server::start();
    fill(&server, "dead", 5000, &["orders", "returns"]);
    server.add_message("dead", "*", "n", "1");
    server.cli(["SET", "returns", "no stream"]);
    let before = server.entries("dead");
    redrive(&server, "dead --dry-run")
        .status(1)
        .stdout("TO      WOULD MOVE\norders        2500\n")
        .stderr_has([
            "would move 2,500 dead letters of dead\n",
            "warning: 1 of dead left: no field dead-stream says where they came from: ",
            "warning: 2,500 of dead left: key 'returns' is not a stream: ",
            "error: 2,501 dead letters left where they are, of 5,001\n",
        ])
        .run();
    let json = redrive(&server, "dead --dry-run --json --match n1")
        .status(1)
        .stdout_any()
        .stderr_any()
        .run();
    let json: serde_json::Value = serde_json::from_str(&json.stdout()).unwrap();
    assert_eq!(json["dry_run"], true);
    assert_eq!(json["moved"], 833);
    assert_eq!(json["to"], serde_json::json!([{"stream": "orders", "moved": 833}]));
    assert_eq!(json["left"][0]["reason"], "refused");
    assert_eq!(json["left"][0]["to"], "returns");
    assert_eq!(json["left"][0]["count"], 834);
    assert_eq!(json["left"][0]["first"].as_array().unwrap().len(), 10);
    assert_eq!(server.entries("dead"), before);
    assert_eq!(server.calls("multi") + server.calls("set") + server.calls("xdel"), 1);
    assert_eq!(other_keys(&server, &["dead", "returns"]), [""; 0]);
}

#[test]
fn streams_of_a_pattern_are_redriven_one_after_the_other() {
    let server = Server::start();
    fill(&server, "dead:0", 10, &["orders"]);
    fill(&server, "dead:2", 10, &["orders"]);
    redrive(&server, "dead:{0..2} -n 15")
        .stdout("FROM    TO      MOVED\ndead:0  orders     10\ndead:2  orders      5\n")
        .stderr("moved 15 dead letters of dead:{0..2}\n")
        .run();
    assert_eq!(server.ids("dead:2").len(), 5);
    redrive(&server, "nothing:{0..2}")
        .status(1)
        .stderr_has(["error: there is no stream 'nothing:0'\n"])
        .run();
}

#[test]
fn a_rate_is_kept() {
    let server = Server::start();
    fill(&server, "dead", 30, &["orders"]);
    let mut running = redrive(&server, "dead --rate 20").spawn();
    // Not all at once.
    wait_until("some", || !server.ids("orders").is_empty());
    assert!(server.ids("orders").len() < 30);
    assert_eq!(running.wait().status, 0);
    assert_eq!(numbers(&server.bodies("orders")), (1..=30).collect::<Vec<_>>());
}

#[test]
fn large_dead_letters_take_no_more_memory_than_they_must() {
    let server = Server::start();
    let body = "x".repeat(2_000_000);
    for number in 1..=60 {
        let fields = [("name", "n"), ("body", &body), ("dead-stream", "orders")];
        server.add("dead", &format!("{number}-0"), &fields);
    }
    let mut running = redrive(&server, "dead").spawn();
    let mut peak = 0;
    while !running.has_ended() {
        peak = crate::harness::peak_memory(running.pid()).unwrap_or(0).max(peak);
    }
    assert_eq!(running.wait().status, 0);
    assert_eq!(server.ids("orders").len(), 60);
    // Of 120 MB.
    assert!(peak < 60_000, "{peak} KiB");
}

#[test]
fn what_dies_again_meanwhile_is_left_to_the_next() {
    let server = Server::start();
    fill(&server, "dead", 2000, &["dead"]);
    redrive(&server, "dead")
        .stdout("TO    MOVED\ndead   2000\n")
        .stderr_any()
        .run();
    assert_eq!(numbers(&server.bodies("dead")), (1..=2000).collect::<Vec<_>>());
}

#[test]
fn targets_are_at_any_node_of_a_cluster() {
    let cluster = Cluster::start();
    let [a, b, c] = [0, 1, 2].map(|number| cluster.name_at(&cluster.nodes()[number], "s"));
    let dead = "dead-letters";
    fill(cluster.node_of(dead), dead, 4000, &[&a, &b, &c, "{dead-letters}:x"]);
    Test::new(&cluster.nodes()[1])
        .args(["redrive", dead, "--dry-run"])
        .stdout_any()
        .stderr_any()
        .run();
    assert_eq!(cluster.node_of(dead).ids(dead).len(), 4000);
    Test::new(&cluster.nodes()[2])
        .args(["redrive", dead])
        .stdout_any()
        .stderr_any()
        .run();
    let mut all = BTreeMap::new();
    for (place, target) in [&*a, &b, &c, "{dead-letters}:x"].into_iter().enumerate() {
        let expected: Vec<usize> = (1..=4000).filter(|number| number % 4 == place).collect();
        assert_eq!(numbers(&cluster.node_of(target).bodies(target)), expected, "{target}");
        all.insert(target.to_owned(), ());
    }
    all.insert(dead.to_owned(), ());
    assert_eq!(cluster.node_of(dead).ids(dead), [""; 0]);
    for node in cluster.nodes() {
        let keys = node.cli(["KEYS", "*"]);
        let left: Vec<_> = keys
            .lines()
            .filter(|key| !key.is_empty() && !all.contains_key(*key))
            .collect();
        assert_eq!(left, [""; 0]);
    }
}
