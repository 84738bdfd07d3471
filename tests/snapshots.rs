//! Whole texts that the program says of itself, held byte for byte against the files in `tests/snapshots`.
//!
//! After a wanted change, `UPDATE_SNAPSHOTS=1 cargo test --test main` writes the files anew; what changed is then read in
//! the diff.

mod screens;

use crate::contract::COMMANDS;
use crate::harness::Test;
use std::path::{Path, PathBuf};

fn directory() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/snapshots")
}

/// Holds a text against the file of this name.
#[track_caller]
pub fn assert_snapshot(name: &str, text: &str) {
    let path = directory().join(format!("{name}.txt"));
    if std::env::var_os("UPDATE_SNAPSHOTS").is_some_and(|value| value == "1") {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
        return;
    }
    let expected = std::fs::read_to_string(&path).unwrap_or_default();
    if expected == text {
        return;
    }
    let (number, expected_line, line) = first_difference(&expected, text);
    panic!(
        "{} differs in line {number}\n  expected: {expected_line}\n       got: {line}\n\
         UPDATE_SNAPSHOTS=1 accepts this:\n{text}",
        path.display()
    );
}

/// The number of the first line that differs, and both of them.
fn first_difference<'a>(expected: &'a str, got: &'a str) -> (usize, &'a str, &'a str) {
    const END: &str = "(the end)";
    let mut pairs = (expected.split('\n').map(Some).chain(std::iter::repeat(None)))
        .zip(got.split('\n').map(Some).chain(std::iter::repeat(None)))
        .enumerate();
    let (index, (expected, got)) = pairs.find(|(_, (expected, got))| expected != got).unwrap();
    (index + 1, expected.unwrap_or(END), got.unwrap_or(END))
}

/// What failing commands say, one after the other, as it would stand on a screen.
pub struct Transcript {
    name: &'static str,
    text: String,
    hidden: Vec<(String, &'static str)>,
}

impl Transcript {
    pub fn new(name: &'static str) -> Self {
        Self {
            name,
            text: String::new(),
            hidden: Vec::new(),
        }
    }

    /// Shows `instead` wherever this text stands, which differs from run to run.
    pub fn hide(mut self, text: impl ToString, instead: &'static str) -> Self {
        self.hidden.push((text.to_string(), instead));
        self
    }

    /// Runs it with these arguments: it must end with this status and leave stdout alone.
    #[track_caller]
    pub fn fails(&mut self, status: i32, test: Test, args: &[&str]) {
        let output = test.args(args).status(status).stderr_any().run();
        self.add(status, args, &output.stderr());
    }

    /// As `fails`, where data on stdout comes before the failure.
    #[track_caller]
    pub fn fails_after_data(&mut self, status: i32, test: Test, args: &[&str]) {
        let output = test.args(args).status(status).stdout_any().stderr_any().run();
        self.add(status, args, &output.stderr());
    }

    fn add(&mut self, status: i32, args: &[&str], stderr: &str) {
        if !self.text.is_empty() {
            self.text.push('\n');
        }
        let words: Vec<_> = args.iter().map(|arg| quoted(arg)).collect();
        let mut shown = format!("$ redis-streamer {}\n{stderr}[exit code {status}]\n", words.join(" "));
        for (text, instead) in &self.hidden {
            shown = shown.replace(text, instead);
        }
        shown = shown.lines().map(|line| without_pace(line).to_owned() + "\n").collect();
        self.text += &shown;
    }

    /// Holds all of it against the file.
    #[track_caller]
    pub fn compare(self) {
        assert_snapshot(self.name, &self.text);
    }
}

/// A line less how long a sending took, which only one that was held up says.
fn without_pace(line: &str) -> &str {
    let pace = line.starts_with("sent ").then(|| line.rfind(" in ")).flatten();
    pace.map_or(line, |pace| &line[..pace])
}

fn quoted(word: &str) -> String {
    match word.is_empty() || word.contains([' ', '\'', '"', '*', '$']) {
        true => format!("'{}'", word.replace('\'', r"'\''")),
        false => word.to_owned(),
    }
}

/// Lines of the smallest screen, on which the short help has to fit above the prompt.
const SCREEN: usize = 24;

#[test]
fn short_help_of_every_command() {
    for command in COMMANDS {
        let output = Test::without_server().args([command, "-h"]).stdout_any().run();
        assert!(
            output.stdout().lines().count() < SCREEN,
            "{command}:\n{}",
            output.stdout()
        );
        assert_snapshot(&format!("help/{command}.short"), &output.stdout());
    }
    let output = Test::without_server().arg("-h").stdout_any().run();
    assert!(output.stdout().lines().count() < SCREEN, "{}", output.stdout());
    assert_snapshot("help/redis-streamer.short", &output.stdout());
}

#[test]
fn long_help_of_every_command() {
    for command in COMMANDS {
        let output = Test::without_server().args([command, "--help"]).stdout_any().run();
        assert_snapshot(&format!("help/{command}.long"), &output.stdout());
    }
    let output = Test::without_server().arg("--help").stdout_any().run();
    assert_snapshot("help/redis-streamer.long", &output.stdout());
}

#[test]
fn no_snapshot_is_left_that_nothing_is_held_against() {
    let stems = |folder: &str| -> Vec<String> {
        let files = std::fs::read_dir(directory().join(folder)).into_iter().flatten();
        let names = files.map(|file| file.unwrap().file_name().into_string().unwrap());
        names
            .map(|name| name.strip_suffix(".txt").unwrap().to_owned())
            .collect()
    };
    for stem in stems("help") {
        let (command, _) = stem.split_once('.').unwrap();
        assert!(COMMANDS.contains(&command) || command == "redis-streamer", "{stem}");
    }
    let tests = include_str!("snapshots/screens.rs");
    for stem in stems("screens") {
        let uses = [format!("compare(\"{stem}\", "), format!("(\"screens/{stem}\", ")];
        assert!(uses.iter().any(|one| tests.contains(one)), "{stem}");
    }
    let tests = include_str!("errors.rs");
    for stem in stems("errors") {
        assert!(tests.contains(&format!("\"errors/{stem}\"")), "{stem}");
    }
}

#[test]
fn differences_are_found() {
    assert_eq!(first_difference("a\nb\n", "a\nc\n"), (2, "b", "c"));
    assert_eq!(first_difference("a", "a\nb"), (2, "(the end)", "b"));
}
