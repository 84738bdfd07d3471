//! Connections kept for work on many streams: one to each node.

use std::time::Instant;

use super::Servers;
use crate::streamer::error::Error;
use crate::streamer::wire::{Address, Connection};

pub struct Connections {
    servers: Servers,
    kept: Vec<Connection>,
    deadline: Option<Instant>,
}

impl Connections {
    /// Begins with a connection that is there.
    pub fn new(servers: &Servers, first: Connection) -> Self {
        Self {
            servers: servers.clone(),
            kept: vec![first],
            deadline: None,
        }
    }

    /// The node that holds a key.
    pub fn node_of(&self, key: &[u8]) -> Address {
        self.servers.node_of(key)
    }

    /// The connection to the node that holds a key; one is made where there is none yet.
    pub fn of_key(&mut self, key: &[u8]) -> Result<&mut Connection, Error> {
        let node = self.servers.node_of(key);
        let index = match self.kept.iter().position(|connection| *connection.node() == node) {
            Some(index) => index,
            None => {
                let mut connection = self.servers.of_key(key)?;
                connection.set_deadline(self.deadline);
                self.kept.push(connection);
                self.kept.len() - 1
            }
        };
        Ok(&mut self.kept[index])
    }

    /// From now on no answer is waited for beyond this.
    pub fn set_deadline(&mut self, deadline: Option<Instant>) {
        self.deadline = deadline;
        for connection in &mut self.kept {
            connection.set_deadline(deadline);
        }
    }

    /// Gives all of them up: after a failure nobody knows what is still to come over them.
    pub fn clear(&mut self) {
        self.kept.clear();
    }
}
