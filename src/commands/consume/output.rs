//! Stdout as messages go there, shared by all members.

use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::format::{Format, Found};
use crate::render::counted;
use crate::streamer::{Ending, Entry, Lease, Output, Stop, Unwritten};
use crate::ui::{Data, Look, Records, Ui};

/// Stdout, as a member sees it.
#[derive(Clone)]
pub struct Stdout {
    data: Arc<Mutex<Data>>,
    look: Look,
    format: Arc<Format>,
    /// Where the records end that this member has made and not written, unless each is a line.
    ends: Vec<usize>,
    /// How many entries had no body, though it was asked for.
    bodiless: Arc<AtomicU64>,
    stop: Stop,
    /// Without which nothing may be printed.
    lease: Option<Arc<Lease>>,
    /// Why the last write failed, where that was not for the want of a reader.
    failure: Arc<Mutex<Option<io::Error>>>,
}

impl Stdout {
    /// Ends the run when whoever reads has gone, even while it waits for messages.
    pub fn open(ui: Ui, stop: &Stop, format: Format) -> io::Result<Self> {
        let data = ui.data()?;
        let ended = stop.clone();
        data.when_closed(move || ended.end(Ending::ReaderGone))?;
        Ok(Self {
            data: Arc::new(Mutex::new(data)),
            look: ui.look(),
            format: Arc::new(format),
            ends: Vec::new(),
            bodiless: Arc::default(),
            stop: stop.clone(),
            lease: None,
            failure: Arc::default(),
        })
    }

    /// Adds the record of an entry for a program, wherever stdout goes.
    pub fn exact(&self, out: &mut Vec<u8>, stream: &str, entry: &Entry<'_>) {
        self.make(out, stream, entry, Look::EXACT);
    }

    fn make(&self, out: &mut Vec<u8>, stream: &str, entry: &Entry<'_>, look: Look) {
        if self.format.write(out, stream, entry, look) == Found::NoBody {
            self.bodiless.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Says how many entries had no body, if it was asked for: each was an empty record.
    pub fn tell_of_bodiless(&self, ui: Ui) {
        match self.bodiless.load(Ordering::Relaxed) {
            0 => {}
            count => ui.warning(&format!(
                "{} without a body of JSON: an empty line for each; read without --body to see what they hold",
                counted(count, "entry")
            )),
        }
    }

    /// The same, for as long as a lease is held.
    pub fn under(&self, lease: &Arc<Lease>) -> Self {
        Self {
            lease: Some(lease.clone()),
            ..self.clone()
        }
    }

    fn is_lease_over(&self) -> bool {
        self.lease.as_ref().is_some_and(|lease| lease.is_over())
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
    fn line(&mut self, out: &mut Vec<u8>, stream: &str, entry: &Entry<'_>) {
        self.make(out, stream, entry, self.look);
        if !self.format.is_lines() {
            self.ends.push(out.len());
        }
    }

    /// A reader that does not read is not waited for once a signal asks to end.
    fn write(&mut self, lines: &[u8]) -> Result<(), Unwritten> {
        let ends = std::mem::take(&mut self.ends);
        let records = if self.format.is_lines() {
            Records::Lines
        } else {
            Records::EndAt(&ends)
        };
        let mut data = lock(&self.data);
        // It was looked at before others were waited for.
        if self.is_lease_over() {
            return Err(Unwritten {
                written: 0,
                has_reader: true,
                ending: Ending::Halted,
            });
        }
        let give_up = || self.stop.signal().is_some() || self.is_lease_over();
        let Err(error) = data.show_unless(lines, records, give_up) else {
            return Ok(());
        };
        let ending = match (error.kind(), self.stop.ending()) {
            (io::ErrorKind::BrokenPipe, _) => Ending::ReaderGone,
            (io::ErrorKind::Interrupted, Some(ending)) => ending,
            (io::ErrorKind::Interrupted, None) => Ending::Halted,
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
