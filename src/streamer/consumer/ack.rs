//! Acknowledgements from outside: of entries of any streams, by whoever knows their IDs.

use std::collections::HashMap;

use super::acknowledgement::{AckCommand, Acked, Done};
use super::attempts::Attempts;
use crate::streamer::entry::EntryId;
use crate::streamer::error::Error;
use crate::streamer::inspect::groups;
use crate::streamer::servers::{Connections, Supervisor};
use crate::streamer::stop::Halt;
use crate::streamer::wire::Address;

/// An entry to acknowledge.
#[derive(Clone, Copy, Debug)]
pub struct Ack<'a> {
    pub stream: &'a str,
    /// The group it is pending in.
    pub group: &'a str,
    pub id: EntryId,
}

/// What became of one acknowledgement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AckOutcome {
    /// The entry was pending until now.
    Acked,
    /// It was, and is deleted.
    Deleted,
    /// It was, and is not deleted as it was to be: the stream has other groups by now.
    Undeletable,
    NotPending,
    /// The entry is not pending, and the answer to an earlier attempt was lost: that attempt may have done it.
    AnswerLost,
}

/// Acknowledges over connections that are made again when they are lost.
pub struct Acknowledger<'a> {
    attempts: Attempts<'a>,
    commands: Commands,
}

/// The commands for streams.
struct Commands {
    done: Done,
    /// That of each stream that was asked about, unless its server may be another one by now. It had no other groups where
    /// the server needs that: those that come up later do not undo what is done.
    seen: HashMap<String, Option<AckCommand>>,
}

impl Commands {
    /// The command for this stream. Where entries are to be deleted, its server is asked once what it has.
    fn of(&mut self, connections: &mut Connections, Ack { stream, group, .. }: Ack<'_>) -> Result<AckCommand, Error> {
        if self.done == Done::Kept {
            return Ok(AckCommand::Ack);
        }
        let before = self.seen.get(stream);
        if let Some(Some(known)) = before {
            return Ok(*known);
        }
        let found = connections.at(stream, |connection| {
            let command = AckCommand::find(connection, stream, group, self.done)?;
            if before.is_none() {
                command.see_other_groups(connection, stream, group)?;
            }
            Ok(command)
        })?;
        self.seen.insert(stream.to_owned(), Some(found));
        Ok(found)
    }

    /// Another server may serve the streams by the next attempt.
    fn ask_again(&mut self) {
        self.seen.values_mut().for_each(|command| *command = None);
    }
}

impl<'a> Acknowledger<'a> {
    /// `done` says what becomes of what is acknowledged.
    pub fn new(connections: Connections, supervisor: Supervisor<'a>, done: Done) -> Self {
        Self {
            attempts: Attempts::new(connections, supervisor),
            commands: Commands {
                done,
                seen: HashMap::new(),
            },
        }
    }

    /// Acknowledges entries; tells of each, by its place, as soon as it is known. To be asked to end is no reason to
    /// leave off while the server is there.
    pub fn acknowledge(
        &mut self,
        acks: &[Ack<'_>],
        mut tell: impl FnMut(usize, AckOutcome),
    ) -> Result<(), Halt<Error>> {
        if acks.is_empty() {
            return Ok(());
        }
        let mut progress = vec![Progress::Unsent; acks.len()];
        let Self { attempts, commands } = self;
        attempts.until_done(|connections| {
            let done = acknowledge_all(connections, commands, acks, &mut progress, &mut tell);
            done.inspect_err(|_| commands.ask_again())
        })
    }

    /// Fails if there is no such group: an acknowledgement in it is answered as in any other.
    pub fn see_group(&mut self, stream: &str, group: &str) -> Result<(), Halt<Error>> {
        self.attempts
            .until_done(|connections| connections.at(stream, |connection| groups::see_group(connection, stream, group)))
    }
}

/// How far one acknowledgement is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Progress {
    Unsent,
    Sent,
    /// Sent before, and the answer was lost.
    InDoubt,
    Settled,
}

impl Progress {
    fn sent(self) -> Self {
        match self {
            Self::Unsent => Self::Sent,
            Self::Sent | Self::InDoubt => Self::InDoubt,
            Self::Settled => Self::Settled,
        }
    }

    /// The server refused for a while: this attempt did nothing.
    fn refused(self) -> Self {
        match self {
            Self::Sent => Self::Unsent,
            other => other,
        }
    }

    fn outcome(self, done: Acked) -> AckOutcome {
        match self {
            _ if done.undeletable > 0 => AckOutcome::Undeletable,
            _ if done.deleted > 0 => AckOutcome::Deleted,
            _ if done.acked > 0 => AckOutcome::Acked,
            Self::InDoubt => AckOutcome::AnswerLost,
            _ => AckOutcome::NotPending,
        }
    }
}

/// Acknowledges what is not settled, at one node after the other. One that fails does not keep the others from theirs;
/// its failure is returned in the end.
fn acknowledge_all(
    connections: &mut Connections,
    commands: &mut Commands,
    acks: &[Ack<'_>],
    progress: &mut [Progress],
    tell: &mut impl FnMut(usize, AckOutcome),
) -> Result<(), Error> {
    let mut by_node: Vec<(Address, Vec<usize>)> = Vec::new();
    let mut failure = None;
    for place in (0..acks.len()).filter(|place| progress[*place] != Progress::Settled) {
        let node = match connections.node_of(acks[place].stream) {
            Ok(node) => node,
            Err(error) => {
                failure.get_or_insert(error);
                continue;
            }
        };
        match by_node.iter_mut().find(|(other, _)| *other == node) {
            Some((_, places)) => places.push(place),
            None => by_node.push((node, vec![place])),
        }
    }
    for (_, places) in by_node {
        let done = acknowledge_at_one_node(connections, commands, acks, &places, progress, tell);
        failure = failure.or(done.err());
    }
    failure.map_or(Ok(()), Err)
}

/// Acknowledges, in one piece, entries that one node holds.
///
/// One command an entry, pipelined: XACK of many tells only how many were pending, not which.
fn acknowledge_at_one_node(
    connections: &mut Connections,
    commands: &mut Commands,
    acks: &[Ack<'_>],
    places: &[usize],
    progress: &mut [Progress],
    tell: &mut impl FnMut(usize, AckOutcome),
) -> Result<(), Error> {
    let (mut refused, mut redirected) = (None, Vec::new());
    let mut asked = Vec::new();
    for place in places.iter().copied() {
        match commands.of(connections, acks[place]) {
            Ok(command) => asked.push((place, command)),
            Err(error) if error.is_passing() => return Err(error),
            // Of one stream: the others have nothing to do with it.
            Err(error) => drop(refused.get_or_insert(error)),
        }
    }
    let connection = connections.of_slot(acks[places[0]].stream)?;
    let mut packed = Vec::new();
    for (place, command) in &asked {
        let Ack { stream, group, id } = acks[*place];
        command.write(&mut packed, stream, group, &[id]);
        // Also where sending fails: a part of it may arrive.
        progress[*place] = progress[*place].sent();
    }
    connection.send(&packed)?;
    connection.expect(asked.len());
    for (place, command) in asked {
        match command.receive(connection)? {
            Ok(done) => {
                tell(place, progress[place].outcome(done));
                progress[place] = Progress::Settled;
            }
            Err(refusal) => {
                progress[place] = progress[place].refused();
                if refusal.is_redirection() {
                    redirected.push((place, command));
                    continue;
                }
                let Ack { stream, group, .. } = acks[place];
                refused.get_or_insert_with(|| Error::refused(refusal, stream, Some(group)));
            }
        }
    }
    for (place, command) in redirected {
        acknowledge_elsewhere(connections, command, acks[place], &mut progress[place], |outcome| {
            tell(place, outcome)
        })?;
    }
    refused.map_or(Ok(()), Err)
}

/// Acknowledges an entry whose stream was not where it should have been.
fn acknowledge_elsewhere(
    connections: &mut Connections,
    command: AckCommand,
    Ack { stream, group, id }: Ack<'_>,
    progress: &mut Progress,
    tell: impl FnOnce(AckOutcome),
) -> Result<(), Error> {
    let mut packed = Vec::new();
    command.write(&mut packed, stream, group, &[id]);
    let done = connections.at(stream, |connection| {
        *progress = progress.sent();
        connection.send(&packed)?;
        command.receive(connection)?.map_err(|refusal| {
            *progress = progress.refused();
            Error::refused(refusal, stream, Some(group))
        })
    })?;
    tell(progress.outcome(done));
    *progress = Progress::Settled;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn missed() -> Acked {
        Acked::default()
    }

    fn acked() -> Acked {
        Acked {
            acked: 1,
            ..Acked::default()
        }
    }

    #[test]
    fn not_pending_means_something_else_after_a_lost_answer() {
        let first = Progress::Unsent.sent();
        assert_eq!(first.outcome(missed()), AckOutcome::NotPending);
        assert_eq!(first.outcome(acked()), AckOutcome::Acked);
        let again = first.sent();
        assert_eq!(again.outcome(missed()), AckOutcome::AnswerLost);
        assert_eq!(again.outcome(acked()), AckOutcome::Acked);
        assert_eq!(again.refused().sent().outcome(missed()), AckOutcome::AnswerLost);
    }

    #[test]
    fn what_was_refused_was_not_done() {
        let refused = Progress::Unsent.sent().refused();
        assert_eq!(refused.sent().outcome(missed()), AckOutcome::NotPending);
    }
}
