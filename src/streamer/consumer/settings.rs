//! How a member of a group behaves. Combinations that make no sense cannot be written.

use std::num::{NonZeroU64, NonZeroUsize};
use std::time::Duration;

use super::acknowledgement::Done;
use super::lease;
use crate::streamer::error::{Error, ServerError};
use crate::streamer::matching::Matching;
use crate::streamer::names;
use crate::streamer::point::Point;
use crate::streamer::servers::Servers;

/// How long an entry is left with its consumer before others claim it, unless told otherwise.
pub const CLAIM_IDLE: Duration = Duration::from_secs(5 * 60);

/// What one member reads, and what it promises.
#[derive(Clone, Debug)]
pub struct Settings {
    /// In each of them the group has the same name. What one member reads is all of one slot ([`by_slot`](Self::by_slot)).
    pub streams: Vec<String>,
    pub group: String,
    pub name: Name,
    pub acknowledge: Acknowledge,
    /// Consult and keep the group's ledger of processed entries over this window: at most once.
    pub dedup: Option<Duration>,
    /// Where a group that is missing is made to begin; `None` makes it a failure.
    pub create_from: Option<Point>,
    pub extent: Extent,
    pub matching: Matching,
    /// How many entries to ask for at a time, where that is not left to the sizes seen.
    pub count: Option<NonZeroUsize>,
    /// How long a read waits at the server.
    pub block: Duration,
    /// A pause after all there is was read.
    pub rest: Duration,
}

impl Settings {
    /// The keys that it uses.
    pub fn keys(&self) -> Vec<String> {
        let ledgers = self.streams.iter().filter(|_| self.dedup.is_some());
        let ledgers = ledgers.map(|stream| names::ledger(stream, &self.group));
        self.streams.iter().cloned().chain(ledgers).collect()
    }

    /// The keys of its streams' leases.
    pub fn lease_keys(&self) -> Vec<String> {
        self.streams
            .iter()
            .map(|stream| lease::key(stream, &self.group))
            .collect()
    }

    /// A stream whose lease cannot be beside it: no key of ours is in its slot.
    pub fn without_room_for_a_lease(&self, servers: &Servers) -> Option<&str> {
        let is_elsewhere = |stream: &&String| !servers.share_a_slot(stream, &lease::key(stream, &self.group));
        self.streams.iter().find(is_elsewhere).map(String::as_str)
    }

    /// One for each stream.
    pub fn by_stream(&self) -> Vec<Self> {
        let of = |stream: &String| Self {
            streams: vec![stream.clone()],
            ..self.clone()
        };
        self.streams.iter().map(of).collect()
    }

    /// One for each part of the streams that can be read by one command.
    pub fn by_slot(&self, servers: &Servers) -> Vec<Self> {
        let with = |streams| Self {
            streams,
            ..self.clone()
        };
        servers.by_slot(&self.streams).into_iter().map(with).collect()
    }

    /// What a refusal means. A read of several streams does not say which one it was refused for, but for the key in
    /// the text.
    pub fn refused(&self, refusal: ServerError, stream: Option<usize>) -> Error {
        let is_named = |stream: &String| refusal.detail.contains(&format!("'{stream}'"));
        let named = || self.streams.iter().position(is_named);
        let stream = stream.or_else(named);
        if refusal.code == "NOPERM" && stream.is_none() && self.streams.len() > 1 {
            return Error::Denied(refusal);
        }
        let stream = stream.unwrap_or_default();
        Error::refused(refusal.clone(), &self.streams[stream], Some(&self.group))
    }
}

/// A consumer's name, and whether it is to outlive this run.
#[derive(Clone, Debug)]
pub enum Name {
    /// The user's.
    Given(String),
    /// This run's alone.
    Made(String),
}

impl Name {
    pub fn as_str(&self) -> &str {
        match self {
            Self::Given(name) | Self::Made(name) => name,
        }
    }
}

/// When a message is acknowledged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Acknowledge {
    /// As it is read (`NOACK`): at most once. Nothing is ever pending.
    OnRead,
    /// When it is done. What others left pending for so long is claimed; `None` claims only what was handed back.
    OnSuccess { claim_idle: Option<Duration>, done: Done },
    /// By somebody else, later.
    Elsewhere { claim_idle: Option<Duration> },
}

impl Acknowledge {
    /// Whether delivered messages are pending until they are acknowledged.
    pub fn leaves_pending(self) -> bool {
        self != Self::OnRead
    }

    /// What becomes of an entry that is acknowledged here.
    pub fn done(self) -> Done {
        match self {
            Self::OnSuccess { done, .. } => done,
            Self::OnRead | Self::Elsewhere { .. } => Done::Kept,
        }
    }

    /// How long other consumers' entries are left alone. What was handed back is claimed in any case.
    pub fn claim_idle(self) -> Duration {
        let idle = match self {
            Self::OnRead => None,
            Self::OnSuccess { claim_idle, .. } | Self::Elsewhere { claim_idle } => claim_idle,
        };
        idle.unwrap_or(names::HANDED_BACK_IDLE)
    }
}

/// How far a member reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extent {
    /// On and on.
    Endless,
    /// To the end of the streams as it stands at the start.
    AsOfNow,
}

/// What becomes of a message whose handler failed.
#[derive(Clone, Debug)]
pub enum OnFailure {
    /// It is tried again after a pause that doubles; in the end, if there is one, it goes to the dead letters.
    Retry {
        delay: Duration,
        dead_letter: Option<DeadLetters>,
    },
    /// It is handed back: one try is all this run gives it.
    HandBack,
    /// It is not tried again: it counts as acknowledged since it was read.
    Drop,
}

/// Where messages go that failed too often.
#[derive(Clone, Debug)]
pub struct DeadLetters {
    pub stream: String,
    /// After so many deliveries.
    pub after: NonZeroU64,
}
