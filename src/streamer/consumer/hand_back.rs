//! Handing entries back that are pending under a consumer, so that whoever looks for stale ones gets them at once.
//!
//! Whoever claimed one meanwhile keeps it: an entry goes only if it was idle for as long as was seen.

use std::time::Duration;

use super::messages::by_age;
use super::requests::{Pending, Requests};
use crate::streamer::entry::EntryId;
use crate::streamer::error::Error;
use crate::streamer::wire::Connection;

/// How entries are handed back at one server.
#[derive(Debug)]
pub struct HandBack {
    /// Whether the server has XNACK, as far as is known.
    has_nack: bool,
}

impl Default for HandBack {
    fn default() -> Self {
        Self { has_nack: true }
    }
}

impl HandBack {
    /// Hands back entries as they were listed, to be delivered next as if so often before. Where the server has no XNACK
    /// (Redis 8.8), they go to a consumer of a fixed name, idle since the epoch.
    ///
    /// Those that were idle for about as long (`spread`) go in one command.
    pub fn hand_back(
        &mut self,
        connection: &mut Connection,
        requests: &Requests,
        stream: &str,
        rows: &[Pending],
        deliveries: u64,
        spread: Duration,
    ) -> Result<(), Error> {
        let group = Some(requests.group.as_str());
        if self.has_nack {
            let ids: Vec<_> = rows.iter().map(|row| row.id).collect();
            let nack = requests.nack(stream, &ids, deliveries);
            match connection.ask::<redis::Value>(&nack, stream, group) {
                Ok(_) => return Ok(()),
                // Unknown to the server, or to its ACL.
                Err(Error::Refused(refusal)) if refusal.is_unknown() => self.has_nack = false,
                Err(Error::Denied(_)) => self.has_nack = false,
                Err(error) => return Err(error),
            }
        }
        for (idle, ids) in by_idle(rows, spread) {
            let claim = requests.hand_back(stream, idle, &ids, deliveries);
            connection.ask::<redis::Value>(&claim, stream, group)?;
        }
        Ok(())
    }
}

/// Parts entries by how long they were idle; those of a part differ by less than `spread`. Their IDs are in order, with
/// the least time of each part.
pub fn by_idle(rows: &[Pending], spread: Duration) -> Vec<(Duration, Vec<EntryId>)> {
    let aged = rows.iter().map(|row| (row.id, row.idle));
    let mut parts = by_age(aged.collect(), spread.max(Duration::from_millis(1)));
    for (_, ids) in &mut parts {
        ids.sort();
    }
    parts
}
