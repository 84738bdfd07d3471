//! The sources of a batch, and what is read of them.

use std::fs::File;
use std::io;
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context as _;
use memchr::memchr;
use rustix::buffer::spare_capacity;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;

use super::checkpoint::Place;
use super::record::Encoded;
use crate::line::LineError;

/// How much input one batch takes: some 800 messages of 150 bytes. Larger batches gain nothing measurable and
/// delay the first reply.
const CHUNK: usize = 128 * 1024;

/// How many records one batch takes, however short they are.
pub const MOST_RECORDS: usize = 4096;

/// The longest record: what Redis takes in one argument, `proto-max-bulk-len`, 512 MiB by default.
pub const LONGEST_RECORD: usize = 512 * 1024 * 1024;

/// What the reading thread tells the sending one.
pub enum Event {
    /// Records, encoded.
    Batch(Box<Batch>),
    /// All input was read, or all before a record that ends it.
    End,
    /// A source could not be read further.
    Failed(anyhow::Error),
    /// A signal asks to end.
    Stop,
}

/// Records of one source, as read and as sent.
#[derive(Default)]
pub struct Batch {
    /// Which source.
    pub source: usize,
    /// The header of the source, where it has one.
    pub header: Option<Arc<[u8]>>,
    /// Complete records, as read.
    pub input: Vec<u8>,
    /// Their commands.
    pub packed: Vec<u8>,
    /// What became of each record that is something, in order.
    pub records: Vec<Record>,
    /// Where the XTRIM stands that ends the commands, if one does.
    pub trim_at: Option<usize>,
    /// The last record, be it nothing.
    pub last_row: std::ops::Range<usize>,
    /// Where the batch ends in the input.
    pub end: Place,
}

/// A record of a batch.
pub struct Record {
    /// Its line, from 1.
    pub line: u64,
    /// Where it stands in the batch's input.
    pub input: std::ops::Range<usize>,
    /// Its command, or why there is none.
    pub command: Result<Command, LineError>,
}

/// The command of a record, in the batch's buffer.
#[derive(Clone, Debug)]
pub struct Command {
    /// Where it stands.
    pub packed: std::ops::Range<usize>,
    /// Its fields and its ID.
    pub encoded: Encoded,
}

/// The sources, opened before anything is sent.
pub struct Input {
    /// In order.
    pub sources: Vec<Source>,
    /// How far an earlier run sent them.
    pub resume: Place,
}

/// A file, or stdin.
pub struct Source {
    /// What messages call it.
    pub name: String,
    file: File,
    /// Whether nothing of it was read.
    is_fresh: bool,
}

/// Spreadsheets and some editors begin their files with a byte order mark, which is no part of the first record.
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

impl Input {
    /// Opens files; stdin if none are named.
    pub fn open(files: &[PathBuf]) -> anyhow::Result<Self> {
        let stdin = [PathBuf::from("-")];
        let files = if files.is_empty() { &stdin } else { files };
        let sources: anyhow::Result<Vec<_>> = files.iter().map(|path| Source::open(path)).collect();
        Ok(Self {
            sources: sources?,
            resume: Place::default(),
        })
    }

    /// What messages call the sources.
    pub fn names(&self) -> Vec<String> {
        self.sources.iter().map(|source| source.name.clone()).collect()
    }

    /// The size of all sources, if all are files.
    pub fn total_bytes(&self) -> Option<u64> {
        self.sources
            .iter()
            .map(|source| {
                source
                    .file
                    .metadata()
                    .ok()
                    .filter(std::fs::Metadata::is_file)
                    .map(|data| data.len())
            })
            .sum()
    }

    /// Whether a path leads to one of the sources.
    pub fn reads(&self, path: &Path) -> bool {
        let Ok(wanted) = std::fs::metadata(path) else {
            return false;
        };
        self.sources
            .iter()
            .any(|source| source.file.metadata().is_ok_and(|data| is_same(&data, &wanted)))
    }
}

/// Whether two paths lead to one file, be it there or not.
pub fn lead_to_one(a: &Path, b: &Path) -> bool {
    match (std::fs::metadata(a), std::fs::metadata(b)) {
        (Ok(a), Ok(b)) => is_same(&a, &b),
        _ => matches!((std::path::absolute(a), std::path::absolute(b)), (Ok(a), Ok(b)) if a == b),
    }
}

/// Devices take whatever is written to them, as often as you like.
fn is_same(a: &std::fs::Metadata, b: &std::fs::Metadata) -> bool {
    a.is_file() && (a.dev(), a.ino()) == (b.dev(), b.ino())
}

impl Source {
    fn open(path: &Path) -> anyhow::Result<Self> {
        let (name, file) = match path.to_str() {
            Some("-") => (
                "stdin".to_owned(),
                File::from(io::stdin().as_fd().try_clone_to_owned()?),
            ),
            _ => {
                let name = path.display().to_string();
                let file = File::open(path).with_context(|| format!("cannot open {name}"))?;
                if file.metadata().is_ok_and(|data| data.is_dir()) {
                    anyhow::bail!("cannot read {name}: it is a directory");
                }
                (name, file)
            }
        };
        Ok(Self {
            name,
            file,
            is_fresh: true,
        })
    }

    /// Whether a read would return at once. Files always do; a pipe may keep us waiting.
    fn is_ready(&self) -> bool {
        let mut fds = [PollFd::new(&self.file, PollFlags::IN)];
        let now = Timespec { tv_sec: 0, tv_nsec: 0 };
        poll(&mut fds, Some(&now)).is_ok_and(|ready| ready > 0)
    }

    fn wait(&self) -> io::Result<()> {
        poll(&mut [PollFd::new(&self.file, PollFlags::IN)], None)?;
        Ok(())
    }

    /// Reads until a chunk is full or the source has no more for now, so that a line which arrives slowly is
    /// not held for a full batch. False at the end.
    pub fn fill(&mut self, input: &mut Vec<u8>) -> anyhow::Result<bool> {
        let start = input.len();
        // Doubling, so that a long record is not looked at again and again.
        let full = CHUNK.max(2 * start);
        input.reserve_exact(full - start);
        let mut more = true;
        // No record is complete without a line break: to return before would be to search the same bytes again.
        let mut is_complete = false;
        while more && input.len() < full && (!is_complete || self.is_ready()) {
            let before = input.len();
            match rustix::io::read(&self.file, spare_capacity(input)) {
                Ok(read) => more = read > 0,
                Err(Errno::INTR) => {}
                // Whoever opened it for us set it not to block.
                Err(Errno::AGAIN) => self.wait()?,
                Err(error) => {
                    return Err(io::Error::from(error)).with_context(|| format!("cannot read {}", self.name));
                }
            }
            is_complete = is_complete || memchr(b'\n', &input[before..]).is_some();
        }
        if std::mem::take(&mut self.is_fresh) && input[start..].starts_with(BYTE_ORDER_MARK) {
            input.drain(start..start + BYTE_ORDER_MARK.len());
        }
        Ok(more)
    }
}
