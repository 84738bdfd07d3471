//! How a sending ends that did not go well.

use super::batch::Span;
use super::durability::Reached;
use crate::streamer::error::{Error, ServerError};

/// Why a sending broke off.
#[derive(Debug)]
pub enum Trouble<E> {
    /// The input could not be read, or what became of it could not be written.
    Host(E),
    /// The server failed; of some lines it may not be known whether they are in.
    Server { error: Error, in_doubt: Option<Span> },
    /// The work was asked to end.
    Ended { in_doubt: Option<Span> },
    /// It cannot be known whether these lines are in.
    Doubt { cause: Cause, lines: Span },
    /// The server lost these lines after it had confirmed them, and they cannot be read again.
    Lost(Span),
    /// These lines are in the stream twice: what an old connection still carried was added after it was sent again.
    Twice(Span),
    /// What was sent last is in the stream, and not where it was to be before it counts as safe.
    NotSafe(Reached),
    /// The marker is not what this sending wrote: another one is at work under its name.
    Foreign { marker: String },
}

/// Why the stream cannot tell what is in it.
#[derive(Debug)]
pub enum Cause {
    /// There is no marker, because the server refuses it.
    NoMarker(ServerError),
    /// The marker is gone.
    MarkerGone,
    /// Two connections may have brought the same lines.
    TwoConnections,
    /// The server refused some batches, and took one behind them.
    Refusals,
}

impl<E> From<Error> for Trouble<E> {
    fn from(error: Error) -> Self {
        Self::Server { error, in_doubt: None }
    }
}
