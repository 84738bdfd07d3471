//! Messages between their delivery and the end of their handlers: which wait for one, which run, which wait for
//! another try. Their states are in [`Messages`]; this is only the order.

use std::collections::{BTreeSet, HashMap};
use std::time::{Duration, Instant};

use super::ready::{Next, Order, Ready};
use super::settings::Dispatch;
use crate::streamer::consumer::delivery::Sink;
use crate::streamer::consumer::messages::{Key, Messages, Open, State};
use crate::streamer::entry::Entry;

/// After the system had no room for a handler, this long passes without another such failure before one more is
/// tried.
const CALM: Duration = Duration::from_secs(1);

/// The order of the messages in hand.
pub struct Queue {
    order: Order,
    jobs: usize,
    /// How many handlers the system has room for, as far as is known.
    limit: usize,
    last_no_room: Option<Instant>,
    pub ready: Ready,
    /// What was delivered more often than this is a suspect: its consumers ended while they had it in hand.
    most_deliveries: Option<u64>,
    running: HashMap<u64, Vec<Key>>,
    /// The job of a suspect.
    trial: Option<u64>,
    next_number: u64,
    /// Waiting or dying, by when something is to be done about them; and the same by message.
    due: BTreeSet<(Instant, Key)>,
    moments: HashMap<Key, Instant>,
}

impl Sink for Queue {
    fn take(&mut self, messages: &mut Messages, key: Key, _stream: &str, entry: &Entry<'_>) {
        let deliveries = open(messages, key, entry);
        if self.most_deliveries.is_some_and(|most| deliveries > most) {
            self.ready.suspect(key);
        } else {
            self.ready.add(key, entry.size());
        }
    }

    fn is_full(&self) -> bool {
        false
    }

    fn finish(&mut self, _messages: &mut Messages) {}
}

/// Opens a message that is ready; how often it was delivered.
fn open(messages: &mut Messages, key: Key, entry: &Entry<'_>) -> u64 {
    let deliveries = entry.deliveries.unwrap_or(1);
    let open = Open {
        state: State::Ready,
        deliveries,
        fresh: Instant::now(),
        fields: entry.owned_fields(),
    };
    messages.open(key, open);
    deliveries
}

impl Queue {
    pub fn new(dispatch: &Dispatch, order: Order) -> Self {
        let jobs = match order {
            Order::OfArrival => dispatch.jobs.total(),
            Order::Kept => 1,
        };
        Self {
            order,
            jobs,
            limit: jobs,
            last_no_room: None,
            ready: Ready::new(dispatch.batch, order),
            most_deliveries: dispatch.most_deliveries(),
            running: HashMap::new(),
            trial: None,
            next_number: 0,
            due: BTreeSet::new(),
            moments: HashMap::new(),
        }
    }

    /// Takes a message that failed alone, and is tried alone again.
    pub fn take_alone(&mut self, messages: &mut Messages, key: Key, entry: &Entry<'_>) {
        open(messages, key, entry);
        self.ready.add_alone(key);
    }

    /// How many more handlers may work.
    pub fn free_jobs(&self) -> usize {
        self.limit.saturating_sub(self.running.len())
    }

    pub fn running(&self) -> usize {
        self.running.len()
    }

    /// Whether messages wait for another try or for their dead letter.
    pub fn is_waiting(&self) -> bool {
        !self.due.is_empty()
    }

    pub fn is_empty(&self) -> bool {
        self.ready.is_empty() && self.running.is_empty() && self.due.is_empty()
    }

    /// Whether a message that failed is to be dealt with before any other.
    pub fn is_held_back(&self) -> bool {
        self.order == Order::Kept && self.is_waiting()
    }

    /// Whether a message may have another try now.
    pub fn can_retry(&self, has_room: bool) -> bool {
        match self.order {
            Order::OfArrival => has_room,
            Order::Kept => self.running.is_empty(),
        }
    }

    /// How many wait for another try or for their dead letter.
    pub fn waiting(&self) -> usize {
        self.due.len()
    }

    /// Whether a handler may be started, where a batch that is not full is held for so long.
    pub fn can_start(&self, hold: Duration) -> bool {
        self.free_jobs() > 0 && !self.is_held_back() && self.ready.can_start(hold, self.trial.is_some())
    }

    /// What to hand to a handler.
    pub fn next_job(&mut self) -> Option<Next> {
        self.ready.next(self.trial.is_some())
    }

    /// When a batch that is not full has been held for so long.
    pub fn held_until(&self, hold: Duration) -> Option<Instant> {
        let since = self.ready.since().filter(|_| self.free_jobs() > 0);
        since.and_then(|since| since.checked_add(hold))
    }

    /// A job of these messages begins; its number.
    pub fn begin(&mut self, keys: Vec<Key>) -> u64 {
        self.next_number += 1;
        self.running.insert(self.next_number, keys);
        self.next_number
    }

    /// The same of a suspect.
    pub fn begin_trial(&mut self, key: Key) -> u64 {
        let number = self.begin(vec![key]);
        self.trial = Some(number);
        number
    }

    /// A job ended: its messages.
    pub fn end(&mut self, number: u64) -> Vec<Key> {
        let is_calm = self.last_no_room.is_none_or(|last| last.elapsed() > CALM);
        if self.limit < self.jobs && is_calm {
            self.limit += 1;
        }
        self.trial = self.trial.filter(|trial| *trial != number);
        self.running.remove(&number).unwrap_or_default()
    }

    /// The system had no room for a job's handler: its messages wait for the end of another. Says how many handlers
    /// run on, the first time.
    pub fn no_room(&mut self, keys: Vec<Key>) -> Option<usize> {
        let is_first = self.last_no_room.is_none_or(|last| last.elapsed() > 10 * CALM);
        self.last_no_room = Some(Instant::now());
        self.limit = self.running.len().max(1);
        self.ready.put_back(keys);
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
            !matches!(state, Some(State::Waiting(_) | State::Dying { .. }))
        };
        // They were let go in the meantime.
        while let Some((moment, key)) = self.due.first().copied()
            && moment <= now
            && is_over(&key)
        {
            self.unschedule(key);
        }
        let can = |key: &Key| {
            let state = messages.get(*key).map(|open| &open.state);
            let is_waiting = matches!(state, Some(State::Waiting(_)));
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
