//! SIGINT and SIGTERM: the first asks the command to end in good order, the second ends it at once.

use std::sync::Arc;
use std::sync::atomic::{AtomicI32, Ordering};
use std::thread;

use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

/// Whether the command was asked to end, and by which signal.
#[derive(Clone, Debug, Default)]
pub struct Stop {
    signal: Arc<AtomicI32>,
}

impl Stop {
    /// Listens from now on. `wake` runs once, on the first signal, on a thread of its own: it must bring
    /// whatever the command waits for to an end.
    pub fn listen(wake: impl FnOnce() + Send + 'static) -> std::io::Result<Self> {
        let stop = Self::default();
        let seen = stop.signal.clone();
        let mut signals = Signals::new([SIGINT, SIGTERM])?;
        thread::spawn(move || {
            let mut wake = Some(wake);
            for signal in signals.forever() {
                match wake.take() {
                    Some(wake) => {
                        seen.store(signal, Ordering::SeqCst);
                        thread::spawn(wake);
                    }
                    // Nothing is lost by this: what was not acknowledged stays pending.
                    None => {
                        let _ = signal_hook::low_level::emulate_default_handler(signal);
                    }
                }
            }
        });
        Ok(stop)
    }

    /// The signal that asked to end, if one did.
    pub fn signal(&self) -> Option<i32> {
        match self.signal.load(Ordering::SeqCst) {
            0 => None,
            signal => Some(signal),
        }
    }
}
