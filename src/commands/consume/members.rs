//! The members of a run, one for each group: each on a thread of its own where there are several.

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread;

use anyhow::Context as _;

use crate::failure::Failure;
use crate::render::{counted, grouped, one_line};
use crate::streamer::{
    Dispatch, Ending, Failure as DispatchFailure, Halt, Handlers, Link, Member, Pipeline, Plain, PlainSettings, Run,
    Settings, Tally, dispatch,
};

use crate::commands::join;
use crate::ui::Ui;

use super::handlers::{Groups, Handler, How, Manner, Pool, Workers};
use super::output::Stdout;
use super::{Args, events};

/// What the members of a run share.
pub struct Members<'a> {
    pub args: &'a Args,
    pub ui: Ui,
    pub run: Run<'a>,
    pub stdout: Stdout,
    /// The handlers at work.
    pub groups: Groups,
}

impl Members<'_> {
    /// Reads without a group.
    pub fn read_plainly(&self, settings: &[PlainSettings], link: Link) -> anyhow::Result<Ending> {
        let (ended, tally) = self.all(settings, link, |settings, link| {
            let ended = Plain::run(self.run, settings, link, &mut self.stdout.clone());
            (ended.map_err(anyhow::Error::from), Tally::default())
        });
        self.told(ended, tally)
    }

    /// Prints the messages of groups.
    pub fn print(&self, settings: &[Settings], link: Link) -> anyhow::Result<Ending> {
        let (ended, tally) = self.all(settings, link, |settings, link| {
            self.joined(settings, link, |member| {
                let ended = Pipeline::new(member, &mut self.stdout.clone()).run();
                (ended.map_err(anyhow::Error::from), Tally::default())
            })
        });
        self.told(ended, tally)
    }

    /// Runs a handler for each message of groups.
    pub fn handle(
        &self,
        settings: &[Settings],
        how: &Dispatch,
        handler: Handler,
        link: Link,
    ) -> anyhow::Result<Ending> {
        let (ended, tally) = match handler.manner {
            Manner::OnceEach => {
                let handler = Arc::new(handler);
                let pool = || Pool::new(&handler, &self.groups, &self.stdout);
                self.dispatch(settings, how, link, pool)
            }
            Manner::Stays { workers, in_flight } => {
                let each = How {
                    handler,
                    in_flight: in_flight.get(),
                    groups: self.groups.clone(),
                    stop: self.run.stop.clone(),
                    ui: self.ui,
                };
                let workers = Workers::new(each, workers.get());
                self.dispatch(settings, how, link, || workers.for_member(&self.stdout))
            }
        };
        let ending = self.told(ended, tally)?;
        if matches!(ending, Ending::Signal(_)) {
            return Ok(ending);
        }
        verdict(tally, self.args.dead_letter.as_deref())?;
        Ok(ending)
    }

    fn dispatch<H: Handlers>(
        &self,
        settings: &[Settings],
        how: &Dispatch,
        link: Link,
        handlers: impl Fn() -> H + Sync,
    ) -> (anyhow::Result<Ending>, Tally) {
        self.all(settings, link, |settings, link| {
            self.joined(settings, link, |member| {
                let (ended, tally) = dispatch(member, how, &mut handlers());
                (ended.map_err(failure), tally)
            })
        })
    }

    /// Runs each member to its end, the first with the connection that is there: how all ended, and what became of the
    /// messages.
    fn all<S: Sync, W>(&self, settings: &[S], link: Link, work: W) -> (anyhow::Result<Ending>, Tally)
    where
        W: Fn(&S, Option<Link>) -> (anyhow::Result<Ending>, Tally) + Sync,
    {
        let one = |settings, link| self.one(settings, link, &work);
        let mut link = Some(link);
        let ended: Vec<_> = match settings {
            [only] => vec![one(only, link)],
            several => thread::scope(|scope| {
                let one = &one;
                let start = |settings| {
                    let link = link.take();
                    let member = thread::Builder::new().spawn_scoped(scope, move || one(settings, link));
                    member.inspect_err(|_| self.run.stop.end(Ending::Halted))
                };
                let members: Vec<_> = several.iter().map(start).collect();
                let not_started = |error| (Err(error), Tally::default());
                let ended = members
                    .into_iter()
                    .map(|member| join(member).unwrap_or_else(not_started));
                ended.collect()
            }),
        };
        let tally = ended.iter().fold(Tally::default(), |sum, (_, tally)| Tally {
            handled: sum.handled + tally.handled,
            failed: sum.failed + tally.failed,
            waiting: sum.waiting + tally.waiting,
        });
        (sum(ended.into_iter().map(|(ended, _)| ended)), tally)
    }

    /// Joins a group, and works as its member.
    fn joined<W>(&self, settings: &Settings, link: Option<Link>, work: W) -> (anyhow::Result<Ending>, Tally)
    where
        W: FnOnce(Member<'_>) -> (anyhow::Result<Ending>, Tally),
    {
        match Member::join(self.run, settings, link) {
            Ok(member) => work(member),
            Err(Halt::Ended(ending)) => (Ok(ending), Tally::default()),
            Err(Halt::Failed(error)) => (Err(error.into()), Tally::default()),
        }
    }

    fn one<S, W>(&self, settings: &S, link: Option<Link>, work: &W) -> (anyhow::Result<Ending>, Tally)
    where
        W: Fn(&S, Option<Link>) -> (anyhow::Result<Ending>, Tally),
    {
        let ended = work(settings, link);
        if ended.0.is_err() {
            // One member's failure ends the others, too.
            self.run.stop.end(Ending::Halted);
        } else if self.run.quota.is_used_up() {
            // They need not wait for messages any more, but may have some in hand.
            self.run.stop.wake();
        }
        ended
    }

    /// How the run ended. A write that failed is the reason for whatever else ended it.
    fn told(&self, ended: anyhow::Result<Ending>, tally: Tally) -> anyhow::Result<Ending> {
        self.stdout.tell_of_bodiless(self.ui);
        events::tell_of_passed_over(self.ui, self.run.passed_over.load(Ordering::Relaxed));
        if let Some(error) = self.stdout.take_failure() {
            return Err(error).context("cannot write to stdout");
        }
        told(self.args, &self.run, ended?, tally.waiting)
    }
}

/// The first failure, or what ended the members in good order; one that a failure of another ended says nothing.
fn sum(ended: impl Iterator<Item = anyhow::Result<Ending>>) -> anyhow::Result<Ending> {
    let mut all = Ending::Enough;
    let mut failure = None;
    for ended in ended {
        match ended {
            Ok(Ending::Enough | Ending::Halted) => {}
            Ok(ending) => all = ending,
            Err(error) => failure = failure.or(Some(error)),
        }
    }
    failure.map_or(Ok(all), Err)
}

/// What an ending means: a time limit that passed is a condition that was not met.
pub fn told(args: &Args, run: &Run<'_>, ending: Ending, waiting: u64) -> anyhow::Result<Ending> {
    if let Some(signal) = run.stop.signal() {
        return Ok(Ending::Signal(signal));
    }
    if ending != Ending::TimeUp {
        return Ok(ending);
    }
    let limit = events::timeout(args.timeout.unwrap_or_default());
    let wanted = args.max.map_or(0, NonZeroUsize::get);
    let got = wanted.saturating_sub(run.quota.left(wanted));
    let failed = match waiting {
        0 => String::new(),
        1 => "; 1 had failed, and waited to be tried again".to_owned(),
        waiting => format!("; {} had failed, and waited to be tried again", grouped(waiting)),
    };
    let (got, wanted) = (grouped((got as u64).saturating_sub(waiting)), grouped(wanted as u64));
    Err(Failure::unmet(format!(
        "timed out after {limit}: got {got} of {wanted} messages{failed}"
    ))
    .into())
}

fn failure(failure: DispatchFailure) -> anyhow::Error {
    match failure {
        DispatchFailure::Servers(error) | DispatchFailure::NoDeadLetter(error) => error.into(),
        DispatchFailure::Unusable(why) => Failure::data(why)
            .hint("it must be on the PATH, or a path to it; a script must be executable and begin with #!")
            .into(),
        DispatchFailure::NoRoom(why) => Failure::data(format!("no handler can be started: {why}"))
            .hint("raise the limits of processes and open files (ulimit -u, ulimit -n), or run fewer --jobs")
            .into(),
    }
}

/// Whether all went well.
fn verdict(tally: Tally, dead_letters: Option<&str>) -> Result<(), Failure> {
    let failed = counted(tally.failed, "message");
    match (tally.failed, dead_letters) {
        (0, _) => Ok(()),
        (_, Some(stream)) => Err(Failure::data(format!("{failed} failed; moved to {}", one_line(stream)))),
        (_, None) => Err(Failure::data(format!("{failed} failed"))),
    }
}
