//! Jobs: how they begin.
//!
//! A message that was delivered as often as it may be tried, without an end, goes to the dead letters: whatever ended
//! its consumers may be its doing. Where it was one of a batch it may as well be another's. So it is tried alone once,
//! one at a time, and this is told to the server before the handler starts: whoever finds that, knows.

use std::time::Duration;

use super::jobs::Permit;
use super::ready::Next;
use super::{Details, Dispatcher, Ended, Handlers, Job};
use crate::streamer::consumer::dispatcher::job::JobMessage;
use crate::streamer::consumer::messages::{Key, State};
use crate::streamer::entry::Entry;
use crate::streamer::error::Error;

/// How often a system without room for a handler is asked again.
const NO_ROOM_PAUSE: Duration = Duration::from_millis(100);

impl<'scope, 'a: 'scope, H: Handlers> Dispatcher<'scope, '_, 'a, H> {
    /// Hands messages to free handlers, as far as there are jobs for them.
    pub(super) fn start_ready(&mut self) -> Result<(), Error> {
        if self.queue.running() == 0 && self.no_room_since.is_some() {
            std::thread::sleep(NO_ROOM_PAUSE);
        }
        while self.queue.can_start(self.hold())
            && let Some(permit) = self.seat.take()
            && let Some(next) = self.queue.next_job()
        {
            match next {
                Next::Batch(keys) => {
                    if let Some((keys, job)) = self.job(keys) {
                        let number = self.queue.begin(keys);
                        self.start(number, job, permit);
                    }
                }
                Next::Suspect(key) => self.start_suspect(key, permit)?,
            }
        }
        if !self.queue.can_start(self.hold()) {
            self.seat.rest();
        }
        Ok(())
    }

    fn start(&mut self, number: u64, job: Job, permit: Permit) {
        let ended = Ended {
            number,
            permit,
            tell: self.tell.clone(),
        };
        self.handlers.start(job, ended);
    }

    /// Begins a message's trial, unless it had one, or was alone each time.
    fn start_suspect(&mut self, key: Key, permit: Permit) -> Result<(), Error> {
        let Some(deliveries) = self.member.messages().get(key).map(|open| open.deliveries) else {
            return Ok(());
        };
        let trials = u64::from(!self.dispatch.batch.is_one());
        let most = self
            .dispatch
            .most_deliveries()
            .unwrap_or(u64::MAX)
            .saturating_add(trials);
        if deliveries > most {
            let reason = "it was never finished: its consumers ended while it was handled";
            // It is not tried this time.
            self.member.messages().discount(key);
            self.give_up(key, reason);
            return Ok(());
        }
        match self.member.tell_deliveries(key) {
            Ok(true) => {}
            Ok(false) => return Ok(()),
            Err(error) => {
                self.queue.ready.suspect_again(key);
                return Err(error);
            }
        }
        if let Some((_, job)) = self.job(vec![key]) {
            let number = self.queue.begin_trial(key);
            self.start(number, job, permit);
        }
        Ok(())
    }

    /// A job of messages, and which of them are in it: those that are still this member's. `None` if none is.
    fn job(&mut self, keys: Vec<Key>) -> Option<(Vec<Key>, Job)> {
        let mut lines = Vec::new();
        let mut details = None;
        let keys: Vec<_> = keys
            .into_iter()
            .filter(|key| self.add_line(*key, &mut lines, &mut details))
            .collect();
        let count = keys.len();
        details.map(|details| (keys, Job { count, lines, details }))
    }

    /// Adds a message to a job, if it is still to be handled.
    fn add_line(&mut self, key: Key, lines: &mut Vec<u8>, details: &mut Option<Details>) -> bool {
        let settings = self.member.settings;
        let stream = &settings.streams[key.stream];
        let open = self.member.delivery.messages.get(key);
        let Some(open) = open.filter(|open| open.state == State::Ready) else {
            return false;
        };
        let fields = open.fields.iter();
        let entry = Entry {
            id: key.id,
            fields: fields
                .map(|(name, value)| (name.as_slice(), value.as_slice()))
                .collect(),
            deliveries: Some(open.deliveries),
        };
        self.handlers.line(lines, stream, &entry);
        *details = Some(match details.take() {
            None => Details::One(JobMessage {
                stream: stream.clone(),
                id: key.id,
                name: entry.name().unwrap_or_default().to_owned(),
                deliveries: open.deliveries,
            }),
            Some(before) => Details::Several {
                stream: before.into_stream().filter(|before| before == stream),
            },
        });
        self.member.messages().set(key, State::Running);
        true
    }
}
