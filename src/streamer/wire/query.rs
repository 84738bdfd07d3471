//! Commands and their small replies, as trees.

use redis::{Cmd, FromRedisValue, Value};

use super::connection::Connection;
use super::reply::Answer;
use super::resp::Malformed;
use crate::streamer::error::{Error, ServerError};

impl Connection {
    /// Sends a command and returns its reply; a refusal is an error.
    pub fn query(&mut self, command: &Cmd) -> Result<Value, Error> {
        self.send(&command.get_packed_command())?;
        self.answer()?.map_err(Error::Refused)
    }

    /// Sends commands in one piece and returns their replies, each a value or a refusal.
    pub fn query_all(&mut self, commands: &[Cmd]) -> Result<Vec<Answer>, Error> {
        let mut packed = Vec::new();
        for command in commands {
            command.write_packed_command(&mut packed);
        }
        self.send(&packed)?;
        commands.iter().map(|_| self.answer()).collect()
    }

    /// Executes commands together, if no key that is watched has changed, and returns their replies as one; `None` if one
    /// has. A refusal says why nothing was done. MULTI is answered before anything follows: were it refused, that would be
    /// executed as it comes.
    pub fn transact(&mut self, commands: &[Cmd]) -> Result<Result<Option<Value>, ServerError>, Error> {
        self.send(&redis::cmd("MULTI").get_packed_command())?;
        if let Err(refusal) = self.answer()? {
            return Ok(Err(refusal));
        }
        let exec = redis::cmd("EXEC");
        let commands: Vec<_> = commands.iter().chain([&exec]).cloned().collect();
        let mut answers = self.query_all(&commands)?;
        let done = answers.pop().unwrap_or(Ok(Value::Nil));
        // What was refused as it was queued is the reason why nothing was done.
        if let Some(refusal) = answers.into_iter().find_map(Result::err) {
            return Ok(Err(refusal));
        }
        Ok(match done {
            Ok(Value::Nil) => Ok(None),
            Ok(replies) => Ok(Some(replies)),
            Err(refusal) => Err(refusal.cause()),
        })
    }

    /// A query about a stream, perhaps a group of it, so that a refusal can name them.
    pub fn ask<T: FromRedisValue>(&mut self, command: &Cmd, stream: &str, group: Option<&str>) -> Result<T, Error> {
        let reply = self.query(command).map_err(|error| match error {
            Error::Refused(refusal) => Error::refused(refusal, stream, group),
            other => other,
        })?;
        self.read(reply)
    }

    /// A reply as the type it should have.
    pub fn read<T: FromRedisValue>(&self, reply: Value) -> Result<T, Error> {
        redis::from_redis_value(reply).map_err(|_| self.malformed(Malformed("a reply of unexpected type")))
    }
}
