//! How a member leaves its group: what is done is acknowledged, what it holds is handed back, what somebody else is to
//! acknowledge is put aside, and its own name goes where nothing is pending under it.

use std::ops::Range;
use std::time::{Duration, Instant};

use super::event::Event;
use super::hand_back::put_aside;
use super::link::Expected;
use super::member::Member;
use super::messages::{Key, State};
use super::requests::{Page, Pending, Whose, by_count};
use super::settings::{Acknowledge, Name};
use crate::streamer::entry::EntryId;
use crate::streamer::error::Error;
use crate::streamer::stop::{Ending, Halt};

/// How long a server that is away is tried again after an end was asked for, while something is to be settled there.
const GRACE: Duration = Duration::from_secs(10);

/// The same where nothing is known to be left, or the time was up already.
const SHORT_GRACE: Duration = Duration::from_secs(1);

/// How much longer, for each stream of the run: all its members leave at the same time, and each asks about its streams.
const PER_STREAM: Duration = Duration::from_millis(5);

/// However many streams there are.
const MOST_OF_OTHERS: Duration = Duration::from_secs(5);

/// How many entries are handed back, or put aside, at a time.
const PAGE: usize = 10_000;

/// In how many streams a name is removed at a time.
const TOGETHER: usize = 100;

/// What a member leaves after.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Departure {
    InGoodOrder(Ending),
    /// Something failed that says nothing about the server.
    AfterFailure,
    /// The server refused something for as long as was asked for.
    Refused,
    /// The server was tried for as long as was asked for.
    ServerAway,
}

impl Departure {
    /// How long a server that is away is tried for what is to be settled there.
    fn grace(self) -> Duration {
        match self {
            Self::InGoodOrder(Ending::TimeUp) | Self::Refused => SHORT_GRACE,
            Self::InGoodOrder(_) | Self::AfterFailure => GRACE,
            Self::ServerAway => Duration::ZERO,
        }
    }

    pub fn after(error: &Error) -> Self {
        if error.is_connection() {
            Self::ServerAway
        } else if error.is_passing() {
            Self::Refused
        } else {
            Self::AfterFailure
        }
    }
}

/// What becomes of an entry that is pending under a member as it leaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Rest {
    HandedBack,
    /// It waits for somebody else's acknowledgement, under a name that outlives this one.
    PutAside,
    /// It stays pending under this name.
    Kept,
}

impl Member<'_> {
    /// Leaves, across lost connections, for a while. `take_in` takes in the replies that are still to come.
    ///
    /// What could not be settled is told of. It is a failure only where nothing else ended the run early.
    pub fn leave(
        &mut self,
        departure: Departure,
        mut take_in: impl FnMut(&mut Self) -> Result<(), Error>,
    ) -> Result<(), Error> {
        if departure == Departure::ServerAway {
            self.tell_what_is_left();
            return Ok(());
        }
        let is_empty = self.messages().settled() == 0 && self.messages().is_empty();
        let grace = if is_empty && !self.may_put_aside() {
            SHORT_GRACE
        } else {
            departure.grace()
        };
        let (grace, moment) = (grace + self.share_of_others(), self.moment());
        let now = Instant::now();
        let until = match self.run.stop.asked() {
            // A server that was lost since the end was asked for has had some of the time.
            Some(asked) if self.link.is_lost => (asked + grace).max(now + moment),
            _ => now + grace,
        };
        self.supervisor.begin_grace(until);
        self.set_deadline(Some(until));
        let left = loop {
            let tried = if self.link.is_lost { self.relink() } else { Ok(()) };
            let tried = tried.and_then(|()| self.try_to_leave(&mut take_in).map_err(Halt::Failed));
            match tried {
                Ok(()) => break Ok(()),
                Err(Halt::Ended(_)) => break Ok(()),
                Err(Halt::Failed(error)) => match self.rejoin(error) {
                    Ok(()) => self.set_deadline(Some(until.max(Instant::now() + moment))),
                    Err(Halt::Ended(_)) => break Ok(()),
                    Err(Halt::Failed(error)) => break Err(error),
                },
            }
        };
        self.tell_what_is_left();
        match departure {
            Departure::InGoodOrder(Ending::Enough | Ending::ReaderGone) => left,
            // Whatever ended the run is what is reported.
            _ => Ok(()),
        }
    }

    /// Says what is done and not acknowledged, or held and not handed back.
    fn tell_what_is_left(&mut self) {
        let unconfirmed = self.link.expected.iter().map(|expected| match expected {
            Expected::Ack { ids, .. } => ids.len(),
            _ => 0,
        });
        let unconfirmed: usize = unconfirmed.sum();
        let done = match self.settings.acknowledge {
            Acknowledge::OnRead => 0,
            _ => unconfirmed + self.messages().settled(),
        };
        let held = match self.settings.acknowledge {
            // Nothing of it is pending.
            Acknowledge::OnRead => 0,
            _ => self.messages().len(),
        };
        if done + held > 0 {
            (self.run.tell)(Event::LeftBehind {
                done,
                held,
                consumer: self.settings.name.as_str(),
            });
        }
    }

    fn try_to_leave(&mut self, take_in: &mut impl FnMut(&mut Self) -> Result<(), Error>) -> Result<(), Error> {
        take_in(self)?;
        self.settle()?;
        let left = self.hand_back_all().and_then(|()| self.resign());
        match left {
            // There is nothing to leave, nor was anything got from it.
            Err(Error::NoGroup { .. }) if self.messages().is_empty() => Ok(()),
            left => left,
        }
    }

    /// Hands back what this run leaves undone, and puts aside what is for somebody else to acknowledge. What somebody else
    /// has claimed meanwhile is theirs.
    fn hand_back_all(&mut self) -> Result<(), Error> {
        if self.settings.acknowledge == Acknowledge::OnRead {
            return Ok(());
        }
        let mut denied = None;
        for stream in 0..self.settings.streams.len() {
            let mut next = Some(Page::from(EntryId::MIN, PAGE, Whose::Ours));
            while let Some(page) = next {
                let rows = self.pending(stream, page)?;
                next = page.behind(&rows);
                let those = |rest| {
                    let is_one = |row: &&Pending| self.rest(stream, row.id) == rest;
                    rows.iter().filter(is_one).copied().collect::<Vec<_>>()
                };
                let (undone, printed) = (those(Rest::HandedBack), those(Rest::PutAside));
                self.hand_back(stream, &undone)?;
                let name = &self.settings.streams[stream];
                match put_aside(
                    &mut self.link.connection,
                    &self.requests,
                    &name.as_str().into(),
                    &printed,
                ) {
                    // It waits under this name instead.
                    Err(error @ Error::Denied(_)) => denied = Some(error),
                    done => done?,
                }
                self.give_time();
            }
            self.forget_open(stream);
        }
        if let Some(error) = denied {
            self.tell_name_kept(&error.to_string());
        }
        Ok(())
    }

    /// Whether this run may have printed what somebody else is to acknowledge, under a name that is to go.
    fn may_put_aside(&self) -> bool {
        let is_waited_for = matches!(self.settings.acknowledge, Acknowledge::Elsewhere { .. });
        let has_read = |stream| self.delivery.positions.last_read(stream) > EntryId::MIN;
        is_waited_for && matches!(self.settings.name, Name::Made(_)) && (0..self.settings.streams.len()).any(has_read)
    }

    /// What becomes of an entry that is pending under this consumer.
    fn rest(&self, stream: usize, id: EntryId) -> Rest {
        let is_open = self.delivery.messages.is_open(Key { stream, id });
        match (&self.settings.name, self.settings.acknowledge) {
            _ if is_open => Rest::HandedBack,
            // It may have been pending before this run.
            (Name::Given(_), _) => Rest::Kept,
            (Name::Made(_), Acknowledge::Elsewhere { .. }) if !self.is_lost(stream, id) => Rest::PutAside,
            (Name::Made(_), _) => Rest::HandedBack,
        }
    }

    fn tell_name_kept(&self, why: &str) {
        let consumer = self.settings.name.as_str();
        (self.run.tell)(Event::NameKept { consumer, why });
    }

    /// What is open by now is not pending under this consumer any more.
    fn forget_open(&mut self, stream: usize) {
        let keys: Vec<_> = self.delivery.messages.iter().map(|(key, _)| key).collect();
        for key in keys.into_iter().filter(|key| key.stream == stream) {
            self.delivery.messages.forget(key);
        }
    }

    /// Hands entries of this consumer back, so that whoever looks for stale ones gets them at once. A delivery that
    /// was no try does not count.
    fn hand_back(&mut self, stream: usize, rows: &[Pending]) -> Result<(), Error> {
        let ids: Vec<_> = rows.iter().map(|row| row.id).collect();
        if let Some(ledger) = &mut self.ledger {
            // Others are not ours to release: somebody may have processed them.
            let is_reserved = |id: &EntryId| self.delivery.messages.is_open(Key { stream, id: *id });
            let reserved: Vec<_> = ids.iter().copied().filter(is_reserved).collect();
            ledger.release(stream, &reserved)?;
        }
        let tries = by_count(rows, |row| {
            let open = self.delivery.messages.get(Key { stream, id: row.id });
            tries(open.map(|open| (&open.state, open.deliveries)), row.deliveries)
        });
        let spread = self.claim_spread();
        for (tries, rows) in tries {
            let (connection, name) = (&mut self.link.connection, &self.settings.streams[stream]);
            self.hand_back
                .hand_back(connection, &self.requests, &name.as_str().into(), &rows, tries, spread)?;
        }
        for id in ids {
            self.delivery.messages.forget(Key { stream, id });
        }
        Ok(())
    }

    /// Removes a name of our own making where nothing is pending under it: the server would drop that with the name.
    fn resign(&mut self) -> Result<(), Error> {
        let Name::Made(consumer) = &self.settings.name else {
            return Ok(());
        };
        if self.old.may_be_served {
            self.tell_name_kept("the server does not let this user close an old connection, which may still be served");
            return Ok(());
        }
        for first in (0..self.settings.streams.len()).step_by(TOGETHER) {
            let last = self.settings.streams.len().min(first + TOGETHER);
            self.give_time();
            let free = self.without_pending(first..last)?;
            self.give_time();
            let deletes: Vec<_> = free
                .iter()
                .map(|stream| {
                    let mut delete = redis::cmd("XGROUP");
                    delete.arg("DELCONSUMER").arg(&self.settings.streams[*stream]);
                    delete.arg(&self.settings.group).arg(consumer).clone()
                })
                .collect();
            let answers = self.link.connection.query_all(&deletes)?;
            for (stream, answer) in free.into_iter().zip(answers) {
                let deleted = answer.map_err(|refusal| self.refused(refusal, Some(stream)));
                match deleted.and_then(|deleted| self.link.connection.read::<u64>(deleted)) {
                    Ok(0) => {}
                    Ok(dropped) => {
                        return Err(Error::Dropped {
                            stream: self.settings.streams[stream].clone(),
                            consumer: consumer.clone(),
                            entries: dropped,
                        });
                    }
                    // Everything is done but the tidying up.
                    Err(error @ Error::Denied(_)) => {
                        self.tell_name_kept(&error.to_string());
                        return Ok(());
                    }
                    Err(Error::NoGroup { .. }) => {}
                    Err(error) => return Err(error),
                }
            }
        }
        Ok(())
    }

    /// In which of some streams nothing is pending under this consumer.
    fn without_pending(&mut self, streams: Range<usize>) -> Result<Vec<usize>, Error> {
        if !self.settings.acknowledge.leaves_pending() {
            return Ok(streams.collect());
        }
        let any = Page::from(EntryId::MIN, 1, Whose::Ours);
        let list = |stream| self.requests.list(&self.settings.streams[stream], any);
        let lists: Vec<_> = streams.clone().map(list).collect();
        let mut free = Vec::new();
        for (stream, answer) in streams.zip(self.link.connection.query_all(&lists)?) {
            match answer.map_err(|refusal| self.refused(refusal, Some(stream))) {
                Ok(rows) => {
                    if self.link.connection.read::<Vec<redis::Value>>(rows)?.is_empty() {
                        free.push(stream);
                    }
                }
                // There is no name to remove where there is no group.
                Err(Error::NoGroup { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(free)
    }

    /// How long an answer may take because all other members of the run ask at the same time.
    fn share_of_others(&self) -> Duration {
        let share = PER_STREAM.saturating_mul(u32::try_from(self.run.streams).unwrap_or(u32::MAX));
        share.min(MOST_OF_OTHERS)
    }

    /// How long an answer may take in any case.
    fn moment(&self) -> Duration {
        SHORT_GRACE + self.share_of_others()
    }

    /// However much there is to do, a server that answers has time for it.
    fn give_time(&mut self) {
        let soon = Instant::now() + self.moment();
        self.set_deadline(self.deadline.map(|deadline| deadline.max(soon)));
    }
}

/// How often an entry was tried, which is what the next consumer is told: deliveries that were no try do not count.
/// `row` is how often it was delivered, as the server has it.
fn tries(open: Option<(&State, u64)>, row: u64) -> u64 {
    match open {
        Some((State::Held { tried: false } | State::Ready, deliveries)) => deliveries.saturating_sub(1),
        Some((_, deliveries)) => deliveries,
        None => row.saturating_sub(1),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::streamer::consumer::messages::Again;

    #[test]
    fn only_tries_count_as_deliveries() {
        let dying = State::Dying {
            reason: String::new(),
            in_doubt: false,
        };
        for (state, deliveries, row, expected) in [
            (Some(State::Held { tried: false }), 1, 1, 0),
            (Some(State::Held { tried: true }), 1, 1, 1),
            (Some(State::Ready), 3, 3, 2),
            (Some(State::Running), 3, 3, 3),
            (Some(State::Waiting(Again::Failed)), 2, 2, 2),
            (Some(dying), 4, 4, 4),
            // It was delivered in a reply that was lost.
            (None, 0, 5, 4),
            (None, 0, 0, 0),
        ] {
            let open = state.as_ref().map(|state| (state, deliveries));
            assert_eq!(tries(open, row), expected, "{state:?}");
        }
    }

    #[test]
    fn a_server_is_tried_as_long_as_the_ending_allows() {
        for (departure, grace) in [
            (Departure::InGoodOrder(Ending::Signal(15)), GRACE),
            (Departure::InGoodOrder(Ending::Enough), GRACE),
            (Departure::InGoodOrder(Ending::TimeUp), SHORT_GRACE),
            (Departure::Refused, SHORT_GRACE),
            (Departure::AfterFailure, GRACE),
            (Departure::ServerAway, Duration::ZERO),
        ] {
            assert_eq!(departure.grace(), grace, "{departure:?}");
        }
    }
}
