//! URLs of sentinels: `redis+sentinel://[USER:PASSWORD@]HOST[:PORT],…/SERVICE[/DB]`, and the form of other clients,
//! `redis-sentinel://HOST[:PORT],…[/DB]?sentinelMasterId=SERVICE`. User and password are those of the servers.

use percent_encoding::percent_decode_str;

use super::{Kind, Location, Service, parse_endpoint};
use crate::streamer::error::Error;
use crate::streamer::wire::Secret;

/// Where sentinels listen unless told otherwise.
const PORT: u16 = 26379;

/// Reads what stands behind the scheme; `scheme` is that of one server.
pub fn location(scheme: &str, rest: &str) -> Result<Location, Error> {
    let (rest, fragment) = cut(rest, '#');
    let (rest, query) = cut(rest, '?');
    let (authority, path) = cut(rest, '/');
    let (user, hosts) = match authority.rfind('@') {
        Some(end) => authority.split_at(end + 1),
        None => ("", authority),
    };
    let mut service = service(query.strip_prefix('?').unwrap_or_default())?;
    let database = match (of_path(path)?, service.name.is_empty()) {
        ((name, database), true) => {
            service.name = name;
            database.unwrap_or_default()
        }
        ((database, None), false) => database,
        _ => return Err(unusable("it names the service twice")),
    };
    if service.name.is_empty() {
        return Err(unusable("it names no service: redis+sentinel://HOST,…/SERVICE"));
    }
    if !database.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(unusable("what follows the service is no number of a database"));
    }
    let mut seeds = Vec::new();
    let mut endpoint = None;
    for host in hosts.split(',') {
        let host = with_port(host);
        let parsed = parse_endpoint(&format!("{scheme}://{user}{host}/{database}{fragment}"))?;
        seeds.push(parsed.address.clone());
        endpoint.get_or_insert(parsed);
    }
    Ok(Location {
        endpoint: endpoint.ok_or_else(|| unusable("it names no sentinel"))?,
        seeds,
        kind: Kind::Sentinel(service),
    })
}

/// A text up to a character, and the rest with it.
fn cut(text: &str, at: char) -> (&str, &str) {
    text.split_at(text.find(at).unwrap_or(text.len()))
}

/// The parts of `/A/B`; what is not there is empty, or none.
fn of_path(path: &str) -> Result<(String, Option<String>), Error> {
    let mut parts = path.trim_matches('/').split('/');
    let first = decoded(parts.next().unwrap_or_default())?;
    let second = parts.next().map(decoded).transpose()?;
    match parts.next() {
        None => Ok((first, second)),
        Some(_) => Err(unusable("more follows the service than the number of a database")),
    }
}

/// What the parameters tell; the name may be missing.
fn service(query: &str) -> Result<Service, Error> {
    let mut service = Service {
        name: String::new(),
        user: None,
        password: None,
    };
    for parameter in query.split('&').filter(|parameter| !parameter.is_empty()) {
        let (key, value) = parameter.split_once('=').unwrap_or((parameter, ""));
        let value = decoded(value)?;
        match key {
            "sentinel_username" => service.user = Some(value),
            "sentinel_password" => service.password = Some(Secret(value)),
            "sentinelMasterId" => service.name = value,
            _ => {
                return Err(unusable(
                    "of parameters it may have sentinel_username, sentinel_password and sentinelMasterId",
                ));
            }
        }
    }
    if service.user.is_some() {
        // A user who is asked for none may give any.
        service.password.get_or_insert_with(|| Secret(String::new()));
    }
    Ok(service)
}

fn decoded(text: &str) -> Result<String, Error> {
    let decoded = percent_decode_str(text).decode_utf8();
    let text = decoded.map_err(|_| unusable("a part of it is not UTF-8"))?;
    Ok(text.into_owned())
}

fn with_port(host: &str) -> String {
    let has_port = host.rsplit_once(':').is_some_and(|(_, port)| !port.ends_with(']'));
    match has_port {
        true => host.to_owned(),
        false => format!("{host}:{PORT}"),
    }
}

fn unusable(why: &str) -> Error {
    Error::InvalidUrl(why.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::streamer::wire::Address;

    fn read(url: &str) -> (Location, Service) {
        let location = Location::parse(url).unwrap();
        let Kind::Sentinel(service) = location.kind.clone() else {
            panic!("{url}");
        };
        (location, service)
    }

    #[test]
    fn sentinels_are_named_in_either_form() {
        for url in [
            "redis+sentinel://a:7,[::1],[::2]:8/my%20master/3",
            "valkey-sentinel://a:7,[::1],[::2]:8/3?sentinelMasterId=my%20master",
        ] {
            let (location, service) = read(url);
            assert_eq!(
                location.seeds,
                [Address::tcp("a", 7), Address::tcp("::1", PORT), Address::tcp("::2", 8)],
                "{url}"
            );
            assert_eq!((&*service.name, location.endpoint.database), ("my master", 3), "{url}");
            assert!(location.endpoint.tls.is_none());
        }
        let (location, service) = read("rediss+sentinel://a/m");
        assert!(location.endpoint.tls.is_some());
        assert_eq!((&*service.name, location.endpoint.database), ("m", 0));
    }

    #[test]
    fn servers_and_sentinels_have_credentials_of_their_own() {
        let (location, service) =
            read("redis+sentinel://ann:s%40crt@a,b/m?sentinel_username=eve&sentinel_password=p:%26crt");
        assert_eq!(location.endpoint.user.as_deref(), Some("ann"));
        assert_eq!(location.endpoint.password, Some(Secret("s@crt".to_owned())));
        assert_eq!(service.user.as_deref(), Some("eve"));
        assert_eq!(service.password, Some(Secret("p:&crt".to_owned())));
        assert!(!format!("{location:?}").contains("crt"));
        let (_, service) = read("redis+sentinel://a/m?sentinel_username=eve");
        assert_eq!(service.password, Some(Secret(String::new())));
    }

    #[test]
    fn what_is_wrong_is_said_without_a_secret() {
        for (url, why) in [
            ("redis+sentinel://a,b", "names no service"),
            ("redis+sentinel://a,b/", "names no service"),
            ("redis+sentinel://a/m/x", "no number of a database"),
            ("redis+sentinel://a/m/1/2", "more follows"),
            ("redis+sentinel://a/m/1?sentinelMasterId=m", "twice"),
            ("redis+sentinel://a/x?sentinelMasterId=m", "no number of a database"),
            ("redis+sentinel://a/m?sentinel_pasword=crt", "parameters"),
            ("redis+sentinel:///m", ""),
            ("redis+sentinel://a,,b/m", ""),
            ("redis+sentinel://u:crt@a:x/m", ""),
        ] {
            let error = Location::parse(url).unwrap_err().to_string();
            assert!(error.contains(why) && !error.contains("crt"), "{url}: {error}");
        }
    }
}
