//! What a handler is given to do, and how it ended.

use crate::streamer::entry::EntryId;

/// One handler's work.
#[derive(Clone, Debug)]
pub struct Job {
    pub messages: Vec<JobMessage>,
}

/// A message as a handler gets it.
#[derive(Clone, Debug)]
pub struct JobMessage {
    pub stream: String,
    pub id: EntryId,
    /// Empty where the entry is no message.
    pub name: String,
    /// How often it was delivered, this time included.
    pub deliveries: u64,
    pub line: Vec<u8>,
}

/// How a handler ended.
#[derive(Debug)]
pub enum Verdict {
    Done,
    /// The reason is for people.
    Failed(String),
    /// The system has no room for another process now.
    NoRoom(String),
    /// It cannot be started, and for no other message either.
    Unusable(String),
}
