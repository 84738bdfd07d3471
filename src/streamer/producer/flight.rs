//! A batch on its way, how it was sent, and what is known of it.

use super::batch::{Batch, Outcome};
use super::link::Mode;
use super::marker::{Position, Writer};
use super::telling::Answer;
use super::transaction::{self, Executed};
use crate::streamer::entry::EntryId;
use crate::streamer::error::Error;
use crate::streamer::wire::Connection;

/// A batch on its way.
pub struct Flight {
    pub batch: Box<Batch>,
    pub position: Position,
    /// Who may have brought it, without an answer.
    pub sent_by: Vec<Writer>,
    /// How it was sent last: its replies come in this form, whatever is sent behind it.
    pub form: Form,
    /// The first record that is not told of.
    pub told: usize,
    /// The first record that is not settled, where records are sent by themselves.
    pub next: usize,
    /// What became of the commands between the two.
    pub heard: Vec<Outcome>,
    /// By what it is known to be in the stream, where that is not told before it is safe.
    pub is_in: Option<Answer>,
    /// Whether it is known to be safe.
    pub is_safe: bool,
    /// Whether the answer is still to come, behind its replies, that says whether all up to here is safe.
    pub is_asked: bool,
}

/// How a batch is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// As a transaction that moves the marker.
    Transaction,
    /// Each record by itself.
    Commands,
}

impl From<&Mode> for Form {
    fn from(mode: &Mode) -> Self {
        match mode {
            Mode::Marked => Self::Transaction,
            Mode::Plain(_) => Self::Commands,
        }
    }
}

impl Flight {
    pub fn new(batch: Box<Batch>, position: Position) -> Self {
        Self {
            batch,
            position,
            sent_by: Vec::new(),
            form: Form::Transaction,
            told: 0,
            next: 0,
            heard: Vec::new(),
            is_in: None,
            is_safe: false,
            is_asked: false,
        }
    }

    pub fn is_in_doubt(&self) -> bool {
        !self.sent_by.is_empty()
    }

    /// How much of a window it takes: records, and bytes of commands.
    pub fn size(&self) -> (usize, usize) {
        (self.batch.records.len(), self.batch.packed.len())
    }

    /// It is not in: all that is not told of it is to be sent again.
    pub fn is_lost(&mut self) {
        self.is_in = None;
        self.heard.clear();
        self.next = self.told;
    }

    /// The ID of its last entry, if that is known.
    pub fn last_id(&self) -> Option<EntryId> {
        self.heard.iter().rev().find_map(|outcome| match outcome {
            Outcome::Added(id) => *id,
            Outcome::Refused(_) | Outcome::PassedOver => None,
        })
    }

    /// Sends the batch, or what is not settled of it.
    pub fn send(&mut self, connection: &mut Connection, key: &str) -> Result<(), Error> {
        match self.form {
            Form::Transaction => transaction::send(connection, &mut self.batch, key, &self.position),
            Form::Commands => connection.send(self.batch.commands_from(self.next)),
        }
    }

    /// How many replies there are to it.
    pub fn replies(&self) -> usize {
        match self.form {
            Form::Transaction => transaction::replies(&self.batch),
            Form::Commands => self.batch.count_from(self.next),
        }
    }

    /// Receives the replies to the batch.
    pub fn receive(&self, connection: &mut Connection, outcomes: &mut Vec<Outcome>) -> Result<Executed, Error> {
        match self.form {
            Form::Transaction => transaction::receive(connection, &self.batch, outcomes),
            Form::Commands => super::plain::receive(connection, &self.batch, self.next, outcomes),
        }
    }
}
