//! `trim`: cuts old entries off streams.

use std::time::Duration;

use serde::Serialize;

use crate::commands::{Context, layout, print_json, print_tables};
use crate::failure::Failure;
use crate::partitions::{Streams, expand, parse_streams};
use crate::render::{self, Column, Layout, one_line, table};
use crate::signals;
use crate::streamer::{Connections, Cut, Ending, Error, Keep, Point, count, keep, length, parse_duration, trim};

/// Cut old entries off streams
///
/// With --acked, what every group has acknowledged goes: up to the first entry that is pending in some group, or not
/// delivered to it yet. A stream without a group is refused. What a group wants that is created later, or moved back
/// (subscribe --reset), is for you to know: it finds what is left.
///
/// Of several streams, all are looked at before anything goes. Nothing that is added meanwhile goes, but by --maxlen.
#[derive(clap::Args)]
#[command(after_long_help = "\
Examples:
  redis-streamer trim orders --acked
  redis-streamer trim orders returns --retention 7d --dry-run
  redis-streamer trim orders --maxlen 100000 --json")]
pub struct Args {
    /// The streams; 'orders:{0..15}' for orders:0 to orders:15
    #[arg(required = true, value_name = "STREAM", value_parser = parse_streams)]
    streams: Vec<Streams>,
    #[command(flatten)]
    what: What,
    /// Say how many would go, and leave them
    #[arg(long)]
    dry_run: bool,
    /// Print one line of JSON
    #[arg(long)]
    json: bool,
}

/// What is to go.
#[derive(clap::Args)]
#[group(required = true, multiple = false)]
struct What {
    /// Trim what every group has acknowledged
    #[arg(long)]
    acked: bool,
    /// Trim to the newest N entries
    #[arg(long, value_name = "N")]
    maxlen: Option<u64>,
    /// Trim what is older than DURATION
    #[arg(long, value_name = "DURATION", value_parser = parse_duration)]
    retention: Option<Duration>,
    /// Trim what lies before POINT, such as an ID or -15m
    #[arg(long, value_name = "POINT", allow_hyphen_values = true)]
    before: Option<Point>,
}

impl What {
    fn cut(&self) -> Cut {
        match (self.maxlen, self.retention, self.before) {
            (Some(length), _, _) => Cut::Beyond(length),
            (None, Some(age), _) => Cut::Before(Point::Ago(age)),
            (None, None, Some(point)) => Cut::Before(point),
            (None, None, None) => Cut::Acked,
        }
    }
}

/// A stream, and what became of it.
#[derive(Serialize)]
struct Row {
    stream: String,
    dry_run: bool,
    /// How many entries went, or would go.
    trimmed: u64,
    /// The first ID that may stay, where that is what was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    before: Option<String>,
    /// How many there are now.
    length: u64,
}

pub fn run(args: Args, context: &Context) -> anyhow::Result<Ending> {
    let streams = expand(&args.streams, context.ui);
    signals::listen(&context.stop, || {}, || {})?;
    let mut connections = context.connect_to(&streams[0])?;
    let kept = look_at_all(
        &mut connections,
        &streams,
        args.what.cut(),
        may_be_missing(&args.streams),
    )?;
    let mut rows = Vec::new();
    let mut failure = None;
    for (stream, keep) in kept {
        if context.stop.ending().is_some() {
            break;
        }
        let mut row = Row {
            before: match keep {
                Keep::From(id) => Some(id.to_string()),
                Keep::Newest(_) => None,
            },
            stream,
            dry_run: args.dry_run,
            trimmed: 0,
            length: 0,
        };
        let done = trim_one(&mut connections, keep, &mut row);
        rows.push(row);
        if let Err(error) = done {
            failure = Some(error);
            break;
        }
    }
    let printed = match args.json {
        true => print_json(context.ui, (serde_json::to_string(&rows)? + "\n").as_bytes()),
        false => print_tables(context.ui, &shown(&rows, layout(context.ui))),
    };
    if let Some(error) = failure {
        return Err(error.into());
    }
    Ok(context.stop.ending().unwrap_or(printed?))
}

/// Of a pattern, some streams may not be there yet.
fn may_be_missing(arguments: &[Streams]) -> impl Fn(&str) -> bool {
    |stream| {
        let named = arguments.iter().filter(|argument| !argument.are_partitions());
        !named.flat_map(Streams::names).any(|name| name == stream)
    }
}

/// What stays of each stream. Nothing goes anywhere if one of them is refused.
fn look_at_all(
    connections: &mut Connections,
    streams: &[String],
    cut: Cut,
    may_be_missing: impl Fn(&str) -> bool,
) -> anyhow::Result<Vec<(String, Keep)>> {
    let mut all = Vec::new();
    let mut missing = None;
    for stream in streams {
        match connections.at(stream, |connection| keep(connection, stream, cut)) {
            Ok(Some(keep)) => all.push((stream.clone(), keep)),
            Ok(None) => {
                let stream = one_line(stream);
                return Err(Failure::data(format!(
                    "stream '{stream}' has no group that could have acknowledged anything"
                ))
                .hint("trim it by --maxlen, --retention or --before")
                .into());
            }
            Err(error @ Error::NoStream { .. }) if may_be_missing(stream) => {
                missing.get_or_insert(error);
            }
            Err(error) => return Err(error.into()),
        }
    }
    match missing.filter(|_| all.is_empty()) {
        Some(error) => Err(error.into()),
        None => Ok(all),
    }
}

fn trim_one(connections: &mut Connections, keep: Keep, row: &mut Row) -> Result<(), Error> {
    let Row {
        stream,
        dry_run,
        trimmed,
        length: left,
        ..
    } = row;
    connections.at(&*stream, |connection| {
        match dry_run {
            true => *trimmed = count(connection, stream, keep)?,
            false => trim(connection, stream, keep, |more| *trimmed += more)?,
        }
        *left = length(connection, stream)?;
        Ok(())
    })
}

fn shown(rows: &[Row], layout: Layout) -> String {
    let is_dry = rows.iter().any(|row| row.dry_run);
    let trimmed = if is_dry { "WOULD TRIM" } else { "TRIMMED" };
    let columns = [
        Column::Name("STREAM"),
        Column::Figure(trimmed),
        Column::Figure("LENGTH"),
    ];
    let cells = |row: &Row| {
        let [trimmed, length] = [row.trimmed, row.length].map(|number| layout.number(number));
        render::Row::Cells(vec![row.stream.as_str().into(), trimmed.into(), length.into()])
    };
    table(&columns, rows.iter().map(cells).collect(), layout)
}
