//! Lines read: what [`write`](super::write) wrote, and what people and programs write like it.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt;

use base64::Engine;
use memchr::memchr2;
use serde::de::{Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use super::{BASE64, OWN_LINE};
use crate::streamer::{BODY, EntryId, Message, NAME};

/// What a line says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line<'a> {
    /// The stream the entry came from.
    pub stream: Option<Cow<'a, str>>,
    /// The ID it had there.
    pub id: Option<EntryId>,
    /// The entry's fields, in order.
    pub fields: Vec<OwnedField<'a>>,
}

/// A field whose bytes are the line's own, or were decoded from it.
pub type OwnedField<'a> = (Cow<'a, [u8]>, Cow<'a, [u8]>);

/// Why a line cannot be read, and where.
#[derive(Debug, PartialEq, Eq)]
pub struct LineError {
    /// The column, from 1, in bytes.
    pub column: usize,
    /// What is wrong there.
    pub reason: String,
}

impl fmt::Display for LineError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.reason)
    }
}

impl std::error::Error for LineError {}

impl LineError {
    /// What serde_json says, less the place, which is kept apart. `offset` is where its text begins in the line.
    pub fn from_json(error: &serde_json::Error, offset: usize) -> Self {
        let text = error.to_string();
        let reason = match text.rfind(" at line ") {
            Some(end) => &text[..end],
            None => &text,
        };
        Self {
            column: (offset + error.column()).max(1),
            // A line has keys; `fields` is one of them.
            reason: reason
                .replace("unknown field", "unknown key")
                .replace("duplicate field", "duplicate key"),
        }
    }

    fn at(column: usize, reason: &str) -> Self {
        Self {
            column,
            reason: reason.to_owned(),
        }
    }
}

/// The keys of a line, each as it stands there.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Keys<'a> {
    #[serde(borrow, default, deserialize_with = "present")]
    stream: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "present")]
    id: Option<&'a RawValue>,
    #[serde(default, rename = "time")]
    _time: Option<IgnoredAny>,
    #[serde(borrow, default, deserialize_with = "present")]
    name: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "present")]
    body: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "present")]
    fields: Option<&'a RawValue>,
    #[serde(default, rename = "deliveries")]
    _deliveries: Option<IgnoredAny>,
}

/// A key that is there, even if it says null: `null` is a body like any other.
fn present<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<&'de RawValue>, D::Error> {
    <&RawValue>::deserialize(deserializer).map(Some)
}

/// The message of a line that is nothing but `{"name":"…","body":…}`, as most are; `None` where [`parse`] must
/// look closer. It reads such a line as `parse` does, at half the cost: the body's JSON is checked once, and
/// nothing is allocated.
pub fn parse_message(line: &str) -> Option<Message<'_>> {
    let rest = line.strip_prefix("{\"name\":\"")?;
    let name = &rest[..memchr2(b'"', b'\\', rest.as_bytes())?];
    let body = rest[name.len()..].strip_prefix("\",\"body\":")?.strip_suffix('}')?;
    let is_text = !name.bytes().any(|byte| byte < 0x20);
    // Other keys behind the body would make it no JSON value; and the space around it is the line's.
    let body = serde_json::from_str::<&RawValue>(body).ok().filter(|_| is_text)?.get();
    Some(Message { name, body })
}

/// Reads a line (without its line break).
pub fn parse(line: &str) -> Result<Line<'_>, LineError> {
    let keys: Keys<'_> = object(line)?;
    let fields = match (keys.name, keys.body) {
        (Some(name), Some(body)) => {
            let name = text(line, name, "name")?;
            let body = body_text(line, body);
            with_message(line, name, body, keys.fields)?
        }
        (Some(_), None) => return Err(LineError::at(line.len(), "key `body` is missing beside `name`")),
        (None, Some(_)) => return Err(LineError::at(line.len(), "key `name` is missing beside `body`")),
        (None, None) => match keys.fields {
            Some(fields) => only_fields(line, fields)?,
            None => return Err(LineError::at(line.len(), "keys `name` and `body` are missing")),
        },
    };
    Ok(Line {
        stream: keys.stream.map(|stream| text(line, stream, "stream")).transpose()?,
        id: keys.id.map(|id| entry_id(line, id)).transpose()?,
        fields,
    })
}

/// Whether a line that cannot be read as an entry is JSON all the same, as a body would be.
pub fn is_bare_body(line: &str) -> bool {
    match serde_json::from_str::<HashMap<Cow<'_, str>, IgnoredAny>>(line) {
        Ok(keys) => !keys.contains_key("body") && !keys.contains_key("fields"),
        Err(_) => serde_json::from_str::<IgnoredAny>(line).is_ok(),
    }
}

/// The entry that a line names.
#[derive(Debug, PartialEq, Eq)]
pub struct Reference<'a> {
    pub stream: Option<Cow<'a, str>>,
    pub id: EntryId,
    /// How often it was delivered, where the line tells.
    pub deliveries: Option<u64>,
}

/// The entry that a line names, for acknowledging it or handing it back; what else the line holds does not matter.
pub fn parse_reference(line: &str) -> Result<Reference<'_>, LineError> {
    #[derive(Deserialize)]
    struct Keys<'a> {
        #[serde(borrow, default)]
        stream: Option<Cow<'a, str>>,
        #[serde(borrow)]
        id: &'a RawValue,
        name: Option<IgnoredAny>,
        fields: Option<IgnoredAny>,
        #[serde(borrow)]
        deliveries: Option<&'a RawValue>,
    }
    let keys: Keys<'_> = object(line)?;
    // A whole line tells of deliveries only if there were several.
    let is_whole = keys.name.is_some() || keys.fields.is_some();
    Ok(Reference {
        stream: keys.stream,
        id: entry_id(line, keys.id)?,
        deliveries: match keys.deliveries {
            Some(deliveries) => deliveries.get().parse().ok(),
            None => is_whole.then_some(1),
        },
    })
}

/// Reads a JSON object; serde takes an array for a struct too.
fn object<'a, T: Deserialize<'a>>(line: &'a str) -> Result<T, LineError> {
    let content = line.trim_start();
    if !content.starts_with('{') {
        return Err(LineError::at(line.len() - content.len() + 1, "expected a JSON object"));
    }
    serde_json::from_str(line).map_err(|error| LineError::from_json(&error, 0))
}

fn offset(line: &str, part: &str) -> usize {
    part.as_ptr() as usize - line.as_ptr() as usize
}

fn text<'a>(line: &str, raw: &'a RawValue, key: &str) -> Result<Cow<'a, str>, LineError> {
    /// Borrows where the string has no escapes, as a bare `Cow` does not.
    #[derive(Deserialize)]
    struct Text<'a>(#[serde(borrow)] Cow<'a, str>);
    match serde_json::from_str(raw.get()) {
        Ok(Text(text)) => Ok(text),
        Err(_) => Err(LineError::at(
            offset(line, raw.get()) + 1,
            &format!("`{key}` must be a string"),
        )),
    }
}

fn entry_id(line: &str, raw: &RawValue) -> Result<EntryId, LineError> {
    let id = text(line, raw, "id")?;
    id.parse()
        .map_err(|error| LineError::at(offset(line, raw.get()) + 1, &format!("`id`: {error}")))
}

/// The body as it stands. In a line of our own making the spaces around it are the body's; in anybody else's
/// they are how that line is laid out.
fn body_text<'a>(line: &'a str, raw: &'a RawValue) -> &'a str {
    let body = raw.get();
    if !line.starts_with(OWN_LINE) {
        return body;
    }
    let is_space = |c: char| matches!(c, ' ' | '\t');
    let start = line[..offset(line, body)].trim_end_matches(is_space).len();
    let after = &line[offset(line, body) + body.len()..];
    let end = line.len() - after.trim_start_matches(is_space).len();
    &line[start..end]
}

fn with_message<'a>(
    line: &str,
    name: Cow<'a, str>,
    body: &'a str,
    fields: Option<&'a RawValue>,
) -> Result<Vec<OwnedField<'a>>, LineError> {
    let name = match name {
        Cow::Borrowed(text) => Cow::Borrowed(text.as_bytes()),
        Cow::Owned(text) => Cow::Owned(text.into_bytes()),
    };
    let name = (Cow::Borrowed(NAME), name);
    let body = (Cow::Borrowed(BODY), Cow::Borrowed(body.as_bytes()));
    let Some(raw) = fields else {
        return Ok(vec![name, body]);
    };
    let parts = parts(line, raw)?;
    let marks = parts.iter().filter(|part| matches!(part, Part::Mark(_))).count();
    let mut all = Vec::with_capacity(parts.len() + 2);
    if marks == 0 {
        all.extend([name.clone(), body.clone()]);
    }
    let (mut name, mut body) = (Some(name), Some(body));
    for part in parts {
        match part {
            Part::Field(field) => all.push(field),
            Part::Mark(mark) => {
                let marked = match mark.as_ref() {
                    NAME => name.take(),
                    _ => body.take(),
                };
                all.extend(marked);
            }
        }
    }
    if marks == 0 || (marks == 2 && name.is_none() && body.is_none()) {
        return Ok(all);
    }
    Err(LineError::at(
        offset(line, raw.get()) + 1,
        "`fields` must mark both [\"name\"] and [\"body\"] once, or neither",
    ))
}

fn only_fields<'a>(line: &str, raw: &'a RawValue) -> Result<Vec<OwnedField<'a>>, LineError> {
    let column = offset(line, raw.get()) + 1;
    let fields: Option<Vec<_>> = parts(line, raw)?
        .into_iter()
        .map(|part| match part {
            Part::Field(field) => Some(field),
            Part::Mark(_) => None,
        })
        .collect();
    match fields {
        None => Err(LineError::at(
            column,
            "`fields` marks a key `name` or `body` that is not there",
        )),
        Some(fields) if fields.is_empty() => Err(LineError::at(column, "an entry has at least one field")),
        Some(fields) => Ok(fields),
    }
}

fn parts<'a>(line: &str, raw: &'a RawValue) -> Result<Vec<Part<'a>>, LineError> {
    serde_json::from_str::<Parts<'a>>(raw.get())
        .map(|parts| parts.0)
        .map_err(|error| LineError::from_json(&error, offset(line, raw.get())))
}

/// An element of `fields`: a field, or the mark of where `name` or `body` stands.
enum Part<'a> {
    Field(OwnedField<'a>),
    Mark(Cow<'a, [u8]>),
}

/// `fields`, an object or an array.
struct Parts<'a>(Vec<Part<'a>>);

impl<'de: 'a, 'a> Deserialize<'de> for Parts<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(PartsVisitor).map(Parts)
    }
}

struct PartsVisitor;

impl<'de> Visitor<'de> for PartsVisitor {
    type Value = Vec<Part<'de>>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object of strings, or an array of [name, value] pairs")
    }

    fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<Self::Value, M::Error> {
        let mut parts = Vec::new();
        while let Some((name, Bytes(value))) = map.next_entry::<Bytes<'de>, Bytes<'de>>()? {
            parts.push(Part::Field((name.0, value)));
        }
        Ok(parts)
    }

    fn visit_seq<S: SeqAccess<'de>>(self, mut seq: S) -> Result<Self::Value, S::Error> {
        let mut parts = Vec::new();
        while let Some(part) = seq.next_element::<Vec<Bytes<'de>>>()? {
            let mut part = part.into_iter().map(|Bytes(bytes)| bytes);
            parts.push(match (part.next(), part.next(), part.next()) {
                (Some(name), Some(value), None) => Part::Field((name, value)),
                (Some(mark), None, None) if *mark == *NAME || *mark == *BODY => Part::Mark(mark),
                _ => return Err(S::Error::custom("expected a pair [name, value]")),
            });
        }
        Ok(parts)
    }
}

/// A JSON string, or `{"base64":"…"}`.
struct Bytes<'a>(Cow<'a, [u8]>);

impl<'de: 'a, 'a> Deserialize<'de> for Bytes<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(BytesVisitor).map(Bytes)
    }
}

struct BytesVisitor;

impl<'de> Visitor<'de> for BytesVisitor {
    type Value = Cow<'de, [u8]>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string or {\"base64\":\"…\"}")
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Self::Value, E> {
        Ok(Cow::Borrowed(text.as_bytes()))
    }

    fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
        Ok(Cow::Owned(text.as_bytes().to_vec()))
    }

    fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<Self::Value, M::Error> {
        let encoded = match map.next_entry::<Cow<'de, str>, Cow<'de, str>>()? {
            Some((key, encoded)) if key == "base64" => encoded,
            _ => return Err(M::Error::custom("expected {\"base64\":\"…\"}")),
        };
        if map.next_key::<IgnoredAny>()?.is_some() {
            return Err(M::Error::custom("expected {\"base64\":\"…\"} and nothing else"));
        }
        BASE64
            .decode(encoded.as_bytes())
            .map(Cow::Owned)
            .map_err(|error| M::Error::custom(format!("not base64: {error}")))
    }
}
