//! What was typed → what is run. Every refusal of a combination stands here.

use std::num::NonZeroU32;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::csv::Delimiter;
use super::input::{self, Input};
use super::record::{Format, Layout};
use super::{Args, OnAmbiguous, OnReject};
use crate::commands::fields;
use crate::failure::Failure;
use crate::options::Retention;
use crate::partitions::Streams;
use crate::pointer::Pointer;
use crate::streamer::Durability;
use crate::streamer::producer::{EntryIds, InDoubt};

/// A sending as it was asked for.
pub struct Settings {
    /// As it was typed.
    pub stream: String,
    /// The streams it names.
    pub streams: Vec<String>,
    pub dealing: Dealing,
    pub lines: Lines,
    /// Fields that are added to each entry.
    pub fields: Vec<(String, String)>,
    pub on_reject: OnReject,
    pub rejects: Option<PathBuf>,
    pub receipts: Option<PathBuf>,
    pub checkpoint: Option<PathBuf>,
    pub stdout: Stdout,
    pub rate: Option<NonZeroU32>,
    pub retention: Retention,
    pub in_doubt: InDoubt,
    pub durability: Option<Durability>,
    pub reconnect_for: Duration,
}

/// What the lines are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Lines {
    /// Messages or entries, as `consume` prints them.
    Entries(EntryIds),
    Bodies {
        name: String,
    },
    Texts {
        name: String,
    },
    /// Rows of CSV.
    Rows {
        name: String,
        /// What parts their columns, if it was said: then a header of one column is one.
        delimiter: Option<Delimiter>,
    },
}

impl Lines {
    pub fn layout(&self) -> Layout {
        match self {
            Self::Entries(_) | Self::Bodies { .. } | Self::Texts { .. } => Layout::Lines,
            Self::Rows { delimiter, .. } => Layout::Rows(delimiter.unwrap_or(Delimiter::COMMA)),
        }
    }

    /// Whether each line is a whole entry.
    pub fn are_entries(&self) -> bool {
        matches!(self, Self::Entries(_))
    }

    pub fn entry_ids(&self) -> EntryIds {
        match self {
            Self::Entries(ids) => *ids,
            _ => EntryIds::Made,
        }
    }
}

/// How lines are dealt to several streams.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Dealing {
    /// Each stream has its turn.
    InTurn,
    /// By the key of each line.
    By(Pointer),
    /// To the stream that each line names.
    Kept,
}

impl Dealing {
    pub fn pointer(&self) -> Option<&Pointer> {
        match self {
            Self::InTurn | Self::Kept => None,
            Self::By(pointer) => Some(pointer),
        }
    }
}

/// The most streams at a time: each has a connection and a thread.
pub const MOST_STREAMS: usize = 1024;

/// What is printed as data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stdout {
    Nothing,
    Ids,
    Summary,
}

impl Settings {
    /// The settings, and the input, opened. `is_typed`: whether somebody would have to type what stdin gives.
    pub fn new(mut args: Args, is_typed: bool) -> anyhow::Result<(Self, Input)> {
        let Targets {
            stream,
            streams,
            dealing,
        } = Targets::of(&mut args)?;
        let lines = lines(args.input, args.name, args.keep_ids, args.csv_delimiter)?;
        fields::must_be_no_message(&args.fields, "beside lines that are messages")?;
        if args.files.is_empty() && is_typed {
            return Err(Failure::usage("no files are given, and stdin is a terminal")
                .hint("name files, pipe lines in, or give - to type them")
                .into());
        }
        let input = Input::open(&args.files)?;
        let written = [
            ("--rejects", &args.rejects),
            ("--receipts", &args.receipts),
            ("--checkpoint", &args.checkpoint),
        ];
        must_differ(&input, &written.map(|(option, path)| (option, path.as_deref())))?;
        let default = match args.rejects {
            Some(_) => OnReject::Skip,
            None => OnReject::Stop,
        };
        let settings = Self {
            stream,
            streams,
            dealing,
            lines,
            fields: args.fields,
            on_reject: args.on_reject.unwrap_or(default),
            rejects: args.rejects,
            receipts: args.receipts,
            checkpoint: args.checkpoint,
            // Clap refuses both.
            stdout: match (args.ids, args.json) {
                (true, _) => Stdout::Ids,
                (_, true) => Stdout::Summary,
                _ => Stdout::Nothing,
            },
            rate: args.rate,
            retention: args.trim.retention(),
            in_doubt: match args.on_ambiguous {
                OnAmbiguous::Stop => InDoubt::Stop,
                OnAmbiguous::Repeat => InDoubt::Repeat,
            },
            durability: args.durability.durability(),
            reconnect_for: args.reconnect.reconnect_for,
        };
        Ok((settings, input))
    }

    /// Whether there are several streams, or only one of a pattern.
    pub fn are_partitions(&self) -> bool {
        [&*self.stream] != *self.streams
    }
}

/// Where lines go.
struct Targets {
    /// As it was typed.
    stream: String,
    streams: Vec<String>,
    dealing: Dealing,
}

impl Targets {
    fn of(args: &mut Args) -> Result<Self, Failure> {
        let Some(stream) = args.stream.take() else {
            return Self::kept(args);
        };
        if args.keep_streams {
            // What stands first is a file.
            args.files.insert(0, PathBuf::from(stream.to_string()));
            return Self::kept(args);
        }
        Ok(Self {
            stream: stream.to_string(),
            streams: stream.names().to_vec(),
            dealing: dealing(&stream, args.key.as_ref())?,
        })
    }

    /// Those that the lines name.
    fn kept(args: &Args) -> Result<Self, Failure> {
        if args.name.is_some() || args.input != Format::Jsonl {
            return Err(Failure::usage(
                "--keep-streams needs lines that name their streams, as consume prints them, and no --name",
            ));
        }
        if args.checkpoint.is_some() {
            return Err(Failure::usage(
                "--checkpoint is for streams that are known from the beginning, and --keep-streams reads them in the lines",
            )
            .hint("send each stream by itself with a checkpoint, or a pattern of streams such as 'orders:{0..15}'"));
        }
        Ok(Self {
            stream: String::new(),
            streams: Vec::new(),
            dealing: Dealing::Kept,
        })
    }
}

fn dealing(stream: &Streams, key: Option<&Pointer>) -> Result<Dealing, Failure> {
    let count = stream.names().len();
    if count > MOST_STREAMS {
        return Err(Failure::usage(format!(
            "{stream} names {count} streams, and each takes a connection: {MOST_STREAMS} at most"
        )));
    }
    match key {
        Some(_) if !stream.are_partitions() => Err(Failure::usage(format!(
            "--key chooses a stream of several, and {stream} is one"
        ))
        .hint("name them by a pattern, such as 'orders:{0..15}'")),
        Some(pointer) => Ok(Dealing::By(pointer.clone())),
        None => Ok(Dealing::InTurn),
    }
}

fn lines(format: Format, name: Option<String>, keep_ids: bool, delimiter: Option<Delimiter>) -> Result<Lines, Failure> {
    if delimiter.is_some() && format != Format::Csv {
        return Err(Failure::usage("--csv-delimiter is for CSV").hint("say that it is: --input csv"));
    }
    if keep_ids && (name.is_some() || format != Format::Jsonl) {
        return Err(Failure::usage(
            "--keep-ids needs lines with IDs, as consume prints them, and no --name",
        ));
    }
    match (format, name) {
        (Format::Jsonl, None) if keep_ids => Ok(Lines::Entries(EntryIds::Given)),
        (Format::Jsonl, None) => Ok(Lines::Entries(EntryIds::Made)),
        (Format::Jsonl, Some(name)) => Ok(Lines::Bodies { name }),
        (Format::Text, Some(name)) => Ok(Lines::Texts { name }),
        (Format::Csv, Some(name)) => Ok(Lines::Rows { name, delimiter }),
        (Format::Text | Format::Csv, None) => {
            Err(Failure::usage("--input text and --input csv need --name").hint("name the messages: --name log.line"))
        }
    }
}

/// No file is written that is read, or that another option names.
fn must_differ(input: &Input, written: &[(&str, Option<&Path>)]) -> Result<(), Failure> {
    for (index, (option, path)) in written.iter().enumerate() {
        let Some(path) = path else {
            continue;
        };
        if input.reads(path) {
            let text = format!("{} is read: it cannot be written too", path.display());
            return Err(Failure::usage(text));
        }
        for (other_option, other) in &written[index + 1..] {
            if other.is_some_and(|other| input::lead_to_one(path, other)) {
                return Err(Failure::usage(format!("{option} and {other_option} name one file")));
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_what_format_and_name_make_them() {
        let name = || Some("n".to_owned());
        assert_eq!(
            lines(Format::Jsonl, None, true, None).unwrap(),
            Lines::Entries(EntryIds::Given)
        );
        assert_eq!(
            lines(Format::Jsonl, None, false, None).unwrap(),
            Lines::Entries(EntryIds::Made)
        );
        for (format, name, keep_ids) in [
            (Format::Jsonl, name(), true),
            (Format::Csv, name(), true),
            (Format::Text, None, false),
            (Format::Csv, None, false),
        ] {
            assert!(lines(format, name, keep_ids, None).is_err(), "{format:?} {keep_ids}");
        }
    }
}
