//! A rate, kept.

use std::num::NonZeroU32;
use std::thread;
use std::time::{Duration, Instant};

/// Keeps a rate: steps of a twentieth of a second, each at its time.
pub struct Pace {
    /// How many are sent at a time at most.
    pub step: usize,
    each: Duration,
    next: Instant,
}

impl Pace {
    pub fn new(rate: NonZeroU32) -> Self {
        Self {
            step: (rate.get() / 20).max(1) as usize,
            each: Duration::from_secs(1) / rate.get(),
            next: Instant::now(),
        }
    }

    /// Waits for the time of so many. Time lost to slow input is not made up for by a burst.
    pub fn wait(&mut self, count: usize) {
        let now = Instant::now();
        if self.next > now {
            thread::sleep(self.next - now);
        }
        self.next = self.next.max(now) + self.each * u32::try_from(count).unwrap_or(u32::MAX);
    }
}
