//! The members of a run, one for each group: each on a thread of its own where there are several.

use std::num::NonZeroUsize;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use anyhow::Context as _;

use crate::failure::Failure;
use crate::render::{counted, grouped, one_line};
use crate::streamer::{
    Dispatch, Ending, Failure as DispatchFailure, Halt, Handlers, Lease, Link, Member, Pipeline, Plain, PlainSettings,
    Run, Settings, Tally, TurnFailure, dispatch, take_turns,
};

use crate::commands::{join, undeletable};
use crate::ui::Ui;

use super::handlers::{Groups, Handler, How, Manner, Pool, Workers, unusable};
use super::output::Stdout;
use super::{Args, events, few};

/// What the members of a run share.
pub struct Members<'a> {
    pub args: &'a Args,
    pub ui: Ui,
    pub run: Run<'a>,
    pub stdout: Stdout,
    /// The handlers at work.
    pub groups: Groups,
}

/// What one member works with.
struct Workplace<'a> {
    run: Run<'a>,
    stdout: Stdout,
    groups: Groups,
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
        let (ended, tally) = self.in_groups(settings, link, |member, place| {
            let ended = Pipeline::new(member, &mut place.stdout).run();
            (ended.map_err(anyhow::Error::from), Tally::default())
        });
        self.deleted(self.told(ended, tally)?)
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
                let pool = |place: &Workplace<'_>| Pool::new(&handler, &place.groups, &place.stdout);
                self.dispatch(settings, how, link, pool)
            }
            Manner::Stays { workers, in_flight } => {
                let workers_of = |place: &Workplace<'_>, count| {
                    let each = How {
                        handler: handler.clone(),
                        in_flight: in_flight.get(),
                        groups: place.groups.clone(),
                        stop: place.run.stop.clone(),
                        ui: self.ui,
                    };
                    Workers::new(each, count)
                };
                // Those of a stream that is read under a lease are ended with it.
                let shared = match self.args.lease() {
                    None => Some(workers_of(&self.place(), workers.get())),
                    Some(_) => None,
                };
                self.dispatch(settings, how, link, |place| match &shared {
                    Some(shared) => shared.for_member(&place.stdout),
                    None => workers_of(place, 1).for_one(&place.stdout),
                })
            }
        };
        let ending = self.told(ended, tally)?;
        if matches!(ending, Ending::Signal(_)) {
            return Ok(ending);
        }
        verdict(tally, self.args.dead_letter.as_deref())?;
        self.deleted(ending)
    }

    fn dispatch<H: Handlers>(
        &self,
        settings: &[Settings],
        how: &Dispatch,
        link: Link,
        handlers: impl Fn(&Workplace<'_>) -> H + Sync,
    ) -> (anyhow::Result<Ending>, Tally) {
        self.in_groups(settings, link, |member, place| {
            let (ended, tally) = dispatch(member, how, &mut handlers(place));
            (ended.map_err(failure), tally)
        })
    }

    /// What a member works with that shares all with the others.
    fn place(&self) -> Workplace<'_> {
        Workplace {
            run: self.run,
            stdout: self.stdout.clone(),
            groups: self.groups.clone(),
        }
    }

    /// Works on groups: at once, or on each stream in its turn.
    fn in_groups<W>(&self, settings: &[Settings], link: Link, work: W) -> (anyhow::Result<Ending>, Tally)
    where
        W: Fn(Member<'_>, &mut Workplace<'_>) -> (anyhow::Result<Ending>, Tally) + Sync,
    {
        if let Some(lease) = self.args.lease() {
            return self.in_turn(settings, lease, link, work);
        }
        let settings = settings.iter().flat_map(|one| one.by_slot(self.run.servers));
        let settings = match few(settings.collect()) {
            Ok(settings) => settings,
            Err(failure) => return (Err(failure.into()), Tally::default()),
        };
        self.all(&settings, link, |settings, link| {
            joined(self.place(), settings, link, &work)
        })
    }

    /// Works on each stream as its only reader, for as long as a lease lasts.
    fn in_turn<W>(&self, settings: &[Settings], lease: Duration, link: Link, work: W) -> (anyhow::Result<Ending>, Tally)
    where
        W: Fn(Member<'_>, &mut Workplace<'_>) -> (anyhow::Result<Ending>, Tally) + Sync,
    {
        let settings = match few(settings.iter().flat_map(Settings::by_stream).collect()) {
            Ok(settings) => settings,
            Err(failure) => return (Err(failure.into()), Tally::default()),
        };
        let roomless = settings
            .iter()
            .find_map(|one| one.without_room_for_a_lease(self.run.servers));
        if let Some(stream) = roomless {
            let why =
                format!("stream '{stream}' can have no lease: a key beside it would be in another slot of the cluster");
            let failure = Failure::data(why).hint("give it a name without }, or with a hash tag such as {orders}");
            return (Err(failure.into()), Tally::default());
        }
        let total = Mutex::new((Ok(Ending::Enough), Tally::default()));
        let one = |run: Run<'_>, settings: &Settings, lease: &Arc<Lease>| {
            let place = Workplace {
                run,
                stdout: self.stdout.under(lease),
                groups: self.groups.part(),
            };
            let groups = place.groups.clone();
            lease.on_lost(move || groups.close());
            let (ended, tally) = self.one(settings, None, |settings, link| joined(place, settings, link, &work));
            let ending = ended.as_ref().ok().copied();
            let mut total = total.lock().unwrap_or_else(PoisonError::into_inner);
            let before = std::mem::replace(&mut total.0, Ok(Ending::Enough));
            *total = (sum([before, ended].into_iter()), add(total.1, tally));
            ending
        };
        let ended = take_turns(self.run, &settings, lease, link, one);
        let (total, tally) = total.into_inner().unwrap_or_else(PoisonError::into_inner);
        let ended = match ended {
            Ok(ending) => Ok(ending),
            Err(TurnFailure::Servers(error)) => Err(error.into()),
            Err(TurnFailure::NoThread(error)) => Err(error).context("cannot start a thread for each stream"),
        };
        (total.and(ended), tally)
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
        let tally = ended.iter().fold(Tally::default(), |sum, (_, tally)| add(sum, *tally));
        (sum(ended.into_iter().map(|(ended, _)| ended)), tally)
    }

    fn one<S, W>(&self, settings: &S, link: Option<Link>, work: W) -> (anyhow::Result<Ending>, Tally)
    where
        W: FnOnce(&S, Option<Link>) -> (anyhow::Result<Ending>, Tally),
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
        told(self.args, &self.run, ended?, tally)
    }

    /// How a run ended that was to delete: a signal tells of itself.
    fn deleted(&self, ending: Ending) -> anyhow::Result<Ending> {
        if !matches!(ending, Ending::Signal(_)) {
            undeletable(self.run.undeletable.load(Ordering::Relaxed))?;
        }
        Ok(ending)
    }
}

/// Joins a group, and works as its member.
fn joined<W>(
    mut place: Workplace<'_>,
    settings: &Settings,
    link: Option<Link>,
    work: &W,
) -> (anyhow::Result<Ending>, Tally)
where
    W: Fn(Member<'_>, &mut Workplace<'_>) -> (anyhow::Result<Ending>, Tally),
{
    match Member::join(place.run, settings, link) {
        Ok(member) => work(member, &mut place),
        Err(Halt::Ended(ending)) => (Ok(ending), Tally::default()),
        Err(Halt::Failed(error)) => (Err(error.into()), Tally::default()),
    }
}

fn add(a: Tally, b: Tally) -> Tally {
    Tally {
        handled: a.handled + b.handled,
        failed: a.failed + b.failed,
        waiting: a.waiting + b.waiting,
        put_off: a.put_off + b.put_off,
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
pub fn told(args: &Args, run: &Run<'_>, ending: Ending, tally: Tally) -> anyhow::Result<Ending> {
    if let Some(signal) = run.stop.signal() {
        return Ok(Ending::Signal(signal));
    }
    if ending != Ending::TimeUp {
        return Ok(ending);
    }
    let limit = events::timeout(args.timeout.unwrap_or_default());
    let wanted = args.max.map_or(0, NonZeroUsize::get);
    let got = wanted.saturating_sub(run.quota.left(wanted));
    let Tally { waiting, put_off, .. } = tally;
    let failed = match waiting {
        0 => String::new(),
        waiting => format!("; {} had failed, and waited to be tried again", grouped(waiting)),
    };
    let put_off_ones = match put_off {
        0 => String::new(),
        put_off => format!("; {} put off by a worker for longer than that", grouped(put_off)),
    };
    let (got, wanted) = (
        grouped((got as u64).saturating_sub(waiting + put_off)),
        grouped(wanted as u64),
    );
    Err(Failure::unmet(format!(
        "timed out after {limit}: got {got} of {wanted} messages{failed}{put_off_ones}"
    ))
    .into())
}

fn failure(failure: DispatchFailure) -> anyhow::Error {
    match failure {
        DispatchFailure::Servers(error) | DispatchFailure::NoDeadLetter(error) => error.into(),
        DispatchFailure::Unusable(why) => unusable(&why).into(),
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
