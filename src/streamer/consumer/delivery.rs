//! What a member does with the entries of a reply as they arrive: each goes through the triage and into one state.

use std::collections::HashSet;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::event::Event;
use super::ledger::Ledger;
use super::member::{Member, Run};
use super::messages::{Key, Messages};
use super::positions::Positions;
use super::settings::Settings;
use super::triage::{Standing, Triage, triage};
use crate::streamer::entry::{Entry, EntryId, OwnedFields};
use crate::streamer::error::{Error, ServerError};
use crate::streamer::wire::resp::Delivered;
use crate::streamer::wire::{Connection, Entries, Shape};

/// Takes on the messages that the triage lets through.
pub trait Sink {
    /// A message was delivered, `entry.deliveries` times where that is more than once.
    fn take(&mut self, messages: &mut Messages, key: Key, stream: &str, entry: &Entry<'_>);

    /// Whether what was taken fills the memory it may.
    fn is_full(&self) -> bool;

    /// Finishes what was taken so far, as far as it can be finished at once.
    fn finish(&mut self, messages: &mut Messages);
}

/// Where delivered entries go, apart from the connection that brings them.
pub struct Delivery<'a> {
    run: Run<'a>,
    settings: &'a Settings,
    pub messages: Messages,
    pub positions: Positions,
    /// How many entries were passed over since one was taken.
    pub passed_over: usize,
    /// Entries that were found to be gone and not told of yet; by stream.
    gone: Vec<Vec<EntryId>>,
    /// Of which streams the last read brought entries.
    pub seen: Vec<bool>,
    /// Whether nothing more is taken on: the output has failed.
    pub is_closed: bool,
}

/// What the reply to a claim does not say: whose entries it brings, and how often they are delivered with it.
#[derive(Clone, Copy)]
pub struct Claim {
    pub stream: usize,
    pub deliveries: u64,
}

/// A reply that was walked to its end.
#[derive(Clone, Copy, Debug, Default)]
pub struct Walked {
    pub entries: usize,
    pub bytes: usize,
}

/// How many entries, and bytes of them, are looked up in the ledger at a time.
const LOOKED_UP: usize = 1000;
const LOOKED_UP_BYTES: usize = 256 * 1024;

impl<'a> Delivery<'a> {
    pub fn new(run: Run<'a>, settings: &'a Settings, positions: Positions) -> Self {
        let streams = settings.streams.len();
        Self {
            run,
            settings,
            messages: Messages::new(streams),
            positions,
            passed_over: 0,
            gone: vec![Vec::new(); streams],
            seen: vec![false; streams],
            is_closed: false,
        }
    }

    /// Puts an entry into its state.
    fn admit(&mut self, stream: usize, delivered: &Delivered<'_>, standing: Standing, sink: &mut impl Sink) {
        let key = Key {
            stream,
            id: delivered.id(),
        };
        let matching = &self.settings.matching;
        // One that is delivered again may be settled, and its acknowledgement still to be said.
        let is_again = delivered.deliveries() > 1;
        let is_ours = self.messages.is_open(key) || is_again && self.messages.knows(key);
        let standing = match standing {
            _ if is_ours => Standing::Ours,
            Standing::New if self.is_closed => Standing::Late,
            standing => standing,
        };
        self.positions.read(key);
        self.seen[stream] = true;
        match (triage(delivered, standing, matching, self.run.quota), delivered) {
            (Triage::Take, Delivered::Entry(entry)) => {
                self.passed_over = 0;
                sink.take(&mut self.messages, key, &self.settings.streams[stream], entry);
            }
            (Triage::PassOver, _) => {
                self.passed_over += 1;
                if standing == Standing::New {
                    self.run.passed_over.fetch_add(1, Ordering::Relaxed);
                }
                self.messages.settle(key);
            }
            (Triage::Hold, _) => self.messages.hold(key, delivered.deliveries()),
            (Triage::Gone, _) | (Triage::Take, Delivered::Gone(_)) => {
                self.gone[stream].push(key.id);
                self.messages.settle(key);
            }
            (Triage::Known, _) => {}
        }
    }

    /// A read of all streams is over: those of which it brought nothing have nothing new.
    pub fn exhaust_unseen(&mut self) {
        for (stream, seen) in self.seen.iter().enumerate() {
            if !seen {
                self.positions.exhaust(stream);
            }
        }
    }

    /// An entry was found to be gone.
    pub fn note_gone(&mut self, key: Key) {
        self.gone[key.stream].push(key.id);
    }

    /// Tells of entries that can never be delivered.
    pub fn report_gone(&mut self) {
        for (stream, ids) in self.settings.streams.iter().zip(&mut self.gone) {
            if !ids.is_empty() {
                (self.run.tell)(Event::Gone { stream, ids });
                ids.clear();
            }
        }
    }
}

impl Member<'_> {
    /// Walks the next reply of the link, of a read or a claim, and takes in its entries.
    pub fn take_in(
        &mut self,
        entries: Entries,
        claim: Option<Claim>,
        sink: &mut impl Sink,
    ) -> Result<(Walked, Vec<EntryId>), Error> {
        let mut walk = Walk {
            entries,
            claim,
            brought: Vec::new(),
        };
        let connection = &mut self.link.connection;
        let delivery = &mut self.delivery;
        let walked = match &mut self.ledger {
            None => walk.all(connection, delivery, sink),
            Some(ledger) => walk.all_but_processed(connection, delivery, ledger, sink),
        };
        // What was taken before the connection broke is here all the same.
        sink.finish(&mut delivery.messages);
        delivery.report_gone();
        if let Some(Claim { stream, .. }) = claim {
            // These were not lost, if a connection is before their like are.
            for id in &walk.brought {
                let key = Key { stream, id: *id };
                self.claiming.remove(&key);
                self.lost_claims.remove(&key);
            }
        }
        walked?;
        let (entries, bytes) = walk.entries.size();
        Ok((Walked { entries, bytes }, walk.brought))
    }

    /// Begins to walk the reply to a read that does not wait.
    pub fn begin_reply(&mut self, shape: Shape) -> Result<Entries, Error> {
        let begun: Result<Entries, ServerError> = Entries::begin(&mut self.link.connection, shape, Duration::ZERO)?;
        begun.map_err(|refusal| self.refused(refusal, None))
    }

    /// Takes in entries that were kept.
    pub fn take_kept(&mut self, kept: Vec<Kept>, sink: &mut impl Sink) -> Result<(), Error> {
        match &mut self.ledger {
            Some(ledger) => look_up(kept, &mut self.delivery, ledger, sink)?,
            None => {
                for entry in &kept {
                    self.delivery
                        .admit(entry.key.stream, &entry.delivered(), Standing::New, sink);
                }
            }
        }
        sink.finish(&mut self.delivery.messages);
        self.delivery.report_gone();
        Ok(())
    }
}

/// A walk through a reply.
struct Walk {
    entries: Entries,
    claim: Option<Claim>,
    /// The entries of a claim, there or gone.
    brought: Vec<EntryId>,
}

/// An entry that outlives the reply that brought it.
pub struct Kept {
    key: Key,
    /// `None` if it is gone.
    fields: Option<OwnedFields>,
    deliveries: Option<u64>,
}

impl Walk {
    fn next<'c>(
        &mut self,
        connection: &'c mut Connection,
        delivery: &Delivery<'_>,
    ) -> Result<Option<(usize, Delivered<'c>)>, Error> {
        let Some((named, mut delivered)) = self.entries.next(connection, &delivery.settings.streams)? else {
            return Ok(None);
        };
        if let Some(claim) = self.claim {
            self.brought.push(delivered.id());
            if let Delivered::Entry(entry) = &mut delivered {
                entry.deliveries = Some(claim.deliveries);
            }
        }
        Ok(Some((self.claim.map_or(named, |claim| claim.stream), delivered)))
    }

    fn all(
        &mut self,
        connection: &mut Connection,
        delivery: &mut Delivery<'_>,
        sink: &mut impl Sink,
    ) -> Result<(), Error> {
        while let Some((stream, delivered)) = self.next(connection, delivery)? {
            delivery.admit(stream, &delivered, Standing::New, sink);
            if sink.is_full() {
                sink.finish(&mut delivery.messages);
            }
        }
        Ok(())
    }

    /// The ledger is asked about many entries at a time, before any of them is taken on.
    fn all_but_processed(
        &mut self,
        connection: &mut Connection,
        delivery: &mut Delivery<'_>,
        ledger: &mut Ledger,
        sink: &mut impl Sink,
    ) -> Result<(), Error> {
        loop {
            let (mut kept, mut bytes) = (Vec::new(), 0);
            let ended = loop {
                match self.next(connection, delivery) {
                    Ok(Some((stream, delivered))) => {
                        let entry = keep(stream, &delivered);
                        bytes += entry.size();
                        kept.push(entry);
                    }
                    Ok(None) => break Some(Ok(())),
                    Err(error) => break Some(Err(error)),
                }
                if kept.len() >= LOOKED_UP || bytes >= LOOKED_UP_BYTES {
                    break None;
                }
            };
            // What came before the connection broke is here all the same.
            look_up(kept, delivery, ledger, sink)?;
            sink.finish(&mut delivery.messages);
            if let Some(ended) = ended {
                return ended;
            }
        }
    }
}

/// Reserves entries in the ledger, and takes in those that nobody processed.
fn look_up(
    kept: Vec<Kept>,
    delivery: &mut Delivery<'_>,
    ledger: &mut Ledger,
    sink: &mut impl Sink,
) -> Result<(), Error> {
    let mut by_stream: Vec<Vec<EntryId>> = vec![Vec::new(); delivery.settings.streams.len()];
    for Kept { key, .. } in &kept {
        if !delivery.messages.is_open(*key) {
            by_stream[key.stream].push(key.id);
        }
    }
    let mut processed = HashSet::new();
    for (stream, ids) in by_stream.iter().enumerate().filter(|(_, ids)| !ids.is_empty()) {
        for (id, ours) in ids.iter().zip(ledger.reserve(stream, ids)?) {
            if !ours {
                processed.insert(Key { stream, id: *id });
            }
        }
    }
    for entry in &kept {
        let standing = if processed.contains(&entry.key) {
            Standing::Processed
        } else {
            Standing::New
        };
        delivery.admit(entry.key.stream, &entry.delivered(), standing, sink);
    }
    Ok(())
}

pub fn keep(stream: usize, delivered: &Delivered<'_>) -> Kept {
    let (fields, deliveries) = match delivered {
        Delivered::Gone(_) => (None, None),
        Delivered::Entry(entry) => (Some(entry.owned_fields()), entry.deliveries),
    };
    let id = delivered.id();
    Kept {
        key: Key { stream, id },
        fields,
        deliveries,
    }
}

impl Kept {
    pub fn size(&self) -> usize {
        let fields = self.fields.iter().flatten();
        fields.map(|(name, value)| name.len() + value.len()).sum::<usize>() + size_of::<Self>()
    }

    fn delivered(&self) -> Delivered<'_> {
        match &self.fields {
            None => Delivered::Gone(self.key.id),
            Some(fields) => Delivered::Entry(Entry {
                id: self.key.id,
                fields: fields
                    .iter()
                    .map(|(name, value)| (name.as_slice(), value.as_slice()))
                    .collect(),
                deliveries: self.deliveries,
            }),
        }
    }
}
