//! `man`: prints the manual page.

use super::print;
use crate::streamer::Ending;
use crate::ui::Ui;

/// Print the manual page, in troff
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  redis-streamer man | man -l -
  redis-streamer man > /usr/local/share/man/man1/redis-streamer.1")]
pub struct Args {}

pub fn run(_: Args, cli: clap::Command, ui: Ui) -> anyhow::Result<Ending> {
    let mut page = Vec::new();
    clap_mangen::Man::new(cli).render(&mut page)?;
    print(ui, &page)
}
