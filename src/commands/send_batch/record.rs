//! Lines into XADDs: what a record of each format means, encoded straight into the buffer that is sent.

use std::time::Instant;

use memchr::{memchr, memchr_iter, memrchr};

use super::csv::{Header, Row, Rows};
use super::settings::{Lines, Settings};
use crate::line::{self, LineError};
use crate::options::Retention;
use crate::streamer::producer::{Command, EntryIds};
use crate::streamer::{AddOptions, EntryId, Field, Message, MessageWriter, Missing, Trim, write_add, write_trim};

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

impl Format {
    /// Where the last complete record of `bytes` ends; 0 if none is complete. `bytes` begins with a record.
    pub fn complete(self, bytes: &[u8]) -> usize {
        match self {
            Self::Jsonl | Self::Text => memrchr(b'\n', bytes).map_or(0, |end| end + 1),
            Self::Csv => Rows::new(bytes).map(|row| row.end).last().unwrap_or(0),
        }
    }

    /// The first record of `bytes`: what is left of the input, where nothing ends it.
    pub fn first(self, bytes: &[u8]) -> Row {
        let row = match self {
            Self::Jsonl | Self::Text => memchr(b'\n', bytes).map(|end| Row {
                end: end + 1,
                line_breaks: 1,
            }),
            Self::Csv => Rows::new(bytes).next(),
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
    stream: Vec<u8>,
    messages: MessageWriter,
    lines: Lines,
    trim: TrimClock,
    /// The header of the CSV file being read.
    header: Header,
    body: Vec<u8>,
}

impl Encoder {
    pub fn new(settings: &Settings, trim: TrimClock) -> Self {
        Self {
            stream: settings.stream.as_bytes().to_vec(),
            messages: MessageWriter::new(settings.stream.as_bytes()),
            lines: settings.lines.clone(),
            trim,
            header: Header::default(),
            body: Vec::new(),
        }
    }

    /// The format of the records.
    pub fn format(&self) -> Format {
        self.lines.format()
    }

    /// Takes the header of a file of CSV.
    pub fn take_header(&mut self, record: &[u8]) -> Result<(), LineError> {
        let header = text(record)?;
        if let Some(at) = header.find('\r') {
            return Err(LineError {
                column: at + 1,
                reason: "a carriage return; lines must end with LF or CR LF".to_owned(),
            });
        }
        self.header = Header::read(header)?;
        Ok(())
    }

    /// Ends a batch: trims the stream, if asked to, and says whether it did. Once a batch, so that trimming
    /// does not slow every entry.
    pub fn finish(&self, out: &mut Vec<u8>) -> bool {
        match self.trim.now() {
            Some(trim) => {
                write_trim(out, &self.stream, trim);
                true
            }
            None => false,
        }
    }

    /// Writes the XADD of a record, or nothing if it cannot be sent; `None` if there is nothing to send in it.
    pub fn encode(&mut self, record: &[u8], out: &mut Vec<u8>) -> Result<Option<Command>, LineError> {
        let text = text(record)?;
        if self.is_nothing(text) {
            return Ok(None);
        }
        let start = out.len();
        let (fields_at, id) = self.write(text, out)?;
        Ok(Some(Command {
            packed: start..out.len(),
            fields_at,
            id,
        }))
    }

    fn is_nothing(&self, text: &str) -> bool {
        match self.lines {
            Lines::Entries(_) | Lines::Bodies { .. } => text.trim_ascii().is_empty(),
            Lines::Texts { .. } => false,
            Lines::Rows { .. } => text.is_empty(),
        }
    }

    /// Writes the XADD of a record's text; says where its fields begin, and which ID it asks for.
    fn write(&mut self, text: &str, out: &mut Vec<u8>) -> Result<(usize, Option<EntryId>), LineError> {
        self.body.clear();
        let (name, body) = match &self.lines {
            Lines::Entries(EntryIds::Given) => return self.write_entry(text, EntryIds::Given, out),
            Lines::Entries(EntryIds::Made) => match line::parse_message(text) {
                Some(Message { name, body }) => (name, body.as_bytes()),
                None => return self.write_entry(text, EntryIds::Made, out),
            },
            Lines::Bodies { name } => (&**name, json_body(text)?.as_bytes()),
            Lines::Texts { name } => {
                line::string(&mut self.body, text);
                (&**name, &*self.body)
            }
            Lines::Rows { name } => {
                self.header.write_object(&mut self.body, text)?;
                (&**name, &*self.body)
            }
        };
        Ok((self.messages.write(out, name.as_bytes(), body), None))
    }

    /// The same of a line as `consume` prints them, whatever its entry holds.
    fn write_entry(&self, text: &str, ids: EntryIds, out: &mut Vec<u8>) -> Result<(usize, Option<EntryId>), LineError> {
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
        let fields: Vec<Field<'_>> = line.fields.iter().map(|(n, v)| (n.as_ref(), v.as_ref())).collect();
        let options = AddOptions {
            id,
            missing: Missing::Create,
            trim: None,
        };
        Ok((write_add(out, &self.stream, options, &fields), id))
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
        assert_eq!(Format::Jsonl.complete(b"a\nb\nc"), 4);
        assert_eq!(Format::Jsonl.complete(b"abc"), 0);
        assert_eq!(Format::Text.first(b"abc").end, 3);
    }
}
