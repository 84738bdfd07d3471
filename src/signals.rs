//! SIGINT, SIGTERM and SIGHUP: the first asks the command to end in good order, the second ends it at once.

use std::mem::MaybeUninit;
use std::thread;

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use crate::failure;
use crate::streamer::{Ending, Stop};

/// Listens for signals from now on, and asks for an end when one comes. `at_first` runs before that, `at_last` before
/// a second signal ends the process.
///
/// SIGHUP is no second signal: where a terminal goes, or systemd stops a service with `SendSIGHUP=`, it comes along with
/// another.
pub fn listen(
    stop: &Stop,
    at_first: impl Fn() + Send + 'static,
    at_last: impl Fn() + Send + 'static,
) -> std::io::Result<()> {
    let stop = stop.clone();
    let mut signals = Signals::new([SIGINT, SIGTERM])?;
    if !is_ignored(SIGHUP) {
        signals.add_signal(SIGHUP)?;
    }
    let hear = move || {
        for signal in signals.forever() {
            if stop.signal().is_none() {
                at_first();
                stop.end(Ending::Signal(signal));
            } else if signal != SIGHUP {
                // Nothing is lost by this: what was not acknowledged stays pending.
                at_last();
                die_of(signal);
                #[expect(clippy::exit, reason = "the first process of a container does not die of signals")]
                std::process::exit(failure::code_of(Ending::Signal(signal)).into());
            }
        }
    };
    thread::Builder::new().spawn(hear).map(drop)
}

/// Ends this process by a signal, as if nobody had caught it: shells stop their scripts then, and systemd counts it as a
/// clean end. Returns where that is not possible: the first process of a container does not die of signals.
pub fn die_of(signal: i32) {
    if !rustix::process::getpid().is_init() {
        let _ = signal_hook::low_level::emulate_default_handler(signal);
    }
}

/// Whether whoever started this process wants a signal to be ignored, as `nohup` does.
#[expect(unsafe_code, reason = "no safe function asks what is done about a signal")]
fn is_ignored(signal: i32) -> bool {
    let mut action = MaybeUninit::<libc::sigaction>::zeroed();
    // SAFETY: without a new action it is only asked for the one there is, which goes where there is room for it.
    let asked = unsafe { libc::sigaction(signal, std::ptr::null(), action.as_mut_ptr()) };
    // SAFETY: all zeros are an action, too, should nothing have been written there.
    asked == 0 && unsafe { action.assume_init() }.sa_sigaction == libc::SIG_IGN
}
