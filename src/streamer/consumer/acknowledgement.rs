//! The command that acknowledges, and with which what is acknowledged is deleted where that is asked for.

use super::requests::write_ack;
use crate::streamer::entry::EntryId;
use crate::streamer::error::{Error, ServerError};
use crate::streamer::wire::Connection;
use crate::streamer::wire::resp::{Cursor, Malformed, argument, command, id_argument};

/// What becomes of an entry that is acknowledged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Done {
    /// It stays in its stream.
    Kept,
    /// It goes, once every group has acknowledged it.
    Deleted,
}

impl Done {
    pub fn new(delete: bool) -> Self {
        if delete { Self::Deleted } else { Self::Kept }
    }
}

/// The command by which one server acknowledges.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AckCommand {
    /// XACK, which deletes nothing.
    Ack,
    /// XACKDEL (Redis 8.2): the server knows what every group has acknowledged.
    AckDelete,
    /// [`SCRIPT`]: what the stream's only group acknowledges is deleted; of several groups, nothing is.
    Script,
}

/// Acknowledges entries one by one, and deletes each that was pending if there is no other group: in one piece, so that
/// no group that is made meanwhile misses an entry. Answers how many groups there are, then what became of each entry as
/// XACKDEL tells it.
///
/// Whatever the server refuses it refuses before anything is done, of an entry that cannot be; and by the code that it has
/// outside scripts, for which Redis 6.2 needs pcall.
const SCRIPT: &str = "\
local function failed(answer) return type(answer) == 'table' and answer.err end
local groups = redis.pcall('XINFO', 'GROUPS', KEYS[1])
if failed(groups) then
  if string.find(groups.err, 'no such key', 1, true) then return {0} end
  return groups
end
for _, words in ipairs({{'XACK', KEYS[1], ARGV[1], '0-0'}, {'XDEL', KEYS[1], '0-0'}}) do
  local answer = redis.pcall(unpack(words))
  if failed(answer) then return answer end
end
local answer = {#groups}
for i = 2, #ARGV do
  if redis.call('XACK', KEYS[1], ARGV[1], ARGV[i]) == 0 then
    answer[i] = -1
  elseif #groups == 1 then
    redis.call('XDEL', KEYS[1], ARGV[i])
    answer[i] = 1
  else
    answer[i] = 2
  end
end
return answer";

/// What one such command did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Acked {
    /// How many entries were pending until now.
    pub acked: usize,
    /// How many of these are deleted.
    pub deleted: usize,
    /// Of how many of these nobody will know when they can be: there are other groups.
    pub undeletable: usize,
}

impl AckCommand {
    /// The command of this server that does what is asked for.
    pub fn find(connection: &mut Connection, stream: &str, group: &str, done: Done) -> Result<Self, Error> {
        if done == Done::Kept {
            return Ok(Self::Ack);
        }
        // Of an entry that cannot be: whatever the server has, nothing is done.
        match Self::AckDelete.run(connection, stream, group, &[EntryId::MIN])? {
            Ok(_) => Ok(Self::AckDelete),
            // Unknown to the server, or to its ACL.
            Err(refusal) if refusal.is_unknown() || refusal.command_denied().is_some() => Ok(Self::Script),
            Err(refusal) => Err(Error::refused(refusal, stream, Some(group))),
        }
    }

    /// Fails where the stream has groups of which the server cannot tell what all of them have acknowledged.
    pub fn see_other_groups(self, connection: &mut Connection, stream: &str, group: &str) -> Result<(), Error> {
        if self != Self::Script {
            return Ok(());
        }
        let mut packed = Vec::new();
        self.write(&mut packed, stream, group, &[]);
        connection.send(&packed)?;
        let groups = connection.walk(|cursor| Ok((cursor.array()?, cursor.number()?).1))?;
        match groups.map_err(|refusal| Error::refused(refusal, stream, Some(group)))? {
            ..=1 => Ok(()),
            _ => Err(Error::OtherGroups {
                stream: stream.to_owned(),
                group: group.to_owned(),
            }),
        }
    }

    /// Writes the command, for entries of one stream.
    pub fn write(self, out: &mut Vec<u8>, stream: &str, group: &str, ids: &[EntryId]) {
        match self {
            Self::Ack => return write_ack(out, stream, group, ids),
            Self::AckDelete => {
                command(out, 6 + ids.len());
                for word in ["XACKDEL", stream, group, "ACKED", "IDS", &ids.len().to_string()] {
                    argument(out, word.as_bytes());
                }
            }
            Self::Script => {
                command(out, 5 + ids.len());
                for word in ["EVAL", SCRIPT, "1", stream, group] {
                    argument(out, word.as_bytes());
                }
            }
        }
        for id in ids {
            id_argument(out, *id);
        }
    }

    /// Takes in the reply to it.
    pub fn receive(self, connection: &mut Connection) -> Result<Result<Acked, ServerError>, Error> {
        connection.walk(|cursor| self.read(cursor))
    }

    /// Of how many messages a transaction that holds the command tells that they are not deleted as they were to be.
    pub fn undeletable(self, answer: &redis::Value) -> usize {
        match answer {
            redis::Value::Array(answers) if self == Self::Script => {
                let kept = answers.iter().skip(1).filter(|answer| **answer == redis::Value::Int(2));
                kept.count()
            }
            _ => 0,
        }
    }

    fn run(
        self,
        connection: &mut Connection,
        stream: &str,
        group: &str,
        ids: &[EntryId],
    ) -> Result<Result<Acked, ServerError>, Error> {
        let mut packed = Vec::new();
        self.write(&mut packed, stream, group, ids);
        connection.send(&packed)?;
        self.receive(connection)
    }

    fn read(self, cursor: &mut Cursor<'_>) -> Result<Acked, Malformed> {
        let mut acked = Acked::default();
        if self == Self::Ack {
            acked.acked = usize::try_from(cursor.number()?).map_err(|_| Malformed("expected a count"))?;
            return Ok(acked);
        }
        let elements = cursor.array()?.ok_or(Malformed("expected an array"))?;
        let before = match self {
            Self::Script => cursor.number().map(|_| 1)?,
            _ => 0,
        };
        for _ in before..elements {
            match cursor.number()? {
                1 => (acked.acked, acked.deleted) = (acked.acked + 1, acked.deleted + 1),
                2 => acked.acked += 1,
                // It was not pending.
                _ => {}
            }
        }
        if self == Self::Script {
            acked.undeletable = acked.acked - acked.deleted;
        }
        Ok(acked)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replies_tell_what_was_acknowledged_and_what_is_deleted() {
        let acked = |acked, deleted, undeletable| Acked {
            acked,
            deleted,
            undeletable,
        };
        for (command, reply, expected) in [
            (AckCommand::Ack, ":3\r\n", acked(3, 0, 0)),
            (AckCommand::AckDelete, "*3\r\n:1\r\n:-1\r\n:2\r\n", acked(2, 1, 0)),
            (AckCommand::Script, "*1\r\n:0\r\n", acked(0, 0, 0)),
            (AckCommand::Script, "*3\r\n:1\r\n:1\r\n:-1\r\n", acked(1, 1, 0)),
            (AckCommand::Script, "*3\r\n:2\r\n:2\r\n:2\r\n", acked(2, 0, 2)),
        ] {
            let found = command.read(&mut Cursor::new(reply.as_bytes())).unwrap();
            assert_eq!(found, expected, "{command:?} {reply:?}");
        }
        assert!(AckCommand::Script.read(&mut Cursor::new(b"*0\r\n")).is_err());
    }

    #[test]
    fn what_a_script_was_refused_has_its_code_on_every_server() {
        for line in [
            "NOREPLICAS Not enough good replicas to write.",
            "@user_script: 8: -NOREPLICAS Not enough good replicas to write.",
        ] {
            let refusal = ServerError::parse(line.as_bytes());
            assert_eq!((&*refusal.code, refusal.is_passing()), ("NOREPLICAS", true), "{line}");
            assert_eq!(refusal.detail, "Not enough good replicas to write.");
        }
        let denied = "@user_script: 1: The user executing the script can't run this command or subcommand";
        assert!(ServerError::parse(denied.as_bytes()).is_denied_in_a_script());
    }
}
