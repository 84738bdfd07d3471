//! Options that several commands share: where to connect, which group, what to trim.

use std::num::NonZeroU32;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::str::FromStr;
use std::time::Duration;

use anyhow::Context as _;

use crate::failure::{Failure, quote};
use crate::local::{Fault, Local};
use crate::streamer::{
    Copies, Durability, EntryId, Kind, Location, RawName, Secret, Servers, Stop, Tls, Trim, Verify, names,
    parse_duration,
};
use crate::ui::{Color, Typed, Ui, Verbosity, ask_secret};

/// Options of every command.
#[derive(clap::Args)]
#[command(next_help_heading = "Connection options")]
pub struct Global {
    /// The server, or local: [default: $REDIS_STREAMER_URL]
    ///
    /// HOST:PORT will do; else redis://[USER:PASSWORD@]HOST[:PORT][/DB], rediss://… (TLS), redis+unix:///PATH,
    /// redis+cluster://HOST,… or redis+sentinel://HOST,…/SERVICE; local: is a private server of your own (--local).
    ///
    /// Without it and $REDIS_STREAMER_URL: $REDIS_URL, else redis://127.0.0.1:6379
    #[arg(short, long, global = true, value_name = "URL", display_order = 900, help_heading = None::<&str>)]
    url: Option<String>,
    /// Use a private server of your own, started when it is needed: the same as -u local:
    #[arg(long, global = true, conflicts_with = "url", hide_short_help = true)]
    local: bool,
    /// Take what is not given from this profile of the file of profiles [default: $REDIS_STREAMER_PROFILE]
    #[arg(long, global = true, value_name = "PROFILE", hide_short_help = true, value_parser = parse_name)]
    pub profile: Option<String>,
    /// What a profile says that no option does.
    #[arg(skip)]
    from_profile: FromProfile,
    /// Authenticate as this ACL user
    #[arg(long, global = true, value_name = "USER", hide_short_help = true)]
    user: Option<String>,
    /// Read the password from the first line of FILE [default: $REDISCLI_AUTH]
    #[arg(long, global = true, value_name = "FILE", hide_short_help = true)]
    password_file: Option<PathBuf>,
    /// Ask for the password at the terminal, without showing it
    #[arg(long, global = true, conflicts_with = "password_file", hide_short_help = true)]
    askpass: bool,
    /// Read the password of the sentinels from the first line of FILE
    #[arg(long, global = true, value_name = "FILE", hide_short_help = true)]
    sentinel_password_file: Option<PathBuf>,
    /// Certificate authorities to trust (PEM) instead of the system's
    #[arg(long, global = true, value_name = "FILE", hide_short_help = true)]
    cacert: Option<PathBuf>,
    /// Client certificate (PEM)
    #[arg(
        long,
        global = true,
        value_name = "FILE",
        hide_short_help = true,
        requires = "cert_key"
    )]
    cert: Option<PathBuf>,
    /// Private key of the client certificate (PEM)
    #[arg(long, global = true, value_name = "FILE", hide_short_help = true, requires = "cert")]
    cert_key: Option<PathBuf>,
    /// Do not check the server's certificate
    #[arg(long, global = true, hide_short_help = true)]
    insecure: bool,
    /// Time limit for one connection attempt
    #[arg(long, global = true, value_name = "DURATION", hide_short_help = true, default_value = "5s", value_parser = parse_duration)]
    connect_timeout: Duration,
    /// Keep trying to make the first connection for DURATION, as for a server that is just starting
    #[arg(long, global = true, value_name = "DURATION", hide_short_help = true, value_parser = parse_duration)]
    pub wait: Option<Duration>,
    /// Print only warnings and errors on stderr
    #[arg(
        short,
        long,
        global = true,
        conflicts_with = "verbose",
        hide_short_help = true,
        help_heading = "Output options"
    )]
    quiet: bool,
    /// Print on stderr what is being done
    #[arg(short, long, global = true, hide_short_help = true, help_heading = "Output options")]
    verbose: bool,
    /// When to colour what is printed
    #[arg(
        long,
        global = true,
        value_name = "WHEN",
        default_value = "auto",
        hide_short_help = true,
        help_heading = "Output options"
    )]
    color: Color,
}

/// What a profile can say of the server that no option can.
#[derive(Clone, Debug, Default)]
pub struct FromProfile {
    /// A command that prints the password.
    pub password_command: Option<Vec<String>>,
    pub sentinel_user: Option<String>,
}

pub const DEFAULT_URL: &str = "redis://127.0.0.1:6379";
/// The URLs of the private server.
const LOCAL_URLS: [&str; 2] = ["local:", "local://"];
/// Where the URL and the password are looked for, beside the options.
pub const URL_VARIABLES: [&str; 2] = ["REDIS_STREAMER_URL", "REDIS_URL"];
pub const PASSWORD_VARIABLE: &str = "REDISCLI_AUTH";

/// Whether a URL means the private server.
pub fn is_local(url: &str) -> bool {
    LOCAL_URLS.contains(&url)
}

impl Global {
    /// Adds what a profile says of the server that no option does.
    pub fn with(mut self, from_profile: FromProfile) -> Self {
        self.from_profile = from_profile;
        self
    }

    /// Whether another program is asked for the password.
    pub fn runs_a_command(&self) -> bool {
        self.from_profile.password_command.is_some()
    }

    pub fn ui(&self) -> Ui {
        let verbosity = match (self.quiet, self.verbose) {
            (true, _) => Verbosity::Quiet,
            (_, true) => Verbosity::Verbose,
            _ => Verbosity::Normal,
        };
        Ui::new(verbosity, self.color)
    }

    /// The private server, if it is what is meant.
    pub fn local(&self) -> anyhow::Result<Option<Local>> {
        let is_local = self.local || self.url().is_some_and(|url| is_local(&url));
        Ok(is_local.then(|| self.private_server()).transpose()?)
    }

    /// The private server, whatever server is meant.
    pub fn private_server(&self) -> Result<Local, Fault> {
        Local::of_this_user(self.patience())
    }

    fn url(&self) -> Option<String> {
        self.url.clone().or_else(|| URL_VARIABLES.iter().find_map(variable))
    }

    fn patience(&self) -> Duration {
        self.connect_timeout.max(Duration::from_millis(1))
    }

    /// The servers that are meant. The private one is not started by this.
    pub fn servers(&self, stop: &Stop) -> anyhow::Result<Servers> {
        let local = self.local()?;
        let mut location = match &local {
            Some(local) => Location::at_socket(&local.socket()?),
            None => Location::parse(self.url().as_deref().unwrap_or(DEFAULT_URL))?,
        };
        let endpoint = &mut location.endpoint;
        endpoint.connect_timeout = self.patience();
        if let Some(user) = &self.user {
            endpoint.user = Some(user.clone());
        }
        if let Some(path) = &self.password_file {
            endpoint.password = Some(read_password(path)?);
        } else if self.askpass {
            endpoint.password = Some(ask_password(endpoint.user.as_deref(), &endpoint.address.to_string())?);
        } else if let Some(command) = &self.from_profile.password_command {
            endpoint.password = Some(password_of(command)?);
        } else if endpoint.password.is_none() && local.is_none() {
            // The private server has no password: the variable is meant for others.
            endpoint.password = variable(&PASSWORD_VARIABLE).map(Secret);
        }
        if endpoint.user.is_some() {
            // A user whom the server asks for none (ACL SETUSER … nopass) may give any.
            endpoint.password.get_or_insert_with(|| Secret(String::new()));
        }
        endpoint.tls = self.tls(endpoint.tls.take())?;
        if let Some(path) = &self.sentinel_password_file {
            let Kind::Sentinel(service) = &mut location.kind else {
                return Err(
                    Failure::usage("--sentinel-password-file is for sentinels, and the URL names none")
                        .hint("use a URL such as redis+sentinel://HOST,…/SERVICE")
                        .into(),
                );
            };
            service.password = Some(read_password(path)?);
        }
        if let (Some(user), Kind::Sentinel(service)) = (&self.from_profile.sentinel_user, &mut location.kind) {
            service.user = Some(user.clone());
        }
        Ok(Servers::at(location, stop))
    }

    /// The options of TLS only mean something for a URL that asks for it: silence would leave a connection in
    /// the clear that somebody thinks is encrypted.
    fn tls(&self, tls: Option<Tls>) -> anyhow::Result<Option<Tls>> {
        let given = self.cacert.is_some() || self.cert.is_some() || self.insecure;
        match tls {
            None if given => Err(Failure::usage(
                "--cacert, --cert, --cert-key and --insecure are for TLS, and the URL asks for none",
            )
            .hint("use a URL that begins with rediss://")
            .into()),
            None => Ok(None),
            Some(tls) => Ok(Some(Tls {
                ca: self.cacert.clone(),
                identity: self.cert.clone().zip(self.cert_key.clone()),
                verify: if self.insecure { Verify::Nothing } else { tls.verify },
            })),
        }
    }
}

fn read_password(path: &Path) -> anyhow::Result<Secret> {
    let text =
        std::fs::read_to_string(path).with_context(|| format!("cannot read the password file {}", path.display()))?;
    Ok(Secret(text.lines().next().unwrap_or_default().to_owned()))
}

/// The first line that a command prints. It is run as it is given, without a shell; our stdin is not its own.
fn password_of(command: &[String]) -> anyhow::Result<Secret> {
    let (program, args) = command.split_first().context("the password command is empty")?;
    let what = || format!("the profile's password command ({})", quote(program));
    let ran = Command::new(program).args(args).stdin(Stdio::null()).output();
    let output = ran.with_context(|| format!("cannot run {}", what()))?;
    let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    if !output.status.success() {
        let failed = format!("{} failed ({})", what(), output.status);
        return Err(match said.is_empty() {
            true => Failure::data(failed).into(),
            false => anyhow::anyhow!(said).context(Failure::data(failed)),
        });
    }
    let text = String::from_utf8(output.stdout).ok();
    match text.as_deref().and_then(|text| text.lines().next()) {
        Some(password) if !password.is_empty() => Ok(Secret(password.to_owned())),
        _ => Err(Failure::data(format!("{} printed no password", what())).into()),
    }
}

fn ask_password(user: Option<&str>, server: &str) -> anyhow::Result<Secret> {
    let prompt = format!("password of {} at {server}: ", user.unwrap_or("default"));
    match ask_secret(&prompt) {
        Ok(Typed::Secret(password)) => Ok(Secret(password)),
        Ok(Typed::Nothing) => Err(Failure::usage("no password was given").into()),
        Err(error) => Err(anyhow::Error::new(error).context(
            Failure::usage("--askpass needs a terminal").hint("without one, use --password-file or $REDISCLI_AUTH"),
        )),
    }
}

pub fn variable(name: &&str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

/// Takes a number of things, one at least.
pub fn parse_count<N: FromStr>(text: &str) -> Result<N, &'static str> {
    text.parse().map_err(|_| "expected a whole number from 1 on")
}

/// Takes a name, as it stands or as `base64:…`; an empty one is a variable of the shell that was not set.
pub fn parse_name(text: &str) -> Result<String, String> {
    RawName::parse_text(text)
}

/// Which group: by its own name, or by the name of a listener.
#[derive(clap::Args, Clone, Debug)]
#[group(required = false, multiple = false)]
pub struct GroupArgs {
    /// The consumer group
    #[arg(short, long, value_name = "GROUP", value_parser = parse_name)]
    pub group: Option<String>,
    /// The group STREAM:NAME:cg, by its listener
    #[arg(short, long, value_name = "NAME", value_parser = parse_name)]
    pub listener: Option<String>,
}

impl GroupArgs {
    /// The group's name on a stream, if one was asked for.
    pub fn on(&self, stream: &str) -> Option<String> {
        match (&self.group, &self.listener) {
            (Some(group), _) => Some(group.clone()),
            (None, Some(listener)) => Some(names::of_listener(stream, listener)),
            (None, None) => None,
        }
    }

    /// The group's name on a stream, for commands that cannot do without.
    pub fn require(&self, stream: &str) -> Result<String, Failure> {
        self.on(stream).ok_or_else(which_group)
    }

    /// What stands for the listener in the names of consumers.
    pub fn label(&self) -> Option<&str> {
        self.listener.as_deref().or(self.group.as_deref())
    }
}

fn which_group() -> Failure {
    Failure::usage("which group? neither --group nor --listener is given")
        .hint("name the group with -g GROUP, or its listener with -l NAME")
}

/// The same where names need not be text.
#[derive(clap::Args, Clone, Debug)]
#[group(required = false, multiple = false)]
pub struct RawGroupArgs {
    /// The consumer group
    #[arg(short, long, value_name = "GROUP", value_parser = RawName::parse)]
    group: Option<RawName>,
    /// The group STREAM:NAME:cg, by its listener
    #[arg(short, long, value_name = "NAME", value_parser = parse_name)]
    listener: Option<String>,
}

impl RawGroupArgs {
    /// Whether no group was asked for.
    pub fn is_none(&self) -> bool {
        self.group.is_none() && self.listener.is_none()
    }

    /// The group's name on a stream, if one was asked for.
    pub fn on(&self, stream: &RawName) -> Option<RawName> {
        match (&self.group, &self.listener) {
            (Some(group), _) => Some(group.clone()),
            (None, Some(listener)) => Some(names::group_of_listener(stream, listener)),
            (None, None) => None,
        }
    }

    /// The group's name on a stream, for commands that cannot do without.
    pub fn require(&self, stream: &RawName) -> Result<RawName, Failure> {
        self.on(stream).ok_or_else(which_group)
    }

    /// The option as it was typed, for a command that is advised.
    pub fn option(&self) -> String {
        match (&self.group, &self.listener) {
            (Some(group), _) => format!("-g {}", quote(&group.typed())),
            (None, Some(listener)) => format!("-l {}", quote(listener)),
            (None, None) => String::new(),
        }
    }
}

/// When what was sent counts as safe.
#[derive(clap::Args, Clone, Copy, Debug)]
#[command(group(clap::ArgGroup::new("durability").multiple(true)))]
pub struct DurabilityArgs {
    /// Succeed only once N replicas have what was sent
    #[arg(long, value_name = "N", group = "durability", hide_short_help = true, value_parser = parse_count::<NonZeroU32>)]
    wait_replicas: Option<NonZeroU32>,
    /// Succeed only once what was sent is on the server's disk, and on that of the replicas of --wait-replicas
    #[arg(long, group = "durability", hide_short_help = true)]
    fsync: bool,
    /// Time limit for --wait-replicas and --fsync
    #[arg(long, value_name = "DURATION", default_value = "3s", hide_short_help = true, requires = "durability", value_parser = parse_time_limit)]
    wait_timeout: Duration,
}

impl DurabilityArgs {
    pub fn durability(&self) -> Option<Durability> {
        let copies = match (self.wait_replicas, self.fsync) {
            (None, false) => return None,
            (Some(replicas), false) => Copies::Replicas(replicas),
            (replicas, true) => Copies::Disk {
                replicas: replicas.map_or(0, NonZeroU32::get),
            },
        };
        Some(Durability {
            copies,
            timeout: self.wait_timeout,
        })
    }
}

/// Takes a pause between two looks.
pub fn parse_interval(text: &str) -> Result<Duration, String> {
    const SHORTEST: Duration = Duration::from_millis(100);
    match parse_duration(text) {
        Ok(interval) if interval < SHORTEST => Err("must be 100ms or more".to_owned()),
        Ok(interval) => Ok(interval),
        Err(error) => Err(error.to_string()),
    }
}

/// Takes a duration that is more than none.
fn parse_time_limit(text: &str) -> Result<Duration, String> {
    match parse_duration(text) {
        Ok(Duration::ZERO) => Err("must be more than 0".to_owned()),
        Ok(limit) => Ok(limit),
        Err(error) => Err(error.to_string()),
    }
}

/// Lost connections.
#[derive(clap::Args, Clone, Copy, Debug)]
pub struct ReconnectArgs {
    /// Keep trying to reach a lost server for DURATION
    #[arg(long, value_name = "DURATION", default_value = "60s", hide_short_help = true, value_parser = parse_duration)]
    pub reconnect_for: Duration,
}

/// What to cut off the old end of a stream.
#[derive(clap::Args, Clone, Copy, Debug)]
pub struct TrimArgs {
    /// Trim the stream to its newest N entries
    #[arg(long, value_name = "N", conflicts_with = "retention", hide_short_help = true)]
    maxlen: Option<u64>,
    /// Trim entries older than DURATION
    #[arg(long, value_name = "DURATION", hide_short_help = true, value_parser = parse_duration)]
    retention: Option<Duration>,
}

/// Which entries of a stream are to stay.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Retention {
    All,
    Newest(u64),
    Younger(Duration),
}

impl TrimArgs {
    pub fn retention(&self) -> Retention {
        match (self.maxlen, self.retention) {
            (Some(length), _) => Retention::Newest(length),
            (None, Some(age)) => Retention::Younger(age),
            (None, None) => Retention::All,
        }
    }
}

impl Retention {
    /// The server's clock in milliseconds, asked for only where the age of entries matters: their IDs are made by it.
    pub fn clock<E>(self, ask: impl FnOnce() -> Result<u64, E>) -> Result<u64, E> {
        match self {
            Self::Younger(_) => ask(),
            Self::All | Self::Newest(_) => Ok(0),
        }
    }

    /// What to trim when it is so late by that clock.
    pub fn trim(self, now_ms: u64) -> Option<Trim> {
        match self {
            Self::All => None,
            Self::Newest(length) => Some(Trim::Length(length)),
            Self::Younger(age) => {
                let oldest = now_ms.saturating_sub(age.as_millis() as u64);
                Some(Trim::Before(EntryId::at_ms(oldest)))
            }
        }
    }
}
