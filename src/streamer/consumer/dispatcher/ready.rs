//! Messages that wait for a free handler, and which of them it gets together.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::settings::Batch;
use crate::streamer::consumer::messages::Key;

/// A batch ends once what its messages hold exceeds this.
const MOST_BYTES: usize = 4 * 1024 * 1024;

/// How many suspects may wait for their trials, which take one job at a time.
const MOST_SUSPECTS: usize = 1000;

/// What a free handler gets.
#[derive(Debug, PartialEq, Eq)]
pub enum Next {
    Batch(Vec<Key>),
    /// A message that was delivered as often as it may be tried, and that nobody has finished.
    Suspect(Key),
}

/// In which order messages go to handlers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// As they come; parts and suspects before others.
    OfArrival,
    /// That of the one stream.
    Kept,
}

/// The messages that wait for a free handler, in their order.
pub struct Ready {
    batch: Batch,
    order: Order,
    /// Handled as they are, whatever else comes: halves of a batch that failed, messages that failed alone.
    parts: VecDeque<Vec<Key>>,
    /// Those that share batches with whatever comes next.
    loose: VecDeque<Loose>,
    /// What these hold.
    bytes: usize,
    suspects: VecDeque<Key>,
}

struct Loose {
    key: Key,
    bytes: usize,
    since: Instant,
}

impl Ready {
    pub fn new(batch: Batch, order: Order) -> Self {
        Self {
            batch,
            order,
            parts: VecDeque::new(),
            loose: VecDeque::new(),
            bytes: 0,
            suspects: VecDeque::new(),
        }
    }

    /// A message came, which holds so many bytes.
    pub fn add(&mut self, key: Key, bytes: usize) {
        let since = Instant::now();
        self.bytes += bytes;
        let place = match self.order {
            Order::OfArrival => self.loose.len(),
            Order::Kept => self.loose.partition_point(|loose| loose.key < key),
        };
        self.loose.insert(place, Loose { key, bytes, since });
    }

    pub fn suspect(&mut self, key: Key) {
        let place = match self.order {
            Order::OfArrival => self.suspects.len(),
            Order::Kept => self.suspects.partition_point(|suspect| *suspect < key),
        };
        self.suspects.insert(place, key);
    }

    /// A suspect whose trial did not begin.
    pub fn suspect_again(&mut self, key: Key) {
        self.suspects.push_front(key);
    }

    /// A message that is to be handled alone.
    pub fn add_alone(&mut self, key: Key) {
        match self.order {
            Order::OfArrival => self.parts.push_back(vec![key]),
            // All others wait for it.
            Order::Kept => self.parts.push_front(vec![key]),
        }
    }

    /// Messages that are to be handled together before all others.
    pub fn put_back(&mut self, keys: Vec<Key>) {
        self.parts.push_front(keys);
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.loose.len() + self.suspects.len() + self.parts.iter().map(Vec::len).sum::<usize>()
    }

    pub fn is_empty(&self) -> bool {
        self.loose.is_empty() && self.parts.is_empty() && self.suspects.is_empty()
    }

    /// How many more messages fit the batches that so many jobs may take.
    pub fn room(&self, jobs: usize) -> usize {
        let needed = self.parts.len() + usize::from(!self.suspects.is_empty());
        let jobs = jobs.saturating_sub(needed);
        if self.bytes >= jobs.saturating_mul(MOST_BYTES) || self.suspects.len() >= MOST_SUSPECTS {
            return 0;
        }
        jobs.saturating_mul(self.batch.messages.get())
            .saturating_sub(self.loose.len())
    }

    /// Whether a handler has something to do. A batch that is not full is held for so long at most; one suspect is tried
    /// at a time.
    pub fn can_start(&self, hold: Duration, is_trial_on: bool) -> bool {
        let is_due = |since: Instant| since.elapsed() >= hold;
        self.has_part() || !is_trial_on && self.has_suspect() || self.since().is_some_and(is_due) || self.next_batch().1
    }

    /// Since when the oldest message waits that may share a batch.
    pub fn since(&self) -> Option<Instant> {
        self.loose.front().map(|loose| loose.since)
    }

    /// What a handler gets. To be asked where it [can start](Self::can_start).
    pub fn next(&mut self, is_trial_on: bool) -> Option<Next> {
        if self.has_part()
            && let Some(part) = self.parts.pop_front()
        {
            return Some(Next::Batch(part));
        }
        if !is_trial_on
            && self.has_suspect()
            && let Some(suspect) = self.suspects.pop_front()
        {
            return Some(Next::Suspect(suspect));
        }
        let (count, _) = self.next_batch();
        let taken: Vec<_> = self.loose.drain(..count).collect();
        self.bytes -= taken.iter().map(|loose| loose.bytes).sum::<usize>();
        let keys: Vec<_> = taken.into_iter().map(|loose| loose.key).collect();
        (!keys.is_empty()).then_some(Next::Batch(keys))
    }

    /// Whether a part is next.
    fn has_part(&self) -> bool {
        let first = self.parts.front().and_then(|part| part.first());
        first.is_some_and(|key| self.is_next(*key))
    }

    /// Whether a suspect is next, but for parts.
    fn has_suspect(&self) -> bool {
        self.suspects.front().is_some_and(|key| self.is_next(*key))
    }

    /// Whether nothing is to be handled before a message.
    fn is_next(&self, key: Key) -> bool {
        let part = self.parts.front().and_then(|part| part.first());
        let heads = [part, self.suspects.front(), self.loose.front().map(|loose| &loose.key)];
        self.order == Order::OfArrival || heads.into_iter().flatten().all(|head| key <= *head)
    }

    /// How many messages the next batch has so far, and whether it takes no more.
    fn next_batch(&self) -> (usize, bool) {
        let most = self.batch.messages.get();
        if self.order == Order::Kept {
            let part = self.parts.front().and_then(|part| part.first());
            let others = [part, self.suspects.front()];
            if let Some(first) = others.into_iter().flatten().min() {
                // It ends before what is handled by itself.
                let count = self.loose.partition_point(|loose| loose.key < *first).min(most);
                return (count, count > 0);
            }
        }
        if self.bytes < MOST_BYTES {
            return (self.loose.len().min(most), self.loose.len() >= most);
        }
        let mut bytes = 0;
        for (count, loose) in self.loose.iter().take(most).enumerate() {
            bytes += loose.bytes;
            if bytes >= MOST_BYTES {
                return (count + 1, true);
            }
        }
        (self.loose.len().min(most), self.loose.len() >= most)
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroUsize;

    use super::*;
    use crate::streamer::entry::EntryId;

    const AT_ONCE: Duration = Duration::ZERO;
    const LATER: Duration = Duration::from_secs(3600);

    fn key(ms: u64) -> Key {
        Key {
            stream: 0,
            id: EntryId::at_ms(ms),
        }
    }

    fn keys(range: impl IntoIterator<Item = u64>) -> Vec<Key> {
        range.into_iter().map(key).collect()
    }

    fn ready(messages: usize) -> Ready {
        ready_in(Order::OfArrival, messages)
    }

    fn ready_in(order: Order, messages: usize) -> Ready {
        let batch = Batch {
            messages: NonZeroUsize::new(messages).unwrap(),
            wait: Duration::ZERO,
        };
        Ready::new(batch, order)
    }

    #[test]
    fn a_batch_is_full_by_its_messages_or_by_what_they_hold() {
        let mut ready = ready(3);
        assert_eq!((ready.room(2), ready.can_start(AT_ONCE, false)), (6, false));
        (1..=4).for_each(|ms| ready.add(key(ms), 10));
        assert_eq!(ready.room(2), 2);
        assert!(ready.can_start(LATER, false));
        assert_eq!(ready.next(false), Some(Next::Batch(keys(1..=3))));
        assert!(!ready.can_start(LATER, false) && ready.can_start(AT_ONCE, false));
        ready.add(key(5), MOST_BYTES);
        assert!(ready.can_start(LATER, false));
        assert_eq!(ready.room(1), 0, "another batch has no job");
        ready.add(key(6), 1);
        assert_eq!(ready.next(false), Some(Next::Batch(keys([4, 5]))));
        assert_eq!(ready.next(false), Some(Next::Batch(keys([6]))));
        assert_eq!((ready.next(false), ready.bytes), (None, 0));
    }

    #[test]
    fn parts_stay_together_and_come_first() {
        let mut ready = ready(10);
        ready.add(key(5), 1);
        ready.put_back(keys([3, 4]));
        ready.put_back(keys([1, 2]));
        ready.add_alone(key(9));
        assert_eq!((ready.len(), ready.room(3), ready.room(4)), (6, 0, 9));
        for expected in [keys([1, 2]), keys([3, 4]), keys([9]), keys([5])] {
            assert_eq!(ready.next(false), Some(Next::Batch(expected)));
        }
    }

    #[test]
    fn an_order_is_kept_whatever_is_handled_by_itself() {
        let mut ready = ready_in(Order::Kept, 10);
        for ms in [6, 3, 9, 1] {
            ready.add(key(ms), 1);
        }
        ready.suspect(key(7));
        ready.suspect(key(4));
        ready.put_back(keys([0]));
        for expected in [keys([0]), keys([1, 3])] {
            assert!(ready.can_start(LATER, false));
            assert_eq!(ready.next(false), Some(Next::Batch(expected)));
        }
        assert_eq!(ready.next(false), Some(Next::Suspect(key(4))));
        ready.add_alone(key(4));
        assert_eq!(ready.next(false), Some(Next::Batch(keys([4]))));
        assert_eq!(ready.next(false), Some(Next::Batch(keys([6]))));
        assert_eq!(ready.next(false), Some(Next::Suspect(key(7))));
        assert!(!ready.can_start(LATER, false));
        assert_eq!(ready.next(false), Some(Next::Batch(keys([9]))));
    }

    #[test]
    fn one_suspect_is_tried_at_a_time() {
        let mut ready = ready(10);
        ready.suspect(key(1));
        ready.suspect(key(2));
        assert_eq!((ready.room(1), ready.room(2)), (0, 10));
        assert_eq!(ready.next(false), Some(Next::Suspect(key(1))));
        assert!(!ready.can_start(AT_ONCE, true));
        ready.add(key(3), 1);
        assert_eq!(ready.next(true), Some(Next::Batch(keys([3]))));
        assert_eq!(ready.next(false), Some(Next::Suspect(key(2))));
    }
}
