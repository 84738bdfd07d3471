//! Many streams and their groups at a glance, in few round trips.

use std::collections::BTreeMap;

use super::scan::{Glob, stream_keys};
use super::state::{Look, StreamState, sight, state_of, states};
use crate::streamer::error::{Error, ServerError};
use crate::streamer::raw_name::RawName;
use crate::streamer::servers::{Connections, Node, Servers, at_once};
use crate::streamer::wire::Connection;

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
    pub missing: Vec<RawName>,
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
    pub stream: RawName,
    pub refusal: ServerError,
}

/// How many streams are asked about in one piece.
const STREAMS: usize = 500;

/// All streams of some nodes, or those whose names match one of `globs`.
pub fn survey(servers: &Servers, nodes: Vec<Node>, globs: &[Glob], look: &Look) -> Result<Survey, Error> {
    let mut seats: Vec<_> = nodes.into_iter().map(Seat::new).collect();
    survey_at(servers, &mut seats, globs, look)
}

/// A node that is asked, perhaps more than once.
pub(super) struct Seat {
    node: String,
    /// `None` once it failed.
    connection: Option<Result<Connection, Error>>,
    /// The streams it has, as far as they are known.
    names: Option<Vec<RawName>>,
}

impl Seat {
    pub(super) fn new((node, connection): Node) -> Self {
        Self {
            node,
            connection: Some(connection),
            names: None,
        }
    }

    pub(super) fn forget_names(&mut self) {
        self.names = None;
    }

    fn see(&mut self, globs: &[Glob], look: &Look) -> Result<Seen, Error> {
        let Some(connection) = self.connection.take() else {
            return Ok(Seen::default());
        };
        let mut connection = connection?;
        let names = match self.names.take() {
            Some(names) => names,
            None => stream_keys(&mut connection, globs)?,
        };
        let seen = see_streams(&mut connection, &names, look)?;
        self.connection = Some(Ok(connection));
        self.names = Some(names);
        Ok(seen)
    }
}

/// The streams of nodes, which are asked at the same time. A stream that goes while they are looked at is left out, one
/// that moves to another node is looked for there.
pub(super) fn survey_at(servers: &Servers, seats: &mut [Seat], globs: &[Glob], look: &Look) -> Result<Survey, Error> {
    let seen = at_once(seats.iter_mut().collect(), |seat: &mut Seat| {
        let seen = seat.see(globs, look);
        (seat.node.clone(), seen)
    });
    let mut survey = Survey::default();
    // By name: one that moved may have been seen at both places.
    let (mut streams, mut moved) = (BTreeMap::new(), Vec::new());
    for (node, seen) in seen {
        match seen {
            Ok(seen) => {
                streams.extend(by_name(seen.streams));
                survey.hidden.extend(seen.hidden);
                moved.extend(seen.moved);
            }
            Err(error) if error.is_passing() => survey.away.push(Away { node, error }),
            Err(error) => return Err(error),
        }
    }
    add_moved(&mut survey, &mut streams, servers, moved, look)?;
    survey.streams = streams.into_values().collect();
    survey.hidden.sort_by(|a, b| a.stream.cmp(&b.stream));
    survey.or_failure()
}

/// Some streams, in their order. A node that is away is asked for none of them again.
pub fn survey_of(connections: &mut Connections, names: &[RawName], look: &Look) -> Result<Survey, Error> {
    let mut survey = Survey::default();
    for name in names {
        let node = connections.node_of(name)?.to_string();
        if survey.away.iter().any(|away| away.node == node) {
            continue;
        }
        match connections.at(name, |connection| state_of(connection, name, look)) {
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
    streams: Vec<StreamState>,
    hidden: Vec<Hidden>,
    /// Those that went to another node meanwhile.
    moved: Vec<RawName>,
}

fn by_name(streams: Vec<StreamState>) -> impl Iterator<Item = (RawName, StreamState)> {
    streams.into_iter().map(|state| (state.name.clone(), state))
}

fn see_streams(connection: &mut Connection, names: &[RawName], look: &Look) -> Result<Seen, Error> {
    let mut seen = Seen::default();
    let mut found = Vec::new();
    for chunk in names.chunks(STREAMS) {
        for (name, state) in chunk.iter().zip(sight(connection, chunk, look)?) {
            match state {
                Ok(Some(sighted)) => found.push(sighted),
                // Deleted since it was named, or replaced by something else.
                Ok(None) | Err(Error::WrongType { .. }) => {}
                Err(Error::Denied(refusal) | Error::KeyDenied { refusal, .. }) => seen.hidden.push(Hidden {
                    stream: name.clone(),
                    refusal,
                }),
                Err(error) if error.is_redirection() => seen.moved.push(name.clone()),
                Err(error) => return Err(error),
            }
        }
    }
    let names: Vec<_> = found.iter().map(|sighted| sighted.name.clone()).collect();
    match states(connection, found, look) {
        // Which of them went, each tells by itself.
        Err(error) if error.is_redirection() => seen.moved.extend(names),
        states => seen.streams = states?,
    }
    Ok(seen)
}

fn add_moved(
    survey: &mut Survey,
    streams: &mut BTreeMap<RawName, StreamState>,
    servers: &Servers,
    names: Vec<RawName>,
    look: &Look,
) -> Result<(), Error> {
    let mut connections = Connections::new(servers, None);
    for name in names {
        match connections.at(&name, |connection| state_of(connection, &name, look)) {
            Ok(state) => streams.extend(state.map(|state| (name, state))),
            Err(error) if error.is_passing() => survey.away.push(Away {
                node: format!("the node of {name}"),
                error,
            }),
            Err(error) => return Err(error),
        }
    }
    Ok(())
}
