//! One connection's share of a redrive: the turn at the dead letters, and a marker beside each target that no transaction
//! reaches together with them.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use super::guard::{Addition, Committed, Interrupted, Keys, Turn, commit};
use super::page::Item;
use crate::streamer::entry::EntryId;
use crate::streamer::error::{Error, ServerError};
use crate::streamer::letter::Letter;
use crate::streamer::producer::add::{AddOptions, Missing, write_add};
use crate::streamer::servers::{Connections, Servers, is_named};
use crate::streamer::wire::Connection;
use crate::streamer::wire::resp::{Cursor, Malformed, argument, command, id_argument, write_command};

/// How long a turn outlives what was done in it last.
const TURN: Duration = Duration::from_secs(10);
/// A turn in which nothing is to be done is kept alive so often.
const RENEWAL: Duration = Duration::from_secs(2);
/// How often it is looked whether somebody else's turn is over.
const LOOK: Duration = Duration::from_millis(100);

pub struct Session<'a> {
    servers: &'a Servers,
    stream: &'a str,
    pub connection: Connection,
    turn: Turn,
    renewed: Instant,
    /// The targets in other slots.
    others: Connections,
    markers: HashMap<String, Turn>,
}

/// Why a target does not take a message; the message stays where it is.
#[derive(Debug)]
pub struct TargetRefused<'p> {
    pub target: &'p str,
    pub refusal: ServerError,
}

/// What became of messages in one transaction.
pub enum Added<'p> {
    /// Why each was refused, where one was, and how many were still among the dead letters until now.
    Done {
        refused: Vec<Option<ServerError>>,
        deleted: u64,
    },
    /// Nothing was done.
    Refused(TargetRefused<'p>),
}

impl<'a> Session<'a> {
    /// Takes the turn over a new connection. What an earlier one of this redrive still carries is of no effect from then
    /// on.
    pub fn begin(
        servers: &'a Servers,
        stream: &'a str,
        mut connection: Connection,
        owner: String,
        earlier: &[String],
    ) -> Result<Self, Interrupted> {
        let keys = Keys(stream);
        if !servers.share_a_slot(stream, &keys.turn()) {
            return Err(Interrupted::Failed(Error::Untagged {
                stream: stream.to_owned(),
            }));
        }
        let turn = Turn {
            key: keys.turn(),
            owner,
            lifetime: Some(TURN),
        };
        // By this name others see that its redrive is alive. Where the user may not give one, they wait for its time.
        connection
            .query_all(&[redis::cmd("CLIENT").arg("SETNAME").arg(&turn.owner).clone()])?
            .clear();
        let mut session = Self {
            servers,
            stream,
            connection,
            turn,
            renewed: Instant::now(),
            others: Connections::new(servers, None),
            markers: HashMap::new(),
        };
        session.take_turn(earlier)?;
        Ok(session)
    }

    /// Takes the turn as soon as nobody has it. One that is renewed belongs to somebody who is at work; one that is not is
    /// over when its time is, or when the connection is gone that it belongs to.
    fn take_turn(&mut self, earlier: &[String]) -> Result<(), Interrupted> {
        let mut seen: Option<(String, i64)> = None;
        loop {
            let held = Turn::watch(&mut self.connection, &self.turn.key)?;
            if let Some(owner) = held.filter(|owner| !earlier.contains(owner)) {
                let left: i64 = self
                    .connection
                    .ask(redis::cmd("PTTL").arg(&self.turn.key), &self.turn.key, None)?;
                let is_renewed = seen
                    .as_ref()
                    .is_some_and(|(before, left_before)| *before == owner && left > *left_before);
                let is_alive = is_named(&mut self.connection, &owner)?;
                if is_renewed {
                    return Err(Interrupted::Failed(Error::AtWork {
                        stream: self.stream.to_owned(),
                    }));
                }
                if is_alive != Some(false) {
                    seen = Some((owner, left));
                    if self.servers.stop().ending().is_some() {
                        return Err(Interrupted::Failed(Error::AtWork {
                            stream: self.stream.to_owned(),
                        }));
                    }
                    self.servers.stop().pause(LOOK);
                    continue;
                }
            }
            let mut set = Vec::new();
            self.turn.write_set(&mut set, &[]);
            if take(&mut self.connection, &self.turn.key, set)? {
                self.renewed = Instant::now();
                return Ok(());
            }
        }
    }

    /// The targets in other slots that some redrive began to add to and did not end.
    pub fn unsettled(&mut self) -> Result<Vec<String>, Error> {
        let key = Keys(self.stream).targets();
        self.connection.ask(redis::cmd("SMEMBERS").arg(&key), &key, None)
    }

    /// Whether a target is beside the dead letters.
    pub fn is_here(&self, target: &str) -> bool {
        self.servers.share_a_slot(self.stream, target)
    }

    /// Whether nobody else adds to a target, and all that was added is deleted.
    pub fn is_open(&self, target: &str) -> bool {
        self.is_here(target) || self.markers.contains_key(target)
    }

    /// Takes the turn at a target in another slot, and deletes what was added there before. What was read of the dead letters
    /// up to now may be there already.
    pub fn open(&mut self, target: &str) -> Result<(), Interrupted> {
        let keys = Keys(self.stream);
        let marker = Turn {
            key: keys.marker(target),
            owner: self.turn.owner.clone(),
            lifetime: None,
        };
        if !self.servers.share_a_slot(target, &marker.key) {
            return Err(Interrupted::Failed(Error::Untagged {
                stream: target.to_owned(),
            }));
        }
        // One that cannot be reached must not be noted down: nobody could settle it.
        let connection = self.others.of_slot(target)?;
        Turn::watch(connection, &marker.key)?;
        // Whoever comes next must know of it, whatever becomes of this redrive.
        let mut packed = Vec::new();
        write_command(&mut packed, &[b"SADD", keys.targets().as_bytes(), target.as_bytes()]);
        self.transact(packed, number)?;
        let added = loop {
            let connection = self.others.of_slot(target)?;
            let before = Turn::watch(connection, &marker.key)?;
            let added: Vec<EntryId> = before.iter().flat_map(|before| ids(before)).collect();
            let mut set = Vec::new();
            // What was added is not forgotten before it is deleted.
            marker.write_set(&mut set, &added);
            if take(connection, &marker.key, set)? {
                break added;
            }
        };
        if !added.is_empty() {
            self.transact(deletion(self.stream, &added), number)?;
        }
        self.markers.insert(target.to_owned(), marker);
        Ok(())
    }

    /// Adds messages to their target in another slot, and notes there that they are in.
    pub fn add_elsewhere<'p>(&mut self, target: &'p str, items: &[&'p Item]) -> Result<Added<'p>, Interrupted> {
        let Some(marker) = self.markers.get(target) else {
            return Err(Interrupted::TurnLost);
        };
        let connection = self.others.of_slot(target)?;
        let mut packed = Vec::new();
        for item in items {
            write_item(&mut packed, item);
        }
        let added: Vec<EntryId> = items.iter().map(|item| item.id).collect();
        marker.write_set(&mut packed, &added);
        let done = marker.add_to(connection, &[target], &packed, items.len() + 1, |cursor| {
            let refused = additions(cursor, items.len())?;
            // Where it was forbidden only now, what is in is deleted all the same, and the next transaction is refused.
            let _marked = status(cursor)?;
            Ok(refused)
        })?;
        let done = match done {
            Addition::Committed(done) => done,
            Addition::TargetRefused(_, refusal) => return refused(TargetRefused { target, refusal }),
        };
        match done {
            Committed::Overtaken => Err(Interrupted::TurnLost),
            Committed::Refused(_, refusal) => refused(TargetRefused { target, refusal }),
            Committed::Done(refused) => {
                if refused.iter().any(Option::is_some) {
                    // The marker must not say of them that they are in.
                    marker.begin(connection)?;
                    let is_in = added.iter().zip(&refused).filter(|(_, refused)| refused.is_none());
                    let mut packed = Vec::new();
                    marker.write_set(&mut packed, &is_in.map(|(id, _)| *id).collect::<Vec<_>>());
                    settle(commit(connection, packed, 1, status)?, &marker.key)?;
                }
                Ok(Added::Done { refused, deleted: 0 })
            }
        }
    }

    /// Adds messages to targets beside the dead letters, and deletes them and others that are in their targets already: all
    /// or nothing.
    pub fn move_here<'p>(&mut self, items: &[&'p Item], added: &[EntryId]) -> Result<Added<'p>, Interrupted> {
        let mut targets: Vec<&str> = items.iter().map(|item| &*item.target).collect();
        targets.sort_unstable();
        targets.dedup();
        let mut packed = Vec::new();
        self.turn.write_set(&mut packed, &[]);
        for item in items {
            write_item(&mut packed, item);
        }
        let all: Vec<EntryId> = items.iter().map(|item| item.id).chain(added.iter().copied()).collect();
        packed.extend(deletion(self.stream, &all));
        let done = self
            .turn
            .add_to(&mut self.connection, &targets, &packed, items.len() + 2, |cursor| {
                // If not, the next transaction is refused.
                let _renewed = status(cursor)?;
                let refused = additions(cursor, items.len())?;
                Ok((refused, number(cursor)?))
            })?;
        let done = match done {
            Addition::Committed(done) => done,
            Addition::TargetRefused(place, refusal) => {
                let target = targets[place];
                return refused(TargetRefused { target, refusal });
            }
        };
        match done {
            Committed::Overtaken => Err(Interrupted::TurnLost),
            Committed::Refused(Some(place @ 1..), refusal) if place <= items.len() => refused(TargetRefused {
                target: &items[place - 1].target,
                refusal,
            }),
            Committed::Refused(_, refusal) => Err(Error::refused(refusal, self.stream, None).into()),
            Committed::Done((refused, deleted)) => {
                self.renewed = Instant::now();
                let deleted = deleted.map_err(|refusal| Error::refused(refusal, self.stream, None))?;
                Ok(Added::Done { refused, deleted })
            }
        }
    }

    /// Puts dead letters back that were deleted although their target refused them as the transaction was executed.
    pub fn put_back(&mut self, item: &Item) -> Result<(), Error> {
        let mut packed = Vec::new();
        write_add(&mut packed, self.stream.as_bytes(), ADD, &item.entry()?.fields);
        self.connection.send(&packed)?;
        let added = self.connection.walk(|cursor| cursor.id())?;
        added
            .map(drop)
            .map_err(|refusal| Error::refused(refusal, self.stream, None))
    }

    /// Keeps the turn while there is nothing to move.
    pub fn renew(&mut self) -> Result<(), Interrupted> {
        if self.renewed.elapsed() > RENEWAL {
            self.turn.begin(&mut self.connection)?;
            let mut packed = Vec::new();
            self.turn.write_set(&mut packed, &[]);
            settle(commit(&mut self.connection, packed, 1, status)?, &self.turn.key)?;
            self.renewed = Instant::now();
        }
        Ok(())
    }

    /// Gives all turns back: nothing is left to be known of them.
    pub fn end(mut self) -> Result<(), Interrupted> {
        let mut settled = Vec::new();
        for (target, marker) in std::mem::take(&mut self.markers) {
            let connection = self.others.of_slot(&target)?;
            marker.begin(connection)?;
            let mut packed = Vec::new();
            marker.write_delete(&mut packed);
            settle(commit(connection, packed, 1, number)?, &marker.key)?;
            settled.push(target);
        }
        self.turn.begin(&mut self.connection)?;
        let mut packed = Vec::new();
        let targets = Keys(self.stream).targets();
        for target in &settled {
            write_command(&mut packed, &[b"SREM", targets.as_bytes(), target.as_bytes()]);
        }
        self.turn.write_delete(&mut packed);
        let done = commit(&mut self.connection, packed, settled.len() + 1, |cursor| {
            let answers = (0..=settled.len()).map(|_| number(cursor));
            let answers: Result<Vec<_>, Malformed> = answers.collect();
            Ok(answers?.into_iter().find(Result::is_err).unwrap_or(Ok(0)))
        })?;
        settle(done, &self.turn.key)?;
        Ok(self.servers.confirm(&mut self.connection)?)
    }

    /// Executes one command in one's turn, and keeps the turn.
    fn transact(&mut self, packed: Vec<u8>, read: Reader<u64>) -> Result<u64, Interrupted> {
        self.turn.begin(&mut self.connection)?;
        let mut request = Vec::new();
        self.turn.write_set(&mut request, &[]);
        request.extend(packed);
        let done = commit(&mut self.connection, request, 2, |cursor| {
            let renewed = status(cursor)?;
            let done = read(cursor)?;
            Ok(renewed.and(done))
        })?;
        self.renewed = Instant::now();
        settle(done, self.stream)
    }
}

/// Reads the answer to one command.
type Reader<T> = fn(&mut Cursor<'_>) -> Result<Result<T, ServerError>, Malformed>;

const ADD: AddOptions = AddOptions {
    id: None,
    missing: Missing::Create,
    trim: None,
};

fn write_item(out: &mut Vec<u8>, item: &Item) {
    // It was read as such when its page was.
    if let Ok(entry) = item.entry() {
        write_add(out, item.target.as_bytes(), ADD, &Letter::of(&entry).fields);
    }
}

/// The command that deletes entries.
fn deletion(stream: &str, ids: &[EntryId]) -> Vec<u8> {
    let mut packed = Vec::new();
    command(&mut packed, 2 + ids.len());
    argument(&mut packed, b"XDEL");
    argument(&mut packed, stream.as_bytes());
    for id in ids {
        id_argument(&mut packed, *id);
    }
    packed
}

/// The entries that a marker names, behind its owner.
fn ids(marker: &str) -> impl Iterator<Item = EntryId> {
    marker.split(' ').skip(1).filter_map(|id| id.parse().ok())
}

/// Sets a key that is watched; false if somebody else was faster.
fn take(connection: &mut Connection, key: &str, set: Vec<u8>) -> Result<bool, Interrupted> {
    let multi = connection.query_all(&[redis::cmd("MULTI")])?;
    if let Some(refusal) = multi.into_iter().find_map(Result::err) {
        return Err(Error::refused(refusal, key, None).into());
    }
    match commit(connection, set, 1, status)? {
        Committed::Overtaken => Ok(false),
        other => settle(other, key).map(|_| true),
    }
}

/// What was done in a transaction that nothing speaks against.
fn settle<T>(committed: Committed<Result<T, ServerError>>, key: &str) -> Result<T, Interrupted> {
    match committed {
        Committed::Done(Ok(done)) => Ok(done),
        Committed::Overtaken => Err(Interrupted::TurnLost),
        Committed::Done(Err(refusal)) | Committed::Refused(_, refusal) => {
            Err(Error::refused(refusal, key, None).into())
        }
    }
}

/// A refusal by a target leaves the others as they are, unless it is one that may pass, or the server's.
fn refused(refused: TargetRefused<'_>) -> Result<Added<'_>, Interrupted> {
    if refused.refusal.is_passing() {
        let TargetRefused { target, refusal } = refused;
        return Err(Error::refused(refusal, target, None).into());
    }
    Ok(Added::Refused(refused))
}

fn additions(cursor: &mut Cursor<'_>, count: usize) -> Result<Vec<Option<ServerError>>, Malformed> {
    let addition = |_| match cursor.refusal()? {
        None => cursor.id().map(|_| None),
        refusal => Ok(refusal),
    };
    (0..count).map(addition).collect()
}

fn status(cursor: &mut Cursor<'_>) -> Result<Result<u64, ServerError>, Malformed> {
    match cursor.refusal()? {
        None => cursor.bulk().map(|_| Ok(0)),
        Some(refusal) => Ok(Err(refusal)),
    }
}

fn number(cursor: &mut Cursor<'_>) -> Result<Result<u64, ServerError>, Malformed> {
    match cursor.refusal()? {
        None => Ok(Ok(cursor.number()?.unsigned_abs())),
        Some(refusal) => Ok(Err(refusal)),
    }
}
