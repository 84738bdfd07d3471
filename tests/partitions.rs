//! Patterns such as `orders:{0..15}`, in every verb, on one server and on a cluster.

mod batches;
mod changes;
mod checkpoints;
mod handlers;
mod kept;
mod sending;
mod verbs;

use crate::harness::{Changing, Cluster, Server, Test};

/// Where partitions live.
pub enum World {
    One(Server),
    Three(Cluster),
    /// Masters are replaced while the program is at work.
    Changing(Changing),
}

impl World {
    /// Runs a test on one server, and on a cluster of three masters.
    pub fn each(test: impl Fn(&Self)) {
        test(&Self::One(Server::start()));
        test(&Self::Three(Cluster::start()));
    }

    pub fn node_of(&self, stream: &str) -> &Server {
        match self {
            Self::One(server) => server,
            Self::Three(cluster) => cluster.node_of(stream),
            Self::Changing(changing) => changing.node_of(stream),
        }
    }

    /// The server that the program is sent to.
    pub fn server(&self) -> &Server {
        match self {
            Self::One(server) => server,
            Self::Three(cluster) => &cluster.nodes()[0],
            Self::Changing(changing) => changing.server(),
        }
    }

    pub fn program(&self, args: &str) -> Test {
        match self {
            Self::One(_) | Self::Three(_) => Test::new(self.server()).args(args.split_whitespace()),
            Self::Changing(changing) => changing.program(args),
        }
    }

    /// The bodies in each of so many partitions of `p`.
    fn bodies(&self, partitions: usize) -> Vec<Vec<String>> {
        let bodies = |name: String| self.node_of(&name).bodies(&name);
        names(partitions).map(bodies).collect()
    }
}

/// The names of `p:{0..}`.
pub fn names(partitions: usize) -> impl Iterator<Item = String> {
    (0..partitions).map(|number| format!("p:{number}"))
}
