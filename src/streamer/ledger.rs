//! The ledger of entries that a group has processed: at most once, across all who keep it.
//!
//! It is the sorted set `stream:S:group:G:processed` of the wire contract, kept by the Python package too:
//! members are entry IDs, scores are times in milliseconds.

use std::time::Duration;

use super::{Consumer, EntryId, Error, read};

impl Consumer {
    /// When an entry was reserved, in milliseconds since the Unix epoch; 0 if it is not.
    pub fn reserved_at(&mut self, stream: &str, id: EntryId) -> Result<u64, Error> {
        let mut score = redis::cmd("ZSCORE");
        score.arg(self.ledger(stream)).arg(id.to_string());
        let score: Option<f64> = self.ask(&score, stream)?;
        Ok(score.map_or(0, |score| score as u64))
    }

    /// Reserves entries in the group's ledger as of `now`, a time since the Unix epoch, and forgets what is older than `window`.
    /// Says of each entry whether it is this consumer's now: false if somebody processed it already.
    pub fn reserve(
        &mut self,
        stream: &str,
        ids: &[EntryId],
        now: Duration,
        window: Duration,
    ) -> Result<Vec<bool>, Error> {
        let key = self.ledger(stream);
        let mut purge = redis::cmd("ZREMRANGEBYSCORE");
        let oldest = now.saturating_sub(window).as_millis();
        purge.arg(&key).arg("-inf").arg(format!("({oldest}"));
        let mut commands = vec![purge];
        commands.extend(ids.iter().map(|id| {
            let mut reserve = redis::cmd("ZADD");
            reserve
                .arg(&key)
                .arg("NX")
                .arg(now.as_millis() as u64)
                .arg(id.to_string());
            reserve
        }));
        let replies = self.connection.query_all(&commands)?;
        let counts: Result<Vec<u64>, Error> = replies
            .into_iter()
            .map(|reply| {
                let reply = reply.map_err(|refusal| self.refused(refusal, Some(stream)))?;
                read(&self.connection, reply)
            })
            .collect();
        Ok(counts?.into_iter().skip(1).map(|added| added > 0).collect())
    }

    /// Takes entries out of the ledger again: they were reserved and then not processed.
    pub fn release(&mut self, stream: &str, entries: &[(EntryId, u64)]) -> Result<(), Error> {
        if entries.is_empty() {
            return Ok(());
        }
        let mut release = redis::cmd("ZREM");
        release.arg(self.ledger(stream));
        for (id, _) in entries {
            release.arg(id.to_string());
        }
        self.ask(&release, stream)
    }

    fn ledger(&self, stream: &str) -> String {
        format!("stream:{stream}:group:{}:processed", self.membership.group)
    }
}
