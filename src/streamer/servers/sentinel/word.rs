//! What a sentinel says, in its protocol.

use redis::Value;

use crate::streamer::error::{Error, ServerError};
use crate::streamer::wire::{Address, Connection};

/// Who is the master, by the word of a sentinel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Word {
    pub sentinel: Address,
    pub master: Address,
    /// It grows with each failover: sentinels that have not heard of the last one have an older one. 0 where this user
    /// may not ask.
    pub epoch: u64,
    /// Whether the master is to be replaced, as far as this user may ask. One that is promoted already is not named
    /// before it says so itself.
    pub is_failing: bool,
}

/// Asks for the master of a service, in one round trip.
pub fn ask(connection: &mut Connection, service: &str) -> Result<Word, Error> {
    let command = |word: &str| sentinel(word).arg(service).clone();
    let commands = [command("GET-MASTER-ADDR-BY-NAME"), command("MASTER")];
    let mut answers = connection.query_all(&commands)?.into_iter();
    let found = answers.next().unwrap_or(Ok(Value::Nil));
    let found: Option<(String, u16)> = match found {
        Ok(found) => connection.read(found)?,
        Err(refusal) => return Err(refused(connection.node(), refusal)),
    };
    let Some((host, port)) = found else {
        return Err(no_service(connection, service));
    };
    let about = answers.next().and_then(Result::ok).map(attributes).unwrap_or_default();
    Ok(Word {
        sentinel: connection.node().clone(),
        epoch: value(&about, "config-epoch")
            .and_then(|epoch| epoch.parse().ok())
            .unwrap_or_default(),
        is_failing: is_failing(&about, &host, port),
        master: Address::Tcp { host, port },
    })
}

fn sentinel(word: &str) -> redis::Cmd {
    redis::cmd("SENTINEL").arg(word).clone()
}

/// Those words that know of the last failover.
pub fn newest(words: &[Word]) -> impl Iterator<Item = &Word> {
    let epoch = words.iter().map(|word| word.epoch).max();
    words.iter().filter(move |word| Some(word.epoch) == epoch)
}

/// What a refusal of a sentinel means.
fn refused(sentinel: &Address, refusal: ServerError) -> Error {
    let address = sentinel.to_string();
    match refusal.code.as_str() {
        "NOAUTH" | "WRONGPASS" | "NOPERM" => Error::SentinelDenied {
            sentinel: address,
            refusal,
        },
        _ if refusal.is_unknown() => Error::NotASentinel { address },
        _ => Error::Refused(refusal),
    }
}

/// A sentinel does not know a service; which it knows tells whether its name was mistyped.
fn no_service(connection: &mut Connection, service: &str) -> Error {
    let services = connection.query(&sentinel("MASTERS"));
    let known = services.ok().map(services_of).unwrap_or_default();
    Error::NoService {
        service: service.to_owned(),
        sentinels: connection.node().to_string(),
        known,
    }
}

fn services_of(masters: Value) -> Vec<String> {
    let Value::Array(masters) = masters else {
        return Vec::new();
    };
    let name = |master| value(&attributes(master), "name").map(str::to_owned);
    masters.into_iter().filter_map(name).collect()
}

/// Whether a failover is about to begin, or has and did not come to the point from which on another server is named.
fn is_failing(about: &[String], host: &str, port: u16) -> bool {
    let mut flags = value(about, "flags").unwrap_or_default().split(',');
    let is_named = value(about, "ip") == Some(host) && value(about, "port") == Some(&port.to_string());
    is_named && flags.any(|flag| flag == "o_down" || flag == "failover_in_progress")
}

/// Names, each with its value behind it.
fn attributes(instance: Value) -> Vec<String> {
    redis::from_redis_value(instance).unwrap_or_default()
}

fn value<'a>(attributes: &'a [String], name: &str) -> Option<&'a str> {
    let mut pairs = attributes.chunks_exact(2);
    pairs.find(|pair| pair[0] == name).map(|pair| pair[1].as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn instance(texts: &[&str]) -> Value {
        let bulk = |text: &&str| Value::BulkString(text.as_bytes().to_vec());
        Value::Array(texts.iter().map(bulk).collect())
    }

    #[test]
    fn the_last_failover_counts() {
        let word = |sentinel, master, epoch| Word {
            sentinel: Address::tcp("h", sentinel),
            master: Address::tcp("h", master),
            epoch,
            is_failing: false,
        };
        let words = [word(1, 7, 3), word(2, 8, 4), word(3, 7, 3), word(4, 9, 4)];
        let masters: Vec<_> = newest(&words).map(|word| word.master.clone()).collect();
        assert_eq!(masters, [Address::tcp("h", 8), Address::tcp("h", 9)]);
        assert_eq!(newest(&[]).count(), 0);
    }

    #[test]
    fn instances_are_read_by_the_names_of_their_values() {
        let about = |flags| instance(&["name", "orders", "ip", "::1", "port", "7", "flags", flags]);
        assert_eq!(services_of(Value::Array(vec![about("master"), Value::Nil])), ["orders"]);
        assert_eq!(value(&attributes(instance(&["name", "port", "ip", "1"])), "port"), None);
        for (flags, port, expected) in [
            ("master", 7, false),
            ("s_down,o_down,master", 7, true),
            ("master,failover_in_progress", 7, true),
            // The other one is named already.
            ("master,failover_in_progress", 8, false),
        ] {
            assert_eq!(
                is_failing(&attributes(about(flags)), "::1", port),
                expected,
                "{flags} {port}"
            );
        }
    }

    #[test]
    fn refusals_tell_what_is_wrong() {
        let refused = |text: &str| refused(&Address::tcp("h", 1), ServerError::parse(text.as_bytes()));
        assert!(matches!(
            refused("NOAUTH Authentication required."),
            Error::SentinelDenied { .. }
        ));
        assert!(matches!(
            refused("ERR unknown command 'SENTINEL', with args beginning with: "),
            Error::NotASentinel { .. }
        ));
        assert!(matches!(refused("DENIED protected mode"), Error::Refused(_)));
    }
}
