//! The command line: what can be typed, and where it leads.

use clap::{CommandFactory, Parser, Subcommand};

use crate::commands::{self, Context};
use crate::failure::{self, Failure};
use crate::options::Global;
use crate::streamer::{Ending, Stop};
use crate::ui::{Color, Ui, Verbosity, palette};

const AFTER_HELP: &str = "\
Examples:
  redis-streamer send orders '{\"id\": 7}' --name order.created
  redis-streamer subscribe orders -l billing --from beginning
  redis-streamer consume orders -l billing | jq .body
  redis-streamer pending orders

Exit codes:
  0 done   1 refused, bad data, or part of a batch failed   2 usage
  3 server unreachable or lost   4 a condition was not met   128+n ended by signal n";

/// Produce to and consume from Redis Streams.
#[derive(Parser)]
#[command(name = "redis-streamer", version, after_help = AFTER_HELP, propagate_version = true, styles = palette::STYLES)]
pub struct Cli {
    #[command(flatten)]
    pub global: Global,
    #[command(subcommand)]
    pub command: Command,
}

/// The commands, each in its file, where its help stands too.
#[derive(Subcommand)]
pub enum Command {
    Send(commands::send::Args),
    SendBatch(commands::send_batch::Args),
    Subscribe(commands::subscribe::Args),
    Consume(commands::consume::Args),
    Ack(commands::ack::Args),
    Pending(commands::pending::Args),
    Complete(commands::complete::Args),
    Completions(commands::completions::Args),
    Man(commands::man::Args),
}

impl Cli {
    pub fn run(self, ui: Ui) -> anyhow::Result<Ending> {
        let Global { wait, .. } = self.global;
        let context = || -> anyhow::Result<Context> {
            let stop = Stop::default();
            Ok(Context {
                ui,
                servers: self.global.servers(&stop)?,
                stop,
                wait,
            })
        };
        match self.command {
            Command::Send(args) => commands::send::run(args, &context()?),
            Command::SendBatch(args) => commands::send_batch::run(args, &context()?),
            Command::Subscribe(args) => commands::subscribe::run(args, &context()?),
            Command::Consume(args) => commands::consume::run(args, &context()?),
            Command::Ack(args) => commands::ack::run(args, &context()?),
            Command::Pending(args) => commands::pending::run(args, &context()?),
            Command::Complete(args) => commands::complete::run(args, Self::command(), ui),
            Command::Completions(args) => commands::completions::run(args, Self::command(), ui),
            Command::Man(args) => commands::man::run(args, Self::command(), ui),
        }
    }
}

/// How to print where what was typed could not be parsed, or asks for help: in colour as it asks.
pub fn ui_without_options() -> Ui {
    Ui::new(Verbosity::Normal, Color::typed(std::env::args_os()))
}

/// Prints what clap answers instead of a command that is run.
pub fn answer(answer: &clap::Error, ui: Ui) -> anyhow::Result<u8> {
    match ui.answer(answer) {
        Ok(()) => Ok(failure::code_of_answer(answer)),
        Err(error) => Failure::stdout(error).map(failure::code_of),
    }
}
