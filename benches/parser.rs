//! What our parser of entries gains over the redis crate's: both take replies of entries to names and bodies.
//! Takes the number of rounds; prints for each the seconds an entry takes ours, and theirs.

#![allow(clippy::print_stdout, clippy::panic, reason = "a program that prints its result")]
#![allow(dead_code, reason = "the modules under measure do more than is measured here")]

use std::hint::black_box;
use std::time::Instant;

use redis::Value;

// The program is no library: what it is made of is taken from its sources.
#[path = "../src/streamer/entry.rs"]
pub mod entry;
#[path = "../src/streamer/error.rs"]
pub mod error;
#[path = "../src/streamer/wire/resp.rs"]
mod resp;
/// Where the sources know them.
mod streamer {
    pub use super::{entry, error};
}

use resp::{Cursor, Delivered, Malformed, Scanner, argument, command, id_argument};

/// What `consume` asks for at a time.
const ENTRIES: usize = 1000;
const REPLIES: usize = 1000;

fn main() {
    let reply = reply();
    assert_eq!(ours(&reply), Ok(theirs(&reply)), "both find the same");
    // Cargo adds options of its own.
    let rounds = std::env::args().find_map(|argument| argument.parse().ok());
    for _ in 0..rounds.unwrap_or(5) {
        let ours = seconds(|| ours(black_box(&reply)).is_ok());
        let theirs = seconds(|| theirs(black_box(&reply)) > 0);
        println!("{ours:e} {theirs:e}");
    }
}

/// How long an entry takes.
fn seconds(read: impl Fn() -> bool) -> f64 {
    let begun = Instant::now();
    for _ in 0..REPLIES {
        assert!(black_box(read()), "the reply is well formed");
    }
    begun.elapsed().as_secs_f64() / (REPLIES * ENTRIES) as f64
}

/// `[[stream, [entry, …]]]`, with messages of the size of `scripts/bench`.
fn reply() -> Vec<u8> {
    let mut out = Vec::new();
    command(&mut out, 1);
    command(&mut out, 2);
    argument(&mut out, b"orders");
    command(&mut out, ENTRIES);
    for seq in 0..ENTRIES as u64 {
        let body = format!(
            r#"{{"order":"A-{seq:08}","customer":{{"id":123456,"city":"Basel"}},"sku":"chair-04","quantity":3,"cents":12345,"currency":"EUR"}}"#
        );
        command(&mut out, 2);
        let ms = 1_700_000_000_000;
        id_argument(&mut out, entry::EntryId { ms, seq });
        command(&mut out, 4);
        for part in ["name", "order.created", "body", &body] {
            argument(&mut out, part.as_bytes());
        }
    }
    out
}

/// Finds the reply's end, keeps it, and walks it; the length of all names and bodies.
fn ours(reply: &[u8]) -> Result<usize, Malformed> {
    let length = Scanner::new(usize::MAX).advance(reply)?.unwrap_or(0);
    let kept = reply[..length].to_vec();
    let mut cursor = Cursor::new(&kept);
    cursor.array_of(1)?;
    cursor.array_of(2)?;
    cursor.bulk()?;
    let mut found = 0;
    for _ in 0..cursor.array()?.unwrap_or(0) {
        if let Delivered::Entry(entry) = cursor.entry()? {
            found += entry.fields.iter().map(|(_, value)| value.len()).sum::<usize>();
        }
    }
    Ok(found)
}

/// The same over the crate's tree.
fn theirs(reply: &[u8]) -> usize {
    let Ok(tree) = redis::parse_redis_value(reply) else {
        return 0;
    };
    let mut found = 0;
    for stream in elements(&tree) {
        for entry in elements(stream).iter().skip(1).flat_map(elements) {
            for value in elements(entry).iter().skip(1).flat_map(elements).skip(1).step_by(2) {
                if let Value::BulkString(bytes) = value {
                    found += bytes.len();
                }
            }
        }
    }
    found
}

fn elements(value: &Value) -> &[Value] {
    match value {
        Value::Array(elements) => elements,
        _ => &[],
    }
}
