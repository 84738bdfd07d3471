//! What is kept in a file for a later run: which producer this is, the identity of the input, and how much was written
//! of the lines up to a place. How far the lines are in the stream is the marker's to say.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use serde::{Deserialize, Serialize};

use super::files::Replaced;
use crate::failure::{Failure, quote};
use crate::streamer::EntryId;
use crate::streamer::producer::{Begin, Earlier, EarlierEnding, LastId, Place, Progress, Written, new_producer};

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
    /// Up to here lines are in of which is still to be told, once more: the file is behind the marker.
    untold: Option<Place>,
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
            untold: None,
        };
        Ok((checkpoint, earlier))
    }

    /// Receipts of a part of the lines would be taken for those of all.
    pub fn see_receipts(&self, are_wanted: bool) -> Result<(), Failure> {
        let has_added = self.state.records > self.state.rejected;
        match (self.state.receipts > 0, are_wanted) {
            (true, false) => {
                Err(Failure::data("this sending was begun with receipts")
                    .hint("give --receipts with the same file again"))
            }
            (false, true) if has_added => Err(Failure::data("this sending was begun without receipts")
                .hint("leave out --receipts: there would be none of the first lines")),
            _ => Ok(()),
        }
    }

    pub fn producer(&self) -> &str {
        &self.state.producer
    }

    /// Something may be on its way from now on.
    pub fn begin(&mut self, begin: &Begin) -> anyhow::Result<()> {
        self.untold = (begin.told != begin.settled).then_some(begin.settled);
        self.state.settled = false;
        self.state.origin = begin.origin.map(|id| id.to_string());
        if self.state.records == 0 {
            self.state.last_id.clone_from(&self.state.origin);
        }
        self.write()
    }

    /// Notes how far the sending is; says whether the file is to be written, so that what it counts can be made to last
    /// before.
    pub fn advance(&mut self, progress: Progress, written: Written) -> bool {
        self.unwritten += progress.records.saturating_sub(self.state.records);
        self.untold = self.untold.filter(|end| progress.place.is_before(end));
        self.note(progress, written);
        self.written.elapsed() >= INTERVAL || self.unwritten >= MOST_UNWRITTEN
    }

    /// Goes back to a place: all behind it is sent again.
    pub fn go_back(&mut self, progress: Progress, written: Written) {
        self.untold = None;
        self.note(progress, written);
    }

    fn note(&mut self, progress: Progress, written: Written) {
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

    /// The input was read to its end: no line is left to be told of.
    pub fn all_told(&mut self) {
        self.untold = None;
    }

    /// Nothing is on its way any more. The file says so only where it is as far as the marker: once that has expired,
    /// a later run takes the file's word for what is in.
    pub fn settled(&mut self) {
        self.state.settled = self.untold.is_none();
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

#[cfg(test)]
mod tests {
    use super::*;

    fn place(offset: u64) -> Place {
        Place {
            offset,
            ..Place::default()
        }
    }

    fn progress(offset: u64) -> Progress {
        Progress {
            place: place(offset),
            records: 10,
            last_id: LastId::AtLeast(None),
        }
    }

    /// A checkpoint of a run that found the file at one place and the marker at another.
    fn resumed(path: &Path, told: u64, settled: u64) -> Checkpoint {
        let (mut checkpoint, _) = Checkpoint::open(path, "s", Vec::new()).unwrap();
        let begin = Begin {
            told: place(told),
            settled: place(settled),
            written: Written::default(),
            origin: None,
        };
        checkpoint.begin(&begin).unwrap();
        checkpoint
    }

    fn is_settled(mut checkpoint: Checkpoint) -> bool {
        checkpoint.settled();
        checkpoint.state.settled
    }

    #[test]
    fn a_checkpoint_behind_the_marker_is_not_settled() {
        let directory = std::env::temp_dir().join(format!("checkpoint-{}", std::process::id()));
        std::fs::create_dir_all(&directory).unwrap();
        let path = directory.join("c");
        let open = |told, settled| {
            let _ = std::fs::remove_file(&path);
            resumed(&path, told, settled)
        };
        assert!(is_settled(open(100, 100)));
        assert!(!is_settled(open(100, 250)));
        let stopped_at = |offset| {
            let mut checkpoint = open(100, 250);
            checkpoint.advance(progress(offset), Written::default());
            is_settled(checkpoint)
        };
        assert!(!stopped_at(200));
        assert!(stopped_at(250) && stopped_at(300));
        let mut checkpoint = open(100, 250);
        checkpoint.go_back(progress(50), Written::default());
        assert!(is_settled(checkpoint));
        std::fs::remove_dir_all(&directory).unwrap();
    }
}
