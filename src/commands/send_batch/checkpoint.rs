//! How far a sending came, kept in a file, so that a killed `send-batch` goes on where it stopped.
//!
//! The file is replaced as a whole. What was sent after it was written is found in the stream itself.

use std::fs;
use std::io::{ErrorKind, Write};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use serde::{Deserialize, Serialize};

use super::Args;
use crate::failure::{Failure, quote};
use crate::streamer::{EntryId, Identity};

/// A place between two records of the input.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    /// Which source.
    pub source: usize,
    /// How many bytes of it lie before.
    pub offset: u64,
    /// How many lines of it lie before.
    pub line: u64,
    /// A digest of all that lies before, other sources included, by which the input is known again; `None` where
    /// nobody asks for it.
    pub digest: Option<u64>,
}

impl Place {
    /// Moves behind a record; says whether the record lies before `resume`. Fails if the input is not the one
    /// in which `resume` was a place between two records.
    pub fn advance(&mut self, record: &[u8], lines: u64, resume: &Self) -> anyhow::Result<bool> {
        let before = self.offset;
        self.offset += record.len() as u64;
        self.line += lines;
        self.digest = self.digest.map(|before| digest(before, record));
        if self.source != resume.source {
            return Ok(self.source < resume.source);
        }
        if before >= resume.offset {
            return Ok(false);
        }
        if self.offset >= resume.offset && self != resume {
            return Err(other_input());
        }
        Ok(true)
    }

    /// At the end of a source: whether an earlier run came further in it.
    pub fn must_lie_before(&self, end: &Self) -> anyhow::Result<()> {
        match self.source == end.source && self.offset > end.offset {
            false => Ok(()),
            true => Err(other_input()),
        }
    }
}

fn other_input() -> anyhow::Error {
    Failure::data("the input is not the one the checkpoint was written for")
        .hint("give the same input again, or another --checkpoint file to start anew")
        .into()
}

/// The digest of what lay before and a record: no single change of a word goes unnoticed. The steps are those of
/// FxHash, which Firefox and rustc use.
fn digest(before: u64, record: &[u8]) -> u64 {
    const FACTOR: u64 = 0x517c_c1b7_2722_0a95;
    let step = |hash: u64, word: u64| (hash.rotate_left(5) ^ word).wrapping_mul(FACTOR);
    let words = record.chunks(8).map(|chunk| {
        let mut word = [0; 8];
        word[..chunk.len()].copy_from_slice(chunk);
        u64::from_le_bytes(word)
    });
    words.fold(step(before, record.len() as u64), step)
}

/// What was written of the lines up to some place, by all runs of a sending.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Written {
    /// How many lines were rejected.
    pub rejected: u64,
    /// The lengths of the files, in bytes.
    pub rejects: u64,
    pub receipts: u64,
}

/// What the file says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct State {
    stream: String,
    input: Vec<String>,
    #[serde(flatten)]
    place: Place,
    /// The last entry that was acknowledged as added, or the stream's last ID before the first.
    last_id: Option<String>,
    /// Whether nothing was on its way when this was written: then nothing needs to be looked up in the stream,
    /// where equal entries of others could be mistaken for ours.
    settled: bool,
    /// What was written of the lines before the place.
    #[serde(default)]
    written: Written,
    /// The connection in use. What it still carries must not land after its commands were looked up.
    connection: Option<Identity>,
}

/// A checkpoint file.
pub struct Checkpoint {
    path: PathBuf,
    state: State,
    written: Instant,
    /// How many records were noted since.
    unwritten: usize,
}

/// How many records may be sent and not yet in the file. Those are looked up in the stream when the sending
/// is resumed.
pub const MOST_UNWRITTEN: usize = 50_000;

/// How often the file is written while sending goes well: each time costs a write to the disk.
const INTERVAL: Duration = Duration::from_millis(200);

impl Checkpoint {
    /// Reads the file, if there is one. `origin` is the stream's last ID before anything is sent.
    pub fn open(args: &Args, names: Vec<String>, origin: Option<EntryId>) -> anyhow::Result<Option<Self>> {
        let Some(path) = args.checkpoint.clone() else {
            return Ok(None);
        };
        let fresh = State {
            stream: args.stream.clone(),
            input: names,
            place: Place {
                digest: Some(0),
                ..Place::default()
            },
            last_id: origin.map(|id| id.to_string()),
            settled: true,
            written: Written::default(),
            connection: None,
        };
        let state = match fs::read(&path) {
            Err(error) if error.kind() == ErrorKind::NotFound => None,
            // As mktemp makes it.
            Ok(bytes) if bytes.is_empty() => None,
            Err(error) => return Err(error).with_context(|| format!("cannot read the checkpoint {}", path.display())),
            Ok(bytes) => Some(
                serde_json::from_slice::<State>(&bytes)
                    .with_context(|| format!("{} is not a checkpoint", path.display()))?,
            ),
        };
        if let Some(found) = &state
            && (&found.stream, &found.input) != (&fresh.stream, &fresh.input)
        {
            return Err(Failure::data(format!(
                "the checkpoint {} is for another sending: {} to {}",
                path.display(),
                found.input.join(", "),
                found.stream
            ))
            .hint(format!("rm {} to start anew", quote(&path.display().to_string())))
            .into());
        }
        Ok(Some(Self {
            path,
            state: state.unwrap_or(fresh),
            written: Instant::now(),
            unwritten: 0,
        }))
    }

    /// Whether nothing was on its way when the last run ended.
    pub fn is_settled(&self) -> bool {
        self.state.settled
    }

    /// The connection of the last run.
    pub fn connection(&self) -> Option<&Identity> {
        self.state.connection.as_ref()
    }

    /// Begins to send over a connection: from now on something may be on its way, after `last_id`.
    pub fn begin(&mut self, last_id: Option<EntryId>, connection: Option<Identity>) -> anyhow::Result<()> {
        self.state.settled = false;
        self.state.last_id = last_id.map(|id| id.to_string());
        self.state.connection = connection;
        self.write()
    }

    /// What was written of the lines before [`Checkpoint::place`].
    pub fn written(&self) -> Written {
        self.state.written
    }

    /// How far the sending came.
    pub fn place(&self) -> Place {
        self.state.place
    }

    /// The last entry known to be added.
    pub fn last_id(&self) -> anyhow::Result<Option<EntryId>> {
        let parsed = self.state.last_id.as_deref().map(str::parse).transpose();
        parsed.with_context(|| format!("{} is not a checkpoint", self.path.display()))
    }

    /// Notes that everything before `place` was added, the last as `last_id`; put into the file from time to time.
    pub fn advance(
        &mut self,
        place: Place,
        records: usize,
        last_id: Option<EntryId>,
        written: Written,
    ) -> anyhow::Result<()> {
        // What is passed over on the way to the place was sent by an earlier run.
        if (place.source, place.offset) <= (self.state.place.source, self.state.place.offset) {
            return Ok(());
        }
        self.unwritten += records;
        self.state.place = place;
        self.state.written = written;
        // A batch of which nothing was added leaves the last entry what it was.
        if let Some(id) = last_id {
            self.state.last_id = Some(id.to_string());
        }
        match self.written.elapsed() >= INTERVAL || self.unwritten >= MOST_UNWRITTEN {
            true => self.write(),
            false => Ok(()),
        }
    }

    /// Notes that the sending ended; `settled` if nothing is on its way any more.
    pub fn close(&mut self, settled: bool) -> anyhow::Result<()> {
        self.state.settled = settled;
        self.write()
    }

    /// Replaces the file as a whole: a kill or a power cut leaves the old one or the new one.
    fn write(&mut self) -> anyhow::Result<()> {
        let mut temporary = self.path.clone().into_os_string();
        temporary.push(".new");
        let written = fs::File::create(&temporary).and_then(|mut file| {
            file.write_all(&serde_json::to_vec(&self.state)?)?;
            file.sync_all()?;
            fs::rename(&temporary, &self.path)
        });
        self.written = Instant::now();
        self.unwritten = 0;
        written.with_context(|| format!("cannot write the checkpoint {}", self.path.display()))
    }
}
