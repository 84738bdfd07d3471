//! How far streams are read, and how far they are to be read.

use super::messages::Key;
use super::settings::Extent;
use crate::streamer::entry::EntryId;

/// The last entries read of some streams, and the last to be read.
#[derive(Clone, Debug)]
pub struct Positions {
    last_read: Vec<EntryId>,
    ends: Option<Vec<EntryId>>,
}

impl Positions {
    /// Nothing is read; `last` are the last entries the streams have now.
    pub fn new(extent: Extent, last: Vec<EntryId>) -> Self {
        Self {
            last_read: vec![EntryId::MIN; last.len()],
            ends: match extent {
                Extent::Endless => None,
                Extent::AsOfNow => Some(last),
            },
        }
    }

    /// An entry was read.
    pub fn read(&mut self, key: Key) {
        self.last_read[key.stream] = self.last_read[key.stream].max(key.id);
    }

    /// The last entry read of a stream.
    pub fn last_read(&self, stream: usize) -> EntryId {
        self.last_read[stream]
    }

    /// Whether there is an end at all.
    pub fn are_limited(&self) -> bool {
        self.ends.is_some()
    }

    /// Whether every stream was read up to its end.
    pub fn are_reached(&self) -> bool {
        self.ends
            .as_ref()
            .is_some_and(|ends| self.last_read.iter().zip(ends).all(|(read, end)| read >= end))
    }
}
