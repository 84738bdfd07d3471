//! Every failure a person can meet: its words, its hint, its exit code. The one place that knows codes.

use std::fmt;
use std::io;
use std::path::Path;

use crate::local::{Fault, Reason};
use crate::streamer::{Ending, Error, NoFsync, RawName, TlsFault, names};

/// All that was asked for is done, or nobody wants more.
const DONE: u8 = 0;
/// Refused by the server, bad data, or part of a batch failed.
const REFUSED: u8 = 1;
/// Wrong options or arguments.
const USAGE: u8 = 2;
/// The server cannot be reached or was lost: worth a retry.
const UNREACHABLE: u8 = 3;
/// A condition that was asked for was not met.
const UNMET: u8 = 4;
/// A process ended by signal n exits with 128 + n, as shells report it.
const SIGNAL: u8 = 128;

/// Where a server is looked for if none is named.
const DEFAULT_ADDRESS: &str = "127.0.0.1:6379";

/// A failure of a command, beyond those of the streamer.
#[derive(Debug)]
pub struct Failure {
    kind: Kind,
    message: String,
    hint: Option<String>,
}

/// A failure because of a name that is not there, with a question for what may have been meant.
#[derive(Debug)]
pub struct Mistyped {
    pub question: String,
    pub failure: anyhow::Error,
}

impl fmt::Display for Mistyped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.failure.fmt(f)
    }
}

impl std::error::Error for Mistyped {}

/// What a failure means to whoever ran the command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// The options or arguments cannot be used together, or not here.
    Usage,
    /// Input or output failed, or only a part of the work was done.
    Data,
    /// A condition that was asked for was not met.
    Unmet,
    /// The server was lost while something was under way.
    Lost,
}

impl Failure {
    pub fn usage(message: impl Into<String>) -> Self {
        Self::new(Kind::Usage, message)
    }

    pub fn data(message: impl Into<String>) -> Self {
        Self::new(Kind::Data, message)
    }

    pub fn unmet(message: impl Into<String>) -> Self {
        Self::new(Kind::Unmet, message)
    }

    pub fn lost(message: impl Into<String>) -> Self {
        Self::new(Kind::Lost, message)
    }

    /// What a failed write to stdout means: a reader that has gone is a normal ending.
    pub fn stdout(error: io::Error) -> anyhow::Result<Ending> {
        if error.kind() == io::ErrorKind::BrokenPipe {
            return Ok(Ending::ReaderGone);
        }
        Err(anyhow::Error::new(error).context("cannot write to stdout"))
    }

    /// This failure, with what to try next.
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// This failure, in other words.
    pub fn saying(mut self, message: impl Into<String>) -> Self {
        self.message = message.into();
        self
    }

    fn new(kind: Kind, message: impl Into<String>) -> Self {
        Self {
            kind,
            message: message.into(),
            hint: None,
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Failure {}

/// A failure in words.
#[derive(Debug, PartialEq, Eq)]
pub struct Report {
    pub message: String,
    /// Why, from near to far.
    pub causes: Vec<String>,
    /// What to try next.
    pub hint: Option<String>,
    pub code: u8,
}

/// The exit code of a command that did not fail.
pub fn code_of(ending: Ending) -> u8 {
    match ending {
        Ending::Enough | Ending::ReaderGone => DONE,
        Ending::Signal(signal) => SIGNAL.saturating_add(u8::try_from(signal).unwrap_or(0)),
        // A part of a command ends like this; the command as a whole has a failure to report.
        Ending::Halted => REFUSED,
        Ending::TimeUp => UNMET,
    }
}

/// The exit code of what clap answers: help or the version, or that what was typed cannot be run.
pub fn code_of_answer(answer: &clap::Error) -> u8 {
    if answer.use_stderr() { USAGE } else { DONE }
}

/// Puts a failure into words.
pub fn report(error: &anyhow::Error) -> Report {
    if let Some(Mistyped { question, failure }) = error.downcast_ref() {
        let report = report(failure);
        let hint = match report.hint {
            Some(hint) => format!("{question} else {hint}"),
            None => question.clone(),
        };
        return Report {
            hint: Some(hint),
            ..report
        };
    }
    let failure = error.downcast_ref::<Failure>();
    let streamer = error.downcast_ref::<Error>();
    let local = error.downcast_ref::<Fault>();
    let code = match (failure.map(|failure| failure.kind), streamer) {
        (Some(Kind::Usage), _) => USAGE,
        (Some(Kind::Unmet), _) => UNMET,
        (Some(Kind::Lost), _) => UNREACHABLE,
        (Some(Kind::Data), _) => REFUSED,
        (None, Some(error)) => code_for(error),
        (None, None) => local.map_or(REFUSED, code_for_local),
    };
    let mut texts = error.chain().map(ToString::to_string);
    Report {
        message: texts.next().unwrap_or_default(),
        causes: texts.collect(),
        hint: failure
            .and_then(|failure| failure.hint.clone())
            .or_else(|| streamer.and_then(hint_for))
            .or_else(|| local.and_then(hint_for_local)),
        code,
    }
}

fn code_for(error: &Error) -> u8 {
    match error {
        Error::InvalidUrl(_) | Error::Certificate { .. } => USAGE,
        // Not the server that was meant, or not yet: what answers there is something else.
        Error::Protocol { .. } | Error::Tls { .. } => UNREACHABLE,
        error if error.is_passing() => UNREACHABLE,
        _ => REFUSED,
    }
}

fn code_for_local(fault: &Fault) -> u8 {
    match fault {
        // It would be no use to try again.
        Fault::NoProgram
        | Fault::TooOld { .. }
        | Fault::NoHome
        | Fault::NotPrivate { .. }
        | Fault::NoRoomForSocket { .. } => USAGE,
        Fault::File { .. } | Fault::Unsaved { .. } => REFUSED,
        Fault::Ended { .. } | Fault::NotListening { .. } | Fault::Silent { .. } => UNREACHABLE,
    }
}

/// The next thing to try after a failure of the private server.
fn hint_for_local(fault: &Fault) -> Option<String> {
    let path = |path: &Path| quote(&path.display().to_string());
    Some(match fault {
        Fault::NoProgram => {
            "install one: apt install valkey-server (or redis-server), dnf install valkey, brew install valkey; \
             or name a server with --url"
                .to_owned()
        }
        Fault::TooOld { .. } => {
            "use Redis 7 or a Valkey, as before; or name another place for the data with $XDG_DATA_HOME".to_owned()
        }
        Fault::NoHome => "set $HOME or $XDG_DATA_HOME".to_owned(),
        Fault::NotPrivate { dir, .. } => format!(
            "it has to be yours, and closed to others: chmod 700 {}; or name others with $XDG_RUNTIME_DIR and $XDG_DATA_HOME",
            path(dir)
        ),
        Fault::NoRoomForSocket { .. } => "name a directory with a shorter path with $XDG_RUNTIME_DIR".to_owned(),
        Fault::File { source, .. } if source.kind() == io::ErrorKind::StorageFull => {
            "the disk is full: make room there".to_owned()
        }
        Fault::File { .. } => "the local server keeps its data in $XDG_DATA_HOME, else in ~/.local/share, and its socket in $XDG_RUNTIME_DIR".to_owned(),
        Fault::Ended { reason, log, .. } => hint_for_end(*reason, log),
        Fault::NotListening { pid, .. } | Fault::Silent { pid, .. } => match pid {
            Some(pid) => format!("see what it does: ps {pid}; to end it: kill {pid}"),
            None => "see whether it is still at work: pgrep -a -u $USER 'valkey-server|redis-server'".to_owned(),
        },
        Fault::Unsaved { pid, .. } => {
            format!("is the disk full? make room there, and it writes within a second; to end it all the same: kill {pid}")
        }
    })
}

fn hint_for_end(reason: Reason, log: &Path) -> String {
    let data = log.parent().unwrap_or(log).display().to_string();
    let log = quote(&log.display().to_string());
    match reason {
        Reason::FullDisk => format!("the disk is full: make room for {data}"),
        Reason::BrokenFile => format!(
            "its append-only file is broken in the middle: copy {}, then see how much of it can be read with redis-check-aof (valkey-check-aof); the log is {log}",
            quote(&data)
        ),
        Reason::OtherVersion => format!(
            "the data was written by a newer server, or by the other one of Redis and Valkey: use that one; the log is {log}"
        ),
        Reason::Other => format!("see its log: {log}"),
    }
}

/// The next thing to try after a failure of the streamer.
fn hint_for(error: &Error) -> Option<String> {
    Some(match error {
        Error::InvalidUrl(_) => {
            "a server is HOST:PORT, local: (--local), or a URL: redis://[USER:PASSWORD@]HOST[:PORT][/DB], rediss://… with TLS, redis+unix:///PATH, redis+cluster://HOST,… or redis+sentinel://HOST,…/SERVICE"
                .to_owned()
        }
        Error::Certificate { .. } => "--cacert, --cert and --cert-key take files in PEM form".to_owned(),
        Error::Tls { address, source } => hint_for_tls(TlsFault::of(source), address),
        Error::Unreachable { address, source }
            if address == DEFAULT_ADDRESS && source.kind() == io::ErrorKind::ConnectionRefused =>
        {
            format!(
                "no server listens on {address}: start one of your own with --local, or name one with --url or $REDIS_STREAMER_URL"
            )
        }
        Error::Unreachable { address, .. } => {
            format!(
                "is a server listening on {address}? name another with --url or $REDIS_STREAMER_URL, or use --wait 30s to keep trying"
            )
        }
        Error::Lost { .. } => {
            "what was in flight may or may not have been done; see what is pending with `redis-streamer pending`"
                .to_owned()
        }
        Error::NoSentinel { .. } => {
            "are the sentinels running? --wait 30s keeps trying; a server without sentinels has a URL that begins with redis://"
                .to_owned()
        }
        Error::NotASentinel { address } => {
            format!("sentinels listen on port 26379 as a rule; the URL of a server by itself is redis://{address}")
        }
        Error::SentinelDenied { refusal, .. } if refusal.detail.contains("without any password configured") => {
            "the sentinels have no password: give none".to_owned()
        }
        Error::SentinelDenied { .. } => {
            "give the sentinels' password with --sentinel-password-file; their ACL user, if it is not the default one, with ?sentinel_username=NAME in the URL"
                .to_owned()
        }
        Error::NoService { known, .. } if known.is_empty() => "the sentinels watch over no service".to_owned(),
        Error::NoService { known, .. } => format!("the sentinels know: {}", known.join(", ")),
        Error::NotMaster { .. } | Error::FailingOver { .. } => "another server takes its place, as a rule within seconds: use --wait 30s".to_owned(),
        Error::KeyDenied { key, .. } => format!("grant the user the key: ACL SETUSER USER {}", quote(&pattern(key))),
        Error::Denied(refusal) if refusal.is_denied_in_a_script() => {
            "grant the user what deletes: ACL SETUSER USER '+eval' '+xack' '+xdel' '+xinfo|groups'; from Redis 8.2 on, +xackdel"
                .to_owned()
        }
        Error::Denied(refusal) if refusal.code == "NOPERM" => match refusal.command_denied() {
            Some(command) => format!(
                "grant the user the command: ACL SETUSER USER {}",
                quote(&format!("+{command}"))
            ),
            None => "grant the user the key: ACL SETUSER USER ~KEY".to_owned(),
        },
        Error::Denied(refusal) if refusal.detail.contains("without any password configured") => {
            "the server has no password for this user: give none (is $REDISCLI_AUTH set?)".to_owned()
        }
        Error::Denied(_) => {
            "give --user and --askpass, --password-file, $REDISCLI_AUTH, or a URL with user and password".to_owned()
        }
        // Which `subscribe` does not take.
        Error::NoGroup { stream, group } if [stream, group].into_iter().any(|name| RawName::parse_text(name).is_err()) => {
            format!("see which groups there are: redis-streamer pending {}", quote(stream))
        }
        Error::NoGroup { stream, group } => format!("create it: {}", subscribe_command(stream, group)),
        Error::LeaseLost { .. } => "run it again: it waits for its turn".to_owned(),
        Error::WrongType { stream } => format!("see what it is: redis-cli TYPE {}", quote(stream)),
        Error::NoStream { stream } if stream.contains(['*', '?']) => {
            "* and ? are patterns with --glob, in consume, pending and subscribe; list the streams there are: \
             redis-streamer pending"
                .to_owned()
        }
        Error::NoStream { .. } => {
            "list the streams there are: redis-streamer pending; the first message sent without --no-create makes one"
                .to_owned()
        }
        Error::Dropped { stream, .. } => format!("see what the group has: redis-streamer pending {}", quote(stream)),
        Error::TooFewReplicas { .. } => {
            "nothing was sent; see what follows this server: redis-cli INFO replication".to_owned()
        }
        Error::NoFsync(why) => hint_for_no_fsync(*why).to_owned(),
        Error::RolledBack { .. } => {
            "send what is missing again; `appendonly yes` with `appendfsync always` keeps a server from forgetting"
                .to_owned()
        }
        Error::OtherGroups { stream, .. } => format!(
            "XACKDEL comes with Redis 8.2, and takes the right +xackdel; without it, trim what all groups have acknowledged: redis-streamer trim {} --acked",
            quote(stream)
        ),
        Error::AtWork { .. } => "wait for its end; what a killed one left is taken over by the next".to_owned(),
        Error::Untagged { .. } => "a name such as {orders}:dead has a tag, which puts other keys beside it".to_owned(),
        Error::Refused(refusal) | Error::OnItsWay { refusal, .. } => {
            return hint_for_refusal(&refusal.code, &refusal.detail);
        }
        Error::Protocol { .. } => "is this the port of a Redis server? a server with TLS needs rediss://".to_owned(),
    })
}

fn hint_for_tls(fault: TlsFault, address: &str) -> String {
    match fault {
        TlsFault::Expired => "the server needs a new certificate; --insecure goes on without looking at it".to_owned(),
        TlsFault::NotValidYet => "is this machine's clock right? the certificate begins to be valid later".to_owned(),
        TlsFault::OtherHost => "use a name in the URL that the server's certificate is for".to_owned(),
        TlsFault::UnknownAuthority => {
            "give the authority that signed the server's certificate with --cacert FILE".to_owned()
        }
        TlsFault::NoClientCertificate => {
            "the server asks for a client's certificate: give one with --cert and --cert-key".to_owned()
        }
        TlsFault::NoTls => format!("{address} does not seem to speak TLS: is it redis:// and not rediss://?"),
        TlsFault::Other => {
            format!("{address} was reached, but TLS failed: do the server's version and settings of TLS fit?")
        }
    }
}

const REPLICA: &str = "this server is a replica: connect to its master";

fn hint_for_no_fsync(why: NoFsync) -> &'static str {
    match why {
        NoFsync::Unknown => "--fsync needs Redis 7.2 or a Valkey; --wait-replicas works with any server",
        NoFsync::NothingKept => {
            "turn it on: redis-cli CONFIG SET appendonly yes; or use --wait-replicas without --fsync"
        }
        NoFsync::Late => {
            "a server with `appendfsync no` leaves it to its system, which takes half a minute; --wait-timeout says how long to wait"
        }
    }
}

fn hint_for_refusal(code: &str, detail: &str) -> Option<String> {
    let hint = match code {
        "LOADING" => "the server is still loading its data: use --wait 30s",
        "READONLY" => REPLICA,
        _ if detail.contains("cannot be used with replica instances") => REPLICA,
        "OOM" => {
            "the server is out of memory (maxmemory): trim streams with --maxlen or --retention, or raise the limit"
        }
        "MISCONF" => {
            "the server cannot save its data: is its disk full? see its log (for --local: redis-streamer local)"
        }
        "MOVED" | "ASK" | "TRYAGAIN" | "CLUSTERDOWN" => {
            "the cluster has not settled which of its nodes serves the stream: try again in a while"
        }
        "CROSSSLOT" => {
            "this is a node of a cluster: allow this user CLUSTER SLOTS, by which it is told where each stream lives"
        }
        _ if detail.starts_with("SELECT is not allowed in cluster mode") => {
            "a cluster has only database 0: leave the number out of the URL"
        }
        _ if detail.starts_with("DB index is out of range") => {
            "the server has no database of this number: leave it out of the URL, or give a smaller one"
        }
        _ if detail.starts_with("This instance has cluster support disabled") => {
            "a server by itself is reached by redis:// or rediss://"
        }
        _ if detail.contains("equal or smaller than the target stream top item") => {
            "IDs must grow: the stream already holds this ID or a later one"
        }
        _ if detail.contains("must be greater than 0-0") => "the first ID there can be is 0-1",
        _ if detail.starts_with("unknown command") => "this needs a newer server: Redis 6.2 or Valkey 7.2 at least",
        _ => return None,
    };
    Some(hint.to_owned())
}

/// An ACL's word for one key: what has a meaning in patterns stands for itself.
fn pattern(key: &str) -> String {
    let escaped = key
        .chars()
        .flat_map(|c| r"*?[]\".contains(c).then_some('\\').into_iter().chain([c]));
    std::iter::once('~').chain(escaped).collect()
}

/// The command that creates a group, with `--listener` where the group's name is a listener's.
fn subscribe_command(stream: &str, group: &str) -> String {
    format!(
        "redis-streamer subscribe {} {}",
        quote(stream),
        group_option(stream, group)
    )
}

/// How a group is named on the command line: by its listener, if its name is that of one.
pub fn group_option(stream: &str, group: &str) -> String {
    match names::listener_of(stream, group) {
        Some(listener) => format!("-l {}", quote(&listener)),
        None => format!("-g {}", quote(group)),
    }
}

/// A word as a shell takes it.
pub fn quote(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "._:/@%+=,-".contains(c);
    if !word.is_empty() && !word.starts_with('-') && word.chars().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::streamer::ServerError;

    #[test]
    fn a_missing_group_names_the_command_that_makes_it() {
        assert_eq!(
            subscribe_command("orders", "orders:billing:cg"),
            "redis-streamer subscribe orders -l billing"
        );
        assert_eq!(
            subscribe_command("a b", "it's"),
            r"redis-streamer subscribe 'a b' -g 'it'\''s'"
        );
    }

    #[test]
    fn what_an_acl_lacks_is_named_in_its_words() {
        let hint =
            |text: &str, key| report(&Error::refused(ServerError::parse(text.as_bytes()), key, None).into()).hint;
        for (text, words) in [
            (
                "NOPERM this user has no permissions to run the 'xgroup|create' command",
                "'+xgroup|create'",
            ),
            ("NOPERM User eve has no permissions to run the 'xadd' command", "+xadd"),
            (
                "NOPERM this user has no permissions to run the 'xinfo' command or its subcommand",
                "+xinfo",
            ),
            ("NOPERM No permissions to access a key", r"'~a\*b'"),
            (
                "NOPERM this user has no permissions to access one of the keys used as arguments",
                r"'~a\*b'",
            ),
        ] {
            let hint = hint(text, "a*b").unwrap_or_default();
            assert!(hint.ends_with(&format!(": ACL SETUSER USER {words}")), "{text}: {hint}");
        }
        let unnamed = hint("NOPERM No permissions to access a key", "");
        assert!(unnamed.unwrap_or_default().ends_with("~KEY"));
    }

    #[test]
    fn hints_and_causes_stand_apart() {
        let report = report(&Failure::usage("no").hint("yes").into());
        assert_eq!(report.message, "no");
        assert_eq!(report.causes, Vec::<String>::new());
        assert_eq!(report.hint.as_deref(), Some("yes"));
        assert_eq!(report.code, USAGE);
    }

    #[test]
    fn endings_have_codes() {
        let codes = [Ending::Enough, Ending::ReaderGone, Ending::Signal(15)].map(code_of);
        assert_eq!(codes, [0, 0, 143]);
    }

    #[test]
    fn only_what_may_pass_is_worth_a_retry() {
        let lost = Error::Lost {
            address: "h:1".to_owned(),
            source: io::ErrorKind::ConnectionReset.into(),
        };
        for (error, code) in [
            (lost, UNREACHABLE),
            (
                Error::Refused(ServerError::parse(b"LOADING Redis is loading")),
                UNREACHABLE,
            ),
            (Error::Refused(ServerError::parse(b"ERR no")), REFUSED),
            (Error::Denied(ServerError::parse(b"WRONGPASS no")), REFUSED),
        ] {
            assert_eq!(code_for(&error), code, "{error}");
        }
    }
}
