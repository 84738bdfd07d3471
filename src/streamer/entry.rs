//! What a stream holds: entries, their IDs, and the messages most of them are.

use std::fmt;
use std::str::FromStr;

use serde_json::value::RawValue;

/// The field that holds a message's name.
pub const NAME: &[u8] = b"name";
/// The field that holds a message's body, JSON text.
pub const BODY: &[u8] = b"body";

/// The ID of an entry: milliseconds since the Unix epoch, and a sequence number within them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EntryId {
    /// Milliseconds since the Unix epoch, by the server's clock unless the ID was given.
    pub ms: u64,
    /// Tells entries of one millisecond apart.
    pub seq: u64,
}

impl EntryId {
    /// `0-0`: before every entry (no entry can have it).
    pub const MIN: Self = Self { ms: 0, seq: 0 };
    /// After every entry.
    pub const MAX: Self = Self {
        ms: u64::MAX,
        seq: u64::MAX,
    };

    /// The first ID of a millisecond.
    pub const fn at_ms(ms: u64) -> Self {
        Self { ms, seq: 0 }
    }

    /// The ID that follows this one, `None` after [`EntryId::MAX`].
    ///
    /// `XRANGE` from here stands for an exclusive start, which Redis below 6.2 cannot write.
    pub fn next(self) -> Option<Self> {
        match self.seq.checked_add(1) {
            Some(seq) => Some(Self { ms: self.ms, seq }),
            None => self.ms.checked_add(1).map(Self::at_ms),
        }
    }

    /// The ID before this one, `None` before [`EntryId::MIN`].
    pub fn previous(self) -> Option<Self> {
        match self.seq.checked_sub(1) {
            Some(seq) => Some(Self { ms: self.ms, seq }),
            None => self.ms.checked_sub(1).map(|ms| Self { ms, seq: u64::MAX }),
        }
    }

    /// Reads the form the server writes, `MS-SEQ` in ASCII digits.
    pub(super) fn from_wire(bytes: &[u8]) -> Option<Self> {
        let dash = bytes.iter().position(|&b| b == b'-')?;
        Some(Self {
            ms: digits(&bytes[..dash])?,
            seq: digits(&bytes[dash + 1..])?,
        })
    }
}

/// A whole number in ASCII digits, without sign; `None` if it is anything else or too large.
fn digits(bytes: &[u8]) -> Option<u64> {
    if bytes.is_empty() {
        return None;
    }
    bytes.iter().try_fold(0u64, |sum, byte| {
        let digit = byte.checked_sub(b'0').filter(|digit| *digit < 10)?;
        sum.checked_mul(10)?.checked_add(u64::from(digit))
    })
}

impl fmt::Display for EntryId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.ms, self.seq)
    }
}

/// Why a text is no entry ID.
#[derive(Debug, PartialEq, Eq)]
pub struct InvalidId;

impl fmt::Display for InvalidId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not an entry ID: expected MILLISECONDS-SEQUENCE, such as 1700000000000-0")
    }
}

impl std::error::Error for InvalidId {}

impl FromStr for EntryId {
    type Err = InvalidId;

    /// Reads `MS-SEQ`, or `MS` alone for `MS-0`, as Redis does.
    fn from_str(text: &str) -> Result<Self, InvalidId> {
        let id = if text.contains('-') {
            Self::from_wire(text.as_bytes())
        } else {
            digits(text.as_bytes()).map(Self::at_ms)
        };
        id.ok_or(InvalidId)
    }
}

/// The message of the wire contract: a name, and a body of JSON text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Message<'a> {
    /// What happened, such as `user.created`.
    pub name: &'a str,
    /// JSON text, byte for byte as it stands in the stream.
    pub body: &'a str,
}

/// One field of an entry: its name and its value. Redis keeps both as bytes, in order, and lets names repeat.
pub type Field<'a> = (&'a [u8], &'a [u8]);

/// An entry of a stream, borrowed from the reply that brought it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry<'a> {
    /// Its place in the stream.
    pub id: EntryId,
    /// Its fields in the stream's order.
    pub fields: Vec<Field<'a>>,
    /// How often it was delivered, where this is known: more than 1 on a redelivery.
    pub deliveries: Option<u64>,
}

/// Fields that outlive the reply that brought them.
pub type OwnedFields = Vec<(Vec<u8>, Vec<u8>)>;

impl<'a> Entry<'a> {
    /// How many bytes its fields are.
    pub fn size(&self) -> usize {
        self.fields.iter().map(|(name, value)| name.len() + value.len()).sum()
    }

    /// The fields, to keep.
    pub fn owned_fields(&self) -> OwnedFields {
        self.fields
            .iter()
            .map(|(name, value)| (name.to_vec(), value.to_vec()))
            .collect()
    }

    /// The message this entry is: it has exactly one `name` in UTF-8 and exactly one `body` that is JSON.
    pub fn message(&self) -> Option<Message<'a>> {
        let name = std::str::from_utf8(self.only(NAME)?).ok()?;
        let body = json(self.only(BODY)?)?;
        Some(Message { name, body })
    }

    /// The value of the field of this name, if there is exactly one.
    fn only(&self, wanted: &[u8]) -> Option<&'a [u8]> {
        let mut values = self.fields.iter().filter(|(name, _)| *name == wanted);
        match (values.next(), values.next()) {
            (Some((_, value)), None) => Some(value),
            _ => None,
        }
    }

    /// The value of the `name` field, if there is exactly one and it is UTF-8, whatever the body is.
    pub fn name(&self) -> Option<&'a str> {
        std::str::from_utf8(self.only(NAME)?).ok()
    }
}

/// The bytes as text if they are one JSON value (space around it allowed); no tree is built.
pub fn json(bytes: &[u8]) -> Option<&str> {
    let text = std::str::from_utf8(bytes).ok()?;
    serde_json::from_str::<&RawValue>(text).ok()?;
    Some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_read_and_print_as_the_server_does() {
        for (text, id) in [
            ("0-0", EntryId::MIN),
            (
                "1700000000000-7",
                EntryId {
                    ms: 1_700_000_000_000,
                    seq: 7,
                },
            ),
            ("18446744073709551615-18446744073709551615", EntryId::MAX),
        ] {
            assert_eq!(text.parse(), Ok(id));
            assert_eq!(id.to_string(), text);
        }
        assert_eq!("42".parse(), Ok(EntryId::at_ms(42)));
    }

    #[test]
    fn texts_that_are_no_ids_are_refused() {
        for text in [
            "",
            "-",
            "1-",
            "-1",
            "1-2-3",
            "+1-0",
            "a-0",
            "1 -0",
            "18446744073709551616-0",
        ] {
            assert_eq!(text.parse::<EntryId>(), Err(InvalidId), "{text:?}");
        }
    }

    #[test]
    fn neighbours_carry_over_the_sequence() {
        let last_of_ms = EntryId { ms: 4, seq: u64::MAX };
        assert_eq!(last_of_ms.next(), Some(EntryId::at_ms(5)));
        assert_eq!(EntryId::at_ms(5).previous(), Some(last_of_ms));
        assert_eq!(EntryId::MAX.next(), None);
        assert_eq!(EntryId::MIN.previous(), None);
    }

    fn entry<'a>(fields: &[(&'a str, &'a str)]) -> Entry<'a> {
        Entry {
            id: EntryId::at_ms(1),
            fields: fields.iter().map(|(n, v)| (n.as_bytes(), v.as_bytes())).collect(),
            deliveries: None,
        }
    }

    #[test]
    fn a_message_has_one_name_and_one_json_body() {
        assert!(entry(&[("name", "a"), ("body", "1")]).message().is_some());
        assert!(
            entry(&[("x", "y"), ("body", " {} "), ("name", "a")])
                .message()
                .is_some()
        );
        for fields in [
            &[("name", "a")][..],
            &[("name", "a"), ("body", "NaN")],
            &[("name", "a"), ("name", "b"), ("body", "1")],
            &[("name", "a"), ("body", "1"), ("body", "2")],
            &[("name", "a"), ("body", "1 2")],
            &[("name", "a"), ("body", "")],
        ] {
            assert_eq!(entry(fields).message(), None, "{fields:?}");
        }
    }
}
