//! What is kept in a file for a later run: which producer this is, the identity of the input, and how much was written
//! of the lines up to a place. How far the lines are in the stream is the marker's to say.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use serde::{Deserialize, Serialize};

use super::files::Replaced;
use super::settings::Settings;
use crate::failure::{Failure, quote};
use crate::streamer::EntryId;
use crate::streamer::producer::{Begin, Earlier, EarlierEnding, LastId, Place, Progress, Written, new_producer};

/// The version of the file's form.
const VERSION: u32 = 2;

/// What the file says.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct State {
    version: u32,
    /// As it was typed.
    stream: String,
    /// Where the keys are by which lines are dealt to several streams.
    partition_by: Option<String>,
    input: Vec<String>,
    rejects: u64,
    receipts: u64,
    /// How far each stream is.
    parts: Vec<Part>,
}

/// How far a stream is.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Part {
    producer: String,
    source: usize,
    offset: u64,
    line: u64,
    digest: Option<String>,
    records: u64,
    rejected: u64,
    /// The last entry known to be added; there may be later ones unless it is exact.
    last_id: Option<String>,
    is_exact: bool,
    /// The stream's last ID before anything was sent.
    origin: Option<String>,
    /// Whether nothing was on its way when this was written: then nothing is in doubt where the marker has expired.
    settled: bool,
}

impl Part {
    fn fresh() -> Self {
        Self {
            producer: new_producer(),
            source: 0,
            offset: 0,
            line: 0,
            digest: None,
            records: 0,
            rejected: 0,
            last_id: None,
            is_exact: true,
            origin: None,
            settled: true,
        }
    }

    fn note(&mut self, progress: Progress, rejected: u64) {
        let Place {
            source,
            offset,
            line,
            digest,
        } = progress.place;
        (self.source, self.offset, self.line) = (source, offset, line);
        self.digest = digest.map(|digest| format!("{digest:016x}"));
        self.records = progress.records;
        self.last_id = progress.last_id.id().map(|id| id.to_string());
        self.is_exact = matches!(progress.last_id, LastId::Exactly(_));
        self.rejected = rejected;
    }

    fn earlier(&self, rejects: u64, receipts: u64) -> anyhow::Result<Earlier> {
        let id = |id: &Option<String>| id.as_deref().map(str::parse::<EntryId>).transpose();
        let digest = self.digest.as_deref().map(|digest| u64::from_str_radix(digest, 16));
        Ok(Earlier {
            progress: Progress {
                place: Place {
                    source: self.source,
                    offset: self.offset,
                    line: self.line,
                    digest: Some(digest.transpose()?.unwrap_or(0)),
                },
                records: self.records,
                last_id: if self.is_exact {
                    LastId::Exactly(id(&self.last_id)?)
                } else {
                    LastId::AtLeast(id(&self.last_id)?)
                },
            },
            written: Written {
                rejected: self.rejected,
                rejects,
                receipts,
            },
            ending: if self.settled {
                EarlierEnding::Settled
            } else {
                EarlierEnding::Unsettled
            },
            origin: id(&self.origin)?,
        })
    }
}

/// A checkpoint file.
pub struct Checkpoint {
    file: Replaced,
    state: State,
    written: Instant,
    /// How many records were noted since.
    unwritten: u64,
    /// Up to here lines are in, of each stream, of which is still to be told, once more: the file is behind the marker.
    untold: Vec<Option<Place>>,
}

/// How many records may be settled and not yet in the file. Those are read again when the sending is resumed.
const MOST_UNWRITTEN: u64 = 50_000;

/// How often the file is written while sending goes well: each time costs a few writes to the disk.
const INTERVAL: Duration = Duration::from_millis(200);

impl Checkpoint {
    /// Opens the file, and what an earlier run left in it of each stream.
    pub fn open(path: &Path, settings: &Settings, input: Vec<String>) -> anyhow::Result<(Self, Option<Vec<Earlier>>)> {
        let (file, contents) = Replaced::open(path)?;
        let name = path.display();
        let fresh = State {
            version: VERSION,
            stream: settings.stream.clone(),
            partition_by: settings.dealing.pointer().map(ToString::to_string),
            input,
            rejects: 0,
            receipts: 0,
            parts: settings.streams.iter().map(|_| Part::fresh()).collect(),
        };
        // As mktemp makes it.
        let found = match &*contents {
            [] => None,
            bytes => Some(read(bytes).with_context(|| format!("{name} is not a checkpoint"))?),
        };
        if let Some((found, _)) = &found
            && !found.is_of_the_sending(&fresh)
        {
            let keys = found.partition_by.as_ref();
            let keys = keys.map_or_else(String::new, |pointer| format!(" by {pointer}"));
            let (inputs, stream) = (found.input.join(", "), &found.stream);
            return Err(Failure::data(format!(
                "the checkpoint {name} is for another sending: {inputs} to {stream}{keys}"
            ))
            .hint(format!("rm {} to start anew", quote(&name.to_string())))
            .into());
        }
        let (state, earlier) = found.unzip();
        let state = state.unwrap_or(fresh);
        let checkpoint = Self {
            file,
            untold: vec![None; state.parts.len()],
            state,
            written: Instant::now(),
            unwritten: 0,
        };
        Ok((checkpoint, earlier))
    }

    /// Receipts of a part of the lines would be taken for those of all.
    pub fn see_receipts(&self, are_wanted: bool) -> Result<(), Failure> {
        let has_added = self.state.parts.iter().any(|part| part.records > part.rejected);
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

    pub fn producer(&self, stream: usize) -> &str {
        &self.state.parts[stream].producer
    }

    /// Something may be on its way from now on.
    pub fn begin(&mut self, begins: &[Begin]) -> anyhow::Result<()> {
        for ((part, untold), begin) in self.state.parts.iter_mut().zip(&mut self.untold).zip(begins) {
            *untold = (begin.told != begin.settled).then_some(begin.settled);
            part.settled = false;
            part.origin = begin.origin.map(|id| id.to_string());
            if part.records == 0 {
                part.last_id.clone_from(&part.origin);
            }
        }
        self.write()
    }

    /// Notes how far the sending to a stream is, and what was written by all; says whether the file is to be written, so
    /// that what it counts can be made to last before.
    pub fn advance(&mut self, stream: usize, progress: Progress, rejected: u64, written: Written) -> bool {
        let (part, untold) = (&mut self.state.parts[stream], &mut self.untold[stream]);
        self.unwritten += progress.records.saturating_sub(part.records);
        *untold = untold.filter(|end| progress.place.is_before(end));
        part.note(progress, rejected);
        (self.state.rejects, self.state.receipts) = (written.rejects, written.receipts);
        self.written.elapsed() >= INTERVAL || self.unwritten >= MOST_UNWRITTEN
    }

    /// Goes back to a place in the only stream: all behind it is sent again.
    pub fn go_back(&mut self, progress: Progress, written: Written) {
        self.untold[0] = None;
        self.state.parts[0].note(progress, written.rejected);
        (self.state.rejects, self.state.receipts) = (written.rejects, written.receipts);
    }

    /// No marker says from now on how far the sending to a stream is: one that an earlier run left would mislead a later
    /// one.
    pub fn is_without_marker(&mut self, stream: usize) {
        self.state.parts[stream].producer = new_producer();
    }

    /// The input was read to its end: no line is left to be told of.
    pub fn all_told(&mut self) {
        self.untold.fill(None);
    }

    /// Nothing is on its way any more. The file says so only where it is as far as the marker: once that has expired,
    /// a later run takes the file's word for what is in.
    pub fn settled(&mut self) {
        for (part, untold) in self.state.parts.iter_mut().zip(&self.untold) {
            part.settled = untold.is_none();
        }
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

impl State {
    /// Whether it is of the same sending as another.
    fn is_of_the_sending(&self, other: &Self) -> bool {
        let sending = |state: &Self| (state.stream.clone(), state.partition_by.clone(), state.input.clone());
        sending(self) == sending(other) && self.parts.len() == other.parts.len()
    }
}

fn read(bytes: &[u8]) -> anyhow::Result<(State, Vec<Earlier>)> {
    let state: State = serde_json::from_slice(bytes)?;
    anyhow::ensure!(state.version == VERSION, "it is of version {}", state.version);
    let earlier = |part: &Part| part.earlier(state.rejects, state.receipts);
    let earlier: anyhow::Result<_> = state.parts.iter().map(earlier).collect();
    let earlier = earlier?;
    Ok((state, earlier))
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::commands::send_batch::Args;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        args: Args,
    }

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
        let words = ["send-batch", "s", "/dev/null"];
        let (settings, _) = Settings::new(Line::parse_from(words).args, false).unwrap();
        let (mut checkpoint, _) = Checkpoint::open(path, &settings, Vec::new()).unwrap();
        let begin = Begin {
            told: place(told),
            settled: place(settled),
            written: Written::default(),
            origin: None,
        };
        checkpoint.begin(&[begin]).unwrap();
        checkpoint
    }

    fn is_settled(mut checkpoint: Checkpoint) -> bool {
        checkpoint.settled();
        checkpoint.state.parts[0].settled
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
            checkpoint.advance(0, progress(offset), 0, Written::default());
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
