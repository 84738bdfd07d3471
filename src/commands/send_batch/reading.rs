//! The reading thread at work: chunks of input into batches of commands, at a pace, behind what an earlier run sent.

use std::io;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::mpsc::Sender as Return;
use std::sync::mpsc::{Receiver, SyncSender, channel};
use std::thread;
use std::time::{Duration, Instant};

use super::OnReject;
use super::checkpoint::Place;
use super::input::{Batch, Command, Event, Input, LONGEST_RECORD, MOST_RECORDS, Record, Source};
use super::record::{Encoder, Format};
use crate::failure::Failure;

/// The reading thread's state.
pub struct Reading {
    encoder: Encoder,
    pace: Option<Pace>,
    on_reject: OnReject,
    returned: Receiver<Box<Batch>>,
    /// What messages call the source being read, and its header, as it stands.
    name: String,
    header: Option<Arc<[u8]>>,
    /// Whether the next row is its header.
    header_due: bool,
    /// How far the input was read.
    place: Place,
    /// How far an earlier run sent it.
    resume: Place,
}

/// Whether to read on.
#[derive(PartialEq)]
enum Next {
    Go,
    End,
}

impl Reading {
    /// Starts the thread. What is returned takes batches back, to use their memory again.
    pub fn start(
        input: Input,
        encoder: Encoder,
        rate: Option<NonZeroU32>,
        on_reject: OnReject,
        events: SyncSender<Event>,
    ) -> io::Result<Return<Box<Batch>>> {
        let (spare, returned) = channel();
        let reading = Self {
            encoder,
            pace: rate.map(Pace::new),
            on_reject,
            returned,
            name: String::new(),
            header: None,
            header_due: false,
            place: Place {
                digest: input.resume.digest.map(|_| 0),
                ..Place::default()
            },
            resume: input.resume,
        };
        thread::Builder::new().spawn(move || reading.run(input.sources, &events))?;
        Ok(spare)
    }

    /// Reads all sources to their end, or to a record that ends the sending.
    fn run(mut self, sources: Vec<Source>, events: &SyncSender<Event>) {
        let ended = match self.all(sources, events) {
            Ok(()) => Event::End,
            Err(error) => Event::Failed(error),
        };
        // When nobody listens any more, the sending side has ended.
        let _ = events.send(ended);
    }

    fn all(&mut self, sources: Vec<Source>, events: &SyncSender<Event>) -> anyhow::Result<()> {
        for (index, mut source) in sources.into_iter().enumerate() {
            self.name.clone_from(&source.name);
            self.place = Place {
                source: index,
                digest: self.place.digest,
                ..Place::default()
            };
            if self.one(&mut source, events)? == Next::End {
                break;
            }
            self.resume.must_lie_before(&self.place)?;
        }
        Ok(())
    }

    fn one(&mut self, source: &mut Source, events: &SyncSender<Event>) -> anyhow::Result<Next> {
        let format = self.encoder.format();
        let mut carry = Vec::new();
        self.header_due = format == Format::Csv;
        let mut more = true;
        while more {
            let mut batch = self.empty_batch();
            batch.input.append(&mut carry);
            let mut complete = 0;
            while more && complete == 0 {
                more = source.fill(&mut batch.input)?;
                complete = if more {
                    format.complete(&batch.input)
                } else {
                    batch.input.len()
                };
                if complete == 0 && batch.input.len() > LONGEST_RECORD {
                    anyhow::bail!(
                        "{}:{}: the record is longer than 512 MiB",
                        source.name,
                        self.place.line + 1
                    );
                }
            }
            carry.extend_from_slice(&batch.input[complete..]);
            batch.input.truncate(complete);
            if self.encode(batch, events)? == Next::End {
                return Ok(Next::End);
            }
        }
        Ok(Next::Go)
    }

    fn empty_batch(&mut self) -> Box<Batch> {
        let mut batch = self.returned.try_recv().unwrap_or_default();
        batch.input.clear();
        batch.packed.clear();
        batch.records.clear();
        batch.last_row = 0..0;
        batch.source = self.place.source;
        batch.header = self.header.clone();
        batch
    }

    /// Encodes the records of a batch and sends it on, in parts where there are many or a rate is to be kept.
    fn encode(&mut self, mut batch: Box<Batch>, events: &SyncSender<Event>) -> anyhow::Result<Next> {
        let most = self.pace.as_ref().map_or(MOST_RECORDS, |pace| pace.step);
        let mut at = 0;
        while at < batch.input.len() {
            if batch.records.len() >= most {
                let rest = batch.input[at..].to_vec();
                batch.input.truncate(at);
                if self.hand_over(batch, events) == Next::End {
                    return Ok(Next::End);
                }
                batch = self.empty_batch();
                batch.input = rest;
                at = 0;
            }
            let row = self.encoder.format().first(&batch.input[at..]);
            batch.last_row = at..at + row.end;
            at += row.end;
            if self.take(&mut batch, row.line_breaks.max(1))? == Next::End {
                self.hand_over(batch, events);
                return Ok(Next::End);
            }
        }
        Ok(self.hand_over(batch, events))
    }

    /// Takes the row a batch has come to: as the header, as nothing, or as a record.
    fn take(&mut self, batch: &mut Batch, lines: u64) -> anyhow::Result<Next> {
        let row = &batch.input[batch.last_row.clone()];
        let line = self.place.line + 1;
        let was_sent = self.place.advance(row, lines, &self.resume)?;
        if std::mem::take(&mut self.header_due) {
            self.take_header(row)?;
            batch.header.clone_from(&self.header);
            return Ok(Next::Go);
        }
        if was_sent {
            return Ok(Next::Go);
        }
        let start = batch.packed.len();
        let command = match self.encoder.encode(row, &mut batch.packed) {
            Ok(None) => return Ok(Next::Go),
            Ok(Some(encoded)) => Ok(Command {
                packed: start..batch.packed.len(),
                encoded,
            }),
            Err(error) => {
                batch.packed.truncate(start);
                Err(error)
            }
        };
        let ends = command.is_err() && self.on_reject == OnReject::Stop;
        batch.records.push(Record {
            line,
            input: batch.last_row.clone(),
            command,
        });
        Ok(if ends { Next::End } else { Next::Go })
    }

    fn take_header(&mut self, row: &[u8]) -> anyhow::Result<()> {
        self.header = Some(row.into());
        self.encoder.take_header(row).map_err(|error| {
            Failure::data(format!(
                "{}:1:{}: the header cannot be read: {error}",
                self.name, error.column
            ))
            .into()
        })
    }

    fn hand_over(&mut self, mut batch: Box<Batch>, events: &SyncSender<Event>) -> Next {
        let commands_end = batch.packed.len();
        let trims = commands_end > 0 && self.encoder.finish(&mut batch.packed);
        batch.trim_at = trims.then_some(commands_end);
        batch.end = self.place;
        if let Some(pace) = &mut self.pace {
            pace.wait(batch.records.len());
        }
        match events.send(Event::Batch(batch)) {
            Ok(()) => Next::Go,
            Err(_) => Next::End,
        }
    }
}

/// Keeps a rate: batches of a twentieth of a second, each at its time.
struct Pace {
    step: usize,
    per_record: Duration,
    next: Instant,
}

impl Pace {
    fn new(rate: NonZeroU32) -> Self {
        Self {
            step: (rate.get() / 20).max(1) as usize,
            per_record: Duration::from_secs(1) / rate.get(),
            next: Instant::now(),
        }
    }

    /// Waits for the time of a batch. Time lost to slow input is not made up for by a burst.
    fn wait(&mut self, records: usize) {
        let now = Instant::now();
        if self.next > now {
            thread::sleep(self.next - now);
        }
        self.next = self.next.max(now) + self.per_record * u32::try_from(records).unwrap_or(u32::MAX);
    }
}
