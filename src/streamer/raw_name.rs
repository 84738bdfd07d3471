//! A name as the server has it. Streams, groups and consumers are named by bytes, which need not be text.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;

/// How a name begins that is typed, or told, as the base64 of its bytes.
const ENCODED: &str = "base64:";

#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RawName(Vec<u8>);

impl RawName {
    /// Takes a name as it is typed: text as it stands, anything as `base64:…`.
    pub fn parse(typed: &str) -> Result<Self, String> {
        let bytes = match typed.strip_prefix(ENCODED) {
            Some(encoded) => BASE64
                .decode(encoded)
                .map_err(|error| format!("what follows {ENCODED} is not base64: {error}"))?,
            None => typed.as_bytes().to_vec(),
        };
        match bytes.as_slice() {
            [] => Err("a name must not be empty".to_owned()),
            _ => Ok(Self(bytes)),
        }
    }

    /// The same where only text will do.
    pub fn parse_text(typed: &str) -> Result<String, String> {
        match String::from_utf8(Self::parse(typed)?.0) {
            Ok(name) => Ok(name),
            Err(_) => Err("this name is not UTF-8, and only `pending` and `unsubscribe` take such names".to_owned()),
        }
    }

    /// The name as text, if it is text.
    pub fn text(&self) -> Option<&str> {
        str::from_utf8(&self.0).ok()
    }

    /// Whether it is this text.
    pub fn is(&self, text: &str) -> bool {
        self.0 == text.as_bytes()
    }

    /// The base64 of its bytes.
    pub fn base64(&self) -> String {
        BASE64.encode(&self.0)
    }

    /// How to type it: what [`parse`](Self::parse) takes for this name.
    pub fn typed(&self) -> String {
        match self.text() {
            Some(text) if !text.starts_with(ENCODED) => text.to_owned(),
            _ => format!("{ENCODED}{}", self.base64()),
        }
    }

    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

/// For people to read: bytes that are not text as `\xe8`, so that names that differ look different.
impl fmt::Display for RawName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for chunk in self.0.utf8_chunks() {
            f.write_str(chunk.valid())?;
            for byte in chunk.invalid() {
                write!(f, "\\x{byte:02x}")?;
            }
        }
        Ok(())
    }
}

impl AsRef<[u8]> for RawName {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl From<Vec<u8>> for RawName {
    fn from(bytes: Vec<u8>) -> Self {
        Self(bytes)
    }
}

impl From<&str> for RawName {
    fn from(text: &str) -> Self {
        Self(text.as_bytes().to_vec())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_told_can_be_typed() {
        for bytes in [&b"orders"[..], b"caf\xe8", b"base64:eA==", "é\n".as_bytes(), b"\0"] {
            let name = RawName::from(bytes.to_vec());
            assert_eq!(RawName::parse(&name.typed()), Ok(name));
        }
        assert_eq!(RawName::from("orders").typed(), "orders");
        assert_eq!(RawName::parse("base64:eA=="), Ok(RawName::from("x")));
    }

    #[test]
    fn what_is_no_name_is_refused() {
        for typed in ["", "base64:", "base64:?", "base64:eA"] {
            assert!(RawName::parse(typed).is_err(), "{typed}");
        }
    }

    #[test]
    fn bytes_that_are_not_text_are_shown() {
        assert_eq!(
            RawName::from(b"caf\xe8 \xe2\x82".to_vec()).to_string(),
            "caf\\xe8 \\xe2\\x82"
        );
    }
}
