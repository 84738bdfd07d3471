//! What the dispatcher takes on: messages due again, what was left pending, new ones.

use std::collections::HashSet;
use std::ops::Range;
use std::time::Instant;

use super::reader::Reply;
use super::{Dispatcher, Failure, Handlers, News};
use crate::streamer::consumer::delivery::{Kept, Walked};
use crate::streamer::consumer::link::Expected;
use crate::streamer::consumer::messages::{Key, State};
use crate::streamer::consumer::requests::{Page, Pending, Whose};
use crate::streamer::consumer::settings::Acknowledge;
use crate::streamer::consumer::wait::HandedBack;
use crate::streamer::error::Error;
use crate::streamer::wire::Shape;
use crate::streamer::wire::resp::Delivered;

/// How many failed messages may wait for their next try or their dead letter before no new ones are taken on.
const MOST_WAITING: usize = 10_000;

/// How many dead letters may wait for the server: what they hold is kept here.
const MOST_DYING: usize = 100;

/// How many are read at a time at most, where most are passed over.
const LONGEST_STRIDE: usize = 1000;

impl<'scope, 'a: 'scope, H: Handlers> Dispatcher<'scope, '_, 'a, H> {
    /// Fills free handlers: first with what is due again, then with what was left pending, then with what is new.
    pub(super) fn take_on(&mut self) -> Result<(), Failure> {
        while self.can_retry() && self.retry_next()? {}
        // A read under way may bring entries that would be found pending before they are known here.
        if self.member.searches_own() && self.reader.asked() == 0 {
            while self.may_take() > 0 && self.member.take_own(self.may_take(), &mut self.queue)?.is_some() {}
        }
        if self.may_take() > 0 && self.member.is_claim_due() {
            self.member.take_stale(self.may_take(), &mut self.queue)?;
        }
        self.take_new()
    }

    pub(super) fn has_room_for_new(&self) -> bool {
        self.member.own_search.is_none()
            && self.reader.asked() == 0
            && (self.queue.running() == 0 || self.room() >= self.dispatch.refill.get())
            && !self.queue.is_held_back()
            && self.queue.waiting() < MOST_WAITING
            && self.dying() < MOST_DYING
    }

    /// Takes new messages. While there are some, the read goes out with the acknowledgements of what is done;
    /// then the reading thread waits for more.
    fn take_new(&mut self) -> Result<(), Failure> {
        let most = self.may_take().min(self.member.fetch.count());
        if !self.has_room_for_new() || most == 0 {
            return Ok(());
        }
        if self.news == News::Flow {
            self.news = self.take_flowing(most)?;
        }
        if self.news == News::Pause && self.may_take() > 0 {
            // What becomes due meanwhile needs the handlers that wait for this read.
            let search = self.member.own_search_due;
            let due = self.next_due();
            let moments = [due, self.member.next_claim, search];
            let moment = moments.into_iter().flatten().min();
            let started = self.reader.read(&self.member, most.min(self.may_take()), moment)?;
            started.map_err(|error| Failure::NoRoom(format!("cannot start a thread to read: {error}")))?;
        }
        Ok(())
    }

    /// Reads on without waiting, and says how it stands after that.
    fn take_flowing(&mut self, wanted: usize) -> Result<News, Error> {
        let streams = self.member.settings.streams.len();
        let mut read = 0;
        // COUNT is per stream: one stream at a time brings no more than there are free handlers.
        for _ in 0..streams {
            let stream = self.turn;
            // Each has its turn, however busy another is.
            self.turn = (self.turn + 1) % streams;
            let count = wanted.max(self.stride());
            let walked = match self.run.lease {
                None => self.take_new_of(stream..stream + 1, count)?,
                Some(lease) => self.member.read_held(lease, count, &mut self.queue)?,
            };
            read = walked.entries;
            if read > 0 {
                break;
            }
            self.member.delivery.positions.exhaust(stream);
        }
        let positions = &self.member.delivery.positions;
        Ok(if positions.are_reached() {
            News::Over
        } else if read == 0 {
            News::Pause
        } else {
            News::Flow
        })
    }

    /// Where many were passed over, many are read: those that are taken beyond free handlers wait for them.
    fn stride(&self) -> usize {
        match self.member.settings.acknowledge {
            Acknowledge::OnRead => 0,
            _ => self.member.delivery.passed_over.min(LONGEST_STRIDE),
        }
    }

    /// Reads one stream, and acknowledges what is done in the same round trip.
    fn take_new_of(&mut self, stream: Range<usize>, count: usize) -> Result<Walked, Error> {
        self.member.queue_acks();
        self.member.queue_read(stream, count);
        self.member.link.flush()?;
        while !matches!(self.member.link.expected.front(), Some(Expected::Read(_))) {
            self.member.confirm()?;
        }
        let entries = self.member.begin_reply(Shape::ByStream)?;
        self.member.link.expected.pop_front();
        let (walked, _) = self.member.take_in(entries, None, &mut self.queue)?;
        self.member.fetch.learn((walked.entries, walked.bytes));
        self.member.supervisor.succeeded();
        Ok(walked)
    }

    /// Takes what a reading thread brought. That one which was given up has ended is no news.
    pub(super) fn take_reply(&mut self, reply: Reply) -> Result<(), Failure> {
        let is_current = self.reader.ended(reply.thread);
        if reply.handed_back == HandedBack::Some {
            self.member.next_claim = Some(Instant::now());
        }
        if let Some(has_news) = reply.has_news {
            self.member.news.waited(has_news);
        }
        if !reply.entries.is_empty() || reply.has_news.is_some() {
            self.news = News::Flow;
            let bytes = reply.entries.iter().map(Kept::size).sum();
            self.member.fetch.learn((reply.entries.len(), bytes));
        }
        let taken = self.member.take_kept(reply.entries, &mut self.queue);
        match reply.broken {
            Some(error) if is_current => {
                self.reader.stop(&mut self.member);
                return Err(error.into());
            }
            Some(_) => {}
            None => self.member.supervisor.succeeded(),
        }
        Ok(taken?)
    }

    /// Tries the next failed message again, if one is due.
    fn retry_next(&mut self) -> Result<bool, Failure> {
        let messages = &self.member.delivery.messages;
        let Some(key) = self
            .queue
            .take_due(messages, |state| matches!(state, State::Waiting(_)))
        else {
            return Ok(false);
        };
        match self.deliver_again(key) {
            Ok(()) => Ok(true),
            Err(error) => {
                // It is still to be tried.
                self.queue.schedule(Instant::now(), key);
                Err(error.into())
            }
        }
    }

    /// Delivers a message of this consumer again, unless it is somebody else's by now, or gone.
    fn deliver_again(&mut self, key: Key) -> Result<(), Error> {
        let page = Page::of_one(key.id, Whose::Ours);
        let rows = self.member.pending(key.stream, page)?;
        match rows.first() {
            Some(row) => self.fetch_again(key, row),
            None => self.member.let_go(key.stream, &[key.id], &HashSet::new()),
        }
    }

    /// Claims a message once more, past the triage, which let it through already; lets it go if it could not be claimed.
    fn fetch_again(&mut self, key: Key, row: &Pending) -> Result<(), Error> {
        let member = &mut self.member;
        let name = &member.settings.streams[key.stream];
        // A claim whose reply was lost was no try.
        let tries = member.delivery.messages.get(key).map(|open| open.deliveries);
        let deliveries = tries.unwrap_or(row.deliveries) + 1;
        let claim = member.requests.claim(name, row.idle, &[key.id], deliveries);
        let pending = member.send_claim(&claim, key.stream, &[key.id])?;
        let mut entries = member.begin_reply(Shape::OneStream)?;
        let mut delivered = false;
        let (connection, streams) = (&mut member.link.connection, &member.settings.streams);
        while let Some((_, element)) = entries.next(connection, streams)? {
            if let Delivered::Entry(mut entry) = element {
                entry.deliveries = Some(deliveries);
                self.queue.take_alone(&mut member.delivery.messages, key, &entry);
                delivered = true;
            }
        }
        if !delivered {
            member.let_go(key.stream, &[key.id], &pending)?;
        }
        Ok(())
    }
}
