//! How many entries to ask for at a time: fewer where they are large, so that neither the server nor the way here has
//! to hold much.

use std::num::NonZeroUsize;

/// A number of entries that follows the sizes seen, unless it was given.
#[derive(Clone, Copy, Debug)]
pub struct FetchSize {
    count: usize,
    given: bool,
}

/// How many entries to ask for at most.
const COUNT: usize = 1000;
/// The first read, while nobody knows how large entries are.
const FIRST_COUNT: usize = 4;
/// How many times as many the next read may ask for: the first entries may not be like the others.
const MOST_GROWTH: usize = 16;
/// What a reply should not exceed.
const REPLY_BYTES: usize = 1024 * 1024;

impl FetchSize {
    /// `count` each time, or as the sizes seen suggest.
    pub fn new(count: Option<NonZeroUsize>) -> Self {
        Self {
            count: count.map_or(FIRST_COUNT, NonZeroUsize::get),
            given: count.is_some(),
        }
    }

    pub fn count(&self) -> usize {
        self.count
    }

    /// Learns from a reply of so many entries and bytes.
    pub fn learn(&mut self, (entries, bytes): (usize, usize)) {
        if !self.given && entries > 0 {
            let fitting = REPLY_BYTES / (bytes / entries).max(1);
            self.count = fitting.min(MOST_GROWTH * self.count).clamp(1, COUNT);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn large_entries_are_asked_for_one_by_one() {
        let mut size = FetchSize::new(None);
        size.learn((4, 600));
        assert_eq!(size.count(), 64);
        size.learn((64, 9600));
        assert_eq!(size.count(), COUNT);
        size.learn((10, 50_000_000));
        assert_eq!(size.count(), 1);
        let mut given = FetchSize::new(NonZeroUsize::new(7));
        given.learn((7, 1_000_000_000));
        assert_eq!(given.count(), 7);
    }
}
