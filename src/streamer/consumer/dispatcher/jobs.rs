//! The jobs of a run: how many handlers may work at a time, shared by all its members. One that has a message ready
//! takes a job, or gets the next that becomes free, each in its turn.

use std::collections::{HashSet, VecDeque};
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The jobs of a run.
#[derive(Clone)]
pub struct Jobs {
    shared: Arc<Shared>,
}

struct Shared {
    total: usize,
    seats: AtomicU64,
    state: Mutex<State>,
}

struct State {
    /// None is while anybody waits.
    free: usize,
    waiting: VecDeque<(u64, Wake)>,
    /// The seats that a job is kept for, since they waited.
    kept: HashSet<u64>,
}

type Wake = Arc<dyn Fn() + Send + Sync>;

/// A member's place among those who share the jobs.
pub struct Seat {
    jobs: Jobs,
    number: u64,
    wake: Wake,
}

/// One job, taken. It is given back as this goes.
pub struct Permit {
    jobs: Jobs,
}

impl Jobs {
    pub fn new(total: usize) -> Self {
        let state = State {
            free: total,
            waiting: VecDeque::new(),
            kept: HashSet::new(),
        };
        Self {
            shared: Arc::new(Shared {
                total,
                seats: AtomicU64::new(0),
                state: Mutex::new(state),
            }),
        }
    }

    pub fn total(&self) -> usize {
        self.shared.total
    }

    /// A place for a member; `wake` is called when a job is free that it waited for.
    pub fn seat(&self, wake: impl Fn() + Send + Sync + 'static) -> Seat {
        Seat {
            jobs: self.clone(),
            number: self.shared.seats.fetch_add(1, Ordering::Relaxed),
            wake: Arc::new(wake),
        }
    }

    /// A job is free: it is kept for whoever has waited longest.
    fn give_back(&self) {
        let mut state = self.lock();
        let Some((number, wake)) = state.waiting.pop_front() else {
            state.free += 1;
            return;
        };
        state.kept.insert(number);
        drop(state);
        wake();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.shared.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Jobs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Jobs").field(&self.total()).finish()
    }
}

impl Seat {
    /// Takes a job. Where none is free, the next is kept for this seat, and it is woken.
    pub fn take(&self) -> Option<Permit> {
        let mut state = self.jobs.lock();
        let is_kept = state.kept.remove(&self.number);
        if !is_kept && state.free == 0 {
            if !state.waiting.iter().any(|(number, _)| *number == self.number) {
                state.waiting.push_back((self.number, self.wake.clone()));
            }
            return None;
        }
        state.free -= usize::from(!is_kept);
        Some(Permit {
            jobs: self.jobs.clone(),
        })
    }

    /// Nothing is ready here: others may have what was waited for.
    pub fn rest(&self) {
        let mut state = self.jobs.lock();
        state.waiting.retain(|(number, _)| *number != self.number);
        let was_kept = state.kept.remove(&self.number);
        drop(state);
        if was_kept {
            self.jobs.give_back();
        }
    }

    /// How many jobs are free, or kept for this seat.
    pub fn free(&self) -> usize {
        let state = self.jobs.lock();
        state.free + usize::from(state.kept.contains(&self.number))
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.rest();
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.jobs.give_back();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;

    use super::*;

    /// A seat that counts how often it was woken.
    fn seat(jobs: &Jobs) -> (Seat, Arc<AtomicUsize>) {
        let woken = Arc::new(AtomicUsize::new(0));
        let count = woken.clone();
        let wake = move || {
            count.fetch_add(1, Ordering::SeqCst);
        };
        (jobs.seat(wake), woken)
    }

    #[test]
    fn a_job_goes_to_whoever_has_waited_longest() {
        let jobs = Jobs::new(1);
        let ((a, _), (b, b_woken), (c, c_woken)) = (seat(&jobs), seat(&jobs), seat(&jobs));
        let first = a.take().unwrap();
        assert!(b.take().is_none() && c.take().is_none() && b.take().is_none());
        drop(first);
        assert_eq!((b_woken.load(Ordering::SeqCst), c_woken.load(Ordering::SeqCst)), (1, 0));
        // Whoever had it does not overtake those who wait.
        assert!(a.take().is_none());
        assert_eq!((a.free(), b.free()), (0, 1));
        drop(b.take().unwrap());
        assert_eq!(c_woken.load(Ordering::SeqCst), 1);
        assert!(c.take().is_some());
        assert!(a.take().is_some() && jobs.lock().waiting.is_empty());
    }

    #[test]
    fn nobody_keeps_a_job_without_work() {
        let jobs = Jobs::new(1);
        let ((a, _), (b, _), (c, c_woken)) = (seat(&jobs), seat(&jobs), seat(&jobs));
        let first = a.take().unwrap();
        assert!(b.take().is_none() && c.take().is_none());
        drop(first);
        b.rest();
        assert_eq!(c_woken.load(Ordering::SeqCst), 1);
        // One that waited and goes leaves nothing behind.
        drop(c);
        assert_eq!(a.free(), 1);
        let held = a.take();
        assert!(b.take().is_none());
        b.rest();
        drop(held);
        assert_eq!(a.free(), 1);
    }
}
