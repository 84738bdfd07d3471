//! A consumer of a group: reads, acknowledges, takes over what others left, hands back what it could not do.
//!
//! Requests are queued and sent together; their replies come in the same order. That way acknowledgements
//! ride along with reads, and the server prepares one reply while the last one is worked on.

use std::collections::HashMap;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::entry::{Field, OwnedFields};
use super::error::ServerError;
use super::produce::{AddOptions, Missing, receive_added, write_add};
use super::resp::{Malformed, argument, command, id_argument, write_command};
use super::{Batch, Connection, EntryId, Error, RESPONSE_TIMEOUT, read};

/// Who reads what: one group's name, on one or more streams.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Membership {
    /// The streams.
    pub streams: Vec<String>,
    /// The group, of the same name on each stream.
    pub group: String,
    /// The consumer.
    pub consumer: String,
    /// What is promised.
    pub delivery: Delivery,
}

/// What a group's reads promise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Delivery {
    /// An entry is pending until it is acknowledged.
    AtLeastOnce,
    /// An entry counts as acknowledged when it is read (`NOACK`).
    AtMostOnce,
}

impl Membership {
    fn read_parts<'a>(&'a self, count: &'a str) -> Vec<&'a [u8]> {
        vec![
            b"XREADGROUP",
            b"GROUP",
            self.group.as_bytes(),
            self.consumer.as_bytes(),
            b"COUNT",
            count.as_bytes(),
        ]
    }
}

/// What to take over from other consumers.
#[derive(Clone, Copy, Debug)]
pub struct Claim {
    /// Only what was idle for so long.
    pub min_idle: Duration,
    /// Only from this ID on.
    pub from: EntryId,
    /// At most so many.
    pub count: usize,
}

/// Where a claim stopped, and what it found to be gone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claimed {
    /// Where to go on; `None` when everything was looked at.
    pub next: Option<EntryId>,
    /// Entries deleted or trimmed while pending; they are pending no more.
    pub gone: Vec<EntryId>,
}

/// A consumer at work on a connection of its own.
pub struct Consumer {
    connection: Connection,
    membership: Membership,
    /// Commands queued and not yet sent.
    queue: Vec<u8>,
}

impl Consumer {
    /// A consumer over a connection of its own.
    pub fn new(connection: Connection, membership: Membership) -> Self {
        Self {
            connection,
            membership,
            queue: Vec::new(),
        }
    }

    /// Queues a read of up to `count` new entries; with `block`, one that waits if there are none.
    pub fn queue_read(&mut self, count: usize, block: Option<Duration>) {
        let count = count.to_string();
        let wait = block.map(|block| block.as_millis().max(1).to_string());
        let mut parts = self.membership.read_parts(&count);
        if let Some(wait) = &wait {
            parts.extend([&b"BLOCK"[..], wait.as_bytes()]);
        }
        if self.membership.delivery == Delivery::AtMostOnce {
            parts.push(b"NOACK");
        }
        parts.push(b"STREAMS");
        parts.extend(self.membership.streams.iter().map(|stream| stream.as_bytes()));
        parts.extend(self.membership.streams.iter().map(|_| &b">"[..]));
        write_command(&mut self.queue, &parts);
    }

    /// Queues a read of this consumer's own pending entries of one stream after an ID.
    pub fn queue_read_own(&mut self, stream: &str, after: EntryId, count: usize) {
        let (count, after) = (count.to_string(), after.to_string());
        let mut parts = self.membership.read_parts(&count);
        parts.extend([&b"STREAMS"[..], stream.as_bytes(), after.as_bytes()]);
        write_command(&mut self.queue, &parts);
    }

    /// Queues the acknowledgement of entries of one stream.
    pub fn queue_ack(&mut self, stream: &str, ids: &[EntryId]) {
        command(&mut self.queue, 3 + ids.len());
        argument(&mut self.queue, b"XACK");
        argument(&mut self.queue, stream.as_bytes());
        argument(&mut self.queue, self.membership.group.as_bytes());
        for id in ids {
            id_argument(&mut self.queue, *id);
        }
    }

    /// Sends what is queued.
    pub fn flush(&mut self) -> Result<(), Error> {
        let sent = self.connection.send(&self.queue);
        self.queue.clear();
        sent
    }

    /// Receives the reply to the oldest read. `block` is what that read said.
    pub fn receive_batch(&mut self, batch: &mut Batch, block: Option<Duration>) -> Result<(), Error> {
        let patience = RESPONSE_TIMEOUT + block.unwrap_or_default();
        batch
            .receive(&mut self.connection, patience)?
            .map_err(|refusal| self.refused(refusal, None))
    }

    /// Receives the reply to the oldest acknowledgement: how many were pending until then.
    pub fn receive_acked(&mut self) -> Result<u64, Error> {
        let reply = match self.connection.receive()?.cursor() {
            Ok(mut cursor) => Ok(cursor.number()),
            Err(refusal) => Err(refusal),
        };
        match reply {
            Ok(count) => count
                .map(|count| count.unsigned_abs())
                .map_err(|malformed| self.malformed(malformed)),
            Err(refusal) => Err(self.refused(refusal, None)),
        }
    }

    /// Takes over entries of one stream that other consumers left pending, into `batch`.
    ///
    /// The batch is then one of [`Batch::claimed`].
    pub fn claim(&mut self, stream: &str, claim: Claim, batch: &mut Batch) -> Result<Claimed, Error> {
        let mut request = Vec::new();
        write_command(
            &mut request,
            &[
                b"XAUTOCLAIM",
                stream.as_bytes(),
                self.membership.group.as_bytes(),
                self.membership.consumer.as_bytes(),
                claim.min_idle.as_millis().to_string().as_bytes(),
                claim.from.to_string().as_bytes(),
                b"COUNT",
                claim.count.to_string().as_bytes(),
            ],
        );
        self.connection.send(&request)?;
        batch
            .receive(&mut self.connection, RESPONSE_TIMEOUT)?
            .map_err(|refusal| self.refused(refusal, Some(stream)))?;
        Self::claimed(batch).map_err(|malformed| self.malformed(malformed))
    }

    fn claimed(batch: &Batch) -> Result<Claimed, Malformed> {
        let (next, mut entries) = batch.claimed()?;
        for entry in entries.by_ref() {
            entry?;
        }
        let mut rest = entries.into_cursor();
        let mut gone = Vec::new();
        // Redis 6.2 has no third element: what is gone stays pending there until its consumer reads it again.
        if rest.remaining() > 0 {
            for _ in 0..rest.array()?.unwrap_or(0) {
                gone.push(rest.id()?);
            }
        }
        Ok(Claimed {
            next: Some(next).filter(|next| *next != EntryId::MIN),
            gone,
        })
    }

    /// How often each of this consumer's pending entries from `first` to `last` was delivered.
    pub fn deliveries(&mut self, stream: &str, first: EntryId, last: EntryId) -> Result<HashMap<EntryId, u64>, Error> {
        const PAGE: usize = 10_000;
        let mut deliveries = HashMap::new();
        let mut from = Some(first);
        while let Some(start) = from {
            let page = self.pending_page(stream, start, last, PAGE)?;
            from = match page.len() {
                PAGE => page.last().and_then(|(id, _)| id.next()).filter(|next| *next <= last),
                _ => None,
            };
            deliveries.extend(page);
        }
        Ok(deliveries)
    }

    fn pending_page(
        &mut self,
        stream: &str,
        first: EntryId,
        last: EntryId,
        count: usize,
    ) -> Result<Vec<(EntryId, u64)>, Error> {
        let mut pending = redis::cmd("XPENDING");
        pending
            .arg(stream)
            .arg(&self.membership.group)
            .arg(first.to_string())
            .arg(last.to_string())
            .arg(count)
            .arg(&self.membership.consumer);
        let rows: Vec<(Vec<u8>, Vec<u8>, u64, u64)> = self.ask(&pending, stream)?;
        Ok(rows
            .into_iter()
            .filter_map(|(id, _, _, deliveries)| Some((EntryId::from_wire(&id)?, deliveries)))
            .collect())
    }

    /// Delivers an entry of this consumer again, into `batch` (one of [`Batch::of_one_stream`]): how often that
    /// makes, or `None` if it is not pending under this consumer any more.
    pub fn take_again(&mut self, stream: &str, id: EntryId, batch: &mut Batch) -> Result<Option<u64>, Error> {
        let Some((_, deliveries)) = self.pending_page(stream, id, id, 1)?.pop() else {
            return Ok(None);
        };
        let mut request = Vec::new();
        let id = id.to_string();
        let Membership { group, consumer, .. } = &self.membership;
        let parts: [&[u8]; 6] = [
            b"XCLAIM",
            stream.as_bytes(),
            group.as_bytes(),
            consumer.as_bytes(),
            b"0",
            id.as_bytes(),
        ];
        write_command(&mut request, &parts);
        self.connection.send(&request)?;
        batch
            .receive(&mut self.connection, RESPONSE_TIMEOUT)?
            .map_err(|refusal| self.refused(refusal, Some(stream)))?;
        Ok(Some(deliveries + 1))
    }

    /// Sets the idle time of entries of this consumer back to 0, without counting it as a delivery.
    pub fn touch(&mut self, stream: &str, ids: &[EntryId]) -> Result<(), Error> {
        for ids in ids.chunks(1000) {
            let mut claim = redis::cmd("XCLAIM");
            claim
                .arg(stream)
                .arg(&self.membership.group)
                .arg(&self.membership.consumer)
                .arg(0);
            for id in ids {
                claim.arg(id.to_string());
            }
            self.ask::<redis::Value>(claim.arg("JUSTID"), stream)?;
        }
        Ok(())
    }

    /// Adds an entry to a stream of dead letters: its own fields, and where it came from and why.
    pub fn bury(
        &mut self,
        grave: &str,
        stream: &str,
        id: EntryId,
        (fields, deliveries): (&OwnedFields, u64),
        reason: &str,
    ) -> Result<(), Error> {
        let (id, deliveries) = (id.to_string(), deliveries.to_string());
        let mut all: Vec<Field<'_>> = fields.iter().map(|(n, v)| (n.as_slice(), v.as_slice())).collect();
        all.extend([
            (&b"dead-stream"[..], stream.as_bytes()),
            (b"dead-group", self.membership.group.as_bytes()),
            (b"dead-id", id.as_bytes()),
            (b"dead-deliveries", deliveries.as_bytes()),
            (b"dead-reason", reason.as_bytes()),
        ]);
        let options = AddOptions {
            id: None,
            missing: Missing::Create,
            trim: None,
        };
        let mut request = Vec::new();
        write_add(&mut request, grave.as_bytes(), options, &all);
        self.connection.send(&request)?;
        receive_added(&mut self.connection)?
            .map(drop)
            .map_err(|refusal| refusal.into_error(grave))
    }

    /// Hands entries back, each given with how often it was delivered: they go to the consumer `heir`, idle
    /// since the epoch, so that whoever looks for stale ones gets them at once; this delivery does not count.
    pub fn hand_back(&mut self, stream: &str, entries: &[(EntryId, u64)], heir: &str) -> Result<(), Error> {
        let mut by_deliveries: HashMap<u64, Vec<EntryId>> = HashMap::new();
        for (id, deliveries) in entries {
            by_deliveries.entry(deliveries.saturating_sub(1)).or_default().push(*id);
        }
        for (before, ids) in by_deliveries {
            let mut claim = redis::cmd("XCLAIM");
            claim.arg(stream).arg(&self.membership.group).arg(heir).arg(0);
            for id in ids {
                claim.arg(id.to_string());
            }
            claim.arg("TIME").arg(0).arg("RETRYCOUNT").arg(before).arg("JUSTID");
            self.ask::<redis::Value>(&claim, stream)?;
        }
        Ok(())
    }

    /// Removes this consumer from each group where nothing is pending under it.
    pub fn leave(&mut self) -> Result<(), Error> {
        let Membership {
            streams,
            group,
            consumer,
            ..
        } = self.membership.clone();
        for stream in &streams {
            let held = self.pending_page(stream, EntryId::MIN, EntryId::MAX, 1)?;
            if held.is_empty() {
                let mut delete = redis::cmd("XGROUP");
                delete.arg("DELCONSUMER").arg(stream).arg(&group).arg(&consumer);
                self.ask::<u64>(&delete, stream)?;
            }
        }
        Ok(())
    }

    /// Reserves entries in the group's ledger of processed entries, and forgets what is older than `window`.
    /// Says of each entry whether it is this consumer's now: false if somebody processed it already.
    ///
    /// The ledger is the sorted set `stream:S:group:G:processed` that the Python package keeps too.
    pub fn reserve(&mut self, stream: &str, ids: &[EntryId], window: Duration) -> Result<Vec<bool>, Error> {
        let key = self.ledger(stream);
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let mut purge = redis::cmd("ZREMRANGEBYSCORE");
        let oldest = now.saturating_sub(window).as_millis();
        purge.arg(&key).arg("-inf").arg(format!("({oldest}"));
        let mut commands = vec![purge];
        commands.extend(ids.iter().map(|id| {
            let mut reserve = redis::cmd("ZADD");
            reserve
                .arg(&key)
                .arg("NX")
                .arg(now.as_millis() as u64)
                .arg(id.to_string());
            reserve
        }));
        let replies = self.connection.query_all(&commands)?;
        let counts: Result<Vec<u64>, Error> = replies
            .into_iter()
            .map(|reply| {
                let reply = reply.map_err(|refusal| self.refused(refusal, Some(stream)))?;
                read(&self.connection, reply)
            })
            .collect();
        Ok(counts?.into_iter().skip(1).map(|added| added > 0).collect())
    }

    /// Takes entries out of the ledger again: they were reserved and then not processed.
    pub fn release(&mut self, stream: &str, entries: &[(EntryId, u64)]) -> Result<(), Error> {
        if entries.is_empty() {
            return Ok(());
        }
        let mut release = redis::cmd("ZREM");
        release.arg(self.ledger(stream));
        for (id, _) in entries {
            release.arg(id.to_string());
        }
        self.ask(&release, stream)
    }

    fn ledger(&self, stream: &str) -> String {
        format!("stream:{stream}:group:{}:processed", self.membership.group)
    }

    fn ask<T: redis::FromRedisValue>(&mut self, request: &redis::Cmd, stream: &str) -> Result<T, Error> {
        let reply = self.connection.query(request).map_err(|error| match error {
            Error::Refused(refusal) => self.refused(refusal, Some(stream)),
            other => other,
        })?;
        read(&self.connection, reply)
    }

    /// What a malformed reply means here.
    pub fn malformed(&self, malformed: Malformed) -> Error {
        self.connection.malformed(malformed)
    }

    /// A read of several streams does not say which one it was refused for, but for the key in the text.
    fn refused(&self, refusal: ServerError, stream: Option<&str>) -> Error {
        let Membership { streams, group, .. } = &self.membership;
        let named = || {
            streams
                .iter()
                .find(|stream| refusal.detail.contains(&format!("'{stream}'")))
        };
        let stream = stream.or_else(|| named().or(streams.first()).map(String::as_str));
        Error::refused(refusal.clone(), stream.unwrap_or_default(), Some(group))
    }
}
