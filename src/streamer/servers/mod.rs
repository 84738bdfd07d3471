//! Where streams live: the one door to a connection. Whoever needs one says what it is for; which server that is
//! gets decided here and nowhere else.
//!
//! A URL may lead to a node of a cluster and not say so: the first redirection tells. From then on each key is asked for
//! at the node that holds its slot. A node that refuses, or is lost, is a reason to ask the cluster again.
//!
//! Where the URL names sentinels, all keys are at the master, and the sentinels are asked for it each time.

mod backoff;
mod cluster;
mod connections;
mod identity;
mod redirects;
mod sentinel;
mod slots;
mod supervisor;
mod unblock;
mod url;

use std::sync::{Arc, OnceLock};
use std::thread;
use std::time::Instant;

use redis::Value;

use super::error::{Error, ServerError};
use super::stop::Stop;
use super::wire::{Address, Connection, Endpoint};
use cluster::{Cluster, unserved};
use sentinel::{Sentinels, listed};
use slots::{Place, SlotMap, Work};

pub use backoff::jittered;
pub use connections::Connections;
pub use identity::{Closed, Identity, close_named, fact, identify, introduced, introduction, is_named};
pub use slots::{hash_tag, slot, tag_of};
pub use supervisor::{Notice, Notify, Supervisor, first, until};
pub use unblock::{Blockable, Unblocker, Unheard};
pub use url::{Kind, Location, without_password};

/// The servers behind a URL.
#[derive(Clone)]
pub struct Servers {
    shared: Arc<Shared>,
    /// By which connections know that the work is to end.
    stop: Stop,
    /// When attempts to connect end in any case.
    deadline: Option<Instant>,
}

/// A node that holds keys, as messages call it, with a connection to it if it can be reached.
pub type Node = (String, Result<Connection, Error>);

struct Shared {
    /// How each server is reached, but for its address.
    endpoint: Endpoint,
    /// Where they are, as far as the URL tells.
    seeds: Vec<Address>,
    /// What is known of the cluster, if it is one.
    cluster: OnceLock<Cluster>,
    /// Those who know the master, if there are sentinels.
    sentinels: Option<Arc<Sentinels>>,
}

impl Servers {
    /// The servers at a location, for work that ends as `stop` says.
    pub fn at(location: Location, stop: &Stop) -> Self {
        let Location { endpoint, seeds, kind } = location;
        let cluster = OnceLock::new();
        let sentinels = match kind {
            Kind::Server => None,
            Kind::Cluster => {
                cluster.get_or_init(Cluster::unknown);
                None
            }
            Kind::Sentinel(service) => {
                let sentinels = Sentinels::new(seeds.clone(), service, endpoint.clone(), stop);
                Some(Arc::new(sentinels))
            }
        };
        Self {
            shared: Arc::new(Shared {
                endpoint,
                seeds,
                cluster,
                sentinels,
            }),
            stop: stop.clone(),
            deadline: None,
        }
    }

    /// The same servers; attempts to connect to them end by then.
    pub fn until(&self, deadline: Option<Instant>) -> Self {
        Self {
            deadline,
            ..self.clone()
        }
    }

    /// The same servers, for a part of the work that ends as `stop` says.
    pub fn under(&self, stop: &Stop) -> Self {
        Self {
            stop: stop.clone(),
            ..self.clone()
        }
    }

    /// What messages call them.
    pub fn name(&self) -> String {
        let seeds = listed(&self.shared.seeds);
        match self.sentinels() {
            Some(sentinels) => format!("{} (sentinels {seeds})", sentinels.service()),
            None => seeds,
        }
    }

    /// By which work at them knows that it is to end.
    pub fn stop(&self) -> &Stop {
        &self.stop
    }

    /// A connection to the node that holds a key, and all others of its slot.
    pub fn of_slot(&self, key: impl AsRef<[u8]>) -> Result<Connection, Error> {
        self.find(key.as_ref(), Work::OnSlot)
    }

    /// A connection for work on a key alone, be it a stream or a ledger.
    pub fn of_key(&self, key: &str) -> Result<Connection, Error> {
        self.find(key.as_bytes(), Work::OnOneKey)
    }

    /// Makes sure that a connection still leads to where its keys are: a master that was replaced goes on answering for a
    /// while. Without sentinels nobody could tell.
    pub fn confirm(&self, connection: &mut Connection) -> Result<(), Error> {
        match self.sentinels() {
            Some(sentinels) => sentinels.confirm(connection),
            None => Ok(()),
        }
    }

    /// Whether a node that takes another one's place may lack what that had confirmed.
    pub fn may_lose_confirmed(&self) -> bool {
        self.sentinels().is_some()
    }

    /// All nodes that hold keys, with connections to them as far as they can be reached.
    pub fn masters(&self) -> Result<Vec<Node>, Error> {
        if let Some(sentinels) = self.sentinels() {
            let connection = sentinels.open()?;
            return Ok(vec![(connection.node().to_string(), Ok(connection))]);
        }
        let seed = &self.shared.seeds[0];
        if self.cluster().is_none() {
            let mut connection = self.same(seed)?;
            if !self.learn(&mut connection)? {
                return Ok(vec![(seed.to_string(), Ok(connection))]);
            }
        }
        let cluster = self.shared.cluster.get_or_init(Cluster::unknown);
        let (masters, is_whole) = cluster.masters(|nodes| self.look(nodes))?;
        let mut nodes = at_once(masters, |node| (node.to_string(), self.same(&node)));
        if !is_whole {
            nodes.push(("the slots that no node serves".to_owned(), Err(unserved())));
        }
        Ok(nodes)
    }

    /// Another connection to a node, such as one that an earlier connection led to.
    pub fn same(&self, node: &Address) -> Result<Connection, Error> {
        let left = self
            .deadline
            .map(|until| until.saturating_duration_since(Instant::now()));
        let endpoint = &self.shared.endpoint;
        let endpoint = Endpoint {
            address: node.clone(),
            connect_timeout: left.map_or(endpoint.connect_timeout, |left| left.min(endpoint.connect_timeout)),
            ..endpoint.clone()
        };
        Connection::open(&endpoint, &self.stop)
    }

    /// Whether keys can be used in one command.
    pub fn share_a_slot(&self, a: &str, b: &str) -> bool {
        self.cluster().is_none() || slot(a.as_bytes()) == slot(b.as_bytes())
    }

    /// Parts keys that cannot be read by one command: those of a slot stay together, in their order.
    pub fn by_slot(&self, keys: &[String]) -> Vec<Vec<String>> {
        let mut parts: Vec<Vec<String>> = Vec::new();
        for key in keys {
            match parts.iter_mut().find(|part| self.share_a_slot(&part[0], key)) {
                Some(part) => part.push(key.clone()),
                None => parts.push(vec![key.clone()]),
            }
        }
        parts
    }

    /// Finds out whether a node is a cluster's, for work on keys of several slots: of one alone, the first redirection
    /// tells.
    pub fn learn(&self, connection: &mut Connection) -> Result<bool, Error> {
        let may_be_one = self.cluster().is_none() && self.sentinels().is_none();
        if may_be_one && ask_for_slots(connection)?.is_ok() {
            self.shared.cluster.get_or_init(Cluster::unknown);
        }
        Ok(self.cluster().is_some())
    }

    /// Learns from a failure where to go next. Says whether the next attempt is to be made elsewhere, and at once.
    pub fn heed(&self, error: &Error) -> bool {
        if let Some(sentinels) = self.sentinels() {
            if error.is_passing() {
                sentinels.doubt();
            }
            return false;
        }
        let is_redirection = error.is_redirection();
        if is_redirection {
            self.shared.cluster.get_or_init(Cluster::unknown);
        }
        if let Some(cluster) = self.cluster() {
            cluster.heed(error);
        }
        // It sends nobody elsewhere who asks for no key.
        is_redirection || (self.cluster().is_some() && error.is_from_a_replica())
    }

    /// Whether it takes the servers only a while to agree on where what was asked for is to be done. Nothing was done.
    pub fn may_settle(&self, error: &Error) -> bool {
        error.is_about_a_slot() || (self.sentinels().is_some() && error.is_about_the_master())
    }

    /// Closes an old connection at its node, over this connection if that leads there. What an old one carries to a
    /// node that is away, and that this one does not lead to, is of no effect here; nor is what one carries to a master
    /// that was replaced, which takes all it has from the new one.
    pub fn close(&self, over: &mut Connection, old: &Identity) -> Result<Closed, Error> {
        if old.node == *over.node() {
            return identity::close(over, old);
        }
        if self.sentinels().is_some() {
            return Ok(Closed::Surely);
        }
        let closed = self
            .same(&old.node)
            .and_then(|mut other| identity::close(&mut other, old));
        match closed {
            Err(error) if error.is_passing() => Ok(Closed::Surely),
            closed => closed,
        }
    }

    fn cluster(&self) -> Option<&Cluster> {
        self.shared.cluster.get()
    }

    fn sentinels(&self) -> Option<&Arc<Sentinels>> {
        self.shared.sentinels.as_ref()
    }

    /// Where there are sentinels, the master is found by connecting to it.
    fn find(&self, key: &[u8], work: Work) -> Result<Connection, Error> {
        match self.sentinels() {
            Some(sentinels) => sentinels.open(),
            None => self.open(&self.place(key, work)?),
        }
    }

    fn place(&self, key: &[u8], work: Work) -> Result<Place, Error> {
        if let Some(sentinels) = self.sentinels() {
            let node = match sentinels.master() {
                Some(node) => node,
                None => sentinels.open()?.node().clone(),
            };
            return Ok(Place { node, asking: false });
        }
        match self.cluster() {
            None => Ok(Place {
                node: self.shared.seeds[0].clone(),
                asking: false,
            }),
            Some(cluster) => cluster.place(key, work, |nodes| self.look(nodes)),
        }
    }

    fn open(&self, place: &Place) -> Result<Connection, Error> {
        if let Some(sentinels) = self.sentinels() {
            return sentinels.open();
        }
        let mut connection = self.same(&place.node)?;
        if place.asking {
            connection.announce_all();
        }
        Ok(connection)
    }

    /// Asks the cluster where its slots are: the nodes that are known, then those that the URL names. Once the work is to
    /// end, no more than one is asked.
    fn look(&self, known: &[Address]) -> Result<SlotMap, Error> {
        let others = self.shared.seeds.iter().filter(|seed| !known.contains(seed));
        let mut failure = unserved();
        for node in known.iter().chain(others) {
            match self.look_at(node) {
                Ok(map) => return Ok(map),
                Err(error) if error.is_passing() => failure = error,
                Err(error) => return Err(error),
            }
            if self.stop.ending().is_some() {
                break;
            }
        }
        Err(failure)
    }

    fn look_at(&self, node: &Address) -> Result<SlotMap, Error> {
        let mut connection = self.same(node)?;
        let reply = ask_for_slots(&mut connection)?.map_err(|refusal| Error::refused(refusal, "", None))?;
        SlotMap::read(&reply, node).ok_or_else(|| Error::Protocol {
            address: node.to_string(),
            what: "an unknown list of slots",
        })
    }
}

/// Does something with each of several things at the same time, on threads.
pub fn at_once<T: Send, R: Send>(things: Vec<T>, work: impl Fn(T) -> R + Sync) -> Vec<R> {
    thread::scope(|scope| {
        let start = |thing| scope.spawn(|| work(thing));
        let started: Vec<_> = things.into_iter().map(start).collect();
        let join = |started: thread::ScopedJoinHandle<'_, R>| started.join();
        let ended = started.into_iter().map(join);
        ended
            .map(|ended| ended.unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
            .collect()
    })
}

fn ask_for_slots(connection: &mut Connection) -> Result<Result<Value, ServerError>, Error> {
    connection.send(&redis::cmd("CLUSTER").arg("SLOTS").get_packed_command())?;
    connection.answer()
}
