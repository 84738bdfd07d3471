//! redis-streamer: a command-line producer and consumer for Redis Streams.

mod cli;
mod commands;
mod failure;
mod line;
mod options;
mod partitions;
mod pointer;
mod render;
mod signals;
mod streamer;
mod ui;

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    let cli = cli::Cli::parse();
    let ui = cli.global.ui();
    let code = match cli.run(ui) {
        Ok(ending) => failure::code_of(ending),
        Err(error) => {
            let report = failure::report(&error);
            ui.error(&report.message, &report.causes, report.hint.as_deref());
            report.code
        }
    };
    ExitCode::from(code)
}
