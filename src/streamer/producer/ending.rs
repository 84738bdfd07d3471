//! The end of a sending: what was still on its way is counted, what is in doubt is said, and the marker is seen to.

use std::time::Instant;

use super::MarkerAfterwards;
use super::batch::Span;
use super::host::LastId;
use super::link::Mode;
use super::marker;
use super::pipeline::{GRACE, Producer};
use super::telling::Told;
use super::transaction::Executed;
use super::trouble::Trouble;
use crate::streamer::error::Error;

impl<E> Producer<'_, '_, E> {
    /// Ends a sending that went well, or did not.
    pub(super) fn end(&mut self, ended: Result<(), Trouble<E>>) -> Result<End, Trouble<E>> {
        if let Err(trouble) = &ended {
            if is_in_step(trouble) {
                self.drain();
            }
            self.tell_the_rest();
        }
        self.finish(ended)
    }

    /// After a failure that ends the sending: takes the replies to what was on its way and went in all the same, so that
    /// what is said of the sending is true.
    fn drain(&mut self) {
        loop {
            if self.is_answer_next() && self.hear().is_err() {
                return;
            }
            let Some(flight) = self.in_flight.front() else {
                return;
            };
            let received = flight.receive(&mut self.link.connection, &mut self.outcomes);
            let (Ok(executed), Some(mut flight)) = (received, self.in_flight.pop_front()) else {
                return;
            };
            if let Executed::Yes(_) = executed {
                flight.heard.append(&mut self.outcomes);
                flight.is_safe = self.settings.durability.is_none();
                self.waiting.push_back(flight);
            }
        }
    }

    /// Tells of what is in, be it safe or not, and of which nobody was told yet.
    fn tell_the_rest(&mut self) {
        while let Some(flight) = self.waiting.pop_front() {
            let told = if flight.is_safe { Told::Added } else { Told::AtRisk };
            // Why more cannot be told of is not what ended the sending.
            if let Ok(last_id @ Some(_)) = self.account(&flight.batch, flight.told, &flight.heard, told) {
                self.marker_is_wrong = false;
                self.chain.confirm(flight.position, LastId::Exactly(last_id));
            }
        }
        // The first of a batch may be in without the rest, where records are sent by themselves.
        if let Some(flight) = self.again.front()
            && !flight.heard.is_empty()
            && !flight.is_in_doubt()
            && let Some(flight) = self.again.pop_front()
        {
            let _ = self.account(&flight.batch, flight.told, &flight.heard, Told::AtRisk);
        }
        self.journal.told();
    }

    /// Ends the sending: says what is in doubt, or sees to the marker.
    fn finish(&mut self, ended: Result<(), Trouble<E>>) -> Result<End, Trouble<E>> {
        match with_doubt(ended, self.in_doubt()) {
            Err(trouble @ Trouble::Server { in_doubt: Some(_), .. }) => Err(trouble),
            Err(Trouble::Server { error, in_doubt }) if !is_refusal(&error) => Err(Trouble::Server { error, in_doubt }),
            Ok(()) => match self.confirm_master() {
                Ok(()) => self.leave(),
                // What it took since it was replaced is lost, and with it perhaps what it confirmed.
                Err(error) => self.recover(error).map(|()| End::Again),
            },
            Err(trouble @ (Trouble::Host(_) | Trouble::Server { .. } | Trouble::NotSafe(_))) => {
                // What ended the sending comes first.
                let _ = self.leave_marker();
                Err(trouble)
            }
            Err(trouble) => Err(trouble),
        }
    }

    /// Makes sure that all was sent to the master, before that is said.
    fn confirm_master(&mut self) -> Result<(), Error> {
        if self.stop.ending().is_some() {
            return Ok(());
        }
        self.servers.confirm(&mut self.link.connection)
    }

    /// All is settled.
    fn leave(&mut self) -> Result<End, Trouble<E>> {
        match self.leave_marker() {
            Err(Trouble::Server { error, .. }) => self.look_again(error),
            left => left.map(|()| End::Done),
        }
    }

    /// Takes the marker away, or leaves it to a later run; a last look whether it is what it should be.
    fn leave_marker(&mut self) -> Result<(), Trouble<E>> {
        if matches!(self.mode, Mode::Plain(_)) {
            return Ok(());
        }
        let until = Instant::now() + GRACE;
        self.link.connection.set_deadline(Some(until));
        let mut commands = vec![marker::read(&self.key)];
        match (self.settings.marker, self.marker_is_wrong) {
            (MarkerAfterwards::Delete, _) => commands.push(marker::delete(&self.key)),
            (MarkerAfterwards::Keep, true) => return self.mend_marker(),
            (MarkerAfterwards::Keep, false) => {}
        }
        let answers = self.link.connection.query_all(&commands);
        let answer = match answers.map(|answers| answers.into_iter().next()) {
            Ok(answer) => {
                self.supervisor.succeeded();
                answer
            }
            Err(error) if error.is_connection() => {
                self.marker_may_be_deleted = self.settings.marker == MarkerAfterwards::Delete;
                return Err(error.into());
            }
            // It expires by itself.
            Err(_) => return Ok(()),
        };
        match answer {
            Some(Ok(found)) if !self.marker_is_wrong && !self.marker_may_be_deleted => {
                let found = self.link.connection.read(found)?;
                self.suspect_at_the_end(found)
            }
            // It was neither looked at nor deleted.
            Some(Err(refusal)) if refusal.is_redirection() => Err(Error::Refused(refusal).into()),
            _ => Ok(()),
        }
    }

    /// The server was lost when all was settled: it may come back without what it had confirmed. If it does not come
    /// back, nobody knows better than that all is in.
    fn look_again(&mut self, error: Error) -> Result<End, Trouble<E>> {
        match self.recover(error) {
            Ok(()) => Ok(End::Again),
            Err(Trouble::Server { .. } | Trouble::Ended { .. }) => Ok(End::Done),
            Err(trouble) => Err(trouble),
        }
    }

    /// Sets the marker to what is true.
    pub(super) fn mend_marker(&mut self) -> Result<(), Trouble<E>> {
        let position = self.newest_in();
        let set = marker::set(&self.key, &position);
        for answer in self.link.connection.query_all(&set)? {
            answer.map_err(Error::Refused)?;
        }
        self.marker_is_wrong = false;
        self.chain.marker_is_mended(position, self.waiting.len() as u64);
        Ok(())
    }
}

/// Whether a sending has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    Done,
    /// There may be something to send again.
    Again,
}

/// An ending, with the lines that are in doubt. A sending that was stopped before it was done may leave some behind,
/// too: those that an old connection still carries, and that were to be sent again.
fn with_doubt<E>(ended: Result<(), Trouble<E>>, in_doubt: Option<Span>) -> Result<(), Trouble<E>> {
    match ended {
        Ok(()) if in_doubt.is_some() => Err(Trouble::Ended { in_doubt }),
        Err(Trouble::Ended { .. }) => Err(Trouble::Ended { in_doubt }),
        Err(Trouble::Server { error, .. }) => Err(Trouble::Server { error, in_doubt }),
        ended => ended,
    }
}

/// Whether the replies that are still to come can be told apart.
fn is_in_step<E>(trouble: &Trouble<E>) -> bool {
    match trouble {
        Trouble::Host(_) => true,
        Trouble::Server { error, .. } => is_refusal(error),
        _ => false,
    }
}

fn is_refusal(error: &Error) -> bool {
    !error.is_connection() && !matches!(error, Error::Protocol { .. })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_in_doubt_is_said_however_a_sending_ends() {
        let lines = Some(Span {
            first: (0, 7),
            last: Some((0, 9)),
        });
        let doubt = |ended, in_doubt| match with_doubt::<()>(ended, in_doubt) {
            Err(Trouble::Ended { in_doubt } | Trouble::Server { in_doubt, .. }) => in_doubt,
            _ => None,
        };
        assert_eq!(doubt(Ok(()), lines), lines);
        assert_eq!(doubt(Err(Trouble::Ended { in_doubt: None }), lines), lines);
        assert_eq!(
            doubt(Err(Trouble::from(Error::InvalidUrl(String::new()))), lines),
            lines
        );
        assert!(with_doubt::<()>(Ok(()), None).is_ok());
    }
}
