//! Sentinels: they know which of the servers behind a URL is the master. They are asked in turn whenever a connection is
//! opened, and now and then while there are any ([`watch`]): a master that was replaced may not know it for a while, and
//! what it accepts meanwhile is lost.

mod watch;
mod word;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use super::url::Service;
use crate::streamer::error::Error;
use crate::streamer::stop::Stop;
use crate::streamer::wire::{Address, Connection, Endpoint, Handle};
use watch::watch;
use word::{Word, ask, newest};

/// The sentinels of a URL.
pub struct Sentinels {
    service: String,
    /// How a server is reached, but for its address.
    server: Endpoint,
    /// How a sentinel is, but for its address.
    sentinel: Endpoint,
    known: Mutex<Known>,
    stop: Stop,
}

/// What is known of them.
struct Known {
    /// All of them, the one to ask first in front.
    order: Vec<Address>,
    /// The master, if nothing happened since it was found.
    master: Option<Address>,
    /// That of the last failover that is known of.
    epoch: u64,
    /// The connections to masters.
    connections: Vec<(Address, Weak<Handle>)>,
    is_watched: bool,
}

impl Sentinels {
    /// Sentinels at these addresses; `server` is how a server is reached, but for its address.
    pub fn new(sentinels: Vec<Address>, service: Service, server: Endpoint, stop: &Stop) -> Self {
        let sentinel = Endpoint {
            user: service.user,
            password: service.password,
            database: 0,
            ..server.clone()
        };
        Self {
            service: service.name,
            server,
            sentinel,
            known: Mutex::new(Known {
                order: sentinels,
                master: None,
                epoch: 0,
                connections: Vec::new(),
                is_watched: false,
            }),
            stop: stop.clone(),
        }
    }

    pub fn service(&self) -> &str {
        &self.service
    }

    /// Where the master is, as far as is known.
    pub fn master(&self) -> Option<Address> {
        self.lock().master.clone()
    }

    /// After a failure: what is known of the master may be out of date.
    pub fn doubt(&self) {
        self.lock().master = None;
    }

    /// Opens a connection to the master: the first that a sentinel names and that agrees.
    pub fn open(self: &Arc<Self>) -> Result<Connection, Error> {
        let until = Instant::now() + self.server.connect_timeout;
        let order = self.lock().order.clone();
        let (mut failures, mut of_masters, mut tried) = (Vec::new(), None, Vec::new());
        for (place, sentinel) in order.iter().enumerate() {
            let left = order.len() - place;
            let word = match self.word(sentinel, None, share(until, left + 1)) {
                Ok((word, _)) => word,
                Err(error) => {
                    failures.push(error);
                    continue;
                }
            };
            if tried.contains(&word.master) {
                continue;
            }
            // A master that hangs must leave time to hear another sentinel.
            match self.open_master(&word.master, share(until, left.min(2))) {
                Ok(mut connection) => {
                    self.keep(sentinel, &mut connection)?;
                    return Ok(connection);
                }
                Err(error) if error.is_passing() => of_masters = of_masters.or(Some(error)),
                Err(error) => return Err(error),
            }
            tried.push(word.master);
        }
        Err(of_masters.unwrap_or_else(|| self.failure(failures)))
    }

    /// Makes sure that a connection still leads to the master, by its own word and that of all sentinels.
    pub fn confirm(&self, connection: &mut Connection) -> Result<(), Error> {
        let (words, failures) = self.words(&mut Vec::new());
        let Some(first) = newest(&words).next() else {
            return Err(self.failure(failures));
        };
        if !is_named(&words, connection.node()) {
            self.lock().ask_first(&first.sentinel);
            return Err(self.not_master(connection.node()));
        }
        if newest(&words).any(|word| word.is_failing) {
            return Err(Error::FailingOver {
                service: self.service.clone(),
            });
        }
        self.check_role(connection)
    }

    /// Breaks the connections to servers that the sentinels do not name any more.
    fn review(&self, words: &[Word]) {
        let Some(first) = newest(words).next() else {
            return;
        };
        let mut known = self.lock();
        known.ask_first(&first.sentinel);
        let (named, replaced): (Vec<_>, Vec<_>) = std::mem::take(&mut known.connections)
            .into_iter()
            .filter(|(_, handle)| handle.strong_count() > 0)
            .partition(|(node, _)| is_named(words, node));
        known.connections = named;
        if !replaced.is_empty() {
            known.master = None;
        }
        drop(known);
        for handle in replaced.iter().filter_map(|(_, handle)| handle.upgrade()) {
            handle.abandon();
        }
    }

    /// What all sentinels say that can be asked, over connections that are kept for the next time.
    fn words(&self, kept: &mut Vec<Connection>) -> (Vec<Word>, Vec<Error>) {
        let until = Instant::now() + self.sentinel.connect_timeout;
        let order = self.lock().order.clone();
        let (mut words, mut failures) = (Vec::new(), Vec::new());
        for (place, sentinel) in order.iter().enumerate() {
            let known = kept.iter().position(|connection| connection.node() == sentinel);
            let connection = known.map(|index| kept.swap_remove(index));
            match self.word(sentinel, connection, share(until, order.len() - place)) {
                Ok((word, connection)) => {
                    words.push(word);
                    kept.push(connection);
                }
                Err(error) => failures.push(error),
            }
        }
        (words, failures)
    }

    /// What a sentinel says, over this connection to it or another one.
    fn word(
        &self,
        sentinel: &Address,
        connection: Option<Connection>,
        limit: Duration,
    ) -> Result<(Word, Connection), Error> {
        let until = Instant::now() + limit;
        let mut connection = match connection {
            Some(connection) => connection,
            None => {
                let opened = Connection::open(&within(&self.sentinel, sentinel, limit), &self.stop);
                opened.map_err(|error| match error {
                    Error::Denied(refusal) => Error::SentinelDenied {
                        sentinel: sentinel.to_string(),
                        refusal,
                    },
                    error => error,
                })?
            }
        };
        connection.set_deadline(Some(until));
        let word = ask(&mut connection, &self.service)?;
        if !self.lock().is_up_to_date(&word) {
            return Err(self.not_master(&word.master));
        }
        Ok((word, connection))
    }

    fn open_master(&self, master: &Address, limit: Duration) -> Result<Connection, Error> {
        let until = Instant::now() + limit;
        let mut connection = Connection::open(&within(&self.server, master, limit), &self.stop)?;
        connection.set_deadline(Some(until));
        self.check_role(&mut connection)?;
        connection.set_deadline(None);
        Ok(connection)
    }

    /// A server that the sentinels name may have yet to become the master, or be no more. Where this user may not ask
    /// it, that shows when it refuses to write.
    fn check_role(&self, connection: &mut Connection) -> Result<(), Error> {
        let role = match connection.query(&redis::cmd("ROLE")) {
            Err(Error::Refused(refusal)) if refusal.code == "NOPERM" || refusal.is_unknown() => return Ok(()),
            role => role.map_err(|error| match error {
                Error::Refused(refusal) => Error::refused(refusal, "", None),
                error => error,
            })?,
        };
        let role: Vec<redis::Value> = connection.read(role)?;
        match role.first() {
            Some(redis::Value::BulkString(role)) if role == b"master" => Ok(()),
            _ => Err(self.not_master(connection.node())),
        }
    }

    /// A connection to the master was made.
    fn keep(self: &Arc<Self>, sentinel: &Address, connection: &mut Connection) -> Result<(), Error> {
        let handle = connection.handle()?;
        let node = connection.node().clone();
        let mut known = self.lock();
        known.ask_first(sentinel);
        known.master = Some(node.clone());
        known.connections.retain(|(_, handle)| handle.strong_count() > 0);
        known.connections.push((node, handle));
        let is_watched = std::mem::replace(&mut known.is_watched, true);
        drop(known);
        if !is_watched {
            watch(self);
        }
        Ok(())
    }

    fn not_master(&self, server: &Address) -> Error {
        Error::NotMaster {
            address: server.to_string(),
            service: self.service.clone(),
        }
    }

    /// Why none of the sentinels tells. What one of them refuses another would, too; that one of them is none may be mended
    /// by those that are away.
    fn failure(&self, failures: Vec<Error>) -> Error {
        let is_for_all = |error: &Error| matches!(error, Error::NoService { .. } | Error::SentinelDenied { .. });
        let (for_all, mut of_one): (Vec<_>, Vec<_>) = failures.into_iter().partition(is_for_all);
        if let Some(refused) = for_all.into_iter().next() {
            return refused;
        }
        let away = of_one.iter().position(Error::is_passing);
        match (away, of_one.is_empty()) {
            (Some(away), _) => Error::NoSentinel {
                sentinels: listed(&self.lock().order),
                source: Box::new(of_one.swap_remove(away)),
            },
            (None, false) => of_one.swap_remove(0),
            (None, true) => Error::InvalidUrl("it names no sentinel".to_owned()),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Known {
    fn ask_first(&mut self, sentinel: &Address) {
        if let Some(place) = self.order.iter().position(|known| known == sentinel) {
            self.order[..=place].rotate_right(1);
        }
    }

    /// Whether a sentinel knows of the last failover: one that is cut off from the others names an old master for ever.
    fn is_up_to_date(&mut self, word: &Word) -> bool {
        self.epoch = self.epoch.max(word.epoch);
        word.epoch == self.epoch || word.epoch == 0
    }
}

/// Whether a server is the master by those words that know of the last failover.
fn is_named(words: &[Word], server: &Address) -> bool {
    newest(words).any(|word| word.master == *server)
}

/// An equal part of the time that is left.
fn share(until: Instant, parts: usize) -> Duration {
    let left = until.saturating_duration_since(Instant::now());
    let share = left / u32::try_from(parts).unwrap_or(u32::MAX).max(1);
    share.max(Duration::from_millis(1))
}

fn within(endpoint: &Endpoint, address: &Address, limit: Duration) -> Endpoint {
    Endpoint {
        address: address.clone(),
        connect_timeout: limit,
        ..endpoint.clone()
    }
}

/// Addresses, for messages.
pub fn listed(addresses: &[Address]) -> String {
    let addresses = addresses.iter().map(ToString::to_string);
    addresses.collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sentinel_that_answered_is_asked_first_and_none_that_was_cut_off_is_believed() {
        let mut known = Known {
            order: vec![Address::tcp("h", 1), Address::tcp("h", 2), Address::tcp("h", 3)],
            master: None,
            epoch: 0,
            connections: Vec::new(),
            is_watched: false,
        };
        known.ask_first(&Address::tcp("h", 3));
        known.ask_first(&Address::tcp("h", 9));
        assert_eq!(
            known.order,
            [Address::tcp("h", 3), Address::tcp("h", 1), Address::tcp("h", 2)]
        );
        // 0 is what is said where it may not be asked for.
        for (epoch, expected) in [(0, true), (2, true), (3, true), (2, false), (0, true), (3, true)] {
            let word = Word {
                sentinel: Address::tcp("h", 1),
                master: Address::tcp("h", 7),
                epoch,
                is_failing: false,
            };
            assert_eq!(known.is_up_to_date(&word), expected, "{epoch}");
        }
    }
}
