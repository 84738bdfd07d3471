//! Lost connections: made again, with pauses that grow, for as long as the user wants.

use std::time::{Duration, Instant};

use crate::commands::Context;
use crate::failure::Failure;
use crate::signals::{Reason, Stop};
use crate::streamer::{Backoff, Error, Streamer};

use super::plain::until;

/// The attempts since the server last answered.
pub struct Retry<'a> {
    context: &'a Context,
    limit: Duration,
    /// When to give up in any case.
    deadline: Option<Instant>,
    /// None while all is well.
    backoff: Option<Backoff>,
}

impl<'a> Retry<'a> {
    /// Nothing went wrong yet.
    pub fn new(context: &'a Context, limit: Duration, deadline: Option<Instant>) -> Self {
        Self {
            context,
            limit,
            deadline,
            backoff: None,
        }
    }

    /// The server answers: the next loss begins a new count.
    pub fn succeeded(&mut self) {
        if self.backoff.take().is_some() {
            self.context
                .ui
                .status(&format!("connected to {} again", self.context.target.address));
        }
    }

    /// Connects again after a failure that may pass; said once, not once an attempt. Any other failure, and
    /// the last one when the time is up, is returned.
    pub fn reconnect(&mut self, error: anyhow::Error, stop: &Stop) -> anyhow::Result<Streamer> {
        let mut error = error;
        loop {
            if !error.downcast_ref::<Error>().is_some_and(Error::is_passing) {
                return Err(error);
            }
            match stop.reason() {
                Some(Reason::Signal(signal)) => return Err(Failure::signal(signal).into()),
                Some(Reason::Halted) => return Err(Failure::ended().into()),
                None => {}
            }
            if self.deadline.is_some_and(|deadline| deadline <= Instant::now()) {
                return Err(error.context(Failure::unmet("the time is up, and the server is away")));
            }
            let backoff = self.backoff.get_or_insert_with(|| {
                self.context.ui.status(&format!("{error:#}; trying again"));
                Backoff::new(self.limit)
            });
            match backoff.next_pause() {
                Some(pause) => stop.sleep(until(pause, self.deadline)),
                None => return Err(error),
            }
            match Streamer::connect(&self.context.target) {
                Ok(streamer) => return Ok(streamer),
                Err(again) => error = again.into(),
            }
        }
    }
}
