//! Handlers for the messages of partitions: `--jobs` are for all of them together.

use super::{World, names};
use crate::harness::{Signal, wait_until};

/// Four partitions with a group for a listener and so many messages each.
fn filled(world: &World, count: usize) {
    world
        .program("subscribe p:{0..3} -l l --from beginning")
        .stderr_any()
        .run();
    for name in names(4) {
        world.node_of(&name).add_numbered(&name, count);
    }
}

fn pending(world: &World) -> usize {
    let of = |name: String| world.node_of(&name).pending(&name, &format!("{name}:l:cg")).len();
    names(4).map(of).sum()
}

/// How many messages were handed back for others to claim at once.
fn handed_back(world: &World) -> usize {
    let of = |name: String| {
        let group = format!("{name}:l:cg");
        let idle = ["XPENDING", &name, &group, "IDLE", "3600000", "-", "+", "9"];
        usize::from(!world.node_of(&name).cli(idle).is_empty())
    };
    names(4).map(of).sum()
}

/// The most handlers that were at work together, by what each wrote as it began and ended.
fn most_at_once(log: &[String]) -> i32 {
    let mut running = 0;
    let steps = log.iter().map(|line| if line == "+" { 1 } else { -1 });
    steps.fold(0, |most, step| {
        running += step;
        most.max(running)
    })
}

const HANDLER: &str = "echo + >> log; sleep 0.01; echo - >> log";

#[test]
fn jobs_are_shared_by_all_partitions() {
    World::each(|world| {
        filled(world, 30);
        let run = world.program("consume p:{0..3} -l l -e --jobs 3 -- sh -c");
        run.arg(HANDLER).stderr_any().run();
        let log = world.server().lines("log");
        assert_eq!(log.iter().filter(|line| *line == "+").count(), 120);
        let most = most_at_once(&log);
        assert!((1..=3).contains(&most), "{most} at once");
        assert_eq!(pending(world), 0);
    });
}

#[test]
fn a_single_job_serves_all_partitions() {
    World::each(|world| {
        filled(world, 10);
        let run = world.program("consume p:{0..3} -l l -n 25 --jobs 1 -- sh -c");
        run.arg(HANDLER).stderr_any().run();
        let log = world.server().lines("log");
        assert_eq!((log.len(), most_at_once(&log)), (50, 1));
        assert_eq!(pending(world), 0);
    });
}

#[test]
fn failed_messages_wait_for_a_job_like_others() {
    World::each(|world| {
        filled(world, 5);
        let options = "--retry-delay 10ms --max-deliveries 3 --dead-letter dead";
        let run = world.program(&format!("consume p:{{0..3}} -l l -e --jobs 2 {options} -- sh -c"));
        let handler = format!("{HANDLER}; exit 1");
        run.arg(handler).status(1).stderr_any().run();
        let log = world.server().lines("log");
        assert_eq!(log.iter().filter(|line| *line == "+").count(), 60);
        assert!(most_at_once(&log) <= 2);
        assert_eq!(world.node_of("dead").cli(["XLEN", "dead"]), "20");
        assert_eq!(pending(world), 0);
    });
}

#[test]
fn a_signal_ends_those_that_wait_for_a_job() {
    World::each(|world| {
        filled(world, 5);
        let run = world.program("consume p:{0..3} -l l --jobs 1 -- sh -c");
        let mut running = run
            .arg("echo + >> log; while [ ! -e go ]; do sleep 0.01; done; echo - >> log")
            .spawn();
        // Each partition has read one; one of them is handled.
        wait_until("a message of each partition to be read", || pending(world) == 4);
        wait_until("a handler to run", || world.server().lines("log").len() == 1);
        running.signal(Signal::TERM);
        wait_until("those that waited to hand back what they had", || {
            handed_back(world) == 3
        });
        world.server().file("go", "");
        assert_eq!(running.wait().status, 128 + Signal::TERM.as_raw());
        assert_eq!(world.server().lines("log"), ["+", "-"]);
        // The others were handed back, not handled.
        assert_eq!(pending(world), 3);
        for name in names(4) {
            let of = |id: &String| id == "1-0";
            let left = world.node_of(&name).pending(&name, &format!("{name}:l:cg"));
            assert!(left.iter().all(of), "{left:?}");
        }
    });
}
