//! What the server knows: streams, groups, consumers, pending IDs. It is asked for a moment only, with the settings of
//! the line that is being typed, and whatever goes wrong is silence.

use std::sync::mpsc::{Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use clap::{Args as _, FromArgMatches as _};

use super::candidates::Candidate;
use super::line::Line;
use super::values::Kind;
use crate::layers::Layers;
use crate::options::{Global, GroupArgs};
use crate::partitions::parse_streams;
use crate::render::{counted, duration};
use crate::streamer::{
    Connections, Error, PendingFilter, PendingPages, RawName, Servers, Stop, consumers, find_streams, groups, names,
    parse_duration,
};

/// How long whoever pressed the key is kept waiting, connecting included.
const PATIENCE: Duration = Duration::from_millis(300);
/// Changes it, for servers that are far away; 0 asks no server.
const PATIENCE_VARIABLE: &str = "REDIS_STREAMER_COMPLETE_FOR";
/// More than this nobody reads through.
const MOST_PENDING: usize = 100;

/// What is asked for.
struct Question {
    kind: Kind,
    typed: String,
    /// The stream that was named, the first of a pattern.
    stream: Option<String>,
    group: GroupArgs,
    consumer: Option<String>,
}

/// Where the answers go; nobody takes them any more when the time is up.
type Found = Sender<Candidate>;

/// Asks in the background, and takes what is there when the time is up.
pub fn ask(line: &Line<'_>, kind: &Kind) -> Vec<Candidate> {
    let mut candidates = Vec::new();
    let Some(until) = patience().and_then(|patience| Instant::now().checked_add(patience)) else {
        return candidates;
    };
    let (Some(global), Some(question)) = (global(line), Question::of(line, kind)) else {
        return candidates;
    };
    let (found, answers) = channel();
    let work = move || {
        // Reading a password file or a certificate may take long, too.
        if let Ok(servers) = global.servers(&Stop::default()) {
            // Without an answer there is nothing to offer, for whatever reason.
            let _ = question.ask(&servers.until(Some(until)), until, &found);
        }
    };
    if thread::Builder::new().spawn(work).is_ok() {
        let left = || until.saturating_duration_since(Instant::now());
        candidates.extend(std::iter::from_fn(|| answers.recv_timeout(left()).ok()));
    }
    candidates.sort_by(|a, b| a.word.cmp(&b.word));
    candidates.dedup_by(|a, b| a.word == b.word);
    candidates
}

fn patience() -> Option<Duration> {
    let patience = match std::env::var(PATIENCE_VARIABLE) {
        Ok(text) => parse_duration(&text).ok()?,
        Err(_) => PATIENCE,
    };
    // Whoever is given no time may be served all the same, if he asks.
    (!patience.is_zero()).then_some(patience)
}

/// How to connect, as far as the line says; `None` if that cannot be known: another server's names would mislead.
fn global(line: &Line<'_>) -> Option<Global> {
    let mut words = vec!["redis-streamer".to_owned()];
    for (arg, value) in &line.given {
        // A password cannot be typed in between.
        let long = arg
            .get_long()
            .filter(|_| arg.is_global_set() && arg.get_id() != "askpass");
        match (long, value) {
            (None, _) => {}
            (Some(long), None) => words.push(format!("--{long}")),
            (Some(long), Some(value)) => words.push(format!("--{long}={}", expanded(value)?)),
        }
    }
    let command = Global::augment_args(clap::Command::new("redis-streamer"));
    let matches = command.clone().try_get_matches_from(&words).ok()?;
    let layers = Layers::read(&matches, None).ok()?;
    let matches = layers.under(command).try_get_matches_from(words).ok()?;
    let global = Global::from_arg_matches(&matches).ok()?.with(layers.beside_options());
    // Each press of a key would run it, and it may ask for something.
    (!global.runs_a_command()).then_some(global)
}

/// A word as the shell will hand it over, `~/` and variables of the environment replaced; `None` if only the shell knows.
fn expanded(word: &str) -> Option<String> {
    let home = word
        .strip_prefix("~/")
        .and_then(|rest| Some((std::env::var("HOME").ok()?, rest)));
    let mut text = home.map_or_else(|| word.to_owned(), |(home, rest)| format!("{home}/{rest}"));
    while let Some(start) = text.find('$') {
        let rest = &text[start + 1..];
        let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
        let (name, length) = match rest.strip_prefix('{').and_then(|rest| rest.split_once('}')) {
            Some((name, _)) => (name, name.len() + 2),
            None => {
                let length = rest.find(|c| !is_name(c)).unwrap_or(rest.len());
                (&rest[..length], length)
            }
        };
        let value = std::env::var(name).ok().filter(|value| !value.contains('$'))?;
        text.replace_range(start..start + 1 + length, &value);
    }
    (!text.contains('`')).then_some(text)
}

impl Question {
    /// `None` where too little is said to ask.
    fn of(line: &Line<'_>, kind: &Kind) -> Option<Self> {
        let last = |id| line.values(id).last().map(str::to_owned);
        let stream = line.values("stream").chain(line.values("streams")).next();
        let stream = stream.and_then(|stream| parse_streams(stream).ok());
        let question = Self {
            kind: kind.clone(),
            typed: line.typed.clone(),
            stream: stream.map(|streams| streams.first().to_owned()),
            group: GroupArgs {
                group: last("group"),
                listener: last("listener"),
            },
            consumer: last("consumer"),
        };
        (*kind == Kind::Stream || question.stream.is_some()).then_some(question)
    }

    fn ask(&self, servers: &Servers, until: Instant, found: &Found) -> Result<(), Error> {
        let Some(stream) = self.stream.as_deref().filter(|_| self.kind != Kind::Stream) else {
            return find_streams(servers, self.typed.as_bytes(), until, &|name| {
                // Not every verb takes names that are not text.
                if let Some(name) = name.text() {
                    tell(found, name, String::new());
                }
            });
        };
        let mut connections = Connections::new(servers, None);
        connections.set_deadline(Some(until));
        match self.kind {
            Kind::Group => self.groups(&mut connections, stream, |group| Some(group.to_owned()), found),
            Kind::Listener => self.groups(
                &mut connections,
                stream,
                |group| names::listener_of(stream, group),
                found,
            ),
            Kind::Consumer => self.consumers(&mut connections, stream, found),
            _ => self.pending(&mut connections, stream, found),
        }
    }

    fn groups(
        &self,
        connections: &mut Connections,
        stream: &str,
        word: impl Fn(&str) -> Option<String>,
        found: &Found,
    ) -> Result<(), Error> {
        for group in connections.at(stream, |connection| groups(connection, stream))? {
            if let Some(word) = group.name.text().and_then(&word) {
                let lag = group.lag.map(|lag| format!("lag {lag}, "));
                let help = format!("{}pending {}", lag.unwrap_or_default(), group.pending);
                tell(found, word, help);
            }
        }
        Ok(())
    }

    fn consumers(&self, connections: &mut Connections, stream: &str, found: &Found) -> Result<(), Error> {
        let Some(group) = self.group.on(stream) else {
            return Ok(());
        };
        let (stream, group) = (RawName::from(stream), RawName::from(group.as_str()));
        for consumer in connections.at(&stream, |connection| consumers(connection, &stream, &group))? {
            let help = format!("pending {}, idle {}", consumer.pending, duration(consumer.idle_ms));
            if let Some(name) = consumer.name.text() {
                tell(found, name, help);
            }
        }
        Ok(())
    }

    /// The entries that are pending in the group; in all groups, if none is named yet.
    fn pending(&self, connections: &mut Connections, stream: &str, found: &Found) -> Result<(), Error> {
        let all = match self.group.on(stream) {
            Some(group) => vec![RawName::from(group.as_str())],
            None => {
                let groups = connections.at(stream, |connection| groups(connection, stream))?;
                groups.into_iter().map(|group| group.name).collect()
            }
        };
        let (stream, consumer) = (RawName::from(stream), self.consumer.as_deref().map(RawName::from));
        for group in all {
            let filter = PendingFilter {
                min_idle_ms: 0,
                consumer: consumer.as_ref(),
                count: MOST_PENDING,
            };
            let mut pages = PendingPages::new(&stream, &group, filter);
            let entries = connections.at(&stream, |connection| pages.next(connection))?;
            for entry in entries.into_iter().flatten() {
                let idle = entry.idle_ms.map(|ms| format!(", idle {}", duration(ms)));
                let deliveries = counted(entry.deliveries, "delivery");
                let help = format!("{}, {deliveries}{}", entry.consumer, idle.unwrap_or_default());
                tell(found, entry.id.to_string(), help);
            }
        }
        Ok(())
    }
}

fn tell(found: &Found, word: impl Into<String>, help: String) {
    // Nobody listens any more when the time is up.
    let _ = found.send(Candidate::new(word, help));
}
