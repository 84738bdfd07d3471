//! The rows of XPENDING.

use super::Connection;
use super::resp::{Cursor, Malformed};
use crate::streamer::entry::EntryId;
use crate::streamer::error::{Error, ServerError};

/// An entry that was delivered and not acknowledged.
#[derive(Clone, Copy, Debug)]
pub struct PendingRow<'a> {
    pub id: EntryId,
    /// Who has it.
    pub consumer: &'a [u8],
    /// Milliseconds since it was last delivered.
    pub idle_ms: u64,
    pub deliveries: u64,
}

/// Receives the reply to an XPENDING that asked for at most `count` entries from an ID on, and makes something of each.
pub fn receive_pending<T>(
    connection: &mut Connection,
    from: EntryId,
    count: usize,
    make: impl FnMut(PendingRow<'_>) -> T,
) -> Result<Result<Vec<T>, ServerError>, Error> {
    connection.walk(|cursor| rows(cursor, from, count, make))
}

/// The rows of a reply. Whoever goes on behind the last one must not be led in circles: they have to be no more than
/// were asked for, and their IDs must grow.
fn rows<T>(
    cursor: &mut Cursor<'_>,
    from: EntryId,
    count: usize,
    mut make: impl FnMut(PendingRow<'_>) -> T,
) -> Result<Vec<T>, Malformed> {
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
            Ok(make(row))
        })
        .collect()
}

fn row<'a>(cursor: &mut Cursor<'a>) -> Result<PendingRow<'a>, Malformed> {
    cursor.array_of(4)?;
    let (id, consumer) = (cursor.id()?, cursor.bulk()?);
    let mut figure = || Ok(u64::try_from(cursor.number()?).unwrap_or(0));
    Ok(PendingRow {
        id,
        consumer,
        idle_ms: figure()?,
        deliveries: figure()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reply(ids: &[&str]) -> Vec<u8> {
        let mut reply = format!("*{}\r\n", ids.len());
        for id in ids {
            reply.push_str(&format!("*4\r\n${}\r\n{id}\r\n$1\r\nc\r\n:7\r\n:3\r\n", id.len()));
        }
        reply.into_bytes()
    }

    fn ids(reply: &[u8], from: u64, count: usize) -> Result<Vec<String>, Malformed> {
        let from = EntryId::at_ms(from);
        rows(&mut Cursor::new(reply), from, count, |row| row.id.to_string())
    }

    #[test]
    fn rows_go_on_from_where_they_were_asked_for() {
        assert_eq!(
            ids(&reply(&["3-0", "3-1", "7-0"]), 3, 3),
            Ok(vec!["3-0".to_owned(), "3-1".to_owned(), "7-0".to_owned()])
        );
        assert_eq!(ids(&reply(&[]), 3, 3), Ok(Vec::new()));
        let figures = |row: PendingRow<'_>| (row.consumer.to_vec(), row.idle_ms, row.deliveries);
        let read = rows(&mut Cursor::new(&reply(&["5-0"])), EntryId::MIN, 1, figures);
        assert_eq!(read, Ok(vec![(b"c".to_vec(), 7, 3)]));
    }

    #[test]
    fn rows_that_would_lead_in_circles_are_refused() {
        for (rows, count) in [
            (&["2-0"][..], 9),
            (&["1-0"], 9),
            (&["3-0", "3-0"], 9),
            (&["5-1", "5-0"], 9),
            (&["5-0", "4-0"], 9),
            (&["18446744073709551615-18446744073709551615", "3-0"], 9),
            (&["3-0", "4-0"], 1),
        ] {
            assert!(ids(&reply(rows), 3, count).is_err(), "{rows:?}");
        }
    }
}
