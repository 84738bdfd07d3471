//! What fits where the cursor is.

use clap::{Arg, ArgAction, Command};

use super::line::{Line, Place, takes_many};
use super::server;
use super::values::{Kind, kind};
use crate::commands::profiles;

/// What the shell is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// One of these whole words.
    Words(Vec<Candidate>),
    /// A file, whose name begins behind this part of the word.
    Files {
        prefix: String,
    },
    Directories {
        prefix: String,
    },
    /// What another program takes, whose command line is the last so many words.
    OtherProgram {
        words: usize,
    },
}

/// A word, and what it means.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Candidate {
    pub word: String,
    pub help: String,
}

impl Answer {
    pub fn files(prefix: &str) -> Self {
        Self::Files {
            prefix: prefix.to_owned(),
        }
    }
}

impl Candidate {
    pub fn new(word: impl Into<String>, help: impl Into<String>) -> Self {
        Self {
            word: word.into(),
            help: help.into(),
        }
    }
}

pub fn answer(line: &Line<'_>) -> Answer {
    match line.place {
        Place::OtherProgram(words) => Answer::OtherProgram { words },
        Place::Option => Answer::Words(options(line)),
        Place::Value(arg) => values(line, arg),
        Place::Word(Some(arg)) => match values(line, arg) {
            // It can be left out, and nothing is known to stand here.
            Answer::Words(words) if words.is_empty() && line.typed.is_empty() && !is_missing(line, arg) => {
                Answer::Words(options(line))
            }
            values => values,
        },
        Place::Word(None) if line.command.has_subcommands() => Answer::Words(verbs(line, line.command)),
        Place::Word(None) => Answer::Words(options(line)),
    }
}

fn is_missing(line: &Line<'_>, arg: &Arg) -> bool {
    arg.is_required_set() && line.values(arg.get_id().as_str()).next().is_none()
}

fn verbs(line: &Line<'_>, of: &Command) -> Vec<Candidate> {
    let verbs = of.get_subcommands().filter(|verb| !verb.is_hide_set());
    let named = verbs.flat_map(|verb| {
        let about = first_sentence(verb.get_about());
        verb.get_name_and_visible_aliases()
            .into_iter()
            .map(move |name| Candidate::new(name, about.clone()))
    });
    named.filter(|verb| verb.word.starts_with(&line.typed)).collect()
}

/// Options that can still be given. Those of one letter are only shown to who typed the dash alone: the others say more.
fn options(line: &Line<'_>) -> Vec<Candidate> {
    let mut candidates = Vec::new();
    for arg in line.command.get_arguments().filter(|arg| can_be_given(line, arg)) {
        let help = first_sentence(arg.get_help());
        let long = arg.get_long().map(|name| format!("--{name}"));
        let short = arg.get_short().map(|name| format!("-{name}"));
        let short = short.filter(|_| line.typed == "-" || long.is_none());
        for word in short.into_iter().chain(long) {
            if word.starts_with(&line.typed) {
                candidates.push(Candidate::new(word, help.clone()));
            }
        }
    }
    candidates
}

fn can_be_given(line: &Line<'_>, arg: &Arg) -> bool {
    let again = matches!(arg.get_action(), ArgAction::Append | ArgAction::Count);
    !arg.is_hide_set()
        && line
            .given
            .iter()
            .all(|(given, _)| (again || given.get_id() != arg.get_id()) && !conflict(line.command, given, arg))
}

fn conflict(command: &Command, a: &Arg, b: &Arg) -> bool {
    let excludes = |a, b: &Arg| {
        let mut others = command.get_arg_conflicts_with(a).into_iter();
        others.any(|other| other.get_id() == b.get_id())
    };
    let share_a_choice = || {
        let choices = command.get_groups().filter(|group| !(*group).clone().is_multiple());
        choices
            .map(|group| group.get_args().collect::<Vec<_>>())
            .any(|choices| choices.contains(&a.get_id()) && choices.contains(&b.get_id()))
    };
    excludes(a, b) || excludes(b, a) || (a.get_id() != b.get_id() && share_a_choice())
}

fn values(line: &Line<'_>, arg: &Arg) -> Answer {
    let Some(kind) = kind(arg) else {
        return Answer::Words(Vec::new());
    };
    let (prefix, typed) = (line.prefix.as_str(), line.typed.as_str());
    let mut found = match kind {
        Kind::File => return Answer::files(prefix),
        Kind::Directory => {
            return Answer::Directories {
                prefix: prefix.to_owned(),
            };
        }
        Kind::Body if typed.starts_with('@') => return Answer::files("@"),
        Kind::Body | Kind::Free => Vec::new(),
        Kind::OneOf(values) => values
            .iter()
            .map(|value| Candidate::new(value.get_name(), first_sentence(value.get_help())))
            .collect(),
        Kind::Profile => profiles::names()
            .into_iter()
            .map(|name| Candidate::new(name, ""))
            .collect(),
        Kind::Verb => return Answer::Words(verbs(line, line.root)),
        Kind::Words(words) => words.iter().map(|(word, help)| Candidate::new(*word, *help)).collect(),
        Kind::Stream | Kind::Group | Kind::Listener | Kind::Consumer | Kind::Pending => server::ask(line, &kind),
    };
    let is_given = |word: &str| takes_many(arg) && line.values(arg.get_id().as_str()).any(|value| value == word);
    found.retain(|candidate| candidate.word.starts_with(typed) && !is_given(&candidate.word));
    for candidate in &mut found {
        candidate.word.insert_str(0, prefix);
    }
    Answer::Words(found)
}

/// A help text as far as it fits beside a word.
fn first_sentence(help: Option<&clap::builder::StyledStr>) -> String {
    let help = help.map(ToString::to_string).unwrap_or_default();
    let line = help.lines().next().unwrap_or_default();
    let end = line.find(". ").or_else(|| line.find(" [default")).unwrap_or(line.len());
    line[..end].to_owned()
}

#[cfg(test)]
mod tests {

    use super::*;

    fn all_of(command: &Command, check: &mut impl FnMut(&Command)) {
        check(command);
        command.get_subcommands().for_each(|below| all_of(below, check));
    }

    #[test]
    fn what_every_argument_takes_is_known() {
        let mut cli = crate::cli::Cli::laid_out();
        cli.build();
        all_of(&cli, &mut |command| {
            let arguments = command.get_arguments().filter(|arg| arg.get_action().takes_values());
            for arg in arguments.filter(|arg| !arg.is_hide_set() && !arg.is_last_set() && !command.is_hide_set()) {
                let (command, id, names) = (command.get_name(), arg.get_id(), arg.get_value_names());
                assert!(
                    kind(arg).is_some() || command == "help",
                    "say in values.rs what completes {names:?} ({id} of {command})"
                );
            }
        });
    }

    #[test]
    fn each_pair_of_arguments_is_compatible_or_not() {
        let mut cli = crate::cli::Cli::laid_out();
        cli.build();
        let mut conflicts = 0;
        all_of(&cli, &mut |command| {
            for (a, b) in command
                .get_arguments()
                .flat_map(|a| command.get_arguments().map(move |b| (a, b)))
            {
                conflicts += usize::from(conflict(command, a, b));
            }
        });
        assert!(conflicts > 0);
    }
}
