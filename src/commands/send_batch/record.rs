//! Lines into XADDs: what a record of each format means, encoded straight into the buffer that is sent.

use std::time::Instant;

use memchr::{memchr, memchr_iter, memrchr};

use super::Args;
use super::csv::{Header, Row, Rows};
use crate::line::{self, LineError};
use crate::streamer::{AddOptions, EntryId, Field, Message, MessageWriter, Missing, Trim, write_add, write_trim};

/// What a line is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// A line of JSON; blank lines are nothing
    Jsonl,
    /// Any text; a blank line is a message too
    Text,
    /// Rows of CSV under a header
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

/// What to trim when: retention moves with the clock, the server's as it was at the start.
#[derive(Clone, Copy, Debug)]
pub struct TrimClock {
    trim: Option<Trim>,
    since: Instant,
}

impl TrimClock {
    /// The trim as it is now.
    pub fn start(trim: Option<Trim>) -> Self {
        Self {
            trim,
            since: Instant::now(),
        }
    }

    fn now(&self) -> Option<Trim> {
        match self.trim {
            Some(Trim::Before(id)) => {
                let elapsed = self.since.elapsed().as_millis() as u64;
                Some(Trim::Before(EntryId::at_ms(id.ms.saturating_add(elapsed))))
            }
            trim => trim,
        }
    }
}

/// Makes XADDs of records.
pub struct Encoder {
    stream: Vec<u8>,
    messages: MessageWriter,
    format: Format,
    name: Option<String>,
    keep_ids: bool,
    trim: TrimClock,
    /// The header of the CSV file being read.
    header: Header,
    body: Vec<u8>,
}

/// An XADD in the buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Encoded {
    /// Where its fields begin: the part that tells whether an entry of the stream is this one.
    pub fields_at: usize,
    /// The ID it asks for.
    pub id: Option<EntryId>,
}

impl Encoder {
    /// An encoder as the options say.
    pub fn new(args: &Args, trim: TrimClock) -> Self {
        Self {
            stream: args.stream.as_bytes().to_vec(),
            messages: MessageWriter::new(args.stream.as_bytes()),
            format: args.input,
            name: args.name.clone(),
            keep_ids: args.keep_ids,
            trim,
            header: Header::default(),
            body: Vec::new(),
        }
    }

    /// The format of the records.
    pub fn format(&self) -> Format {
        self.format
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

    /// Writes the XADD of a record; `None` if the record is nothing.
    pub fn encode(&mut self, record: &[u8], out: &mut Vec<u8>) -> Result<Option<Encoded>, LineError> {
        let text = text(record)?;
        let is_nothing = match self.format {
            Format::Jsonl => text.trim_ascii().is_empty(),
            Format::Text => false,
            Format::Csv => text.is_empty(),
        };
        if is_nothing {
            return Ok(None);
        }
        let Some(name) = &self.name else {
            return match line::parse_message(text).filter(|_| !self.keep_ids) {
                Some(Message { name, body }) => Ok(Some(Encoded {
                    fields_at: self.messages.write(out, name.as_bytes(), body.as_bytes()),
                    id: None,
                })),
                None => self.encode_line(text, out).map(Some),
            };
        };
        self.body.clear();
        let body = match self.format {
            Format::Jsonl => json_body(text)?.as_bytes(),
            Format::Text => {
                line::string(&mut self.body, text);
                &self.body
            }
            Format::Csv => {
                self.header.write_object(&mut self.body, text)?;
                &self.body
            }
        };
        Ok(Some(Encoded {
            fields_at: self.messages.write(out, name.as_bytes(), body),
            id: None,
        }))
    }

    /// Writes the XADD of a line as `consume` prints them.
    fn encode_line(&self, text: &str, out: &mut Vec<u8>) -> Result<Encoded, LineError> {
        let line = line::parse(text)?;
        let id = match (self.keep_ids, line.id) {
            (false, _) => None,
            (true, Some(id)) => Some(id),
            (true, None) => {
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
        Ok(Encoded {
            fields_at: write_add(out, &self.stream, options, &fields),
            id,
        })
    }
}

/// A record without its line break.
fn text(record: &[u8]) -> Result<&str, LineError> {
    let record = record.strip_suffix(b"\n").unwrap_or(record);
    let record = record.strip_suffix(b"\r").unwrap_or(record);
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
