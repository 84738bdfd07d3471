//! `subscribe`: creates the group where it is missing, or moves it.

mod json;
mod words;

use crate::commands::streams::StreamArgs;
use crate::commands::{Context, print_json, print_words};
use crate::failure::{Failure, quote};
use crate::options::{GroupArgs, parse_name};
use crate::render::duration;
use crate::streamer::{
    Connections, Ending, Error, Existing, Move, Point, Position, Subscribed, look_at_move, now_ms, position_of,
    subscribe,
};
use json::Row;

/// Create a consumer group, and its stream, if it does not exist
///
/// An existing group is left as it is, so that a program can do this each time it starts.
#[derive(clap::Args)]
#[command(after_long_help = "\
Examples:
  redis-streamer subscribe orders -l billing
  redis-streamer subscribe orders returns -g audit --from beginning
  redis-streamer subscribe orders -l billing --reset --from -1h --dry-run")]
pub struct Args {
    #[command(flatten)]
    streams: StreamArgs,
    #[command(flatten)]
    group: GroupArgs,
    /// Where the group begins [default: latest]
    ///
    /// latest, beginning, now, an entry ID, a date or time (2024-05-01, RFC 3339), or a time ago such as -15m
    #[arg(long, value_name = "POINT", allow_hyphen_values = true)]
    from: Option<Point>,
    /// Begin where another group, or listener, of the stream stands
    #[arg(long, value_name = "GROUP", conflicts_with = "from", value_parser = parse_name)]
    to_group: Option<String>,
    /// Move an existing group to --from, or --to-group
    ///
    /// What comes after is delivered, even if it was delivered before. What is pending stays pending
    #[arg(long)]
    reset: bool,
    /// Move it although the point is in the future
    #[arg(long, requires = "reset", hide_short_help = true)]
    force: bool,
    /// Say what would be done, and how many entries come again or are skipped
    #[arg(long)]
    dry_run: bool,
    /// Print one line of JSON
    #[arg(long)]
    json: bool,
}

/// What to do.
struct Settings {
    /// The groups, each with its stream.
    groups: Vec<(String, String)>,
    start: Start,
    existing: Existing,
    future: Future,
    mode: Mode,
    format: Format,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Format {
    Words,
    Json,
}

/// Where groups are to begin.
enum Start {
    At(Point),
    /// Where this other group stands.
    Group(String),
}

/// Whether a group may be moved to a time that is yet to come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Future {
    Refused,
    Accepted,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    Do,
    DryRun,
}

impl Settings {
    fn new(args: Args, context: &Context) -> anyhow::Result<Self> {
        let start = match (args.to_group, args.from) {
            (Some(group), _) => Start::Group(group),
            (None, Some(point)) => Start::At(point),
            (None, None) if args.reset => {
                return Err(Failure::usage("--reset moves the group, and nothing says where to").hint(
                    "--from beginning delivers all there is again, --from latest skips it; a time, -1h or --to-group does, too",
                )
                .into());
            }
            (None, None) => Start::At(Point::Latest),
        };
        let with_group = |streams: Vec<String>| {
            let group = |stream: String| Ok((args.group.require(&stream)?, stream));
            streams.into_iter().map(group).collect::<Result<Vec<_>, Failure>>()
        };
        // What makes no sense is refused before any server is asked which streams there are.
        args.streams.check()?;
        with_group(args.streams.typed())?;
        let groups = with_group(args.streams.find(None, context)?)?;
        Ok(Self {
            groups,
            start,
            existing: if args.reset { Existing::Move } else { Existing::Keep },
            future: if args.force { Future::Accepted } else { Future::Refused },
            mode: if args.dry_run { Mode::DryRun } else { Mode::Do },
            format: if args.json { Format::Json } else { Format::Words },
        })
    }
}

/// A group, and what is to become of it.
struct Plan<'a> {
    stream: &'a str,
    group: &'a str,
    to: Position,
    /// What moving it means, if it is there and that was looked at.
    moves: Option<Move>,
}

pub fn run(args: Args, context: &Context) -> anyhow::Result<Ending> {
    let settings = Settings::new(args, context)?;
    let mut connections = context.connect_to(&settings.groups[0].1)?;
    see_future(&settings, &mut connections)?;
    // All are looked at before one is moved.
    let plans: Result<Vec<_>, _> = settings
        .groups
        .iter()
        .map(|(group, stream)| plan(&settings, &mut connections, stream, group))
        .collect();
    let plans = plans?;
    for plan in &plans {
        if let (Some(moves), Existing::Move) = (&plan.moves, settings.existing)
            && !moves.at_work.is_empty()
        {
            context.ui.warning(&words::at_work(plan, moves));
        }
    }
    if settings.mode == Mode::DryRun {
        return show_plans(&plans, &settings, context);
    }
    let mut rows = Vec::new();
    let done = plans
        .iter()
        .try_for_each(|plan| carry_out(plan, &settings, &mut connections, context, &mut rows));
    let shown = match settings.format {
        Format::Json => print_json(context.ui, json::document(&rows)?.as_bytes()),
        Format::Words => Ok(Ending::Enough),
    };
    // A reader that has gone hides no failure.
    done?;
    shown
}

fn show_plans(plans: &[Plan<'_>], settings: &Settings, context: &Context) -> anyhow::Result<Ending> {
    if settings.format == Format::Json {
        let rows: Vec<_> = plans.iter().map(|plan| Row::planned(plan, settings.existing)).collect();
        return print_json(context.ui, json::document(&rows)?.as_bytes());
    }
    let lines: Vec<_> = plans.iter().map(|plan| words::planned(plan, settings) + "\n").collect();
    print_words(context.ui, &lines.concat())
}

/// Creates a group, or moves it, and tells of it.
fn carry_out<'p>(
    plan: &'p Plan<'_>,
    settings: &Settings,
    connections: &mut Connections,
    context: &Context,
    rows: &mut Vec<Row<'p>>,
) -> Result<(), Error> {
    let Plan { stream, group, to, .. } = plan;
    let subscribed = connections.at(stream, |connection| {
        subscribe(connection, stream, group, *to, settings.existing)
    })?;
    if settings.format == Format::Words {
        context.ui.status(&words::done(plan, &settings.start, subscribed));
        return Ok(());
    }
    let stands = match (subscribed, *to) {
        (Subscribed::Created | Subscribed::Moved, Position::Behind(id)) => Some(id),
        _ => match connections.at(stream, |connection| position_of(connection, stream, group)) {
            Ok(found) => found.ok(),
            // It is done all the same.
            Err(Error::Denied(_)) => None,
            Err(error) => return Err(error),
        },
    };
    rows.push(Row::done(plan, subscribed, stands));
    Ok(())
}

/// A group that is moved into the future gets nothing until then, which is a slip as a rule.
fn see_future(settings: &Settings, connections: &mut Connections) -> anyhow::Result<()> {
    let Start::At(point @ (Point::Id(_) | Point::Time(_))) = settings.start else {
        return Ok(());
    };
    if settings.existing == Existing::Keep || settings.future == Future::Accepted {
        return Ok(());
    }
    let now = connections.at(&settings.groups[0].1, now_ms)?;
    let ahead = point.first_id(now).map_or(0, |first| first.ms.saturating_sub(now));
    if ahead == 0 {
        return Ok(());
    }
    let ahead = duration(ahead);
    Err(Failure::usage(format!(
        "{point} is {ahead} in the future: nothing would be delivered until then"
    ))
    .hint("--force moves the group there all the same")
    .into())
}

fn plan<'a>(
    settings: &Settings,
    connections: &mut Connections,
    stream: &'a str,
    group: &'a str,
) -> anyhow::Result<Plan<'a>> {
    let to = match &settings.start {
        Start::At(point) => connections.at(stream, |connection| Position::at(connection, *point))?,
        Start::Group(other) => match connections.at(stream, |connection| position_of(connection, stream, other))? {
            Ok(id) => Position::Behind(id),
            Err(groups) => return Err(no_such_group(stream, other, &groups).into()),
        },
    };
    let is_looked_at = settings.existing == Existing::Move || settings.mode == Mode::DryRun;
    let moves = if is_looked_at {
        connections.at(stream, |connection| look_at_move(connection, stream, group, to))?
    } else {
        None
    };
    Ok(Plan {
        stream,
        group,
        to,
        moves,
    })
}

fn no_such_group(stream: &str, other: &str, groups: &[String]) -> Failure {
    let missing = format!("stream '{stream}' has no group '{other}', and none of a listener of that name");
    Failure::data(missing).hint(match groups {
        [] => format!("it has no group at all: redis-streamer pending {}", quote(stream)),
        groups => format!("its groups: {}", groups.join(", ")),
    })
}
