//! The reading thread: another connection of the same consumer, which waits for new messages while the dispatcher's
//! own acknowledges.

use std::sync::mpsc::{Sender, channel};
use std::thread::{Builder, Scope};
use std::time::Instant;

use super::Signal;
use crate::streamer::consumer::delivery::{Kept, keep};
use crate::streamer::consumer::link::Link;
use crate::streamer::consumer::member::{Member, Run};
use crate::streamer::consumer::requests::Requests;
use crate::streamer::consumer::settings::Settings;
use crate::streamer::consumer::wait::{HandedBack, Wait};
use crate::streamer::error::Error;
use crate::streamer::servers::{Identity, until};

/// A read to be made: so many entries at most, until then at most.
struct Want {
    count: usize,
    until: Option<Instant>,
    /// Where to wait for news, and take none: that is for the connection that watches the lease.
    news_after: Option<String>,
}

/// What a read brought.
pub struct Reply {
    /// Which reading thread it is of: one that was given up may still have something.
    pub thread: u64,
    pub entries: Vec<Kept>,
    pub handed_back: HandedBack,
    /// Whether there is something new, where nothing was to be taken.
    pub has_news: Option<bool>,
    /// Why it brought no more, and the thread has ended.
    pub broken: Option<Error>,
}

/// The reading thread as the dispatcher sees it. It is started when it is first needed.
pub struct Reader<'scope, 'env> {
    scope: &'scope Scope<'scope, 'env>,
    tell: Sender<Signal>,
    wants: Option<Sender<Want>>,
    identity: Option<Identity>,
    /// How many entries the read under way may bring.
    asked: usize,
    claims: bool,
    /// How many threads there were.
    threads: u64,
}

impl<'scope, 'env> Reader<'scope, 'env> {
    pub fn new(scope: &'scope Scope<'scope, 'env>, member: &Member<'_>, tell: Sender<Signal>) -> Self {
        Self {
            scope,
            tell,
            wants: None,
            identity: None,
            asked: 0,
            claims: member.claims_while_waiting,
            threads: 0,
        }
    }

    /// How many entries the read under way may bring; 0 if there is none.
    pub fn asked(&self) -> usize {
        self.asked
    }

    /// Begins to wait for up to `count` new entries of each stream, until then at most. An error is the system's, that
    /// starts no thread.
    pub fn read<'a: 'scope>(
        &mut self,
        member: &Member<'a>,
        count: usize,
        until: Option<Instant>,
    ) -> Result<std::io::Result<()>, Error> {
        if self.wants.is_none()
            && let Err(error) = self.start(member)?
        {
            return Ok(Err(error));
        }
        if let Some(wants) = &self.wants {
            self.asked = count;
            // It ends only after it said why.
            let _ = wants.send(Want {
                count,
                until,
                news_after: member.run.lease.map(|_| member.news_after()),
            });
        }
        Ok(Ok(()))
    }

    fn start<'a: 'scope>(&mut self, member: &Member<'a>) -> Result<std::io::Result<()>, Error> {
        let link = member.run.open(&member.settings.streams)?;
        self.identity.clone_from(&link.identity);
        let mut reading = Reading {
            run: member.run,
            settings: member.settings,
            requests: member.requests.clone(),
            link,
            claims: self.claims,
            thread: self.threads + 1,
        };
        let (wants, wanted) = channel::<Want>();
        let tell = self.tell.clone();
        let read = move || {
            for want in wanted {
                let reply = reading.read(&want);
                let is_over = reply.broken.is_some();
                if tell.send(Signal::Read(reply)).is_err() || is_over {
                    break;
                }
            }
        };
        Ok(Builder::new().spawn_scoped(self.scope, read).map(|_| {
            self.threads += 1;
            self.wants = Some(wants);
        }))
    }

    /// A read has ended; says whether it was the one under way.
    pub fn ended(&mut self, thread: u64) -> bool {
        let is_current = self.wants.is_some() && thread == self.threads;
        if is_current {
            self.asked = 0;
        }
        is_current
    }

    /// Its connection is lost, or to be given up with the member's own.
    pub fn stop(&mut self, member: &mut Member<'_>) {
        self.asked = 0;
        if self.wants.take().is_some() {
            member.old.add(self.identity.take());
        }
    }
}

/// The thread's own.
struct Reading<'a> {
    run: Run<'a>,
    settings: &'a Settings,
    requests: Requests,
    link: Link,
    claims: bool,
    thread: u64,
}

impl Reading<'_> {
    fn read(&mut self, want: &Want) -> Reply {
        let mut reply = Reply {
            thread: self.thread,
            entries: Vec::new(),
            handed_back: HandedBack::Nothing,
            has_news: None,
            broken: None,
        };
        reply.broken = self.read_into(&mut reply, want).err();
        reply
    }

    /// What came before a connection broke is here all the same.
    fn read_into(&mut self, reply: &mut Reply, want: &Want) -> Result<(), Error> {
        let end = [self.run.deadline, want.until].into_iter().flatten().min();
        self.run.stop.sleep(until(self.settings.rest, end));
        let wait = Wait {
            run: self.run,
            settings: self.settings,
            requests: &self.requests,
            count: want.count,
            until: want.until,
        };
        if let Some(after) = &want.news_after {
            let (has_news, handed_back) = wait.for_news(&mut self.link, after)?;
            reply.handed_back = handed_back;
            reply.has_news = Some(has_news);
            return Ok(());
        }
        let (mut entries, handed_back) = wait.begin(&mut self.link, &mut self.claims)?;
        reply.handed_back = handed_back;
        while let Some((stream, delivered)) = entries.next(&mut self.link.connection, &self.settings.streams)? {
            reply.entries.push(keep(stream, &delivered));
        }
        Ok(())
    }
}
