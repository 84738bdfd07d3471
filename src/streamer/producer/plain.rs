//! Records sent by themselves, where the server allows no marker. Each has a reply of its own; what has none when the
//! connection is lost stays in doubt.

use super::batch::{Batch, Outcome};
use super::flight::Flight;
use super::marker::Contents;
use super::pipeline::Producer;
use super::telling::{Answer, Told};
use super::transaction::{Executed, Marked, receive_commands};
use super::trouble::Trouble;
use crate::streamer::error::{Error, ServerError};
use crate::streamer::wire::Connection;

/// Receives the replies to the commands of a batch, from those of a record on.
pub fn receive(
    connection: &mut Connection,
    batch: &Batch,
    from: usize,
    outcomes: &mut Vec<Outcome>,
) -> Result<Executed, Error> {
    outcomes.clear();
    Ok(Executed::Yes(Marked {
        untrimmed: receive_commands(connection, batch, from, outcomes)?,
        before: Ok(Contents::default()),
    }))
}

impl<E> Producer<'_, '_, E> {
    /// Takes the replies of the oldest batch.
    pub(super) fn settle_plain(&mut self) -> Result<(), Trouble<E>> {
        let Some(flight) = self.in_flight.front() else {
            return Ok(());
        };
        let received = flight.receive(&mut self.link.connection, &mut self.outcomes);
        let Ok(Executed::Yes(marked)) = received else {
            let outcomes = std::mem::take(&mut self.outcomes);
            self.settle_first(&outcomes)?;
            return received.map(drop).map_err(Trouble::from);
        };
        match self.outcomes.iter().position(passes) {
            Some(refused) => {
                let outcomes = std::mem::take(&mut self.outcomes);
                self.settle_some(outcomes, refused)
            }
            None => self.executed(marked),
        }
    }

    /// Settles so many commands of the oldest batch as there are outcomes.
    fn settle_first(&mut self, outcomes: &[Outcome]) -> Result<(), Trouble<E>> {
        let Some(mut flight) = self.in_flight.pop_front() else {
            return Ok(());
        };
        flight.heard.extend_from_slice(outcomes);
        flight.next = behind(&flight, outcomes.len());
        let told = match self.settings.durability {
            None => self.tell_heard(&mut flight),
            Some(_) => Ok(()),
        };
        self.in_flight.push_front(flight);
        told
    }

    /// Tells of what was heard of a batch.
    fn tell_heard(&mut self, flight: &mut Flight) -> Result<(), Trouble<E>> {
        let told = self.account(&flight.batch, flight.told, &flight.heard, Told::Added);
        self.journal.told();
        flight.told = flight.next;
        flight.heard.clear();
        self.chain.found(told?);
        Ok(())
    }

    /// What was executed is to be safe before the rest is sent again: over another connection nobody could tell. Says
    /// whether it is.
    fn settle_what_is_in(&mut self) -> Result<bool, Trouble<E>> {
        if self.settings.durability.is_none() {
            return Ok(true);
        }
        let is_safe = self.ask_and_hear()?;
        if is_safe && let Some(mut flight) = self.in_flight.pop_front() {
            let told = self.tell_heard(&mut flight);
            self.in_flight.push_front(flight);
            told?;
        }
        Ok(is_safe)
    }

    /// Deals with a server that cannot serve now. If it refused all that follows the first refusal, that is sent again
    /// later, in order: the refusal is returned. If it took some of it, their order is lost, and those refused are
    /// rejected like any other line.
    fn settle_some(&mut self, first: Vec<Outcome>, refused: usize) -> Result<(), Trouble<E>> {
        self.pass_over_answer(0)?;
        let mut all = vec![first];
        for index in 1..self.in_flight.len() {
            let mut outcomes = Vec::new();
            self.in_flight[index].receive(&mut self.link.connection, &mut outcomes)?;
            self.pass_over_answer(index)?;
            all.push(outcomes);
        }
        let behind_it = all.iter().flatten().skip(refused);
        if behind_it.clone().any(|outcome| !passes(outcome)) {
            for outcomes in all {
                if let Some(flight) = self.in_flight.pop_front() {
                    self.arrived(flight, &outcomes, Answer::Heard)?;
                }
            }
            return Ok(());
        }
        let refusal = behind_it.clone().find_map(refusal_of).cloned();
        self.settle_first(&all[0][..refused])?;
        for flight in &mut self.in_flight {
            flight.sent_by.clear();
        }
        let is_safe = self.settle_what_is_in()?;
        self.take_back();
        match refusal.filter(|_| is_safe) {
            Some(refusal) => Err(Error::Refused(refusal).into()),
            None => Ok(()),
        }
    }
}

/// The first record behind so many commands, and behind those without one that follow: all of them are told of.
fn behind(flight: &Flight, commands: usize) -> usize {
    let mut left = commands;
    let rest = flight.batch.records[flight.next..].iter();
    let passed = rest.take_while(|record| match &record.command {
        Err(_) => true,
        Ok(_) => {
            let is_passed = left > 0;
            left = left.saturating_sub(1);
            is_passed
        }
    });
    flight.next + passed.count()
}

fn refusal_of(outcome: &Outcome) -> Option<&ServerError> {
    match outcome {
        Outcome::Refused(refusal) => Some(refusal),
        _ => None,
    }
}

/// Whether an outcome is a refusal that passes.
fn passes(outcome: &Outcome) -> bool {
    refusal_of(outcome).is_some_and(ServerError::is_passing)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::streamer::producer::batch::{Batch, Command, Place, Record, Unfit};
    use crate::streamer::producer::marker::{Position, Writer};

    fn flight(fits: &[bool]) -> Flight {
        let mut batch = Box::<Batch>::default();
        for (line, fits) in (1..).zip(fits) {
            let command = Command {
                packed: 0..0,
                fields_at: 0,
                id: None,
            };
            let unfit = || Unfit {
                column: 1,
                reason: String::new(),
            };
            batch.push(Record {
                line,
                text: 0..0,
                command: fits.then_some(command).ok_or_else(unfit),
            });
        }
        let position = Position {
            batch: 1,
            records: 0,
            place: Place::default(),
            writer: Writer::new(),
        };
        Flight::new(batch, position)
    }

    #[test]
    fn what_is_told_of_is_not_told_again() {
        let (fit, unfit) = (true, false);
        for (records, commands, next) in [
            (&[unfit, fit, unfit, fit][..], 0, 1),
            (&[unfit, fit, unfit, fit], 1, 3),
            (&[fit, fit, unfit, unfit], 2, 4),
            (&[fit], 0, 0),
        ] {
            assert_eq!(behind(&flight(records), commands), next, "{records:?} {commands}");
        }
    }
}
