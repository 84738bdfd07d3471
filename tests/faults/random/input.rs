//! The input of a sending, and what has to become of each of its lines.

use crate::harness::{Dice, Fields};

/// How lines are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// A line is a body.
    Bodies,
    /// A line is a message, some with fields of their own.
    Messages,
    /// As that, and each has its ID.
    KeptIds,
    Text,
    Csv,
}

/// A line, and the entry it has to become: none if it is bad.
#[derive(Debug, Clone)]
pub struct Line {
    pub text: String,
    pub number: usize,
    pub fields: Option<Fields>,
}

/// A whole input.
pub struct Input {
    pub format: Format,
    pub lines: Vec<Line>,
}

/// The one header of CSV.
const HEADER: &str = "n,pad";

impl Input {
    /// So many lines; of `distinct` kinds where many are to be equal; one in `bad_in` is bad, but never the first.
    pub fn draw(format: Format, count: usize, distinct: usize, bad_in: Option<usize>, dice: &mut Dice) -> Self {
        let first = if format == Format::Csv { 2 } else { 1 };
        let lines = (0..count).map(|n| {
            let is_bad = n > 0 && bad_in.is_some_and(|cases| dice.one_in(cases));
            let longest = if dice.one_in(20) { 1500 } else { 40 };
            let kind = n % distinct;
            // Equal lines are equal in their length, too.
            let length = if distinct < count {
                kind * 7 % 40
            } else {
                dice.between(0, longest)
            };
            let (text, fields) = format.line(kind, n, length);
            Line {
                text: if is_bad { format.bad(n) } else { text },
                number: n + first,
                fields: (!is_bad).then_some(fields),
            }
        });
        Self {
            format,
            lines: lines.collect(),
        }
    }

    pub fn text(&self) -> String {
        let header = self.header().map(|header| header.to_owned());
        let lines = self.lines.iter().map(|line| line.text.clone());
        let all: Vec<_> = header.into_iter().chain(lines).collect();
        all.join("\n") + "\n"
    }

    pub fn header(&self) -> Option<&'static str> {
        (self.format == Format::Csv).then_some(HEADER)
    }

    /// The lines that can be sent.
    pub fn good(&self) -> Vec<&Line> {
        self.lines.iter().filter(|line| line.fields.is_some()).collect()
    }

    pub fn bad(&self) -> Vec<&Line> {
        self.lines.iter().filter(|line| line.fields.is_none()).collect()
    }
}

impl Format {
    pub fn args(self) -> &'static [&'static str] {
        match self {
            Self::Bodies => &["--name", "n"],
            Self::Messages => &[],
            Self::KeptIds => &["--keep-ids"],
            Self::Text => &["--name", "n", "--input", "text"],
            Self::Csv => &["--name", "n", "--input", "csv"],
        }
    }

    fn line(self, kind: usize, n: usize, length: usize) -> (String, Fields) {
        let pad = "x".repeat(length);
        let body = format!("{{\"n\":{kind},\"pad\":\"{pad}\"}}");
        let plain = |body: &str| fields(&[("name", "n"), ("body", body)]);
        match self {
            Self::Bodies => (body.clone(), plain(&body)),
            Self::Messages if kind % 5 == 4 => (
                format!("{{\"name\":\"n\",\"body\":{body},\"fields\":{{\"k\":\"{kind}\"}}}}"),
                fields(&[("name", "n"), ("body", &body), ("k", &kind.to_string())]),
            ),
            Self::Messages => (format!("{{\"name\":\"n\",\"body\":{body}}}"), plain(&body)),
            Self::KeptIds => (
                format!("{{\"id\":\"{}-0\",\"name\":\"n\",\"body\":{body}}}", n + 1),
                plain(&body),
            ),
            Self::Text => (format!("{kind} {pad}"), plain(&format!("\"{kind} {pad}\""))),
            Self::Csv => (
                format!("{kind},{pad}"),
                plain(&format!("{{\"n\":\"{kind}\",\"pad\":\"{pad}\"}}")),
            ),
        }
    }

    /// A line that cannot be sent: it is no message, or the server refuses its ID.
    fn bad(self, n: usize) -> String {
        match self {
            Self::KeptIds => format!("{{\"id\":\"0-1\",\"name\":\"bad\",\"body\":{n}}}"),
            Self::Csv => format!("{n}"),
            Self::Bodies | Self::Messages | Self::Text => format!("{{\"n\":{n}"),
        }
    }

    /// Every text can be sent.
    pub fn has_bad_lines(self) -> bool {
        self != Self::Text
    }
}

fn fields(pairs: &[(&str, &str)]) -> Fields {
    let bytes = |text: &str| text.as_bytes().to_vec();
    pairs.iter().map(|(name, value)| (bytes(name), bytes(value))).collect()
}
