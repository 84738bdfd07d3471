//! What a server knows of its streams: lengths, groups, lag, consumers, pending entries.

use std::collections::HashMap;

use redis::Value;

use super::group::HANDED_BACK_IDLE;
use super::{EntryId, Error, Streamer};

/// A stream as a whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StreamInfo {
    /// How many entries it holds.
    pub length: u64,
    /// The last ID it ever gave, to an entry that may be gone by now.
    pub last_id: EntryId,
}

/// A group of a stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupInfo {
    /// Its name.
    pub name: String,
    /// How many consumers it knows.
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
    /// Its name.
    pub name: String,
    /// How many entries are pending under it.
    pub pending: u64,
    /// Milliseconds since it last tried to read.
    pub idle_ms: u64,
    /// Milliseconds since it last got an entry (from Redis 7.2).
    pub inactive_ms: Option<u64>,
}

/// An entry that was delivered and not acknowledged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PendingEntry {
    /// The entry.
    pub id: EntryId,
    /// Who has it.
    pub consumer: String,
    /// Milliseconds since it was last delivered; `None` if it was handed back.
    pub idle_ms: Option<u64>,
    /// How often it was delivered.
    pub deliveries: u64,
}

/// Which pending entries are asked for.
#[derive(Clone, Copy, Debug)]
pub struct PendingFilter<'a> {
    /// Only those idle for at least so many milliseconds.
    pub min_idle_ms: u64,
    /// Only those of this consumer.
    pub consumer: Option<&'a str>,
    /// Only IDs from here on.
    pub from: EntryId,
    /// At most so many.
    pub count: usize,
}

/// How many pending entries are asked for at once.
const PENDING_PAGE: usize = 10_000;

/// A name for people to read: what is not UTF-8 in it is replaced.
pub(super) fn lossy(name: &[u8]) -> String {
    String::from_utf8_lossy(name).into_owned()
}

impl Streamer {
    /// The keys of all streams of the database, sorted. A key is bytes: it need not be UTF-8 to be asked about.
    pub(super) fn stream_keys(&mut self) -> Result<Vec<Vec<u8>>, Error> {
        let mut names = Vec::new();
        let mut cursor = 0u64;
        loop {
            let mut scan = redis::cmd("SCAN");
            scan.arg(cursor).arg("TYPE").arg("stream").arg("COUNT").arg(1000);
            let (next, page): (u64, Vec<Vec<u8>>) = self.ask(&scan, "", None)?;
            names.extend(page);
            cursor = next;
            if cursor == 0 {
                break;
            }
        }
        // SCAN may name a key twice.
        names.sort();
        names.dedup();
        Ok(names)
    }

    /// The stream as a whole, `None` if there is none.
    pub fn stream_info(&mut self, stream: &str) -> Result<Option<StreamInfo>, Error> {
        let mut info = redis::cmd("XINFO");
        info.arg("STREAM").arg(stream);
        let Some(mut facts) = self.about_key(&info, stream)? else {
            return Ok(None);
        };
        Ok(Some(StreamInfo {
            length: self.fact(&mut facts, "length")?,
            last_id: self.id_fact(&mut facts, "last-generated-id")?,
        }))
    }

    /// The groups of a stream, sorted by name; `None` if there is no such stream.
    pub fn groups(&mut self, stream: &str) -> Result<Option<Vec<GroupInfo>>, Error> {
        let mut info = redis::cmd("XINFO");
        info.arg("GROUPS").arg(stream);
        let Some(rows) = self.about_key(&info, stream)? else {
            return Ok(None);
        };
        let groups = self.group_rows(rows)?;
        Ok(Some(groups.into_iter().map(|(_, info)| info).collect()))
    }

    /// The rows of XINFO GROUPS, sorted, each with the group's name as the server has it.
    pub(super) fn group_rows(&self, reply: Value) -> Result<Vec<(Vec<u8>, GroupInfo)>, Error> {
        let rows: Vec<HashMap<String, Value>> = self.read(reply)?;
        let groups: Result<Vec<_>, Error> = rows
            .into_iter()
            .map(|mut facts| {
                let name: Vec<u8> = self.fact(&mut facts, "name")?;
                let info = GroupInfo {
                    name: lossy(&name),
                    consumers: self.fact(&mut facts, "consumers")?,
                    pending: self.fact(&mut facts, "pending")?,
                    last_delivered: self.id_fact(&mut facts, "last-delivered-id")?,
                    lag: self.fact(&mut facts, "lag")?,
                };
                Ok((name, info))
            })
            .collect();
        let mut groups = groups?;
        groups.sort_by(|(a, _), (b, _)| a.cmp(b));
        Ok(groups)
    }

    /// One group of a stream.
    pub fn group(&mut self, stream: &str, group: &str) -> Result<GroupInfo, Error> {
        self.groups(stream)?
            .into_iter()
            .flatten()
            .find(|info| info.name == group)
            .ok_or_else(|| Error::NoGroup {
                stream: stream.to_owned(),
                group: group.to_owned(),
            })
    }

    /// The consumers of a group, sorted by name.
    pub fn consumers(&mut self, stream: &str, group: &str) -> Result<Vec<ConsumerInfo>, Error> {
        let mut info = redis::cmd("XINFO");
        info.arg("CONSUMERS").arg(stream).arg(group);
        let rows: Vec<HashMap<String, Value>> = self.ask(&info, stream, Some(group))?;
        let consumers: Result<Vec<_>, Error> = rows
            .into_iter()
            .map(|mut facts| {
                Ok(ConsumerInfo {
                    name: lossy(&self.fact::<Vec<u8>>(&mut facts, "name")?),
                    pending: self.fact(&mut facts, "pending")?,
                    idle_ms: self.fact(&mut facts, "idle")?,
                    // -1 stands for a consumer that never got an entry.
                    inactive_ms: self
                        .fact::<Option<i64>>(&mut facts, "inactive")?
                        .and_then(|ms| u64::try_from(ms).ok()),
                })
            })
            .collect();
        let mut consumers = consumers?;
        consumers.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(consumers)
    }

    /// Pending entries of a group, by ID. Asked for in pages: one command must not hold up a server for long.
    pub fn pending(
        &mut self,
        stream: &str,
        group: &str,
        filter: PendingFilter<'_>,
    ) -> Result<Vec<PendingEntry>, Error> {
        let mut entries = Vec::new();
        let mut from = Some(filter.from);
        while let Some(start) = from {
            let page = PendingFilter {
                from: start,
                count: (filter.count - entries.len()).min(PENDING_PAGE),
                ..filter
            };
            let rows = self.pending_page(stream, group, page)?;
            let more = rows.len() == page.count && entries.len() + rows.len() < filter.count;
            from = rows.last().filter(|_| more).and_then(|entry| entry.id.next());
            entries.extend(rows);
        }
        Ok(entries)
    }

    fn pending_page(
        &mut self,
        stream: &str,
        group: &str,
        filter: PendingFilter<'_>,
    ) -> Result<Vec<PendingEntry>, Error> {
        let mut pending = redis::cmd("XPENDING");
        pending.arg(stream).arg(group);
        if filter.min_idle_ms > 0 {
            pending.arg("IDLE").arg(filter.min_idle_ms);
        }
        pending.arg(filter.from.to_string()).arg("+").arg(filter.count);
        if let Some(consumer) = filter.consumer {
            pending.arg(consumer);
        }
        let reply = self.ask(&pending, stream, Some(group))?;
        self.pending_rows(reply)
    }

    /// The rows of XPENDING.
    pub(super) fn pending_rows(&self, reply: Value) -> Result<Vec<PendingEntry>, Error> {
        let rows: Vec<(Vec<u8>, Vec<u8>, u64, u64)> = self.read(reply)?;
        rows.into_iter()
            .map(|(id, consumer, idle_ms, deliveries)| {
                Ok(PendingEntry {
                    id: self.id(&id)?,
                    consumer: lossy(&consumer),
                    idle_ms: Some(idle_ms).filter(|ms| u128::from(*ms) < HANDED_BACK_IDLE.as_millis()),
                    deliveries,
                })
            })
            .collect()
    }

    /// A query about a key that may not be there.
    fn about_key<T: redis::FromRedisValue>(&mut self, command: &redis::Cmd, stream: &str) -> Result<Option<T>, Error> {
        match self.ask(command, stream, None) {
            Ok(reply) => Ok(Some(reply)),
            Err(Error::Refused(refusal)) if refusal.is_no_such_key() => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn fact<T: redis::FromRedisValue>(&self, facts: &mut HashMap<String, Value>, name: &str) -> Result<T, Error> {
        self.read(facts.remove(name).unwrap_or(Value::Nil))
    }

    fn id_fact(&self, facts: &mut HashMap<String, Value>, name: &str) -> Result<EntryId, Error> {
        let text: Vec<u8> = self.fact(facts, name)?;
        self.id(&text)
    }

    fn id(&self, text: &[u8]) -> Result<EntryId, Error> {
        EntryId::from_wire(text).ok_or_else(|| {
            self.connection
                .malformed(super::resp::Malformed("expected an entry ID"))
        })
    }
}
