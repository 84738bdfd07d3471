//! What may have been meant by a stream or a group that is not there. The server is asked only once a command has failed
//! because of it, for a moment, and what it does not tell, or not in time, is not missed.

use std::sync::Mutex;
use std::time::{Duration, Instant};

use crate::failure::Mistyped;
use crate::near::{did_you_mean, near, question};
use crate::streamer::{Connections, Error, Servers, find_streams, groups, names};

/// How long somebody who mistyped a name waits for the right one.
const PATIENCE: Duration = Duration::from_millis(300);

/// The failure, with a question for what was meant if there is something near.
pub fn mistyped(failure: anyhow::Error, servers: &Servers) -> anyhow::Error {
    if servers.stop().signal().is_some() {
        // Somebody wants it to end.
        return failure;
    }
    let until = Instant::now() + PATIENCE;
    let servers = servers.until(Some(until));
    let asked = match failure.downcast_ref::<Error>() {
        Some(Error::NoGroup { stream, group }) => near_group(&servers, stream, group, until),
        Some(Error::NoStream { stream }) => near_stream(&servers, stream, until),
        _ => None,
    };
    match asked {
        Some(question) => Mistyped { question, failure }.into(),
        None => failure,
    }
}

/// A question for what was meant by a stream that is not there, where that is no failure.
pub fn meant_by(stream: &str, servers: &Servers) -> Option<String> {
    if servers.stop().signal().is_some() {
        return None;
    }
    let until = Instant::now() + PATIENCE;
    near_stream(&servers.until(Some(until)), stream, until)
}

/// A group of the stream; if it has none, it may be the stream that was mistyped.
fn near_group(servers: &Servers, stream: &str, group: &str, until: Instant) -> Option<String> {
    let mut connections = Connections::new(servers, None);
    connections.set_deadline(Some(until));
    let found = connections.at(stream, |connection| groups(connection, stream)).ok()?;
    if found.is_empty() {
        return near_stream(servers, stream, until);
    }
    let found: Vec<String> = found.iter().map(|group| group.name.typed()).collect();
    let listener = |group: &str| names::listener_of(stream, group);
    let typed = listener(group);
    let of_same_name = |other: &&String| match &typed {
        // -l NAME for -g NAME, or the other way round.
        Some(typed) => **other == *typed,
        None => listener(other).as_deref() == Some(group),
    };
    if let Some(meant) = found.iter().find(of_same_name) {
        return question(&[option(meant, listener(meant))]);
    }
    let words: Vec<(String, &String)> = match &typed {
        Some(_) => found
            .iter()
            .filter_map(|group| Some((listener(group)?, group)))
            .collect(),
        None => found.iter().map(|group| (group.clone(), group)).collect(),
    };
    let word = typed.as_deref().unwrap_or(group);
    let meant = near(word, words.iter().map(|(word, _)| word.as_str()));
    let options: Vec<String> = meant
        .iter()
        .filter_map(|meant| words.iter().find(|(word, _)| word == meant))
        .map(|(_, group)| option(group, listener(group)))
        .collect();
    question(&options)
}

/// How a group is named on the command line.
fn option(group: &str, listener: Option<String>) -> String {
    match listener {
        Some(listener) => format!("-l {listener}"),
        None => format!("-g {group}"),
    }
}

/// A stream, unless there is the one that was named.
fn near_stream(servers: &Servers, stream: &str, until: Instant) -> Option<String> {
    let names = Mutex::new(Vec::new());
    let note = |name: String| {
        if let Ok(mut names) = names.lock() {
            names.push(name);
        }
    };
    // What was found before the time was up, or a node refused, is worth a question.
    let _ = find_streams(servers, b"", until, &|name| note(name.typed()));
    let names = names.into_inner().ok()?;
    if names.iter().any(|name| name == stream) {
        return None;
    }
    did_you_mean(stream, names.iter().map(String::as_str))
}
