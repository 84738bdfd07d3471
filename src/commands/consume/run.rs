//! What all parts of one run share: the options, the terminal, stdout, and when to end.

use std::time::Instant;

use anyhow::Context as _;

use crate::commands::Context;
use crate::commands::retry::{self, Retry};
use crate::failure::{self, Failure};
use crate::render::counted;
use crate::signals::Stop;
use crate::streamer::Streamer;

use super::Args;
use super::alarm::Alarm;
use super::output::Output;

/// One run of `consume`.
pub struct Run<'a> {
    /// The options.
    pub args: &'a Args,
    /// The terminal and the server.
    pub context: &'a Context,
    /// Stdout, and how many messages may still go there or to handlers.
    pub output: Output,
    /// Ends blocked reads.
    pub alarm: Alarm,
    /// When to end early.
    pub stop: Stop,
    /// When `--timeout` has passed.
    pub deadline: Option<Instant>,
}

impl<'a> Run<'a> {
    /// Connects, and listens for signals. `at_last` runs when a second signal ends the process at once.
    pub fn start(
        args: &'a Args,
        context: &'a Context,
        at_last: impl Fn() + Send + 'static,
    ) -> anyhow::Result<(Self, Streamer)> {
        let output = Output::open(context.ui, args)?;
        let deadline = args.timeout.map(|timeout| Instant::now() + timeout);
        // Until there is a connection, a signal ends the process as signals do.
        let streamer = context.connect()?;
        let (alarm, stop) = Alarm::listen(&context.target, at_last).context("cannot listen for signals")?;
        output.halt_when_closed(&stop).context("cannot watch stdout")?;
        let run = Self {
            args,
            context,
            output,
            alarm,
            stop,
            deadline,
        };
        Ok((run, streamer))
    }

    /// The attempts to reach a lost server again, for one connection.
    pub fn retry(&self) -> Retry<'_> {
        Retry::new(self.context, &self.stop, self.args.reconnect_for, self.deadline)
    }

    /// How many messages may still be taken, at most `most`.
    pub fn left(&self, most: usize) -> usize {
        self.output.budget().left(most)
    }

    /// Whether as many messages were taken as were asked for.
    pub fn is_full(&self) -> bool {
        self.left(1) == 0
    }

    /// Whether to end now, whatever is left; fails if the time is up before as many came as were asked for.
    pub fn is_ending(&self) -> anyhow::Result<bool> {
        if self.stop.reason().is_some() {
            return Ok(true);
        }
        match self.is_late() && !self.is_full() {
            true => {
                let missing = counted(self.left(usize::MAX) as u64, "message");
                Err(self
                    .missed(&format!("{missing} did not come, of those -n asks for"))
                    .into())
            }
            false => Ok(false),
        }
    }

    /// What it means that the time is up, and what is not done by then.
    pub fn missed(&self, what: &str) -> Failure {
        // Durations print as they are written: 30s, 250ms.
        Failure::unmet(format!(
            "{:?} passed, and {what}",
            self.args.timeout.unwrap_or_default()
        ))
    }

    /// Whether `--timeout` has passed.
    pub fn is_late(&self) -> bool {
        self.deadline.is_some_and(|deadline| deadline <= Instant::now())
    }

    /// Pauses between reads as `--rest` asks, but not past the deadline nor another moment.
    pub fn rest(&self, until: Option<Instant>) {
        let end = [self.deadline, until].into_iter().flatten().min();
        self.stop.sleep(retry::until(self.args.rest, end));
    }

    /// Whether to end now: as much was taken as was asked for, or it is [ending](Self::is_ending).
    pub fn is_over(&self) -> anyhow::Result<bool> {
        Ok(self.is_full() || self.is_ending()?)
    }

    /// How the run ended: the exit code tells of a signal that ended it in good order.
    pub fn told<T>(&self, ended: anyhow::Result<T>) -> anyhow::Result<T> {
        match self.stop.signal() {
            Some(signal) if ended.as_ref().err().is_none_or(failure::is_normal_ending) => {
                Err(Failure::signal(signal).into())
            }
            _ => ended,
        }
    }
}
