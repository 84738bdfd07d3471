//! Asks the server. What is found is told in JSON as it stands here: names and order of fields are the contract.

use std::num::NonZeroUsize;
use std::time::Duration;

use serde::Serialize;

use crate::streamer::{ConsumerInfo, EntryId, Error, GroupInfo, PendingEntry, PendingFilter, Streamer};

/// What to look at.
pub enum Selection<'a> {
    /// Every stream with its groups.
    Everything,
    /// A stream with its groups.
    Stream(&'a str),
    /// A group with its consumers and entries.
    Group(GroupSelection<'a>),
}

/// Which group to look at, and what of it.
pub struct GroupSelection<'a> {
    /// The stream.
    pub stream: &'a str,
    /// The group.
    pub group: &'a str,
    /// Only this consumer and its entries.
    pub consumer: Option<&'a str>,
    /// Only entries idle for so long.
    pub min_idle: Duration,
    /// At most so many entries.
    pub max_entries: NonZeroUsize,
    /// Whether to find out how long the oldest is idle.
    pub oldest: Oldest,
}

/// Whether to find out which entry is idle longest, which takes a walk over all that are pending.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Oldest {
    /// It is shown or held against a limit.
    Find,
    /// Nobody asks.
    Skip,
}

/// What was found.
pub struct View {
    /// The streams, each with the groups that were asked for.
    pub streams: Vec<Stream>,
    /// How closely it was looked at.
    pub level: Level,
}

/// How closely the server was looked at.
pub enum Level {
    /// Every stream.
    Everything,
    /// One stream.
    Stream,
    /// One group of one stream.
    Group(Details),
}

/// A stream with its groups.
#[derive(Serialize)]
pub struct Stream {
    /// Its name.
    pub stream: String,
    /// How many entries it holds.
    pub length: u64,
    /// Its groups.
    pub groups: Vec<Group>,
}

/// A group of a stream.
#[derive(Serialize)]
pub struct Group {
    /// Its name.
    pub group: String,
    /// How many consumers it knows.
    pub consumers: u64,
    /// How many entries are pending.
    pub pending: u64,
    /// How many entries are still to be delivered, if the server knows.
    pub lag: Option<u64>,
    /// The last entry delivered.
    pub last_delivered_id: String,
    /// How long the pending entry that is idle longest was so; `None` where nothing is pending.
    pub oldest_idle_ms: Option<u64>,
}

/// A group seen from near.
pub struct Details {
    /// Its consumers.
    pub consumers: Vec<Consumer>,
    /// The first of its pending entries.
    pub entries: Vec<Entry>,
    /// Whether there are more entries than those.
    pub more: bool,
}

/// A consumer of a group.
#[derive(Serialize)]
pub struct Consumer {
    /// Its name.
    pub name: String,
    /// How many entries are pending under it.
    pub pending: u64,
    /// Milliseconds since it last tried to read.
    pub idle_ms: u64,
    /// Milliseconds since it last got an entry; `None` if it never did or the server does not know.
    pub inactive_ms: Option<u64>,
}

/// A pending entry.
#[derive(Serialize)]
pub struct Entry {
    /// Its ID.
    pub id: String,
    /// Who has it.
    pub consumer: String,
    /// Milliseconds since it was last delivered.
    pub idle_ms: u64,
    /// How often it was delivered.
    pub deliveries: u64,
}

/// Asks the server for all that is to be shown.
pub fn gather(streamer: &mut Streamer, selection: &Selection<'_>) -> Result<View, Error> {
    match selection {
        Selection::Everything => Ok(View {
            streams: all_streams(streamer)?,
            level: Level::Everything,
        }),
        Selection::Stream(name) => Ok(View {
            streams: vec![stream(streamer, name)?.ok_or_else(|| no_stream(name))?],
            level: Level::Stream,
        }),
        Selection::Group(of) => group_view(streamer, of),
    }
}

/// Streams come and go while they are asked about: one that is gone, or another kind of key by now, is left out.
fn all_streams(streamer: &mut Streamer) -> Result<Vec<Stream>, Error> {
    let mut streams = Vec::new();
    for name in streamer.stream_names()? {
        match stream(streamer, &name) {
            Ok(found) => streams.extend(found),
            Err(Error::WrongType { .. }) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(streams)
}

/// A stream with all of its groups, `None` if there is none.
fn stream(streamer: &mut Streamer, name: &str) -> Result<Option<Stream>, Error> {
    let Some((length, infos)) = facts(streamer, name)? else {
        return Ok(None);
    };
    let mut groups = Vec::new();
    for info in infos {
        match oldest_idle_ms(streamer, name, &info) {
            Ok(oldest) => groups.push(group(info, oldest)),
            // It was removed since, like a stream may be.
            Err(Error::NoGroup { .. }) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(Some(Stream {
        stream: name.to_owned(),
        length,
        groups,
    }))
}

/// A stream's length and groups, `None` if there is none.
fn facts(streamer: &mut Streamer, name: &str) -> Result<Option<(u64, Vec<GroupInfo>)>, Error> {
    let Some(info) = streamer.stream_info(name)? else {
        return Ok(None);
    };
    Ok(streamer.groups(name)?.map(|groups| (info.length, groups)))
}

fn group_view(streamer: &mut Streamer, of: &GroupSelection<'_>) -> Result<View, Error> {
    let (length, infos) = facts(streamer, of.stream)?.ok_or_else(|| no_stream(of.stream))?;
    let info = infos
        .into_iter()
        .find(|info| info.name == of.group)
        .ok_or_else(|| Error::NoGroup {
            stream: of.stream.to_owned(),
            group: of.group.to_owned(),
        })?;
    let oldest = match of.oldest {
        Oldest::Find => oldest_idle_ms(streamer, of.stream, &info)?,
        Oldest::Skip => None,
    };
    let details = details(streamer, of, &info)?;
    Ok(View {
        streams: vec![Stream {
            stream: of.stream.to_owned(),
            length,
            groups: vec![group(info, oldest)],
        }],
        level: Level::Group(details),
    })
}

fn details(streamer: &mut Streamer, of: &GroupSelection<'_>, info: &GroupInfo) -> Result<Details, Error> {
    let consumers = streamer.consumers(of.stream, of.group)?;
    let mut entries = match info.pending {
        0 => Vec::new(),
        _ => streamer.pending(
            of.stream,
            of.group,
            PendingFilter {
                min_idle_ms: u64::try_from(of.min_idle.as_millis()).unwrap_or(u64::MAX),
                consumer: of.consumer,
                from: EntryId::MIN,
                // One more than is shown tells whether there are more.
                count: of.max_entries.saturating_add(1).get(),
            },
        )?,
    };
    let more = entries.len() > of.max_entries.get();
    entries.truncate(of.max_entries.get());
    Ok(Details {
        consumers: consumers
            .into_iter()
            .filter(|info| of.consumer.is_none_or(|name| name == info.name))
            .map(consumer)
            .collect(),
        entries: entries.into_iter().map(entry).collect(),
        more,
    })
}

/// How long the oldest is idle. Nothing is walked where nothing is pending.
fn oldest_idle_ms(streamer: &mut Streamer, stream: &str, group: &GroupInfo) -> Result<Option<u64>, Error> {
    match group.pending {
        0 => Ok(None),
        _ => streamer.oldest_idle_ms(stream, &group.name),
    }
}

fn group(info: GroupInfo, oldest_idle_ms: Option<u64>) -> Group {
    Group {
        group: info.name,
        consumers: info.consumers,
        pending: info.pending,
        lag: info.lag,
        last_delivered_id: info.last_delivered.to_string(),
        oldest_idle_ms,
    }
}

fn consumer(info: ConsumerInfo) -> Consumer {
    Consumer {
        name: info.name,
        pending: info.pending,
        idle_ms: info.idle_ms,
        inactive_ms: info.inactive_ms,
    }
}

fn entry(info: PendingEntry) -> Entry {
    Entry {
        id: info.id.to_string(),
        consumer: info.consumer,
        idle_ms: info.idle_ms,
        deliveries: info.deliveries,
    }
}

fn no_stream(name: &str) -> Error {
    Error::NoStream {
        stream: name.to_owned(),
    }
}
