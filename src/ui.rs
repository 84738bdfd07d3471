//! The only door to the terminal: data, status, progress, colour, width. Knows nothing of Redis.

mod data;
mod input;
mod secret;

use std::io::{self, IsTerminal, Write};
use std::sync::OnceLock;
use std::time::Duration;

use crossterm::style::Stylize;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

pub use data::Data;
pub use input::Input;
pub use secret::{Typed, ask as ask_secret};

/// When to colour what goes to stderr.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Color {
    /// On a terminal, unless NO_COLOR is set
    #[default]
    Auto,
    /// Always
    Always,
    /// Never
    Never,
}

/// How much is said on stderr beside errors.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verbosity {
    /// Errors and warnings only.
    Quiet,
    /// What was done.
    Normal,
    /// What is being done.
    Verbose,
}

/// The terminal, or the pipes in its place.
#[derive(Clone, Copy, Debug)]
pub struct Ui {
    verbosity: Verbosity,
    color: bool,
}

/// Width of a table where nobody says how wide the terminal is.
const DEFAULT_WIDTH: u16 = 80;

impl Ui {
    pub fn new(verbosity: Verbosity, color: Color) -> Self {
        // https://no-color.org: present and not empty, whatever its value.
        let refused = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        Self {
            verbosity,
            color: match color {
                Color::Always => true,
                Color::Never => false,
                Color::Auto => io::stderr().is_terminal() && !refused,
            },
        }
    }

    pub fn data(&self) -> io::Result<Data> {
        Data::stdout()
    }

    /// Where data comes from, and what ends the wait for more.
    pub fn input(&self) -> io::Result<(Input, impl FnOnce() + Send + use<>)> {
        Input::stdin()
    }

    /// The width to lay tables out for; `None` in a pipe, where nothing is cut.
    pub fn table_width(&self) -> Option<u16> {
        io::stdout()
            .is_terminal()
            .then(|| crossterm::terminal::size().map_or(DEFAULT_WIDTH, |(columns, _)| columns))
    }

    /// Whether somebody would have to type the input.
    pub fn input_is_terminal(&self) -> bool {
        io::stdin().is_terminal()
    }

    /// Says what was done, unless asked to be quiet.
    pub fn status(&self, text: &str) {
        if self.verbosity >= Verbosity::Normal {
            self.say(text);
        }
    }

    /// Says what is being done, if asked to.
    pub fn detail(&self, text: &str) {
        if self.verbosity >= Verbosity::Verbose {
            self.say(text);
        }
    }

    /// Warns of what a person should know although the work goes on, quiet or not.
    pub fn warning(&self, text: &str) {
        let label = if self.color {
            "warning:".yellow().bold().to_string()
        } else {
            "warning:".to_owned()
        };
        self.print(&format!("{label} {}", printable(text)));
    }

    /// Reports a failure: what, why, and what to do next.
    pub fn error(&self, message: &str, causes: &[String], hint: Option<&str>) {
        let (error, hinted) = if self.color {
            ("error:".red().bold().to_string(), "hint:".cyan().bold().to_string())
        } else {
            ("error:".to_owned(), "hint:".to_owned())
        };
        let mut text = format!("{error} {}", printable(message));
        for cause in causes {
            text.push_str(&format!("\n  caused by: {}", printable(cause)));
        }
        if let Some(hint) = hint {
            text.push_str(&format!("\n{hinted} {}", printable(hint)));
        }
        self.print(&text);
    }

    fn say(&self, text: &str) {
        self.print(&printable(text));
    }

    /// A closed stderr is no reason to fail: the exit code still tells.
    fn print(&self, text: &str) {
        let print = || {
            let _ = writeln!(io::stderr().lock(), "{text}");
        };
        match BAR.get() {
            Some(bar) => bar.suspend(print),
            None => print(),
        }
    }

    /// Progress over `total` bytes, or over nobody knows how many. Shown on a terminal only.
    pub fn progress(&self, total: Option<u64>) -> Progress {
        let shown = self.verbosity >= Verbosity::Normal && io::stderr().is_terminal();
        let target = if shown {
            ProgressDrawTarget::stderr_with_hz(10)
        } else {
            ProgressDrawTarget::hidden()
        };
        let bar = ProgressBar::with_draw_target(total, target);
        let template = match total {
            Some(_) => "{wide_bar} {percent:>3}%  {msg}, ends in {eta}",
            None => "{spinner} {msg}  {elapsed}",
        };
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style);
        }
        if shown {
            bar.enable_steady_tick(Duration::from_millis(200));
        }
        Progress {
            bar: BAR.get_or_init(|| bar).clone(),
        }
    }
}

/// The bar on the terminal, which steps aside for messages. A process has one stderr, and one bar on it.
static BAR: OnceLock<ProgressBar> = OnceLock::new();

/// A progress bar, or nothing where there is no terminal.
pub struct Progress {
    bar: ProgressBar,
}

impl Progress {
    /// Moves to `bytes` done and shows a message.
    pub fn update(&self, bytes: u64, message: impl FnOnce() -> String) {
        if !self.bar.is_hidden() {
            self.bar.set_position(bytes);
            self.bar.set_message(message());
        }
    }

    pub fn finish(&self) {
        self.bar.finish_and_clear();
    }
}

/// Characters that command a terminal or reorder its text: C0, DEL, C1, and the bidirectional controls.
fn is_unsafe(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// A text for a terminal: control characters escaped, line breaks kept.
pub fn printable(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\n' => safe.push(c),
            c if is_unsafe(c) => safe.extend(c.escape_unicode()),
            c => safe.push(c),
        }
    }
    safe
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_characters_are_escaped_and_text_is_not() {
        assert_eq!(
            printable("a\u{1b}[2J\u{9b}\u{202e}\u{61c}é\n"),
            "a\\u{1b}[2J\\u{9b}\\u{202e}\\u{61c}é\n"
        );
    }
}
