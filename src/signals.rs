//! SIGINT and SIGTERM: the first asks the command to end in good order, the second ends it at once.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

/// Whether the command was asked to end, and by whom.
#[derive(Clone)]
pub struct Stop {
    state: Arc<(Mutex<State>, Condvar)>,
}

struct State {
    reason: Option<Reason>,
    /// Brings whatever the command waits for to an end; runs once.
    wake: Option<Box<dyn FnOnce() + Send>>,
}

/// Why to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// A signal asked for it.
    Signal(i32),
    /// Another part of the command has ended it.
    Halted,
}

impl Stop {
    /// Listens for signals from now on. `wake` runs once, on a thread of its own; `at_last` before a second
    /// signal ends the process.
    pub fn listen(wake: impl FnOnce() + Send + 'static, at_last: impl Fn() + Send + 'static) -> std::io::Result<Self> {
        let state = State {
            reason: None,
            wake: Some(Box::new(wake)),
        };
        let stop = Self {
            state: Arc::new((Mutex::new(state), Condvar::new())),
        };
        let heard = stop.clone();
        let mut signals = Signals::new([SIGINT, SIGTERM])?;
        thread::Builder::new().spawn(move || {
            for signal in signals.forever() {
                if heard.signal().is_some() {
                    // The second one. Nothing is lost by this: what was not acknowledged stays pending.
                    at_last();
                    let _ = signal_hook::low_level::emulate_default_handler(signal);
                }
                heard.set(Reason::Signal(signal));
            }
        })?;
        Ok(stop)
    }

    /// Ends the other parts of the command.
    pub fn halt(&self) {
        self.set(Reason::Halted);
    }

    /// A signal outranks a halt: the exit code tells of it.
    fn set(&self, reason: Reason) {
        let mut state = self.lock();
        if !matches!(state.reason, Some(Reason::Signal(_))) {
            state.reason = Some(reason);
        }
        drop(state);
        self.wake();
        self.state.1.notify_all();
    }

    /// Brings whatever the command waits for to an end, as if it were asked to end.
    pub fn wake(&self) {
        if let Some(wake) = self.lock().wake.take() {
            // Without a thread the command ends when what it waits for does.
            let _ = thread::Builder::new().spawn(wake);
        }
    }

    /// Why to end, if at all.
    pub fn reason(&self) -> Option<Reason> {
        self.lock().reason
    }

    /// The signal that asked to end, if one did.
    pub fn signal(&self) -> Option<i32> {
        match self.reason() {
            Some(Reason::Signal(signal)) => Some(signal),
            Some(Reason::Halted) | None => None,
        }
    }

    /// Sleeps, but not past a reason to end.
    pub fn sleep(&self, duration: Duration) {
        if duration.is_zero() {
            return;
        }
        // What matters is read by `reason` afterwards.
        drop(
            self.state
                .1
                .wait_timeout_while(self.lock(), duration, |state| state.reason.is_none()),
        );
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
