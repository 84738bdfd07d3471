//! redis-streamer: a command-line producer and consumer for Redis Streams.

mod cli;
mod commands;
mod failure;
mod format;
mod json;
mod layers;
mod line;
mod local;
mod name_json;
mod near;
mod options;
mod partitions;
mod pointer;
mod profiles;
mod render;
mod signals;
mod slips;
mod streamer;
mod ui;

use std::process::ExitCode;

use streamer::Ending;

fn main() -> ExitCode {
    let (ui, code) = match cli::Typed::read() {
        Ok(typed) => {
            let ui = typed.ui();
            let ended = typed.run(ui);
            if let Ok(Ending::Signal(signal)) = &ended {
                signals::die_of(*signal);
            }
            (ui, ended.map(failure::code_of))
        }
        Err(answer) => {
            let ui = cli::ui_without_options();
            (ui, cli::answer(&answer, ui))
        }
    };
    ExitCode::from(code.unwrap_or_else(|error| {
        let report = failure::report(&error);
        ui.error(&report.message, &report.causes, report.hint.as_deref());
        report.code
    }))
}
