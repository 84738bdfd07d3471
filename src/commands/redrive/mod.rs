//! `redrive`: moves dead letters back to where they came from.

mod report;

use std::num::{NonZeroU32, NonZeroU64};

use crate::commands::pace::Pace;
use crate::commands::{Context, layout, print_json, print_tables};
use crate::failure::Failure;
use crate::options::{ReconnectArgs, parse_count};
use crate::partitions::{Streams, parse_stream, parse_streams};
use crate::render::grouped;
use crate::signals;
use crate::streamer::{
    Ending, Error, Halt, Matching, Mode, NamePattern, Notice, Outcome, Point, Redrive, RedriveSettings, Step,
    Supervisor,
};
use crate::ui::{Progress, Unit};
use report::Report;

/// Move dead letters back to where they came from
///
/// Each goes to the stream that its dead-stream field names, or to --to, without the dead-… fields, and is deleted from
/// STREAM: both or neither. A redrive that was killed can be run again: no message is lost, none is there twice. What
/// dies while it runs is left to the next.
///
/// Across nodes of a cluster this holds unless a node forgets what it has confirmed, as in a failover.
#[derive(clap::Args)]
#[command(after_long_help = "\
Examples:
  redis-streamer redrive orders:dead --dry-run
  redis-streamer redrive orders:dead --match 'order.*' -n 10
  redis-streamer redrive orders:dead --to orders:retry --rate 100")]
pub struct Args {
    /// The stream of dead letters, or a pattern such as 'dead:{0..3}'
    #[arg(value_parser = parse_streams)]
    stream: Streams,
    /// Move all of them to this stream
    #[arg(long, value_name = "STREAM", value_parser = parse_stream)]
    to: Option<String>,
    /// End after N messages
    #[arg(short = 'n', long, value_name = "N", value_parser = parse_count::<NonZeroU64>)]
    max: Option<NonZeroU64>,
    /// Move only messages of this name, with * for anything and ? for one character
    #[arg(long = "match", value_name = "GLOB")]
    matching: Vec<NamePattern>,
    /// Begin at POINT, such as an ID or -15m
    #[arg(long, value_name = "POINT", default_value = "beginning", allow_hyphen_values = true)]
    from: Point,
    /// Move only what died before POINT
    #[arg(long, value_name = "POINT", allow_hyphen_values = true)]
    before: Option<Point>,
    /// Move at most N messages a second
    #[arg(long, value_name = "N", value_parser = parse_count::<NonZeroU32>)]
    rate: Option<NonZeroU32>,
    /// Say what would go where, and move nothing
    #[arg(long)]
    dry_run: bool,
    /// Print one line of JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    reconnect: ReconnectArgs,
}

/// What to do.
struct Settings {
    streams: Streams,
    /// Of each stream.
    redrive: RedriveSettings,
    rate: Option<NonZeroU32>,
    form: Form,
    reconnect: ReconnectArgs,
}

/// How the summary is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    Table,
    Json,
}

impl Settings {
    fn new(args: Args) -> Result<Self, Failure> {
        if let Some(to) = args.to.as_ref().filter(|to| args.stream.names().contains(to)) {
            return Err(Failure::usage(format!("--to {to} is where the dead letters are"))
                .hint("name another stream with --to"));
        }
        let mode = if args.dry_run { Mode::Preview } else { Mode::Move };
        Ok(Self {
            redrive: RedriveSettings {
                stream: args.stream.first().to_owned(),
                to: args.to,
                matching: Matching::any_of(args.matching),
                from: args.from,
                before: args.before,
                most: args.max.map(NonZeroU64::get),
                step: usize::MAX,
                mode,
            },
            streams: args.stream,
            // To look takes no more than it takes.
            rate: args.rate.filter(|_| mode == Mode::Move),
            form: if args.json { Form::Json } else { Form::Table },
            reconnect: args.reconnect,
        })
    }
}

pub fn run(args: Args, context: &Context) -> anyhow::Result<Ending> {
    let settings = Settings::new(args)?;
    settings.streams.warn(context.ui);
    signals::listen(&context.stop, || {}, || {})?;
    let mut work = Work {
        context,
        settings: &settings,
        pace: settings.rate.map(Pace::new),
        moved: 0,
        bar: None,
    };
    let mut report = Report::new(&settings.streams, settings.redrive.mode);
    let mut ended = Ok(Ending::Enough);
    let mut missing = None;
    for stream in settings.streams.names() {
        let (outcome, done) = work.redrive(stream);
        report.add(stream, outcome);
        ended = match done {
            // Of a pattern some may not be there yet.
            Err(error @ Error::NoStream { .. }) => {
                missing.get_or_insert(error);
                continue;
            }
            done => done,
        };
        if !matches!(ended, Ok(Ending::Enough)) || work.is_enough() {
            break;
        }
    }
    drop(work);
    if let Some(error) = missing.filter(|_| report.is_empty() && ended.is_ok()) {
        return Err(error.into());
    }
    let printed = match settings.form {
        Form::Json => print_json(context.ui, report.json()?.as_bytes()),
        Form::Table => print_tables(context.ui, &report.table(layout(context.ui))),
    };
    report.say(context.ui);
    let ending = ended?;
    if ending == Ending::Enough {
        report.verdict()?;
    }
    let printed = printed?;
    Ok(if ending == Ending::Enough { printed } else { ending })
}

/// What is common to the streams of a pattern.
struct Work<'a> {
    context: &'a Context,
    settings: &'a Settings,
    pace: Option<Pace>,
    moved: u64,
    bar: Option<Progress>,
}

impl Work<'_> {
    fn is_enough(&self) -> bool {
        self.settings.redrive.most.is_some_and(|most| self.moved >= most)
    }

    fn redrive(&mut self, stream: &str) -> (Outcome, Result<Ending, Error>) {
        let settings = RedriveSettings {
            stream: stream.to_owned(),
            most: self.settings.redrive.most.map(|most| most - self.moved.min(most)),
            step: self.pace.as_ref().map_or(usize::MAX, |pace| pace.step),
            ..self.settings.redrive.clone()
        };
        let context = self.context;
        let notify = |notice: Notice<'_>| context.notice(notice);
        let reconnect_for = self.settings.reconnect.reconnect_for;
        context.say_connecting();
        let first = Supervisor::new(&context.servers, &notify, reconnect_for, None)
            .start(context.wait, || context.try_to_connect_to(stream));
        let first = match first {
            Ok(first) => first,
            Err(Halt::Ended(ending)) => return (Outcome::default(), Ok(ending)),
            Err(Halt::Failed(error)) => return (Outcome::default(), Err(error)),
        };
        let mut redrive = Redrive::new(&context.servers, &settings, &notify, reconnect_for, first);
        let ended = redrive.run(&mut |step| self.advance(step));
        (redrive.outcome, ended)
    }

    fn advance(&mut self, Step { looked, total, moved }: Step) {
        self.moved += moved;
        let (looked, total) = match self.settings.streams.are_partitions() {
            false => (looked, total),
            // What the others hold is not known yet.
            true => (self.moved, None),
        };
        let ui = self.context.ui;
        let bar = self.bar.get_or_insert_with(|| ui.progress(Unit::Entries, total));
        bar.update(looked, || format!("{} moved", grouped(self.moved)));
        if let Some(pace) = &mut self.pace {
            pace.wait(usize::try_from(moved).unwrap_or(usize::MAX));
        }
    }
}
