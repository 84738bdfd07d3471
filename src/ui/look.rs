//! How data is made fit for where it goes: a terminal must not be commanded by it, and may show it in colour.

use super::is_unsafe;
use super::palette::{JSON_KEY, JSON_NUMBER, JSON_TEXT, JSON_WORD, Paint};
use crate::json::{Kind, tokens};

/// How text looks on stdout.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Look {
    pub is_terminal: bool,
    pub paint: Paint,
}

impl Look {
    /// As things look to a program.
    pub const EXACT: Self = Self {
        is_terminal: false,
        paint: Paint::Plain,
    };

    /// Whether everything goes out byte for byte.
    pub fn is_exact(self) -> bool {
        !self.is_terminal && self.paint == Paint::Plain
    }

    /// Adds text; on a terminal, control characters are escaped as JSON would.
    pub fn text(self, text: &[u8], out: &mut Vec<u8>) {
        if self.is_terminal {
            escape(text, out);
        } else {
            out.extend_from_slice(text);
        }
    }

    /// Adds JSON, likewise, and in colour where that is wanted.
    pub fn json(self, json: &[u8], out: &mut Vec<u8>) {
        if self.paint == Paint::Plain {
            return self.text(json, out);
        }
        let mut safe = Vec::with_capacity(json.len());
        self.text(json, &mut safe);
        for token in tokens(&String::from_utf8_lossy(&safe)) {
            let style = match token.kind {
                Kind::Key => JSON_KEY,
                Kind::Text => JSON_TEXT,
                Kind::Number => JSON_NUMBER,
                Kind::Word => JSON_WORD,
                Kind::Mark | Kind::Space => {
                    out.extend_from_slice(token.text.as_bytes());
                    continue;
                }
            };
            out.extend_from_slice(self.paint.paint(style, token.text).as_bytes());
        }
    }
}

/// Text for a terminal, with control characters as JSON escapes.
fn escape(text: &[u8], out: &mut Vec<u8>) {
    for chunk in text.utf8_chunks() {
        for c in chunk.valid().chars() {
            match c {
                '\n' => out.push(b'\n'),
                c if is_unsafe(c) => out.extend_from_slice(format!("\\u{:04x}", u32::from(c)).as_bytes()),
                c => out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes()),
            }
        }
        if !chunk.invalid().is_empty() {
            out.extend_from_slice("\u{fffd}".as_bytes());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn json(is_terminal: bool, paint: Paint, text: &str) -> String {
        let mut out = Vec::new();
        Look { is_terminal, paint }.json(text.as_bytes(), &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn what_commands_a_terminal_is_escaped_as_json_would() {
        let text = "a\u{1b}\u{61c}é\n";
        assert_eq!(json(true, Paint::Plain, text), "a\\u001b\\u061cé\n");
        assert_eq!(json(false, Paint::Plain, text), text);
    }

    #[test]
    fn colours_are_ours_alone() {
        let line = "{\"k\":[1,null,\"\u{9b}31m\"]}\n";
        assert_eq!(
            json(true, Paint::Colored, line),
            "{\x1b[36m\"k\"\x1b[0m:[\x1b[33m1\x1b[0m,\x1b[35mnull\x1b[0m,\x1b[32m\"\\u009b31m\"\x1b[0m]}\n"
        );
    }
}
