//! What happens while messages are consumed, for whoever wants to tell of it.

use std::time::Duration;

use crate::streamer::entry::EntryId;
use crate::streamer::error::Error;
use crate::streamer::point::Point;

/// Something that happened.
#[derive(Debug)]
pub enum Event<'a> {
    /// A member begins to read.
    Joined {
        streams: &'a [String],
        group: &'a str,
        consumer: &'a str,
    },
    /// There is no such stream, to read without a group. With a group, that is a failure.
    NoStream {
        stream: &'a str,
        /// Whether its first entry is waited for.
        is_waited_for: bool,
    },
    /// Somebody else reads the stream; this process waits for its turn.
    LeaseAwaited {
        stream: &'a str,
        group: &'a str,
        holder: &'a str,
    },
    /// This process is the one that reads the stream from now on.
    LeaseTaken { stream: &'a str, group: &'a str },
    /// Somebody else is to read the stream, as soon as what is in hand is done.
    LeaseGivenUp { stream: &'a str, group: &'a str },
    /// The lease could not be renewed in time, or is somebody else's.
    LeaseLost { stream: &'a str, group: &'a str },
    /// A group was missing and was made.
    GroupCreated {
        stream: &'a str,
        group: &'a str,
        from: Point,
    },
    /// What is acknowledged is not deleted, as it was to be: the stream has another group by now, and the server cannot
    /// tell what all groups have acknowledged.
    Undeletable { stream: &'a str, group: &'a str },
    /// Entries were deleted or trimmed while they were pending; they are acknowledged.
    Gone { stream: &'a str, ids: &'a [EntryId] },
    /// A message's handler failed.
    HandlerFailed {
        stream: &'a str,
        id: EntryId,
        reason: &'a str,
        next: Next,
    },
    /// The handler of a batch of several failed.
    BatchFailed {
        stream: &'a str,
        first: EntryId,
        messages: usize,
        reason: &'a str,
        next: AfterBatch,
    },
    /// A dead letter could not be added now, and is tried again.
    DeadLetterRefused {
        stream: &'a str,
        id: EntryId,
        dead_letters: &'a str,
        error: &'a Error,
        again_in: Duration,
    },
    /// The system starts no further handler for now.
    FewerHandlers { running: usize, error: &'a str },
    /// So many messages count as acknowledged since they were read, and no handler could be started for them.
    Unhandled(usize),
    /// Nothing is left to do but messages that their workers put off; the next is tried after so long.
    OnlyPutOff { messages: u64, next: Duration },
    /// The consumer's name stays in the group.
    NameKept { consumer: &'a str, why: &'a str },
    /// So many messages are done and not acknowledged, and so many were not handed back: the server
    /// is away, or refuses.
    LeftBehind {
        done: usize,
        held: usize,
        consumer: &'a str,
    },
}

/// What becomes of a message whose handler failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// Another try after so long.
    Retry(Duration),
    /// The dead letters.
    DeadLetter,
    /// Others, who get it when this run ends.
    HandBack,
    /// Nothing: it was deleted, trimmed or claimed by somebody else meanwhile.
    NotOurs,
    /// Nothing: it counts as acknowledged since it was read.
    Nothing,
}

/// What becomes of a batch of several whose handler failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AfterBatch {
    /// Each half is tried by itself.
    Halves,
    /// Nothing: it counts as acknowledged since it was read.
    Nothing,
}
