//! How far streams are read, and how far `-e` asks to read them.

use crate::streamer::{EntryId, Error, Streamer};

use super::member::Key;

/// The last entries read of some streams, and with `-e` the last there were at the start.
#[derive(Clone, Debug)]
pub struct Horizon {
    last_read: Vec<EntryId>,
    ends: Option<Vec<EntryId>>,
}

impl Horizon {
    /// Nothing of the streams is read, and there is no end to it.
    pub fn open(streams: usize) -> Self {
        Self {
            last_read: vec![EntryId::MIN; streams],
            ends: None,
        }
    }

    /// Nothing is read, and what is in the streams now is to be read.
    pub fn here(streamer: &mut Streamer, streams: &[String]) -> Result<Self, Error> {
        let last = |stream: &String| Ok(streamer.stream_info(stream)?.map_or(EntryId::MIN, |info| info.last_id));
        Ok(Self {
            ends: Some(streams.iter().map(last).collect::<Result<_, Error>>()?),
            ..Self::open(streams.len())
        })
    }

    /// An entry was read.
    pub fn pass(&mut self, (stream, id): Key) {
        self.last_read[stream] = self.last_read[stream].max(id);
    }

    /// The last entry read of a stream.
    pub fn last_read(&self, stream: usize) -> EntryId {
        self.last_read[stream]
    }

    /// Whether there is an end at all.
    pub fn is_limited(&self) -> bool {
        self.ends.is_some()
    }

    /// Whether every stream was read up to its end.
    pub fn is_reached(&self) -> bool {
        self.ends
            .as_ref()
            .is_some_and(|ends| self.last_read.iter().zip(ends).all(|(read, end)| read >= end))
    }
}
