//! What became of acknowledgements, in all and of each stream.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::streamer::{Ack, AckOutcome, EntryId};

/// How many became what.
#[derive(Clone, Copy, Default, Serialize)]
pub struct Counts {
    pub acknowledged: u64,
    /// Of these, how many are only presumed to be.
    pub answer_lost: u64,
    pub not_pending: u64,
}

impl Counts {
    fn add(&mut self, outcome: AckOutcome) {
        match outcome {
            AckOutcome::Acked => self.acknowledged += 1,
            AckOutcome::AnswerLost => {
                self.acknowledged += 1;
                self.answer_lost += 1;
            }
            AckOutcome::NotPending => self.not_pending += 1,
        }
    }
}

/// What became of all.
#[derive(Default)]
pub struct Tally {
    all: Counts,
    /// Of each stream and group.
    streams: BTreeMap<(String, String), Counts>,
    /// The first of those that were not pending.
    named: Vec<EntryId>,
    first_missed: Option<(String, String)>,
}

/// How many IDs that were not pending are named.
const NAMED: usize = 10;

impl Tally {
    pub fn add(&mut self, ack: Ack<'_>, outcome: AckOutcome) {
        let place = || (ack.stream.to_owned(), ack.group.to_owned());
        self.all.add(outcome);
        self.streams.entry(place()).or_default().add(outcome);
        if outcome == AckOutcome::NotPending {
            self.first_missed.get_or_insert_with(place);
            if self.named.len() < NAMED {
                self.named.push(ack.id);
            }
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
        let named: Vec<_> = self.named.iter().map(EntryId::to_string).collect();
        let missed = self.all.not_pending;
        let more = if missed > NAMED as u64 { ", …" } else { "" };
        let total = missed + self.all.acknowledged;
        format!("{missed} of {total} were not pending: {}{more}", named.join(", "))
    }

    /// One line of JSON.
    pub fn document(&self) -> serde_json::Result<String> {
        let of_one = |((stream, group), counts): (&'_ (String, String), &Counts)| OfOne {
            stream: stream.clone(),
            group: group.clone(),
            counts: *counts,
        };
        let document = Document {
            all: self.all,
            streams: self.streams.iter().map(of_one).collect(),
        };
        serde_json::to_string(&document).map(|line| line + "\n")
    }
}

#[derive(Serialize)]
struct Document {
    #[serde(flatten)]
    all: Counts,
    streams: Vec<OfOne>,
}

#[derive(Serialize)]
struct OfOne {
    stream: String,
    group: String,
    #[serde(flatten)]
    counts: Counts,
}
