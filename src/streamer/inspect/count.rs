//! Counting the entries between two IDs, which no command does: the server has to send them, so it is asked for pages, and
//! not without end.

use std::time::Duration;

use crate::streamer::entry::EntryId;
use crate::streamer::error::{Error, ServerError};
use crate::streamer::raw_name::RawName;
use crate::streamer::wire::{Connection, Entries, Shape};

/// How far entries are counted: one more than the limit tells that there are more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CountLimit {
    pub entries: u64,
    pub bytes: usize,
}

/// How far is counted what a person is told of.
pub const COUNT_LIMIT: CountLimit = CountLimit {
    entries: 10_000,
    bytes: 16 * 1024 * 1024,
};

/// So many entries, as far as they were counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Count {
    Exactly(u64),
    /// There may be more.
    AtLeast(u64),
}

impl Count {
    /// The number, or the lower bound of it.
    pub fn least(self) -> u64 {
        match self {
            Self::Exactly(count) | Self::AtLeast(count) => count,
        }
    }
}

/// How many entries are asked for at once, how many bytes they should have, and how many entries until it is known how
/// large they are: one command must not hold up a server for long.
const PAGE: u64 = 1000;
const PAGE_BYTES: u64 = 1024 * 1024;
const FIRST_PAGE: u64 = 10;

/// The entries of a stream behind one ID up to another, as far as they are counted.
#[derive(Clone, Copy, Debug)]
pub struct Counter {
    /// Where to go on; `None` if there is no more.
    from: Option<EntryId>,
    up_to: EntryId,
    entries: u64,
    bytes: usize,
}

impl Counter {
    pub fn new(behind: EntryId, up_to: EntryId) -> Self {
        Self {
            from: behind.next().filter(|from| *from <= up_to),
            up_to,
            entries: 0,
            bytes: 0,
        }
    }

    /// What is counted by now.
    pub fn count(&self) -> Count {
        match self.from {
            None => Count::Exactly(self.entries),
            Some(_) => Count::AtLeast(self.entries),
        }
    }

    /// The request for the next so many entries; `None` if there is no more.
    pub fn page(&self, stream: &RawName, count: u64) -> Option<redis::Cmd> {
        let mut range = redis::cmd("XRANGE");
        range.arg(stream.as_bytes());
        range.arg(self.from?.to_string()).arg(self.up_to.to_string());
        range.arg("COUNT").arg(count);
        Some(range)
    }

    /// Takes in the reply to a request for so many; the first of the entries.
    pub fn take_in(
        &mut self,
        connection: &mut Connection,
        asked: u64,
    ) -> Result<Result<Option<EntryId>, ServerError>, Error> {
        let mut entries = match Entries::begin(connection, Shape::OneStream, Duration::ZERO)? {
            Ok(entries) => entries,
            Err(refusal) => return Ok(Err(refusal)),
        };
        let (mut first, mut last) = (None, None);
        while let Some((_, delivered)) = entries.next(connection, &[])? {
            first = first.or(Some(delivered.id()));
            last = Some(delivered.id());
        }
        let (seen, size) = entries.size();
        self.entries += seen as u64;
        self.bytes += size;
        let is_full = seen as u64 >= asked;
        let next = last.filter(|_| is_full).and_then(EntryId::next);
        self.from = next.filter(|from| *from <= self.up_to);
        Ok(Ok(first))
    }

    /// Goes on to the end, or until it is known that there are more than the limit.
    pub fn go_on(
        &mut self,
        connection: &mut Connection,
        stream: &RawName,
        limit: CountLimit,
    ) -> Result<Result<(), ServerError>, Error> {
        while self.entries <= limit.entries && self.bytes <= limit.bytes {
            let count = self.next_page(limit);
            let Some(request) = self.page(stream, count) else {
                break;
            };
            connection.send(&request.get_packed_command())?;
            if let Err(refusal) = self.take_in(connection, count)? {
                return Ok(Err(refusal));
            }
        }
        Ok(Ok(()))
    }

    fn next_page(&self, limit: CountLimit) -> u64 {
        let fitting = match (self.bytes as u64).checked_div(self.entries) {
            None => FIRST_PAGE,
            Some(size) => (PAGE_BYTES / size.max(1)).clamp(1, PAGE),
        };
        fitting.min(limit.entries.saturating_add(1) - self.entries)
    }
}

/// Counts the entries behind one ID up to another, as far as a person is told.
pub fn count_between(
    connection: &mut Connection,
    stream: &RawName,
    behind: EntryId,
    up_to: EntryId,
) -> Result<Count, Error> {
    let mut counter = Counter::new(behind, up_to);
    let counted = counter.go_on(connection, stream, COUNT_LIMIT)?;
    counted.map_err(|refusal| Error::refused(refusal, &stream.typed(), None))?;
    Ok(counter.count())
}
