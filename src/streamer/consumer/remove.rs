//! Removing a consumer of a group from outside. The server drops what is pending under the name, so that is handed
//! back first.

use std::time::Duration;

use super::hand_back::HandBack;
use super::requests::{Page, Pending, Requests, Whose, by_count};
use crate::streamer::entry::EntryId;
use crate::streamer::error::{Error, ServerError};
use crate::streamer::raw_name::RawName;
use crate::streamer::wire::Connection;

/// How many entries are handed back at a time.
const PAGE: usize = 1000;

/// Those that were idle for times that differ by less are handed back together.
const SPREAD: Duration = Duration::from_secs(1);

/// What came of a consumer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Removal {
    /// It is gone. So many entries were handed back.
    Removed { handed_back: u64 },
    /// It is at work: as its name went, it took so many entries. They are pending under it again.
    AtWork { taken: u64 },
}

/// Removes a consumer once nothing is pending under it.
///
/// No command removes a name only if nothing is pending under it, and none watches for deliveries. So one transaction
/// lists what is pending and removes the name, and what a consumer at work took just before is given back to it.
pub fn remove_consumer(
    connection: &mut Connection,
    stream: &RawName,
    group: &RawName,
    consumer: &RawName,
) -> Result<Removal, Error> {
    let requests = Requests {
        group: group.clone(),
        consumer: consumer.clone(),
    };
    let handed_back = hand_back_all(connection, &requests, stream)?;
    let (listed, dropped) = remove(connection, &requests, stream)?;
    if dropped == 0 {
        return Ok(Removal::Removed { handed_back });
    }
    match give_back(connection, &requests, stream, &listed) {
        Ok(()) => Ok(Removal::AtWork { taken: dropped }),
        Err(_) => Err(Error::Dropped {
            stream: stream.typed(),
            consumer: consumer.typed(),
            entries: dropped,
        }),
    }
}

fn hand_back_all(connection: &mut Connection, requests: &Requests, stream: &RawName) -> Result<u64, Error> {
    let mut hand_back = HandBack::default();
    let mut count = 0;
    let mut next = Some(Page::from(EntryId::MIN, PAGE, Whose::Ours));
    while let Some(page) = next {
        let rows = requests.pending(connection, stream, page)?;
        let rows = rows.map_err(|refusal| refused(refusal, requests, stream))?;
        next = page.behind(&rows);
        count += rows.len() as u64;
        for (deliveries, rows) in by_count(&rows, |row| row.deliveries) {
            hand_back.hand_back(connection, requests, stream, &rows, deliveries, SPREAD)?;
        }
    }
    Ok(count)
}

/// An entry of the list: its ID, its consumer, how long it was idle, how often it was delivered.
type Listed = (String, Vec<u8>, u64, u64);

/// Lists what is pending under the consumer and removes it, at one moment. Returns the list, and how many entries the
/// server dropped.
fn remove(connection: &mut Connection, requests: &Requests, stream: &RawName) -> Result<(Vec<Listed>, u64), Error> {
    let Requests { group, consumer } = requests;
    let (mut list, mut delete) = (redis::cmd("XPENDING"), redis::cmd("XGROUP"));
    // Nothing as a rule.
    list.arg(stream.as_bytes())
        .arg(group.as_bytes())
        .arg("-")
        .arg("+")
        .arg(u32::MAX)
        .arg(consumer.as_bytes());
    delete.arg("DELCONSUMER");
    delete
        .arg(stream.as_bytes())
        .arg(group.as_bytes())
        .arg(consumer.as_bytes());
    let done = connection.transact(&[list, delete])?;
    let done = done.map_err(|refusal| refused(refusal, requests, stream))?;
    let done = done.unwrap_or(redis::Value::Nil);
    let (list, dropped): (redis::Value, redis::Value) = connection.read(done)?;
    let answer = |value| match value {
        redis::Value::ServerError(error) => Err(refused(error.into(), requests, stream)),
        value => Ok(value),
    };
    Ok((connection.read(answer(list)?)?, connection.read(answer(dropped)?)?))
}

/// Makes entries pending under the consumer again, delivered as often as they were.
fn give_back(
    connection: &mut Connection,
    requests: &Requests,
    stream: &RawName,
    listed: &[Listed],
) -> Result<(), Error> {
    let row = |(id, _, _, deliveries): &Listed| {
        EntryId::from_wire(id.as_bytes()).map(|id| Pending {
            id,
            whose: Whose::Ours,
            idle: Duration::ZERO,
            deliveries: *deliveries,
        })
    };
    let rows: Vec<_> = listed.iter().filter_map(row).collect();
    for (deliveries, rows) in by_count(&rows, |row| row.deliveries) {
        for rows in rows.chunks(PAGE) {
            let ids: Vec<_> = rows.iter().map(|row| row.id).collect();
            let claim = requests.make_pending(stream, &ids, deliveries);
            connection.ask::<redis::Value>(&claim, &stream.typed(), Some(&requests.group.typed()))?;
        }
    }
    Ok(())
}

fn refused(refusal: ServerError, requests: &Requests, stream: &RawName) -> Error {
    Error::refused(refusal, &stream.typed(), Some(&requests.group.typed()))
}
