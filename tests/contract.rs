//! What the program says of itself: help, the README's recipes.

use crate::harness::{Server, Test};
use crate::silence;
use std::path::{Path, PathBuf};

/// Every verb, with those that say something of the program itself.
pub const COMMANDS: [&str; 14] = [
    "send",
    "send-batch",
    "subscribe",
    "unsubscribe",
    "consume",
    "ack",
    "nack",
    "pending",
    "local",
    "redrive",
    "trim",
    "profiles",
    "completions",
    "man",
];

pub fn in_package(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

#[test]
fn help_of_every_command() {
    for command in COMMANDS {
        let output = Test::without_server()
            .args([command, "--help"])
            .stdout_has(["Usage: "])
            .run();
        let help = output.stdout();
        assert!(help.to_lowercase().contains("examples"), "{command}:\n{help}");
        assert!(
            help.contains(&format!("redis-streamer {command}")),
            "{command}:\n{help}"
        );
        // What is wrapped cannot be pasted.
        let examples = &help[help.find("Examples:").unwrap()..];
        let (examples, _) = examples.split_once("\n\n").unwrap();
        let widest = examples.lines().map(|line| line.chars().count()).max();
        assert!(widest <= Some(80), "{command}:\n{help}");
    }
}

#[test]
fn help_names_every_command() {
    let commands = COMMANDS.iter().filter(|command| **command != "man");
    let output = Test::without_server().arg("--help").stdout_has(commands).run();
    assert!(output.stdout().to_lowercase().contains("examples"));
}

#[test]
fn every_command_is_held_to_silence() {
    for command in COMMANDS {
        assert!(
            silence::RUNS.iter().any(|(verb, _)| *verb == command),
            "{command} has no run in tests/silence.rs"
        );
    }
}

#[test]
fn help_that_is_asked_for_twice_is_help() {
    let help = |args: &str| Test::without_server().args(args.split(' ')).stdout_any().run().stdout();
    assert_eq!(help("help -h"), help("-h"));
    assert_eq!(help("help --help"), help("--help"));
    assert_eq!(help("help redrive -h"), help("redrive -h"));
    assert_eq!(help("help redrive"), help("redrive --help"));
}

#[test]
fn nothing_asked_is_a_usage_error() {
    Test::without_server()
        .status(2)
        .stderr_has(["Usage: redis-streamer"])
        .run();
}

#[test]
fn version() {
    Test::without_server()
        .arg("--version")
        .stdout(concat!("redis-streamer ", env!("CARGO_PKG_VERSION"), "\n"))
        .run();
}

/// Every recipe runs as it stands, each against a server of its own.
#[test]
fn recipes_run_as_they_stand() {
    for recipe in ["README.md", "docs/recipes.md"].iter().flat_map(|page| recipes(page)) {
        let (server, other) = (Server::start(), Server::start());
        Test::shell(&server, &format!("set -eu\n{recipe}"))
            .env("OTHER", other.url())
            .stdout_any()
            .stderr_any()
            .run();
    }
}

/// The fenced `sh` blocks of a page.
fn recipes(page: &str) -> Vec<String> {
    let text = std::fs::read_to_string(in_package(page)).unwrap();
    let fenced = text.split("\n```").skip(1).step_by(2);
    let recipes = fenced.filter_map(|block| block.strip_prefix("sh\n").map(|recipe| recipe.to_owned() + "\n"));
    recipes.collect()
}

#[test]
fn there_are_recipes_to_begin_with_and_more() {
    let count = |page| recipes(page).len();
    assert_eq!(count("README.md"), 8);
    assert!(count("README.md") + count("docs/recipes.md") >= 30);
}
