//! The commands: one file a verb, named as typed, with its arguments, its help and its work.

pub mod ack;
pub mod completions;
pub mod consume;
pub mod man;
pub mod pending;
pub mod retry;
pub mod send;
pub mod send_batch;
pub mod subscribe;

use std::time::{Duration, Instant};

use crate::streamer::{Error, Streamer, Target};
use crate::ui::Ui;

/// What every command works with.
pub struct Context {
    /// The terminal.
    pub ui: Ui,
    /// The server.
    pub target: Target,
    /// How long to keep trying the first connection.
    pub wait: Option<Duration>,
}

/// How long to pause between two attempts of `--wait`.
const WAIT_STEP: Duration = Duration::from_millis(100);

impl Context {
    /// Connects, trying again for as long as `--wait` says.
    pub fn connect(&self) -> Result<Streamer, Error> {
        self.ui.detail(&format!("connecting to {}", self.target.address));
        let deadline = self.wait.map(|wait| Instant::now() + wait);
        let mut said = false;
        loop {
            let error = match self.attempt() {
                Ok(streamer) => return Ok(streamer),
                Err(error) => error,
            };
            match deadline {
                Some(deadline) if error.is_passing() && Instant::now() < deadline => {}
                _ => return Err(error),
            }
            if !std::mem::replace(&mut said, true) {
                self.ui.status(&format!("waiting for {}", self.target.address));
            }
            std::thread::sleep(WAIT_STEP);
        }
    }

    /// One attempt. With `--wait` the server must also be ready to serve: one that loads its data accepts
    /// connections and refuses commands.
    fn attempt(&self) -> Result<Streamer, Error> {
        let mut streamer = Streamer::connect(&self.target)?;
        if self.wait.is_some() {
            streamer.ping()?;
        }
        Ok(streamer)
    }
}
