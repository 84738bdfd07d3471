//! Panics of threads that nobody joins: the test has to fail of them, too.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Whether there was one; all clones know.
#[derive(Clone, Default)]
pub struct Panics(Arc<AtomicBool>);

impl Panics {
    /// Runs what may panic.
    pub fn note<T>(&self, run: impl FnOnce() -> T) -> T {
        catch_unwind(AssertUnwindSafe(run)).unwrap_or_else(|panic| {
            self.0.store(true, Ordering::SeqCst);
            resume_unwind(panic)
        })
    }

    /// Fails the test if there was one: for whoever started the threads, when it is dropped.
    pub fn assert_none(&self) {
        let is_told = std::thread::panicking();
        assert!(
            is_told || !self.0.load(Ordering::SeqCst),
            "a thread panicked, see above"
        );
    }
}
