//! Standard input, for work that can be asked to end while it waits for more.

use std::fs::File;
use std::io::{self, PipeReader, Read};
use std::os::fd::AsFd;

use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;

pub struct Input {
    file: File,
    /// Closed at its other end when the work is asked to end.
    ended: PipeReader,
}

impl Input {
    /// Also gives what ends the wait for input.
    pub fn stdin() -> io::Result<(Self, impl FnOnce() + Send + use<>)> {
        let (ended, end) = io::pipe()?;
        let file = File::from(io::stdin().as_fd().try_clone_to_owned()?);
        Ok((Self { file, ended }, move || drop(end)))
    }

    /// Waits for input and reads what is there, 0 bytes at its end; `None` when the work was asked to end.
    pub fn read(&mut self, buffer: &mut [u8]) -> io::Result<Option<usize>> {
        loop {
            let mut fds = [
                PollFd::new(&self.ended, PollFlags::IN),
                PollFd::new(&self.file, PollFlags::IN),
            ];
            match poll(&mut fds, None) {
                Err(Errno::INTR) => continue,
                polled => polled?,
            };
            if !fds[0].revents().is_empty() {
                return Ok(None);
            }
            match self.file.read(buffer) {
                Err(error) if matches!(error.kind(), io::ErrorKind::Interrupted | io::ErrorKind::WouldBlock) => {}
                read => return read.map(Some),
            }
        }
    }
}
