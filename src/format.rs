//! How an entry is printed, and handed to a handler: one record for each, made of the entry alone. Pure.

mod template;

pub use template::Template;

use crate::json;
use crate::line;
use crate::streamer::Entry;
use crate::ui::Look;

/// What a record is, and how it ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Format {
    pub record: Record,
    pub end: End,
}

/// What is printed of an entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Record {
    /// All of it, which `send-batch` reads.
    Line(Layout),
    /// The same with the entry's time.
    TimedLine(Layout),
    /// The body alone.
    Body(Layout),
    Template(Template),
}

/// How JSON is laid out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layout {
    OneLine,
    Indented,
}

/// What ends a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    LineFeed,
    Nul,
}

/// Whether what was asked for is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Found {
    All,
    /// The body was asked for, and the entry has none: the record is empty.
    NoBody,
}

impl Format {
    /// Whether each record is one line, so that a line feed stands nowhere but at its end.
    pub fn is_lines(&self) -> bool {
        let is_one_line = match &self.record {
            Record::Line(layout) | Record::TimedLine(layout) | Record::Body(layout) => *layout == Layout::OneLine,
            Record::Template(_) => false,
        };
        is_one_line && self.end == End::LineFeed
    }

    /// Adds the record of an entry, made fit for where it goes.
    pub fn write(&self, out: &mut Vec<u8>, stream: &str, entry: &Entry<'_>, look: Look) -> Found {
        let mut found = Found::All;
        match &self.record {
            Record::Line(layout) => in_json(out, *layout, look, |out| line::write(out, stream, entry)),
            Record::TimedLine(layout) => in_json(out, *layout, look, |out| line::write_timed(out, stream, entry)),
            Record::Body(layout) => in_json(out, *layout, look, |out| {
                if !line::write_body(out, entry) {
                    found = Found::NoBody;
                }
            }),
            Record::Template(template) => template.write(out, stream, entry, self.end, look),
        }
        out.push(match self.end {
            End::LineFeed => b'\n',
            End::Nul => 0,
        });
        found
    }
}

/// Adds JSON, laid out as asked; where it goes out as it is made, that costs nothing.
fn in_json(out: &mut Vec<u8>, layout: Layout, look: Look, make: impl FnOnce(&mut Vec<u8>)) {
    if layout == Layout::OneLine && look.is_exact() {
        return make(out);
    }
    let mut made = Vec::new();
    make(&mut made);
    match layout {
        Layout::OneLine => look.json(&made, out),
        Layout::Indented => {
            let mut laid_out = Vec::with_capacity(2 * made.len());
            json::indent(&String::from_utf8_lossy(&made), &mut laid_out);
            look.json(&laid_out, out);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::streamer::{EntryId, Field};
    use crate::ui::palette::Paint;

    const TERMINAL: Look = Look {
        is_terminal: true,
        paint: Paint::Plain,
    };

    fn written(format: &Format, fields: &[Field<'_>], look: Look) -> (String, Found) {
        let entry = Entry {
            id: EntryId { ms: 5, seq: 1 },
            fields: fields.to_vec(),
            deliveries: None,
        };
        let mut out = Vec::new();
        let found = format.write(&mut out, "s", &entry, look);
        (String::from_utf8(out).unwrap(), found)
    }

    #[test]
    fn a_body_stands_alone_or_is_said_to_be_missing() {
        let fields: [Field<'_>; 2] = [(b"name", b"n"), (b"body", b"{\"a\":\n[1.0]}")];
        let body = |layout, end| Format {
            record: Record::Body(layout),
            end,
        };
        for (format, text) in [
            (body(Layout::OneLine, End::LineFeed), "{\"a\": [1.0]}\n"),
            (body(Layout::OneLine, End::Nul), "{\"a\": [1.0]}\0"),
            (
                body(Layout::Indented, End::LineFeed),
                "{\n  \"a\": [\n    1.0\n  ]\n}\n",
            ),
        ] {
            assert_eq!(written(&format, &fields, Look::EXACT), (text.to_owned(), Found::All));
            assert_eq!(
                written(&format, &[(b"k", b"v")], Look::EXACT),
                (text[text.len() - 1..].to_owned(), Found::NoBody)
            );
        }
    }

    #[test]
    fn what_is_indented_is_safe_on_a_terminal() {
        let format = Format {
            record: Record::TimedLine(Layout::Indented),
            end: End::LineFeed,
        };
        let fields: [Field<'_>; 2] = [(b"name", b"n"), (b"body", b"\"\xc2\x9b\"")];
        let (text, _) = written(&format, &fields, TERMINAL);
        assert_eq!(
            text,
            "{\n  \"stream\": \"s\",\n  \"id\": \"5-1\",\n  \"time\": \"1970-01-01T00:00:00.005Z\",\n  \"name\": \"n\",\n  \"body\": \"\\u009b\"\n}\n"
        );
    }
}
