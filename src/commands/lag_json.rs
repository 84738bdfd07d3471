//! A lag in JSON: the same in every document.

use serde::Serialize;

use crate::streamer::Lag;

#[derive(Serialize)]
pub struct LagJson {
    /// Null where nobody knows.
    lag: Option<u64>,
    /// Whether there may be more.
    lag_is_lower_bound: bool,
}

impl From<Lag> for LagJson {
    fn from(lag: Lag) -> Self {
        Self {
            lag: lag.least(),
            lag_is_lower_bound: matches!(lag, Lag::AtLeast(_)),
        }
    }
}
