//! A sending to several streams: a producer for each, on a thread of its own, and one account of all.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;

use super::account::Account;
use super::arrivals::Arrivals;
use crate::commands::join;
use crate::streamer::producer::{
    Batch, Begin, Earlier, Journal, Note, Place, Progress, Record, Started, Trouble, Why, Written,
};
use crate::streamer::{EntryId, Stop};

pub type Ended = Result<(), Trouble<anyhow::Error>>;

/// Sends what the reading thread deals, each stream its own; says how each ended.
pub fn run<'s>(
    started: Vec<(Of, Started<'s>)>,
    arrivals: Vec<Arrivals>,
    account: &Mutex<Account<'_>>,
    stop: &Stop,
) -> Vec<(Arc<str>, Ended)> {
    let halt = &Halt::new(stop);
    arrivals.iter().for_each(|arrivals| halt.also_wake(arrivals.waker()));
    thread::scope(|scope| {
        let start = |((of, started), mut arrivals): ((Of, Started<'s>), Arrivals)| {
            let stream = of.stream.clone();
            let send = move || {
                let mut teller = Teller::new(of, account, halt);
                halt.unless_well(started.run(&mut arrivals, &mut teller))
            };
            let sending = thread::Builder::new().spawn_scoped(scope, send);
            (stream, sending.inspect_err(|_| halt.all()))
        };
        let sending: Vec<_> = started.into_iter().zip(arrivals).map(start).collect();
        sending
            .into_iter()
            .map(|(stream, sending)| (stream, join(sending).unwrap_or_else(|error| Err(Trouble::Host(error)))))
            .collect()
    })
}

/// One of the streams.
pub struct Of {
    pub number: usize,
    pub stream: Arc<str>,
    /// How many of its records were rejected, by all runs.
    pub rejected: u64,
}

/// What was written of one stream: how long the files are says nothing of it.
pub fn own(written: Written) -> Written {
    Written {
        rejected: written.rejected,
        ..Written::default()
    }
}

/// What earlier runs wrote, of all streams.
pub fn written(earlier: &[Earlier]) -> Written {
    let files = earlier.first().map_or_else(Written::default, |earlier| earlier.written);
    Written {
        rejected: earlier.iter().map(|earlier| earlier.written.rejected).sum(),
        ..files
    }
}

/// Where a stream begins of which an earlier run noted a place. If the server lost some of that, what is left of it is
/// not told once more: the files are of all streams, and cannot be taken back for one.
pub fn begin(begin: Begin, noted: Option<Place>) -> Begin {
    let told = match noted {
        Some(noted) if begin.told.is_before(&noted) => begin.settled,
        _ => begin.told,
    };
    Begin { told, ..begin }
}

/// Whether all streams are to settle what is on its way, and send no more.
pub struct Halt {
    is_on: AtomicBool,
    stop: Stop,
    wakers: Arc<Mutex<Vec<Waker>>>,
}

/// Ends a wait.
type Waker = Box<dyn Fn() + Send + Sync>;

impl Halt {
    pub fn new(stop: &Stop) -> Self {
        let wakers: Arc<Mutex<Vec<Waker>>> = Arc::default();
        let all = wakers.clone();
        stop.on_wake(move || wake(&all));
        Self {
            is_on: AtomicBool::new(false),
            stop: stop.clone(),
            wakers,
        }
    }

    /// Also ends this wait; at once, if it is time to.
    pub fn also_wake(&self, waker: impl Fn() + Send + Sync + 'static) {
        let mut wakers = self.wakers.lock().unwrap_or_else(PoisonError::into_inner);
        wakers.push(Box::new(waker));
        if let Some(waker) = wakers.last().filter(|_| self.is_time_to_end()) {
            waker();
        }
    }

    /// Whether nothing more is to be begun.
    pub fn is_time_to_end(&self) -> bool {
        self.is_on.load(Ordering::SeqCst) || self.stop.ending().is_some()
    }

    pub fn all(&self) {
        self.is_on.store(true, Ordering::SeqCst);
        wake(&self.wakers);
    }

    /// Halts all unless one ended well.
    pub fn unless_well(&self, ended: Ended) -> Ended {
        if ended.is_err() {
            self.all();
        }
        ended
    }
}

fn wake(wakers: &Mutex<Vec<Waker>>) {
    let wakers = wakers.lock().unwrap_or_else(PoisonError::into_inner);
    wakers.iter().for_each(|wake| wake());
}

/// Tells the account of one stream. The account is locked from the first record of a batch until the batch is settled.
pub struct Teller<'l, 'a> {
    of: Of,
    account: &'l Mutex<Account<'a>>,
    locked: Option<MutexGuard<'l, Account<'a>>>,
    halt: &'l Halt,
}

impl<'l, 'a> Teller<'l, 'a> {
    pub fn new(of: Of, account: &'l Mutex<Account<'a>>, halt: &'l Halt) -> Self {
        Self {
            of,
            account,
            locked: None,
            halt,
        }
    }

    fn account(&mut self) -> &mut Account<'a> {
        let (account, of) = (self.account, &self.of);
        self.locked.get_or_insert_with(|| {
            let mut account = account.lock().unwrap_or_else(PoisonError::into_inner);
            account.stream = Some((of.number, of.stream.clone()));
            account
        })
    }
}

impl Journal<anyhow::Error> for Teller<'_, '_> {
    fn added(&mut self, batch: &Batch, record: &Record, id: Option<EntryId>) {
        self.account().added(batch, record, id);
    }

    fn at_risk(&mut self, batch: &Batch, record: &Record) {
        self.account().at_risk(batch, record);
    }

    fn rejected(&mut self, batch: &Batch, record: &Record, why: Why<'_>) -> anyhow::Result<()> {
        self.of.rejected += 1;
        // One that cannot be sent was the last that was read: what was read before may go.
        let was_sent = !matches!(why, Why::Unfit(_));
        let account = self.account();
        let rejected = account.rejected(batch, record, why);
        if was_sent && account.is_stopped() {
            self.halt.all();
        }
        rejected
    }

    /// What the account has written is of all streams; this one has only its rejects to itself.
    fn settled(&mut self, batch: &Batch, progress: Progress) -> anyhow::Result<Written> {
        let Of { number, rejected, .. } = &self.of;
        let (number, rejected) = (*number, *rejected);
        let settled = self.account().settled_of(number, rejected, batch, progress);
        self.locked = None;
        settled.map(|_| Written {
            rejected,
            ..Written::default()
        })
    }

    fn told(&mut self) {
        self.locked = None;
    }

    /// No stream goes back by itself: its input cannot be read again for it alone.
    fn rewound(&mut self, _: Written, _: Progress) -> anyhow::Result<()> {
        Ok(())
    }

    fn is_stopped(&self) -> bool {
        self.halt.is_on.load(Ordering::SeqCst)
    }

    fn note(&mut self, note: Note<'_>) {
        self.account().note(note);
        self.locked = None;
    }
}
