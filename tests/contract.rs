//! What the program says of itself: help, completions, the man page, the README's recipes.

use crate::harness::{Server, Test};
use std::path::{Path, PathBuf};

/// Every verb, with the two that say something of the program itself.
pub const COMMANDS: [&str; 8] = [
    "send",
    "send-batch",
    "subscribe",
    "consume",
    "ack",
    "pending",
    "completions",
    "man",
];

fn in_package(path: &str) -> PathBuf {
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
        let examples = help[help.find("Examples:").unwrap()..].lines();
        let widest = examples.map(|line| line.chars().count()).max();
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

/// The generated files: a stale one fails; UPDATE_COMPLETIONS=1 writes them anew.
#[test]
fn completions_and_man_page_are_up_to_date() {
    let update = std::env::var_os("UPDATE_COMPLETIONS").is_some();
    let mut stale = Vec::new();
    for (args, file) in [
        (&["completions", "bash"][..], "redis-streamer.bash"),
        (&["completions", "zsh"], "_redis-streamer"),
        (&["completions", "fish"], "redis-streamer.fish"),
        (&["completions", "powershell"], "_redis-streamer.ps1"),
        (&["completions", "elvish"], "redis-streamer.elv"),
        (&["man"], "redis-streamer.1"),
    ] {
        let generated = Test::without_server().args(args).stdout_any().run().stdout;
        assert!(!generated.is_empty(), "{args:?}");
        let path = in_package("completions").join(file);
        if update {
            std::fs::create_dir_all(in_package("completions")).unwrap();
            std::fs::write(&path, &generated).unwrap();
        } else if std::fs::read(&path).ok().as_deref() != Some(&generated) {
            stale.push(file);
        }
    }
    assert!(
        stale.is_empty(),
        "stale: {stale:?}; run the tests with UPDATE_COMPLETIONS=1"
    );
}

/// Each shell that is there takes its script. (PowerShell is not in Debian; its script is only kept up to date.)
#[test]
fn completions_load_in_their_shells() {
    let server = Server::start();
    for (shell, script, has) in [
        (
            "bash",
            "source completions/redis-streamer.bash && complete -p redis-streamer",
            "redis-streamer",
        ),
        (
            "zsh",
            "zsh -fc 'autoload -U compinit; compinit -u -D; source completions/_redis-streamer; whence -w _redis-streamer'",
            "function",
        ),
        (
            "fish",
            "fish --no-config -c 'source completions/redis-streamer.fish; complete -C \"redis-streamer send-b\"'",
            "send-batch",
        ),
        (
            "elvish",
            // Only an interactive elvish has completions; it says what is wrong with its rc file and goes on.
            "printf 'echo lo\"\"aded; exit\\r' | script -qec 'elvish -rc completions/redis-streamer.elv' /dev/null \
             | tee /dev/stderr | grep -q 'Exception\\|error' && echo broken || echo fine",
            "fine",
        ),
    ] {
        let there = Test::shell(&server, &format!("command -v {shell} || true"))
            .stdout_any()
            .run();
        if there.stdout.is_empty() {
            eprintln!("{shell} is not installed: its completions are not tried");
            continue;
        }
        let test = Test::shell(&server, script).dir(&in_package("."));
        test.stdout_has([has]).stderr_any().run();
    }
}

/// Every recipe runs as it stands, each against a server of its own.
#[test]
fn recipes_run_as_they_stand() {
    for recipe in ["README.md", "docs/recipes.md"].iter().flat_map(|page| recipes(page)) {
        let server = Server::start();
        Test::shell(&server, &format!("set -eu\n{recipe}"))
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
