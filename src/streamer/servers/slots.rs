//! Which node of a cluster holds a key, as the cluster tells it. Pure.

use std::collections::HashMap;

use crc16::{State, XMODEM};
use redis::Value;

use crate::streamer::error::ServerError;
use crate::streamer::wire::Address;

/// How many slots a cluster has.
const SLOTS: u16 = 16_384;

/// The slot of a key: that of its tag, if it has one.
pub fn slot(key: &[u8]) -> u16 {
    State::<XMODEM>::calculate(hash_tag(key).unwrap_or(key)) % SLOTS
}

/// The part of a key that chooses its slot, where not all of it does.
pub fn hash_tag(key: &[u8]) -> Option<&[u8]> {
    let open = key.iter().position(|byte| *byte == b'{')?;
    let behind = &key[open + 1..];
    let close = behind.iter().position(|byte| *byte == b'}')?;
    (close > 0).then(|| &behind[..close])
}

/// The tag of a stream's name, or all of it: in braces it puts another key into the stream's slot. A name that holds a `}`
/// and no tag leaves none that would do: the key is then elsewhere, which only a cluster minds.
pub fn tag_of(stream: &str) -> &str {
    let tag = hash_tag(stream.as_bytes()).and_then(|tag| str::from_utf8(tag).ok());
    tag.unwrap_or(stream)
}

/// What a place is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Work {
    /// On one key alone: where it was redirected to.
    OnOneKey,
    /// On several keys of a slot: where the slot is, until it has arrived elsewhere.
    OnSlot,
}

/// Where a key is to be asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    pub node: Address,
    /// Whether the slot is on its way there: each command is to be announced by ASKING.
    pub asking: bool,
}

/// Another place that a node named in its refusal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Redirection {
    slot: u16,
    /// `None` where it has no address of its own: the cluster must be asked.
    node: Option<Address>,
}

impl Redirection {
    /// Reads `MOVED 1234 HOST:PORT` and `ASK 1234 HOST:PORT`.
    pub fn of(refusal: &ServerError) -> Option<Self> {
        if !refusal.is_redirection() {
            return None;
        }
        let (slot, address) = refusal.detail.split_once(' ')?;
        // An IPv6 address stands here without its brackets.
        let (host, port) = address.trim().rsplit_once(':')?;
        Some(Self {
            slot: slot.parse().ok()?,
            node: address_of(host, port.parse().ok()?),
        })
    }
}

/// The masters of a cluster with their slots, and all its nodes.
#[derive(Clone, Debug, Default)]
pub struct SlotMap {
    /// First and last slot, and who holds them.
    ranges: Vec<(u16, u16, Address)>,
    /// Who is known, masters first.
    nodes: Vec<Address>,
    /// What redirections said since.
    moved: HashMap<u16, Address>,
    /// Where to go once for these keys, which went before their slot.
    asking: HashMap<String, Address>,
}

impl SlotMap {
    /// Reads the reply to CLUSTER SLOTS of a node. Its preferred endpoint for each node is an address, a host name, or
    /// nothing: then it is that of the node that was asked, with another port.
    pub fn read(reply: &Value, asked: &Address) -> Option<Self> {
        let mut map = Self::default();
        let mut replicas = Vec::new();
        for range in array(reply)? {
            let [first, last, nodes @ ..] = array(range)? else {
                return None;
            };
            let (first, last) = (number(first)?, number(last)?);
            if last < first {
                return None;
            }
            let mut nodes = nodes.iter().map(|node| node_address(node, asked));
            if let Some(Some(master)) = nodes.next() {
                map.ranges.push((first, last, master));
            }
            replicas.extend(nodes.flatten());
        }
        map.nodes = map.masters();
        for node in replicas {
            if !map.nodes.contains(&node) {
                map.nodes.push(node);
            }
        }
        Some(map)
    }

    /// Where a key is; `None` if nobody is known to hold its slot. One that is on its way has keys on either side: only
    /// work on the key that was redirected may go there.
    pub fn place(&mut self, key: &[u8], work: Work) -> Option<Place> {
        let redirected = str::from_utf8(key).ok().and_then(|key| self.asking.remove(key));
        if let (Some(node), Work::OnOneKey) = (redirected, work) {
            return Some(Place { node, asking: true });
        }
        let slot = slot(key);
        let range = || {
            self.ranges
                .iter()
                .find(|(first, last, _)| (*first..=*last).contains(&slot))
        };
        let node = self.moved.get(&slot).or_else(|| range().map(|(_, _, node)| node))?;
        Some(Place {
            node: node.clone(),
            asking: false,
        })
    }

    /// Those that hold slots.
    pub fn masters(&self) -> Vec<Address> {
        let mut masters: Vec<Address> = Vec::new();
        for (_, _, node) in &self.ranges {
            if !masters.contains(node) {
                masters.push(node.clone());
            }
        }
        masters
    }

    pub fn nodes(&self) -> &[Address] {
        &self.nodes
    }

    /// Learns of a slot that moved; false if that takes a new look at the cluster.
    pub fn moved(&mut self, Redirection { slot, node }: Redirection) -> bool {
        node.map(|node| self.moved.insert(slot, node)).is_some()
    }

    /// Learns of a key that is on its way; false if that takes a new look at the cluster.
    pub fn on_its_way(&mut self, key: &str, to: Redirection) -> bool {
        to.node.map(|node| self.asking.insert(key.to_owned(), node)).is_some()
    }

    /// Whether each slot is known to be somewhere.
    pub fn is_whole(&self) -> bool {
        let held: u32 = self
            .ranges
            .iter()
            .map(|(first, last, _)| u32::from(last - first) + 1)
            .sum();
        held >= u32::from(SLOTS)
    }
}

fn array(value: &Value) -> Option<&[Value]> {
    match value {
        Value::Array(elements) => Some(elements),
        _ => None,
    }
}

fn number(value: &Value) -> Option<u16> {
    match value {
        Value::Int(number) => u16::try_from(*number).ok(),
        _ => None,
    }
}

fn node_address(node: &Value, asked: &Address) -> Option<Address> {
    let [host, port, ..] = array(node)? else {
        return None;
    };
    let port = number(port)?;
    let host = match host {
        Value::BulkString(host) => String::from_utf8(host.clone()).ok()?,
        _ => String::new(),
    };
    match (host.as_str(), asked) {
        ("", Address::Tcp { host, .. }) => address_of(host, port),
        (host, _) => address_of(host, port),
    }
}

/// An address that can be connected to: a host that the cluster does not know either is `?`.
fn address_of(host: &str, port: u16) -> Option<Address> {
    let host = host.trim_start_matches('[').trim_end_matches(']');
    let is_known = !matches!(host, "" | "?") && port != 0;
    is_known.then(|| Address::tcp(host, port))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(host: Value, port: i64) -> Value {
        Value::Array(vec![host, Value::Int(port), Value::BulkString(b"id".to_vec())])
    }

    fn host(name: &str) -> Value {
        Value::BulkString(name.as_bytes().to_vec())
    }

    fn map(ranges: &[(i64, i64, &[Value])]) -> SlotMap {
        let range = |(first, last, nodes): &(i64, i64, &[Value])| {
            let mut range = vec![Value::Int(*first), Value::Int(*last)];
            range.extend_from_slice(nodes);
            Value::Array(range)
        };
        let reply = Value::Array(ranges.iter().map(range).collect());
        SlotMap::read(&reply, &Address::tcp("seed", 7000)).unwrap()
    }

    #[test]
    fn slots_are_those_of_the_specification() {
        assert_eq!(slot(b"123456789"), 0x31C3);
        assert_eq!(slot(b"{user1000}.following"), slot(b"user1000"));
        assert_eq!(slot(b"foo{{bar}}zap"), slot(b"{bar"));
        // An empty tag is none, and the first closing brace counts.
        assert_eq!(hash_tag(b"foo{}{bar}"), None);
        assert_eq!(hash_tag(b"a{b}c{d}"), Some(&b"b"[..]));
        assert_eq!(hash_tag(b"a}b{c"), None);
    }

    #[test]
    fn nodes_are_named_as_the_cluster_prefers() {
        let mut map = map(&[
            (0, 5460, &[node(host("10.0.0.1"), 7001), node(host("10.0.0.4"), 7004)]),
            (5461, 10_922, &[node(Value::Nil, 7002)]),
            (10_923, 16_383, &[node(host("?"), 7003), node(host("::1"), 7005)]),
        ]);
        let mut at = |key: &str| map.place(key.as_bytes(), Work::OnSlot).map(|place| place.node);
        let keys = ["b", "c", "a"];
        assert_eq!(keys.map(|key| slot(key.as_bytes())), [3300, 7365, 15_495]);
        assert_eq!(at("b"), Some(Address::tcp("10.0.0.1", 7001)));
        assert_eq!(at("c"), Some(Address::tcp("seed", 7002)));
        assert_eq!(at("a"), None);
        assert!(!map.is_whole());
        assert_eq!(
            map.masters(),
            [Address::tcp("10.0.0.1", 7001), Address::tcp("seed", 7002)]
        );
        assert_eq!(
            map.nodes()[2..],
            [Address::tcp("10.0.0.4", 7004), Address::tcp("::1", 7005)]
        );
    }

    #[test]
    fn redirections_are_followed() {
        let mut map = map(&[(0, 16_383, &[node(host("a"), 1)])]);
        let of = |text: &str| Redirection::of(&ServerError::parse(text.as_bytes()));
        let at = |map: &mut SlotMap, key: &str, work| map.place(key.as_bytes(), work);
        let place = |node, asking| Some(Place { node, asking });
        let slot = slot(b"k");
        assert!(map.moved(of(&format!("MOVED {slot} b:2")).unwrap()));
        assert_eq!(at(&mut map, "k", Work::OnSlot), place(Address::tcp("b", 2), false));
        assert!(map.moved(of(&format!("MOVED {slot} ::1:3")).unwrap()));
        assert_eq!(at(&mut map, "k", Work::OnOneKey), place(Address::tcp("::1", 3), false));
        assert!(!map.moved(of("MOVED 8 :7001").unwrap()));
        assert_eq!(of("ERR 8 b:1"), None);
        // What went before its slot says nothing of other keys, nor of the next time.
        let there = of(&format!("ASK {slot} c:4")).unwrap();
        assert!(map.on_its_way("k", there.clone()));
        assert_eq!(
            at(&mut map, "{k}2", Work::OnOneKey),
            place(Address::tcp("::1", 3), false)
        );
        assert_eq!(at(&mut map, "k", Work::OnOneKey), place(Address::tcp("c", 4), true));
        assert_eq!(at(&mut map, "k", Work::OnOneKey), place(Address::tcp("::1", 3), false));
        assert!(map.on_its_way("k", there));
        assert_eq!(at(&mut map, "k", Work::OnSlot), place(Address::tcp("::1", 3), false));
        assert!(map.is_whole());
    }
}
