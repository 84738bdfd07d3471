//! Adding entries: one at a time, or many pipelined.

use crate::streamer::entry::{BODY, EntryId, Field, NAME};
use crate::streamer::error::{Error, ServerError};
use crate::streamer::wire::Connection;
use crate::streamer::wire::resp::{argument, command, id_argument};

/// How an entry is added.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AddOptions {
    /// The entry's ID, or `None` for the server to make one.
    pub id: Option<EntryId>,
    /// What a missing stream means.
    pub missing: Missing,
    /// What is cut off the old end as the entry is added.
    pub trim: Option<Trim>,
}

/// What to do when the stream to add to is not there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Missing {
    /// Create it.
    Create,
    /// Refuse (`NOMKSTREAM`, Redis 6.2).
    Refuse,
}

/// What is cut off a stream's old end. Exact: Redis's approximate trimming leaves up to a hundred entries
/// more, which surprises whoever asked for ten.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trim {
    /// Keep so many entries.
    Length(u64),
    /// Keep entries from this ID on (`MINID`, Redis 6.2).
    Before(EntryId),
}

impl Trim {
    /// Writes the three arguments of XADD and XTRIM.
    fn write(self, out: &mut Vec<u8>) {
        let (by, threshold) = match self {
            Self::Length(length) => (&b"MAXLEN"[..], length.to_string()),
            Self::Before(id) => (&b"MINID"[..], id.to_string()),
        };
        argument(out, by);
        argument(out, b"=");
        argument(out, threshold.as_bytes());
    }
}

/// Writes the XTRIM of a stream.
pub fn write_trim(out: &mut Vec<u8>, stream: &[u8], trim: Trim) {
    command(out, 5);
    argument(out, b"XTRIM");
    argument(out, stream);
    trim.write(out);
}

/// Writes the XADDs of messages that differ in nothing but name and body: what they share is written once.
#[derive(Clone, Debug)]
pub struct MessageWriter {
    /// The command up to its fields, and the first field's name.
    head: Vec<u8>,
    /// Where the fields begin in it.
    fields_at: usize,
    /// The fields behind the body.
    tail: Vec<u8>,
}

impl MessageWriter {
    /// A writer of messages to a stream, each with these fields behind its body.
    pub fn new(stream: &[u8], extra: &[Field<'_>]) -> Self {
        let mut head = Vec::new();
        command(&mut head, 7 + 2 * extra.len());
        argument(&mut head, b"XADD");
        argument(&mut head, stream);
        argument(&mut head, b"*");
        let fields_at = head.len();
        argument(&mut head, NAME);
        let mut tail = Vec::new();
        for (name, value) in extra {
            argument(&mut tail, name);
            argument(&mut tail, value);
        }
        Self { head, fields_at, tail }
    }

    /// Writes a message's XADD; says where its fields begin.
    pub fn write(&self, out: &mut Vec<u8>, name: &[u8], body: &[u8]) -> usize {
        let fields_at = out.len() + self.fields_at;
        out.extend_from_slice(&self.head);
        argument(out, name);
        argument(out, BODY);
        argument(out, body);
        out.extend_from_slice(&self.tail);
        fields_at
    }
}

/// Writes the XADD of an entry; says where its fields begin.
pub fn write_add(out: &mut Vec<u8>, stream: &[u8], options: AddOptions, fields: &[Field<'_>]) -> usize {
    let switches = usize::from(options.missing == Missing::Refuse) + if options.trim.is_some() { 3 } else { 0 };
    command(out, 3 + switches + 2 * fields.len());
    argument(out, b"XADD");
    argument(out, stream);
    if options.missing == Missing::Refuse {
        argument(out, b"NOMKSTREAM");
    }
    if let Some(trim) = options.trim {
        trim.write(out);
    }
    match options.id {
        None => argument(out, b"*"),
        Some(id) => id_argument(out, id),
    }
    let fields_at = out.len();
    for (name, value) in fields {
        argument(out, name);
        argument(out, value);
    }
    fields_at
}

/// Adds one entry.
pub fn add(
    connection: &mut Connection,
    stream: &str,
    options: AddOptions,
    fields: &[Field<'_>],
) -> Result<EntryId, Error> {
    let mut packed = Vec::new();
    write_add(&mut packed, stream.as_bytes(), options, fields);
    connection.send(&packed)?;
    receive_added(connection)?.map_err(|refusal| refusal.into_error(stream))
}

/// Fails if this user may not add to a stream. Adds nothing: it asks for an ID that no entry can have.
pub fn see_right_to_add(connection: &mut Connection, stream: &str) -> Result<(), Error> {
    let options = AddOptions {
        id: Some(EntryId::MIN),
        missing: Missing::Create,
        trim: None,
    };
    match add(connection, stream, options, &[(NAME, b"")]) {
        Err(Error::Refused(refusal)) if refusal.detail.contains("must be greater than 0-0") => Ok(()),
        asked => asked.map(drop),
    }
}

/// What became of one XADD.
pub type Added = Result<EntryId, Refusal>;

/// Why an entry was not added; the connection is well.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The server refused it.
    Server(ServerError),
    /// There is no such stream, and it was not to be created.
    NoStream,
}

impl Refusal {
    /// The failure this is for a stream.
    pub fn into_error(self, stream: &str) -> Error {
        match self {
            Self::Server(error) => Error::refused(error, stream, None),
            Self::NoStream => Error::NoStream {
                stream: stream.to_owned(),
            },
        }
    }
}

/// Receives the reply to one XADD.
pub fn receive_added(connection: &mut Connection) -> Result<Added, Error> {
    let id = connection.walk(|cursor| match cursor.is_nil() {
        true => Ok(None),
        false => cursor.id().map(Some),
    })?;
    Ok(match id {
        Ok(id) => id.ok_or(Refusal::NoStream),
        Err(refusal) => Err(Refusal::Server(refusal)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_written_as_entries_are() {
        let options = AddOptions {
            id: None,
            missing: Missing::Create,
            trim: None,
        };
        for extra in [&[][..], &[(&b"k"[..], &b"v"[..])]] {
            let (mut message, mut entry) = (b"before".to_vec(), b"before".to_vec());
            let fields_at = MessageWriter::new(b"orders", extra).write(&mut message, b"n", b"{}");
            let fields = [&[(NAME, &b"n"[..]), (BODY, b"{}")], extra].concat();
            let expected = write_add(&mut entry, b"orders", options, &fields);
            assert_eq!((&message, fields_at), (&entry, expected));
            assert!(message[fields_at..].starts_with(b"$4\r\nname\r\n"));
        }
    }
}
