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

    /// A read of a stream found nothing new: what there was at the start was delivered, be it to others.
    pub fn exhaust(&mut self, stream: usize) {
        if let Some(ends) = &self.ends {
            self.last_read[stream] = self.last_read[stream].max(ends[stream]);
        }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_end_is_reached_by_reading_it_or_by_finding_nothing_new() {
        let last = vec![EntryId::at_ms(5), EntryId::at_ms(7)];
        let mut positions = Positions::new(Extent::AsOfNow, last.clone());
        let id = EntryId::at_ms(5);
        positions.read(Key { stream: 0, id });
        assert!(!positions.are_reached());
        positions.exhaust(1);
        assert!(positions.are_reached());
        let mut endless = Positions::new(Extent::Endless, last);
        endless.exhaust(0);
        assert!(!endless.are_reached() && !endless.are_limited());
    }
}
