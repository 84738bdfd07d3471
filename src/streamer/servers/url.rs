//! URLs: the one place that reads them.
//!
//! Finding the node that owns a stream (Redis Cluster) or the current master (Sentinel) belongs behind
//! [`Servers`](super::Servers): both end in endpoints of plain connections.

use std::time::Duration;

use redis::{ConnectionAddr, IntoConnectionInfo};

use crate::streamer::error::Error;
use crate::streamer::wire::{Address, Endpoint, Secret, Tls, Verify};

/// How long an attempt to connect may take, unless told otherwise.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

impl Endpoint {
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
            let target = Endpoint::parse(url).unwrap();
            assert_eq!((&target.address, target.tls.is_some()), (&address, tls), "{url}");
        }
    }

    #[test]
    fn a_password_is_read_and_never_shown() {
        let target = Endpoint::parse("redis://ann:s%40crt@h:1/0").unwrap();
        assert_eq!(target.user.as_deref(), Some("ann"));
        assert_eq!(target.password, Some(Secret("s@crt".to_owned())));
        assert!(!format!("{target:?}").contains("crt"));
        let error = Endpoint::parse("redis://ann:s%40crt@h:port").unwrap_err();
        assert!(!error.to_string().contains("crt"));
    }
}
