//! What is kept in a file for a later run: which producer this is, the identity of the input, and how much was written
//! of the lines up to a place. How far the lines are in the stream is the marker's to say.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use serde::{Deserialize, Serialize};

use super::files::Replaced;
use crate::failure::{Failure, quote};
use crate::streamer::EntryId;
use crate::streamer::producer::{Earlier, EarlierEnding, LastId, Place, Progress, Written, new_producer};

/// The version of the file's form.
const VERSION: u32 = 1;

/// What the file says.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct State {
    version: u32,
    producer: String,
    stream: String,
    input: Vec<String>,
    source: usize,
    offset: u64,
    line: u64,
    digest: Option<String>,
    records: u64,
    rejected: u64,
    rejects: u64,
    receipts: u64,
    /// The last entry known to be added; there may be later ones unless it is exact.
    last_id: Option<String>,
    is_exact: bool,
    /// The stream's last ID before anything was sent.
    origin: Option<String>,
    /// Whether nothing was on its way when this was written: then nothing is in doubt where the marker has expired.
    settled: bool,
}

/// A checkpoint file.
pub struct Checkpoint {
    file: Replaced,
    state: State,
    written: Instant,
    /// How many records were noted since.
    unwritten: u64,
}

/// How many records may be settled and not yet in the file. Those are read again when the sending is resumed.
const MOST_UNWRITTEN: u64 = 50_000;

/// How often the file is written while sending goes well: each time costs a few writes to the disk.
const INTERVAL: Duration = Duration::from_millis(200);

impl Checkpoint {
    /// Opens the file, and what an earlier run left in it.
    pub fn open(path: &Path, stream: &str, input: Vec<String>) -> anyhow::Result<(Self, Option<Earlier>)> {
        let (file, contents) = Replaced::open(path)?;
        let name = path.display();
        let fresh = State {
            version: VERSION,
            producer: new_producer(),
            stream: stream.to_owned(),
            input,
            source: 0,
            offset: 0,
            line: 0,
            digest: None,
            records: 0,
            rejected: 0,
            rejects: 0,
            receipts: 0,
            last_id: None,
            is_exact: true,
            origin: None,
            settled: true,
        };
        // As mktemp makes it.
        let found = match &*contents {
            [] => None,
            bytes => Some(read(bytes).with_context(|| format!("{name} is not a checkpoint"))?),
        };
        if let Some((found, _)) = &found
            && (&found.stream, &found.input) != (&fresh.stream, &fresh.input)
        {
            let (inputs, stream) = (found.input.join(", "), &found.stream);
            return Err(Failure::data(format!(
                "the checkpoint {name} is for another sending: {inputs} to {stream}"
            ))
            .hint(format!("rm {} to start anew", quote(&name.to_string())))
            .into());
        }
        let (state, earlier) = found.unzip();
        let checkpoint = Self {
            file,
            state: state.unwrap_or(fresh),
            written: Instant::now(),
            unwritten: 0,
        };
        Ok((checkpoint, earlier))
    }

    pub fn producer(&self) -> &str {
        &self.state.producer
    }

    /// Something may be on its way from now on.
    pub fn begin(&mut self, origin: Option<EntryId>) -> anyhow::Result<()> {
        self.state.settled = false;
        self.state.origin = origin.map(|id| id.to_string());
        if self.state.records == 0 {
            self.state.last_id.clone_from(&self.state.origin);
        }
        self.write()
    }

    /// Notes how far the sending is; says whether the file is to be written, so that what it counts can be made to last
    /// before.
    pub fn advance(&mut self, progress: Progress, written: Written) -> bool {
        self.unwritten += progress.records.saturating_sub(self.state.records);
        self.note(progress, written);
        self.written.elapsed() >= INTERVAL || self.unwritten >= MOST_UNWRITTEN
    }

    pub fn note(&mut self, progress: Progress, written: Written) {
        let Place {
            source,
            offset,
            line,
            digest,
        } = progress.place;
        let state = &mut self.state;
        (state.source, state.offset, state.line) = (source, offset, line);
        state.digest = digest.map(|digest| format!("{digest:016x}"));
        state.records = progress.records;
        state.last_id = progress.last_id.id().map(|id| id.to_string());
        state.is_exact = matches!(progress.last_id, LastId::Exactly(_));
        (state.rejected, state.rejects, state.receipts) = (written.rejected, written.rejects, written.receipts);
    }

    /// No marker says from now on how far the sending is: one that an earlier run left would mislead a later one.
    pub fn is_without_marker(&mut self) {
        self.state.producer = new_producer();
    }

    pub fn settled(&mut self) {
        self.state.settled = true;
    }

    pub fn write(&mut self) -> anyhow::Result<()> {
        let mut text = serde_json::to_vec(&self.state)?;
        text.push(b'\n');
        let written = self.file.replace(&text);
        self.written = Instant::now();
        self.unwritten = 0;
        written
    }
}

fn read(bytes: &[u8]) -> anyhow::Result<(State, Earlier)> {
    let state: State = serde_json::from_slice(bytes)?;
    anyhow::ensure!(state.version == VERSION, "it is of version {}", state.version);
    let id = |id: &Option<String>| id.as_deref().map(str::parse::<EntryId>).transpose();
    let digest = state.digest.as_deref().map(|digest| u64::from_str_radix(digest, 16));
    let earlier = Earlier {
        progress: Progress {
            place: Place {
                source: state.source,
                offset: state.offset,
                line: state.line,
                digest: Some(digest.transpose()?.unwrap_or(0)),
            },
            records: state.records,
            last_id: if state.is_exact {
                LastId::Exactly(id(&state.last_id)?)
            } else {
                LastId::AtLeast(id(&state.last_id)?)
            },
        },
        written: Written {
            rejected: state.rejected,
            rejects: state.rejects,
            receipts: state.receipts,
        },
        ending: if state.settled {
            EarlierEnding::Settled
        } else {
            EarlierEnding::Unsettled
        },
        origin: id(&state.origin)?,
    };
    Ok((state, earlier))
}
