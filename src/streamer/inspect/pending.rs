//! Entries that were delivered and not acknowledged, in pages: one command must not hold up a server for long, and
//! memory must not grow with what is pending.

use crate::streamer::entry::EntryId;
use crate::streamer::error::Error;
use crate::streamer::names::HANDED_BACK_IDLE;
use crate::streamer::raw_name::RawName;
use crate::streamer::wire::{Connection, PendingRow, receive_pending};

/// An entry that was delivered and not acknowledged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PendingEntry {
    pub id: EntryId,
    /// Who has it.
    pub consumer: RawName,
    /// Milliseconds since it was last delivered; `None` if it was handed back.
    pub idle_ms: Option<u64>,
    pub deliveries: u64,
}

/// Which pending entries are asked for.
#[derive(Clone, Copy, Debug)]
pub struct PendingFilter<'a> {
    pub min_idle_ms: u64,
    pub consumer: Option<&'a RawName>,
    /// At most so many.
    pub count: usize,
}

/// How many are asked for at once.
const PAGE: usize = 10_000;

/// A walk through the pending entries of a group, by ID.
pub struct PendingPages<'a> {
    stream: &'a RawName,
    group: &'a RawName,
    filter: PendingFilter<'a>,
    /// How many may still come.
    left: usize,
    /// Where to go on; `None` at the end.
    from: Option<EntryId>,
}

impl<'a> PendingPages<'a> {
    pub fn new(stream: &'a RawName, group: &'a RawName, filter: PendingFilter<'a>) -> Self {
        Self {
            stream,
            group,
            filter,
            left: filter.count,
            from: Some(EntryId::MIN),
        }
    }

    /// The next page, which may be empty; `None` behind the last one. After a failure it is asked for again.
    pub fn next(&mut self, connection: &mut Connection) -> Result<Option<Vec<PendingEntry>>, Error> {
        let Some(from) = self.from else {
            return Ok(None);
        };
        let count = self.left.min(PAGE);
        connection.send(&self.request(from, count).get_packed_command())?;
        let rows = receive_pending(connection, from, count, PendingEntry::of)?
            .map_err(|refusal| Error::refused(refusal, &self.stream.typed(), Some(&self.group.typed())))?;
        self.left -= rows.len();
        let is_last = rows.len() < count || self.left == 0;
        self.from = rows.last().filter(|_| !is_last).and_then(|entry| entry.id.next());
        Ok(Some(rows))
    }

    fn request(&self, from: EntryId, count: usize) -> redis::Cmd {
        let mut pending = redis::cmd("XPENDING");
        pending.arg(self.stream.as_bytes()).arg(self.group.as_bytes());
        if self.filter.min_idle_ms > 0 {
            pending.arg("IDLE").arg(self.filter.min_idle_ms);
        }
        pending.arg(from.to_string()).arg("+").arg(count);
        if let Some(consumer) = self.filter.consumer {
            pending.arg(consumer.as_bytes());
        }
        pending
    }
}

impl PendingEntry {
    pub(super) fn of(row: PendingRow<'_>) -> Self {
        Self {
            id: row.id,
            consumer: RawName::from(row.consumer.to_vec()),
            idle_ms: Some(row.idle_ms).filter(|ms| u128::from(*ms) < HANDED_BACK_IDLE.as_millis()),
            deliveries: row.deliveries,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_handed_back_has_no_idle_time() {
        let row = PendingRow {
            id: EntryId::at_ms(1),
            consumer: b"c",
            idle_ms: 1_700_000_000_000,
            deliveries: 3,
        };
        let entry = PendingEntry::of(row);
        assert_eq!((entry.idle_ms, entry.deliveries), (None, 3));
    }
}
