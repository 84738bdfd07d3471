//! `completions`: prints a completion script, or writes all of them into a directory.

use std::path::PathBuf;

use clap::ValueEnum as _;

use super::{print, write_all};
use crate::streamer::Ending;
use crate::ui::Ui;

/// Print a completion script for a shell
#[derive(clap::Args)]
#[command(after_long_help = "\
Examples:
  redis-streamer completions bash > /etc/bash_completion.d/redis-streamer
  redis-streamer completions zsh > \"${fpath[1]}/_redis-streamer\"
  redis-streamer completions fish | source
  redis-streamer completions --dir completions")]
pub struct Args {
    /// The shell
    #[arg(required_unless_present = "dir")]
    shell: Option<Shell>,
    /// Write the scripts for all shells into DIR
    #[arg(long, value_name = "DIR", conflicts_with = "shell")]
    dir: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Shell {
    Bash,
    Elvish,
    Fish,
    #[value(name = "powershell")]
    Pwsh,
    Zsh,
}

impl Shell {
    /// What a script is called where its shell looks for it.
    fn file(self) -> &'static str {
        match self {
            Self::Bash => "redis-streamer.bash",
            Self::Elvish => "redis-streamer.elv",
            Self::Fish => "redis-streamer.fish",
            Self::Pwsh => "_redis-streamer.ps1",
            Self::Zsh => "_redis-streamer",
        }
    }

    fn script(self, cli: &clap::Command) -> Vec<u8> {
        let script: &[u8] = match self {
            Self::Bash => include_bytes!("../../completions/redis-streamer.bash"),
            Self::Elvish => include_bytes!("../../completions/redis-streamer.elv"),
            Self::Fish => include_bytes!("../../completions/redis-streamer.fish"),
            Self::Zsh => include_bytes!("../../completions/_redis-streamer"),
            Self::Pwsh => return for_powershell(cli),
        };
        script.to_vec()
    }
}

/// A script that does not ask the program: nobody tried one that does. It would offer what is hidden, too.
fn for_powershell(cli: &clap::Command) -> Vec<u8> {
    let shown = cli.get_subcommands().filter(|verb| !verb.is_hide_set());
    let mut shown = clap::Command::new("redis-streamer")
        .version(env!("CARGO_PKG_VERSION"))
        .propagate_version(true)
        .disable_version_flag(cli.is_disable_version_flag_set())
        .args(cli.get_arguments())
        .subcommands(shown);
    let mut script = Vec::new();
    clap_complete::generate(
        clap_complete::Shell::PowerShell,
        &mut shown,
        "redis-streamer",
        &mut script,
    );
    script
}

pub fn run(args: Args, cli: clap::Command, ui: Ui) -> anyhow::Result<Ending> {
    if let Some(dir) = args.dir {
        let shells = Shell::value_variants().iter();
        return write_all(
            &dir,
            shells.map(|shell| (shell.file().to_owned(), shell.script(&cli))),
            ui,
        );
    }
    let script = args.shell.map(|shell| shell.script(&cli));
    print(ui, &script.unwrap_or_default())
}
