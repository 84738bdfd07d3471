//! A page of the manual, made of what the help says. clap_mangen sets names and options; it leaves out the help of options
//! that the short help hides, lists every option in the synopsis and runs examples together, so those are set here. Pure.

use clap::{Arg, Command};
use clap_mangen::Man;
use clap_mangen::roff::{Inline, Roff, bold, italic, roman};

use super::topics::{self, Topic};

/// The day of the last release, or of what is to be the first.
const DATE: &str = "2026-11-25";
const PROGRAM: &str = "redis-streamer";

/// The commands that have a page.
pub fn verbs(cli: &Command) -> impl Iterator<Item = &Command> {
    cli.get_subcommands()
        .filter(|verb| !verb.is_hide_set() && verb.get_name() != "help")
}

/// The file name of a page, and the page: of a command, or of the whole program.
pub fn write(cli: &Command, verb: Option<&Command>) -> (String, Vec<u8>) {
    let name = title(verb);
    let command = verb.unwrap_or(cli);
    let man = Man::new(with_whole_help(command))
        .title(name.to_uppercase())
        .date(DATE)
        .source(concat!("redis-streamer ", env!("CARGO_PKG_VERSION")))
        .manual("User Commands");
    let mut page = Vec::new();
    // Memory takes whatever is written to it.
    let _ = man.render_title(&mut page);
    section(&mut page, plain_text);
    let _ = man.render_name_section(&mut page);
    section(&mut page, |page| {
        synopsis(page, command);
        match verb {
            Some(verb) => description(page, verb),
            None => {
                topics::DESCRIPTION.write(page);
                commands(page, cli);
            }
        }
    });
    let _ = man.render_options_section(&mut page);
    section(&mut page, |page| {
        if verb.is_none() {
            topics::OF_ALL.iter().for_each(|topic| topic.write(page));
        }
        after_help(page, command);
        topics::EXIT_STATUS.write(page);
        if verb.is_none() {
            topics::ENVIRONMENT.write(page);
        }
        see_also(page, cli, verb);
    });
    (
        format!("{name}.1"),
        tidied(&String::from_utf8_lossy(&page)).into_bytes(),
    )
}

fn section(page: &mut Vec<u8>, write: impl FnOnce(&mut Roff)) {
    let mut section = Roff::new();
    write(&mut section);
    let _ = section.to_writer(page);
}

/// Options and names are not to be torn apart at the end of a line, nor spaces to be spread.
fn plain_text(page: &mut Roff) {
    page.control("nh", []);
    page.control("ad", ["l"]);
}

/// What is needed once, once; headings without what stands in brackets; a list of values a line below the text above it.
fn tidied(page: &str) -> String {
    const APOSTROPHE: &str = ".ie \\n(.g .ds Aq \\(aq\n.el .ds Aq '\n";
    let body = page.replace(APOSTROPHE, "").replace(".br\n\n.br\n", ".sp\n");
    // Two backslashes are one only where they are read twice.
    let body = body.replace("\\\\", "\\(rs");
    let mut tidied = APOSTROPHE.to_owned();
    for line in body.lines() {
        match line.strip_prefix(".SH \"").and_then(|heading| heading.split_once(" (")) {
            Some((heading, _)) => tidied += &format!(".SH \"{heading}\""),
            // Readers of manual pages do not agree on what else than ASCII is.
            None => line.chars().for_each(|c| match c {
                c if c.is_ascii() => tidied.push(c),
                c => tidied += &format!("\\[u{:04X}]", u32::from(c)),
            }),
        }
        tidied.push('\n');
    }
    tidied
}

fn title(verb: Option<&Command>) -> String {
    verb.map_or_else(|| PROGRAM.to_owned(), |verb| format!("{PROGRAM}-{}", verb.get_name()))
}

/// The command with each option's help in full, in sections: what has none of its own is an argument or an option.
fn with_whole_help(command: &Command) -> Command {
    let whole = |arg: Arg| {
        let arg = match arg.get_long_help().or_else(|| arg.get_help()).cloned() {
            Some(help) => arg.long_help(help),
            None => arg,
        };
        match (arg.get_help_heading(), arg.is_positional()) {
            (Some(_), _) => arg,
            (None, true) => arg.help_heading("Arguments"),
            (None, false) => arg.help_heading("Options"),
        }
    };
    command.clone().mut_args(whole)
}

/// The usage of a command, and of those below it.
fn synopsis(page: &mut Roff, command: &Command) {
    page.control("SH", ["SYNOPSIS"]);
    let below: Vec<_> = command
        .get_subcommands()
        .filter(|below| is_below(command, below))
        .collect();
    for (number, command) in [command].into_iter().chain(below).enumerate() {
        if number > 0 {
            page.control("br", []);
        }
        let usage = command.clone().render_usage().to_string();
        let usage = usage.trim_start_matches("Usage: ");
        page.text([bold(PROGRAM), roman(usage.strip_prefix(PROGRAM).unwrap_or(usage))]);
    }
}

/// Commands of the program have pages of their own.
fn is_below(command: &Command, below: &Command) -> bool {
    command.get_name() != PROGRAM && !below.is_hide_set() && below.get_name() != "help"
}

/// What a command is for; its first line stands beside the name already.
fn description(page: &mut Roff, command: &Command) {
    page.control("SH", ["DESCRIPTION"]);
    let about = command.get_long_about().or_else(|| command.get_about());
    let about = about.map(ToString::to_string).unwrap_or_default();
    let paragraphs = about.split_once("\n\n").map_or(about.as_str(), |(_, rest)| rest);
    for (number, paragraph) in paragraphs.split("\n\n").enumerate() {
        if number > 0 {
            page.control("PP", []);
        }
        page.text([roman(paragraph.replace('\n', " "))]);
    }
}

fn commands(page: &mut Roff, cli: &Command) {
    page.control("SH", ["COMMANDS"]);
    for verb in verbs(cli) {
        page.control("TP", []);
        page.text([bold(title(Some(verb))), roman("(1)")]);
        page.text([roman(verb.get_about().map(ToString::to_string).unwrap_or_default())]);
    }
}

/// What stands below the options: a section for each line that ends with a colon, of the indented lines below it. Exit
/// codes have a section of their own.
fn after_help(page: &mut Roff, command: &Command) {
    let text = command.get_after_long_help().or_else(|| command.get_after_help());
    let text = text.map(ToString::to_string).unwrap_or_default();
    for block in text.split("\n\n") {
        let Some((heading, lines)) = block.split_once(":\n") else {
            continue;
        };
        if heading != "Exit codes" {
            page.control("SH", [heading.to_uppercase().as_str()]);
            literally(page, lines);
        }
    }
}

/// Lines as they stand, which fit where they fit at a prompt.
fn literally(page: &mut Roff, lines: &str) {
    page.control("in", ["2n"]);
    page.control("nf", []);
    for line in lines.lines() {
        page.text([roman(line.strip_prefix("  ").unwrap_or(line))]);
    }
    page.control("fi", []);
    page.control("in", []);
}

fn see_also(page: &mut Roff, cli: &Command, verb: Option<&Command>) {
    page.control("SH", ["SEE ALSO"]);
    let program = verb.map(|_| PROGRAM.to_owned());
    let others = verbs(cli).map(|other| title(Some(other)));
    let names: Vec<_> = program
        .into_iter()
        .chain(others)
        .filter(|name| *name != title(verb))
        .collect();
    let last = names.len().saturating_sub(1);
    let mut line: Vec<Inline> = Vec::new();
    for (number, name) in names.into_iter().enumerate() {
        line.extend([bold(name), roman(if number < last { "(1), " } else { "(1)" })]);
    }
    page.text(line);
}

impl Topic {
    fn write(&self, page: &mut Roff) {
        page.control("SH", [self.heading]);
        for (number, paragraph) in self.paragraphs.iter().enumerate() {
            if number > 0 {
                page.control("PP", []);
            }
            page.text([roman(*paragraph)]);
        }
        for (term, meaning) in self.terms {
            page.control("TP", []);
            page.text([italic(*term)]);
            page.text([roman(*meaning)]);
        }
    }
}
