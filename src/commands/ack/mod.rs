//! `ack`: acknowledges entries, named by IDs or by the lines `consume` printed.

mod input;
mod tally;

use crate::commands::{Context, print, print_json};
use crate::failure::Failure;
use crate::options::{GroupArgs, ReconnectArgs};
use crate::partitions::{Streams, parse_streams};
use crate::render::{counted, one_line};
use crate::signals;
use crate::streamer::{Ack, Acknowledger, Connections, Ending, EntryId, Halt, Notice, Stop, Supervisor};
use input::References;
use tally::Tally;

/// Acknowledge messages, and print how many were pending
///
/// Stdin is bare IDs, or lines as consume prints them; a line's own stream wins over STREAM. Each is acknowledged as
/// soon as it is read.
#[derive(clap::Args)]
#[command(after_long_help = "\
Examples:
  redis-streamer ack orders -l billing 1700000000000-0
  redis-streamer consume orders -l billing --ack manual -e | worker |
    redis-streamer ack orders -l billing -
  redis-streamer ack 'orders:{0..15}' -l billing - < done.jsonl")]
pub struct Args {
    /// The stream, or a pattern such as 'orders:{0..15}'
    #[arg(value_parser = parse_streams)]
    stream: Streams,
    /// The entries, or - for stdin [default: stdin]
    #[arg(value_name = "ID")]
    ids: Vec<String>,
    #[command(flatten)]
    group: GroupArgs,
    /// Fail if any of them was not pending
    #[arg(long)]
    strict: bool,
    /// Print one line of JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    reconnect: ReconnectArgs,
}

/// What to do.
struct Settings {
    streams: Streams,
    group: GroupArgs,
    source: Source,
    not_pending: NotPending,
    format: Format,
    reconnect: ReconnectArgs,
}

/// Where the entries are named.
enum Source {
    Given(Vec<EntryId>),
    Stdin,
}

/// What it means that an entry was not pending.
#[derive(Clone, Copy, PartialEq, Eq)]
enum NotPending {
    Tolerated,
    Failure,
}

/// How it is said what was done.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Format {
    /// The number that were pending.
    Number,
    Json,
}

impl Settings {
    fn new(args: Args, context: &Context) -> anyhow::Result<Self> {
        args.group.require(args.stream.first())?;
        let source = match args.ids.as_slice() {
            [] if context.ui.input_is_terminal() => {
                return Err(Failure::usage("no IDs are given, and stdin is a terminal")
                    .hint("give the IDs as arguments, through a pipe, or - to type them")
                    .into());
            }
            [] => Source::Stdin,
            [dash] if dash == "-" => Source::Stdin,
            _ if args.stream.are_partitions() => {
                return Err(
                    Failure::usage(format!("in which of the streams of {} are these IDs?", args.stream))
                        .hint("name one stream, or give lines as consume prints them on stdin")
                        .into(),
                );
            }
            ids => Source::Given(ids.iter().map(|id| parse_id(id)).collect::<Result<_, _>>()?),
        };
        let not_pending = if args.strict {
            NotPending::Failure
        } else {
            NotPending::Tolerated
        };
        Ok(Self {
            streams: args.stream,
            group: args.group,
            source,
            not_pending,
            format: if args.json { Format::Json } else { Format::Number },
            reconnect: args.reconnect,
        })
    }
}

fn parse_id(text: &str) -> Result<EntryId, Failure> {
    text.parse()
        .map_err(|error| Failure::usage(format!("'{text}': {error}")))
}

pub fn run(args: Args, context: &Context) -> anyhow::Result<Ending> {
    let settings = Settings::new(args, context)?;
    settings.streams.warn(context.ui);
    let stop = &context.stop;
    let notify = |notice: Notice<'_>| context.notice(notice);
    let mut supervisor = Supervisor::new(&context.servers, &notify, settings.reconnect.reconnect_for, None);
    context.say_connecting();
    let first = match supervisor.start(context.wait, || context.try_to_connect_to(settings.streams.first())) {
        Ok(connection) => connection,
        Err(Halt::Failed(error)) => return Err(error.into()),
        Err(Halt::Ended(ending)) => return Ok(ending),
    };
    let connections = Connections::new(&context.servers, Some(first));
    let mut acks = Acks {
        acknowledger: Acknowledger::new(connections, supervisor),
        settings: &settings,
        context,
        stop,
        waiting: Vec::new(),
        tally: Tally::default(),
    };
    let read = match &settings.source {
        Source::Given(ids) => {
            signals::listen(stop, || {}, || {})?;
            ids.iter().try_for_each(|id| acks.take(None, *id))
        }
        Source::Stdin => {
            let (input, end) = context.ui.input()?;
            stop.on_wake(end);
            signals::listen(stop, || {}, || {})?;
            acks.take_all(References::new(input))
        }
    };
    // What came before a bad line is acknowledged all the same, and counted.
    let ended = read.and(acks.flush());
    acks.finish(ended)
}

/// How many acknowledgements go out in one piece.
const BATCH: usize = 1000;

/// Collects entries and acknowledges them in batches.
struct Acks<'a> {
    acknowledger: Acknowledger<'a>,
    settings: &'a Settings,
    context: &'a Context,
    stop: &'a Stop,
    waiting: Vec<(String, String, EntryId)>,
    tally: Tally,
}

impl Acks<'_> {
    /// A worker's lines are acknowledged as they come, not at its end.
    fn take_all(&mut self, mut references: References) -> anyhow::Result<()> {
        while references.read_more()? {
            while let Some((stream, id)) = references.next()? {
                if stream.is_none() && self.settings.streams.are_partitions() {
                    return Err(self.names_no_stream(&references));
                }
                self.take(stream, id)?;
            }
            self.flush()?;
        }
        Ok(())
    }

    fn names_no_stream(&self, references: &References) -> anyhow::Error {
        let (line, streams) = (references.line(), &self.settings.streams);
        Failure::data(format!(
            "stdin:{line}: the line names no stream, and {streams} are several"
        ))
        .hint("a line names the entry as consume prints it: {\"stream\":…,\"id\":…}")
        .into()
    }

    fn take(&mut self, stream: Option<String>, id: EntryId) -> anyhow::Result<()> {
        let stream = stream.unwrap_or_else(|| self.settings.streams.first().to_owned());
        let group = self.settings.group.require(&stream)?;
        self.waiting.push((stream, group, id));
        if self.waiting.len() >= BATCH {
            self.flush()?;
        }
        Ok(())
    }

    fn flush(&mut self) -> anyhow::Result<()> {
        let waiting = std::mem::take(&mut self.waiting);
        let acks: Vec<_> = waiting
            .iter()
            .map(|(stream, group, id)| Ack { stream, group, id: *id })
            .collect();
        let mut settled = vec![false; acks.len()];
        let tally = &mut self.tally;
        let acknowledged = self.acknowledger.acknowledge(&acks, |place, outcome| {
            settled[place] = true;
            tally.add(acks[place], outcome);
        });
        let left = || {
            acks.iter()
                .zip(&settled)
                .filter(|(_, settled)| !**settled)
                .map(|(ack, _)| ack)
        };
        match acknowledged {
            Ok(()) => Ok(()),
            Err(Halt::Failed(error)) if !error.is_passing() => Err(error.into()),
            Err(Halt::Failed(error)) if self.stop.signal().is_none() => {
                Err(anyhow::Error::new(error).context(in_doubt(left())))
            }
            Err(_) => {
                let left = in_doubt(left());
                self.context.ui.warning(&format!("the server is away: {left}"));
                Ok(())
            }
        }
    }

    fn finish(mut self, ended: anyhow::Result<()>) -> anyhow::Result<Ending> {
        let all = self.tally.all();
        let printed = match self.settings.format {
            _ if ended.is_err() && all.acknowledged == 0 => Ok(Ending::Enough),
            Format::Number => print(self.context.ui, format!("{}\n", all.acknowledged).as_bytes()),
            Format::Json => print_json(self.context.ui, self.tally.document()?.as_bytes()),
        };
        if all.answer_lost > 0 {
            self.context.ui.status(&format!(
                "{} counted as acknowledged: no longer pending, but the answer was lost with a connection",
                counted(all.answer_lost, "entry")
            ));
        }
        // A reader that has gone hides no failure.
        ended?;
        let signal = self.stop.signal();
        if signal.is_none() {
            self.verdict()?;
        }
        let ending = printed?;
        Ok(signal.map_or(ending, Ending::Signal))
    }

    /// What it means that some were not pending.
    fn verdict(&mut self) -> anyhow::Result<()> {
        let all = self.tally.all();
        if let (0, Some((stream, group))) = (all.acknowledged, self.tally.first_missed()) {
            match self.acknowledger.see_group(stream, group) {
                Ok(()) | Err(Halt::Ended(_)) => {}
                Err(Halt::Failed(error)) => return Err(error.into()),
            }
        }
        if self.settings.not_pending == NotPending::Failure && all.not_pending > 0 {
            return Err(Failure::unmet(self.tally.not_pending()).into());
        }
        Ok(())
    }
}

/// What is said of acknowledgements that are not known to be made.
fn in_doubt<'a>(left: impl Iterator<Item = &'a Ack<'a>>) -> String {
    let (mut count, mut streams) = (0, Vec::new());
    for ack in left {
        count += 1;
        if !streams.contains(&ack.stream) {
            streams.push(ack.stream);
        }
    }
    let streams: Vec<_> = streams.into_iter().map(one_line).collect();
    format!(
        "{} may not have been made, in {}",
        counted(count, "acknowledgement"),
        streams.join(", ")
    )
}
