//! Brings blocked reads to an end when a signal asks for it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use crate::signals::Stop;
use crate::streamer::{Breaker, Error, Streamer, Target};

/// How long a read may block where the server does not allow to unblock it (`CLIENT UNBLOCK`, by its ACL):
/// a signal must not wait longer than that.
const SHORT_BLOCK: Duration = Duration::from_millis(100);

/// How often a blocked read is looked for, once a signal came: the read may reach the server after us.
const RETRY: Duration = Duration::from_millis(10);

/// How long a server may take to unblock a read before its connection is broken: it hangs, or is gone.
const PATIENCE: Duration = Duration::from_secs(1);

/// Ends the blocked reads of a command.
#[derive(Clone, Debug)]
pub struct Alarm {
    target: Arc<Target>,
    blocked: Arc<Mutex<Vec<Arc<Blockable>>>>,
}

/// A connection that may block.
#[derive(Debug)]
pub struct Blockable {
    /// Its number at the server, where the server tells it and allows to unblock it.
    client_id: Option<u64>,
    breaker: Breaker,
}

impl Blockable {
    /// Asks the server about a connection that is about to be used for blocking reads.
    pub fn new(streamer: &mut Streamer) -> Result<Arc<Self>, Error> {
        Ok(Arc::new(Self {
            client_id: streamer.blockable_id()?,
            breaker: streamer.connection().breaker()?,
        }))
    }

    /// How long it may block: as long as it wants if it can be unblocked.
    pub fn longest_block(&self, wanted: Duration) -> Duration {
        match self.client_id {
            Some(_) => wanted,
            None => wanted.min(SHORT_BLOCK),
        }
    }
}

impl Alarm {
    /// An alarm for connections to a server, and the stop that rings it. `at_last` runs when a second signal
    /// ends the process at once.
    pub fn listen(target: &Target, at_last: impl Fn() + Send + 'static) -> std::io::Result<(Self, Stop)> {
        let alarm = Self {
            target: Arc::new(target.clone()),
            blocked: Arc::default(),
        };
        let bell = alarm.clone();
        let stop = Stop::listen(move || bell.ring(), at_last)?;
        Ok((alarm, stop))
    }

    /// Unblocks until the process ends: a read may begin to block after the signal was seen.
    fn ring(&self) {
        let last_resort = self.clone();
        let break_all = move || {
            thread::sleep(PATIENCE);
            for connection in last_resort.lock().iter() {
                connection.breaker.break_now();
            }
        };
        // Without a thread, a server that hangs is waited for.
        let _ = thread::Builder::new().spawn(break_all);
        let mut streamer = None;
        loop {
            let blocked: Vec<u64> = self
                .lock()
                .iter()
                .filter_map(|connection| connection.client_id)
                .collect();
            for id in blocked {
                // A server that cannot be reached cannot be asked; its reads end with the connection.
                streamer = streamer.or_else(|| Streamer::connect(&self.target).ok());
                if let Some(connected) = &mut streamer
                    && connected.unblock_client(id).is_err()
                {
                    streamer = None;
                }
            }
            thread::sleep(RETRY);
        }
    }

    /// Runs a read that blocks.
    pub fn while_blocked<T>(&self, connection: &Arc<Blockable>, read: impl FnOnce() -> T) -> T {
        self.lock().push(connection.clone());
        let result = read();
        self.lock().retain(|blocked| !Arc::ptr_eq(blocked, connection));
        result
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Arc<Blockable>>> {
        self.blocked.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
