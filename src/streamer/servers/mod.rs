//! Where streams live: the one door to a connection. Whoever needs one says what it is for; which server that is
//! gets decided here and nowhere else.
//!
//! A URL may lead to a node of a cluster and not say so: the first redirection tells. From then on each key is asked for
//! at the node that holds its slot. A node that refuses, or is lost, is a reason to ask the cluster again.

mod backoff;
mod cluster;
mod connections;
mod identity;
mod redirects;
mod slots;
mod supervisor;
mod unblock;
mod url;

use std::sync::{Arc, OnceLock};
use std::thread;

use redis::Value;

use super::error::{Error, ServerError};
use super::stop::Stop;
use super::wire::{Address, Connection, Endpoint};
use cluster::Cluster;
use slots::{Place, SlotMap, Work};
use url::Kind;

pub use backoff::jittered;
pub use connections::Connections;
pub use identity::{Closed, Identity, close_named, fact, identify, introduced, introduction};
pub use slots::{hash_tag, slot};
pub use supervisor::{Notice, Notify, Supervisor, first, until};
pub use unblock::{Blockable, Unblocker};
pub use url::Location;

/// The servers behind a URL.
#[derive(Clone)]
pub struct Servers {
    shared: Arc<Shared>,
    /// By which connections know that the work is to end.
    stop: Stop,
}

/// A node that holds keys, with a connection to it if it can be reached.
pub type Node = (Address, Result<Connection, Error>);

struct Shared {
    /// How each server is reached, but for its address.
    endpoint: Endpoint,
    /// Where they are, as far as the URL tells.
    seeds: Vec<Address>,
    /// What is known of the cluster, if it is one.
    cluster: OnceLock<Cluster>,
}

impl Servers {
    /// The servers at a location, for work that ends as `stop` says.
    pub fn at(location: Location, stop: &Stop) -> Self {
        let Location { endpoint, seeds, kind } = location;
        let cluster = OnceLock::new();
        if kind == Kind::Cluster {
            cluster.get_or_init(Cluster::unknown);
        }
        Self {
            shared: Arc::new(Shared {
                endpoint,
                seeds,
                cluster,
            }),
            stop: stop.clone(),
        }
    }

    /// What messages call them.
    pub fn name(&self) -> String {
        let seeds = self.shared.seeds.iter().map(ToString::to_string);
        seeds.collect::<Vec<_>>().join(",")
    }

    /// By which work at them knows that it is to end.
    pub fn stop(&self) -> &Stop {
        &self.stop
    }

    /// A connection to the node that holds a key, and all others of its slot.
    pub fn of_slot(&self, key: &str) -> Result<Connection, Error> {
        self.open(&self.place(key.as_bytes(), Work::OnSlot)?)
    }

    /// A connection for work on a key alone, be it a stream or a ledger.
    pub fn of_key(&self, key: &str) -> Result<Connection, Error> {
        self.open(&self.place(key.as_bytes(), Work::OnOneKey)?)
    }

    /// All nodes that hold keys, with connections to them as far as they can be reached.
    pub fn masters(&self) -> Result<Vec<Node>, Error> {
        let seed = &self.shared.seeds[0];
        if self.cluster().is_none() {
            let mut connection = self.same(seed)?;
            if !self.learn(&mut connection)? {
                return Ok(vec![(seed.clone(), Ok(connection))]);
            }
        }
        let Some(cluster) = self.cluster() else {
            return Ok(Vec::new());
        };
        let masters = cluster.masters(|nodes| self.look(nodes))?;
        Ok(thread::scope(|scope| {
            let open = |node: Address| {
                let connecting = scope.spawn({
                    let node = node.clone();
                    move || self.same(&node)
                });
                (node, connecting)
            };
            let opening: Vec<_> = masters.into_iter().map(open).collect();
            let join = |(node, connecting): (_, thread::ScopedJoinHandle<'_, _>)| {
                (
                    node,
                    connecting
                        .join()
                        .unwrap_or_else(|panic| std::panic::resume_unwind(panic)),
                )
            };
            opening.into_iter().map(join).collect()
        }))
    }

    /// Another connection to a node, such as one that an earlier connection led to.
    pub fn same(&self, node: &Address) -> Result<Connection, Error> {
        self.open(&Place {
            node: node.clone(),
            asking: false,
        })
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
        if self.cluster().is_none() && ask_for_slots(connection)?.is_ok() {
            self.shared.cluster.get_or_init(Cluster::unknown);
        }
        Ok(self.cluster().is_some())
    }

    /// Learns from a failure where to go next. Says whether it was a redirection, so that the next attempt is made
    /// elsewhere, and at once.
    pub fn heed(&self, error: &Error) -> bool {
        let is_redirection = error.is_redirection();
        if is_redirection {
            self.shared.cluster.get_or_init(Cluster::unknown);
        }
        if let Some(cluster) = self.cluster() {
            cluster.heed(error);
        }
        is_redirection
    }

    /// Closes an old connection at its node, over this connection if that leads there. What an old one carries to a
    /// node that is away, and that this one does not lead to, is of no effect here.
    pub fn close(&self, over: &mut Connection, old: &Identity) -> Result<Closed, Error> {
        if old.node == *over.node() {
            return identity::close(over, old);
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

    fn place(&self, key: &[u8], work: Work) -> Result<Place, Error> {
        match self.cluster() {
            None => Ok(Place {
                node: self.shared.seeds[0].clone(),
                asking: false,
            }),
            Some(cluster) => cluster.place(key, work, |nodes| self.look(nodes)),
        }
    }

    fn open(&self, place: &Place) -> Result<Connection, Error> {
        let endpoint = Endpoint {
            address: place.node.clone(),
            ..self.shared.endpoint.clone()
        };
        let mut connection = Connection::open(&endpoint, &self.stop)?;
        if place.asking {
            connection.announce_all();
        }
        Ok(connection)
    }

    /// Asks the cluster where its slots are: the nodes that are known, then those that the URL names.
    fn look(&self, known: &[Address]) -> Result<SlotMap, Error> {
        let mut failure = None;
        for node in known.iter().chain(&self.shared.seeds) {
            match self.look_at(node) {
                Ok(map) => return Ok(map),
                Err(error) if error.is_passing() => failure = Some(error),
                Err(error) => return Err(error),
            }
        }
        Err(failure.unwrap_or_else(|| Error::InvalidUrl("it names no server".to_owned())))
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

fn ask_for_slots(connection: &mut Connection) -> Result<Result<Value, ServerError>, Error> {
    connection.send(&redis::cmd("CLUSTER").arg("SLOTS").get_packed_command())?;
    connection.answer()
}
