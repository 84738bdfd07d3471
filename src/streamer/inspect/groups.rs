//! Streams, their groups, and the consumers of a group.

use redis::Value;

use super::facts::Facts;
use crate::streamer::entry::EntryId;
use crate::streamer::error::Error;
use crate::streamer::raw_name::RawName;
use crate::streamer::wire::{Connection, stream_end};

/// A group of a stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupInfo {
    pub name: RawName,
    pub consumers: u64,
    /// How many entries were delivered and not acknowledged.
    pub pending: u64,
    /// The last entry delivered.
    pub last_delivered: EntryId,
    /// How many entries were read of the stream (from Redis 7.0, if it knows).
    pub read: Option<u64>,
    /// How many entries are still to be delivered; the server may not know (and Redis before 7.0 never does).
    pub lag: Option<u64>,
}

/// A consumer of a group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConsumerInfo {
    pub name: RawName,
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

/// Whether there is a group that was given all entries of a stream up to this one, and has acknowledged them.
pub fn is_settled_up_to(connection: &mut Connection, stream: &str, group: &str, last: EntryId) -> Result<bool, Error> {
    let groups = groups(connection, stream)?;
    let found = groups.iter().find(|info| info.name == group.into());
    if found.is_none_or(|info| info.last_delivered < last) {
        return Ok(false);
    }
    let mut pending = redis::cmd("XPENDING");
    pending.arg(stream).arg(group).arg("-").arg(last.to_string()).arg(1);
    let rows: Vec<Value> = connection.ask(&pending, stream, Some(group))?;
    Ok(rows.is_empty())
}

/// The groups of a stream, sorted by name. No stream, no group.
pub fn groups(connection: &mut Connection, stream: &str) -> Result<Vec<GroupInfo>, Error> {
    let mut info = redis::cmd("XINFO");
    info.arg("GROUPS").arg(stream);
    match connection.ask(&info, stream, None) {
        Err(Error::Refused(refusal)) if refusal.is_no_such_key() => Ok(Vec::new()),
        reply => group_rows(connection, reply?),
    }
}

/// Fails if a stream has no such group.
pub fn see_group(connection: &mut Connection, stream: &str, group: &str) -> Result<(), Error> {
    let found = groups(connection, stream)?;
    of_name(found, &RawName::from(stream), &RawName::from(group)).map(drop)
}

/// The group of this name among those of a stream.
pub(super) fn of_name(groups: Vec<GroupInfo>, stream: &RawName, name: &RawName) -> Result<GroupInfo, Error> {
    let found = groups.into_iter().find(|group| group.name == *name);
    found.ok_or_else(|| Error::NoGroup {
        stream: stream.typed(),
        group: name.typed(),
    })
}

/// The rows of XINFO GROUPS, sorted by name.
pub(super) fn group_rows(connection: &Connection, reply: Value) -> Result<Vec<GroupInfo>, Error> {
    let read = |mut facts: Facts<'_>| {
        Ok(GroupInfo {
            name: facts.take_name()?,
            consumers: facts.take("consumers")?,
            pending: facts.take("pending")?,
            last_delivered: facts.take_id("last-delivered-id")?,
            read: facts.take_count("entries-read")?,
            lag: facts.take_count("lag")?,
        })
    };
    let rows = Facts::of_many(connection, reply)?;
    let mut groups = rows.into_iter().map(read).collect::<Result<Vec<_>, Error>>()?;
    groups.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(groups)
}

/// The rows of XINFO CONSUMERS, sorted by name.
pub(super) fn consumer_rows(connection: &Connection, reply: Value) -> Result<Vec<ConsumerInfo>, Error> {
    let read = |mut facts: Facts<'_>| {
        Ok(ConsumerInfo {
            name: facts.take_name()?,
            pending: facts.take("pending")?,
            idle_ms: facts.take("idle")?,
            // -1 stands for a consumer that never got an entry.
            inactive_ms: facts.take_count("inactive")?,
        })
    };
    let rows = Facts::of_many(connection, reply)?;
    let mut consumers = rows.into_iter().map(read).collect::<Result<Vec<_>, Error>>()?;
    consumers.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(consumers)
}
