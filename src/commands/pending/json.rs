//! What `pending` saw, as one line of JSON for programs.

use serde::Serialize;

use super::group::GroupView;
use crate::streamer::{ConsumerInfo, GroupState, PendingEntry, StreamState};

pub fn streams(streams: &[StreamState]) -> serde_json::Result<String> {
    let streams: Vec<_> = streams.iter().map(StreamJson::of).collect();
    serde_json::to_string(&streams).map(|line| line + "\n")
}

pub fn stream(stream: &StreamState) -> serde_json::Result<String> {
    serde_json::to_string(&StreamJson::of(stream)).map(|line| line + "\n")
}

/// A group up to its entries. They follow in pieces, so that memory does not grow with what is pending.
pub fn group_head(view: &GroupView<'_>) -> serde_json::Result<String> {
    let mut head = serde_json::to_string(&GroupHeadJson {
        stream: view.stream,
        group: &view.state.info.name,
        pending: view.state.info.pending,
        lag: view.state.info.lag,
        consumers: view.consumers.iter().map(ConsumerJson::of).collect(),
    })?;
    // The object stays open.
    head.pop();
    Ok(head + ",\"entries\":[")
}

/// Some entries of a group.
pub fn group_entries(out: &mut Vec<u8>, entries: &[PendingEntry], place: Place) -> serde_json::Result<()> {
    for (index, entry) in entries.iter().enumerate() {
        if index > 0 || place == Place::Later {
            out.push(b',');
        }
        serde_json::to_writer(&mut *out, &EntryJson::of(entry))?;
    }
    Ok(())
}

/// Whether entries stand before these.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    First,
    Later,
}

/// What closes a group.
pub const GROUP_TAIL: &[u8] = b"]}\n";

#[derive(Serialize)]
struct StreamJson<'a> {
    stream: &'a str,
    length: u64,
    groups: Vec<GroupJson<'a>>,
}

impl<'a> StreamJson<'a> {
    fn of(stream: &'a StreamState) -> Self {
        Self {
            stream: &stream.name,
            length: stream.length,
            groups: stream.groups.iter().map(GroupJson::of).collect(),
        }
    }
}

#[derive(Serialize)]
struct GroupJson<'a> {
    group: &'a str,
    consumers: u64,
    pending: u64,
    lag: Option<u64>,
    last_delivered_id: String,
    oldest_idle_ms: Option<u64>,
}

impl<'a> GroupJson<'a> {
    fn of(group: &'a GroupState) -> Self {
        Self {
            group: &group.info.name,
            consumers: group.info.consumers,
            pending: group.info.pending,
            lag: group.info.lag,
            last_delivered_id: group.info.last_delivered.to_string(),
            oldest_idle_ms: group.oldest_idle_ms,
        }
    }
}

#[derive(Serialize)]
struct GroupHeadJson<'a> {
    stream: &'a str,
    group: &'a str,
    pending: u64,
    lag: Option<u64>,
    consumers: Vec<ConsumerJson<'a>>,
}

#[derive(Serialize)]
struct ConsumerJson<'a> {
    name: &'a str,
    pending: u64,
    idle_ms: u64,
    inactive_ms: Option<u64>,
}

impl<'a> ConsumerJson<'a> {
    fn of(consumer: &'a ConsumerInfo) -> Self {
        Self {
            name: &consumer.name,
            pending: consumer.pending,
            idle_ms: consumer.idle_ms,
            inactive_ms: consumer.inactive_ms,
        }
    }
}

#[derive(Serialize)]
struct EntryJson<'a> {
    id: String,
    consumer: &'a str,
    idle_ms: Option<u64>,
    deliveries: u64,
}

impl<'a> EntryJson<'a> {
    fn of(entry: &'a PendingEntry) -> Self {
        Self {
            id: entry.id.to_string(),
            consumer: &entry.consumer,
            idle_ms: entry.idle_ms,
            deliveries: entry.deliveries,
        }
    }
}
