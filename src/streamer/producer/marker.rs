//! The producer's marker: a hash in the stream's slot that says how far the input is in, and counts the batches. It moves
//! in the transaction that adds the entries: with them, or not at all.

use std::fmt;
use std::str::FromStr;

use redis::FromRedisValue;

use super::batch::Place;
use crate::streamer::random::random;
use crate::streamer::servers::tag_of;
use crate::streamer::wire::resp::{Cursor, Malformed, argument, command};

/// How long a marker outlives the last batch, in seconds.
const LIFETIME: &str = "604800";

/// The key of a producer's marker, in the slot of its stream.
pub fn key(stream: &str, producer: &str) -> String {
    format!("redis-streamer:producer:{{{}}}:{producer}", tag_of(stream))
}

/// How the connections of a producer are called, by which a later run finds those of a killed one.
pub fn connection_name(producer: &str) -> String {
    format!("redis-streamer:producer:{producer}")
}

/// A name for a producer that no other has.
pub fn new_producer() -> String {
    format!("{:016x}{:016x}", random(), random())
}

/// Which connection a position was sent over. A batch that is sent again says so by another writer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Writer(u64);

impl Writer {
    pub fn new() -> Self {
        Self(random())
    }
}

/// What a marker says: how far the input is in the stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Position {
    /// The number of the last batch; each has one more than the one before.
    pub batch: u64,
    /// How many records are settled.
    pub records: u64,
    pub place: Place,
    pub writer: Writer,
}

impl Position {
    /// Whether both speak of the same batch, whatever connection brought it.
    pub fn is_of_batch(&self, other: &Self) -> bool {
        Self {
            writer: other.writer,
            ..*self
        } == *other
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Place {
            source,
            offset,
            line,
            digest,
        } = self.place;
        write!(f, "batch={} records={} ", self.batch, self.records)?;
        write!(f, "source={source} offset={offset} line={line} ")?;
        if let Some(digest) = digest {
            write!(f, "digest={digest:016x} ")?;
        }
        write!(f, "writer={:016x}", self.writer.0)
    }
}

impl FromStr for Position {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let mut words = text.split(' ').peekable();
        let mut word = |key: &str| {
            let value = words.peek()?.strip_prefix(key)?.strip_prefix('=')?;
            words.next();
            Some(value)
        };
        let number = |word: Option<&str>| word.ok_or(())?.parse::<u64>().map_err(drop);
        let hex = |word: &str| u64::from_str_radix(word, 16).map_err(drop);
        Ok(Self {
            batch: number(word("batch"))?,
            records: number(word("records"))?,
            place: Place {
                source: usize::try_from(number(word("source"))?).map_err(drop)?,
                offset: number(word("offset"))?,
                line: number(word("line"))?,
                digest: word("digest").map(hex).transpose()?,
            },
            writer: Writer(hex(word("writer").ok_or(())?)?),
        })
    }
}

/// What a marker holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Contents {
    /// Where it is, as it is written; `None` if there is no marker.
    pub position: Option<String>,
    /// How many batches moved it. The position counts those, too, that the server refused while it took one behind them:
    /// by the difference they are found out, even if nobody was left to hear of it.
    pub batches: u64,
}

/// What a producer's own marker holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mark {
    pub position: Position,
    pub batches: u64,
}

impl Mark {
    /// Nothing is missing up to a position.
    pub fn whole(position: Position) -> Self {
        Self {
            position,
            batches: position.batch,
        }
    }

    /// Whether the server refused batches that lie before the position.
    pub fn has_gaps(&self) -> bool {
        self.batches != self.position.batch
    }
}

impl From<Mark> for Contents {
    fn from(Mark { position, batches }: Mark) -> Self {
        Self {
            position: Some(position.to_string()),
            batches,
        }
    }
}

impl Contents {
    /// What it means; `None` if there is no marker, and the text if it is not a producer's.
    pub fn mark(&self) -> Result<Option<Mark>, &str> {
        let Some(text) = &self.position else {
            return Ok(None);
        };
        let batches = self.batches;
        let position = text.parse().map_err(|()| text.as_str())?;
        Ok(Some(Mark { position, batches }))
    }
}

/// The answer to [`read`].
impl FromRedisValue for Contents {
    fn from_redis_value(answer: redis::Value) -> Result<Self, redis::ParsingError> {
        let (position, batches): (_, Option<u64>) = redis::from_redis_value(answer)?;
        Ok(Self {
            position,
            batches: batches.unwrap_or_default(),
        })
    }
}

/// The fields of the hash.
const POSITION: &str = "position";
const BATCHES: &str = "batches";
/// For people who come across it.
const STREAM: &str = "stream";

/// The command that reads a marker.
pub fn read(key: &str) -> redis::Cmd {
    redis::cmd("HMGET").arg(key).arg(POSITION).arg(BATCHES).clone()
}

/// What the answer to [`read`] says, in the reply to a transaction.
pub fn contents(cursor: &mut Cursor<'_>) -> Result<Contents, Malformed> {
    cursor.array_of(2)?;
    let mut text = || {
        if cursor.is_nil() {
            return cursor.array().map(|_| None);
        }
        Ok(Some(String::from_utf8_lossy(cursor.bulk()?).into_owned()))
    };
    let (position, batches) = (text()?, text()?);
    let batches = batches.map(|count| count.parse().map_err(|_| Malformed("a count that is no number")));
    Ok(Contents {
        position,
        batches: batches.transpose()?.unwrap_or_default(),
    })
}

/// How many commands move a marker; the first says where it was.
pub const MOVES: usize = 4;

/// Writes the commands that move a marker by a batch.
pub fn write_move(out: &mut Vec<u8>, key: &str, position: &Position) {
    let position = position.to_string();
    let moves: [&[&str]; MOVES] = [
        &["HMGET", key, POSITION, BATCHES],
        &["HSET", key, POSITION, &position],
        &["HINCRBY", key, BATCHES, "1"],
        &["EXPIRE", key, LIFETIME],
    ];
    for parts in moves {
        command(out, parts.len());
        for part in parts {
            argument(out, part.as_bytes());
        }
    }
}

/// The commands that set a marker where there is none, and leave one that is there. Whoever may do that may also move it:
/// what is refused is refused before anything was sent.
pub fn set_first(key: &str, stream: &str, position: &Position) -> [redis::Cmd; 5] {
    let command = |name, field| redis::cmd(name).arg(key).arg(field).clone();
    [
        read(key),
        command("HSETNX", POSITION).arg(position.to_string()).clone(),
        command("HINCRBY", BATCHES).arg(0).clone(),
        command("HSET", STREAM).arg(stream).clone(),
        expire(key),
    ]
}

/// The commands that set a marker to what is true: nothing is missing up to a position.
pub fn set(key: &str, position: &Position) -> [redis::Cmd; 2] {
    let mut set = redis::cmd("HSET");
    set.arg(key).arg(POSITION).arg(position.to_string());
    set.arg(BATCHES).arg(position.batch);
    [set, expire(key)]
}

/// The command that takes a marker away.
pub fn delete(key: &str) -> redis::Cmd {
    redis::cmd("DEL").arg(key).clone()
}

/// The command that writes to a marker without changing what it says; its answer is 0 if there is none.
pub fn expire(key: &str) -> redis::Cmd {
    redis::cmd("EXPIRE").arg(key).arg(LIFETIME).clone()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_key_is_in_the_slot_of_the_stream() {
        for (stream, key_of_it) in [
            ("orders", "redis-streamer:producer:{orders}:7"),
            ("{orders}:0", "redis-streamer:producer:{orders}:7"),
            ("a{b}c{d}", "redis-streamer:producer:{b}:7"),
            ("a{b", "redis-streamer:producer:{a{b}:7"),
        ] {
            assert_eq!(key(stream, "7"), key_of_it);
        }
        assert_ne!(new_producer(), new_producer());
    }

    #[test]
    fn a_position_reads_as_it_is_written() {
        let mut position = Position {
            batch: 3,
            records: 2400,
            place: Place {
                source: 1,
                offset: 377_000,
                line: 2401,
                digest: Some(0xfeed),
            },
            writer: Writer(0xabc),
        };
        for digest in [Some(0xfeed), None] {
            position.place.digest = digest;
            assert_eq!(position.to_string().parse(), Ok(position), "{position}");
        }
        assert_eq!(
            position.to_string(),
            "batch=3 records=2400 source=1 offset=377000 line=2401 writer=0000000000000abc"
        );
        for text in [
            "",
            "batch=1",
            "somebody else's",
            "batch=x records=1 source=0 offset=0 line=0 writer=1",
        ] {
            assert_eq!(text.parse::<Position>(), Err(()), "{text}");
        }
    }
}
