//! Random runs with fixed seeds: one seed draws the job, the input and all faults, and what came out is held against
//! the promises.
//!
//! `producer` and `consumer` are the two kinds of run, `world` is what happens to them. `FAULT_SEED=n` runs one seed
//! alone; `scripts/soak --runs N` many. Timing is left to the machine: a seed repeats the faults, not every interleaving.
#![allow(clippy::print_stdout, reason = "the report of a long run")]

mod check;
mod consumer;
mod input;
mod producer;
mod receipts;
mod world;

use std::any::Any;
use std::fmt::Debug;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

/// Nothing, or the first promise that was broken.
type Verdict = Result<(), String>;

/// What was done, over many runs.
#[derive(Default, Debug)]
struct Counts {
    runs: AtomicU64,
    lines: AtomicU64,
    messages: AtomicU64,
    cuts: AtomicU64,
    server_faults: AtomicU64,
    kills: AtomicU64,
    others: AtomicU64,
    unknown_ids: AtomicU64,
    gave_up: AtomicU64,
}

fn add(count: &AtomicU64, more: usize) {
    count.fetch_add(more as u64, Ordering::Relaxed);
}

/// Runs these seeds, several at a time; returns what they violated.
fn run_all(seeds: impl Iterator<Item = u64> + Send, counts: &Counts) -> Vec<String> {
    let seeds = Mutex::new(seeds);
    let violations = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                loop {
                    let Some(seed) = seeds.lock().unwrap().next() else {
                        return;
                    };
                    if let Err(violation) = run(seed, counts) {
                        println!("{violation}");
                        violations.lock().unwrap().push(violation);
                    }
                }
            });
        }
    });
    violations.into_inner().unwrap()
}

/// One run; of three seeds in a row, two send and one consumes.
fn run(seed: u64, counts: &Counts) -> Verdict {
    add(&counts.runs, 1);
    match seed % 3 {
        2 => consumer::run(seed, counts),
        _ => producer::run(seed, counts),
    }
}

/// Carries a run out; a violation says what was drawn, and a wait in vain is one, too.
fn carry_out(seed: u64, config: &impl Debug, run: impl FnOnce() -> Verdict) -> Verdict {
    let verdict = catch_unwind(AssertUnwindSafe(run)).unwrap_or_else(|panic| Err(words(&*panic)));
    verdict.map_err(|violation| format!("FAULT_SEED={seed}: {violation}\n{config:?}\n"))
}

fn words(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().cloned();
    text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()))
        .unwrap_or_else(|| "a panic without words".to_owned())
}

/// The seed that is to be run alone.
fn chosen() -> Option<u64> {
    number("FAULT_SEED")
}

fn number(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{name} is a number")))
}

/// The ordinary test run: as many seeds as take less than a minute.
const SEEDS: std::ops::RangeInclusive<u64> = 1..=120;

#[test]
fn random_runs_keep_the_promises() {
    let counts = Counts::default();
    let seeds = chosen().map_or(SEEDS, |seed| seed..=seed);
    let violations = run_all(seeds, &counts);
    assert!(
        violations.is_empty(),
        "{} violations, above; the first:\n{}",
        violations.len(),
        violations[0]
    );
}

#[test]
#[ignore = "takes as long as it is told: scripts/soak --runs N"]
fn soak() {
    let counts = Counts::default();
    let runs = number("FAULT_RUNS").unwrap_or(100);
    let first = chosen().unwrap_or(1000);
    let violations = run_all(first..first + runs, &counts);
    let count = |count: &AtomicU64| count.load(Ordering::Relaxed);
    println!(
        "{} runs from seed {first}: {} lines sent, {} messages consumed; {} connections cut, {} faults of servers, \
         {} programs killed or told to end, {} acts of others; {} receipts without an ID, {} sendings that named \
         lines and gave up; {} violations",
        count(&counts.runs),
        count(&counts.lines),
        count(&counts.messages),
        count(&counts.cuts),
        count(&counts.server_faults),
        count(&counts.kills),
        count(&counts.others),
        count(&counts.unknown_ids),
        count(&counts.gave_up),
        violations.len()
    );
    assert!(violations.is_empty(), "promises were broken, see above");
}
