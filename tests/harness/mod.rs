//! What the tests stand on: private servers, the program under test, and waiting for conditions.
//!
//! Nothing here sleeps for luck: every wait polls a condition and has a deadline.

mod abilities;
mod changing;
mod chaos;
#[cfg(test)]
mod checks;
mod cluster;
mod local;
mod options;
mod panics;
mod pattern;
mod program;
mod proxy;
mod queries;
mod refusal;
mod running;
mod screen;
mod sentinel;
mod server;
mod tls;
mod wait;

pub use abilities::{is_installed_or_left_out, left_out};
pub use changing::{Change, Changing};
pub use chaos::Dice;
pub use cluster::Cluster;
pub use local::{Home, set_mode};
pub use options::{Options, free_port};
pub use panics::Panics;
pub use program::Test;
pub use proxy::{End, Fate, Proxy, ServerSide};
pub use queries::{Entry, Fields, entry};
pub use refusal::{NOREPLICAS, OOM, READONLY, Refusal};
pub use running::{Output, Running, kill, peak_memory};
pub use rustix::process::Signal;
pub use screen::{Screen, typed};
pub use sentinel::Sentinels;
pub use server::Server;
pub use tls::{Flaw, write_flawed};
pub use wait::{DEADLINE, wait_long, wait_until};
