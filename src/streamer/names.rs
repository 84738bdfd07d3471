//! Names the wire contract gives to groups and consumers.

use std::time::Duration;

use crate::streamer::random::random;
use crate::streamer::raw_name::RawName;

/// Longest listener, and longest group name part made of one.
const MAX_LISTENER: usize = 128;
const MAX_CONSUMER: usize = 200;
/// Longest host part of a consumer name.
const MAX_HOST: usize = 64;

/// The consumer that entries are handed back to: a fixed name, so that the names of consumers that are gone
/// need not be kept for the sake of what they left.
pub const HANDED_BACK: &str = "handed-back";

/// The consumer under which waits what consumers that are gone have printed and somebody else is to acknowledge.
pub const AWAITING_ACK: &str = "awaiting-ack";

/// Whether it is no consumer, but a name under which entries wait.
pub fn is_nobody(consumer: &RawName) -> bool {
    consumer.is(HANDED_BACK) || consumer.is(AWAITING_ACK)
}

/// An idle time that only entries reach which were handed back: they are idle since the epoch.
pub const HANDED_BACK_IDLE: Duration = Duration::from_secs(20 * 365 * 24 * 60 * 60);

/// Makes a text safe for a name: each run of other characters than `A-Za-z0-9._:-` becomes one `-`.
fn sanitise(text: &str, longest: usize) -> String {
    let mut name = String::with_capacity(text.len().min(longest));
    let mut in_run = false;
    for c in text.chars() {
        let plain = c.is_ascii_alphanumeric() || "._:-".contains(c);
        if plain || !in_run {
            name.push(if plain { c } else { '-' });
        }
        in_run = !plain;
    }
    name.truncate(longest);
    name
}

/// The group of a listener on a stream: `STREAM:LISTENER:cg`.
pub fn of_listener(stream: &str, listener: &str) -> String {
    format!("{stream}:{}:cg", sanitise(listener, MAX_LISTENER))
}

/// The same on a stream whose name need not be text.
pub fn group_of_listener(stream: &RawName, listener: &str) -> RawName {
    let tail = of_listener("", listener);
    RawName::from([stream.as_bytes(), tail.as_bytes()].concat())
}

/// The listener of a group, if its name is that of one.
pub fn listener_of(stream: &str, group: &str) -> Option<String> {
    let listener = group.strip_prefix(stream)?.strip_prefix(':')?.strip_suffix(":cg")?;
    (!listener.is_empty()).then(|| listener.to_owned())
}

/// The ledger of a group on a stream.
pub fn ledger(stream: &str, group: &str) -> String {
    format!("stream:{stream}:group:{group}:processed")
}

/// The same of names that need not be text.
pub fn ledger_of(stream: &RawName, group: &RawName) -> RawName {
    let parts: [&[u8]; 5] = [
        b"stream:",
        stream.as_bytes(),
        b":group:",
        group.as_bytes(),
        b":processed",
    ];
    RawName::from(parts.concat())
}

/// A new consumer name that nobody else has: `LISTENER.HOST.PID.8HEX`.
pub fn new_consumer(listener: &str) -> String {
    let host = sanitise(&host(), MAX_HOST);
    // What tells it from others must not be cut off.
    let tail = format!(".{host}.{}.{:08x}", std::process::id(), random() as u32);
    let listener = sanitise(listener, MAX_LISTENER.min(MAX_CONSUMER - tail.len()));
    format!("{listener}{tail}")
}

/// The name this machine goes by: `$POD_NAME`, else `$HOSTNAME`, else the host's own.
fn host() -> String {
    ["POD_NAME", "HOSTNAME"]
        .iter()
        .filter_map(|variable| std::env::var(variable).ok())
        .find(|value| !value.is_empty())
        .unwrap_or_else(|| rustix::system::uname().nodename().to_string_lossy().into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn listeners_are_sanitised_by_runs_and_cut() {
        assert_eq!(of_listener("orders", "billing"), "orders:billing:cg");
        assert_eq!(of_listener("s", "a b//ü:c_d.e"), "s:a-b-:c_d.e:cg");
        assert_eq!(of_listener("s", &"x".repeat(500)).len(), "s::cg".len() + 128);
    }

    #[test]
    fn a_group_may_be_a_listeners() {
        assert_eq!(listener_of("a:b", &of_listener("a:b", "c:d")).as_deref(), Some("c:d"));
        for group in ["a:b::cg", "a:b:c", "a:bc:cg", "cg", "other:c:cg"] {
            assert_eq!(listener_of("a:b", group), None, "{group}");
        }
    }

    #[test]
    fn consumer_names_differ_and_have_their_parts() {
        let (one, other) = (new_consumer("bill ing"), new_consumer("bill ing"));
        assert_ne!(one, other);
        assert!(one.starts_with("bill-ing."), "{one}");
        assert!(one.contains(&format!(".{}.", std::process::id())), "{one}");
        assert_eq!(one.rsplit('.').next().unwrap().len(), 8);
    }
}
