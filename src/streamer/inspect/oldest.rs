//! The search for the entry of each group that was idle longest.

use redis::Cmd;

use super::groups::GroupInfo;
use super::lossy;
use super::pending::PendingEntry;
use crate::streamer::entry::EntryId;
use crate::streamer::error::{Error, ServerError};
use crate::streamer::wire::{Connection, receive_pending};

/// How many groups are searched in one piece: their replies have rows.
const GROUPS: usize = 100;
/// How many rows a search takes at once after its first.
const ROWS: usize = 1000;

/// Searches groups, each named with its stream, in few round trips.
pub fn search(connection: &mut Connection, searches: &mut [(&[u8], &mut Search)]) -> Result<(), Error> {
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

/// The search for the entry of a group that was idle longest, which need not be the oldest.
///
/// The server keeps no order by idle time. It skips what was idle for less than the longest found so far, so that
/// only the entries that beat it travel: mostly the first alone. To fetch all and compare here took ten times as
/// long; the server needs 0.1 s for a million entries (Redis 7.0).
pub struct Search {
    pub name: Vec<u8>,
    pub info: GroupInfo,
    pub oldest_idle_ms: Option<u64>,
    /// Where to go on; `None` at the end.
    from: Option<EntryId>,
}

impl Search {
    pub fn new(name: Vec<u8>, info: GroupInfo) -> Self {
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

    fn absorb(&mut self, stream: &[u8], rows: Result<Vec<PendingEntry>, ServerError>) -> Result<(), Error> {
        let group = lossy(&self.name);
        match rows.map_err(|refusal| Error::refused(refusal, &lossy(stream), Some(&group))) {
            Ok(rows) => self.take(&rows),
            // Deleted in the meantime: it is shown as it stood, and has nothing that waits.
            Err(Error::NoGroup { .. } | Error::WrongType { .. }) => self.from = None,
            Err(error) => return Err(error),
        }
        Ok(())
    }

    fn take(&mut self, rows: &[PendingEntry]) {
        let is_last = rows.len() < self.count();
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
