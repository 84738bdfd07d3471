//! The threads beside the desk: one that reads new messages, and one for each handler.

use std::io;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{Builder, Scope};
use std::time::{Duration, Instant};

use anyhow::Context as _;

use crate::streamer::{Batch, Error};

use super::process::{Groups, Job, Verdict, run};
use crate::commands::consume::Args;
use crate::commands::consume::member::{Key, Member};

/// What the threads tell the desk.
pub enum Event {
    /// A read ended.
    Read(Result<Batch, Error>),
    /// A handler ended.
    Ended(Key, Verdict),
}

/// A read to be made.
struct Want {
    count: usize,
    /// Until when to wait, unless there is no end to it.
    until: Option<Instant>,
}

/// The threads, and what they are doing. They are started as they are needed.
pub struct Pool<'scope, 'env> {
    scope: &'scope Scope<'scope, 'env>,
    args: &'env Args,
    groups: &'env Groups,
    events: Receiver<Event>,
    tell: Sender<Event>,
    jobs: Sender<(Key, Job)>,
    waiting: Arc<Mutex<Receiver<(Key, Job)>>>,
    /// How many threads run handlers, and how many of them are at it.
    workers: usize,
    busy: usize,
    reader: Option<Sender<Want>>,
    /// How many entries the read under way may bring.
    asked: usize,
}

impl<'scope, 'env> Pool<'scope, 'env> {
    /// A pool without threads.
    pub fn new(scope: &'scope Scope<'scope, 'env>, args: &'env Args, groups: &'env Groups) -> Self {
        let (tell, events) = channel();
        let (jobs, waiting) = channel();
        Self {
            scope,
            args,
            groups,
            events,
            tell,
            jobs,
            waiting: Arc::new(Mutex::new(waiting)),
            workers: 0,
            busy: 0,
            reader: None,
            asked: 0,
        }
    }

    /// Runs a handler; behind others, if no thread can be had for it alone.
    pub fn run(&mut self, key: Key, job: Job) -> io::Result<()> {
        if self.busy >= self.workers {
            let (args, groups) = (self.args, self.groups);
            let (waiting, tell) = (self.waiting.clone(), self.tell.clone());
            let started = Builder::new().spawn_scoped(self.scope, move || work(args, groups, &waiting, &tell));
            match started {
                Ok(_) => self.workers += 1,
                Err(error) if self.workers == 0 => return Err(error),
                Err(_) => {}
            }
        }
        self.busy += 1;
        // The threads live as long as this pool.
        let _ = self.jobs.send((key, job));
        Ok(())
    }

    /// Begins to wait for up to `count` new entries of each stream, until then at most.
    pub fn read(&mut self, member: &Member<'env>, count: usize, until: Option<Instant>) -> anyhow::Result<()> {
        let reader = match self.reader.take() {
            Some(reader) => reader,
            None => {
                let (wants, wanted) = channel();
                let (tell, twin) = (self.tell.clone(), member.twin()?);
                Builder::new()
                    .spawn_scoped(self.scope, move || read_new(twin, &wanted, &tell))
                    .context("cannot start a thread to read")?;
                wants
            }
        };
        self.asked = count;
        let _ = reader.send(Want { count, until });
        self.reader = Some(reader);
        Ok(())
    }

    /// How many entries the read under way may bring; 0 if there is none.
    pub fn asked(&self) -> usize {
        self.asked
    }

    /// The next event, waiting for it at most so long.
    pub fn next_event(&mut self, patience: Duration) -> Result<Event, RecvTimeoutError> {
        let event = self.events.recv_timeout(patience)?;
        Ok(self.note(event))
    }

    /// The next event, if one is there.
    pub fn try_event(&mut self) -> Option<Event> {
        let event = self.events.try_recv().ok()?;
        Some(self.note(event))
    }

    fn note(&mut self, event: Event) -> Event {
        match &event {
            Event::Ended(..) => self.busy -= 1,
            Event::Read(read) => {
                self.asked = 0;
                if read.is_err() {
                    // It has ended with its connection; the next read starts another.
                    self.reader = None;
                }
            }
        }
        event
    }
}

/// A thread that runs handlers, one at a time, as long as the pool lives.
fn work(args: &Args, groups: &Groups, waiting: &Mutex<Receiver<(Key, Job)>>, tell: &Sender<Event>) {
    loop {
        let job = waiting.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok((key, job)) = job else {
            break;
        };
        // The desk listens until all handlers have ended.
        let _ = tell.send(Event::Ended(key, run(args, &job, groups)));
    }
}

/// The reading thread: a read for each want, until nobody wants any more or the connection is lost.
fn read_new(mut member: Member<'_>, wanted: &Receiver<Want>, tell: &Sender<Event>) {
    for Want { count, until } in wanted {
        let mut batch = Batch::default();
        member.run.rest(until);
        let read = member.wait(count, until, &mut batch);
        let lost = read.is_err();
        if tell.send(Event::Read(read.map(|()| batch))).is_err() || lost {
            break;
        }
    }
}
