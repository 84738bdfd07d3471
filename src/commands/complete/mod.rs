//! `complete`: what the completion scripts ask each time the key is pressed. It answers for what is typed so far, and
//! says nothing, on stderr either, where it has no answer: whoever is typing is not to be disturbed.
//!
//! The scripts in `completions/` hold no options and no verbs: they ask the program, so they cannot be out of date.

mod bash;
mod candidates;
mod line;
mod server;
mod shell;
mod values;

use std::ffi::OsString;

use super::print;
use crate::streamer::Ending;
use crate::ui::Ui;
use candidates::Answer;
use line::Line;
use shell::Shell;

/// Print what fits where the cursor is (for completion scripts)
#[derive(clap::Args)]
#[command(hide = true)]
pub struct Args {
    /// Whose script asks
    shell: Shell,
    /// The words up to the cursor, of which the last may be empty; from bash, the line up to the cursor, and what
    /// it takes for the last word
    #[arg(last = true)]
    words: Vec<OsString>,
}

pub fn run(args: Args, mut cli: clap::Command, ui: Ui) -> anyhow::Result<Ending> {
    cli.build();
    let words: Vec<String> = args
        .words
        .iter()
        .map(|word| word.to_string_lossy().into_owned())
        .collect();
    let typed = args.shell.read(&words);
    let answer = if typed.is_file {
        Answer::files("")
    } else {
        candidates::answer(&Line::read(&cli, &typed.words))
    };
    print(ui, typed.write(args.shell, &answer).as_bytes())
}
