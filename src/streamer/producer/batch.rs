//! Records of an input on their way: a batch is what one transaction adds.

use std::ops::Range;
use std::sync::Arc;

use super::transaction::MULTI;
use crate::streamer::entry::EntryId;
use crate::streamer::error::ServerError;

/// How many records a batch holds at most, and how many bytes of input, unless a single record is longer: Redis serves
/// nobody else while it executes a transaction, and a thousand XADDs take it a millisecond or two.
pub const MOST_RECORDS: usize = 1000;
pub const MOST_BYTES: usize = 128 * 1024;

/// A place between two records of the input.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Place {
    pub source: usize,
    /// How many bytes of the source lie before.
    pub offset: u64,
    /// How many lines of it lie before.
    pub line: u64,
    /// A digest of all that lies before, other sources included, by which the input is known again; `None` where
    /// nobody asks for it.
    pub digest: Option<u64>,
}

impl Place {
    pub fn is_before(&self, other: &Self) -> bool {
        (self.source, self.offset) < (other.source, other.offset)
    }
}

/// Records of one source, as read and as sent.
#[derive(Default)]
pub struct Batch {
    pub source: usize,
    /// What stands above the records in their source, such as the header of a table.
    pub header: Option<Arc<[u8]>>,
    /// The records as read.
    pub text: Vec<u8>,
    /// MULTI and the commands; what ends the transaction is added when it is sent.
    pub packed: Vec<u8>,
    pub records: Vec<Record>,
    /// How many of the records have a command.
    pub commands: usize,
    /// Where the XTRIM stands that ends the commands, if one does.
    pub trim_at: Option<usize>,
    /// Where the batch ends in the input.
    pub end: Place,
    pub sent: Sent,
    /// Where the commands end.
    packed_end: usize,
}

/// Who sent a batch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Sent {
    /// Nobody yet.
    #[default]
    Not,
    /// An earlier run: what became of its records is to be told once more.
    Earlier,
}

/// A record of a batch.
#[derive(Debug)]
pub struct Record {
    /// Its line, from 1.
    pub line: u64,
    /// Where it stands in the batch's text.
    pub text: Range<usize>,
    /// Its command, or why there is none.
    pub command: Result<Command, Unfit>,
}

/// The XADD of a record, in the batch's buffer.
#[derive(Clone, Debug)]
pub struct Command {
    pub packed: Range<usize>,
    /// Where its fields begin: the part by which its entry is known again in the stream.
    pub fields_at: usize,
    /// The ID it asks for.
    pub id: Option<EntryId>,
}

/// What became of a record's command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It is in the stream; its ID is not known where the answer was lost and the entry has gone since.
    Added(Option<EntryId>),
    Refused(ServerError),
    /// It was not added, and the answer that would say why was lost.
    PassedOver,
}

/// Why a record cannot be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unfit {
    /// Where in the line, from 1.
    pub column: usize,
    pub reason: String,
}

/// Some lines of the input, from one to another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// The first line: its source, and its number from 1.
    pub first: (usize, u64),
    /// The last line; `None` if it is not known how far they go.
    pub last: Option<(usize, u64)>,
}

impl Batch {
    /// Makes an empty batch of this one, with the memory it has.
    pub fn clear(&mut self) {
        self.header = None;
        self.text.clear();
        self.packed.clear();
        self.packed.extend_from_slice(MULTI);
        self.packed_end = self.packed.len();
        self.records.clear();
        self.commands = 0;
        self.trim_at = None;
        self.sent = Sent::Not;
    }

    /// Nothing is added to it any more.
    pub fn seal(&mut self, end: Place) {
        self.packed_end = self.packed.len();
        self.end = end;
    }

    pub fn push(&mut self, record: Record) {
        self.commands += usize::from(record.command.is_ok());
        self.records.push(record);
    }

    /// The whole transaction, ended by `end`.
    pub(super) fn transaction(&mut self, end: impl FnOnce(&mut Vec<u8>)) -> &[u8] {
        self.packed.truncate(self.packed_end);
        end(&mut self.packed);
        &self.packed
    }

    /// The commands by themselves, from those of a record on.
    pub(super) fn commands_from(&self, record: usize) -> &[u8] {
        let first = self.records[record..]
            .iter()
            .find_map(|record| record.command.as_ref().ok());
        let start = first
            .map(|command| command.packed.start)
            .or(self.trim_at)
            .unwrap_or(self.packed_end);
        &self.packed[start..self.packed_end]
    }

    /// How many commands there are from those of a record on, with the XTRIM.
    pub(super) fn count_from(&self, record: usize) -> usize {
        let adds = self.records[record..].iter().filter(|record| record.command.is_ok());
        adds.count() + usize::from(self.trim_at.is_some())
    }

    /// The fields of a record's entry, as they are packed.
    pub(super) fn fields(&self, command: &Command) -> &[u8] {
        &self.packed[command.fields_at..command.packed.end]
    }

    /// The lines from those of a record on.
    pub(super) fn span_from(&self, record: usize) -> Option<Span> {
        let (first, last) = (self.records.get(record)?, self.records.last()?);
        Some(Span {
            first: (self.source, first.line),
            last: Some((self.source, last.line)),
        })
    }
}

impl Span {
    /// From the beginning of one to the end of the other.
    pub fn to(self, other: Self) -> Self {
        Self {
            first: self.first,
            last: other.last,
        }
    }

    /// The lines between two places.
    pub fn between(from: Place, to: Place) -> Self {
        Self {
            first: (from.source, from.line + 1),
            last: Some((to.source, to.line)),
        }
    }

    /// The lines behind a place.
    pub fn after(place: Place) -> Self {
        Self {
            first: (place.source, place.line + 1),
            last: None,
        }
    }
}
