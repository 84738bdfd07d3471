//! What landed in a stream although nobody said so: resolves entries that were in flight when a connection died.
//!
//! A server handles the commands of a connection in order, so what landed is a beginning of what was in
//! flight, perhaps with entries of others in between. It is matched in order by the fields' content.
//!
//! `XADD … IDMP` (Redis 8.6) would let the server do it, but costs it a third more time for every entry, and it
//! remembers the last 100 entries of a producer, where thousands are in flight.

use std::collections::{HashSet, VecDeque};
use std::hash::{DefaultHasher, Hasher};

use super::connection::RESPONSE_TIMEOUT;
use super::error::Error;
use super::resp::{argument, write_command};
use super::{Batch, Connection, Delivered, Entry, EntryId, Streamer};

/// How many entries one reply brings.
const PAGE: usize = 1000;

/// The entries of a stream after an ID, to be matched with what was in flight.
#[derive(Debug)]
pub struct Landed {
    entries: VecDeque<(EntryId, u64)>,
    /// Contents of entries that were passed over: somebody else's.
    foreign: HashSet<u64>,
    /// Whether the entry just before these is there, so that none of them can have been trimmed.
    anchored: bool,
}

/// What became of an entry that was in flight.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It is in the stream.
    Added(EntryId),
    /// It is not.
    Missing,
    /// Equal entries are there that may be somebody else's, or what landed was trimmed.
    Unknown,
}

/// What an entry's fields hold, to compare entries by: the bytes they take as arguments of a command.
pub fn content(packed_fields: &[u8]) -> u64 {
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

impl Landed {
    /// Reads everything after `last`, the last entry known to be added, or the stream's last ID before the
    /// first; `None` if there was no stream.
    ///
    /// `trims` says whether entries were trimmed as they were added.
    /// Fails with [`Error::RolledBack`] if the server no longer knows `last`: it lost what it had acknowledged.
    pub fn after(streamer: &mut Streamer, stream: &str, last: Option<EntryId>, trims: bool) -> Result<Self, Error> {
        let known = streamer.stream_info(stream)?.map(|info| info.last_id);
        let connection = &mut streamer.connection;
        if known < last {
            return Err(Error::RolledBack {
                stream: stream.to_owned(),
                known,
            });
        }
        let mut landed = Self {
            entries: VecDeque::new(),
            foreign: HashSet::new(),
            anchored: !trims && last.is_none_or(|last| last == EntryId::MIN),
        };
        // From `last` itself: that it is there shows that nothing after it was trimmed.
        let (mut batch, mut scratch) = (Batch::default(), Vec::new());
        let mut from = last.or(Some(EntryId::MIN));
        while let Some(start) = from {
            range(connection, stream, start, &mut batch)?;
            let mut count = 0;
            let mut newest = start;
            for delivered in batch.of_one_stream() {
                let (_, delivered) = delivered.map_err(|malformed| connection.malformed(malformed))?;
                count += 1;
                newest = delivered.id();
                match delivered {
                    Delivered::Entry(entry) if Some(entry.id) == last => landed.anchored = true,
                    Delivered::Entry(entry) => {
                        let content = content_of(&entry, &mut scratch);
                        landed.entries.push_back((entry.id, content));
                    }
                    Delivered::Gone(_) => {}
                }
            }
            from = if count == PAGE { newest.next() } else { None };
        }
        // Nothing was added since, so nothing can be missing from it.
        landed.anchored |= known == last;
        Ok(landed)
    }

    /// What became of the next entry that was in flight. To be asked in the order of sending.
    pub fn fate(&mut self, id: Option<EntryId>, content: u64) -> Fate {
        if !self.anchored {
            // The first that was in flight is there: what came after it is there too.
            match self.entries.front() {
                Some((_, first)) if *first == content => self.anchored = true,
                _ => return Fate::Unknown,
            }
        }
        while let Some((found, entry)) = self.entries.front().copied() {
            // IDs grow: one that was asked for is not to come any more.
            if id.is_some_and(|id| id < found) {
                break;
            }
            self.entries.pop_front();
            if entry == content && id.is_none_or(|id| id == found) {
                return Fate::Added(found);
            }
            self.foreign.insert(entry);
        }
        match id.is_none() && self.foreign.contains(&content) {
            true => Fate::Unknown,
            false => Fate::Missing,
        }
    }
}

fn range(connection: &mut Connection, stream: &str, from: EntryId, batch: &mut Batch) -> Result<(), Error> {
    let mut request = Vec::new();
    write_command(
        &mut request,
        &[
            b"XRANGE",
            stream.as_bytes(),
            from.to_string().as_bytes(),
            b"+",
            b"COUNT",
            PAGE.to_string().as_bytes(),
        ],
    );
    connection.send(&request)?;
    batch
        .receive(connection, RESPONSE_TIMEOUT)?
        .map_err(|refusal| Error::refused(refusal, stream, None))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn landed(contents: &[u64], anchored: bool) -> Landed {
        Landed {
            entries: contents.iter().map(|c| (EntryId::at_ms(*c), *c)).collect(),
            foreign: HashSet::new(),
            anchored,
        }
    }

    fn fates(mut landed: Landed, in_flight: &[u64]) -> Vec<Fate> {
        in_flight.iter().map(|content| landed.fate(None, *content)).collect()
    }

    #[test]
    fn a_beginning_of_what_was_in_flight_landed() {
        use Fate::{Added, Missing};
        let id = EntryId::at_ms;
        assert_eq!(fates(landed(&[], true), &[1, 2]), [Missing, Missing]);
        assert_eq!(fates(landed(&[1, 2], true), &[1, 2]), [Added(id(1)), Added(id(2))]);
        assert_eq!(
            fates(landed(&[1, 9], true), &[1, 2, 3]),
            [Added(id(1)), Missing, Missing]
        );
        assert_eq!(
            fates(landed(&[1, 1], true), &[1, 1, 1]),
            [Added(id(1)), Added(id(1)), Missing]
        );
    }

    #[test]
    fn equal_entries_of_others_leave_doubt() {
        use Fate::{Added, Missing, Unknown};
        assert_eq!(fates(landed(&[2], true), &[1, 2]), [Missing, Unknown]);
        assert_eq!(
            fates(landed(&[1, 3], true), &[1, 2, 3]),
            [Added(EntryId::at_ms(1)), Missing, Unknown]
        );
    }

    #[test]
    fn ids_that_were_asked_for_leave_no_doubt() {
        let mut landed = landed(&[5, 7, 9], true);
        let id = EntryId::at_ms;
        let fates = [(5, 5), (1, 7), (7, 7), (8, 9), (9, 1)].map(|(ms, content)| landed.fate(Some(id(ms)), content));
        use Fate::{Added, Missing};
        assert_eq!(fates, [Added(id(5)), Missing, Added(id(7)), Missing, Missing]);
    }

    #[test]
    fn what_may_have_been_trimmed_leaves_doubt_unless_the_first_is_there() {
        assert_eq!(fates(landed(&[2], false), &[1]), [Fate::Unknown]);
        assert_eq!(
            fates(landed(&[1], false), &[1, 2]),
            [Fate::Added(EntryId::at_ms(1)), Fate::Missing]
        );
    }
}
