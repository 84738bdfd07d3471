//! Where streams live: the one door to a connection. Whoever needs one says what it is for; which server that is
//! gets decided here and nowhere else.

mod backoff;
mod connections;
mod identity;
mod supervisor;
mod unblock;
mod url;

use std::sync::Arc;

use super::error::Error;
use super::stop::Stop;
use super::wire::{Address, Connection, Endpoint};

pub use backoff::jittered;
pub use connections::Connections;
pub use identity::{Closed, Identity, close_named, fact, identify, introduced, introduction};
pub use supervisor::{Notice, Notify, Supervisor, first, until};
pub use unblock::{Blockable, Unblocker};

/// The servers behind a URL.
#[derive(Clone)]
pub struct Servers {
    endpoint: Arc<Endpoint>,
    /// By which connections know that the work is to end.
    stop: Stop,
}

impl Servers {
    /// A single server.
    pub fn standalone(endpoint: Endpoint, stop: &Stop) -> Self {
        Self {
            endpoint: Arc::new(endpoint),
            stop: stop.clone(),
        }
    }

    /// What messages call them.
    pub fn name(&self) -> String {
        self.endpoint.address.to_string()
    }

    /// The node that holds a key.
    pub fn node_of(&self, _key: &[u8]) -> Address {
        self.endpoint.address.clone()
    }

    /// A connection to the node that holds a key, be it a stream, a marker or a ledger.
    pub fn of_key(&self, _key: &[u8]) -> Result<Connection, Error> {
        Connection::open(&self.endpoint, &self.stop)
    }

    /// Connections to all nodes that hold keys.
    pub fn masters(&self) -> Result<Vec<Connection>, Error> {
        Ok(vec![Connection::open(&self.endpoint, &self.stop)?])
    }

    /// Another connection to a node, such as one that an earlier connection led to.
    pub fn same(&self, node: &Address) -> Result<Connection, Error> {
        let endpoint = Endpoint {
            address: node.clone(),
            ..(*self.endpoint).clone()
        };
        Connection::open(&endpoint, &self.stop)
    }

    /// Closes an old connection at its node, over this connection if that leads there.
    pub fn close(&self, over: &mut Connection, old: &Identity) -> Result<Closed, Error> {
        if old.node == *over.node() {
            identity::close(over, old)
        } else {
            identity::close(&mut self.same(&old.node)?, old)
        }
    }
}
