//! `pending`: what waits where, for eyes, for programs, and as a gate.

mod dead;
mod gates;
mod group;
mod json;
mod openmetrics;
mod settings;
mod tables;
mod watch;

use std::num::NonZeroUsize;
use std::time::Duration;

use crate::commands::{Context, layout, print, print_json, print_tables};
use crate::failure::Failure;
use crate::options::{RawGroupArgs, parse_count, parse_interval};
use crate::partitions::{RawStreams, parse_raw_streams};
use crate::streamer::{
    Away, Connections, Ending, Error, Look, RawName, StreamState, Survey, parse_duration, stream_state, survey,
    survey_of,
};
use crate::ui::Ui;
use gates::{Checked, Gates};
use group::GroupView;
use settings::{Format, GroupScope, Scope, Settings, View};
use tables::Shape;

/// Show what is pending, and how far behind groups are
///
/// Pending is what was delivered and not yet acknowledged.
///
/// Without a stream: every stream with its groups. With streams: those, with their groups. With a group as well: the
/// group's consumers, and its pending entries by ID.
///
/// LAG is how many entries are still to be delivered; where the server does not know, they are counted, up to 10,000.
/// BEHIND is the age of the oldest entry that the group has not acknowledged, be it pending or not yet delivered. OLDEST
/// is the longest time since a pending entry was last delivered. A consumer's IDLE is the time since it last asked for
/// entries, INACTIVE since it last got one.
///
/// A name that is not UTF-8 is {"base64":"…"} in JSON, and can be typed as base64:….
#[derive(clap::Args)]
#[command(after_long_help = "\
Examples:
  redis-streamer pending
  redis-streamer pending orders -l billing --json | jq -r '.entries[].id'
  redis-streamer pending orders --max-lag 1000 --max-behind 5m || echo behind")]
pub struct Args {
    /// The streams, or a pattern such as 'orders:{0..15}' [default: all]
    #[arg(value_name = "STREAM", value_parser = parse_raw_streams)]
    streams: Vec<RawStreams>,
    /// Take STREAMs as patterns with * and ?
    #[arg(long, requires = "streams")]
    glob: bool,
    #[command(flatten)]
    group: RawGroupArgs,
    /// Show only entries idle for at least DURATION
    #[arg(long, value_name = "DURATION", value_parser = parse_duration, hide_short_help = true)]
    idle: Option<Duration>,
    /// Show only this consumer, and its entries
    #[arg(short, long, value_name = "NAME", value_parser = RawName::parse)]
    consumer: Option<RawName>,
    /// Show at most N entries [default: 20; all with --json]
    #[arg(short = 'n', long = "max", value_name = "N", value_parser = parse_count::<NonZeroUsize>)]
    max: Option<NonZeroUsize>,
    /// Show only consumers that were idle for so long
    ///
    /// With what they hold, and the command that hands it back.
    #[arg(long, value_name = "DURATION", value_parser = parse_duration, conflicts_with = "gates", hide_short_help = true)]
    dead_consumers: Option<Duration>,
    /// Show how it goes, on a screen that answers keys (? lists them)
    ///
    /// Where stdout is no terminal: a line of JSON for each --interval.
    #[arg(long, conflicts_with_all = ["json", "openmetrics", "dead_consumers", "gates", "idle", "consumer", "max"])]
    watch: bool,
    /// How often --watch asks the server
    #[arg(long, value_name = "DURATION", hide_short_help = true, requires = "watch", default_value = "2s", value_parser = parse_interval)]
    interval: Duration,
    /// Print one line of JSON
    #[arg(long)]
    json: bool,
    /// Print metrics, as Prometheus and node exporters read them
    #[arg(long, hide_short_help = true, conflicts_with_all = ["json", "group", "listener", "dead_consumers"])]
    openmetrics: bool,
    #[command(flatten)]
    gates: Gates,
}

pub fn run(args: Args, context: &Context) -> anyhow::Result<Ending> {
    let settings = Settings::of(&args)?;
    if !args.glob {
        args.streams.iter().for_each(|streams| streams.warn(context.ui));
    }
    if let Some(interval) = settings.watch {
        return watch::run(&settings.scope, &settings.look, interval, context);
    }
    match (&settings.scope, settings.view) {
        (Scope::Group(scope), View::State(format)) => show_group(scope, &settings, format, context),
        (scope, view) => show_streams(scope, view, &settings, context),
    }
}

/// What a scope holds, and connections by which more can be asked.
fn look_at(scope: &Scope, look: &Look, context: &Context) -> anyhow::Result<(Survey, Connections)> {
    let connections = |stream| context.connect_to(stream);
    Ok(match scope {
        Scope::Server(globs) => {
            let survey = survey(&context.servers, context.connect_to_all()?, globs, look)?;
            (survey, Connections::new(&context.servers, None))
        }
        Scope::Streams(names) => {
            let mut connections = connections(&names[0])?;
            let survey = survey_of(&mut connections, names, look)?;
            if survey.missing.len() == names.len() {
                let stream = names[0].typed();
                return Err(Error::NoStream { stream }.into());
            }
            (survey, connections)
        }
        Scope::Stream(stream) | Scope::Group(GroupScope { stream, .. }) => {
            let mut connections = connections(stream)?;
            let state = connections.at(stream, |connection| stream_state(connection, stream, look))?;
            let survey = Survey {
                streams: vec![state],
                ..Survey::default()
            };
            (survey, connections)
        }
    })
}

fn show_streams(scope: &Scope, view: View, settings: &Settings, context: &Context) -> anyhow::Result<Ending> {
    let (survey, mut connections) = look_at(scope, &settings.look, context)?;
    let Survey {
        streams,
        hidden,
        away,
        missing,
    } = survey;
    let (ui, gates) = (context.ui, &settings.gates);
    if !missing.is_empty() {
        ui.warning(&tables::missing(&missing));
    }
    let checked = match scope {
        Scope::Server(_) => Checked::Found,
        _ => Checked::Named,
    };
    if let Some(first) = hidden.first().filter(|_| streams.is_empty()) {
        gates.check(&streams, &hidden, checked)?;
        return Err(Error::refused(first.refusal.clone(), &first.stream.typed(), None).into());
    }
    if !hidden.is_empty() && !gates.are_given() {
        let hidden = tables::hidden(&hidden);
        ui.warning(&format!("this user may not look at {hidden}"));
    }
    let printed = match view {
        View::State(format) => print_state(scope, &streams, format, settings, ui),
        View::Metrics => print(ui, openmetrics::metrics(&streams).as_bytes()),
        View::DeadConsumers(idle, format) => {
            let only = match scope {
                Scope::Group(scope) => Some(&scope.group),
                _ => None,
            };
            dead::show(&mut connections, &streams, only, idle, format, ui)
        }
    };
    // A reader that has gone, such as `head`, must not open the gate.
    gates.check(&streams, &hidden, checked)?;
    all_were_there(away)?;
    printed
}

fn print_state(
    scope: &Scope,
    streams: &[StreamState],
    format: Format,
    settings: &Settings,
    ui: Ui,
) -> anyhow::Result<Ending> {
    let shape = match scope {
        Scope::Server(_) => Shape::All,
        Scope::Streams(_) => Shape::Several,
        Scope::Stream(_) | Scope::Group(_) => Shape::One,
    };
    match format {
        Format::Json => print_json(ui, json::streams(streams, shape)?.as_bytes()),
        Format::Tables if streams.is_empty() => {
            ui.status(match scope {
                Scope::Server(globs) if !globs.is_empty() => "there are no such streams",
                _ => "there are no streams",
            });
            Ok(Ending::Enough)
        }
        Format::Tables => print_tables(ui, &tables::streams(streams, shape, &settings.gates, layout(ui))),
    }
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

fn show_group(scope: &GroupScope, settings: &Settings, format: Format, context: &Context) -> anyhow::Result<Ending> {
    let mut view = GroupView::gather(context.connect_to(&scope.stream)?, scope, &settings.look)?;
    let (ui, gates) = (context.ui, &settings.gates);
    let printed = match format {
        Format::Json => view.print_json(ui),
        Format::Tables => print_tables(ui, &view.tables(gates, layout(ui))?),
    };
    gates.check_group(&scope.stream, &view.state)?;
    printed
}
