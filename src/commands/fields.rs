//! `-f NAME=VALUE`: fields that are added to entries.

use crate::failure::Failure;
use crate::streamer::{BODY, NAME};

/// Takes a field.
pub fn parse(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err("expected NAME=VALUE".to_owned()),
    }
}

/// Refuses fields that would give a message a second name or body, where it has them from elsewhere.
pub fn must_be_no_message(fields: &[(String, String)], why: &str) -> Result<(), Failure> {
    for (name, what) in [(NAME, "names"), (BODY, "bodies")] {
        if let Some((name, _)) = fields.iter().find(|(field, _)| field.as_bytes() == name) {
            return Err(
                Failure::usage(format!("-f {name}=… {why}: a message would have two {what}"))
                    .hint("leave it out: a message has one name and one body"),
            );
        }
    }
    Ok(())
}
