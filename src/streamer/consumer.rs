//! A consumer of a group: reads, acknowledges, takes over what others left, hands back what it could not do.
//!
//! Requests are queued and sent together; their replies come in the same order. That way acknowledgements
//! ride along with reads, and the server prepares one reply while the last one is worked on.

use std::collections::HashMap;
use std::time::Duration;

use super::error::ServerError;
use super::group::HANDED_BACK;
use super::resp::{Malformed, argument, command, write_command};
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
            argument(&mut self.queue, id.to_string().as_bytes());
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
        if !rest.is_empty() {
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
    pub fn deliveries(
        &mut self,
        stream: &str,
        first: EntryId,
        last: EntryId,
        count: usize,
    ) -> Result<HashMap<EntryId, u64>, Error> {
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

    /// Hands entries back, so that the next consumer that looks for stale ones gets them at once: they go to
    /// [`HANDED_BACK`], idle since the epoch, and not counted as delivered to this consumer.
    pub fn hand_back(&mut self, stream: &str, entries: &[(EntryId, u64)]) -> Result<(), Error> {
        let mut by_deliveries: HashMap<u64, Vec<EntryId>> = HashMap::new();
        for (id, deliveries) in entries {
            by_deliveries.entry(deliveries.saturating_sub(1)).or_default().push(*id);
        }
        for (before, ids) in by_deliveries {
            let mut claim = redis::cmd("XCLAIM");
            claim.arg(stream).arg(&self.membership.group).arg(HANDED_BACK).arg(0);
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
        } = self.membership.clone();
        for stream in &streams {
            let held = self.deliveries(stream, EntryId::MIN, EntryId::MAX, 1)?;
            if held.is_empty() {
                let mut delete = redis::cmd("XGROUP");
                delete.arg("DELCONSUMER").arg(stream).arg(&group).arg(&consumer);
                self.ask::<u64>(&delete, stream)?;
            }
        }
        Ok(())
    }

    /// The connection's number at the server, by which another connection can unblock it.
    pub fn client_id(&mut self) -> Result<u64, Error> {
        let mut id = redis::cmd("CLIENT");
        id.arg("ID");
        let reply = self.connection.query(&id)?;
        read(&self.connection, reply)
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
