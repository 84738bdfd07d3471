//! `man`: prints the manual page.

use crate::failure::Failure;
use crate::ui::Ui;

/// Print the manual page, in troff
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  redis-streamer man | man -l -
  redis-streamer man > /usr/local/share/man/man1/redis-streamer.1")]
pub struct Args {}

/// Runs the command.
pub fn run(_: Args, cli: clap::Command, ui: Ui) -> anyhow::Result<()> {
    let mut page = Vec::new();
    clap_mangen::Man::new(cli).render(&mut page)?;
    ui.data()?.write(&page).map_err(Failure::stdout)
}
