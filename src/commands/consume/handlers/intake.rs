//! What the desk takes on: messages due again, stale ones, new ones.

use std::collections::{HashMap, VecDeque};
use std::time::Instant;

use anyhow::Context as _;

use crate::line;
use crate::streamer::{Delivered, Entries, Entry, EntryId};

use super::process::Job;
use super::{Desk, News, Own, Task};
use crate::commands::consume::member::Key;

/// How many failed messages may wait for their next try before no new ones are taken on.
const MOST_WAITING: usize = 10_000;

impl Desk<'_, '_> {
    /// Fills free handlers: first with what is due again, then with what is stale, then with what is new.
    pub(super) fn take_on(&mut self) -> anyhow::Result<()> {
        while self.free() > 0 && self.retry_next()? {}
        // A read under way may bring entries that would then be found pending, and taken twice.
        if matches!(self.own, Own::Unknown) && self.pool.asked() == 0 {
            self.find_own()?;
        }
        while self.free() > 0 && self.take_own()? {}
        if self.free() > 0 && self.member.is_claim_due() {
            self.take_stale()?;
        }
        self.take_new()
    }

    /// Takes new messages. While there are some, the read goes out with the acknowledgements of what is done;
    /// then the reading thread waits for more.
    fn take_new(&mut self) -> anyhow::Result<()> {
        let has_room = self.own.is_none() && self.pool.asked() == 0 && self.waiting.len() < MOST_WAITING;
        let wanted = self.run.left(self.free());
        let wanted = self.run.args.count.map_or(wanted, |most| wanted.min(most.get()));
        if !has_room || wanted == 0 {
            return Ok(());
        }
        if self.news == News::Flow {
            self.news = self.take_flowing(wanted)?;
        }
        if self.news == News::Pause {
            // What becomes due meanwhile needs the handlers that wait for this read.
            let retry = self.retries.first().map(|(due, _)| *due);
            let until = [retry, self.member.next_claim()].into_iter().flatten().min();
            self.pool.read(&self.member, wanted, until)?;
        }
        Ok(())
    }

    /// Reads on without waiting, and says how it stands after that.
    fn take_flowing(&mut self, wanted: usize) -> anyhow::Result<News> {
        let mut read = 0;
        // COUNT is per stream: one stream at a time brings no more than there are free handlers.
        for _ in 0..self.member.streams().len() {
            read = self.take_new_of(self.turn, wanted)?;
            if read > 0 {
                break;
            }
            self.turn = (self.turn + 1) % self.member.streams().len();
        }
        Ok(match read {
            _ if self.horizon.is_reached() => News::Over,
            0 if self.horizon.is_limited() => News::Over,
            0 => News::Pause,
            _ => News::Flow,
        })
    }

    /// Reads one stream, and acknowledges what is done in the same round trip; says how many entries came.
    fn take_new_of(&mut self, stream: usize, wanted: usize) -> anyhow::Result<usize> {
        let acks = self.queue_acks();
        self.member.consumer.queue_read_of(stream..stream + 1, wanted);
        self.member.consumer.flush()?;
        self.confirmed(acks)?;
        let mut batch = std::mem::take(&mut self.batch);
        self.member.consumer.receive_batch(&mut batch, None)?;
        self.member.succeeded();
        let read = self.take(batch.by_stream(), None, None)?;
        self.batch = batch;
        Ok(read)
    }

    /// Starts handlers for entries, as far as they are asked for; says how many entries there were.
    pub(super) fn take(
        &mut self,
        entries: Entries<'_>,
        stream: Option<usize>,
        deliveries: Option<&HashMap<EntryId, u64>>,
    ) -> anyhow::Result<usize> {
        let mut read = 0;
        let processed = self.reservations.processed(&mut self.member, entries.clone(), stream)?;
        for element in entries {
            let (name, delivered) = element.map_err(|malformed| self.member.consumer.malformed(malformed))?;
            let Some(index) = stream.or_else(|| self.member.index_of(name)) else {
                continue;
            };
            read += 1;
            let key = (index, delivered.id());
            self.horizon.pass(key);
            if self.is_at_hand(key) {
                continue;
            }
            let mut entry = match delivered {
                Delivered::Entry(entry) => entry,
                Delivered::Gone(id) => {
                    self.member.report_gone(index, &[id]);
                    self.unconfirmed.push(key);
                    continue;
                }
            };
            if let Some(known) = deliveries {
                entry.deliveries = known.get(&entry.id).copied();
            }
            match processed.contains(&key) {
                true => self.unconfirmed.push(key),
                false => self.admit(index, &entry)?,
            }
        }
        Ok(read)
    }

    /// Takes on an entry that is asked for and within `-n`.
    fn admit(&mut self, index: usize, entry: &Entry<'_>) -> anyhow::Result<()> {
        if !self.run.output.wants(entry) {
            self.unconfirmed.push((index, entry.id));
        } else if self.run.output.budget().take() {
            return self.start(index, entry);
        } else {
            self.member.hold((index, entry.id), entry.deliveries.unwrap_or(1));
        }
        Ok(())
    }

    /// Whether a message is being dealt with already, be it only that its acknowledgement is not said yet.
    fn is_at_hand(&self, key: Key) -> bool {
        self.running.contains_key(&key) || self.waiting.contains_key(&key) || self.unconfirmed.contains(&key)
    }

    /// Hands a message to a handler; one that was delivered too often without an end is buried instead.
    pub(super) fn start(&mut self, index: usize, entry: &Entry<'_>) -> anyhow::Result<()> {
        let deliveries = entry.deliveries.unwrap_or(1);
        let task = Task {
            fields: entry.owned_fields(),
            deliveries,
        };
        let key = (index, entry.id);
        if let Some((deliveries, reason)) = self.doomed.remove(&key) {
            return self.bury(key, &task, deliveries, &reason);
        }
        if self.run.args.max_deliveries.is_some_and(|most| deliveries > most.get()) {
            let reason = "it was never finished: its consumers ended while it was handled";
            return self.bury(key, &task, deliveries - 1, reason);
        }
        let mut line = Vec::new();
        line::write(&mut line, &self.member.streams()[index], entry);
        let job = Job {
            stream: self.member.streams()[index].clone(),
            id: entry.id.to_string(),
            name: entry.name().unwrap_or_default().to_owned(),
            deliveries,
            line,
        };
        self.pool
            .run(key, job)
            .context("cannot start a thread for the handler")?;
        self.running.insert(key, task);
        Ok(())
    }

    /// Tries the next failed message again, if one is due.
    pub(super) fn retry_next(&mut self) -> anyhow::Result<bool> {
        let Some((due, key)) = self.retries.first().copied().filter(|(due, _)| *due <= Instant::now()) else {
            return Ok(false);
        };
        self.take_again(key, Self::start)?;
        self.retries.remove(&(due, key));
        self.waiting.remove(&key);
        Ok(true)
    }

    /// Takes on a message that is pending under this consumer. Somebody else may have claimed it by now: then
    /// it is theirs.
    fn take_again(
        &mut self,
        key: Key,
        take: impl Fn(&mut Self, usize, &Entry<'_>) -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        let mut batch = std::mem::take(&mut self.batch);
        if let Some(deliveries) = self.member.take_again(key, &mut batch)? {
            let mut gone = true;
            for element in batch.of_one_stream() {
                let (_, delivered) = element.map_err(|malformed| self.member.consumer.malformed(malformed))?;
                if let Delivered::Entry(mut entry) = delivered {
                    gone = false;
                    entry.deliveries = Some(deliveries);
                    take(self, key.0, &entry)?;
                }
            }
            if gone {
                self.member.report_gone(key.0, &[key.1]);
                self.unconfirmed.push(key);
            }
        }
        self.batch = batch;
        Ok(())
    }

    /// Finds what is pending under this consumer and not at hand.
    fn find_own(&mut self) -> anyhow::Result<()> {
        self.confirm()?;
        let mut own = VecDeque::new();
        for index in 0..self.member.streams().len() {
            let pending = self.member.own_pending(index)?;
            own.extend(pending.into_keys().map(|id| (index, id)));
        }
        self.own = Own::Known(own);
        Ok(())
    }

    /// Takes on the next of those; says whether there was one.
    fn take_own(&mut self) -> anyhow::Result<bool> {
        let Own::Known(keys) = &mut self.own else {
            return Ok(false);
        };
        if self.run.is_full() {
            keys.clear();
        }
        let Some(key) = keys.pop_front() else {
            return Ok(false);
        };
        if self.is_at_hand(key) {
            return Ok(true);
        }
        match self.reservations.is_processed(&mut self.member, key)? {
            true => self.unconfirmed.push(key),
            false => self.take_again(key, Self::admit)?,
        }
        Ok(true)
    }

    /// Takes over what other consumers left, as far as handlers are free.
    pub(super) fn take_stale(&mut self) -> anyhow::Result<()> {
        let (mut index, mut from) = self.claim_from.take().unwrap_or((0, EntryId::MIN));
        while index < self.member.streams().len() {
            let count = self.run.left(self.free());
            if count == 0 {
                self.claim_from = Some((index, from));
                return Ok(());
            }
            let mut batch = std::mem::take(&mut self.batch);
            let (next, deliveries) = self.member.claim(index, from, count, &mut batch)?;
            self.take(batch.claimed(), Some(index), Some(&deliveries))?;
            self.batch = batch;
            match next {
                Some(next) => from = next,
                None => (index, from) = (index + 1, EntryId::MIN),
            }
        }
        self.member.claimed_all();
        Ok(())
    }
}
