//! Streams that are looked at again and again, for as little as the servers can be asked for: connections are kept, and
//! so are the names of the streams for a while, since to find them all keys have to be gone through.

use std::time::{Duration, Instant};

use super::groups::ConsumerInfo;
use super::pending::{PendingEntry, PendingFilter, PendingPages};
use super::scan::Glob;
use super::state::{Look, group_info};
use super::survey::{Seat, Survey, survey_at, survey_of};
use crate::streamer::entry::{Entry, EntryId};
use crate::streamer::error::Error;
use crate::streamer::raw_name::RawName;
use crate::streamer::servers::{Connections, Servers};
use crate::streamer::wire::resp::Delivered;
use crate::streamer::wire::{Connection, Entries, Shape};

/// How long the names of streams are good for at least, and how much longer than it took to find them.
const NAMES_ARE_GOOD_FOR: Duration = Duration::from_secs(10);
const TIMES_AS_LONG: u32 = 50;

/// Which streams are looked at.
#[derive(Clone, Debug)]
pub enum Watched {
    /// Those whose names match one of the patterns; all, if there is none.
    Matching(Vec<Glob>),
    Named(Vec<RawName>),
}

pub struct Lookout {
    servers: Servers,
    watched: Watched,
    seats: Vec<Seat>,
    connections: Connections,
    /// When the names are to be found anew.
    names_end: Instant,
}

impl Lookout {
    pub fn new(servers: &Servers, watched: Watched) -> Self {
        Self {
            servers: servers.clone(),
            watched,
            seats: Vec::new(),
            connections: Connections::new(servers, None),
            names_end: Instant::now(),
        }
    }

    /// Looks at all streams. After a failure it is looked for the servers anew.
    pub fn look(&mut self, look: &Look) -> Result<Survey, Error> {
        let seen = match &self.watched {
            Watched::Named(names) => survey_of(&mut self.connections, names, look),
            Watched::Matching(globs) => {
                let globs = globs.clone();
                self.survey(&globs, look)
            }
        };
        if !matches!(&seen, Ok(survey) if survey.away.is_empty()) {
            self.seats.clear();
            self.connections.clear();
        }
        seen
    }

    fn survey(&mut self, globs: &[Glob], look: &Look) -> Result<Survey, Error> {
        if self.seats.is_empty() {
            self.seats = self.servers.masters()?.into_iter().map(Seat::new).collect();
        }
        let begun = Instant::now();
        let finds_names = self.names_end <= begun;
        if finds_names {
            self.forget_names();
        }
        let seen = survey_at(&self.servers, &mut self.seats, globs, look)?;
        if finds_names {
            self.names_end = begun + NAMES_ARE_GOOD_FOR.max(begun.elapsed() * TIMES_AS_LONG);
        }
        Ok(seen)
    }

    /// From now on streams are found that are new.
    pub fn forget_names(&mut self) {
        for seat in &mut self.seats {
            seat.forget_names();
        }
        self.names_end = Instant::now();
    }

    /// The consumers of a group, and its first pending entries.
    pub fn group(
        &mut self,
        stream: &RawName,
        group: &RawName,
        most: usize,
    ) -> Result<(Vec<ConsumerInfo>, Vec<PendingEntry>), Error> {
        let filter = PendingFilter {
            min_idle_ms: 0,
            consumer: None,
            count: most,
        };
        self.connections.at(stream, |connection| {
            let (_, consumers) = group_info(connection, stream, group)?;
            let mut pages = PendingPages::new(stream, group, filter);
            let entries = pages.next(connection)?;
            Ok((consumers, entries.unwrap_or_default()))
        })
    }

    /// Makes something of an entry, if it is still there.
    pub fn entry<T>(
        &mut self,
        stream: &RawName,
        id: EntryId,
        make: impl Fn(&Entry<'_>) -> T,
    ) -> Result<Option<T>, Error> {
        self.connections
            .at(stream, |connection| read_entry(connection, stream, id, &make))
    }
}

fn read_entry<T>(
    connection: &mut Connection,
    stream: &RawName,
    id: EntryId,
    make: impl Fn(&Entry<'_>) -> T,
) -> Result<Option<T>, Error> {
    let mut range = redis::cmd("XRANGE");
    range.arg(stream.as_bytes()).arg(id.to_string()).arg(id.to_string());
    connection.send(&range.get_packed_command())?;
    let mut entries = Entries::begin(connection, Shape::OneStream, Duration::ZERO)?
        .map_err(|refusal| Error::refused(refusal, &stream.typed(), None))?;
    let mut made = None;
    while let Some((_, delivered)) = entries.next(connection, &[])? {
        if let Delivered::Entry(entry) = delivered {
            made = Some(make(&entry));
        }
    }
    Ok(made)
}
