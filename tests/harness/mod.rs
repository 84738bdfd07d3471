//! What the tests stand on: private servers, the program under test, and waiting for conditions.
//!
//! Nothing here sleeps for luck: every wait polls a condition and has a deadline.

mod chaos;
mod pattern;
mod program;
mod proxy;
mod running;
mod server;
mod tls;
mod wait;

pub use chaos::Dice;
pub use program::Test;
pub use proxy::{End, Fate, Proxy};
pub use running::{Output, Running, kill};
pub use rustix::process::Signal;
pub use server::{Entry, Options, Server, entry, free_port};
pub use wait::{DEADLINE, wait_until};
