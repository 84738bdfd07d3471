//! Streams, their groups, and the consumers of a group.

use redis::Value;

use super::facts::Facts;
use super::lossy;
use crate::streamer::entry::EntryId;
use crate::streamer::error::Error;
use crate::streamer::wire::{Connection, stream_end};

/// A group of a stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupInfo {
    pub name: String,
    pub consumers: u64,
    /// How many entries were delivered and not acknowledged.
    pub pending: u64,
    /// The last entry delivered.
    pub last_delivered: EntryId,
    /// How many entries are still to be delivered; the server may not know (and Redis before 7.0 never does).
    pub lag: Option<u64>,
}

/// A consumer of a group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConsumerInfo {
    pub name: String,
    /// How many entries are pending under it.
    pub pending: u64,
    /// Milliseconds since it last tried to read.
    pub idle_ms: u64,
    /// Milliseconds since it last got an entry (from Redis 7.2).
    pub inactive_ms: Option<u64>,
}

/// The last ID a stream ever gave, to an entry that may be gone by now; `None` if there is no such stream.
pub fn last_id(connection: &mut Connection, stream: &str) -> Result<Option<EntryId>, Error> {
    Ok(stream_end(connection, stream)?.map(|end| end.last_id))
}

/// The groups of a stream, sorted by name. No stream, no group.
pub fn groups(connection: &mut Connection, stream: &str) -> Result<Vec<GroupInfo>, Error> {
    let rows = rows(connection, stream)?;
    Ok(rows.into_iter().map(|(_, group)| group).collect())
}

/// Fails if a stream has no such group.
pub fn see_group(connection: &mut Connection, stream: &str, group: &str) -> Result<(), Error> {
    of_name(rows(connection, stream)?, stream, group).map(drop)
}

fn rows(connection: &mut Connection, stream: &str) -> Result<Vec<(Vec<u8>, GroupInfo)>, Error> {
    let mut info = redis::cmd("XINFO");
    info.arg("GROUPS").arg(stream);
    match connection.ask(&info, stream, None) {
        Err(Error::Refused(refusal)) if refusal.is_no_such_key() => Ok(Vec::new()),
        reply => group_rows(connection, reply?),
    }
}

/// The group of this name among those of a stream.
pub(super) fn of_name(
    rows: Vec<(Vec<u8>, GroupInfo)>,
    stream: &str,
    group: &str,
) -> Result<(Vec<u8>, GroupInfo), Error> {
    let found = rows.into_iter().find(|(name, _)| name == group.as_bytes());
    found.ok_or_else(|| Error::NoGroup {
        stream: stream.to_owned(),
        group: group.to_owned(),
    })
}

/// The rows of XINFO GROUPS, sorted, each with the group's name as the server has it.
pub(super) fn group_rows(connection: &Connection, reply: Value) -> Result<Vec<(Vec<u8>, GroupInfo)>, Error> {
    let read = |mut facts: Facts<'_>| {
        let name: Vec<u8> = facts.take("name")?;
        let info = GroupInfo {
            name: lossy(&name),
            consumers: facts.take("consumers")?,
            pending: facts.take("pending")?,
            last_delivered: facts.take_id("last-delivered-id")?,
            lag: facts.take("lag")?,
        };
        Ok((name, info))
    };
    let rows = Facts::of_many(connection, reply)?;
    let mut groups = rows.into_iter().map(read).collect::<Result<Vec<_>, Error>>()?;
    groups.sort_by(|(a, _), (b, _)| a.cmp(b));
    Ok(groups)
}

/// The rows of XINFO CONSUMERS, sorted by name.
pub(super) fn consumer_rows(connection: &Connection, reply: Value) -> Result<Vec<ConsumerInfo>, Error> {
    let read = |mut facts: Facts<'_>| {
        let name: Vec<u8> = facts.take("name")?;
        // -1 stands for a consumer that never got an entry.
        let inactive: Option<i64> = facts.take("inactive")?;
        Ok(ConsumerInfo {
            name: lossy(&name),
            pending: facts.take("pending")?,
            idle_ms: facts.take("idle")?,
            inactive_ms: inactive.and_then(|ms| u64::try_from(ms).ok()),
        })
    };
    let rows = Facts::of_many(connection, reply)?;
    let mut consumers = rows.into_iter().map(read).collect::<Result<Vec<_>, Error>>()?;
    consumers.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(consumers)
}
