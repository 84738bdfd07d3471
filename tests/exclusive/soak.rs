//! Partitions shared by processes that are killed, stopped, told to end and added at random: each message is done, and the
//! first time that each is done comes in the order of its stream.
#![allow(clippy::print_stdout, reason = "the report of a long run")]

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::harness::{Change, Changing, DEADLINE, Dice, Running, Signal, wait_until};
use crate::partitions::{World, names};

const PARTITIONS: usize = 16;
const KEYS: usize = 1000;

/// How much is done, and for how long.
#[derive(Clone, Copy)]
struct Size {
    messages: usize,
    /// How many are sent in a second.
    rate: usize,
}

#[derive(Debug, Default)]
struct Counts {
    killed: usize,
    ended: usize,
    stopped: usize,
    added: usize,
    masters_replaced: usize,
    slots_moved: usize,
    done_again: usize,
}

/// A process, and until when it is stopped, if it is.
struct Process {
    running: Running,
    is_stopped: bool,
}

struct Run<'w> {
    world: &'w World,
    size: Size,
}

/// What stays and notes each message in the order in which they are done, by all.
const WORKER: &str = "exec 3>>done; while read -r line; do echo \"$line\" >&3; echo ok; done";

impl Run<'_> {
    fn start(world: &World, size: Size) -> Run<'_> {
        let line = |n: usize| format!("{{\"key\":\"k{}\",\"n\":{n}}}\n", n * 7 % KEYS);
        let input = (1..=size.messages).map(line).collect::<String>();
        world.server().file("in", input);
        world.program("subscribe p:{0..15} -g g").stderr_any().run();
        Run { world, size }
    }

    fn consumer(&self) -> Process {
        let options = "consume p:{0..15} -g g --exclusive --lease 1s --reconnect-for 1h --wait 1m --jobs 8 \
             --worker -- bash -c";
        Process {
            running: self.world.program(options).arg(WORKER).spawn(),
            is_stopped: false,
        }
    }

    fn is_settled(&self) -> bool {
        names(PARTITIONS).all(|name| self.world.node_of(&name).is_settled(&name, "g"))
    }

    fn carry_out(&self, seed: u64) -> Counts {
        let mut dice = Dice::seeded(seed);
        // What was sent is to be there, whichever master goes.
        let safely = match self.world {
            World::Changing(_) => "--wait-replicas 1 --wait-timeout 1m --wait 1m",
            World::One(_) | World::Three(_) => "",
        };
        let send = format!(
            "send-batch p:{{0..15}} in --name n --key /body/key -q --rate {} {safely}",
            self.size.rate
        );
        let mut sending = self.world.program(&send).spawn();
        let mut counts = Counts::default();
        let mut processes: Vec<_> = (0..4).map(|_| self.consumer()).collect();
        let (mut changes_dice, is_sent) = (dice.fork(), AtomicBool::new(false));
        let (replaced, moved) = std::thread::scope(|scope| {
            let changing = scope.spawn(|| self.change(&mut changes_dice, &is_sent));
            // Whatever becomes of the processes, the changes are to end.
            let told = Told(&is_sent);
            while !sending.has_ended() {
                std::thread::sleep(dice.millis(100, 700));
                self.disturb(&mut processes, &mut dice, &mut counts);
            }
            drop(told);
            changing.join().unwrap()
        });
        (counts.masters_replaced, counts.slots_moved) = (replaced, moved);
        let sent = sending.wait();
        assert_eq!(sent.status, 0, "{}", sent.stderr());
        for process in &mut processes {
            go_on(process);
        }
        self.finish(&processes);
        for mut process in processes {
            process.running.signal(Signal::TERM);
            let output = process.running.wait();
            assert_eq!(output.status, 143, "{}", output.stderr());
        }
        counts.done_again = self.check();
        counts
    }

    /// Replaces masters and moves slots until all is sent, where that can be. Says how many of each.
    fn change(&self, dice: &mut Dice, is_sent: &AtomicBool) -> (usize, usize) {
        let World::Changing(changing) = self.world else {
            return (0, 0);
        };
        let (mut replaced, mut moved) = (0, 0);
        while !is_sent.load(Ordering::SeqCst) {
            std::thread::sleep(dice.millis(500, 3000));
            let change = match changing {
                Changing::Cluster(_) => dice.pick(&[Change::Kill, Change::Stop, Change::Switch, Change::Move]),
                Changing::Sentinels(_) => dice.pick(&[Change::Kill, Change::Stop, Change::Switch]),
            };
            changing.change(change, &format!("p:{}", dice.between(0, PARTITIONS)));
            match change {
                Change::Move => moved += 1,
                Change::Kill | Change::Stop | Change::Switch => replaced += 1,
            }
        }
        (replaced, moved)
    }

    /// Waits until all is done, as long as more and more is.
    fn finish(&self, processes: &[Process]) {
        let done = || std::fs::metadata(self.world.server().work().join("done")).map_or(0, |log| log.len());
        let (mut last, mut since) = (done(), Instant::now());
        while !self.is_settled() {
            if done() > last {
                (last, since) = (done(), Instant::now());
            }
            let said = || {
                processes
                    .iter()
                    .map(|process| process.running.stderr_so_far())
                    .collect::<Vec<_>>()
            };
            assert!(since.elapsed() < DEADLINE, "nothing more is done; {:#?}", said());
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    /// Does something to one of the processes, of which there are two to six.
    fn disturb(&self, processes: &mut Vec<Process>, dice: &mut Dice, counts: &mut Counts) {
        let place = dice.between(0, processes.len());
        let is_new = processes.len() < 3 || processes.len() < 6 && dice.one_in(3);
        if is_new {
            counts.added += 1;
            return processes.push(self.consumer());
        }
        let mut process = processes.swap_remove(place);
        assert!(!process.running.has_ended(), "{}", process.running.stderr_so_far());
        match dice.between(0, 4) {
            0 => {
                go_on(&mut process);
                process.running.signal(Signal::TERM);
                let output = process.running.wait();
                assert_eq!(output.status, 143, "{}", output.stderr());
                counts.ended += 1;
            }
            1 => {
                process.running.kill9_alone();
                counts.killed += 1;
            }
            _ if process.is_stopped => {
                go_on(&mut process);
                processes.push(process);
            }
            _ => {
                process.running.signal(Signal::STOP);
                process.is_stopped = true;
                counts.stopped += 1;
                processes.push(process);
            }
        }
    }

    /// All are done, the first time in the order of their stream and of their key; how many were done more than once. What a
    /// master took along is done, too, and again where it was sent again.
    fn check(&self) -> usize {
        let log = self.world.server().lines("done");
        let mut firsts: HashMap<String, Vec<String>> = HashMap::new();
        let (mut seen, mut bodies, mut last) = (HashSet::new(), HashSet::new(), HashMap::new());
        for line in &log {
            let (stream, id) = (value(line, "stream"), value(line, "id"));
            if seen.insert((stream.clone(), id.clone())) {
                firsts.entry(stream).or_default().push(id);
            }
            let (key, n) = (value(line, "key"), number(line));
            if bodies.insert(n) {
                let before = last.insert(key.clone(), n).unwrap_or(0);
                assert!(before < n, "{key}: {n} is behind {before}");
            }
        }
        assert_eq!(bodies.len(), self.size.messages);
        for name in names(PARTITIONS) {
            let ids = self.world.node_of(&name).ids(&name);
            let is_there: HashSet<&String> = ids.iter().collect();
            let mut done = firsts.remove(&name).unwrap_or_default();
            done.retain(|id| is_there.contains(id));
            let differs = ids.iter().zip(&done).position(|(id, done)| id != done);
            assert_eq!(
                (differs, done.len()),
                (None, ids.len()),
                "{name}: out of order, or not all"
            );
        }
        log.len() - self.size.messages
    }
}

/// Tells that all is sent as it goes.
struct Told<'a>(&'a AtomicBool);

impl Drop for Told<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

fn go_on(process: &mut Process) {
    if std::mem::replace(&mut process.is_stopped, false) {
        process.running.signal(Signal::CONT);
    }
}

/// A string of a line.
fn value(line: &str, name: &str) -> String {
    let (_, rest) = line.split_once(&format!("\"{name}\":\"")).unwrap();
    rest.split('"').next().unwrap().to_owned()
}

/// Which message a line is.
fn number(line: &str) -> usize {
    let (_, rest) = line.split_once("\"n\":").unwrap();
    rest.split('}').next().unwrap().parse().unwrap()
}

#[test]
fn each_key_is_done_in_order_whoever_comes_and_goes() {
    let seed = std::env::var("FAULT_SEED").map_or(1, |text| text.parse().unwrap());
    World::each(|world| {
        let size = Size {
            messages: 3000,
            rate: 700,
        };
        let counts = Run::start(world, size).carry_out(seed);
        assert!(counts.killed + counts.ended + counts.stopped > 0);
        wait_until("no lease to be left", || {
            names(PARTITIONS).all(|name| {
                let lease = format!("redis-streamer:lease:{{{name}}}:g");
                world.node_of(&name).cli(["EXISTS", &lease]) == "0"
            })
        });
    });
}

const LONG: Size = Size {
    messages: 100_000,
    rate: 1700,
};

/// The seeds of a long run.
fn seeds() -> std::ops::Range<u64> {
    let number = |name: &str, default| std::env::var(name).map_or(default, |text| text.parse().unwrap());
    let (runs, first) = (number("FAULT_RUNS", 10), number("FAULT_SEED", 1));
    first..first + runs
}

fn carry_out_long(world: &World, seed: u64, place: &str) {
    let counts = Run::start(world, LONG).carry_out(seed);
    println!("seed {seed}, {place}: 100000 messages by 1000 keys in 16 partitions, all done, in order; {counts:?}");
}

#[test]
#[ignore = "takes as long as it is told: scripts/soak --exclusive N"]
fn soak() {
    for seed in seeds() {
        World::each(|world| match world {
            World::Three(_) => carry_out_long(world, seed, "a cluster"),
            World::One(_) | World::Changing(_) => carry_out_long(world, seed, "a server"),
        });
    }
}

#[test]
#[ignore = "takes as long as it is told: scripts/soak --failovers N"]
fn failovers() {
    for seed in seeds() {
        match seed % 2 {
            1 => carry_out_long(&World::Changing(Changing::cluster()), seed, "masters with replicas"),
            _ => carry_out_long(&World::Changing(Changing::sentinels()), seed, "behind sentinels"),
        }
    }
}
