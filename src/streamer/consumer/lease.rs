//! The lease of a stream: for as long as it is held, its holder alone reads the stream in the group.
//!
//! It is a key in the stream's slot that the server lets expire. Whoever holds it knows until when at least, by a clock
//! that goes on while the machine sleeps, counted from before the command was sent that set or renewed it, and leaves off
//! before. Clocks do not help a process that is stopped between looking and reading: so what is read and what is taken
//! over is asked for in a transaction that the server executes only if the key is as it was when its value was seen.
//! Acknowledgements need none of this: they tell of what is done, whoever does it again.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use redis::Value;
use rustix::time::{ClockId, clock_gettime};

use super::delivery::{Sink, Walked};
use super::member::Member;
use super::requests::Read;
use crate::streamer::error::{Error, ServerError};
use crate::streamer::random::random;
use crate::streamer::servers::tag_of;
use crate::streamer::wire::resp::write_command;
use crate::streamer::wire::{Connection, Entries, Executed, Shape};

const MULTI: &[u8] = b"*1\r\n$5\r\nMULTI\r\n";
const EXEC: &[u8] = b"*1\r\n$4\r\nEXEC\r\n";

/// The key of a stream's lease in a group.
pub fn key(stream: &str, group: &str) -> String {
    format!("redis-streamer:lease:{{{}}}:{group}", tag_of(stream))
}

/// The key of those who want to read a stream in a group.
pub fn members_key(stream: &str, group: &str) -> String {
    format!("redis-streamer:members:{{{}}}:{group}", tag_of(stream))
}

/// A time of the clock by which leases end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Moment(Duration);

impl Moment {
    pub fn now() -> Self {
        // The other one stands still while the machine sleeps, and the server's does not.
        #[cfg(target_os = "linux")]
        let clock = ClockId::Boottime;
        #[cfg(not(target_os = "linux"))]
        let clock = ClockId::Monotonic;
        let now = clock_gettime(clock);
        let seconds = u64::try_from(now.tv_sec).unwrap_or_default();
        Self(Duration::new(seconds, u32::try_from(now.tv_nsec).unwrap_or_default()))
    }

    pub fn is_past(self) -> bool {
        self <= Self::now()
    }
}

impl std::ops::Add<Duration> for Moment {
    type Output = Self;

    fn add(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(duration))
    }
}

/// Runs when a lease is lost.
type OnLost = Box<dyn FnOnce() + Send>;

/// A lease that is held, or was.
pub struct Lease {
    stream: String,
    pub key: String,
    /// Whose it is, and which of its leases: no two are the same.
    pub value: String,
    pub length: Duration,
    /// Until when it is surely held, in milliseconds of the clock.
    until: AtomicU64,
    is_lost: AtomicBool,
    on_lost: Mutex<Vec<OnLost>>,
}

/// A lease's value, for a lease that nobody had before.
pub fn new_value(owner: &str) -> String {
    format!("{owner} {:016x}", random())
}

/// Whose a lease is.
pub fn owner_of(value: &str) -> &str {
    value.rsplit_once(' ').map_or(value, |(owner, _)| owner)
}

impl Lease {
    /// One that was set by a command that was sent after this moment.
    pub fn new(stream: &str, group: &str, value: String, length: Duration, sent: Moment) -> Self {
        let lease = Self {
            stream: stream.to_owned(),
            key: key(stream, group),
            value,
            length,
            until: AtomicU64::default(),
            is_lost: AtomicBool::default(),
            on_lost: Mutex::default(),
        };
        lease.renewed(sent);
        lease
    }

    /// It was renewed by a command that was sent after this moment.
    pub fn renewed(&self, sent: Moment) {
        let until = u64::try_from((sent + self.length).0.as_millis()).unwrap_or(u64::MAX);
        self.until.fetch_max(until, Ordering::SeqCst);
    }

    fn before_end(&self, part: u32) -> Moment {
        let until = Duration::from_millis(self.until.load(Ordering::SeqCst));
        Moment(until.saturating_sub(self.length / part))
    }

    /// When to take on no more, if it is not renewed by then: what is in hand has some time left.
    pub fn ends(&self) -> Moment {
        self.before_end(3)
    }

    /// From when on it counts as lost, if it is not renewed by then.
    pub fn is_over_at(&self) -> Moment {
        self.before_end(6)
    }

    /// Whether nothing is to be done any more that only the holder may do.
    pub fn is_over(&self) -> bool {
        self.is_lost.load(Ordering::SeqCst) || self.is_over_at().is_past()
    }

    /// Whether nothing more is to be taken on.
    pub fn is_ending(&self) -> bool {
        self.is_lost.load(Ordering::SeqCst) || self.ends().is_past()
    }

    /// It is somebody else's, or about to be.
    pub fn lose(&self) {
        if self.is_lost.swap(true, Ordering::SeqCst) {
            return;
        }
        let on_lost = std::mem::take(&mut *self.on_lost.lock().unwrap_or_else(PoisonError::into_inner));
        for run in on_lost {
            run();
        }
    }

    /// Runs something as soon as it is lost.
    pub fn on_lost(&self, run: impl FnOnce() + Send + 'static) {
        self.on_lost
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(Box::new(run));
        if self.is_lost.load(Ordering::SeqCst) {
            // It may have been lost before this was heard of.
            let late = std::mem::take(&mut *self.on_lost.lock().unwrap_or_else(PoisonError::into_inner));
            late.into_iter().for_each(|run| run());
        }
    }

    /// Renews it over a new connection: what an old one still carries depends on the key as it was before that. That it
    /// is lost is no failure here: whoever needs it finds out.
    pub fn renew_over(&self, connection: &mut Connection) -> Result<(), Error> {
        let mut renew = redis::cmd("PEXPIRE");
        renew.arg(&self.key).arg(self.length.as_millis() as u64);
        loop {
            let sent = Moment::now();
            let mut packed = Vec::new();
            self.write_watch(&mut packed);
            connection.send(&packed)?;
            match self.watched(connection) {
                Err(Error::LeaseLost { .. }) => return Ok(()),
                watched => watched?,
            }
            let mut answers = connection.query_all(&[renew.clone(), redis::cmd("EXEC")])?.into_iter();
            let (queued, done) = (answers.next(), answers.next());
            for answer in [&queued, &done] {
                if let Some(Err(refusal)) = answer {
                    return Err(self.refused(refusal.clone().cause()));
                }
            }
            if !matches!(done, Some(Ok(Value::Nil))) {
                self.renewed(sent);
                return Ok(());
            }
        }
    }

    /// Begins a transaction that is executed only if the lease is held until then.
    fn write_watch(&self, out: &mut Vec<u8>) {
        for name in ["WATCH", "GET"] {
            write_command(out, &[name.as_bytes(), self.key.as_bytes()]);
        }
        out.extend_from_slice(MULTI);
    }

    /// Takes the replies to [`write_watch`](Self::write_watch). If the lease is not held, the transaction is closed.
    fn watched(&self, connection: &mut Connection) -> Result<(), Error> {
        let (watched, value, begun) = (connection.answer()?, connection.answer()?, connection.answer()?);
        let refused = |refusal| self.refused(refusal);
        watched.map_err(refused)?;
        let value: Option<String> = connection.read(value.map_err(refused)?)?;
        begun.map_err(refused)?;
        if value.as_ref() == Some(&self.value) {
            return Ok(());
        }
        connection.query(&redis::cmd("EXEC"))?;
        if value.is_none() && connection.announces_all() {
            // The stream went before its lease.
            return Err(refused(ServerError::parse(
                b"TRYAGAIN the lease is still at the other node",
            )));
        }
        self.lose();
        Err(Error::LeaseLost {
            stream: self.stream.clone(),
        })
    }

    fn refused(&self, refusal: ServerError) -> Error {
        Error::refused(refusal, &self.key, None)
    }
}

impl Member<'_> {
    /// Sends what is queued, then a command that brings entries and is executed only if the lease is held; begins to walk
    /// its reply.
    pub fn begin_held(&mut self, lease: &Lease, command: &[u8], shape: Shape) -> Result<Entries, Error> {
        let packed = [command, EXEC].concat();
        loop {
            lease.write_watch(&mut self.link.queue);
            self.link.flush()?;
            while !self.link.expected.is_empty() {
                self.confirm()?;
            }
            lease.watched(&mut self.link.connection)?;
            self.link.connection.send(&packed)?;
            match Executed::begin(&mut self.link.connection, shape)? {
                Executed::Done(entries) => return Ok(entries),
                Executed::Refused(refusal) => return Err(self.refused(refusal, Some(0))),
                // By whoever renews it, as a rule.
                Executed::Overtaken => {}
            }
        }
    }

    /// Reads new entries if the lease is held, and acknowledges what is done in the same go.
    pub fn read_held(&mut self, lease: &Lease, count: usize, sink: &mut impl Sink) -> Result<Walked, Error> {
        self.queue_acks();
        let mut packed = Vec::new();
        let read = Read {
            count,
            block: None,
            claim: None,
            no_ack: false,
        };
        self.requests.read(&mut packed, &self.settings.streams, read);
        let entries = self.begin_held(lease, &packed, Shape::ByStream)?;
        self.delivery.seen.fill(false);
        let (walked, _) = self.take_in(entries, None, sink)?;
        self.delivery.exhaust_unseen();
        self.supervisor.succeeded();
        self.fetch.learn((walked.entries, walked.bytes));
        self.news.read(walked.entries);
        Ok(walked)
    }

    /// Behind which entry to wait for news, in the words of XREAD.
    pub fn news_after(&self) -> String {
        match self.news {
            News::BehindWhatWasRead => self.delivery.positions.last_read(0).to_string(),
            News::BehindAll => "$".to_owned(),
        }
    }
}

/// Where to wait for news. The waiting takes nothing, and knows nothing of the group.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum News {
    #[default]
    BehindWhatWasRead,
    /// Others were given what is behind that, or somebody moved the group.
    BehindAll,
}

impl News {
    /// There was something, or the time was up.
    pub fn waited(&mut self, has_news: bool) {
        if has_news {
            *self = Self::BehindAll;
        }
    }

    /// So many entries were new in the group.
    fn read(&mut self, entries: usize) {
        if entries > 0 {
            *self = Self::BehindWhatWasRead;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lease_ends_before_the_server_lets_it_expire() {
        let length = Duration::from_secs(6);
        let sent = Moment::now();
        let lease = Lease::new("s", "g", new_value("c.1"), length, sent);
        assert_eq!(lease.key, "redis-streamer:lease:{s}:g");
        assert_eq!(owner_of(&lease.value), "c.1");
        assert_ne!(new_value("c"), new_value("c"));
        for (moment, seconds) in [(lease.ends(), 4), (lease.is_over_at(), 5)] {
            let expected = sent + Duration::from_secs(seconds);
            assert!(
                moment <= expected && expected <= moment + Duration::from_millis(1),
                "{moment:?}"
            );
        }
        assert!(!lease.is_over() && !lease.is_ending());
        // A renewal that was sent earlier, and is heard of later, takes nothing from it.
        let until = lease.ends();
        lease.renewed(Moment(Duration::ZERO));
        assert_eq!(lease.ends(), until);
        let expired = Lease::new("s", "g", new_value("c"), length, Moment(Duration::ZERO));
        assert!(expired.is_over() && expired.is_ending());
    }

    #[test]
    fn who_asks_late_hears_that_it_is_lost() {
        let lease = Lease::new("s", "g", new_value("c"), Duration::from_secs(60), Moment::now());
        let heard = std::sync::Arc::new(AtomicU64::default());
        let hear = || {
            let heard = heard.clone();
            move || {
                heard.fetch_add(1, Ordering::SeqCst);
            }
        };
        lease.on_lost(hear());
        assert_eq!(heard.load(Ordering::SeqCst), 0);
        lease.lose();
        lease.lose();
        lease.on_lost(hear());
        assert_eq!(heard.load(Ordering::SeqCst), 2);
        assert!(lease.is_over());
    }
}
