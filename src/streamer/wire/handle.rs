//! A connection in the hands of whoever may find that it leads to the wrong server.

use std::sync::atomic::{AtomicBool, Ordering};

use super::transport::Breaker;

#[derive(Debug)]
pub struct Handle {
    breaker: Breaker,
    is_abandoned: AtomicBool,
}

impl Handle {
    pub(super) fn new(breaker: Breaker) -> Self {
        Self {
            breaker,
            is_abandoned: AtomicBool::new(false),
        }
    }

    /// Breaks the connection: whoever uses it learns that its server is not the master any more.
    pub fn abandon(&self) {
        self.is_abandoned.store(true, Ordering::Release);
        self.breaker.break_now();
    }

    pub(super) fn is_abandoned(&self) -> bool {
        self.is_abandoned.load(Ordering::Acquire)
    }
}
