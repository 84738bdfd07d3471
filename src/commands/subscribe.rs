//! `subscribe`: creates the group where it is missing.

use crate::commands::Context;
use crate::options::{GroupArgs, parse_name};
use crate::streamer::{Point, Subscribed};

/// Create a consumer group where it is missing, and the stream with it
///
/// An existing group is left as it is, so that this can be said again at every start.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  redis-streamer subscribe orders -l billing
  redis-streamer subscribe orders returns -g audit --from beginning
  redis-streamer subscribe orders -l billing --reset --from -1h")]
pub struct Args {
    /// The streams
    #[arg(required = true, value_name = "STREAM", value_parser = parse_name)]
    streams: Vec<String>,
    #[command(flatten)]
    group: GroupArgs,
    /// Where the group begins: latest, beginning, an entry ID, a time (RFC 3339), or a time ago such as -15m
    #[arg(long, value_name = "POINT", default_value = "latest", allow_hyphen_values = true)]
    from: Point,
    /// Move an existing group to --from: what follows is delivered, again if need be
    #[arg(long)]
    reset: bool,
}

/// Runs the command.
pub fn run(args: Args, context: &Context) -> anyhow::Result<()> {
    let groups: Result<Vec<_>, _> = args.streams.iter().map(|stream| args.group.require(stream)).collect();
    let mut streamer = context.connect()?;
    for (stream, group) in args.streams.iter().zip(groups?) {
        let done = match streamer.subscribe(stream, &group, args.from)? {
            Subscribed::Created => format!("created group {group} on {stream}, from {}", args.from),
            Subscribed::Existing if args.reset => {
                streamer.move_group(stream, &group, args.from)?;
                format!("moved group {group} on {stream} to {}", args.from)
            }
            Subscribed::Existing => format!("group {group} on {stream} exists, left as it is"),
        };
        context.ui.status(&done);
    }
    Ok(())
}
