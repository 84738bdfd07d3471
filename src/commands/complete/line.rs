//! The words of a command line that is still being typed: what is given so far, and what the last word is about to be.
//! Forgives whatever clap would refuse. Pure.

use clap::{Arg, ArgAction, Command};

/// A command line up to the cursor.
pub struct Line<'c> {
    /// The program.
    pub root: &'c Command,
    /// The command whose arguments are being typed.
    pub command: &'c Command,
    /// What is given so far, in order; an option without a value has none.
    pub given: Vec<(&'c Arg, Option<String>)>,
    pub place: Place<'c>,
    /// What stands before `typed` in the same word, such as `--ack=`.
    pub prefix: String,
    /// What is typed so far of what is being completed.
    pub typed: String,
}

/// What is being typed.
#[derive(Clone, Copy, Debug)]
pub enum Place<'c> {
    /// A verb, or what stands without an option, if anything may; or an option is yet to begin.
    Word(Option<&'c Arg>),
    /// An option.
    Option,
    /// The value of an option.
    Value(&'c Arg),
    /// Another program's command line, of which this is the word of that number, from 1 on.
    OtherProgram(usize),
}

/// How far a line was read.
struct Reader<'c> {
    command: &'c Command,
    given: Vec<(&'c Arg, Option<String>)>,
    /// The option whose value comes next.
    awaiting: Option<&'c Arg>,
    /// How many words without an option there were.
    positionals: usize,
    /// Behind `--`: nothing is an option any more.
    escaped: bool,
    /// How many words of another program's line there were.
    others: usize,
}

impl<'c> Line<'c> {
    /// Reads words, of which the first is the program's name and the last is being typed.
    pub fn read(cli: &'c Command, words: &[String]) -> Self {
        let (last, before) = words
            .split_last()
            .map_or(("", [].as_slice()), |(last, before)| (last.as_str(), before));
        let mut reader = Reader {
            command: cli,
            given: Vec::new(),
            awaiting: None,
            positionals: 0,
            escaped: false,
            others: 0,
        };
        for word in before.iter().skip(1) {
            reader.take(word);
        }
        let (place, prefix) = reader.place(last);
        Self {
            root: cli,
            place,
            prefix: last[..prefix].to_owned(),
            typed: last[prefix..].to_owned(),
            command: reader.command,
            given: reader.given,
        }
    }

    /// The values given to the arguments of this name, in order.
    pub fn values<'l>(&'l self, id: &'l str) -> impl Iterator<Item = &'l str> {
        let of_id = self.given.iter().filter(move |(arg, _)| arg.get_id() == id);
        of_id.filter_map(|(_, value)| value.as_deref())
    }
}

impl<'c> Reader<'c> {
    fn take(&mut self, word: &str) {
        if let Some(arg) = self.awaiting.take()
            && (!may_be_option(word) || arg.is_allow_hyphen_values_set())
        {
            self.given.push((arg, Some(word.to_owned())));
            return;
        }
        match word {
            _ if self.escaped => self.take_positional(word),
            "--" => self.escaped = true,
            _ if word.starts_with("--") => self.take_long(&word[2..]),
            _ if may_be_option(word) => self.take_short(word),
            _ => match self.subcommand(word) {
                Some(command) => self.command = command,
                None => self.take_positional(word),
            },
        }
    }

    fn subcommand(&self, word: &str) -> Option<&'c Command> {
        let is_free = self.positionals == 0 && !self.escaped;
        self.command.find_subcommand(word).filter(|_| is_free)
    }

    fn take_positional(&mut self, word: &str) {
        if self.escaped && self.other_program().is_some() {
            self.others += 1;
        } else if let Some(arg) = self.positional() {
            self.given.push((arg, Some(word.to_owned())));
            if !takes_many(arg) {
                self.positionals += 1;
            }
        }
    }

    fn take_long(&mut self, text: &str) {
        let (name, value) = match text.split_once('=') {
            Some((name, value)) => (name, Some(value.to_owned())),
            None => (text, None),
        };
        if let Some(arg) = long(self.command, name) {
            self.take_option(arg, value);
        }
    }

    fn take_short(&mut self, word: &str) {
        let mut rest = word[1..].char_indices();
        while let Some((_, name)) = rest.next() {
            let Some(arg) = short(self.command, name) else {
                return;
            };
            if needs_value(arg) {
                let value = rest.as_str().trim_start_matches('=');
                self.take_option(arg, Some(value.to_owned()).filter(|value| !value.is_empty()));
                return;
            }
            self.take_option(arg, None);
        }
    }

    fn take_option(&mut self, arg: &'c Arg, value: Option<String>) {
        if needs_value(arg) && value.is_none() {
            self.awaiting = Some(arg);
        } else {
            self.given.push((arg, value));
        }
    }

    /// What the last word is about to be, and how much of it stands before that.
    fn place(&self, word: &str) -> (Place<'c>, usize) {
        if let Some(arg) = self.awaiting {
            return (Place::Value(arg), 0);
        }
        if self.escaped {
            return match self.other_program() {
                Some(_) => (Place::OtherProgram(self.others + 1), 0),
                None => (Place::Word(self.positional()), 0),
            };
        }
        if let Some((name, _)) = word.strip_prefix("--").and_then(|text| text.split_once('=')) {
            let prefix = "--=".len() + name.len();
            return long(self.command, name)
                .filter(|arg| arg.get_action().takes_values())
                .map_or((Place::Option, 0), |arg| (Place::Value(arg), prefix));
        }
        if word.starts_with('-') {
            return self.attached(word).unwrap_or((Place::Option, 0));
        }
        (Place::Word(self.positional()), 0)
    }

    /// The value that follows a short option in the same word.
    fn attached(&self, word: &str) -> Option<(Place<'c>, usize)> {
        if word.starts_with("--") {
            return None;
        }
        for (index, name) in word.char_indices().skip(1) {
            let arg = short(self.command, name)?;
            if needs_value(arg) {
                let mut prefix = index + name.len_utf8();
                if word[prefix..].starts_with('=') {
                    prefix += 1;
                }
                return (prefix < word.len()).then_some((Place::Value(arg), prefix));
            }
        }
        None
    }

    /// What the next word without an option is.
    fn positional(&self) -> Option<&'c Arg> {
        let mut positionals = self.command.get_positionals().filter(|arg| !arg.is_last_set());
        positionals.nth(self.positionals)
    }

    fn other_program(&self) -> Option<&'c Arg> {
        self.command.get_positionals().find(|arg| arg.is_last_set())
    }
}

/// A dash alone is stdin.
fn may_be_option(word: &str) -> bool {
    word.len() > 1 && word.starts_with('-')
}

/// Whether the next word is the value, if it does not follow in the same word.
fn needs_value(arg: &Arg) -> bool {
    let takes_one = arg.get_num_args().is_some_and(|range| range.min_values() > 0);
    arg.get_action().takes_values() && takes_one && !arg.is_require_equals_set()
}

/// Whether words go on being this one.
pub fn takes_many(arg: &Arg) -> bool {
    arg.get_num_args().is_some_and(|range| range.max_values() > 1)
        || matches!(arg.get_action(), ArgAction::Append) && arg.is_positional()
}

fn long<'c>(command: &'c Command, name: &str) -> Option<&'c Arg> {
    let is_it = |arg: &&Arg| {
        let mut aliases = arg.get_all_aliases().into_iter().flatten();
        arg.get_long() == Some(name) || aliases.any(|alias| alias == name)
    };
    command.get_arguments().find(is_it)
}

fn short(command: &Command, name: char) -> Option<&Arg> {
    let is_it = |arg: &&Arg| {
        let mut aliases = arg.get_all_short_aliases().into_iter().flatten();
        arg.get_short() == Some(name) || aliases.any(|alias| alias == name)
    };
    command.get_arguments().find(is_it)
}
