//! The producer's marker: a key in the stream's slot that says how far the input is in. It moves in the transaction
//! that adds the entries: with them, or not at all.

use std::fmt;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::str::FromStr;

use super::batch::Place;
use crate::streamer::wire::resp::{argument, command};

/// How long a marker outlives the last batch, in seconds.
const LIFETIME: &str = "604800";

/// The key of a producer's marker. The tag is that of the stream, or its whole name, so that both are in one slot of a
/// cluster. A name that holds a `}` and no tag leaves none that would do: the key is then elsewhere, which only a
/// cluster minds.
pub fn key(stream: &str, producer: &str) -> String {
    let tag = hash_tag(stream).unwrap_or(stream);
    format!("redis-streamer:producer:{{{tag}}}:{producer}")
}

/// The part of a key that chooses its slot, where not all of it does.
fn hash_tag(key: &str) -> Option<&str> {
    let (_, behind) = key.split_once('{')?;
    let (tag, _) = behind.split_once('}')?;
    (!tag.is_empty()).then_some(tag)
}

/// How the connections of a producer are called, by which a later run finds those of a killed one.
pub fn connection_name(producer: &str) -> String {
    format!("redis-streamer:producer:{producer}")
}

/// A name for a producer that no other has.
pub fn new_producer() -> String {
    format!("{:016x}{:016x}", random(), random())
}

fn random() -> u64 {
    RandomState::new().build_hasher().finish()
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

/// Writes the command that moves a marker and says where it was.
pub fn write_move(out: &mut Vec<u8>, key: &str, position: &Position) {
    command(out, 6);
    for part in ["SET", key, &position.to_string(), "EX", LIFETIME, "GET"] {
        argument(out, part.as_bytes());
    }
}

/// The command that sets a marker where there is none.
pub fn set_first(key: &str, position: &Position) -> redis::Cmd {
    let mut set = redis::cmd("SET");
    set.arg(key).arg(position.to_string()).arg("EX").arg(LIFETIME).arg("NX");
    set
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
        // `{}` is no tag: the whole name counts.
        assert_eq!(hash_tag("a{}b"), None);
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
