//! Servers that are lost or refuse for a while: tried again, with pauses that grow, for as long as the user wants.
//! The loop of attempts, for every verb that waits; for single pieces of work, see `Connections::at`.

use std::thread;
use std::time::{Duration, Instant};

use super::Servers;
use super::backoff::Backoff;
use super::redirects::Redirects;
use crate::streamer::error::Error;
use crate::streamer::stop::{Ending, Halt};

/// What is told while a server is away.
#[derive(Clone, Copy, Debug)]
pub enum Notice<'a> {
    /// The first attempt found nobody, and more are made.
    Waiting,
    /// The server was lost, or refuses for a while.
    Lost(&'a Error),
    /// It serves again.
    Serves,
}

/// Takes notices. May be called from several threads.
pub type Notify<'a> = &'a (dyn Fn(Notice<'_>) + Sync);

/// How long to pause between two attempts to reach a server that is only being started.
const WAIT_STEP: Duration = Duration::from_millis(100);

/// The attempts since the server last did what it was asked for.
pub struct Supervisor<'a> {
    servers: &'a Servers,
    notify: Notify<'a>,
    /// How long to try to reach a lost server again.
    limit: Duration,
    /// When to give up in any case.
    deadline: Option<Instant>,
    /// None while all is well.
    backoff: Option<Backoff>,
    redirects: Redirects,
    /// Until when to go on although the work is asked to end: what it holds is to be settled.
    grace: Option<Instant>,
}

impl<'a> Supervisor<'a> {
    /// Nothing went wrong yet.
    pub fn new(servers: &'a Servers, notify: Notify<'a>, limit: Duration, deadline: Option<Instant>) -> Self {
        Self {
            servers,
            notify,
            limit,
            deadline,
            backoff: None,
            redirects: Redirects::default(),
            grace: None,
        }
    }

    /// Makes the first connection. A server that cannot be reached is waited for if `wait` says so; one that was
    /// reached and lost again is tried again in any case.
    pub fn start<T>(
        &mut self,
        wait: Option<Duration>,
        mut attempt: impl FnMut() -> Result<T, Error>,
    ) -> Result<T, Halt<Error>> {
        let ending = || self.servers.stop().ending();
        match (first(self.servers, wait, self.notify, &mut attempt), ending()) {
            (Ok(reached), _) => Ok(reached),
            (Err(_), Some(ending)) => Err(Halt::Ended(ending)),
            (Err(error), None) if matches!(error, Error::Lost { .. }) || self.servers.may_settle(&error) => {
                self.mend(error, attempt)
            }
            (Err(error), None) => Err(error.into()),
        }
    }

    /// Whether the server was lost and has not done anything for us since.
    pub fn is_at_work(&self) -> bool {
        self.backoff.is_some()
    }

    /// The server did what it was asked for: the next loss begins a new count.
    pub fn succeeded(&mut self) {
        self.redirects.end();
        if self.backoff.take().is_some() {
            (self.notify)(Notice::Serves);
        }
    }

    /// From now on attempts are made until then at most, although the work is asked to end.
    pub fn begin_grace(&mut self, until: Instant) {
        self.grace.get_or_insert(until);
    }

    /// Makes attempts after a failure that may pass, until one succeeds; said once, not once an attempt. Any other
    /// failure, and the last one when the time is up, is returned.
    pub fn mend<T>(
        &mut self,
        mut failure: Error,
        mut attempt: impl FnMut() -> Result<T, Error>,
    ) -> Result<T, Halt<Error>> {
        loop {
            if !failure.is_passing() {
                return Err(failure.into());
            }
            let now = Instant::now();
            match (self.grace, self.servers.stop().ending()) {
                (Some(grace), _) if grace <= now => return Err(failure.into()),
                (None, Some(ending)) => return Err(Halt::Ended(ending)),
                _ => {}
            }
            let deadline = self.grace.or(self.deadline);
            if deadline.is_some_and(|deadline| deadline <= now) {
                return Err(Halt::Ended(Ending::TimeUp));
            }
            if !self.redirects.follow(self.servers, &failure) {
                let backoff = self.backoff.get_or_insert_with(|| {
                    (self.notify)(Notice::Lost(&failure));
                    Backoff::new(self.limit)
                });
                let Some(pause) = backoff.next_pause() else {
                    return Err(failure.into());
                };
                self.pause(until(pause, deadline));
            }
            match attempt() {
                Ok(done) => return Ok(done),
                Err(again) => failure = again,
            }
        }
    }

    fn pause(&self, pause: Duration) {
        match self.grace {
            Some(_) => thread::sleep(pause),
            None => self.servers.stop().pause(pause),
        }
    }
}

/// A first attempt, made again for as long as `wait` says where nobody can be reached, and the work is not to end.
pub fn first<T>(
    servers: &Servers,
    wait: Option<Duration>,
    notify: Notify<'_>,
    mut attempt: impl FnMut() -> Result<T, Error>,
) -> Result<T, Error> {
    let deadline = wait.map(|wait| Instant::now() + wait);
    let mut said = false;
    let mut redirects = Redirects::default();
    loop {
        let error = match attempt() {
            Ok(done) => return Ok(done),
            Err(error) => error,
        };
        if redirects.follow(servers, &error) {
            continue;
        }
        let may_wait = error.is_passing() && servers.stop().ending().is_none();
        if !may_wait || deadline.is_none_or(|deadline| deadline <= Instant::now()) {
            return Err(error);
        }
        if !std::mem::replace(&mut said, true) {
            notify(Notice::Waiting);
        }
        servers.stop().pause(WAIT_STEP);
    }
}

/// A wait, but not past a deadline.
pub fn until(wait: Duration, deadline: Option<Instant>) -> Duration {
    deadline.map_or(wait, |deadline| {
        wait.min(deadline.saturating_duration_since(Instant::now()))
    })
}
