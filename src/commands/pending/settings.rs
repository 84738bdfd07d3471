//! What was typed → what is looked at, and for whom.

use std::time::Duration;

use super::Args;
use super::gates::Gates;
use crate::failure::{Failure, quote};
use crate::partitions::RawStreams;
use crate::streamer::{COUNT_LIMIT, CountLimit, Glob, Look, Need, Oldest, RawName};

/// How many entries a table has unless told otherwise: with the tables above it fits on a screen.
const MAX_ENTRIES: usize = 20;

/// How far entries are counted where it is looked again and again.
const COUNTED_OFTEN: CountLimit = CountLimit {
    entries: 1000,
    bytes: 1024 * 1024,
};

/// What is shown.
pub struct Settings {
    pub scope: Scope,
    pub look: Look,
    pub view: View,
    /// How often it is looked at, if not once.
    pub watch: Option<Duration>,
    pub gates: Gates,
}

/// What to look at.
pub enum Scope {
    /// All streams, or those that match.
    Server(Vec<Glob>),
    /// Several, by their names.
    Streams(Vec<RawName>),
    Stream(RawName),
    Group(GroupScope),
}

/// A group from near.
pub struct GroupScope {
    pub stream: RawName,
    pub group: RawName,
    /// Which of its entries are shown.
    pub min_idle_ms: u64,
    pub consumer: Option<RawName>,
    pub count: usize,
}

/// What is made of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum View {
    State(Format),
    Metrics,
    /// The consumers that were idle for longer.
    DeadConsumers(Duration, Format),
}

/// Whom it is shown to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    Tables,
    Json,
}

impl Settings {
    pub fn of(args: &Args) -> Result<Self, Failure> {
        let format = if args.json { Format::Json } else { Format::Tables };
        let (scope, view) = match args.dead_consumers {
            Some(idle) => (whole_scope(args)?, View::DeadConsumers(idle, format)),
            None if args.openmetrics => (scope(args)?, View::Metrics),
            None => (scope(args)?, View::State(format)),
        };
        let watch = args.watch.then_some(args.interval);
        Ok(Self {
            scope,
            look: look(&args.gates, view, watch),
            view,
            watch,
            gates: args.gates,
        })
    }
}

fn look(gates: &Gates, view: View, watch: Option<Duration>) -> Look {
    let need = |is_needed| if is_needed { Need::Surely } else { Need::IfAllowed };
    let counted = if watch.is_some() { COUNTED_OFTEN } else { COUNT_LIMIT };
    Look {
        oldest: match view {
            View::State(_) | View::Metrics if watch.is_none() => Oldest::Search,
            _ => Oldest::Leave,
        },
        count: gates.max_lag().map_or(counted, |entries| CountLimit {
            entries,
            // Whether it is exceeded must be known.
            bytes: usize::MAX,
        }),
        lag: need(gates.max_lag().is_some()),
        behind: need(gates.look_at_behind()),
    }
}

fn scope(args: &Args) -> Result<Scope, Failure> {
    let Some((stream, group)) = one_group(args)? else {
        return without_filter(args).map(|()| streams(args));
    };
    Ok(Scope::Group(GroupScope {
        stream,
        group,
        min_idle_ms: args.idle.map_or(0, whole_ms),
        consumer: args.consumer.clone(),
        count: match args.max {
            Some(most) => most.get(),
            None if args.json => usize::MAX,
            None => MAX_ENTRIES,
        },
    }))
}

/// Where entries are not shown, none are chosen.
fn whole_scope(args: &Args) -> Result<Scope, Failure> {
    let given = filters(args).into_iter().find(|(_, given)| *given);
    match given {
        Some((option, _)) => Err(Failure::usage(format!(
            "{option} is for the entries of a group, and --dead-consumers shows consumers"
        ))),
        None => scope(args),
    }
}

fn streams(args: &Args) -> Scope {
    match args.streams.as_slice() {
        globs if args.glob => Scope::Server(globs.iter().map(|glob| Glob::new(glob.pattern())).collect()),
        [] => Scope::Server(Vec::new()),
        [one] if !one.are_partitions() => Scope::Stream(one.names().swap_remove(0)),
        several => Scope::Streams(several.iter().flat_map(RawStreams::names).collect()),
    }
}

/// The stream and the group, if a group was named: it is one of one stream.
fn one_group(args: &Args) -> Result<Option<(RawName, RawName)>, Failure> {
    if args.group.is_none() {
        return Ok(None);
    }
    let example = |stream: &str| format!("name one, such as: redis-streamer pending {stream} -g GROUP");
    let stream = match args.streams.as_slice() {
        [] => {
            return Err(Failure::usage("a group belongs to a stream, and none is given")
                .hint("name the stream first: redis-streamer pending STREAM -g GROUP"));
        }
        [one] if !one.are_partitions() && !args.glob => one.names().swap_remove(0),
        [first, ..] => {
            let first = match args.glob {
                true => "STREAM".to_owned(),
                false => first
                    .names()
                    .first()
                    .map_or_else(String::new, |name| quote(&name.typed())),
            };
            return Err(
                Failure::usage("a group's consumers and entries are shown of one stream at a time")
                    .hint(example(&first)),
            );
        }
    };
    Ok(args.group.on(&stream).map(|group| (stream, group)))
}

/// Only a group's consumers and entries can be narrowed down.
fn without_filter(args: &Args) -> Result<(), Failure> {
    let stream = match args.streams.first() {
        Some(first) if !args.glob => first
            .names()
            .first()
            .map_or_else(String::new, |name| quote(&name.typed())),
        _ => "STREAM".to_owned(),
    };
    match filters(args).into_iter().find(|(_, given)| *given) {
        None => Ok(()),
        Some((option, _)) => Err(
            Failure::usage(format!("{option} is for the entries of a group, and none is given")).hint(format!(
                "name the group: redis-streamer pending {stream} -g GROUP, or -l LISTENER"
            )),
        ),
    }
}

fn filters(args: &Args) -> [(&'static str, bool); 3] {
    [
        ("--idle", args.idle.is_some()),
        ("--consumer", args.consumer.is_some()),
        ("-n/--max", args.max.is_some()),
    ]
}

/// Milliseconds, as the server counts them.
pub fn whole_ms(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
