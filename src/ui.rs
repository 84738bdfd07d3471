//! The only door to the terminal: data, status, progress, colour, width. Knows nothing of Redis.

mod color;
mod data;
mod fold;
mod input;
mod look;
pub mod palette;
mod progress;
mod screen;
mod secret;

use std::borrow::Cow;
use std::io::{self, IsTerminal, Write};

use palette::{ERROR, HINT, Paint, WARNING};

pub use color::Color;
pub use data::{Data, Records};
pub use input::Input;
pub use look::Look;
pub use progress::{Progress, Unit};
pub use screen::{Input as ScreenInput, Key, Screen, Span, leave as leave_screen};
pub use secret::{Typed, ask as ask_secret};

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
    stdout: Look,
    stderr: Paint,
}

/// Width of a table where nobody says how wide the terminal is.
const DEFAULT_WIDTH: u16 = 80;
/// Lines of help that are longer are hard to read.
const MAX_HELP_WIDTH: u16 = 100;

/// The width to lay help out for.
pub fn help_width() -> u16 {
    match io::stdout().is_terminal() {
        true => width().min(MAX_HELP_WIDTH),
        false => MAX_HELP_WIDTH,
    }
}

impl Ui {
    pub fn new(verbosity: Verbosity, color: Color) -> Self {
        let is_terminal = io::stdout().is_terminal();
        Self {
            verbosity,
            stdout: Look {
                is_terminal,
                paint: color.of(is_terminal),
            },
            stderr: color.of(io::stderr().is_terminal()),
        }
    }

    pub fn data(&self) -> io::Result<Data> {
        Data::stdout(self.stdout)
    }

    /// How data looks on stdout.
    pub fn look(&self) -> Look {
        self.stdout
    }

    /// The whole terminal, where stdout is one that can be drawn on.
    pub fn screen(&self) -> io::Result<Option<Screen>> {
        let is_dumb = std::env::var_os("TERM").is_none_or(|term| term == "dumb");
        if self.stdout.is_terminal && !is_dumb {
            Screen::open(self.stdout.paint).map(Some)
        } else {
            Ok(None)
        }
    }

    /// Whether the locale's characters are those of UTF-8.
    pub fn has_utf8(&self) -> bool {
        progress::has_utf8()
    }

    /// Where data comes from, and what ends the wait for more.
    pub fn input(&self) -> io::Result<(Input, impl FnOnce() + Send + use<>)> {
        Input::stdin()
    }

    /// The width to lay tables out for; `None` in a pipe, where nothing is cut.
    pub fn table_width(&self) -> Option<u16> {
        self.stdout.is_terminal.then(width)
    }

    /// Words as stdout is to show them: on a terminal, in lines that it shows whole.
    pub fn words(&self, text: &str) -> String {
        if self.stdout.is_terminal {
            fitted(&printable(text), true).into_owned()
        } else {
            text.to_owned()
        }
    }

    /// Whether somebody would have to type the input.
    pub fn input_is_terminal(&self) -> bool {
        io::stdin().is_terminal()
    }

    /// Whether anybody hears what is done.
    pub fn tells_status(&self) -> bool {
        self.verbosity >= Verbosity::Normal
    }

    /// Says what was done, unless asked to be quiet.
    pub fn status(&self, text: &str) {
        if self.tells_status() {
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
        let label = self.stderr.paint(WARNING, "warning:");
        self.print(&format!("{label} {}", printable(text)));
    }

    /// Reports a failure: what, why, and what to do next.
    pub fn error(&self, message: &str, causes: &[String], hint: Option<&str>) {
        let mut text = format!("{} {}", self.stderr.paint(ERROR, "error:"), printable(message));
        for cause in causes {
            text.push_str(&format!("\n  caused by: {}", printable(cause)));
        }
        if let Some(hint) = hint {
            text.push_str(&format!("\n{} {}", self.stderr.paint(HINT, "hint:"), printable(hint)));
        }
        self.print(&text);
    }

    /// Prints what clap answers instead of a command that is run: help and the version are data, a mistake in what was
    /// typed is not.
    pub fn answer(&self, answer: &clap::Error) -> io::Result<()> {
        let text = answer.render();
        let painted = |paint| match paint {
            Paint::Plain => text.to_string(),
            Paint::Colored => text.ansi().to_string(),
        };
        if answer.use_stderr() {
            self.print(painted(self.stderr).trim_end());
            return Ok(());
        }
        // clap indents lines that are empty, and leaves those alone that are laid out as they stand.
        let text: String = painted(self.stdout.paint)
            .lines()
            .map(|line| line.trim_end().to_owned() + "\n")
            .collect();
        let text = fitted(&text, io::stdout().is_terminal());
        self.data()?.show(text.as_bytes())
    }

    fn say(&self, text: &str) {
        self.print(&printable(text));
    }

    /// A closed stderr is no reason to fail: the exit code still tells.
    fn print(&self, text: &str) {
        let text = fitted(text, io::stderr().is_terminal());
        let print = || {
            let _ = writeln!(io::stderr().lock(), "{text}");
        };
        progress::aside(print);
    }

    /// Progress over `total` bytes, or over nobody knows how many. Shown on a terminal only.
    pub fn progress(&self, unit: Unit, total: Option<u64>) -> Progress {
        Progress::start(unit, total, self.verbosity >= Verbosity::Normal)
    }
}

/// A text with lines that the terminal shows whole, if it goes to one.
fn fitted(text: &str, is_terminal: bool) -> Cow<'_, str> {
    // Where there is no terminal, its width is found out by running programs.
    match is_terminal.then(columns).flatten() {
        Some(columns) => fold::fold(text, columns).into(),
        None => text.into(),
    }
}

/// How many columns the terminal has, or is taken to have.
fn width() -> u16 {
    columns().unwrap_or(DEFAULT_WIDTH)
}

/// How many columns the terminal has; some that nobody looks at have none.
fn columns() -> Option<u16> {
    let (columns, _) = crossterm::terminal::size().ok()?;
    (columns > 0).then_some(columns)
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
