//! Pauses between attempts to reach a server again.

use std::time::{Duration, Instant};

use crate::streamer::random::random;

/// The first pause, and the longest. The longest is short enough that a server which is back is used at once.
const FIRST: Duration = Duration::from_millis(20);
const LONGEST: Duration = Duration::from_secs(1);

/// Doubling pauses with jitter, within a time limit.
#[derive(Clone, Debug)]
pub struct Backoff {
    deadline: Instant,
    pause: Duration,
}

impl Backoff {
    /// Begins now and ends after `limit`.
    pub fn new(limit: Duration) -> Self {
        let now = Instant::now();
        Self {
            // A limit beyond what the clock can hold is no limit within a lifetime.
            deadline: now
                .checked_add(limit)
                .unwrap_or(now + Duration::from_secs(u32::MAX.into())),
            pause: FIRST,
        }
    }

    /// How long to pause before the next attempt; `None` when the time is up.
    pub fn next_pause(&mut self) -> Option<Duration> {
        let left = self.deadline.checked_duration_since(Instant::now())?;
        let pause = jittered(self.pause);
        self.pause = (self.pause * 2).min(LONGEST);
        Some(pause.min(left))
    }
}

/// Between half of a duration and all of it, so that many clients of one server do not return in step.
pub fn jittered(duration: Duration) -> Duration {
    duration.mul_f64(0.5 + 0.5 * f64::from(random() as u32) / f64::from(u32::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_the_longest_and_end_with_the_limit() {
        let mut backoff = Backoff::new(Duration::from_secs(3600));
        let pauses: Vec<_> = std::iter::from_fn(|| backoff.next_pause()).take(12).collect();
        assert!(pauses[0] <= FIRST && pauses[0] >= FIRST / 2, "{pauses:?}");
        assert!(pauses[11] <= LONGEST && pauses[11] >= LONGEST / 2, "{pauses:?}");
        assert_eq!(
            Backoff::new(Duration::ZERO).next_pause().unwrap_or_default(),
            Duration::ZERO
        );
    }
}
