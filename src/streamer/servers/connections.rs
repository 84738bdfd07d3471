//! Connections kept for work on many streams: one to each node.

use std::time::{Duration, Instant};

use super::Servers;
use super::redirects::Redirects;
use super::slots::{Place, Work};
use crate::streamer::error::Error;
use crate::streamer::wire::{Address, Connection};

/// How long servers may take to settle where something is to be done, and how often they are asked meanwhile.
const SETTLING: Duration = Duration::from_secs(10);
const SETTLING_STEP: Duration = Duration::from_millis(100);

pub struct Connections {
    servers: Servers,
    kept: Vec<Connection>,
    deadline: Option<Instant>,
}

impl Connections {
    /// Begins with a connection that is there, if one is.
    pub fn new(servers: &Servers, first: Option<Connection>) -> Self {
        Self {
            servers: servers.clone(),
            kept: first.into_iter().collect(),
            deadline: None,
        }
    }

    /// The node that holds a key, and all others of its slot.
    pub fn node_of(&self, key: impl AsRef<[u8]>) -> Result<Address, Error> {
        self.servers.place(key.as_ref(), Work::OnSlot).map(|place| place.node)
    }

    /// The connection to the node that holds a key, and all others of its slot; one is made where there is none yet.
    pub fn of_slot(&mut self, key: &str) -> Result<&mut Connection, Error> {
        let place = self.servers.place(key.as_bytes(), Work::OnSlot)?;
        self.of_place(&place)
    }

    fn of_place(&mut self, place: &Place) -> Result<&mut Connection, Error> {
        let is_at = |connection: &Connection| *connection.node() == place.node && !connection.announces_all();
        let index = match self.kept.iter().position(is_at) {
            Some(index) if !place.asking => index,
            _ => {
                let mut connection = self.servers.until(self.deadline).open(place)?;
                connection.set_deadline(self.deadline);
                self.kept.push(connection);
                self.kept.len() - 1
            }
        };
        Ok(&mut self.kept[index])
    }

    /// Does something with one key at the node that holds it, wherever it moves meanwhile. What was redirected was not
    /// done.
    pub fn at<T>(
        &mut self,
        key: impl AsRef<[u8]>,
        mut work: impl FnMut(&mut Connection) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let mut redirects = Redirects::default();
        let mut until = None;
        loop {
            let place = self.servers.place(key.as_ref(), Work::OnOneKey);
            let done = place.and_then(|place| self.of_place(&place)).and_then(&mut work);
            // Its announcements are for this key alone.
            self.kept.retain(|connection| !connection.announces_all());
            let error = match done {
                Ok(done) => return Ok(done),
                Err(error) => error,
            };
            if error.is_connection() {
                self.kept.clear();
            }
            let is_followed = redirects.follow(&self.servers, &error);
            let until = *until.get_or_insert_with(|| {
                let until = Instant::now() + SETTLING;
                self.deadline.map_or(until, |deadline| deadline.min(until))
            });
            if !is_followed {
                if !self.servers.may_settle(&error) || until <= Instant::now() || self.servers.stop().ending().is_some()
                {
                    return Err(error);
                }
                self.servers.stop().pause(SETTLING_STEP);
            }
        }
    }

    /// From now on no answer is waited for beyond this.
    pub fn set_deadline(&mut self, deadline: Option<Instant>) {
        self.deadline = deadline;
        for connection in &mut self.kept {
            connection.set_deadline(deadline);
        }
    }

    /// Gives all of them up: after a failure nobody knows what is still to come over them.
    pub fn clear(&mut self) {
        self.kept.clear();
    }
}
