//! Messages between their delivery and the end of their handlers: which wait for one, which run, which wait for
//! another try. Their states are in [`Messages`]; this is only the order.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::time::{Duration, Instant};

use crate::streamer::consumer::delivery::Sink;
use crate::streamer::consumer::messages::{Key, Messages, Open, State};
use crate::streamer::entry::Entry;

/// After the system had no room for a handler, this long passes without another such failure before one more is
/// tried.
const CALM: Duration = Duration::from_secs(1);

/// The order of the messages in hand.
pub struct Queue {
    jobs: usize,
    /// How many handlers the system has room for, as far as is known.
    limit: usize,
    last_no_room: Option<Instant>,
    ready: VecDeque<Key>,
    running: HashMap<u64, Vec<Key>>,
    next_number: u64,
    /// Waiting or dying, by when something is to be done about them; and the same by message.
    due: BTreeSet<(Instant, Key)>,
    moments: HashMap<Key, Instant>,
}

impl Sink for Queue {
    fn take(&mut self, messages: &mut Messages, key: Key, _stream: &str, entry: &Entry<'_>) {
        let open = Open {
            state: State::Ready,
            deliveries: entry.deliveries.unwrap_or(1),
            fresh: Instant::now(),
            fields: entry.owned_fields(),
        };
        messages.open(key, open);
        self.ready.push_back(key);
    }

    fn is_full(&self) -> bool {
        false
    }

    fn finish(&mut self, _messages: &mut Messages) {}
}

impl Queue {
    pub fn new(jobs: usize) -> Self {
        Self {
            jobs,
            limit: jobs,
            last_no_room: None,
            ready: VecDeque::new(),
            running: HashMap::new(),
            next_number: 0,
            due: BTreeSet::new(),
            moments: HashMap::new(),
        }
    }

    /// How many more messages can be handled now.
    pub fn free(&self) -> usize {
        self.limit.saturating_sub(self.running.len() + self.ready.len())
    }

    pub fn running(&self) -> usize {
        self.running.len()
    }

    pub fn has_ready(&self) -> bool {
        !self.ready.is_empty()
    }

    pub fn ready(&self) -> usize {
        self.ready.len()
    }

    /// Whether messages wait for another try or for their dead letter.
    pub fn is_waiting(&self) -> bool {
        !self.due.is_empty()
    }

    pub fn is_empty(&self) -> bool {
        self.ready.is_empty() && self.running.is_empty() && self.due.is_empty()
    }

    /// How many wait for another try or for their dead letter.
    pub fn waiting(&self) -> usize {
        self.due.len()
    }

    /// Whether a message is ready that a handler may be started for.
    pub fn can_start(&self) -> bool {
        !self.ready.is_empty() && self.running.len() < self.limit
    }

    /// The next message to hand to a handler.
    pub fn next_ready(&mut self) -> Option<Key> {
        self.ready.pop_front()
    }

    /// A job of these messages begins; its number.
    pub fn begin(&mut self, keys: Vec<Key>) -> u64 {
        self.next_number += 1;
        self.running.insert(self.next_number, keys);
        self.next_number
    }

    /// A job ended: its messages.
    pub fn end(&mut self, number: u64) -> Vec<Key> {
        let is_calm = self.last_no_room.is_none_or(|last| last.elapsed() > CALM);
        if self.limit < self.jobs && is_calm {
            self.limit += 1;
        }
        self.running.remove(&number).unwrap_or_default()
    }

    /// The system had no room for a job's handler: its messages wait for the end of another. Says how many handlers
    /// run on, the first time.
    pub fn no_room(&mut self, keys: Vec<Key>) -> Option<usize> {
        let is_first = self.last_no_room.is_none_or(|last| last.elapsed() > 10 * CALM);
        self.last_no_room = Some(Instant::now());
        self.limit = self.running.len().max(1);
        for key in keys.into_iter().rev() {
            self.ready.push_front(key);
        }
        is_first.then_some(self.running.len())
    }

    /// Something is to be done about a message at this moment.
    pub fn schedule(&mut self, moment: Instant, key: Key) {
        self.unschedule(key);
        self.due.insert((moment, key));
        self.moments.insert(key, moment);
    }

    fn unschedule(&mut self, key: Key) {
        if let Some(moment) = self.moments.remove(&key) {
            self.due.remove(&(moment, key));
        }
    }

    /// When something is to be done that can be done: a message that waits needs room for its next try.
    pub fn next_due(&mut self, messages: &Messages, has_room: bool) -> Option<Instant> {
        let now = Instant::now();
        let is_over = |key: &Key| {
            let state = messages.get(*key).map(|open| &open.state);
            !matches!(state, Some(State::Waiting | State::Dying { .. }))
        };
        // They were let go in the meantime.
        while let Some((moment, key)) = self.due.first().copied()
            && moment <= now
            && is_over(&key)
        {
            self.unschedule(key);
        }
        let can = |key: &Key| {
            let is_waiting = messages.get(*key).is_some_and(|open| open.state == State::Waiting);
            !is_waiting || has_room
        };
        self.due.iter().find(|(_, key)| can(key)).map(|(moment, _)| *moment)
    }

    /// The next message that is due, if one is in this state.
    pub fn take_due(&mut self, messages: &Messages, is: impl Fn(&State) -> bool) -> Option<Key> {
        let now = Instant::now();
        let found = self
            .due
            .iter()
            .take_while(|(moment, _)| *moment <= now)
            .find(|(_, key)| messages.get(*key).is_none_or(|open| is(&open.state)))
            .copied()?;
        self.unschedule(found.1);
        Some(found.1)
    }
}
