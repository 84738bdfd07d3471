//! What the reading thread hands to the sending one: a few batches, bounded in bytes too, and back again empty.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::streamer::producer::{Arrival, Batch, Place, Rewind, Source};

/// How many batches may wait, and how many bytes of them, in all queues together: one that is larger waits alone.
const READ_AHEAD: usize = 4;
const READ_AHEAD_BYTES: usize = 1024 * 1024;

/// The largest buffers that are used again, in bytes: those of a long record would keep their memory for the sake of
/// short ones.
const MOST_SPARE: usize = 1024 * 1024;

/// How many empty batches are kept.
const MOST_SPARE_BATCHES: usize = 8;

/// Both ends of the queue, for the sending thread.
pub struct Arrivals {
    shared: Arc<Shared>,
    rewind: Rewind,
}

/// The reading thread's end.
pub struct Outlet {
    shared: Arc<Shared>,
}

struct Shared {
    /// How many bytes may wait.
    most_bytes: usize,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    waiting: VecDeque<Event>,
    spare: VecDeque<Box<Batch>>,
    /// The reading thread is to go back.
    back_to: Option<Place>,
    /// The sending thread is to look up.
    is_woken: bool,
    /// Nobody takes batches any more.
    is_closed: bool,
}

type Event = Arrival<anyhow::Error>;

/// What the reading thread is to do.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Next {
    Go,
    /// Nothing of what was to come is wanted any more, but what is behind this place.
    Back(Place),
    End,
}

/// One of so many queues; `rewind` says whether its input can be read again.
pub fn queue(rewind: Rewind, queues: usize) -> (Outlet, Arrivals) {
    let shared = Arc::new(Shared {
        most_bytes: READ_AHEAD_BYTES / queues.max(1),
        state: Mutex::default(),
        changed: Condvar::new(),
    });
    let outlet = Outlet { shared: shared.clone() };
    (outlet, Arrivals { shared, rewind })
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait<'a>(&self, state: MutexGuard<'a, State>) -> MutexGuard<'a, State> {
        self.changed.wait(state).unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn next(&mut self) -> Option<Next> {
        if self.is_closed {
            return Some(Next::End);
        }
        self.back_to.take().map(Next::Back)
    }

    fn has_room(&self, most_bytes: usize) -> bool {
        let bytes: usize = self.waiting.iter().map(size).sum();
        self.waiting.is_empty() || (self.waiting.len() < READ_AHEAD && bytes < most_bytes)
    }
}

fn size(event: &Event) -> usize {
    match event {
        Arrival::Batch(batch) => batch.text.len() + batch.packed.len(),
        _ => 0,
    }
}

impl Outlet {
    /// Hands over, once there is room.
    pub fn push(&self, event: Event) -> Next {
        let mut state = self.shared.lock();
        loop {
            if let Some(next) = state.next() {
                return next;
            }
            if state.has_room(self.shared.most_bytes) {
                state.waiting.push_back(event);
                self.shared.changed.notify_all();
                return Next::Go;
            }
            state = self.shared.wait(state);
        }
    }

    /// Whether there is room now.
    pub fn has_room(&self) -> bool {
        self.shared.lock().has_room(self.shared.most_bytes)
    }

    /// Hands over the end of the input, and waits until it is known what to do then.
    pub fn end(&self, event: Event) -> Next {
        let next = self.push(event);
        if next != Next::Go {
            return next;
        }
        let mut state = self.shared.lock();
        loop {
            if let Some(next) = state.next() {
                return next;
            }
            state = self.shared.wait(state);
        }
    }

    /// An empty batch.
    pub fn spare(&self) -> Box<Batch> {
        let mut batch = self.shared.lock().spare.pop_back().unwrap_or_default();
        batch.clear();
        batch
    }
}

impl Arrivals {
    /// What ends the waiting for a batch.
    pub fn waker(&self) -> impl Fn() + Send + Sync + 'static {
        let shared = self.shared.clone();
        move || {
            shared.lock().is_woken = true;
            shared.changed.notify_all();
        }
    }
}

impl Source<anyhow::Error> for Arrivals {
    fn next(&mut self, wait: Duration) -> Event {
        let mut state = self.shared.lock();
        if state.waiting.is_empty() && !state.is_woken && !wait.is_zero() {
            let nothing = |state: &mut State| state.waiting.is_empty() && !state.is_woken;
            let waited = self.shared.changed.wait_timeout_while(state, wait, nothing);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        state.is_woken = false;
        let event = state.waiting.pop_front();
        self.shared.changed.notify_all();
        event.unwrap_or(Arrival::Nothing)
    }

    fn recycle(&mut self, batch: Box<Batch>) {
        if batch.text.capacity().max(batch.packed.capacity()) <= MOST_SPARE {
            let mut state = self.shared.lock();
            if state.spare.len() < MOST_SPARE_BATCHES {
                state.spare.push_back(batch);
            }
        }
    }

    fn rewind(&mut self, to: Place) -> Rewind {
        if self.rewind == Rewind::Done {
            let mut state = self.shared.lock();
            state.waiting.clear();
            state.back_to = Some(to);
            self.shared.changed.notify_all();
        }
        self.rewind
    }
}

impl Drop for Arrivals {
    fn drop(&mut self) {
        self.shared.lock().is_closed = true;
        self.shared.changed.notify_all();
    }
}
