//! A cluster that changes while the program is at work: slots move, masters fail over, nodes come.

use std::collections::BTreeSet;

use super::Three;
use crate::harness::{Cluster, Running, Server, wait_until};

/// How many lines are sent while a cluster changes.
const LINES: usize = 20_000;

fn lines() -> Vec<String> {
    (1..=LINES).map(|n| n.to_string()).collect()
}

/// `send-batch` of the lines at such a rate that it takes two seconds.
fn sending(three: &Three, stream: &str) -> Running {
    let test = three.program(&format!("send-batch {stream} --name n --rate {}", LINES / 2));
    test.stdin(lines().join("\n") + "\n").spawn()
}

fn length(three: &Three, stream: &str) -> usize {
    three.node_of(stream).cli(["XLEN", stream]).parse().unwrap()
}

fn wait_length(three: &Three, stream: &str, sending: &Running, length: usize) {
    let said = || format!("lines to be sent: {}", sending.stderr_so_far());
    wait_until(&said(), || self::length(three, stream) >= length);
}

#[track_caller]
fn assert_sent(three: &Three, stream: &str, mut sending: Running) {
    let output = sending.wait();
    assert_eq!(output.status, 0, "{}", output.stderr());
    assert_eq!(three.node_of(stream).bodies(stream), lines(), "{}", output.stderr());
}

#[test]
fn a_slot_moves_while_its_stream_is_sent_to() {
    let three = Three::start();
    let [stream, ..] = &three.streams;
    let sending = sending(&three, stream);
    let slot = three.cluster.slot(stream);
    for (behind, to) in [(1000, 1), (6000, 2), (11_000, 0)] {
        wait_length(&three, stream, &sending, behind);
        let to = &three.cluster.nodes()[to];
        let step = three.cluster.begin_move(slot, to);
        // The marker goes before its stream or behind it.
        while step.move_keys(1) > 0 {
            std::thread::sleep(std::time::Duration::from_millis(100));
        }
        std::thread::sleep(std::time::Duration::from_millis(100));
        step.finish();
    }
    assert_sent(&three, stream, sending);
}

#[test]
fn a_stream_begins_while_its_slot_is_on_its_way() {
    let three = Three::start();
    let [stream, ..] = &three.streams;
    let step = three
        .cluster
        .begin_move(three.cluster.slot(stream), &three.cluster.nodes()[1]);
    three.program(&format!("send {stream} 1 --name n")).stdout_any().run();
    three
        .program(&format!("subscribe {stream} -g g --from beginning"))
        .stderr_any()
        .run();
    let read = three.program(&format!("consume {stream} -g g -e"));
    assert_eq!(read.stdout_any().run().stdout().lines().count(), 1);
    let read = three.program(&format!("consume {stream} --from beginning -e"));
    assert_eq!(read.stdout_any().run().stdout().lines().count(), 1);
    for args in ["pending", &format!("pending {stream} -g g")] {
        let shown = three.program(args).stdout_any().run().stdout();
        assert!(shown.contains('g'), "{shown}");
    }
    step.finish();
    assert_eq!(three.node_of(stream).bodies(stream), ["1"]);
}

/// The ledger is sent on to the other side, the stream stays: what is done there must not follow the ledger.
#[test]
fn a_ledger_begins_while_its_slot_is_on_its_way() {
    let three = Three::start();
    let node = &three.cluster.nodes()[0];
    let tag = three.cluster.name_at(node, "t");
    let stream = format!("{{{tag}}}:s");
    node.add_numbered(&stream, 500);
    node.cli(["XGROUP", "CREATE", &stream, "g", "0"]);
    let to = &three.cluster.nodes()[1];
    let step = three.cluster.begin_move(three.cluster.slot(&stream), to);
    for handler in [&[][..], &["--", "cat"]] {
        let read = three.program(&format!("consume {stream} -g g --dedup -n 250"));
        let read = read.args(handler).stdout_any().stderr_any().run();
        assert_eq!(read.stdout().lines().count(), 250, "{}", read.stderr());
    }
    assert_eq!(node.pending(&stream, "g"), Vec::<String>::new());
    while step.move_keys(10) > 0 {}
    step.finish();
    let ledger = format!("stream:{stream}:group:g:processed");
    assert_eq!(to.cli(["ZCARD", &ledger]), "500");
    assert_eq!(to.cli(["XLEN", &stream]), "500");
}

/// How many clients wait in blocking reads, at all nodes.
fn blocked(three: &Three) -> usize {
    let count = |node: &Server| {
        let info = node.cli(["INFO", "clients"]);
        let count = info.lines().find_map(|line| line.strip_prefix("blocked_clients:"));
        count.unwrap().trim().parse::<usize>().unwrap()
    };
    three.cluster.nodes().iter().map(count).sum()
}

#[test]
fn a_slot_moves_while_its_stream_is_waited_for() {
    let three = Three::start();
    three.fill(0);
    let all = three.all();
    let [stream, ..] = &three.streams;
    for how in ["-g g", "--from beginning", "-g g -- sh -c 'cat'"] {
        let (options, handler) = how.split_once(" -- ").unwrap_or((how, ""));
        let mut test = three.program(&format!("consume {all} {options} --block 60s"));
        if !handler.is_empty() {
            test = test.args(["--", "cat"]);
        }
        let mut running = test.spawn();
        let id = length(&three, stream);
        three
            .node_of(stream)
            .add_message(stream, &format!("{}-0", id + 1), "n", "1");
        assert!(running.line().contains(stream.as_str()));
        wait_until("a read of each stream to wait", || {
            blocked(&three) == three.streams.len()
        });
        let mut to = three.cluster.masters().into_iter();
        let to = to.find(|node| !std::ptr::eq(*node, three.node_of(stream))).unwrap();
        let slot = three.cluster.slot(stream);
        three.cluster.move_slots(slot..=slot, to);
        to.add_message(stream, &format!("{}-0", id + 2), "n", "2");
        let last = format!("\"id\":\"{}-0\"", id + 2);
        while !running.line().contains(&last) {}
        running.signal(crate::harness::Signal::TERM);
        let output = running.wait();
        assert_eq!(output.status, 143, "{how}: {}", output.stderr());
        for stream in &three.streams {
            let pending = three.node_of(stream).pending(stream, "g");
            assert!(pending.is_empty(), "{how}: {pending:?}: {}", output.stderr());
        }
    }
}

/// Three masters with a replica each, and a stream at each.
fn replicated() -> Three {
    let nodes = Server::options().append_only();
    Three::of(Cluster::options().replicas(1).nodes(nodes).start())
}

#[test]
fn a_replica_takes_the_place_of_its_master() {
    let three = replicated();
    three.fill(0);
    let [stream, ..] = &three.streams;
    let all = three.all();
    let mut reading = three.program(&format!("consume {all} -g g -n {LINES}")).spawn();
    let sending = sending(&three, stream);
    wait_length(&three, stream, &sending, 1000);
    let master = three.node_of(stream);
    let [replica] = three.cluster.replicas_of(master)[..] else {
        panic!("no replica")
    };
    three.cluster.switch_to(replica);
    wait_length(&three, stream, &sending, 10_000);
    three.cluster.switch_to(master);
    assert_sent(&three, stream, sending);
    let output = reading.wait();
    assert_eq!(output.status, 0, "{}", output.stderr());
    let ids: BTreeSet<String> = output.stdout().lines().map(str::to_owned).collect();
    assert_eq!(ids.len(), LINES, "{}", output.stderr());
}

#[test]
fn a_master_is_killed_and_its_replica_takes_over() {
    let three = replicated();
    three.fill(0);
    let [_, stream, _] = &three.streams;
    let all = three.all();
    let mut reading = three.program(&format!("consume {all} -g g -n {LINES}")).spawn();
    let sending = sending(&three, stream);
    wait_length(&three, stream, &sending, 5000);
    three.cluster.fail_over(three.node_of(stream), Server::kill9);
    let mut sending = sending;
    let output = sending.wait();
    let bodies = three.node_of(stream).bodies(stream);
    // What the replica had not got is read from no pipe again.
    match output.status {
        0 => assert_eq!(bodies, lines(), "{}", output.stderr()),
        1 => assert!(output.stderr().contains("lost stdin:"), "{}", output.stderr()),
        status => panic!("{status}: {}", output.stderr()),
    }
    if output.status == 0 {
        let read = reading.wait();
        assert_eq!(read.status, 0, "{}", read.stderr());
    }
}

#[test]
fn a_node_is_added_and_gets_slots() {
    let mut three = Three::start();
    three.fill(0);
    let added = three.cluster.add_node();
    let [stream, ..] = three.streams.clone();
    let sending = sending(&three, &stream);
    wait_length(&three, &stream, &sending, 1000);
    let [from, to] = [0, added].map(|number| &three.cluster.nodes()[number]);
    three.cluster.reshard(5461, from, to);
    assert_eq!(three.node_of(&stream).port(), to.port());
    assert_sent(&three, &stream, sending);
    let read = three.program(&format!("consume {stream} -g g -e")).stdout_any().run();
    assert_eq!(read.stdout().lines().count(), LINES);
}
