//! Why and when a running piece of work ends: asked once, seen by all its threads. Knows nothing of signals;
//! whoever hears one says so here.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// Why work ended that did not fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// All that was asked for is done.
    Enough,
    /// A signal asked for it.
    Signal(i32),
    /// Whoever read the output has gone.
    ReaderGone,
    /// Another part of the work failed, and says so itself.
    Halted,
    /// The time limit passed before all was done.
    TimeUp,
}

/// How work ends early: by a failure, or in good order.
#[derive(Debug)]
pub enum Halt<E> {
    Failed(E),
    Ended(Ending),
}

impl<E> From<E> for Halt<E> {
    fn from(error: E) -> Self {
        Self::Failed(error)
    }
}

/// How long a server's answer is waited for once the work is asked to end.
const PATIENCE: Duration = Duration::from_secs(5);

/// Whether to end, shared by all threads of a piece of work.
#[derive(Clone, Default)]
pub struct Stop {
    shared: Arc<(Mutex<State>, Condvar)>,
}

#[derive(Default)]
struct State {
    ending: Option<Ending>,
    /// When the end was asked for.
    asked: Option<Instant>,
    is_woken: bool,
    /// Bring whatever is waited for to an end; each runs once.
    wakers: Vec<Box<dyn FnOnce() + Send>>,
}

impl Stop {
    /// Runs `waker` once, on a thread of its own, when the work is asked to end or to wake up.
    pub fn on_wake(&self, waker: impl FnOnce() + Send + 'static) {
        self.lock().wakers.push(Box::new(waker));
    }

    /// Asks for an end. A signal outranks other reasons: the exit code tells of it.
    pub fn end(&self, ending: Ending) {
        let mut state = self.lock();
        state.asked.get_or_insert_with(Instant::now);
        if !matches!(state.ending, Some(Ending::Signal(_))) {
            state.ending = Some(ending);
        }
        drop(state);
        self.wake();
    }

    /// Brings whatever is waited for to an end, as if the work were asked to end.
    pub fn wake(&self) {
        let mut state = self.lock();
        state.is_woken = true;
        let wakers = std::mem::take(&mut state.wakers);
        drop(state);
        self.shared.1.notify_all();
        for waker in wakers {
            // Without a thread, what is waited for ends by itself.
            let _ = thread::Builder::new().spawn(waker);
        }
    }

    /// Why to end, if at all.
    pub fn ending(&self) -> Option<Ending> {
        self.lock().ending
    }

    /// When the end was asked for, if it was.
    pub fn asked(&self) -> Option<Instant> {
        self.lock().asked
    }

    /// Until when to wait for an answer that was waited for since `begun`, if the work is to end.
    pub fn last_answer(&self, begun: Instant) -> Option<Instant> {
        self.asked().map(|asked| asked.max(begun) + PATIENCE)
    }

    /// The signal that asked to end, if one did.
    pub fn signal(&self) -> Option<i32> {
        match self.ending() {
            Some(Ending::Signal(signal)) => Some(signal),
            _ => None,
        }
    }

    /// Sleeps, but not past a reason to end or to wake up.
    pub fn sleep(&self, duration: Duration) {
        self.sleep_while(duration, |state| state.ending.is_none() && !state.is_woken);
    }

    /// Sleeps, but not past a reason to end: a pause that nobody is to cut short who only wants to wake up sleepers.
    pub fn pause(&self, duration: Duration) {
        self.sleep_while(duration, |state| state.ending.is_none());
    }

    fn sleep_while(&self, duration: Duration, is_on: impl Fn(&State) -> bool) {
        if duration.is_zero() {
            return;
        }
        // What matters is read by `ending` afterwards.
        let slept = self
            .shared
            .1
            .wait_timeout_while(self.lock(), duration, |state| is_on(state));
        drop(slept);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.shared.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
