//! What became of entries, in all and of each stream.

use std::collections::BTreeMap;

use super::Named;
use crate::streamer::{Done, EntryId};

/// How many became what.
#[derive(Clone, Copy, Default)]
pub struct Counts {
    pub done: u64,
    /// Of these, how many are only presumed to be.
    pub answer_lost: u64,
    pub not_pending: u64,
    /// Those that could not be done, since they were deleted before.
    pub gone: u64,
    /// Of those that are done, how many are deleted, and how many are not though they were to be.
    pub deleted: u64,
    pub undeletable: u64,
}

/// What became of one.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Became {
    Done,
    /// Done, and deleted as asked.
    DoneAndDeleted,
    /// Done, and not deleted as asked.
    Undeletable,
    AnswerLost,
    NotPending,
    /// Nothing that could be done: it was deleted before.
    Gone,
}

impl Counts {
    fn add(&mut self, became: Became) {
        match became {
            Became::Done => self.done += 1,
            Became::DoneAndDeleted => (self.done, self.deleted) = (self.done + 1, self.deleted + 1),
            Became::Undeletable => (self.done, self.undeletable) = (self.done + 1, self.undeletable + 1),
            Became::AnswerLost => {
                self.done += 1;
                self.answer_lost += 1;
            }
            Became::NotPending => self.not_pending += 1,
            Became::Gone => self.gone += 1,
        }
    }

    /// As keys of a JSON object; `done` is what those are called that were.
    fn keys(&self, done: &str, fate: Done) -> String {
        let Self {
            done: count,
            answer_lost,
            not_pending,
            gone,
            deleted,
            undeletable,
        } = self;
        let mut keys = format!("\"{done}\":{count},\"answer_lost\":{answer_lost},\"not_pending\":{not_pending}");
        if *gone > 0 {
            keys += &format!(",\"gone\":{gone}");
        }
        if fate == Done::Deleted {
            keys += &format!(",\"deleted\":{deleted},\"undeletable\":{undeletable}");
        }
        keys
    }
}

/// What became of all.
pub struct Tally {
    /// What is to become of those that are done.
    fate: Done,
    all: Counts,
    /// Of each stream and group.
    streams: BTreeMap<(String, String), Counts>,
    /// The first of those that were not pending, and that are gone.
    missed: Vec<EntryId>,
    gone: Vec<EntryId>,
    first_missed: Option<(String, String)>,
}

/// How many IDs are named.
const NAMED: usize = 10;

impl Tally {
    pub fn new(fate: Done) -> Self {
        Self {
            fate,
            all: Counts::default(),
            streams: BTreeMap::new(),
            missed: Vec::new(),
            gone: Vec::new(),
            first_missed: None,
        }
    }

    pub fn add(&mut self, named: &Named, became: Became) {
        let place = || (named.stream.clone(), named.group.clone());
        self.all.add(became);
        self.streams.entry(place()).or_default().add(became);
        let first = match became {
            Became::Done | Became::DoneAndDeleted | Became::Undeletable | Became::AnswerLost => return,
            Became::NotPending => {
                self.first_missed.get_or_insert_with(place);
                &mut self.missed
            }
            Became::Gone => &mut self.gone,
        };
        if first.len() < NAMED {
            first.push(named.id);
        }
    }

    pub fn all(&self) -> Counts {
        self.all
    }

    /// The stream and the group of the first that was not pending.
    pub fn first_missed(&self) -> Option<&(String, String)> {
        self.first_missed.as_ref()
    }

    /// Which were not pending.
    pub fn not_pending(&self) -> String {
        let missed = self.all.not_pending;
        let total = missed + self.all.done;
        let were = if missed == 1 { "was" } else { "were" };
        format!(
            "{missed} of {total} {were} not pending: {}",
            listed(&self.missed, missed)
        )
    }

    /// Which are gone.
    pub fn gone(&self) -> String {
        listed(&self.gone, self.all.gone)
    }

    /// One line of JSON.
    pub fn document(&self, done: &str) -> serde_json::Result<String> {
        let mut streams = Vec::new();
        for ((stream, group), counts) in &self.streams {
            let (stream, group) = (serde_json::to_string(stream)?, serde_json::to_string(group)?);
            let keys = counts.keys(done, self.fate);
            streams.push(format!("{{\"stream\":{stream},\"group\":{group},{keys}}}"));
        }
        let all = self.all.keys(done, self.fate);
        Ok(format!("{{{all},\"streams\":[{}]}}\n", streams.join(",")))
    }
}

/// The first of so many IDs.
fn listed(first: &[EntryId], count: u64) -> String {
    let named: Vec<_> = first.iter().map(EntryId::to_string).collect();
    let more = if count > first.len() as u64 { ", …" } else { "" };
    named.join(", ") + more
}
