//! What `pending` saw, as one line of JSON for programs. A name means the same, and has the same type, in every document.

use serde::Serialize;

use super::dead::DeadConsumer;
use super::group::GroupView;
use super::tables::Shape;
use crate::commands::lag_json::LagJson;
use crate::name_json::NameJson;
use crate::streamer::{Behind, ConsumerInfo, GroupState, PendingEntry, StreamState};

/// One stream is an object, several are an array.
pub fn streams(streams: &[StreamState], shape: Shape) -> serde_json::Result<String> {
    let all: Vec<_> = streams.iter().map(StreamJson::of).collect();
    match (shape, all.as_slice()) {
        (Shape::One, [one]) => serde_json::to_string(one),
        (_, all) => serde_json::to_string(all),
    }
    .map(|line| line + "\n")
}

pub fn dead_consumers(dead: &[DeadConsumer]) -> serde_json::Result<String> {
    let all: Vec<_> = dead.iter().map(DeadConsumerJson::of).collect();
    serde_json::to_string(&all).map(|line| line + "\n")
}

/// A group up to its entries. They follow in pieces, so that memory does not grow with what is pending.
pub fn group_head(view: &GroupView<'_>) -> serde_json::Result<String> {
    let mut head = serde_json::to_string(&GroupHeadJson {
        stream: NameJson(view.stream),
        group: GroupJson::of(&view.state),
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

/// A stream but for its groups.
#[derive(Serialize)]
pub struct StreamHeadJson<'a> {
    stream: NameJson<'a>,
    length: u64,
}

impl<'a> StreamHeadJson<'a> {
    pub fn of(stream: &'a StreamState) -> Self {
        Self {
            stream: NameJson(&stream.name),
            length: stream.length,
        }
    }
}

#[derive(Serialize)]
struct StreamJson<'a> {
    #[serde(flatten)]
    head: StreamHeadJson<'a>,
    groups: Vec<GroupJson<'a>>,
}

impl<'a> StreamJson<'a> {
    fn of(stream: &'a StreamState) -> Self {
        Self {
            head: StreamHeadJson::of(stream),
            groups: stream.groups.iter().map(GroupJson::of).collect(),
        }
    }
}

#[derive(Serialize)]
pub struct GroupJson<'a> {
    group: NameJson<'a>,
    #[serde(flatten)]
    lag: LagJson,
    pending: u64,
    behind_ms: Option<u64>,
    oldest_idle_ms: Option<u64>,
    consumer_count: u64,
    last_delivered_id: String,
}

impl<'a> GroupJson<'a> {
    pub fn of(group: &'a GroupState) -> Self {
        Self {
            group: NameJson(&group.info.name),
            lag: group.lag.into(),
            pending: group.info.pending,
            behind_ms: match group.behind {
                Behind::Nothing => Some(0),
                Behind::Ms(ms) => Some(ms),
                Behind::Unknown => None,
            },
            oldest_idle_ms: group.oldest_idle_ms,
            consumer_count: group.info.consumers,
            last_delivered_id: group.info.last_delivered.to_string(),
        }
    }
}

#[derive(Serialize)]
struct GroupHeadJson<'a> {
    stream: NameJson<'a>,
    #[serde(flatten)]
    group: GroupJson<'a>,
    consumers: Vec<ConsumerJson<'a>>,
}

#[derive(Serialize)]
struct ConsumerJson<'a> {
    consumer: NameJson<'a>,
    pending: u64,
    idle_ms: u64,
    inactive_ms: Option<u64>,
}

impl<'a> ConsumerJson<'a> {
    fn of(consumer: &'a ConsumerInfo) -> Self {
        Self {
            consumer: NameJson(&consumer.name),
            pending: consumer.pending,
            idle_ms: consumer.idle_ms,
            inactive_ms: consumer.inactive_ms,
        }
    }
}

#[derive(Serialize)]
struct DeadConsumerJson<'a> {
    stream: NameJson<'a>,
    group: NameJson<'a>,
    #[serde(flatten)]
    consumer: ConsumerJson<'a>,
}

impl<'a> DeadConsumerJson<'a> {
    fn of(dead: &'a DeadConsumer) -> Self {
        Self {
            stream: NameJson(&dead.stream),
            group: NameJson(&dead.group),
            consumer: ConsumerJson::of(&dead.info),
        }
    }
}

#[derive(Serialize)]
struct EntryJson<'a> {
    id: String,
    consumer: NameJson<'a>,
    idle_ms: Option<u64>,
    deliveries: u64,
}

impl<'a> EntryJson<'a> {
    fn of(entry: &'a PendingEntry) -> Self {
        Self {
            id: entry.id.to_string(),
            consumer: NameJson(&entry.consumer),
            idle_ms: entry.idle_ms,
            deliveries: entry.deliveries,
        }
    }
}
