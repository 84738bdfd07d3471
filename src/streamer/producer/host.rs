//! What a producer needs from whoever runs it: batches in, and somebody to tell what became of them.

use std::time::Duration;

use super::batch::{Batch, Place, Record, Unfit};
use crate::streamer::entry::EntryId;
use crate::streamer::error::{Error, ServerError};

/// Where batches come from.
pub trait Source<E> {
    /// The next batch; waits for it so long at most.
    fn next(&mut self, wait: Duration) -> Arrival<E>;
    /// Takes back a batch that is done with, to use its memory again.
    fn recycle(&mut self, batch: Box<Batch>);
    /// Goes back to a place that it was past, if it can. What it had read beyond is forgotten.
    fn rewind(&mut self, to: Place) -> Rewind;
}

/// Whether a source can be read again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rewind {
    Done,
    Impossible,
}

/// What a source has.
pub enum Arrival<E> {
    Batch(Box<Batch>),
    /// There is no more, or a record ends the sending: a batch of its own, which is not sent.
    Ended(Option<Box<Batch>>),
    /// It cannot be read further.
    Failed(E),
    /// Nothing for now.
    Nothing,
}

/// What whoever keeps the account has written of the records up to some place, by all runs of a sending. The producer
/// carries it along, so that all that was written can be taken back to a place.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Written {
    pub rejected: u64,
    /// How long the files are, in bytes.
    pub rejects: u64,
    pub receipts: u64,
}

/// The last entry known to be added, or the stream's last ID before the first; `None` if there was no stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LastId {
    /// It is this one.
    Exactly(Option<EntryId>),
    /// It is this one or a later one: answers were lost.
    AtLeast(Option<EntryId>),
}

impl LastId {
    pub fn id(self) -> Option<EntryId> {
        match self {
            Self::Exactly(id) | Self::AtLeast(id) => id,
        }
    }

    /// This one, or one that was found later without the answer.
    pub fn or_later(self, id: Option<EntryId>) -> Self {
        Self::AtLeast(id.or(self.id()))
    }
}

/// How far a sending is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    pub place: Place,
    /// How many records are settled, by all runs.
    pub records: u64,
    pub last_id: LastId,
}

/// Who is told what becomes of the records, in their order.
pub trait Journal<E> {
    /// A record is in the stream; its ID is not known where the answer was lost and the entry has gone since.
    fn added(&mut self, batch: &Batch, record: &Record, id: Option<EntryId>);
    /// A record is in the stream, and it is not known whether it is safe: nothing more will be told of it.
    fn at_risk(&mut self, batch: &Batch, record: &Record);
    fn rejected(&mut self, batch: &Batch, record: &Record, why: Why<'_>) -> Result<(), E>;
    /// All of a batch was told, and what the server knows of the progress will last.
    fn settled(&mut self, batch: &Batch, progress: Progress) -> Result<Written, E>;
    /// Something was told of a batch that is not settled.
    fn told(&mut self) {}
    /// The server lost what it had confirmed: all behind this will be told again.
    fn rewound(&mut self, written: Written, progress: Progress) -> Result<(), E>;
    /// Whether no further record is to be sent.
    fn is_stopped(&self) -> bool;
    fn note(&mut self, note: Note<'_>);
}

/// Why a record is not in the stream.
#[derive(Debug)]
pub enum Why<'a> {
    Unfit(&'a Unfit),
    Refused(&'a Error),
    /// The answer was lost.
    PassedOver,
}

/// What a person may want to know while all goes well.
#[derive(Debug)]
pub enum Note<'a> {
    /// The server lets this user set no marker, so that a lost connection will leave doubt.
    NoMarker(&'a ServerError),
    /// The server lost what it had confirmed; it is sent again, from this place on.
    SentAgain(Place),
    /// Somebody deleted the marker; nothing else is missing.
    MarkerDeleted,
}
