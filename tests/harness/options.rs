//! How a private server is started.

use super::server::Server;
use super::tls;
use std::net::TcpListener;
use std::path::Path;

/// Where the server listens besides its Unix socket.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Listen {
    UnixOnly,
    Tcp4,
    Tcp6,
    Tls { client_certificates: bool },
}

/// How a server is started; see [`Server::options`].
pub struct Options {
    listen: Listen,
    append_only: bool,
    without: Option<&'static str>,
    master: Option<u16>,
    settings: Vec<[&'static str; 2]>,
    pub(super) password: Option<String>,
}

impl Options {
    /// A Unix socket alone, and nothing kept.
    pub(super) fn new() -> Self {
        Self {
            listen: Listen::UnixOnly,
            append_only: false,
            without: None,
            master: None,
            settings: Vec::new(),
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

    /// Ask every client for this password.
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
    pub fn setting(mut self, name: &'static str, value: &'static str) -> Self {
        self.settings.push([name, value]);
        self
    }

    /// Follow this server, which has to listen on 127.0.0.1: replication knows no Unix sockets.
    pub fn replica_of(mut self, master: &Server) -> Self {
        self.master = Some(master.port());
        self
    }

    /// Starts the server and waits until it answers.
    pub fn start(self) -> Server {
        Server::launched(self)
    }

    /// The certificates it needs.
    pub(super) fn prepare(&self, dir: &Path) {
        if let Listen::Tls { .. } = self.listen {
            tls::write_certificates(dir);
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
        let mut args = [
            ["--dir", &path("")],
            ["--unixsocket", &path("s")],
            ["--logfile", &path("log")],
            ["--save", ""],
            ["--databases", "16"],
            ["--appendonly", if self.append_only { "yes" } else { "no" }],
            ["--appendfsync", "always"],
            // A replica is not kept waiting for others that might join it.
            ["--repl-diskless-sync-delay", "0"],
        ]
        .concat()
        .into_iter()
        .map(str::to_owned)
        .collect::<Vec<_>>();
        let mut add = |name: &str, value: &str| args.extend([name.to_owned(), value.to_owned()]);
        if let Some(password) = &self.password {
            add("--requirepass", password);
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
                add("--tls-cert-file", &path("server.crt"));
                add("--tls-key-file", &path("server.key"));
                add("--tls-ca-cert-file", &path("ca.crt"));
                add("--tls-auth-clients", if client_certificates { "yes" } else { "no" });
            }
        }
        if let Some(master) = self.master {
            args.extend(["--replicaof", "127.0.0.1", &master.to_string()].map(String::from));
        }
        for [name, value] in &self.settings {
            args.extend([format!("--{name}"), (*value).to_owned()]);
        }
        if let Some(command) = self.without {
            args.extend(["--rename-command", command, ""].map(String::from));
        }
        args
    }
}

/// A port of this host nobody listens on.
pub fn free_port(host: &str) -> u16 {
    let listener = TcpListener::bind((host, 0)).unwrap();
    listener.local_addr().unwrap().port()
}
