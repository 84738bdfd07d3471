//! Many messages to all partitions at the same time.

use super::World;
use super::sending::partition_of;
use crate::harness::{Cluster, End, Fate, Proxy, Server, Test};

pub const PARTITIONS: usize = 5;

/// Lines of users in turn, numbered.
fn lines(count: usize) -> Vec<String> {
    let line = |n: usize| format!("{{\"user\":\"u{}\",\"n\":{n}}}", n * 7 % 23);
    (1..=count).map(line).collect()
}

/// Which partition each of these users has, by the slots as a server counts them.
pub fn partitions_of_users() -> Vec<usize> {
    let cluster = Cluster::start();
    let of = |user| partition_of(&cluster.nodes()[0], &format!("u{user}"), PARTITIONS as u64);
    (0..23).map(of).collect()
}

/// What each partition is to hold of the lines that are good, in order.
pub fn dealt(lines: &[String], users: &[usize], is_good: impl Fn(&str) -> bool) -> Vec<Vec<String>> {
    let mut dealt = vec![Vec::new(); PARTITIONS];
    for (n, line) in (1..).zip(lines).filter(|(_, line)| is_good(line)) {
        dealt[users[n * 7 % 23]].push(line.clone());
    }
    dealt
}

pub fn send_batch(server: &Server, args: &str) -> Test {
    let test = Test::new(server).args(["send-batch", "p:{0..4}", "--name", "n"]);
    test.args(args.split_whitespace())
}

#[test]
fn lines_go_to_the_partition_of_their_key_in_order() {
    let users = partitions_of_users();
    World::each(|world| {
        let lines = lines(20_000);
        world.server().file("in", lines.join("\n") + "\n");
        let sent = send_batch(world.server(), "in --key /body/user --receipts receipts --json");
        let output = sent.stdout_any().run();
        assert!(
            output
                .stdout()
                .contains("\"stream\":\"p:{0..4}\",\"sent\":20000,\"rejected\":0"),
            "{}",
            output.stdout()
        );
        assert!(world.bodies(PARTITIONS) == dealt(&lines, &users, |_| true));
        // Each receipt names an entry of its line.
        let receipts = world.server().lines("receipts");
        assert_eq!(receipts.len(), 20_000);
        let mut told = vec![Vec::new(); PARTITIONS];
        for receipt in receipts {
            let receipt: serde_json::Value = serde_json::from_str(&receipt).unwrap();
            let partition: usize = receipt["stream"].as_str().unwrap()[2..].parse().unwrap();
            let line = usize::try_from(receipt["line"].as_u64().unwrap()).unwrap();
            assert_eq!(users[line * 7 % 23], partition);
            told[partition].push(receipt["id"].as_str().unwrap().to_owned());
        }
        for (name, told) in super::names(PARTITIONS).zip(told) {
            assert!(world.node_of(&name).ids(&name) == told, "{name}");
        }
        // No marker is left.
        for name in super::names(PARTITIONS) {
            assert_eq!(world.node_of(&name).cli(["KEYS", "redis-streamer:*"]), "");
        }
    });
}

#[test]
fn lines_without_a_key_are_dealt_in_turn() {
    World::each(|world| {
        let sent = send_batch(world.server(), "--ids").stdin(lines(5000).join("\n"));
        let ids = sent.stdout_any().stderr_any().run().stdout();
        let expected: Vec<Vec<String>> = (0..PARTITIONS)
            .map(|first| lines(5000).into_iter().skip(first).step_by(PARTITIONS).collect())
            .collect();
        assert_eq!(world.bodies(PARTITIONS), expected);
        for name in super::names(PARTITIONS) {
            let prefix = format!("{name} ");
            let of_it: Vec<_> = ids.lines().filter_map(|line| line.strip_prefix(&prefix)).collect();
            assert_eq!(of_it, world.node_of(&name).ids(&name));
        }
    });
}

#[test]
fn entries_and_rows_have_keys_too() {
    let server = Server::start();
    let cluster = Cluster::start();
    let partition = |key| partition_of(&cluster.nodes()[0], key, PARTITIONS as u64);
    let send = |args: &str, input: &str| {
        let test = Test::new(&server)
            .args(["send-batch", "p:{0..4}"])
            .args(args.split_whitespace());
        test.stdin(input).stderr_any().run();
    };
    send("--key /name", "{\"name\":\"a\",\"body\":1}\n");
    send("--key /fields/k", "{\"fields\":{\"j\":\"x\",\"k\":\"b\"}}\n");
    send("--key /body/k --name n --input csv", "j,k\n1,c\n");
    send("--key /body --name n --input text", "d\n");
    for key in ["a", "b", "c", "d"] {
        let name = format!("p:{}", partition(key));
        let entries = server.cli(["XRANGE", &name, "-", "+"]);
        let has_key = |line: &str| line == key || line.contains(&format!("\"{key}\""));
        assert!(entries.lines().any(has_key), "{key} in {entries}");
    }
}

#[test]
fn a_line_without_its_key_is_rejected() {
    World::each(|world| {
        let mut lines = lines(3000);
        let without = ["{}", "{\"user\":null}", "{\"user\":{}}", "not json"];
        for (n, bad) in without.iter().enumerate() {
            lines.insert(700 * (n + 1), (*bad).to_owned());
        }
        let sent = send_batch(world.server(), "--key /body/user --rejects rejects");
        let output = sent.stdin(lines.join("\n")).status(1).stderr_any().run();
        let stderr = output.stderr();
        assert!(
            stderr.contains("4 lines not sent") && stderr.contains("see rejects"),
            "{stderr}"
        );
        let mut rejects = world.server().lines("rejects");
        rejects.sort();
        let mut expected = without.map(str::to_owned);
        expected.sort();
        assert_eq!(rejects, expected);
        assert_eq!(world.bodies(PARTITIONS).concat().len(), 3000);
    });
}

#[test]
fn a_line_that_ends_the_sending_ends_it_in_all_partitions() {
    let server = Server::start();
    let mut lines = lines(9000);
    lines.insert(5000, "{}".to_owned());
    let sent = send_batch(&server, "--key /body/user").stdin(lines.join("\n"));
    let says = ["stdin:5001:1: no key at /body/user: {}; 5,000 lines before it sent, nothing after it"];
    sent.status(1).stderr_has(says).run();
    let mut bodies: Vec<_> = super::names(PARTITIONS).flat_map(|name| server.bodies(&name)).collect();
    bodies.sort();
    lines.truncate(5000);
    lines.sort();
    assert!(bodies == lines);
}

#[test]
fn a_trickling_line_is_sent_at_once() {
    let server = Server::start();
    let mut sending = send_batch(&server, "").spawn_open();
    for (n, name) in (0..).zip(super::names(PARTITIONS)) {
        sending.feed(&format!("{n}\n"));
        crate::harness::wait_until("the line to be added", || server.bodies(&name) == [n.to_string()]);
    }
    sending.close_stdin();
    assert_eq!(sending.wait().status, 0);
}

#[test]
fn a_connection_of_one_partition_is_cut() {
    let server = Server::start();
    let users = partitions_of_users();
    let lines = lines(30_000);
    server.file("in", lines.join("\n") + "\n");
    for fate in [Fate::Request(200_000, End::Reset), Fate::Landed(200_000, End::Fin)] {
        let proxy = Proxy::start(server.socket(), [Fate::Spared, Fate::Spared, fate]);
        let sent = send_batch(&server, "in --key /body/user --receipts receipts");
        sent.args(["-u", &proxy.url()]).stderr_any().run();
        assert_eq!(proxy.cuts(), 1);
        let bodies: Vec<_> = super::names(PARTITIONS).map(|name| server.bodies(&name)).collect();
        assert!(bodies == dealt(&lines, &users, |_| true));
        assert_eq!(server.lines("receipts").len(), 30_000);
        server.cli(["FLUSHALL"]);
        server.file("receipts", "");
    }
}

#[test]
fn a_partition_that_is_refused_ends_the_others() {
    let server = Server::start();
    server.cli(["SET", "p:3", "no stream"]);
    let sent = send_batch(&server, "").stdin(lines(50_000).join("\n"));
    let output = sent.status(1).stderr_any().run();
    let stderr = output.stderr();
    assert!(
        stderr.contains("the partition p:3") && stderr.contains("not a stream"),
        "{stderr}"
    );
    for (first, name) in (0..).zip(super::names(PARTITIONS)).filter(|(first, _)| *first != 3) {
        let bodies = server.bodies(&name);
        let expected: Vec<_> = lines(50_000)
            .into_iter()
            .skip(first)
            .step_by(PARTITIONS)
            .take(bodies.len())
            .collect();
        assert!(bodies == expected, "{name}");
    }
}

#[test]
fn what_does_not_go_with_partitions_is_refused() {
    let server = Server::start();
    let one = Test::new(&server)
        .args(["send-batch", "p", "--key", "/name"])
        .stdin("1\n");
    one.status(2).stderr_has(["--key chooses a stream of several"]).run();
    let many = Test::new(&server).args(["send-batch", "p:{0..1024}"]).stdin("1\n");
    many.status(2).stderr_has(["1024 at most"]).run();
}
