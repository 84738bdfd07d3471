//! `--template`: text with holes such as `{id}` and `{body.user.id}`, filled from an entry.

use std::fmt;
use std::iter::Peekable;
use std::str::{CharIndices, FromStr};

use super::End;
use crate::json::{find, text};
use crate::line;
use crate::streamer::Entry;
use crate::ui::Look;

/// A template that was understood.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Template(Vec<Part>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Literal(String),
    Hole(Hole),
}

/// What fills a hole. What is missing leaves it empty.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Hole {
    Stream,
    Id,
    Time,
    Name,
    /// What stands at this path in the body; all of it where the path has no steps.
    Body(Vec<String>),
    /// What a line has under `fields`.
    Fields,
    /// A field of the entry, whatever it is.
    Field(String),
    Deliveries,
}

/// Why a text is no template, and where.
#[derive(Debug, PartialEq, Eq)]
pub struct InvalidTemplate {
    /// The column, from 1, in characters.
    column: usize,
    reason: String,
}

impl fmt::Display for InvalidTemplate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "column {}: {}", self.column, self.reason)
    }
}

impl std::error::Error for InvalidTemplate {}

impl FromStr for Template {
    type Err = InvalidTemplate;

    fn from_str(text: &str) -> Result<Self, InvalidTemplate> {
        Reader {
            text,
            rest: text.char_indices().peekable(),
        }
        .template()
    }
}

struct Reader<'a> {
    text: &'a str,
    rest: Peekable<CharIndices<'a>>,
}

impl Reader<'_> {
    fn template(mut self) -> Result<Template, InvalidTemplate> {
        let mut parts = Vec::new();
        let mut literal = String::new();
        while let Some((at, c)) = self.rest.next() {
            match c {
                '{' | '}' if self.rest.next_if(|(_, next)| *next == c).is_some() => literal.push(c),
                '{' => {
                    if !literal.is_empty() {
                        parts.push(Part::Literal(std::mem::take(&mut literal)));
                    }
                    parts.push(Part::Hole(self.hole(at)?));
                }
                '}' => return Err(self.error(at, "a brace that closes nothing; }} stands for a brace")),
                '\\' => literal.push(self.escape(at)?),
                c => literal.push(c),
            }
        }
        if !literal.is_empty() {
            parts.push(Part::Literal(literal));
        }
        Ok(Template(parts))
    }

    /// What a backslash makes of the next character, as in kcat and printf.
    fn escape(&mut self, at: usize) -> Result<char, InvalidTemplate> {
        match self.rest.next() {
            Some((_, 't')) => Ok('\t'),
            Some((_, 'n')) => Ok('\n'),
            Some((_, 'r')) => Ok('\r'),
            Some((_, '0')) => Ok('\0'),
            Some((_, '\\')) => Ok('\\'),
            _ => Err(self.error(at, r"behind a backslash stands t, n, r, 0 or another backslash")),
        }
    }

    /// Reads a hole, whose brace is behind us.
    fn hole(&mut self, brace: usize) -> Result<Hole, InvalidTemplate> {
        let start = brace + 1;
        let key = self.word(|c| matches!(c, '.' | '}'));
        let key = &self.text[start..key];
        let mut steps = Vec::new();
        // A field's name may have dots of its own.
        let ends_step = |c: char| c == '}' || (c == '.' && key == "body");
        while let Some((dot, _)) = self.rest.next_if(|(_, c)| *c == '.') {
            steps.push(self.step(dot + 1, ends_step)?);
        }
        match self.rest.next() {
            Some((_, '}')) => {}
            Some((at, _)) => return Err(self.error(at, "expected . or } here")),
            None => return Err(self.error(brace, "a brace that is not closed; {{ stands for a brace")),
        }
        match (key, steps.as_slice()) {
            ("stream", []) => Ok(Hole::Stream),
            ("id", []) => Ok(Hole::Id),
            ("time", []) => Ok(Hole::Time),
            ("name", []) => Ok(Hole::Name),
            ("deliveries", []) => Ok(Hole::Deliveries),
            ("fields", []) => Ok(Hole::Fields),
            ("fields", [name]) => Ok(Hole::Field(name.clone())),
            ("body", path) => Ok(Hole::Body(path.to_vec())),
            ("stream" | "id" | "time" | "name" | "deliveries" | "fields", _) => {
                Err(self.error(start, &format!("{key} has nothing of that kind in it")))
            }
            _ => Err(self.error(
                start,
                &format!("no key {key:?}: there are id, stream, time, name, body, fields and deliveries"),
            )),
        }
    }

    /// Reads one step of a path: as it stands, or as a JSON string where it holds what would end it.
    fn step(&mut self, start: usize, ends: impl Fn(char) -> bool) -> Result<String, InvalidTemplate> {
        if self.rest.next_if(|(_, c)| *c == '"').is_some() {
            let mut is_escaped = false;
            while let Some((at, c)) = self.rest.next() {
                if c == '"' && !is_escaped {
                    let quoted = text(&self.text[start..=at]);
                    return quoted
                        .map(std::borrow::Cow::into_owned)
                        .ok_or_else(|| self.error(start, "what stands in quotes is read as JSON, and this cannot be"));
                }
                is_escaped = c == '\\' && !is_escaped;
            }
            return Err(self.error(start, "a quote that is not closed"));
        }
        let end = self.word(ends);
        let step = &self.text[start..end];
        if step.is_empty() {
            return Err(self.error(start, "a name is missing behind the dot"));
        }
        if let Some(bracket) = step.find('[') {
            return Err(self.error(
                start + bracket,
                "an index is written behind a dot, as in items.0; a name with brackets in quotes",
            ));
        }
        Ok(step.to_owned())
    }

    /// Passes over all that does not end it; where it ends.
    fn word(&mut self, ends: impl Fn(char) -> bool) -> usize {
        while self.rest.next_if(|(_, c)| !ends(*c)).is_some() {}
        self.rest.peek().map_or(self.text.len(), |(at, _)| *at)
    }

    fn error(&self, at: usize, reason: &str) -> InvalidTemplate {
        InvalidTemplate {
            column: self.text[..at].chars().count() + 1,
            reason: reason.to_owned(),
        }
    }
}

impl Template {
    /// Adds the text that an entry makes of it. The literal parts are whoever's who wrote them; values are made fit for
    /// where they go, and a NUL in them does not end the record.
    pub fn write(&self, out: &mut Vec<u8>, stream: &str, entry: &Entry<'_>, end: End, look: Look) {
        let mut value = Vec::new();
        for part in &self.0 {
            match part {
                Part::Literal(text) => out.extend_from_slice(text.as_bytes()),
                Part::Hole(hole) => {
                    value.clear();
                    hole.fill(&mut value, stream, entry);
                    if end == End::Nul && memchr::memchr(0, &value).is_some() {
                        value = without_nul(&value);
                    }
                    look.text(&value, out);
                }
            }
        }
    }
}

/// NUL as JSON would write it.
fn without_nul(value: &[u8]) -> Vec<u8> {
    value.split(|byte| *byte == 0).collect::<Vec<_>>().join(&b"\\u0000"[..])
}

impl Hole {
    fn fill(&self, out: &mut Vec<u8>, stream: &str, entry: &Entry<'_>) {
        match self {
            Self::Stream => out.extend_from_slice(stream.as_bytes()),
            Self::Id => out.extend_from_slice(entry.id.to_string().as_bytes()),
            Self::Time => out.extend_from_slice(line::time(entry.id).unwrap_or_default().as_bytes()),
            Self::Name => out.extend_from_slice(entry.name().unwrap_or_default().as_bytes()),
            Self::Body(path) => {
                let body = entry.message().and_then(|message| find(message.body, path));
                match body.map(|json| (json, text(json))) {
                    None => {}
                    Some((_, Some(text))) => out.extend_from_slice(text.as_bytes()),
                    Some((json, None)) => line::on_one_line(out, json),
                }
            }
            Self::Fields => line::write_other_fields(out, entry),
            Self::Field(wanted) => {
                let mut fields = entry.fields.iter();
                if let Some((_, value)) = fields.find(|(name, _)| *name == wanted.as_bytes()) {
                    out.extend_from_slice(value);
                }
            }
            Self::Deliveries => {
                if let Some(deliveries) = entry.deliveries.filter(|count| *count > 1) {
                    out.extend_from_slice(deliveries.to_string().as_bytes());
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::streamer::{EntryId, Field};
    use crate::ui::palette::Paint;

    fn filled(template: &str, fields: &[Field<'_>], end: End, look: Look) -> Vec<u8> {
        let entry = Entry {
            id: EntryId {
                ms: 1_700_000_000_000,
                seq: 1,
            },
            fields: fields.to_vec(),
            deliveries: Some(3),
        };
        let mut out = Vec::new();
        let template: Template = template.parse().unwrap();
        template.write(&mut out, "s", &entry, end, look);
        out
    }

    fn exactly(template: &str, fields: &[Field<'_>]) -> String {
        String::from_utf8(filled(template, fields, End::LineFeed, Look::EXACT)).unwrap()
    }

    #[test]
    fn holes_are_filled_from_the_entry() {
        let body = br#"{"user":{"id":1.50,"a.b":["x\n","\ud800"]},"on": { "k" :
 true},"n":null,"t}":7}"#;
        let fields: [Field<'_>; 4] = [(b"name", b"n"), (b"body", body), (b"k", b"v"), (b"a.b", b"w")];
        for (template, text) in [
            ("", ""),
            ("{stream} {id} {name}", "s 1700000000000-1 n"),
            ("{time}", "2023-11-14T22:13:20.000Z"),
            ("{deliveries}", "3"),
            ("{{{id}}}", "{1700000000000-1}"),
            (r"{id}\t\\{{}}\n", "1700000000000-1\t\\{}\n"),
            ("{body.user.id}", "1.50"),
            (r#"{body.user."a.b".0}|"#, "x\n|"),
            // Half of a surrogate pair is no text: it stays as it stands.
            (r#"{body.user."a.b".1}"#, r#""\ud800""#),
            ("{body.on}", r#"{ "k" :  true}"#),
            ("{body.n}", "null"),
            (r#"{body."t}"}"#, "7"),
            ("[{body.missing}{body.user.id.x}{fields.missing}]", "[]"),
            ("{fields.k} {fields.a.b}", "v w"),
            ("{fields}", r#"{"k":"v","a.b":"w"}"#),
            ("{fields.name}", "n"),
            ("é{id}", "é1700000000000-1"),
        ] {
            assert_eq!(exactly(template, &fields), text, "{template}");
        }
        // No message.
        assert_eq!(exactly("{name}|{body}|{fields.k}", &[(b"k", b"v")]), "||v");
        assert_eq!(
            exactly("{body}", &[(b"name", b"n"), (b"body", br#""a \"b\"""#)]),
            "a \"b\""
        );
        assert_eq!(exactly("{fields}", &[(b"name", b"n"), (b"body", b"1")]), "");
    }

    #[test]
    fn values_neither_command_a_terminal_nor_end_a_record() {
        let fields: [Field<'_>; 2] = [(b"k", b"\x1b[2J\0\xff"), (b"j", b"\0")];
        let terminal = Look {
            is_terminal: true,
            paint: Paint::Colored,
        };
        let shown = filled(r"{fields.k}\t", &fields, End::LineFeed, terminal);
        assert_eq!(String::from_utf8(shown).unwrap(), "\\u001b[2J\\u0000\u{fffd}\t");
        assert_eq!(
            filled("{fields.k}", &fields, End::LineFeed, Look::EXACT),
            b"\x1b[2J\0\xff"
        );
        assert_eq!(
            filled(r"{fields.j}{fields.j}\0", &fields, End::Nul, Look::EXACT),
            b"\\u0000\\u0000\0"
        );
    }

    #[test]
    fn what_cannot_be_understood_is_named_with_its_place() {
        for (template, column, reason) in [
            ("é{ids}", 3, "no key \"ids\""),
            ("{}", 2, "no key \"\""),
            ("{ id }", 2, "no key \" id \""),
            ("{id", 1, "not closed"),
            ("{body.a", 1, "not closed"),
            ("a}b", 2, "closes nothing"),
            ("{id.x}", 2, "id has nothing"),
            ("{fields.a.}", 9, ""),
            ("{body.}", 7, "missing"),
            ("{body..a}", 7, "missing"),
            ("{body.a[0]}", 8, "items.0"),
            (r#"{body."a}"#, 7, "quote"),
            (r#"{body."\x"}"#, 7, "JSON"),
            (r#"{body."a"b}"#, 10, "expected"),
            (r"\x", 1, "backslash"),
            (r"a\", 2, "backslash"),
        ] {
            match template.parse::<Template>() {
                Ok(_) => assert_eq!(reason, "", "{template}"),
                Err(error) => assert!(
                    error.column == column && error.reason.contains(reason) && !reason.is_empty(),
                    "{template}: {error}"
                ),
            }
        }
    }
}
