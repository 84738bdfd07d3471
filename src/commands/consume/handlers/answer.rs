//! What a worker answers to a line, in a line. Pure.

use crate::render::one_line;
use crate::streamer::{Verdict, parse_duration};

/// How much of an answer that is none is named.
const NAMED: usize = 60;

/// The longest answer.
pub const LONGEST: usize = 64 * 1024;

/// Why a line is no answer.
#[derive(Debug, PartialEq, Eq)]
pub struct NoAnswer(pub String);

/// Reads an answer, without its line break.
pub fn parse(line: &[u8]) -> Result<Verdict, NoAnswer> {
    let text = String::from_utf8_lossy(line.strip_suffix(b"\r").unwrap_or(line));
    let (word, rest) = text.split_once(' ').unwrap_or((&text, ""));
    let rest = rest.trim();
    match (word, rest) {
        ("ok", "") => Ok(Verdict::Done),
        ("fail", reason) => Ok(Verdict::Failed(given(reason, "it answered fail"))),
        ("dead", reason) => Ok(Verdict::Dead(given(reason, "it answered dead"))),
        ("later", pause) => parse_duration(pause)
            .map(Verdict::Later)
            .map_err(|_| no_answer(&text, "which has no duration such as 10s")),
        _ => Err(no_answer(&text, "which is none of ok, fail, later and dead")),
    }
}

fn given(reason: &str, otherwise: &str) -> String {
    if reason.is_empty() { otherwise } else { reason }.to_owned()
}

fn no_answer(text: &str, why: &str) -> NoAnswer {
    let shown: String = text.chars().take(NAMED).collect();
    let more = if shown.len() < text.len() { "…" } else { "" };
    NoAnswer(format!("it answered '{}{more}', {why}", one_line(&shown)))
}

/// What is said of a longer one.
pub fn too_long() -> NoAnswer {
    NoAnswer(format!(
        "it answered more than {} KiB without a line break",
        LONGEST / 1024
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_words_and_what_follows() {
        for (line, expected) in [
            ("ok", "Ok(Done)"),
            ("ok\r", "Ok(Done)"),
            ("fail no such user", r#"Ok(Failed("no such user"))"#),
            ("fail", r#"Ok(Failed("it answered fail"))"#),
            ("dead  \u{1}bad", "Ok(Dead(\"\\u{1}bad\"))"),
            ("dead", r#"Ok(Dead("it answered dead"))"#),
            ("later 1500ms", "Ok(Later(1.5s))"),
        ] {
            assert_eq!(format!("{:?}", parse(line.as_bytes())), expected, "{line}");
        }
    }

    #[test]
    fn anything_else_is_named() {
        for (line, why) in [
            ("", "it answered '', which is none of ok, fail, later and dead"),
            ("OK", "it answered 'OK', which is none of ok, fail, later and dead"),
            (
                "ok then",
                "it answered 'ok then', which is none of ok, fail, later and dead",
            ),
            ("later", "it answered 'later', which has no duration such as 10s"),
            (
                "later soon",
                "it answered 'later soon', which has no duration such as 10s",
            ),
        ] {
            assert_eq!(parse(line.as_bytes()).unwrap_err(), NoAnswer(why.to_owned()), "{line}");
        }
        let NoAnswer(long) = parse("\u{1b}é".repeat(1000).as_bytes()).unwrap_err();
        assert!(
            long.contains('…') && !long.contains('\u{1b}') && long.len() < 500,
            "{long}"
        );
    }
}
