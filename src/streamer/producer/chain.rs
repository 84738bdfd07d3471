//! What is known to be in the stream, batch after batch, and what a marker says in view of it. Pure.

use std::collections::VecDeque;

use super::batch::{Batch, Place};
use super::host::{LastId, Progress, Written};
use super::marker::{Contents, Mark, Position, Writer};
use crate::streamer::entry::EntryId;
use crate::streamer::wire::StreamEnd;

/// How many batches are remembered after they were confirmed: a server that comes back without them lost a few seconds.
const REMEMBERED: usize = 4096;

/// A place up to which all is settled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Confirmed {
    pub position: Position,
    pub last_id: LastId,
    pub written: Written,
}

/// The confirmed places.
#[derive(Debug)]
pub struct Chain {
    /// Where the marker's life began.
    root: Confirmed,
    confirmed: VecDeque<Confirmed>,
    /// What the marker holds, if nobody else touches it.
    marker: Option<Mark>,
}

impl Chain {
    /// A chain that begins at `root` and came as far as `last` by earlier runs.
    pub fn new(root: Confirmed, last: Confirmed, marker: Option<Mark>) -> Self {
        Self {
            root,
            confirmed: VecDeque::from([last]),
            marker,
        }
    }

    pub fn root(&self) -> Confirmed {
        self.root
    }

    pub fn last(&self) -> Confirmed {
        self.confirmed.back().copied().unwrap_or(self.root)
    }

    pub fn progress(&self) -> Progress {
        let Confirmed { position, last_id, .. } = self.last();
        Progress {
            place: position.place,
            records: position.records,
            last_id,
        }
    }

    /// Whether a stream cannot hold all that was added to it, by what it remembers: the server lost some.
    pub fn is_lost(&self, stream: Option<StreamEnd>) -> bool {
        let (root, last) = (self.root, self.last());
        let records = last.position.records - root.position.records;
        let added = records.saturating_sub(last.written.rejected - root.written.rejected);
        is_lost(stream, last.last_id, added)
    }

    /// Whether a marker holds what it should.
    pub fn is_at(&self, found: &Contents) -> bool {
        match found.mark() {
            Ok(Some(found)) => self.may_be(found),
            Ok(None) => self.marker.is_none(),
            Err(_) => false,
        }
    }

    /// Whether a marker holds what it should after so many batches that are in and not confirmed yet, this the last.
    pub fn is_ahead(&self, found: &Contents, last: Position, batches: u64) -> bool {
        let ahead = Mark {
            position: last,
            batches: self.batches() + batches,
        };
        found.mark() == Ok(Some(ahead))
    }

    /// Whether a marker may hold this. Where none could be set at the beginning, an attempt to connect that broke off may
    /// still have set it: such a connection may deliver late.
    fn may_be(&self, found: Mark) -> bool {
        match self.marker {
            Some(marker) => found == marker,
            None => self.last() == self.root && found == Mark::whole(self.root.position),
        }
    }

    /// How many batches the marker counts.
    fn batches(&self) -> u64 {
        self.marker.map_or(0, |marker| marker.batches)
    }

    /// There is no marker any more.
    pub fn marker_is_gone(&mut self) {
        self.marker = None;
    }

    /// The marker was set to what is true: nothing is missing up to a position, and so many batches up to it are not
    /// confirmed yet.
    pub fn marker_is_mended(&mut self, position: Position, unconfirmed: u64) {
        self.marker = Some(Mark {
            position: self.last().position,
            batches: position.batch - unconfirmed,
        });
    }

    /// The position of a batch that is sent behind another, or behind what is confirmed.
    pub fn behind(&self, before: Option<&Position>, batch: &Batch, writer: Writer) -> Position {
        let before = before.copied().unwrap_or(self.last().position);
        Position {
            batch: before.batch + 1,
            records: before.records + batch.records.len() as u64,
            place: batch.end,
            writer,
        }
    }

    /// A batch is in, and the marker has moved with it.
    pub fn confirm(&mut self, position: Position, last_id: LastId) {
        let last = self.last();
        let batches = self.batches() + 1;
        self.marker = Some(Mark { position, batches });
        self.confirmed.push_back(Confirmed {
            position,
            last_id,
            written: last.written,
        });
        if self.confirmed.len() > REMEMBERED {
            self.confirmed.pop_front();
        }
    }

    /// What was written of the last batch.
    pub fn written(&mut self, written: Written) {
        if let Some(last) = self.confirmed.back_mut() {
            last.written = written;
        }
    }

    /// More is known of the last entry.
    pub fn found(&mut self, id: Option<EntryId>) {
        if let Some(last) = self.confirmed.back_mut() {
            last.last_id = last.last_id.or_later(id);
        }
    }

    /// Forgets what is behind a place; the marker holds this again, or is gone.
    pub fn rewind(&mut self, to: Confirmed, marker: Option<Mark>) {
        while self.confirmed.back().is_some_and(|last| last.position != to.position) {
            self.confirmed.pop_back();
        }
        if self.confirmed.is_empty() {
            self.confirmed.push_back(to);
        }
        self.marker = marker;
    }

    /// The confirmed place that a position is of, if it is remembered.
    pub fn find(&self, position: &Position) -> Option<Confirmed> {
        let places = self.confirmed.iter().rev().chain([&self.root]);
        places.copied().find(|confirmed| confirmed.position == *position)
    }

    /// What a marker says, read over a new connection, in view of the batches in flight, the oldest first. `newest` is
    /// the writer that anything was sent by last: had an older one brought a batch since, others of its batches might be
    /// in twice.
    pub fn judge<'f>(
        &self,
        marker: &Contents,
        newest: Writer,
        in_flight: impl Iterator<Item = Unconfirmed<'f>>,
    ) -> Verdict {
        if self.is_at(marker) {
            return Verdict::In(0);
        }
        let found = match marker.mark() {
            Ok(Some(found)) => found,
            Ok(None) => return Verdict::Gone,
            Err(_) => return Verdict::Foreign,
        };
        for (count, batch) in (1..).zip(in_flight) {
            if batch.is_at(&found.position) {
                return match batch.was_in || found.position.writer == newest {
                    true if found.batches == self.batches() + count => Verdict::In(count),
                    true if found.batches <= self.batches() => Verdict::BegunAnew,
                    true => Verdict::Gaps(count),
                    false => Verdict::Unclear(found.position),
                };
            }
        }
        match self.find(&found.position) {
            Some(confirmed) => Verdict::Behind(confirmed, found),
            None if self.wrote(&found.position) => Verdict::FarBehind(found.position.place),
            None => Verdict::Foreign,
        }
    }

    /// Whether a position that is remembered no more is one of this chain's.
    fn wrote(&self, position: &Position) -> bool {
        let oldest = self.confirmed.front();
        oldest.is_some_and(|oldest| position.writer == oldest.position.writer && position.batch < oldest.position.batch)
    }
}

/// Whether a stream cannot hold so many entries that were added to it, up to this one.
pub fn is_lost(stream: Option<StreamEnd>, last_id: LastId, added: u64) -> bool {
    let Some(stream) = stream else {
        return added > 0 || last_id.id().is_some();
    };
    Some(stream.last_id) < last_id.id() || stream.added.is_some_and(|ever| ever < added)
}

/// A batch that is not confirmed.
#[derive(Clone, Copy, Debug)]
pub struct Unconfirmed<'f> {
    pub position: &'f Position,
    /// Who may have brought it.
    pub writers: &'f [Writer],
    /// Whether it was in before the loss, brought by the writer of its position. The server may have lost it since.
    pub was_in: bool,
}

impl Unconfirmed<'_> {
    fn is_at(&self, found: &Position) -> bool {
        if self.was_in {
            return self.position == found;
        }
        self.position.is_of_batch(found) && self.writers.contains(&found.writer)
    }
}

/// What a marker says after a loss.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// So many of the batches in flight are in; the others are not.
    In(u64),
    /// The last of so many is in, and the server refused some of those before.
    Gaps(u64),
    /// It was deleted, or lost with all there was, and batches were executed since.
    BegunAnew,
    /// The server came back as it was then: it lost what it had confirmed since.
    Behind(Confirmed, Mark),
    /// As before, but nobody remembers what was written by then.
    FarBehind(Place),
    /// There is none, where there was one.
    Gone,
    /// Two connections may have brought the same batch.
    Unclear(Position),
    /// It is not this producer's.
    Foreign,
}

#[cfg(test)]
mod tests;
