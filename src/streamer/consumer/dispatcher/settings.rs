//! How messages are dispatched, and what came of it.

use super::Jobs;
use crate::streamer::consumer::settings::OnFailure;
use crate::streamer::error::Error;

/// How handlers are run.
#[derive(Clone, Debug)]
pub struct Dispatch {
    /// Shared by all members.
    pub jobs: Jobs,
    pub on_failure: OnFailure,
}

impl Dispatch {
    /// The stream of the dead letters, if there is one.
    pub fn dead_letters(&self) -> Option<&str> {
        match &self.on_failure {
            OnFailure::Retry { dead_letter, .. } => dead_letter.as_ref().map(|letters| letters.stream.as_str()),
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
