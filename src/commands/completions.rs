//! `completions`: prints a completion script.

use clap_complete::Shell;

use super::print;
use crate::streamer::Ending;
use crate::ui::Ui;

/// Print a completion script for a shell
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  redis-streamer completions bash > /etc/bash_completion.d/redis-streamer
  redis-streamer completions zsh > \"${fpath[1]}/_redis-streamer\"")]
pub struct Args {
    /// The shell
    shell: Shell,
}

pub fn run(args: Args, mut cli: clap::Command, ui: Ui) -> anyhow::Result<Ending> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut cli, "redis-streamer", &mut script);
    print(ui, &script)
}
