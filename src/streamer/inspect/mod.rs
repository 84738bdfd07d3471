//! What servers know of their streams: lengths, groups, lag, consumers, pending entries; groups made and moved.
//! Functions over a connection, which the caller got from [`Servers`](super::servers::Servers).

mod facts;
pub mod groups;
mod oldest;
pub mod pending;
pub mod scan;
pub mod seek;
pub mod server;
pub mod subscribe;
pub mod survey;
pub mod unsubscribe;

/// A name for people to read: what is not UTF-8 in it is replaced.
fn lossy(name: &[u8]) -> String {
    String::from_utf8_lossy(name).into_owned()
}
