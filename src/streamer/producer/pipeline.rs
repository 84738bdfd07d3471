//! Batches out, replies matched to records, in order: a window of batches in flight over one connection at a time.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::Settings;
use super::batch::{Batch, Outcome, Sent, Span};
use super::chain::Chain;
use super::durability::Reached;
use super::ending::End;
use super::flight::{Flight, Form};
use super::host::{Arrival, Journal, Note, Source};
use super::interference::{Caution, Suspicion};
use super::link::{Link, Mode};
use super::marker::{Position, Writer};
use super::recovery::Server;
use super::start::Started;
use super::telling::{Answer, Told};
use super::transaction::{Executed, Marked};
use super::trouble::Trouble;
use crate::streamer::error::{Error, ServerError};
use crate::streamer::servers::{Servers, Supervisor};
use crate::streamer::stop::Stop;

/// How many records may be in flight: a dozen batches of messages of 150 bytes. A quarter of that left the server
/// idle now and then, when this process was not scheduled for a moment.
pub(super) const WINDOW: usize = 16 * 1024;

/// How many bytes of commands may be in flight, so that memory does not grow with the size of messages.
pub(super) const WINDOW_BYTES: usize = 4 * 1024 * 1024;

/// How often the marker is moved while nothing comes in: long before it expires.
const REFRESH: Duration = Duration::from_secs(60 * 60);

/// How long what is in flight may take to be settled, once the work is asked to end: so long for an answer that is waited
/// for, and so long again for all else.
pub(super) const GRACE: Duration = Duration::from_secs(5);

/// Sends batches.
pub struct Producer<'a, 'h, E> {
    pub(super) servers: &'a Servers,
    pub(super) settings: &'a Settings,
    pub(super) stop: &'a Stop,
    pub(super) supervisor: Supervisor<'a>,
    pub(super) link: Link,
    pub(super) mode: Mode,
    pub(super) key: String,
    pub(super) chain: Chain,
    pub(super) source: &'h mut dyn Source<E>,
    pub(super) journal: &'h mut dyn Journal<E>,
    pub(super) input: Input<E>,
    /// Batches whose replies are not all in, oldest first.
    pub(super) in_flight: VecDeque<Flight>,
    /// Batches that are in and not known to be safe, older than those in flight.
    pub(super) waiting: VecDeque<Flight>,
    /// Where those are, if that was not enough.
    pub(super) shortfall: Option<Reached>,
    /// Whether what an earlier run sent is known to be safe.
    pub(super) earlier_is_safe: bool,
    /// Batches to send again, before any others.
    pub(super) again: VecDeque<Flight>,
    /// A batch of an earlier run, of which is to be told once more.
    pub(super) earlier: Option<Box<Batch>>,
    /// The writer that anything was sent by last.
    pub(super) newest: Writer,
    pub(super) caution: Caution,
    pub(super) server: Server,
    pub(super) suspicion: Option<Suspicion>,
    pub(super) outcomes: Vec<Outcome>,
    /// Until when to settle what is in flight, once the work is asked to end.
    pub(super) grace: Option<Instant>,
    moved: Instant,
    /// The marker moved over lines that were refused, or was deleted: it is not true, and to be set to what is.
    pub(super) marker_is_wrong: bool,
    /// It was to be deleted, and the answer was lost.
    pub(super) marker_may_be_deleted: bool,
}

/// How the reading goes.
pub enum Input<E> {
    Open,
    /// There is no more. A record that ends the sending stands by itself.
    Ended(Option<Box<Batch>>),
    Failed(E),
}

/// What the next turn of the loop has to do.
enum Turn {
    Send(Flight),
    /// Take the replies of the oldest batch in flight.
    Settle,
    /// Tell of a batch that an earlier run sent.
    Tell,
    /// Make sure that what is in is safe.
    Prove,
    /// It is not, and nothing is on its way that might still say so.
    GiveUp(Reached),
    /// Find out why the marker was not what it should have been.
    Examine,
    MendMarker,
    Finish,
}

impl<'a, 'h, E> Producer<'a, 'h, E> {
    pub fn new(started: Started<'a>, source: &'h mut dyn Source<E>, journal: &'h mut dyn Journal<E>) -> Self {
        let Started {
            servers,
            settings,
            stop,
            supervisor,
            link,
            mode,
            key,
            chain,
            begin: _,
        } = started;
        let mut producer = Self {
            servers,
            settings,
            stop,
            supervisor,
            newest: chain.last().position.writer,
            link,
            mode,
            key,
            chain,
            source,
            journal,
            input: Input::Open,
            in_flight: VecDeque::new(),
            waiting: VecDeque::new(),
            shortfall: None,
            earlier_is_safe: settings.durability.is_none(),
            again: VecDeque::new(),
            earlier: None,
            caution: Caution::default(),
            server: Server::TheSame,
            suspicion: None,
            outcomes: Vec::new(),
            grace: None,
            moved: Instant::now(),
            marker_is_wrong: false,
            marker_may_be_deleted: false,
        };
        producer.beware_of_the_earlier_run();
        producer
    }

    /// Sends what the source has until it ends.
    pub fn run(mut self) -> Result<(), Trouble<E>> {
        loop {
            let ended = self.send_all();
            if self.end(ended)? == End::Done {
                return Ok(());
            }
        }
    }

    fn send_all(&mut self) -> Result<(), Trouble<E>> {
        loop {
            let step = match self.turn() {
                Turn::Finish => break,
                Turn::Send(flight) => self.dispatch(flight),
                Turn::Settle => self.settle(),
                Turn::Tell => self.tell(),
                Turn::Prove => self.prove().map(drop),
                Turn::GiveUp(reached) => Err(Trouble::NotSafe(reached)),
                Turn::Examine => self.examine(),
                Turn::MendMarker => self.mend_marker(),
            };
            match step {
                Err(Trouble::Server { error, .. }) if error.is_passing() => self.recover(error)?,
                step => step?,
            }
        }
        match std::mem::replace(&mut self.input, Input::Ended(None)) {
            Input::Failed(error) => Err(Trouble::Host(error)),
            Input::Ended(Some(batch)) if !self.journal.is_stopped() && self.stop.ending().is_none() => {
                let accounted = self.account(&batch, 0, &[], Told::Added);
                self.journal.told();
                accounted.map(drop)
            }
            Input::Open | Input::Ended(_) => Ok(()),
        }
    }

    fn turn(&mut self) -> Turn {
        if self.earlier.is_some() {
            return Turn::Tell;
        }
        self.begin_grace();
        while self.may_send() {
            if let Some(flight) = self.again.pop_front() {
                return Turn::Send(flight);
            }
            if !matches!(self.input, Input::Open) {
                break;
            }
            let idle = self.in_flight.is_empty() && self.waiting.is_empty();
            let wait = if idle { REFRESH } else { Duration::ZERO };
            match self.source.next(wait) {
                Arrival::Batch(batch) if batch.sent == Sent::Earlier => {
                    self.earlier = Some(batch);
                    return Turn::Tell;
                }
                Arrival::Batch(batch) if batch.records.is_empty() => self.source.recycle(batch),
                Arrival::Batch(batch) => return Turn::Send(self.new_flight(batch)),
                Arrival::Ended(last) => self.input = Input::Ended(last),
                Arrival::Failed(error) => self.input = Input::Failed(error),
                Arrival::Nothing if idle && self.is_due() => return Turn::Send(self.refresh()),
                Arrival::Nothing if idle => self.begin_grace(),
                Arrival::Nothing => break,
            }
        }
        self.when_nothing_is_to_be_sent()
    }

    fn when_nothing_is_to_be_sent(&self) -> Turn {
        if !self.in_flight.is_empty() || self.is_answer_next() {
            return Turn::Settle;
        }
        match (&self.suspicion, self.shortfall) {
            (Some(_), _) => Turn::Examine,
            (None, _) if self.marker_is_wrong && matches!(self.mode, Mode::Marked) => Turn::MendMarker,
            (None, Some(reached)) => Turn::GiveUp(reached),
            (None, None) if !self.waiting.is_empty() => Turn::Prove,
            (None, None) => Turn::Finish,
        }
    }

    fn may_send(&self) -> bool {
        let is_wanted = !self.journal.is_stopped() && self.stop.ending().is_none();
        let is_well = self.suspicion.is_none() && !self.marker_is_wrong && self.shortfall.is_none();
        is_wanted && is_well && self.has_room()
    }

    /// Whether there is room in the window. A server that was lost or refused gets one batch by itself: it may go on
    /// refusing, and to begin to take lines in the middle of a window would lose their order. A window holds batches of one
    /// form: what was sent as transactions is settled before any are sent without.
    fn has_room(&self) -> bool {
        let form = Form::from(&self.mode);
        if self.in_flight.front().is_some_and(|oldest| oldest.form != form) {
            return false;
        }
        if (self.supervisor.is_at_work() || self.caution.is_due()) && !self.in_flight.is_empty() {
            return false;
        }
        let sizes = self.waiting.iter().chain(&self.in_flight).map(Flight::size);
        window_has_room(sizes, self.settings.producers)
    }

    /// Once the work is asked to end, what is in flight is settled, for a while.
    fn begin_grace(&mut self) {
        if self.stop.ending().is_some() && self.grace.is_none() {
            let until = Instant::now() + GRACE;
            self.grace = Some(until);
            self.supervisor.begin_grace(until);
            self.link.connection.set_deadline(Some(until));
        }
    }

    fn new_flight(&self, batch: Box<Batch>) -> Flight {
        let before = self.in_flight.back().or(self.waiting.back());
        let before = before.map(|flight| &flight.position);
        let position = self.chain.behind(before, &batch, self.link.writer);
        Flight::new(batch, position)
    }

    /// Up to where all is known to be in.
    pub(super) fn newest_in(&self) -> Position {
        let waiting = self.waiting.back().map(|flight| flight.position);
        waiting.unwrap_or(self.chain.last().position)
    }

    /// Whether the marker would expire if it were not moved.
    fn is_due(&self) -> bool {
        matches!(self.mode, Mode::Marked) && self.moved.elapsed() >= REFRESH
    }

    /// A batch of nothing, which moves the marker to where it is.
    fn refresh(&self) -> Flight {
        let mut batch = Box::<Batch>::default();
        batch.clear();
        batch.seal(self.chain.last().position.place);
        self.new_flight(batch)
    }

    fn dispatch(&mut self, mut flight: Flight) -> Result<(), Trouble<E>> {
        if self.caution.is_due() && matches!(self.mode, Mode::Marked) {
            match self.watch() {
                Ok(None) => {}
                Ok(Some(moved)) => {
                    self.again.push_front(flight);
                    return self.reconcile(&moved);
                }
                Err(error) => {
                    self.again.push_front(flight);
                    return Err(error.into());
                }
            }
        }
        flight.position.writer = self.link.writer;
        flight.sent_by.push(self.link.writer);
        flight.form = Form::from(&self.mode);
        self.newest = self.link.writer;
        self.moved = Instant::now();
        self.in_flight.push_back(flight);
        let last = self.in_flight.len() - 1;
        self.in_flight[last].send(&mut self.link.connection, &self.key)?;
        if !self.is_asked() {
            self.link.connection.expect(self.in_flight[last].replies());
        }
        self.ask_now_and_then()
    }

    /// Takes the replies of the oldest batch.
    fn settle(&mut self) -> Result<(), Trouble<E>> {
        self.ask_if_nobody_did()?;
        if self.is_answer_next() {
            self.take_answer()?;
            self.expect_replies();
            return Ok(());
        }
        let Some(flight) = self.in_flight.front() else {
            return Ok(());
        };
        if flight.form == Form::Commands {
            return self.settle_plain();
        }
        match flight.receive(&mut self.link.connection, &mut self.outcomes)? {
            Executed::Yes(marked) => self.executed(marked),
            Executed::Refused { step, error } => self.refused(step, error),
            Executed::Overtaken => self.overtaken(),
        }
    }

    /// The oldest batch in flight is in, and the marker has moved with it.
    pub(super) fn executed(&mut self, marked: Marked) -> Result<(), Trouble<E>> {
        let Some(flight) = self.in_flight.pop_front() else {
            return Ok(());
        };
        self.supervisor.succeeded();
        self.server = Server::TheSame;
        match marked.before {
            Ok(before) if matches!(self.mode, Mode::Marked) => self.suspect(before),
            // It could not be moved by a batch before this one: what it says means nothing any more.
            Ok(_) => {}
            // An older server, which does not say what the marker was; or the key holds something else.
            Err(refusal) => self.do_without_marker(refusal),
        }
        let outcomes = std::mem::take(&mut self.outcomes);
        let concluded = self.arrived(flight, &outcomes, Answer::Heard);
        self.outcomes = outcomes;
        concluded?;
        match marked.untrimmed {
            Some(refusal) => Err(Error::refused(refusal, &self.settings.stream, None).into()),
            None => Ok(()),
        }
    }

    /// The marker cannot be moved: no further batch is sent with it.
    pub(super) fn do_without_marker(&mut self, refusal: ServerError) {
        if let Mode::Marked = self.mode {
            self.journal.note(Note::NoMarker(&refusal));
            self.mode = Mode::Plain(refusal);
        }
    }

    /// The lines of which it is not known whether they are in.
    pub(super) fn in_doubt(&self) -> Option<Span> {
        let flights = self.in_flight.iter().chain(&self.again);
        let spans = flights
            .filter(|flight| flight.is_in_doubt())
            .filter_map(|flight| flight.batch.span_from(flight.told));
        spans.reduce(Span::to)
    }
}

/// Whether a batch may follow those in flight, each so many records and so many bytes of commands, where so many
/// producers share the bytes. One batch always may.
fn window_has_room(in_flight: impl Iterator<Item = (usize, usize)>, producers: usize) -> bool {
    let (records, bytes) = sum(in_flight);
    records < WINDOW && bytes < WINDOW_BYTES / producers.max(1)
}

/// How large batches are together: records, and bytes of commands.
pub(super) fn sum(sizes: impl Iterator<Item = (usize, usize)>) -> (usize, usize) {
    sizes.fold((0, 0), |sum, batch| (sum.0 + batch.0, sum.1 + batch.1))
}

#[cfg(test)]
mod tests;
