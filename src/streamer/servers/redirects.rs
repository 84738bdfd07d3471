//! Redirections in a row: followed at once, but not for ever from one node to another.

use super::Servers;
use crate::streamer::error::Error;

/// How many are followed without a pause: one for what was not known, one for a slot that is on its way, and as many for a
/// cluster that changes meanwhile.
const MOST: u32 = 4;

#[derive(Default)]
pub struct Redirects {
    in_a_row: u32,
}

impl Redirects {
    /// Learns from a failure. Says whether to try again at once.
    pub fn follow(&mut self, servers: &Servers, error: &Error) -> bool {
        if !servers.heed(error) {
            return false;
        }
        self.in_a_row += 1;
        self.in_a_row <= MOST
    }

    /// What was asked for was done.
    pub fn end(&mut self) {
        self.in_a_row = 0;
    }
}
