//! The line contract: an entry as one line of JSON, and back. Pure.
//!
//! `{"stream":"orders","id":"1700000000000-0","name":"user.created","body":{"user_id":123}}`
//!
//! Nothing is lost on the way: a body passes byte for byte (raw line breaks between its tokens become
//! spaces, so that a line stays a line), other fields go into `fields`, and what is not UTF-8 is
//! `{"base64":"…"}`. `fields` is an object of strings; where a name repeats or is not UTF-8, or where the
//! fields do not stand in the order `name`, `body`, others, it is an array of `[name, value]` pairs, in which
//! `["name"]` and `["body"]` alone mark where those two stand.

use std::collections::HashSet;

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;

use crate::streamer::{BODY, Entry, EntryId, Field, Message, NAME};

/// How a line begins that this module wrote: spaces around its body are the body's own.
const OWN_LINE: &str = "{\"stream\":\"";

/// Writes an entry as a line, without its end.
pub fn write(out: &mut Vec<u8>, stream: &str, entry: &Entry<'_>) {
    write_place(out, stream, entry.id);
    write_content(out, entry);
}

/// As [`write`], with the entry's time behind its ID.
pub fn write_timed(out: &mut Vec<u8>, stream: &str, entry: &Entry<'_>) {
    write_place(out, stream, entry.id);
    out.extend_from_slice(b",\"time\":");
    match time(entry.id) {
        Some(time) => string(out, &time),
        None => out.extend_from_slice(b"null"),
    }
    write_content(out, entry);
}

/// When an entry was added, as its ID says: RFC 3339, to the millisecond, in UTC. IDs that somebody made up may lie
/// outside all calendars.
pub fn time(id: EntryId) -> Option<String> {
    let ms = i64::try_from(id.ms).ok()?;
    let time = jiff::Timestamp::from_millisecond(ms).ok()?;
    Some(format!("{time:.3}"))
}

/// Writes the body of an entry as its line has it; says whether it has one.
pub fn write_body(out: &mut Vec<u8>, entry: &Entry<'_>) -> bool {
    let message = entry.message();
    if let Some(message) = message {
        on_one_line(out, message.body);
    }
    message.is_some()
}

/// Writes JSON as it stands, but for raw line breaks, which become spaces: valid JSON has them between tokens only.
pub fn on_one_line(out: &mut Vec<u8>, json: &str) {
    let start = out.len();
    out.extend_from_slice(json.as_bytes());
    for byte in &mut out[start..] {
        if matches!(byte, b'\n' | b'\r') {
            *byte = b' ';
        }
    }
}

/// Writes what a line has under `fields`, if it has anything there.
pub fn write_other_fields(out: &mut Vec<u8>, entry: &Entry<'_>) {
    if let Some((fields, marks)) = other_fields(entry, entry.message()) {
        write_fields(out, fields, marks);
    }
}

fn write_place(out: &mut Vec<u8>, stream: &str, id: EntryId) {
    out.extend_from_slice(b"{\"stream\":");
    string(out, stream);
    out.extend_from_slice(b",\"id\":\"");
    out.extend_from_slice(itoa::Buffer::new().format(id.ms).as_bytes());
    out.push(b'-');
    out.extend_from_slice(itoa::Buffer::new().format(id.seq).as_bytes());
    out.push(b'"');
}

fn write_content(out: &mut Vec<u8>, entry: &Entry<'_>) {
    let message = entry.message();
    if let Some(message) = message {
        out.extend_from_slice(b",\"name\":");
        string(out, message.name);
        out.extend_from_slice(b",\"body\":");
        on_one_line(out, message.body);
    }
    if let Some((fields, marks)) = other_fields(entry, message) {
        out.extend_from_slice(b",\"fields\":");
        write_fields(out, fields, marks);
    }
    if let Some(deliveries) = entry.deliveries.filter(|count| *count > 1) {
        out.extend_from_slice(b",\"deliveries\":");
        out.extend_from_slice(itoa::Buffer::new().format(deliveries).as_bytes());
    }
    out.push(b'}');
}

/// The fields that go into `fields`.
fn other_fields<'e, 'a>(entry: &'e Entry<'a>, message: Option<Message<'_>>) -> Option<(&'e [Field<'a>], Marks)> {
    match (message, entry.fields.as_slice()) {
        (None, all) => Some((all, Marks::No)),
        (Some(_), [(NAME, _), (BODY, _)]) => None,
        (Some(_), [(NAME, _), (BODY, _), others @ ..]) => Some((others, Marks::No)),
        (Some(_), all) => Some((all, Marks::NameAndBody)),
    }
}

/// Whether the fields hold `name` and `body` in places that must be marked.
#[derive(Clone, Copy, PartialEq)]
enum Marks {
    No,
    NameAndBody,
}

fn write_fields(out: &mut Vec<u8>, fields: &[Field<'_>], marks: Marks) {
    let mut seen = HashSet::new();
    let plain = marks == Marks::No
        && fields
            .iter()
            .all(|(name, _)| std::str::from_utf8(name).is_ok() && seen.insert(*name));
    out.push(if plain { b'{' } else { b'[' });
    for (index, (name, content)) in fields.iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        if plain {
            value(out, name);
            out.push(b':');
            value(out, content);
        } else {
            out.push(b'[');
            value(out, name);
            if marks == Marks::No || (*name != NAME && *name != BODY) {
                out.push(b',');
                value(out, content);
            }
            out.push(b']');
        }
    }
    out.push(if plain { b'}' } else { b']' });
}

/// Bytes as a JSON string, or as `{"base64":"…"}` where they are not UTF-8.
fn value(out: &mut Vec<u8>, bytes: &[u8]) {
    match std::str::from_utf8(bytes) {
        Ok(text) => string(out, text),
        Err(_) => {
            out.extend_from_slice(b"{\"base64\":\"");
            out.extend_from_slice(BASE64.encode(bytes).as_bytes());
            out.extend_from_slice(b"\"}");
        }
    }
}

/// A text as a JSON string.
pub fn string(out: &mut Vec<u8>, text: &str) {
    // Most texts need no escape; control characters, quotes and backslashes do. All bytes are looked at without a
    // branch, which takes many at a time.
    let is_special = |byte: u8| byte < 0x20 || byte == b'"' || byte == b'\\';
    if !text.bytes().fold(false, |found, byte| found | is_special(byte)) {
        out.push(b'"');
        out.extend_from_slice(text.as_bytes());
        out.push(b'"');
    } else {
        // Memory takes whatever is written to it.
        let _ = serde_json::to_writer(out, text);
    }
}

/// A text shortened for a message: its first line, at most 60 characters.
pub fn excerpt(text: &str) -> String {
    const LONGEST: usize = 60;
    let line = text.lines().next().unwrap_or_default();
    match line.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line.to_owned(),
    }
}

mod parse;

pub use parse::{LineError, OwnedField, Reference, is_bare_body, parse, parse_message, parse_reference};

#[cfg(test)]
mod tests;
