//! The sending thread: batches out, replies matched to lines, in order, across lost connections.

use std::collections::VecDeque;
use std::sync::mpsc::{Receiver, Sender as Return, TryRecvError};

use super::Args;
use super::checkpoint::Checkpoint;
use super::input::{Batch, Event, Record};
use super::ledger::Ledger;
use crate::commands::Context;
use crate::commands::retry::{Retry, is_passing};
use crate::render::counted;
use crate::signals::Stop;
use crate::streamer::{Added, EntryId, Error, Identity, Landed, Streamer, receive_added};
use crate::ui::Progress;

/// How many entries may be in flight: a dozen batches of messages of 150 bytes. A quarter of that left the server
/// idle now and then, when this process was not scheduled for a moment.
pub const WINDOW: usize = 16 * 1024;

/// Sends batches over one connection at a time.
pub struct Sender<'a> {
    pub(super) args: &'a Args,
    pub(super) context: &'a Context,
    pub(super) stop: &'a Stop,
    pub(super) streamer: Streamer,
    /// The connection as the next one can find it, where the server allows it.
    pub(super) identity: Option<Identity>,
    /// What the reading thread has, and where batches go back to.
    arriving: Receiver<Event>,
    spare: Return<Box<Batch>>,
    /// How the reading goes, or why it failed.
    input: anyhow::Result<Reading>,
    /// Batches written, oldest first, whose replies are not all in.
    pub(super) in_flight: VecDeque<Flight>,
    /// Batches to send again, before any others.
    pub(super) again: VecDeque<Flight>,
    /// The last entry known to be added; the stream's last ID before the first.
    pub(super) last_id: Option<EntryId>,
    /// What landed although nobody said so, and how many records may be among it.
    pub(super) landed: Option<(Landed, usize)>,
    pub(super) retry: Retry<'a>,
    pub(super) checkpoint: Option<Checkpoint>,
    pub(super) ledger: Ledger,
    progress: Progress,
    /// How much input is settled.
    bytes: u64,
}

/// Whether more may be read.
pub enum Reading {
    Open,
    Ended,
}

/// A batch on its way.
pub struct Flight {
    pub(super) batch: Box<Batch>,
    /// The first record whose fate is not known.
    pub(super) next: usize,
    /// The last entry of it that is known to be added.
    pub(super) last_id: Option<EntryId>,
}

impl Flight {
    /// Where what is still to be sent begins.
    pub fn unsent_from(&self) -> usize {
        self.batch.records[self.next..]
            .iter()
            .find_map(|record| record.command.as_ref().ok())
            .map(|command| command.packed.start)
            .or(self.batch.trim_at)
            .unwrap_or(self.batch.packed.len())
    }

    /// The first record whose fate is not known.
    pub fn first_unknown(&self) -> Option<&Record> {
        self.batch.records.get(self.next)
    }

    /// How many commands are to be answered.
    fn commands(&self) -> usize {
        let unknown = self.batch.records[self.next..].iter();
        unknown.filter(|record| record.command.is_ok()).count()
    }

    /// How many records have a fate that is not known.
    pub fn unknown(&self) -> usize {
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
    /// A sender over a connection of its own. `origin` is the stream's last ID, if there is a stream.
    pub fn new(
        (args, context, stop): (&'a Args, &'a Context, &'a Stop),
        (arriving, spare): (Receiver<Event>, Return<Box<Batch>>),
        (streamer, origin): (Streamer, Option<EntryId>),
        checkpoint: Option<Checkpoint>,
        (ledger, progress): (Ledger, Progress),
    ) -> Self {
        Self {
            args,
            context,
            stop,
            streamer,
            identity: None,
            arriving,
            spare,
            input: Ok(Reading::Open),
            in_flight: VecDeque::new(),
            again: VecDeque::new(),
            last_id: origin,
            landed: None,
            retry: Retry::new(context, stop, args.reconnect_for, None),
            checkpoint,
            ledger,
            progress,
            bytes: 0,
        }
    }

    /// Sends what arrives until it ends, and says what became of it.
    pub fn run(mut self) -> anyhow::Result<()> {
        let mut ended = self.send_all();
        if let Some(checkpoint) = &mut self.checkpoint {
            // After a line that stopped the batch, lines before it are in the stream that no place marks.
            let closed = checkpoint.close(ended.is_ok() && !self.ledger.is_stopped());
            ended = ended.and(closed);
        }
        self.progress.finish();
        self.ledger.close(ended, self.context, self.args, self.stop)
    }

    fn send_all(&mut self) -> anyhow::Result<()> {
        self.resume()?;
        loop {
            let step = match self.turn() {
                Turn::Finish => break,
                Turn::Send(flight) => self.dispatch(flight),
                Turn::Settle => self.settle(),
            };
            match step {
                Ok(()) => {}
                Err(error) if is_passing(&error) => self.recover(error)?,
                Err(error) => return Err(self.count_in_flight(error)),
            }
        }
        // What is not to be sent any more may have gone in before the connection broke.
        while let Some(mut flight) = self.again.pop_front() {
            self.match_landed(&mut flight)?;
        }
        std::mem::replace(&mut self.input, Ok(Reading::Ended)).map(drop)
    }

    fn turn(&mut self) -> Turn {
        while !self.ledger.is_stopped() && self.stop.signal().is_none() {
            if self.in_flight.iter().map(Flight::unknown).sum::<usize>() >= WINDOW {
                break;
            }
            if let Some(flight) = self.again.pop_front() {
                return Turn::Send(flight);
            }
            if !matches!(self.input, Ok(Reading::Open)) {
                break;
            }
            match self.next_event() {
                Some(Event::Batch(batch)) => {
                    return Turn::Send(Flight {
                        batch,
                        next: 0,
                        last_id: None,
                    });
                }
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
    fn next_event(&self) -> Option<Event> {
        match self.arriving.try_recv() {
            Ok(event) => Some(event),
            Err(TryRecvError::Empty) if self.in_flight.is_empty() => self.arriving.recv().ok(),
            Err(TryRecvError::Empty | TryRecvError::Disconnected) => None,
        }
    }

    /// Writes what is still to be sent of a batch, after what landed unnoticed was found.
    fn dispatch(&mut self, mut flight: Flight) -> anyhow::Result<()> {
        if self.landed.is_some()
            && let Err(error) = self.match_landed(&mut flight)
        {
            self.again.push_front(flight);
            return Err(error);
        }
        if self.retry.is_at_work()
            && let Err(error) = self.probe(&mut flight)
        {
            self.again.push_front(flight);
            return Err(error);
        }
        if self.ledger.is_stopped() {
            self.again.push_front(flight);
            return Ok(());
        }
        let unsent = flight.unsent_from();
        self.in_flight.push_back(flight);
        let flight = &self.in_flight[self.in_flight.len() - 1];
        let connection = self.streamer.connection();
        connection.send(&flight.batch.packed[unsent..])?;
        connection.expect(flight.commands());
        Ok(())
    }

    /// Takes the replies of the oldest batch.
    fn settle(&mut self) -> anyhow::Result<()> {
        let Some(Flight { batch, next, last_id }) = self.in_flight.front_mut() else {
            return Ok(());
        };
        while let Some(record) = batch.records.get(*next) {
            let accounted = match &record.command {
                Err(error) => {
                    let rejected = self.ledger.rejected(batch, record, Some(error.column), &error.reason);
                    rejected.map(|()| Ok(None))
                }
                Ok(_) => {
                    let added = receive_added(self.streamer.connection())?;
                    account(&mut self.ledger, &self.args.stream, (batch, record), added)
                }
            };
            if let Ok(Err(error)) = &accounted
                && error.is_passing()
            {
                return self.settle_refusals(accounted?.err());
            }
            *next += 1;
            if let Some(id) = accounted?? {
                (self.last_id, *last_id) = (Some(id), Some(id));
            }
        }
        if batch.trim_at.is_some() {
            let trimmed = self.streamer.connection().receive()?.bytes().map(drop);
            batch.trim_at = None;
            trimmed.map_err(|refusal| Error::refused(refusal, &self.args.stream, None))?;
        }
        self.ledger.flush(self.stop)?;
        let Some(Flight { batch, last_id, .. }) = self.in_flight.pop_front() else {
            return Ok(());
        };
        if let Some(checkpoint) = &mut self.checkpoint
            && !self.ledger.is_stopped()
        {
            checkpoint.advance(batch.end, batch.records.len(), last_id, self.ledger.written())?;
        }
        self.bytes += batch.input.len() as u64;
        self.progress
            .update(self.bytes, || counted(self.ledger.sent(), "message"));
        // The reading thread may have ended; then nobody needs the memory.
        let _ = self.spare.send(batch);
        Ok(())
    }
}

/// Accounts for the reply to a record's XADD: the ID of its entry, `None` if the record is rejected. A refusal that
/// passes, or that any other record would meet, too (WRONGTYPE, NOPERM), is returned.
pub fn account(
    ledger: &mut Ledger,
    stream: &str,
    (batch, record): (&Batch, &Record),
    added: Added,
) -> anyhow::Result<Result<Option<EntryId>, Error>> {
    match added.map_err(|refusal| refusal.into_error(stream)) {
        Ok(id) => {
            ledger.added(batch, record, id);
            Ok(Ok(Some(id)))
        }
        Err(error) if error.is_passing() || !matches!(error, Error::Refused(_)) => Ok(Err(error)),
        Err(error) => {
            ledger.rejected(batch, record, None, &error.to_string())?;
            Ok(Ok(None))
        }
    }
}
