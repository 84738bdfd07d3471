//! `nack`: hands back entries, named by IDs or by the lines `consume` printed, or makes them dead letters.

use crate::commands::Context;
use crate::commands::references::{self, Became, EntryArgs, Named, ReportArgs, Settings, Tally};
use crate::failure::Failure;
use crate::options::parse_name;
use crate::partitions::parse_stream;
use crate::render::counted;
use crate::streamer::{Done, Ending, Halt, Nack, NackOutcome, NackTo, Nacker, Notice};

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
    #[command(flatten)]
    entries: EntryArgs,
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
    #[command(flatten)]
    report: ReportArgs,
}

impl Args {
    /// Where they are to go.
    fn destination(&self) -> Result<NackTo, Failure> {
        match (&self.dead_letter, &self.reason) {
            (Some(dead), _) if self.entries.streams().names().contains(dead) => Err(Failure::usage(format!(
                "--dead-letter {dead} is where the messages are"
            ))
            .hint("name another stream with --dead-letter")),
            (Some(stream), Some(reason)) => Ok(NackTo::DeadLetters {
                stream: stream.clone(),
                reason: reason.clone(),
            }),
            _ => Ok(NackTo::Others),
        }
    }
}

pub fn run(args: Args, context: &Context) -> anyhow::Result<Ending> {
    let to = args.destination()?;
    let settings = Settings::new(args.entries, args.report, context)?;
    let notify = |notice: Notice<'_>| context.notice(notice);
    let (connections, supervisor) = match settings.connect(context, &notify) {
        Ok(connected) => connected,
        Err(Halt::Failed(error)) => return Err(error.into()),
        Err(Halt::Ended(ending)) => return Ok(ending),
    };
    let words = match to {
        NackTo::Others => ("handed_back", "handed back"),
        NackTo::DeadLetters { .. } => ("dead_letters", "dead letters"),
    };
    let mut nacks = Nacks {
        nacker: Nacker::new(&context.servers, connections, supervisor, args.consumer, to),
        context,
        tally: Tally::new(Done::Kept),
    };
    let ended = references::read(&settings, context, |batch| nacks.settle(batch));
    let tally = nacks.tally;
    references::finish(context, &tally, ended, settings.format, words, || {
        judge_gone(&tally)?;
        references::judge(&tally, settings.not_pending)
    })
}

/// What is deleted cannot become a dead letter.
fn judge_gone(tally: &Tally) -> anyhow::Result<()> {
    match tally.all().gone {
        0 => Ok(()),
        count => Err(Failure::data(format!(
            "{} left pending, deleted or trimmed by now: {}",
            counted(count, "message"),
            tally.gone()
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
        let became = |outcome| match outcome {
            NackOutcome::Done => Became::Done,
            NackOutcome::AnswerLost => Became::AnswerLost,
            NackOutcome::NotPending => Became::NotPending,
            NackOutcome::Gone => Became::Gone,
        };
        let nacker = &mut self.nacker;
        references::settle(
            self.context,
            &mut self.tally,
            batch,
            |tell| nacker.nack(&nacks, |place, outcome| tell(place, became(outcome))),
            |count| format!("{} may not have been handed back", counted(count, "message")),
        )
    }
}
