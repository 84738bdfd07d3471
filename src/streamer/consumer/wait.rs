//! A read that waits at the server for entries.

use std::time::{Duration, Instant};

use super::link::{Expected, Link};
use super::member::Run;
use super::requests::{Read, Requests};
use super::settings::{Acknowledge, Settings};
use crate::streamer::error::{Error, ServerError};
use crate::streamer::servers::{Unheard, until};
use crate::streamer::wire::resp::{Cursor, Malformed};
use crate::streamer::wire::{Entries, Shape};

/// The longest a read waits before it is asked again what was handed back meanwhile.
const HANDED_BACK_EVERY: Duration = Duration::from_secs(1);

/// How often a consumer that waits shows that it is there: well within the minute for which it counts as at work then.
const PRESENCE_EVERY: Duration = Duration::from_secs(10);

/// What to wait for.
pub struct Wait<'w> {
    pub run: Run<'w>,
    pub settings: &'w Settings,
    pub requests: &'w Requests,
    pub count: usize,
    /// Not past this moment, nor the run's deadline.
    pub until: Option<Instant>,
}

/// Whether others have handed back something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HandedBack {
    Nothing,
    Some,
}

impl Wait<'_> {
    /// Waits, and begins to walk what came. Where the server can, what becomes stale meanwhile is claimed as it
    /// waits; what was handed back is looked for with each wait.
    pub fn begin(&self, link: &mut Link, claims: &mut bool) -> Result<(Entries, HandedBack), Error> {
        let claim = claims.then(|| self.settings.acknowledge.claim_idle());
        let end = [self.run.deadline, self.until].into_iter().flatten().min();
        let block = link.blockable.longest_block(self.settings.block.min(HANDED_BACK_EVERY));
        let block = until(block, end);
        self.queue(link, block, claim);
        link.flush()?;
        let handed_back = self.see_handed_back(link)?;
        let blockable = link.blockable.clone();
        let connection = &mut link.connection;
        let wait = || Entries::begin(connection, Shape::ByStream, block);
        let unheard = match self.settings.acknowledge {
            Acknowledge::OnRead => Unheard::Lost,
            _ => Unheard::Kept,
        };
        let begun = self.run.unblocker.while_blocked(&blockable, unheard, wait)?;
        link.expected.pop_front();
        match begun {
            Ok(entries) => Ok((entries, handed_back)),
            Err(refusal) if claim.is_some() && refusal.is_unknown() => {
                *claims = false;
                self.begin(link, claims)
            }
            Err(refusal) => Err(self.refused(refusal)),
        }
    }

    /// Waits until there is something new in the one stream behind an entry, and takes nothing. Says whether there is.
    pub fn for_news(&self, link: &mut Link, after: &str) -> Result<(bool, HandedBack), Error> {
        let end = [self.run.deadline, self.until].into_iter().flatten().min();
        let block = link.blockable.longest_block(self.settings.block.min(HANDED_BACK_EVERY));
        let block = until(block, end);
        self.queue_asides(link);
        self.requests
            .wait_for_news(&mut link.queue, &self.settings.streams[0], block, after);
        link.flush()?;
        let handed_back = self.see_handed_back(link)?;
        let blockable = link.blockable.clone();
        let connection = &mut link.connection;
        let wait = || Entries::begin(connection, Shape::ByStream, block);
        let begun = self.run.unblocker.while_blocked(&blockable, Unheard::Kept, wait)?;
        let mut entries = begun.map_err(|refusal| self.refused(refusal))?;
        let mut has_news = false;
        while entries.next(&mut link.connection, &self.settings.streams)?.is_some() {
            has_news = true;
        }
        Ok((has_news, handed_back))
    }

    /// Queues what is asked with each wait.
    fn queue_asides(&self, link: &mut Link) {
        if link.presence_due <= Instant::now() {
            link.presence_due = Instant::now() + PRESENCE_EVERY;
            self.requests.show_presence(&mut link.queue, &self.settings.streams);
            link.expected.push_back(Expected::Presence);
        }
        if self.settings.acknowledge.leaves_pending() {
            for stream in &self.settings.streams {
                self.requests.peek_handed_back(&mut link.queue, stream);
                link.expected.push_back(Expected::HandedBack);
            }
        }
    }

    fn queue(&self, link: &mut Link, block: Duration, claim: Option<Duration>) {
        self.queue_asides(link);
        let read = Read {
            count: self.count,
            block: Some(block),
            claim,
            no_ack: self.settings.acknowledge == Acknowledge::OnRead,
        };
        self.requests.read(&mut link.queue, &self.settings.streams, read);
        link.expected.push_back(Expected::Read(self.count));
    }

    fn see_handed_back(&self, link: &mut Link) -> Result<HandedBack, Error> {
        let mut seen = HandedBack::Nothing;
        loop {
            match link.expected.front() {
                Some(Expected::Presence) => drop(self.answered(link, |_| Ok(()))?),
                Some(Expected::HandedBack) => {
                    if self
                        .answered(link, |cursor| cursor.array())?
                        .is_some_and(|rows| rows > 0)
                    {
                        seen = HandedBack::Some;
                    }
                }
                _ => return Ok(seen),
            }
        }
    }

    /// Reads the next reply that is expected.
    fn answered<T>(
        &self,
        link: &mut Link,
        read: impl FnOnce(&mut Cursor<'_>) -> Result<T, Malformed>,
    ) -> Result<T, Error> {
        let answer = link.connection.walk(read)?;
        link.expected.pop_front();
        answer.map_err(|refusal| self.refused(refusal))
    }

    fn refused(&self, refusal: ServerError) -> Error {
        self.settings.refused(refusal, None)
    }
}
