//! Prints the messages of a group, each acknowledged once its line has left this process.
//!
//! While data flows two reads are in flight, also as a third reply is printed, and acknowledgements ride along with
//! them; a read blocks only when everything is printed and acknowledged.

use std::collections::{HashMap, VecDeque};

use anyhow::Context as _;

use crate::failure;
use crate::line;
use crate::streamer::{Batch, Delivered, Entries, Entry, EntryId, Error};

use super::AckMode;
use super::horizon::Horizon;
use super::member::{Key, Member};
use super::output::Appetite;
use super::reservations::Reservations;
use super::run::Run;

/// How many reads are in flight while data flows. The server answers two that it finds waiting before it writes either
/// reply to its end, so each time one is whole the next is about to be, and a third must be on its way by then.
const DEPTH: usize = 2;

/// A reply that is still to come.
enum Expected {
    /// Of a read of so many entries at most.
    Read(usize),
    /// Of the oldest acknowledgement in `unconfirmed`.
    Ack,
}

/// A member that prints.
pub struct Printer<'a> {
    member: Member<'a>,
    run: &'a Run<'a>,
    appetite: Appetite,
    batch: Batch,
    lines: Vec<u8>,
    expected: VecDeque<Expected>,
    /// Printed, and its acknowledgement not confirmed: acknowledged again after a lost connection, not printed.
    unconfirmed: VecDeque<(usize, Vec<EntryId>)>,
    reservations: Reservations,
    horizon: Horizon,
    /// Whether the last read found as many entries as it asked for.
    flowing: bool,
    /// How many entries were passed over since one was printed.
    passed_over: usize,
    /// Whether entries may be pending under this consumer that it does not hold.
    own_due: bool,
}

impl<'a> Printer<'a> {
    /// A printer.
    pub fn new(member: Member<'a>, horizon: Horizon) -> Self {
        Self {
            run: member.run,
            appetite: Appetite::new(member.run.args.count),
            batch: Batch::default(),
            lines: Vec::new(),
            expected: VecDeque::new(),
            unconfirmed: VecDeque::new(),
            reservations: Reservations::default(),
            horizon,
            flowing: true,
            passed_over: 0,
            own_due: member.has_given_name(),
            member,
        }
    }

    /// Consumes until the end, across failures that can be mended; then leaves in good order.
    pub fn run(mut self) -> anyhow::Result<()> {
        let ended = loop {
            match self.work() {
                Ok(()) => break Ok(()),
                Err(error) => {
                    if error.downcast_ref::<Error>().is_none() {
                        break Err(error);
                    }
                    self.expected.clear();
                    if let Err(error) = self.member.mend(error) {
                        break Err(self.member.renew(error)?);
                    }
                    self.flowing = true;
                    self.own_due = true;
                }
            }
        };
        let left = self.take_in().and_then(|()| Ok(self.member.leave()?));
        // The work is done and said; what could not be handed back is claimed by others in time.
        let left = left.context("the messages are done, but leaving the group failed");
        match ended {
            Err(error) if failure::is_normal_ending(&error) => left.and(Err(error)),
            ended => ended.and(left),
        }
    }

    fn work(&mut self) -> anyhow::Result<()> {
        self.confirm()?;
        if std::mem::take(&mut self.own_due) && self.run.args.ack != AckMode::Read {
            self.print_own()?;
        }
        loop {
            if self.run.is_over()? {
                return Ok(());
            }
            if self.member.is_claim_due() {
                self.print_stale()?;
            }
            self.drain()?;
            if self.run.is_over()? {
                return Ok(());
            }
            if self.member.is_claim_due() {
                continue;
            }
            if self.horizon.is_limited() {
                return Ok(());
            }
            self.run.rest(self.member.next_claim());
            let count = self.run.left(self.appetite.count());
            // Another lane may have used up what was left; a COUNT of 0 would mean no limit.
            if count == 0 || self.run.is_over()? {
                return Ok(());
            }
            let mut batch = std::mem::take(&mut self.batch);
            self.member.wait(count, None, &mut batch)?;
            self.flowing = self.deliver(batch.by_stream(), None, None)? >= count;
            self.batch = batch;
        }
    }

    /// Acknowledges again what was printed before the connection was lost.
    fn confirm(&mut self) -> Result<(), Error> {
        for (index, ids) in &self.unconfirmed {
            self.member.queue_ack(*index, ids);
            self.expected.push_back(Expected::Ack);
        }
        self.settle()
    }

    /// Prints what is pending under this consumer: from an earlier run, or lost on the way here. With manual
    /// acknowledgement, what this run printed is pending too, and not printed again.
    fn print_own(&mut self) -> anyhow::Result<()> {
        for index in 0..self.member.streams().len() {
            let mut after = match self.run.args.ack {
                AckMode::Manual => self.horizon.last_read(index),
                AckMode::Success | AckMode::Read => EntryId::MIN,
            };
            while !self.run.is_over()? {
                let count = self.run.left(self.appetite.count());
                if count == 0 {
                    return Ok(());
                }
                let mut batch = std::mem::take(&mut self.batch);
                let (last, deliveries) = self.member.read_own(index, after, count, &mut batch)?;
                let Some(last) = last else {
                    break;
                };
                self.deliver(batch.by_stream(), Some(index), Some(&deliveries))?;
                self.settle()?;
                self.batch = batch;
                after = last;
            }
        }
        Ok(())
    }

    /// Takes over and prints what other consumers left.
    fn print_stale(&mut self) -> anyhow::Result<()> {
        // What is printed and not acknowledged could be stale already.
        self.settle()?;
        for index in 0..self.member.streams().len() {
            let mut from = Some(EntryId::MIN);
            while let Some(start) = from.filter(|_| self.run.stop.reason().is_none()) {
                let count = self.run.left(self.appetite.count());
                if count == 0 {
                    return Ok(());
                }
                let mut batch = std::mem::take(&mut self.batch);
                let (next, deliveries) = self.member.claim(index, start, count, &mut batch)?;
                self.deliver(batch.claimed(), Some(index), Some(&deliveries))?;
                self.settle()?;
                self.batch = batch;
                from = next;
            }
        }
        self.member.claimed_all();
        Ok(())
    }

    /// Prints new entries until no more are there, or it is time to look for stale ones, and acknowledges them.
    fn drain(&mut self) -> anyhow::Result<()> {
        loop {
            self.top_up(0)?;
            match self.expected.pop_front() {
                None => return Ok(()),
                Some(Expected::Ack) => self.confirmed()?,
                Some(Expected::Read(count)) => {
                    let mut batch = std::mem::take(&mut self.batch);
                    self.member.consumer.receive_batch(&mut batch, None)?;
                    self.member.succeeded();
                    // The server shall have work while this is printed, which it is even if the connection is lost.
                    let topped_up = self.top_up(count);
                    let read = self.deliver(batch.by_stream(), None, None)?;
                    self.flowing &= read >= count;
                    self.batch = batch;
                    topped_up?;
                }
            }
        }
    }

    /// Keeps reads in flight while data flows, besides a reply of `at_hand` entries at most that is to be printed.
    /// What is queued is sent with them, or when there are none for it to ride along with.
    fn top_up(&mut self, at_hand: usize) -> anyhow::Result<()> {
        let in_flight = self.expected.iter().filter_map(|expected| match expected {
            Expected::Read(count) => Some(*count),
            Expected::Ack => None,
        });
        let (mut reads, mut asked) = in_flight.fold((0, at_hand), |(reads, asked), count| (reads + 1, asked + count));
        let before = reads;
        // The ledger is asked before anything is printed, so its replies must not queue behind a read's.
        let depth = match self.run.args.dedup {
            Some(_) => usize::from(at_hand == 0),
            None => DEPTH,
        };
        // However long data flows, what others left has its turn, too.
        let flows = self.flowing && !self.horizon.is_reached() && !self.member.is_claim_due();
        while reads < depth && flows && !self.run.is_over()? {
            let count = match self.run.left(self.appetite.count() + asked).saturating_sub(asked) {
                0 => break,
                left => left.max(self.stride()),
            };
            self.member.consumer.queue_read(count);
            self.expected.push_back(Expected::Read(count));
            (reads, asked) = (reads + 1, asked + count);
        }
        if reads > before || reads == 0 {
            self.member.consumer.flush()?;
        }
        Ok(())
    }

    /// How many entries a read may bring, though fewer messages are asked for: as many as were passed over, lest rare
    /// matches are looked for one entry at a time. What lies behind the last match is handed back.
    fn stride(&self) -> usize {
        match self.run.args.ack {
            AckMode::Read => 0,
            AckMode::Success | AckMode::Manual => self.passed_over.min(self.appetite.count()),
        }
    }

    /// Sends what is queued and awaits its replies.
    fn settle(&mut self) -> Result<(), Error> {
        self.member.consumer.flush()?;
        while self.expected.pop_front().is_some() {
            self.confirmed()?;
        }
        Ok(())
    }

    fn confirmed(&mut self) -> Result<(), Error> {
        self.member.consumer.receive_acked()?;
        self.unconfirmed.pop_front();
        Ok(())
    }

    /// Prints entries and queues their acknowledgement; says how many there were. `stream` is theirs where the
    /// reply does not name it.
    fn deliver(
        &mut self,
        entries: Entries<'_>,
        stream: Option<usize>,
        deliveries: Option<&HashMap<EntryId, u64>>,
    ) -> anyhow::Result<usize> {
        let processed = self.reservations.processed(&mut self.member, entries.clone(), stream)?;
        let mut sorted = Sorted::new(self.member.streams().len());
        let bytes = entries.bytes();
        self.lines.clear();
        for element in entries {
            let (name, delivered) = element.map_err(|malformed| self.member.consumer.malformed(malformed))?;
            let Some(index) = stream.or_else(|| self.member.index_of(name)) else {
                continue;
            };
            sorted.read += 1;
            let mut entry = match delivered {
                Delivered::Gone(id) => {
                    sorted.gone[index].push(id);
                    continue;
                }
                Delivered::Entry(entry) => entry,
            };
            if let Some(known) = deliveries {
                entry.deliveries = known.get(&entry.id).copied();
            }
            let is_done = processed.contains(&(index, entry.id));
            self.sort(&mut sorted, index, &entry, is_done);
        }
        if let Err(error) = self.run.output.write(&self.lines, &self.run.stop) {
            self.keep_unread(&mut sorted);
            return Err(error);
        }
        self.appetite.learn(bytes, sorted.read);
        self.account(&sorted);
        Ok(sorted.read)
    }

    /// Decides what becomes of an entry, and puts its line with those to be written.
    fn sort(&mut self, sorted: &mut Sorted, index: usize, entry: &Entry<'_>, is_done: bool) {
        let (key, deliveries) = ((index, entry.id), entry.deliveries.unwrap_or(1));
        if is_done || !self.run.is_full() && !self.run.output.wants(entry) {
            sorted.passed[index].push(entry.id);
            self.passed_over += 1;
        } else if self.run.output.budget().take() {
            sorted.starts.push(self.lines.len());
            line::write(&mut self.lines, &self.member.streams()[index], entry);
            sorted.printed.push((key, deliveries));
            self.passed_over = 0;
        } else {
            self.member.hold(key, deliveries);
        }
    }

    /// Keeps what a failed write did not bring to the reader, to hand it back. Lines in a pipe that is still read are
    /// done. Lines that a reader who has gone may have seen are done where at most once is promised; where at least
    /// once is, none of them is.
    fn keep_unread(&mut self, sorted: &mut Sorted) {
        let (output, starts) = (&self.run.output, &sorted.starts);
        let written = output.may_be_read();
        let read = if self.run.args.dedup.is_some() {
            starts.partition_point(|start| *start < written)
        } else if output.has_reader() {
            // Each line ends where the next one begins, and the last was not written to its end.
            starts.partition_point(|start| *start <= written).saturating_sub(1)
        } else {
            0
        };
        for (key, deliveries) in sorted.printed.split_off(read) {
            self.member.hold(key, deliveries);
        }
        if read > 0 {
            self.account(sorted);
        }
    }

    /// Queues the acknowledgement of what is done. What cannot be delivered or is passed over is done, too.
    fn account(&mut self, sorted: &Sorted) {
        let mut acks: Vec<Vec<EntryId>> = sorted.passed.clone();
        for (index, passed) in sorted.passed.iter().enumerate() {
            if let Some(last) = passed.last() {
                self.horizon.pass((index, *last));
            }
        }
        for (key, _) in &sorted.printed {
            self.horizon.pass(*key);
            if self.run.args.ack == AckMode::Success {
                acks[key.0].push(key.1);
            }
        }
        for (index, gone) in sorted.gone.iter().enumerate() {
            self.member.report_gone(index, gone);
            acks[index].extend(gone);
        }
        for (index, ids) in acks.into_iter().enumerate() {
            if !ids.is_empty() && self.run.args.ack != AckMode::Read {
                self.member.queue_ack(index, &ids);
                self.unconfirmed.push_back((index, ids));
                self.expected.push_back(Expected::Ack);
            }
        }
    }

    /// Takes in the replies that are still to come, to hand back what they bring. What counts as done when it is
    /// read is printed.
    fn take_in(&mut self) -> anyhow::Result<()> {
        self.member.consumer.flush()?;
        while let Some(expected) = self.expected.pop_front() {
            match expected {
                Expected::Ack => self.confirmed()?,
                Expected::Read(_) => {
                    let mut batch = std::mem::take(&mut self.batch);
                    self.member.consumer.receive_batch(&mut batch, None)?;
                    match self.run.args.ack {
                        AckMode::Read => drop(self.deliver(batch.by_stream(), None, None)?),
                        AckMode::Success | AckMode::Manual => self.member.hold_reply(&batch)?,
                    }
                }
            }
        }
        Ok(())
    }
}

/// The entries of a reply, by what is to become of them.
struct Sorted {
    read: usize,
    /// With how often each was delivered.
    printed: Vec<(Key, u64)>,
    /// Where the line of each begins in what is written.
    starts: Vec<usize>,
    /// Not asked for, or processed by somebody else; by stream.
    passed: Vec<Vec<EntryId>>,
    /// Deleted while pending; by stream.
    gone: Vec<Vec<EntryId>>,
}

impl Sorted {
    fn new(streams: usize) -> Self {
        Self {
            read: 0,
            printed: Vec::new(),
            starts: Vec::new(),
            passed: vec![Vec::new(); streams],
            gone: vec![Vec::new(); streams],
        }
    }
}
