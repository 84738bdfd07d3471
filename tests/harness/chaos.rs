//! Chance that can be repeated: every fault of a test is drawn from one seed, which a failure prints.

use std::time::{SystemTime, UNIX_EPOCH};

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
