//! Entries that become dead letters: each is held, read whole, added, and acknowledged.

use std::time::Duration;

use super::{Hands, NackOutcome, Progress, Row, Work};
use crate::streamer::consumer::dead_letter::{Origin, Transacted, transact, write_dead_letter};
use crate::streamer::consumer::hand_back::claimed;
use crate::streamer::consumer::requests::{hold, write_ack};
use crate::streamer::entry::OwnedFields;
use crate::streamer::error::Error;
use crate::streamer::names::HANDED_BACK;
use crate::streamer::producer::add::receive_added;
use crate::streamer::wire::resp::Delivered;
use crate::streamer::wire::{Connection, Entries, Shape};

/// How many dead letters are made in one transaction: all of them are held in memory, and nobody else is served meanwhile.
const LETTERS: usize = 16;

impl Hands<'_> {
    /// Adds dead letters, and acknowledges their messages.
    pub(super) fn make_dead_letters(
        &mut self,
        connection: &mut Connection,
        work: &mut Work<'_>,
        rows: Vec<Row>,
        to: &str,
        reason: &str,
    ) -> Result<(), Error> {
        let mut rows = rows.into_iter().peekable();
        while rows.peek().is_some() {
            let some = rows.by_ref().take(LETTERS).collect();
            self.make_some(connection, work, some, to, reason)?;
        }
        Ok(())
    }

    /// Both or neither, where one transaction reaches both.
    fn make_some(
        &mut self,
        connection: &mut Connection,
        work: &mut Work<'_>,
        rows: Vec<Row>,
        to: &str,
        reason: &str,
    ) -> Result<(), Error> {
        let rows = read(connection, work, rows)?;
        let rows = hold_all(connection, work, rows)?;
        let letters: Vec<_> = rows
            .iter()
            .map(|(row, fields)| {
                let mut packed = Vec::new();
                let origin = Origin {
                    stream: work.stream,
                    group: work.group,
                    id: row.pending.id,
                    deliveries: row.pending.deliveries,
                };
                write_dead_letter(&mut packed, to, fields, origin, reason);
                packed
            })
            .collect();
        let rows: Vec<Row> = rows.into_iter().map(|(row, _)| row).collect();
        if rows.is_empty() {
            return Ok(());
        }
        if !std::mem::replace(&mut self.has_learned, true) {
            self.servers.learn(connection)?;
        }
        // No transaction reaches over two slots, and where a slot is on its way, this connection is for the stream alone.
        if !self.servers.share_a_slot(work.stream, to) || connection.announces_all() {
            self.elsewhere
                .at(to, |connection| add(connection, to, &letters, &rows, work))?;
            return self.acknowledge(connection, work);
        }
        if self.may_transact && self.transact(connection, work, &rows, &letters, to)? {
            self.servers.confirm(connection)?;
            rows.iter().for_each(|row| work.settle(row.index, NackOutcome::Done));
            return Ok(());
        }
        add(connection, to, &letters, &rows, work)?;
        self.acknowledge(connection, work)
    }

    /// Adds dead letters and acknowledges their messages: both or neither. False if the server does not let this user.
    fn transact(
        &self,
        connection: &mut Connection,
        work: &mut Work<'_>,
        rows: &[Row],
        letters: &[Vec<u8>],
        to: &str,
    ) -> Result<bool, Error> {
        let mut packed = letters.concat();
        let ids: Vec<_> = rows.iter().map(|row| row.pending.id).collect();
        write_ack(&mut packed, work.stream, work.group, &ids);
        let done = transact(connection, to, packed, rows.len(), || work.doubt(rows));
        let may_be_done = match &done {
            Ok(transacted) => *transacted != Transacted::Impossible,
            Err(error) => error.is_connection(),
        };
        if !may_be_done {
            work.undo(rows);
        }
        done.map(|_| may_be_done)
    }

    /// Acknowledges what is a dead letter by now.
    pub(super) fn acknowledge(&self, connection: &mut Connection, work: &mut Work<'_>) -> Result<(), Error> {
        let added = work.indices(|progress| *progress == Progress::Added);
        if added.is_empty() {
            return Ok(());
        }
        let ids: Vec<_> = added.iter().map(|index| work.entries[*index].id).collect();
        let mut packed = Vec::new();
        write_ack(&mut packed, work.stream, work.group, &ids);
        connection.send(&packed)?;
        connection.answer()?.map_err(|refusal| work.error(refusal))?;
        self.servers.confirm(connection)?;
        added
            .into_iter()
            .for_each(|index| work.settle(index, NackOutcome::Done));
        Ok(())
    }
}

/// Reads messages whole; those that are gone are settled.
fn read(connection: &mut Connection, work: &mut Work<'_>, rows: Vec<Row>) -> Result<Vec<(Row, OwnedFields)>, Error> {
    let mut packed = Vec::new();
    for row in &rows {
        let (mut range, id) = (redis::cmd("XRANGE"), row.pending.id.to_string());
        range.arg(work.stream).arg(&id).arg(&id);
        range.write_packed_command(&mut packed);
    }
    connection.send(&packed)?;
    connection.expect(rows.len());
    let (mut found, mut refused) = (Vec::new(), None);
    for row in rows {
        let mut entries = match Entries::begin(connection, Shape::OneStream, Duration::ZERO)? {
            Ok(entries) => entries,
            Err(refusal) => {
                refused.get_or_insert(refusal);
                continue;
            }
        };
        let mut fields = None;
        while let Some((_, delivered)) = entries.next(connection, &[])? {
            if let Delivered::Entry(entry) = delivered {
                fields = Some(entry.owned_fields());
            }
        }
        match fields {
            Some(fields) => found.push((row, fields)),
            None => work.settle(row.index, NackOutcome::Gone),
        }
    }
    refused.map_or(Ok(found), |refusal| Err(work.error(refusal)))
}

/// Keeps from those who look for stale messages what is about to go; leaves out what somebody got since it was looked at.
fn hold_all<T>(connection: &mut Connection, work: &Work<'_>, rows: Vec<(Row, T)>) -> Result<Vec<(Row, T)>, Error> {
    let claims: Vec<_> = rows
        .iter()
        .map(|(row, _)| {
            let consumer = if row.is_free() {
                HANDED_BACK.as_bytes()
            } else {
                &row.consumer
            };
            hold(work.stream, work.group, consumer, row.pending.idle, row.pending.id)
        })
        .collect();
    let answers = connection.query_all(&claims)?;
    let mut held = Vec::new();
    for ((mut row, kept), answer) in rows.into_iter().zip(answers) {
        let answer = answer.map_err(|refusal| work.error(refusal))?;
        if claimed(connection, answer)?.contains(&row.pending.id) {
            if row.is_free() {
                row.consumer = HANDED_BACK.as_bytes().to_vec();
            }
            held.push((row, kept));
        }
    }
    Ok(held)
}

/// Adds dead letters by themselves, and notes down which are there.
fn add(
    connection: &mut Connection,
    to: &str,
    letters: &[Vec<u8>],
    rows: &[Row],
    work: &mut Work<'_>,
) -> Result<(), Error> {
    let mut refused = None;
    // What a node took before the stream moved is there.
    let left: Vec<_> = rows
        .iter()
        .zip(letters)
        .filter(|(row, _)| work.entries[row.index].progress != Progress::Added)
        .collect();
    let packed: Vec<_> = left.iter().flat_map(|(_, letter)| letter.iter().copied()).collect();
    connection.send(&packed)?;
    connection.expect(left.len());
    for (row, _) in left {
        match receive_added(connection)? {
            Ok(_) => work.entries[row.index].progress = Progress::Added,
            Err(refusal) => drop(refused.get_or_insert(refusal.into_error(to))),
        }
    }
    refused.map_or(Ok(()), Err)
}
