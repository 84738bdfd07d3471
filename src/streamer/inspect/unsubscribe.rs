//! Groups that are to go: what goes with them, and how they go only if that is nothing.

use super::count::{Count, count_between};
use super::groups::{ConsumerInfo, GroupInfo};
use super::state::group_info;
use crate::streamer::entry::EntryId;
use crate::streamer::error::Error;
use crate::streamer::raw_name::RawName;
use crate::streamer::wire::Connection;

/// A group, its consumers, and whether anything is still to be delivered.
#[derive(Clone, Debug)]
pub struct GroupUse {
    pub info: GroupInfo,
    pub consumers: Vec<ConsumerInfo>,
    /// What is still to be delivered.
    pub undelivered: Count,
}

impl GroupUse {
    /// Whether nobody would miss anything.
    pub fn is_idle(&self) -> bool {
        self.info.pending == 0 && self.undelivered == Count::Exactly(0) && self.at_work().next().is_none()
    }

    /// The consumers that may still be at work.
    pub fn at_work(&self) -> impl Iterator<Item = &ConsumerInfo> {
        self.consumers.iter().filter(|consumer| consumer.is_at_work())
    }
}

/// Looks at a group.
pub fn group_use(connection: &mut Connection, stream: &RawName, group: &RawName) -> Result<GroupUse, Error> {
    let (info, consumers) = group_info(connection, stream, group)?;
    // The server's own figure is wrong at times, and nothing must be lost by that.
    let undelivered = match (
        count_between(connection, stream, info.last_delivered, EntryId::MAX)?,
        info.lag,
    ) {
        (Count::AtLeast(counted), Some(lag)) if lag >= counted => Count::Exactly(lag),
        (counted, _) => counted,
    };
    Ok(GroupUse {
        info,
        consumers,
        undelivered,
    })
}

/// What came of a group.
#[derive(Debug)]
pub enum GroupRemoval {
    Removed,
    /// Something would go with it.
    InUse(Box<GroupUse>),
}

/// How often a stream may change while its group is looked at.
const ATTEMPTS: usize = 20;

/// Removes a group if nobody would miss it. Entries that are added meanwhile are noticed, and what is delivered was
/// added before.
pub fn remove_idle_group(
    connection: &mut Connection,
    stream: &RawName,
    group: &RawName,
) -> Result<GroupRemoval, Error> {
    let mut seen = None;
    for _ in 0..ATTEMPTS {
        connection.ask::<()>(redis::cmd("WATCH").arg(stream.as_bytes()), &stream.typed(), None)?;
        let looked = group_use(connection, stream, group);
        let is_to_go = matches!(&looked, Ok(found) if found.is_idle());
        // Of nothing, so that the stream is watched no more.
        let commands = if is_to_go {
            vec![destroy(stream, group)]
        } else {
            Vec::new()
        };
        let done = connection.transact(&commands)?;
        let found = looked?;
        if !is_to_go {
            return Ok(GroupRemoval::InUse(Box::new(found)));
        }
        match done.map_err(|refusal| Error::refused(refusal, &stream.typed(), Some(&group.typed())))? {
            None => seen = Some(found),
            Some(done) => {
                let (destroyed,): (u64,) = connection.read(done)?;
                return removed(destroyed, stream, group);
            }
        }
    }
    seen.map(|found| GroupRemoval::InUse(Box::new(found)))
        .ok_or_else(|| no_group(stream, group))
}

/// Removes a group, whatever goes with it.
pub fn remove_group(connection: &mut Connection, stream: &RawName, group: &RawName) -> Result<GroupRemoval, Error> {
    let destroyed: u64 = connection.ask(&destroy(stream, group), &stream.typed(), Some(&group.typed()))?;
    removed(destroyed, stream, group)
}

fn removed(destroyed: u64, stream: &RawName, group: &RawName) -> Result<GroupRemoval, Error> {
    if destroyed == 0 {
        return Err(no_group(stream, group));
    }
    Ok(GroupRemoval::Removed)
}

fn no_group(stream: &RawName, group: &RawName) -> Error {
    Error::NoGroup {
        stream: stream.typed(),
        group: group.typed(),
    }
}

fn destroy(stream: &RawName, group: &RawName) -> redis::Cmd {
    let mut destroy = redis::cmd("XGROUP");
    destroy.arg("DESTROY").arg(stream.as_bytes()).arg(group.as_bytes());
    destroy
}

/// How many entries a group's ledger of processed ones holds.
pub fn ledger_size(connection: &mut Connection, ledger: &RawName) -> Result<u64, Error> {
    connection.ask(redis::cmd("ZCARD").arg(ledger.as_bytes()), &ledger.typed(), None)
}

/// Removes a group's ledger.
pub fn remove_ledger(connection: &mut Connection, ledger: &RawName) -> Result<(), Error> {
    connection
        .ask::<u64>(redis::cmd("UNLINK").arg(ledger.as_bytes()), &ledger.typed(), None)
        .map(drop)
}
