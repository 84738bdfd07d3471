//! Streams and their groups as they stand, a few streams at a time.

use redis::{Cmd, Value};

use super::count::CountLimit;
use super::groups::{ConsumerInfo, GroupInfo, consumer_rows, group_rows, of_name};
use super::lag::{Ahead, Lag, Subject, look_ahead};
use super::oldest::{Search, search};
use super::server::now_ms;
use crate::streamer::entry::EntryId;
use crate::streamer::error::Error;
use crate::streamer::raw_name::RawName;
use crate::streamer::wire::{Answer, Connection};

/// A stream and its groups, as they stood within the same moments.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StreamState {
    pub name: RawName,
    /// How many entries it holds.
    pub length: u64,
    /// Sorted by name.
    pub groups: Vec<GroupState>,
}

/// A group, and the figures about it that have to be searched for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupState {
    pub info: GroupInfo,
    pub lag: Lag,
    pub behind: Behind,
    /// Milliseconds for which the entry that waits longest for its acknowledgement was idle; `None` if nothing
    /// is pending but what was handed back, or if nobody asked.
    pub oldest_idle_ms: Option<u64>,
}

/// How long ago the oldest entry was added that the group has not acknowledged, delivered or not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Behind {
    /// All there is was acknowledged.
    Nothing,
    Ms(u64),
    /// The user may not ask for what tells it.
    Unknown,
}

/// What is to be found out.
#[derive(Clone, Copy, Debug)]
pub struct Look {
    pub oldest: Oldest,
    /// How far entries are counted where the server does not know the lag.
    pub count: CountLimit,
    pub lag: Need,
    pub behind: Need,
}

/// Whether the entry of a group that was idle longest is searched for: the server looks at all that is pending.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Oldest {
    Search,
    Leave,
}

/// Whether there is no doing without a figure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Need {
    IfAllowed,
    Surely,
}

/// One stream with its groups.
pub fn stream_state(connection: &mut Connection, stream: &RawName, look: &Look) -> Result<StreamState, Error> {
    state_of(connection, stream, look)?.ok_or_else(|| no_stream(stream))
}

pub(super) fn state_of(
    connection: &mut Connection,
    stream: &RawName,
    look: &Look,
) -> Result<Option<StreamState>, Error> {
    let sighted = sight(connection, std::slice::from_ref(stream), look)?.pop();
    let Some(sighted) = sighted.unwrap_or(Ok(None))? else {
        return Ok(None);
    };
    Ok(states(connection, vec![sighted], look)?.pop())
}

/// One group of a stream with its consumers; the other groups are not looked at.
pub fn group_state(
    connection: &mut Connection,
    stream: &RawName,
    group: &RawName,
    look: &Look,
) -> Result<(GroupState, Vec<ConsumerInfo>), Error> {
    let (info, consumers) = group_info(connection, stream, group)?;
    let sighted = Sighted {
        name: stream.clone(),
        length: length_if_needed(connection, stream, &info)?,
        groups: vec![Search::new(info, look.oldest)],
    };
    let state = states(connection, vec![sighted], look)?.pop();
    let state = state.and_then(|mut state| state.groups.pop());
    state.map(|state| (state, consumers)).ok_or_else(|| no_stream(stream))
}

/// A group of a stream with its consumers, as the server tells of them.
pub fn group_info(
    connection: &mut Connection,
    stream: &RawName,
    group: &RawName,
) -> Result<(GroupInfo, Vec<ConsumerInfo>), Error> {
    let mut groups = redis::cmd("XINFO");
    groups.arg("GROUPS").arg(stream.as_bytes());
    let mut answers = connection.query_all(&[groups, of_group(stream, group)])?.into_iter();
    let mut answer = || {
        answers.next().unwrap_or(Ok(Value::Nil)).map_err(|refusal| {
            if refusal.is_no_such_key() {
                no_stream(stream)
            } else {
                Error::refused(refusal, &stream.typed(), Some(&group.typed()))
            }
        })
    };
    let (groups, consumers) = (answer()?, answer());
    let info = of_name(group_rows(connection, groups)?, stream, group)?;
    Ok((info, consumer_rows(connection, consumers?)?))
}

/// How long a stream is, where that is a group's lag; else nobody asks.
fn length_if_needed(connection: &mut Connection, stream: &RawName, info: &GroupInfo) -> Result<u64, Error> {
    if !Ahead::is_all_there_is(info) {
        return Ok(0);
    }
    let mut length = redis::cmd("XLEN");
    length.arg(stream.as_bytes());
    connection.ask(&length, &stream.typed(), None)
}

/// The consumers of a group.
pub fn consumers(connection: &mut Connection, stream: &RawName, group: &RawName) -> Result<Vec<ConsumerInfo>, Error> {
    let rows = connection.ask(&of_group(stream, group), &stream.typed(), Some(&group.typed()))?;
    consumer_rows(connection, rows)
}

fn of_group(stream: &RawName, group: &RawName) -> Cmd {
    let mut consumers = redis::cmd("XINFO");
    consumers.arg("CONSUMERS").arg(stream.as_bytes()).arg(group.as_bytes());
    consumers
}

/// Asks for lengths and groups. XLEN, since XINFO STREAM would bring two whole entries along.
pub(super) fn sight(
    connection: &mut Connection,
    names: &[RawName],
    look: &Look,
) -> Result<Vec<Result<Option<Sighted>, Error>>, Error> {
    let commands: Vec<Cmd> = names
        .iter()
        .flat_map(|name| {
            let (mut length, mut groups) = (redis::cmd("XLEN"), redis::cmd("XINFO"));
            length.arg(name.as_bytes());
            groups.arg("GROUPS").arg(name.as_bytes());
            [length, groups]
        })
        .collect();
    let mut replies = connection.query_all(&commands)?.into_iter();
    Ok(names
        .iter()
        .zip(std::iter::from_fn(|| replies.next().zip(replies.next())))
        .map(|(name, (length, groups))| sighted(connection, name, length, groups, look))
        .collect())
}

fn sighted(
    connection: &Connection,
    name: &RawName,
    length: Answer,
    groups: Answer,
    look: &Look,
) -> Result<Option<Sighted>, Error> {
    let refused = |error| Error::refused(error, &name.typed(), None);
    let rows = match groups {
        Err(error) if error.is_no_such_key() => return Ok(None),
        answer => answer.map_err(refused)?,
    };
    let groups = group_rows(connection, rows)?.into_iter();
    Ok(Some(Sighted {
        name: name.clone(),
        length: connection.read(length.map_err(refused)?)?,
        groups: groups.map(|info| Search::new(info, look.oldest)).collect(),
    }))
}

fn no_stream(stream: &RawName) -> Error {
    Error::NoStream { stream: stream.typed() }
}

/// A stream that was there, whose groups are still to be looked at.
pub(super) struct Sighted {
    pub(super) name: RawName,
    length: u64,
    groups: Vec<Search>,
}

/// Finds out about groups what has to be searched for, in few round trips.
pub(super) fn states(
    connection: &mut Connection,
    mut streams: Vec<Sighted>,
    look: &Look,
) -> Result<Vec<StreamState>, Error> {
    let mut searches: Vec<_> = streams
        .iter_mut()
        .flat_map(|stream| stream.groups.iter_mut().map(|search| (&stream.name, search)))
        .collect();
    search(connection, &mut searches)?;
    let ahead = |stream: &Sighted| {
        let ahead = |group: &Search| Ahead::new(&group.info, stream.length, group.oldest);
        stream.groups.iter().map(ahead).collect()
    };
    let mut aheads: Vec<Vec<Ahead>> = streams.iter().map(ahead).collect();
    look_ahead(connection, &mut subjects(&streams, &mut aheads), look)?;
    let oldest: Vec<Vec<_>> = std::iter::zip(&streams, &aheads)
        .map(|(stream, aheads)| {
            let both = std::iter::zip(&stream.groups, aheads);
            both.map(|(group, ahead)| [group.oldest, ahead.first].into_iter().flatten().min())
                .collect()
        })
        .collect();
    let now = match oldest.iter().flatten().any(Option::is_some) {
        true => clock(connection, look.behind)?,
        false => None,
    };
    let groups = std::iter::zip(aheads, oldest).map(|(aheads, oldest)| std::iter::zip(aheads, oldest));
    let states = std::iter::zip(streams, groups).map(|(stream, found)| StreamState {
        name: stream.name,
        length: stream.length,
        groups: std::iter::zip(stream.groups, found)
            .map(|(group, (ahead, oldest))| GroupState {
                info: group.info,
                lag: ahead.lag,
                behind: behind(oldest, ahead.is_denied, now),
                oldest_idle_ms: group.oldest_idle_ms.filter(|_| look.oldest == Oldest::Search),
            })
            .collect(),
    });
    Ok(states.collect())
}

fn subjects<'a>(streams: &'a [Sighted], aheads: &'a mut [Vec<Ahead>]) -> Vec<Subject<'a>> {
    std::iter::zip(streams, aheads)
        .flat_map(|(stream, aheads)| {
            std::iter::zip(&stream.groups, aheads).map(|(group, ahead)| Subject {
                stream: &stream.name,
                info: &group.info,
                ahead,
            })
        })
        .collect()
}

/// The server's clock; `None` if the user may not ask, and there is doing without it.
fn clock(connection: &mut Connection, need: Need) -> Result<Option<u64>, Error> {
    match now_ms(connection) {
        Err(Error::Denied(_)) if need == Need::IfAllowed => Ok(None),
        now => now.map(Some),
    }
}

/// An ID tells the time of its entry, which may be ahead of the server's clock where somebody chose it.
fn behind(oldest: Option<EntryId>, is_denied: bool, now: Option<u64>) -> Behind {
    match (oldest, now) {
        (None, _) if is_denied => Behind::Unknown,
        (None, _) => Behind::Nothing,
        (Some(_), None) => Behind::Unknown,
        (Some(oldest), Some(now)) => Behind::Ms(now.saturating_sub(oldest.ms)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_group_is_as_far_behind_as_its_oldest_entry() {
        let id = Some(EntryId::at_ms(1_000));
        assert_eq!(behind(id, false, Some(1_500)), Behind::Ms(500));
        assert_eq!(behind(id, false, Some(900)), Behind::Ms(0));
        assert_eq!(behind(id, false, None), Behind::Unknown);
        assert_eq!(behind(None, false, None), Behind::Nothing);
        assert_eq!(behind(None, true, Some(1)), Behind::Unknown);
    }
}
