//! The sources of a batch, and what is read of them.

use std::fs::{self, File, Metadata};
use std::io::{self, Seek, SeekFrom};
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use memchr::memchr;
use rustix::buffer::spare_capacity;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;

use crate::streamer::producer::{MOST_BYTES, Rewind};

/// The longest record: what Redis takes in one argument, `proto-max-bulk-len`, 512 MiB by default.
pub const LONGEST_RECORD: usize = 512 * 1024 * 1024;

/// The sources, opened before anything is sent.
pub struct Input {
    /// In order.
    pub sources: Vec<Source>,
}

/// A file, or stdin.
pub struct Source {
    /// What messages call it.
    pub name: String,
    file: File,
    /// Where it began: whoever opened stdin may have read some of it.
    start: u64,
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
        Ok(Self { sources: sources? })
    }

    /// Whether all of it can be read again: files can, pipes cannot.
    pub fn can_rewind(&self) -> Rewind {
        match self.total_bytes() {
            Some(_) => Rewind::Done,
            None => Rewind::Impossible,
        }
    }

    /// What messages call the sources.
    pub fn names(&self) -> Vec<String> {
        self.sources.iter().map(|source| source.name.clone()).collect()
    }

    /// The size of all sources, if all are files.
    pub fn total_bytes(&self) -> Option<u64> {
        let size = |source: &Source| {
            let data = source.file.metadata().ok().filter(Metadata::is_file)?;
            Some(data.len())
        };
        self.sources.iter().map(size).sum()
    }

    /// Whether a path leads to one of the sources.
    pub fn reads(&self, path: &Path) -> bool {
        let Ok(wanted) = fs::metadata(path) else {
            return false;
        };
        self.sources
            .iter()
            .any(|source| source.file.metadata().is_ok_and(|data| is_same(&data, &wanted)))
    }
}

/// Whether two paths lead to one file, be it there or not.
pub fn lead_to_one(a: &Path, b: &Path) -> bool {
    match (fs::metadata(a), fs::metadata(b)) {
        (Ok(a), Ok(b)) => is_same(&a, &b),
        _ => matches!((std::path::absolute(a), std::path::absolute(b)), (Ok(a), Ok(b)) if a == b),
    }
}

/// Devices take whatever is written to them, as often as you like.
fn is_same(a: &Metadata, b: &Metadata) -> bool {
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
            start: (&file).stream_position().unwrap_or(0),
            file,
            is_fresh: true,
        })
    }

    /// Goes back to the beginning.
    pub fn rewind(&mut self) -> anyhow::Result<()> {
        self.is_fresh = true;
        let sought = (&self.file).seek(SeekFrom::Start(self.start));
        sought
            .map(drop)
            .with_context(|| format!("cannot read {} again", self.name))
    }

    /// Whether a read would return at once. Files always do; a pipe may keep us waiting.
    pub fn is_ready(&self) -> bool {
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
        let full = MOST_BYTES.max(2 * start);
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
