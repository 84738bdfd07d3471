//! The rows of XINFO: facts by name, whose order and number differ between servers.

use std::collections::HashMap;

use redis::{FromRedisValue, Value};

use crate::streamer::entry::EntryId;
use crate::streamer::error::Error;
use crate::streamer::raw_name::RawName;
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

    /// The name of what a row is about.
    pub fn take_name(&mut self) -> Result<RawName, Error> {
        self.take("name").map(|name: Vec<u8>| RawName::from(name))
    }

    /// Takes a number of things that the server may not know; what is below 0 it does not know either.
    pub fn take_count(&mut self, name: &str) -> Result<Option<u64>, Error> {
        let count: Option<i64> = self.take(name)?;
        Ok(count.and_then(|count| u64::try_from(count).ok()))
    }

    pub fn take_id(&mut self, name: &str) -> Result<EntryId, Error> {
        let text: Vec<u8> = self.take(name)?;
        EntryId::from_wire(&text).ok_or_else(|| self.connection.malformed(Malformed("expected an entry ID")))
    }
}
