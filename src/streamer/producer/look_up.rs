//! The IDs of entries whose answer was lost, found in the stream. That they are in is known by the marker; this only
//! tells where. Entries of one transaction stand together.

use std::collections::{HashMap, VecDeque};
use std::hash::{DefaultHasher, Hasher};
use std::time::Duration;

use super::EntryIds;
use super::batch::{Batch, Command, Outcome};
use crate::streamer::entry::{Entry, EntryId};
use crate::streamer::error::Error;
use crate::streamer::wire::resp::{Delivered, argument, write_command};
use crate::streamer::wire::{Connection, Entries, Shape};

/// How many entries are asked for at first, and how many bytes a reply should have: the next asks for as many.
const FIRST_PAGE: usize = 100;
const PAGE_BYTES: usize = 1024 * 1024;
const LARGEST_PAGE: usize = 1000;

/// How many entries are looked through for one batch. Beyond, its IDs are left unknown.
const MOST_ENTRIES: usize = 500_000;

/// The stream behind an ID, read as far as it is needed.
pub struct LookUp<'a> {
    stream: &'a str,
    /// What was read and not yet matched: a hash of the content of each entry.
    entries: VecDeque<(u64, EntryId)>,
    /// Where to read on; `None` at the end.
    next: Option<EntryId>,
    page: usize,
    /// The first ID that a line of this producer may have.
    after: EntryId,
}

impl<'a> LookUp<'a> {
    /// Looks behind `after`.
    pub fn new(stream: &'a str, after: EntryId) -> Self {
        Self {
            stream,
            entries: VecDeque::new(),
            next: after.next(),
            page: FIRST_PAGE,
            after,
        }
    }

    /// What became of the commands of the next batch, all of which were executed.
    pub fn outcomes(
        &mut self,
        connection: &mut Connection,
        batch: &Batch,
        ids: EntryIds,
    ) -> Result<Vec<Outcome>, Error> {
        match ids {
            EntryIds::Given => self.given(connection, batch),
            EntryIds::Made => {
                let contents: Vec<u64> = commands(batch).map(|command| content(batch.fields(command))).collect();
                let ids = self.run_of(connection, &contents)?;
                Ok(ids.into_iter().map(Outcome::Added).collect())
            }
        }
    }

    /// Reads on until the entries of a batch are found as one run; if they are not, takes for each line the next entry
    /// that is equal: some of them were deleted, or the lines were sent in other batches than these.
    fn run_of(&mut self, connection: &mut Connection, contents: &[u64]) -> Result<Vec<Option<EntryId>>, Error> {
        if contents.is_empty() {
            return Ok(Vec::new());
        }
        let mut looked_at = 0;
        loop {
            let found = (looked_at..self.entries.len()).find(|start| self.is_run(*start, contents));
            if let Some(start) = found {
                let matched = self.entries.drain(..start + contents.len()).skip(start);
                return Ok(matched.map(|(_, id)| Some(id)).collect());
            }
            looked_at = (self.entries.len() + 1).saturating_sub(contents.len());
            if self.next.is_none() || self.entries.len() > MOST_ENTRIES {
                return Ok(one_by_one(&mut self.entries, contents));
            }
            self.read(connection, None)?;
        }
    }

    fn is_run(&self, start: usize, contents: &[u64]) -> bool {
        let entries = self.entries.range(start..).take(contents.len());
        entries.len() == contents.len() && entries.zip(contents).all(|((found, _), wanted)| found == wanted)
    }

    /// Lines that ask for an ID: one that is no larger than those before it was refused, whatever is there.
    fn given(&mut self, connection: &mut Connection, batch: &Batch) -> Result<Vec<Outcome>, Error> {
        let ids = || commands(batch).filter_map(|command| command.id);
        let (Some(smallest), Some(largest)) = (ids().min(), ids().max()) else {
            return Ok(Vec::new());
        };
        self.entries.clear();
        self.next = Some(smallest);
        while self.next.is_some_and(|next| next <= largest) {
            self.read(connection, Some(largest))?;
        }
        let there: HashMap<EntryId, u64> = self.entries.drain(..).map(|(content, id)| (id, content)).collect();
        let oldest = self.oldest(connection)?;
        let mut newest = self.after;
        Ok(commands(batch)
            .map(|command| {
                let id = command.id.unwrap_or_default();
                let is_there = there.get(&id) == Some(&content(batch.fields(command)));
                // What lies before the stream's beginning was trimmed since.
                let is_in = id > newest && (is_there || oldest.is_some_and(|oldest| id < oldest));
                if !is_in {
                    return Outcome::PassedOver;
                }
                (newest, self.after) = (id, id);
                Outcome::Added(Some(id))
            })
            .collect())
    }

    /// Reads the next page, up to `end` if that is given.
    fn read(&mut self, connection: &mut Connection, end: Option<EntryId>) -> Result<(), Error> {
        let Some(start) = self.next else {
            return Ok(());
        };
        let mut scratch = Vec::new();
        let entries = &mut self.entries;
        let walked = range(connection, self.stream, start, end, self.page, |entry| {
            entries.push_back((content_of(&entry, &mut scratch), entry.id));
        })?;
        let (count, bytes) = walked.size();
        self.next = match self.entries.back() {
            Some((_, newest)) if count == self.page => newest.next(),
            _ => None,
        };
        self.page = (count * PAGE_BYTES / bytes.max(1)).clamp(1, LARGEST_PAGE);
        Ok(())
    }

    /// The ID of the stream's first entry.
    fn oldest(&self, connection: &mut Connection) -> Result<Option<EntryId>, Error> {
        let mut oldest = None;
        range(connection, self.stream, EntryId::MIN, None, 1, |entry| {
            oldest = Some(entry.id)
        })?;
        Ok(oldest)
    }
}

fn commands(batch: &Batch) -> impl Iterator<Item = &Command> {
    batch.records.iter().filter_map(|record| record.command.as_ref().ok())
}

/// For each line the next entry that is equal.
fn one_by_one(entries: &mut VecDeque<(u64, EntryId)>, contents: &[u64]) -> Vec<Option<EntryId>> {
    let mut at = 0;
    let ids = contents
        .iter()
        .map(|wanted| {
            let ahead = entries.range(at..).position(|(found, _)| found == wanted)?;
            at += ahead + 1;
            Some(entries[at - 1].1)
        })
        .collect();
    entries.drain(..at);
    ids
}

/// What an entry's fields hold, to compare entries by: the bytes they take as arguments of a command.
fn content(packed_fields: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    hasher.write(packed_fields);
    hasher.finish()
}

fn content_of(entry: &Entry<'_>, scratch: &mut Vec<u8>) -> u64 {
    scratch.clear();
    for (name, value) in &entry.fields {
        argument(scratch, name);
        argument(scratch, value);
    }
    content(scratch)
}

fn range(
    connection: &mut Connection,
    stream: &str,
    start: EntryId,
    end: Option<EntryId>,
    count: usize,
    mut take: impl FnMut(Entry<'_>),
) -> Result<Entries, Error> {
    let end = end.map_or_else(|| "+".to_owned(), |end| end.to_string());
    let (start, count) = (start.to_string(), count.to_string());
    let mut request = Vec::new();
    write_command(
        &mut request,
        &["XRANGE", stream, &start, &end, "COUNT", &count].map(str::as_bytes),
    );
    connection.send(&request)?;
    let begun = Entries::begin(connection, Shape::OneStream, Duration::ZERO)?;
    let mut entries = begun.map_err(|refusal| Error::refused(refusal, stream, None))?;
    while let Some((_, delivered)) = entries.next(connection, &[])? {
        if let Delivered::Entry(entry) = delivered {
            take(entry);
        }
    }
    Ok(entries)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn look_up(contents: &[u64]) -> LookUp<'static> {
        let mut look_up = LookUp::new("s", EntryId::MIN);
        let ids = (1..).map(EntryId::at_ms);
        look_up.entries = contents.iter().copied().zip(ids).collect();
        look_up
    }

    #[test]
    fn a_batch_is_found_as_one_run() {
        let look_up = look_up(&[7, 1, 9, 1, 2, 3]);
        assert!(look_up.is_run(3, &[1, 2, 3]));
        assert!(!look_up.is_run(1, &[1, 2, 3]));
        assert!(!look_up.is_run(4, &[2, 3, 4]));
    }

    #[test]
    fn what_is_left_of_a_batch_is_found_in_order() {
        let mut entries = look_up(&[9, 2, 9, 3, 2]).entries;
        let ids = one_by_one(&mut entries, &[1, 2, 3, 4]);
        let found: Vec<Option<u64>> = ids.into_iter().map(|id| id.map(|id| id.ms)).collect();
        assert_eq!(found, [None, Some(2), Some(4), None]);
        assert_eq!(entries.len(), 1);
    }
}
