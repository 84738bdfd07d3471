//! The entries of a reply, one at a time as they arrive: memory follows the largest entry, not the reply.

use std::ops::Range;
use std::time::Duration;

use super::connection::{Connection, RESPONSE_TIMEOUT};
use super::resp::{Delivered, Malformed, integer};
use crate::streamer::entry::EntryId;
use crate::streamer::error::{Error, ServerError};

/// How a reply with entries is built.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// XREAD and XREADGROUP: `[[stream, [entry, …]], …]`, or nil.
    ByStream,
    /// XRANGE, XREVRANGE and XCLAIM: `[entry, …]`.
    OneStream,
}

/// A walk through a reply. To be finished before anything else is received from its connection.
#[derive(Debug)]
pub struct Entries {
    streams_left: usize,
    entries_left: usize,
    /// The place of the current stream among those that were asked for.
    stream: usize,
    bytes: usize,
    seen: usize,
}

/// The most entries of one stream that a reply may announce: more than anybody asks for.
const MOST_ENTRIES: usize = 1_000_000;

impl Entries {
    /// Begins to walk the connection's next reply, for which it waits `block` longer than for others. A refusal ends
    /// the walk before it began.
    pub fn begin(
        connection: &mut Connection,
        shape: Shape,
        block: Duration,
    ) -> Result<Result<Self, ServerError>, Error> {
        connection.pass_over_announcement()?;
        Self::begin_value(connection, shape, RESPONSE_TIMEOUT + block)
    }

    fn begin_value(
        connection: &mut Connection,
        shape: Shape,
        patience: Duration,
    ) -> Result<Result<Self, ServerError>, Error> {
        let head = connection.head(patience)?;
        if let [b'-', line @ ..] = head {
            return Ok(Err(ServerError::parse(line)));
        }
        let count = length(head).map_err(|malformed| connection.malformed(malformed))?;
        let mut entries = Self {
            streams_left: 0,
            entries_left: 0,
            stream: 0,
            bytes: 0,
            seen: 0,
        };
        match shape {
            Shape::ByStream => entries.streams_left = count,
            Shape::OneStream => entries.entries_left = count,
        }
        Ok(Ok(entries))
    }

    /// The next entry with the place of its stream among `streams`; `None` at the end of the reply.
    pub fn next<'c>(
        &mut self,
        connection: &'c mut Connection,
        streams: &[String],
    ) -> Result<Option<(usize, Delivered<'c>)>, Error> {
        let Some(element) = self.next_element(connection, streams)? else {
            return Ok(None);
        };
        let connection: &'c Connection = connection;
        match connection.at(element).entry() {
            Ok(delivered) => Ok(Some((self.stream, delivered))),
            Err(malformed) => Err(connection.malformed(malformed)),
        }
    }

    /// As [`next`](Self::next), but the entry as the bytes it came in.
    pub fn next_bytes<'c>(
        &mut self,
        connection: &'c mut Connection,
        streams: &[String],
    ) -> Result<Option<(usize, &'c [u8])>, Error> {
        let element = self.next_element(connection, streams)?;
        Ok(element.map(|element| (self.stream, connection.at(element).rest())))
    }

    fn next_element(&mut self, connection: &mut Connection, streams: &[String]) -> Result<Option<Range<usize>>, Error> {
        loop {
            while self.entries_left == 0 {
                if self.streams_left == 0 {
                    return Ok(None);
                }
                self.next_stream(connection, streams)?;
            }
            self.entries_left -= 1;
            let element = connection.element(RESPONSE_TIMEOUT)?;
            self.bytes += element.len();
            // XCLAIM of Redis 6.2 and below answers nil in place of an entry that is gone.
            if !connection.at(element.clone()).is_nil() {
                self.seen += 1;
                return Ok(Some(element));
            }
        }
    }

    fn next_stream(&mut self, connection: &mut Connection, streams: &[String]) -> Result<(), Error> {
        self.streams_left -= 1;
        if self.array(connection)? != 2 {
            return Err(connection.malformed(Malformed("an array of unexpected length")));
        }
        let name = connection.element(RESPONSE_TIMEOUT)?;
        let place = connection
            .at(name)
            .bulk()
            .map(|name| streams.iter().position(|stream| stream.as_bytes() == name));
        let place = place.map_err(|malformed| connection.malformed(malformed))?;
        self.stream = place.ok_or_else(|| connection.malformed(Malformed("a stream that was not asked for")))?;
        self.entries_left = self.array(connection)?;
        Ok(())
    }

    fn array(&self, connection: &mut Connection) -> Result<usize, Error> {
        let head = connection.head(RESPONSE_TIMEOUT)?;
        let count = length(head);
        count.map_err(|malformed| connection.malformed(malformed))
    }

    /// How many entries were seen, and how many bytes they had.
    pub fn size(&self) -> (usize, usize) {
        (self.seen, self.bytes)
    }
}

/// What became of a transaction of one command that brings entries.
#[derive(Debug)]
pub enum Executed {
    Done(Entries),
    Refused(ServerError),
    /// A key that was watched had changed: nothing was done.
    Overtaken,
}

impl Executed {
    /// Takes the replies to the command and to EXEC, as far as the first entry.
    pub fn begin(connection: &mut Connection, shape: Shape) -> Result<Self, Error> {
        let queued = connection.receive()?.cursor().err();
        let refusal = match connection.first_head(RESPONSE_TIMEOUT)? {
            b"*1" => {
                let begun = Entries::begin_value(connection, shape, RESPONSE_TIMEOUT)?;
                return Ok(begun.map_or_else(Self::Refused, Self::Done));
            }
            b"*-1" => return Ok(Self::Overtaken),
            [b'-', line @ ..] => ServerError::parse(line).cause(),
            _ => return Err(connection.malformed(Malformed("expected the result of a transaction"))),
        };
        Ok(Self::Refused(queued.unwrap_or(refusal)))
    }
}

/// What a stream remembers of all that was ever added to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StreamEnd {
    /// The last ID it gave, to an entry that may be gone by now.
    pub last_id: EntryId,
    /// How many entries were added (from Redis 7.0).
    pub added: Option<u64>,
}

/// XINFO STREAM.
pub fn stream_query(stream: &str) -> redis::Cmd {
    let mut info = redis::cmd("XINFO");
    info.arg("STREAM").arg(stream);
    info
}

/// What a stream remembers; `None` if there is no such stream.
pub fn stream_end(connection: &mut Connection, stream: &str) -> Result<Option<StreamEnd>, Error> {
    connection.send(&stream_query(stream).get_packed_command())?;
    known_end(receive_stream_end(connection)?, stream)
}

/// What the reply to XINFO STREAM means; `None` if there is no such stream.
pub fn known_end(answer: Result<StreamEnd, ServerError>, stream: &str) -> Result<Option<StreamEnd>, Error> {
    match answer {
        Ok(end) => Ok(Some(end)),
        Err(refusal) if refusal.is_no_such_key() => Ok(None),
        Err(refusal) => Err(Error::refused(refusal, stream, None)),
    }
}

/// Receives the reply to XINFO STREAM, which also holds two entries; they may be large.
pub fn receive_stream_end(connection: &mut Connection) -> Result<Result<StreamEnd, ServerError>, Error> {
    let head = connection.first_head(RESPONSE_TIMEOUT)?;
    if let [b'-', line @ ..] = head {
        return Ok(Err(ServerError::parse(line)));
    }
    let facts = length(head).map_err(|malformed| connection.malformed(malformed))?;
    let (mut last, mut added) = (None, None);
    for _ in 0..facts / 2 {
        let name = connection.element(RESPONSE_TIMEOUT)?;
        let name = connection.at(name).bulk().unwrap_or_default().to_vec();
        let value = connection.element(RESPONSE_TIMEOUT)?;
        match &*name {
            b"last-generated-id" => last = connection.at(value).id().ok(),
            b"entries-added" => added = connection.at(value).number().ok(),
            _ => {}
        }
    }
    match last {
        Some(last_id) => Ok(Ok(StreamEnd {
            last_id,
            added: added.and_then(|added| u64::try_from(added).ok()),
        })),
        None => Err(connection.malformed(Malformed("a stream without a last ID"))),
    }
}

/// The length in the head of an array; nil has none.
fn length(head: &[u8]) -> Result<usize, Malformed> {
    match head {
        b"$-1" => Ok(0),
        [b'*', digits @ ..] => match usize::try_from(integer(digits)?.max(0)) {
            Ok(length) if length <= MOST_ENTRIES => Ok(length),
            _ => Err(Malformed("an array of impossible length")),
        },
        _ => Err(Malformed("expected an array")),
    }
}
