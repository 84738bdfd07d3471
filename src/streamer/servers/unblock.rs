//! Brings blocked reads to an end when the work is asked to end.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::thread;
use std::time::Duration;

use super::Servers;
use super::identity::{Identity, unblock};
use crate::streamer::error::Error;
use crate::streamer::stop::Stop;
use crate::streamer::wire::{Breaker, Connection};

/// How long a read may block where the server does not allow to unblock it (`CLIENT UNBLOCK`, by its ACL):
/// a signal must not wait longer than that.
const SHORT_BLOCK: Duration = Duration::from_millis(100);

/// How often a blocked read is looked for, once the work is to end: the read may reach the server after us.
const RETRY: Duration = Duration::from_millis(10);

/// How long a server may take to unblock a read before its connection is broken: it hangs, or is gone.
const PATIENCE: Duration = Duration::from_secs(1);

/// Ends the blocked reads of a piece of work.
#[derive(Clone)]
pub struct Unblocker {
    servers: Servers,
    blocked: Arc<Mutex<Blocked>>,
}

/// The connections that block.
type Blocked = Vec<(Arc<Blockable>, Unheard)>;

/// What becomes of the entries that a read took when its connection ends before anybody heard of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unheard {
    /// They can be read again.
    Kept,
    /// They count as delivered.
    Lost,
}

/// A connection that may block.
#[derive(Debug)]
pub struct Blockable {
    identity: Option<Identity>,
    breaker: Breaker,
}

impl Blockable {
    /// A connection that is about to be used for blocking reads.
    pub fn new(connection: &Connection, identity: Option<&Identity>) -> Result<Arc<Self>, Error> {
        Ok(Arc::new(Self {
            identity: identity.filter(|identity| identity.can_unblock).cloned(),
            breaker: connection.breaker()?,
        }))
    }

    /// How long it may block: as long as it wants if it can be unblocked.
    pub fn longest_block(&self, wanted: Duration) -> Duration {
        match self.identity {
            Some(_) => wanted,
            None => wanted.min(SHORT_BLOCK),
        }
    }
}

impl Unblocker {
    /// Unblocks reads when the work is asked to end.
    pub fn new(servers: &Servers, stop: &Stop) -> Self {
        let unblocker = Self {
            servers: servers.clone(),
            blocked: Arc::default(),
        };
        let (servers, blocked) = (servers.clone(), Arc::downgrade(&unblocker.blocked));
        stop.on_wake(move || Self::unblock_all(&servers, &blocked));
        unblocker
    }

    /// Unblocks until the work has ended: a read may begin to block after the end was asked for.
    fn unblock_all(servers: &Servers, work: &Weak<Mutex<Blocked>>) {
        let at_work = |servers: &Servers, work: &Weak<Mutex<Blocked>>| {
            let (servers, blocked) = (servers.clone(), work.upgrade()?);
            Some(Self { servers, blocked })
        };
        let (last_servers, last_work) = (servers.clone(), work.clone());
        let break_all = move || {
            thread::sleep(PATIENCE);
            let Some(last_resort) = at_work(&last_servers, &last_work) else {
                return;
            };
            for (connection, _) in last_resort.lock().iter() {
                connection.breaker.break_now();
            }
        };
        // Without a thread, a server that hangs is waited for.
        let _ = thread::Builder::new().spawn(break_all);
        let mut connections: Vec<Connection> = Vec::new();
        while let Some(unblocker) = at_work(servers, work) {
            let blocked: Vec<(Identity, Unheard)> = unblocker
                .lock()
                .iter()
                .filter_map(|(connection, unheard)| Some((connection.identity.clone()?, *unheard)))
                .collect();
            for (identity, unheard) in blocked {
                unblocker.unblock(&mut connections, &identity, unheard);
            }
            drop(unblocker);
            thread::sleep(RETRY);
        }
    }

    /// A server that cannot be reached cannot be asked; its reads end with the connection.
    fn unblock(&self, connections: &mut Vec<Connection>, identity: &Identity, unheard: Unheard) {
        let known = connections
            .iter()
            .position(|connection| *connection.node() == identity.node);
        let Some(mut connection) = known
            .map(|index| connections.swap_remove(index))
            .or_else(|| self.servers.same(&identity.node).ok())
        else {
            return;
        };
        if unblock(&mut connection, identity, unheard).is_ok() {
            connections.push(connection);
        }
    }

    /// Runs a read that blocks.
    pub fn while_blocked<T>(&self, connection: &Arc<Blockable>, unheard: Unheard, read: impl FnOnce() -> T) -> T {
        self.lock().push((connection.clone(), unheard));
        let result = read();
        self.lock().retain(|(blocked, _)| !Arc::ptr_eq(blocked, connection));
        result
    }

    fn lock(&self) -> MutexGuard<'_, Blocked> {
        self.blocked.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
