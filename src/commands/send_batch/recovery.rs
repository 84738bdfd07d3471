//! What the sender does when something is wrong: connections that break, servers that refuse for a while, and
//! what an earlier run left behind. What landed unnoticed is found out; nothing is sent twice.

use std::collections::VecDeque;

use super::checkpoint::MOST_UNWRITTEN;
use super::input::{Batch, MOST_RECORDS};
use super::ledger::Ledger;
use super::sender::{Flight, Sender, WINDOW, account};
use super::{Args, OnAmbiguous};
use crate::commands::Context;
use crate::failure::Failure;
use crate::streamer::{EntryId, Error, Fate, Identity, Landed, Streamer, content, receive_added};

impl Sender<'_> {
    /// Finds out what an earlier run sent after it last wrote its checkpoint.
    pub(super) fn resume(&mut self) -> anyhow::Result<()> {
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

    /// Sends one record alone, to see whether the server takes entries again: it may go on refusing for a while,
    /// and to begin to take them in the middle of a window would lose their order.
    pub(super) fn probe(&mut self, flight: &mut Flight) -> anyhow::Result<()> {
        let Flight { batch, next, last_id } = flight;
        let found = batch.records[*next..].iter().position(|record| record.command.is_ok());
        let Some((index, Ok(command))) = found.map(|ahead| (*next + ahead, &batch.records[*next + ahead].command))
        else {
            return Ok(());
        };
        self.streamer.connection().send(&batch.packed[command.packed.clone()])?;
        let added = receive_added(self.streamer.connection())?;
        reject_before(batch, *next, index, &mut self.ledger)?;
        *next = index;
        if let Some(id) = account(
            &mut self.ledger,
            &self.args.stream,
            (batch, &batch.records[index]),
            added,
        )?? {
            (self.last_id, *last_id) = (Some(id), Some(id));
        }
        *next = index + 1;
        self.retry.succeeded();
        Ok(())
    }

    /// Settles the records of a batch that landed, and makes sure that nobody can mistake the others.
    pub(super) fn match_landed(&mut self, flight: &mut Flight) -> anyhow::Result<()> {
        let Flight { batch, next, last_id } = flight;
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
                    (self.last_id, *last_id) = (Some(id), Some(id));
                    reject_before(batch, *next, index, &mut self.ledger)?;
                    self.ledger.added(batch, record, id);
                    *next = index + 1;
                }
                Fate::Unknown if self.args.on_ambiguous == OnAmbiguous::Stop => {
                    let place = self.ledger.place(batch.source, record.line);
                    return Err(Failure::data(format!(
                        "{place} may or may not have been sent before the connection broke, and so what follows it: equal entries are in the stream, or it was trimmed"
                    ))
                    .hint("to send it, perhaps again: --on-ambiguous repeat")
                    .into());
                }
                Fate::Unknown | Fate::Missing => {}
            }
        }
        Ok(())
    }

    /// Deals with a server that cannot serve now and refuses what is in flight. If it refused all the rest, that
    /// is sent again later, in order: the refusal is returned. If it took some of it, their order is lost, and
    /// those refused are rejected like any other line.
    pub(super) fn settle_refusals(&mut self, mut first: Option<Error>) -> anyhow::Result<()> {
        let mut outcomes = VecDeque::new();
        for Flight { batch, next, .. } in &self.in_flight {
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
        for Flight { batch, next, .. } in self.in_flight.drain(..) {
            for record in &batch.records[next..] {
                match (
                    &record.command,
                    record.command.is_ok().then(|| outcomes.pop_front()).flatten(),
                ) {
                    (Err(error), _) => self
                        .ledger
                        .rejected(&batch, record, Some(error.column), &error.reason)?,
                    (Ok(_), Some(Ok(id))) => {
                        self.last_id = self.last_id.max(Some(id));
                        self.ledger.added(&batch, record, id);
                    }
                    (Ok(_), Some(Err(error))) => self.ledger.rejected(&batch, record, None, &error.to_string())?,
                    (Ok(_), None) => {}
                }
            }
        }
        self.ledger.flush(self.stop)
    }

    /// Connects again and finds out what became of the records in flight.
    pub(super) fn recover(&mut self, failure: anyhow::Error) -> anyhow::Result<()> {
        while let Some(flight) = self.in_flight.pop_back() {
            self.again.push_front(flight);
        }
        let attempt = || reattach(self.context, self.args, self.identity.as_ref(), self.last_id);
        match self.retry.until_done(failure, attempt) {
            Ok((streamer, identity, landed)) => {
                let in_doubt: usize = self.again.iter().map(Flight::unknown).sum();
                self.landed = (in_doubt > 0).then_some((landed, in_doubt));
                (self.streamer, self.identity) = (streamer, identity);
                Ok(())
            }
            Err(failure) => Err(self.give_up(failure)),
        }
    }

    /// After a failure that ends the sending: counts what was on its way and went in all the same, so that what is
    /// said of the sending is true.
    pub(super) fn count_in_flight(&mut self, failure: anyhow::Error) -> anyhow::Error {
        let is_in_step = match failure.downcast_ref::<Error>() {
            Some(error) => !error.is_connection() && !matches!(error, Error::Protocol { .. }),
            None => true,
        };
        if is_in_step && self.take_replies().is_ok() {
            return failure;
        }
        self.again = std::mem::take(&mut self.in_flight);
        self.give_up(failure)
    }

    fn take_replies(&mut self) -> anyhow::Result<()> {
        while let Some(Flight { batch, next, .. }) = self.in_flight.front_mut() {
            while let Some(record) = batch.records.get(*next) {
                if record.command.is_ok() {
                    let added = receive_added(self.streamer.connection())?;
                    // Why it is rejected is not what ended the sending.
                    let _ = account(&mut self.ledger, &self.args.stream, (batch, record), added);
                }
                *next += 1;
            }
            if batch.trim_at.is_some() {
                self.streamer.connection().receive()?;
            }
            self.in_flight.pop_front();
        }
        Ok(())
    }

    /// The failure of a sending whose connection is not to be had again, with the lines in doubt.
    fn give_up(&self, failure: anyhow::Error) -> anyhow::Error {
        let first = self
            .again
            .front()
            .zip(self.again.front().and_then(Flight::first_unknown));
        let last = self
            .again
            .back()
            .zip(self.again.back().and_then(|flight| flight.batch.records.last()));
        let (Some((first_of, first)), Some((last_of, last))) = (first, last) else {
            return failure;
        };
        let first = self.ledger.place(first_of.batch.source, first.line);
        let last = self.ledger.place(last_of.batch.source, last.line);
        let lines = match first == last {
            true => first,
            false => format!("{first} to {last}"),
        };
        let doubt = format!("gave up; it is not known whether {lines} went in");
        match self.stop.signal() {
            // The exit code tells of the signal; what is in doubt must be said all the same.
            Some(_) => {
                self.context.ui.warning(&doubt);
                failure
            }
            None => failure.context(Failure::lost(doubt)),
        }
    }
}

/// A new connection, how the next one can find it, and what landed after the last entry known to be added.
fn reattach(
    context: &Context,
    args: &Args,
    lost: Option<&Identity>,
    last_id: Option<EntryId>,
) -> Result<(Streamer, Option<Identity>, Landed), Error> {
    let mut streamer = Streamer::connect(&context.target)?;
    // What the old connection carried may still wait in the server's socket: it must not land any more.
    if let Some(lost) = lost {
        streamer.kill_client(lost)?;
    }
    let landed = Landed::after(&mut streamer, &args.stream, last_id, args.trim.is_given())?;
    let identity = streamer.identify()?;
    Ok((streamer, identity, landed))
}

/// Why a record is rejected that is not found where records behind it are: a server handles them in order.
const PASSED_OVER: &str = "the connection broke before it was answered, and what follows it is in the stream: it was \
                           refused, or trimmed since";

/// Accounts for the records that stand before one that landed, and did not.
fn reject_before(batch: &Batch, from: usize, to: usize, ledger: &mut Ledger) -> anyhow::Result<()> {
    for record in &batch.records[from..to] {
        match &record.command {
            Err(error) => ledger.rejected(batch, record, Some(error.column), &error.reason)?,
            Ok(_) => ledger.rejected(batch, record, None, PASSED_OVER)?,
        }
    }
    Ok(())
}
