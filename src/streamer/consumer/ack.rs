//! Acknowledgements from outside: of entries of any streams, by whoever knows their IDs.

use super::attempts::Attempts;
use super::requests::write_ack;
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
    NotPending,
    /// The entry is not pending, and the answer to an earlier attempt was lost: that attempt may have done it.
    AnswerLost,
}

/// Acknowledges over connections that are made again when they are lost.
pub struct Acknowledger<'a> {
    attempts: Attempts<'a>,
}

impl<'a> Acknowledger<'a> {
    pub fn new(connections: Connections, supervisor: Supervisor<'a>) -> Self {
        Self {
            attempts: Attempts::new(connections, supervisor),
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
        self.attempts
            .until_done(|connections| acknowledge_all(connections, acks, &mut progress, &mut tell))
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

    fn outcome(self, was_pending: bool) -> AckOutcome {
        match self {
            _ if was_pending => AckOutcome::Acked,
            Self::InDoubt => AckOutcome::AnswerLost,
            _ => AckOutcome::NotPending,
        }
    }
}

/// Acknowledges what is not settled, at one node after the other. One that fails does not keep the others from theirs;
/// its failure is returned in the end.
fn acknowledge_all(
    connections: &mut Connections,
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
        let done = acknowledge_at_one_node(connections, acks, &places, progress, tell);
        failure = failure.or(done.err());
    }
    failure.map_or(Ok(()), Err)
}

/// Acknowledges, in one piece, entries that one node holds.
///
/// One XACK an entry, pipelined: XACK of many tells only how many were pending, not which.
fn acknowledge_at_one_node(
    connections: &mut Connections,
    acks: &[Ack<'_>],
    places: &[usize],
    progress: &mut [Progress],
    tell: &mut impl FnMut(usize, AckOutcome),
) -> Result<(), Error> {
    let connection = connections.of_slot(acks[places[0]].stream)?;
    let mut packed = Vec::new();
    for place in places {
        let Ack { stream, group, id } = acks[*place];
        write_ack(&mut packed, stream, group, &[id]);
        // Also where sending fails: a part of it may arrive.
        progress[*place] = progress[*place].sent();
    }
    connection.send(&packed)?;
    connection.expect(places.len());
    let (mut refused, mut redirected) = (None, Vec::new());
    for place in places.iter().copied() {
        match connection.walk(|cursor| cursor.number())? {
            Ok(acknowledged) => {
                tell(place, progress[place].outcome(acknowledged > 0));
                progress[place] = Progress::Settled;
            }
            Err(refusal) => {
                progress[place] = progress[place].refused();
                if refusal.is_redirection() {
                    redirected.push(place);
                    continue;
                }
                let Ack { stream, group, .. } = acks[place];
                refused.get_or_insert_with(|| Error::refused(refusal, stream, Some(group)));
            }
        }
    }
    for place in redirected {
        acknowledge_elsewhere(connections, acks[place], &mut progress[place], |outcome| {
            tell(place, outcome)
        })?;
    }
    refused.map_or(Ok(()), Err)
}

/// Acknowledges an entry whose stream was not where it should have been.
fn acknowledge_elsewhere(
    connections: &mut Connections,
    Ack { stream, group, id }: Ack<'_>,
    progress: &mut Progress,
    tell: impl FnOnce(AckOutcome),
) -> Result<(), Error> {
    let mut packed = Vec::new();
    write_ack(&mut packed, stream, group, &[id]);
    let acknowledged = connections.at(stream, |connection| {
        *progress = progress.sent();
        connection.send(&packed)?;
        let acknowledged = connection.walk(|cursor| cursor.number())?;
        acknowledged.map_err(|refusal| {
            *progress = progress.refused();
            Error::refused(refusal, stream, Some(group))
        })
    })?;
    tell(progress.outcome(acknowledged > 0));
    *progress = Progress::Settled;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn not_pending_means_something_else_after_a_lost_answer() {
        let first = Progress::Unsent.sent();
        assert_eq!(first.outcome(false), AckOutcome::NotPending);
        assert_eq!(first.outcome(true), AckOutcome::Acked);
        let again = first.sent();
        assert_eq!(again.outcome(false), AckOutcome::AnswerLost);
        assert_eq!(again.outcome(true), AckOutcome::Acked);
        assert_eq!(again.refused().sent().outcome(false), AckOutcome::AnswerLost);
    }

    #[test]
    fn what_was_refused_was_not_done() {
        let refused = Progress::Unsent.sent().refused();
        assert_eq!(refused.sent().outcome(false), AckOutcome::NotPending);
    }
}
