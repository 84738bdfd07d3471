//! redis-streamer: a command-line producer and consumer for Redis Streams.

mod cli;
mod commands;
mod failure;
mod line;
mod options;
mod render;
mod signals;
mod streamer;
mod ui;

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    let cli = cli::Cli::parse();
    let ui = cli.global.ui();
    match cli.run(ui) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let report = failure::report(&error);
            if let Some(message) = &report.message {
                ui.error(message, &report.causes, report.hint.as_deref());
            }
            ExitCode::from(report.code)
        }
    }
}
