//! `subscribe`: creates the group where it is missing.

use crate::commands::Context;
use crate::options::GroupArgs;
use crate::partitions::{Streams, expand, parse_streams};
use crate::streamer::{Ending, Existing, Point, Subscribed, subscribe};

/// Create a consumer group, and its stream, if it does not exist
///
/// An existing group is left as it is, so that a program can do this each time it starts.
#[derive(clap::Args)]
#[command(after_long_help = "\
Examples:
  redis-streamer subscribe orders -l billing
  redis-streamer subscribe orders returns -g audit --from beginning
  redis-streamer subscribe orders -l billing --reset --from -1h")]
pub struct Args {
    /// The streams; 'orders:{0..15}' for orders:0 to orders:15
    #[arg(required = true, value_name = "STREAM", value_parser = parse_streams)]
    streams: Vec<Streams>,
    #[command(flatten)]
    group: GroupArgs,
    /// Where the group begins
    ///
    /// latest, beginning, an entry ID, a time (RFC 3339), or a time ago such as -15m
    #[arg(long, value_name = "POINT", default_value = "latest", allow_hyphen_values = true)]
    from: Point,
    /// Move an existing group to --from
    ///
    /// What comes after is delivered, even if it was delivered before
    #[arg(long)]
    reset: bool,
}

pub fn run(args: Args, context: &Context) -> anyhow::Result<Ending> {
    let streams = expand(&args.streams, context.ui);
    let groups: Result<Vec<_>, _> = streams.iter().map(|stream| args.group.require(stream)).collect();
    let groups = groups?;
    let existing = if args.reset { Existing::Move } else { Existing::Keep };
    let mut connections = context.connect_to(&streams[0])?;
    for (stream, group) in streams.iter().zip(groups) {
        let subscribed = connections.at(stream, |connection| {
            subscribe(connection, stream, &group, args.from, existing)
        })?;
        let done = match subscribed {
            Subscribed::Created => format!("created group {group} on {stream}, from {}", args.from),
            Subscribed::Moved => format!("moved group {group} on {stream} to {}", args.from),
            Subscribed::Kept => format!("group {group} on {stream} exists, left as it is"),
        };
        context.ui.status(&done);
    }
    Ok(Ending::Enough)
}
