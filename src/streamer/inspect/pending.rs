//! Entries that were delivered and not acknowledged, in pages: one command must not hold up a server for long, and
//! memory must not grow with what is pending.

use crate::streamer::entry::EntryId;
use crate::streamer::error::{Error, ServerError};
use crate::streamer::names::HANDED_BACK_IDLE;
use crate::streamer::wire::Connection;
use crate::streamer::wire::resp::{Cursor, Malformed};

use super::lossy;

/// An entry that was delivered and not acknowledged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PendingEntry {
    pub id: EntryId,
    /// Who has it.
    pub consumer: String,
    /// Milliseconds since it was last delivered; `None` if it was handed back.
    pub idle_ms: Option<u64>,
    pub deliveries: u64,
}

/// Which pending entries are asked for.
#[derive(Clone, Copy, Debug)]
pub struct PendingFilter<'a> {
    pub min_idle_ms: u64,
    pub consumer: Option<&'a str>,
    /// At most so many.
    pub count: usize,
}

/// How many are asked for at once.
const PAGE: usize = 10_000;

/// A walk through the pending entries of a group, by ID.
pub struct PendingPages<'a> {
    stream: &'a str,
    group: &'a str,
    filter: PendingFilter<'a>,
    /// How many may still come.
    left: usize,
    /// Where to go on; `None` at the end.
    from: Option<EntryId>,
}

impl<'a> PendingPages<'a> {
    pub fn new(stream: &'a str, group: &'a str, filter: PendingFilter<'a>) -> Self {
        Self {
            stream,
            group,
            filter,
            left: filter.count,
            from: Some(EntryId::MIN),
        }
    }

    /// The next page, which may be empty; `None` behind the last one.
    pub fn next(&mut self, connection: &mut Connection) -> Result<Option<Vec<PendingEntry>>, Error> {
        let Some(from) = self.from.take() else {
            return Ok(None);
        };
        let count = self.left.min(PAGE);
        connection.send(&self.request(from, count).get_packed_command())?;
        let rows = receive_rows(connection, from, count)?
            .map_err(|refusal| Error::refused(refusal, self.stream, Some(self.group)))?;
        self.left -= rows.len();
        let is_last = rows.len() < count || self.left == 0;
        self.from = rows.last().filter(|_| !is_last).and_then(|entry| entry.id.next());
        Ok(Some(rows))
    }

    fn request(&self, from: EntryId, count: usize) -> redis::Cmd {
        let mut pending = redis::cmd("XPENDING");
        pending.arg(self.stream).arg(self.group);
        if self.filter.min_idle_ms > 0 {
            pending.arg("IDLE").arg(self.filter.min_idle_ms);
        }
        pending.arg(from.to_string()).arg("+").arg(count);
        if let Some(consumer) = self.filter.consumer {
            pending.arg(consumer);
        }
        pending
    }
}

/// Receives the reply to an XPENDING that asked for at most `count` entries from an ID on.
pub(super) fn receive_rows(
    connection: &mut Connection,
    from: EntryId,
    count: usize,
) -> Result<Result<Vec<PendingEntry>, ServerError>, Error> {
    let rows = match connection.receive()?.cursor() {
        Ok(mut cursor) => rows(&mut cursor, from, count),
        Err(refusal) => return Ok(Err(refusal)),
    };
    rows.map(Ok).map_err(|malformed| connection.malformed(malformed))
}

/// The rows of a reply. Whoever goes on behind the last one must not be led in circles: they have to be no more than
/// were asked for, and their IDs must grow.
fn rows(cursor: &mut Cursor<'_>, from: EntryId, count: usize) -> Result<Vec<PendingEntry>, Malformed> {
    let found = cursor.array()?.unwrap_or(0);
    if found > count {
        return Err(Malformed("more pending entries than were asked for"));
    }
    let mut least = Some(from);
    (0..found)
        .map(|_| {
            let row = row(cursor)?;
            if least.is_none_or(|least| row.id < least) {
                return Err(Malformed("pending entries out of order"));
            }
            least = row.id.next();
            Ok(row)
        })
        .collect()
}

fn row(cursor: &mut Cursor<'_>) -> Result<PendingEntry, Malformed> {
    cursor.array_of(4)?;
    let id = cursor.id()?;
    let consumer = lossy(cursor.bulk()?);
    let mut figure = || Ok(u64::try_from(cursor.number()?).unwrap_or(0));
    let (idle_ms, deliveries) = (figure()?, figure()?);
    Ok(PendingEntry {
        id,
        consumer,
        idle_ms: Some(idle_ms).filter(|ms| u128::from(*ms) < HANDED_BACK_IDLE.as_millis()),
        deliveries,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reply(ids: &[&str]) -> Vec<u8> {
        let mut reply = format!("*{}\r\n", ids.len());
        for id in ids {
            reply.push_str(&format!("*4\r\n${}\r\n{id}\r\n$1\r\nc\r\n:5\r\n:2\r\n", id.len()));
        }
        reply.into_bytes()
    }

    fn ids(reply: &[u8], from: u64, count: usize) -> Result<Vec<String>, Malformed> {
        let rows = rows(&mut Cursor::new(reply), EntryId::at_ms(from), count)?;
        Ok(rows.iter().map(|row| row.id.to_string()).collect())
    }

    #[test]
    fn rows_go_on_from_where_they_were_asked_for() {
        assert_eq!(
            ids(&reply(&["3-0", "3-1", "7-0"]), 3, 3),
            Ok(vec!["3-0".to_owned(), "3-1".to_owned(), "7-0".to_owned()])
        );
        assert_eq!(ids(&reply(&[]), 3, 3), Ok(Vec::new()));
    }

    #[test]
    fn rows_that_would_lead_in_circles_are_refused() {
        for (rows, count) in [
            (&["2-0"][..], 9),
            (&["3-0", "3-0"], 9),
            (&["5-0", "4-0"], 9),
            (&["18446744073709551615-18446744073709551615", "3-0"], 9),
            (&["3-0", "4-0"], 1),
        ] {
            assert!(ids(&reply(rows), 3, count).is_err(), "{rows:?}");
        }
    }

    #[test]
    fn what_was_handed_back_has_no_idle_time() {
        let reply = "*1\r\n*4\r\n$3\r\n1-0\r\n$1\r\nc\r\n:1700000000000\r\n:3\r\n";
        let row = rows(&mut Cursor::new(reply.as_bytes()), EntryId::MIN, 1)
            .unwrap()
            .remove(0);
        assert_eq!((row.idle_ms, row.deliveries), (None, 3));
    }
}
