//! A pointer into a message (RFC 6901): `/name`, `/fields/NAME`, `/body` and on into it. What it points to is the key by
//! which a partition is chosen. Pure.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use crate::json::{find, text};
use crate::streamer::{BODY, Field, NAME};

/// Where the key stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pointer {
    text: String,
    target: Target,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Target {
    Name,
    Field(String),
    /// What stands at this path in the body.
    Body(Vec<String>),
}

impl FromStr for Pointer {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let expected = || {
            let meant = in_body(text).map_or_else(String::new, |meant| format!("; did you mean {meant}?"));
            format!(
                "expected a JSON pointer: /name, /fields/NAME, /body or /body/…{meant} (the file of a TLS key goes with --cert-key)"
            )
        };
        let steps = text.strip_prefix('/').ok_or_else(expected)?;
        let steps: Vec<_> = steps
            .split('/')
            .map(unescaped)
            .collect::<Option<_>>()
            .ok_or_else(expected)?;
        let target = match steps.as_slice() {
            [name] if name == "name" => Target::Name,
            [fields, name] if fields == "fields" => Target::Field(name.clone()),
            [body, path @ ..] if body == "body" => Target::Body(path.to_vec()),
            _ => return Err(expected()),
        };
        let text = text.to_owned();
        Ok(Self { text, target })
    }
}

/// What may be meant by a pointer that does not say where in a message it begins.
fn in_body(text: &str) -> Option<String> {
    let path = text.strip_prefix('/').unwrap_or(text);
    let path = path.strip_prefix("body/").unwrap_or(path);
    let is_path = !path.is_empty() && path.split('/').all(|step| unescaped(step).is_some());
    // The file of a TLS key has a dot in its name.
    (is_path && !text.contains('.')).then(|| match path {
        "name" | "body" => format!("/{path}"),
        _ => format!("/body/{path}"),
    })
}

impl fmt::Display for Pointer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// A step of a pointer, in which `~1` stands for `/` and `~0` for `~`.
fn unescaped(step: &str) -> Option<String> {
    let mut parts = step.split('~');
    let mut text = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let (escaped, rest) = match part.as_bytes().first()? {
            b'0' => ('~', &part[1..]),
            b'1' => ('/', &part[1..]),
            _ => return None,
        };
        text.push(escaped);
        text.push_str(rest);
    }
    Some(text)
}

impl Pointer {
    /// The key of an entry: a string's content, or the JSON of a number or boolean; `None` if there is nothing of
    /// that kind.
    pub fn key<'f>(&self, fields: &[Field<'f>]) -> Option<Cow<'f, [u8]>> {
        let field = |wanted: &[u8]| fields.iter().find(|(name, _)| *name == wanted).map(|(_, value)| *value);
        match &self.target {
            Target::Name => field(NAME).map(Cow::Borrowed),
            Target::Field(name) => field(name.as_bytes()).map(Cow::Borrowed),
            Target::Body(path) => match in_json(str::from_utf8(field(BODY)?).ok()?, path)? {
                Cow::Borrowed(text) => Some(Cow::Borrowed(text.as_bytes())),
                Cow::Owned(text) => Some(Cow::Owned(text.into_bytes())),
            },
        }
    }
}

/// What stands at a path, as a key.
fn in_json<'a>(json: &'a str, path: &[String]) -> Option<Cow<'a, str>> {
    let found = find(json, path)?;
    match found.as_bytes().first()? {
        b'"' => text(found),
        b'{' | b'[' | b'n' => None,
        _ => Some(Cow::Borrowed(found)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(pointer: &str, body: &str) -> Option<String> {
        let pointer: Pointer = pointer.parse().unwrap();
        let fields: [Field<'_>; 4] = [(NAME, b"n"), (BODY, body.as_bytes()), (b"k", b"v"), (b"k", b"w")];
        pointer
            .key(&fields)
            .map(|key| String::from_utf8(key.into_owned()).unwrap())
    }

    #[test]
    fn a_pointer_finds_a_key() {
        let body = r#" {"a":{"b/c":[1,{"~":"x\n"}],"b":1.50},"t":true,"a b":"","n":null,"o":{},"d":1,"d":-2e3} "#;
        for (pointer, found) in [
            ("/name", Some("n")),
            ("/fields/k", Some("v")),
            ("/fields/x", None),
            ("/body/a/b~1c/1/~0", Some("x\n")),
            ("/body/a/b~1c/0", Some("1")),
            ("/body/a/b~1c/2", None),
            ("/body/a/b~1c/00", None),
            ("/body/a/b~1c/-", None),
            ("/body/a/b", Some("1.50")),
            ("/body/a/b/c", None),
            ("/body/t", Some("true")),
            ("/body/a b", Some("")),
            ("/body/n", None),
            ("/body/o", None),
            ("/body/a", None),
            ("/body/missing", None),
            ("/body/d", Some("-2e3")),
            ("/body", None),
        ] {
            assert_eq!(key(pointer, body).as_deref(), found, "{pointer}");
        }
        assert_eq!(key("/body", " 7").as_deref(), Some("7"));
        assert_eq!(key("/body/a", "{"), None);
    }

    #[test]
    fn what_is_no_pointer_into_a_message_is_refused() {
        for text in [
            "",
            "/",
            "name",
            "/id",
            "/name/x",
            "/fields",
            "/fields/a/b",
            "/body/~2",
            "/body/~",
        ] {
            assert!(text.parse::<Pointer>().is_err(), "{text}");
        }
    }
}
