//! The domain: streams, entries, groups, and what can be done with them on a server.
//!
//! Knows the redis crate and sockets; knows nothing of commands, terminals or JSON lines.

mod backoff;
mod connection;
mod consumer;
mod entry;
mod error;
pub mod group;
mod handover;
mod inspect;
mod landed;
mod ledger;
mod point;
mod produce;
mod read;
mod resp;
mod subscribe;
mod survey;
mod target;
mod tls;
mod transport;

use redis::{FromRedisValue, Value};

pub use backoff::{Backoff, jittered};
pub use connection::{Connection, RESPONSE_TIMEOUT};
pub use consumer::{Consumer, Delivery, Membership};
pub use entry::{BODY, Entry, EntryId, Field, Message, NAME, OwnedFields};
pub use error::Error;
pub use handover::{Claim, Claimed, Own};
#[cfg(test)]
pub use inspect::GroupInfo;
pub use inspect::{ConsumerInfo, PendingEntry, PendingFilter};
pub use landed::{Fate, Landed, content};
pub use point::{InvalidDuration, Point, parse_duration};
pub use produce::{AddOptions, Added, MessageWriter, Missing, Trim, receive_added, write_add, write_trim};
pub use read::{Batch, Entries, Position, Reader};
pub use resp::Delivered;
pub use subscribe::Subscribed;
pub use survey::{GroupState, StreamState};
pub use target::{Address, Secret, Target, Tls, Verify};
pub use transport::Breaker;

/// A server's streams, over one connection.
pub struct Streamer {
    connection: Connection,
}

impl Streamer {
    /// Connects to a server.
    pub fn connect(target: &Target) -> Result<Self, Error> {
        Connection::open(target).map(|connection| Self { connection })
    }

    /// The connection, for pipelines that read their replies one by one.
    pub fn connection(&mut self) -> &mut Connection {
        &mut self.connection
    }

    /// The connection's number at the server, by which another one can unblock or close it; `None` where the
    /// server does not allow to ask.
    pub fn client_id(&mut self) -> Result<Option<u64>, Error> {
        let reply = self.connection.query(redis::cmd("CLIENT").arg("ID"));
        match reply {
            Ok(id) => self.read(id).map(Some),
            Err(Error::Refused(refusal)) if !refusal.is_passing() => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// [`Streamer::client_id`], if the server also allows to unblock a connection.
    pub fn blockable_id(&mut self) -> Result<Option<u64>, Error> {
        // No connection has the number 0.
        match self.unblock_client(0) {
            Ok(()) => self.client_id(),
            Err(Error::Refused(refusal)) if !refusal.is_passing() => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Ends another connection's blocked read, as if its time were up.
    pub fn unblock_client(&mut self, id: u64) -> Result<(), Error> {
        self.connection
            .query(redis::cmd("CLIENT").arg("UNBLOCK").arg(id))
            .map(drop)
    }

    /// Gives the connection a name of its own, by which [`Streamer::kill_client`] knows it again; `None` where
    /// the server does not allow it.
    pub fn identify(&mut self) -> Result<Option<Identity>, Error> {
        let name = group::new_consumer("redis-streamer");
        match self.connection.query(redis::cmd("CLIENT").arg("SETNAME").arg(&name)) {
            Ok(_) => Ok(self.client_id()?.map(|id| Identity { id, name })),
            Err(Error::Refused(refusal)) if !refusal.is_passing() => Ok(None),
            Err(Error::Denied(_)) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Closes another connection at the server, if it is still there: a number alone could be somebody else's
    /// since the server was restarted. Servers may forbid it: then what that connection still carries is up to
    /// the network.
    pub fn kill_client(&mut self, client: &Identity) -> Result<(), Error> {
        let list = self
            .connection
            .query(redis::cmd("CLIENT").arg("LIST").arg("ID").arg(client.id));
        let found = match list {
            Ok(list) => self.read::<String>(list)?.contains(&format!(" name={} ", client.name)),
            Err(Error::Refused(refusal)) if !refusal.is_passing() => false,
            Err(Error::Denied(_)) => false,
            Err(error) => return Err(error),
        };
        if !found {
            return Ok(());
        }
        match self
            .connection
            .query(redis::cmd("CLIENT").arg("KILL").arg("ID").arg(client.id))
        {
            Err(Error::Refused(refusal)) if refusal.is_passing() => Err(Error::Refused(refusal)),
            Ok(_) | Err(Error::Refused(_) | Error::Denied(_)) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Gives up the connection, for a job that owns it: a reader, a consumer.
    pub fn into_connection(self) -> Connection {
        self.connection
    }

    /// The server's clock, in milliseconds since the Unix epoch.
    pub fn now_ms(&mut self) -> Result<u64, Error> {
        now_ms(&mut self.connection)
    }

    /// Asks whether the server serves commands.
    pub fn ping(&mut self) -> Result<(), Error> {
        self.connection.query(&redis::cmd("PING")).map(drop)
    }

    /// Adds one entry.
    pub fn add(&mut self, stream: &str, options: AddOptions, fields: &[Field<'_>]) -> Result<EntryId, Error> {
        let mut packed = Vec::new();
        write_add(&mut packed, stream.as_bytes(), options, fields);
        self.connection.send(&packed)?;
        receive_added(&mut self.connection)?.map_err(|refusal| refusal.into_error(stream))
    }

    /// Acknowledges entries in a group; says of each whether it was pending.
    ///
    /// One XACK an entry, pipelined: XACK of many tells only how many were pending, not which.
    pub fn ack(&mut self, acks: &[Ack<'_>]) -> Result<Vec<bool>, Error> {
        let commands: Vec<_> = acks
            .iter()
            .map(|ack| {
                let mut command = redis::cmd("XACK");
                command.arg(ack.stream).arg(ack.group).arg(ack.id.to_string());
                command
            })
            .collect();
        let replies = self.connection.query_all(&commands)?;
        acks.iter()
            .zip(replies)
            .map(|(ack, reply)| {
                let reply = reply.map_err(|error| Error::refused(error, ack.stream, Some(ack.group)))?;
                self.read(reply).map(|acked: u64| acked > 0)
            })
            .collect()
    }

    /// A query about a stream, perhaps a group of it, so that a refusal can name them.
    fn ask<T: FromRedisValue>(&mut self, command: &redis::Cmd, stream: &str, group: Option<&str>) -> Result<T, Error> {
        let reply = self.connection.query(command).map_err(|error| match error {
            Error::Refused(refusal) => Error::refused(refusal, stream, group),
            other => other,
        })?;
        self.read(reply)
    }

    fn read<T: FromRedisValue>(&self, reply: Value) -> Result<T, Error> {
        read(&self.connection, reply)
    }
}

/// A connection, as another one can find it at the server.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Identity {
    /// Its number, until the server is restarted.
    id: u64,
    /// Its name, which nobody else has.
    name: String,
}

/// An entry to acknowledge.
#[derive(Clone, Copy, Debug)]
pub struct Ack<'a> {
    /// The entry's stream.
    pub stream: &'a str,
    /// The group it is pending in.
    pub group: &'a str,
    /// The entry.
    pub id: EntryId,
}

fn read<T: FromRedisValue>(connection: &Connection, reply: Value) -> Result<T, Error> {
    redis::from_redis_value(reply).map_err(|_| connection.malformed(resp::Malformed("a reply of unexpected type")))
}

fn now_ms(connection: &mut Connection) -> Result<u64, Error> {
    let reply = connection.query(&redis::cmd("TIME")).map_err(|error| match error {
        Error::Refused(refusal) => Error::refused(refusal, "", None),
        other => other,
    })?;
    let (seconds, micros): (u64, u64) = read(connection, reply)?;
    Ok(seconds * 1000 + micros / 1000)
}
