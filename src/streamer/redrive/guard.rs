//! Turns: a key says whose turn it is, and what is to be done in one's turn is a transaction that watches it. Whoever else
//! writes to the key ends the turn, and no transaction of it is executed from then on, however late it arrives.
//!
//! So nothing depends on clocks or on a lock that is given back in time: its expiry only lets others know sooner that
//! nobody is at work.

use std::time::Duration;

use crate::streamer::consumer::Look;
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

/// What became of a transaction that adds to targets.
pub enum Addition<T> {
    Committed(Committed<T>),
    /// A target, by its place, is nothing that can be added to. Nothing was done.
    TargetRefused(usize, ServerError),
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

    /// Begins a transaction of this turn. A MULTI that is refused must be known before anything follows, which would be
    /// executed at once.
    pub fn begin(&self, connection: &mut Connection) -> Result<(), Interrupted> {
        self.begin_beside(connection, &[], Look::Once).map(drop)
    }

    /// As [`begin`](Self::begin). Targets are looked at on the way: the first refusal of each is returned.
    fn begin_beside(
        &self,
        connection: &mut Connection,
        targets: &[&str],
        look: Look,
    ) -> Result<Vec<Option<ServerError>>, Interrupted> {
        let asked = |name: &str, key: &str| redis::cmd(name).arg(key).clone();
        let looks: &[&str] = match look {
            Look::Watch => &["WATCH", "XLEN"],
            Look::Once => &["XLEN"],
        };
        let mut commands = vec![asked("WATCH", &self.key), asked("GET", &self.key)];
        commands.extend(
            targets
                .iter()
                .flat_map(|target| looks.iter().map(|look| asked(look, target))),
        );
        commands.push(redis::cmd("MULTI"));
        let mut answers = connection.query_all(&commands)?;
        let multi = answers.pop();
        let mut looked = answers.split_off(2).into_iter();
        let looked = targets
            .iter()
            .map(|_| {
                looked
                    .by_ref()
                    .take(looks.len())
                    .fold(None, |first, answer| first.or(answer.err()))
            })
            .collect();
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

    /// Executes commands that add to targets, in this turn. A command that fails as it is executed does not undo the others:
    /// so targets are looked at before, and watched. Where others write to one in between, nothing was done, and it is
    /// begun anew; to one that they write to all the time it is added, too, as it was when it was looked at last.
    pub fn add_to<T>(
        &self,
        connection: &mut Connection,
        targets: &[&str],
        packed: &[u8],
        commands: usize,
        read: impl Fn(&mut Cursor<'_>) -> Result<T, Malformed>,
    ) -> Result<Addition<T>, Interrupted> {
        for look in Look::tries() {
            let looked = self.begin_beside(connection, targets, look)?;
            let refusal = (0..).zip(looked).find_map(|(place, refusal)| Some((place, refusal?)));
            if let Some((place, refusal)) = refusal {
                abandon(connection)?;
                return Ok(Addition::TargetRefused(place, refusal));
            }
            match commit(connection, packed.to_vec(), commands, &read)? {
                // Whether the turn is over, the next beginning tells.
                Committed::Overtaken if look == Look::Watch => {}
                committed => return Ok(Addition::Committed(committed)),
            }
        }
        Err(Interrupted::TurnLost)
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
fn abandon(connection: &mut Connection) -> Result<(), Error> {
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
