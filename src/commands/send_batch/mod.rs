//! `send-batch`: many messages, from files or a pipe, pipelined.
//!
//! A thread reads and encodes ([`input`], [`reading`], [`record`]) and hands its batches over ([`arrivals`]); the
//! producer sends them, also across failures; where there are several streams, they are dealt ([`dealing`]) to a
//! producer for each ([`partitions`]), also as the lines name them ([`keeping`]). [`account`] tells of each line what became of it. [`checkpoint`] keeps
//! what a later run needs.

mod account;
mod arrivals;
mod checkpoint;
mod csv;
mod dealing;
mod files;
mod input;
mod keeping;
mod partitions;
mod place;
mod reading;
mod record;
mod settings;
mod words;

use std::num::NonZeroU32;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::Context as _;

use crate::commands::{Context, fields};
use crate::options::{DurabilityArgs, ReconnectArgs, TrimArgs, parse_count};
use crate::partitions::{Streams, parse_streams};
use crate::pointer::Pointer;
use crate::signals;
use crate::streamer::producer::{self, Earlier, First, LostIds, MarkerAfterwards, Started, Trouble};
use crate::streamer::{Ending, Notice};

use account::Account;
use checkpoint::Checkpoint;
use csv::Delimiter;
use input::Input;
use reading::Reading;
use record::{Encoder, Format, TrimClock};
use settings::{Dealing, Settings, Stdout};
use words::Lines;

/// Send many messages, from files or a pipe
///
/// Reads JSON lines as consume prints them, {"name":…,"body":…}, or with --name a body from each line. Entries keep
/// the order of the lines. Every line is in the stream, in the rejects, or named in the error; the exit code is 0
/// only when all are in the stream. Each batch is one transaction that also moves a marker. When a connection
/// breaks, a new one is made, and the marker tells which lines are in: none is lost or sent twice.
///
/// A pattern such as 'orders:{0..15}' sends to orders:0 to orders:15 at the same time, each line to that of its key
/// with --key, else to each in turn. Order is kept in each. IDs and receipts say which.
#[derive(clap::Args)]
#[command(after_long_help = "\
Examples:
  jq -c '.users[]' f.json | redis-streamer send-batch users --name user.new
  redis-streamer send-batch users users.csv --input csv --name user.imported
  redis-streamer send-batch orders big.jsonl --checkpoint big.checkpoint")]
pub struct Args {
    /// The stream, or a pattern such as 'orders:{0..15}'
    #[arg(value_parser = parse_streams, required_unless_present = "keep_streams")]
    stream: Option<Streams>,
    /// The files to read, - for stdin [default: stdin]
    #[arg(value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Name each message NAME; lines are bodies
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    /// Send each line to the stream of a pattern that its key chooses, which is at POINTER: /name, /fields/NAME, /body/…
    #[arg(long, value_name = "POINTER", hide_short_help = true)]
    key: Option<Pointer>,
    /// Send each line to the stream that it names; no STREAM is given then
    ///
    /// As lines of consume do under "stream", so that a copy of several streams loses nothing. One without a stream cannot be
    /// sent, nor can one of a stream beyond the 1024th
    #[arg(long, conflicts_with = "key", hide_short_help = true)]
    keep_streams: bool,
    /// What the input holds: jsonl, text or csv
    #[arg(long, value_name = "FORMAT", default_value = "jsonl", hide_possible_values = true)]
    input: Format,
    /// What parts the columns of CSV, such as ';', or '\t' for a tab [default: ,]
    #[arg(long, value_name = "CHAR", hide_short_help = true)]
    csv_delimiter: Option<Delimiter>,
    /// Add a field to each entry (repeatable)
    #[arg(short, long = "field", value_name = "NAME=VALUE", value_parser = fields::parse)]
    fields: Vec<(String, String)>,
    /// Give each entry the ID in its line
    #[arg(long, hide_short_help = true)]
    keep_ids: bool,
    /// Write lines that cannot be sent to FILE
    ///
    /// They are written as they are, and sending goes on
    #[arg(long, value_name = "FILE")]
    rejects: Option<PathBuf>,
    /// What to do at a line that cannot be sent [default: stop, or skip with --rejects]
    #[arg(long, value_name = "ACTION", hide_short_help = true)]
    on_reject: Option<OnReject>,
    /// Send at most N messages a second
    #[arg(long, value_name = "N", value_parser = parse_count::<NonZeroU32>)]
    rate: Option<NonZeroU32>,
    #[command(flatten)]
    trim: TrimArgs,
    /// Print the IDs, in the order of the lines
    #[arg(long, conflicts_with = "json")]
    ids: bool,
    /// Write {"file","line","id"} for each entry to FILE
    #[arg(long, value_name = "FILE", hide_short_help = true)]
    receipts: Option<PathBuf>,
    /// Print the summary as one line of JSON
    #[arg(long)]
    json: bool,
    /// Keep the progress in FILE, to resume there
    ///
    /// Run again with the same input and FILE, it continues where the last run ended
    #[arg(long, value_name = "FILE")]
    checkpoint: Option<PathBuf>,
    /// What to do when it cannot be known whether lines were sent before the connection broke
    #[arg(long, value_name = "ACTION", default_value = "stop", hide_short_help = true)]
    on_ambiguous: OnAmbiguous,
    #[command(flatten)]
    durability: DurabilityArgs,
    #[command(flatten)]
    reconnect: ReconnectArgs,
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

/// Runs the command.
pub fn run(args: Args, context: &Context) -> anyhow::Result<Ending> {
    if let Some(stream) = &args.stream {
        stream.warn(context.ui);
    }
    let (settings, input) = Settings::new(args, context.ui.input_is_terminal())?;
    signals::listen(&context.stop, || (), || ())?;
    if settings.dealing == Dealing::Kept {
        return keeping::run(&settings, input, context);
    }
    if settings.are_partitions() {
        return run_all(&settings, input, context);
    }
    let (checkpoint, earlier) = checkpoint(&settings, &input)?;
    run_one(
        &settings,
        input,
        context,
        checkpoint,
        earlier.and_then(|mut all| all.pop()),
    )
}

/// The checkpoint, if there is to be one, and what it says of an earlier run.
fn checkpoint(settings: &Settings, input: &Input) -> anyhow::Result<(Option<Checkpoint>, Option<Vec<Earlier>>)> {
    let Some(path) = &settings.checkpoint else {
        return Ok((None, None));
    };
    let (checkpoint, earlier) = Checkpoint::open(path, settings, input.names())?;
    checkpoint.see_receipts(settings.receipts.is_some())?;
    Ok((Some(checkpoint), earlier))
}

/// Sends to one stream.
fn run_one(
    settings: &Settings,
    input: Input,
    context: &Context,
    checkpoint: Option<Checkpoint>,
    earlier: Option<Earlier>,
) -> anyhow::Result<Ending> {
    let stop = &context.stop;
    let names = input.names();
    let before = earlier.as_ref().map_or(0, |earlier| earlier.progress.records);
    let producer = checkpoint.as_ref().map(|checkpoint| checkpoint.producer(0));
    let sending = sending(settings, context, (&settings.streams[0], 1), producer, earlier);
    let notify = |notice: Notice<'_>| context.notice(notice);
    let lines = Lines {
        names: &names,
        is_resumable: checkpoint.is_some(),
        durability: settings.durability,
    };
    context.say_connecting();
    let started = producer::start(&context.servers, &sending, stop, &notify);
    let mut started = match (started, stop.signal()) {
        (Ok(started), _) => started,
        (Err(Trouble::Ended { .. }), Some(signal)) => return Ok(Ending::Signal(signal)),
        (Err(trouble), _) => return Err(lines.failure(trouble)),
    };
    let begin = started.begin;
    let prepared = encoder(settings, &mut started).and_then(|encoder| {
        let mut account = Account::open(settings, lines, &input, begin.written, context.ui, stop)?;
        if let Some(mut checkpoint) = checkpoint {
            checkpoint.begin(&[begin])?;
            account.keep(checkpoint, before);
        }
        let arrivals = Reading::start(input, settings, encoder, &begin);
        Ok((account, arrivals.context("cannot start a thread to read")?))
    });
    let (mut account, mut arrivals) = match prepared {
        Ok(prepared) => prepared,
        Err(error) => {
            started.give_up();
            return Err(error);
        }
    };
    stop.on_wake(arrivals.waker());
    let ended = started.run(&mut arrivals, &mut account);
    account.close(ended)
}

/// Sends to the streams of a pattern.
fn run_all(settings: &Settings, input: Input, context: &Context) -> anyhow::Result<Ending> {
    let stop = &context.stop;
    let names = input.names();
    let (checkpoint, earlier) = checkpoint(settings, &input)?;
    let lines = Lines {
        names: &names,
        is_resumable: checkpoint.is_some(),
        durability: settings.durability,
    };
    let of_stream = |number| {
        let producer = checkpoint.as_ref().map(|checkpoint| checkpoint.producer(number));
        let earlier = earlier.as_ref().map(|earlier| Earlier {
            // What the files hold is of all streams.
            written: partitions::own(earlier[number].written),
            ..earlier[number]
        });
        let stream = (&*settings.streams[number], settings.streams.len());
        sending(settings, context, stream, producer, earlier)
    };
    let sendings: Vec<_> = (0..settings.streams.len()).map(of_stream).collect();
    let notify = |notice: Notice<'_>| context.notice(notice);
    context.say_connecting();
    let mut started = Vec::new();
    for sending in &sendings {
        match (producer::start(&context.servers, sending, stop, &notify), stop.signal()) {
            (Ok(one), _) => started.push(one),
            (Err(trouble), signal) => {
                started.into_iter().for_each(Started::give_up);
                return match (trouble, signal) {
                    (Trouble::Ended { .. }, Some(signal)) => Ok(Ending::Signal(signal)),
                    (trouble, _) => Err(lines.failure(trouble)),
                };
            }
        }
    }
    let noted = |number: usize| earlier.as_ref().map(|earlier| earlier[number].progress.place);
    let begins = started.iter().enumerate();
    let begins = begins.map(|(number, started)| partitions::begin(started.begin, noted(number)));
    let begins: Vec<_> = begins.collect();
    let prepared = encoder(settings, &mut started[0]).and_then(|encoder| {
        let written = partitions::written(earlier.as_deref().unwrap_or_default());
        let mut account = Account::open(settings, lines, &input, written, context.ui, stop)?;
        if let Some(mut checkpoint) = checkpoint {
            checkpoint.begin(&begins)?;
            let of_each = earlier.iter().flatten().map(|earlier| earlier.progress.records);
            account.keep(checkpoint, of_each.sum());
        }
        let arrivals = Reading::start_dealing(input, settings, encoder, &begins);
        Ok((account, arrivals.context("cannot start a thread to read")?))
    });
    let (account, arrivals) = match prepared {
        Ok(prepared) => prepared,
        Err(error) => {
            started.into_iter().for_each(Started::give_up);
            return Err(error);
        }
    };
    let account = Mutex::new(account);
    let of = settings.streams.iter().zip(&begins).enumerate();
    let of = of.map(|(number, (stream, begin))| partitions::Of {
        number,
        stream: Arc::from(stream.as_str()),
        rejected: begin.written.rejected,
    });
    let started = of.zip(started);
    let ended = partitions::run(started.collect(), arrivals, &account, stop);
    let account = account.into_inner().unwrap_or_else(PoisonError::into_inner);
    account.close_all(ended)
}

fn encoder(settings: &Settings, started: &mut Started<'_>) -> anyhow::Result<Encoder> {
    let server_ms = settings.retention.clock(|| started.now_ms())?;
    Ok(Encoder::new(settings, TrimClock::start(settings.retention, server_ms)))
}

/// What the producer of a stream is told of a sending: one of so many that share the memory.
fn sending(
    settings: &Settings,
    context: &Context,
    (stream, producers): (&str, usize),
    producer: Option<&str>,
    earlier: Option<Earlier>,
) -> producer::Settings {
    let wants_ids = settings.receipts.is_some() || settings.stdout == Stdout::Ids;
    producer::Settings {
        stream: stream.to_owned(),
        producer: producer.map_or_else(producer::new_producer, str::to_owned),
        producers,
        entry_ids: settings.lines.entry_ids(),
        lost_ids: if wants_ids { LostIds::LookUp } else { LostIds::Leave },
        in_doubt: settings.in_doubt,
        marker: match &settings.checkpoint {
            Some(_) => MarkerAfterwards::Keep,
            None => MarkerAfterwards::Delete,
        },
        durability: settings.durability,
        first: First::Unknown { wait: context.wait },
        reconnect_for: settings.reconnect_for,
        earlier,
    }
}
