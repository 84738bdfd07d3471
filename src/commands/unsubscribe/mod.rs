//! `unsubscribe`: removes groups, or consumers of them, and with them nothing that anybody would miss.

mod item;
mod json;

use crate::commands::{Context, print_json, print_words};
use crate::failure::{Failure, quote};
use crate::options::RawGroupArgs;
use crate::partitions::{RawStreams, parse_raw_streams};
use crate::render::one_line;
use crate::streamer::{Connections, Ending, Error, RawName};
use item::{Done, Item};

/// Remove a consumer group, or a consumer of it
///
/// A group goes if nothing is pending, nothing is still to be delivered, and nobody asked for entries within the last
/// minute; with it goes its ledger (consume --dedup). With --consumer, what is pending under that name is handed back, so
/// that the others of the group get it at once, and the name goes. Of several streams, all are looked at before anything
/// is removed.
#[derive(clap::Args)]
#[command(after_long_help = "\
Examples:
  redis-streamer unsubscribe returns -l audit
  redis-streamer unsubscribe orders -l billing --force
  redis-streamer unsubscribe orders -l billing -c till-1 --force")]
pub struct Args {
    /// The streams; 'orders:{0..15}' for orders:0 to orders:15
    #[arg(required = true, value_name = "STREAM", value_parser = parse_raw_streams)]
    streams: Vec<RawStreams>,
    #[command(flatten)]
    group: RawGroupArgs,
    /// Remove this consumer, and leave the group (repeatable)
    ///
    /// What is pending under it is handed back first
    #[arg(short, long, value_name = "NAME", value_parser = RawName::parse)]
    consumer: Vec<RawName>,
    /// Remove it although something is lost with it, or it is at work
    #[arg(long)]
    force: bool,
    /// Say what would be removed, and what is in the way
    #[arg(long)]
    dry_run: bool,
    /// Print one line of JSON
    #[arg(long)]
    json: bool,
}

/// What to do.
struct Settings {
    /// What is to go, in the order in which it was named.
    subjects: Vec<Subject>,
    losses: Losses,
    mode: Mode,
    format: Format,
}

/// A group of a stream, or a consumer of it.
#[derive(Clone, Debug)]
pub struct Subject {
    pub stream: RawName,
    pub group: RawName,
    /// How the group was named.
    pub option: String,
    pub consumer: Option<RawName>,
}

impl Subject {
    /// What messages call it.
    fn name(&self) -> String {
        let shown = |name: &RawName| one_line(&name.to_string());
        let (group, stream) = (shown(&self.group), shown(&self.stream));
        match &self.consumer {
            Some(consumer) => format!("consumer {} of group {group} on {stream}", shown(consumer)),
            None => format!("group {group} on {stream}"),
        }
    }
}

/// What is done where something would be lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Losses {
    Refused,
    Accepted,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    Remove,
    DryRun,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Format {
    Words,
    Json,
}

impl Settings {
    fn new(args: Args, context: &Context) -> Result<Self, Failure> {
        let mut subjects = Vec::new();
        args.streams.iter().for_each(|streams| streams.warn(context.ui));
        for stream in args.streams.iter().flat_map(RawStreams::names) {
            let group = args.group.require(&stream)?;
            let subject = |consumer| Subject {
                stream: stream.clone(),
                group: group.clone(),
                option: args.group.option(),
                consumer,
            };
            if args.consumer.is_empty() {
                subjects.push(subject(None));
            } else {
                subjects.extend(args.consumer.iter().cloned().map(Some).map(subject));
            }
        }
        Ok(Self {
            subjects,
            losses: if args.force { Losses::Accepted } else { Losses::Refused },
            mode: if args.dry_run { Mode::DryRun } else { Mode::Remove },
            format: if args.json { Format::Json } else { Format::Words },
        })
    }
}

pub fn run(args: Args, context: &Context) -> anyhow::Result<Ending> {
    let settings = Settings::new(args, context)?;
    let mut connections = context.connect_to(&settings.subjects[0].stream)?;
    let look = |subject: &Subject| Item::look(subject, &mut connections);
    let mut items = settings.subjects.iter().map(look).collect::<Result<Vec<_>, Error>>()?;
    see_any(&items)?;
    let blocked: Vec<_> = items
        .iter()
        .filter(|item| !item.in_the_way(settings.losses).is_empty())
        .collect();
    if settings.mode == Mode::DryRun {
        let shown = show(&items, &settings, context)?;
        // As the run itself would end; why is said already.
        return match blocked.first() {
            Some(first) => Err(Failure::data("nothing would be removed").hint(first.hint()).into()),
            None => Ok(shown),
        };
    }
    let failures = if !blocked.is_empty() {
        blocked.iter().map(|item| item.refuse(settings.losses)).collect()
    } else {
        remove_all(&mut items, &mut connections, &settings, context)
    };
    let shown = match settings.format {
        Format::Json => show(&items, &settings, context),
        Format::Words => Ok(Ending::Enough),
    };
    // A reader that has gone hides no failure.
    verdict(failures, items.len(), context)?;
    shown
}

/// That some are missing is as it is to be; but one at least was to be there.
fn see_any(items: &[Item]) -> Result<(), Failure> {
    if items.iter().any(Item::is_there) {
        return Ok(());
    }
    let Subject {
        stream,
        option,
        consumer,
        ..
    } = &items[0].subject;
    let more = if items.len() > 1 { ", nor are the others" } else { "" };
    let look = match consumer {
        Some(_) => format!("redis-streamer pending {} {option}", quote(&stream.typed())),
        None => format!("redis-streamer pending {}", quote(&stream.typed())),
    };
    let missing = format!("{} is not there{more}", items[0].subject.name());
    Err(Failure::data(missing).hint(format!("see what there is: {look}")))
}

fn show(items: &[Item], settings: &Settings, context: &Context) -> anyhow::Result<Ending> {
    match settings.format {
        Format::Json => print_json(context.ui, json::document(items)?.as_bytes()),
        Format::Words => {
            let lines: Vec<_> = items.iter().map(|item| item.plan(settings.losses) + "\n").collect();
            print_words(context.ui, &lines.concat())
        }
    }
}

/// Removes one after the other, and returns what failed. Once a server is lost nothing more is tried.
fn remove_all(
    items: &mut [Item],
    connections: &mut Connections,
    settings: &Settings,
    context: &Context,
) -> Vec<anyhow::Error> {
    let mut failures = Vec::new();
    for item in items {
        match item.remove(connections, settings.losses) {
            Ok(done) => {
                if settings.format == Format::Words {
                    context.ui.status(&item.told());
                }
                if let Done::RemovedOnly(why) = done {
                    context.ui.warning(&why);
                }
            }
            Err(failure) => {
                let is_lost = failure.downcast_ref::<Error>().is_some_and(Error::is_passing);
                failures.push(failure);
                if is_lost {
                    break;
                }
            }
        }
    }
    failures
}

fn verdict(mut failures: Vec<anyhow::Error>, of: usize, context: &Context) -> anyhow::Result<()> {
    if failures.len() > 1 {
        for failure in &failures {
            context.ui.warning(&format!("{failure:#}"));
        }
        let failed = failures.len();
        let last = failures.swap_remove(failed - 1);
        let all = format!("{failed} of {of} are not removed");
        return match last.downcast::<Failure>() {
            Ok(failure) => Err(failure.saying(all).into()),
            Err(lost) => Err(lost.context(all)),
        };
    }
    failures.pop().map_or(Ok(()), Err)
}
