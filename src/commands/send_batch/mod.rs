//! `send-batch`: many messages, from files or a pipe, pipelined.
//!
//! A thread reads and encodes ([`input`], [`reading`], [`record`]); this one sends and matches replies to lines
//! ([`sender`]), also across failures ([`recovery`], [`checkpoint`]), and tells of each line what became of it
//! ([`ledger`]).

mod checkpoint;
mod csv;
mod input;
mod ledger;
mod reading;
mod record;
mod recovery;
mod sender;

use std::num::NonZeroU32;
use std::path::PathBuf;
use std::sync::mpsc::sync_channel;
use std::time::Duration;

use anyhow::Context as _;

use crate::commands::Context;
use crate::failure::Failure;
use crate::options::{TrimArgs, parse_count, parse_name};
use crate::signals::Stop;
use crate::streamer::parse_duration;

use checkpoint::Checkpoint;
use input::{Event, Input};
use ledger::Ledger;
use reading::Reading;
use record::{Encoder, Format};
use sender::Sender;

/// Send many messages, from files or a pipe
///
/// Reads JSON lines as consume prints them: {"name":…,"body":…}, or with --name a body a line. Entries are
/// pipelined and keep the order of the lines. Every line is either in the stream, in the rejects, or named in
/// the error; the exit code is 0 only when all are in. A connection that breaks is made again, and what was
/// in flight is looked up in the stream, so that no line is lost or sent twice.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  jq -c '.users[]' f.json | redis-streamer send-batch users --name user.new
  redis-streamer send-batch orders jan.jsonl feb.jsonl --receipts sent.jsonl
  redis-streamer send-batch logs app.log --input text --name line --maxlen 9999
  redis-streamer send-batch users users.csv --input csv --name user.imported
  redis-streamer send-batch orders big.jsonl --checkpoint big.checkpoint")]
pub struct Args {
    /// The stream
    #[arg(value_parser = parse_name)]
    stream: String,
    /// The files to read, - for stdin [default: stdin]
    #[arg(value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Give every message this name; a line is then its body
    #[arg(short, long, value_name = "NAME")]
    name: Option<String>,
    /// What a line is: a line of JSON, any text (made a JSON string), or a row of CSV (made an object by the header)
    #[arg(long, value_name = "FORMAT", default_value = "jsonl")]
    input: Format,
    /// Give the entries the IDs of their lines
    #[arg(long)]
    keep_ids: bool,
    /// Write lines that cannot be sent to FILE, as they stand, and go on
    #[arg(long, value_name = "FILE")]
    rejects: Option<PathBuf>,
    /// What to do at a line that cannot be sent [default: stop, or skip with --rejects]
    #[arg(long, value_name = "ACTION")]
    on_reject: Option<OnReject>,
    /// Send at most N messages a second
    #[arg(long, value_name = "N", value_parser = parse_count::<NonZeroU32>)]
    rate: Option<NonZeroU32>,
    #[command(flatten)]
    trim: TrimArgs,
    /// Print the ID of each entry, in the order of the lines
    #[arg(long, conflicts_with = "json")]
    ids: bool,
    /// Write {"file","line","id"} for each entry to FILE
    #[arg(long, value_name = "FILE")]
    receipts: Option<PathBuf>,
    /// Print the summary as JSON, on stdout
    #[arg(long)]
    json: bool,
    /// Keep in FILE how far the sending came; started again with the same input and FILE, go on from there
    #[arg(long, value_name = "FILE")]
    checkpoint: Option<PathBuf>,
    /// What to do when it cannot be known whether lines in flight were sent before the connection broke
    #[arg(long, value_name = "ACTION", default_value = "stop")]
    on_ambiguous: OnAmbiguous,
    /// Keep trying to reach a lost server for so long
    #[arg(long, value_name = "DURATION", default_value = "60s", value_parser = parse_duration)]
    reconnect_for: Duration,
}

/// What to do at a line that cannot be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum OnReject {
    /// End there
    Stop,
    /// Leave it out and go on
    Skip,
}

/// What to do when nobody can know whether a line was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum OnAmbiguous {
    /// End there
    Stop,
    /// Send it, perhaps again
    Repeat,
}

/// How many batches may wait between the reading and the sending thread.
const READ_AHEAD: usize = 4;

/// Runs the command.
pub fn run(args: Args, context: &Context) -> anyhow::Result<()> {
    if args.name.is_none() && args.input != Format::Jsonl {
        return Err(Failure::usage("--input text and --input csv need --name")
            .hint("name the messages: --name log.line")
            .into());
    }
    if args.keep_ids && (args.name.is_some() || args.input != Format::Jsonl) {
        return Err(Failure::usage("--keep-ids needs lines with IDs, as consume prints them, and no --name").into());
    }
    if args.files.is_empty() && context.ui.input_is_terminal() {
        return Err(Failure::usage("no files are given, and stdin is a terminal")
            .hint("name files, pipe lines in, or give - to type them")
            .into());
    }
    let on_reject = args.on_reject.unwrap_or(match args.rejects {
        Some(_) => OnReject::Skip,
        None => OnReject::Stop,
    });
    let mut input = Input::open(&args.files)?;
    for path in [&args.rejects, &args.receipts, &args.checkpoint].into_iter().flatten() {
        if input.reads(path) {
            return Err(Failure::usage(format!("{} is read: it cannot be written too", path.display())).into());
        }
    }
    let written = [
        ("--rejects", &args.rejects),
        ("--receipts", &args.receipts),
        ("--checkpoint", &args.checkpoint),
    ];
    for (index, (option, path)) in written.iter().enumerate() {
        for (other_option, other) in &written[index + 1..] {
            if let (Some(path), Some(other)) = (path, other)
                && input::lead_to_one(path, other)
            {
                return Err(Failure::usage(format!("{option} and {other_option} name one file")).into());
            }
        }
    }
    let mut streamer = context.connect()?;
    let trim = record::TrimClock::start(args.trim.now(&mut streamer)?);
    let origin = streamer.stream_info(&args.stream)?.map(|info| info.last_id);
    let checkpoint = Checkpoint::open(&args, input.names(), origin)?;
    let written = checkpoint.as_ref().map(Checkpoint::written).unwrap_or_default();
    let ledger = Ledger::open(&args, on_reject, input.names(), context.ui, written)?;
    if let Some(checkpoint) = &checkpoint {
        input.resume = checkpoint.place();
    }
    let progress = context.ui.progress(input.total_bytes());
    let encoder = Encoder::new(&args, trim);
    let (events, arriving) = sync_channel(READ_AHEAD);
    let wake = events.clone();
    // A full channel means that the sender is at work and will look; the wake waits until then.
    let stop = Stop::listen(move || drop(wake.send(Event::Stop)), || ())?;
    let spare =
        Reading::start(input, encoder, args.rate, on_reject, events).context("cannot start a thread to read")?;
    Sender::new(
        (&args, context, &stop),
        (arriving, spare),
        (streamer, origin),
        checkpoint,
        (ledger, progress),
    )
    .run()
}
