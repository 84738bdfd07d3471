//! Messages that handlers work on, and that are done when those end: hands them out, and decides what an end means.
//!
//! One thread reads (a blocked read must not keep acknowledgements waiting), the handlers run wherever the verb runs
//! them, and this one dispatches. Nothing is read ahead of free handlers, so that no message ages in a buffer here;
//! what a read brings beyond them all the same waits, and is kept alive. The jobs are those of the run ([`jobs`]): where
//! other members have them all, a batch may wait for the next.
//!
//! A job has a batch of messages, one in the simplest case ([`ready`]). What one that failed means for them, [`settle`]
//! decides; how what crashed consumers had in hand is tried, [`start`].

mod job;
mod jobs;
mod queue;
mod reader;
mod ready;
mod settings;
mod settle;
mod start;
mod take;

use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::{Scope, scope};
use std::time::{Duration, Instant};

use super::event::Event;
use super::leave::Departure;
use super::member::{Member, Run};
use super::messages::{Again, State};
use super::settings::Acknowledge;
use crate::streamer::entry::Entry;
use crate::streamer::error::Error;
use crate::streamer::stop::{Ending, Halt};

use jobs::{Permit, Seat};
use queue::Queue;
use reader::{Reader, Reply};
use ready::Order;

pub use job::{Details, Job, Verdict};
pub use jobs::Jobs;
pub use settings::{Batch, Dispatch, Failure, Tally};

/// Runs handlers.
pub trait Handlers {
    /// Runs a job's handler, and says how it ended by `ended`, once, from whatever thread.
    fn start(&mut self, job: Job, ended: Ended);

    /// Makes the line of a message.
    fn line(&self, out: &mut Vec<u8>, stream: &str, entry: &Entry<'_>);

    /// Whether whoever reads what the handlers print is still there.
    fn has_reader(&self) -> bool;
}

/// Says how a job's handler ended.
pub struct Ended {
    number: u64,
    permit: Permit,
    tell: Sender<Signal>,
}

impl Ended {
    pub fn with(self, verdict: Verdict) {
        // Not when the dispatcher gets to know: a server that is away may keep it.
        drop(self.permit);
        // The dispatcher listens until all handlers have ended.
        let _ = self.tell.send(Signal::Ended(self.number, verdict));
    }
}

/// What wakes the dispatcher.
enum Signal {
    Read(Reply),
    Ended(u64, Verdict),
    /// A job is free that was waited for.
    JobFree,
}

/// The longest the dispatcher sleeps while a read is under way, which wakes it up.
const TICK_READING: Duration = Duration::from_secs(3600);
/// The longest it sleeps while none is.
const TICK: Duration = Duration::from_millis(50);

/// How often a lost server is tried again while handlers finish.
const RELINK_EVERY: Duration = Duration::from_millis(500);

/// How long one such attempt may take: handlers that end meanwhile wait for it.
const RELINK_WITHIN: Duration = Duration::from_millis(500);

/// How long a batch that is not full is held at least while more messages come without being waited for.
const FLOW_HOLD: Duration = Duration::from_millis(10);

/// Nobody wonders about a shorter wait.
const WORTH_TELLING: Duration = Duration::from_secs(1);

/// How it stands with new messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum News {
    /// The last read found some: the next will hardly have to wait.
    Flow,
    /// The last read found none: the reading thread waits for them.
    Pause,
    /// All that there was at the start were read.
    Over,
}

/// Consumes until the end, across failures that can be mended; then leaves in good order.
pub fn dispatch(
    member: Member<'_>,
    dispatch: &Dispatch,
    handlers: &mut impl Handlers,
) -> (Result<Ending, Failure>, Tally) {
    scope(|scope| Dispatcher::new(scope, member, dispatch, handlers).run())
}

struct Dispatcher<'scope, 'env, 'a, H> {
    member: Member<'a>,
    run: Run<'a>,
    dispatch: &'env Dispatch,
    handlers: &'env mut H,
    queue: Queue,
    seat: Seat,
    reader: Reader<'scope, 'env>,
    signals: Receiver<Signal>,
    tell: Sender<Signal>,
    news: News,
    next_keep_alive: Instant,
    /// Which stream to read next.
    turn: usize,
    tally: Tally,
    /// When to try a lost server again while handlers finish.
    next_relink: Instant,
    /// Since when the system had no room for a handler.
    no_room_since: Option<Instant>,
    /// Since when dead letters are refused.
    dying_since: Option<Instant>,
    has_told_of_put_off: bool,
}

impl<'scope, 'env, 'a: 'scope, H: Handlers> Dispatcher<'scope, 'env, 'a, H> {
    fn new(
        scope: &'scope Scope<'scope, 'env>,
        mut member: Member<'a>,
        dispatch: &'env Dispatch,
        handlers: &'env mut H,
    ) -> Self {
        let order = match member.run.lease {
            None => Order::OfArrival,
            Some(_) => Order::Kept,
        };
        let (tell, signals) = channel();
        let woken = tell.clone();
        let wake = move || {
            // Nobody waits who has gone.
            let _ = woken.send(Signal::JobFree);
        };
        if !dispatch.batch.is_one()
            && let Some(most) = dispatch.most_deliveries()
        {
            member.count_no_further_than(most);
        }
        Self {
            run: member.run,
            dispatch,
            handlers,
            queue: Queue::new(dispatch, order),
            seat: dispatch.jobs.seat(wake),
            reader: Reader::new(scope, &member, tell.clone()),
            signals,
            tell,
            news: News::Flow,
            next_keep_alive: Instant::now() + member.keep_alive_every(),
            turn: 0,
            tally: Tally::default(),
            next_relink: Instant::now(),
            no_room_since: None,
            dying_since: None,
            has_told_of_put_off: false,
            member,
        }
    }

    fn run(mut self) -> (Result<Ending, Failure>, Tally) {
        let ended = loop {
            match self.work() {
                Ok(None) => {}
                Ok(Some(ending)) => break Ok(ending),
                Err(Failure::Servers(error)) => match self.rejoin(error) {
                    Ok(()) => {}
                    Err(Halt::Ended(ending)) => break Ok(ending),
                    Err(Halt::Failed(error)) => break Err(Failure::Servers(error)),
                },
                Err(failure) => break Err(failure),
            }
        };
        let ended = self.finish(ended);
        (ended, self.tally)
    }

    fn rejoin(&mut self, error: Error) -> Result<(), Halt<Error>> {
        // What the reading thread's connection still carries is closed with the other.
        self.reader.stop(&mut self.member);
        // Others need not wait for this one's server.
        self.seat.rest();
        self.member.rejoin(error)?;
        if self.news == News::Pause {
            self.news = News::Flow;
        }
        Ok(())
    }

    /// One turn: takes on what there is room for, then waits for something to happen.
    fn work(&mut self) -> Result<Option<Ending>, Failure> {
        if self.run.is_late() && self.queue.running() > 0 {
            // The time limit is for messages to come: what handlers have in hand is kept alive and acknowledged.
            self.member.set_deadline(None);
        }
        if self.ending().is_none() {
            self.start_ready()?;
            self.take_on()?;
            self.start_ready()?;
        } else {
            self.seat.rest();
        }
        self.try_dead_letters()?;
        self.member.settle()?;
        if self.queue.running() == 0 {
            if let Some(ending) = self.ending() {
                return Ok(Some(ending));
            }
            if self.is_done() {
                let is_last = self.run.quota.is_used_up() || !self.member.begin_last_search();
                return Ok(is_last.then_some(Ending::Enough));
            }
        }
        self.tell_of_put_off();
        let patience = self.patience();
        match self.signals.recv_timeout(patience) {
            Ok(first) => self.react(first)?,
            Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {}
        }
        self.keep_alive()?;
        Ok(None)
    }

    fn keep_alive(&mut self) -> Result<(), Error> {
        if self.next_keep_alive <= Instant::now() {
            self.next_keep_alive = Instant::now() + self.member.keep_alive_every();
            self.member.keep_alive()?;
        }
        Ok(())
    }

    /// Deals with a signal and all others that are there; what they settle is acknowledged in one go.
    fn react(&mut self, first: Signal) -> Result<(), Failure> {
        let mut next = Some(first);
        while let Some(signal) = next {
            match signal {
                Signal::Read(reply) => self.take_reply(reply)?,
                Signal::Ended(number, verdict) => self.settle_job(number, verdict)?,
                Signal::JobFree => {}
            }
            next = self.signals.try_recv().ok();
        }
        Ok(())
    }

    /// How many more messages can be handled now. Where others have all jobs, a batch may wait here for the next.
    fn room(&self) -> usize {
        let jobs = self.queue.free_jobs().min(self.seat.free().max(1));
        self.queue.ready.room(jobs)
    }

    /// Whether there is room for another try of a message that failed.
    fn can_retry(&self) -> bool {
        self.queue.can_retry(self.room() > 0)
    }

    /// How many there is room for, without those that a read under way may bring.
    fn free(&self) -> usize {
        self.room().saturating_sub(self.reader.asked())
    }

    /// How long a batch that is not full is held now.
    fn hold(&self) -> Duration {
        let wait = self.dispatch.batch.wait;
        if self.ending().is_some() && !self.has_unread() {
            // Nothing is begun any more, although the end may have been asked for just now.
            return wait;
        }
        let may_get_more = self.reader.asked() > 0 || self.takes_on_more();
        if !may_get_more || self.run.ending_or_enough().is_some() {
            Duration::ZERO
        } else if self.news == News::Flow {
            wait.max(FLOW_HOLD)
        } else {
            wait
        }
    }

    /// How long to wait for something to happen.
    fn patience(&mut self) -> Duration {
        let is_reading = self.reader.asked() > 0;
        if !is_reading && self.takes_on_more() {
            // What was read was passed over: there is more to read.
            return Duration::ZERO;
        }
        let tick = if is_reading { TICK_READING } else { TICK };
        // At the end nothing more is taken on, so nothing of that kind is due.
        let takes_on = self.run.stop.ending().is_none();
        let due = self.next_due().filter(|_| takes_on);
        let claim = self.member.next_claim.filter(|_| takes_on && self.may_take() > 0);
        let keep_alive = (!self.member.messages().is_empty()).then_some(self.next_keep_alive);
        // Handlers at work may take longer than the time limit: that it has passed is nothing to wake up for again.
        let deadline = self.run.deadline.filter(|_| !self.run.is_late());
        // One that is held no longer waits for a job, which wakes us.
        let held = self
            .queue
            .held_until(self.hold())
            .filter(|until| *until > Instant::now());
        let next = [due, claim, keep_alive, deadline, held].into_iter().flatten().min();
        next.map_or(tick, |next| tick.min(next.saturating_duration_since(Instant::now())))
    }

    /// When something is to be done about a message that can be done now.
    fn next_due(&mut self) -> Option<Instant> {
        let has_room = self.can_retry();
        self.queue.next_due(&self.member.delivery.messages, has_room)
    }

    fn takes_on_more(&self) -> bool {
        let searches = self.member.stale_search.is_some();
        let flows = self.news == News::Flow && self.has_room_for_new();
        (flows || searches) && self.may_take() > 0 && self.ending().is_none()
    }

    /// How many messages may be taken on now.
    fn may_take(&self) -> usize {
        self.run.quota.left(self.free())
    }

    /// Whether all that was asked for is settled.
    fn is_done(&mut self) -> bool {
        let all_read = self.news == News::Over && !self.member.searches_own() && !self.member.is_claim_due();
        let all_taken = self.run.quota.is_used_up() || all_read;
        all_taken && self.reader.asked() == 0 && self.queue.is_empty()
    }

    /// Why to end now, whatever is left but for the handlers at work.
    fn ending(&self) -> Option<Ending> {
        match self.run.ending() {
            None if self.run.is_late() && self.queue.is_waiting() => Some(Ending::TimeUp),
            ending => ending,
        }
    }

    /// How many messages wait for another try for this reason.
    fn waiting(&self, why: Again) -> u64 {
        let messages = &self.member.delivery.messages;
        messages.count(|state| *state == State::Waiting(why)) as u64
    }

    /// Tells, once, that nothing is left but messages that were put off: else nobody sees what is waited for.
    fn tell_of_put_off(&mut self) {
        let is_idle = self.news == News::Over && self.queue.running() == 0 && self.queue.ready.is_empty();
        if self.has_told_of_put_off || !is_idle {
            return;
        }
        let next = self.next_due().map(|due| due.saturating_duration_since(Instant::now()));
        let (messages, next) = (self.waiting(Again::PutOff), next.unwrap_or_default());
        if messages > 0 && next >= WORTH_TELLING {
            self.has_told_of_put_off = true;
            (self.run.tell)(Event::OnlyPutOff { messages, next });
        }
    }

    /// Lets the handlers at work finish, acknowledges what they did, and hands back the rest.
    fn finish(&mut self, mut ended: Result<Ending, Failure>) -> Result<Ending, Failure> {
        while self.queue.running() > 0 || self.reader.asked() > 0 || self.has_unread() {
            if !self.has_unread() {
                self.seat.rest();
            } else if let Err(error) = self.start_ready() {
                ended = ended.and(Err(error.into()));
            }
            let signal = self.signals.recv_timeout(TICK).ok();
            if let Some(signal) = signal
                && let Err(failure) = self.wind_up(signal)
            {
                // One handler's failure does not excuse us from the others.
                let is_hopeless = matches!(failure, Failure::NoRoom(_));
                ended = ended.and(Err(failure));
                if is_hopeless && self.queue.running() == 0 {
                    break;
                }
            }
            self.settle_meanwhile();
        }
        if self.has_unread() {
            (self.run.tell)(Event::Unhandled(self.queue.ready.len()));
        }
        self.tally.waiting = self.waiting(Again::Failed);
        self.tally.put_off = self.waiting(Again::PutOff);
        let departure = match &ended {
            Ok(ending) => Departure::InGoodOrder(*ending),
            Err(Failure::Servers(error)) => Departure::after(error),
            Err(Failure::NoDeadLetter(_)) => Departure::Refused,
            Err(Failure::Unusable(_) | Failure::NoRoom(_)) => Departure::AfterFailure,
        };
        let left = self.member.leave(departure, |_| Ok(()));
        let ending = ended?;
        left?;
        Ok(ending)
    }

    /// Whether messages were read that count as acknowledged and are not handled.
    fn has_unread(&self) -> bool {
        self.member.settings.acknowledge == Acknowledge::OnRead && !self.queue.ready.is_empty()
    }

    fn wind_up(&mut self, signal: Signal) -> Result<(), Failure> {
        match signal {
            Signal::Ended(number, verdict) => match self.settle_job(number, verdict) {
                // What is done is acknowledged over the next connection, and what is not is handed back.
                Err(Failure::Servers(error)) if error.is_connection() => {
                    self.member.put_away_link();
                    Ok(())
                }
                settled => settled,
            },
            Signal::JobFree => Ok(()),
            Signal::Read(reply) => {
                self.member.delivery.is_closed = self.member.settings.acknowledge.leaves_pending();
                match self.take_reply(reply) {
                    // It ends with its connection, and what it took is looked for.
                    Err(Failure::Servers(error)) if error.is_connection() => Ok(()),
                    taken => taken,
                }
            }
        }
    }

    /// Acknowledges what handlers finish while others are still at work. A server that is lost now is tried again
    /// once in a while; in the end for longer.
    fn settle_meanwhile(&mut self) {
        if self.member.link.is_lost {
            if self.next_relink > Instant::now() {
                return;
            }
            let deadline = Some(Instant::now() + RELINK_WITHIN);
            if self.member.relink_once(deadline).is_err() {
                self.next_relink = Instant::now() + RELINK_EVERY;
                return;
            }
        }
        let settled = self.keep_alive().and_then(|()| self.member.settle());
        if settled.is_err() {
            self.member.put_away_link();
        }
    }
}
