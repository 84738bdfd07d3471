//! Many streams and their groups at a glance, in few round trips.

use redis::{Cmd, Value};

use super::error::ServerError;
use super::inspect::{GroupInfo, lossy};
use super::{EntryId, Error, Streamer};

/// A stream and its groups, as they stood within the same moments.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StreamState {
    /// Its name.
    pub name: String,
    /// How many entries it holds.
    pub length: u64,
    /// Its groups, sorted by name.
    pub groups: Vec<GroupState>,
}

/// A group, and the one figure about it that the server has to search for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupState {
    /// What the server knows of it.
    pub info: GroupInfo,
    /// Milliseconds for which the entry that waits longest for its acknowledgement was idle; `None` if nothing
    /// is pending but what was handed back.
    pub oldest_idle_ms: Option<u64>,
}

/// All streams of a database.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Survey {
    /// Those that can be seen, sorted by name.
    pub streams: Vec<StreamState>,
    /// The names of those that the user may not look at.
    pub denied: Vec<String>,
}

/// How many streams are asked about in one piece.
const STREAMS: usize = 500;
/// How many groups are searched in one piece: their replies have rows.
const GROUPS: usize = 100;
/// How many rows a search takes at once after its first.
const ROWS: usize = 1000;

impl Streamer {
    /// All streams of the database. One that goes while they are looked at is left out.
    ///
    /// Fails if the user may look at none of them: then it is the command that is denied, not a stream.
    pub fn survey(&mut self) -> Result<Survey, Error> {
        let names = self.stream_keys()?;
        let mut found = Vec::new();
        let mut denied = Vec::new();
        let mut refusal = None;
        for chunk in names.chunks(STREAMS) {
            for (name, state) in chunk.iter().zip(self.sight(chunk)?) {
                match state {
                    Ok(Some(sighted)) => found.push(sighted),
                    // Deleted since it was named, or replaced by something else.
                    Ok(None) | Err(Error::WrongType { .. }) => {}
                    Err(Error::Denied(error)) => {
                        denied.push(lossy(name));
                        refusal = Some(error);
                    }
                    Err(error) => return Err(error),
                }
            }
        }
        match refusal {
            Some(error) if found.is_empty() => Err(Error::Denied(error)),
            _ => Ok(Survey {
                streams: self.complete(found)?,
                denied,
            }),
        }
    }

    /// One stream with its groups.
    pub fn stream_state(&mut self, stream: &str) -> Result<StreamState, Error> {
        let sighted = self.one(stream)?;
        self.complete(vec![sighted])?.pop().ok_or_else(|| no_stream(stream))
    }

    /// One group of a stream; the others are not searched.
    pub fn group_state(&mut self, stream: &str, group: &str) -> Result<GroupState, Error> {
        let mut sighted = self.one(stream)?;
        sighted.groups.retain(|found| found.name == group.as_bytes());
        let mut streams = self.complete(vec![sighted])?;
        streams
            .pop()
            .and_then(|mut stream| stream.groups.pop())
            .ok_or_else(|| Error::NoGroup {
                stream: stream.to_owned(),
                group: group.to_owned(),
            })
    }

    fn one(&mut self, stream: &str) -> Result<Sighted, Error> {
        let mut sighted = self.sight(&[stream.as_bytes().to_vec()])?;
        sighted.pop().unwrap_or(Ok(None))?.ok_or_else(|| no_stream(stream))
    }

    /// Asks for lengths and groups. XLEN, since XINFO STREAM would bring two whole entries along.
    fn sight(&mut self, names: &[Vec<u8>]) -> Result<Vec<Result<Option<Sighted>, Error>>, Error> {
        let commands: Vec<Cmd> = names
            .iter()
            .flat_map(|name| {
                let (mut length, mut groups) = (redis::cmd("XLEN"), redis::cmd("XINFO"));
                length.arg(name);
                groups.arg("GROUPS").arg(name);
                [length, groups]
            })
            .collect();
        let mut replies = self.connection.query_all(&commands)?.into_iter();
        Ok(names
            .iter()
            .zip(std::iter::from_fn(|| replies.next().zip(replies.next())))
            .map(|(name, (length, groups))| self.sighted(name, length, groups))
            .collect())
    }

    fn sighted(&self, name: &[u8], length: Answer, groups: Answer) -> Result<Option<Sighted>, Error> {
        let refused = |error| Error::refused(error, &lossy(name), None);
        let rows = match groups {
            Err(error) if error.is_no_such_key() => return Ok(None),
            answer => answer.map_err(refused)?,
        };
        let groups: Result<Vec<_>, Error> = self
            .group_rows(rows)?
            .into_iter()
            .map(|(name, info)| Ok(Search::new(name, info)))
            .collect();
        Ok(Some(Sighted {
            name: name.to_vec(),
            length: self.read(length.map_err(refused)?)?,
            groups: groups?,
        }))
    }

    /// Searches the pending entries of all groups that have any.
    fn complete(&mut self, mut streams: Vec<Sighted>) -> Result<Vec<StreamState>, Error> {
        loop {
            let mut open: Vec<(&[u8], &mut Search)> = streams
                .iter_mut()
                .flat_map(|stream| {
                    let name = stream.name.as_slice();
                    stream.groups.iter_mut().map(move |search| (name, search))
                })
                .filter(|(_, search)| search.from.is_some())
                .take(GROUPS)
                .collect();
            if open.is_empty() {
                break;
            }
            let commands: Vec<Cmd> = open.iter().filter_map(|(stream, search)| search.next(stream)).collect();
            let replies = self.connection.query_all(&commands)?;
            for ((stream, search), reply) in open.iter_mut().zip(replies) {
                self.absorb(stream, search, reply)?;
            }
        }
        Ok(streams.into_iter().map(Sighted::state).collect())
    }

    fn absorb(&self, stream: &[u8], search: &mut Search, reply: Answer) -> Result<(), Error> {
        let group = lossy(&search.name);
        match reply.map_err(|error| Error::refused(error, &lossy(stream), Some(&group))) {
            Ok(rows) => search.take(&self.pending_rows(rows)?),
            // Deleted in the meantime: it is shown as it stood, and has nothing that waits.
            Err(Error::NoGroup { .. } | Error::WrongType { .. }) => search.from = None,
            Err(error) => return Err(error),
        }
        Ok(())
    }
}

type Answer = Result<Value, ServerError>;

fn no_stream(stream: &str) -> Error {
    Error::NoStream {
        stream: stream.to_owned(),
    }
}

/// A stream that was there. Names stay bytes until nothing more is asked about them.
struct Sighted {
    name: Vec<u8>,
    length: u64,
    groups: Vec<Search>,
}

impl Sighted {
    fn state(self) -> StreamState {
        StreamState {
            name: lossy(&self.name),
            length: self.length,
            groups: self
                .groups
                .into_iter()
                .map(|search| GroupState {
                    info: search.info,
                    oldest_idle_ms: search.oldest_idle_ms,
                })
                .collect(),
        }
    }
}

/// The search for the entry of a group that was idle longest, which need not be the oldest.
///
/// The server keeps no order by idle time. It skips what was idle for less than the longest found so far, so that
/// only the entries that beat it travel: mostly the first alone. To fetch all and compare here took ten times as
/// long; the server needs 0.1 s for a million entries (Redis 7.0).
struct Search {
    name: Vec<u8>,
    info: GroupInfo,
    oldest_idle_ms: Option<u64>,
    /// Where to go on; `None` at the end.
    from: Option<EntryId>,
}

impl Search {
    fn new(name: Vec<u8>, info: GroupInfo) -> Self {
        let from = (info.pending > 0).then_some(EntryId::MIN);
        Self {
            name,
            info,
            oldest_idle_ms: None,
            from,
        }
    }

    fn count(&self) -> usize {
        match self.from {
            Some(EntryId::MIN) => 1,
            _ => ROWS,
        }
    }

    fn next(&self, stream: &[u8]) -> Option<Cmd> {
        let from = self.from?;
        let mut pending = redis::cmd("XPENDING");
        pending.arg(stream).arg(&self.name);
        if let Some(oldest) = self.oldest_idle_ms {
            pending.arg("IDLE").arg(oldest.saturating_add(1));
        }
        pending.arg(from.to_string()).arg("+").arg(self.count());
        Some(pending)
    }

    fn take(&mut self, rows: &[super::PendingEntry]) {
        let is_last = rows.len() < self.count();
        self.from = rows.last().filter(|_| !is_last).and_then(|entry| entry.id.next());
        self.oldest_idle_ms = self
            .oldest_idle_ms
            .max(rows.iter().filter_map(|entry| entry.idle_ms).max());
    }
}

#[cfg(test)]
mod tests {
    use super::super::PendingEntry;
    use super::*;

    fn search(pending: u64) -> Search {
        let info = GroupInfo {
            name: "g".to_owned(),
            consumers: 1,
            pending,
            last_delivered: EntryId::MIN,
            lag: None,
        };
        Search::new(b"g".to_vec(), info)
    }

    fn entry(ms: u64, idle_ms: u64) -> PendingEntry {
        PendingEntry {
            id: EntryId::at_ms(ms),
            consumer: "c".to_owned(),
            idle_ms: Some(idle_ms),
            deliveries: 1,
        }
    }

    fn command(search: &Search) -> String {
        let packed = search.next(b"s").unwrap().get_packed_command();
        let text = String::from_utf8(packed).unwrap();
        let words: Vec<_> = text
            .split("\r\n")
            .filter(|part| !part.starts_with(['*', '$']))
            .collect();
        words.join(" ").trim_end().to_owned()
    }

    #[test]
    fn nothing_pending_needs_no_question() {
        assert!(search(0).next(b"s").is_none());
    }

    #[test]
    fn after_the_first_entry_only_those_idle_longer_are_asked_for() {
        let mut search = search(3);
        assert_eq!(command(&search), "XPENDING s g 0-0 + 1");
        search.take(&[entry(1, 50)]);
        assert_eq!(command(&search), "XPENDING s g IDLE 51 1-1 + 1000");
        search.take(&[entry(2, 80), entry(3, 60)]);
        assert_eq!(search.oldest_idle_ms, Some(80));
        assert!(search.next(b"s").is_none());
    }

    #[test]
    fn a_full_page_is_not_the_end() {
        let mut search = search(5000);
        search.take(&[entry(1, 5)]);
        let page: Vec<_> = (2..2 + ROWS as u64).map(|ms| entry(ms, ms + 5)).collect();
        search.take(&page);
        assert_eq!(command(&search), "XPENDING s g IDLE 1007 1001-1 + 1000");
        search.take(&[]);
        assert_eq!(search.oldest_idle_ms, Some(1006));
        assert!(search.next(b"s").is_none());
    }

    #[test]
    fn what_was_handed_back_waits_for_nobody() {
        let mut search = search(3);
        let handed_back = |ms| PendingEntry {
            idle_ms: None,
            ..entry(ms, 0)
        };
        search.take(&[handed_back(1)]);
        assert_eq!(command(&search), "XPENDING s g 1-1 + 1000");
        search.take(&[handed_back(2), entry(3, 7)]);
        assert_eq!(search.oldest_idle_ms, Some(7));
    }

    #[test]
    fn all_acknowledged_in_the_meantime() {
        let mut search = search(1);
        search.take(&[]);
        assert_eq!(search.oldest_idle_ms, None);
        assert!(search.next(b"s").is_none());
    }
}
