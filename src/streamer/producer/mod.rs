//! Adding entries: one at a time, or the records of an input in batches, each exactly once and in order, across lost
//! connections, servers that come back, and runs that were killed.
//!
//! A batch is one transaction ([`transaction`]) that also moves the producer's [`marker`]. The [`pipeline`] keeps a
//! window of batches in flight; after a loss the marker tells how many are in ([`chain`], [`recovery`]). Where the server
//! allows no marker, entries are sent without ([`plain`]), and a lost connection leaves doubt. Where replicas or the disk
//! are to have a batch before it is told of ([`durability`]), it is kept until then ([`safety`]).

pub mod add;
mod batch;
mod chain;
pub mod durability;
mod ending;
mod flight;
mod host;
mod interference;
mod link;
mod look_up;
mod marker;
mod pipeline;
mod plain;
mod recovery;
mod refusals;
mod safety;
mod start;
mod telling;
mod transaction;
mod trouble;

use std::time::Duration;

use crate::streamer::entry::EntryId;

pub use batch::{Batch, Command, MOST_BYTES, MOST_RECORDS, Place, Record, Sent, Span, Unfit};
pub use durability::{Copies, Durability, Reached};
pub use host::{Arrival, Journal, LastId, Note, Progress, Rewind, Source, Why, Written};
pub use marker::new_producer;
pub use start::{Begin, Started, start};
pub use trouble::{Cause, Trouble};

/// What is to be sent, and how.
#[derive(Clone, Debug)]
pub struct Settings {
    pub stream: String,
    /// Which producer this is, by the name that its marker has: that of the earlier run, where one is taken up.
    pub producer: String,
    /// How many producers share the memory that one may take.
    pub producers: usize,
    pub entry_ids: EntryIds,
    /// Whether the IDs of a batch are to be found out whose answer was lost.
    pub lost_ids: LostIds,
    pub in_doubt: InDoubt,
    pub marker: MarkerAfterwards,
    /// When a record that is in the stream counts as safe, if it does not at once.
    pub durability: Option<Durability>,
    /// How long to try to reach the server at first.
    pub first: First,
    /// How long to try to reach a lost server again.
    pub reconnect_for: Duration,
    /// An earlier run of the same sending.
    pub earlier: Option<Earlier>,
}

/// Whether a server that is away at first is waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum First {
    /// For so long, if at all: nobody has reached it yet.
    Unknown { wait: Option<Duration> },
    /// As one that was lost: others of this sending have reached it.
    Reached,
}

/// Who gives the entries their IDs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EntryIds {
    Made,
    Given,
}

/// Whether IDs in answers that were lost are looked up in the stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LostIds {
    LookUp,
    Leave,
}

/// What to do when nobody can know whether records are in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InDoubt {
    Stop,
    /// Send them, perhaps again.
    Repeat,
}

/// What becomes of the marker when all is settled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MarkerAfterwards {
    Delete,
    /// A later run will look for it.
    Keep,
}

/// What an earlier run left behind.
#[derive(Clone, Copy, Debug)]
pub struct Earlier {
    /// What it noted last. The marker may know more.
    pub progress: Progress,
    pub written: Written,
    pub ending: EarlierEnding,
    /// The stream's last ID before anything was sent.
    pub origin: Option<EntryId>,
}

/// How an earlier run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EarlierEnding {
    /// Nothing was on its way any more.
    Settled,
    /// It was killed, or was lost with its server.
    Unsettled,
}
