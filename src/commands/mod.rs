//! The commands: one file a verb, named as typed, with its arguments, its help and its work.

pub mod ack;
pub mod complete;
pub mod completions;
pub mod consume;
mod durability;
mod fields;
mod lag_json;
pub mod local;
pub mod man;
mod mistyped;
pub mod nack;
mod pace;
pub mod pending;
pub mod profiles;
pub mod redrive;
mod references;
pub mod send;
pub mod send_batch;
mod streams;
pub mod subscribe;
pub mod trim;
pub mod unsubscribe;

use std::path::Path;
use std::thread::ScopedJoinHandle;
use std::time::Duration;

use anyhow::Context as _;

use crate::failure::Failure;
use crate::render::{Layout, counted};
use crate::streamer::{Connection, Connections, Ending, Error, Node, Notice, Servers, Stop, first, ready};
use crate::ui::Ui;

pub use mistyped::{meant_by, mistyped};

/// What every command works with.
pub struct Context {
    pub ui: Ui,
    pub servers: Servers,
    /// Whether the command is to end.
    pub stop: Stop,
    /// How long to keep trying the first connection.
    pub wait: Option<Duration>,
}

impl Context {
    /// Connects to the node of a stream, trying again for as long as `--wait` says; other nodes follow as they are
    /// needed.
    pub fn connect_to(&self, stream: impl AsRef<[u8]>) -> Result<Connections, Error> {
        let connection = self.first(|| self.try_to_connect_to(&stream))?;
        Ok(Connections::new(&self.servers, Some(connection)))
    }

    /// Connects to every node, trying again for as long as `--wait` says; to all of them, if it says so.
    pub fn connect_to_all(&self) -> Result<Vec<Node>, Error> {
        self.first(|| {
            let nodes = self.servers.masters()?;
            let ready = |(node, connection): Node| match connection.and_then(|connection| self.ready(connection)) {
                Err(error) if self.wait.is_some() => Err(error),
                connection => Ok((node, connection)),
            };
            nodes.into_iter().map(ready).collect()
        })
    }

    /// One attempt to make the first connection to the node of a stream.
    pub fn try_to_connect_to(&self, stream: impl AsRef<[u8]>) -> Result<Connection, Error> {
        self.ready(self.servers.of_slot(stream)?)
    }

    fn first<T>(&self, attempt: impl FnMut() -> Result<T, Error>) -> Result<T, Error> {
        self.say_connecting();
        first(&self.servers, self.wait, &|notice| self.notice(notice), attempt)
    }

    /// A server that is waited for must also be ready to serve.
    fn ready(&self, mut connection: Connection) -> Result<Connection, Error> {
        if self.wait.is_some() {
            ready(&mut connection)?;
        }
        Ok(connection)
    }

    pub fn say_connecting(&self) {
        self.ui.detail(&format!("connecting to {}", self.servers.name()));
    }

    /// Says what happens to a connection.
    pub fn notice(&self, notice: Notice<'_>) {
        let server = self.servers.name();
        self.ui.status(&match notice {
            Notice::Waiting => format!("waiting for {server}"),
            Notice::Lost(failure) => format!("{:#}; trying again", chain(failure)),
            Notice::Serves => format!("{server} serves again"),
        });
    }
}

/// Writes data to stdout.
fn print(ui: Ui, data: &[u8]) -> anyhow::Result<Ending> {
    match ui.data().and_then(|mut stdout| stdout.write(data)) {
        Ok(()) => Ok(Ending::Enough),
        Err(error) => Failure::stdout(error),
    }
}

/// Writes what a person is told to stdout, where it is what was asked for.
fn print_words(ui: Ui, words: &str) -> anyhow::Result<Ending> {
    print(ui, ui.words(words).as_bytes())
}

/// How tables are laid out.
fn layout(ui: Ui) -> Layout {
    Layout {
        width: ui.table_width(),
        paint: ui.look().paint,
    }
}

/// Writes tables, which cannot command a terminal.
fn print_tables(ui: Ui, tables: &str) -> anyhow::Result<Ending> {
    match ui.data().and_then(|mut stdout| stdout.show(tables.as_bytes())) {
        Ok(()) => Ok(Ending::Enough),
        Err(error) => Failure::stdout(error),
    }
}

/// Writes a JSON document to stdout.
fn print_json(ui: Ui, document: &[u8]) -> anyhow::Result<Ending> {
    match ui.data().and_then(|mut stdout| stdout.write_json(document)) {
        Ok(()) => Ok(Ending::Enough),
        Err(error) => Failure::stdout(error),
    }
}

/// Writes files, by their names, into a directory, which is made if it is missing.
fn write_all(dir: &Path, files: impl Iterator<Item = (String, Vec<u8>)>, ui: Ui) -> anyhow::Result<Ending> {
    std::fs::create_dir_all(dir).with_context(|| format!("cannot make the directory {}", dir.display()))?;
    let mut count = 0;
    for (name, contents) in files {
        let path = dir.join(name);
        std::fs::write(&path, contents).with_context(|| format!("cannot write {}", path.display()))?;
        count += 1;
    }
    ui.status(&format!("wrote {} to {}", counted(count, "file"), dir.display()));
    Ok(Ending::Enough)
}

/// Fails if messages were acknowledged and not deleted as they were to be.
fn undeletable(count: u64) -> Result<(), Failure> {
    if count == 0 {
        return Ok(());
    }
    Err(Failure::data(format!(
        "{} acknowledged and not deleted: there were other groups, and the server cannot tell what all groups have acknowledged",
        counted(count, "message")
    ))
    .hint("trim --acked removes what every group has acknowledged"))
}

/// What came of the work on one of several streams, if there was a thread for it.
fn join<T>(started: std::io::Result<ScopedJoinHandle<'_, T>>) -> anyhow::Result<T> {
    let started = started.context("cannot start a thread for each stream")?;
    Ok(started.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
}

/// A failure and its causes on one line.
fn chain(failure: &Error) -> String {
    let mut text = failure.to_string();
    let mut source = std::error::Error::source(failure);
    while let Some(cause) = source {
        text.push_str(&format!(": {cause}"));
        source = cause.source();
    }
    text
}
