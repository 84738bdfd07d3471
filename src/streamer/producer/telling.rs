//! What became of the records of a batch, told in their order.

use super::batch::{Batch, Outcome};
use super::flight::Flight;
use super::host::{LastId, Why};
use super::link::Mode;
use super::pipeline::Producer;
use super::trouble::Trouble;
use crate::streamer::entry::EntryId;
use crate::streamer::error::Error;

/// What is told of records that are in the stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Told {
    Added,
    /// That it is not known whether they are safe.
    AtRisk,
}

/// Whether the server's answer to a batch arrived.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    Heard,
    Lost,
}

impl<E> Producer<'_, '_, E> {
    /// A batch is in: it is settled by that, or once it is safe.
    pub(super) fn arrived(
        &mut self,
        mut flight: Flight,
        outcomes: &[Outcome],
        answer: Answer,
    ) -> Result<(), Trouble<E>> {
        if self.settings.durability.is_none() {
            return self.conclude(flight, outcomes, answer);
        }
        flight.heard.extend_from_slice(outcomes);
        flight.is_in = Some(answer);
        self.waiting.push_back(flight);
        Ok(())
    }

    /// Tells of a batch that is settled, and keeps how far the sending is.
    pub(super) fn conclude(&mut self, flight: Flight, outcomes: &[Outcome], answer: Answer) -> Result<(), Trouble<E>> {
        let accounted = self.account(&flight.batch, flight.told, outcomes, Told::Added);
        if let Err(Trouble::Server { .. }) = &accounted {
            self.marker_is_wrong = true;
            return accounted.map(drop);
        }
        let id = accounted.as_ref().ok().copied().flatten();
        let before = self.chain.last().last_id;
        let last_id = match (answer, id) {
            (Answer::Heard, Some(id)) => LastId::Exactly(Some(id)),
            (Answer::Heard, None) => before,
            (Answer::Lost, id) => before.or_later(id),
        };
        self.chain.confirm(flight.position, last_id);
        if let Mode::Plain(_) = self.mode {
            self.chain.marker_is_gone();
        }
        accounted?;
        let written = self.journal.settled(&flight.batch, self.chain.progress());
        self.chain.written(written.map_err(Trouble::Host)?);
        self.source.recycle(flight.batch);
        Ok(())
    }

    /// Tells of records, with what became of the commands among them, and gives the last ID. All are told of, also
    /// after one that cannot be: what is in must be counted.
    pub(super) fn account(
        &mut self,
        batch: &Batch,
        from: usize,
        outcomes: &[Outcome],
        of_added: Told,
    ) -> Result<Option<EntryId>, Trouble<E>> {
        let mut outcomes = outcomes.iter();
        let (mut last_id, mut trouble) = (None, None);
        for record in &batch.records[from..] {
            let told = match &record.command {
                Err(unfit) => self
                    .journal
                    .rejected(batch, record, Why::Unfit(unfit))
                    .map_err(Trouble::Host),
                Ok(_) => match outcomes.next() {
                    None => break,
                    Some(Outcome::Added(id)) => {
                        last_id = id.or(last_id);
                        match of_added {
                            Told::Added => self.journal.added(batch, record, *id),
                            Told::AtRisk => self.journal.at_risk(batch, record),
                        }
                        Ok(())
                    }
                    Some(Outcome::PassedOver) => {
                        let told = self.journal.rejected(batch, record, Why::PassedOver);
                        told.map_err(Trouble::Host)
                    }
                    Some(Outcome::Refused(refusal)) => {
                        let error = Error::refused(refusal.clone(), &self.settings.stream, None);
                        match error {
                            Error::Refused(_) => {
                                let told = self.journal.rejected(batch, record, Why::Refused(&error));
                                told.map_err(Trouble::Host)
                            }
                            // Any other line would meet it, too.
                            error => Err(error.into()),
                        }
                    }
                },
            };
            if let Err(again) = told {
                trouble.get_or_insert(again);
            }
        }
        match trouble {
            Some(trouble) => {
                self.journal.told();
                Err(trouble)
            }
            None => Ok(last_id),
        }
    }
}
