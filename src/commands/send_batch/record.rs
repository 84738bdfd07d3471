//! Lines into XADDs: what a record of each format means, encoded straight into the buffer that is sent.

use std::time::Instant;

use memchr::{memchr, memchr_iter, memchr2, memrchr};

use super::Args;
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

    /// The first record of `bytes`: where it ends, and how many line breaks it holds.
    pub fn first(self, bytes: &[u8]) -> Row {
        let whole = Row {
            end: bytes.len(),
            line_breaks: 0,
        };
        match self {
            Self::Jsonl | Self::Text => memchr(b'\n', bytes).map_or(whole, |end| Row {
                end: end + 1,
                line_breaks: 1,
            }),
            Self::Csv => Rows::new(bytes).next().unwrap_or(Row {
                line_breaks: memchr_iter(b'\n', bytes).count() as u64,
                ..whole
            }),
        }
    }
}

/// The extent of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Row {
    /// Where it ends, with its line break.
    pub end: usize,
    /// How many line breaks it holds: more than one where CSV quotes some.
    pub line_breaks: u64,
}

/// The complete rows of CSV. A line break within quotes does not end one, and only a quote at the beginning of
/// a column opens quotes, as for the reader of the columns.
struct Rows<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Rows<'a> {
    fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    /// Moves behind a quoted text, whose opening quote lies before; `None` if it does not end.
    fn pass_quoted(&mut self) -> Option<()> {
        loop {
            self.at += memchr(b'"', &self.bytes[self.at..])? + 1;
            // Two quotes stand for one.
            match self.bytes.get(self.at) {
                Some(b'"') => self.at += 1,
                _ => return Some(()),
            }
        }
    }
}

impl Iterator for Rows<'_> {
    type Item = Row;

    fn next(&mut self) -> Option<Row> {
        let start = self.at;
        loop {
            if self.bytes.get(self.at) == Some(&b'"') {
                self.at += 1;
                self.pass_quoted()?;
            }
            self.at += memchr2(b',', b'\n', &self.bytes[self.at..])? + 1;
            if self.bytes[self.at - 1] == b'\n' {
                let line_breaks = memchr_iter(b'\n', &self.bytes[start..self.at]).count() as u64;
                return Some(Row {
                    end: self.at,
                    line_breaks,
                });
            }
        }
    }
}

/// Whether the last row of CSV, which has no line break, ends within quotes.
fn is_unclosed(row: &str) -> bool {
    Rows::new(row.as_bytes()).next().is_none() && Rows::new(format!("{row}\n").as_bytes()).next().is_none()
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
    header: Vec<String>,
    row: Columns,
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
            header: Vec::new(),
            row: Columns::default(),
            body: Vec::new(),
        }
    }

    /// The format of the records.
    pub fn format(&self) -> Format {
        self.format
    }

    /// Takes the header of a file of CSV.
    pub fn take_header(&mut self, record: &[u8]) -> Result<(), LineError> {
        // Spreadsheets begin their exports with a byte order mark.
        let record = record.strip_prefix(b"\xef\xbb\xbf").unwrap_or(record);
        self.row.read(text(record)?);
        self.header = self.row.iter().map(str::to_owned).collect();
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
        let record = record.strip_suffix(b"\n").unwrap_or(record);
        let text = text(record.strip_suffix(b"\r").unwrap_or(record))?;
        if self.format != Format::Text && text.trim_ascii().is_empty() {
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
            Format::Csv if is_unclosed(text) => {
                return Err(LineError {
                    column: 1,
                    reason: "a quote is opened and never closed".to_owned(),
                });
            }
            Format::Csv => {
                self.row.read(text);
                object(&mut self.body, &self.header, &self.row)?;
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

fn text(record: &[u8]) -> Result<&str, LineError> {
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

/// The columns of one row of CSV, in memory that is used again for the next.
struct Columns {
    /// Made once: it builds its tables as it is made.
    reader: csv_core::Reader,
    row: Vec<u8>,
    text: Vec<u8>,
    ends: Vec<usize>,
}

impl Default for Columns {
    fn default() -> Self {
        Self {
            // Not its Default, whose tables are not built.
            reader: csv_core::Reader::new(),
            row: Vec::new(),
            text: Vec::new(),
            ends: Vec::new(),
        }
    }
}

impl Columns {
    /// Reads a row. Unquoting only shortens it, and a row has no more columns than bytes and one.
    fn read(&mut self, row: &str) {
        // With its line break the row is complete, and the reader ready for the next.
        self.row.clear();
        self.row.extend_from_slice(row.as_bytes());
        self.row.push(b'\n');
        self.text.resize(self.row.len(), 0);
        self.ends.resize(self.row.len() + 1, 0);
        let (_, _, written, columns) = self.reader.read_record(&self.row, &mut self.text, &mut self.ends);
        self.text.truncate(written);
        self.ends.truncate(columns);
    }

    fn iter(&self) -> impl Iterator<Item = &str> {
        // Cut out of a text at commas and quotes, every column is text.
        let starts = std::iter::once(&0).chain(&self.ends);
        starts
            .zip(&self.ends)
            .map(|(start, end)| std::str::from_utf8(&self.text[*start..*end]).unwrap_or_default())
    }
}

/// A row as an object of strings.
fn object(out: &mut Vec<u8>, header: &[String], row: &Columns) -> Result<(), LineError> {
    if header.len() != row.ends.len() {
        return Err(LineError {
            column: 1,
            reason: format!("{} columns, where the header has {}", row.ends.len(), header.len()),
        });
    }
    out.push(b'{');
    for (index, (name, value)) in header.iter().zip(row.iter()).enumerate() {
        if index > 0 {
            out.push(b',');
        }
        line::string(out, name);
        out.push(b':');
        line::string(out, value);
    }
    out.push(b'}');
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_of_csv_end_outside_quotes() {
        let text = b"a,\"x\ny\"\nb,\"\"\"\"\nc,\"";
        assert_eq!(Format::Csv.complete(text), text.len() - 3);
        let first = Format::Csv.first(text);
        assert_eq!((first.end, first.line_breaks), (8, 2));
        assert_eq!(Format::Csv.first(b"c,d").end, 3);
        let inches = b"1,5\" pipe\n2,\"a\"\"b\"\n";
        assert_eq!(Format::Csv.first(inches).end, 10);
        assert_eq!(Format::Csv.complete(inches), inches.len());
        assert!(is_unclosed("1,\"abc\n2,def") && !is_unclosed("1,\"abc\""));
    }

    #[test]
    fn lines_end_at_their_break() {
        assert_eq!(Format::Jsonl.complete(b"a\nb\nc"), 4);
        assert_eq!(Format::Jsonl.complete(b"abc"), 0);
        assert_eq!(Format::Text.first(b"abc").end, 3);
    }

    #[test]
    fn a_row_is_unquoted() {
        let mut columns = Columns::default();
        for (row, expected) in [
            ("a,b", &["a", "b"][..]),
            ("\"x, \"\"y\"\"\",é,", &["x, \"y\"", "é", ""]),
            (",", &["", ""]),
            ("one", &["one"]),
            ("\"a\nb\"", &["a\nb"]),
        ] {
            columns.read(row);
            assert_eq!(columns.iter().collect::<Vec<_>>(), expected, "{row}");
        }
    }
}
