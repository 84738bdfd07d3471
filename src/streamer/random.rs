//! Random numbers, for names that nothing else has and for pauses out of step.

use std::hash::{BuildHasher, Hasher, RandomState};

/// A number that differs from call to call and from process to process; no secret.
pub fn random() -> u64 {
    RandomState::new().build_hasher().finish()
}
