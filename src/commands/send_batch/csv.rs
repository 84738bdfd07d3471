//! Comma-separated values: rows found, and made into JSON objects.
//!
//! As RFC 4180 and the programs that write it have it: a quote at the beginning of a column opens a quoted text, in
//! which two quotes stand for one and line breaks and commas are text; any other quote is a quote. A row ends with
//! LF or CR LF. Another character may stand in the place of the comma.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use memchr::{memchr, memchr_iter, memchr2};

use crate::line::{self, LineError};
use crate::render::counted;

/// What stands between two columns: an ASCII character.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Delimiter(u8);

impl Delimiter {
    pub const COMMA: Self = Self(b',');
    /// What programs write where commas stand in numbers, or in texts.
    const OTHERS: [Self; 2] = [Self(b';'), Self(b'\t')];

    /// What parts the columns of a header that commas do not part, if something else does.
    pub fn of_header(row: &str) -> Option<Self> {
        let columns = |delimiter| Columns::new(row, delimiter).count();
        let others = Self::OTHERS.into_iter().filter(|other| columns(*other) > 1);
        others
            .max_by_key(|other| columns(*other))
            .filter(|_| columns(Self::COMMA) == 1)
    }
}

impl FromStr for Delimiter {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, &'static str> {
        match text.as_bytes() {
            b"\\t" => Ok(Self(b'\t')),
            b"\"" | b"\n" | b"\r" => Err("quotes and line breaks have another meaning in CSV"),
            [byte] if byte.is_ascii() => Ok(Self(*byte)),
            _ => Err("expected one ASCII character, or \\t for a tab"),
        }
    }
}

/// As it is typed.
impl fmt::Display for Delimiter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            b'\t' => f.write_str("\\t"),
            byte => write!(f, "{}", char::from(byte)),
        }
    }
}

/// The extent of a row, or of any other record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Row {
    /// Where it ends, with its line break.
    pub end: usize,
    /// How many line breaks it holds: more than one where CSV quotes some.
    pub line_breaks: u64,
}

/// The complete rows of a text. What follows the last of them is no row yet.
pub struct Rows<'a> {
    bytes: &'a [u8],
    delimiter: Delimiter,
    at: usize,
}

impl<'a> Rows<'a> {
    /// The rows of a text that begins with one.
    pub fn new(bytes: &'a [u8], delimiter: Delimiter) -> Self {
        Self {
            bytes,
            delimiter,
            at: 0,
        }
    }
}

impl Iterator for Rows<'_> {
    type Item = Row;

    fn next(&mut self) -> Option<Row> {
        let start = self.at;
        let mut quoted_breaks = 0;
        loop {
            let found = self.at + memchr2(b'"', b'\n', &self.bytes[self.at..])?;
            self.at = found + 1;
            if self.bytes[found] == b'\n' {
                return Some(Row {
                    end: self.at,
                    line_breaks: quoted_breaks + 1,
                });
            }
            if found == start || self.bytes[found - 1] == self.delimiter.0 {
                self.at += quoted(&self.bytes[self.at..])? + 1;
                quoted_breaks += memchr_iter(b'\n', &self.bytes[found..self.at]).count() as u64;
            }
        }
    }
}

/// The length of a quoted text, whose opening quote lies before, without its closing quote; `None` if that is missing.
fn quoted(bytes: &[u8]) -> Option<usize> {
    let mut at = 0;
    loop {
        let quote = at + memchr(b'"', &bytes[at..])?;
        match bytes.get(quote + 1) {
            Some(b'"') => at = quote + 2,
            _ => return Some(quote),
        }
    }
}

/// The columns of one row, unquoted.
struct Columns<'a> {
    row: &'a str,
    delimiter: Delimiter,
    /// Where the next column begins; `None` behind the last.
    at: Option<usize>,
}

impl<'a> Columns<'a> {
    fn new(row: &'a str, delimiter: Delimiter) -> Self {
        Self {
            row,
            delimiter,
            at: Some(0),
        }
    }

    /// Takes a column that begins with a quote, which stands just before `start`.
    fn take_quoted(&mut self, start: usize) -> Result<Cow<'a, str>, LineError> {
        let Some(length) = quoted(&self.row.as_bytes()[start..]) else {
            self.at = None;
            return Err(LineError {
                column: start,
                reason: "a quote is opened and never closed".to_owned(),
            });
        };
        let (text, behind) = (&self.row[start..start + length], start + length + 1);
        // What stands between the closing quote and the delimiter is text, too.
        let tail = self.take_plain(behind);
        if tail.is_empty() && memchr(b'"', text.as_bytes()).is_none() {
            return Ok(Cow::Borrowed(text));
        }
        Ok(Cow::Owned(text.replace("\"\"", "\"") + tail))
    }

    /// Takes what stands between `start` and the next delimiter.
    fn take_plain(&mut self, start: usize) -> &'a str {
        let rest = &self.row[start..];
        match memchr(self.delimiter.0, rest.as_bytes()) {
            Some(length) => {
                self.at = Some(start + length + 1);
                &rest[..length]
            }
            None => {
                self.at = None;
                rest
            }
        }
    }
}

impl<'a> Iterator for Columns<'a> {
    type Item = Result<Cow<'a, str>, LineError>;

    fn next(&mut self) -> Option<Self::Item> {
        let start = self.at?;
        Some(match self.row.as_bytes().get(start) {
            Some(b'"') => self.take_quoted(start + 1),
            _ => Ok(Cow::Borrowed(self.take_plain(start))),
        })
    }
}

/// The header of a file: the keys of the objects its rows are.
#[derive(Debug)]
pub struct Header {
    delimiter: Delimiter,
    /// Each with its colon, as JSON.
    keys: Vec<Vec<u8>>,
}

impl Header {
    /// No header yet.
    pub fn none() -> Self {
        Self {
            delimiter: Delimiter::COMMA,
            keys: Vec::new(),
        }
    }

    /// Reads a header.
    pub fn read(row: &str, delimiter: Delimiter) -> Result<Self, LineError> {
        let mut columns = Columns::new(row, delimiter);
        let mut keys = Vec::new();
        loop {
            let start = columns.at.unwrap_or_default();
            let Some(name) = columns.next().transpose()? else {
                return Ok(Self { delimiter, keys });
            };
            let mut key = Vec::new();
            line::string(&mut key, &name);
            key.push(b':');
            if keys.contains(&key) {
                return Err(LineError {
                    column: start + 1,
                    reason: format!("two columns are called `{name}`"),
                });
            }
            keys.push(key);
        }
    }

    /// Writes a row as an object of strings.
    pub fn write_object(&self, out: &mut Vec<u8>, row: &str) -> Result<(), LineError> {
        let mut width = 0;
        out.push(b'{');
        for column in Columns::new(row, self.delimiter) {
            let column = column?;
            if let Some(key) = self.keys.get(width) {
                if width > 0 {
                    out.push(b',');
                }
                out.extend_from_slice(key);
                line::string(out, &column);
            }
            width += 1;
        }
        out.push(b'}');
        if width == self.keys.len() {
            return Ok(());
        }
        Err(LineError {
            column: 1,
            reason: format!(
                "{}, where the header has {}",
                counted(width as u64, "column"),
                self.keys.len()
            ),
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn row_lengths(text: &[u8]) -> Vec<(usize, u64)> {
        Rows::new(text, Delimiter::COMMA)
            .map(|row| (row.end, row.line_breaks))
            .collect()
    }

    fn columns(row: &str) -> Vec<String> {
        Columns::new(row, Delimiter::COMMA)
            .map(|column| column.unwrap().into_owned())
            .collect()
    }

    #[test]
    fn rows_end_outside_quotes() {
        assert_eq!(row_lengths(b"a,\"x\ny\"\nb,\"\"\"\"\nc,\""), [(8, 2), (15, 1)]);
        assert_eq!(row_lengths(b"1,5\" pipe\n2,\"a\"\"b\"\n"), [(10, 1), (19, 1)]);
        assert_eq!(row_lengths(b"c,d"), []);
    }

    #[test]
    fn columns_are_unquoted() {
        for (row, expected) in [
            ("a,b", &["a", "b"][..]),
            ("\"x, \"\"y\"\"\",é,", &["x, \"y\"", "é", ""]),
            (",", &["", ""]),
            ("one", &["one"]),
            ("\"a\nb\"", &["a\nb"]),
            ("\"a\"b,c\rd", &["ab", "c\rd"]),
            ("5\" pipe,\"\"", &["5\" pipe", ""]),
        ] {
            assert_eq!(columns(row), expected, "{row}");
        }
    }

    #[test]
    fn columns_of_one_name_cannot_be_keys_of_one_object() {
        let error = Header::read("id,\"a\"\"b\",\"a\"\"b\"", Delimiter::COMMA).unwrap_err();
        assert_eq!(
            (error.column, error.reason.as_str()),
            (11, "two columns are called `a\"b`")
        );
    }

    #[test]
    fn an_unclosed_quote_is_told_where_it_opens() {
        let error = Columns::new("1,\"abc\n2,def", Delimiter::COMMA)
            .find_map(Result::err)
            .unwrap();
        assert_eq!(error.column, 3);
    }

    #[test]
    fn other_delimiters_part_columns() {
        let tab: Delimiter = "\\t".parse().unwrap();
        assert_eq!((tab, "\t".parse().unwrap()), (Delimiter(b'\t'), tab));
        assert!(
            ["", "ab", "é", "\"", "\n"]
                .iter()
                .all(|text| text.parse::<Delimiter>().is_err())
        );
        let columns: Vec<_> = Columns::new("1,5;\"a;b\";", ";".parse().unwrap())
            .map(Result::unwrap)
            .collect();
        assert_eq!(columns, ["1,5", "a;b", ""]);
        let rows = Rows::new(b"a;\"x\ny\"\nb,\"\nc;d", Delimiter(b';'));
        assert_eq!(rows.map(|row| row.end).collect::<Vec<_>>(), [8, 12]);
    }

    #[test]
    fn what_parts_a_header_is_found() {
        for (row, expected) in [
            ("a;b", Some(b';')),
            ("a\tb;c\td", Some(b'\t')),
            ("a;b,c", None),
            ("\"a;b\"", None),
            ("a", None),
            ("\"a;b", None),
        ] {
            assert_eq!(Delimiter::of_header(row), expected.map(Delimiter), "{row}");
        }
    }

    /// The rows as the csv crate's core finds them: it knows the dialects, and lets a lone CR end a row, too.
    fn peer(text: &str) -> Vec<Vec<String>> {
        let mut reader = csv_core::Reader::new();
        let (mut input, mut rows) = (text.as_bytes(), Vec::new());
        let (mut out, mut ends) = (vec![0; text.len() + 1], vec![0; text.len() + 1]);
        while !input.is_empty() {
            let (_, read, _, width) = reader.read_record(input, &mut out, &mut ends);
            input = &input[read..];
            let starts = std::iter::once(&0).chain(&ends);
            let row: Vec<_> = starts
                .zip(&ends[..width])
                .map(|(start, end)| String::from_utf8(out[*start..*end].to_vec()).unwrap())
                .collect();
            if !row.is_empty() {
                rows.push(row);
            }
        }
        rows
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn rows_and_columns_are_those_of_the_csv_crate(text in "([ab,\"é\n]|\r\n){0,24}\n") {
            let mut start = 0;
            let mut rows = Vec::new();
            for Row { end, .. } in Rows::new(text.as_bytes(), Delimiter::COMMA) {
                let row = text[start..end].trim_end_matches('\n');
                let row = row.strip_suffix('\r').unwrap_or(row);
                if !row.is_empty() {
                    rows.push(columns(row));
                }
                start = end;
            }
            // It takes what is quoted and never closed for a row.
            prop_assume!(start == text.len());
            prop_assert_eq!(rows, peer(&text));
        }
    }
}
