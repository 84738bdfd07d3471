//! What is handed out: the archive, the Debian package in a clean root, and the crate.

use crate::completions::filled;
use crate::completions::shells::{BASH, FISH, ZSH};
use crate::contract::{COMMANDS, in_package};
use crate::harness::{is_installed_or_left_out, left_out};
use crate::manual::files;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Runs a program to its good end; gives what it printed.
#[track_caller]
fn run(command: &mut Command) -> String {
    let output = command.output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {stderr}");
    String::from_utf8(output.stdout).unwrap()
}

/// `scripts/package` around the binary under test, less what it holds for debuggers alone.
fn package(dir: &Path, options: &[&str]) -> Vec<PathBuf> {
    let stripped = dir.join("stripped");
    let mut strip = Command::new("strip");
    run(strip.arg("-o").arg(&stripped).arg(env!("CARGO_BIN_EXE_redis-streamer")));
    let mut script = Command::new(in_package("scripts/package"));
    script
        .env("SOURCE_DATE_EPOCH", "1700000000")
        .args(["--fast", "--binary"]);
    let made = run(script.arg(stripped).arg("--out").arg(dir.join("out")).args(options));
    made.lines().map(PathBuf::from).collect()
}

fn version_of(program: &Path) -> String {
    run(Command::new(program).arg("--version"))
}

const VERSION: &str = concat!("redis-streamer ", env!("CARGO_PKG_VERSION"), "\n");

#[test]
fn the_archive_is_one_folder_with_all_of_it() {
    if !is_installed_or_left_out("strip") {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let [archive] = &package(dir.path(), &["--no-deb"])[..] else {
        panic!("one archive");
    };
    let name = archive.file_name().unwrap().to_str().unwrap();
    let folder = name.strip_suffix(".tar.gz").unwrap();
    assert!(folder.starts_with(concat!("redis-streamer-", env!("CARGO_PKG_VERSION"), "-")));
    let unpacked = dir.path().join("unpacked");
    std::fs::create_dir(&unpacked).unwrap();
    run(Command::new("tar").arg("-xzf").arg(archive).arg("-C").arg(&unpacked));
    let [top] = &std::fs::read_dir(&unpacked).unwrap().collect::<Vec<_>>()[..] else {
        panic!("one folder");
    };
    assert_eq!(top.as_ref().unwrap().file_name(), folder);
    let top = unpacked.join(folder);
    assert_eq!(version_of(&top.join("redis-streamer")), VERSION);
    assert_eq!(files(&top.join("man")), files(&in_package("completions/man")));
    assert_eq!(files(&top.join("completions")), files(&in_package("completions")));
    assert_eq!(files(&top.join("docs")), files(&in_package("docs")));
    for file in ["README.md", "CHANGELOG.md", "LICENSE-MIT", "LICENSE-APACHE"] {
        assert_eq!(
            std::fs::read(top.join(file)).unwrap(),
            std::fs::read(in_package(file)).unwrap()
        );
    }
    check_licences(&std::fs::read_to_string(top.join(LICENCES)).unwrap());
    // Another time, with another mask of rights: the same bytes.
    let again = tempfile::tempdir().unwrap();
    let script = format!(
        "umask 077; SOURCE_DATE_EPOCH=1700000000 {} --fast --no-deb --binary {} --out {}",
        in_package("scripts/package").display(),
        dir.path().join("stripped").display(),
        again.path().display()
    );
    run(Command::new("bash").args(["-c", &script]));
    assert!(std::fs::read(archive).unwrap() == std::fs::read(again.path().join(name)).unwrap());
    run(Command::new("sha256sum")
        .args(["--check", "SHA256SUMS"])
        .current_dir(again.path()));
}

const LICENCES: &str = "THIRD-PARTY-LICENSES";

/// Holds the texts of licences against what cargo says is linked in.
#[track_caller]
fn check_licences(text: &str) {
    let mut tree = Command::new(env!("CARGO"));
    tree.args(["tree", "--locked", "--offline", "--edges", "normal", "--prefix", "none"]);
    tree.args(["--format", "{p}|{l}"]).current_dir(in_package(""));
    let tree = run(&mut tree);
    let (list, texts) = text.split_once("\n-----").unwrap();
    let mut linked = 0;
    for line in tree.lines().skip(1) {
        let (crate_, licence) = line.trim_end_matches(" (*)").split_once('|').unwrap();
        let (name, version) = crate_.split_once(" v").unwrap();
        let named = format!("\n{name} {} ({licence})\n", version.trim_end_matches(" (proc-macro)"));
        if version.ends_with(" (proc-macro)") {
            assert!(!list.contains(&named), "{named}");
        } else if list.contains(&named) {
            linked += 1;
            assert!(texts.contains(&format!("\n  {name} {version}\n")), "{named}");
        } else {
            // What a macro is made of: it runs as the program is built.
            assert!(
                [
                    "heck",
                    "litrs",
                    "proc-macro2",
                    "quote",
                    "syn",
                    "synstructure",
                    "unicode-ident"
                ]
                .contains(&name),
                "{named}"
            );
        }
    }
    assert!(linked > 50, "{tree}");
    for words in [
        "Apache License",
        "Redistribution and use",
        "UNICODE LICENSE",
        "The Rust Project Contributors",
    ] {
        assert!(texts.contains(words), "{words}");
    }
    for name in ["redis-streamer", "proptest", "vt100"] {
        assert!(!list.contains(&format!("\n{name} ")), "{name}");
    }
}

/// Whether a package for Debian can be made here.
fn debs_can_be_made() -> bool {
    let tools = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
    let tools = tools.or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".cache")));
    let tools = tools.unwrap_or_default().join("redis-streamer-tools");
    let is_there = tools.is_dir();
    if !is_there {
        left_out("there is no cargo-deb; scripts/package --tools installs it");
    }
    is_there && ["dpkg-shlibdeps", "strip"].into_iter().all(is_installed_or_left_out)
}

/// A root with nothing in it but dpkg's own book.
fn clean_root(dir: &Path) -> PathBuf {
    let root = dir.join("root");
    for folder in ["info", "updates"] {
        std::fs::create_dir_all(root.join("var/lib/dpkg").join(folder)).unwrap();
    }
    std::fs::write(root.join("var/lib/dpkg/status"), "").unwrap();
    root
}

fn dpkg(root: &Path) -> Command {
    let mut dpkg = Command::new("dpkg");
    // The C library is outside of this root. Only root may own files as root: everybody else unpacks them as their own.
    dpkg.arg("--force-depends,not-root,bad-path,script-chrootless")
        .arg("--log=/dev/null")
        .arg(format!("--root={}", root.display()));
    dpkg
}

/// Installs the package; without root's rights, which dpkg needs to set owners, it is only unpacked.
fn install(deb: &Path, dir: &Path) -> PathBuf {
    let root = clean_root(dir);
    if rustix::process::geteuid().is_root() {
        run(dpkg(&root).arg("--install").arg(deb));
        assert_eq!(run(dpkg(&root).args(["--verify", "redis-streamer"])), "");
    } else {
        left_out("dpkg --install takes root's rights: the package is only unpacked");
        run(Command::new("dpkg-deb").arg("-x").arg(deb).arg(&root));
    }
    root
}

#[test]
fn the_debian_package_works_where_it_is_installed() {
    if !debs_can_be_made() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let made = package(dir.path(), &[]);
    let [_, deb] = &made[..] else {
        panic!("an archive and a package: {made:?}");
    };
    let root = install(deb, dir.path());
    assert_eq!(version_of(&root.join("usr/bin/redis-streamer")), VERSION);
    for command in COMMANDS {
        if is_installed_or_left_out("man") {
            let mut man = Command::new("man");
            man.arg("-M").arg(root.join("usr/share/man")).env("MANPAGER", "cat");
            let page = run(man.arg(format!("redis-streamer-{command}")));
            assert!(page.contains("SYNOPSIS"), "{page}");
        }
    }
    let docs = root.join("usr/share/doc/redis-streamer");
    let copyright = std::fs::read_to_string(docs.join("copyright")).unwrap();
    assert!(copyright.contains("License: Expat or Apache-2.0"), "{copyright}");
    for (packed, from) in [
        ("changelog", "CHANGELOG.md"),
        ("changelog.Debian", "packaging/debian/changelog"),
    ] {
        let unpacked = run(Command::new("gzip").arg("-cd").arg(docs.join(format!("{packed}.gz"))));
        assert_eq!(unpacked, std::fs::read_to_string(in_package(from)).unwrap());
    }
    assert_eq!(files(&docs.join("docs")), files(&in_package("docs")));
    check_licences(&std::fs::read_to_string(docs.join(LICENCES)).unwrap());
    if is_installed_or_left_out("lintian") {
        let mut lintian = Command::new("lintian");
        lintian.args(["--allow-root", "--fail-on", "error,warning"]);
        assert_eq!(run(lintian.arg(deb)), "");
    }
    if rustix::process::geteuid().is_root() {
        run(dpkg(&root).args(["--purge", "redis-streamer"]));
        assert!(!root.join("usr").exists(), "files are left behind");
    }
}

/// Each shell finds the completions where the package puts them, without being told.
#[test]
fn completions_are_found_where_the_debian_package_puts_them() {
    if !debs_can_be_made() || !is_installed_or_left_out("script") {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let root = install(&package(dir.path(), &[])[1], dir.path());
    let share = root.join("usr/share");
    let lines = [
        ("redis-streamer cons", "redis-streamer consume"),
        ("redis-streamer pending orders:e", "redis-streamer pending orders:eu"),
    ];
    let server = filled();
    if Path::new("/usr/share/bash-completion/bash_completion").exists() {
        let rc = format!(
            "export XDG_DATA_DIRS={}; source /usr/share/bash-completion/bash_completion",
            share.display()
        );
        BASH.prompt(&server, &rc).check(&lines);
    } else {
        left_out("bash-completion is not installed");
    }
    if is_installed_or_left_out("zsh") {
        let rc = format!(
            "fpath=({}/zsh/vendor-completions $fpath); compinit -u -D",
            share.display()
        );
        ZSH.prompt(&server, &rc).check(&lines);
    }
    if is_installed_or_left_out("fish") {
        let rc = format!(
            "set -p fish_complete_path {}/fish/vendor_completions.d",
            share.display()
        );
        FISH.prompt(&server, &rc).check(&lines);
    }
}

#[test]
fn debian_is_told_this_version() {
    let changelog = std::fs::read_to_string(in_package("packaging/debian/changelog")).unwrap();
    let first = concat!("redis-streamer (", env!("CARGO_PKG_VERSION"), "-1) ");
    assert!(changelog.starts_with(first), "{changelog}");
}

#[test]
fn the_crate_holds_what_belongs_to_it_and_is_packed_without_a_warning() {
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args(["package", "--list", "--allow-dirty", "--offline", "--quiet"]);
    let output = cargo.current_dir(in_package("")).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
    let list = String::from_utf8(output.stdout).unwrap();
    const FOLDERS: [&str; 7] = ["benches", "completions", "docs", "packaging", "scripts", "src", "tests"];
    let in_root: Vec<_> = list
        .lines()
        .filter(|file| file.split_once('/').is_none_or(|(top, _)| !FOLDERS.contains(&top)))
        .filter(|file| *file != ".cargo_vcs_info.json")
        .collect();
    assert_eq!(
        in_root,
        [
            "CHANGELOG.md",
            "Cargo.lock",
            "Cargo.toml",
            "Cargo.toml.orig",
            "LICENSE-APACHE",
            "LICENSE-MIT",
            "README.md"
        ]
    );
    for folder in FOLDERS {
        assert!(list.contains(&format!("\n{folder}/")), "{folder}");
    }
}
