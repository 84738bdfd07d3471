//! Stdout as messages go there, shared by all members.

use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::line;
use crate::streamer::{Ending, Entry, Output, Stop, Unwritten};
use crate::ui::{Data, Look, Ui};

/// Stdout, as a member sees it.
#[derive(Clone)]
pub struct Stdout {
    data: Arc<Mutex<Data>>,
    look: Look,
    stop: Stop,
    /// Why the last write failed, where that was not for the want of a reader.
    failure: Arc<Mutex<Option<io::Error>>>,
}

impl Stdout {
    /// Ends the run when whoever reads has gone, even while it waits for messages.
    pub fn open(ui: Ui, stop: &Stop) -> io::Result<Self> {
        let data = ui.data()?;
        let ended = stop.clone();
        data.when_closed(move || ended.end(Ending::ReaderGone))?;
        Ok(Self {
            data: Arc::new(Mutex::new(data)),
            look: ui.look(),
            stop: stop.clone(),
            failure: Arc::default(),
        })
    }

    /// Whether somebody may still read what is in the pipe.
    pub fn has_reader(&self) -> bool {
        lock(&self.data).has_reader()
    }

    /// Why a write failed, if one did.
    pub fn take_failure(&self) -> Option<io::Error> {
        lock(&self.failure).take()
    }
}

impl Output for Stdout {
    fn line(&self, out: &mut Vec<u8>, stream: &str, entry: &Entry<'_>) {
        if self.look.is_exact() {
            return line::write(out, stream, entry);
        }
        let mut exact = Vec::new();
        line::write(&mut exact, stream, entry);
        self.look.json(&exact, out);
    }

    /// A reader that does not read is not waited for once a signal asks to end.
    fn write(&mut self, lines: &[u8]) -> Result<(), Unwritten> {
        let mut data = lock(&self.data);
        let Err(error) = data.show_unless(lines, || self.stop.signal().is_some()) else {
            return Ok(());
        };
        let ending = match (error.kind(), self.stop.ending()) {
            (io::ErrorKind::BrokenPipe, _) => Ending::ReaderGone,
            (io::ErrorKind::Interrupted, Some(ending)) => ending,
            _ => {
                *lock(&self.failure) = Some(error);
                Ending::Halted
            }
        };
        Err(Unwritten {
            written: data.written(),
            has_reader: data.has_reader(),
            ending,
        })
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
