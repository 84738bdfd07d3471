//! Workers: a command that stays, once for each job, and gets one message after the other.

use std::io::{self, Write};
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{Builder, JoinHandle};

use crate::streamer::{Ended, Entry, Handlers, Job, Stop, Verdict};
use crate::ui::Ui;

use super::super::output::Stdout;
use super::worker::Attendant;
use super::{Groups, Handler};

/// The workers of a run, shared by all its members. They are started as they are needed, and end with this.
pub struct Workers {
    shared: Arc<Shared>,
}

struct Shared {
    how: Arc<How>,
    most: usize,
    crew: Mutex<Vec<Member>>,
}

/// What all of them have in common.
pub struct How {
    pub handler: Handler,
    /// How many messages one has in hand at most.
    pub in_flight: usize,
    pub groups: Groups,
    pub stop: Stop,
    pub ui: Ui,
}

/// A worker as those see it who have something for it.
struct Member {
    inbox: Arc<Inbox>,
    thread: JoinHandle<()>,
}

/// What a worker is to do.
pub struct Inbox {
    waiting: Mutex<Waiting>,
    wake: UnixStream,
    /// How many messages it has, those in the inbox included.
    load: AtomicUsize,
    /// Whether it has no process to work with for a while.
    pub is_down: AtomicBool,
}

#[derive(Default)]
struct Waiting {
    tasks: Vec<Task>,
    is_over: bool,
}

/// A message for a worker.
pub struct Task {
    pub line: Vec<u8>,
    ended: Ended,
}

impl Workers {
    pub fn new(how: How, most: usize) -> Self {
        let shared = Shared {
            how: Arc::new(how),
            most,
            crew: Mutex::default(),
        };
        Self {
            shared: Arc::new(shared),
        }
    }

    /// The same workers, for one member of the group.
    pub fn for_member(&self, stdout: &Stdout) -> Errands {
        Errands {
            shared: self.shared.clone(),
            stdout: stdout.clone(),
            own: None,
        }
    }

    /// For one member alone: they end with its work.
    pub fn for_one(self, stdout: &Stdout) -> Errands {
        let mut errands = self.for_member(stdout);
        errands.own = Some(self);
        errands
    }
}

impl Drop for Workers {
    /// Lets them end, and waits for that.
    fn drop(&mut self) {
        let crew = std::mem::take(&mut *lock(&self.shared.crew));
        for member in &crew {
            lock(&member.inbox.waiting).is_over = true;
            member.inbox.wake();
        }
        for member in crew {
            // One that panicked has said so.
            let _ = member.thread.join();
        }
    }
}

/// Brings a member's messages to the workers.
pub struct Errands {
    shared: Arc<Shared>,
    stdout: Stdout,
    /// Kept for as long as they are nobody else's.
    own: Option<Workers>,
}

impl Handlers for Errands {
    fn start(&mut self, job: Job, ended: Ended) {
        let mut crew = lock(&self.shared.crew);
        let best = self.shared.free(&crew);
        let is_idle = best.is_some_and(|best| crew[best].inbox.rank() == IDLE);
        if !is_idle && crew.len() < self.shared.most {
            match hire(&self.shared.how) {
                Ok(member) => crew.push(member),
                Err(error) if crew.is_empty() => {
                    return ended.with(Verdict::NoRoom(format!("cannot start a thread: {error}")));
                }
                // With others it waits for one of them.
                Err(_) => {}
            }
        }
        match self.shared.free(&crew) {
            Some(best) => crew[best].inbox.put(job, ended),
            None => ended.with(Verdict::NoRoom("no further worker can be started".to_owned())),
        }
    }

    fn line(&self, out: &mut Vec<u8>, stream: &str, entry: &Entry<'_>) {
        self.stdout.exact(out, stream, entry);
    }

    fn has_reader(&self) -> bool {
        self.stdout.has_reader()
    }
}

impl Shared {
    /// Which of those that may have another message in hand is the best for it. Jobs are no more than they may have.
    fn free(&self, crew: &[Member]) -> Option<usize> {
        let ranks = crew.iter().map(|member| member.inbox.rank()).enumerate();
        let free = ranks.filter(|(_, (_, load))| *load < self.how.in_flight);
        free.min_by_key(|(_, rank)| *rank).map(|(place, _)| place)
    }
}

/// The rank of a worker that waits for a message.
const IDLE: (bool, usize) = (false, 0);

/// Starts a worker's thread.
fn hire(how: &Arc<How>) -> io::Result<Member> {
    let (wake, woken) = UnixStream::pair()?;
    wake.set_nonblocking(true)?;
    woken.set_nonblocking(true)?;
    let inbox = Arc::new(Inbox {
        waiting: Mutex::default(),
        wake,
        load: AtomicUsize::new(0),
        is_down: AtomicBool::new(false),
    });
    let attendant = Attendant::new(how.clone(), inbox.clone(), woken);
    let thread = Builder::new().spawn(move || attendant.work())?;
    Ok(Member { inbox, thread })
}

impl Inbox {
    fn put(&self, job: Job, ended: Ended) {
        self.load.fetch_add(1, Ordering::SeqCst);
        let line = job.lines;
        let mut waiting = lock(&self.waiting);
        let was_empty = waiting.tasks.is_empty();
        waiting.tasks.push(Task { line, ended });
        drop(waiting);
        if was_empty {
            self.wake();
        }
    }

    /// All that was put here, and whether nothing more comes.
    pub fn take(&self) -> (Vec<Task>, bool) {
        let mut waiting = lock(&self.waiting);
        (std::mem::take(&mut waiting.tasks), waiting.is_over)
    }

    fn wake(&self) {
        // Where it is full already, it wakes as well.
        let _ = (&self.wake).write(&[0]);
    }

    /// A message's work has ended.
    pub fn ended(&self, task: Task, verdict: Verdict) {
        self.load.fetch_sub(1, Ordering::SeqCst);
        task.ended.with(verdict);
    }

    /// Less is better: whether it has no process for a while, and how many messages it has.
    fn rank(&self) -> (bool, usize) {
        (self.is_down.load(Ordering::SeqCst), self.load.load(Ordering::SeqCst))
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
