//! Jobs: how they begin, and what their end means for their messages.

use std::time::{Duration, Instant};

use super::{Dispatcher, Failure, Handlers, Verdict};
use crate::streamer::consumer::dead_letter::DeadLetter;
use crate::streamer::consumer::event::{AfterBatch, Event, Next};
use crate::streamer::consumer::lease::Lease;
use crate::streamer::consumer::messages::{Again, Key, State};
use crate::streamer::consumer::settings::OnFailure;
use crate::streamer::servers::jittered;
use crate::streamer::stop::Ending;

/// The longest pause before another try: doubling must not end in days.
const LONGEST_RETRY_DELAY: Duration = Duration::from_secs(3600);

/// How long the system may have no room for a single handler.
const NO_ROOM_PATIENCE: Duration = Duration::from_secs(5);

impl<'scope, 'a: 'scope, H: Handlers> Dispatcher<'scope, '_, 'a, H> {
    /// Decides what a handler's end means for its messages.
    pub(super) fn settle_job(&mut self, number: u64, verdict: Verdict) -> Result<(), Failure> {
        let keys = self.queue.end(number);
        if !matches!(verdict, Verdict::NoRoom(_)) {
            self.no_room_since = None;
        }
        match verdict {
            Verdict::Done => {
                for key in keys {
                    self.tally.handled += 1;
                    self.member.messages().settle(key);
                }
            }
            Verdict::NoRoom(error) => return self.no_room(keys, error),
            Verdict::Untried => {
                for key in &keys {
                    self.member.messages().set(*key, State::Ready);
                }
                self.queue.ready.put_back(keys);
            }
            Verdict::Later(pause) => return each(keys, |key| self.later(key, pause)),
            Verdict::Dead(reason) => return each(keys, |key| self.dead(key, &reason)),
            Verdict::Unusable(why) => {
                self.set_aside(keys);
                return Err(Failure::Unusable(why));
            }
            // It was ended, as a rule. Whoever has the stream now gets its messages.
            Verdict::Failed(_) if self.run.lease.is_some_and(Lease::is_over) => self.set_aside(keys),
            // It may have written to the closed pipe and died of that: no fault of the message, which others get.
            Verdict::Failed(_) if !self.handlers.has_reader() => {
                self.set_aside(keys);
                self.run.stop.end(Ending::ReaderGone);
            }
            Verdict::Failed(reason) => match keys.as_slice() {
                [only] => return self.failed(*only, &reason),
                _ => return self.batch_failed(keys, &reason),
            },
        }
        Ok(())
    }

    /// Messages whose handlers were not at work are handed back at the end.
    fn set_aside(&mut self, keys: Vec<Key>) {
        for key in keys {
            self.member.messages().set(key, State::Held { tried: false });
        }
    }

    /// The system has no room for a handler now: its messages are no worse for it, and wait.
    fn no_room(&mut self, keys: Vec<Key>, error: String) -> Result<(), Failure> {
        for key in &keys {
            self.member.messages().set(*key, State::Ready);
        }
        if let Some(running) = self.queue.no_room(keys) {
            (self.run.tell)(Event::FewerHandlers { running, error: &error });
        }
        let since = *self.no_room_since.get_or_insert_with(Instant::now);
        if self.queue.running() == 0 && since.elapsed() > NO_ROOM_PATIENCE {
            return Err(Failure::NoRoom(error));
        }
        Ok(())
    }

    /// A handler failed a batch of several: that is held against none of them. Each half is tried by itself, at once: in
    /// the end, what made it fail stands alone.
    fn batch_failed(&mut self, mut keys: Vec<Key>, reason: &str) -> Result<(), Failure> {
        let is_over = matches!(self.dispatch.on_failure, OnFailure::Drop);
        if let Some(first) = keys.first() {
            (self.run.tell)(Event::BatchFailed {
                stream: &self.member.settings.streams[first.stream],
                first: first.id,
                messages: keys.len(),
                reason,
                next: if is_over {
                    AfterBatch::Nothing
                } else {
                    AfterBatch::Halves
                },
            });
        }
        if is_over {
            self.tally.failed += keys.len() as u64;
            keys.into_iter().for_each(|key| self.member.messages().settle(key));
            return Ok(());
        }
        for key in &keys {
            self.member.messages().set(*key, State::Ready);
        }
        let rest = keys.split_off(keys.len().div_ceil(2));
        self.queue.ready.put_back(rest);
        self.queue.ready.put_back(keys);
        if self.member.link.is_lost {
            return Ok(());
        }
        // What was taken from us or deleted meanwhile is not tried again.
        Ok(self.member.keep_alive()?)
    }

    /// A message is to be tried again after a pause: this was no try.
    fn later(&mut self, key: Key, pause: Duration) -> Result<(), Failure> {
        if matches!(self.dispatch.on_failure, OnFailure::Drop) {
            return self.failed(key, "it was to be tried later");
        }
        let Some(moment) = Instant::now().checked_add(pause) else {
            return self.failed(key, "it was to be tried at no time");
        };
        self.member.messages().discount(key);
        self.member.messages().wait(key, Again::PutOff);
        self.queue.schedule(moment, key);
        Ok(())
    }

    /// A message is to be a dead letter, where there are any.
    fn dead(&mut self, key: Key, reason: &str) -> Result<(), Failure> {
        if self.dispatch.dead_letters().is_none() {
            return self.failed(key, reason);
        }
        (self.run.tell)(Event::HandlerFailed {
            stream: &self.member.settings.streams[key.stream],
            id: key.id,
            reason,
            next: Next::DeadLetter,
        });
        self.give_up(key, reason);
        Ok(())
    }

    /// A handler failed a message.
    fn failed(&mut self, key: Key, reason: &str) -> Result<(), Failure> {
        let Some(deliveries) = self.member.messages().get(key).map(|open| open.deliveries) else {
            return Ok(());
        };
        let mut next = after_failure(&self.dispatch.on_failure, deliveries);
        let mut looked = Ok(());
        // At the end of the run the server may be away: what is handed back to it is looked for then.
        if matches!(next, Next::HandBack) && !self.member.link.is_lost {
            match self.member.tell_deliveries(key) {
                Ok(true) => {}
                Ok(false) => next = Next::NotOurs,
                // It is handed back if it is there.
                Err(error) => looked = Err(error.into()),
            }
        }
        (self.run.tell)(Event::HandlerFailed {
            stream: &self.member.settings.streams[key.stream],
            id: key.id,
            reason,
            next,
        });
        match next {
            Next::Nothing => {
                self.tally.failed += 1;
                self.member.messages().settle(key);
            }
            Next::NotOurs => self.tally.failed += 1,
            Next::HandBack => {
                self.tally.failed += 1;
                self.member.messages().set(key, State::Held { tried: true });
                if self.run.lease.is_some() {
                    // Those behind it are not to be done before it.
                    self.run.stop.end(Ending::Enough);
                }
            }
            Next::DeadLetter => self.give_up(key, reason),
            Next::Retry(delay) => {
                self.member.messages().wait(key, Again::Failed);
                self.queue.schedule(Instant::now() + delay, key);
            }
        }
        looked
    }

    /// A message is to become a dead letter.
    pub(super) fn give_up(&mut self, key: Key, reason: &str) {
        let dying = State::Dying {
            reason: reason.to_owned(),
            in_doubt: false,
        };
        self.member.messages().set(key, dying);
        self.queue.schedule(Instant::now(), key);
    }

    pub(super) fn dying(&self) -> usize {
        self.member
            .delivery
            .messages
            .count(|state| matches!(state, State::Dying { .. }))
    }

    /// Adds the dead letters that are due. One that the server refuses for a while stays in hand, and is tried again
    /// for as long as a lost server would be.
    pub(super) fn try_dead_letters(&mut self) -> Result<(), Failure> {
        let OnFailure::Retry {
            delay,
            dead_letter: Some(letters),
        } = &self.dispatch.on_failure
        else {
            return Ok(());
        };
        let is_dying = |state: &State| matches!(state, State::Dying { .. });
        while let Some(key) = self.queue.take_due(&self.member.delivery.messages, is_dying) {
            let Some(State::Dying { reason, in_doubt }) =
                self.member.messages().get(key).map(|open| open.state.clone())
            else {
                continue;
            };
            match self.member.add_dead_letter(key, &letters.stream, &reason, in_doubt) {
                Ok(added) => {
                    self.dying_since = None;
                    self.dead_letter_added(key, &added);
                }
                Err(error) => {
                    let since = *self.dying_since.get_or_insert_with(Instant::now);
                    let pause = jittered((*delay).min(MOST_DEAD_LETTER_PAUSE));
                    self.queue.schedule(Instant::now() + pause, key);
                    if error.is_connection() {
                        self.member.doubt(key);
                    }
                    if since.elapsed() > self.run.reconnect_for {
                        return Err(Failure::NoDeadLetter(error));
                    }
                    let is_own_connection = self.member.adds_over_own_connection(key, &letters.stream);
                    if error.is_connection() && is_own_connection || !error.is_passing() {
                        return Err(error.into());
                    }
                    (self.run.tell)(Event::DeadLetterRefused {
                        stream: &self.member.settings.streams[key.stream],
                        id: key.id,
                        dead_letters: &letters.stream,
                        error: &error,
                        again_in: pause,
                    });
                }
            }
        }
        Ok(())
    }

    fn dead_letter_added(&mut self, key: Key, added: &DeadLetter) {
        let is_elsewhere = matches!(added, DeadLetter::Elsewhere);
        self.tally.failed += u64::from(!is_elsewhere);
        match added {
            DeadLetter::AddedOnly => self.member.messages().settle(key),
            DeadLetter::Added | DeadLetter::Elsewhere => drop(self.member.messages().forget(key)),
        }
    }
}

/// Settles each message, whatever becomes of the others; the first failure is returned.
fn each(keys: Vec<Key>, settle: impl FnMut(Key) -> Result<(), Failure>) -> Result<(), Failure> {
    let settled: Vec<_> = keys.into_iter().map(settle).collect();
    settled.into_iter().collect()
}

/// The longest pause before a dead letter is tried again.
const MOST_DEAD_LETTER_PAUSE: Duration = Duration::from_secs(1);

/// Doubles with each delivery, with jitter, so that what failed together is not tried again together.
fn retry_delay(first: Duration, deliveries: u64) -> Duration {
    let doublings = u32::try_from(deliveries.saturating_sub(1)).unwrap_or(u32::MAX).min(31);
    jittered(first.saturating_mul(1 << doublings).min(LONGEST_RETRY_DELAY))
}

/// What becomes of a message whose handler failed after so many deliveries.
fn after_failure(on_failure: &OnFailure, deliveries: u64) -> Next {
    match on_failure {
        OnFailure::Drop => Next::Nothing,
        OnFailure::HandBack => Next::HandBack,
        OnFailure::Retry {
            dead_letter: Some(letters),
            ..
        } if deliveries >= letters.after.get() => Next::DeadLetter,
        OnFailure::Retry { delay, .. } => Next::Retry(retry_delay(*delay, deliveries)),
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU64;

    use super::*;
    use crate::streamer::consumer::settings::DeadLetters;

    #[test]
    fn what_becomes_of_a_failure_follows_from_the_deliveries() {
        let retry = |after| OnFailure::Retry {
            delay: Duration::from_secs(1),
            dead_letter: NonZeroU64::new(after).map(|after| DeadLetters {
                stream: "dead".to_owned(),
                after,
            }),
        };
        let rows = [
            (OnFailure::Drop, 1, "Nothing"),
            (OnFailure::HandBack, 9, "HandBack"),
            (retry(0), 1_000_000, "Retry"),
            (retry(3), 2, "Retry"),
            (retry(3), 3, "DeadLetter"),
            (retry(3), 4, "DeadLetter"),
        ];
        for (on_failure, deliveries, expected) in rows {
            let next = format!("{:?}", after_failure(&on_failure, deliveries));
            assert!(next.starts_with(expected), "{on_failure:?} {deliveries}: {next}");
        }
    }

    #[test]
    fn pauses_double_and_end_at_an_hour() {
        let second = Duration::from_secs(1);
        assert!((second / 2..=second).contains(&retry_delay(second, 1)));
        assert!((4 * second..=8 * second).contains(&retry_delay(second, 4)));
        assert!(retry_delay(second, u64::MAX) <= LONGEST_RETRY_DELAY);
        assert!(retry_delay(Duration::MAX, 2) <= LONGEST_RETRY_DELAY);
    }
}
