//! `consume`: prints messages, or runs a command for each; in groups, or reading plainly.
//!
//! What reads, claims, acknowledges and leaves is `streamer`'s consumer. Here stand what can be typed, what it means
//! ([`settings`], [`format`]), where lines go ([`output`]), how handlers are run ([`handlers`]), and what is said ([`events`]).

mod events;
mod format;
mod handlers;
mod members;
mod output;
mod settings;

use std::ffi::OsString;
use std::num::{NonZeroU64, NonZeroUsize};
use std::sync::atomic::AtomicU64;
use std::time::{Duration, Instant};

use anyhow::Context as _;

use crate::commands::streams::StreamArgs;
use crate::commands::{Context, meant_by};
use crate::failure::Failure;
use crate::options::{GroupArgs, ReconnectArgs, parse_count, parse_name};
use crate::partitions::parse_stream;
use crate::render::grouped;
use crate::signals;
use crate::streamer::{
    Ending, EntryId, Halt, Link, NamePattern, Point, Quota, Run, Tally, Unblocker, parse_duration, ready,
};
use crate::ui::Ui;

use format::FormatArgs;
use handlers::{Environment, Groups};
use members::Members;
use output::Stdout;
use settings::Plan;

/// Print the messages of streams, or run a command for each
///
/// With a group (-g or -l), prints new messages and those that crashed consumers left behind. A message is
/// acknowledged once its line is written, or once its command has exited with 0. The group must exist: see subscribe.
/// Without a group, reads the streams and leaves no trace.
#[derive(clap::Args)]
#[command(after_long_help = "\
Examples:
  redis-streamer consume orders -l billing --body | jq .order
  redis-streamer consume orders --from beginning -e > orders.jsonl
  redis-streamer consume orders -l billing \\
    --max-deliveries 3 --dead-letter orders:dead -- ./bill")]
pub struct Args {
    #[command(flatten)]
    streams: StreamArgs,
    #[command(flatten)]
    group: GroupArgs,
    /// End after N messages
    #[arg(short = 'n', long, value_name = "N", value_parser = parse_count::<NonZeroUsize>)]
    max: Option<NonZeroUsize>,
    /// End once all that was there at the start is done
    ///
    /// Without --dead-letter, a message whose handler fails gets one try: it is handed back, and the exit code is 1
    #[arg(short, long)]
    exit_on_empty: bool,
    /// Fail (exit 4) if -n takes longer
    #[arg(long, value_name = "DURATION", value_parser = parse_duration, requires = "max")]
    timeout: Option<Duration>,
    /// Take only messages of this name, with * for anything and ? for one character
    ///
    /// It can be given several times. In a group the others are acknowledged unseen, and counted in the end
    #[arg(long = "match", value_name = "GLOB", hide_short_help = true)]
    matching: Vec<NamePattern>,
    /// Read up to N entries at a time [default: as many as their sizes suggest, 1000 at most]
    #[arg(long, value_name = "N", hide_short_help = true, value_parser = parse_count::<NonZeroUsize>)]
    count: Option<NonZeroUsize>,
    /// Let each read wait at the server for DURATION, in a group for a second at most
    #[arg(long, value_name = "DURATION", default_value = "5s", hide_short_help = true, value_parser = parse_duration)]
    block: Duration,
    /// Pause for DURATION after reading all there is
    #[arg(long, value_name = "DURATION", default_value = "0s", hide_short_help = true, value_parser = parse_duration)]
    rest: Duration,
    #[command(flatten)]
    reconnect: ReconnectArgs,
    #[command(flatten)]
    format: FormatArgs,

    /// Begin at POINT, such as beginning or -15m
    ///
    /// latest, beginning, now, an entry ID, a date or time (2024-05-01, RFC 3339), or a time ago
    /// [default: latest; beginning with --to]
    #[arg(long, value_name = "POINT", allow_hyphen_values = true, help_heading = PLAIN)]
    from: Option<Point>,
    /// Begin behind the entry with this ID, there or not
    #[arg(long, value_name = "ID", conflicts_with_all = ["from", "last"], hide_short_help = true, help_heading = PLAIN)]
    after: Option<EntryId>,
    /// Stop after POINT (inclusive), without waiting for new messages
    #[arg(long, hide_short_help = true, value_name = "POINT", allow_hyphen_values = true, help_heading = PLAIN)]
    to: Option<Point>,
    /// Begin N entries before the end
    #[arg(long, value_name = "N", value_parser = parse_count::<NonZeroUsize>, conflicts_with = "from", hide_short_help = true, help_heading = PLAIN)]
    last: Option<NonZeroUsize>,

    /// The consumer's name [default: a new one each time: LISTENER.HOST.PID.RANDOM]
    #[arg(short, long, hide_short_help = true, value_name = "NAME", value_parser = parse_name, help_heading = GROUP)]
    consumer: Option<String>,
    /// When a message is acknowledged
    #[arg(long, value_name = "WHEN", default_value = "success", hide_short_help = true, help_heading = GROUP)]
    ack: AckMode,
    /// Delete each entry that every group has acknowledged
    ///
    /// Before Redis 8.2: of streams with no other group
    #[arg(long, hide_short_help = true, help_heading = GROUP)]
    delete: bool,
    /// Claim entries that other consumers left pending for DURATION; off claims only what they handed back [default: 5m; off with --ack manual]
    #[arg(long, value_name = "DURATION", hide_short_help = true, value_parser = parse_claim_idle, help_heading = GROUP)]
    claim_idle: Option<ClaimIdle>,
    /// Read each stream in one process at a time
    ///
    /// So messages are done in order, however many processes there are: of several streams each process takes its share.
    /// What fails holds back what is behind it in its stream
    #[arg(long, hide_short_help = true, help_heading = GROUP)]
    exclusive: bool,
    /// Wait for DURATION before others take over the streams of a process that is gone; the same for all of a group
    #[arg(long, value_name = "DURATION", default_value = "10s", value_parser = parse_lease, requires = "exclusive", hide_short_help = true, help_heading = GROUP)]
    lease: Duration,
    /// What to do when the group does not exist, or vanishes
    #[arg(long, value_name = "ACTION", default_value = "fail", hide_short_help = true, help_heading = GROUP)]
    on_nogroup: OnNoGroup,
    /// Process no entry twice within WINDOW [default: 7d], by the ledger of processed entries that the group keeps
    #[arg(long, value_name = "WINDOW", hide_short_help = true, num_args = 0..=1, require_equals = true, default_missing_value = "7d", value_parser = parse_duration, help_heading = GROUP)]
    dedup: Option<Duration>,

    /// Run this command for each message
    ///
    /// Its stdin is the message's line, and nothing is printed but by it. Exit status 0 acknowledges the message;
    /// after any other it is tried again
    #[arg(last = true, value_name = "CMD", help_heading = HANDLERS)]
    command: Vec<String>,
    /// Run up to N handlers at a time
    ///
    /// N is for all streams together
    #[arg(long, value_name = "N", value_parser = parse_count::<NonZeroUsize>, default_value = "1", requires = "command", help_heading = HANDLERS)]
    jobs: NonZeroUsize,
    /// Give a handler up to N messages
    ///
    /// Its stdin is a line for each; REDIS_STREAMER_COUNT says how many. Exit status 0 acknowledges them all; after any
    /// other each half is tried by itself, at once, so that a bad message takes no other with it
    #[arg(long, hide_short_help = true, value_name = "N", value_parser = parse_count::<NonZeroUsize>, requires = "command", help_heading = HANDLERS)]
    batch: Option<NonZeroUsize>,
    /// Hold a batch that is not full for DURATION at most
    #[arg(long, value_name = "DURATION", default_value = "0s", hide_short_help = true, value_parser = parse_duration, requires = "batch", help_heading = HANDLERS)]
    batch_wait: Duration,
    /// Run the command once for each of --jobs, and give it one message after the other
    ///
    /// It gets a line on stdin and answers it with a line on stdout: ok, fail REASON, later DURATION (to be tried again then,
    /// which is no failure) or dead REASON (to go to --dead-letter at once). If it ends, or answers anything else or nothing in
    /// --handler-timeout, the message has failed, and the command is started again
    #[arg(long, hide_short_help = true, requires = "command", conflicts_with = "batch", help_heading = HANDLERS)]
    worker: bool,
    /// Let a worker have up to N messages in hand, which it answers in their order
    #[arg(long, hide_short_help = true, value_name = "N", value_parser = parse_count::<NonZeroUsize>, default_value = "1", requires = "worker", help_heading = HANDLERS)]
    in_flight: NonZeroUsize,
    /// End a handler that runs longer than DURATION, with its whole process group: TERM, then KILL
    #[arg(long, value_name = "DURATION", value_parser = parse_duration, requires = "command", hide_short_help = true, help_heading = HANDLERS)]
    handler_timeout: Option<Duration>,
    /// Wait for DURATION before trying a failed message again, twice as long each time, an hour at most
    #[arg(long, value_name = "DURATION", default_value = "1s", hide_short_help = true, value_parser = parse_duration, requires = "command", help_heading = HANDLERS)]
    retry_delay: Duration,
    /// Try a message at most N times
    ///
    /// After that, it is moved to --dead-letter [default: no limit]
    #[arg(long, hide_short_help = true, value_name = "N", value_parser = parse_count::<NonZeroU64>, requires = "dead_letter", help_heading = HANDLERS)]
    max_deliveries: Option<NonZeroU64>,
    /// Give handlers only PATH, HOME, LANG, LC_*, TZ, USER, TMPDIR and the variables about the message: no credentials
    #[arg(long, requires = "command", hide_short_help = true, help_heading = HANDLERS)]
    clean_env: bool,
    /// Move what failed too often to STREAM
    ///
    /// Where they came from, and why, goes with them
    #[arg(long, hide_short_help = true, value_name = "STREAM", value_parser = parse_stream, requires = "max_deliveries", requires = "command", help_heading = HANDLERS)]
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
    /// Create it at the end of the stream
    Latest,
    /// Create it at the beginning: everything is delivered, perhaps again
    Beginning,
}

/// From when on other consumers' entries are taken over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClaimIdle {
    Off,
    /// When they were idle for so long.
    After(Duration),
}

fn parse_claim_idle(text: &str) -> Result<ClaimIdle, crate::streamer::InvalidDuration> {
    match text {
        "off" => Ok(ClaimIdle::Off),
        _ => parse_duration(text).map(ClaimIdle::After),
    }
}

/// The shortest lease: it is to be renewed before it ends, over any network.
const SHORTEST_LEASE: Duration = Duration::from_secs(1);

fn parse_lease(text: &str) -> Result<Duration, String> {
    match parse_duration(text) {
        Ok(lease) if lease < SHORTEST_LEASE => Err("a lease lasts for a second at least".to_owned()),
        Ok(lease) => Ok(lease),
        Err(error) => Err(error.to_string()),
    }
}

/// The variables of our environment that a handler gets with --clean-env: none of them holds a secret.
const CLEAN: [&str; 6] = ["PATH", "HOME", "LANG", "TZ", "USER", "TMPDIR"];

impl Args {
    /// How long a stream belongs to this process alone, if streams are to have one reader at a time.
    pub fn lease(&self) -> Option<Duration> {
        self.exclusive.then_some(self.lease)
    }

    fn environment(&self) -> Environment {
        if !self.clean_env {
            return Environment::Inherited;
        }
        let is_clean = |name: &OsString| {
            name.to_str()
                .is_some_and(|name| CLEAN.contains(&name) || name.starts_with("LC_"))
        };
        Environment::Only(std::env::vars_os().filter(|(name, _)| is_clean(name)).collect())
    }
}

/// Runs the command.
pub fn run(args: Args, context: &Context) -> anyhow::Result<Ending> {
    // What makes no sense is refused before any server is asked which streams there are.
    if let Plan::Handle(_, _, handler) = args.plan(&args.streams.typed())? {
        handler.check()?;
    }
    let format = args.format()?;
    let deadline = args.timeout.and_then(|timeout| Instant::now().checked_add(timeout));
    let streams = args.streams.find(args.dead_letter.as_deref(), context)?;
    let plan = args.plan(&streams)?;
    let stop = &context.stop;
    let stdout = Stdout::open(context.ui, stop, format).context("cannot watch stdout")?;
    let quota = Quota::new(args.max.map(NonZeroUsize::get));
    let passed_over = AtomicU64::new(0);
    let undeletable = AtomicU64::new(0);
    let unblocker = Unblocker::new(&context.servers, stop);
    // Of several, each would take its time.
    let meant_by = |stream: &str| match streams.as_slice() {
        [_] => meant_by(stream, &context.servers),
        _ => None,
    };
    let run = Run {
        servers: &context.servers,
        stop,
        unblocker: &unblocker,
        quota: &quota,
        streams: streams.len(),
        passed_over: &passed_over,
        undeletable: &undeletable,
        lease: None,
        deadline,
        reconnect_for: args.reconnect.reconnect_for,
        notify: &|notice| context.notice(notice),
        tell: &|event| events::tell(context.ui, &event, &meant_by),
    };
    // Until there is a connection, a signal ends the process as signals do.
    let link = match connect(&run, &streams[0], &plan.keys(args.exclusive), context) {
        Ok(link) => link,
        Err(Halt::Ended(ending)) => return members::told(&args, &run, ending, Tally::default()),
        Err(Halt::Failed(error)) => return Err(error.into()),
    };
    let groups = Groups::default();
    let (ui, at_first, at_last) = (context.ui, groups.clone(), groups.clone());
    let say = move || events::tell_of_work(ui, at_first.messages());
    signals::listen(stop, say, move || at_last.kill()).context("cannot listen for signals")?;
    let members = Members {
        args: &args,
        ui: context.ui,
        run,
        stdout,
        groups,
    };
    match plan {
        Plan::Plain(settings) => {
            say_where_it_begins(&args, context.ui);
            members.read_plainly(&few(settings.by_slot(run.servers))?, link)
        }
        Plan::Print(settings) => members.print(&settings, link),
        Plan::Handle(settings, dispatch, handler) => members.handle(&settings, &dispatch, handler, link),
    }
}

/// Somebody at a terminal who reads from the end on sees nothing at first, and may think that nothing is there.
fn say_where_it_begins(args: &Args, ui: Ui) {
    let is_said = args.from.is_some() || args.after.is_some() || args.to.is_some() || args.last.is_some();
    if !is_said && ui.table_width().is_some() {
        ui.status("only what is added from now on; --from beginning prints what is there");
    }
}

/// Makes the first connection, waiting for a server that is only being started as `--wait` says. Where several keys are
/// used, it tells whether they may be at several nodes.
fn connect(
    run: &Run<'_>,
    stream: &str,
    keys: &[String],
    context: &Context,
) -> Result<Link, Halt<crate::streamer::Error>> {
    context.say_connecting();
    let mut supervisor = run.supervisor();
    let link = supervisor.start(context.wait, || {
        let mut link = run.open(&[stream.to_owned()])?;
        if context.wait.is_some() {
            ready(&mut link.connection)?;
        }
        if keys.len() > 1 {
            run.servers.learn(&mut link.connection)?;
        }
        Ok(link)
    })?;
    supervisor.succeeded();
    Ok(link)
}

/// How many reads go on at the same time. Each has a thread and a connection, of which a server takes 10,000 as a rule.
const MOST_READS: usize = 1024;

pub fn few<T>(reads: Vec<T>) -> Result<Vec<T>, Failure> {
    if reads.len() <= MOST_READS {
        return Ok(reads);
    }
    Err(Failure::usage(format!(
        "these streams take {} connections, and one run makes {} at most",
        grouped(reads.len() as u64),
        grouped(MOST_READS as u64)
    ))
    .hint("give each of several runs a part of them; streams of one slot that are read with -g, or without a group, share a connection"))
}
