//! Leaving entries that are pending under a consumer: handed back, so that whoever looks for stale ones gets them at once,
//! or put aside until they are acknowledged.
//!
//! Whoever claimed one meanwhile keeps it: an entry goes only if it was idle for as long as was seen.

use std::time::Duration;

use super::messages::by_age;
use super::requests::{Pending, Requests, WaitFor};
use crate::streamer::entry::EntryId;
use crate::streamer::error::Error;
use crate::streamer::raw_name::RawName;
use crate::streamer::wire::Connection;
use crate::streamer::wire::resp::Malformed;

/// How many entries one command names: a server shall have other things to do, too.
const MOST: usize = 1000;

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
    /// Those that were idle for about as long (`spread`) go in one command. Returns those that went, as far as the server
    /// tells: with XNACK all that were still pending.
    pub fn hand_back(
        &mut self,
        connection: &mut Connection,
        requests: &Requests,
        stream: &RawName,
        rows: &[Pending],
        deliveries: u64,
        spread: Duration,
    ) -> Result<Vec<EntryId>, Error> {
        if self.has_nack {
            let ids: Vec<_> = rows.iter().map(|row| row.id).collect();
            let nack = requests.nack(stream, &ids, deliveries);
            match connection.ask::<redis::Value>(&nack, &stream.typed(), Some(&requests.group.typed())) {
                Ok(_) => return Ok(ids),
                // Unknown to the server, or to its ACL.
                Err(Error::Refused(refusal)) if refusal.is_unknown() => self.has_nack = false,
                Err(Error::Denied(_)) => self.has_nack = false,
                Err(error) => return Err(error),
            }
        }
        leave(
            connection,
            requests,
            stream,
            by_idle(rows, spread),
            WaitFor::Anybody { deliveries },
        )
    }
}

/// Puts entries aside that somebody else is to acknowledge, as they were listed: each keeps its age and its count, so
/// that it is claimed when it would have been.
pub fn put_aside(
    connection: &mut Connection,
    requests: &Requests,
    stream: &RawName,
    rows: &[Pending],
) -> Result<(), Error> {
    // What one read brought is of one age.
    let parts = by_idle(rows, Duration::ZERO);
    leave(connection, requests, stream, parts, WaitFor::Acknowledgement).map(drop)
}

/// Leaves entries to wait for somebody, all in one piece; returns those that were left.
fn leave(
    connection: &mut Connection,
    requests: &Requests,
    stream: &RawName,
    parts: Vec<(Duration, Vec<EntryId>)>,
    to: WaitFor,
) -> Result<Vec<EntryId>, Error> {
    let some = parts
        .iter()
        .flat_map(|(idle, ids)| ids.chunks(MOST).map(|ids| (*idle, ids)));
    let claims: Vec<_> = some.map(|(idle, ids)| requests.leave(stream, idle, ids, to)).collect();
    let mut left = Vec::new();
    for answer in connection.query_all(&claims)? {
        let answer =
            answer.map_err(|refusal| Error::refused(refusal, &stream.typed(), Some(&requests.group.typed())))?;
        left.extend(claimed(connection, answer)?);
    }
    Ok(left)
}

/// The entries that XCLAIM … JUSTID names.
pub fn claimed(connection: &Connection, answer: redis::Value) -> Result<Vec<EntryId>, Error> {
    let ids: Vec<String> = connection.read(answer)?;
    let malformed = || connection.malformed(Malformed("expected an entry ID"));
    ids.iter().map(|id| id.parse().map_err(|_| malformed())).collect()
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
