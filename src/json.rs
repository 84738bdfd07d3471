//! JSON as text, cut into its tokens: it is coloured and indented without being read and printed again, so that every
//! byte of it stays. Pure. What is no JSON passes as it is.

mod find;
mod indent;

pub use find::{find, text};
pub use indent::indent;

/// What a token is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Key,
    Text,
    Number,
    /// `true`, `false` or `null`.
    Word,
    /// A bracket, a brace, a comma, a colon.
    Mark,
    Space,
}

/// A piece of a JSON text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Token<'a> {
    pub kind: Kind,
    pub text: &'a str,
}

/// All tokens of a text, one after the other.
pub fn tokens(mut rest: &str) -> impl Iterator<Item = Token<'_>> {
    std::iter::from_fn(move || {
        let (kind, length) = first(rest)?;
        let (text, behind) = rest.split_at(length);
        rest = behind;
        Some(Token { kind, text })
    })
}

/// What a text begins with, and how long that is.
fn first(text: &str) -> Option<(Kind, usize)> {
    let run = |is_part: fn(u8) -> bool| text.bytes().position(|byte| !is_part(byte)).unwrap_or(text.len());
    let found = match text.bytes().next()? {
        b'"' => string(text),
        b'-' | b'0'..=b'9' => {
            let is_part = |byte: u8| byte.is_ascii_digit() || matches!(byte, b'+' | b'-' | b'.' | b'e' | b'E');
            (Kind::Number, run(is_part))
        }
        b'a'..=b'z' => (Kind::Word, run(|byte| byte.is_ascii_lowercase())),
        byte if is_space(byte) => (Kind::Space, run(is_space)),
        _ => (Kind::Mark, text.chars().next().map_or(1, char::len_utf8)),
    };
    Some(found)
}

fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\n' | b'\r' | b'\t')
}

/// A string, which is a key if a colon follows.
fn string(text: &str) -> (Kind, usize) {
    let mut is_escaped = true;
    let end = text.bytes().position(|byte| {
        // The opening quote counts as escaped: it closes nothing.
        let ends = byte == b'"' && !is_escaped;
        is_escaped = byte == b'\\' && !is_escaped;
        ends
    });
    let length = end.map_or(text.len(), |end| end + 1);
    let next = text[length..].bytes().find(|byte| !is_space(*byte));
    let kind = if next == Some(b':') { Kind::Key } else { Kind::Text };
    (kind, length)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_token_is_known_and_no_byte_lost() {
        let text = r#" {"a\"\\":[-1.5e+3,"x:" ,true,null], "é" : "\\"}"#;
        let found: Vec<_> = tokens(text)
            .filter(|token| !matches!(token.kind, Kind::Mark | Kind::Space))
            .map(|token| (token.kind, token.text))
            .collect();
        assert_eq!(
            found,
            [
                (Kind::Key, r#""a\"\\""#),
                (Kind::Number, "-1.5e+3"),
                (Kind::Text, r#""x:""#),
                (Kind::Word, "true"),
                (Kind::Word, "null"),
                (Kind::Key, r#""é""#),
                (Kind::Text, r#""\\""#),
            ]
        );
        for text in [text, "", "é\u{fffd}\"open \\", "A-0 {", "\"\\\""] {
            let all: String = tokens(text).map(|token| token.text).collect();
            assert_eq!(all, text);
        }
    }
}
