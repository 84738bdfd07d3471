//! `--dedup`: which entries are this consumer's to process, by the group's ledger.

use std::collections::{HashMap, HashSet};
use std::time::{SystemTime, UNIX_EPOCH};

use crate::streamer::{Entries, EntryId};

use super::member::{Key, Member};

/// What was asked of the ledger and not answered, because the connection was lost, with the times that were
/// asked to be written there: the ledger tells by the time whose reservation it holds.
#[derive(Debug, Default)]
pub struct Reservations {
    unanswered: HashMap<Key, Vec<u64>>,
}

impl Reservations {
    /// Reserves entries, if `--dedup` asks for it; returns those that somebody processed already.
    pub fn processed(
        &mut self,
        member: &mut Member<'_>,
        entries: Entries<'_>,
        stream: Option<usize>,
    ) -> anyhow::Result<HashSet<Key>> {
        let mut by_stream = vec![Vec::new(); member.streams().len()];
        if member.run.args.dedup.is_some() {
            for element in entries {
                let (name, delivered) = element.map_err(|malformed| member.consumer.malformed(malformed))?;
                if let Some(index) = stream.or_else(|| member.index_of(name)) {
                    by_stream[index].push(delivered.id());
                }
            }
        }
        let mut processed = HashSet::new();
        for (index, ids) in by_stream.iter().enumerate().filter(|(_, ids)| !ids.is_empty()) {
            processed.extend(self.reserve(member, index, ids)?);
        }
        // Only now: had an answer failed to come, all would be asked for again.
        for (index, ids) in by_stream.iter().enumerate() {
            for id in ids {
                self.unanswered.remove(&(index, *id));
            }
        }
        Ok(processed)
    }

    /// Reserves one entry, if `--dedup` asks for it; says whether somebody processed it already.
    pub fn is_processed(&mut self, member: &mut Member<'_>, (index, id): Key) -> anyhow::Result<bool> {
        match member.run.args.dedup {
            None => Ok(false),
            Some(_) => {
                let processed = self.reserve(member, index, &[id])?;
                self.unanswered.remove(&(index, id));
                Ok(!processed.is_empty())
            }
        }
    }

    fn reserve(&mut self, member: &mut Member<'_>, index: usize, ids: &[EntryId]) -> anyhow::Result<Vec<Key>> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        for id in ids {
            let times = self.unanswered.entry((index, *id)).or_default();
            times.push(now.as_millis() as u64);
        }
        let mut processed = Vec::new();
        for (id, fresh) in ids.iter().zip(member.reserve(index, ids, now)?) {
            let key = (index, *id);
            let asked = self.unanswered.get(&key).map_or(&[][..], Vec::as_slice);
            let ours = fresh || asked.len() > 1 && asked.contains(&member.reserved_at(key)?);
            if !ours {
                processed.push(key);
            }
        }
        Ok(processed)
    }
}
