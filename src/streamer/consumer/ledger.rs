//! The ledger of entries that a group has processed: at most once, across all who keep it.
//!
//! It is the sorted set `stream:S:group:G:processed` of the wire contract, kept by the Python package too:
//! members are entry IDs, scores are times in milliseconds. It may live on another node than its stream, so it has
//! connections of its own.

use std::collections::HashMap;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use super::messages::Key;
use crate::streamer::entry::EntryId;
use crate::streamer::error::Error;
use crate::streamer::names;
use crate::streamer::servers::Servers;
use crate::streamer::wire::Connection;

/// A group's ledgers, one for each stream.
pub struct Ledger {
    servers: Servers,
    keys: Vec<String>,
    window: Duration,
    connections: Vec<Option<Connection>>,
    /// Nothing is waited for beyond this.
    pub deadline: Option<Instant>,
    /// What was asked for and not answered, because the connection was lost, with the times that were asked to be
    /// written: the ledger tells by the time whose reservation it holds.
    unanswered: HashMap<Key, Vec<u64>>,
}

impl Ledger {
    pub fn new(servers: &Servers, streams: &[String], group: &str, window: Duration) -> Self {
        let key = |stream: &String| names::ledger(stream, group);
        Self {
            servers: servers.clone(),
            keys: streams.iter().map(key).collect(),
            window,
            connections: streams.iter().map(|_| None).collect(),
            deadline: None,
            unanswered: HashMap::new(),
        }
    }

    /// Reserves entries of one stream, and forgets what is older than the window. Says of each whether it is this
    /// consumer's to process: false if somebody processed it already.
    pub fn reserve(&mut self, stream: usize, ids: &[EntryId]) -> Result<Vec<bool>, Error> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        for id in ids {
            let times = self.unanswered.entry(Key { stream, id: *id }).or_default();
            times.push(now.as_millis() as u64);
        }
        let fresh = self.over(stream, |ledger, connection| ledger.ask(connection, stream, ids, now))?;
        let mut ours = Vec::with_capacity(ids.len());
        for (id, fresh) in ids.iter().zip(fresh) {
            ours.push(fresh || self.was_asked_before(Key { stream, id: *id })?);
        }
        // Only now: had an answer failed to come, all would be asked for again.
        for id in ids {
            self.unanswered.remove(&Key { stream, id: *id });
        }
        Ok(ours)
    }

    /// Takes entries out of the ledger again: they were reserved and then not processed.
    pub fn release(&mut self, stream: usize, ids: &[EntryId]) -> Result<(), Error> {
        if ids.is_empty() {
            return Ok(());
        }
        let mut release = redis::cmd("ZREM");
        release.arg(&self.keys[stream]);
        for id in ids {
            release.arg(id.to_string());
        }
        self.over(stream, |ledger, connection| {
            connection.ask::<u64>(&release, &ledger.keys[stream], None).map(drop)
        })
    }

    /// Whether a reservation that was refused now is this consumer's own, whose answer was lost.
    fn was_asked_before(&mut self, key: Key) -> Result<bool, Error> {
        let asked = self.unanswered.get(&key).cloned().unwrap_or_default();
        if asked.len() < 2 {
            return Ok(false);
        }
        let mut score = redis::cmd("ZSCORE");
        score.arg(&self.keys[key.stream]).arg(key.id.to_string());
        let score: Option<f64> = self.over(key.stream, |ledger, connection| {
            connection.ask(&score, &ledger.keys[key.stream], None)
        })?;
        Ok(score.is_some_and(|score| asked.contains(&(score as u64))))
    }

    fn ask(
        &self,
        connection: &mut Connection,
        stream: usize,
        ids: &[EntryId],
        now: Duration,
    ) -> Result<Vec<bool>, Error> {
        let key = &self.keys[stream];
        let oldest = now.saturating_sub(self.window).as_millis();
        let mut purge = redis::cmd("ZREMRANGEBYSCORE");
        purge.arg(key).arg("-inf").arg(format!("({oldest}"));
        let mut commands = vec![purge];
        commands.extend(ids.iter().map(|id| {
            let mut reserve = redis::cmd("ZADD");
            reserve.arg(key).arg("NX").arg(now.as_millis() as u64);
            reserve.arg(id.to_string());
            reserve
        }));
        let answers = connection.query_all(&commands)?;
        let counts: Result<Vec<u64>, Error> = answers
            .into_iter()
            .map(|answer| connection.read(answer.map_err(|refusal| Error::refused(refusal, key, None))?))
            .collect();
        Ok(counts?.into_iter().skip(1).map(|added| added > 0).collect())
    }

    /// Runs requests over the connection to a ledger's node; after a failure the next ones get a new connection.
    fn over<T>(
        &mut self,
        stream: usize,
        requests: impl FnOnce(&Self, &mut Connection) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let mut connection = match self.connections[stream].take() {
            Some(connection) => connection,
            None => self.servers.of_key(&self.keys[stream])?,
        };
        connection.set_deadline(self.deadline);
        let done = requests(self, &mut connection)?;
        self.connections[stream] = Some(connection);
        Ok(done)
    }
}
