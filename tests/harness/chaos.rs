//! Chance that can be repeated: every fault of a test is drawn from one seed, which a failure prints.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Random numbers from the seed in `$FAULT_SEED`, or from the clock.
pub struct Dice {
    seed: u64,
    state: u64,
}

impl Dice {
    pub fn new() -> Self {
        let seed = match std::env::var("FAULT_SEED") {
            Ok(text) => text.parse().expect("FAULT_SEED is a number"),
            Err(_) => u64::from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().subsec_nanos()),
        };
        Self::seeded(seed)
    }

    pub fn seeded(seed: u64) -> Self {
        Self { seed, state: seed }
    }

    pub fn seed(&self) -> u64 {
        self.seed
    }

    /// Dice for another thread, from the same seed.
    pub fn fork(&mut self) -> Self {
        Self {
            seed: self.seed,
            state: self.next(),
        }
    }

    /// A number from `from` up to, and not including, `to`.
    pub fn between(&mut self, from: usize, to: usize) -> usize {
        from + (self.next() % (to - from) as u64) as usize
    }

    /// Whether one case in so many is at hand.
    pub fn one_in(&mut self, cases: usize) -> bool {
        self.between(0, cases) == 0
    }

    /// One of these.
    pub fn pick<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.between(0, choices.len())]
    }

    /// A number below `limit`, of any size: as often below a tenth of it as above.
    pub fn of_any_size(&mut self, limit: usize) -> usize {
        let bits = self.between(1, limit.ilog2() as usize + 2);
        self.between(0, (1 << bits).min(limit))
    }

    /// A time of so many milliseconds.
    pub fn millis(&mut self, from: usize, to: usize) -> Duration {
        Duration::from_millis(self.between(from, to) as u64)
    }

    /// SplitMix64.
    fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.state ^ (self.state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}

impl Drop for Dice {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("--- to repeat these faults: FAULT_SEED={}", self.seed);
        }
    }
}
