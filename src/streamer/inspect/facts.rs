//! The rows of XINFO: facts by name, whose order and number differ between servers.

use std::collections::HashMap;

use redis::{FromRedisValue, Value};

use crate::streamer::entry::EntryId;
use crate::streamer::error::Error;
use crate::streamer::wire::Connection;
use crate::streamer::wire::resp::Malformed;

pub struct Facts<'a> {
    connection: &'a Connection,
    values: HashMap<String, Value>,
}

impl<'a> Facts<'a> {
    /// A reply of many rows.
    pub fn of_many(connection: &'a Connection, reply: Value) -> Result<Vec<Self>, Error> {
        let rows: Vec<HashMap<String, Value>> = connection.read(reply)?;
        let facts = rows.into_iter().map(|values| Self { connection, values });
        Ok(facts.collect())
    }

    /// Takes a fact; one that the server does not tell is nil.
    pub fn take<T: FromRedisValue>(&mut self, name: &str) -> Result<T, Error> {
        self.connection.read(self.values.remove(name).unwrap_or(Value::Nil))
    }

    pub fn take_id(&mut self, name: &str) -> Result<EntryId, Error> {
        let text: Vec<u8> = self.take(name)?;
        EntryId::from_wire(&text).ok_or_else(|| self.connection.malformed(Malformed("expected an entry ID")))
    }
}
