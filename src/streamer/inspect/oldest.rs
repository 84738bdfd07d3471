//! The search for the entries of each group that have waited longest.

use redis::Cmd;

use super::groups::GroupInfo;
use super::pending::PendingEntry;
use super::state::Oldest;
use crate::streamer::entry::EntryId;
use crate::streamer::error::{Error, ServerError};
use crate::streamer::raw_name::RawName;
use crate::streamer::wire::{Connection, receive_pending};

/// How many groups are searched in one piece: their replies have rows.
const GROUPS: usize = 100;
/// How many rows a search takes at once after its first.
const ROWS: usize = 1000;

/// Searches groups, each named with its stream, in few round trips.
pub fn search(connection: &mut Connection, searches: &mut [(&RawName, &mut Search)]) -> Result<(), Error> {
    loop {
        let open = searches.iter_mut().filter(|(_, search)| search.from.is_some());
        let mut open: Vec<_> = open.take(GROUPS).collect();
        if open.is_empty() {
            return Ok(());
        }
        let mut packed = Vec::new();
        for request in open.iter().filter_map(|(stream, search)| search.next(stream)) {
            request.write_packed_command(&mut packed);
        }
        connection.send(&packed)?;
        for (stream, search) in &mut open {
            let from = search.from.unwrap_or_default();
            let rows = receive_pending(connection, from, search.count(), PendingEntry::of)?;
            search.absorb(stream, rows)?;
        }
    }
}

/// The search for the entries of a group that have waited longest: the oldest one, and the one that was idle longest,
/// which need not be the same.
///
/// The server keeps no order by idle time. It skips what was idle for less than the longest found so far, so that
/// only the entries that beat it travel: mostly the first alone. To fetch all and compare here took ten times as
/// long; the server needs 0.1 s for a million entries (Redis 7.0).
pub struct Search {
    pub info: GroupInfo,
    /// The oldest entry that is pending.
    pub oldest: Option<EntryId>,
    pub oldest_idle_ms: Option<u64>,
    extent: Oldest,
    /// Where to go on; `None` at the end.
    from: Option<EntryId>,
}

impl Search {
    pub fn new(info: GroupInfo, extent: Oldest) -> Self {
        let from = (info.pending > 0).then_some(EntryId::MIN);
        Self {
            info,
            oldest: None,
            oldest_idle_ms: None,
            extent,
            from,
        }
    }

    fn count(&self) -> usize {
        match self.from {
            Some(EntryId::MIN) => 1,
            _ => ROWS,
        }
    }

    fn next(&self, stream: &RawName) -> Option<Cmd> {
        let from = self.from?;
        let mut pending = redis::cmd("XPENDING");
        pending.arg(stream.as_bytes()).arg(self.info.name.as_bytes());
        if let Some(oldest) = self.oldest_idle_ms {
            pending.arg("IDLE").arg(oldest.saturating_add(1));
        }
        pending.arg(from.to_string()).arg("+").arg(self.count());
        Some(pending)
    }

    fn absorb(&mut self, stream: &RawName, rows: Result<Vec<PendingEntry>, ServerError>) -> Result<(), Error> {
        match rows.map_err(|refusal| Error::refused(refusal, &stream.typed(), Some(&self.info.name.typed()))) {
            Ok(rows) => self.take(&rows),
            // Deleted in the meantime: it is shown as it stood, and has nothing that waits.
            Err(Error::NoGroup { .. } | Error::WrongType { .. }) => self.from = None,
            Err(error) => return Err(error),
        }
        Ok(())
    }

    fn take(&mut self, rows: &[PendingEntry]) {
        let is_last = rows.len() < self.count() || self.extent == Oldest::Leave;
        // The first row of all is that of the lowest ID.
        self.oldest = self.oldest.or(rows.first().map(|entry| entry.id));
        self.from = rows.last().filter(|_| !is_last).and_then(|entry| entry.id.next());
        self.oldest_idle_ms = self
            .oldest_idle_ms
            .max(rows.iter().filter_map(|entry| entry.idle_ms).max());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn search(pending: u64) -> Search {
        let info = GroupInfo {
            name: RawName::from("g"),
            consumers: 1,
            pending,
            last_delivered: EntryId::MIN,
            read: None,
            lag: None,
        };
        Search::new(info, Oldest::Search)
    }

    fn entry(ms: u64, idle_ms: u64) -> PendingEntry {
        PendingEntry {
            id: EntryId::at_ms(ms),
            consumer: RawName::from("c"),
            idle_ms: Some(idle_ms),
            deliveries: 1,
        }
    }

    fn command(search: &Search) -> String {
        let packed = search.next(&RawName::from("s")).unwrap().get_packed_command();
        let text = String::from_utf8(packed).unwrap();
        let words: Vec<_> = text
            .split("\r\n")
            .filter(|part| !part.starts_with(['*', '$']))
            .collect();
        words.join(" ").trim_end().to_owned()
    }

    #[test]
    fn nothing_pending_needs_no_question() {
        assert!(search(0).next(&RawName::from("s")).is_none());
    }

    #[test]
    fn after_the_first_entry_only_those_idle_longer_are_asked_for() {
        let mut search = search(3);
        assert_eq!(command(&search), "XPENDING s g 0-0 + 1");
        search.take(&[entry(1, 50)]);
        assert_eq!(command(&search), "XPENDING s g IDLE 51 1-1 + 1000");
        search.take(&[entry(2, 80), entry(3, 60)]);
        assert_eq!(search.oldest_idle_ms, Some(80));
        assert_eq!(search.oldest, Some(EntryId::at_ms(1)));
        assert!(search.next(&RawName::from("s")).is_none());
    }

    #[test]
    fn the_oldest_entry_alone_takes_one_question() {
        let mut search = Search {
            extent: Oldest::Leave,
            ..search(3)
        };
        search.take(&[entry(1, 50)]);
        assert_eq!(search.oldest, Some(EntryId::at_ms(1)));
        assert!(search.next(&RawName::from("s")).is_none());
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
        assert!(search.next(&RawName::from("s")).is_none());
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
        assert!(search.next(&RawName::from("s")).is_none());
    }
}
