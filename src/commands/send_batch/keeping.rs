//! A sending whose lines name their streams: each is opened as its first line comes, with a producer on a thread of its own.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use anyhow::Context as _;

use super::account::Account;
use super::arrivals::Arrivals;
use super::dealing::BEGINNING;
use super::input::Input;
use super::partitions::{Ended, Halt, Of, Teller};
use super::reading::Reading;
use super::record::{Encoder, TrimClock};
use super::sending;
use super::settings::Settings;
use super::words::Lines;
use crate::commands::{Context, join};
use crate::streamer::producer::{
    self, Arrival, Batch, First, Journal, LastId, Progress, Source, Trouble, Why, Written,
};
use crate::streamer::{Connections, Ending, Error, Notice, length, now_ms, see_right_to_add};

/// What happens while the input is read.
enum Event {
    Opened(Opened),
    AllRead,
    /// It may be time to end.
    Woken,
}

/// A stream that a line named first.
struct Opened {
    number: usize,
    stream: Arc<str>,
    arrivals: Arrivals,
}

/// Takes the streams that come up. When it goes, no more do.
pub struct Openings {
    events: Sender<Event>,
    connections: Connections,
}

impl Openings {
    /// Why a key takes no entry at all, as far as that can be seen before one is sent. Other failures are the producer's.
    pub fn refusal(&mut self, stream: &str) -> Option<Error> {
        let connections = &mut self.connections;
        let right = connections.at(stream, |connection| see_right_to_add(connection, stream));
        let mut kind = || connections.at(stream, |connection| length(connection, stream).map(drop));
        let error = right.and_then(|()| kind()).err()?;
        if !matches!(error, Error::WrongType { .. } | Error::KeyDenied { .. }) {
            // It may be the connection.
            connections.clear();
            return None;
        }
        Some(error)
    }

    pub fn open(&self, number: usize, stream: &str, arrivals: Arrivals) {
        // Where nobody takes it any more, the arrivals are closed.
        let _ = self.events.send(Event::Opened(Opened {
            number,
            stream: Arc::from(stream),
            arrivals,
        }));
    }
}

impl Drop for Openings {
    fn drop(&mut self) {
        let _ = self.events.send(Event::AllRead);
    }
}

/// How long the lines of no stream are waited for at a time.
const WAIT: Duration = Duration::from_secs(60);

pub fn run(settings: &Settings, input: Input, context: &Context) -> anyhow::Result<Ending> {
    let stop = &context.stop;
    let names = input.names();
    let lines = Lines {
        names: &names,
        is_resumable: false,
        durability: settings.durability,
    };
    // Any server's clock will do.
    let clock = || {
        context
            .connect_to("")
            .and_then(|mut connections| connections.at("", now_ms))
    };
    let trim = TrimClock::start(settings.retention, settings.retention.clock(clock)?);
    let account = Account::open(settings, lines, &input, Written::default(), context.ui, stop)?;
    let (sender, events) = channel();
    let openings = Openings {
        events: sender.clone(),
        connections: Connections::new(&context.servers, None),
    };
    let unsendable = Reading::start_keeping(input, settings, Encoder::new(settings, trim), openings)
        .context("cannot start a thread to read")?;
    context.say_connecting();
    let account = Mutex::new(account);
    let halt = Halt::new(stop);
    halt.also_wake(move || {
        // Nobody listens once all is read.
        let _ = sender.send(Event::Woken);
    });
    let ended = send_all(settings, context, &account, &halt, unsendable, events);
    let mut account = account.into_inner().unwrap_or_else(PoisonError::into_inner);
    // All but that of the lines of no stream.
    account.named = ended.len() - 1;
    account.close_all(ended)
}

/// Sends to each stream as it is opened; says how each ended.
fn send_all(
    settings: &Settings,
    context: &Context,
    account: &Mutex<Account<'_>>,
    halt: &Halt,
    mut unsendable: Arrivals,
    events: Receiver<Event>,
) -> Vec<(Arc<str>, Ended)> {
    let is_reached = &AtomicBool::new(false);
    thread::scope(|scope| {
        let of = |number, stream: &Arc<str>| Of {
            number,
            stream: stream.clone(),
            rejected: 0,
        };
        let mut sending = Vec::new();
        let nowhere: Arc<str> = Arc::from("");
        halt.also_wake(unsendable.waker());
        let of_nowhere = of(0, &nowhere);
        let tell = move || {
            let mut told = Teller::new(of_nowhere, account, halt);
            halt.unless_well(tell_unsent(&mut unsendable, &mut told, halt))
        };
        let started = thread::Builder::new().spawn_scoped(scope, tell);
        sending.push((nowhere, started.inspect_err(|_| halt.all())));
        for event in events {
            match event {
                Event::AllRead => break,
                Event::Woken if halt.is_time_to_end() => break,
                Event::Woken => {}
                Event::Opened(Opened {
                    number,
                    stream,
                    mut arrivals,
                }) => {
                    halt.also_wake(arrivals.waker());
                    let (of, name) = (of(number, &stream), stream.clone());
                    let send = move || {
                        let mut told = Teller::new(of, account, halt);
                        halt.unless_well(send_one(
                            settings,
                            context,
                            (&name, number),
                            &mut arrivals,
                            &mut told,
                            is_reached,
                        ))
                    };
                    let started = thread::Builder::new().spawn_scoped(scope, send);
                    sending.push((stream, started.inspect_err(|_| halt.all())));
                }
            }
        }
        sending
            .into_iter()
            .map(|(stream, sending)| (stream, join(sending).unwrap_or_else(|error| Err(Trouble::Host(error)))))
            .collect()
    })
}

/// Sends to one stream. It is told that it is one of as many producers as there are so far: the first have more of the
/// memory than the last, and all together some times what one may have.
fn send_one(
    settings: &Settings,
    context: &Context,
    stream: (&str, usize),
    arrivals: &mut Arrivals,
    told: &mut Teller<'_, '_>,
    is_reached: &AtomicBool,
) -> Ended {
    let mut sending = sending(settings, context, stream, None, None);
    let notify = |notice: Notice<'_>| context.notice(notice);
    if is_reached.load(Ordering::SeqCst) {
        sending.first = First::Reached;
    }
    let started = producer::start(&context.servers, &sending, &context.stop, &notify)?;
    is_reached.store(true, Ordering::SeqCst);
    started.run(arrivals, told)
}

/// Tells of lines that cannot be sent to any stream.
fn tell_unsent(lines: &mut Arrivals, told: &mut Teller<'_, '_>, halt: &Halt) -> Ended {
    let mut records = 0;
    loop {
        let (batch, is_last) = match lines.next(WAIT) {
            Arrival::Batch(batch) => (batch, false),
            Arrival::Ended(Some(batch)) => (batch, true),
            Arrival::Ended(None) => return Ok(()),
            Arrival::Failed(error) => return Err(Trouble::Host(error)),
            Arrival::Nothing if halt.is_time_to_end() => return Err(Trouble::Ended { in_doubt: None }),
            Arrival::Nothing => continue,
        };
        records += batch.records.len() as u64;
        tell_batch(&batch, records, told).map_err(Trouble::Host)?;
        if is_last {
            return Ok(());
        }
        lines.recycle(batch);
    }
}

fn tell_batch(batch: &Batch, records: u64, told: &mut Teller<'_, '_>) -> anyhow::Result<()> {
    for record in &batch.records {
        if let Err(unfit) = &record.command {
            told.rejected(batch, record, Why::Unfit(unfit))?;
        }
    }
    let progress = Progress {
        place: BEGINNING.told,
        records,
        last_id: LastId::AtLeast(None),
    };
    told.settled(batch, progress).map(drop)
}
