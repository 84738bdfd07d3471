//! A consumer of a group: reads, acknowledges, leaves. What it takes over and hands back is in `handover`.
//!
//! Requests are queued and sent together; their replies come in the same order. That way acknowledgements
//! ride along with reads, and the server prepares one reply while the last one is worked on.

use std::ops::Range;
use std::time::Duration;

use super::error::ServerError;
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

/// A consumer at work on a connection of its own.
pub struct Consumer {
    pub(super) connection: Connection,
    pub(super) membership: Membership,
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

    /// Queues a read of up to `count` new entries of each stream.
    pub fn queue_read(&mut self, count: usize) {
        self.queue_read_of(0..self.membership.streams.len(), count);
    }

    /// Queues such a read of some of the streams.
    pub fn queue_read_of(&mut self, streams: Range<usize>, count: usize) {
        self.queue_new(streams, count, &[]);
    }

    /// Queues a read that waits for entries if there are none. With `claim` it also takes over what other
    /// consumers left pending for so long, be it while it waits (`CLAIM`, Redis 8.4).
    pub fn queue_wait(&mut self, count: usize, block: Duration, claim: Option<Duration>) {
        let block = block.as_millis().max(1).to_string();
        let claim = claim.map(|idle| idle.as_millis().to_string());
        let mut options = vec![&b"BLOCK"[..], block.as_bytes()];
        if let Some(idle) = &claim {
            options.extend([&b"CLAIM"[..], idle.as_bytes()]);
        }
        self.queue_new(0..self.membership.streams.len(), count, &options);
    }

    fn queue_new(&mut self, streams: Range<usize>, count: usize, options: &[&[u8]]) {
        let streams = &self.membership.streams[streams];
        let count = count.to_string();
        let mut parts = self.membership.read_parts(&count);
        parts.extend(options);
        if self.membership.delivery == Delivery::AtMostOnce {
            parts.push(b"NOACK");
        }
        parts.push(b"STREAMS");
        parts.extend(streams.iter().map(|stream| stream.as_bytes()));
        parts.extend(streams.iter().map(|_| &b">"[..]));
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

    pub(super) fn ask<T: redis::FromRedisValue>(&mut self, request: &redis::Cmd, stream: &str) -> Result<T, Error> {
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
    pub(super) fn refused(&self, refusal: ServerError, stream: Option<&str>) -> Error {
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
