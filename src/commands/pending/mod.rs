//! `pending`: what waits where, for eyes, for programs, and as a gate.

mod gates;
mod output;

use std::num::NonZeroUsize;
use std::time::Duration;

use crate::commands::Context;
use crate::failure::{Failure, quote};
use crate::options::{GroupArgs, parse_count, parse_name};
use crate::streamer::{
    ConsumerInfo, EntryId, GroupState, PendingEntry, PendingFilter, StreamState, Streamer, parse_duration,
};
use crate::ui::Ui;
use gates::Gates;

/// Show what is delivered and not acknowledged, and how far groups lag behind
///
/// Without a stream: every stream with its groups. With one: its groups. With a group too: the group's consumers,
/// and the entries that wait for their acknowledgement, by ID.
///
/// LAG is how many entries are still to be delivered; ? where the server cannot tell (null in JSON). OLDEST is the
/// longest time since a pending entry was last delivered. A consumer's IDLE is the time since it last asked for
/// entries, INACTIVE since it last got one.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  redis-streamer pending
  redis-streamer pending orders
  redis-streamer pending orders -l billing --idle 5m
  redis-streamer pending orders -l billing --json | jq -r '.entries[].id'
  redis-streamer pending orders --max-lag 1000 --max-idle 5m || echo behind")]
pub struct Args {
    /// The stream [default: all]
    #[arg(value_parser = parse_name)]
    stream: Option<String>,
    #[command(flatten)]
    group: GroupArgs,
    /// Show only entries of the group that have been idle for at least so long
    #[arg(long, value_name = "DURATION", value_parser = parse_duration)]
    idle: Option<Duration>,
    /// Show only this consumer of the group, and its entries
    #[arg(long, value_name = "NAME", value_parser = parse_name)]
    consumer: Option<String>,
    /// Show at most N entries of the group [default: 20; all with --json]
    #[arg(short = 'n', long, value_name = "N", value_parser = parse_count::<NonZeroUsize>)]
    max_entries: Option<NonZeroUsize>,
    /// Print one line of JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    gates: Gates,
}

/// How many entries a table has unless told otherwise: with the tables above it fits on a screen.
const MAX_ENTRIES: usize = 20;

/// What to look at.
enum Scope<'a> {
    Server,
    Stream(&'a str),
    Group {
        stream: &'a str,
        group: String,
        filter: Filter<'a>,
    },
}

/// Which consumers and entries of a group to show.
#[derive(Clone, Copy)]
struct Filter<'a> {
    min_idle_ms: u64,
    consumer: Option<&'a str>,
    max_entries: usize,
}

/// What was seen.
enum View {
    Server(Vec<StreamState>),
    Stream(StreamState),
    Group(GroupView),
}

/// A group from near.
struct GroupView {
    stream: String,
    state: GroupState,
    consumers: Vec<ConsumerInfo>,
    entries: Vec<PendingEntry>,
    rest: Rest,
}

/// What the filter lets through beyond the entries shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Rest {
    /// No more.
    Nothing,
    /// More: so many with those shown.
    Of(u64),
    /// More, nobody counted how many.
    Uncounted,
}

/// Runs the command.
pub fn run(args: Args, context: &Context) -> anyhow::Result<()> {
    let scope = scope(&args)?;
    let mut streamer = context.connect()?;
    let view = gather(&mut streamer, &scope, context.ui)?;
    let printed = print(&view, args.json, context.ui);
    // A reader that has gone, such as `head`, must not open the gate.
    args.gates.check(&view)?;
    printed
}

fn scope(args: &Args) -> Result<Scope<'_>, Failure> {
    let Some(stream) = args.stream.as_deref() else {
        return match args.group.label().is_some() {
            true => Err(Failure::usage("a group belongs to a stream, and none is given")
                .hint("name the stream first: redis-streamer pending STREAM -g GROUP")),
            false => without_filter(args, "STREAM").map(|()| Scope::Server),
        };
    };
    match args.group.on(stream) {
        Some(group) => Ok(Scope::Group {
            stream,
            group,
            filter: Filter {
                min_idle_ms: args.idle.map_or(0, whole_ms),
                consumer: args.consumer.as_deref(),
                max_entries: match args.max_entries {
                    Some(most) => most.get(),
                    None if args.json => usize::MAX,
                    None => MAX_ENTRIES,
                },
            },
        }),
        None => without_filter(args, &quote(stream)).map(|()| Scope::Stream(stream)),
    }
}

/// Only a group's consumers and entries can be narrowed down.
fn without_filter(args: &Args, stream: &str) -> Result<(), Failure> {
    let given = [
        ("--idle", args.idle.is_some()),
        ("--consumer", args.consumer.is_some()),
        ("-n/--max-entries", args.max_entries.is_some()),
    ];
    match given.iter().find(|(_, given)| *given) {
        None => Ok(()),
        Some((option, _)) => Err(
            Failure::usage(format!("{option} is for the entries of a group, and none is given")).hint(format!(
                "name the group: redis-streamer pending {stream} -g GROUP, or -l LISTENER"
            )),
        ),
    }
}

/// Asks the server. Apart from showing, so that a view can be taken again and again.
fn gather(streamer: &mut Streamer, scope: &Scope<'_>, ui: Ui) -> anyhow::Result<View> {
    match scope {
        Scope::Server => {
            let survey = streamer.survey()?;
            if !survey.denied.is_empty() {
                ui.warning(&output::denied(&survey.denied));
            }
            Ok(View::Server(survey.streams))
        }
        Scope::Stream(stream) => Ok(View::Stream(streamer.stream_state(stream)?)),
        Scope::Group { stream, group, filter } => gather_group(streamer, stream, group, *filter).map(View::Group),
    }
}

fn gather_group(streamer: &mut Streamer, stream: &str, group: &str, filter: Filter<'_>) -> anyhow::Result<GroupView> {
    let state = streamer.group_state(stream, group)?;
    let mut consumers = streamer.consumers(stream, group)?;
    if let Some(only) = filter.consumer {
        consumers.retain(|consumer| consumer.name == only);
    }
    // One more than is shown tells whether there are more.
    let mut entries = streamer.pending(
        stream,
        group,
        PendingFilter {
            min_idle_ms: filter.min_idle_ms,
            consumer: filter.consumer,
            from: EntryId::MIN,
            count: filter.max_entries.saturating_add(1),
        },
    )?;
    let rest = match (entries.len() > filter.max_entries, filter.min_idle_ms) {
        (false, _) => Rest::Nothing,
        (true, 0) if filter.consumer.is_none() => Rest::Of(state.info.pending),
        (true, 0) => Rest::Of(consumers.iter().map(|consumer| consumer.pending).sum()),
        (true, _) => Rest::Uncounted,
    };
    entries.truncate(filter.max_entries);
    Ok(GroupView {
        stream: stream.to_owned(),
        state,
        consumers,
        entries,
        rest,
    })
}

/// Milliseconds, as the server counts them.
fn whole_ms(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

fn print(view: &View, json: bool, ui: Ui) -> anyhow::Result<()> {
    let text = match (json, view) {
        (true, _) => output::json(view)?,
        (false, View::Server(streams)) if streams.is_empty() => {
            ui.status("there are no streams");
            return Ok(());
        }
        (false, _) => output::tables(view, ui.table_width()),
    };
    ui.data()?.write(text.as_bytes()).map_err(Failure::stdout)
}

impl View {
    /// All groups shown, each with its stream.
    fn groups(&self) -> Vec<(&str, &GroupState)> {
        match self {
            Self::Server(streams) => streams.iter().flat_map(groups_of).collect(),
            Self::Stream(stream) => groups_of(stream).collect(),
            Self::Group(view) => vec![(view.stream.as_str(), &view.state)],
        }
    }
}

fn groups_of(stream: &StreamState) -> impl Iterator<Item = (&str, &GroupState)> {
    stream.groups.iter().map(|group| (stream.name.as_str(), group))
}
