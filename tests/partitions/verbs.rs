//! Reading, acknowledging and looking at partitions.

use super::{World, names};
use crate::harness::{Server, Test};

/// Six partitions with a group and so many messages each.
fn filled(world: &World, count: usize) {
    let subscribed = world.program("subscribe p:{0..5} -g g --from beginning");
    let output = subscribed.stderr_any().run();
    assert_eq!(output.stderr().lines().count(), 6, "{}", output.stderr());
    for name in names(6) {
        world.node_of(&name).add_numbered(&name, count);
    }
}

/// The numbers of the entries printed of each partition, in the order of the lines.
fn printed(lines: &str) -> Vec<Vec<u64>> {
    let mut printed = vec![Vec::new(); 6];
    for line in lines.lines() {
        let line: serde_json::Value = serde_json::from_str(line).unwrap();
        let partition: usize = line["stream"].as_str().unwrap()[2..].parse().unwrap();
        let id = line["id"].as_str().unwrap();
        printed[partition].push(id.split_once('-').unwrap().0.parse().unwrap());
    }
    printed
}

#[test]
fn all_partitions_are_read_each_in_order() {
    World::each(|world| {
        filled(world, 500);
        let expected = vec![(1..=500).collect::<Vec<u64>>(); 6];
        for how in ["--from beginning", "-g g"] {
            let read = world.program(&format!("consume p:{{0..5}} -e {how}"));
            assert_eq!(printed(&read.stdout_any().run().stdout()), expected, "{how}");
        }
        for name in names(6) {
            assert_eq!(world.node_of(&name).pending(&name, "g"), Vec::<String>::new());
        }
    });
}

#[test]
fn lines_of_all_partitions_are_acknowledged() {
    World::each(|world| {
        filled(world, 20);
        let read = world.program("consume p:{0..5} -g g -e --ack manual");
        let lines = read.stdout_any().run().stdout();
        let acked = world.program("ack p:{0..5} - -g g --strict").stdin(&lines);
        acked.stdout("120\n").run();
        for name in names(6) {
            assert_eq!(world.node_of(&name).pending(&name, "g"), Vec::<String>::new());
        }
    });
}

#[test]
fn listeners_have_a_group_on_each_partition() {
    World::each(|world| {
        world.program("subscribe p:{0..5} -l l").stderr_any().run();
        for name in names(6) {
            world.node_of(&name).add_numbered(&name, 10);
        }
        let read = world.program("consume p:{0..5} -l l -e").stdout_any().run();
        let expected = vec![(1..=10).collect::<Vec<u64>>(); 6];
        assert_eq!(printed(&read.stdout()), expected);
    });
}

#[test]
fn pending_shows_each_partition_and_a_total() {
    World::each(|world| {
        filled(world, 5);
        let read = world.program("consume p:{0..5} -g g -e --ack manual");
        read.stdout_any().run();
        world.node_of("p:3").cli(["XADD", "p:3", "*", "a", "b"]);
        let table = world.program("pending p:{0..5}").stdout_any().run().stdout();
        let cells = |line: &str| line.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
        let mut rows: Vec<_> = table.lines().map(cells).collect();
        assert_eq!(rows.len(), 8, "{table}");
        // First what needs attention: that is another one each time.
        rows[1..7].sort();
        for (number, row) in rows[1..7].iter().enumerate() {
            let length = if number == 3 { "6" } else { "5" };
            assert_eq!(row[..3], [&format!("p:{number}"), length, "g"], "{table}");
        }
        let total = &rows[7];
        assert_eq!(
            (&total[..3], &total[4]),
            (&["total", "31", "-"].map(str::to_owned)[..], &"30".to_owned()),
            "{table}"
        );
        let shown = world.program("pending p:{0..5} --json").stdout_any().run();
        let shown: serde_json::Value = serde_json::from_str(&shown.stdout()).unwrap();
        let streams = shown.as_array().unwrap().iter();
        let streams: Vec<_> = streams.map(|stream| stream["stream"].as_str().unwrap()).collect();
        assert_eq!(streams, names(6).collect::<Vec<_>>());
        world.program("pending p:{0..5} --max-pending 5").stdout_any().run();
        let gate = world.program("pending p:{0..5} --max-lag 0").stdout_any();
        gate.status(4)
            .stderr_has(["stream p:3, group g: lag ", " exceeds --max-lag 0"])
            .run();
    });
}

#[test]
fn partitions_that_are_not_there_are_named() {
    let server = Server::start();
    let pending = || Test::new(&server).args(["pending", "p:{0..3}"]);
    pending().status(1).stderr_has(["p:0"]).run();
    server.add_numbered("p:1", 3);
    let output = pending().stdout_any().stderr_any().run();
    assert_eq!(output.stdout().lines().count(), 6, "{}", output.stdout());
    assert!(output.stderr().contains("p:0, p:2, p:3"), "{}", output.stderr());
}

#[test]
fn a_node_that_is_away_is_named_and_other_partitions_are_shown() {
    let world = World::Three(crate::harness::Cluster::start());
    filled(&world, 5);
    let World::Three(cluster) = &world else {
        return;
    };
    let away = cluster
        .nodes()
        .iter()
        .find(|node| node.port() != cluster.node_of("p:0").port())
        .unwrap();
    let there: Vec<_> = names(6)
        .filter(|name| world.node_of(name).port() != away.port())
        .collect();
    let url = cluster.url();
    away.kill9();
    let shown = world.program("pending p:{0..5}").args(["-u", &url]);
    let output = shown.status(3).stdout_any().stderr_any().run();
    for name in &there {
        assert!(output.stdout().contains(name.as_str()), "{}", output.stdout());
    }
    let named = format!("the streams of 127.0.0.1:{} are missing", away.port());
    assert!(output.stderr().contains(&named), "{}", output.stderr());
}

#[test]
fn a_shared_hash_tag_is_warned_of() {
    let server = Server::start();
    let warning = ["warning: all names of {p}:{0..2} have the hash tag {p}"];
    let subscribe = Test::new(&server).args(["subscribe", "{p}:{0..2}", "-g", "g", "-q"]);
    subscribe.stderr_has(warning).run();
    for args in [&["consume", "-g", "g", "-e"][..], &["pending"], &["ack", "-g", "g"]] {
        let run = Test::new(&server).args(&args[..1]).arg("{p}:{0..2}").args(&args[1..]);
        run.stdout_any().stderr_has(warning).run();
    }
}

#[test]
fn what_makes_no_sense_with_a_pattern_is_refused() {
    let server = Server::start();
    for (args, says) in [
        ("ack p:{0..1} 1-0 -g g", "in which of the streams"),
        ("pending p:{0..1} -g g", "one stream at a time"),
        ("pending p:{0..1} -l l", "one stream at a time"),
        ("subscribe p:{3..1} -g g", "counts down"),
        ("subscribe p:{0..16384} -g g", "more than 16384 streams"),
        ("consume p:{0..1}{0..1}", "one range"),
        (
            "consume p -g g --max-deliveries 1 --dead-letter d:{0..1} -- true",
            "takes one",
        ),
        ("consume p:{0..1} -g g --ack read -n 1", "one stream"),
    ] {
        let run = Test::new(&server).args(args.split_whitespace());
        run.status(2).stderr_has([says]).run();
    }
    let acked = Test::new(&server).args(["ack", "p:{0..1}", "-g", "g"]).stdin("1-0\n");
    acked.status(1).stderr_has(["stdin:1: the line names no stream"]).run();
}
