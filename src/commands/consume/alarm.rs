//! Brings blocked reads to an end when a signal asks for it.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use crate::signals::Stop;
use crate::streamer::{Streamer, Target};

/// How long a read may block where the server does not allow to unblock it (`CLIENT UNBLOCK`, by its ACL):
/// a signal must not wait longer than that.
const SHORT_BLOCK: Duration = Duration::from_millis(100);

/// How often a blocked read is looked for, once a signal came: the read may reach the server after us.
const RETRY: Duration = Duration::from_millis(10);

/// The connections that are blocked right now, by their numbers at the server.
#[derive(Clone, Debug)]
pub struct Alarm {
    target: Arc<Target>,
    blocked: Arc<Mutex<HashSet<u64>>>,
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
        let mut streamer = None;
        loop {
            let blocked: Vec<u64> = self.lock().iter().copied().collect();
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

    /// How long a connection may block: as long as it wants if it can be unblocked.
    pub fn longest_block(&self, client_id: Option<u64>, wanted: Duration) -> Duration {
        match client_id {
            Some(_) => wanted,
            None => wanted.min(SHORT_BLOCK),
        }
    }

    /// Runs a read that blocks.
    pub fn while_blocked<T>(&self, client_id: Option<u64>, read: impl FnOnce() -> T) -> T {
        self.lock().extend(client_id);
        let result = read();
        if let Some(id) = client_id {
            self.lock().remove(&id);
        }
        result
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashSet<u64>> {
        self.blocked.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
