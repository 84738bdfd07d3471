//! A cluster of private servers: made, asked, broken, and its slots moved about.

use super::options::{NODE_TIMEOUT, Options};
use super::queries::{bytes, list, text};
use super::server::Server;
use super::wait::wait_long;
use redis::Value;
use std::collections::HashMap;
use std::ops::RangeInclusive;
use std::process::Command;
use std::sync::Mutex;
use std::time::{Duration, Instant};

const SLOTS: u16 = 16384;

/// How a cluster is started; see [`Cluster::options`].
pub struct ClusterOptions {
    masters: usize,
    replicas: usize,
    nodes: Options,
    hostnames: bool,
}

/// A running cluster; its nodes are killed when it is dropped. What a node can be asked or made to do as a server, each
/// can: `kill9`, `restart`, `pause`, `entries` …
pub struct Cluster {
    nodes: Vec<Server>,
    options: Options,
    /// When a node, known by its port, was elected last.
    elections: Mutex<HashMap<u16, Instant>>,
}

impl ClusterOptions {
    /// How many masters there are, the slots in equal parts among them.
    pub fn masters(mut self, count: usize) -> Self {
        self.masters = count;
        self
    }

    /// How many replicas each master has.
    pub fn replicas(mut self, count: usize) -> Self {
        self.replicas = count;
        self
    }

    /// How each node is started; one that has no port yet listens on 127.0.0.1.
    pub fn nodes(mut self, options: Options) -> Self {
        self.nodes = options;
        self
    }

    /// Nodes are told to clients by a host name, which is `localhost`.
    pub fn hostnames(mut self) -> Self {
        self.hostnames = true;
        self
    }

    pub(super) fn has_hostnames(&self) -> bool {
        self.hostnames
    }

    /// Starts the cluster and waits until all of its nodes serve and agree.
    pub fn start(self) -> Cluster {
        self.try_start()
            .unwrap_or_else(|log| panic!("the node does not start: {log}"))
    }

    /// As `start`; gives the log of a node that does not start.
    pub(super) fn try_start(self) -> Result<Cluster, String> {
        let mut options = self.nodes.cluster_node();
        if self.hostnames {
            options = options
                .setting("cluster-announce-hostname", "localhost")
                .setting("cluster-preferred-endpoint-type", "hostname");
        }
        let first = Server::try_launched(options.clone())?;
        if options.has_tls() {
            options = options.certificates_of(&first);
        }
        let mut nodes = vec![first];
        for _ in 1..self.masters * (1 + self.replicas) {
            nodes.push(options.clone().start());
        }
        let cluster = Cluster {
            nodes,
            options,
            elections: Mutex::default(),
        };
        cluster.form(self.masters);
        Ok(cluster)
    }
}

impl Cluster {
    /// Three masters.
    pub fn start() -> Self {
        Self::options().start()
    }

    /// Three masters without replicas, unless told otherwise.
    pub fn options() -> ClusterOptions {
        ClusterOptions {
            masters: 3,
            replicas: 0,
            nodes: Server::options(),
            hostnames: false,
        }
    }

    /// Gives the first nodes the slots, and the others as replicas to them in turn.
    fn form(&self, masters: usize) {
        let slots: Vec<String> = (0..SLOTS).map(|slot| slot.to_string()).collect();
        let share = slots.len().div_ceil(masters);
        for (number, node) in self.nodes.iter().enumerate() {
            // Masters of one epoch would have to settle first whose is to be raised.
            node.cli(["CLUSTER", "SET-CONFIG-EPOCH", &(number + 1).to_string()]);
        }
        for (node, share) in self.nodes.iter().zip(slots.chunks(share)) {
            // CLUSTER ADDSLOTSRANGE came with 7.0.
            let words = ["CLUSTER", "ADDSLOTS"].map(str::to_owned);
            node.command(words.iter().chain(share));
        }
        for (number, node) in self.nodes.iter().enumerate() {
            // What the others would tell of each other comes late.
            self.nodes[..number].iter().for_each(|other| meet(other, node));
        }
        if self.nodes.len() > masters {
            wait_long("the nodes to know each other", || self.knows_itself());
        }
        for (number, replica) in self.nodes.iter().enumerate().skip(masters) {
            let master = id(&self.nodes[number % masters]);
            replica.cli(["CLUSTER", "REPLICATE", &master]);
        }
        self.wait_agreed();
        for (number, replica) in self.nodes.iter().enumerate().skip(masters) {
            replica.wait_in_sync(&self.nodes[number % masters]);
        }
    }

    /// All nodes, in the order in which they were started: the masters first.
    pub fn nodes(&self) -> &[Server] {
        &self.nodes
    }

    /// The URL with all nodes as seeds, without any credentials.
    pub fn url(&self) -> String {
        let scheme = if self.options.has_tls() { "rediss" } else { "redis" };
        let urls: Vec<String> = self.nodes.iter().map(Server::url).collect();
        let seeds: Vec<&str> = urls.iter().filter_map(|url| Some(url.split_once("://")?.1)).collect();
        format!("{scheme}+cluster://{}", seeds.join(","))
    }

    /// The slot of a key.
    pub fn slot(&self, key: &str) -> u16 {
        let node = self.awake().next().expect("a node that answers");
        node.cli(["CLUSTER", "KEYSLOT", key]).parse().unwrap()
    }

    /// The node that serves a key: to look there with `entries`, `cli` and the rest.
    pub fn node_of(&self, key: &str) -> &Server {
        self.owner(self.slot(key))
    }

    /// The node that serves a slot; waits for a failover to give it to one.
    pub fn owner(&self, slot: u16) -> &Server {
        let mut owner = None;
        wait_long("a slot to be served", || {
            owner = self.find_owner(slot);
            owner.is_some()
        });
        owner.unwrap()
    }

    /// Among those that believe to serve a slot the last that was elected: a master that comes back believes so too.
    fn find_owner(&self, slot: u16) -> Option<&Server> {
        let believers = self.selves().filter(|(_, itself)| itself.serves(slot));
        let last = believers.max_by_key(|(_, itself)| itself.epoch);
        last.map(|(node, _)| node)
    }

    /// The masters that serve slots, of those that answer.
    pub fn masters(&self) -> Vec<&Server> {
        let masters = self.selves().filter(|(_, itself)| !itself.slots.is_empty());
        masters.map(|(node, _)| node).collect()
    }

    /// The replicas of a master, of those that answer.
    pub fn replicas_of(&self, master: &Server) -> Vec<&Server> {
        let id = id(master);
        let replicas = self.selves().filter(|(_, itself)| itself.master == id);
        replicas.map(|(node, _)| node).collect()
    }

    /// The first of the names `STEM0`, `STEM1` … whose key this node serves.
    pub fn name_at(&self, node: &Server, stem: &str) -> String {
        let mut names = (0..).map(|number| format!("{stem}{number}"));
        names.find(|name| std::ptr::eq(self.node_of(name), node)).unwrap()
    }

    /// Returns once all nodes that are neither down nor paused serve, know each other, and tell clients the same.
    #[track_caller]
    pub fn wait_agreed(&self) {
        wait_long("the nodes of the cluster to agree", || {
            let serve = self.awake().all(is_ok);
            serve && self.knows_itself() && self.tells_the_same()
        });
    }

    /// Does this to a master, `Server::kill9` or `Server::pause`, and waits until a replica serves in its place.
    pub fn fail_over(&self, master: &Server, harm: impl FnOnce(&Server)) -> &Server {
        let peer = Peer::itself(master).expect("a master that answers");
        let slot = *peer.slots[0].start();
        for replica in self.replicas_of(master) {
            self.wait_electable(replica);
        }
        harm(master);
        let heir = self.owner(slot);
        self.was_elected(heir);
        self.wait_agreed();
        heir
    }

    /// Has a replica and its master change places, and waits until they have.
    pub fn switch_to(&self, replica: &Server) {
        self.wait_electable(replica);
        replica.cli(["CLUSTER", "FAILOVER"]);
        wait_long("the replica to be master", || {
            Peer::itself(replica).is_some_and(|itself| itself.is_master())
        });
        self.was_elected(replica);
        self.wait_agreed();
    }

    fn was_elected(&self, node: &Server) {
        self.elections.lock().unwrap().insert(node.port(), Instant::now());
    }

    /// For four times the node timeout a node holds on to the votes that it was given. If it has become a replica by
    /// then, and its master fails, it takes over by those old votes, in an old epoch, and nobody follows it.
    fn wait_electable(&self, node: &Server) {
        let rest = 4 * Duration::from_millis(NODE_TIMEOUT.parse().unwrap());
        let last = self.elections.lock().unwrap().get(&node.port()).copied();
        wait_long("old votes to lapse", || last.is_none_or(|last| last.elapsed() > rest));
    }

    /// Adds a master without slots, and gives its place among the nodes.
    pub fn add_node(&mut self) -> usize {
        let node = self.options.clone().start();
        self.awake().for_each(|other| meet(other, &node));
        self.nodes.push(node);
        self.wait_agreed();
        self.nodes.len() - 1
    }

    /// Moves slots with their keys to a master.
    pub fn move_slots(&self, slots: RangeInclusive<u16>, to: &Server) {
        for slot in slots {
            let step = self.begin_move(slot, to);
            while step.move_keys(100) > 0 {}
            step.finish();
        }
    }

    /// Begins to move a slot to a master: new keys are added there from now on.
    pub fn begin_move<'a>(&'a self, slot: u16, to: &'a Server) -> Move<'a> {
        let from = self.owner(slot);
        let number = slot.to_string();
        to.cli(["CLUSTER", "SETSLOT", &number, "IMPORTING", &id(from)]);
        from.cli(["CLUSTER", "SETSLOT", &number, "MIGRATING", &id(to)]);
        Move {
            cluster: self,
            slot: number,
            from,
            to,
        }
    }

    /// Has `redis-cli --cluster reshard` move so many slots.
    pub fn reshard(&self, count: u16, from: &Server, to: &Server) {
        let mut command = Command::new("redis-cli");
        if from.has_tls() {
            let authority = self.nodes[0].dir().join("ca.crt");
            command.arg("--tls").arg("--cacert").arg(authority);
        }
        match from.password() {
            Some(password) => command.env("REDISCLI_AUTH", password),
            None => command.env_remove("REDISCLI_AUTH"),
        };
        let seed = format!("{}:{}", from.host(), from.port());
        command.args(["--cluster", "reshard", &seed, "--cluster-yes"]);
        command.args(["--cluster-slots", &count.to_string()]);
        command.args(["--cluster-from", &id(from), "--cluster-to", &id(to)]);
        let output = command.output().expect("redis-cli is needed on PATH");
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success(), "no reshard: {said}");
    }

    fn awake(&self) -> impl Iterator<Item = &Server> {
        self.nodes.iter().filter(|node| node.is_awake())
    }

    /// Each node that answers, and what it takes itself for.
    fn selves(&self) -> impl Iterator<Item = (&Server, Peer)> {
        self.awake().filter_map(|node| Some((node, Peer::itself(node)?)))
    }

    /// Whether every node has a link to every other and knows the same of it.
    fn knows_itself(&self) -> bool {
        let Some(views) = self.awake().map(Peer::all).collect::<Option<Vec<_>>>() else {
            return false;
        };
        let known = |view: &Vec<Peer>| {
            let peers = views.iter().map(|other| {
                let peer = view.iter().find(|peer| peer.id == other[0].id)?;
                peer.is_at_hand.then(|| peer.clone())
            });
            peers.collect::<Option<Vec<_>>>()
        };
        let first = known(&views[0]);
        first.is_some() && views.iter().all(|view| known(view) == first)
    }

    fn tells_the_same(&self) -> bool {
        let told = self.awake().map(told).collect::<Option<Vec<_>>>();
        told.is_some_and(|told| told.windows(2).all(|pair| pair[0] == pair[1]))
    }
}

/// A slot on its way from one master to another.
pub struct Move<'a> {
    cluster: &'a Cluster,
    slot: String,
    from: &'a Server,
    to: &'a Server,
}

impl Move<'_> {
    /// Moves so many of the keys that are left, and gives how many they were.
    pub fn move_keys(&self, most: usize) -> usize {
        let most = most.to_string();
        let keys = self.from.command(["CLUSTER", "GETKEYSINSLOT", &self.slot, &most]);
        let keys: Vec<Vec<u8>> = list(keys).into_iter().map(bytes).collect();
        if keys.is_empty() {
            return 0;
        }
        self.migrate(&keys);
        keys.len()
    }

    /// Moves a key.
    pub fn move_key(&self, key: &str) {
        self.migrate(&[key.as_bytes().to_vec()]);
    }

    fn migrate(&self, keys: &[Vec<u8>]) {
        let port = self.to.port().to_string();
        let mut words = vec!["MIGRATE", self.to.host(), &port, "", "0", "10000"];
        if let Some(password) = self.to.password() {
            words.extend(["AUTH", password]);
        }
        words.push("KEYS");
        let words = words.into_iter().map(str::as_bytes);
        self.from.command(words.chain(keys.iter().map(Vec::as_slice)));
    }

    /// Gives the slot, none of whose keys may be left, to its new master.
    pub fn finish(self) {
        let id = id(self.to);
        let told = |node: &Server| node.cli(["CLUSTER", "SETSLOT", &self.slot, "NODE", &id]);
        // The new master first: a crash in between must not leave the slot without one.
        told(self.to);
        told(self.from);
        for (node, itself) in self.cluster.selves() {
            if itself.is_master() {
                told(node);
            }
        }
    }
}

/// What CLUSTER NODES says of a node.
#[derive(Clone, PartialEq, Eq)]
struct Peer {
    id: String,
    address: String,
    /// Empty for a master.
    master: String,
    epoch: u64,
    slots: Vec<RangeInclusive<u16>>,
    /// Met, linked, and not thought to have failed.
    is_at_hand: bool,
}

impl Peer {
    /// All that a node knows of, itself first; none if it does not answer.
    fn all(node: &Server) -> Option<Vec<Self>> {
        let nodes = text(node.try_command(["CLUSTER", "NODES"]).ok()?);
        let (mut itself, others): (Vec<_>, Vec<_>) = nodes.lines().partition(|line| line.contains("myself"));
        itself.extend(others);
        Some(itself.into_iter().map(Self::parse).collect())
    }

    /// What a node takes itself for.
    fn itself(node: &Server) -> Option<Self> {
        Some(Self::all(node)?.swap_remove(0))
    }

    /// `ID HOST:PORT@BUS[,HOSTNAME…] FLAGS MASTER PING PONG EPOCH LINK SLOT…`
    fn parse(line: &str) -> Self {
        let words: Vec<&str> = line.split(' ').collect();
        let is_lost = words[2].contains("fail") || words[2].contains("handshake") || words[2].contains("noaddr");
        // Those on their way are in brackets.
        let settled = words[8..].iter().filter(|slots| !slots.starts_with('['));
        Self {
            id: words[0].into(),
            address: words[1].into(),
            master: words[3].trim_matches('-').into(),
            epoch: words[6].parse().unwrap(),
            slots: settled.map(|slots| range(slots)).collect(),
            is_at_hand: words[7] == "connected" && !is_lost,
        }
    }

    fn is_master(&self) -> bool {
        self.master.is_empty()
    }

    fn serves(&self, slot: u16) -> bool {
        self.slots.iter().any(|slots| slots.contains(&slot))
    }
}

/// `7` or `7-9`.
fn range(slots: &str) -> RangeInclusive<u16> {
    let (first, last) = slots.split_once('-').unwrap_or((slots, slots));
    first.parse().unwrap()..=last.parse().unwrap()
}

fn id(node: &Server) -> String {
    node.cli(["CLUSTER", "MYID"])
}

fn meet(node: &Server, other: &Server) {
    node.cli(["CLUSTER", "MEET", other.host(), &other.port().to_string()]);
}

fn is_ok(node: &Server) -> bool {
    let info = node.try_command(["CLUSTER", "INFO"]);
    info.is_ok_and(|info| text(info).contains("cluster_state:ok"))
}

/// What a node tells clients of the slots, each range with its master and its replicas, whatever their order.
fn told(node: &Server) -> Option<Vec<Vec<String>>> {
    let ranges = list(node.try_command(["CLUSTER", "SLOTS"]).ok()?);
    let sorted = |range: Value| {
        let mut parts: Vec<String> = list(range).iter().map(|part| format!("{part:?}")).collect();
        parts[3..].sort();
        parts
    };
    let mut ranges: Vec<_> = ranges.into_iter().map(sorted).collect();
    ranges.sort();
    Some(ranges)
}
