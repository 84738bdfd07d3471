//! How messages are dispatched, and what came of it.

use std::num::NonZeroUsize;
use std::time::Duration;

use super::Jobs;
use crate::streamer::consumer::settings::OnFailure;
use crate::streamer::error::Error;

/// How handlers are run.
#[derive(Clone, Debug)]
pub struct Dispatch {
    /// Shared by all members.
    pub jobs: Jobs,
    pub batch: Batch,
    /// How much room there is to be before more is read, while handlers are at work.
    pub refill: NonZeroUsize,
    pub on_failure: OnFailure,
}

/// How many messages a handler gets.
#[derive(Clone, Copy, Debug)]
pub struct Batch {
    pub messages: NonZeroUsize,
    /// How long one that is not full is held.
    pub wait: Duration,
}

impl Batch {
    pub const ONE: Self = Self {
        messages: NonZeroUsize::MIN,
        wait: Duration::ZERO,
    };

    pub fn is_one(&self) -> bool {
        self.messages == NonZeroUsize::MIN
    }
}

impl Dispatch {
    /// The stream of the dead letters, if there is one.
    pub fn dead_letters(&self) -> Option<&str> {
        match &self.on_failure {
            OnFailure::Retry { dead_letter, .. } => dead_letter.as_ref().map(|letters| letters.stream.as_str()),
            OnFailure::HandBack | OnFailure::Drop => None,
        }
    }

    /// How often a message may be delivered.
    pub fn most_deliveries(&self) -> Option<u64> {
        match &self.on_failure {
            OnFailure::Retry { dead_letter, .. } => dead_letter.as_ref().map(|letters| letters.after.get()),
            OnFailure::HandBack | OnFailure::Drop => None,
        }
    }
}

/// What became of the messages.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    pub handled: u64,
    /// Failed, and not tried again by this run.
    pub failed: u64,
    /// Failed, and waited for another try when the time was up.
    pub waiting: u64,
    /// Put off by their workers until after the time was up.
    pub put_off: u64,
}

/// Why dispatching failed.
#[derive(Debug)]
pub enum Failure {
    Servers(Error),
    /// A dead letter could not be added for as long as a server is to be tried.
    NoDeadLetter(Error),
    /// The handler cannot be run.
    Unusable(String),
    /// The system starts no handler, not even one.
    NoRoom(String),
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Servers(error)
    }
}
