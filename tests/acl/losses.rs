//! What is needed and used after a lost connection.

use super::{GONE, LOST_IDS};

/// The rows that are for lost connections alone.
pub const ROWS: [&str; 3] = [LOST_IDS, GONE, LOST_RESERVATION];

const LOST_RESERVATION: &str = "consume in a group — --dedup, after a lost connection";
