//! What is asked of the server itself.

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
