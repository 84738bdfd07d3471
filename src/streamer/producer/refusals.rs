//! Transactions that the server did not execute: all of a batch is refused, and nothing of it is in the stream.

use super::batch::{Batch, Outcome};
use super::flight::Flight;
use super::host::Why;
use super::marker;
use super::pipeline::Producer;
use super::transaction::{Executed, Marked, Step};
use super::trouble::Trouble;
use crate::streamer::error::{Error, ServerError};

/// What became of a batch that was in flight behind a refused one.
enum Behind {
    Refused(ServerError),
    Executed(Marked, Vec<Outcome>),
}

impl<E> Producer<'_, '_, E> {
    /// The oldest batch was refused. If all in flight were, they are sent again, in order: later if the refusal passes,
    /// without a marker if that is what was refused. If the server took some of them, the order is lost, and the lines
    /// of those refused before are rejected like any other.
    pub(super) fn refused(&mut self, step: Step, error: ServerError) -> Result<(), Trouble<E>> {
        self.pass_over_answer(0)?;
        let mut all = vec![Behind::Refused(error.clone())];
        for index in 1..self.in_flight.len() {
            let mut outcomes = Vec::new();
            let executed = self.in_flight[index].receive(&mut self.link.connection, &mut outcomes)?;
            self.pass_over_answer(index)?;
            all.push(match executed {
                Executed::Yes(marked) => Behind::Executed(marked, outcomes),
                Executed::Refused { error, .. } => Behind::Refused(error),
                Executed::Overtaken => Behind::Refused(error.clone()),
            });
        }
        let last_executed = all.iter().rposition(|behind| matches!(behind, Behind::Executed(..)));
        let kept = last_executed.map_or(0, |last| last + 1);
        for behind in all.into_iter().take(kept) {
            match behind {
                Behind::Refused(error) => {
                    // What is told of comes in the order of the lines.
                    self.prove()?;
                    self.reject_oldest(error)?;
                }
                Behind::Executed(marked, outcomes) => {
                    self.outcomes = outcomes;
                    self.executed(marked)?;
                }
            }
        }
        self.take_back();
        if last_executed.is_some() {
            self.marker_is_wrong = true;
            return Ok(());
        }
        if (step == Step::Marker || error.crosses_slots()) && !error.is_passing() {
            self.do_without_marker(error);
            self.chain.marker_is_gone();
            // A later run must not take it for true. Where it may not be deleted, it expires.
            let _ = self.link.connection.query_all(&[marker::delete(&self.key)])?;
            return Ok(());
        }
        Err(Error::refused(error, &self.settings.stream, None).into())
    }

    /// What is in flight was not executed, and is to be sent again.
    pub(super) fn take_back(&mut self) {
        let writer = self.link.writer;
        while let Some(mut flight) = self.in_flight.pop_back() {
            flight.sent_by.retain(|sent_by| *sent_by != writer);
            flight.is_asked = false;
            self.again.push_front(flight);
        }
    }

    /// The lines of the oldest batch are not in, and those behind it are.
    fn reject_oldest(&mut self, refusal: ServerError) -> Result<(), Trouble<E>> {
        let Some(Flight { batch, .. }) = self.in_flight.pop_front() else {
            return Ok(());
        };
        let error = Error::Refused(refusal);
        let told = self.reject_all(&batch, &error);
        self.journal.told();
        self.source.recycle(batch);
        told
    }

    fn reject_all(&mut self, batch: &Batch, error: &Error) -> Result<(), Trouble<E>> {
        for record in &batch.records {
            let why = match &record.command {
                Err(unfit) => Why::Unfit(unfit),
                Ok(_) => Why::Refused(error),
            };
            self.journal.rejected(batch, record, why).map_err(Trouble::Host)?;
        }
        Ok(())
    }
}
