//! Messages that are done as soon as their lines are written: each is acknowledged once its line has left this process.
//!
//! While data flows two reads are in flight, also as a third reply is printed, and acknowledgements ride along with
//! them; a read blocks only when everything is printed and acknowledged.

use std::ops::Range;
use std::time::Instant;

use super::delivery::{Sink, Walked};
use super::lease::Lease;
use super::leave::Departure;
use super::link::Expected;
use super::member::Member;
use super::messages::{Key, Messages};
use super::requests::Read;
use super::settings::{Acknowledge, Settings};
use super::wait::{HandedBack, Wait};
use crate::streamer::entry::Entry;
use crate::streamer::error::Error;
use crate::streamer::servers::until;
use crate::streamer::stop::{Ending, Halt};
use crate::streamer::wire::Shape;

/// Where lines go.
pub trait Output {
    /// Makes the line of a message.
    fn line(&mut self, out: &mut Vec<u8>, stream: &str, entry: &Entry<'_>);

    /// Writes lines; when this returns they have left this process.
    fn write(&mut self, lines: &[u8]) -> Result<(), Unwritten>;
}

/// A write that failed or was given up. Why, the output knows.
#[derive(Clone, Copy, Debug)]
pub struct Unwritten {
    /// How many bytes went out.
    pub written: usize,
    /// Whether somebody may still read them.
    pub has_reader: bool,
    /// What that means for the run.
    pub ending: Ending,
}

/// How many reads are in flight while data flows. The server answers two that it finds waiting before it writes either
/// reply to its end, so each time one is whole the next is about to be, and a third must be on its way by then.
const DEPTH: usize = 2;

/// How many bytes of lines are gathered before they are written.
const LINES: usize = 256 * 1024;

/// Whether a line that was perhaps seen counts as done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Promise {
    AtMostOnce,
    AtLeastOnce,
}

/// Lines that are still to be written.
struct Lines<'o, O> {
    output: &'o mut O,
    acknowledge: Acknowledge,
    promise: Promise,
    bytes: Vec<u8>,
    /// The messages, each with where its line begins and how often it was delivered.
    taken: Vec<(Key, usize, u64)>,
    /// What ended the writing.
    ended: Option<Ending>,
}

impl<O: Output> Sink for Lines<'_, O> {
    fn take(&mut self, messages: &mut Messages, key: Key, stream: &str, entry: &Entry<'_>) {
        let deliveries = entry.deliveries.unwrap_or(1);
        if self.ended.is_some() {
            return messages.hold(key, deliveries);
        }
        self.taken.push((key, self.bytes.len(), deliveries));
        self.output.line(&mut self.bytes, stream, entry);
    }

    fn is_full(&self) -> bool {
        self.bytes.len() >= LINES
    }

    fn finish(&mut self, messages: &mut Messages) {
        if self.bytes.is_empty() {
            return;
        }
        let done = match self.output.write(&self.bytes) {
            Ok(()) => self.taken.len(),
            Err(unwritten) => {
                self.ended = Some(unwritten.ending);
                let starts: Vec<_> = self.taken.iter().map(|(_, start, _)| *start).collect();
                done_by(&starts, unwritten, self.promise)
            }
        };
        for (index, (key, _, deliveries)) in self.taken.drain(..).enumerate() {
            if index >= done {
                messages.hold(key, deliveries);
            } else if matches!(self.acknowledge, Acknowledge::OnSuccess { .. }) {
                messages.settle(key);
            }
        }
        self.bytes.clear();
        self.bytes.shrink_to(2 * LINES);
    }
}

/// How many messages are done although the write of their lines was not; `starts` tells where the lines begin. Whole
/// lines that somebody can still read are. Lines that a reader who has gone may have seen are where at most once is
/// promised; where at least once is, none is.
fn done_by(starts: &[usize], unwritten: Unwritten, promise: Promise) -> usize {
    let written = unwritten.written;
    match (unwritten.has_reader, promise) {
        // Each line ends where the next one begins, and the last was not written to its end.
        (true, _) => starts.partition_point(|start| *start <= written).saturating_sub(1),
        (false, Promise::AtMostOnce) => starts.partition_point(|start| *start < written),
        (false, Promise::AtLeastOnce) => 0,
    }
}

/// A member that prints.
pub struct Pipeline<'a, 'o, O> {
    member: Member<'a>,
    lines: Lines<'o, O>,
    /// Whether the last read found as many entries as it asked for.
    is_flowing: bool,
}

impl<'a, 'o, O: Output> Pipeline<'a, 'o, O> {
    pub fn new(member: Member<'a>, output: &'o mut O) -> Self {
        let Settings { acknowledge, dedup, .. } = member.settings;
        let lines = Lines {
            output,
            acknowledge: *acknowledge,
            promise: if dedup.is_some() {
                Promise::AtMostOnce
            } else {
                Promise::AtLeastOnce
            },
            bytes: Vec::new(),
            taken: Vec::new(),
            ended: None,
        };
        Self {
            member,
            lines,
            is_flowing: true,
        }
    }

    /// Consumes until the end, across failures that can be mended; then leaves in good order.
    pub fn run(mut self) -> Result<Ending, Error> {
        let ended = loop {
            match self.work() {
                Ok(ending) => break Ok(ending),
                Err(error) => match self.member.rejoin(error) {
                    Ok(()) => self.is_flowing = true,
                    Err(Halt::Ended(ending)) => break Ok(ending),
                    Err(Halt::Failed(error)) => break Err(error),
                },
            }
        };
        let departure = match &ended {
            Ok(ending) => Departure::InGoodOrder(*ending),
            Err(error) => Departure::after(error),
        };
        let left = self.leave(departure);
        let ending = ended?;
        left.map(|()| ending)
    }

    /// Takes in what is still to come, and leaves the group. What counts as done when it is read is printed.
    fn leave(&mut self, departure: Departure) -> Result<(), Error> {
        if matches!(departure, Departure::AfterFailure | Departure::Refused) {
            // The old connection is out of step.
            self.member.put_away_link();
        }
        let lines = &mut self.lines;
        let closes = self.member.settings.acknowledge.leaves_pending();
        self.member.leave(departure, |member| {
            member.delivery.is_closed = closes;
            drain(member, lines)
        })
    }

    fn work(&mut self) -> Result<Ending, Error> {
        self.member.settle()?;
        loop {
            if let Some(ending) = self.ending() {
                return Ok(ending);
            }
            if self.member.searches_own() {
                self.take_all(Member::take_own)?;
            }
            if self.member.is_claim_due() {
                self.take_all(Member::take_stale)?;
            }
            self.take_new()?;
            if let Some(ending) = self.ending() {
                return Ok(ending);
            }
            if self.member.is_claim_due() || self.member.searches_own() {
                continue;
            }
            if self.member.delivery.positions.are_limited() {
                if self.member.begin_last_search() {
                    continue;
                }
                return Ok(Ending::Enough);
            }
            self.rest();
            if let Some(ending) = self.ending() {
                return Ok(ending);
            }
            let count = self.member.fetch_count();
            let walked = self.member.wait(count, &mut self.lines)?;
            self.is_flowing = walked.entries >= count;
        }
    }

    fn ending(&self) -> Option<Ending> {
        self.lines.ended.or_else(|| self.member.run.ending_or_enough())
    }

    fn rest(&self) {
        let Member {
            run,
            settings,
            next_claim,
            ..
        } = &self.member;
        let end = [run.deadline, *next_claim].into_iter().flatten().min();
        run.stop.sleep(until(settings.rest, end));
    }

    /// Takes what is pending already, until there is no more.
    fn take_all(
        &mut self,
        take: impl Fn(&mut Member<'a>, usize, &mut Lines<'o, O>) -> Result<Option<Walked>, Error>,
    ) -> Result<(), Error> {
        while self.ending().is_none() {
            let count = self.member.fetch_count();
            if take(&mut self.member, count, &mut self.lines)?.is_none() {
                break;
            }
        }
        self.member.settle()
    }

    /// Prints new entries until no more are there, or it is time to look for stale ones, and acknowledges them.
    fn take_new(&mut self) -> Result<(), Error> {
        if let Some(lease) = self.member.run.lease {
            return self.take_new_held(lease);
        }
        loop {
            self.top_up(0)?;
            match self.member.link.expected.front() {
                None => return Ok(()),
                Some(Expected::Read(count)) => {
                    let count = *count;
                    let entries = self.member.begin_reply(Shape::ByStream)?;
                    self.member.link.expected.pop_front();
                    // The server shall have work while this is printed.
                    self.top_up(count)?;
                    self.member.delivery.seen.fill(false);
                    let (walked, _) = self.member.take_in(entries, None, &mut self.lines)?;
                    self.member.delivery.exhaust_unseen();
                    self.member.supervisor.succeeded();
                    self.member.fetch.learn((walked.entries, walked.bytes));
                    self.is_flowing &= walked.entries >= count;
                }
                Some(_) => self.member.confirm()?,
            }
        }
    }

    /// As [`take_new`](Self::take_new), one read at a time, each only while the lease is held.
    fn take_new_held(&mut self, lease: &Lease) -> Result<(), Error> {
        while self.ending().is_none() && !self.member.is_claim_due() && !self.member.searches_own() {
            let count = match self.member.room_for(0) {
                0 => break,
                count => count,
            };
            let walked = self.member.read_held(lease, count, &mut self.lines)?;
            if walked.entries == 0 || self.member.delivery.positions.are_reached() {
                break;
            }
        }
        self.member.settle()
    }

    /// Keeps reads in flight while data flows, besides a reply of `at_hand` entries at most that is to be printed.
    /// What is done is acknowledged with them, or when there are none for that to ride along with.
    fn top_up(&mut self, at_hand: usize) -> Result<(), Error> {
        let streams = 0..self.member.settings.streams.len();
        let (mut reads, asked) = self.member.link.reads();
        let (before, mut asked) = (reads, asked + at_hand);
        let positions = &self.member.delivery.positions;
        let is_flowing = self.is_flowing && !positions.are_reached();
        // However long data flows, what others left has its turn, too.
        let flows = is_flowing && !self.member.is_claim_due() && !self.member.searches_own();
        while reads < DEPTH && flows && self.ending().is_none() {
            let count = match self.member.room_for(asked) {
                0 => break,
                count => count,
            };
            if reads == before {
                self.member.queue_acks();
            }
            self.member.queue_read(streams.clone(), count);
            (reads, asked) = (reads + 1, asked + count);
        }
        if reads == 0 && at_hand == 0 {
            self.member.queue_acks();
        }
        self.member.link.flush()
    }
}

/// Takes in all replies that are still to come.
fn drain<O: Output>(member: &mut Member<'_>, lines: &mut Lines<'_, O>) -> Result<(), Error> {
    member.queue_acks();
    member.link.flush()?;
    while let Some(expected) = member.link.expected.front() {
        if matches!(expected, Expected::Read(_)) {
            let entries = member.begin_reply(Shape::ByStream)?;
            member.link.expected.pop_front();
            member.take_in(entries, None, lines)?;
        } else {
            member.confirm()?;
        }
    }
    Ok(())
}

impl Member<'_> {
    /// How many entries to ask for at most.
    pub fn fetch_count(&self) -> usize {
        self.run.quota.left(self.fetch.count()).max(1)
    }

    /// How many entries a read may bring while so many are asked for already: as many as were passed over, though
    /// fewer messages are wanted, lest rare matches are looked for one entry at a time. What lies behind the last
    /// match is handed back.
    fn room_for(&self, asked: usize) -> usize {
        let most = self.fetch.count();
        let stride = match self.settings.acknowledge {
            Acknowledge::OnRead => 0,
            Acknowledge::OnSuccess { .. } | Acknowledge::Elsewhere { .. } => self.delivery.passed_over.min(most),
        };
        match self.run.quota.left(most + asked).saturating_sub(asked) {
            0 => 0,
            left => left.min(most).max(stride),
        }
    }

    /// Queues a read of new entries of some streams.
    pub fn queue_read(&mut self, streams: Range<usize>, count: usize) {
        let read = Read {
            count,
            block: None,
            claim: None,
            no_ack: self.settings.acknowledge == Acknowledge::OnRead,
        };
        let streams = &self.settings.streams[streams];
        self.requests.read(&mut self.link.queue, streams, read);
        self.link.expected.push_back(Expected::Read(count));
    }

    /// Waits for entries, not past the next claim or search, and takes them in.
    pub fn wait(&mut self, count: usize, sink: &mut impl Sink) -> Result<Walked, Error> {
        let end = [self.next_claim, self.own_search_due];
        let after = self.news_after();
        let wait = Wait {
            run: self.run,
            settings: self.settings,
            requests: &self.requests,
            count,
            until: end.into_iter().flatten().min(),
        };
        if self.run.lease.is_some() {
            let (has_news, handed_back) = wait.for_news(&mut self.link, &after)?;
            self.news.waited(has_news);
            if handed_back == HandedBack::Some {
                self.next_claim = Some(Instant::now());
            }
            self.supervisor.succeeded();
            return Ok(Walked::default());
        }
        let (entries, handed_back) = wait.begin(&mut self.link, &mut self.claims_while_waiting)?;
        if handed_back == HandedBack::Some {
            self.next_claim = Some(Instant::now());
        }
        let (walked, _) = self.take_in(entries, None, sink)?;
        self.supervisor.succeeded();
        Ok(walked)
    }
}

#[cfg(test)]
mod tests;
