//! Stdin as references to entries: bare IDs, or lines as `consume` prints them.

use std::borrow::Cow;

use anyhow::Context as _;

use crate::failure::Failure;
use crate::line::{self, Reference};
use crate::ui::Input;

/// How much is read at a time.
const PIECE: usize = 64 * 1024;

pub struct References {
    input: Input,
    bytes: Vec<u8>,
    /// Everything before this is done with.
    at: usize,
    /// How many lines that is.
    lines: u64,
    is_at_end: bool,
}

impl References {
    pub fn new(input: Input) -> Self {
        Self {
            input,
            bytes: Vec::new(),
            at: 0,
            lines: 0,
            is_at_end: false,
        }
    }

    /// Waits for input; says whether there can be anything new. A line that is not whole when the work is asked to
    /// end was not read.
    pub fn read_more(&mut self) -> anyhow::Result<bool> {
        if self.is_at_end {
            return Ok(false);
        }
        self.bytes.drain(..std::mem::take(&mut self.at));
        let filled = self.bytes.len();
        self.bytes.resize(filled + PIECE, 0);
        let read = self
            .input
            .read(&mut self.bytes[filled..])
            .context("cannot read stdin")?;
        self.bytes.truncate(filled + read.unwrap_or(0));
        self.is_at_end = read == Some(0);
        Ok(read.is_some())
    }

    /// The number of the line that was read last.
    pub fn line(&self) -> u64 {
        self.lines
    }

    /// The next entry named in what was read.
    pub fn next(&mut self) -> anyhow::Result<Option<Reference<'static>>> {
        loop {
            let rest = &self.bytes[self.at..];
            let end = match memchr::memchr(b'\n', rest) {
                Some(end) => end + 1,
                None if self.is_at_end && !rest.is_empty() => rest.len(),
                None => return Ok(None),
            };
            self.at += end;
            self.lines += 1;
            if let Some(Reference { stream, id, deliveries }) = parse(&rest[..end], self.lines)? {
                return Ok(Some(Reference {
                    stream: stream.map(|stream| Cow::Owned(stream.into_owned())),
                    id,
                    deliveries,
                }));
            }
        }
    }
}

/// The entry that a line names; `None` for an empty one.
fn parse(line: &[u8], number: u64) -> Result<Option<Reference<'_>>, Failure> {
    let text = std::str::from_utf8(line)
        .map_err(|error| Failure::data(format!("stdin:{number}:{}: not UTF-8", error.valid_up_to() + 1)))?
        .trim();
    if text.is_empty() {
        return Ok(None);
    }
    if text.starts_with('{') {
        let reference = line::parse_reference(text).map_err(|error| {
            let excerpt = line::excerpt(text);
            Failure::data(format!("stdin:{number}:{}: {error}: {excerpt}", error.column))
                .hint("a line names the entry as consume prints it: {\"stream\":…,\"id\":…}")
        })?;
        return Ok(Some(reference));
    }
    let id = text
        .parse()
        .map_err(|error| Failure::data(format!("stdin:{number}:1: {error}: {}", line::excerpt(text))))?;
    Ok(Some(Reference {
        stream: None,
        id,
        deliveries: None,
    }))
}
