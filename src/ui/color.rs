//! Whether a stream is coloured: one decision, for whatever is printed there.

use std::ffi::OsString;

use clap::ValueEnum;

use super::palette::Paint;

/// When to colour what is printed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Color {
    /// On a terminal, as far as NO_COLOR, CLICOLOR, CLICOLOR_FORCE and TERM let it
    #[default]
    Auto,
    /// Always
    Always,
    /// Never
    Never,
}

impl Color {
    /// What `--color` says, for messages about arguments that cannot be parsed.
    pub fn typed(arguments: impl Iterator<Item = OsString>) -> Self {
        let mut found = Self::default();
        let mut arguments = arguments.take_while(|argument| argument != "--");
        while let Some(argument) = arguments.next() {
            let value = match argument.to_str().and_then(|text| text.strip_prefix("--color")) {
                Some("") => arguments.next().and_then(|value| value.into_string().ok()),
                Some(value) => value.strip_prefix('=').map(str::to_owned),
                None => None,
            };
            found = value
                .and_then(|value| Self::from_str(&value, false).ok())
                .unwrap_or(found);
        }
        found
    }

    /// What becomes of a stream.
    pub fn of(self, is_terminal: bool) -> Paint {
        let variable = |name| std::env::var_os(name).filter(|value| !value.is_empty());
        if self.decide(is_terminal, variable) {
            Paint::Colored
        } else {
            Paint::Plain
        }
    }

    /// As <https://no-color.org> and <https://bixense.com/clicolors> have it. `variable` knows those that are not empty.
    fn decide(self, is_terminal: bool, variable: impl Fn(&'static str) -> Option<OsString>) -> bool {
        match self {
            Self::Always => true,
            Self::Never => false,
            Self::Auto if variable("NO_COLOR").is_some() => false,
            Self::Auto if variable("CLICOLOR_FORCE").is_some_and(|value| value != "0") => true,
            Self::Auto if variable("CLICOLOR").is_some_and(|value| value == "0") => false,
            Self::Auto => is_terminal && variable("TERM").is_some_and(|value| value != "dumb"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decide(color: Color, is_terminal: bool, environment: &str) -> bool {
        let variable = |name| {
            let mut pairs = environment.split(' ').filter_map(|pair| pair.split_once('='));
            pairs.find(|(key, _)| *key == name).map(|(_, value)| value.into())
        };
        color.decide(is_terminal, variable)
    }

    #[test]
    fn what_was_typed_outranks_the_environment_and_that_the_terminal() {
        for (color, is_terminal, environment, expected) in [
            (Color::Auto, true, "TERM=xterm", true),
            (Color::Auto, false, "TERM=xterm", false),
            (Color::Auto, true, "", false),
            (Color::Auto, true, "TERM=dumb", false),
            (Color::Auto, true, "TERM=xterm NO_COLOR=1", false),
            (Color::Auto, true, "TERM=xterm NO_COLOR=0", false),
            (Color::Auto, true, "TERM=xterm CLICOLOR=0", false),
            (Color::Auto, true, "TERM=xterm CLICOLOR=1", true),
            (Color::Auto, false, "TERM=xterm CLICOLOR=1", false),
            (Color::Auto, false, "CLICOLOR_FORCE=1", true),
            (Color::Auto, true, "TERM=dumb CLICOLOR_FORCE=1 CLICOLOR=0", true),
            (Color::Auto, false, "CLICOLOR_FORCE=0", false),
            (Color::Auto, true, "TERM=xterm CLICOLOR_FORCE=1 NO_COLOR=1", false),
            (Color::Always, false, "TERM=dumb NO_COLOR=1", true),
            (Color::Never, true, "TERM=xterm CLICOLOR_FORCE=1", false),
        ] {
            let found = decide(color, is_terminal, environment);
            assert_eq!(found, expected, "{color:?} {is_terminal} {environment}");
        }
    }

    #[test]
    fn the_option_is_found_where_parsing_stopped_before_it() {
        let typed = |line: &str| Color::typed(line.split(' ').map(OsString::from));
        for (line, expected) in [
            ("send --oops", Color::Auto),
            ("send --oops --color always", Color::Always),
            ("--color=never send", Color::Never),
            ("--color never send --color=always", Color::Always),
            ("send --color", Color::Auto),
            ("send --color mauve", Color::Auto),
            ("consume s -- ls --color=always", Color::Auto),
            ("send --colour=always", Color::Auto),
        ] {
            assert_eq!(typed(line), expected, "{line}");
        }
    }
}
