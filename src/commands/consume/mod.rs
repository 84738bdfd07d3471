//! `consume`: prints messages, or runs a command for each; in a group, or reading plainly.
//!
//! [`plain`] reads without a group. [`member`] is one consumer's life in a group: joining, taking over what
//! others left, lost connections, and [`leaving`]. [`printer`] and [`handlers`] are what it does with the messages,
//! [`lanes`] runs one of them for each group, and [`Run`](run::Run) is what all share.

mod alarm;
mod handlers;
mod horizon;
mod lanes;
mod leaving;
mod member;
mod output;
mod plain;
mod printer;
mod reservations;
mod run;

use std::num::{NonZeroU64, NonZeroUsize};
use std::time::Duration;

use crate::commands::Context;
use crate::failure::Failure;
use crate::options::{GroupArgs, parse_count, parse_name};
use crate::streamer::{Point, group, parse_duration};

/// Print the messages of streams, or run a command for each
///
/// With a group (-g or -l): new messages, and those that crashed consumers left behind; each is acknowledged
/// when its line is written, or when its command exited with 0. The group must exist: see subscribe. Without a
/// group: a plain read that leaves no trace.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  redis-streamer consume orders -l billing | jq .body
  redis-streamer consume orders --from beginning -e > orders.jsonl
  redis-streamer consume orders --last 10
  redis-streamer consume orders -l ci -n 1 --timeout 30s | jq -e .body.ok
  redis-streamer consume orders returns -g audit --ack manual
  redis-streamer consume orders -l billing --jobs 8 -- ./bill
  redis-streamer consume orders -l billing \\
    --max-deliveries 3 --dead-letter orders:dead -- ./bill")]
pub struct Args {
    /// The streams
    #[arg(required = true, value_name = "STREAM", value_parser = parse_name)]
    streams: Vec<String>,
    #[command(flatten)]
    group: GroupArgs,
    /// End after N messages
    #[arg(short = 'n', long, value_name = "N", value_parser = parse_count::<NonZeroUsize>)]
    max: Option<NonZeroUsize>,
    /// Stop once everything that was in the streams at the start is read, and with a handler settled
    #[arg(short, long)]
    exit_on_empty: bool,
    /// Fail (exit 4) if -n was not reached within DURATION
    #[arg(long, value_name = "DURATION", value_parser = parse_duration, requires = "max")]
    timeout: Option<Duration>,
    /// Take only messages whose name matches GLOB (* and ?); in a group the others are acknowledged unseen, for all its consumers
    #[arg(long = "match", value_name = "GLOB")]
    matching: Option<String>,
    /// Read up to N entries at a time [default: 1000]
    #[arg(long, value_name = "N", value_parser = parse_count::<NonZeroUsize>)]
    count: Option<NonZeroUsize>,
    /// Wait at the server for so long before asking again
    #[arg(long, value_name = "DURATION", default_value = "5s", value_parser = parse_duration)]
    block: Duration,
    /// Pause after everything there is was read, before asking again
    #[arg(long, value_name = "DURATION", default_value = "0s", value_parser = parse_duration)]
    rest: Duration,
    /// Keep trying to reach a lost server for so long
    #[arg(long, value_name = "DURATION", default_value = "60s", value_parser = parse_duration)]
    reconnect_for: Duration,

    /// Begin at POINT: latest, beginning, an entry ID, a time (RFC 3339), or a time ago such as -15m [default: latest; beginning with --to]
    #[arg(long, value_name = "POINT", allow_hyphen_values = true, help_heading = PLAIN)]
    from: Option<Point>,
    /// Stop behind POINT, which is included; never wait for what is not there yet
    #[arg(long, value_name = "POINT", allow_hyphen_values = true, help_heading = PLAIN)]
    to: Option<Point>,
    /// Begin N entries before the end
    #[arg(long, value_name = "N", value_parser = parse_count::<NonZeroUsize>, conflicts_with = "from", help_heading = PLAIN)]
    last: Option<NonZeroUsize>,

    /// The consumer's name [default: a new one each time: LISTENER.HOST.PID.RANDOM]
    #[arg(short, long, value_name = "NAME", value_parser = parse_name, help_heading = GROUP)]
    consumer: Option<String>,
    /// When a message is acknowledged
    #[arg(long, value_name = "WHEN", default_value = "success", help_heading = GROUP)]
    ack: AckMode,
    /// Take over entries that other consumers left pending for so long, or off: only those they handed back [default: 5m; off with --ack manual]
    #[arg(long, value_name = "DURATION", value_parser = parse_claim_idle, help_heading = GROUP)]
    claim_idle: Option<ClaimIdle>,
    /// What to do when the group does not exist, or vanishes: fail, or create it from a point
    #[arg(long, value_name = "ACTION", default_value = "fail", help_heading = GROUP)]
    on_nogroup: OnNoGroup,
    /// Process no entry twice: consult and keep the group's ledger of processed entries over WINDOW
    #[arg(long, value_name = "WINDOW", num_args = 0..=1, require_equals = true, default_missing_value = "7d", value_parser = parse_duration, help_heading = GROUP)]
    dedup: Option<Duration>,

    /// Run this command for each message, in place of printing it: the line is its stdin, and exit status 0
    /// acknowledges the message; anything else leaves it to be tried again
    #[arg(last = true, value_name = "CMD", help_heading = HANDLERS)]
    command: Vec<String>,
    /// Run up to N handlers at a time
    #[arg(long, value_name = "N", value_parser = parse_count::<NonZeroUsize>, default_value = "1", requires = "command", help_heading = HANDLERS)]
    jobs: NonZeroUsize,
    /// End a handler that runs longer, with its whole process group: TERM, then KILL
    #[arg(long, value_name = "DURATION", value_parser = parse_duration, requires = "command", help_heading = HANDLERS)]
    handler_timeout: Option<Duration>,
    /// Wait so long before a failed message is tried again, twice as long each time, an hour at most
    #[arg(long, value_name = "DURATION", default_value = "1s", value_parser = parse_duration, requires = "command", help_heading = HANDLERS)]
    retry_delay: Duration,
    /// Try a message N times at most; then it goes to the dead letters [default: try for ever]
    #[arg(long, value_name = "N", value_parser = parse_count::<NonZeroU64>, requires = "dead_letter", help_heading = HANDLERS)]
    max_deliveries: Option<NonZeroU64>,
    /// Add messages that failed too often to STREAM, with where they came from and why, and acknowledge them
    #[arg(long, value_name = "STREAM", value_parser = parse_name, requires = "max_deliveries", requires = "command", help_heading = HANDLERS)]
    dead_letter: Option<String>,
}

const HANDLERS: &str = "Options for handlers";
const PLAIN: &str = "Options without a group";
const GROUP: &str = "Options with a group";

/// When a message is acknowledged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum AckMode {
    /// When its line is written, or its command exited with 0: at least once
    Success,
    /// By the ack command alone: at least once
    Manual,
    /// As it is read: at most once
    Read,
}

/// What to do when the group does not exist.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum OnNoGroup {
    /// Fail
    Fail,
    /// Create it; what is in the stream already is passed over
    Latest,
    /// Create it; what is in the stream is delivered, again if need be
    Beginning,
}

/// From when on other consumers' entries are taken over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClaimIdle {
    /// Never.
    Off,
    /// When they were idle for so long.
    After(Duration),
}

/// How long an entry is left with its consumer, unless told otherwise.
const CLAIM_IDLE: Duration = Duration::from_secs(5 * 60);

/// A time within which what is at work here is surely kept from being stale; where `--claim-idle` is shorter, our own
/// entries must be told from those of others.
const SAFE_CLAIM_IDLE: Duration = Duration::from_secs(1);

fn parse_claim_idle(text: &str) -> Result<ClaimIdle, crate::streamer::InvalidDuration> {
    match text {
        "off" => Ok(ClaimIdle::Off),
        _ => parse_duration(text).map(ClaimIdle::After),
    }
}

/// Runs the command.
pub fn run(args: Args, context: &Context) -> anyhow::Result<()> {
    match args.group.label() {
        None => {
            args.refuse_group_options()?;
            plain::run(&args, context)
        }
        Some(label) => {
            args.refuse_plain_options()?;
            let name = match &args.consumer {
                Some(name) => Name::Given(name.clone()),
                None => Name::Made(group::new_consumer(label)),
            };
            lanes::run(&args, context, name)
        }
    }
}

/// A consumer's name, and whether it is to outlive this run.
#[derive(Clone, Debug)]
pub enum Name {
    /// The user's.
    Given(String),
    /// This run's alone.
    Made(String),
}

impl Name {
    /// The name.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Given(name) | Self::Made(name) => name,
        }
    }
}

impl Args {
    fn refuse_group_options(&self) -> Result<(), Failure> {
        let given = [
            (self.consumer.is_some(), "--consumer"),
            (self.ack != AckMode::Success, "--ack"),
            (self.claim_idle.is_some(), "--claim-idle"),
            (self.on_nogroup != OnNoGroup::Fail, "--on-nogroup"),
            (self.dedup.is_some(), "--dedup"),
            (!self.command.is_empty(), "a handler"),
        ];
        refuse(&given, "needs a group: add -g GROUP or -l NAME")
    }

    fn refuse_plain_options(&self) -> Result<(), Failure> {
        let given = [
            (self.from.is_some(), "--from"),
            (self.to.is_some(), "--to"),
            (self.last.is_some(), "--last"),
        ];
        refuse(
            &given,
            "is for reading without a group: a group begins where `subscribe --from` put it",
        )?;
        if let Some(grave) = &self.dead_letter
            && self.streams.contains(grave)
        {
            return Err(Failure::usage(format!(
                "--dead-letter {grave} is consumed here: what fails would come back again and again"
            )));
        }
        let claims = matches!(self.claim_idle, Some(ClaimIdle::After(_)));
        let handler = !self.command.is_empty();
        match self.ack {
            AckMode::Manual if handler => Err(Failure::usage(
                "a handler's exit status settles its message: --ack manual does not go with it",
            )),
            AckMode::Read if self.max_deliveries.is_some() => Err(Failure::usage(
                "--ack read delivers once: --max-deliveries does not go with it",
            )),
            AckMode::Read if self.max.is_some() && self.streams.len() > 1 => Err(Failure::usage(
                "--ack read with -n reads one stream: a read of several may bring more, and what is read is done",
            )),
            AckMode::Manual if self.dedup.is_some() => Err(Failure::usage(
                "--dedup counts what is printed as processed: --ack manual does not go with it",
            )),
            AckMode::Read if claims => Err(Failure::usage(
                "--claim-idle delivers again, --ack read delivers at most once",
            )),
            _ => Ok(()),
        }
    }

    /// How long other consumers' entries are left alone. What was handed back is taken over in any case.
    fn claim_idle(&self) -> Duration {
        match (self.claim_idle, self.ack) {
            (Some(ClaimIdle::After(idle)), _) => idle,
            (None, AckMode::Success) => CLAIM_IDLE,
            (Some(ClaimIdle::Off), _) | (None, _) => group::HANDED_BACK_IDLE,
        }
    }
}

fn refuse(given: &[(bool, &str)], why: &str) -> Result<(), Failure> {
    match given.iter().find(|(is_given, _)| *is_given) {
        Some((_, option)) => Err(Failure::usage(format!("{option} {why}"))),
        None => Ok(()),
    }
}
