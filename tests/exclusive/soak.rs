//! Partitions shared by processes that are killed, stopped, told to end and added at random: each message is done, and the
//! first time that each is done comes in the order of its stream.
#![allow(clippy::print_stdout, reason = "the report of a long run")]

use std::collections::HashMap;
use std::time::{Duration, Instant};

use crate::harness::{DEADLINE, Dice, Running, Signal, wait_until};
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
        let options = "consume p:{0..15} -g g --exclusive --lease 1s --reconnect-for 1h --jobs 8 --worker -- bash -c";
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
        let send = format!(
            "send-batch p:{{0..15}} in --name n --key /body/key -q --rate {}",
            self.size.rate
        );
        let mut sending = self.world.program(&send).spawn();
        let mut counts = Counts::default();
        let mut processes: Vec<_> = (0..4).map(|_| self.consumer()).collect();
        while !sending.has_ended() {
            std::thread::sleep(dice.millis(100, 700));
            self.disturb(&mut processes, &mut dice, &mut counts);
        }
        assert_eq!(sending.wait().status, 0);
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

    /// All are done, the first time in order; how many were done more than once.
    fn check(&self) -> usize {
        let log = self.world.server().lines("done");
        let mut firsts: HashMap<String, Vec<String>> = HashMap::new();
        let mut seen = std::collections::HashSet::new();
        for line in &log {
            let (stream, id) = (value(line, "stream"), value(line, "id"));
            if seen.insert((stream.clone(), id.clone())) {
                firsts.entry(stream).or_default().push(id);
            }
        }
        let mut sum = 0;
        for name in names(PARTITIONS) {
            let ids = self.world.node_of(&name).ids(&name);
            let done = firsts.remove(&name).unwrap_or_default();
            let differs = ids.iter().zip(&done).position(|(id, done)| id != done);
            assert_eq!(
                (differs, done.len()),
                (None, ids.len()),
                "{name}: out of order, or not all"
            );
            sum += ids.len();
        }
        assert_eq!(sum, self.size.messages);
        log.len() - sum
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

#[test]
#[ignore = "takes as long as it is told: scripts/soak --exclusive N"]
fn soak() {
    let number = |name: &str, default| std::env::var(name).map_or(default, |text| text.parse().unwrap());
    let (runs, first) = (number("FAULT_RUNS", 10), number("FAULT_SEED", 1));
    for seed in first..first + runs {
        World::each(|world| {
            let size = Size {
                messages: 100_000,
                rate: 1700,
            };
            let counts = Run::start(world, size).carry_out(seed);
            let where_ = match world {
                World::One(_) => "a server",
                World::Three(_) => "a cluster",
            };
            println!(
                "seed {seed}, {where_}: 100000 messages by 1000 keys in 16 partitions, all done, in order; {counts:?}"
            );
        });
    }
}
