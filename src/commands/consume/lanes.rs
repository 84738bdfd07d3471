//! A lane for each group name: groups of different names cannot be read by one command, so each has its own
//! connection, and a thread where there are several.

use std::sync::{Mutex, PoisonError};
use std::thread;

use anyhow::Context as _;

use crate::commands::Context;
use crate::failure;
use crate::streamer::{Membership, Streamer};

use super::handlers::{Desk, Groups, Pool, Tally};
use super::horizon::Horizon;
use super::member::{Member, memberships};
use super::printer::Printer;
use super::run::Run;
use super::{Args, Name};

/// What all lanes share.
struct Shared<'a> {
    run: Run<'a>,
    name: Name,
    /// The handlers at work.
    groups: Groups,
    /// The first connection, for the first lane that asks.
    first: Mutex<Option<Streamer>>,
}

/// Runs `consume` in a group.
pub fn run(args: &Args, context: &Context, name: Name) -> anyhow::Result<()> {
    let groups = Groups::default();
    let at_last = groups.clone();
    let (run, first) = Run::start(args, context, move || at_last.kill())?;
    let mut memberships = memberships(args, &name);
    let shared = Shared {
        run,
        name,
        groups,
        first: Mutex::new(Some(first)),
    };
    let ended = match memberships.len() {
        1 => memberships
            .drain(..)
            .try_fold(Tally::default(), |_, membership| lane(&shared, membership)),
        _ => thread::scope(|scope| {
            let shared = &shared;
            let start = |membership| {
                let lane = thread::Builder::new().spawn_scoped(scope, move || lane(shared, membership));
                lane.inspect_err(|_| shared.run.stop.halt())
            };
            let lanes: Vec<_> = memberships.into_iter().map(start).collect();
            all(lanes.into_iter().map(|lane| {
                lane.context("cannot start a thread for each stream")?
                    .join()
                    .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
            }))
        }),
    };
    let tally = shared.run.told(ended)?;
    Ok(tally.verdict(args.dead_letter.as_deref())?)
}

/// What became of all messages, or the first failure; lanes that one lane's failure ended say nothing of their own.
fn all(lanes: impl Iterator<Item = anyhow::Result<Tally>>) -> anyhow::Result<Tally> {
    let (ended, failed): (Vec<_>, Vec<_>) = lanes.partition(Result::is_ok);
    let (quiet, failed): (Vec<_>, Vec<_>) = failed
        .into_iter()
        .filter_map(Result::err)
        .partition(failure::is_normal_ending);
    match failed.into_iter().chain(quiet).next() {
        Some(error) => Err(error),
        None => Ok(ended
            .into_iter()
            .flatten()
            .fold(Tally::default(), |sum, tally| sum + tally)),
    }
}

fn lane(shared: &Shared<'_>, membership: Membership) -> anyhow::Result<Tally> {
    let ended = consume(shared, membership);
    if ended.is_err() {
        // One stream's failure ends the others, too.
        shared.run.stop.halt();
    } else if shared.run.is_full() {
        // They need not wait for messages any more, but may have some in hand.
        shared.run.stop.wake();
    }
    ended
}

fn consume(shared: &Shared<'_>, membership: Membership) -> anyhow::Result<Tally> {
    let Shared { run, name, groups, .. } = shared;
    let first = shared.first.lock().unwrap_or_else(PoisonError::into_inner).take();
    let mut streamer = match first {
        Some(streamer) => streamer,
        None => Streamer::connect(&run.context.target)?,
    };
    let horizon = match run.args.exit_on_empty {
        true => Horizon::here(&mut streamer, &membership.streams)?,
        false => Horizon::open(membership.streams.len()),
    };
    let member = Member::join(run, membership, name.clone(), streamer)?;
    if run.args.command.is_empty() {
        return Printer::new(member, horizon).run().map(|()| Tally::default());
    }
    thread::scope(|scope| {
        let pool = Pool::new(scope, run.args, groups);
        Desk::new(member, horizon, pool).run()
    })
}
