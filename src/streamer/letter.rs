//! A dead letter: a message's own fields, and behind them where it came from and why it is dead. Pure.

use super::entry::{Entry, Field};

/// The stream that the message came from.
pub const DEAD_STREAM: &[u8] = b"dead-stream";
pub const DEAD_GROUP: &[u8] = b"dead-group";
pub const DEAD_ID: &[u8] = b"dead-id";
pub const DEAD_DELIVERIES: &[u8] = b"dead-deliveries";
pub const DEAD_REASON: &[u8] = b"dead-reason";

const ADDED: [&[u8]; 5] = [DEAD_STREAM, DEAD_GROUP, DEAD_ID, DEAD_DELIVERIES, DEAD_REASON];

/// A message as it was before it became a dead letter.
#[derive(Debug, PartialEq, Eq)]
pub struct Letter<'a> {
    /// Where it came from.
    pub from: Result<&'a str, NoOrigin>,
    /// Its own fields.
    pub fields: Vec<Field<'a>>,
}

/// Why it is not known where a message came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoOrigin {
    /// There is no such field.
    Missing,
    /// What stands there cannot be the name of a stream.
    Unusable,
}

impl<'a> Letter<'a> {
    /// Reads an entry. One that died twice has two sets of such fields: only the last is taken off, by which it is again
    /// the dead letter that it was.
    pub fn of(entry: &Entry<'a>) -> Self {
        let origin = entry.fields.iter().rposition(|(name, _)| *name == DEAD_STREAM);
        let Some(origin) = origin else {
            return Self {
                from: Err(NoOrigin::Missing),
                fields: entry.fields.clone(),
            };
        };
        let (own, added) = entry.fields.split_at(origin);
        let behind = added.iter().filter(|(name, _)| !ADDED.contains(name));
        let from = str::from_utf8(added[0].1).ok().filter(|name| !name.is_empty());
        Self {
            from: from.ok_or(NoOrigin::Unusable),
            fields: own.iter().chain(behind).copied().collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::streamer::entry::EntryId;

    fn letter<'a>(fields: &[(&'a str, &'a str)]) -> (Result<String, NoOrigin>, String) {
        let fields: Vec<_> = fields.iter().map(|(n, v)| (n.as_bytes(), v.as_bytes())).collect();
        let entry = Entry {
            id: EntryId::at_ms(1),
            fields,
            deliveries: None,
        };
        let letter = Letter::of(&entry);
        let own = letter
            .fields
            .iter()
            .map(|(n, v)| [*n, *v].map(String::from_utf8_lossy).join("="));
        (letter.from.map(str::to_owned), own.collect::<Vec<_>>().join(" "))
    }

    #[test]
    fn what_was_added_is_taken_off_and_nothing_else() {
        let dead = [
            ("dead-stream", "orders"),
            ("dead-group", "g"),
            ("dead-id", "1-0"),
            ("dead-deliveries", "3"),
            ("dead-reason", "exit code 1"),
        ];
        let own = [("name", "n"), ("dead-line", "7"), ("name", "m")];
        let (from, fields) = letter(&[&own[..], &dead[..]].concat());
        assert_eq!((from, &*fields), (Ok("orders".to_owned()), "name=n dead-line=7 name=m"));
        // It died once more, among the dead letters.
        let again = [&own[..], &dead[..], &[("dead-stream", "dead"), ("dead-group", "h")]].concat();
        let (from, fields) = letter(&again);
        assert_eq!(from, Ok("dead".to_owned()));
        assert!(fields.ends_with("dead-reason=exit code 1"), "{fields}");
    }

    #[test]
    fn an_origin_may_be_unknown() {
        assert_eq!(letter(&[("name", "n")]), (Err(NoOrigin::Missing), "name=n".to_owned()));
        assert_eq!(
            letter(&[("name", "n"), ("dead-stream", "")]),
            (Err(NoOrigin::Unusable), "name=n".to_owned())
        );
    }
}
