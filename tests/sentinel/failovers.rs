//! Masters that die, hang or are replaced in the middle of the work. A master that hung, or was replaced while it was
//! well, goes on answering for a while, and what it takes is lost.

use super::{program, small};
use crate::harness::{Dice, Running, Sentinels, Server, Test, wait_until};

/// How the master loses its place.
#[derive(Clone, Copy, Debug)]
enum Loss {
    Killed,
    /// Stopped until it is replaced; then it goes on.
    Stopped,
    /// Replaced while it is well.
    Switched,
}

impl Loss {
    fn happen(self, all: &Sentinels) {
        match self {
            Self::Killed => drop(all.fail_over(Server::kill9)),
            Self::Stopped => {
                let old = all.master();
                all.fail_over(Server::pause);
                old.resume();
            }
            Self::Switched => drop(all.switch()),
        }
    }
}

/// How many runs of each kind.
fn runs() -> u64 {
    let runs = std::env::var("SENTINEL_RUNS");
    runs.map_or(2, |runs| runs.parse().expect("SENTINEL_RUNS is a number"))
}

/// Runs from seeds of their own, two at a time: most of the time they wait for elections.
fn each_seed(run: impl Fn(&mut Dice) + Sync) {
    let first = Dice::new().seed();
    let seeds: Vec<u64> = (0..runs()).map(|run| first.wrapping_add(run)).collect();
    for seeds in seeds.chunks(2) {
        std::thread::scope(|scope| {
            for seed in seeds {
                let run = &run;
                scope.spawn(move || {
                    let told = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| run(&mut Dice::seeded(*seed))));
                    if let Err(panic) = told {
                        eprintln!("FAULT_SEED={seed}");
                        std::panic::resume_unwind(panic);
                    }
                });
            }
        });
    }
}

/// A file of so many bodies; the bodies.
fn input(all: &Sentinels, count: usize) -> Vec<String> {
    let body = |n: usize| format!("{{\"n\":{n},\"pad\":\"{}\"}}", "x".repeat(n % 90));
    let bodies: Vec<_> = (1..=count).map(body).collect();
    all.servers()[0].file("input.jsonl", bodies.join("\n") + "\n");
    bodies
}

fn send_batch(all: &Sentinels, rate: usize) -> Test {
    let rate = rate.to_string();
    program(all).args(["send-batch", "s", "input.jsonl", "--name", "n", "--rate", &rate])
}

/// Waits until so much is sent.
fn wait_length(server: &Server, sending: &mut Running, length: usize) {
    wait_until("lines in the stream", || {
        assert!(!sending.has_ended(), "it has ended: {}", sending.stderr_so_far());
        server.cli(["XLEN", "s"]).parse::<usize>().unwrap() >= length
    });
}

/// The new master has the input, and no marker is left.
fn assert_sent(all: &Sentinels, bodies: &[String]) {
    let master = all.master();
    let found = master.bodies("s");
    let differs = found.iter().zip(bodies).position(|(found, sent)| found != sent);
    assert!(
        found == bodies,
        "{} entries of {}, different from number {differs:?} on",
        found.len(),
        bodies.len()
    );
    assert_eq!(master.cli(["KEYS", "redis-streamer:*"]), "");
}

fn sending_survives(loss: Loss) {
    each_seed(|dice| {
        let all = small(3);
        let count = dice.between(10_000, 40_000);
        let bodies = input(&all, count);
        let mut sending = send_batch(&all, dice.between(count / 4, count)).spawn();
        wait_length(all.master(), &mut sending, dice.between(1, count * 3 / 4));
        loss.happen(&all);
        let output = sending.wait();
        assert_eq!(output.status, 0, "{}", output.stderr());
        all.wait_settled();
        assert_sent(&all, &bodies);
    });
}

#[test]
fn a_file_is_sent_whole_though_the_master_is_killed() {
    sending_survives(Loss::Killed);
}

#[test]
fn a_file_is_sent_whole_though_the_master_is_stopped_and_comes_back() {
    sending_survives(Loss::Stopped);
}

#[test]
fn a_file_is_sent_whole_though_the_master_is_replaced() {
    sending_survives(Loss::Switched);
}
