//! What can go wrong with the private server.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;

use crate::streamer::Error;

#[derive(Debug)]
pub enum Fault {
    /// There is no server program on PATH.
    NoProgram,
    /// The program would not see the data there is.
    TooOld { program: PathBuf, data: PathBuf },
    /// Nobody says where the user's data is.
    NoHome,
    /// Somebody else could have put there what is taken for ours.
    NotPrivate { dir: PathBuf, why: &'static str },
    /// No directory is there whose path leaves room for a socket's name.
    NoRoomForSocket { longest: usize },
    /// Something could not be done with a file or a directory.
    File {
        what: &'static str,
        path: PathBuf,
        source: io::Error,
    },
    /// The server ended before it served.
    Ended {
        status: ExitStatus,
        log: PathBuf,
        reason: Reason,
        /// Its last words.
        said: Option<Said>,
    },
    /// There is a server on the data, and nobody listens at its socket.
    NotListening { data: PathBuf, pid: Option<u32> },
    /// The server is there, and does not do what it is asked for.
    Silent {
        socket: PathBuf,
        pid: Option<u32>,
        source: Error,
    },
    /// The server could not write to its file; as it ends, it would lose what it could not write.
    Unsaved { data: PathBuf, pid: u64 },
}

/// Why a server does not start, as far as its words are known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// The file system has no room.
    FullDisk,
    /// The append-only file is broken where nothing can be cut off.
    BrokenFile,
    /// The data was written by a server that knew more.
    OtherVersion,
    /// The log tells.
    Other,
}

/// What a server said last.
#[derive(Debug)]
pub struct Said(String);

impl fmt::Display for Said {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Said {}

impl Fault {
    pub(super) fn file(what: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::File { what, path, source }
    }

    pub(super) fn ended(status: ExitStatus, log: PathBuf, said: &str) -> Self {
        Self::Ended {
            status,
            log,
            reason: Reason::of(said),
            said: last_words(said).map(Said),
        }
    }
}

impl Reason {
    fn of(said: &str) -> Self {
        // Words of Redis and Valkey, from 6.2 on.
        let has = |words: &[&str]| words.iter().any(|words| said.contains(words));
        if has(&["No space left on device", "Disk quota exceeded", "File too large"]) {
            Self::FullDisk
        } else if has(&["Can't handle RDB format version", "AOF preamble format error"]) {
            Self::OtherVersion
        } else if has(&["check-aof", "Bad file format", "Unexpected end of file", "AOF manifest"]) {
            Self::BrokenFile
        } else {
            Self::Other
        }
    }
}

/// The last warning of a log, else its last line: `12:M 30 Nov 2026 20:10:23.123 # Bad file format …`.
fn last_words(said: &str) -> Option<String> {
    let warning = said.lines().rev().find_map(|line| Some(line.split_once(" # ")?.1));
    let line = warning.or_else(|| said.lines().rev().find(|line| !line.trim().is_empty()))?;
    Some(line.trim().to_owned())
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoProgram => {
                f.write_str("--local needs a server, and neither valkey-server nor redis-server is on PATH")
            }
            Self::TooOld { program, data } => write!(
                f,
                "{} is older than the data in {}, and would not see it",
                program.display(),
                data.display()
            ),
            Self::NoHome => f.write_str("where is the data of the local server to be? there is no home directory"),
            Self::NotPrivate { dir, why } => write!(f, "the local server cannot use {}: {why}", dir.display()),
            Self::NoRoomForSocket { longest } => {
                write!(
                    f,
                    "no path is short enough for the socket of the local server: {longest} bytes at most"
                )
            }
            Self::File { what, path, .. } => write!(f, "cannot {what} {}", path.display()),
            Self::Ended { status, .. } => write!(f, "the local server ended as it started ({status})"),
            Self::NotListening { data, .. } => write!(
                f,
                "a local server is at work on {}, and does not listen at its socket",
                data.display()
            ),
            Self::Silent { socket, .. } => {
                write!(
                    f,
                    "the local server at {} does not do what it is asked for",
                    socket.display()
                )
            }
            Self::Unsaved { data, .. } => write!(
                f,
                "the local server cannot write to {}: if it ended now, what it took last would be lost",
                data.display()
            ),
        }
    }
}

impl std::error::Error for Fault {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::File { source, .. } => Some(source),
            Self::Silent { source, .. } => Some(source),
            Self::Ended { said: Some(said), .. } => Some(said),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn last_words_are_those_of_a_warning() {
        let log = "12:C 30 Nov 2026 20:10:23.123 # Warning: overcommit\n\
                   12:M 30 Nov 2026 20:10:23.200 # Bad file format reading the append only file a.aof: use redis-check-aof\n\
                   12:M 30 Nov 2026 20:10:23.201 * bye\n\n";
        let words = last_words(log).unwrap_or_default();
        assert!(words.starts_with("Bad file format"), "{words}");
        assert_eq!(Reason::of(log), Reason::BrokenFile);
        assert_eq!(last_words("sh: not found\n").as_deref(), Some("sh: not found"));
        assert_eq!(last_words("\n"), None);
        assert_eq!(Reason::of("write: No space left on device"), Reason::FullDisk);
        assert_eq!(Reason::of("Can't handle RDB format version 80"), Reason::OtherVersion);
    }
}
