//! Standard output: into a pipe, a file or a terminal.

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::FileTypeExt;
use std::thread;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;

use super::{Look, progress};

/// Standard output. Writes go straight to the descriptor: once a write returned, the data left this process.
pub struct Data {
    file: File,
    kind: Kind,
    look: Look,
    /// How much of the last write went out, in a pipe or a file.
    written: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Terminal,
    /// Or a socket, as some programs give their children.
    Pipe,
    File,
}

/// Where the records of a text end.
#[derive(Clone, Copy, Debug)]
pub enum Records<'a> {
    /// With each line.
    Lines,
    /// At these places, in order.
    EndAt(&'a [usize]),
}

impl Records<'_> {
    /// The last end in a piece of the text.
    fn last_end(self, text: &[u8], start: usize, most: usize) -> Option<usize> {
        match self {
            Self::Lines => memchr::memrchr(b'\n', &text[start..most]).map(|at| start + at + 1),
            Self::EndAt(ends) => {
                let before = ends.partition_point(|end| *end <= most);
                ends[..before].last().copied().filter(|end| *end > start)
            }
        }
    }
}

/// What a pipe takes without waiting once it says that it is writable, `PIPE_BUF` of Linux and above that of
/// others; POSIX also has it that such a write is not torn apart.
const PIPE_TAKES: usize = 4096;
/// How often a full pipe is left to look whether to give up.
const LOOK_UP: Timespec = Timespec {
    tv_sec: 0,
    tv_nsec: 50_000_000,
};

impl Data {
    pub fn stdout(look: Look) -> io::Result<Self> {
        let stdout = io::stdout();
        let file = File::from(stdout.as_fd().try_clone_to_owned()?);
        Ok(Self {
            kind: match file.metadata()?.file_type() {
                _ if look.is_terminal => Kind::Terminal,
                kind if kind.is_fifo() || kind.is_socket() => Kind::Pipe,
                _ => Kind::File,
            },
            file,
            look,
            written: 0,
        })
    }

    /// Writes text, whatever it takes: the exact bytes into a pipe or file; on a terminal, control characters are
    /// escaped as JSON would, so that a message cannot command it.
    pub fn write(&mut self, text: &[u8]) -> io::Result<()> {
        self.write_unless(text, || false)
    }

    /// As [`write`](Self::write), but a pipe that nobody empties is waited for only until `give_up` says so; then the
    /// error is [`io::ErrorKind::Interrupted`].
    pub fn write_unless(&mut self, text: &[u8], give_up: impl Fn() -> bool) -> io::Result<()> {
        if !self.look.is_terminal {
            return self.show_unless(text, Records::Lines, give_up);
        }
        let mut safe = Vec::with_capacity(text.len());
        self.look.text(text, &mut safe);
        self.show_unless(&safe, Records::Lines, give_up)
    }

    /// Writes JSON, coloured where that is wanted.
    pub fn write_json(&mut self, json: &[u8]) -> io::Result<()> {
        let mut shown = Vec::with_capacity(json.len());
        self.look.json(json, &mut shown);
        self.show(&shown)
    }

    /// Writes what is safe on a terminal as it stands: our own words, coloured or not, and what [`Look`] made so.
    pub fn show(&mut self, text: &[u8]) -> io::Result<()> {
        self.show_unless(text, Records::Lines, || false)
    }

    /// As [`show`](Self::show), until `give_up` says so.
    pub fn show_unless(&mut self, text: &[u8], records: Records<'_>, give_up: impl Fn() -> bool) -> io::Result<()> {
        self.written = 0;
        match self.kind {
            Kind::File => write_counting(&self.file, text, &mut self.written),
            Kind::Pipe => self.write_to_pipe(text, records, give_up),
            Kind::Terminal => {
                let mut written = Ok(());
                progress::aside(|| written = write_all(&self.file, text));
                written
            }
        }
    }

    /// How many bytes of the last write went out, although it may have failed. On a terminal nobody can tell.
    pub fn written(&self) -> usize {
        // The piece that failed was refused as a whole by a pipe.
        self.written
    }

    /// Writes in pieces that cannot block, each of whole records where they fit, so that giving up leaves none half
    /// written.
    fn write_to_pipe(&mut self, text: &[u8], records: Records<'_>, give_up: impl Fn() -> bool) -> io::Result<()> {
        while self.written < text.len() {
            let start = self.written;
            let most = text.len().min(start + PIPE_TAKES);
            let end = records.last_end(text, start, most).unwrap_or(most);
            self.wait_until_writable(&give_up)?;
            write_all(&self.file, &text[start..end])?;
            self.written = end;
        }
        Ok(())
    }

    fn wait_until_writable(&self, give_up: impl Fn() -> bool) -> io::Result<()> {
        loop {
            match poll(&mut [PollFd::new(&self.file, PollFlags::OUT)], Some(&LOOK_UP)) {
                Ok(0) | Err(Errno::INTR) if give_up() => return Err(io::ErrorKind::Interrupted.into()),
                Ok(0) | Err(Errno::INTR) => {}
                Ok(_) => return Ok(()),
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Whether whoever reads this is still there. A pipe tells without being written to; a file has no reader to lose.
    pub fn has_reader(&self) -> bool {
        !is_closed(&self.file, Some(&Timespec::default()))
    }

    /// Runs `then`, on a thread of its own, when whoever reads this has gone.
    pub fn when_closed(&self, then: impl FnOnce() + Send + 'static) -> io::Result<()> {
        let file = self.file.try_clone()?;
        let watch = move || {
            if is_closed(&file, None) {
                then();
            }
        };
        thread::Builder::new().spawn(watch).map(drop)
    }
}

/// Whether a pipe's reader has gone; waits for it, at most for some time.
fn is_closed(file: &File, most: Option<&Timespec>) -> bool {
    let mut fds = [PollFd::new(file, PollFlags::empty())];
    while poll(&mut fds, most).is_err() {}
    // A pipe has an error then, a socket hangs up.
    fds[0].revents().intersects(PollFlags::ERR | PollFlags::HUP)
}

fn write_all(file: &File, bytes: &[u8]) -> io::Result<()> {
    write_counting(file, bytes, &mut 0)
}

/// Writes everything, also where whoever opened stdout for us set it not to block; counts what went out.
fn write_counting(mut file: &File, bytes: &[u8], written: &mut usize) -> io::Result<()> {
    *written = 0;
    while *written < bytes.len() {
        match file.write(&bytes[*written..]) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(more) => *written += more,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                poll(&mut [PollFd::new(&file, PollFlags::OUT)], None)?;
            }
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_end_where_records_do() {
        let text = b"a\nb\nc\n";
        assert_eq!(Records::Lines.last_end(text, 0, 5), Some(4));
        assert_eq!(Records::Lines.last_end(text, 4, 5), None);
        let ends = Records::EndAt(&[4, 6]);
        assert_eq!(ends.last_end(text, 0, 3), None);
        assert_eq!(ends.last_end(text, 0, 5), Some(4));
        assert_eq!(ends.last_end(text, 4, 5), None);
        assert_eq!(ends.last_end(text, 4, 6), Some(6));
    }
}
