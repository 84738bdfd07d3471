//! What servers know of their streams: lengths, groups, lag, consumers, pending entries; groups made and moved.
//! Functions over a connection, which the caller got from [`Servers`](super::servers::Servers).

pub mod count;
mod facts;
pub mod groups;
pub mod lag;
pub mod lookout;
mod oldest;
pub mod pending;
pub mod scan;
pub mod seek;
pub mod server;
pub mod state;
pub mod subscribe;
pub mod survey;
pub mod unsubscribe;
