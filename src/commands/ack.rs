//! `ack`: acknowledges entries, named by IDs or by the lines `consume` printed.

use std::borrow::Cow;
use std::io::BufRead;

use anyhow::Context as _;

use crate::commands::Context;
use crate::failure::Failure;
use crate::line;
use crate::options::{GroupArgs, parse_name};
use crate::streamer::{Ack, EntryId, Streamer};

/// Acknowledge messages, and print how many were pending
///
/// Stdin takes bare IDs or lines as consume prints them; a line's own stream wins over STREAM.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  redis-streamer ack orders -l billing 1700000000000-0
  redis-streamer consume orders -l billing --ack manual -e | worker |
    redis-streamer ack orders -l billing -")]
pub struct Args {
    /// The stream
    #[arg(value_parser = parse_name)]
    stream: String,
    /// The entries, or - for stdin [default: stdin]
    #[arg(value_name = "ID")]
    ids: Vec<String>,
    #[command(flatten)]
    group: GroupArgs,
    /// Fail if any of them was not pending
    #[arg(long)]
    strict: bool,
}

/// How many acknowledgements go out in one piece. A worker's lines are acknowledged as they come, not at its end.
const BATCH: usize = 1000;

/// Runs the command.
pub fn run(args: Args, context: &Context) -> anyhow::Result<()> {
    args.group.require(&args.stream)?;
    let given: Result<Vec<_>, _> = match args.ids.as_slice() {
        [] => Ok(Vec::new()),
        [dash] if dash == "-" => Ok(Vec::new()),
        ids => ids.iter().map(|id| parse_id(id)).collect(),
    };
    let given = given?;
    if args.ids.is_empty() && context.ui.input_is_terminal() {
        return Err(Failure::usage("no IDs are given, and stdin is a terminal")
            .hint("give the IDs as arguments, through a pipe, or - to type them")
            .into());
    }
    let mut acker = Acker {
        streamer: context.connect()?,
        args: &args,
        waiting: Vec::new(),
        acked: 0,
        missed: Vec::new(),
        missed_count: 0,
        first_missed: None,
    };
    let read = match given.is_empty() {
        false => given.iter().try_for_each(|id| acker.take(None, *id)),
        true => read_stdin(&mut acker),
    };
    // What came before a bad line is acknowledged all the same, and counted.
    let flushed = acker.flush();
    let ended = read.and(flushed);
    let printed = match ended.is_ok() || acker.acked > 0 {
        true => print(acker.acked, context),
        false => Ok(()),
    };
    // A reader that has gone hides no failure.
    ended.and_then(|()| acker.verdict()).and(printed)
}

fn print(acked: usize, context: &Context) -> anyhow::Result<()> {
    let count = format!("{acked}\n");
    context.ui.data()?.write(count.as_bytes()).map_err(Failure::stdout)
}

fn parse_id(text: &str) -> anyhow::Result<EntryId> {
    text.parse()
        .map_err(|error| Failure::usage(format!("'{text}': {error}")).into())
}

fn read_stdin(acker: &mut Acker<'_>) -> anyhow::Result<()> {
    let mut input = std::io::BufReader::with_capacity(64 * 1024, std::io::stdin());
    let mut bytes = Vec::new();
    for number in 1u64.. {
        // Before waiting for more input, what is known is acknowledged.
        if input.buffer().is_empty() {
            acker.flush()?;
        }
        bytes.clear();
        if input.read_until(b'\n', &mut bytes).context("cannot read stdin")? == 0 {
            break;
        }
        let text = std::str::from_utf8(&bytes)
            .map_err(|error| Failure::data(format!("stdin:{number}:{}: not UTF-8", error.valid_up_to() + 1)))?
            .trim();
        let (stream, id) = match text {
            "" => continue,
            line if line.starts_with('{') => line::parse_reference(line).map_err(|error| {
                Failure::data(format!(
                    "stdin:{number}:{}: {error}: {}",
                    error.column,
                    line::excerpt(line)
                ))
                .hint("a line names the entry as consume prints it: {\"stream\":…,\"id\":…}")
            })?,
            id => {
                let id = id
                    .parse()
                    .map_err(|error| Failure::data(format!("stdin:{number}:1: {error}: {}", line::excerpt(id))))?;
                (None, id)
            }
        };
        acker.take(stream, id)?;
    }
    Ok(())
}

/// Collects entries and acknowledges them in batches.
struct Acker<'a> {
    streamer: Streamer,
    args: &'a Args,
    waiting: Vec<(String, String, EntryId)>,
    acked: usize,
    missed: Vec<String>,
    missed_count: usize,
    first_missed: Option<(String, String)>,
}

/// How many IDs that were not pending are named.
const NAMED: usize = 10;

impl Acker<'_> {
    fn take(&mut self, stream: Option<Cow<'_, str>>, id: EntryId) -> anyhow::Result<()> {
        let stream = stream.map_or_else(|| self.args.stream.clone(), Cow::into_owned);
        let group = self.args.group.require(&stream)?;
        self.waiting.push((stream, group, id));
        match self.waiting.len() {
            BATCH.. => self.flush(),
            _ => Ok(()),
        }
    }

    fn flush(&mut self) -> anyhow::Result<()> {
        let acks: Vec<_> = self
            .waiting
            .iter()
            .map(|(stream, group, id)| Ack { stream, group, id: *id })
            .collect();
        if acks.is_empty() {
            return Ok(());
        }
        let results = self.streamer.ack(&acks)?;
        for (ack, was_pending) in acks.iter().zip(results) {
            if was_pending {
                self.acked += 1;
            } else {
                self.missed_count += 1;
                self.first_missed
                    .get_or_insert_with(|| (ack.stream.to_owned(), ack.group.to_owned()));
                if self.missed.len() < NAMED {
                    self.missed.push(ack.id.to_string());
                }
            }
        }
        self.waiting.clear();
        Ok(())
    }

    /// What it means that some were not pending.
    fn verdict(&mut self) -> anyhow::Result<()> {
        // XACK says 0 for a group that does not exist, too.
        if let (0, Some((stream, group))) = (self.acked, self.first_missed.take()) {
            self.streamer.group(&stream, &group)?;
        }
        match self.args.strict && self.missed_count > 0 {
            false => Ok(()),
            true => Err(Failure::unmet(format!(
                "{} of {} were not pending: {}{}",
                self.missed_count,
                self.missed_count + self.acked,
                self.missed.join(", "),
                if self.missed.len() < self.missed_count {
                    ", …"
                } else {
                    ""
                },
            ))
            .into()),
        }
    }
}
