//! Shared partitions while masters are replaced and slots move: each message is done, the first time in order, and no two
//! handlers are at work on one partition at a time.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use crate::harness::{Change, Changing, Cluster, DEADLINE, Running, Server, Signal, Test, wait_long, wait_until};
use crate::partitions::names;

const PARTITIONS: usize = 4;
const KEYS: usize = 20;
const MESSAGES: usize = 300;

/// Holds the lock of its partition while it is at work: for a moment, now and then for long.
const HANDLER: &str = r#"exec 9>> "lock-$REDIS_STREAMER_STREAM"
    line=$(cat)
    flock -n 9 || echo "$line" >> overlaps
    case $line in *'"long":1'*) sleep 1 ;; *) sleep 0.01 ;; esac
    echo "$line" >> done"#;

/// Two processes at work, and what they get.
struct Job<'w> {
    server: &'w Server,
    node_of: &'w dyn Fn(&str) -> &'w Server,
    processes: Vec<Running>,
    sending: Running,
}

impl<'w> Job<'w> {
    fn start(
        server: &'w Server,
        node_of: &'w dyn Fn(&str) -> &'w Server,
        program: &dyn Fn(&str) -> Test,
        lease: &str,
        send: &str,
    ) -> Self {
        let line = |n: usize| {
            let is_long = usize::from(n.is_multiple_of(40));
            format!("{{\"key\":\"k{}\",\"n\":{n},\"long\":{is_long}}}\n", n * 7 % KEYS)
        };
        server.file("in", (1..=MESSAGES).map(line).collect::<String>());
        program("subscribe p:{0..3} -g g").stderr_any().run();
        let consume = format!("consume p:{{0..3}} -g g --exclusive --lease {lease} --reconnect-for 1h --jobs 8 -v");
        let process = || program(&consume).args(["--", "bash", "-c", HANDLER]).spawn();
        let send = format!("send-batch p:{{0..3}} in --name n --key /body/key -q --rate 60 {send}");
        let processes = vec![process(), process()];
        wait_until("both to have their share", || {
            let said: Vec<_> = processes.iter().map(Running::stderr_so_far).collect();
            let has_two = |said: &String| said.matches("alone of group").count() >= 2;
            said.iter().all(has_two)
        });
        Self {
            server,
            node_of,
            processes,
            sending: program(&send).spawn(),
        }
    }

    fn done(&self) -> usize {
        self.server.lines("done").len()
    }

    /// Waits for more to be done.
    fn go_on(&self) {
        let goal = (self.done() + 20).min(MESSAGES);
        wait_long("more to be done", || self.done() >= goal);
    }

    fn said(&self) -> String {
        let said = self.processes.iter().map(Running::stderr_so_far);
        said.collect::<Vec<_>>().join("\n---\n")
    }

    /// Waits until all is done; it was in order, and nothing is left.
    fn finish(mut self) {
        let sent = self.sending.wait();
        assert_eq!(sent.status, 0, "{}", sent.stderr());
        let is_settled = |name: String| (self.node_of)(&name).is_settled(&name, "g");
        let start = std::time::Instant::now();
        while !names(PARTITIONS).all(is_settled) {
            assert!(start.elapsed() < 2 * DEADLINE, "not all is done: {}", self.said());
            std::thread::sleep(Duration::from_millis(50));
        }
        for process in &mut self.processes {
            process.signal(Signal::TERM);
            let output = process.wait();
            assert_eq!(output.status, 143, "{}", output.stderr());
        }
        assert_eq!(self.server.lines("overlaps"), [""; 0], "{}", self.said());
        self.check();
        for name in names(PARTITIONS) {
            let keys = ["lease", "members"].map(|what| format!("redis-streamer:{what}:{{{name}}}:g"));
            let node = (self.node_of)(&name);
            assert_eq!(node.cli(["EXISTS", &keys[0], &keys[1]]), "0", "{name}");
        }
    }

    /// All are done, the first time in the order of their stream and of their key. What a master took along is done, too,
    /// and again where it was sent again.
    fn check(&self) {
        let log: Vec<serde_json::Value> = self
            .server
            .lines("done")
            .iter()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect();
        let mut firsts: HashMap<String, Vec<String>> = HashMap::new();
        let (mut entries, mut bodies, mut last) = (HashSet::new(), HashSet::new(), HashMap::new());
        for line in &log {
            let (stream, id) = (line["stream"].as_str().unwrap(), line["id"].as_str().unwrap());
            if entries.insert((stream, id)) {
                firsts.entry(stream.to_owned()).or_default().push(id.to_owned());
            }
            let (key, n) = (
                line["body"]["key"].as_str().unwrap(),
                line["body"]["n"].as_u64().unwrap(),
            );
            if bodies.insert(n) {
                let before = last.insert(key, n).unwrap_or(0);
                assert!(before < n, "{key}: {n} behind {before}: {}", self.said());
            }
        }
        assert_eq!(bodies.len(), MESSAGES, "not all were done");
        for name in names(PARTITIONS) {
            let ids = (self.node_of)(&name).ids(&name);
            let mut done = firsts.remove(&name).unwrap_or_default();
            done.retain(|id| ids.contains(id));
            assert_eq!(done, ids, "{name}: out of order, or not all: {}", self.said());
        }
    }
}

/// Changes of the server of a partition, one after the other, while two processes are at work.
fn survives(world: &Changing, lease: &str, changes: &[Change]) {
    let node_of = |name: &str| world.node_of(name);
    let program = |args: &str| world.program(args);
    // What was sent is to be there whatever is lost.
    let safely = "--wait-replicas 1 --wait-timeout 1m --wait 1m";
    let job = Job::start(world.server(), &node_of, &program, lease, safely);
    for (place, change) in changes.iter().enumerate() {
        job.go_on();
        world.change(*change, &format!("p:{}", place % PARTITIONS));
    }
    job.go_on();
    job.finish();
}

#[test]
fn order_is_kept_though_a_master_is_killed() {
    survives(&Changing::cluster(), "2s", &[Change::Kill]);
}

#[test]
fn order_is_kept_though_a_master_is_stopped_and_comes_back() {
    survives(&Changing::cluster(), "2s", &[Change::Stop]);
}

#[test]
fn order_is_kept_though_masters_and_replicas_change_places() {
    let changes = [Change::Switch, Change::Move, Change::Switch, Change::Move];
    survives(&Changing::cluster(), "2s", &changes);
}

/// A lease that lasts longer than it takes to replace a master is kept.
#[test]
fn a_long_lease_outlives_its_master() {
    survives(&Changing::cluster(), "20s", &[Change::Kill, Change::Stop]);
}

#[test]
fn order_is_kept_behind_sentinels() {
    survives(
        &Changing::sentinels(),
        "2s",
        &[Change::Kill, Change::Stop, Change::Switch],
    );
}

/// The master takes along a lease that no replica had, and what was read under it: whoever takes it next does that again,
/// and the first holder's handler is ended as soon as that hears of it.
#[test]
fn a_lease_that_no_replica_had_is_lost_with_its_master() {
    let world = Changing::cluster();
    let Changing::Cluster(cluster) = &world else { return };
    let (server, stream) = (world.server(), "p:0");
    let master = cluster.node_of(stream);
    master.add_numbered(stream, 2);
    master.cli(["XGROUP", "CREATE", stream, "g", "0"]);
    let [replica] = cluster.replicas_of(master)[..] else {
        panic!()
    };
    replica.wait_in_sync(master);
    // It gets nothing more: a server without passwords refuses whoever has one.
    replica.cli(["CONFIG", "SET", "masterauth", "none"]);
    master.cli(["CLIENT", "KILL", "TYPE", "replica"]);
    let process = || {
        let consume = "consume p:0 -g g --exclusive --lease 20s --reconnect-for 1h -v";
        // The first one stays.
        let script = "echo $$ $REDIS_STREAMER_ID >> begun
            [ $(wc -l < begun) -gt 1 ] || exec sleep 600
            echo $REDIS_STREAMER_ID >> done";
        world.program(consume).args(["--", "bash", "-c", script]).spawn()
    };
    let mut first = process();
    wait_until("a handler", || server.lines("begun").len() == 1);
    let mut second = process();
    second.wait_stderr("waiting for its turn");
    cluster.fail_over(master, Server::kill9);
    wait_long("both to be done", || server.lines("done") == ["1-0", "2-0"]);
    first.wait_stderr("was not renewed in time");
    let begun = server.lines("begun");
    let (handler, id) = begun[0].split_once(' ').unwrap();
    assert_eq!(id, "1-0");
    let handler = std::path::PathBuf::from(format!("/proc/{handler}"));
    wait_until("the handler to be ended", || !handler.exists());
    for process in [&mut first, &mut second] {
        process.signal(Signal::TERM);
        assert_eq!(process.wait().status, 143);
    }
    assert_eq!(server.lines("begun").len(), 3);
    assert!(cluster.node_of(stream).is_settled(stream, "g"));
}

/// The keys of a slot that is on its way are at two nodes, for longer than a lease lasts.
#[test]
fn order_is_kept_though_a_slot_is_long_on_its_way() {
    let cluster = Cluster::start();
    let node_of = |name: &str| cluster.node_of(name);
    let program = |args: &str| Test::new(&cluster.nodes()[0]).args(args.split_whitespace());
    let job = Job::start(&cluster.nodes()[0], &node_of, &program, "1s", "");
    for first in ["p:0", "redis-streamer:lease:{p:0}:g", "redis-streamer:members:{p:0}:g"] {
        job.go_on();
        let (slot, masters) = (cluster.slot("p:0"), cluster.masters());
        let from = cluster.owner(slot);
        let to = masters.into_iter().find(|node| !std::ptr::eq(*node, from)).unwrap();
        let step = cluster.begin_move(slot, to);
        step.move_key(first);
        std::thread::sleep(Duration::from_millis(1500));
        while step.move_keys(10) > 0 {}
        step.finish();
    }
    job.go_on();
    job.finish();
}
