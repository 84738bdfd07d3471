//! A producer's connection, and what it takes to have one: the last one closed, the marker read.

use std::time::Instant;

use super::marker::{self, Contents, Mark, Position, Writer, connection_name};
use super::{LostIds, MarkerAfterwards, Settings};
use crate::streamer::entry::EntryId;
use crate::streamer::error::{Error, ServerError};
use crate::streamer::servers::{Closed, Identity, Servers, close_named, fact, introduced, introduction};
use crate::streamer::wire::{Answer, Connection, StreamEnd, known_end, receive_stream_end, stream_query};

/// A connection that batches can be sent over.
pub struct Link {
    pub connection: Connection,
    /// The connection as the next one can find it, where the server allows it.
    pub identity: Option<Identity>,
    pub writer: Writer,
    /// What is known of the connection before.
    pub before: Closed,
    /// Which run of a server it leads to, where the server tells.
    pub server_run: Option<String>,
}

/// How entries are sent.
#[derive(Debug)]
pub enum Mode {
    /// As transactions that move a marker.
    Marked,
    /// By themselves, because the server refuses the marker.
    Plain(ServerError),
}

/// What was found as a connection was made.
pub struct Found {
    pub mode: Mode,
    pub marker: Contents,
    /// What the stream remembers, if there is one; `None` where it was not asked.
    pub stream: Option<Option<StreamEnd>>,
}

impl Link {
    /// The first connection of a run. Where there was no other, the marker says `first` from now on.
    pub fn first(servers: &Servers, settings: &Settings, key: &str, first: &Position) -> Result<(Self, Found), Error> {
        let mut connection = servers.of_slot(&settings.stream)?;
        if let Some(durability) = &settings.durability {
            durability.check(&mut connection)?;
        }
        let name = connection_name(&settings.producer);
        let before = match settings.earlier {
            Some(_) => close_named(&mut connection, &name)?,
            None => Closed::Surely,
        };
        let marker_key = servers.share_a_slot(&settings.stream, key).then_some(key);
        let introduced = introduce(&mut connection, settings, &name, marker_key, first)?;
        let Introduced {
            identity,
            server_run,
            probed,
            stream,
        } = introduced;
        if settings.earlier.is_none() && probed.is_err() {
            // Where MULTI is refused, what stands behind it was executed by itself.
            let _ = connection.query_all(&[marker::delete(key)])?;
        }
        let (mode, marker) = match probed {
            Err(refusal) => (Mode::Plain(refusal), Contents::default()),
            // It takes no transaction now, as for want of memory, and tells what the marker says all the same.
            Ok(None) if settings.earlier.is_some() => (Mode::Marked, read_marker(&mut connection, key)?),
            Ok(None) => (Mode::Marked, Contents::default()),
            Ok(Some(found)) if settings.earlier.is_some() => (Mode::Marked, connection.read(found)?),
            // An attempt that broke off may have set it; it says the same.
            Ok(Some(_)) => (Mode::Marked, Mark::whole(*first).into()),
        };
        let link = Self {
            connection,
            identity,
            writer: first.writer,
            before,
            server_run,
        };
        let found = Found { mode, marker, stream };
        Ok((link, found))
    }

    /// The next connection after one that was lost. What that one carried may still wait in the server's socket: it is
    /// closed there before the marker is read.
    pub fn again(
        servers: &Servers,
        settings: &Settings,
        lost: Option<&Identity>,
        deadline: Option<Instant>,
    ) -> Result<Self, Error> {
        let servers = servers.until(deadline);
        let mut connection = servers.of_slot(&settings.stream)?;
        connection.set_deadline(deadline);
        let before = match lost {
            Some(lost) => servers.close(&mut connection, lost)?,
            None => Closed::Unknown,
        };
        let name = connection_name(&settings.producer);
        let mut commands = introduction(&name);
        commands.push(server_query());
        let mut answers = connection.query_all(&commands)?.into_iter();
        let identity = introduced(&connection, &name, &mut answers)?;
        Ok(Self {
            connection,
            identity,
            writer: Writer::new(),
            before,
            server_run: answers.next().and_then(server_run),
        })
    }

    /// What the marker holds.
    pub fn marker(&mut self, key: &str) -> Result<Contents, Error> {
        read_marker(&mut self.connection, key)
    }

    /// Whether an entry is there.
    pub fn has_entry(&mut self, stream: &str, id: EntryId) -> Result<bool, Error> {
        let id = id.to_string();
        let mut range = redis::cmd("XRANGE");
        range.arg(stream).arg(&id).arg(&id);
        let reply: Vec<redis::Value> = self.connection.ask(&range, stream, None)?;
        Ok(!reply.is_empty())
    }
}

fn read_marker(connection: &mut Connection, key: &str) -> Result<Contents, Error> {
    connection.ask(&marker::read(key), key, None)
}

/// What is learnt as a connection is introduced.
struct Introduced {
    identity: Option<Identity>,
    server_run: Option<String>,
    probed: Probed,
    stream: Option<Option<StreamEnd>>,
}

/// What stands behind an introduction: what the transaction gave, if the server takes such now, or why there can be no
/// marker.
type Probed = Result<Option<redis::Value>, ServerError>;

/// Names a connection, sees whether it may have a marker at this key in a transaction, and asks for the stream's last ID where
/// somebody will want it: all in one round trip. Only a marker is set behind a MULTI nobody knows to be taken: if it is
/// refused, what follows is executed at once.
fn introduce(
    connection: &mut Connection,
    settings: &Settings,
    name: &str,
    key: Option<&str>,
    first: &Position,
) -> Result<Introduced, Error> {
    let mut commands = introduction(name);
    commands.push(server_query());
    if let Some(key) = key {
        commands.push(redis::cmd("MULTI"));
        match settings.earlier {
            None => commands.extend(marker::set_first(key, &settings.stream, first)),
            // A marker that is not there must not be set before it is known how far the input is in.
            Some(_) => commands.push(marker::read(key)),
        }
        commands.push(redis::cmd("EXEC"));
    }
    let asks = settings.lost_ids == LostIds::LookUp || settings.marker == MarkerAfterwards::Keep;
    let mut packed = Vec::new();
    for command in &commands {
        command.write_packed_command(&mut packed);
    }
    if asks {
        stream_query(&settings.stream).write_packed_command(&mut packed);
    }
    connection.send(&packed)?;
    let answers: Result<Vec<_>, Error> = commands.iter().map(|_| connection.answer()).collect();
    let answers = answers?;
    let end = if asks {
        Some(receive_stream_end(connection)?)
    } else {
        None
    };
    let mut answers = answers.into_iter();
    let identity = introduced(connection, name, &mut answers)?;
    let server_run = answers.next().and_then(server_run);
    let probed = match key {
        Some(_) => probed(answers.collect())?,
        None => Err(elsewhere()),
    };
    let end = end.map(|end| known_end(end, &settings.stream)).transpose()?;
    Ok(Introduced {
        identity,
        server_run,
        probed,
        stream: end,
    })
}

/// Why a cluster lets a stream have no marker.
pub fn elsewhere() -> ServerError {
    ServerError {
        code: "CROSSSLOT".to_owned(),
        detail: "the marker of a stream of this name is in another slot".to_owned(),
    }
}

fn server_query() -> redis::Cmd {
    let mut info = redis::cmd("INFO");
    info.arg("server");
    info
}

/// The name that a server gives each of its runs.
fn server_run(answer: Answer) -> Option<String> {
    let text: String = redis::from_redis_value(answer.ok()?).ok()?;
    fact(&text, "run_id").map(str::to_owned)
}

/// What the answers to MULTI, some commands and EXEC tell.
fn probed(mut answers: Vec<Answer>) -> Result<Probed, Error> {
    let executed = answers.pop();
    for answer in answers {
        match answer {
            Ok(_) => {}
            Err(refusal) if is_about_the_marker(&refusal) => return Ok(Err(refusal)),
            // A state that is met by the first batch, and waited for. In others the server cannot serve at all, or the
            // stream is elsewhere.
            Err(refusal) if matches!(&*refusal.code, "OOM" | "READONLY" | "NOREPLICAS" | "MISCONF" | "BUSY") => {
                return Ok(Ok(None));
            }
            Err(refusal) => return Err(Error::refused(refusal, "", None)),
        }
    }
    Ok(match executed {
        Some(Ok(redis::Value::Array(results))) => match results.into_iter().next() {
            Some(redis::Value::ServerError(error)) => Err(error.into()),
            result => Ok(result),
        },
        Some(Err(refusal)) => match refusal.cause() {
            cause if !cause.is_passing() && cause.code != "EXECABORT" => Err(cause),
            _ => Ok(None),
        },
        _ => Ok(None),
    })
}

/// The server lets this user set no marker, or knows no transactions.
fn is_about_the_marker(refusal: &ServerError) -> bool {
    refusal.code == "NOPERM" || refusal.code == "ERR" || refusal.code == "WRONGTYPE"
}
