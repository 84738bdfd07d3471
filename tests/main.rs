//! The one integration test binary: the real `redis-streamer` against private servers.
//!
//! `harness` starts servers and programs; each other module holds the tests of one verb or one promise.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stderr)]

mod ack;
mod acl;
mod awaiting;
mod batches;
mod cluster;
mod completions;
mod connection;
mod consume;
mod contract;
mod deadlines;
mod delete;
mod durability;
mod environment;
mod errors;
mod examples;
mod exclusive;
mod failovers;
mod faults;
mod globs;
mod harness;
mod libraries;
mod local;
mod manual;
mod memory;
mod middleman;
mod mistyped;
mod nack;
mod packaging;
mod partitions;
mod pending;
mod pipes;
mod profiles;
mod redelivery;
mod redrive;
mod send;
mod send_batch;
mod sentinel;
mod signals;
mod silence;
mod snapshots;
mod subscribe;
mod targets;
mod terminal;
mod trim;
mod unsubscribe;
mod workers;
