//! The sending thread: batches out, replies matched to lines, in order, across lost connections.

use std::collections::VecDeque;
use std::sync::mpsc::{Receiver, Sender as Return, TryRecvError};

use super::checkpoint::{Checkpoint, MOST_UNWRITTEN};
use super::input::{Batch, Event, MOST_RECORDS};
use super::ledger::{Ended, Ledger, count};
use super::{Args, OnAmbiguous};
use crate::commands::Context;
use crate::failure::Failure;
use crate::signals::Stop;
use crate::streamer::{Backoff, EntryId, Error, Fate, Identity, Landed, Streamer, content, receive_added};
use crate::ui::Progress;

/// How many entries may be in flight. Four batches of a thousand keep the server busy while replies travel;
/// more gains nothing.
const WINDOW: usize = 4096;

/// Sends batches over one connection at a time.
pub struct Sender<'a> {
    args: &'a Args,
    context: &'a Context,
    streamer: Streamer,
    /// The connection as the next one can find it, where the server allows it.
    identity: Option<Identity>,
    /// Batches written, oldest first, whose replies are not all in.
    in_flight: VecDeque<Flight>,
    /// Batches to send again, before any others.
    again: VecDeque<Flight>,
    /// The last entry known to be added; the stream's last ID before the first.
    last_id: Option<EntryId>,
    /// What landed although nobody said so, and how many records may be among it.
    landed: Option<(Landed, usize)>,
    checkpoint: Option<Checkpoint>,
    /// How much input is settled.
    bytes: u64,
    /// How the reading goes, or why it failed.
    input: anyhow::Result<Reading>,
    /// The attempts since an entry was last added, while something is wrong.
    backoff: Option<Backoff>,
}

/// Whether more may be read.
enum Reading {
    Open,
    Ended,
}

/// A batch on its way.
struct Flight {
    batch: Box<Batch>,
    /// The first record whose fate is not known.
    next: usize,
}

impl Flight {
    /// Where what is still to be sent begins.
    fn unsent_from(&self) -> usize {
        self.batch.records[self.next..]
            .iter()
            .find_map(|record| record.command.as_ref().ok())
            .map(|command| command.packed.start)
            .or(self.batch.trim_at)
            .unwrap_or(self.batch.packed.len())
    }

    fn unknown(&self) -> usize {
        self.batch.records.len() - self.next
    }
}

/// What the next turn of the loop has to do.
enum Turn {
    /// Write a batch.
    Send(Flight),
    /// Take the replies of the oldest batch in flight.
    Settle,
    /// Nothing.
    Finish,
}

impl<'a> Sender<'a> {
    /// A sender over a connection of its own.
    pub fn new(
        args: &'a Args,
        context: &'a Context,
        streamer: Streamer,
        origin: Option<EntryId>,
        checkpoint: Option<Checkpoint>,
    ) -> Self {
        Self {
            args,
            context,
            streamer,
            identity: None,
            in_flight: VecDeque::new(),
            again: VecDeque::new(),
            last_id: origin,
            landed: None,
            checkpoint,
            bytes: 0,
            input: Ok(Reading::Open),
            backoff: None,
        }
    }

    /// Sends what arrives until it ends.
    pub fn run(
        &mut self,
        arriving: &Receiver<Event>,
        spare: &Return<Box<Batch>>,
        ledger: &mut Ledger,
        progress: &Progress,
        stop: &Stop,
    ) -> anyhow::Result<Ended> {
        let ended = self.send_all(arriving, spare, ledger, progress, stop);
        if let Some(checkpoint) = &mut self.checkpoint {
            // After a line that stopped the batch, lines before it are in the stream that no place marks.
            let closed = checkpoint.close(ended.is_ok() && !ledger.is_stopped());
            return ended.and_then(|ended| closed.map(|()| ended));
        }
        ended
    }

    fn send_all(
        &mut self,
        arriving: &Receiver<Event>,
        spare: &Return<Box<Batch>>,
        ledger: &mut Ledger,
        progress: &Progress,
        stop: &Stop,
    ) -> anyhow::Result<Ended> {
        self.resume()?;
        loop {
            let step = match self.turn(arriving, ledger, stop) {
                Turn::Finish => break,
                Turn::Send(flight) => self.dispatch(flight, ledger),
                Turn::Settle => self.settle(spare, ledger, progress),
            };
            match step {
                Ok(()) => {}
                Err(error) if is_passing(&error) => self.recover(error, ledger, stop)?,
                Err(error) => return Err(error),
            }
        }
        // What is not to be sent any more may have gone in before the connection broke.
        while let Some(mut flight) = self.again.pop_front() {
            self.match_landed(&mut flight, ledger)?;
        }
        let input = std::mem::replace(&mut self.input, Ok(Reading::Ended));
        match (input, stop.signal()) {
            (Err(error), _) => Err(error),
            (Ok(_), Some(signal)) => Ok(Ended::Signal(signal)),
            (Ok(_), None) => Ok(Ended::Input),
        }
    }

    /// Finds out what an earlier run sent after it last wrote its checkpoint.
    fn resume(&mut self) -> anyhow::Result<()> {
        self.identity = self.streamer.identify()?;
        let Some(checkpoint) = &mut self.checkpoint else {
            return Ok(());
        };
        if !checkpoint.is_settled() {
            if let Some(connection) = checkpoint.connection() {
                self.streamer.kill_client(connection)?;
            }
            self.last_id = checkpoint.last_id()?;
            let trims = self.args.trim.is_given();
            let landed = Landed::after(&mut self.streamer, &self.args.stream, self.last_id, trims)?;
            self.landed = Some((landed, MOST_UNWRITTEN + WINDOW + 2 * MOST_RECORDS));
        }
        checkpoint.begin(self.last_id, self.identity.clone())
    }

    fn turn(&mut self, arriving: &Receiver<Event>, ledger: &Ledger, stop: &Stop) -> Turn {
        while !ledger.is_stopped() && stop.signal().is_none() {
            if self.in_flight.iter().map(Flight::unknown).sum::<usize>() >= WINDOW {
                break;
            }
            if let Some(flight) = self.again.pop_front() {
                return Turn::Send(flight);
            }
            if !matches!(self.input, Ok(Reading::Open)) {
                break;
            }
            match self.next_event(arriving) {
                Some(Event::Batch(batch)) => return Turn::Send(Flight { batch, next: 0 }),
                Some(Event::End) => self.input = Ok(Reading::Ended),
                Some(Event::Failed(error)) => self.input = Err(error),
                Some(Event::Stop) => {}
                None => break,
            }
        }
        match self.in_flight.is_empty() {
            true => Turn::Finish,
            false => Turn::Settle,
        }
    }

    /// What the reading thread has; waits for it only when no replies are to come.
    fn next_event(&self, arriving: &Receiver<Event>) -> Option<Event> {
        match arriving.try_recv() {
            Ok(event) => Some(event),
            Err(TryRecvError::Empty) if self.in_flight.is_empty() => arriving.recv().ok(),
            Err(TryRecvError::Empty | TryRecvError::Disconnected) => None,
        }
    }

    /// Writes what is still to be sent of a batch, after what landed unnoticed was found.
    fn dispatch(&mut self, mut flight: Flight, ledger: &mut Ledger) -> anyhow::Result<()> {
        if self.landed.is_some()
            && let Err(error) = self.match_landed(&mut flight, ledger)
        {
            self.again.push_front(flight);
            return Err(error);
        }
        let unsent = flight.unsent_from();
        self.in_flight.push_back(flight);
        let flight = &self.in_flight[self.in_flight.len() - 1];
        Ok(self.streamer.connection().send(&flight.batch.packed[unsent..])?)
    }

    /// Settles the records of a batch that landed, and makes sure that nobody can mistake the others.
    fn match_landed(&mut self, flight: &mut Flight, ledger: &mut Ledger) -> anyhow::Result<()> {
        let Flight { batch, next } = flight;
        for index in *next..batch.records.len() {
            let Some((landed, in_doubt @ 1..)) = &mut self.landed else {
                self.landed = None;
                break;
            };
            *in_doubt -= 1;
            let record = &batch.records[index];
            let Ok(command) = &record.command else {
                continue;
            };
            let fields = &batch.packed[command.encoded.fields_at..command.packed.end];
            match landed.fate(command.encoded.id, content(fields)) {
                Fate::Added(id) => {
                    self.last_id = Some(id);
                    reject_before(batch, *next, index, ledger)?;
                    ledger.added(batch, record, id);
                    *next = index + 1;
                }
                Fate::Unknown if self.args.on_ambiguous == OnAmbiguous::Stop => {
                    let place = ledger.place(batch.source, record.line);
                    return Err(Failure::data(format!(
                        "{place}, and what follows, may or may not have been sent before the connection broke: equal entries are in the stream, or it was trimmed"
                    ))
                    .hint("to send it, perhaps again: --on-ambiguous repeat")
                    .into());
                }
                Fate::Unknown | Fate::Missing => {}
            }
        }
        Ok(())
    }

    /// Takes the replies of the oldest batch.
    fn settle(&mut self, spare: &Return<Box<Batch>>, ledger: &mut Ledger, progress: &Progress) -> anyhow::Result<()> {
        let Some(Flight { batch, next }) = self.in_flight.front_mut() else {
            return Ok(());
        };
        while let Some(record) = batch.records.get(*next) {
            match &record.command {
                Err(error) => ledger.rejected(batch, record, Some(error.column), &error.reason)?,
                Ok(_) => match receive_added(self.streamer.connection())? {
                    Ok(id) => {
                        self.last_id = Some(id);
                        ledger.added(batch, record, id);
                        if self.backoff.take().is_some() {
                            self.context.ui.status("sending again");
                        }
                    }
                    Err(refusal) => {
                        let error = refusal.into_error(&self.args.stream);
                        if error.is_passing() {
                            return self.settle_refusals(error, ledger);
                        }
                        // WRONGTYPE, NOPERM: no line would fare better.
                        if !matches!(error, Error::Refused(_)) {
                            return Err(error.into());
                        }
                        ledger.rejected(batch, record, None, &error.to_string())?;
                    }
                },
            }
            *next += 1;
        }
        if batch.trim_at.is_some() {
            self.streamer
                .connection()
                .receive()?
                .bytes()
                .map_err(|refusal| Error::refused(refusal, &self.args.stream, None))?;
        }
        ledger.flush()?;
        let Some(Flight { batch, .. }) = self.in_flight.pop_front() else {
            return Ok(());
        };
        if let Some(checkpoint) = &mut self.checkpoint
            && !ledger.is_stopped()
        {
            checkpoint.advance(batch.end, batch.records.len(), self.last_id)?;
        }
        self.bytes += batch.input.len() as u64;
        progress.update(self.bytes, || count(ledger.sent(), "message"));
        // The reading thread may have ended; then nobody needs the memory.
        let _ = spare.send(batch);
        Ok(())
    }

    /// Deals with a server that cannot serve now and refuses what is in flight. If it refused all the rest, that
    /// is sent again later, in order: the refusal is returned. If it took some of it, their order is lost, and
    /// those refused are rejected like any other line.
    fn settle_refusals(&mut self, first: Error, ledger: &mut Ledger) -> anyhow::Result<()> {
        let mut first = Some(first);
        let mut outcomes = VecDeque::new();
        for Flight { batch, next } in &self.in_flight {
            for _ in batch.records[*next..].iter().filter(|record| record.command.is_ok()) {
                outcomes.push_back(match first.take() {
                    Some(error) => Err(error),
                    None => receive_added(self.streamer.connection())?
                        .map_err(|refusal| refusal.into_error(&self.args.stream)),
                });
            }
            if batch.trim_at.is_some() {
                self.streamer.connection().receive()?;
            }
        }
        if !outcomes.iter().any(Result::is_ok) {
            return match outcomes.pop_front() {
                Some(Err(error)) => Err(error.into()),
                _ => Ok(()),
            };
        }
        for Flight { batch, next } in self.in_flight.drain(..) {
            for record in &batch.records[next..] {
                match (
                    &record.command,
                    record.command.is_ok().then(|| outcomes.pop_front()).flatten(),
                ) {
                    (Err(error), _) => ledger.rejected(&batch, record, Some(error.column), &error.reason)?,
                    (Ok(_), Some(Ok(id))) => {
                        self.last_id = self.last_id.max(Some(id));
                        ledger.added(&batch, record, id);
                    }
                    (Ok(_), Some(Err(error))) => ledger.rejected(&batch, record, None, &error.to_string())?,
                    (Ok(_), None) => {}
                }
            }
        }
        ledger.flush()
    }

    /// Connects again and finds out what became of the records in flight.
    fn recover(&mut self, error: anyhow::Error, ledger: &Ledger, stop: &Stop) -> anyhow::Result<()> {
        while let Some(flight) = self.in_flight.pop_back() {
            self.again.push_front(flight);
        }
        let in_doubt: usize = self.again.iter().map(Flight::unknown).sum();
        let backoff = self.backoff.get_or_insert_with(|| {
            self.context.ui.status(&format!("{error:#}; trying again"));
            Backoff::new(self.args.reconnect_for)
        });
        let mut backoff = backoff.clone();
        let mut last = error;
        loop {
            let pause = match (backoff.next_pause(), stop.signal()) {
                (Some(pause), None) => pause,
                (_, None) => return Err(self.give_up(last, ledger)),
                (_, Some(signal)) => {
                    // The exit code tells of the signal; what is in doubt must be said all the same.
                    self.context.ui.warning(&self.give_up(last, ledger).to_string());
                    return Err(Failure::signal(signal).into());
                }
            };
            stop.sleep(pause);
            match self.reconnect(in_doubt) {
                Ok(()) => break,
                Err(error) if error.is_passing() => last = error.into(),
                Err(error) => return Err(self.give_up(error.into(), ledger)),
            }
        }
        self.backoff = Some(backoff);
        Ok(())
    }

    fn reconnect(&mut self, in_doubt: usize) -> Result<(), Error> {
        let mut streamer = Streamer::connect(&self.context.target)?;
        // What the old connection carried may still wait in the server's socket: it must not land any more.
        if let Some(identity) = &self.identity {
            streamer.kill_client(identity)?;
        }
        let trims = self.args.trim.is_given();
        let landed = Landed::after(&mut streamer, &self.args.stream, self.last_id, trims)?;
        self.identity = streamer.identify()?;
        self.streamer = streamer;
        self.landed = (in_doubt > 0).then_some((landed, in_doubt));
        Ok(())
    }

    /// The failure of a sending whose connection is not to be had again, with the lines in doubt.
    fn give_up(&self, error: anyhow::Error, ledger: &Ledger) -> anyhow::Error {
        let first = self
            .again
            .front()
            .and_then(|flight| Some((flight, flight.batch.records.get(flight.next)?)));
        let last = self
            .again
            .back()
            .and_then(|flight| Some((flight, flight.batch.records.last()?)));
        match (first, last) {
            (Some((first_of, first)), Some((last_of, last))) => {
                let first = ledger.place(first_of.batch.source, first.line);
                let last = ledger.place(last_of.batch.source, last.line);
                let lines = if first == last {
                    first
                } else {
                    format!("{first} to {last}")
                };
                error.context(Failure::lost(format!("gave up; whether {lines} went in is not known")))
            }
            _ => error,
        }
    }
}

/// Accounts for the records without a command that stand before one that landed.
fn reject_before(batch: &Batch, from: usize, to: usize, ledger: &mut Ledger) -> anyhow::Result<()> {
    for record in &batch.records[from..to] {
        if let Err(error) = &record.command {
            ledger.rejected(batch, record, Some(error.column), &error.reason)?;
        }
    }
    Ok(())
}

/// Whether a new connection, or time, may mend it.
fn is_passing(error: &anyhow::Error) -> bool {
    error.downcast_ref::<Error>().is_some_and(Error::is_passing)
}
