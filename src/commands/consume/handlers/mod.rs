//! Runs a command for each message; its exit status settles the message.
//!
//! One thread reads (a blocked read must not keep acknowledgements waiting), one thread a handler runs
//! processes ([`pool`], [`process`]), and this one, the desk, decides: it hands out what was read ([`intake`]),
//! acknowledges, retries, and buries ([`fates`]). Nothing is read ahead of free handlers, so that no entry ages
//! in a buffer here.

mod fates;
mod intake;
mod pool;
mod process;

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::sync::mpsc::RecvTimeoutError;
use std::time::{Duration, Instant};

use crate::failure::Failure;
use crate::render::counted;
use crate::streamer::{Batch, Error, OwnedFields};

use super::AckMode;
use super::horizon::Horizon;
use super::member::{Key, Member};
use super::reservations::Reservations;
use super::run::Run;

pub use pool::Pool;
pub use process::Groups;

use pool::Event;

/// The longest the desk sleeps while a read is under way: a signal reaches it through that read.
const TICK_READING: Duration = Duration::from_secs(3600);
/// The longest it sleeps while none is.
const TICK: Duration = Duration::from_millis(50);

/// Where the messages are handed out and their fates decided.
pub struct Desk<'scope, 'a> {
    member: Member<'a>,
    run: &'a Run<'a>,
    pool: Pool<'scope, 'a>,
    batch: Batch,
    /// At work in a handler.
    running: HashMap<Key, Task>,
    /// Failed, by when they are tried again, with how often they were delivered.
    retries: BTreeSet<(Instant, Key)>,
    waiting: HashMap<Key, u64>,
    /// Settled, and the acknowledgement not confirmed.
    unconfirmed: Vec<Key>,
    reservations: Reservations,
    /// Failed for the last time and not buried yet: with how many deliveries, and why.
    doomed: HashMap<Key, (u64, String)>,
    own: Own,
    /// Where the search for stale entries goes on.
    claim_from: Option<Key>,
    next_touch: Instant,
    horizon: Horizon,
    news: News,
    /// Which stream to read next.
    turn: usize,
    tally: Tally,
}

/// What became of the messages.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    handled: u64,
    /// For good.
    failed: u64,
}

impl std::ops::Add for Tally {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            handled: self.handled + other.handled,
            failed: self.failed + other.failed,
        }
    }
}

impl Tally {
    /// Whether all went well; `grave` is where those are that did not.
    pub fn verdict(self, grave: Option<&str>) -> Result<(), Failure> {
        let all = counted(self.handled + self.failed, "message");
        match (self.failed, grave) {
            (0, _) => Ok(()),
            (failed, Some(grave)) => Err(Failure::data(format!("{failed} of {all} failed; they are in {grave}"))),
            (failed, None) => Err(Failure::data(format!("{failed} of {all} failed"))),
        }
    }
}

/// What is pending under this consumer and not at hand: from an earlier run, or lost on the way.
enum Own {
    /// It is to be looked for.
    Unknown,
    /// These are to be taken on.
    Known(VecDeque<Key>),
}

impl Own {
    /// Whether there is none.
    fn is_none(&self) -> bool {
        matches!(self, Self::Known(keys) if keys.is_empty())
    }
}

/// How it stands with new messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum News {
    /// The last read found some: the next will hardly have to wait.
    Flow,
    /// The last read found none: the reading thread waits for them.
    Pause,
    /// All that `-e` asks for were read.
    Over,
}

/// A message at work.
struct Task {
    fields: OwnedFields,
    deliveries: u64,
}

impl<'scope, 'a> Desk<'scope, 'a> {
    /// A desk for one member.
    pub fn new(member: Member<'a>, horizon: Horizon, pool: Pool<'scope, 'a>) -> Self {
        Self {
            run: member.run,
            pool,
            batch: Batch::default(),
            running: HashMap::new(),
            retries: BTreeSet::new(),
            waiting: HashMap::new(),
            unconfirmed: Vec::new(),
            reservations: Reservations::default(),
            doomed: HashMap::new(),
            own: match member.has_given_name() && member.run.args.ack != AckMode::Read {
                true => Own::Unknown,
                false => Own::Known(VecDeque::new()),
            },
            claim_from: None,
            next_touch: Instant::now(),
            horizon,
            news: News::Flow,
            turn: 0,
            tally: Tally::default(),
            member,
        }
    }

    /// Handles messages until the end, across failures that can be mended; then leaves in good order.
    pub fn run(mut self) -> anyhow::Result<Tally> {
        let ended = loop {
            match self.work() {
                Ok(true) => {}
                Ok(false) => break Ok(()),
                Err(error) if error.downcast_ref::<Error>().is_some() => {
                    if let Err(error) = self.member.mend(error) {
                        break Err(self.member.renew(error)?);
                    }
                    self.start_over();
                }
                Err(error) => break Err(error),
            }
        };
        let left = self.finish();
        ended?;
        left?;
        Ok(self.tally)
    }

    /// After a lost connection, what it carried may be pending under this consumer.
    fn start_over(&mut self) {
        if self.run.args.ack != AckMode::Read {
            self.own = Own::Unknown;
        }
        if self.news == News::Pause {
            self.news = News::Flow;
        }
    }

    /// One turn: takes on what there is room for, then waits for something to happen. False at the end.
    fn work(&mut self) -> anyhow::Result<bool> {
        if !self.is_ending()? {
            self.take_on()?;
        }
        self.confirm()?;
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

    /// How many handlers have nothing to do, nor a read under way for them.
    pub(super) fn free(&self) -> usize {
        self.run
            .args
            .jobs
            .get()
            .saturating_sub(self.running.len() + self.pool.asked())
    }

    /// Deals with an event and all others that are there; what they settle is acknowledged in one go.
    fn react(&mut self, first: Event) -> anyhow::Result<()> {
        let mut next = Some(first);
        while let Some(event) = next {
            match event {
                Event::Read(batch) => {
                    let batch = batch?;
                    self.member.succeeded();
                    if self.take(batch.by_stream(), None, None)? > 0 {
                        self.news = News::Flow;
                    }
                }
                Event::Ended(key, verdict) => self.settle(key, verdict)?,
            }
            next = self.pool.try_event();
        }
        Ok(())
    }

    /// How long to wait for something to happen.
    fn patience(&self) -> Duration {
        let tick = if self.pool.asked() > 0 { TICK_READING } else { TICK };
        let touch = (self.running.len() + self.waiting.len() > 0).then_some(self.next_touch);
        // At the end nothing more is taken on, so nothing of that kind is due.
        let takes_on = self.run.stop.reason().is_none();
        let retry = self
            .retries
            .first()
            .map(|(due, _)| *due)
            .filter(|_| takes_on && self.free() > 0);
        let claim = self.member.next_claim().filter(|_| takes_on && self.may_claim());
        // Handlers at work may take longer than `--timeout`: that it has passed is nothing to wake up for again.
        let deadline = self.run.deadline.filter(|_| !self.run.is_late());
        let next = [claim, retry, touch, deadline].into_iter().flatten().min();
        next.map_or(tick, |next| tick.min(next.saturating_duration_since(Instant::now())))
    }

    fn may_claim(&self) -> bool {
        self.run.left(self.free()) > 0
    }

    /// Whether all that was asked for is settled.
    fn is_done(&self) -> bool {
        let all_taken =
            self.run.is_full() || (self.news == News::Over && self.own.is_none() && !self.member.is_claim_due());
        all_taken && self.pool.asked() == 0 && self.waiting.is_empty()
    }

    /// Whether to end now, whatever is left; fails if the time is up before all that was asked for is done, but for
    /// the handlers at work.
    fn is_ending(&self) -> anyhow::Result<bool> {
        if self.run.stop.reason().is_none() && self.run.is_late() && !self.waiting.is_empty() {
            let left = counted(self.waiting.len() as u64, "message");
            return Err(self
                .run
                .missed(&format!("{left} had failed and waited to be tried again"))
                .into());
        }
        self.run.is_ending()
    }

    /// Lets the handlers at work finish, acknowledges what they did, and hands back the rest.
    fn finish(&mut self) -> anyhow::Result<()> {
        if self.pool.asked() > 0 {
            self.run.stop.halt();
        }
        if self.run.stop.signal().is_some() && !self.running.is_empty() {
            let handlers = counted(self.running.len() as u64, "handler");
            let status = format!("waiting for {handlers} at work; a second signal ends them at once");
            self.run.context.ui.status(&status);
        }
        let mut failed = Ok(());
        while !self.running.is_empty() || self.pool.asked() > 0 {
            let event = self.pool.next_event(TICK);
            // One handler's failure does not excuse us from the others.
            failed = failed.and(self.wind_up(event.ok()));
        }
        for (key, deliveries) in &self.waiting {
            // These were tried: this delivery counts.
            self.member.hold(*key, deliveries + 1);
        }
        failed.and(Ok(self.member.leave()?))
    }

    fn wind_up(&mut self, event: Option<Event>) -> anyhow::Result<()> {
        match event {
            Some(Event::Ended(key, verdict)) => self.settle(key, verdict)?,
            Some(Event::Read(Ok(batch))) => self.member.hold_reply(&batch)?,
            Some(Event::Read(Err(_))) | None => {}
        }
        if self.next_touch <= Instant::now() {
            self.touch()?;
        }
        Ok(self.confirm()?)
    }
}
