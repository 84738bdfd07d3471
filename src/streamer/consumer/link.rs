//! A member's connection, and the replies that are still to come over it.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Instant;

use super::acknowledgement::AckCommand;
use crate::streamer::entry::EntryId;
use crate::streamer::error::Error;
use crate::streamer::servers::{Blockable, Closed, Identity, Servers, identify};
use crate::streamer::wire::Connection;

/// A reply that is still to come.
#[derive(Debug, PartialEq, Eq)]
pub enum Expected {
    /// Of a read of so many entries at most.
    Read(usize),
    /// Of the acknowledgement of these.
    Ack { stream: usize, ids: Vec<EntryId> },
    /// Of a look at what was handed back.
    HandedBack,
    /// Of a read by which the server sees that the consumer is there.
    Presence,
}

/// A connection of its own, known at the server so that it can be unblocked, and closed when it is lost.
pub struct Link {
    pub connection: Connection,
    pub identity: Option<Identity>,
    pub blockable: Arc<Blockable>,
    /// How it acknowledges.
    pub acks: AckCommand,
    /// Commands queued and not yet sent.
    pub queue: Vec<u8>,
    pub expected: VecDeque<Expected>,
    /// When the consumer is to show next that it is there.
    pub presence_due: Instant,
    /// Whether it broke, or is out of step.
    pub is_lost: bool,
}

/// Connections that were lost: each is closed at the server before anything is concluded.
#[derive(Default)]
pub struct OldConnections {
    /// Those that are not closed yet.
    open: Vec<Identity>,
    /// Whether one may still be served, because the server does not let this user close it.
    pub may_be_served: bool,
}

impl OldConnections {
    /// Another one; without an identity nobody can close it.
    pub fn add(&mut self, identity: Option<Identity>) {
        match identity {
            Some(identity) => self.open.push(identity),
            None => self.may_be_served = true,
        }
    }

    /// Closes them, over a connection that is there where it leads to their node.
    pub fn close(&mut self, servers: &Servers, over: &mut Connection) -> Result<(), Error> {
        while let Some(old) = self.open.last() {
            self.may_be_served |= servers.close(over, old)? == Closed::Unknown;
            self.open.pop();
        }
        Ok(())
    }
}

impl Link {
    /// Opens a connection to the node of streams, all of one slot. Nothing is waited for beyond the deadline.
    pub fn open(servers: &Servers, streams: &[String], deadline: Option<Instant>) -> Result<Self, Error> {
        let servers = servers.until(deadline);
        let mut connection = match streams {
            [only] => servers.of_key(only)?,
            several => servers.of_slot(&several[0])?,
        };
        connection.set_deadline(deadline);
        let identity = identify(&mut connection)?;
        let blockable = Blockable::new(&connection, identity.as_ref())?;
        Ok(Self {
            connection,
            identity,
            blockable,
            acks: AckCommand::Ack,
            queue: Vec::new(),
            expected: VecDeque::new(),
            presence_due: Instant::now(),
            is_lost: false,
        })
    }

    /// Sends what is queued.
    pub fn flush(&mut self) -> Result<(), Error> {
        if self.queue.is_empty() {
            return Ok(());
        }
        let sent = self.connection.send(&self.queue);
        self.queue.clear();
        sent
    }

    /// How many reads are in flight, and how many entries they ask for.
    pub fn reads(&self) -> (usize, usize) {
        let counts = self.expected.iter().filter_map(|expected| match expected {
            Expected::Read(count) => Some(*count),
            Expected::Ack { .. } | Expected::HandedBack | Expected::Presence => None,
        });
        counts.fold((0, 0), |(reads, asked), count| (reads + 1, asked + count))
    }
}
