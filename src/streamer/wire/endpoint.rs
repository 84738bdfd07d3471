//! One server process: where it listens, how the way there is protected, and how to be let in.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

/// What it takes to open a connection.
#[derive(Clone, Debug)]
pub struct Endpoint {
    pub address: Address,
    /// Encryption, if it is asked for.
    pub tls: Option<Tls>,
    /// The ACL user; the server's `default` user if none.
    pub user: Option<String>,
    /// That user's password.
    pub password: Option<Secret>,
    /// The database number, 0 by default.
    pub database: i64,
    /// Time limit for one connection attempt: name lookup, TCP, TLS and authentication together.
    pub connect_timeout: Duration,
}

/// Where a server listens.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Address {
    /// A TCP port of a host, by name or by IPv4 or IPv6 address (without its brackets).
    Tcp { host: String, port: u16 },
    /// A Unix socket.
    Unix(PathBuf),
}

impl Address {
    pub fn tcp(host: impl Into<String>, port: u16) -> Self {
        let host = host.into();
        Self::Tcp { host, port }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp { host, port } if host.contains(':') => write!(f, "[{host}]:{port}"),
            Self::Tcp { host, port } => write!(f, "{host}:{port}"),
            Self::Unix(path) => write!(f, "{}", path.display()),
        }
    }
}

/// How an encrypted connection is trusted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tls {
    /// Certificates of authorities to trust in place of the system's, PEM.
    pub ca: Option<PathBuf>,
    /// The client's certificate chain and private key, PEM.
    pub identity: Option<(PathBuf, PathBuf)>,
    pub verify: Verify,
}

/// Whether the server's certificate is checked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Verify {
    /// It must be signed by a trusted authority for the host's name.
    #[default]
    Full,
    /// Any certificate will do: encrypted, but to anybody.
    Nothing,
}

/// A password. Shows itself to nobody but the server.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(pub String);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(secret)")
    }
}
