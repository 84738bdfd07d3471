//! The threads beside the desk: one that reads new messages, and one for each handler.

use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::Scope;
use std::time::Duration;

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

/// The threads, and what they are doing.
pub struct Pool {
    events: Receiver<Event>,
    tell: Sender<Event>,
    jobs: Sender<(Key, Job)>,
    reader: Option<Sender<usize>>,
    /// How many entries the read under way may bring.
    asked: usize,
}

impl Pool {
    /// Starts a thread for each handler that may run at a time.
    pub fn start<'scope, 'env>(scope: &'scope Scope<'scope, 'env>, args: &'env Args, groups: &'env Groups) -> Self {
        let (tell, events) = channel();
        let (jobs, waiting) = channel::<(Key, Job)>();
        let waiting = Arc::new(Mutex::new(waiting));
        for _ in 0..args.jobs.get() {
            let (waiting, tell) = (waiting.clone(), tell.clone());
            scope.spawn(move || {
                loop {
                    let job = waiting.lock().unwrap_or_else(PoisonError::into_inner).recv();
                    let Ok((key, job)) = job else {
                        break;
                    };
                    // The desk listens until all handlers have ended.
                    let _ = tell.send(Event::Ended(key, run(args, &job, groups)));
                }
            });
        }
        Self {
            events,
            tell,
            jobs,
            reader: None,
            asked: 0,
        }
    }

    /// Runs a handler.
    pub fn run(&self, key: Key, job: Job) {
        // The threads live as long as this pool.
        let _ = self.jobs.send((key, job));
    }

    /// Begins to wait for up to `count` new entries of each stream.
    pub fn read<'scope, 'env>(
        &mut self,
        scope: &'scope Scope<'scope, 'env>,
        member: &Member<'env>,
        count: usize,
    ) -> Result<(), Error> {
        let reader = match self.reader.take() {
            Some(reader) => reader,
            None => {
                let (wants, wanted) = channel();
                let (tell, twin) = (self.tell.clone(), member.twin()?);
                scope.spawn(move || read_new(twin, &wanted, &tell));
                wants
            }
        };
        self.asked = count;
        let _ = reader.send(count);
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
        if let Event::Read(read) = &event {
            self.asked = 0;
            if read.is_err() {
                // It has ended with its connection; the next read starts another.
                self.reader = None;
            }
        }
        event
    }
}

/// The reading thread: a read for each count that is wanted, until nobody wants any more or the connection is lost.
fn read_new(mut member: Member<'_>, wanted: &Receiver<usize>, tell: &Sender<Event>) {
    for count in wanted {
        let mut batch = Batch::default();
        let read = member.wait(count, &mut batch);
        let lost = read.is_err();
        if tell.send(Event::Read(read.map(|()| batch))).is_err() || lost {
            break;
        }
    }
}
