//! Partitions: each process has its share, as others come and go.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::harness::{Cluster, Running, Server, Signal, Test, wait_until};
use crate::middleman::{Middleman, Verdict, has};
use crate::partitions::{World, names};

/// How many partitions each holder has; by no holder those that nobody has.
fn held(world: &World, partitions: usize) -> BTreeMap<String, usize> {
    let mut held = BTreeMap::new();
    for name in names(partitions) {
        let lease = format!("redis-streamer:lease:{{{name}}}:g");
        let value = world.node_of(&name).cli(["GET", &lease]);
        let holder = value.rsplit_once(' ').map_or("", |(holder, _)| holder);
        *held.entry(holder.to_owned()).or_default() += 1;
    }
    held
}

/// Waits until the partitions are shared out so.
#[track_caller]
fn wait_shared(world: &World, expected: &[usize]) {
    let partitions = expected.iter().sum();
    let mut last = BTreeMap::new();
    let start = std::time::Instant::now();
    while start.elapsed() < crate::harness::DEADLINE {
        last = held(world, partitions);
        let mut counts: Vec<_> = last
            .iter()
            .filter(|(holder, _)| !holder.is_empty())
            .map(|(_, n)| *n)
            .collect();
        counts.sort_unstable();
        if counts == expected {
            return;
        }
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    panic!("{last:?}, not {expected:?}");
}

fn subscribed(world: &World, partitions: usize) {
    let subscribe = format!("subscribe p:{{0..{}}} -g g --from beginning", partitions - 1);
    world.program(&subscribe).stderr_any().run();
}

fn consumer(world: &World, partitions: usize, lease: &str) -> Running {
    let options = format!(
        "consume p:{{0..{}}} -g g --exclusive --lease {lease} -v",
        partitions - 1
    );
    world.program(&options).spawn()
}

#[test]
fn partitions_are_shared_evenly_as_processes_come_and_go() {
    World::each(|world| {
        subscribed(world, 8);
        let mut first = consumer(world, 8, "2s");
        wait_shared(world, &[8]);
        let mut second = consumer(world, 8, "2s");
        wait_shared(world, &[4, 4]);
        let mut third = consumer(world, 8, "2s");
        wait_shared(world, &[2, 3, 3]);
        // At once after a good end, and when its leases expire after a bad one.
        second.signal(Signal::TERM);
        assert_eq!(second.wait().status, 143);
        wait_shared(world, &[4, 4]);
        third.kill9();
        wait_shared(world, &[8]);
        assert!(first.stderr_so_far().contains(" of group g to another process"));
        first.signal(Signal::TERM);
        assert_eq!(first.wait().status, 143);
        assert_eq!(held(world, 8), BTreeMap::from([(String::new(), 8)]));
        for name in names(8) {
            let members = format!("redis-streamer:members:{{{name}}}:g");
            // What was killed said no goodbye; nobody is left to strike it off.
            let is_gone = || world.node_of(&name).cli(["EXISTS", &members]) == "0";
            wait_until("the members to expire", is_gone);
            let consumers = world.node_of(&name).consumers(&name, "g");
            assert!(consumers.len() <= 1, "{consumers:?}");
        }
    });
}

/// What one could not settle as it gave a partition up is for whoever has it next, and no reason to end.
#[test]
fn a_partition_is_given_up_while_its_server_is_lost() {
    let server = Server::start();
    let world = World::One(server);
    subscribed(&world, 2);
    let tries = Arc::new(AtomicUsize::new(0));
    let seen = Arc::clone(&tries);
    let middleman = Middleman::start(world.server(), move |words| match has(words, "DELCONSUMER") {
        true => {
            seen.fetch_add(1, Ordering::SeqCst);
            Verdict::Cut
        }
        false => Verdict::Pass,
    });
    let options = "consume p:{0..1} -g g --exclusive --lease 2s --reconnect-for 1h -v";
    let mut first = world.program(options).args(["-u", &middleman.url()]).spawn();
    wait_shared(&world, &[2]);
    let mut second = consumer(&world, 2, "2s");
    wait_shared(&world, &[1, 1]);
    assert!(tries.load(Ordering::SeqCst) > 0);
    for name in names(2) {
        world.server().add_message(&name, "1-0", "n", "1");
    }
    assert_eq!(super::take(&mut first, 1), [1]);
    assert_eq!(super::take(&mut second, 1), [1]);
    for process in [&mut first, &mut second] {
        process.signal(Signal::TERM);
        assert_eq!(process.wait().status, 143);
    }
}

#[test]
fn more_processes_than_partitions_wait_for_their_turn() {
    World::each(|world| {
        subscribed(world, 2);
        let mut processes: Vec<_> = (0..3).map(|_| consumer(world, 2, "2s")).collect();
        wait_shared(world, &[1, 1]);
        let waits = |process: &Running| !process.stderr_so_far().contains("consuming p:");
        let ends = processes.iter().position(|process| !waits(process)).unwrap();
        processes[ends].signal(Signal::TERM);
        processes.remove(ends).wait();
        wait_shared(world, &[1, 1]);
        for process in &mut processes {
            process.signal(Signal::TERM);
            assert_eq!(process.wait().status, 143);
        }
    });
}

#[test]
fn only_streams_that_both_read_are_shared() {
    World::each(|world| {
        subscribed(world, 4);
        let mut all = consumer(world, 4, "2s");
        wait_shared(world, &[4]);
        let mut one = world.program("consume p:0 -g g --exclusive --lease 2s").spawn();
        wait_shared(world, &[1, 3]);
        for process in [&mut all, &mut one] {
            process.signal(Signal::TERM);
            assert_eq!(process.wait().status, 143);
        }
    });
}

#[test]
fn a_lease_goes_where_its_slot_goes() {
    let cluster = Cluster::start();
    let world = World::Three(cluster);
    let World::Three(cluster) = &world else { return };
    subscribed(&world, 1);
    let mut first = consumer(&world, 1, "2s");
    wait_shared(&world, &[1]);
    let mut second = consumer(&world, 1, "2s");
    second.wait_stderr("waiting for its turn");
    let mut expected = 0;
    for _ in 0..3 {
        let (slot, from) = (cluster.slot("p:0"), cluster.node_of("p:0"));
        let to = cluster
            .masters()
            .into_iter()
            .find(|node| !std::ptr::eq(*node, from))
            .unwrap();
        for step in 0..2 {
            expected += 1;
            world
                .node_of("p:0")
                .add_message("p:0", &format!("{expected}-0"), "n", "1");
            assert_eq!(super::number(&first.line()), expected);
            if step == 0 {
                cluster.move_slots(slot..=slot, to);
            }
        }
    }
    first.signal(Signal::TERM);
    assert_eq!(first.wait().status, 143);
    world.node_of("p:0").add_message("p:0", "100-0", "n", "1");
    assert_eq!(super::number(&second.line()), 100);
    second.signal(Signal::TERM);
    assert_eq!(second.wait().status, 143);
    assert!(world.node_of("p:0").is_settled("p:0", "g"));
}

#[test]
fn a_stream_whose_lease_would_be_in_another_slot_is_refused() {
    let cluster = Cluster::start();
    cluster
        .node_of("a}b")
        .cli(["XGROUP", "CREATE", "a}b", "g", "0", "MKSTREAM"]);
    let run = Test::new(&cluster.nodes()[0]).args(["consume", "a}b", "-g", "g", "--exclusive"]);
    run.status(1)
        .stderr_has(["stream 'a}b' can have no lease", "hint: "])
        .run();
}

#[test]
fn jobs_are_for_all_partitions_and_one_for_each() {
    World::each(|world| {
        subscribed(world, 4);
        for name in names(4) {
            world.node_of(&name).add_numbered(&name, 5);
        }
        let script = "echo $REDIS_STREAMER_STREAM $REDIS_STREAMER_ID >> log; \
             mkdir busy-$REDIS_STREAMER_STREAM || echo busy >> log; sleep 0.01; rmdir busy-$REDIS_STREAMER_STREAM";
        let run = world.program("consume p:{0..3} -g g --exclusive -e --jobs 3 -- sh -c");
        run.arg(script).stderr_any().run();
        let log = world.server().lines("log");
        for name in names(4) {
            let of = log.iter().filter_map(|line| line.strip_prefix(&format!("{name} ")));
            assert_eq!(of.collect::<Vec<_>>(), ["1-0", "2-0", "3-0", "4-0", "5-0"]);
        }
        assert_eq!(log.len(), 20, "{log:?}");
    });
}

#[test]
fn all_partitions_are_read_to_their_end_by_all_together() {
    World::each(|world| {
        subscribed(world, 6);
        for name in names(6) {
            world.node_of(&name).add_numbered(&name, 50);
        }
        let options = "consume p:{0..5} -g g --exclusive --lease 2s -e -v";
        let mut processes: Vec<_> = (0..3).map(|_| world.program(options).spawn()).collect();
        let outputs: Vec<_> = processes.iter_mut().map(Running::wait).collect();
        let printed: usize = outputs.iter().map(|output| output.stdout().lines().count()).sum();
        assert!(outputs.iter().all(|output| output.status == 0));
        assert_eq!(printed, 300);
        wait_until("nothing to be left", || {
            names(6).all(|name| world.node_of(&name).is_settled(&name, "g"))
        });
    });
}
