//! Locks on files, which end with whoever holds them, however that comes about.

use std::fs::File;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;

use super::Fault;

/// A file that is locked until all who share it have closed it.
pub struct Held(pub File);

/// Waits for a lock as long as it takes.
pub fn wait(path: &Path) -> Result<Held, Fault> {
    let file = open(path)?;
    loop {
        match flock(&file, FlockOperation::LockExclusive) {
            Err(Errno::INTR) => {}
            Err(error) => return Err(Fault::file("lock", path)(error.into())),
            Ok(()) => return Ok(Held(file)),
        }
    }
}

/// Takes a lock that nobody else has.
pub fn take(path: &Path) -> Result<Option<Held>, Fault> {
    let file = open(path)?;
    loop {
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => return Ok(Some(Held(file))),
            Err(Errno::WOULDBLOCK) => return Ok(None),
            Err(Errno::INTR) => {}
            Err(error) => return Err(Fault::file("lock", path)(error.into())),
        }
    }
}

fn open(path: &Path) -> Result<File, Fault> {
    let mut options = File::options();
    options.read(true).write(true).create(true).truncate(false).mode(0o600);
    options.open(path).map_err(Fault::file("open", path))
}
