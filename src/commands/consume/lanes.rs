//! A lane for each group name: groups of different names cannot be read by one command, so each has its own
//! connection, and a thread where there are several.

use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::Instant;

use anyhow::Context as _;

use crate::commands::Context;
use crate::failure::{self, Failure};
use crate::signals::Stop;
use crate::streamer::{EntryId, Error, Membership, Streamer};

use super::alarm::Alarm;
use super::handlers::{Desk, Groups, Pool};
use super::member::{Member, memberships};
use super::output::Output;
use super::printer::Printer;
use super::{Args, Name};

/// What all lanes share.
struct Shared<'a> {
    args: &'a Args,
    context: &'a Context,
    name: Name,
    output: Output,
    deadline: Option<Instant>,
    alarm: Alarm,
    stop: Stop,
    groups: Groups,
    /// The first connection, for the first lane that asks.
    first: Mutex<Option<Streamer>>,
}

/// Runs `consume` in a group.
pub fn run(
    args: &Args,
    context: &Context,
    name: Name,
    output: Output,
    deadline: Option<Instant>,
) -> anyhow::Result<()> {
    let groups = Groups::default();
    let at_last = groups.clone();
    // Until there is a connection, a signal ends the process as signals do.
    let first = Mutex::new(Some(context.connect()?));
    let (alarm, stop) = Alarm::listen(&context.target, move || at_last.kill()).context("cannot listen for signals")?;
    // Handlers write to stdout themselves, and learn themselves that it is closed.
    if args.command.is_empty() {
        output.halt_when_closed(&stop).context("cannot watch stdout")?;
    }
    let mut memberships = memberships(args, &name);
    let shared = Shared {
        args,
        context,
        name,
        output,
        deadline,
        alarm,
        stop,
        groups,
        first,
    };
    let ended = match memberships.len() {
        1 => memberships
            .drain(..)
            .try_for_each(|membership| lane(&shared, membership)),
        _ => thread::scope(|scope| {
            let lanes: Vec<_> = memberships
                .into_iter()
                .map(|membership| scope.spawn(|| lane(&shared, membership)))
                .collect();
            let ended = lanes
                .into_iter()
                .map(|lane| lane.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
            worst(ended)
        }),
    };
    match shared.stop.signal() {
        Some(signal) if ended.as_ref().err().is_none_or(failure::is_normal_ending) => {
            Err(Failure::signal(signal).into())
        }
        _ => ended,
    }
}

/// The first failure; lanes that one lane's failure ended say nothing of their own.
fn worst(ended: impl Iterator<Item = anyhow::Result<()>>) -> anyhow::Result<()> {
    let (quiet, failed): (Vec<_>, Vec<_>) = ended.filter_map(Result::err).partition(failure::is_normal_ending);
    match failed.into_iter().chain(quiet).next() {
        Some(error) => Err(error),
        None => Ok(()),
    }
}

fn lane(shared: &Shared<'_>, membership: Membership) -> anyhow::Result<()> {
    let ended = consume(shared, membership);
    // One stream's failure, or its filling the -n, ends the others too.
    if ended.is_err() || shared.output.budget().left(1) == 0 {
        shared.stop.halt();
    }
    ended
}

fn consume(shared: &Shared<'_>, membership: Membership) -> anyhow::Result<()> {
    let Shared {
        args,
        context,
        output,
        deadline,
        ..
    } = shared;
    let first = shared.first.lock().unwrap_or_else(PoisonError::into_inner).take();
    let mut streamer = match first {
        Some(streamer) => streamer,
        None => Streamer::connect(&context.target)?,
    };
    let ends = match args.exit_on_empty {
        true => Some(ends(&mut streamer, &membership)?),
        false => None,
    };
    let ending = (&shared.alarm, &shared.stop);
    let member = Member::join(
        args,
        context,
        ending,
        (membership, shared.name.clone()),
        *deadline,
        streamer,
    )?;
    if args.command.is_empty() {
        return Printer::new(member, output, *deadline, ends).run();
    }
    thread::scope(|scope| {
        let pool = Pool::start(scope, args, &shared.groups);
        Desk::new(member, output, pool, *deadline, ends).run(scope)
    })
}

/// The last ID of each stream.
fn ends(streamer: &mut Streamer, membership: &Membership) -> Result<Vec<EntryId>, Error> {
    let last = |stream: &String| Ok(streamer.stream_info(stream)?.map_or(EntryId::MIN, |info| info.last_id));
    membership.streams.iter().map(last).collect()
}
