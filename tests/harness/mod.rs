//! What the tests stand on: private servers, the program under test, and waiting for conditions.
//!
//! Nothing here sleeps for luck: every wait polls a condition and has a deadline.

mod pattern;
mod program;
mod running;
mod server;
mod tls;
mod wait;

pub use program::Test;
pub use running::Output;
pub use rustix::process::Signal;
pub use server::{Entry, Options, Server, entry, free_port};
pub use wait::{DEADLINE, wait_until};
