//! The commands: one file a verb, named as typed, with its arguments, its help and its work.

pub mod ack;
pub mod completions;
pub mod consume;
pub mod man;
pub mod pending;
pub mod send;
pub mod send_batch;
pub mod subscribe;

use std::time::{Duration, Instant};

use crate::cli::{Cli, Command};
use crate::streamer::{Error, Streamer, Target};
use crate::ui::Ui;

/// Runs what the command line asks for.
pub fn run(cli: Cli, ui: Ui) -> anyhow::Result<()> {
    let context = |cli: &Cli| -> anyhow::Result<Context> {
        Ok(Context {
            ui,
            target: cli.global.target()?,
            wait: cli.global.wait,
        })
    };
    let context = context(&cli);
    match cli.command {
        Command::Send(args) => send::run(args, &context?),
        Command::SendBatch(args) => send_batch::run(args, &context?),
        Command::Subscribe(args) => subscribe::run(args, &context?),
        Command::Consume(args) => consume::run(args, &context?),
        Command::Ack(args) => ack::run(args, &context?),
        Command::Pending(args) => pending::run(args, &context?),
        Command::Completions(args) => completions::run(args, ui),
        Command::Man(args) => man::run(args, ui),
    }
}

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
