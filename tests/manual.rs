//! The manual pages: up to date, whole, and well formed.

use crate::contract::{COMMANDS, in_package};
use crate::harness::{Server, Test, is_installed_or_left_out};
use std::collections::BTreeMap;
use std::path::Path;

/// The files of a directory, by their names.
pub fn files(dir: &Path) -> BTreeMap<String, Vec<u8>> {
    let entries = std::fs::read_dir(dir).into_iter().flatten().map(Result::unwrap);
    let entries = entries.filter(|entry| entry.path().is_file());
    let read = |entry: std::fs::DirEntry| {
        let name = entry.file_name().into_string().unwrap();
        (name, std::fs::read(entry.path()).unwrap())
    };
    entries.map(read).collect()
}

/// Holds the files that a command writes against those of the package; UPDATE_COMPLETIONS=1 takes them over.
pub fn assert_up_to_date(command: &str, folder: &str) {
    let written = tempfile::tempdir().unwrap();
    // It makes the directory.
    let dir = written.path().join("new");
    Test::without_server()
        .args([command, "--dir"])
        .arg(&dir)
        .stderr_like(&format!("wrote [N] files to {}\n", dir.display()))
        .run();
    let (generated, kept) = (files(&dir), files(&in_package(folder)));
    if std::env::var_os("UPDATE_COMPLETIONS").is_some() {
        std::fs::create_dir_all(in_package(folder)).unwrap();
        for name in kept.keys().filter(|name| !generated.contains_key(*name)) {
            std::fs::remove_file(in_package(folder).join(name)).unwrap();
        }
        for (name, contents) in &generated {
            std::fs::write(in_package(folder).join(name), contents).unwrap();
        }
        return;
    }
    let names = generated.keys().chain(kept.keys());
    let stale: Vec<_> = names.filter(|name| generated.get(*name) != kept.get(*name)).collect();
    assert!(
        stale.is_empty(),
        "stale in {folder}: {stale:?}; UPDATE_COMPLETIONS=1 writes them anew"
    );
}

#[test]
fn pages_are_up_to_date() {
    assert_up_to_date("man", "completions/man");
}

#[test]
fn each_command_has_a_page() {
    let pages = files(&in_package("completions/man"));
    assert_eq!(pages.len(), COMMANDS.len() + 1);
    for command in COMMANDS {
        let page = Test::without_server().args(["man", command]).stdout_any().run().stdout;
        assert_eq!(pages[&format!("redis-streamer-{command}.1")], page, "{command}");
    }
    let page = Test::without_server().arg("man").stdout_any().run().stdout;
    assert_eq!(pages["redis-streamer.1"], page);
    Test::without_server()
        .args(["man", "consumer"])
        .status(2)
        .stderr_has(["error: there is no command 'consumer'", "hint: ", "consume"])
        .run();
    Test::without_server()
        .args(["man", "consume", "--dir", "d"])
        .status(2)
        .stderr_has(["cannot be used with"])
        .run();
}

/// An option in the help, or a line of its text, as `man` sets it: a paragraph without line breaks.
fn words(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[test]
fn pages_hold_all_of_the_help() {
    if !is_installed_or_left_out("man") {
        return;
    }
    for command in COMMANDS {
        let help = Test::without_server()
            .args([command, "--help"])
            .stdout_any()
            .run()
            .stdout();
        let page = shown(&format!("redis-streamer-{command}.1"));
        let options = help.lines().filter_map(|line| line.trim_start().strip_prefix("--"));
        for option in options {
            let name = option.split([' ', '=', '[']).next().unwrap();
            assert!(page.contains(&format!("--{name}")), "{command}: --{name}");
        }
        let (_, examples) = help.split_once("Examples:\n").unwrap();
        for line in examples.lines().take_while(|line| !line.is_empty()) {
            assert!(page.contains(line.trim()), "{command}: {line}\n{page}");
        }
        // What the short help leaves out has its text all the same.
        let page = words(&page);
        for text in ["Authenticate as this ACL user", "All is done.", "redis-streamer(1)"] {
            assert!(page.contains(text), "{command}: {text}");
        }
    }
}

/// A page on a terminal of 80 columns.
fn shown(page: &str) -> String {
    let path = in_package("completions/man").join(page);
    let script = format!("LC_ALL=C.UTF-8 MANWIDTH=80 man --warnings -l {}", path.display());
    // Warnings come on stderr, which has to be empty.
    Test::shell(&Server::start(), &script).stdout_any().run().stdout()
}

#[test]
fn pages_are_well_formed() {
    for page in files(&in_package("completions/man")).keys() {
        if is_installed_or_left_out("man") {
            let widest = shown(page).lines().map(|line| line.chars().count()).max();
            assert!(widest <= Some(80), "{page}");
        }
        let path = in_package("completions/man").join(page);
        for check in ["groff -man -Tutf8 -ww -z", "mandoc -T lint -W warning"] {
            let (program, _) = check.split_once(' ').unwrap();
            if is_installed_or_left_out(program) {
                Test::shell(&Server::start(), &format!("{check} {}", path.display())).run();
            }
        }
    }
}

/// The day in the pages is that of the release, once there is one.
#[test]
fn pages_are_dated() {
    let changes = std::fs::read_to_string(in_package("CHANGELOG.md")).unwrap();
    let release = concat!("## [", env!("CARGO_PKG_VERSION"), "] - ");
    let date = changes.lines().find_map(|line| line.strip_prefix(release));
    let page = std::fs::read_to_string(in_package("completions/man/redis-streamer.1")).unwrap();
    let title = page.lines().find(|line| line.starts_with(".TH ")).unwrap();
    assert!(title.contains(date.unwrap_or("1 20")), "{title}");
}
