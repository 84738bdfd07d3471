//! Servers that are lost or refuse for a while: tried again, with pauses that grow, for as long as the user wants.

use std::time::{Duration, Instant};

use super::Context;
use crate::failure::Failure;
use crate::signals::{Reason, Stop};
use crate::streamer::{Backoff, Error};

/// The attempts since the server last did what it was asked for.
pub struct Retry<'a> {
    context: &'a Context,
    stop: &'a Stop,
    limit: Duration,
    /// When to give up in any case.
    deadline: Option<Instant>,
    /// None while all is well.
    backoff: Option<Backoff>,
}

impl<'a> Retry<'a> {
    /// Nothing went wrong yet.
    pub fn new(context: &'a Context, stop: &'a Stop, limit: Duration, deadline: Option<Instant>) -> Self {
        Self {
            context,
            stop,
            limit,
            deadline,
            backoff: None,
        }
    }

    /// Whether the server was lost and has not done anything for us since.
    pub fn is_at_work(&self) -> bool {
        self.backoff.is_some()
    }

    /// The server did what it was asked for: the next loss begins a new count.
    pub fn succeeded(&mut self) {
        if self.backoff.take().is_some() {
            self.context
                .ui
                .status(&format!("{} serves again", self.context.target.address));
        }
    }

    /// Makes attempts after a failure that may pass, until one succeeds; said once, not once an attempt. Any other
    /// failure, and the last one when the time is up, is returned.
    pub fn until_done<T>(
        &mut self,
        failure: anyhow::Error,
        mut attempt: impl FnMut() -> Result<T, Error>,
    ) -> anyhow::Result<T> {
        let mut failure = failure;
        loop {
            if !is_passing(&failure) {
                return Err(failure);
            }
            match self.stop.reason() {
                Some(Reason::Signal(signal)) => return Err(Failure::signal(signal).into()),
                Some(Reason::Halted) => return Err(Failure::ended().into()),
                None => {}
            }
            if self.deadline.is_some_and(|deadline| deadline <= Instant::now()) {
                return Err(failure.context(Failure::unmet("the time is up, and the server is away")));
            }
            let backoff = self.backoff.get_or_insert_with(|| {
                self.context.ui.status(&format!("{failure:#}; trying again"));
                Backoff::new(self.limit)
            });
            match backoff.next_pause() {
                Some(pause) => self.stop.sleep(until(pause, self.deadline)),
                None => return Err(failure),
            }
            match attempt() {
                Ok(done) => return Ok(done),
                Err(again) => failure = again.into(),
            }
        }
    }
}

/// Whether a new connection, or time, may mend it.
pub fn is_passing(failure: &anyhow::Error) -> bool {
    failure.downcast_ref::<Error>().is_some_and(Error::is_passing)
}

/// A wait, but not past a deadline.
pub fn until(wait: Duration, deadline: Option<Instant>) -> Duration {
    deadline.map_or(wait, |deadline| {
        wait.min(deadline.saturating_duration_since(Instant::now()))
    })
}
