//! A batch on its way, and how it was sent.

use super::batch::{Batch, Outcome};
use super::link::Mode;
use super::marker::{Position, Writer};
use super::transaction::{self, Executed};
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
    /// The first record that is not settled, where records are sent by themselves.
    pub next: usize,
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
            next: 0,
        }
    }

    pub fn is_in_doubt(&self) -> bool {
        !self.sent_by.is_empty()
    }

    /// Sends the batch, or what is not settled of it.
    pub fn send(&mut self, connection: &mut Connection, key: &str) -> Result<(), Error> {
        match self.form {
            Form::Transaction => transaction::send(connection, &mut self.batch, key, &self.position),
            Form::Commands => {
                connection.send(self.batch.commands_from(self.next))?;
                connection.expect(self.batch.count_from(self.next));
                Ok(())
            }
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
