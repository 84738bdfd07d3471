//! `ack`: acknowledges entries, named by IDs or by the lines `consume` printed.

use crate::commands::references::{self, Became, EntryArgs, Named, ReportArgs, Settings, Tally};
use crate::commands::{Context, undeletable};
use crate::render::counted;
use crate::streamer::{Ack, AckOutcome, Acknowledger, Done, Ending, Halt, Notice};

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
    #[command(flatten)]
    entries: EntryArgs,
    /// Delete each entry that every group has acknowledged
    ///
    /// Before Redis 8.2: of a stream with no other group
    #[arg(long)]
    delete: bool,
    #[command(flatten)]
    report: ReportArgs,
}

pub fn run(args: Args, context: &Context) -> anyhow::Result<Ending> {
    let done = Done::new(args.delete);
    let settings = Settings::new(args.entries, args.report, context)?;
    let notify = |notice: Notice<'_>| context.notice(notice);
    let (connections, supervisor) = match settings.connect(context, &notify) {
        Ok(connected) => connected,
        Err(Halt::Failed(error)) => return Err(error.into()),
        Err(Halt::Ended(ending)) => return Ok(ending),
    };
    let mut acks = Acks {
        acknowledger: Acknowledger::new(connections, supervisor, done),
        context,
        tally: Tally::new(done),
    };
    let ended = references::read(&settings, context, |batch| acks.settle(batch));
    let Acks {
        mut acknowledger,
        tally,
        ..
    } = acks;
    let words = ("acknowledged", "acknowledged");
    references::finish(context, &tally, ended, settings.format, words, || {
        if let (0, Some((stream, group))) = (tally.all().done, tally.first_missed()) {
            match acknowledger.see_group(stream, group) {
                Ok(()) | Err(Halt::Ended(_)) => {}
                Err(Halt::Failed(error)) => return Err(error.into()),
            }
        }
        undeletable(tally.all().undeletable)?;
        references::judge(&tally, settings.not_pending)
    })
}

/// Acknowledges batches, and counts.
struct Acks<'a> {
    acknowledger: Acknowledger<'a>,
    context: &'a Context,
    tally: Tally,
}

impl Acks<'_> {
    fn settle(&mut self, batch: &[Named]) -> anyhow::Result<()> {
        let acks: Vec<_> = batch
            .iter()
            .map(|Named { stream, group, id, .. }| Ack { stream, group, id: *id })
            .collect();
        let became = |outcome| match outcome {
            AckOutcome::Acked => Became::Done,
            AckOutcome::Deleted => Became::DoneAndDeleted,
            AckOutcome::Undeletable => Became::Undeletable,
            AckOutcome::AnswerLost => Became::AnswerLost,
            AckOutcome::NotPending => Became::NotPending,
        };
        let acknowledger = &mut self.acknowledger;
        references::settle(
            self.context,
            &mut self.tally,
            batch,
            |tell| acknowledger.acknowledge(&acks, |place, outcome| tell(place, became(outcome))),
            |count| format!("{} may not have been made", counted(count, "acknowledgement")),
        )
    }
}
