//! URLs: the one place that reads them.

mod sentinel;

use std::borrow::Cow;
use std::net::Ipv6Addr;
use std::path::Path;
use std::time::Duration;

use redis::{ConnectionAddr, IntoConnectionInfo};

use crate::streamer::error::Error;
use crate::streamer::wire::{Address, Endpoint, Secret, Tls, Verify};

/// How long an attempt to connect may take, unless told otherwise.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// What a URL names.
#[derive(Clone, Debug)]
pub struct Location {
    /// How to reach each of the servers, but for its address.
    pub endpoint: Endpoint,
    /// Where they are, as far as the URL tells.
    pub seeds: Vec<Address>,
    pub kind: Kind,
}

/// How servers work together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    /// One by itself; if it turns out to be a cluster's node, the cluster.
    Server,
    Cluster,
    /// The seeds are sentinels, and know which server is the master.
    Sentinel(Service),
}

/// What sentinels are asked for, and how they let us in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Service {
    /// By which the sentinels know the master.
    pub name: String,
    pub user: Option<String>,
    pub password: Option<Secret>,
}

/// The schemes of one server.
const SCHEMES: [&str; 4] = ["redis", "rediss", "valkey", "valkeys"];

/// The schemes of a Unix socket, behind which a path may follow at once.
const UNIX_SCHEMES: [&str; 3] = ["unix:", "redis+unix:", "valkey+unix:"];

impl Location {
    /// Reads any URL, or a server's name alone: `HOST`, `HOST:PORT`, `[::1]:PORT`, or the path of its socket.
    pub fn parse(url: &str) -> Result<Self, Error> {
        if url.starts_with('/') {
            return Ok(Self::at_socket(Path::new(url)));
        }
        let url = with_scheme(url);
        match of_several(&url) {
            Some((scheme, "cluster", rest)) => Self::cluster(scheme, rest),
            Some((scheme, "sentinel", rest)) => sentinel::location(scheme, rest),
            _ => match parse_endpoint(&url)? {
                Endpoint {
                    address: Address::Tcp { host, .. },
                    ..
                } if host.contains(',') => Err(Error::InvalidUrl(
                    "several servers need redis+cluster:// or redis+sentinel://".to_owned(),
                )),
                endpoint => Ok(Self::one(endpoint)),
            },
        }
    }

    /// The server that listens on a Unix socket.
    pub fn at_socket(path: &Path) -> Self {
        Self::one(Endpoint {
            address: Address::Unix(path.to_owned()),
            tls: None,
            user: None,
            password: None,
            database: 0,
            connect_timeout: CONNECT_TIMEOUT,
        })
    }

    fn one(endpoint: Endpoint) -> Self {
        Self {
            seeds: vec![endpoint.address.clone()],
            endpoint,
            kind: Kind::Server,
        }
    }

    fn cluster(scheme: &str, rest: &str) -> Result<Self, Error> {
        let endpoints = endpoints(scheme, rest)?;
        let seeds = endpoints.iter().map(|endpoint| endpoint.address.clone()).collect();
        let [endpoint, ..] = <[Endpoint; 1]>::try_from(endpoints.into_iter().take(1).collect::<Vec<_>>())
            .map_err(|_| Error::InvalidUrl("it names no server".to_owned()))?;
        if endpoint.database != 0 {
            return Err(Error::InvalidUrl("a cluster has only database 0".to_owned()));
        }
        Ok(Self {
            endpoint,
            seeds,
            kind: Kind::Cluster,
        })
    }
}

/// A URL as it may be shown: passwords in it are hidden.
pub fn without_password(url: &str) -> String {
    const HIDDEN: &str = "***";
    let (rest, query) = match url.split_once('?') {
        Some((rest, query)) => (rest, Some(query)),
        None => (url, None),
    };
    let start = rest.find("://").map_or(0, |at| at + 3);
    let (scheme, rest) = rest.split_at(start);
    let end = rest.find(['/', '#']).unwrap_or(rest.len());
    let (authority, path) = rest.split_at(end);
    let authority = match authority.rsplit_once('@') {
        Some((login, host)) => match login.split_once(':') {
            Some((user, _)) => format!("{user}:{HIDDEN}@{host}"),
            None => authority.to_owned(),
        },
        None => authority.to_owned(),
    };
    let hide = |pair: &str| match pair.split_once('=') {
        Some((name, _)) if name.contains("pass") => format!("{name}={HIDDEN}"),
        _ => pair.to_owned(),
    };
    let query = query.map(|query| query.split('&').map(hide).collect::<Vec<_>>().join("&"));
    let query = query.map_or(String::new(), |query| format!("?{query}"));
    if path.contains('@') || query.contains('@') {
        // It stands where none belongs: whatever comes before may be a password.
        return HIDDEN.to_owned();
    }
    format!("{scheme}{authority}{path}{query}")
}

/// A URL as it stands; a server's name alone is one of `redis://`.
fn with_scheme(url: &str) -> Cow<'_, str> {
    if url.contains("://") || UNIX_SCHEMES.iter().any(|scheme| url.starts_with(scheme)) {
        Cow::Borrowed(url)
    } else if url.parse::<Ipv6Addr>().is_ok() {
        Cow::Owned(format!("redis://[{url}]"))
    } else {
        Cow::Owned(format!("redis://{url}"))
    }
}

/// The scheme of one of the servers, what they are together, and the rest of a URL such as `redis+cluster://…`.
fn of_several(url: &str) -> Option<(&str, &str, &str)> {
    let (scheme, rest) = url.split_once("://")?;
    let (of_one, together) = scheme.split_once(['+', '-'])?;
    SCHEMES.contains(&of_one).then_some((of_one, together, rest))
}

/// The servers of `[USER:PASSWORD@]HOST[:PORT],HOST[:PORT]…[/PATH]`, each as if it stood in a URL by itself.
fn endpoints(scheme: &str, rest: &str) -> Result<Vec<Endpoint>, Error> {
    let (authority, path) = match rest.find(['/', '?', '#']) {
        Some(end) => rest.split_at(end),
        None => (rest, ""),
    };
    let (user, hosts) = match authority.rfind('@') {
        Some(end) => authority.split_at(end + 1),
        None => ("", authority),
    };
    let hosts = hosts.split(',');
    hosts
        .map(|host| parse_endpoint(&format!("{scheme}://{user}{host}{path}")))
        .collect()
}

/// Reads `redis://`, `rediss://`, `redis+unix://`, `unix://` and the `valkey` names of the same.
fn parse_endpoint(url: &str) -> Result<Endpoint, Error> {
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
    Ok(Endpoint {
        address,
        tls,
        user: settings.username().map(str::to_owned),
        password: settings.password().map(|password| Secret(password.to_owned())),
        database: settings.db(),
        connect_timeout: CONNECT_TIMEOUT,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_of_url_is_read() {
        for (url, address, tls) in [
            ("redis://localhost", Address::tcp("localhost", 6379), false),
            ("valkey://[::1]:7000/2", Address::tcp("::1", 7000), false),
            ("rediss://db.example:6380", Address::tcp("db.example", 6380), true),
            (
                "redis+unix:///run/redis.sock?db=3",
                Address::Unix("/run/redis.sock".into()),
                false,
            ),
            ("unix:///run/redis.sock", Address::Unix("/run/redis.sock".into()), false),
        ] {
            let target = parse_endpoint(url).unwrap();
            assert_eq!((&target.address, target.tls.is_some()), (&address, tls), "{url}");
        }
    }

    #[test]
    fn a_scheme_may_be_left_out() {
        for (url, address, database) in [
            ("localhost", Address::tcp("localhost", 6379), 0),
            ("db.example:7000/3", Address::tcp("db.example", 7000), 3),
            ("127.0.0.1:7000", Address::tcp("127.0.0.1", 7000), 0),
            ("[::1]:7000", Address::tcp("::1", 7000), 0),
            ("[::1]", Address::tcp("::1", 6379), 0),
            ("::1", Address::tcp("::1", 6379), 0),
            // Names that look like a scheme.
            ("redis:7000", Address::tcp("redis", 7000), 0),
            ("unix", Address::tcp("unix", 6379), 0),
            ("/run/a b%20.sock", Address::Unix("/run/a b%20.sock".into()), 0),
            ("unix:/run/s", Address::Unix("/run/s".into()), 0),
        ] {
            let location = Location::parse(url).unwrap();
            assert_eq!(
                (&location.endpoint.address, location.endpoint.database),
                (&address, database),
                "{url}"
            );
        }
        let location = Location::parse("ann:s%40crt@h:1").unwrap();
        assert_eq!(location.endpoint.password, Some(Secret("s@crt".to_owned())));
        for url in ["", "redis:/u:crt@h", "a,b", "h:port", "http://h", "a b"] {
            let error = Location::parse(url).unwrap_err().to_string();
            assert!(!error.contains("crt"), "{url}: {error}");
        }
    }

    #[test]
    fn a_password_is_read_and_never_shown() {
        let target = parse_endpoint("redis://ann:s%40crt@h:1/0").unwrap();
        assert_eq!(target.user.as_deref(), Some("ann"));
        assert_eq!(target.password, Some(Secret("s@crt".to_owned())));
        assert!(!format!("{target:?}").contains("crt"));
        let error = parse_endpoint("redis://ann:s%40crt@h:port").unwrap_err();
        assert!(!error.to_string().contains("crt"));
    }

    #[test]
    fn a_url_is_shown_without_its_passwords() {
        for (url, shown) in [
            ("redis://h:1/0", "redis://h:1/0"),
            ("redis://ann:s3@h:1/0", "redis://ann:***@h:1/0"),
            ("rediss://:s3@h", "rediss://:***@h"),
            ("ann:s:3@h", "ann:***@h"),
            ("redis://ann@h", "redis://ann@h"),
            ("unix:///s?db=1&pass=s3", "unix:///s?db=1&pass=***"),
            (
                "redis+sentinel://u:s3@a,b/m/1?sentinel_username=x&sentinel_password=s3",
                "redis+sentinel://u:***@a,b/m/1?sentinel_username=x&sentinel_password=***",
            ),
            ("local:", "local:"),
            ("redis:/u:s3@h", "***"),
            ("redis://u:s/3@h", "***"),
            ("redis://h?u:s3@h", "***"),
        ] {
            assert_eq!(without_password(url), shown);
        }
    }

    #[test]
    fn a_cluster_has_several_seeds() {
        let Location { endpoint, seeds, kind } =
            Location::parse("rediss+cluster://ann:s%40crt@a:7000,[::1]:7001,b").unwrap();
        assert_eq!((kind, endpoint.tls.is_some()), (Kind::Cluster, true));
        assert_eq!(endpoint.password, Some(Secret("s@crt".to_owned())));
        assert_eq!(
            seeds,
            [
                Address::tcp("a", 7000),
                Address::tcp("::1", 7001),
                Address::tcp("b", 6379)
            ]
        );
        for url in [
            "redis+cluster://a:1,b:2/1",
            "redis-cluster://",
            "redis+cluster://a:x,b:2",
        ] {
            assert!(Location::parse(url).is_err(), "{url}");
        }
    }
}
