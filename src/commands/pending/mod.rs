//! `pending`: what waits where, as tables or JSON, and as a gate in CI.

mod gates;
mod gather;
mod show;

use std::num::NonZeroUsize;
use std::time::Duration;

use crate::cli::GroupArgs;
use crate::commands::Context;
use crate::failure::Failure;
use crate::streamer::parse_duration;
use crate::ui::Ui;
use gates::Gates;
use gather::{GroupSelection, Level, Oldest, Selection, View, gather};

/// Show what waits: streams, their groups, a group's consumers and pending entries
///
/// Without STREAM: every stream with its groups. With one: its groups. With a group: its consumers and entries.
/// LAG is what is still to be delivered, OLDEST how long the longest idle of the pending entries is idle. A figure the
/// server does not know is shown as ?, and is null in JSON.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  redis-streamer pending
  redis-streamer pending orders
  redis-streamer pending orders -l billing --idle 5m
  redis-streamer pending orders --max-lag 1000 --max-idle 5m")]
pub struct Args {
    /// The stream [default: all of them]
    stream: Option<String>,
    #[command(flatten)]
    group: GroupArgs,
    /// Of a group's entries, only those not delivered again for so long
    #[arg(long, value_name = "DURATION", value_parser = parse_duration)]
    idle: Option<Duration>,
    /// Of a group, only this consumer and its entries
    #[arg(long, value_name = "NAME")]
    consumer: Option<String>,
    /// Show at most N of a group's entries [default: 20]
    #[arg(short = 'n', long, value_name = "N")]
    max_entries: Option<NonZeroUsize>,
    /// Print one JSON document
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    gates: Gates,
}

/// How many entries are shown where nobody says how many: a screen's worth.
const ENTRIES: NonZeroUsize = NonZeroUsize::MIN.saturating_add(19);

/// Runs the command.
pub fn run(args: Args, context: &Context) -> anyhow::Result<()> {
    let group = args.group()?;
    let selection = args.selection(group.as_deref());
    let view = gather(&mut context.connect()?, &selection)?;
    print(&view, &args, context.ui)?;
    remark(&view, &args, context);
    Ok(args.gates.check(&view.streams)?)
}

impl Args {
    /// The group asked for. Options that mean nothing without one are refused, rather than passed over.
    fn group(&self) -> Result<Option<String>, Failure> {
        let Some(stream) = &self.stream else {
            return match self.group.label() {
                Some(_) => Err(Failure::usage("--group and --listener need a stream")
                    .hint("name it first: redis-streamer pending STREAM -g GROUP")),
                None => self.refuse_narrowing().map(|()| None),
            };
        };
        match self.group.on(stream) {
            Some(group) => Ok(Some(group)),
            None => self.refuse_narrowing().map(|()| None),
        }
    }

    fn refuse_narrowing(&self) -> Result<(), Failure> {
        let given = [
            ("--idle", self.idle.is_some()),
            ("--consumer", self.consumer.is_some()),
            ("--max-entries", self.max_entries.is_some()),
        ];
        match given.iter().find(|(_, given)| *given) {
            Some((option, _)) => Err(Failure::usage(format!(
                "{option} is about the entries of a group, and no group is given"
            ))
            .hint("name the group with -g GROUP, or its listener with -l NAME")),
            None => Ok(()),
        }
    }

    fn selection<'a>(&'a self, group: Option<&'a str>) -> Selection<'a> {
        match (self.stream.as_deref(), group) {
            (None, _) => Selection::Everything,
            (Some(stream), None) => Selection::Stream(stream),
            (Some(stream), Some(group)) => Selection::Group(GroupSelection {
                stream,
                group,
                consumer: self.consumer.as_deref(),
                min_idle: self.idle.unwrap_or_default(),
                max_entries: self.max_entries.unwrap_or(ENTRIES),
                // The JSON of a group does not tell the oldest: its entries need not be walked for nothing.
                oldest: match self.json && !self.gates.need_oldest() {
                    true => Oldest::Skip,
                    false => Oldest::Find,
                },
            }),
        }
    }
}

/// Prints what was found. It is data: `--quiet` is about the rest.
fn print(view: &View, args: &Args, ui: Ui) -> anyhow::Result<()> {
    let text = match args.json {
        true => show::json(view)? + "\n",
        false if view.streams.is_empty() => return Ok(()),
        false => show::tables(view, ui.table_width()),
    };
    ui.data()?.write(text.as_bytes()).map_err(Failure::stdout)
}

/// Says on stderr what the data do not tell by themselves. A program that asked for N entries knows that there
/// may be more; one that did not ask would take the first for all.
fn remark(view: &View, args: &Args, context: &Context) {
    match &view.level {
        Level::Everything if view.streams.is_empty() && !args.json => {
            context.ui.status(&format!("no streams on {}", context.target.address));
        }
        Level::Group(details) if details.more && !(args.json && args.max_entries.is_some()) => {
            let shown = details.entries.len();
            context
                .ui
                .status(&format!("only the first {shown} entries are shown: see more with -n N"));
        }
        _ => {}
    }
}
