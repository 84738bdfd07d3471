//! Handlers: a command run for each job, on a thread of its own while it runs ([`process`]), or once for many
//! ([`workers`]).

mod answer;
mod process;
mod program;
mod worker;
mod workers;

use std::collections::VecDeque;
use std::ffi::OsString;
use std::num::NonZeroUsize;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::Builder;
use std::time::Duration;

use crate::failure::Failure;
use crate::streamer::{Ended, Entry, Handlers, Job, Verdict};

use super::output::Stdout;
pub use process::Groups;
pub use workers::{How, Workers};

/// What is run for each message.
#[derive(Clone, Debug)]
pub struct Handler {
    pub program: String,
    pub arguments: Vec<String>,
    /// After this it is ended, with its whole process group.
    pub time_limit: Option<Duration>,
    pub environment: Environment,
    pub manner: Manner,
}

impl Handler {
    /// Refuses a program that cannot be run.
    pub fn check(&self) -> Result<(), Failure> {
        let path = match &self.environment {
            Environment::Inherited => std::env::var_os("PATH"),
            Environment::Only(variables) => {
                let path = variables.iter().find(|(name, _)| name == "PATH");
                path.map(|(_, path)| path.clone())
            }
        };
        program::find(&self.program, path).map_err(|error| unusable(&process::cannot_run(&self.program, &error)))
    }
}

/// The failure that a handler cannot be run at all.
pub fn unusable(why: &str) -> Failure {
    Failure::data(why).hint("it must be on the PATH, or a path to it; a script must be executable and begin with #!")
}

/// How it is run.
#[derive(Clone, Copy, Debug)]
pub enum Manner {
    /// For each job, to its end.
    OnceEach,
    /// So many times at most, each for one message after the other.
    Stays {
        workers: NonZeroUsize,
        in_flight: NonZeroUsize,
    },
}

/// What a handler finds in its environment besides what tells of its message.
#[derive(Clone, Debug)]
pub enum Environment {
    /// All that is in ours.
    Inherited,
    /// This alone.
    Only(Vec<(OsString, OsString)>),
}

/// Runs handlers for one member.
pub struct Pool {
    handler: Arc<Handler>,
    groups: Groups,
    stdout: Stdout,
    jobs: Arc<Jobs>,
}

/// Jobs that wait for a thread.
#[derive(Default)]
struct Jobs {
    waiting: Mutex<Waiting>,
    changed: Condvar,
}

#[derive(Default)]
struct Waiting {
    jobs: VecDeque<(Job, Ended)>,
    threads: usize,
    /// How many of them have nothing to do.
    idle: usize,
    is_over: bool,
}

impl Pool {
    pub fn new(handler: &Arc<Handler>, groups: &Groups, stdout: &Stdout) -> Self {
        Self {
            handler: handler.clone(),
            groups: groups.clone(),
            stdout: stdout.clone(),
            jobs: Arc::default(),
        }
    }

    /// Starts another thread, which runs jobs as long as this pool lives. Where the system has no room for a process,
    /// it goes to make some, unless it is the last.
    fn start_thread(&mut self) -> std::io::Result<()> {
        let (handler, groups, jobs) = (self.handler.clone(), self.groups.clone(), self.jobs.clone());
        let work = move || {
            while let Some((job, ended)) = jobs.next() {
                let verdict = process::run(&handler, &job, &groups);
                let goes = matches!(verdict, Verdict::NoRoom(_)) && jobs.can_spare_a_thread();
                ended.with(verdict);
                if goes {
                    break;
                }
            }
        };
        Builder::new().spawn(work)?;
        self.jobs.lock().threads += 1;
        Ok(())
    }
}

impl Handlers for Pool {
    fn start(&mut self, job: Job, ended: Ended) {
        if !self.jobs.has_idle_thread()
            && let Err(error) = self.start_thread()
            && self.jobs.lock().threads == 0
        {
            // With other threads it waits for one of them.
            return ended.with(Verdict::NoRoom(format!("cannot start a thread: {error}")));
        }
        self.jobs.lock().jobs.push_back((job, ended));
        self.jobs.changed.notify_one();
    }

    fn line(&self, out: &mut Vec<u8>, stream: &str, entry: &Entry<'_>) {
        self.stdout.exact(out, stream, entry);
    }

    fn has_reader(&self) -> bool {
        self.stdout.has_reader()
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        self.jobs.lock().is_over = true;
        self.jobs.changed.notify_all();
    }
}

impl Jobs {
    fn has_idle_thread(&self) -> bool {
        let waiting = self.lock();
        waiting.idle > waiting.jobs.len()
    }

    /// Takes one thread off the count, if others are left.
    fn can_spare_a_thread(&self) -> bool {
        let mut waiting = self.lock();
        let can = waiting.threads > 1;
        waiting.threads -= usize::from(can);
        can
    }

    /// The next job, waiting for it; `None` when there will be no more.
    fn next(&self) -> Option<(Job, Ended)> {
        let mut waiting = self.lock();
        waiting.idle += 1;
        loop {
            if let Some(next) = waiting.jobs.pop_front() {
                waiting.idle -= 1;
                return Some(next);
            }
            if waiting.is_over {
                return None;
            }
            waiting = self.changed.wait(waiting).unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
