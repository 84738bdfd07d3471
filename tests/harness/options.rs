//! How a private server is started.

use super::server::Server;
use super::tls;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU16, Ordering};

/// Where the server listens besides its Unix socket.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Listen {
    UnixOnly,
    Tcp4,
    Tcp6,
    Tls { client_certificates: bool },
}

/// What a server is among others.
#[derive(Clone, PartialEq, Eq)]
enum Role {
    Alone,
    ClusterNode,
    /// With these lines in its configuration file, which it rewrites.
    Sentinel(String),
}

/// How a server is started; see [`Server::options`].
#[derive(Clone)]
pub struct Options {
    role: Role,
    listen: Listen,
    keeps_port: bool,
    certificates: Option<PathBuf>,
    append_only: bool,
    without: Option<&'static str>,
    master: Option<[String; 2]>,
    settings: Vec<[String; 2]>,
    users: Vec<String>,
    pub(super) password: Option<String>,
}

impl Options {
    /// A Unix socket alone, and nothing kept.
    pub(super) fn new() -> Self {
        Self {
            role: Role::Alone,
            listen: Listen::UnixOnly,
            keeps_port: false,
            certificates: None,
            append_only: false,
            without: None,
            master: None,
            settings: Vec::new(),
            users: Vec::new(),
            password: None,
        }
    }

    /// Also listen on 127.0.0.1.
    pub fn tcp4(mut self) -> Self {
        self.listen = Listen::Tcp4;
        self
    }

    /// Also listen on [::1].
    pub fn tcp6(mut self) -> Self {
        self.listen = Listen::Tcp6;
        self
    }

    /// Also listen on 127.0.0.1 with TLS; the certificates are in the server's `dir`.
    pub fn tls(mut self) -> Self {
        self.listen = Listen::Tls {
            client_certificates: false,
        };
        self
    }

    /// As `tls`, and refuse clients without a certificate.
    pub fn tls_with_client_certificates(mut self) -> Self {
        self.listen = Listen::Tls {
            client_certificates: true,
        };
        self
    }

    /// Ask every client for this password; a replica gives it to its master.
    pub fn password(mut self, password: &str) -> Self {
        self.password = Some(password.into());
        self
    }

    /// Do not know this command, as older servers do not.
    pub fn without(mut self, command: &'static str) -> Self {
        self.without = Some(command);
        self
    }

    /// Keep every write on disk before it is answered, so that it survives `kill9` and `restart`.
    pub fn append_only(mut self) -> Self {
        self.append_only = true;
        self
    }

    /// Have a setting of the server's configuration at this value.
    pub fn setting(mut self, name: &str, value: impl Into<String>) -> Self {
        self.settings.push([name.into(), value.into()]);
        self
    }

    /// Have this user, still there after a restart: the name and what `ACL SETUSER` takes behind it.
    pub fn user(mut self, rules: &str) -> Self {
        self.users.push(rules.into());
        self
    }

    /// Follow this server, which has to listen on a port: replication knows no Unix sockets.
    pub fn replica_of(mut self, master: &Server) -> Self {
        self.master = Some([master.host().to_owned(), master.port().to_string()]);
        self
    }

    /// Be a node of a cluster.
    pub(super) fn cluster_node(mut self) -> Self {
        self.role = Role::ClusterNode;
        self.keeping_port()
    }

    /// Be a sentinel, with these lines in its configuration; it listens as the servers of `like` do.
    pub(super) fn sentinel(mut self, lines: String, like: &Self) -> Self {
        self.role = Role::Sentinel(lines);
        self.listen = like.listen;
        self.certificates.clone_from(&like.certificates);
        self.keeping_port()
    }

    /// Listen on a port that stays free while the server is down: nothing else gets it, and nobody who calls it in
    /// vain is connected to itself, as happens on ports that the system gives to outgoing connections.
    pub(super) fn keeping_port(mut self) -> Self {
        self.keeps_port = true;
        if self.listen == Listen::UnixOnly {
            self.listen = Listen::Tcp4;
        }
        self
    }

    /// Have the certificates that another server has, in its directory.
    pub(super) fn certificates_of(mut self, other: &Server) -> Self {
        self.certificates = Some(other.dir().into());
        self
    }

    /// Starts the server and waits until it answers.
    pub fn start(self) -> Server {
        Server::launched(self)
    }

    /// The files it needs.
    pub(super) fn prepare(&self, dir: &Path) {
        if self.has_tls() && self.certificates.is_none() {
            tls::write_certificates(dir);
        }
        if let Role::Sentinel(lines) = &self.role {
            std::fs::write(dir.join(SENTINEL_FILE), lines).unwrap();
        }
    }

    pub(super) fn has_tls(&self) -> bool {
        matches!(self.listen, Listen::Tls { .. })
    }

    /// A port for it, if it listens on one.
    pub(super) fn port(&self) -> u16 {
        match self.host() {
            Some(host) if self.keeps_port => port_to_keep(host),
            Some(host) => free_port(host),
            None => 0,
        }
    }

    /// The address it listens on besides its socket, if it does.
    pub(super) fn host(&self) -> Option<&'static str> {
        match self.listen {
            Listen::UnixOnly => None,
            Listen::Tcp6 => Some("::1"),
            Listen::Tcp4 | Listen::Tls { .. } => Some("127.0.0.1"),
        }
    }

    /// The URL that reaches it, without any credentials.
    pub(super) fn url(&self, dir: &Path, port: u16) -> String {
        match self.listen {
            Listen::UnixOnly => format!("redis+unix://{}", dir.join("s").display()),
            Listen::Tcp4 => format!("redis://127.0.0.1:{port}"),
            Listen::Tcp6 => format!("redis://[::1]:{port}"),
            Listen::Tls { .. } => format!("rediss://127.0.0.1:{port}"),
        }
    }

    /// The server's arguments.
    pub(super) fn args(&self, dir: &Path, port: u16) -> Vec<String> {
        let path = |name: &str| dir.join(name).display().to_string();
        let mut args = match self.role {
            Role::Sentinel(_) => vec![path(SENTINEL_FILE), "--sentinel".to_owned()],
            Role::Alone | Role::ClusterNode => Vec::new(),
        };
        let common = [
            ["--dir", &path("")],
            ["--unixsocket", &path("s")],
            ["--logfile", &path("log")],
            ["--save", ""],
            ["--databases", "16"],
            ["--appendonly", if self.append_only { "yes" } else { "no" }],
            ["--appendfsync", "always"],
            // A replica is not kept waiting for others that might join it.
            ["--repl-diskless-sync-delay", "0"],
        ];
        args.extend(common.concat().into_iter().map(str::to_owned));
        let mut add = |name: &str, value: &str| args.extend([name.to_owned(), value.to_owned()]);
        if let Some(password) = &self.password {
            add("--requirepass", password);
            add("--masterauth", password);
        }
        if let Some(host) = self.host() {
            add("--bind", host);
        }
        match self.listen {
            Listen::UnixOnly => add("--port", "0"),
            Listen::Tcp4 | Listen::Tcp6 => add("--port", &port.to_string()),
            Listen::Tls { client_certificates } => {
                add("--port", "0");
                add("--tls-port", &port.to_string());
                let certificates = self.certificates.as_deref().unwrap_or(dir);
                let path = |name: &str| certificates.join(name).display().to_string();
                add("--tls-cert-file", &path("server.crt"));
                add("--tls-key-file", &path("server.key"));
                add("--tls-ca-cert-file", &path("ca.crt"));
                add("--tls-replication", "yes");
                add("--tls-cluster", "yes");
                add("--tls-auth-clients", if client_certificates { "yes" } else { "no" });
            }
        }
        if self.role == Role::ClusterNode {
            for [name, value] in CLUSTER_NODE {
                add(name, value);
            }
        }
        for [name, value] in &self.settings {
            add(&format!("--{name}"), value);
        }
        if let Some([host, port]) = &self.master {
            args.extend(["--replicaof", host, port].map(String::from));
        }
        for rules in &self.users {
            args.push("--user".to_owned());
            args.extend(rules.split(' ').map(str::to_owned));
        }
        if let Some(command) = self.without {
            args.extend(["--rename-command", command, ""].map(String::from));
        }
        args
    }
}

/// The configuration file of a sentinel, in its directory.
const SENTINEL_FILE: &str = "sentinel.conf";

/// After so many milliseconds without an answer a node of a cluster is thought to have failed.
pub(super) const NODE_TIMEOUT: &str = "1000";

/// What a node of a cluster is told.
const CLUSTER_NODE: [[&str; 2]; 4] = [
    ["--cluster-enabled", "yes"],
    ["--cluster-node-timeout", NODE_TIMEOUT],
    // Replicas stay where the test put them.
    ["--cluster-allow-replica-migration", "no"],
    // A replica takes over however long it was without its master.
    ["--cluster-replica-validity-factor", "0"],
];

/// Where ports to keep are drawn from; all of them, and those of the cluster's bus, are below those that the system
/// gives away by itself (from 32768 on).
const PORTS_TO_KEEP: std::ops::Range<u16> = 12_000..22_000;

/// The port of a node's bus is this much higher.
const BUS: u16 = 10_000;

/// A port of this host nobody listens on, drawn only once by this process; that of the bus is free too.
fn port_to_keep(host: &str) -> u16 {
    // Processes begin at places of their own.
    static NEXT: LazyLock<AtomicU16> = LazyLock::new(|| AtomicU16::new((std::process::id() as u16).wrapping_mul(977)));
    let width = PORTS_TO_KEEP.len() as u16;
    let mut ports = std::iter::repeat_with(|| PORTS_TO_KEEP.start + NEXT.fetch_add(1, Ordering::Relaxed) % width);
    let is_free = |port: u16| TcpListener::bind((host, port)).is_ok();
    ports.find(|&port| is_free(port) && is_free(port + BUS)).unwrap()
}

/// A port of this host nobody listens on.
pub fn free_port(host: &str) -> u16 {
    let listener = TcpListener::bind((host, 0)).unwrap();
    listener.local_addr().unwrap().port()
}
