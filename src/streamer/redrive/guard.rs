//! Turns: a key says whose turn it is, and what is to be done in one's turn is a transaction that watches it. Whoever else
//! writes to the key ends the turn, and no transaction of it is executed from then on, however late it arrives.
//!
//! So nothing depends on clocks or on a lock that is given back in time: its expiry only lets others know sooner that
//! nobody is at work.

use std::time::Duration;

use crate::streamer::entry::EntryId;
use crate::streamer::error::{Error, ServerError};
use crate::streamer::random::random;
use crate::streamer::servers::tag_of;
use crate::streamer::wire::Connection;
use crate::streamer::wire::resp::{Cursor, Malformed, write_command};

/// Why a piece of work ends early.
#[derive(Debug)]
pub enum Interrupted {
    /// Somebody else wrote to the key, or it is gone.
    TurnLost,
    Failed(Error),
}

impl From<Error> for Interrupted {
    fn from(error: Error) -> Self {
        Self::Failed(error)
    }
}

/// A name for a connection and its turns that no other has.
pub fn new_owner() -> String {
    format!("redis-streamer:redrive:{:016x}", random())
}

/// The keys of the redrives of a stream.
pub struct Keys<'a>(pub &'a str);

impl Keys<'_> {
    /// Whose turn it is.
    pub fn turn(&self) -> String {
        format!("redis-streamer:redrive:{{{}}}:{}", tag_of(self.0), self.0)
    }

    /// The set of targets in other slots that were added to.
    pub fn targets(&self) -> String {
        format!("redis-streamer:redrive-targets:{{{}}}:{}", tag_of(self.0), self.0)
    }

    /// Beside a target in another slot: which dead letters were added to it last. The length keeps two pairs of names apart
    /// that read the same one behind the other.
    pub fn marker(&self, target: &str) -> String {
        let (tag, length) = (tag_of(target), target.len());
        format!("redis-streamer:redrive-marker:{{{tag}}}:{length}:{target}:{}", self.0)
    }
}

/// One's turn at a key.
#[derive(Clone, Debug)]
pub struct Turn {
    pub key: String,
    pub owner: String,
    /// When it ends if nothing more is done in it.
    pub lifetime: Option<Duration>,
}

/// What became of a transaction.
pub enum Committed<T> {
    Done(T),
    /// A command of it, by its place, was refused as it was queued; or all of it. Nothing was done.
    Refused(Option<usize>, ServerError),
    /// The key that was watched had changed. Nothing was done.
    Overtaken,
}

impl Turn {
    /// What the key says; no change to it from now on goes unnoticed by the next transaction.
    pub fn watch(connection: &mut Connection, key: &str) -> Result<Option<String>, Error> {
        let commands = [redis::cmd("WATCH").arg(key).clone(), redis::cmd("GET").arg(key).clone()];
        let mut answers = connection.query_all(&commands)?.into_iter();
        let mut next = || match answers.next() {
            Some(Ok(value)) => Ok(value),
            Some(Err(refusal)) => Err(Error::refused(refusal, key, None)),
            None => Ok(redis::Value::Nil),
        };
        next()?;
        let value = next()?;
        connection.read(value)
    }

    /// Begins a transaction of this turn. Keys are looked at on the way: the first refusal of each is returned. A MULTI
    /// that is refused must be known before anything follows, which would be executed at once.
    pub fn begin(&self, connection: &mut Connection, looks: &[&str]) -> Result<Vec<Option<ServerError>>, Interrupted> {
        let (watch, get) = (
            redis::cmd("WATCH").arg(&self.key).clone(),
            redis::cmd("GET").arg(&self.key).clone(),
        );
        let mut commands = vec![watch, get];
        commands.extend(looks.iter().map(|key| redis::cmd("XLEN").arg(*key).clone()));
        commands.push(redis::cmd("MULTI"));
        let mut answers = connection.query_all(&commands)?;
        let multi = answers.pop();
        let looked = answers.split_off(2).into_iter().map(Result::err).collect();
        let refused = |refusal| Error::refused(refusal, &self.key, None);
        let mut values = Vec::new();
        for answer in answers.into_iter().chain(multi) {
            values.push(answer.map_err(refused)?);
        }
        let value: Option<String> = connection.read(values.swap_remove(1))?;
        match value {
            Some(value) if self.is_owner(&value) => Ok(looked),
            _ => Err(Interrupted::TurnLost),
        }
    }

    pub fn is_owner(&self, value: &str) -> bool {
        value.split(' ').next() == Some(self.owner.as_str())
    }

    /// Writes what the key says while this turn lasts: its owner, and these entries.
    pub fn write_set(&self, out: &mut Vec<u8>, entries: &[EntryId]) {
        let mut value = self.owner.clone();
        for id in entries {
            value.push(' ');
            value.push_str(&id.to_string());
        }
        let lifetime = self.lifetime.map(|lifetime| lifetime.as_millis().to_string());
        match &lifetime {
            None => write_command(out, &[b"SET", self.key.as_bytes(), value.as_bytes()]),
            Some(ms) => write_command(
                out,
                &[b"SET", self.key.as_bytes(), value.as_bytes(), b"PX", ms.as_bytes()],
            ),
        }
    }

    /// Writes the command that ends the turn.
    pub fn write_delete(&self, out: &mut Vec<u8>) {
        write_command(out, &[b"DEL", self.key.as_bytes()]);
    }
}

/// Executes commands of a transaction that was begun.
pub fn commit<T>(
    connection: &mut Connection,
    mut packed: Vec<u8>,
    commands: usize,
    read: impl FnOnce(&mut Cursor<'_>) -> Result<T, Malformed>,
) -> Result<Committed<T>, Error> {
    write_command(&mut packed, &[b"EXEC"]);
    connection.send(&packed)?;
    connection.expect(commands + 1);
    let mut refused = None;
    for place in 0..commands {
        if let Err(refusal) = connection.receive()?.cursor() {
            refused.get_or_insert((place, refusal));
        }
    }
    let done = connection.walk(|cursor| match cursor.is_nil() {
        true => Ok(None),
        false => {
            cursor.array_of(commands)?;
            read(cursor).map(Some)
        }
    })?;
    Ok(match (refused, done) {
        (Some((place, refusal)), _) => Committed::Refused(Some(place), refusal),
        (None, Err(refusal)) => Committed::Refused(None, refusal.cause()),
        (None, Ok(None)) => Committed::Overtaken,
        (None, Ok(Some(done))) => Committed::Done(done),
    })
}

/// Ends a transaction of nothing: to refuse it ends it, too.
pub fn abandon(connection: &mut Connection) -> Result<(), Error> {
    connection.query_all(&[redis::cmd("EXEC")]).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::streamer::servers::slot;

    #[test]
    fn keys_are_in_the_slots_of_their_streams() {
        for stream in ["dead", "{orders}:dead", "a{b"] {
            let keys = Keys(stream);
            for key in [keys.turn(), keys.targets(), Keys("other").marker(stream)] {
                assert_eq!(slot(key.as_bytes()), slot(stream.as_bytes()), "{key}");
            }
        }
        assert_ne!(Keys("c").marker("{x}a:b"), Keys("b:c").marker("{x}a"));
    }

    #[test]
    fn an_owner_is_known_by_the_whole_of_its_name() {
        let turn = Turn {
            key: "k".to_owned(),
            owner: "a".to_owned(),
            lifetime: None,
        };
        assert!(turn.is_owner("a") && turn.is_owner("a 1-0 2-0"));
        assert!(!turn.is_owner("ab") && !turn.is_owner("b a"));
        let mut set = Vec::new();
        turn.write_set(&mut set, &[EntryId::at_ms(1), EntryId::at_ms(2)]);
        assert!(String::from_utf8(set).unwrap().contains("a 1-0 2-0"));
    }
}
