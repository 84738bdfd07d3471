//! The reading thread: sources into batches of encoded records.

use std::fs::File;
use std::io;
use std::num::NonZeroU32;
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::Sender as Return;
use std::sync::mpsc::{Receiver, SyncSender, channel};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use rustix::buffer::spare_capacity;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;

use super::OnReject;
use super::checkpoint::{Place, digest};
use super::record::{Encoded, Encoder, Format};
use crate::failure::Failure;
use crate::line::LineError;

/// How much input one batch takes: some 800 messages of 150 bytes. Larger batches gain nothing measurable and
/// delay the first reply.
const CHUNK: usize = 128 * 1024;

/// How many records one batch takes, however short they are.
pub const MOST_RECORDS: usize = 4096;

/// The longest record: what Redis takes in one argument, `proto-max-bulk-len`, 512 MiB by default.
const LONGEST_RECORD: usize = 512 * 1024 * 1024;

/// What the reading thread tells the sending one.
pub enum Event {
    /// Records, encoded.
    Batch(Box<Batch>),
    /// All input was read, or all before a record that ends it.
    End,
    /// A source could not be read further.
    Failed(anyhow::Error),
    /// A signal asks to end.
    Stop,
}

/// Records of one source, as read and as sent.
#[derive(Default)]
pub struct Batch {
    /// Which source.
    pub source: usize,
    /// The header of the source, where it has one.
    pub header: Option<Arc<[u8]>>,
    /// Complete records, as read.
    pub input: Vec<u8>,
    /// Their commands.
    pub packed: Vec<u8>,
    /// What became of each record that is something, in order.
    pub records: Vec<Record>,
    /// Where the XTRIM stands that ends the commands, if one does.
    pub trim_at: Option<usize>,
    /// The last record, be it nothing.
    pub last_row: std::ops::Range<usize>,
    /// Where the batch ends in the input.
    pub end: Place,
}

/// A record of a batch.
pub struct Record {
    /// Its line, from 1.
    pub line: u64,
    /// Where it stands in the batch's input.
    pub input: std::ops::Range<usize>,
    /// Its command, or why there is none.
    pub command: Result<Command, LineError>,
}

/// The command of a record, in the batch's buffer.
#[derive(Clone, Debug)]
pub struct Command {
    /// Where it stands.
    pub packed: std::ops::Range<usize>,
    /// Its fields and its ID.
    pub encoded: Encoded,
}

/// The sources, opened before anything is sent.
pub struct Input {
    sources: Vec<Source>,
    resume: Place,
}

struct Source {
    name: String,
    file: File,
}

impl Input {
    /// Opens files; stdin if none are named.
    pub fn open(files: &[PathBuf]) -> anyhow::Result<Self> {
        let stdin = [PathBuf::from("-")];
        let files = if files.is_empty() { &stdin } else { files };
        let sources: anyhow::Result<Vec<_>> = files.iter().map(|path| Source::open(path)).collect();
        Ok(Self {
            sources: sources?,
            resume: Place::default(),
        })
    }

    /// What messages call the sources.
    pub fn names(&self) -> Vec<String> {
        self.sources.iter().map(|source| source.name.clone()).collect()
    }

    /// The size of all sources, if all are files.
    pub fn total_bytes(&self) -> Option<u64> {
        self.sources
            .iter()
            .map(|source| {
                source
                    .file
                    .metadata()
                    .ok()
                    .filter(std::fs::Metadata::is_file)
                    .map(|data| data.len())
            })
            .sum()
    }

    /// Whether a path leads to one of the sources.
    pub fn reads(&self, path: &Path) -> bool {
        let identity = |data: std::fs::Metadata| (data.dev(), data.ino());
        let Ok(wanted) = std::fs::metadata(path).map(identity) else {
            return false;
        };
        self.sources
            .iter()
            .any(|source| source.file.metadata().is_ok_and(|data| identity(data) == wanted))
    }

    /// Passes over what an earlier run sent.
    pub fn resume_at(&mut self, place: Place) {
        self.resume = place;
    }

    /// Starts the reading thread. What is returned takes batches back, to use their memory again.
    pub fn start(
        self,
        encoder: Encoder,
        rate: Option<NonZeroU32>,
        on_reject: OnReject,
        events: SyncSender<Event>,
    ) -> Return<Box<Batch>> {
        let (spare, returned) = channel();
        let mut reading = Reading {
            encoder,
            pace: rate.map(Pace::new),
            on_reject,
            returned,
            name: String::new(),
            header: None,
            place: Place::default(),
            resume: self.resume,
        };
        thread::spawn(move || {
            let ended = reading.all(self.sources, &events);
            // When nobody listens any more, the sending side has ended.
            let _ = events.send(match ended {
                Ok(()) => Event::End,
                Err(error) => Event::Failed(error),
            });
        });
        spare
    }
}

impl Source {
    fn open(path: &Path) -> anyhow::Result<Self> {
        let (name, file) = match path.to_str() {
            Some("-") => (
                "stdin".to_owned(),
                File::from(io::stdin().as_fd().try_clone_to_owned()?),
            ),
            _ => {
                let name = path.display().to_string();
                let file = File::open(path).with_context(|| format!("cannot open {name}"))?;
                if file.metadata().is_ok_and(|data| data.is_dir()) {
                    anyhow::bail!("cannot read {name}: it is a directory");
                }
                (name, file)
            }
        };
        Ok(Self { name, file })
    }

    /// Whether a read would return at once. Files always do; a pipe may keep us waiting.
    fn is_ready(&self) -> bool {
        let mut fds = [PollFd::new(&self.file, PollFlags::IN)];
        let now = Timespec { tv_sec: 0, tv_nsec: 0 };
        poll(&mut fds, Some(&now)).is_ok_and(|ready| ready > 0)
    }

    fn wait(&self) -> io::Result<()> {
        poll(&mut [PollFd::new(&self.file, PollFlags::IN)], None)?;
        Ok(())
    }

    /// Reads until a chunk is full or the source has no more for now, so that a line which arrives slowly is
    /// not held for a full batch. False at the end.
    fn fill(&mut self, input: &mut Vec<u8>) -> anyhow::Result<bool> {
        let start = input.len();
        // Doubling, so that a long record is not looked at again and again.
        let full = CHUNK.max(2 * start);
        input.reserve_exact(full - start);
        let mut more = true;
        while more && input.len() < full && (input.len() == start || self.is_ready()) {
            match rustix::io::read(&self.file, spare_capacity(input)) {
                Ok(read) => more = read > 0,
                Err(Errno::INTR) => {}
                // Whoever opened it for us set it not to block.
                Err(Errno::AGAIN) => self.wait()?,
                Err(error) => {
                    return Err(io::Error::from(error)).with_context(|| format!("cannot read {}", self.name));
                }
            }
        }
        Ok(more)
    }
}

/// The reading thread's state.
struct Reading {
    encoder: Encoder,
    pace: Option<Pace>,
    on_reject: OnReject,
    returned: Receiver<Box<Batch>>,
    /// What messages call the source being read, and its header, as it stands.
    name: String,
    header: Option<Arc<[u8]>>,
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
    fn all(&mut self, sources: Vec<Source>, events: &SyncSender<Event>) -> anyhow::Result<()> {
        for (index, mut source) in sources.into_iter().enumerate() {
            self.name.clone_from(&source.name);
            self.place = Place {
                source: index,
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
        let mut header_due = format == Format::Csv;
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
            if self.encode(batch, &mut header_due, events)? == Next::End {
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

    /// Encodes the records of a batch and sends it on, in parts where a rate is to be kept.
    fn encode(
        &mut self,
        mut batch: Box<Batch>,
        header_due: &mut bool,
        events: &SyncSender<Event>,
    ) -> anyhow::Result<Next> {
        let mut at = 0;
        while at < batch.input.len() {
            if batch.records.len() >= self.pace.as_ref().map_or(MOST_RECORDS, |pace| pace.step) {
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
            let range = at..at + row.end;
            at = range.end;
            batch.last_row = range.clone();
            let line = self.place.line + 1;
            let passed = self
                .place
                .advance(&batch.input[range.clone()], row.line_breaks.max(1), &self.resume)?;
            if *header_due {
                *header_due = false;
                let header = &batch.input[range];
                self.header = Some(header.into());
                batch.header.clone_from(&self.header);
                self.encoder.take_header(header).map_err(|error| {
                    Failure::data(format!(
                        "{}:1:{}: the header cannot be read: {error}",
                        self.name, error.column
                    ))
                })?;
                continue;
            }
            if passed {
                continue;
            }
            let start = batch.packed.len();
            let command = match self.encoder.encode(&batch.input[range.clone()], &mut batch.packed) {
                Ok(None) => continue,
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
                input: range,
                command,
            });
            if ends {
                self.hand_over(batch, events);
                return Ok(Next::End);
            }
        }
        Ok(self.hand_over(batch, events))
    }

    fn hand_over(&mut self, mut batch: Box<Batch>, events: &SyncSender<Event>) -> Next {
        let commands_end = batch.packed.len();
        let trims = commands_end > 0 && self.encoder.finish(&mut batch.packed);
        batch.trim_at = trims.then_some(commands_end);
        batch.end = Place {
            tail: digest(&batch.input[batch.last_row.clone()]),
            ..self.place
        };
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
