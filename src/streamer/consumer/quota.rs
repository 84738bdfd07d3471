//! How many messages may still be taken, by all who consume together.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// A number of messages that several members share.
#[derive(Clone, Debug)]
pub struct Quota(Option<Arc<AtomicUsize>>);

impl Quota {
    /// So many, or no limit.
    pub fn new(most: Option<usize>) -> Self {
        Self(most.map(|most| Arc::new(AtomicUsize::new(most))))
    }

    /// Takes one; false when none is left.
    pub fn take(&self) -> bool {
        let Some(left) = &self.0 else {
            return true;
        };
        left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1))
            .is_ok()
    }

    /// Gives one back: somebody else has it now.
    pub fn give_back(&self) {
        if let Some(left) = &self.0 {
            left.fetch_add(1, Ordering::SeqCst);
        }
    }

    /// How many are left, at most `most`.
    pub fn left(&self, most: usize) -> usize {
        self.0
            .as_ref()
            .map_or(most, |left| left.load(Ordering::SeqCst).min(most))
    }

    pub fn is_used_up(&self) -> bool {
        self.left(1) == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quota_is_never_overdrawn() {
        let quota = Quota::new(Some(2));
        assert_eq!(
            (quota.take(), quota.left(9), quota.take(), quota.take()),
            (true, 1, true, false)
        );
        assert_eq!(Quota::new(None).left(9), 9);
    }
}
