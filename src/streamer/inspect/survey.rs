//! Many streams and their groups at a glance, in few round trips.

use std::collections::BTreeMap;

use redis::{Cmd, Value};

use super::groups::{ConsumerInfo, GroupInfo, consumer_rows, group_rows, of_name};
use super::lossy;
use super::oldest::{Search, search};
use super::scan::stream_keys;
use crate::streamer::error::{Error, ServerError};
use crate::streamer::servers::{Connections, Node, Servers, at_once};
use crate::streamer::wire::{Answer, Connection};

/// A stream and its groups, as they stood within the same moments.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StreamState {
    pub name: String,
    /// How many entries it holds.
    pub length: u64,
    /// Sorted by name.
    pub groups: Vec<GroupState>,
}

/// A group, and the one figure about it that the server has to search for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupState {
    pub info: GroupInfo,
    /// Milliseconds for which the entry that waits longest for its acknowledgement was idle; `None` if nothing
    /// is pending but what was handed back, or if nobody asked.
    pub oldest_idle_ms: Option<u64>,
}

/// All streams.
#[derive(Debug, Default)]
pub struct Survey {
    /// Those that can be seen, sorted by name, or in the order in which they were asked for.
    pub streams: Vec<StreamState>,
    /// Those that the user may not look at.
    pub hidden: Vec<Hidden>,
    /// Nodes that could not be asked: their streams are missing.
    pub away: Vec<Away>,
    /// Those that were asked for and are not there; empty among the others.
    pub missing: Vec<String>,
}

impl Survey {
    /// Where nothing can be seen because of a node that is away, that is the failure.
    fn or_failure(mut self) -> Result<Self, Error> {
        match self.away.pop() {
            Some(away) if self.streams.is_empty() && self.hidden.is_empty() => Err(away.error),
            last => {
                self.away.extend(last);
                Ok(self)
            }
        }
    }
}

/// A node that could not be asked.
#[derive(Debug)]
pub struct Away {
    pub node: String,
    pub error: Error,
}

/// A stream that the user may not look at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hidden {
    pub stream: String,
    pub refusal: ServerError,
}

/// How many streams are asked about in one piece.
const STREAMS: usize = 500;

/// All streams of some nodes, which are asked at the same time. A stream that goes while they are looked at is left out,
/// one that moves to another node is looked for there.
pub fn survey(servers: &Servers, nodes: Vec<Node>) -> Result<Survey, Error> {
    let seen = at_once(nodes, |(node, connection)| {
        let seen = connection.and_then(|mut connection| see_node(&mut connection));
        (node, seen)
    });
    let mut survey = Survey::default();
    // By the names that the servers give them: one that moved may have been seen at both places.
    let (mut streams, mut moved) = (BTreeMap::new(), Vec::new());
    for (node, seen) in seen {
        match seen {
            Ok(seen) => {
                streams.extend(seen.streams);
                survey.hidden.extend(seen.hidden);
                moved.extend(seen.moved);
            }
            Err(error) if error.is_passing() => survey.away.push(Away { node, error }),
            Err(error) => return Err(error),
        }
    }
    add_moved(&mut survey, &mut streams, servers, moved)?;
    survey.streams = streams.into_values().collect();
    survey.hidden.sort_by(|a, b| a.stream.cmp(&b.stream));
    survey.or_failure()
}

/// Some streams, in their order. A node that is away is asked for none of them again.
pub fn survey_of(mut connections: Connections, names: &[String]) -> Result<Survey, Error> {
    let mut survey = Survey::default();
    for name in names {
        let node = connections.node_of(name)?.to_string();
        if survey.away.iter().any(|away| away.node == node) {
            continue;
        }
        match connections.at(name, |connection| state_of(connection, name.as_bytes())) {
            Ok(Some(state)) => survey.streams.push(state),
            Ok(None) => {
                survey.missing.push(name.clone());
                survey.streams.push(StreamState {
                    name: name.clone(),
                    length: 0,
                    groups: Vec::new(),
                });
            }
            Err(Error::Denied(refusal) | Error::KeyDenied { refusal, .. }) => survey.hidden.push(Hidden {
                stream: name.clone(),
                refusal,
            }),
            Err(error) if error.is_passing() => survey.away.push(Away { node, error }),
            Err(error) => return Err(error),
        }
    }
    survey.or_failure()
}

/// What was seen at a node.
#[derive(Default)]
struct Seen {
    streams: Vec<(Vec<u8>, StreamState)>,
    hidden: Vec<Hidden>,
    /// Those that went to another node meanwhile.
    moved: Vec<Vec<u8>>,
}

fn see_node(connection: &mut Connection) -> Result<Seen, Error> {
    let names = stream_keys(connection)?;
    let mut seen = Seen::default();
    let mut found = Vec::new();
    for chunk in names.chunks(STREAMS) {
        for (name, state) in chunk.iter().zip(sight(connection, chunk)?) {
            match state {
                Ok(Some(sighted)) => found.push(sighted),
                // Deleted since it was named, or replaced by something else.
                Ok(None) | Err(Error::WrongType { .. }) => {}
                Err(Error::Denied(refusal) | Error::KeyDenied { refusal, .. }) => seen.hidden.push(Hidden {
                    stream: lossy(name),
                    refusal,
                }),
                Err(error) if error.is_redirection() => seen.moved.push(name.clone()),
                Err(error) => return Err(error),
            }
        }
    }
    let searched = search(
        connection,
        &mut found.iter_mut().flat_map(Sighted::searches).collect::<Vec<_>>(),
    );
    match searched {
        // Which of them went, each tells by itself.
        Err(error) if error.is_redirection() => seen.moved.extend(found.into_iter().map(|sighted| sighted.name)),
        searched => {
            searched?;
            let state = |sighted: Sighted| (sighted.name.clone(), sighted.state());
            seen.streams = found.into_iter().map(state).collect();
        }
    }
    Ok(seen)
}

fn add_moved(
    survey: &mut Survey,
    streams: &mut BTreeMap<Vec<u8>, StreamState>,
    servers: &Servers,
    names: Vec<Vec<u8>>,
) -> Result<(), Error> {
    let mut connections = Connections::new(servers, None);
    for name in names {
        match connections.at(&name, |connection| state_of(connection, &name)) {
            Ok(state) => streams.extend(state.map(|state| (name, state))),
            Err(error) if error.is_passing() => survey.away.push(Away {
                node: format!("the node of {}", lossy(&name)),
                error,
            }),
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// One stream with its groups.
pub fn stream_state(connection: &mut Connection, stream: &str) -> Result<StreamState, Error> {
    state_of(connection, stream.as_bytes())?.ok_or_else(|| no_stream(stream))
}

fn state_of(connection: &mut Connection, name: &[u8]) -> Result<Option<StreamState>, Error> {
    let sighted = sight(connection, &[name.to_vec()])?.pop();
    let Some(mut sighted) = sighted.unwrap_or(Ok(None))? else {
        return Ok(None);
    };
    search(connection, &mut sighted.searches().collect::<Vec<_>>())?;
    Ok(Some(sighted.state()))
}

/// Whether the entry of a group that was idle longest is searched for: the server looks at all that is pending.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Oldest {
    Search,
    Leave,
}

/// One group of a stream with its consumers; the other groups are not searched.
pub fn group_state(
    connection: &mut Connection,
    stream: &str,
    group: &str,
    oldest: Oldest,
) -> Result<(GroupState, Vec<ConsumerInfo>), Error> {
    let (mut groups, mut consumers) = (redis::cmd("XINFO"), redis::cmd("XINFO"));
    groups.arg("GROUPS").arg(stream);
    consumers.arg("CONSUMERS").arg(stream).arg(group);
    let mut answers = connection.query_all(&[groups, consumers])?.into_iter();
    let mut answer = || {
        answers.next().unwrap_or(Ok(Value::Nil)).map_err(|refusal| {
            if refusal.is_no_such_key() {
                no_stream(stream)
            } else {
                Error::refused(refusal, stream, Some(group))
            }
        })
    };
    let (groups, consumers) = (answer()?, answer());
    let (name, info) = of_name(group_rows(connection, groups)?, stream, group)?;
    let consumers = consumer_rows(connection, consumers?)?;
    let mut found = Search::new(name, info);
    if oldest == Oldest::Search {
        search(connection, &mut [(stream.as_bytes(), &mut found)])?;
    }
    Ok((found.state(), consumers))
}

/// Asks for lengths and groups. XLEN, since XINFO STREAM would bring two whole entries along.
fn sight(connection: &mut Connection, names: &[Vec<u8>]) -> Result<Vec<Result<Option<Sighted>, Error>>, Error> {
    let commands: Vec<Cmd> = names
        .iter()
        .flat_map(|name| {
            let (mut length, mut groups) = (redis::cmd("XLEN"), redis::cmd("XINFO"));
            length.arg(name);
            groups.arg("GROUPS").arg(name);
            [length, groups]
        })
        .collect();
    let mut replies = connection.query_all(&commands)?.into_iter();
    Ok(names
        .iter()
        .zip(std::iter::from_fn(|| replies.next().zip(replies.next())))
        .map(|(name, (length, groups))| sighted(connection, name, length, groups))
        .collect())
}

fn sighted(connection: &Connection, name: &[u8], length: Answer, groups: Answer) -> Result<Option<Sighted>, Error> {
    let refused = |error| Error::refused(error, &lossy(name), None);
    let rows = match groups {
        Err(error) if error.is_no_such_key() => return Ok(None),
        answer => answer.map_err(refused)?,
    };
    let groups = group_rows(connection, rows)?;
    Ok(Some(Sighted {
        name: name.to_vec(),
        length: connection.read(length.map_err(refused)?)?,
        groups: groups.into_iter().map(|(name, info)| Search::new(name, info)).collect(),
    }))
}

fn no_stream(stream: &str) -> Error {
    Error::NoStream {
        stream: stream.to_owned(),
    }
}

/// A stream that was there. Names stay bytes until nothing more is asked about them.
struct Sighted {
    name: Vec<u8>,
    length: u64,
    groups: Vec<Search>,
}

impl Sighted {
    fn searches(&mut self) -> impl Iterator<Item = (&[u8], &mut Search)> {
        let name = self.name.as_slice();
        self.groups.iter_mut().map(move |search| (name, search))
    }

    fn state(self) -> StreamState {
        StreamState {
            name: lossy(&self.name),
            length: self.length,
            groups: self.groups.into_iter().map(Search::state).collect(),
        }
    }
}

impl Search {
    fn state(self) -> GroupState {
        GroupState {
            info: self.info,
            oldest_idle_ms: self.oldest_idle_ms,
        }
    }
}
