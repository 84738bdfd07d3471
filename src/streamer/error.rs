//! What can go wrong between here and the server, typed by what a person can do about it.

use std::fmt;
use std::io;
use std::path::PathBuf;

use super::entry::EntryId;

/// A failure of the streamer. Unreachable and lost servers are named as `host:port` or by the socket's path.
#[derive(Debug)]
pub enum Error {
    /// The URL cannot be used. Never holds the URL: it may carry a password.
    InvalidUrl(String),
    /// A certificate or key could not be used.
    Certificate { path: PathBuf, reason: String },
    /// No connection could be made.
    Unreachable {
        address: String,
        /// What the system or the TLS library said.
        source: io::Error,
    },
    /// The server was reached, and no encrypted connection could be agreed on.
    Tls { address: String, source: io::Error },
    /// The connection broke. Whether what was in flight was done is not known.
    Lost {
        address: String,
        /// What the system said.
        source: io::Error,
    },
    /// None of the sentinels could be asked.
    NoSentinel { sentinels: String, source: Box<Error> },
    /// What was taken for a sentinel is none.
    NotASentinel { address: String },
    /// A sentinel does not let this user in, or not without a password.
    SentinelDenied { sentinel: String, refusal: ServerError },
    /// The sentinels know no service of this name, but these.
    NoService {
        service: String,
        sentinels: String,
        known: Vec<String>,
    },
    /// The sentinels name this server, or named it a while ago, and it is not the master.
    NotMaster { address: String, service: String },
    /// The sentinels are about to put another server in the place of the master: what that takes may be lost.
    FailingOver { service: String },
    /// The server does not let this user in, or not without a password.
    Denied(ServerError),
    /// The server does not let this user use a key.
    KeyDenied { key: String, refusal: ServerError },
    /// The stream has no such group, or there is no such stream.
    NoGroup { stream: String, group: String },
    /// The key holds something else than a stream.
    WrongType { stream: String },
    /// There is no such stream, and it was not to be created.
    NoStream { stream: String },
    /// The server lost entries that it had acknowledged: it came back without them.
    RolledBack {
        stream: String,
        /// The last ID it knows now; `None` if the stream is gone.
        known: Option<EntryId>,
    },
    /// So many replicas are not there to wait for.
    TooFewReplicas { wanted: u32, connected: u64 },
    /// The server does not tell what is on disk.
    NoFsync(NoFsync),
    /// Entries that were pending went with a consumer's name, which was removed because nothing was.
    Dropped {
        stream: String,
        consumer: String,
        entries: u64,
    },
    /// Entries are to be deleted once every group has acknowledged them, which this server cannot tell, or does not
    /// let this user ask (XACKDEL), and there are groups beside this one.
    OtherGroups { stream: String, group: String },
    /// Another redrive of the stream is at work.
    AtWork { stream: String },
    /// In a cluster no other key can be beside this stream, by its name.
    Untagged { stream: String },
    /// The stream's lease expired, or is somebody else's by now: nothing was read.
    LeaseLost { stream: String },
    /// The key is on its way to another node of the cluster, and there already.
    OnItsWay { key: String, refusal: ServerError },
    /// The server refused a command for another reason.
    Refused(ServerError),
    /// The peer answered with something that is no reply to what was asked.
    Protocol { address: String, what: &'static str },
}

/// Why a server does not tell what is on disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoFsync {
    /// It does not know WAITAOF.
    Unknown,
    /// It keeps no append-only file.
    NothingKept,
    /// It does not come round to it.
    Late,
}

/// The error reply of a server, such as `WRONGTYPE Operation against a key …`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerError {
    /// The first word: `ERR`, `NOGROUP`, `OOM` …
    pub code: String,
    /// All that follows.
    pub detail: String,
}

impl From<redis::ServerError> for ServerError {
    fn from(error: redis::ServerError) -> Self {
        Self {
            code: error.code().to_owned(),
            detail: error.details().unwrap_or_default().to_owned(),
        }
    }
}

impl ServerError {
    /// Reads the line after the `-` of an error reply.
    pub fn parse(line: &[u8]) -> Self {
        let text = String::from_utf8_lossy(line);
        // Redis 6.2 says before it where in a script a command was refused.
        let in_a_script = text
            .strip_prefix("@user_script: ")
            .and_then(|rest| rest.split_once(": -"));
        let text = in_a_script.map_or(&*text, |(_, refusal)| refusal);
        let (code, detail) = text.trim_end().split_once(' ').unwrap_or((text, ""));
        Self {
            code: code.to_owned(),
            detail: detail.to_owned(),
        }
    }

    /// The server cannot serve now and may soon: it loads its data, fails over, or is short of memory or disk.
    ///
    /// The codes are those Redis documents for states of the server rather than of the command.
    pub fn is_passing(&self) -> bool {
        matches!(
            self.code.as_str(),
            "LOADING"
                | "READONLY"
                | "OOM"
                | "MISCONF"
                | "MASTERDOWN"
                | "CLUSTERDOWN"
                | "TRYAGAIN"
                | "BUSY"
                | "NOREPLICAS"
                | "UNBLOCKED"
        ) || self.is_redirection()
            || self.is_from_a_replica()
    }

    /// What only a master can be asked, as WAIT, was asked of a replica.
    pub fn is_from_a_replica(&self) -> bool {
        self.detail.contains("cannot be used with replica instances")
    }

    /// The key is, or is about to be, at another node of the cluster. Nothing was done.
    pub fn is_redirection(&self) -> bool {
        matches!(self.code.as_str(), "MOVED" | "ASK")
    }

    /// The keys of a command, or of a transaction, are in several slots of a cluster.
    pub fn crosses_slots(&self) -> bool {
        self.code == "CROSSSLOT"
    }

    /// There is nothing at the key that the command asks about.
    pub fn is_no_such_key(&self) -> bool {
        self.detail == "no such key"
    }

    /// Why a transaction was discarded, where it is EXEC itself that was refused.
    pub fn cause(self) -> Self {
        match self.detail.split_once("because of: ") {
            Some((_, cause)) if self.code == "EXECABORT" => Self::parse(cause.as_bytes()),
            _ => self,
        }
    }

    /// What the user may not use is a key, which the server does not name.
    fn is_about_a_key(&self) -> bool {
        self.code == "NOPERM" && self.command_denied().is_none()
    }

    /// The command that this user may not use, with its subcommand as an ACL knows it.
    pub fn command_denied(&self) -> Option<&str> {
        let named = self.detail.split_once(" to run the '")?.1;
        let (command, _) = named.split_once('\'')?;
        (self.code == "NOPERM").then_some(command)
    }

    /// The user may not use a command that a script runs. Redis 7 does not say which.
    pub fn is_denied_in_a_script(&self) -> bool {
        ["executing the script can't run", "ACL failure in script"]
            .iter()
            .any(|words| self.detail.contains(words))
    }

    /// The server does not know the command or the option: it is older, or another product.
    pub fn is_unknown(&self) -> bool {
        self.code == "ERR" && (self.detail.starts_with("unknown command") || self.detail.starts_with("syntax error"))
    }
}

impl fmt::Display for ServerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.detail.as_str() {
            "" => f.write_str(&self.code),
            detail => write!(f, "{} {detail}", self.code),
        }
    }
}

impl Error {
    /// Turns a server's refusal into what it means for this stream and group.
    pub fn refused(error: ServerError, stream: &str, group: Option<&str>) -> Self {
        match (error.code.as_str(), group) {
            ("WRONGTYPE", _) => Self::WrongType {
                stream: stream.to_owned(),
            },
            ("NOGROUP", Some(group)) => Self::NoGroup {
                stream: stream.to_owned(),
                group: group.to_owned(),
            },
            ("NOPERM", _) if error.is_about_a_key() && !stream.is_empty() => Self::KeyDenied {
                key: stream.to_owned(),
                refusal: error,
            },
            ("NOAUTH" | "WRONGPASS" | "NOPERM", _) => Self::Denied(error),
            // As it is called outside scripts.
            _ if error.is_denied_in_a_script() => Self::Denied(ServerError {
                code: "NOPERM".to_owned(),
                ..error
            }),
            ("ASK", _) if !stream.is_empty() => Self::OnItsWay {
                key: stream.to_owned(),
                refusal: error,
            },
            _ => Self::Refused(error),
        }
    }

    /// Worth another try with a new connection: nothing was refused.
    pub fn is_connection(&self) -> bool {
        match self {
            Self::Unreachable { .. } | Self::Lost { .. } => true,
            Self::NoSentinel { .. } | Self::NotMaster { .. } | Self::FailingOver { .. } => true,
            // A server that hangs may come round.
            Self::Tls { source, .. } => source.kind() == io::ErrorKind::TimedOut,
            _ => false,
        }
    }

    /// What is asked about is at another node of the cluster. Nothing was done.
    pub fn is_redirection(&self) -> bool {
        matches!(self, Self::Refused(error) | Self::OnItsWay { refusal: error, .. } if error.is_redirection())
    }

    /// What only a master can be asked was asked of a replica.
    pub fn is_from_a_replica(&self) -> bool {
        matches!(self, Self::Refused(error) if error.is_from_a_replica())
    }

    /// A cluster has yet to settle where a slot is. Nothing was done.
    pub fn is_about_a_slot(&self) -> bool {
        let codes = ["TRYAGAIN", "CLUSTERDOWN"];
        self.is_redirection() || matches!(self, Self::Refused(error) if codes.contains(&error.code.as_str()))
    }

    /// Worth another try with another connection, perhaps to another node.
    pub fn is_about_the_node(&self) -> bool {
        self.is_connection() || self.is_about_a_slot()
    }

    /// Another server is the master by now, or is about to be. Nothing was done.
    pub fn is_about_the_master(&self) -> bool {
        match self {
            Self::NotMaster { .. } => true,
            Self::Refused(error) => error.code == "READONLY",
            _ => false,
        }
    }

    /// Worth another try after a while, on this connection or a new one.
    pub fn is_passing(&self) -> bool {
        match self {
            Self::Refused(error) | Self::OnItsWay { refusal: error, .. } => error.is_passing(),
            error => error.is_connection(),
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::InvalidUrl(reason) => write!(f, "the URL cannot be used: {reason}"),
            Self::Certificate { path, reason } => write!(f, "{}: {reason}", path.display()),
            Self::Unreachable { address, .. } => write!(f, "cannot connect to {address}"),
            Self::Tls { address, .. } => write!(f, "no encrypted connection to {address}"),
            Self::Lost { address, .. } => write!(f, "lost the connection to {address}"),
            Self::NoSentinel { sentinels, .. } => write!(f, "no sentinel answers of {sentinels}"),
            Self::NotASentinel { address } => write!(f, "{address} is not a sentinel"),
            Self::SentinelDenied { sentinel, refusal } => write!(f, "sentinel {sentinel} denies access: {refusal}"),
            Self::NoService { service, sentinels, .. } => {
                write!(f, "there is no service '{service}' at the sentinels {sentinels}")
            }
            Self::NotMaster { address, service } => write!(f, "{address} is not the master of {service}"),
            Self::FailingOver { service } => write!(f, "another server is becoming the master of {service}"),
            Self::Denied(error) => write!(f, "the server denies access: {error}"),
            Self::KeyDenied { key, refusal } => write!(f, "the server denies access to key '{key}': {refusal}"),
            Self::NoGroup { stream, group } => write!(f, "stream '{stream}' has no group '{group}'"),
            Self::WrongType { stream } => write!(f, "key '{stream}' is not a stream"),
            Self::NoStream { stream } => write!(f, "there is no stream '{stream}'"),
            Self::RolledBack { stream, known: None } => {
                write!(
                    f,
                    "stream '{stream}' is gone, with entries that the server had acknowledged"
                )
            }
            Self::RolledBack {
                stream,
                known: Some(known),
            } => write!(
                f,
                "the server lost entries of stream '{stream}' that it had acknowledged: its last ID is now {known}"
            ),
            Self::TooFewReplicas { wanted, connected } => {
                write!(
                    f,
                    "too few replicas answer the server: {connected} of the {wanted} asked for"
                )
            }
            Self::NoFsync(NoFsync::Unknown) => f.write_str("the server cannot tell what is on disk: it has no WAITAOF"),
            Self::NoFsync(NoFsync::NothingKept) => {
                f.write_str("the server keeps nothing on disk as it comes: appendonly is off")
            }
            Self::NoFsync(NoFsync::Late) => f.write_str("the server does not write to its disk in time"),
            Self::Dropped {
                stream,
                consumer,
                entries,
            } => write!(
                f,
                "{entries} of the entries of '{stream}' were delivered to {consumer} as its name was removed, and are pending no more"
            ),
            Self::OtherGroups { stream, group } => write!(
                f,
                "stream '{stream}' has groups beside '{group}', and without XACKDEL nobody can tell what all of them have acknowledged: nothing can be deleted as it is acknowledged"
            ),
            Self::AtWork { stream } => write!(f, "another redrive of '{stream}' is at work"),
            Self::Untagged { stream } => {
                write!(
                    f,
                    "the cluster can hold no key beside stream '{stream}', whose name has a }} and no tag"
                )
            }
            Self::LeaseLost { stream } => write!(f, "the lease of stream '{stream}' is lost"),
            Self::Refused(error) | Self::OnItsWay { refusal: error, .. } => write!(f, "the server refused: {error}"),
            Self::Protocol { address, what } => write!(f, "{address} does not answer like a Redis server: {what}"),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Unreachable { source, .. } | Self::Tls { source, .. } | Self::Lost { source, .. } => Some(source),
            Self::NoSentinel { source, .. } => Some(source),
            _ => None,
        }
    }
}
