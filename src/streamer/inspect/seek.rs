//! Where a group that is to be moved stands, and what moving it means: what is delivered again, or never.

use std::time::Duration;

use super::count::{Count, count_between};
use super::groups::{ConsumerInfo, groups};
use super::server::now_ms;
use super::state::group_info;
use crate::streamer::entry::EntryId;
use crate::streamer::error::Error;
use crate::streamer::names;
use crate::streamer::point::Point;
use crate::streamer::raw_name::RawName;
use crate::streamer::wire::Connection;

/// Where a group is to go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Position {
    /// Behind this entry, there or not.
    Behind(EntryId),
    /// Behind the last entry, as it stands when the group is moved.
    End,
}

impl Position {
    /// The first that is delivered is at the point itself.
    pub fn at(connection: &mut Connection, point: Point) -> Result<Self, Error> {
        let now = match point {
            Point::Ago(_) => now_ms(connection)?,
            _ => 0,
        };
        Ok(match point.first_id(now) {
            None => Self::End,
            Some(first) => Self::Behind(first.previous().unwrap_or(EntryId::MIN)),
        })
    }

    /// As XGROUP takes it.
    pub fn written(self) -> String {
        match self {
            Self::End => "$".to_owned(),
            Self::Behind(EntryId::MIN) => "0".to_owned(),
            Self::Behind(id) => id.to_string(),
        }
    }
}

/// What moving a group means.
#[derive(Clone, Debug)]
pub struct Move {
    /// Behind which entry the group stands.
    pub stands: EntryId,
    pub passed: Passed,
    /// What was delivered and not acknowledged; it stays so.
    pub pending: u64,
    /// Consumers that may be at work.
    pub at_work: Vec<ConsumerInfo>,
}

/// What lies between where a group stands and where it is to go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Passed {
    /// It is delivered again.
    Again(Count),
    /// It was not delivered, and will not be.
    Skipped(Count),
}

/// Finds out what moving a group means at this moment; `None` if there is no such group.
pub fn look_at_move(
    connection: &mut Connection,
    stream: &str,
    group: &str,
    to: Position,
) -> Result<Option<Move>, Error> {
    let stream = &RawName::from(stream);
    let (info, mut consumers) = match group_info(connection, stream, &RawName::from(group)) {
        Err(Error::NoGroup { .. } | Error::NoStream { .. }) => return Ok(None),
        found => found?,
    };
    let stands = info.last_delivered;
    let passed = match to {
        Position::Behind(id) if id < stands => Passed::Again(count_between(connection, stream, id, stands)?),
        Position::Behind(id) => Passed::Skipped(count_between(connection, stream, stands, id)?),
        Position::End => Passed::Skipped(count_between(connection, stream, stands, EntryId::MAX)?),
    };
    consumers.retain(ConsumerInfo::is_at_work);
    Ok(Some(Move {
        stands,
        passed,
        pending: info.pending,
        at_work: consumers,
    }))
}

/// Where another group of the stream stands, by its name or by its listener's; the groups there are, if it is none.
pub fn position_of(
    connection: &mut Connection,
    stream: &str,
    named: &str,
) -> Result<Result<EntryId, Vec<String>>, Error> {
    let all = groups(connection, stream)?;
    let of_listener = names::of_listener(stream, named);
    let of_name = |name: &str| all.iter().find(|group| group.name.is(name));
    let found = of_name(named).or_else(|| of_name(&of_listener));
    Ok(match found {
        Some(group) => Ok(group.last_delivered),
        None => Err(all.into_iter().map(|group| group.name.typed()).collect()),
    })
}

/// A consumer that asked for entries, or got some, within this time may still be at work.
pub const AT_WORK: Duration = Duration::from_secs(60);

impl ConsumerInfo {
    /// Whether it may still be at work. A name under which entries wait is no consumer.
    pub fn is_at_work(&self) -> bool {
        u128::from(self.idle_ms) < AT_WORK.as_millis() && !names::is_nobody(&self.name)
    }
}
