//! How it stands with each stream, for all threads of this process.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::TurnFailure;
use super::share::{Seen, share};
use crate::streamer::consumer::lease::Lease;
use crate::streamer::consumer::member::Run;
use crate::streamer::stop::{Ending, Stop};

/// How it stands with all streams.
pub struct Board {
    state: Mutex<State>,
    changed: Condvar,
}

pub struct State {
    pub streams: Vec<Stream>,
    /// No more is taken on.
    pub is_winding_up: bool,
    failure: Option<TurnFailure>,
    ending: Option<Ending>,
}

/// How it stands with one stream.
#[derive(Default)]
pub struct Stream {
    /// What was seen of it last.
    pub seen: Seen,
    /// The lease that this process has.
    pub held: Option<Held>,
    /// Whether all that was asked for is done.
    pub is_done: bool,
}

/// A lease, and the member that works under it.
pub struct Held {
    pub lease: Arc<Lease>,
    /// Ends the member.
    pub stop: Stop,
    /// Whether the stream is to be somebody else's.
    pub is_given_up: bool,
    /// How the member ended, once it has.
    pub ended: Option<Option<Ending>>,
}

impl Board {
    pub fn new(streams: usize) -> Self {
        Self {
            state: Mutex::new(State {
                streams: (0..streams).map(|_| Stream::default()).collect(),
                is_winding_up: false,
                failure: None,
                ending: None,
            }),
            changed: Condvar::new(),
        }
    }

    pub fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for something to happen on the board, but no longer than this.
    pub fn wait(&self, most: Duration) {
        // What matters is read afterwards.
        drop(self.changed.wait_timeout(self.lock(), most));
    }

    /// The member of a stream has ended.
    pub fn member_ended(&self, place: usize, ended: Option<Ending>) {
        let mut state = self.lock();
        state.ending = match (state.ending, ended) {
            // That a turn was over is nothing to tell of.
            (before, None | Some(Ending::Enough | Ending::Halted)) => before,
            (_, ended) => ended,
        };
        if let Some(held) = &mut state.streams[place].held {
            held.ended = Some(ended);
        }
        drop(state);
        self.changed.notify_all();
    }

    /// The run cannot go on.
    pub fn fail(&self, failure: TurnFailure) {
        let mut state = self.lock();
        state.failure.get_or_insert(failure);
        state.is_winding_up = true;
        drop(state);
        self.changed.notify_all();
    }

    /// Ends what is to end: all, where the run is to end or everything is done; and members whose leases run out.
    pub fn look_after(&self, run: &Run<'_>) {
        let mut state = self.lock();
        let is_over = run.ending_or_enough().is_some() || state.failure.is_some();
        if is_over && !state.is_winding_up {
            state.is_winding_up = true;
            self.changed.notify_all();
        }
        let ending = run.stop.ending().or(state.failure.is_some().then_some(Ending::Halted));
        for held in state.streams.iter().filter_map(|stream| stream.held.as_ref()) {
            held.look_after(ending);
            if run.quota.is_used_up() && ending.is_none() {
                held.stop.wake();
            }
        }
    }

    pub fn is_winding_up(&self) -> bool {
        self.lock().is_winding_up
    }

    /// How all ended.
    pub fn ended(self, run: &Run<'_>) -> Result<Ending, TurnFailure> {
        let state = self.state.into_inner().unwrap_or_else(PoisonError::into_inner);
        match state.failure {
            Some(failure) => Err(failure),
            None if state.streams.iter().all(|stream| stream.is_done) => Ok(Ending::Enough),
            None => Ok(state.ending.or(run.ending_or_enough()).unwrap_or(Ending::Enough)),
        }
    }
}

impl State {
    /// How many streams this process has, and is to keep.
    pub fn held(&self) -> usize {
        let held = self.streams.iter().filter_map(|stream| stream.held.as_ref());
        held.filter(|held| !held.is_given_up).count()
    }

    /// Who is to have each stream, as far as this process can see.
    pub fn shares(&self) -> Vec<Option<String>> {
        // Of what is done nothing is seen any more.
        let seen = |stream: &Stream| match stream.is_done {
            true => Seen::default(),
            false => stream.seen.clone(),
        };
        let seen: Vec<Seen> = self.streams.iter().map(seen).collect();
        share(&seen).into_iter().map(|owner| owner.map(str::to_owned)).collect()
    }
}

impl Held {
    /// Ends the member where its lease runs out, or the run ends.
    fn look_after(&self, ending: Option<Ending>) {
        if self.lease.is_over() {
            self.lease.lose();
        }
        match (self.stop.ending(), ending) {
            (None, None) if self.lease.is_ending() => self.stop.end(Ending::Halted),
            (before, Some(ending)) if before != Some(ending) => self.stop.end(ending),
            _ => {}
        }
    }
}
