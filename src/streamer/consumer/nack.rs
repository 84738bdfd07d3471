//! Negative acknowledgements from outside: entries of any streams, by whoever knows their IDs, handed back so that the
//! others of their groups get them at once and with their count, or made dead letters.
//!
//! Nobody is robbed: an entry that counts more deliveries than the caller knows of is somebody else's by now, and one that
//! is claimed after it was looked at stays with whoever claimed it (but where the server has XNACK, in the moment between).

mod dead_letters;

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use super::attempts::Attempts;
use super::hand_back::HandBack;
use super::link::OldConnections;
use super::requests::{Pending, Requests, Whose, by_count};
use crate::streamer::entry::EntryId;
use crate::streamer::error::{Error, ServerError};
use crate::streamer::names::{HANDED_BACK, new_consumer};
use crate::streamer::servers::{Connections, Servers, Supervisor, introduced, introduction};
use crate::streamer::stop::Halt;
use crate::streamer::wire::{Connection, receive_pending};

/// An entry that was not done.
#[derive(Clone, Copy, Debug)]
pub struct Nack<'a> {
    pub stream: &'a str,
    /// The group it is pending in.
    pub group: &'a str,
    pub id: EntryId,
    /// How often it was delivered when the caller got it, where that is known.
    pub deliveries: Option<u64>,
}

/// Where entries go that were not done.
#[derive(Clone, Debug)]
pub enum NackTo {
    /// To whoever reads next in their group.
    Others,
    DeadLetters {
        stream: String,
        reason: String,
    },
}

/// What became of one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NackOutcome {
    /// It was pending until now.
    Done,
    /// It is not pending any more where it was, and the answer to an earlier attempt was lost: that attempt may have done it.
    AnswerLost,
    /// It is not pending, or in somebody else's hands by now.
    NotPending,
    /// It was deleted from its stream: there is nothing that could become a dead letter.
    Gone,
}

/// How often an entry is looked at that is kept alive in the very moment in which it is to go.
const MOST_LOOKS: usize = 10;

/// Hands back over connections that are made again when they are lost.
pub struct Nacker<'a> {
    attempts: Attempts<'a>,
    hands: Hands<'a>,
}

/// How far one entry is.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Progress {
    Unsent,
    /// It was sent when it was pending so; whether that was done is not known.
    InDoubt {
        consumer: Vec<u8>,
        deliveries: u64,
    },
    /// It is a dead letter, and still to be acknowledged.
    Added,
    Settled,
}

impl<'a> Nacker<'a> {
    /// With a consumer, only what is pending under its name goes.
    pub fn new(
        servers: &'a Servers,
        connections: Connections,
        supervisor: Supervisor<'a>,
        consumer: Option<String>,
        to: NackTo,
    ) -> Self {
        Self {
            attempts: Attempts::new(connections, supervisor),
            hands: Hands {
                servers,
                consumer,
                to,
                hand_back: HandBack::default(),
                name: new_consumer("redis-streamer"),
                old: OldConnections::default(),
                elsewhere: Connections::new(servers, None),
                has_learned: false,
                may_transact: false,
            },
        }
    }

    /// Lets entries go, one stream and group after the other; tells of each, by its place, as soon as it is known.
    pub fn nack(&mut self, nacks: &[Nack<'_>], mut tell: impl FnMut(usize, NackOutcome)) -> Result<(), Halt<Error>> {
        let Self { attempts, hands } = self;
        for places in by_group(nacks) {
            let mut work = Work::new(nacks, places, &mut tell);
            attempts.until_done(|connections| {
                connections.at(work.stream, |connection| hands.attempt(connection, &mut work))
            })?;
        }
        Ok(())
    }
}

/// The places of the entries of each stream and group.
fn by_group(nacks: &[Nack<'_>]) -> Vec<Vec<usize>> {
    let mut groups: Vec<Vec<usize>> = Vec::new();
    let mut known = HashMap::new();
    for (place, nack) in nacks.iter().enumerate() {
        let group = *known.entry((nack.stream, nack.group)).or_insert(groups.len());
        match groups.get_mut(group) {
            Some(places) => places.push(place),
            None => groups.push(vec![place]),
        }
    }
    groups
}

/// Entries of one stream and group.
struct Work<'w> {
    stream: &'w str,
    group: &'w str,
    entries: Vec<Open>,
    tell: &'w mut dyn FnMut(usize, NackOutcome),
}

/// One of them.
struct Open {
    place: usize,
    id: EntryId,
    deliveries: Option<u64>,
    progress: Progress,
}

/// How an entry is pending.
struct Row {
    /// Its index among the entries of the work.
    index: usize,
    pending: Pending,
    /// Empty after XNACK.
    consumer: Vec<u8>,
}

impl<'w> Work<'w> {
    fn new(nacks: &[Nack<'w>], places: Vec<usize>, tell: &'w mut dyn FnMut(usize, NackOutcome)) -> Self {
        let first = nacks[places[0]];
        let (mut seen, mut entries) = (HashSet::new(), Vec::new());
        for place in places {
            let Nack { id, deliveries, .. } = nacks[place];
            // One that is named twice was pending once.
            match seen.insert(id) {
                true => entries.push(Open {
                    place,
                    id,
                    deliveries,
                    progress: Progress::Unsent,
                }),
                false => tell(place, NackOutcome::NotPending),
            }
        }
        Self {
            stream: first.stream,
            group: first.group,
            entries,
            tell,
        }
    }

    fn settle(&mut self, index: usize, outcome: NackOutcome) {
        self.entries[index].progress = Progress::Settled;
        (self.tell)(self.entries[index].place, outcome);
    }

    fn indices(&self, is_meant: impl Fn(&Progress) -> bool) -> Vec<usize> {
        let all = self.entries.iter().enumerate();
        all.filter(|(_, entry)| is_meant(&entry.progress))
            .map(|(index, _)| index)
            .collect()
    }

    /// What is sent now may be done, whatever becomes of the connection.
    fn doubt(&mut self, rows: &[Row]) {
        for row in rows {
            self.entries[row.index].progress = Progress::InDoubt {
                consumer: row.consumer.clone(),
                deliveries: row.pending.deliveries,
            };
        }
    }

    /// Nothing was done.
    fn undo(&mut self, rows: &[Row]) {
        for row in rows {
            self.entries[row.index].progress = Progress::Unsent;
        }
    }

    fn error(&self, refusal: ServerError) -> Error {
        Error::refused(refusal, self.stream, Some(self.group))
    }

    /// How those are pending that are neither settled nor added.
    fn look(&self, connection: &mut Connection) -> Result<Vec<(usize, Option<Row>)>, Error> {
        let indices = self.indices(|progress| matches!(progress, Progress::Unsent | Progress::InDoubt { .. }));
        let mut packed = Vec::new();
        for index in &indices {
            let (mut query, id) = (redis::cmd("XPENDING"), self.entries[*index].id.to_string());
            query.arg(self.stream).arg(self.group).arg(&id).arg(&id).arg(1);
            query.write_packed_command(&mut packed);
        }
        connection.send(&packed)?;
        connection.expect(indices.len());
        let (mut rows, mut refused) = (Vec::new(), None);
        for index in indices {
            let found = receive_pending(connection, self.entries[index].id, 1, |row| Row {
                index,
                pending: Pending {
                    id: row.id,
                    whose: Whose::Anybodys,
                    idle: Duration::from_millis(row.idle_ms),
                    deliveries: row.deliveries,
                },
                consumer: row.consumer.to_vec(),
            })?;
            match found {
                Ok(found) => rows.push((index, found.into_iter().next())),
                Err(refusal) => drop(refused.get_or_insert(refusal)),
            }
        }
        refused.map_or(Ok(rows), |refusal| Err(self.error(refusal)))
    }
}

impl Row {
    fn is_free(&self) -> bool {
        self.consumer.is_empty() || self.consumer == HANDED_BACK.as_bytes()
    }
}

/// By whom and how entries go.
struct Hands<'a> {
    servers: &'a Servers,
    /// Whose entries go, if not anybody's.
    consumer: Option<String>,
    to: NackTo,
    hand_back: HandBack,
    /// By which the connections are known at the server.
    name: String,
    old: OldConnections,
    /// For dead letters at other nodes.
    elsewhere: Connections,
    /// Whether it was asked for whether there are other nodes.
    has_learned: bool,
    may_transact: bool,
}

impl Hands<'_> {
    /// What an earlier connection carried is done, or never will be, before anything is concluded from what is pending.
    fn attempt(&mut self, connection: &mut Connection, work: &mut Work<'_>) -> Result<(), Error> {
        self.old.close(self.servers, connection)?;
        let mut commands = introduction(&self.name);
        if matches!(self.to, NackTo::DeadLetters { .. }) {
            // A transaction must not be opened by whom the server does not let execute it.
            commands.push(redis::cmd("EXEC"));
        }
        let mut answers = connection.query_all(&commands)?.into_iter();
        let identity = introduced(connection, &self.name, &mut answers)?;
        let executed = answers.next().and_then(Result::err);
        self.may_transact = executed.is_some_and(|refusal| refusal.detail == "EXEC without MULTI");
        let done = self.settle(connection, work);
        if done.as_ref().is_err_and(Error::is_connection) {
            self.old.add(identity);
        }
        done
    }

    fn settle(&mut self, connection: &mut Connection, work: &mut Work<'_>) -> Result<(), Error> {
        self.acknowledge(connection, work)?;
        for _ in 0..MOST_LOOKS {
            let rows = self.sort_out(work.look(connection)?, work);
            if rows.is_empty() {
                return Ok(());
            }
            match self.to.clone() {
                NackTo::Others => self.hand_back(connection, work, rows)?,
                NackTo::DeadLetters { stream, reason } => {
                    self.make_dead_letters(connection, work, rows, &stream, &reason)?;
                }
            }
        }
        // Somebody is at work on it.
        for index in work.indices(|progress| *progress != Progress::Settled) {
            work.settle(index, NackOutcome::NotPending);
        }
        Ok(())
    }

    /// Settles what need not be done; returns what is to go.
    fn sort_out(&self, rows: Vec<(usize, Option<Row>)>, work: &mut Work<'_>) -> Vec<Row> {
        let mut to_go = Vec::new();
        for (index, row) in rows {
            match self.outcome(&work.entries[index], row) {
                Ok(row) => to_go.push(row),
                Err(outcome) => work.settle(index, outcome),
            }
        }
        to_go
    }

    fn outcome(&self, entry: &Open, row: Option<Row>) -> Result<Row, NackOutcome> {
        let is_handed_back = matches!(self.to, NackTo::Others);
        match (row, &entry.progress) {
            // Its earlier attempt did it, or somebody acknowledged it.
            (None, Progress::InDoubt { .. }) => Err(NackOutcome::AnswerLost),
            (None, _) => Err(NackOutcome::NotPending),
            (Some(row), Progress::InDoubt { consumer, deliveries })
                if row.consumer != *consumer || row.pending.deliveries != *deliveries =>
            {
                // What became a dead letter would not be pending.
                Err(match is_handed_back {
                    true => NackOutcome::AnswerLost,
                    false => NackOutcome::NotPending,
                })
            }
            // In nobody's hands.
            (Some(row), _) if is_handed_back && row.is_free() => Err(NackOutcome::NotPending),
            (Some(row), _) if !self.may_go(entry, &row) => Err(NackOutcome::NotPending),
            (Some(row), _) => Ok(row),
        }
    }

    /// Whether an entry is still in the hands from which the caller has it.
    fn may_go(&self, entry: &Open, row: &Row) -> bool {
        let is_asked_for = self
            .consumer
            .as_ref()
            .is_none_or(|consumer| row.consumer == consumer.as_bytes());
        is_asked_for && entry.deliveries.is_none_or(|known| row.pending.deliveries <= known)
    }

    fn hand_back(&mut self, connection: &mut Connection, work: &mut Work<'_>, rows: Vec<Row>) -> Result<(), Error> {
        let requests = Requests {
            group: work.group.into(),
            consumer: HANDED_BACK.into(),
        };
        let mut pending: Vec<_> = rows.iter().map(|row| row.pending).collect();
        pending.sort_by_key(|pending| pending.id);
        work.doubt(&rows);
        let stream = work.stream.into();
        let mut went = HashSet::new();
        for (deliveries, some) in by_count(&pending, |row| row.deliveries) {
            let left = self
                .hand_back
                .hand_back(connection, &requests, &stream, &some, deliveries, Duration::ZERO);
            match left {
                Ok(left) => went.extend(left),
                Err(error) => {
                    if !error.is_connection() {
                        let (_, undone): (Vec<_>, Vec<_>) =
                            rows.into_iter().partition(|row| went.contains(&row.pending.id));
                        work.undo(&undone);
                    }
                    return Err(error);
                }
            }
        }
        self.servers.confirm(connection)?;
        let (gone, left): (Vec<_>, Vec<_>) = rows.into_iter().partition(|row| went.contains(&row.pending.id));
        gone.iter().for_each(|row| work.settle(row.index, NackOutcome::Done));
        // Somebody claimed them, or kept them alive: that is looked at again.
        work.undo(&left);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_of_a_stream_and_group_go_together() {
        let nack = |stream, group| Nack {
            stream,
            group,
            id: EntryId::MIN,
            deliveries: None,
        };
        let nacks = [nack("a", "g"), nack("a", "h"), nack("b", "h"), nack("a", "g")];
        assert_eq!(by_group(&nacks), [vec![0, 3], vec![1], vec![2]]);
        assert!(by_group(&[]).is_empty());
    }
}
