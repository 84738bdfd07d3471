//! Servers of which one takes another one's place while the program is at work: three masters of a cluster with a replica
//! each, or a master and its replica behind sentinels.

use super::cluster::Cluster;
use super::program::Test;
use super::sentinel::Sentinels;
use super::server::Server;

pub enum Changing {
    Cluster(Box<Cluster>),
    Sentinels(Sentinels),
}

/// How a stream loses its server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// The master is killed, and comes back as a replica once it is replaced.
    Kill,
    /// The master is stopped until it is replaced; then it goes on, and answers as a master until it knows.
    Stop,
    /// A master that is well is replaced: in a cluster by agreement, behind sentinels without it.
    Switch,
    /// The stream's slot moves to another master; only in a cluster.
    Move,
}

impl Changing {
    pub fn cluster() -> Self {
        let nodes = Server::options().append_only();
        Self::Cluster(Box::new(Cluster::options().replicas(1).nodes(nodes).start()))
    }

    pub fn sentinels() -> Self {
        let servers = Server::options().append_only();
        Self::Sentinels(Sentinels::options().replicas(1).servers(servers).start())
    }

    /// The master that holds a stream.
    pub fn node_of(&self, stream: &str) -> &Server {
        match self {
            Self::Cluster(cluster) => cluster.node_of(stream),
            Self::Sentinels(all) => all.master(),
        }
    }

    /// The server in whose work directory the program runs. It may be killed and come back; the directory stays.
    pub fn server(&self) -> &Server {
        match self {
            Self::Cluster(cluster) => &cluster.nodes()[0],
            Self::Sentinels(all) => &all.servers()[0],
        }
    }

    /// The program, which is told of all servers.
    pub fn program(&self, args: &str) -> Test {
        let url = match self {
            Self::Cluster(cluster) => cluster.url(),
            Self::Sentinels(all) => all.url(),
        };
        let test = Test::without_server().dir(&self.server().work());
        test.env("REDIS_STREAMER_URL", url).args(args.split_whitespace())
    }

    /// Waits until each replica has what its master has.
    pub fn wait_in_sync(&self) {
        match self {
            Self::Cluster(cluster) => {
                for master in cluster.masters() {
                    for replica in cluster.replicas_of(master) {
                        replica.wait_in_sync(master);
                    }
                }
            }
            Self::Sentinels(all) => {
                let master = all.wait_settled();
                let replicas = all.servers().iter().filter(|server| !std::ptr::eq(*server, master));
                replicas.for_each(|replica| replica.wait_in_sync(master));
            }
        }
    }

    /// Does this to the server of a stream; returns once another one is in its place, and all agree.
    pub fn change(&self, change: Change, stream: &str) {
        let old = self.node_of(stream);
        match (self, change) {
            (Self::Cluster(cluster), Change::Move) => {
                let (slot, masters) = (cluster.slot(stream), cluster.masters());
                let to = masters.into_iter().find(|node| !std::ptr::eq(*node, old)).unwrap();
                cluster.move_slots(slot..=slot, to);
            }
            (Self::Cluster(cluster), Change::Switch) => cluster.switch_to(cluster.replicas_of(old)[0]),
            (Self::Cluster(cluster), Change::Kill) => drop(cluster.fail_over(old, Server::kill9)),
            (Self::Cluster(cluster), Change::Stop) => drop(cluster.fail_over(old, Server::pause)),
            (Self::Sentinels(all), Change::Kill) => drop(all.fail_over(Server::kill9)),
            (Self::Sentinels(all), Change::Stop) => drop(all.fail_over(Server::pause)),
            (Self::Sentinels(all), Change::Switch) => drop(all.switch()),
            (Self::Sentinels(_), Change::Move) => panic!("there are no slots"),
        }
        match change {
            Change::Kill => old.restart(),
            Change::Stop => old.resume(),
            Change::Switch | Change::Move => {}
        }
        match self {
            Self::Cluster(cluster) => cluster.wait_agreed(),
            Self::Sentinels(all) => drop(all.wait_settled()),
        }
        self.wait_in_sync();
    }
}
