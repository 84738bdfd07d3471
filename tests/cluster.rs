//! Every verb on a cluster, through the URL of any of its nodes.

mod changes;
mod verbs;

use crate::harness::{Cluster, Server, Test};

/// A cluster of three masters, and three streams, one at each.
struct Three {
    cluster: Cluster,
    streams: [String; 3],
}

impl Three {
    fn start() -> Self {
        Self::of(Cluster::start())
    }

    fn of(cluster: Cluster) -> Self {
        let masters = [0, 1, 2].map(|number| &cluster.nodes()[number]);
        let streams = masters.map(|master| cluster.name_at(master, "s"));
        Self { cluster, streams }
    }

    fn node_of(&self, stream: &str) -> &Server {
        self.cluster.node_of(stream)
    }

    /// The program, sent to the node that holds the first stream.
    fn program(&self, args: &str) -> Test {
        Test::new(&self.cluster.nodes()[0]).args(args.split_whitespace())
    }

    /// Adds numbered messages to each stream, and creates a group there.
    fn fill(&self, count: usize) {
        for stream in &self.streams {
            let node = self.node_of(stream);
            node.add_numbered(stream, count);
            node.cli(["XGROUP", "CREATE", stream, "g", "0", "MKSTREAM"]);
        }
    }

    /// The streams, as arguments.
    fn all(&self) -> String {
        self.streams.join(" ")
    }
}
