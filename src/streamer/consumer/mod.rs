//! Consuming: a member of a group with all that becomes of its messages, and reading without a group.

pub mod ack;
mod claims;
mod dead_letter;
mod delivery;
mod dispatcher;
mod event;
pub mod fetch_size;
mod hand_back;
mod keep_alive;
mod leave;
mod ledger;
mod link;
mod member;
mod messages;
mod pipeline;
mod plain;
mod positions;
mod quota;
mod ranges;
mod remove;
mod requests;
mod settings;
pub mod triage;
mod wait;

pub use dispatcher::{Batch, Details, Dispatch, Ended, Failure, Handlers, Job, Jobs, Tally, Verdict, dispatch};
pub use event::{AfterBatch, Event, Next};
pub use link::Link;
pub use member::{Member, Run};
pub use pipeline::{Output, Pipeline, Unwritten};
pub use plain::{Plain, PlainSettings, Start};
pub use quota::Quota;
pub use remove::{Removal, remove_consumer};
pub use settings::{Acknowledge, CLAIM_IDLE, DeadLetters, Extent, Name, OnFailure, Settings};
