//! STREAM as typed: one stream, or the partitions that a pattern such as `orders:{0..15}` names, expanded as shells do.
//! Pure.

use std::fmt::{self, Write as _};

use crate::streamer::{RawName, hash_tag, slot};
use crate::ui::Ui;

/// The most partitions of a pattern: a cluster has no more slots.
const MOST: u64 = 16_384;

/// What STREAM names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Streams {
    One(String),
    Partitions(Partitions),
}

/// The streams of a pattern.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Partitions {
    pattern: String,
    names: Vec<String>,
}

impl Streams {
    /// The names, in order.
    pub fn names(&self) -> &[String] {
        match self {
            Self::One(name) => std::slice::from_ref(name),
            Self::Partitions(partitions) => &partitions.names,
        }
    }

    /// The first of them, or the only one.
    pub fn first(&self) -> &str {
        self.names().first().map_or("", String::as_str)
    }

    /// Whether a pattern names them.
    pub fn are_partitions(&self) -> bool {
        matches!(self, Self::Partitions(_))
    }

    /// Warns of a pattern that spreads nothing over a cluster.
    pub fn warn(&self, ui: Ui) {
        if let Self::Partitions(partitions) = self
            && let Some(tag) = partitions.shared_tag()
        {
            ui.warning(&format!(
                "all names of {self} have the hash tag {{{tag}}}: in a cluster all of them are in one slot, at one node"
            ));
        }
    }
}

impl fmt::Display for Streams {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::One(name) => name,
            Self::Partitions(partitions) => &partitions.pattern,
        })
    }
}

/// What STREAM names where names need not be text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RawStreams {
    /// What was typed as `base64:…`.
    Raw(RawName),
    Text(Streams),
}

impl RawStreams {
    /// The names, in order.
    pub fn names(&self) -> Vec<RawName> {
        match self {
            Self::Raw(name) => vec![name.clone()],
            Self::Text(streams) => streams.names().iter().map(|name| name.as_str().into()).collect(),
        }
    }

    /// As it was typed, but for what was encoded.
    pub fn pattern(&self) -> RawName {
        match self {
            Self::Raw(name) => name.clone(),
            Self::Text(streams) => streams.to_string().as_str().into(),
        }
    }

    /// Whether a pattern names them.
    pub fn are_partitions(&self) -> bool {
        matches!(self, Self::Text(streams) if streams.are_partitions())
    }

    /// Warns of a pattern that spreads nothing over a cluster.
    pub fn warn(&self, ui: Ui) {
        if let Self::Text(streams) = self {
            streams.warn(ui);
        }
    }
}

/// All streams that several arguments name; warns once of each pattern that spreads nothing over a cluster.
pub fn expand(arguments: &[Streams], ui: Ui) -> Vec<String> {
    for streams in arguments {
        streams.warn(ui);
    }
    arguments.iter().flat_map(Streams::names).cloned().collect()
}

/// Takes the name of a stream, or a pattern of names.
pub fn parse_streams(text: &str) -> Result<Streams, String> {
    let name = RawName::parse_text(text)?;
    if name != text {
        // What was encoded is no pattern.
        return Ok(Streams::One(name));
    }
    let mut ranges = Ranges { text, from: 0 };
    let Some(range) = ranges.next() else {
        return Ok(Streams::One(text.to_owned()));
    };
    if ranges.next().is_some() {
        return Err("a pattern has one range, and this has several".to_owned());
    }
    range.expand(text).map(Streams::Partitions)
}

/// Takes the name of a stream, be it text or not, or a pattern of names.
pub fn parse_raw_streams(text: &str) -> Result<RawStreams, String> {
    let name = RawName::parse(text)?;
    if name.text() == Some(text) {
        parse_streams(text).map(RawStreams::Text)
    } else {
        Ok(RawStreams::Raw(name))
    }
}

/// Takes the name of one stream.
pub fn parse_stream(text: &str) -> Result<String, String> {
    match parse_streams(text)? {
        Streams::One(name) => Ok(name),
        Streams::Partitions(_) => Err("a pattern names several streams, and this takes one".to_owned()),
    }
}

/// The number of the partition to which a key belongs: its slot in a cluster, which any client can ask for
/// (`CLUSTER KEYSLOT`), modulo the number of partitions.
pub fn of_key(key: &[u8], partitions: usize) -> usize {
    usize::from(slot(key)) % partitions.max(1)
}

impl Partitions {
    /// The hash tag of all names, if they have one.
    fn shared_tag(&self) -> Option<&str> {
        let tag = |name: &'_ str| hash_tag(name.as_bytes()).map(<[u8]>::to_vec);
        let [first, .., last] = self.names.as_slice() else {
            return None;
        };
        let shared = hash_tag(first.as_bytes()).filter(|_| tag(first) == tag(last))?;
        str::from_utf8(shared).ok()
    }
}

/// A range in a pattern: where it stands, with its braces, and what stands between them.
struct Range<'a> {
    start: usize,
    end: usize,
    content: &'a str,
}

/// The ranges of a text, from left to right. Braces around anything else, such as a hash tag, are part of a name.
struct Ranges<'a> {
    text: &'a str,
    from: usize,
}

impl<'a> Iterator for Ranges<'a> {
    type Item = Range<'a>;

    fn next(&mut self) -> Option<Range<'a>> {
        loop {
            let start = self.from + self.text[self.from..].find('{')?;
            self.from = start + 1;
            let length = self.text[start + 1..].find(['{', '}'])?;
            let end = start + 1 + length + 1;
            let content = &self.text[start + 1..end - 1];
            let is_range =
                content.contains("..") && content.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'.' | b'-'));
            if self.text[..end].ends_with('}') && is_range {
                self.from = end;
                return Some(Range { start, end, content });
            }
        }
    }
}

impl Range<'_> {
    fn expand(&self, text: &str) -> Result<Partitions, String> {
        let (first, last) = self.content.split_once("..").unwrap_or_default();
        let (Some(from), Some(to)) = (number(first), number(last)) else {
            return Err(format!(
                "{{{}}} is no range: expected {{FIRST..LAST}}, two whole numbers",
                self.content
            ));
        };
        if from > to {
            return Err(format!(
                "{{{}}} counts down: a range goes from the lower number to the higher",
                self.content
            ));
        }
        if to - from >= MOST {
            return Err(format!("{{{}}} names more than {MOST} streams", self.content));
        }
        let is_padded = |number: &str| number.len() > 1 && number.starts_with('0');
        let width = if is_padded(first) || is_padded(last) {
            first.len().max(last.len())
        } else {
            0
        };
        let (prefix, suffix) = (&text[..self.start], &text[self.end..]);
        let name = |number| {
            let mut name = prefix.to_owned();
            // Memory takes whatever is written to it.
            let _ = write!(name, "{number:0width$}");
            name + suffix
        };
        Ok(Partitions {
            pattern: text.to_owned(),
            names: (from..=to).map(name).collect(),
        })
    }
}

/// A number without a sign. One of more digits than any pattern needs is none.
fn number(text: &str) -> Option<u64> {
    let is_number = (1..=18).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|_| is_number)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(text: &str) -> Vec<String> {
        parse_streams(text).unwrap().names().to_vec()
    }

    #[test]
    fn patterns_are_expanded_as_by_a_shell() {
        assert_eq!(names("orders:{0..2}"), ["orders:0", "orders:1", "orders:2"]);
        assert_eq!(names("{08..11}x"), ["08x", "09x", "10x", "11x"]);
        assert_eq!(names("a{1..003}b"), ["a001b", "a002b", "a003b"]);
        assert_eq!(names("a{7..7}"), ["a7"]);
        assert_eq!(names("{t}:{0..1}:{u}"), ["{t}:0:{u}", "{t}:1:{u}"]);
        assert_eq!(names("{o{0..1}}"), ["{o0}", "{o1}"]);
        assert_eq!(names("a:{0..16383}").len(), 16_384);
    }

    #[test]
    fn a_name_may_be_encoded() {
        assert_eq!(names("base64:b3JkZXJz"), ["orders"]);
        // What is encoded is no pattern.
        assert_eq!(names("base64:YXswLi4xfQ=="), ["a{0..1}"]);
        for text in ["base64:", "base64:/w==", "base64:?"] {
            assert!(parse_streams(text).is_err(), "{text}");
        }
    }

    #[test]
    fn other_braces_are_part_of_a_name() {
        for name in [
            "orders", "{orders}", "a{b..c}", "a{0,1}", "a}0..1{", "{0..1", "{}", "a..b", "{1.5}",
        ] {
            assert_eq!(parse_streams(name), Ok(Streams::One(name.to_owned())), "{name}");
        }
    }

    #[test]
    fn what_is_no_range_is_refused() {
        for text in [
            "",
            "a{3..1}",
            "a{0..1}{0..1}",
            "a{0..16384}",
            "a{0..}",
            "a{..1}",
            "a{-1..1}",
            "a{0..10..2}",
            "a{0..99999999999999999999}",
        ] {
            assert!(parse_streams(text).is_err(), "{text}");
        }
        assert!(parse_stream("a{0..1}").is_err() && parse_stream("a{b}").is_ok());
    }

    #[test]
    fn a_shared_hash_tag_is_found() {
        let tag = |text| match parse_streams(text) {
            Ok(Streams::Partitions(partitions)) => partitions.shared_tag().map(str::to_owned),
            _ => None,
        };
        assert_eq!(tag("{orders}:{0..3}").as_deref(), Some("orders"));
        assert_eq!(tag("a{0..3}{b}").as_deref(), Some("b"));
        assert_eq!(tag("orders:{0..3}"), None);
        assert_eq!(tag("{orders:{0..3}}"), None);
        assert_eq!(tag("{orders}:{0..0}"), None);
    }

    #[test]
    fn a_key_has_one_partition() {
        assert_eq!(of_key(b"123456789", 16), 0x31C3 % 16);
        assert_eq!(of_key(b"{user1000}.following", 7), of_key(b"user1000", 7));
        assert_eq!(of_key(b"", 5), 0);
    }
}
