//! Where to connect, and as whom. The one place that reads URLs.
//!
//! Finding the node that owns a stream (Redis Cluster) or the current master (Sentinel) belongs behind
//! [`Target`]: both end in the address of one plain connection.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use redis::{ConnectionAddr, IntoConnectionInfo};

use super::Error;

/// A server, and how to be let in.
#[derive(Clone, Debug)]
pub struct Target {
    /// Where it listens.
    pub address: Address,
    /// Encryption, if the URL asks for it.
    pub tls: Option<Tls>,
    /// The ACL user; the server's `default` user if none.
    pub user: Option<String>,
    /// That user's password.
    pub password: Option<Secret>,
    /// The database number, 0 by default.
    pub database: i64,
    /// How long one attempt to connect may take, TLS and authentication included.
    pub connect_timeout: Duration,
}

/// Where a server listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Address {
    /// A TCP port of a host, by name or by IPv4 or IPv6 address.
    Tcp {
        /// The host, an IPv6 address without its brackets.
        host: String,
        /// The port.
        port: u16,
    },
    /// A Unix socket.
    Unix(PathBuf),
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
    /// Whether the server must prove who it is.
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

/// How long an attempt to connect may take, unless told otherwise.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

impl Target {
    /// Reads `redis://`, `rediss://`, `redis+unix://`, `unix://` and the `valkey` names of the same.
    pub fn parse(url: &str) -> Result<Self, Error> {
        let info = url.into_connection_info().map_err(|error| {
            // The crate's kind says nothing a person can use; its detail names the part that is wrong.
            let text = error.to_string();
            let reason = text.split(" - ").next().unwrap_or("it is not a Redis URL");
            Error::InvalidUrl(reason.trim_end_matches(": InvalidClientConfig").to_owned())
        })?;
        let settings = info.redis_settings();
        let (address, tls) = match info.addr().clone() {
            ConnectionAddr::Tcp(host, port) => (Address::Tcp { host, port }, None),
            ConnectionAddr::TcpTls {
                host, port, insecure, ..
            } => {
                let verify = if insecure { Verify::Nothing } else { Verify::Full };
                (
                    Address::Tcp { host, port },
                    Some(Tls {
                        verify,
                        ..Tls::default()
                    }),
                )
            }
            ConnectionAddr::Unix(path) => (Address::Unix(path), None),
            _ => return Err(Error::InvalidUrl("this kind of address is not supported".to_owned())),
        };
        Ok(Self {
            address,
            tls,
            user: settings.username().map(str::to_owned),
            password: settings.password().map(|password| Secret(password.to_owned())),
            database: settings.db(),
            connect_timeout: CONNECT_TIMEOUT,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tcp(host: &str, port: u16) -> Address {
        Address::Tcp {
            host: host.to_owned(),
            port,
        }
    }

    #[test]
    fn every_form_of_url_is_read() {
        for (url, address, tls) in [
            ("redis://localhost", tcp("localhost", 6379), false),
            ("valkey://[::1]:7000/2", tcp("::1", 7000), false),
            ("rediss://db.example:6380", tcp("db.example", 6380), true),
            (
                "redis+unix:///run/redis.sock?db=3",
                Address::Unix("/run/redis.sock".into()),
                false,
            ),
            ("unix:///run/redis.sock", Address::Unix("/run/redis.sock".into()), false),
        ] {
            let target = Target::parse(url).unwrap();
            assert_eq!((&target.address, target.tls.is_some()), (&address, tls), "{url}");
        }
    }

    #[test]
    fn a_password_is_read_and_never_shown() {
        let target = Target::parse("redis://ann:s%40crt@h:1/0").unwrap();
        assert_eq!(target.user.as_deref(), Some("ann"));
        assert_eq!(target.password, Some(Secret("s@crt".to_owned())));
        assert!(!format!("{target:?}").contains("crt"));
        let error = Target::parse("redis://ann:s%40crt@h:port").unwrap_err();
        assert!(!error.to_string().contains("crt"));
    }
}
