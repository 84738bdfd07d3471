//! After a loss: a new connection, what the marker says, and what follows from it.

use std::time::Instant;

use super::batch::{Batch, Outcome, Span};
use super::chain::{Confirmed, Unconfirmed, Verdict};
use super::flight::Flight;
use super::host::{LastId, Note, Progress, Rewind};
use super::link::{Link, Mode, elsewhere};
use super::look_up::LookUp;
use super::marker::{Contents, Mark};
use super::pipeline::{GRACE, Input, Producer};
use super::telling::{Answer, Told};
use super::trouble::{Cause, Trouble};
use super::{EntryIds, InDoubt, LostIds};
use crate::streamer::entry::EntryId;
use crate::streamer::error::Error;
use crate::streamer::servers::Closed;
use crate::streamer::stop::Halt;
use crate::streamer::wire::stream_end;

/// Which server is at the other end, compared with the one that the marker was written to last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Server {
    /// As far as is known.
    TheSame,
    /// It was started again, or is another one.
    Another,
}

/// Whether a connection leads to another server than the one before, or to another run of it.
fn is_another(before: &Link, now: &Link) -> bool {
    let runs = before.server_run.as_ref().zip(now.server_run.as_ref());
    before.connection.node() != now.connection.node() || runs.is_some_and(|(before, now)| before != now)
}

impl<E> Producer<'_, '_, E> {
    /// Connects again and finds out what became of the batches in flight.
    pub(super) fn recover(&mut self, failure: Error) -> Result<(), Trouble<E>> {
        self.gather();
        let mut failure = failure;
        loop {
            let (link, marker) = self.reach(failure)?;
            if is_another(&self.link, &link) {
                self.server = Server::Another;
            }
            self.link = link;
            self.link.connection.set_deadline(self.grace);
            if !self.servers.share_a_slot(&self.settings.stream, &self.key) {
                // Only now is it known that it is a cluster.
                self.do_without_marker(elsewhere());
                self.chain.marker_is_gone();
            }
            let reconciled = self.see_confirmed().and_then(|()| self.reconcile(&marker));
            match reconciled {
                Err(Trouble::Server { error, .. }) if error.is_passing() => failure = error,
                done => return done,
            }
        }
    }

    /// The next connection, and the marker. Once the work is asked to end, it is tried for as long as there is doubt,
    /// for a while.
    fn reach(&mut self, failure: Error) -> Result<(Link, Contents), Trouble<E>> {
        let in_doubt = self.in_doubt();
        let (servers, settings, key) = (self.servers, self.settings, &self.key);
        let (mode, lost) = (&self.mode, self.link.identity.as_ref());
        let attempt = |deadline| {
            let mut link = Link::again(servers, settings, lost, deadline)?;
            let marker = match mode {
                Mode::Marked if servers.share_a_slot(&settings.stream, key) => link.marker(key)?,
                Mode::Marked | Mode::Plain(_) => Contents::default(),
            };
            Ok((link, marker))
        };
        let grace = self.grace;
        let mut reached = self.supervisor.mend(failure, || attempt(grace));
        if let Err(Halt::Ended(_)) = reached
            && in_doubt.is_some()
        {
            let until = *self.grace.get_or_insert(Instant::now() + GRACE);
            self.supervisor.begin_grace(until);
            reached = match attempt(Some(until)) {
                Ok(reached) => Ok(reached),
                Err(failure) => self.supervisor.mend(failure, || attempt(Some(until))),
            };
        }
        reached.map_err(|halt| match halt {
            Halt::Failed(error) => Trouble::from(error),
            Halt::Ended(_) => Trouble::Ended { in_doubt },
        })
    }

    /// Without a marker, only the last entry tells whether the next master has what the one before had confirmed: where
    /// it is, there is all before it, too.
    fn see_confirmed(&mut self) -> Result<(), Trouble<E>> {
        let Mode::Plain(refusal) = &self.mode else {
            return Ok(());
        };
        let (root, last) = (self.chain.root(), self.chain.last());
        let may_be_lost = self.server == Server::Another && self.servers.may_lose_confirmed();
        let Some(id) = last.last_id.id().filter(|_| may_be_lost && last != root) else {
            return Ok(());
        };
        match self.link.has_entry(&self.settings.stream, id) {
            Ok(true) => Ok(()),
            Ok(false) | Err(Error::Denied(_) | Error::KeyDenied { .. }) if self.settings.in_doubt == InDoubt::Stop => {
                Err(Trouble::Doubt {
                    cause: Cause::NoMarker(refusal.clone()),
                    lines: Span::between(root.position.place, last.position.place),
                })
            }
            Ok(false) | Err(Error::Denied(_) | Error::KeyDenied { .. }) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// What was on its way may have to be sent again, and so may what is not safe.
    fn gather(&mut self) {
        for flights in [&mut self.in_flight, &mut self.waiting] {
            while let Some(mut flight) = flights.pop_back() {
                flight.is_asked = false;
                self.again.push_front(flight);
            }
        }
        self.shortfall = None;
    }

    /// Settles the batches in flight that are in, by what the marker says.
    pub(super) fn reconcile(&mut self, marker: &Contents) -> Result<(), Trouble<E>> {
        self.gather();
        if let Mode::Plain(refusal) = &self.mode {
            let cause = Cause::NoMarker(refusal.clone());
            self.doubt(cause)?;
            self.all_are_lost();
            return Ok(());
        }
        let in_flight = self.again.iter().map(|flight| Unconfirmed {
            position: &flight.position,
            writers: &flight.sent_by,
            was_in: flight.is_in.is_some(),
        });
        match self.chain.judge(marker, self.newest, in_flight) {
            Verdict::In(count) => {
                for _ in 0..count {
                    self.find_in()?;
                }
            }
            Verdict::Gaps(count) => return Err(self.some_refused(count)),
            Verdict::BegunAnew => return Err(self.began_anew()?),
            Verdict::Behind(to, mark) => self.go_back(to, Some(mark))?,
            Verdict::FarBehind(place) => {
                return Err(Trouble::Lost(Span::between(place, self.chain.last().position.place)));
            }
            Verdict::Gone => self.marker_is_gone()?,
            Verdict::Unclear(found) => return Err(self.unclear(found)),
            Verdict::Foreign => return Err(self.accuse(marker)),
        }
        self.part_with_the_old_connection();
        Ok(())
    }

    /// The marker was deleted while batches were on their way: alone, or with what was confirmed.
    fn began_anew(&mut self) -> Result<Trouble<E>, Trouble<E>> {
        let (root, last) = (self.chain.root(), self.chain.last());
        let stream = stream_end(&mut self.link.connection, &self.settings.stream)?;
        let is_lost = match last.last_id.id() {
            _ if self.chain.is_lost(stream) => true,
            Some(id) if last != root => !self.link.has_entry(&self.settings.stream, id)?,
            _ => false,
        };
        if is_lost {
            return Ok(Trouble::Lost(Span::after(root.position.place)));
        }
        let lines = self.in_doubt().unwrap_or(Span::after(last.position.place));
        Ok(Trouble::Doubt {
            cause: Cause::MarkerGone,
            lines,
        })
    }

    /// The server refused some batches and took the last of so many before the connection was lost: which of them are
    /// in, nobody can say.
    fn some_refused(&self, count: u64) -> Trouble<E> {
        let last = self.chain.last().position.place;
        let flights = self.again.iter().zip(0..count);
        let until = flights.last().map_or(last, |(flight, _)| flight.position.place);
        Trouble::Doubt {
            cause: Cause::Refusals,
            lines: Span::between(last, until),
        }
    }

    /// What remains in flight is not in. Unless the old connection is closed for sure, it may still come.
    fn part_with_the_old_connection(&mut self) {
        let from = self.newest_in().place;
        if self.again.iter().any(|flight| flight.is_in.is_some()) {
            self.journal.note(Note::SentAgain(from));
        }
        for flight in &mut self.again {
            flight.is_lost();
            match self.link.before {
                Closed::Surely => flight.sent_by.clear(),
                Closed::Unknown => {
                    for writer in &flight.sent_by {
                        self.caution.add(*writer, from);
                    }
                }
            }
        }
    }

    /// None of what is to be sent again is in.
    fn all_are_lost(&mut self) {
        for flight in &mut self.again {
            flight.is_lost();
            flight.sent_by.clear();
        }
    }

    /// The oldest batch to be sent again is in.
    fn find_in(&mut self) -> Result<(), Trouble<E>> {
        let Some(flight) = self.again.pop_front() else {
            return Ok(());
        };
        if flight.is_in.is_some() {
            // Of this somebody told before; it is still there.
            self.waiting.push_back(flight);
            return Ok(());
        }
        match self.unheard(&flight.batch) {
            Ok(outcomes) => {
                self.arrived(flight, &outcomes, Answer::Lost)?;
                self.supervisor.succeeded();
                Ok(())
            }
            Err(error) => {
                self.again.push_front(flight);
                Err(error.into())
            }
        }
    }

    /// What became of the commands of a batch that is in, and whose answer was lost.
    fn unheard(&mut self, batch: &Batch) -> Result<Vec<Outcome>, Error> {
        let ids = self.settings.entry_ids;
        let after = match (ids, self.settings.lost_ids) {
            // Which of them were refused can only be told from the stream.
            (EntryIds::Given, _) | (EntryIds::Made, LostIds::LookUp) => {
                let waiting = self.waiting.iter().rev().find_map(Flight::last_id);
                waiting.or(self.chain.last().last_id.id()).or(Some(EntryId::MIN))
            }
            (EntryIds::Made, LostIds::Leave) => None,
        };
        match after {
            Some(after) => {
                let mut look_up = LookUp::new(&self.settings.stream, after);
                look_up.outcomes(&mut self.link.connection, batch, ids)
            }
            None => Ok(vec![Outcome::Added(None); batch.commands]),
        }
    }

    /// Tells of a batch that an earlier run sent.
    pub(super) fn tell(&mut self) -> Result<(), Trouble<E>> {
        let Some(batch) = self.earlier.take() else {
            return Ok(());
        };
        let outcomes = match self.is_earlier_safe().and_then(|()| Ok(self.unheard(&batch)?)) {
            Ok(outcomes) => outcomes,
            Err(trouble) => {
                self.earlier = Some(batch);
                return Err(trouble);
            }
        };
        let last_id = self.account(&batch, 0, &outcomes, Told::Added)?;
        self.chain.found(last_id);
        let progress = Progress {
            place: batch.end,
            ..self.chain.progress()
        };
        let written = self.journal.settled(&batch, progress);
        self.chain.written(written.map_err(Trouble::Host)?);
        self.source.recycle(batch);
        Ok(())
    }

    /// The marker is gone: with entries that the server lost, or because somebody deleted it.
    fn marker_is_gone(&mut self) -> Result<(), Trouble<E>> {
        let (root, last) = (self.chain.root(), self.chain.last());
        let stream = stream_end(&mut self.link.connection, &self.settings.stream)?;
        if self.chain.is_lost(stream) {
            return self.go_back(root, None);
        }
        if self.marker_may_be_deleted {
            self.chain.marker_is_gone();
            return Ok(());
        }
        let last_is_there = match last.last_id.id() {
            Some(id) if last != root => Some(self.link.has_entry(&self.settings.stream, id)?),
            _ => None,
        };
        match (last_is_there, self.server) {
            // It has lost the marker with the entries.
            (None | Some(false), Server::Another) => return self.go_back(root, None),
            (Some(false), Server::TheSame) => return Err(Trouble::Lost(Span::after(root.position.place))),
            (None, Server::TheSame) | (Some(true), _) => {}
        }
        // Where nothing was added behind the last that is known, nothing in flight can be in.
        if last.last_id != LastId::Exactly(stream.map(|stream| stream.last_id)) {
            self.doubt(Cause::MarkerGone)?;
        }
        self.chain.marker_is_gone();
        self.marker_is_wrong = true;
        self.journal.note(Note::MarkerDeleted);
        self.all_are_lost();
        Ok(())
    }

    /// The lines in flight are in doubt, unless there are none, or nobody minds if they are sent again.
    fn doubt(&self, cause: Cause) -> Result<(), Trouble<E>> {
        match (self.in_doubt(), self.settings.in_doubt) {
            (Some(lines), InDoubt::Stop) => Err(Trouble::Doubt { cause, lines }),
            _ => Ok(()),
        }
    }

    /// The server lost what it had confirmed: all of that is sent again, if the input can be read again.
    fn go_back(&mut self, to: Confirmed, marker: Option<Mark>) -> Result<(), Trouble<E>> {
        if to == self.chain.last() {
            // Nothing that was confirmed is lost, and what was in flight is here.
            self.chain.rewind(to, marker);
            self.all_are_lost();
            return Ok(());
        }
        let (from, last) = (to.position.place, self.chain.last().position.place);
        // After a line that ends the sending nothing more is sent.
        if self.journal.is_stopped() || self.source.rewind(from) == Rewind::Impossible {
            return Err(Trouble::Lost(Span::between(from, last)));
        }
        for Flight { batch, .. } in self.again.drain(..) {
            self.source.recycle(batch);
        }
        if let Some(batch) = self.earlier.take() {
            self.source.recycle(batch);
        }
        self.marker_may_be_deleted = false;
        self.input = Input::Open;
        self.chain.rewind(to, marker);
        let rewound = self.journal.rewound(to.written, self.chain.progress());
        rewound.map_err(Trouble::Host)?;
        self.journal.note(Note::SentAgain(from));
        Ok(())
    }
}
