//! A batch as one transaction on the wire: what is written, and what its replies mean.

use super::add::{Refusal, receive_added};
use super::batch::{Batch, Outcome};
use super::marker::{Contents, MOVES, Position, contents, write_move};
use crate::streamer::error::{Error, ServerError};
use crate::streamer::wire::Connection;
use crate::streamer::wire::resp::{Cursor, Malformed};

pub(super) const MULTI: &[u8] = b"*1\r\n$5\r\nMULTI\r\n";
const EXEC: &[u8] = b"*1\r\n$4\r\nEXEC\r\n";
const QUEUED: &[u8] = b"+QUEUED\r\n";

/// Sends a batch, and the marker's move with it.
pub fn send(connection: &mut Connection, batch: &mut Batch, key: &str, position: &Position) -> Result<(), Error> {
    connection.send(batch.transaction(|out| {
        write_move(out, key, position);
        out.extend_from_slice(EXEC);
    }))
}

/// How many replies a batch has.
pub fn replies(batch: &Batch) -> usize {
    let multi_and_exec = 2;
    queued(batch) + multi_and_exec
}

/// How many commands lie between MULTI and EXEC.
fn queued(batch: &Batch) -> usize {
    batch.commands + usize::from(batch.trim_at.is_some()) + MOVES
}

/// What became of a transaction.
#[derive(Debug, PartialEq, Eq)]
pub enum Executed {
    Yes(Marked),
    /// Nothing of it was done.
    Refused {
        step: Step,
        error: ServerError,
    },
    /// A key that was watched had changed: nothing of it was done.
    Overtaken,
}

/// What an executed transaction says beside the entries' IDs.
#[derive(Debug, PartialEq, Eq)]
pub struct Marked {
    /// What the marker held before, or why it could not be moved.
    pub before: Result<Contents, ServerError>,
    /// Why the stream was not trimmed, where it should have been.
    pub untrimmed: Option<ServerError>,
}

/// Which command was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    Entries,
    Marker,
}

/// Receives the replies to a batch; `outcomes` then says what became of each XADD, if they were executed.
pub fn receive(connection: &mut Connection, batch: &Batch, outcomes: &mut Vec<Outcome>) -> Result<Executed, Error> {
    outcomes.clear();
    if connection.receive()?.cursor().is_err() {
        return receive_one_by_one(connection, batch, outcomes);
    }
    let refused = receive_queued(connection, queued(batch))?;
    let reply = connection.receive()?;
    let executed = match reply.cursor() {
        Err(error) => Ok(refusal(batch, refused, error)),
        Ok(cursor) if cursor.is_nil() => Ok(Executed::Overtaken),
        Ok(mut cursor) => walk(&mut cursor, batch, outcomes).map(Executed::Yes),
    };
    executed.map_err(|malformed| connection.malformed(malformed))
}

/// Passes over the replies of commands that are queued; the first refusal among them, and its place.
fn receive_queued(connection: &mut Connection, commands: usize) -> Result<Option<(usize, ServerError)>, Error> {
    let mut refused = None;
    let mut seen = connection.skip(QUEUED, commands)?;
    while seen < commands {
        if let Err(error) = connection.receive()?.cursor() {
            // After this the server closes the connection; sent again, the batch would only meet the same.
            if error.detail.starts_with("Protocol error") {
                return Err(Error::Refused(error));
            }
            refused.get_or_insert((seen, error));
        }
        seen += 1;
        seen += connection.skip(QUEUED, commands - seen)?;
    }
    Ok(refused)
}

/// Why a transaction was not executed: what was said as its commands were queued, or at its end.
fn refusal(batch: &Batch, queued_error: Option<(usize, ServerError)>, error: ServerError) -> Executed {
    let entries = queued(batch) - MOVES;
    match queued_error {
        Some((index, error)) => Executed::Refused {
            step: if index >= entries { Step::Marker } else { Step::Entries },
            error,
        },
        None => Executed::Refused {
            step: Step::Entries,
            error: error.cause(),
        },
    }
}

fn walk(cursor: &mut Cursor<'_>, batch: &Batch, outcomes: &mut Vec<Outcome>) -> Result<Marked, Malformed> {
    cursor.array_of(queued(batch))?;
    for _ in 0..batch.commands {
        outcomes.push(match cursor.refusal()? {
            None => Outcome::Added(Some(cursor.id()?)),
            Some(error) => Outcome::Refused(error),
        });
    }
    let mut untrimmed = None;
    if batch.trim_at.is_some() {
        untrimmed = cursor.refusal()?;
        if untrimmed.is_none() {
            cursor.number()?;
        }
    }
    let before = match cursor.refusal()? {
        None => moved(cursor)?,
        Some(error) => Err(error),
    };
    Ok(Marked { before, untrimmed })
}

/// What the marker held before it was moved, or why it was not.
fn moved(cursor: &mut Cursor<'_>) -> Result<Result<Contents, ServerError>, Malformed> {
    let before = contents(cursor)?;
    for _ in 1..MOVES {
        if let Some(error) = cursor.refusal()? {
            return Ok(Err(error));
        }
        cursor.number()?;
    }
    Ok(Ok(before))
}

/// The server took no MULTI, which it took before: all that follows was executed as it came.
fn receive_one_by_one(
    connection: &mut Connection,
    batch: &Batch,
    outcomes: &mut Vec<Outcome>,
) -> Result<Executed, Error> {
    let untrimmed = receive_commands(connection, batch, 0, outcomes)?;
    let before = connection.walk(contents)?;
    let exec = 1;
    for _ in 1..MOVES + exec {
        connection.receive()?;
    }
    Ok(Executed::Yes(Marked { before, untrimmed }))
}

/// Receives the replies to the commands of a batch that are no transaction, from those of a record on. Gives XTRIM's
/// refusal.
pub fn receive_commands(
    connection: &mut Connection,
    batch: &Batch,
    from: usize,
    outcomes: &mut Vec<Outcome>,
) -> Result<Option<ServerError>, Error> {
    let trims = usize::from(batch.trim_at.is_some());
    for _ in trims..batch.count_from(from) {
        outcomes.push(match receive_added(connection)? {
            Ok(id) => Outcome::Added(Some(id)),
            Err(Refusal::Server(error)) => Outcome::Refused(error),
            // Only asked for where one entry is added.
            Err(Refusal::NoStream) => Outcome::PassedOver,
        });
    }
    match trims {
        0 => Ok(None),
        _ => Ok(connection.receive()?.cursor().err()),
    }
}
