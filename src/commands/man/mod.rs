//! `man`: prints a manual page, or writes all of them into a directory.

mod page;
mod topics;

use std::path::PathBuf;

use super::{print, write_all};
use crate::failure::Failure;
use crate::streamer::Ending;
use crate::ui::Ui;

/// Print a manual page, in troff
#[derive(clap::Args)]
#[command(after_long_help = "\
Examples:
  redis-streamer man | man -l -
  redis-streamer man consume | man -l -
  redis-streamer man --dir /usr/local/share/man/man1")]
pub struct Args {
    /// The command that the page is about [default: all of them]
    #[arg(value_name = "COMMAND")]
    verb: Option<String>,
    /// Write all pages into DIR
    #[arg(long, value_name = "DIR", conflicts_with = "verb")]
    dir: Option<PathBuf>,
}

pub fn run(args: Args, mut cli: clap::Command, ui: Ui) -> anyhow::Result<Ending> {
    cli.build();
    if let Some(dir) = args.dir {
        let verbs = page::verbs(&cli).map(Some);
        let pages = [None].into_iter().chain(verbs).map(|verb| page::write(&cli, verb));
        return write_all(&dir, pages, ui);
    }
    let verb = match &args.verb {
        None => None,
        Some(name) => match page::verbs(&cli).find(|verb| verb.get_name() == name) {
            Some(verb) => Some(verb),
            None => {
                let names: Vec<_> = page::verbs(&cli).map(clap::Command::get_name).collect();
                return Err(Failure::usage(format!("there is no command '{name}'"))
                    .hint(format!("the commands are {}", names.join(", ")))
                    .into());
            }
        },
    };
    let (_, page) = page::write(&cli, verb);
    print(ui, &page)
}
