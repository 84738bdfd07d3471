//! How a member leaves its group: what it holds is handed back, and its name goes where nothing is pending under it.

use std::collections::{BTreeMap, HashMap};

use crate::streamer::{Batch, EntryId, Error, group};

use super::member::{Key, Member};
use super::{AckMode, Name};

impl Member<'_> {
    /// Keeps an entry that was delivered so often and is not done, to hand it back.
    pub fn hold(&mut self, key: Key, deliveries: u64) {
        self.held.push((key, deliveries));
    }

    /// Keeps the entries of a read's reply.
    pub fn hold_reply(&mut self, batch: &Batch) -> Result<(), Error> {
        for element in batch.by_stream() {
            let (name, delivered) = element.map_err(|malformed| self.consumer.malformed(malformed))?;
            if let Some(index) = self.index_of(name) {
                self.hold((index, delivered.id()), delivered.deliveries());
            }
        }
        Ok(())
    }

    /// Leaves: hands back what is held, and removes a name of our own making where nothing is pending under it.
    /// A consumer with a name that was given finds what it left when it comes back; others get it at once.
    pub fn leave(&mut self) -> Result<(), Error> {
        match self.hand_back() {
            // There is nothing to leave, nor was anything got from it.
            Err(Error::NoGroup { .. }) if self.held.is_empty() => Ok(()),
            left => left,
        }
    }

    fn hand_back(&mut self) -> Result<(), Error> {
        if self.run.args.ack == AckMode::Read {
            return self.resign();
        }
        let heir = match &self.name {
            Name::Given(name) => name.clone(),
            Name::Made(_) => group::HANDED_BACK.to_owned(),
        };
        for index in 0..self.membership.streams.len() {
            let entries: Vec<_> = self.not_done(index)?.into_iter().collect();
            let stream = &self.membership.streams[index];
            if self.run.args.dedup.is_some() {
                self.consumer.release(stream, &entries)?;
            }
            self.consumer.hand_back(stream, &entries, &heir)?;
        }
        self.resign()
    }

    /// What this run leaves undone of a stream, and how often it was delivered. What somebody else has claimed meanwhile
    /// is theirs; what was pending under a given name before, or is for `ack`, stays as it is.
    fn not_done(&mut self, index: usize) -> Result<BTreeMap<EntryId, u64>, Error> {
        let held: HashMap<_, _> = self
            .held
            .iter()
            .filter(|((of, _), _)| *of == index)
            .map(|((_, id), deliveries)| (*id, *deliveries))
            .collect();
        let mut ours: BTreeMap<_, _> = match (&self.name, self.run.args.ack) {
            (Name::Given(_), _) | (_, AckMode::Manual) => {
                let ids: Vec<_> = held.keys().copied().collect();
                let known = self.deliveries(index, &ids)?.into_iter();
                known.filter(|(id, _)| held.contains_key(id)).collect()
            }
            (Name::Made(_), _) => self.own_pending(index)?,
        };
        for (id, deliveries) in &mut ours {
            *deliveries = held.get(id).copied().unwrap_or(*deliveries);
        }
        Ok(ours)
    }

    fn resign(&mut self) -> Result<(), Error> {
        match &self.name {
            Name::Given(_) => Ok(()),
            Name::Made(name) => match self.consumer.leave() {
                // Everything is done but the tidying up.
                Err(error @ Error::Denied(_)) => {
                    let why = format!("the consumer {name} stays in the group: {error}");
                    self.run.context.ui.warning(&why);
                    Ok(())
                }
                left => left,
            },
        }
    }
}
