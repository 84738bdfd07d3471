//! Lost connections: made again, with pauses that grow, for as long as the user wants.

use std::time::Duration;

use crate::commands::Context;
use crate::failure::Failure;
use crate::signals::Stop;
use crate::streamer::{Backoff, Error, Streamer};

/// The attempts since the server last answered.
pub struct Retry<'a> {
    context: &'a Context,
    limit: Duration,
    /// None while all is well.
    backoff: Option<Backoff>,
}

impl<'a> Retry<'a> {
    /// Nothing went wrong yet.
    pub fn new(context: &'a Context, limit: Duration) -> Self {
        Self {
            context,
            limit,
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
            if let Some(signal) = stop.signal() {
                return Err(Failure::signal(signal).into());
            }
            let backoff = self.backoff.get_or_insert_with(|| {
                self.context.ui.status(&format!("{error:#}; trying again"));
                Backoff::new(self.limit)
            });
            match backoff.next_pause() {
                Some(pause) => stop.sleep(pause),
                None => return Err(error),
            }
            match Streamer::connect(&self.context.target) {
                Ok(streamer) => return Ok(streamer),
                Err(again) => error = again.into(),
            }
        }
    }
}
