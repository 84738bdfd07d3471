//! `completions`: prints a completion script.

use clap_complete::Shell;

use crate::failure::Failure;
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

/// Runs the command.
pub fn run(args: Args, mut cli: clap::Command, ui: Ui) -> anyhow::Result<()> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut cli, "redis-streamer", &mut script);
    ui.data()?.write(&script).map_err(Failure::stdout)
}
