//! Waiting for a condition, with a deadline.

use std::time::{Duration, Instant};

/// How long any single thing may take before a test fails: generous, since it is only reached by failures.
pub const DEADLINE: Duration = Duration::from_secs(20);

/// How often a condition is looked at.
pub const POLL: Duration = Duration::from_millis(3);

/// Returns once `condition` holds; panics, naming `what`, when it does not in time.
#[track_caller]
pub fn wait_until(what: &str, condition: impl FnMut() -> bool) {
    wait(DEADLINE, POLL, what, condition);
}

/// As `wait_until`, for what takes seconds, of several servers, and is dear to look at.
#[track_caller]
pub fn wait_long(what: &str, condition: impl FnMut() -> bool) {
    wait(3 * DEADLINE, 5 * POLL, what, condition);
}

#[track_caller]
fn wait(deadline: Duration, poll: Duration, what: &str, mut condition: impl FnMut() -> bool) {
    let start = Instant::now();
    while !condition() {
        assert!(start.elapsed() < deadline, "waited in vain: {what}");
        std::thread::sleep(poll);
    }
}
