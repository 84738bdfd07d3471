//! What a handler is given to do, and how it ended.

use std::time::Duration;

use crate::streamer::entry::EntryId;

/// One handler's work.
#[derive(Clone, Debug)]
pub struct Job {
    /// How many messages it has.
    pub count: usize,
    /// Their lines.
    pub lines: Vec<u8>,
    pub details: Details,
}

/// What there is to know of a job's messages beside their lines.
#[derive(Clone, Debug)]
pub enum Details {
    /// It has one.
    One(JobMessage),
    /// It has several; their stream, if it is the same for all.
    Several { stream: Option<String> },
}

impl Details {
    /// The stream of all messages, if there is one.
    pub fn into_stream(self) -> Option<String> {
        match self {
            Self::One(message) => Some(message.stream),
            Self::Several { stream } => stream,
        }
    }
}

/// The message of a job that has one.
#[derive(Clone, Debug)]
pub struct JobMessage {
    pub stream: String,
    pub id: EntryId,
    /// Empty where the entry is no message.
    pub name: String,
    /// How often it was delivered, this time included.
    pub deliveries: u64,
}

/// How a handler ended.
#[derive(Debug)]
pub enum Verdict {
    Done,
    /// The reason is for people.
    Failed(String),
    /// It is to be tried again after so long, and this was no try.
    Later(Duration),
    /// It is to become a dead letter.
    Dead(String),
    /// No handler has begun with it.
    Untried,
    /// The system has no room for another process now.
    NoRoom(String),
    /// It cannot be started, and for no other message either.
    Unusable(String),
}
