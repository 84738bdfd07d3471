//! What becomes of each message: the one owner of every message's state, from its delivery to the confirmed
//! acknowledgement.

use std::collections::{HashMap, HashSet};
use std::time::{Duration, Instant};

use crate::streamer::entry::{EntryId, OwnedFields};

/// A message: the place of its stream among the member's, and its ID there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key {
    pub stream: usize,
    pub id: EntryId,
}

/// What a message that is not done waits for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum State {
    /// A free handler.
    Ready,
    /// The end of its handler.
    Running,
    /// Its next try.
    Waiting(Again),
    /// Its dead letter to be taken by the server.
    Dying {
        reason: String,
        /// Whether it may have been, and the answer was lost.
        in_doubt: bool,
    },
    /// The end of this run, which hands it back. A delivery that was no try does not count.
    Held { tried: bool },
}

/// Why a message is tried again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Again {
    /// Its handler failed.
    Failed,
    /// Its worker put it off.
    PutOff,
}

/// A message that was delivered to this member and is not done.
#[derive(Clone, Debug)]
pub struct Open {
    pub state: State,
    /// How often it was delivered, this time included.
    pub deliveries: u64,
    /// It was idle for no time at some moment before this: so it is idle for longer than this is ago.
    pub fresh: Instant,
    /// What it holds, where it may become a dead letter or is to be handled.
    pub fields: OwnedFields,
}

/// The messages of a member.
#[derive(Debug, Default)]
pub struct Messages {
    open: HashMap<Key, Open>,
    /// Done, and to be acknowledged; by stream.
    settled: Vec<Vec<EntryId>>,
}

impl Messages {
    /// Those of so many streams: none yet.
    pub fn new(streams: usize) -> Self {
        Self {
            open: HashMap::new(),
            settled: vec![Vec::new(); streams],
        }
    }

    /// A message was delivered and is taken on.
    pub fn open(&mut self, key: Key, open: Open) {
        self.open.insert(key, open);
    }

    /// A message was delivered and is to be handed back.
    pub fn hold(&mut self, key: Key, deliveries: u64) {
        let open = Open {
            state: State::Held { tried: false },
            deliveries,
            fresh: Instant::now(),
            fields: Vec::new(),
        };
        self.open.insert(key, open);
    }

    /// A message goes over into another state.
    pub fn set(&mut self, key: Key, state: State) {
        if let Some(open) = self.open.get_mut(&key) {
            open.state = state;
        }
    }

    /// A message's last delivery does not count.
    pub fn discount(&mut self, key: Key) {
        if let Some(open) = self.open.get_mut(&key) {
            open.deliveries -= 1;
        }
    }

    /// A message waits for its next try. It is delivered again then: what it holds need not be kept.
    pub fn wait(&mut self, key: Key, again: Again) {
        if let Some(open) = self.open.get_mut(&key) {
            open.state = State::Waiting(again);
            open.fields = Vec::new();
        }
    }

    pub fn get(&self, key: Key) -> Option<&Open> {
        self.open.get(&key)
    }

    /// A message is done, and is to be acknowledged.
    pub fn settle(&mut self, key: Key) {
        if !self.open.is_empty() {
            self.open.remove(&key);
        }
        self.settled[key.stream].push(key.id);
    }

    /// A message is not this member's any more.
    pub fn forget(&mut self, key: Key) -> Option<Open> {
        self.open.remove(&key)
    }

    /// Acknowledgements that were sent and never confirmed are sent again.
    pub fn settle_again(&mut self, stream: usize, ids: Vec<EntryId>) {
        self.settled[stream].extend(ids);
    }

    /// What is to be acknowledged of each stream.
    pub fn take_settled(&mut self) -> impl Iterator<Item = (usize, Vec<EntryId>)> {
        let all = self.settled.iter_mut().enumerate();
        all.filter(|(_, ids)| !ids.is_empty())
            .map(|(stream, ids)| (stream, std::mem::take(ids)))
            .collect::<Vec<_>>()
            .into_iter()
    }

    /// How many are to be acknowledged.
    pub fn settled(&self) -> usize {
        self.settled.iter().map(Vec::len).sum()
    }

    /// How many are open in one of some states.
    pub fn count(&self, is: impl Fn(&State) -> bool) -> usize {
        self.open.values().filter(|open| is(&open.state)).count()
    }

    /// How many are open.
    pub fn len(&self) -> usize {
        self.open.len()
    }

    /// Whether none is open.
    pub fn is_empty(&self) -> bool {
        self.open.is_empty()
    }

    /// Those that are open.
    pub fn iter(&self) -> impl Iterator<Item = (Key, &Open)> {
        self.open.iter().map(|(key, open)| (*key, open))
    }

    /// Whether a message was delivered and is not done.
    pub fn is_open(&self, key: Key) -> bool {
        !self.open.is_empty() && self.open.contains_key(&key)
    }

    /// Whether a message is being dealt with, be it only that its acknowledgement is not said yet.
    pub fn knows(&self, key: Key) -> bool {
        self.open.contains_key(&key) || self.settled[key.stream].contains(&key.id)
    }

    /// The idle time of these messages was set to nothing at this moment.
    pub fn refreshed(&mut self, stream: usize, ids: &HashSet<EntryId>, moment: Instant) {
        for id in ids {
            if let Some(open) = self.open.get_mut(&Key { stream, id: *id }) {
                open.fresh = moment;
            }
        }
    }

    /// The open messages of a stream that were not fresh for at least so long, and for how long.
    pub fn aging(&self, stream: usize, least: Duration) -> Vec<(EntryId, Duration)> {
        self.iter()
            .filter(|(key, _)| key.stream == stream)
            .map(|(key, open)| (key.id, open.fresh.elapsed()))
            .filter(|(_, age)| *age >= least)
            .collect()
    }
}

/// Groups messages so that one claim can be made of each group, for what was idle for so long at least, that takes
/// nothing from anybody who claimed it in the meantime: he has had it for less time than any of us, if `spread` is
/// less than what it takes to claim.
pub fn by_age<T>(mut aged: Vec<(T, Duration)>, spread: Duration) -> Vec<(Duration, Vec<T>)> {
    aged.sort_by_key(|(_, age)| *age);
    let mut groups: Vec<(Duration, Vec<T>)> = Vec::new();
    for (message, age) in aged {
        match groups.last_mut() {
            Some((youngest, group)) if age - *youngest < spread => group.push(message),
            _ => groups.push((age, vec![message])),
        }
    }
    groups
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(stream: usize, ms: u64) -> Key {
        Key {
            stream,
            id: EntryId::at_ms(ms),
        }
    }

    fn open(state: State) -> Open {
        Open {
            state,
            deliveries: 1,
            fresh: Instant::now(),
            fields: Vec::new(),
        }
    }

    #[test]
    fn a_message_has_one_state_until_it_is_acknowledged() {
        let mut messages = Messages::new(2);
        messages.open(key(1, 5), open(State::Ready));
        messages.set(key(1, 5), State::Running);
        assert_eq!(messages.count(|state| *state == State::Running), 1);
        assert!(messages.knows(key(1, 5)) && !messages.knows(key(0, 5)));
        messages.settle(key(1, 5));
        assert_eq!((messages.iter().count(), messages.settled()), (0, 1));
        assert!(messages.knows(key(1, 5)), "its acknowledgement is still to be said");
        let sent: Vec<_> = messages.take_settled().collect();
        assert_eq!(sent, [(1, vec![EntryId::at_ms(5)])]);
        messages.settle_again(1, vec![EntryId::at_ms(5)]);
        assert_eq!(messages.settled(), 1, "after a lost connection it is said again");
    }

    #[test]
    fn claims_of_one_age_go_together_and_old_ones_apart() {
        let seconds = Duration::from_secs;
        let aged = vec![
            ('b', seconds(4)),
            ('a', seconds(3)),
            ('d', seconds(60)),
            ('c', seconds(7)),
        ];
        let groups = by_age(aged, seconds(5));
        assert_eq!(groups, [(seconds(3), vec!['a', 'b', 'c']), (seconds(60), vec!['d'])]);
        assert_eq!(by_age(Vec::<(char, Duration)>::new(), seconds(5)), []);
    }
}
