//! The domain: streams, entries, groups, and what can be done with them on a server.
//!
//! Knows the redis crate and sockets; knows nothing of commands, terminals or JSON lines.

mod consumer;
mod entry;
mod error;
mod inspect;
mod letter;
mod matching;
pub mod names;
mod point;
pub mod producer;
mod random;
mod raw_name;
mod redrive;
mod servers;
mod stop;
mod trim;
mod wire;

pub use consumer::ack::{Ack, AckOutcome, Acknowledger};
pub use consumer::nack::{Nack, NackOutcome, NackTo, Nacker};
pub use consumer::{
    Acknowledge, AfterBatch, Batch, CLAIM_IDLE, DeadLetters, Details, Dispatch, Done, Ended, Event, Extent, Failure,
    Handlers, Job, Jobs, Lease, Link, Member, Name, Next, OnFailure, Output, Pipeline, Plain, PlainSettings, Quota,
    Removal, Run, Settings, Start, Tally, TurnFailure, Unwritten, Verdict, dispatch, remove_consumer, take_turns,
};
pub use entry::{BODY, Entry, EntryId, Field, Message, NAME};
pub use error::{Error, NoFsync, ServerError};
pub use inspect::count::{COUNT_LIMIT, Count, CountLimit};
#[cfg(test)]
pub use inspect::groups::GroupInfo;
pub use inspect::groups::{ConsumerInfo, groups};
pub use inspect::lag::Lag;
pub use inspect::lookout::{Lookout, Watched};
pub use inspect::pending::{PendingEntry, PendingFilter, PendingPages};
pub use inspect::scan::{Glob, find_streams, matching_streams, stream_keys};
pub use inspect::seek::{Move, Passed, Position, look_at_move, position_of};
pub use inspect::server::{About, about, now_ms, ready, shut_down};
pub use inspect::state::{
    Behind, GroupState, Look, Need, Oldest, StreamState, consumers, group_info, group_state, stream_state,
};
pub use inspect::subscribe::{Existing, Subscribed, subscribe};
pub use inspect::survey::{Away, Hidden, Survey, survey, survey_of};
pub use inspect::unsubscribe::{
    GroupRemoval, GroupUse, group_use, ledger_size, remove_group, remove_idle_group, remove_ledger,
};
pub use matching::{Matching, NamePattern};
pub use point::{InvalidDuration, Point, parse_duration};
pub use producer::add::{AddOptions, MessageWriter, Missing, Trim, add, see_right_to_add, write_add, write_trim};
pub use producer::{Copies, Durability, Reached};
pub use random::random;
pub use raw_name::RawName;
pub use redrive::{Mode, Outcome, Redrive, Settings as RedriveSettings, Step, Why};
pub use servers::{
    Connections, Kind, Location, Node, Notice, Servers, Supervisor, Unblocker, first, hash_tag, slot, without_password,
};
pub use stop::{Ending, Halt, Stop};
pub use trim::{Cut, Keep, count, keep, length, trim};
pub use wire::{Connection, Secret, Tls, TlsFault, Verify};
