//! `nack`: hands back entries, named by IDs or by the lines `consume` printed, or makes them dead letters.

use crate::commands::Context;
use crate::commands::references::{self, Became, Format, Named, NotPending, Source, Tally};
use crate::failure::Failure;
use crate::options::{GroupArgs, ReconnectArgs, parse_name};
use crate::partitions::{Streams, parse_stream, parse_streams};
use crate::render::counted;
use crate::streamer::{Connections, Ending, Halt, Nack, NackOutcome, NackTo, Nacker, Notice, Supervisor};

/// Hand messages back for others to try, or make them dead letters
///
/// Another consumer of the group gets them at once, with their count of deliveries. Prints how many were pending. Stdin is
/// bare IDs, or lines as consume prints them; a line's own stream wins over STREAM. A message that was delivered again
/// since its line was printed is left alone, and counts as not pending.
#[derive(clap::Args)]
#[command(after_long_help = "\
Examples:
  redis-streamer nack orders -l billing 1700000000000-0
  redis-streamer nack orders -l billing - < done.jsonl
  redis-streamer nack orders -l billing 1700000000000-0 \\
    --dead-letter orders:dead --reason 'unknown customer'")]
pub struct Args {
    /// The stream, or a pattern such as 'orders:{0..15}'
    #[arg(value_parser = parse_streams)]
    stream: Streams,
    /// The entries, or - for stdin [default: stdin]
    #[arg(value_name = "ID")]
    ids: Vec<String>,
    #[command(flatten)]
    group: GroupArgs,
    /// Only what is pending under this consumer
    #[arg(short, long, value_name = "NAME", value_parser = parse_name)]
    consumer: Option<String>,
    /// Move them to STREAM instead, each once
    ///
    /// Where they came from, and why, goes with them
    #[arg(long, value_name = "STREAM", value_parser = parse_stream, requires = "reason")]
    dead_letter: Option<String>,
    /// Why, for those who read the dead letters
    #[arg(long, value_name = "TEXT", requires = "dead_letter")]
    reason: Option<String>,
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
    consumer: Option<String>,
    to: NackTo,
    not_pending: NotPending,
    format: Format,
    reconnect: ReconnectArgs,
}

impl Settings {
    fn new(args: Args, context: &Context) -> anyhow::Result<Self> {
        args.group.require(args.stream.first())?;
        if let Some(dead) = args
            .dead_letter
            .as_ref()
            .filter(|dead| args.stream.names().contains(dead))
        {
            return Err(
                Failure::usage(format!("--dead-letter {dead} is where the messages are"))
                    .hint("name another stream with --dead-letter")
                    .into(),
            );
        }
        Ok(Self {
            source: Source::new(&args.ids, &args.stream, context)?,
            streams: args.stream,
            group: args.group,
            consumer: args.consumer,
            to: match (args.dead_letter, args.reason) {
                (Some(stream), Some(reason)) => NackTo::DeadLetters { stream, reason },
                _ => NackTo::Others,
            },
            not_pending: NotPending::new(args.strict),
            format: Format::new(args.json),
            reconnect: args.reconnect,
        })
    }
}

pub fn run(args: Args, context: &Context) -> anyhow::Result<Ending> {
    let settings = Settings::new(args, context)?;
    settings.streams.warn(context.ui);
    let notify = |notice: Notice<'_>| context.notice(notice);
    let mut supervisor = Supervisor::new(&context.servers, &notify, settings.reconnect.reconnect_for, None);
    context.say_connecting();
    let first = match supervisor.start(context.wait, || context.try_to_connect_to(settings.streams.first())) {
        Ok(connection) => connection,
        Err(Halt::Failed(error)) => return Err(error.into()),
        Err(Halt::Ended(ending)) => return Ok(ending),
    };
    let connections = Connections::new(&context.servers, Some(first));
    let words = match settings.to {
        NackTo::Others => ("handed_back", "handed back"),
        NackTo::DeadLetters { .. } => ("dead_letters", "dead letters"),
    };
    let mut nacks = Nacks {
        nacker: Nacker::new(
            &context.servers,
            connections,
            supervisor,
            settings.consumer.clone(),
            settings.to.clone(),
        ),
        context,
        tally: Tally::default(),
    };
    let Settings {
        streams, group, source, ..
    } = &settings;
    let ended = references::read(source, streams, group, context, |batch| nacks.settle(batch));
    let tally = nacks.tally;
    references::finish(context, &tally, ended, settings.format, words, || {
        judge_deleted(&tally)?;
        references::judge(&tally, settings.not_pending)
    })
}

/// What is deleted cannot become a dead letter.
fn judge_deleted(tally: &Tally) -> anyhow::Result<()> {
    match tally.all().deleted {
        0 => Ok(()),
        count => Err(Failure::data(format!(
            "{} left pending, deleted or trimmed by now: {}",
            counted(count, "message"),
            tally.deleted()
        ))
        .hint("nothing is left of them that could become a dead letter: acknowledge them with ack")
        .into()),
    }
}

/// Hands back batches, and counts.
struct Nacks<'a> {
    nacker: Nacker<'a>,
    context: &'a Context,
    tally: Tally,
}

impl Nacks<'_> {
    fn settle(&mut self, batch: &[Named]) -> anyhow::Result<()> {
        let nacks: Vec<_> = batch
            .iter()
            .map(|named| Nack {
                stream: &named.stream,
                group: &named.group,
                id: named.id,
                deliveries: named.deliveries,
            })
            .collect();
        let mut is_settled = vec![false; nacks.len()];
        let tally = &mut self.tally;
        let done = self.nacker.nack(&nacks, |place, outcome| {
            is_settled[place] = true;
            let became = match outcome {
                NackOutcome::Done => Became::Done,
                NackOutcome::AnswerLost => Became::AnswerLost,
                NackOutcome::NotPending => Became::NotPending,
                NackOutcome::Gone => Became::Deleted,
            };
            tally.add(&batch[place], became);
        });
        references::settled(self.context, done, batch, &is_settled, |count| {
            format!("{} may not have been handed back", counted(count, "message"))
        })
    }
}
