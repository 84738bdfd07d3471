//! Files that are written: to their end behind what an earlier run left, or replaced as a whole; on disk when it matters.

use std::fs::{self, File};
use std::io::{self, BufWriter, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;

use crate::failure::Failure;
use crate::streamer::random;
use crate::ui::Ui;

/// A file that grows.
pub struct Growing {
    name: String,
    file: BufWriter<File>,
    /// Whether it is one, and no pipe or device.
    is_file: bool,
}

impl Growing {
    /// Opens a file to write behind what earlier runs left in it. What stands behind that was written after the last
    /// checkpoint, and is written again; what is missing, somebody took away: it is said, and not written again.
    pub fn open(path: &Path, length: &mut u64, ui: Ui) -> anyhow::Result<Self> {
        let name = path.display().to_string();
        let file = File::options().create(true).truncate(false).write(true).open(path);
        let file = file.with_context(|| format!("cannot write {name}"))?;
        let found = file.metadata()?;
        let mut growing = Self {
            name,
            file: BufWriter::new(file),
            is_file: found.is_file(),
        };
        if growing.is_file && found.len() < *length {
            ui.warning(&format!(
                "{} has {} bytes, and earlier runs wrote {length}: what is missing is not written again",
                growing.name,
                found.len(),
            ));
        }
        *length = found.len().min(*length);
        growing.cut(*length)?;
        Ok(growing)
    }

    /// Takes away what stands behind so many bytes.
    pub fn cut(&mut self, length: u64) -> anyhow::Result<()> {
        if !self.is_file {
            return Ok(());
        }
        let cut = self.file.flush().and_then(|()| {
            let file = self.file.get_mut();
            file.set_len(length)?;
            file.seek(SeekFrom::End(0)).map(drop)
        });
        cut.with_context(|| format!("cannot write {}", self.name))
    }

    pub fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.file.write_all(bytes)
    }

    pub fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }

    /// What was written survives a power cut.
    pub fn sync(&mut self) -> anyhow::Result<()> {
        let synced = self.file.flush().and_then(|()| {
            if self.is_file {
                self.file.get_ref().sync_data()?;
            }
            Ok(())
        });
        synced.with_context(|| format!("cannot write {}", self.name))
    }
}

/// A file that is replaced as a whole, and locked as long as this is there: a kill or a power cut leaves the old one or
/// the new one.
pub struct Replaced {
    /// Where it is, whatever links lead there.
    path: PathBuf,
    /// The file, locked.
    file: File,
}

impl Replaced {
    /// Opens a file, which need not be there, and locks it; its contents too.
    pub fn open(path: &Path) -> anyhow::Result<(Self, Vec<u8>)> {
        let name = path.display();
        let mut file = locked(path, &name.to_string())?;
        let mut contents = Vec::new();
        file.read_to_end(&mut contents)
            .with_context(|| format!("cannot read the checkpoint {name}"))?;
        let path = fs::canonicalize(path).with_context(|| format!("cannot find {name}"))?;
        Ok((Self { path, file }, contents))
    }

    pub fn replace(&mut self, contents: &[u8]) -> anyhow::Result<()> {
        let directory = self.path.parent().unwrap_or(Path::new("/"));
        let temporary = directory.join(temporary_name(&self.path));
        let replaced = self.write(&temporary, contents).and_then(|file| {
            fs::rename(&temporary, &self.path)?;
            self.file = file;
            File::open(directory)?.sync_all()
        });
        if replaced.is_err() {
            let _ = fs::remove_file(&temporary);
        }
        replaced.with_context(|| format!("cannot write the checkpoint {}", self.path.display()))
    }

    /// Writes a new file, locked from the first. Never one that is there.
    fn write(&self, path: &Path, contents: &[u8]) -> io::Result<File> {
        let mut file = File::options().create_new(true).write(true).open(path)?;
        flock(&file, FlockOperation::NonBlockingLockExclusive)?;
        file.set_permissions(self.file.metadata()?.permissions())?;
        file.write_all(contents)?;
        file.sync_all()?;
        Ok(file)
    }
}

/// Opens and locks a file. One that is replaced by its user meanwhile is not the one to lock.
fn locked(path: &Path, name: &str) -> anyhow::Result<File> {
    loop {
        let file = File::options()
            .create(true)
            .truncate(false)
            .read(true)
            .write(true)
            .open(path);
        let file = file.with_context(|| format!("cannot open the checkpoint {name}"))?;
        let opened = file.metadata()?;
        if !opened.is_file() {
            return Err(Failure::usage(format!("--checkpoint takes a file, and {name} is none")).into());
        }
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(Errno::WOULDBLOCK) => {
                return Err(
                    Failure::data(format!("the checkpoint {name} is in use by another send-batch"))
                        .hint("wait until that one has ended, or give each sending a --checkpoint of its own")
                        .into(),
                );
            }
            Err(error) => return Err(error).with_context(|| format!("cannot lock the checkpoint {name}")),
        }
        let there = fs::metadata(path);
        if there.is_ok_and(|there| (there.dev(), there.ino()) == (opened.dev(), opened.ino())) {
            return Ok(file);
        }
    }
}

fn temporary_name(path: &Path) -> String {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let short: String = name.chars().take(40).collect();
    format!(".{short}.{:016x}", random())
}
