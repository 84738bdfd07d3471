//! The wire of Redis (RESP2): commands out, replies in. Pure; the socket is `connection`'s.
//!
//! Replies are not turned into trees. A [`Scanner`] finds where a value ends, over as many reads as it takes;
//! a [`Cursor`] then walks the complete value in place. The redis crate's parser, which builds a `Value` for
//! every element, was the client's main cost when reading entries; it still serves the small replies.

use memchr::memchr;

use crate::streamer::entry::{Entry, EntryId};
use crate::streamer::error::ServerError;

/// Starts a command of `arguments` parts.
pub fn command(out: &mut Vec<u8>, arguments: usize) {
    header(out, b'*', arguments);
}

/// Adds one part of a command.
pub fn argument(out: &mut Vec<u8>, bytes: &[u8]) {
    header(out, b'$', bytes.len());
    out.extend_from_slice(bytes);
    out.extend_from_slice(b"\r\n");
}

/// Adds an entry ID as one part of a command.
pub fn id_argument(out: &mut Vec<u8>, id: EntryId) {
    let (mut ms, mut seq) = (itoa::Buffer::new(), itoa::Buffer::new());
    let (ms, seq) = (ms.format(id.ms).as_bytes(), seq.format(id.seq).as_bytes());
    header(out, b'$', ms.len() + 1 + seq.len());
    out.extend_from_slice(ms);
    out.push(b'-');
    out.extend_from_slice(seq);
    out.extend_from_slice(b"\r\n");
}

/// Writes a whole command.
pub fn write_command(out: &mut Vec<u8>, parts: &[&[u8]]) {
    command(out, parts.len());
    for part in parts {
        argument(out, part);
    }
}

fn header(out: &mut Vec<u8>, kind: u8, number: usize) {
    out.push(kind);
    out.extend_from_slice(itoa::Buffer::new().format(number).as_bytes());
    out.extend_from_slice(b"\r\n");
}

/// The peer does not speak RESP2, or answered with another shape than the command's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Malformed(pub &'static str);

/// How deep arrays may lie within each other in a reply that becomes a tree. The deepest of Redis are those of
/// `XINFO STREAM FULL`, and shallower than this; the redis crate's parser recurses.
const MAX_DEPTH: usize = 9;

/// A complete reply as a tree, for the small replies of control commands.
pub fn tree(reply: &[u8]) -> Result<redis::Value, Malformed> {
    let mut rest = reply;
    let mut open: Vec<usize> = Vec::new();
    while !rest.is_empty() {
        let line = line(rest)?.ok_or(Malformed("a reply cut short"))?;
        let kind = rest[0];
        let after = match kind {
            b'$' => line.len() + 3 + usize::try_from(integer(line)?).map_or(0, |length| length + 2),
            _ => line.len() + 3,
        };
        rest = rest.get(after..).ok_or(Malformed("a reply cut short"))?;
        if let Some(left) = open.last_mut() {
            *left -= 1;
        }
        if kind == b'*' {
            open.push(usize::try_from(integer(line)?).unwrap_or(0));
        }
        while open.last() == Some(&0) {
            open.pop();
        }
        if open.len() > MAX_DEPTH {
            return Err(Malformed("a reply nested too deep"));
        }
    }
    redis::parse_redis_value(reply).map_err(|_| Malformed("a reply that cannot be read"))
}

/// Redis's own limit for one bulk string, `proto-max-bulk-len`: 512 MiB by default.
const MAX_BULK: i64 = 512 * 1024 * 1024;

/// Finds the end of one value in a buffer that grows.
#[derive(Debug)]
pub struct Scanner {
    /// Everything before this belongs to the value.
    at: usize,
    /// How many values must still follow to make it whole.
    missing: usize,
    /// The most bytes it may have.
    limit: usize,
    arrays: usize,
}

/// The most arrays that one value may hold: more than any list of rows that is asked for has.
const MAX_ARRAYS: usize = 1_000_000;

impl Scanner {
    /// A scanner of a value of at most so many bytes.
    pub fn new(limit: usize) -> Self {
        Self {
            at: 0,
            missing: 1,
            limit,
            arrays: 0,
        }
    }

    /// How many bytes the value has at least, as far as is known.
    pub fn at_least(&self) -> usize {
        self.at
    }

    /// Goes on where the last call stopped; the length of the value once it is whole.
    pub fn advance(&mut self, bytes: &[u8]) -> Result<Option<usize>, Malformed> {
        while self.missing > 0 {
            let Some(rest) = bytes.get(self.at..).filter(|rest| !rest.is_empty()) else {
                return Ok(None);
            };
            let Some(line) = line(rest)? else {
                return Ok(None);
            };
            let after_line = self.at + line.len() + 3;
            match rest[0] {
                b'+' | b'-' | b':' => self.at = after_line,
                b'$' => match integer(line)? {
                    -1 => self.at = after_line,
                    length @ 0..=MAX_BULK => self.at = after_line + length as usize + 2,
                    _ => return Err(Malformed("a string of impossible length")),
                },
                b'*' => {
                    self.at = after_line;
                    self.arrays += 1;
                    let more = usize::try_from(integer(line)?.max(0)).unwrap_or(usize::MAX);
                    self.missing = self
                        .missing
                        .checked_add(more)
                        .ok_or(Malformed("an array of impossible length"))?;
                }
                _ => return Err(Malformed("a reply of unknown type")),
            }
            self.missing -= 1;
            if self.at > self.limit || self.arrays > MAX_ARRAYS {
                return Err(Malformed("a reply too long to be one"));
            }
        }
        Ok((bytes.len() >= self.at).then_some(self.at))
    }
}

/// The longest line before CRLF that a reply may have. Error texts are the longest; Redis cuts none above this.
pub(super) const MAX_LINE: usize = 64 * 1024;

/// The line at the start of `rest`, without its type byte and CRLF, if it is there whole.
pub(super) fn line(rest: &[u8]) -> Result<Option<&[u8]>, Malformed> {
    match memchr(b'\r', rest) {
        Some(0) => Err(Malformed("a line without a type")),
        Some(end) => match rest.get(end + 1) {
            Some(b'\n') => Ok(Some(&rest[1..end])),
            Some(_) => Err(Malformed("a line without its end")),
            None => Ok(None),
        },
        None if rest.len() > MAX_LINE => Err(Malformed("a line without end")),
        None => Ok(None),
    }
}

pub(super) fn integer(line: &[u8]) -> Result<i64, Malformed> {
    let (negative, digits) = match line {
        [b'-', digits @ ..] => (true, digits),
        digits => (false, digits),
    };
    if digits.is_empty() {
        return Err(Malformed("a number that is none"));
    }
    digits
        .iter()
        .try_fold(0i64, |sum, byte| {
            let digit = byte.checked_sub(b'0').filter(|digit| *digit < 10)?;
            sum.checked_mul(10)?.checked_add(i64::from(digit))
        })
        .map(|number| if negative { -number } else { number })
        .ok_or(Malformed("a number that is none"))
}

/// Walks a complete reply in place.
#[derive(Clone, Debug)]
pub struct Cursor<'a> {
    rest: &'a [u8],
}

impl<'a> Cursor<'a> {
    /// Starts at the beginning of a reply that a [`Scanner`] found whole.
    pub fn new(reply: &'a [u8]) -> Self {
        Self { rest: reply }
    }

    /// The bytes that are still to come.
    pub fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// How many bytes of the reply are still to come.
    #[cfg(test)]
    pub fn remaining(&self) -> usize {
        self.rest.len()
    }

    /// The next line, with its type byte.
    fn head(&mut self) -> Result<(u8, &'a [u8]), Malformed> {
        let Some(line) = line(self.rest)? else {
            return Err(Malformed("a reply cut short"));
        };
        let kind = self.rest[0];
        self.rest = &self.rest[line.len() + 3..];
        Ok((kind, line))
    }

    /// The length of the array that begins here; its elements follow. `None` is nil.
    pub fn array(&mut self) -> Result<Option<usize>, Malformed> {
        match self.head()? {
            (b'*', line) => Ok(usize::try_from(integer(line)?).ok()),
            (b'$', b"-1") => Ok(None),
            _ => Err(Malformed("expected an array")),
        }
    }

    /// The array of exactly `length` elements that begins here.
    pub fn array_of(&mut self, length: usize) -> Result<(), Malformed> {
        match self.array()? {
            Some(found) if found == length => Ok(()),
            _ => Err(Malformed("an array of unexpected length")),
        }
    }

    /// The string here.
    pub fn bulk(&mut self) -> Result<&'a [u8], Malformed> {
        let (kind, line) = self.head()?;
        match kind {
            b'+' => Ok(line),
            b'$' => {
                let length = usize::try_from(integer(line)?).map_err(|_| Malformed("expected a string"))?;
                let bytes = self.rest.get(..length).ok_or(Malformed("a reply cut short"))?;
                self.rest = self.rest.get(length + 2..).ok_or(Malformed("a reply cut short"))?;
                Ok(bytes)
            }
            _ => Err(Malformed("expected a string")),
        }
    }

    /// Whether nil stands here. Looks only.
    pub fn is_nil(&self) -> bool {
        self.rest.starts_with(b"$-1\r\n") || self.rest.starts_with(b"*-1\r\n")
    }

    /// The refusal here, if one stands here: a transaction's reply may hold some.
    pub fn refusal(&mut self) -> Result<Option<ServerError>, Malformed> {
        if self.rest.first() != Some(&b'-') {
            return Ok(None);
        }
        self.head().map(|(_, line)| Some(ServerError::parse(line)))
    }

    /// The whole number here.
    pub fn number(&mut self) -> Result<i64, Malformed> {
        match self.head()? {
            (b':', line) => integer(line),
            _ => Err(Malformed("expected a number")),
        }
    }

    /// The entry ID here.
    pub fn id(&mut self) -> Result<EntryId, Malformed> {
        EntryId::from_wire(self.bulk()?).ok_or(Malformed("expected an entry ID"))
    }

    /// The entry here: `[id, [field, value, …]]`. Its fields are `None` if it was deleted while pending;
    /// `XREADGROUP … CLAIM` adds the idle time in ms and how often it was delivered before.
    pub fn entry(&mut self) -> Result<Delivered<'a>, Malformed> {
        let parts = self.array()?.ok_or(Malformed("expected an entry"))?;
        if parts != 2 && parts != 4 {
            return Err(Malformed("an entry of unexpected shape"));
        }
        let id = self.id()?;
        let fields = match self.array()? {
            None => None,
            Some(length) if length % 2 == 0 => {
                // A reply's claim is not trusted for the allocation: each field takes bytes that are there.
                let mut fields = Vec::with_capacity((length / 2).min(self.rest.len() / 8));
                for _ in 0..length / 2 {
                    fields.push((self.bulk()?, self.bulk()?));
                }
                Some(fields)
            }
            Some(_) => return Err(Malformed("a field without a value")),
        };
        let mut deliveries = None;
        if parts == 4 {
            self.number()?;
            deliveries = u64::try_from(self.number()?)
                .ok()
                .filter(|before| *before > 0)
                .map(|before| before + 1);
        }
        Ok(match fields {
            Some(fields) => Delivered::Entry(Entry { id, fields, deliveries }),
            None => Delivered::Gone(id),
        })
    }
}

/// One element of a read's reply.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Delivered<'a> {
    /// An entry.
    Entry(Entry<'a>),
    /// An entry that was deleted or trimmed while it was pending.
    Gone(EntryId),
}

impl Delivered<'_> {
    /// The ID of the entry, there or gone.
    pub fn id(&self) -> EntryId {
        match self {
            Self::Entry(entry) => entry.id,
            Self::Gone(id) => *id,
        }
    }

    /// How often it was delivered, this time included, as far as the reply says.
    pub fn deliveries(&self) -> u64 {
        match self {
            Self::Entry(entry) => entry.deliveries.unwrap_or(1),
            Self::Gone(_) => 1,
        }
    }
}

#[cfg(test)]
#[path = "resp/tests.rs"]
mod tests;
