//! What is in the stream is told of once it is safe, where that was asked for: replicas have it, or it is on disk. It is
//! kept until then, within the window, so that it can be sent again if a failover loses it.
//!
//! A server that is asked serves nothing else over the connection until it answers. So it is asked behind each half of a
//! window, while it has the other half to do; or as soon as nobody else was asked, where less is to be sent.

use std::time::{Duration, Instant};

use super::durability::Durability;
use super::flight::Flight;
use super::link::Mode;
use super::marker::{self, Contents};
use super::pipeline::{Producer, WINDOW, WINDOW_BYTES, sum};
use super::telling::Answer;
use super::trouble::Trouble;
use crate::streamer::error::Error;

impl<E> Producer<'_, '_, E> {
    /// Whether the next answer on the connection says what is safe.
    pub(super) fn is_answer_next(&self) -> bool {
        self.waiting.back().is_some_and(|flight| flight.is_asked)
    }

    /// Whether the server was asked and has not answered yet.
    pub(super) fn is_asked(&self) -> bool {
        self.is_answer_next() || self.in_flight.iter().any(|flight| flight.is_asked)
    }

    /// Asks behind the newest batch, if half a window was sent since the server was asked last.
    pub(super) fn ask_now_and_then(&mut self) -> Result<(), Trouble<E>> {
        if self.settings.durability.is_none() {
            return Ok(());
        }
        let newest_first = self.in_flight.iter().rev();
        let (records, bytes) = sum(newest_first.take_while(|flight| !flight.is_asked).map(Flight::size));
        if records >= WINDOW / 2 || bytes >= WINDOW_BYTES / 2 {
            return self.ask();
        }
        Ok(())
    }

    /// Asks behind the newest batch, if nothing on its way will tell. What is not enough already stays as it is.
    pub(super) fn ask_if_nobody_did(&mut self) -> Result<(), Trouble<E>> {
        if self.is_asked() || self.shortfall.is_some() {
            return Ok(());
        }
        self.ask()
    }

    fn ask(&mut self) -> Result<(), Trouble<E>> {
        let (Some(durability), Some(newest)) = (self.durability(), self.in_flight.back_mut()) else {
            return Ok(());
        };
        newest.is_asked = true;
        let mut packed = Vec::new();
        durability.write(&mut packed);
        self.link.connection.send(&packed)?;
        Ok(())
    }

    /// What was asked for. Once the work is to end, no longer is waited than there is time to say what came of it.
    fn durability(&self) -> Option<Durability> {
        let durability = self.settings.durability?;
        let left = self.grace.map(|grace| grace.saturating_duration_since(Instant::now()));
        Some(Durability {
            timeout: durability.timeout.min(left.unwrap_or(Duration::MAX) / 2),
            ..durability
        })
    }

    /// Makes sure that what is in is safe, by itself; says whether it is. What an earlier connection brought is covered
    /// by a write over this one.
    pub(super) fn prove(&mut self) -> Result<bool, Trouble<E>> {
        if self.waiting.is_empty() {
            return Ok(true);
        }
        if !self.touch_marker()? {
            self.suspect(Contents::default());
            self.marker_is_wrong = true;
            return Ok(false);
        }
        self.ask_and_hear()
    }

    /// Asks when nothing else is on its way, and tells of what is safe. Says whether that is all that is in.
    pub(super) fn ask_and_hear(&mut self) -> Result<bool, Trouble<E>> {
        let Some(durability) = self.durability() else {
            return Ok(true);
        };
        let mut packed = Vec::new();
        durability.write(&mut packed);
        self.link.connection.send(&packed)?;
        self.take_answer()
    }

    /// Writes over this connection, without changing anything. Says whether there is a marker, where there should be one.
    fn touch_marker(&mut self) -> Result<bool, Error> {
        if let Mode::Plain(_) = self.mode {
            // What is waiting was written over this connection.
            return Ok(true);
        }
        let touched = self.link.connection.query(&marker::expire(&self.key))?;
        Ok(touched == redis::Value::Int(1))
    }

    /// Makes sure that what an earlier run sent is safe, before anything is told of it.
    pub(super) fn is_earlier_safe(&mut self) -> Result<(), Trouble<E>> {
        let Some(durability) = self.durability().filter(|_| !self.earlier_is_safe) else {
            return Ok(());
        };
        if !self.touch_marker()? {
            self.mend_marker()?;
        }
        let answer = durability.ask(&mut self.link.connection)?;
        let reached = answer.map_err(|refusal| durability.refused(refusal))?;
        if !durability.is_met(reached) {
            return Err(Trouble::NotSafe(reached));
        }
        self.earlier_is_safe = true;
        Ok(())
    }

    /// Takes the answer that is next, and tells of what is safe by it. Says whether that is all it is about.
    pub(super) fn take_answer(&mut self) -> Result<bool, Trouble<E>> {
        self.hear()?;
        self.supervisor.succeeded();
        while self.waiting.front().is_some_and(|flight| flight.is_safe)
            && let Some(mut flight) = self.waiting.pop_front()
        {
            let outcomes = std::mem::take(&mut flight.heard);
            let answer = flight.is_in.unwrap_or(Answer::Lost);
            self.conclude(flight, &outcomes, answer)?;
        }
        Ok(self.shortfall.is_none())
    }

    /// Hears whether what is in is safe.
    pub(super) fn hear(&mut self) -> Result<(), Trouble<E>> {
        let Some(durability) = self.settings.durability else {
            return Ok(());
        };
        if let Some(newest) = self.waiting.back_mut() {
            newest.is_asked = false;
        }
        let answer = durability.receive(&mut self.link.connection)?;
        let reached = answer.map_err(|refusal| durability.refused(refusal))?;
        self.shortfall = (!durability.is_met(reached)).then_some(reached);
        for flight in &mut self.waiting {
            flight.is_safe |= self.shortfall.is_none();
        }
        Ok(())
    }

    /// Replies were held up that are certain to come now, up to the next time the server is asked.
    pub(super) fn expect_replies(&mut self) {
        for flight in &self.in_flight {
            self.link.connection.expect(flight.replies());
            if flight.is_asked {
                return;
            }
        }
    }

    /// Passes over what is said of safety behind the replies to one of the batches in flight, if it was asked for: the
    /// server is asked again behind what is sent then.
    pub(super) fn pass_over_answer(&mut self, index: usize) -> Result<(), Error> {
        let flight = &mut self.in_flight[index];
        if let (Some(durability), true) = (self.settings.durability, std::mem::take(&mut flight.is_asked)) {
            let _ = durability.receive(&mut self.link.connection)?;
        }
        Ok(())
    }
}
