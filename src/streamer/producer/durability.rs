//! When what was added counts as safe, and how a server is asked: WAIT for replicas, WAITAOF for disks. Both speak of all
//! that was written over their connection before, and hold up what comes behind them until they are answered. In a
//! transaction they would not wait.

use std::num::NonZeroU32;
use std::time::Duration;

use crate::streamer::error::{Error, NoFsync, ServerError};
use crate::streamer::wire::resp::{Cursor, Malformed, write_command};
use crate::streamer::wire::{Connection, RESPONSE_TIMEOUT};

/// The longest time a server is asked to wait, which none would take for an overflow: some years.
const LONGEST: u128 = 1 << 37;

/// What makes an entry safe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Durability {
    pub copies: Copies,
    /// How long the server waits for it, at least a millisecond: 0 would mean for ever.
    pub timeout: Duration,
}

/// Where an entry has to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Copies {
    /// At so many replicas.
    Replicas(NonZeroU32),
    /// On disk, at the server and at so many replicas.
    Disk { replicas: u32 },
}

/// Where it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reached {
    /// How many servers have it on disk that the client is connected to: one, or none.
    pub here: u64,
    pub replicas: u64,
}

impl Durability {
    /// Makes sure, before anything is sent, that the server can tell, and has the replicas.
    pub fn check(&self, connection: &mut Connection) -> Result<(), Error> {
        let reached = match self.ask(connection)? {
            Ok(reached) => reached,
            Err(refusal) => return Err(self.refused(refusal)),
        };
        let wanted = self.copies.replicas();
        if reached.replicas < u64::from(wanted) {
            let connected = reached.replicas;
            return Err(Error::TooFewReplicas { wanted, connected });
        }
        if !self.is_met(reached) {
            return Err(Error::NoFsync(NoFsync::Late));
        }
        Ok(())
    }

    /// What a refusal means to whoever asked for this.
    pub fn refused(&self, refusal: ServerError) -> Error {
        match self.copies {
            Copies::Disk { .. } if refusal.is_unknown() => Error::NoFsync(NoFsync::Unknown),
            Copies::Disk { .. } if refusal.detail.contains("appendonly is disabled") => {
                Error::NoFsync(NoFsync::NothingKept)
            }
            _ => Error::refused(refusal, "", None),
        }
    }

    /// Asks, and waits for the answer.
    pub fn ask(&self, connection: &mut Connection) -> Result<Result<Reached, ServerError>, Error> {
        let mut packed = Vec::new();
        self.write(&mut packed);
        connection.send(&packed)?;
        self.receive(connection)
    }

    /// Writes the command that asks.
    pub fn write(&self, out: &mut Vec<u8>) {
        let timeout = self.timeout.as_millis().clamp(1, LONGEST).to_string();
        let replicas = self.copies.replicas().to_string();
        match self.copies {
            Copies::Replicas(_) => write_command(out, &["WAIT", &replicas, &timeout].map(str::as_bytes)),
            Copies::Disk { .. } => write_command(out, &["WAITAOF", "1", &replicas, &timeout].map(str::as_bytes)),
        }
    }

    /// Receives the answer.
    pub fn receive(&self, connection: &mut Connection) -> Result<Result<Reached, ServerError>, Error> {
        let patience = self.timeout.saturating_add(RESPONSE_TIMEOUT);
        connection.walk_within(patience, |cursor| self.copies.read(cursor))
    }

    pub fn is_met(&self, reached: Reached) -> bool {
        let is_here = match self.copies {
            Copies::Replicas(_) => true,
            Copies::Disk { .. } => reached.here > 0,
        };
        is_here && reached.replicas >= u64::from(self.copies.replicas())
    }
}

impl Copies {
    pub fn replicas(self) -> u32 {
        match self {
            Self::Replicas(replicas) => replicas.get(),
            Self::Disk { replicas } => replicas,
        }
    }

    fn read(self, cursor: &mut Cursor<'_>) -> Result<Reached, Malformed> {
        let here = match self {
            Self::Replicas(_) => 0,
            Self::Disk { .. } => {
                cursor.array_of(2)?;
                count(cursor)?
            }
        };
        let replicas = count(cursor)?;
        Ok(Reached { here, replicas })
    }
}

fn count(cursor: &mut Cursor<'_>) -> Result<u64, Malformed> {
    u64::try_from(cursor.number()?).map_err(|_| Malformed("a count below zero"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(copies: Copies, timeout: Duration) -> String {
        let mut packed = Vec::new();
        Durability { copies, timeout }.write(&mut packed);
        let text = String::from_utf8(packed).unwrap();
        let words = text.lines().filter(|line| !line.starts_with(['*', '$']));
        words.collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn what_is_asked_for_never_waits_for_ever() {
        let replicas = |count| Copies::Replicas(NonZeroU32::new(count).unwrap());
        assert_eq!(asked(replicas(2), Duration::from_secs(3)), "WAIT 2 3000");
        assert_eq!(asked(replicas(1), Duration::from_micros(1)), "WAIT 1 1");
        assert_eq!(asked(replicas(1), Duration::MAX), format!("WAIT 1 {LONGEST}"));
        assert_eq!(
            asked(Copies::Disk { replicas: 0 }, Duration::from_secs(3)),
            "WAITAOF 1 0 3000"
        );
    }

    #[test]
    fn all_that_was_asked_for_must_be_there() {
        let is_met = |copies, here, replicas| {
            let timeout = Duration::ZERO;
            Durability { copies, timeout }.is_met(Reached { here, replicas })
        };
        let two = Copies::Replicas(NonZeroU32::new(2).unwrap());
        assert!(is_met(two, 0, 2) && is_met(two, 0, 3) && !is_met(two, 0, 1));
        let disk = Copies::Disk { replicas: 1 };
        assert!(is_met(disk, 1, 1) && !is_met(disk, 0, 1) && !is_met(disk, 1, 0));
    }
}
