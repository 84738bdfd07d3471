//! A master, its replicas, and the sentinels that watch them.

use super::options::Options;
use super::queries::{attribute, list, text};
use super::server::Server;
use super::wait::wait_long;
use redis::Value;

/// The name under which the sentinels know the master.
const SERVICE: &str = "mymaster";

/// Intervals that are made short, of those that only a sentinel's debug command sets (7.0 and later), in milliseconds.
/// A master that comes back is believed to be one for four times the publish period.
const INTERVALS: [[&str; 2]; 5] = [
    // By default as long as the time after which a server without an answer is down.
    ["PING-PERIOD", "200"],
    ["INFO-PERIOD", "500"],
    ["PUBLISH-PERIOD", "500"],
    // A machine that is busy must not make a sentinel doubt its own clock.
    ["TILT-TRIGGER", "20000"],
    ["TILT-PERIOD", "1000"],
];

/// How sentinels and their servers are started; see [`Sentinels::options`].
pub struct SentinelsOptions {
    replicas: usize,
    servers: Options,
    sentinels: usize,
    own: Options,
    user: Option<[String; 2]>,
}

/// Running servers and sentinels, killed when this is dropped.
pub struct Sentinels {
    sentinels: Vec<Server>,
    servers: Vec<Server>,
}

impl SentinelsOptions {
    /// How many replicas the master has.
    pub fn replicas(mut self, count: usize) -> Self {
        self.replicas = count;
        self
    }

    /// How the master and its replicas are started; those that have no port yet listen on 127.0.0.1. The sentinels
    /// listen alike, and know the password.
    pub fn servers(mut self, options: Options) -> Self {
        self.servers = options;
        self
    }

    /// How many sentinels there are, and how they are started: their own password, users.
    pub fn sentinels(mut self, count: usize, options: Options) -> Self {
        self.sentinels = count;
        self.own = options;
        self
    }

    /// The sentinels go to the servers as this user, who has the rights that they need.
    pub fn authenticating(mut self, name: &str, password: &str) -> Self {
        self.user = Some([name.into(), password.into()]);
        self
    }

    /// Starts all and waits until the sentinels know the servers and each other.
    pub fn start(self) -> Sentinels {
        self.try_start()
            .unwrap_or_else(|log| panic!("the server does not start: {log}"))
    }

    /// As `start`; gives the log of a master that does not start.
    pub(super) fn try_start(self) -> Result<Sentinels, String> {
        let mut options = self.servers.keeping_port();
        if let Some([name, password]) = &self.user {
            options = options.user(&format!(
                "{name} on >{password} &* +multi +slaveof +ping +exec +subscribe +config|rewrite +role +publish \
                 +info +client|setname +client|kill +script|kill"
            ));
        }
        let master = Server::try_launched(options.clone())?;
        if options.has_tls() {
            options = options.certificates_of(&master);
        }
        let mut servers = vec![master];
        for _ in 0..self.replicas {
            servers.push(options.clone().replica_of(&servers[0]).start());
        }
        // What a sentinel finds at its first look it need not wait for.
        for replica in &servers[1..] {
            replica.wait_in_sync(&servers[0]);
        }
        let lines = lines(
            &servers[0],
            self.sentinels / 2 + 1,
            self.user,
            self.own.password.as_deref(),
        );
        let own = self.own.sentinel(lines, &options);
        let sentinels = (0..self.sentinels).map(|_| own.clone().start()).collect();
        let all = Sentinels { sentinels, servers };
        for sentinel in &all.sentinels {
            sentinel.shorten_intervals();
        }
        wait_long("the sentinels to know each other and the servers", || {
            all.awake().all(|sentinel| all.is_known_to(sentinel))
        });
        Ok(all)
    }
}

/// What stands in a sentinel's configuration.
fn lines(master: &Server, quorum: usize, user: Option<[String; 2]>, own_password: Option<&str>) -> String {
    let mut lines = vec![
        format!("monitor {SERVICE} {} {} {quorum}", master.host(), master.port()),
        format!("down-after-milliseconds {SERVICE} 1000"),
        format!("failover-timeout {SERVICE} 3000"),
        format!("parallel-syncs {SERVICE} 1"),
    ];
    if let Some([name, password]) = user {
        lines.push(format!("auth-user {SERVICE} {name}"));
        lines.push(format!("auth-pass {SERVICE} {password}"));
    } else if let Some(password) = master.password() {
        lines.push(format!("auth-pass {SERVICE} {password}"));
    }
    if let Some(password) = own_password {
        lines.push(format!("sentinel-pass {password}"));
    }
    lines.into_iter().map(|line| format!("sentinel {line}\n")).collect()
}

impl Server {
    /// Of a sentinel: see [`INTERVALS`].
    fn shorten_intervals(&self) {
        for [name, value] in INTERVALS {
            // Before 7.0 it takes what time it takes.
            let _ = self.try_command(["SENTINEL", "DEBUG", name, value]);
        }
    }

    /// Of a sentinel: what it answers about the master.
    fn about_master(&self, word: &str) -> Option<Value> {
        self.try_command(["SENTINEL", word, SERVICE]).ok()
    }
}

impl Sentinels {
    /// A master with two replicas, and three sentinels.
    pub fn start() -> Self {
        Self::options().start()
    }

    /// A master with two replicas, and three sentinels, unless told otherwise.
    pub fn options() -> SentinelsOptions {
        SentinelsOptions {
            replicas: 2,
            servers: Server::options(),
            sentinels: 3,
            own: Server::options(),
            user: None,
        }
    }

    /// The master and its replicas, in the order in which they were started: the first master first.
    pub fn servers(&self) -> &[Server] {
        &self.servers
    }

    pub fn sentinels(&self) -> &[Server] {
        &self.sentinels
    }

    /// The URL that names all sentinels and the service, without any credentials.
    pub fn url(&self) -> String {
        let scheme = if self.servers[0].has_tls() { "rediss" } else { "redis" };
        let urls: Vec<String> = self.sentinels.iter().map(Server::url).collect();
        let seeds: Vec<&str> = urls.iter().filter_map(|url| Some(url.split_once("://")?.1)).collect();
        format!("{scheme}+sentinel://{}/{SERVICE}", seeds.join(","))
    }

    /// The server that the sentinels name as the master, once they name the same.
    pub fn master(&self) -> &Server {
        let mut master = None;
        wait_long("the sentinels to name one master", || {
            master = self.named();
            master.is_some()
        });
        master.unwrap()
    }

    /// Does this to the master, `Server::kill9` or `Server::pause`, and waits until another is in its place and the
    /// other servers follow that.
    pub fn fail_over(&self, harm: impl FnOnce(&Server)) -> &Server {
        let old = self.master();
        harm(old);
        self.wait_replaced(old, || {})
    }

    /// Has the sentinels put another master in the place of one that is well. It goes on as a master until they tell
    /// it, which is not waited for: see `wait_settled`.
    pub fn switch(&self) -> &Server {
        let old = self.master();
        let sentinel = self.awake().next().expect("a sentinel that answers");
        self.wait_replaced(old, || {
            // Refused while one is under way, or right after it; and one that another sentinel meddled with comes to
            // nothing.
            let _ = sentinel.about_master("FAILOVER");
        })
    }

    /// Returns once every server that is neither down nor paused follows the master: which that is.
    pub fn wait_settled(&self) -> &Server {
        let mut master = None;
        wait_long("all servers to follow the master", || {
            master = self.named();
            master.is_some_and(|master| self.follow(master, None))
        });
        master.unwrap()
    }

    /// `push` is done for as long as all name the old one.
    fn wait_replaced(&self, old: &Server, mut push: impl FnMut()) -> &Server {
        let mut master = None;
        wait_long("another master", || {
            let named = self.named();
            if named.is_some_and(|named| std::ptr::eq(named, old)) {
                push();
            }
            master = named.filter(|named| !std::ptr::eq(*named, old));
            master.is_some_and(|master| self.follow(master, Some(old)))
        });
        master.unwrap()
    }

    /// Whether this is the master of all servers that answer, but for this one.
    fn follow(&self, master: &Server, but: Option<&Server>) -> bool {
        let is = |server: &Server, name: &str, value: &str| server.replication(name).as_deref() == Some(value);
        let port = master.port().to_string();
        let others = self.servers.iter().filter(|server| {
            let is_left_out = but.is_some_and(|but| std::ptr::eq(*server, but));
            server.is_awake() && !std::ptr::eq(*server, master) && !is_left_out
        });
        let follows = |server: &Server| is(server, "master_port", &port) && is(server, "master_link_status", "up");
        is(master, "role", "master") && others.into_iter().all(follows)
    }

    /// The master by the word of all sentinels.
    fn named(&self) -> Option<&Server> {
        let mut words = self.awake().map(|sentinel| {
            let address = list(sentinel.about_master("GET-MASTER-ADDR-BY-NAME")?);
            let port = text(address.into_iter().nth(1)?);
            self.servers.iter().find(|server| server.port().to_string() == port)
        });
        let first = words.next()??;
        words
            .all(|word| word.is_some_and(|word| std::ptr::eq(word, first)))
            .then_some(first)
    }

    /// Whether a sentinel knows all there is, and all of it is well.
    fn is_known_to(&self, sentinel: &Server) -> bool {
        let all_are = |word: &str, count: usize, name: &str, value: &str| {
            let found = sentinel.about_master(word).map(list).unwrap_or_default();
            found.len() == count && found.into_iter().all(|one| attribute(one, name) == value)
        };
        let master = sentinel.about_master("MASTER");
        let replicas = self.servers.len() - 1;
        master.is_some_and(|master| attribute(master, "flags") == "master")
            && all_are("REPLICAS", replicas, "flags", "slave")
            && all_are("REPLICAS", replicas, "master-link-status", "ok")
            && all_are("SENTINELS", self.sentinels.len() - 1, "flags", "sentinel")
    }

    /// The sentinels that answer.
    fn awake(&self) -> impl Iterator<Item = &Server> {
        self.sentinels.iter().filter(|sentinel| sentinel.is_awake())
    }
}
