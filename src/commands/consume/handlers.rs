//! Runs a command for each message; its exit status settles the message.
//!
//! One thread reads (a blocked read must not keep acknowledgements waiting), one thread a handler runs
//! processes ([`pool`](super::pool)), and this one decides: it hands out what was read, acknowledges, retries,
//! and buries. Nothing is read ahead of free handlers, so that no entry ages in a buffer here.

use std::collections::{BTreeSet, HashMap};
use std::sync::mpsc::RecvTimeoutError;
use std::thread::Scope;
use std::time::{Duration, Instant};

use crate::failure::{Failure, quote};
use crate::line;
use crate::streamer::{Batch, Delivered, Entries, Entry, EntryId, Error, OwnedFields, jittered};

use super::member::{Key, Member};
use super::output::Output;
use super::pool::{Event, Pool};
use super::process::{Job, Verdict};
use super::reservations::Reservations;
use super::{AckMode, Args, CLAIM_IDLE};

/// How many failed messages may wait for their next try before no new ones are taken on.
const MOST_WAITING: usize = 10_000;
/// The longest pause before a retry: doubling must not end in days.
const LONGEST_RETRY_DELAY: Duration = Duration::from_secs(3600);
/// The longest this thread sleeps: a signal reaches it through the read that it ends, if one is under way.
const TICK_READING: Duration = Duration::from_secs(3600);
const TICK: Duration = Duration::from_millis(50);

/// Where the messages are handed out and their fates decided.
pub struct Desk<'a> {
    member: Member<'a>,
    output: &'a Output,
    pool: Pool,
    deadline: Option<Instant>,
    batch: Batch,
    /// At work in a handler.
    running: HashMap<Key, Task>,
    /// Failed, by when they are tried again, with how often they were delivered.
    retries: BTreeSet<(Instant, Key)>,
    waiting: HashMap<Key, u64>,
    /// Settled, and the acknowledgement not confirmed.
    unconfirmed: Vec<Key>,
    /// Delivered and not handled: handed back at the end.
    held: Vec<(usize, EntryId, u64)>,
    reservations: Reservations,
    /// Whether entries may be pending under this consumer that are not at hand.
    own_due: bool,
    /// Where the search for stale entries goes on.
    claim_from: Option<Key>,
    next_touch: Instant,
    /// The last ID of each stream at the start, and the last read, for `-e`.
    ends: Option<Vec<EntryId>>,
    last_read: Vec<EntryId>,
    /// Whether everything there was at the start has been read.
    drained: bool,
    handled: u64,
    buried: u64,
}

/// A message at work.
struct Task {
    fields: OwnedFields,
    deliveries: u64,
}

impl<'a> Desk<'a> {
    /// A desk for one member.
    pub fn new(
        member: Member<'a>,
        output: &'a Output,
        pool: Pool,
        deadline: Option<Instant>,
        ends: Option<Vec<EntryId>>,
    ) -> Self {
        let streams = member.streams().len();
        Self {
            output,
            pool,
            deadline,
            batch: Batch::default(),
            running: HashMap::new(),
            retries: BTreeSet::new(),
            waiting: HashMap::new(),
            unconfirmed: Vec::new(),
            held: Vec::new(),
            own_due: member.has_given_name() && member.args.ack != AckMode::Read,
            reservations: Reservations::default(),
            claim_from: None,
            next_touch: Instant::now(),
            ends,
            last_read: vec![EntryId::MIN; streams],
            drained: false,
            handled: 0,
            buried: 0,
            member,
        }
    }

    /// Handles messages until the end, across failures that can be mended; then leaves in good order.
    pub fn run<'scope>(mut self, scope: &'scope Scope<'scope, 'a>) -> anyhow::Result<()> {
        let ended = loop {
            match self.work(scope) {
                Ok(true) => {}
                Ok(false) => break Ok(()),
                Err(error) if error.downcast_ref::<Error>().is_some() => {
                    self.member.mend(error)?;
                    self.own_due = self.member.args.ack != AckMode::Read;
                }
                Err(error) => break Err(error),
            }
        };
        let left = self.finish();
        ended?;
        left?;
        match self.buried {
            0 => Ok(()),
            buried => Err(Failure::data(format!(
                "{buried} of {} messages failed; they are in {}",
                self.handled + buried,
                self.member.args.dead_letter.as_deref().unwrap_or_default()
            ))
            .into()),
        }
    }

    /// One turn: takes on what there is room for, then waits for something to happen. False at the end.
    fn work<'scope>(&mut self, scope: &'scope Scope<'scope, 'a>) -> anyhow::Result<bool> {
        self.confirm()?;
        if !self.is_ending()? {
            self.take_on(scope)?;
        }
        if self.running.is_empty() && (self.is_ending()? || self.is_done()) {
            return Ok(false);
        }
        match self.pool.next_event(self.patience()) {
            Ok(first) => self.react(first)?,
            Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {}
        }
        if self.next_touch <= Instant::now() {
            self.touch()?;
        }
        Ok(true)
    }

    /// Fills free handlers: first with what is due again, then with what is stale, then with what is new.
    fn take_on<'scope>(&mut self, scope: &'scope Scope<'scope, 'a>) -> anyhow::Result<()> {
        while self.free() > 0 && self.retry_next()? {}
        // A read under way may bring entries that would then be found pending, and taken twice.
        if self.own_due && self.pool.asked() == 0 {
            self.take_own()?;
        }
        if self.free() > 0 && self.member.is_claim_due() {
            self.take_stale()?;
        }
        let wanted = self.output.budget().left(self.free());
        let room = !self.own_due && !self.drained && self.waiting.len() < MOST_WAITING;
        if wanted > 0 && room && self.pool.asked() == 0 {
            let wait = if self.ends.is_some() { None } else { Some(self.deadline) };
            self.pool.read(scope, &self.member, wanted, wait)?;
        }
        Ok(())
    }

    /// How many handlers have nothing to do, nor a read under way for them.
    fn free(&self) -> usize {
        self.member
            .args
            .jobs
            .get()
            .saturating_sub(self.running.len() + self.pool.asked())
    }

    /// Deals with an event and all others that are there, and acknowledges what they settle in one go.
    fn react(&mut self, first: Event) -> anyhow::Result<()> {
        let mut next = Some(first);
        while let Some(event) = next {
            match event {
                Event::Read(batch) => {
                    let batch = batch?;
                    self.member.succeeded();
                    let read = self.take(batch.by_stream(), None, None)?;
                    self.drained |= self.ends.is_some() && (read == 0 || self.is_past_end());
                }
                Event::Ended(key, verdict) => self.settle(key, verdict)?,
            }
            next = self.pool.try_event();
        }
        self.confirm()
    }

    /// Starts handlers for entries, as far as they are asked for; says how many entries there were.
    fn take(
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
            self.last_read[index] = self.last_read[index].max(key.1);
            if self.running.contains_key(&key) || self.waiting.contains_key(&key) {
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
            entry.deliveries = deliveries.and_then(|known| known.get(&entry.id).copied());
            if processed.contains(&key) || !self.output.wants(&entry) {
                self.unconfirmed.push(key);
            } else if self.output.budget().take() {
                self.start(index, &entry)?;
            } else {
                self.held.push((index, entry.id, entry.deliveries.unwrap_or(1)));
            }
        }
        Ok(read)
    }

    /// Hands a message to a handler; one that was delivered too often without an end is buried instead.
    fn start(&mut self, index: usize, entry: &Entry<'_>) -> anyhow::Result<()> {
        let deliveries = entry.deliveries.unwrap_or(1);
        let task = Task {
            fields: entry.owned_fields(),
            deliveries,
        };
        let key = (index, entry.id);
        if self
            .member
            .args
            .max_deliveries
            .is_some_and(|most| deliveries > most.get())
        {
            let reason = "it was never finished: its consumers ended while it was handled";
            return self.bury(key, &task, deliveries - 1, reason);
        }
        let mut line = Vec::new();
        line::write(&mut line, &self.member.streams()[index], entry);
        self.pool.run(
            key,
            Job {
                stream: self.member.streams()[index].clone(),
                id: entry.id.to_string(),
                name: entry.name().unwrap_or_default().to_owned(),
                deliveries,
                line,
            },
        );
        self.running.insert(key, task);
        Ok(())
    }

    /// Decides what a handler's end means for its message.
    fn settle(&mut self, key: Key, verdict: Verdict) -> anyhow::Result<()> {
        let Some(task) = self.running.remove(&key) else {
            return Ok(());
        };
        let reason = match verdict {
            Verdict::Done => {
                self.handled += 1;
                self.unconfirmed.push(key);
                return Ok(());
            }
            Verdict::Unusable(error) => {
                self.held.push((key.0, key.1, task.deliveries));
                let program = self.member.args.command.first().map(String::as_str).unwrap_or_default();
                return Err(anyhow::Error::new(error).context(format!("cannot run the handler {}", quote(program))));
            }
            Verdict::Failed(reason) => reason,
        };
        let message = format!(
            "{} {}: the handler failed: {reason}",
            self.member.streams()[key.0],
            key.1
        );
        if self.member.args.ack == AckMode::Read {
            self.member
                .context
                .ui
                .warning(&format!("{message}; not tried again, as --ack read asks"));
            return Ok(());
        }
        if self
            .member
            .args
            .max_deliveries
            .is_some_and(|most| task.deliveries >= most.get())
        {
            self.member.context.ui.warning(&message);
            return self.bury(key, &task, task.deliveries, &reason);
        }
        let delay = self.retry_delay(task.deliveries);
        self.member
            .context
            .ui
            .warning(&format!("{message}; again in {:.1} s", delay.as_secs_f32()));
        self.waiting.insert(key, task.deliveries);
        self.retries.insert((Instant::now() + delay, key));
        Ok(())
    }

    /// Doubles with each delivery, with jitter, so that what failed together is not tried again together.
    fn retry_delay(&self, deliveries: u64) -> Duration {
        let doublings = u32::try_from(deliveries.saturating_sub(1)).unwrap_or(u32::MAX).min(31);
        let delay = self.member.args.retry_delay.saturating_mul(1 << doublings);
        jittered(delay.min(LONGEST_RETRY_DELAY))
    }

    /// Adds a message to the dead letters; only then it is acknowledged, so that a crash in between can repeat
    /// it there but never lose it.
    fn bury(&mut self, key: Key, task: &Task, deliveries: u64, reason: &str) -> anyhow::Result<()> {
        let Some(grave) = self.member.args.dead_letter.clone() else {
            return Ok(());
        };
        let added = self.member.bury(&grave, key, (&task.fields, deliveries), reason);
        if let Err(error) = added {
            // It stays pending; a new connection reads it again.
            self.held.push((key.0, key.1, task.deliveries + 1));
            return Err(error.into());
        }
        self.buried += 1;
        self.unconfirmed.push(key);
        Ok(())
    }

    /// Acknowledges what is settled. After a lost connection this is said again.
    fn confirm(&mut self) -> anyhow::Result<()> {
        if self.unconfirmed.is_empty() || self.member.args.ack == AckMode::Read {
            self.unconfirmed.clear();
            return Ok(());
        }
        let mut by_stream = vec![Vec::new(); self.member.streams().len()];
        for (index, id) in &self.unconfirmed {
            by_stream[*index].push(*id);
        }
        for (index, ids) in by_stream.iter().enumerate().filter(|(_, ids)| !ids.is_empty()) {
            self.member.queue_ack(index, ids);
        }
        self.member.consumer.flush()?;
        for _ in by_stream.iter().filter(|ids| !ids.is_empty()) {
            self.member.consumer.receive_acked()?;
        }
        self.unconfirmed.clear();
        Ok(())
    }

    /// Tries the next failed message again, if one is due.
    fn retry_next(&mut self) -> anyhow::Result<bool> {
        let Some((due, key)) = self.retries.first().copied().filter(|(due, _)| *due <= Instant::now()) else {
            return Ok(false);
        };
        self.take_again(key)?;
        self.retries.remove(&(due, key));
        self.waiting.remove(&key);
        Ok(true)
    }

    /// Takes on a message that is pending under this consumer. Somebody else may have claimed it by now: then
    /// it is theirs.
    fn take_again(&mut self, key: Key) -> anyhow::Result<()> {
        let mut batch = std::mem::take(&mut self.batch);
        if let Some(deliveries) = self.member.take_again(key, &mut batch)? {
            let mut gone = true;
            for element in batch.of_one_stream() {
                let (_, delivered) = element.map_err(|malformed| self.member.consumer.malformed(malformed))?;
                if let Delivered::Entry(mut entry) = delivered {
                    gone = false;
                    entry.deliveries = Some(deliveries);
                    self.start(key.0, &entry)?;
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

    /// Takes on what is pending under this consumer and not at hand: from an earlier run, or lost on the way.
    fn take_own(&mut self) -> anyhow::Result<()> {
        for index in 0..self.member.streams().len() {
            for id in self.member.own_pending(index)? {
                let key = (index, id);
                if self.running.contains_key(&key) || self.waiting.contains_key(&key) {
                    continue;
                }
                if self.free() == 0 || self.is_ending()? {
                    return Ok(());
                }
                match self.reservations.is_processed(&mut self.member, key)? {
                    true => self.unconfirmed.push(key),
                    false => self.take_again(key)?,
                }
            }
        }
        self.own_due = false;
        Ok(())
    }

    /// Takes over what other consumers left, as far as handlers are free.
    fn take_stale(&mut self) -> anyhow::Result<()> {
        let (mut index, mut from) = self.claim_from.take().unwrap_or((0, EntryId::MIN));
        while index < self.member.streams().len() {
            let count = self.output.budget().left(self.free());
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

    /// Keeps others from claiming what is at work here or waits for its retry.
    fn touch(&mut self) -> anyhow::Result<()> {
        self.next_touch = Instant::now() + touch_interval(self.member.args);
        if self.member.args.ack == AckMode::Read {
            return Ok(());
        }
        for index in 0..self.member.streams().len() {
            let at_hand = self.running.keys().chain(self.waiting.keys());
            let ids: Vec<_> = at_hand.filter(|(of, _)| *of == index).map(|(_, id)| *id).collect();
            self.member.touch(index, &ids)?;
        }
        Ok(())
    }

    /// How long to wait for something to happen.
    fn patience(&self) -> Duration {
        let tick = if self.pool.asked() > 0 { TICK_READING } else { TICK };
        let claim = self.member.next_claim().filter(|_| self.free() > 0);
        let retry = self.retries.first().map(|(due, _)| *due);
        let touch = (self.running.len() + self.waiting.len() > 0).then_some(self.next_touch);
        let next = [claim, retry, touch, self.deadline].into_iter().flatten().min();
        next.map_or(tick, |next| tick.min(next.saturating_duration_since(Instant::now())))
    }

    /// Whether all that was asked for is settled.
    fn is_done(&self) -> bool {
        let all_taken = self.drained || self.output.budget().left(1) == 0;
        all_taken && self.pool.asked() == 0 && self.waiting.is_empty() && !self.own_due && !self.member.is_claim_due()
    }

    /// Whether to end now, whatever is left; fails if that is too early.
    fn is_ending(&self) -> anyhow::Result<bool> {
        if self.member.stop.reason().is_some() {
            return Ok(true);
        }
        match self.deadline.is_some_and(|deadline| deadline <= Instant::now()) {
            true => Err(self.output.budget().missed(self.member.args.timeout).into()),
            false => Ok(false),
        }
    }

    fn is_past_end(&self) -> bool {
        let ends = self.ends.as_ref();
        ends.is_some_and(|ends| self.last_read.iter().zip(ends).all(|(read, end)| read >= end))
    }

    /// Lets the handlers at work finish, acknowledges what they did, and hands back the rest.
    fn finish(&mut self) -> anyhow::Result<()> {
        if self.pool.asked() > 0 {
            self.member.stop.halt();
        }
        while !self.running.is_empty() || self.pool.asked() > 0 {
            match self.pool.next_event(TICK) {
                Ok(Event::Ended(key, verdict)) => self.settle(key, verdict)?,
                Ok(Event::Read(Ok(batch))) => self.hold(&batch)?,
                Ok(Event::Read(Err(_))) | Err(_) => {}
            }
            if self.next_touch <= Instant::now() {
                self.touch()?;
            }
            self.confirm()?;
        }
        // These were tried: this delivery counts.
        let tried = self
            .waiting
            .iter()
            .map(|((index, id), deliveries)| (*index, *id, deliveries + 1));
        self.held.extend(tried);
        if self.member.args.ack == AckMode::Read {
            self.held.clear();
        }
        Ok(self.member.leave(&self.held)?)
    }

    fn hold(&mut self, batch: &Batch) -> anyhow::Result<()> {
        for element in batch.by_stream() {
            let (name, delivered) = element.map_err(|malformed| self.member.consumer.malformed(malformed))?;
            let index = self.member.index_of(name).unwrap_or_default();
            self.held.push((index, delivered.id(), 1));
        }
        Ok(())
    }
}

/// Three times within the time after which others may claim, theirs being the same as ours.
fn touch_interval(args: &Args) -> Duration {
    args.claim_idle().unwrap_or(CLAIM_IDLE).div_f64(3.0)
}
