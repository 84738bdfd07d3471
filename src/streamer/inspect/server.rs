//! What is asked of the server itself.

use std::collections::HashMap;
use std::io;

use crate::streamer::error::Error;
use crate::streamer::wire::Connection;

/// The server's clock, in milliseconds since the Unix epoch: entry IDs are made by it, not by this machine's.
pub fn now_ms(connection: &mut Connection) -> Result<u64, Error> {
    let (seconds, micros): (u64, u64) = connection.ask(&redis::cmd("TIME"), "", None)?;
    Ok(seconds.saturating_mul(1000).saturating_add(micros / 1000))
}

/// Fails while the server does not serve commands: one that loads its data accepts connections all the same.
pub fn ready(connection: &mut Connection) -> Result<(), Error> {
    match connection.query(&redis::cmd("PING")) {
        // A user who may not ask is served all the same.
        Err(Error::Refused(refusal)) if !refusal.is_passing() => Ok(()),
        asked => asked.map(drop),
    }
}

/// What a server says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct About {
    /// `redis` or `valkey`.
    pub product: &'static str,
    pub version: String,
    pub pid: u64,
    pub uptime_s: u64,
    /// Bytes that its data takes in memory.
    pub memory: u64,
    /// Whether it could write its append-only file the last time.
    pub can_write: bool,
}

pub fn about(connection: &mut Connection) -> Result<About, Error> {
    let text: Vec<u8> = connection.ask(&redis::cmd("INFO"), "", None)?;
    let text = String::from_utf8_lossy(&text);
    let facts: HashMap<&str, &str> = text
        .lines()
        .filter_map(|line| line.trim_end().split_once(':'))
        .collect();
    let number = |name| facts.get(name).and_then(|value| value.parse().ok()).unwrap_or(0);
    let (product, version) = match facts.get("valkey_version") {
        Some(version) => ("valkey", version),
        None => ("redis", facts.get("redis_version").unwrap_or(&"")),
    };
    Ok(About {
        product,
        version: (*version).to_owned(),
        pid: number("process_id"),
        uptime_s: number("uptime_in_seconds"),
        memory: number("used_memory"),
        can_write: facts.get("aof_last_write_status").is_none_or(|status| *status == "ok"),
    })
}

/// Tells a server to save what it has as it is set up to, and to end. Returns when it has closed the connection.
pub fn shut_down(connection: &mut Connection) -> Result<(), Error> {
    match connection.query(&redis::cmd("SHUTDOWN")) {
        Err(Error::Lost { source, .. }) if source.kind() != io::ErrorKind::TimedOut => Ok(()),
        answer => answer.map(drop),
    }
}
