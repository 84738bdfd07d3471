//! How things look, in one place: messages, help, JSON and tables. Only the eight plain colours, which every terminal
//! shows readably on its own background, light or dark; bold goes with none that some terminals would brighten by it.

use std::fmt::Display;

use clap::builder::Styles;
pub use clap::builder::styling::Style;
use clap::builder::styling::{AnsiColor, Effects};

const PLAIN: Style = Style::new();

/// The heads of tables and of parts of the help.
pub const HEAD: Style = PLAIN.effects(Effects::BOLD);
/// What is selected.
pub const SELECTED: Style = PLAIN.effects(Effects::INVERT);
/// What is of less interest.
pub const ASIDE: Style = AnsiColor::Cyan.on_default();
/// What failed, or exceeds a limit.
pub const ERROR: Style = AnsiColor::Red.on_default().effects(Effects::BOLD);
/// What a person should look at.
pub const WARNING: Style = AnsiColor::Yellow.on_default();
/// What to do next.
pub const HINT: Style = AnsiColor::Cyan.on_default();

/// What is typed as it stands.
const LITERAL: Style = AnsiColor::Cyan.on_default();
const VALID: Style = AnsiColor::Green.on_default();

pub const JSON_KEY: Style = AnsiColor::Cyan.on_default();
pub const JSON_TEXT: Style = AnsiColor::Green.on_default();
pub const JSON_NUMBER: Style = AnsiColor::Yellow.on_default();
/// `true`, `false` and `null`.
pub const JSON_WORD: Style = AnsiColor::Magenta.on_default();

/// How help and mistakes in what was typed look.
pub const STYLES: Styles = Styles::plain()
    .header(HEAD)
    .usage(HEAD)
    .literal(LITERAL)
    .error(ERROR)
    .valid(VALID)
    .invalid(WARNING);

/// Whether what goes to a stream is coloured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Paint {
    Plain,
    Colored,
}

impl Paint {
    pub fn paint(self, style: Style, text: impl Display) -> String {
        match self {
            Self::Plain => text.to_string(),
            Self::Colored => format!("{style}{text}{style:#}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_colour_is_a_bright_one_and_each_ends() {
        for style in [
            ERROR,
            WARNING,
            HINT,
            LITERAL,
            VALID,
            JSON_KEY,
            JSON_TEXT,
            JSON_NUMBER,
            JSON_WORD,
        ] {
            let text = Paint::Colored.paint(style, "x");
            let (before, after) = text.split_once('x').unwrap();
            assert!(before.contains("\x1b[3"), "{text:?}");
            assert_eq!(after, "\x1b[0m");
        }
        assert_eq!(Paint::Colored.paint(HEAD, "x"), "\x1b[1mx\x1b[0m");
        assert_eq!(Paint::Plain.paint(ERROR, "x"), "x");
    }
}
