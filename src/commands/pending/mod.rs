//! `pending`: what waits where, for eyes, for programs, and as a gate.

mod gates;
mod group;
mod json;
mod tables;

use std::num::NonZeroUsize;
use std::time::Duration;

use crate::commands::{Context, print, print_json};
use crate::failure::{Failure, quote};
use crate::options::{GroupArgs, parse_count, parse_name};
use crate::partitions::{Streams, parse_streams};
use crate::streamer::{
    Away, Ending, Error, GroupState, Oldest, PendingFilter, StreamState, Survey, parse_duration, stream_state, survey,
    survey_of,
};
use crate::ui::Ui;
use gates::{Gates, Hint};
use group::GroupView;
use tables::Total;

/// Show what is pending, and how far behind groups are
///
/// Pending is what was delivered and not yet acknowledged.
///
/// Without a stream: every stream with its groups. With a stream: its groups. With a pattern of streams: each with its
/// groups, and all together. With a group as well: the group's consumers, and its pending entries by ID.
///
/// LAG is how many entries are still to be delivered; ? where the server cannot tell (null in JSON). OLDEST is the
/// longest time since a pending entry was last delivered. A consumer's IDLE is the time since it last asked for
/// entries, INACTIVE since it last got one.
#[derive(clap::Args)]
#[command(after_long_help = "\
Examples:
  redis-streamer pending
  redis-streamer pending orders -l billing --json | jq -r '.entries[].id'
  redis-streamer pending orders --max-lag 1000 --max-idle 5m || echo behind")]
pub struct Args {
    /// The stream, or a pattern such as 'orders:{0..15}' [default: all]
    #[arg(value_parser = parse_streams)]
    stream: Option<Streams>,
    #[command(flatten)]
    group: GroupArgs,
    /// Show only entries idle for at least DURATION
    #[arg(long, value_name = "DURATION", value_parser = parse_duration)]
    idle: Option<Duration>,
    /// Show only this consumer, and its entries
    #[arg(short, long, value_name = "NAME", value_parser = parse_name)]
    consumer: Option<String>,
    /// Show at most N entries [default: 20; all with --json]
    #[arg(short = 'n', long = "max", value_name = "N", value_parser = parse_count::<NonZeroUsize>)]
    max: Option<NonZeroUsize>,
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
    Partitions(&'a Streams),
    Stream(&'a str),
    Group {
        stream: &'a str,
        group: String,
        filter: PendingFilter<'a>,
    },
}

/// Whom it is shown to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Format {
    Tables,
    Json,
}

pub fn run(args: Args, context: &Context) -> anyhow::Result<Ending> {
    let format = if args.json { Format::Json } else { Format::Tables };
    match scope(&args)? {
        Scope::Server => show_server(&args.gates, format, context),
        Scope::Partitions(streams) => show_partitions(streams, &args.gates, format, context),
        Scope::Stream(stream) => show_stream(stream, &args.gates, format, context),
        Scope::Group { stream, group, filter } => {
            let oldest = match format {
                // Its JSON does not tell of it.
                Format::Json if !args.gates.look_at_idle() => Oldest::Leave,
                _ => Oldest::Search,
            };
            let view = GroupView::gather(context.connect_to(stream)?, stream, &group, filter, oldest)?;
            show_group(view, &args.gates, format, context.ui)
        }
    }
}

fn show_server(gates: &Gates, format: Format, context: &Context) -> anyhow::Result<Ending> {
    let survey = survey(&context.servers, context.connect_to_all()?)?;
    show_survey(survey, gates, format, Total::Left, context)
}

/// The streams of a pattern, and all of them together.
fn show_partitions(streams: &Streams, gates: &Gates, format: Format, context: &Context) -> anyhow::Result<Ending> {
    streams.warn(context.ui);
    let survey = survey_of(context.connect_to(streams.first())?, streams.names())?;
    if survey.missing.len() == streams.names().len() {
        let stream = streams.first().to_owned();
        return Err(Error::NoStream { stream }.into());
    }
    if !survey.missing.is_empty() {
        context.ui.warning(&tables::missing(&survey.missing));
    }
    show_survey(survey, gates, format, Total::Shown, context)
}

fn show_survey(
    survey: Survey,
    gates: &Gates,
    format: Format,
    total: Total,
    context: &Context,
) -> anyhow::Result<Ending> {
    let Survey {
        streams, hidden, away, ..
    } = survey;
    if let Some(first) = hidden.first().filter(|_| streams.is_empty()) {
        gates.check(&[], &hidden, Hint::WhereToLook)?;
        return Err(Error::refused(first.refusal.clone(), &first.stream, None).into());
    }
    if !hidden.is_empty() && !gates.are_given() {
        let hidden = tables::hidden(&hidden);
        context.ui.warning(&format!("this user may not look at {hidden}"));
    }
    let printed = match format {
        Format::Json => print_json(context.ui, json::streams(&streams)?.as_bytes()),
        Format::Tables if streams.is_empty() => {
            context.ui.status("there are no streams");
            Ok(Ending::Enough)
        }
        Format::Tables => print(
            context.ui,
            tables::streams(&streams, total, context.ui.table_width()).as_bytes(),
        ),
    };
    // A reader that has gone, such as `head`, must not open the gate.
    let groups: Vec<_> = streams.iter().flat_map(groups_of).collect();
    gates.check(&groups, &hidden, Hint::WhereToLook)?;
    all_were_there(away)?;
    printed
}

/// What a part of a cluster shows is not the whole.
fn all_were_there(away: Vec<Away>) -> anyhow::Result<()> {
    let nodes: Vec<_> = away.iter().map(|away| away.node.clone()).collect();
    let Some(first) = away.into_iter().next() else {
        return Ok(());
    };
    let missing = format!("the streams of {} are missing", nodes.join(" and "));
    Err(anyhow::Error::new(first.error).context(Failure::lost(missing)))
}

fn show_stream(stream: &str, gates: &Gates, format: Format, context: &Context) -> anyhow::Result<Ending> {
    let state = context
        .connect_to(stream)?
        .at(stream, |connection| stream_state(connection, stream))?;
    let ui = context.ui;
    let printed = match format {
        Format::Json => print_json(ui, json::stream(&state)?.as_bytes()),
        Format::Tables => print(ui, tables::stream(&state, ui.table_width()).as_bytes()),
    };
    gates.check(&groups_of(&state).collect::<Vec<_>>(), &[], Hint::WhereToLook)?;
    printed
}

fn show_group(mut view: GroupView<'_>, gates: &Gates, format: Format, ui: Ui) -> anyhow::Result<Ending> {
    let printed = match format {
        Format::Json => view.print_json(ui),
        Format::Tables => print(ui, view.tables(ui.table_width())?.as_bytes()),
    };
    gates.check(&[(view.stream, &view.state)], &[], Hint::Nothing)?;
    printed
}

fn groups_of(stream: &StreamState) -> impl Iterator<Item = (&str, &GroupState)> {
    stream.groups.iter().map(|group| (stream.name.as_str(), group))
}

fn scope(args: &Args) -> Result<Scope<'_>, Failure> {
    let Some(streams) = &args.stream else {
        if args.group.label().is_some() {
            return Err(Failure::usage("a group belongs to a stream, and none is given")
                .hint("name the stream first: redis-streamer pending STREAM -g GROUP"));
        }
        return without_filter(args, "STREAM").map(|()| Scope::Server);
    };
    let stream = streams.first();
    if streams.are_partitions() {
        return without_group(args, stream).map(|()| Scope::Partitions(streams));
    }
    match args.group.on(stream) {
        Some(group) => Ok(Scope::Group {
            stream,
            group,
            filter: PendingFilter {
                min_idle_ms: args.idle.map_or(0, whole_ms),
                consumer: args.consumer.as_deref(),
                count: match args.max {
                    Some(most) => most.get(),
                    None if args.json => usize::MAX,
                    None => MAX_ENTRIES,
                },
            },
        }),
        None => without_filter(args, &quote(stream)).map(|()| Scope::Stream(stream)),
    }
}

/// A group's consumers and entries are those of one stream.
fn without_group(args: &Args, first: &str) -> Result<(), Failure> {
    if args.group.label().is_some() {
        return Err(
            Failure::usage("a group's consumers and entries are shown of one stream at a time").hint(format!(
                "name one, such as: redis-streamer pending {} -g GROUP",
                quote(first)
            )),
        );
    }
    without_filter(args, &quote(first))
}

/// Only a group's consumers and entries can be narrowed down.
fn without_filter(args: &Args, stream: &str) -> Result<(), Failure> {
    let given = [
        ("--idle", args.idle.is_some()),
        ("--consumer", args.consumer.is_some()),
        ("-n/--max", args.max.is_some()),
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

/// Milliseconds, as the server counts them.
fn whole_ms(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
