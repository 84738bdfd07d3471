//! The command line: what can be typed, and where it leads.

use clap::{Arg, ArgAction, ArgMatches, CommandFactory, FromArgMatches, Parser, Subcommand};

use crate::commands::{self, Context};
use crate::failure::{self, Failure};
use crate::layers::Layers;
use crate::options::Global;
use crate::slips;
use crate::streamer::{Ending, Stop};
use crate::ui::{Color, Ui, Verbosity, help_width, palette};

const EXAMPLES: &str = "\
Examples:
  redis-streamer send orders '{\"id\": 7}' --name order.created
  redis-streamer subscribe orders -l billing --from beginning
  redis-streamer consume orders -l billing | jq .body";

/// What a command is for, and the examples of its long help, stand above what can be typed.
const LAYOUT: &str = "{about}{after-help}\n\n{usage-heading} {usage}\n\n{all-args}";
/// Exit codes stand below it. The short help of all commands fills the smallest screen: no line is left below the usage.
const LAYOUT_OF_ALL: &str = "{about}{after-help}\n\n{usage-heading} {usage}\n{all-args}\n\n{before-help}";
const EXIT_CODES: &str = "\
Exit codes:
  0 done                         1 refused, bad data, or partly failed
  2 wrong usage                  3 server unreachable or lost
  4 a condition was not met      128+n ended by signal n";
/// The short help stands in two columns from this width on.
const TWO_COLUMNS: u16 = 80;

/// Produce to and consume from Redis Streams.
#[derive(Parser)]
#[command(name = "redis-streamer", version, after_long_help = EXAMPLES, before_long_help = EXIT_CODES, help_template = LAYOUT_OF_ALL, propagate_version = true, styles = palette::STYLES)]
pub struct Cli {
    #[command(flatten)]
    pub global: Global,
    #[command(subcommand)]
    pub command: Command,
}

/// The commands, each in its file, where its help stands too.
#[derive(Subcommand)]
pub enum Command {
    Send(commands::send::Args),
    SendBatch(commands::send_batch::Args),
    Subscribe(commands::subscribe::Args),
    Unsubscribe(commands::unsubscribe::Args),
    Consume(commands::consume::Args),
    Ack(commands::ack::Args),
    Nack(commands::nack::Args),
    Pending(commands::pending::Args),
    Local(commands::local::Args),
    Redrive(commands::redrive::Args),
    Profiles(commands::profiles::Args),
    Trim(commands::trim::Args),
    Complete(commands::complete::Args),
    Completions(commands::completions::Args),
    Man(commands::man::Args),
}

impl Cli {
    /// What was typed, with the profile under it that counts, if one does.
    fn with_profile(self, matches: &ArgMatches, ui: Ui) -> anyhow::Result<Self> {
        let layers = Layers::read(matches, None)?;
        commands::profiles::say(&layers, ui);
        if layers.profile().is_none() {
            return Ok(self);
        }
        // What the profile says was held against the same rules as it was read.
        let refused = |error: clap::Error| Failure::usage(error.to_string());
        let matches = layers.under(Self::laid_out()).try_get_matches().map_err(refused)?;
        let cli = Self::from_arg_matches(&matches).map_err(refused)?;
        Ok(Self {
            global: cli.global.with(layers.beside_options()),
            ..cli
        })
    }

    /// What can be typed. Its help has one layout in every command, whatever else clap would choose for a width.
    pub fn laid_out() -> clap::Command {
        let version = Arg::new("version")
            .short('V')
            .long("version")
            .help("Print version")
            .help_heading(None::<&str>)
            .display_order(1000);
        let version = version.action(ArgAction::Version).hide_short_help(true);
        let width = help_width();
        let cli = Self::command()
            .term_width(width.into())
            .next_line_help(width < TWO_COLUMNS)
            .disable_version_flag(true)
            .arg(version.clone());
        cli.mut_subcommands(|verb| {
            let verb = verb.help_template(LAYOUT).disable_version_flag(true);
            verb.arg(version.clone())
        })
    }

    fn run(self, matches: &ArgMatches, ui: Ui) -> anyhow::Result<Ending> {
        let Global { wait, .. } = self.global;
        let context = || -> anyhow::Result<Context> {
            if let Some(local) = self.global.local()? {
                commands::local::ensure(&local, ui)?;
            }
            let stop = Stop::default();
            Ok(Context {
                ui,
                servers: self.global.servers(&stop)?,
                stop,
                wait,
            })
        };
        match self.command {
            Command::Send(args) => serve(context, |context| commands::send::run(args, context)),
            Command::SendBatch(args) => serve(context, |context| commands::send_batch::run(args, context)),
            Command::Subscribe(args) => serve(context, |context| commands::subscribe::run(args, context)),
            Command::Unsubscribe(args) => serve(context, |context| commands::unsubscribe::run(args, context)),
            Command::Consume(args) => serve(context, |context| commands::consume::run(args, context)),
            Command::Ack(args) => serve(context, |context| commands::ack::run(args, context)),
            Command::Nack(args) => serve(context, |context| commands::nack::run(args, context)),
            Command::Pending(args) => serve(context, |context| commands::pending::run(args, context)),
            Command::Local(args) => commands::local::run(args, &self.global.private_server()?, ui),
            Command::Redrive(args) => serve(context, |context| commands::redrive::run(args, context)),
            Command::Profiles(args) => commands::profiles::run(args, matches, &Self::laid_out(), ui),
            Command::Trim(args) => serve(context, |context| commands::trim::run(args, context)),
            Command::Complete(args) => commands::complete::run(args, Self::laid_out(), ui),
            Command::Completions(args) => commands::completions::run(args, Self::laid_out(), ui),
            Command::Man(args) => commands::man::run(args, Self::laid_out(), ui),
        }
    }
}

/// Runs a command at the servers that are meant. Where a name is not there, those that are near are asked for.
fn serve(
    context: impl FnOnce() -> anyhow::Result<Context>,
    run: impl FnOnce(&Context) -> anyhow::Result<Ending>,
) -> anyhow::Result<Ending> {
    let context = context()?;
    run(&context).map_err(|failure| commands::mistyped(failure, &context.servers))
}

/// What was typed.
pub struct Typed {
    cli: Cli,
    matches: ArgMatches,
}

impl Typed {
    pub fn read() -> Result<Self, clap::Error> {
        let matches = Cli::laid_out()
            .try_get_matches_from(slips::without_help_twice(std::env::args_os().collect()))
            .map_err(|answer| slips::with_tip(answer, &Cli::laid_out()))?;
        let cli = Cli::from_arg_matches(&matches)?;
        Ok(Self { cli, matches })
    }

    pub fn ui(&self) -> Ui {
        self.cli.global.ui()
    }

    pub fn run(self, ui: Ui) -> anyhow::Result<Ending> {
        let cli = if self.cli.command.asks_a_server() {
            self.cli.with_profile(&self.matches, ui)?
        } else {
            self.cli
        };
        cli.run(&self.matches, ui)
    }
}

impl Command {
    /// Whether it has to do with the server that options, the environment or a profile name.
    fn asks_a_server(&self) -> bool {
        !matches!(
            self,
            Self::Local(_) | Self::Profiles(_) | Self::Complete(_) | Self::Completions(_) | Self::Man(_)
        )
    }
}

/// How to print where what was typed could not be parsed, or asks for help: in colour as it asks.
pub fn ui_without_options() -> Ui {
    Ui::new(Verbosity::Normal, Color::typed(std::env::args_os()))
}

/// Prints what clap answers instead of a command that is run.
pub fn answer(answer: &clap::Error, ui: Ui) -> anyhow::Result<u8> {
    match ui.answer(answer) {
        Ok(()) => Ok(failure::code_of_answer(answer)),
        Err(error) => Failure::stdout(error).map(failure::code_of),
    }
}
