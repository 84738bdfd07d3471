//! Lines into XADDs: what a record of each format means, encoded straight into the buffer that is sent.

use std::borrow::Cow;
use std::time::Instant;

use memchr::{memchr, memchr_iter, memrchr};

use super::csv::{Delimiter, Header, Row, Rows};
use super::dealing::Dealer;
use super::settings::{Dealing, Lines, Settings};
use crate::line::{self, LineError, OwnedField};
use crate::options::Retention;
use crate::partitions::of_key;
use crate::pointer::Pointer;
use crate::streamer::producer::{Batch, Command, EntryIds, Place};
use crate::streamer::{
    AddOptions, BODY, EntryId, Field, Message, MessageWriter, Missing, NAME, Trim, write_add, write_trim,
};

/// What a line is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// Lines of JSON; blank lines are skipped
    Jsonl,
    /// Lines of text, sent as JSON strings; a blank line is a message too
    Text,
    /// Rows of CSV under a header, sent as objects
    Csv,
}

/// How records follow each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layout {
    /// Each on a line.
    Lines,
    /// Rows of CSV, which may hold line breaks, under a header.
    Rows(Delimiter),
}

impl Layout {
    /// Where the last complete record of `bytes` ends; 0 if none is complete. `bytes` begins with a record.
    pub fn complete(self, bytes: &[u8]) -> usize {
        match self {
            Self::Lines => memrchr(b'\n', bytes).map_or(0, |end| end + 1),
            Self::Rows(delimiter) => Rows::new(bytes, delimiter).map(|row| row.end).last().unwrap_or(0),
        }
    }

    /// The first record of `bytes`: what is left of the input, where nothing ends it.
    pub fn first(self, bytes: &[u8]) -> Row {
        let row = match self {
            Self::Lines => memchr(b'\n', bytes).map(|end| Row {
                end: end + 1,
                line_breaks: 1,
            }),
            Self::Rows(delimiter) => Rows::new(bytes, delimiter).next(),
        };
        row.unwrap_or_else(|| Row {
            end: bytes.len(),
            line_breaks: memchr_iter(b'\n', bytes).count() as u64,
        })
    }
}

/// What to trim when: an age moves with the clock, the server's as it was at the start.
#[derive(Clone, Copy, Debug)]
pub struct TrimClock {
    retention: Retention,
    started: Instant,
    /// The server's clock then, where an age is to be kept.
    started_ms: u64,
}

impl TrimClock {
    pub fn start(retention: Retention, server_ms: u64) -> Self {
        Self {
            retention,
            started: Instant::now(),
            started_ms: server_ms,
        }
    }

    fn now(&self) -> Option<Trim> {
        self.retention
            .trim(self.started_ms + self.started.elapsed().as_millis() as u64)
    }
}

/// Makes XADDs of records.
pub struct Encoder {
    parser: Parser,
    /// One for each stream.
    writers: Vec<Writer>,
    /// Fields that are added to each entry, behind its own.
    extra: Extra,
    trim: TrimClock,
}

type Extra = Vec<(String, String)>;

/// Finds out what records say.
struct Parser {
    lines: Lines,
    /// The header of the CSV file being read.
    header: Header,
    body: Vec<u8>,
}

/// Writes XADDs to a stream.
struct Writer {
    stream: Vec<u8>,
    messages: MessageWriter,
}

/// What a record says.
enum Content<'a> {
    Message {
        name: &'a str,
        body: &'a [u8],
    },
    Entry {
        fields: Vec<OwnedField<'a>>,
        /// The ID it asks for.
        id: Option<EntryId>,
        /// The stream it names.
        stream: Option<Cow<'a, str>>,
    },
}

impl Encoder {
    pub fn new(settings: &Settings, trim: TrimClock) -> Self {
        Self {
            parser: Parser {
                lines: settings.lines.clone(),
                header: Header::none(),
                body: Vec::new(),
            },
            writers: writers(settings),
            extra: settings.fields.clone(),
            trim,
        }
    }

    /// How the records follow each other.
    pub fn layout(&self) -> Layout {
        self.parser.lines.layout()
    }

    /// What parts the columns of a header, where nobody said so and it is not the comma.
    pub fn unexpected_delimiter(&self, header: &[u8]) -> Option<Delimiter> {
        match self.parser.lines {
            Lines::Rows { delimiter: None, .. } => text(header).ok().and_then(Delimiter::of_header),
            _ => None,
        }
    }

    /// Takes the header of a file of CSV.
    pub fn take_header(&mut self, record: &[u8]) -> Result<(), LineError> {
        let Layout::Rows(delimiter) = self.layout() else {
            return Ok(());
        };
        let header = text(record)?;
        if let Some(at) = header.find('\r') {
            return Err(LineError {
                column: at + 1,
                reason: "a carriage return; lines must end with LF or CR LF".to_owned(),
            });
        }
        self.parser.header = Header::read(header, delimiter)?;
        Ok(())
    }

    /// Ends a batch for a stream, which is trimmed if that is asked for: once a batch, so that trimming does not slow
    /// every entry.
    pub fn finish(&self, stream: usize, batch: &mut Batch, end: Place) {
        if batch.commands > 0
            && let Some(trim) = self.trim.now()
        {
            batch.trim_at = Some(batch.packed.len());
            write_trim(&mut batch.packed, &self.writers[stream].stream, trim);
        }
        batch.seal(end);
    }

    /// Writes the XADD of a record to the only stream, or nothing if it cannot be sent; `None` if there is nothing to
    /// send in it.
    pub fn encode(&mut self, record: &[u8], out: &mut Vec<u8>) -> Result<Option<Command>, LineError> {
        match self.parser.read(record)? {
            Some(content) => Ok(Some(self.writers[0].write(&content, &self.extra, out))),
            None => Ok(None),
        }
    }

    /// The same for one of several streams, into the batch of the one that the record is for; says which it is.
    /// `number` is the record's in the input.
    pub fn deal(
        &mut self,
        record: &[u8],
        number: u64,
        dealing: &Dealing,
        batches: &mut [Batch],
    ) -> Result<Option<(usize, Command)>, LineError> {
        let Some(content) = self.parser.read(record)? else {
            return Ok(None);
        };
        let stream = match dealing {
            Dealing::InTurn | Dealing::Kept => in_turn(number, batches.len()),
            Dealing::By(pointer) => match content.key(pointer, &self.extra) {
                Some(key) => of_key(&key, batches.len()),
                None => {
                    return Err(LineError {
                        column: 1,
                        reason: format!("no key at {pointer}"),
                    });
                }
            },
        };
        let command = self.writers[stream].write(&content, &self.extra, &mut batches[stream].packed);
        Ok(Some((stream, command)))
    }
}

impl Encoder {
    /// The same for the stream that the record names.
    pub fn keep(&mut self, record: &[u8], dealer: &mut Dealer) -> Result<Option<(usize, Command)>, LineError> {
        let Self {
            parser, writers, extra, ..
        } = self;
        let Some(content) = parser.read(record)? else {
            return Ok(None);
        };
        let named = match &content {
            Content::Entry { stream, .. } => stream.as_deref(),
            Content::Message { .. } => None,
        };
        let Some(name) = named.filter(|name| !name.is_empty()) else {
            return Err(LineError {
                column: 1,
                reason: "key `stream` is missing, and --keep-streams needs it".to_owned(),
            });
        };
        let stream = dealer.open(name)?;
        if stream >= writers.len() {
            writers.push(Writer::new(name, extra));
        }
        let command = writers[stream].write(&content, extra, dealer.packed(stream));
        Ok(Some((stream, command)))
    }
}

/// The stream that a record is for by its number alone: each has its turn.
pub fn in_turn(number: u64, streams: usize) -> usize {
    (number % streams.max(1) as u64) as usize
}

impl Parser {
    /// What a record says; `None` if there is nothing to send in it.
    fn read<'a>(&'a mut self, record: &'a [u8]) -> Result<Option<Content<'a>>, LineError> {
        let text = text(record)?;
        if self.is_nothing(text) {
            return Ok(None);
        }
        self.content(text).map(Some)
    }

    fn is_nothing(&self, text: &str) -> bool {
        match self.lines {
            Lines::Entries(_) | Lines::Bodies { .. } => text.trim_ascii().is_empty(),
            Lines::Texts { .. } => false,
            Lines::Rows { .. } => text.is_empty(),
        }
    }

    fn content<'a>(&'a mut self, text: &'a str) -> Result<Content<'a>, LineError> {
        self.body.clear();
        let (name, body) = match &self.lines {
            Lines::Entries(EntryIds::Given) => return entry(text, EntryIds::Given),
            Lines::Entries(EntryIds::Made) => match line::parse_message(text) {
                Some(Message { name, body }) => (name, body.as_bytes()),
                None => return entry(text, EntryIds::Made),
            },
            Lines::Bodies { name } => (&**name, json_body(text)?.as_bytes()),
            Lines::Texts { name } => {
                line::string(&mut self.body, text);
                (&**name, &*self.body)
            }
            Lines::Rows { name, .. } => {
                self.header.write_object(&mut self.body, text)?;
                (&**name, &*self.body)
            }
        };
        Ok(Content::Message { name, body })
    }
}

/// The entry of a line as `consume` prints them, whatever it holds.
fn entry(text: &str, ids: EntryIds) -> Result<Content<'_>, LineError> {
    let line = line::parse(text)?;
    let id = match (ids, line.id) {
        (EntryIds::Made, _) => None,
        (EntryIds::Given, Some(id)) => Some(id),
        (EntryIds::Given, None) => {
            return Err(LineError {
                column: text.len(),
                reason: "key `id` is missing, and --keep-ids needs it".to_owned(),
            });
        }
    };
    let (fields, stream) = (line.fields, line.stream);
    Ok(Content::Entry { fields, id, stream })
}

impl Content<'_> {
    /// What a pointer leads to in it.
    fn key<'a>(&'a self, pointer: &Pointer, extra: &'a Extra) -> Option<Cow<'a, [u8]>> {
        pointer.key(&self.fields(extra))
    }

    /// Its fields, and those that are added to it.
    fn fields<'a>(&'a self, extra: &'a Extra) -> Vec<Field<'a>> {
        let mut fields: Vec<Field<'a>> = match self {
            Self::Message { name, body } => vec![(NAME, name.as_bytes()), (BODY, body)],
            Self::Entry { fields, .. } => fields.iter().map(|(n, v)| (n.as_ref(), v.as_ref())).collect(),
        };
        fields.extend(as_fields(extra));
        fields
    }
}

/// Those of the streams that are known; where the lines name them, one that is never used stands for lines of no stream.
fn writers(settings: &Settings) -> Vec<Writer> {
    let none = Some("").filter(|_| settings.dealing == Dealing::Kept);
    let streams = none.into_iter().chain(settings.streams.iter().map(String::as_str));
    streams.map(|stream| Writer::new(stream, &settings.fields)).collect()
}

fn as_fields(extra: &Extra) -> impl Iterator<Item = Field<'_>> {
    extra.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes()))
}

impl Writer {
    fn new(stream: &str, extra: &Extra) -> Self {
        let fields: Vec<_> = as_fields(extra).collect();
        Self {
            stream: stream.as_bytes().to_vec(),
            messages: MessageWriter::new(stream.as_bytes(), &fields),
        }
    }

    fn write(&self, content: &Content<'_>, extra: &Extra, out: &mut Vec<u8>) -> Command {
        let start = out.len();
        let (fields_at, id) = match content {
            Content::Message { name, body } => (self.messages.write(out, name.as_bytes(), body), None),
            Content::Entry { id, .. } => {
                let options = AddOptions {
                    id: *id,
                    missing: Missing::Create,
                    trim: None,
                };
                (write_add(out, &self.stream, options, &content.fields(extra)), *id)
            }
        };
        Command {
            packed: start..out.len(),
            fields_at,
            id,
        }
    }
}

/// A record without its line break.
fn text(record: &[u8]) -> Result<&str, LineError> {
    let record = match record.strip_suffix(b"\n") {
        Some(line) => line.strip_suffix(b"\r").unwrap_or(line),
        // Without a line break a carriage return is the record's own.
        None => record,
    };
    std::str::from_utf8(record).map_err(|error| LineError {
        column: error.valid_up_to() + 1,
        reason: "not UTF-8".to_owned(),
    })
}

/// The line as a body, if it is JSON; the space around it is how the file is laid out.
fn json_body(text: &str) -> Result<&str, LineError> {
    match serde_json::from_str::<&serde_json::value::RawValue>(text) {
        Ok(body) => Ok(body.get()),
        Err(error) => Err(LineError::from_json(&error, 0)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_end_at_their_break() {
        assert_eq!(Layout::Lines.complete(b"a\nb\nc"), 4);
        assert_eq!(Layout::Lines.complete(b"abc"), 0);
        assert_eq!(Layout::Lines.first(b"abc").end, 3);
    }
}
