//! Reading entries, with and without a group: replies as owned batches, and the plain reader.

use std::time::Duration;

use super::error::ServerError;
use super::resp::{Cursor, Malformed, write_command};
use super::{Connection, Delivered, EntryId, Error, RESPONSE_TIMEOUT, Streamer};

/// One reply's worth of entries, in one piece of memory.
#[derive(Debug, Default)]
pub struct Batch {
    bytes: Vec<u8>,
}

impl Batch {
    /// Takes the connection's next reply, waiting at most `patience`; the batch's memory is used again.
    pub fn receive(
        &mut self,
        connection: &mut Connection,
        patience: Duration,
    ) -> Result<Result<(), ServerError>, Error> {
        let reply = match connection.receive_within(patience)?.bytes() {
            Ok(reply) => reply,
            Err(refusal) => return Ok(Err(refusal)),
        };
        self.bytes.clear();
        self.bytes.extend_from_slice(reply);
        Ok(Ok(()))
    }

    /// The size of the reply.
    pub fn bytes(&self) -> usize {
        self.bytes.len()
    }

    /// Walks a reply of XREAD or XREADGROUP: `[[stream, [entry, …]], …]`, or nil.
    pub fn by_stream(&self) -> Entries<'_> {
        let mut cursor = Cursor::new(&self.bytes);
        match cursor.array() {
            Ok(streams) => Entries {
                cursor,
                streams_left: streams.unwrap_or(0),
                entries_left: 0,
                stream: b"",
                failed: None,
            },
            Err(malformed) => Entries::failed(malformed),
        }
    }

    /// Walks a reply of XRANGE or XCLAIM, which is the entries alone: `[entry, …]`.
    pub fn of_one_stream(&self) -> Entries<'_> {
        Self::entries_at(Cursor::new(&self.bytes))
    }

    /// Walks the entries of a claim's reply, be it XAUTOCLAIM's or XCLAIM's.
    pub fn claimed(&self) -> Entries<'_> {
        match self.autoclaimed() {
            Ok((_, entries)) => entries,
            Err(_) => self.of_one_stream(),
        }
    }

    /// Walks the entries of an XAUTOCLAIM reply, `[next, [entry, …], …]`, and tells where to go on.
    pub fn autoclaimed(&self) -> Result<(EntryId, Entries<'_>), Malformed> {
        let mut cursor = Cursor::new(&self.bytes);
        cursor.array()?;
        let next = cursor.id()?;
        Ok((next, Self::entries_at(cursor)))
    }

    /// Holds no entries any more.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.bytes.extend_from_slice(b"*0\r\n");
    }

    fn entries_at(mut cursor: Cursor<'_>) -> Entries<'_> {
        match cursor.array() {
            Ok(entries) => Entries {
                cursor,
                streams_left: 0,
                entries_left: entries.unwrap_or(0),
                stream: b"",
                failed: None,
            },
            Err(malformed) => Entries::failed(malformed),
        }
    }
}

/// The entries of a reply, each with the name of its stream (empty where the reply names none).
#[derive(Clone, Debug)]
pub struct Entries<'a> {
    cursor: Cursor<'a>,
    streams_left: usize,
    entries_left: usize,
    stream: &'a [u8],
    failed: Option<Malformed>,
}

impl<'a> Entries<'a> {
    fn failed(malformed: Malformed) -> Self {
        Self {
            cursor: Cursor::new(b""),
            streams_left: 0,
            entries_left: 0,
            stream: b"",
            failed: Some(malformed),
        }
    }

    /// How many entries of this stream are still to come, nil ones included.
    pub fn announced(&self) -> usize {
        self.entries_left
    }

    /// How many bytes of the reply are still to be walked.
    pub fn bytes(&self) -> usize {
        self.cursor.remaining()
    }

    /// The elements this holds can be read after it, as in XAUTOCLAIM's list of what is gone.
    pub fn into_cursor(self) -> Cursor<'a> {
        self.cursor
    }

    fn step(&mut self) -> Result<Option<(&'a [u8], Delivered<'a>)>, Malformed> {
        if let Some(malformed) = self.failed.take() {
            return Err(malformed);
        }
        loop {
            if self.entries_left > 0 {
                self.entries_left -= 1;
                if !self.cursor.is_nil() {
                    return Ok(Some((self.stream, self.cursor.entry()?)));
                }
                // XCLAIM of Redis 6.2 and below answers nil in place of an entry that is gone.
                self.cursor.array()?;
            } else if self.streams_left > 0 {
                self.streams_left -= 1;
                self.cursor.array_of(2)?;
                self.stream = self.cursor.bulk()?;
                self.entries_left = self.cursor.array()?.unwrap_or(0);
            } else {
                return Ok(None);
            }
        }
    }
}

impl<'a> Iterator for Entries<'a> {
    type Item = Result<(&'a [u8], Delivered<'a>), Malformed>;

    fn next(&mut self) -> Option<Self::Item> {
        let step = self.step().transpose();
        if matches!(step, Some(Err(_))) {
            (self.streams_left, self.entries_left) = (0, 0);
        }
        step
    }
}

/// A stream, and the last entry of it that was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Position {
    /// The stream.
    pub stream: String,
    /// Reading goes on after this one.
    pub after: EntryId,
}

/// Reads streams without a group, from a position on. Requests and replies are separate, so that the server
/// can prepare the next reply while the last one is printed.
pub struct Reader {
    connection: Connection,
    /// The first stream last asked for, to name in a refusal, which names none.
    first: String,
}

impl Reader {
    /// A reader over a connection of its own.
    pub fn new(connection: Connection) -> Self {
        Self {
            connection,
            first: String::new(),
        }
    }

    /// Asks for up to `count` entries after the positions; with `block`, waits for one if there is none.
    pub fn request(&mut self, positions: &[Position], count: usize, block: Option<Duration>) -> Result<(), Error> {
        self.first = positions
            .first()
            .map(|position| position.stream.clone())
            .unwrap_or_default();
        let count = count.to_string();
        let wait = block.map(|block| block.as_millis().max(1).to_string());
        let ids: Vec<String> = positions.iter().map(|position| position.after.to_string()).collect();
        let mut parts: Vec<&[u8]> = vec![b"XREAD", b"COUNT", count.as_bytes()];
        if let Some(wait) = &wait {
            parts.extend([&b"BLOCK"[..], wait.as_bytes()]);
        }
        parts.push(b"STREAMS");
        parts.extend(positions.iter().map(|position| position.stream.as_bytes()));
        parts.extend(ids.iter().map(|id| id.as_bytes()));
        let mut packed = Vec::new();
        write_command(&mut packed, &parts);
        self.connection.send(&packed)
    }

    /// Receives the reply to the oldest request. `block` is what that request said.
    pub fn receive(&mut self, batch: &mut Batch, block: Option<Duration>) -> Result<(), Error> {
        let patience = RESPONSE_TIMEOUT + block.unwrap_or_default();
        batch
            .receive(&mut self.connection, patience)?
            .map_err(|refusal| Error::refused(refusal, &self.first, None))
    }

    /// What a malformed reply means here.
    pub fn malformed(&self, malformed: Malformed) -> Error {
        self.connection.malformed(malformed)
    }
}

impl Streamer {
    /// The ID behind which the last `count` entries of a stream begin.
    pub fn before_last(&mut self, stream: &str, count: usize) -> Result<EntryId, Error> {
        const PAGE: usize = 64;
        let mut left = count;
        let mut end = Some(EntryId::MAX);
        let mut first = None;
        while let Some(last) = end.filter(|_| left > 0) {
            let page = left.min(PAGE);
            let mut range = redis::cmd("XREVRANGE");
            range.arg(stream).arg(last.to_string()).arg("-").arg("COUNT").arg(page);
            // Only the IDs matter, but Redis has no way to ask for them alone.
            let entries: Vec<(Vec<u8>, redis::Value)> = self.ask(&range, stream, None)?;
            if let Some((id, _)) = entries.last() {
                first = EntryId::from_wire(id);
            }
            left -= entries.len();
            end = if entries.len() == page {
                first.and_then(EntryId::previous)
            } else {
                None
            };
        }
        Ok(first.and_then(EntryId::previous).unwrap_or(EntryId::MIN))
    }
}
