//! `--dedup`: which entries are this consumer's to process, by the group's ledger.

use std::collections::HashSet;

use crate::streamer::{Entries, EntryId};

use super::member::{Key, Member};

/// What was asked of the ledger and not answered, because the connection was lost: those entries are still
/// this consumer's, as long as they are pending under its name.
#[derive(Debug, Default)]
pub struct Reservations {
    unanswered: HashSet<Key>,
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
        if member.args.dedup.is_some() {
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
        Ok(processed)
    }

    /// Reserves one entry, if `--dedup` asks for it; says whether somebody processed it already.
    pub fn is_processed(&mut self, member: &mut Member<'_>, (index, id): Key) -> anyhow::Result<bool> {
        match member.args.dedup {
            None => Ok(false),
            Some(_) => Ok(!self.reserve(member, index, &[id])?.is_empty()),
        }
    }

    fn reserve(&mut self, member: &mut Member<'_>, index: usize, ids: &[EntryId]) -> anyhow::Result<Vec<Key>> {
        let keys = || ids.iter().map(|id| (index, *id));
        let ours: HashSet<Key> = keys().filter(|key| self.unanswered.contains(key)).collect();
        self.unanswered.extend(keys());
        let fresh = member.reserve(index, ids)?;
        for key in keys() {
            self.unanswered.remove(&key);
        }
        let processed = keys().zip(fresh).filter(|(key, fresh)| !fresh && !ours.contains(key));
        Ok(processed.map(|(key, _)| key).collect())
    }
}
