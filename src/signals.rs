//! SIGINT and SIGTERM: the first asks the command to end in good order, the second ends it at once.

use std::thread;

use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use crate::streamer::{Ending, Stop};

/// Listens for signals from now on, and asks for an end when one comes. `at_last` runs before a second signal ends
/// the process.
pub fn listen(stop: &Stop, at_last: impl Fn() + Send + 'static) -> std::io::Result<()> {
    let stop = stop.clone();
    let mut signals = Signals::new([SIGINT, SIGTERM])?;
    let hear = move || {
        for signal in signals.forever() {
            if stop.signal().is_some() {
                // The second one. Nothing is lost by this: what was not acknowledged stays pending.
                at_last();
                let _ = signal_hook::low_level::emulate_default_handler(signal);
            }
            stop.end(Ending::Signal(signal));
        }
    };
    thread::Builder::new().spawn(hear).map(drop)
}
