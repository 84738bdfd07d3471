//! Entries of groups, named by IDs or by the lines that `consume` printed: read for `ack` and `nack`, and counted.

mod input;
mod tally;

use crate::commands::{Context, print, print_json};
use crate::failure::Failure;
use crate::options::{GroupArgs, ReconnectArgs};
use crate::partitions::{Streams, parse_streams};
use crate::render::{counted, one_line};
use crate::signals;
use crate::streamer::{Connections, Ending, EntryId, Error, Halt, Notice, Supervisor};
use input::References;
pub use tally::{Became, Tally};

/// Which entries.
#[derive(clap::Args)]
pub struct EntryArgs {
    /// The stream, or a pattern such as 'orders:{0..15}'
    #[arg(value_parser = parse_streams)]
    stream: Streams,
    /// The entries, or - for stdin [default: stdin]
    #[arg(value_name = "ID")]
    ids: Vec<String>,
    #[command(flatten)]
    group: GroupArgs,
}

impl EntryArgs {
    /// The streams that IDs may be of, where lines do not name their own.
    pub fn streams(&self) -> &Streams {
        &self.stream
    }
}

/// What is said of them, and what of it is a failure.
#[derive(clap::Args)]
pub struct ReportArgs {
    /// Fail if any of them was not pending
    #[arg(long)]
    strict: bool,
    /// Print one line of JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    reconnect: ReconnectArgs,
}

/// What to do, but for what is done to each entry.
pub struct Settings {
    pub streams: Streams,
    pub group: GroupArgs,
    pub source: Source,
    pub not_pending: NotPending,
    pub format: Format,
    reconnect: ReconnectArgs,
}

impl Settings {
    pub fn new(entries: EntryArgs, report: ReportArgs, context: &Context) -> anyhow::Result<Self> {
        entries.group.require(entries.stream.first())?;
        Ok(Self {
            source: Source::new(&entries.ids, &entries.stream, context)?,
            streams: entries.stream,
            group: entries.group,
            not_pending: NotPending::new(report.strict),
            format: Format::new(report.json),
            reconnect: report.reconnect,
        })
    }

    /// Makes the first connection; the others follow as they are needed, and lost ones are made again.
    pub fn connect<'a>(
        &self,
        context: &'a Context,
        notify: &'a (dyn Fn(Notice<'_>) + Sync),
    ) -> Result<(Connections, Supervisor<'a>), Halt<Error>> {
        self.streams.warn(context.ui);
        let mut supervisor = Supervisor::new(&context.servers, notify, self.reconnect.reconnect_for, None);
        context.say_connecting();
        let first = supervisor.start(context.wait, || context.try_to_connect_to(self.streams.first()))?;
        Ok((Connections::new(&context.servers, Some(first)), supervisor))
    }
}

/// Where the entries are named.
pub enum Source {
    Given(Vec<EntryId>),
    Stdin,
}

impl Source {
    pub fn new(ids: &[String], streams: &Streams, context: &Context) -> Result<Self, Failure> {
        Ok(match ids {
            [] if context.ui.input_is_terminal() => {
                return Err(Failure::usage("no IDs are given, and stdin is a terminal")
                    .hint("give the IDs as arguments, through a pipe, or - to type them"));
            }
            [] => Self::Stdin,
            [dash] if dash == "-" => Self::Stdin,
            _ if streams.are_partitions() => {
                return Err(
                    Failure::usage(format!("in which of the streams of {streams} are these IDs?"))
                        .hint("name one stream, or give lines as consume prints them on stdin"),
                );
            }
            ids => Self::Given(ids.iter().map(|id| parse_id(id)).collect::<Result<_, _>>()?),
        })
    }
}

fn parse_id(text: &str) -> Result<EntryId, Failure> {
    text.parse()
        .map_err(|error| Failure::usage(format!("'{text}': {error}")))
}

/// What it means that an entry was not pending.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum NotPending {
    Tolerated,
    Failure,
}

impl NotPending {
    pub fn new(strict: bool) -> Self {
        if strict { Self::Failure } else { Self::Tolerated }
    }
}

/// An entry that is named, and where it is pending.
pub struct Named {
    pub stream: String,
    pub group: String,
    pub id: EntryId,
    /// How often it was delivered, where that is told.
    pub deliveries: Option<u64>,
}

/// How many entries go out in one piece.
const BATCH: usize = 1000;

/// Reads what is named, and hands it over as it comes: a worker's lines are not to wait for its end. What came before a
/// bad line is handed over all the same.
pub fn read(
    settings: &Settings,
    context: &Context,
    settle: impl FnMut(&[Named]) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let mut batches = Batches {
        streams: &settings.streams,
        group: &settings.group,
        waiting: Vec::new(),
        settle,
    };
    let read = match &settings.source {
        Source::Given(ids) => {
            signals::listen(&context.stop, || {}, || {})?;
            ids.iter().try_for_each(|id| batches.take(None, *id, None))
        }
        Source::Stdin => {
            let (input, end) = context.ui.input()?;
            context.stop.on_wake(end);
            signals::listen(&context.stop, || {}, || {})?;
            batches.take_all(References::new(input))
        }
    };
    read.and(batches.flush())
}

struct Batches<'a, S> {
    streams: &'a Streams,
    group: &'a GroupArgs,
    waiting: Vec<Named>,
    settle: S,
}

impl<S: FnMut(&[Named]) -> anyhow::Result<()>> Batches<'_, S> {
    fn take_all(&mut self, mut references: References) -> anyhow::Result<()> {
        while references.read_more()? {
            while let Some(reference) = references.next()? {
                if reference.stream.is_none() && self.streams.are_partitions() {
                    return Err(self.names_no_stream(&references));
                }
                let stream = reference.stream.map(|stream| stream.into_owned());
                self.take(stream, reference.id, reference.deliveries)?;
            }
            self.flush()?;
        }
        Ok(())
    }

    fn names_no_stream(&self, references: &References) -> anyhow::Error {
        let (line, streams) = (references.line(), self.streams);
        Failure::data(format!(
            "stdin:{line}: the line names no stream, and {streams} are several"
        ))
        .hint("a line names the entry as consume prints it: {\"stream\":…,\"id\":…}")
        .into()
    }

    fn take(&mut self, stream: Option<String>, id: EntryId, deliveries: Option<u64>) -> anyhow::Result<()> {
        let stream = stream.unwrap_or_else(|| self.streams.first().to_owned());
        let group = self.group.require(&stream)?;
        self.waiting.push(Named {
            stream,
            group,
            id,
            deliveries,
        });
        if self.waiting.len() >= BATCH {
            self.flush()?;
        }
        Ok(())
    }

    fn flush(&mut self) -> anyhow::Result<()> {
        let waiting = std::mem::take(&mut self.waiting);
        match waiting.is_empty() {
            true => Ok(()),
            false => (self.settle)(&waiting),
        }
    }
}

/// Has something done to each of a batch, and counts what became of it; `work` tells of each by its place, as soon as it is
/// known. What is left in the end is said in `words`, by how many.
pub fn settle(
    context: &Context,
    tally: &mut Tally,
    batch: &[Named],
    work: impl FnOnce(&mut dyn FnMut(usize, Became)) -> Result<(), Halt<Error>>,
    words: impl Fn(u64) -> String,
) -> anyhow::Result<()> {
    let mut is_settled = vec![false; batch.len()];
    let done = work(&mut |place, became| {
        is_settled[place] = true;
        tally.add(&batch[place], became);
    });
    settled(context, done, batch, &is_settled, words)
}

/// What is known of a batch in the end. While the work is asked to end, a server that is away ends it; what is left is
/// said in `words`, by how many.
fn settled(
    context: &Context,
    done: Result<(), Halt<Error>>,
    batch: &[Named],
    is_settled: &[bool],
    words: impl Fn(u64) -> String,
) -> anyhow::Result<()> {
    let left = || in_doubt(batch, is_settled, words);
    match done {
        Ok(()) => Ok(()),
        Err(Halt::Failed(error)) if !error.is_passing() => Err(error.into()),
        Err(Halt::Failed(error)) if context.stop.signal().is_none() => Err(anyhow::Error::new(error).context(left())),
        Err(_) => {
            context.ui.warning(&format!("the server is away: {}", left()));
            Ok(())
        }
    }
}

/// What is said of those of which it is not known whether they were done.
fn in_doubt(batch: &[Named], is_settled: &[bool], words: impl Fn(u64) -> String) -> String {
    let (mut count, mut streams) = (0, Vec::new());
    for (named, _) in batch.iter().zip(is_settled).filter(|(_, is_settled)| !**is_settled) {
        count += 1;
        if !streams.contains(&&named.stream) {
            streams.push(&named.stream);
        }
    }
    let streams: Vec<_> = streams.into_iter().map(|stream| one_line(stream)).collect();
    format!("{}, in {}", words(count), streams.join(", "))
}

/// How it is said what was done.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// The number that were pending.
    Number,
    Json,
}

impl Format {
    pub fn new(json: bool) -> Self {
        if json { Self::Json } else { Self::Number }
    }
}

/// Prints how many were done, which JSON calls `done`, and says of those that are presumed to be what they count as;
/// `verdict` is asked for unless the work failed or was interrupted.
pub fn finish(
    context: &Context,
    tally: &Tally,
    ended: anyhow::Result<()>,
    format: Format,
    (done, counts_as): (&str, &str),
    verdict: impl FnOnce() -> anyhow::Result<()>,
) -> anyhow::Result<Ending> {
    let all = tally.all();
    let printed = match format {
        _ if ended.is_err() && all.done == 0 => Ok(Ending::Enough),
        Format::Number => print(context.ui, format!("{}\n", all.done).as_bytes()),
        Format::Json => print_json(context.ui, tally.document(done)?.as_bytes()),
    };
    if all.answer_lost > 0 {
        context.ui.status(&format!(
            "{} counted as {counts_as}: no longer pending, but the answer was lost with a connection",
            counted(all.answer_lost, "entry")
        ));
    }
    // A reader that has gone hides no failure.
    ended?;
    let signal = context.stop.signal();
    if signal.is_none() {
        verdict()?;
    }
    let ending = printed?;
    Ok(signal.map_or(ending, Ending::Signal))
}

/// Fails if any was not pending, where that is a failure.
pub fn judge(tally: &Tally, not_pending: NotPending) -> anyhow::Result<()> {
    match not_pending == NotPending::Failure && tally.all().not_pending > 0 {
        true => Err(Failure::unmet(tally.not_pending()).into()),
        false => Ok(()),
    }
}
