//! One reply, whole, as a cursor or as a tree.

use redis::Value;

use super::resp::{Cursor, Malformed, tree};
use crate::streamer::error::ServerError;

/// A command's reply: a value, or the server's refusal.
pub type Answer = Result<Value, ServerError>;

/// A whole reply, in the connection's buffer.
#[derive(Clone, Copy, Debug)]
pub struct Reply<'a> {
    pub(super) bytes: &'a [u8],
}

impl<'a> Reply<'a> {
    /// Walks the reply in place, or gives the server's refusal.
    pub fn cursor(self) -> Result<Cursor<'a>, ServerError> {
        match self.bytes {
            [b'-', line @ ..] => Err(ServerError::parse(line)),
            bytes => Ok(Cursor::new(bytes)),
        }
    }

    /// The reply as a tree, for the small replies of control commands.
    pub fn value(self) -> Result<Answer, Malformed> {
        match self.bytes {
            [b'-', line @ ..] => Ok(Err(ServerError::parse(line))),
            bytes => tree(bytes).map(Ok),
        }
    }
}
