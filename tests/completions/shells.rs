//! Real shells at a terminal: a line is typed, the key is pressed, and the shell itself says what the line is now.

use super::filled;
use crate::contract::in_package;
use crate::harness::{Running, Server, Test, is_installed_or_left_out, wait_until};

/// A shell, and the file that it reads first, in which LOAD stands for what loads the completions. Control-G is to make it
/// write its line to a file.
pub struct Shell {
    command: &'static str,
    rc: &'static str,
}

pub const BASH: Shell = Shell {
    command: "bash --rcfile rc -i",
    rc: r#"
        PS1='READY\n'
        bind -x '"\C-g": printf "%s\n" "$READLINE_LINE" >> line'
        LOAD
    "#,
};

pub const ZSH: Shell = Shell {
    command: "ln -sf rc .zshrc; zsh -i",
    rc: "
        unsetopt zle_bracketed_paste
        autoload -U compinit
        LOAD
        write-line() { print -r -- $BUFFER >> line }
        zle -N write-line
        bindkey -e
        bindkey '^G' write-line
        PS1=$'READY\\n'
    ",
};

pub const FISH: Shell = Shell {
    command: "fish --no-config -i -C \"source rc\"",
    rc: r"
        function fish_prompt; echo READY; echo '$ '; end
        LOAD
        bind \cg 'commandline >> line'
    ",
};

/// A menu opens in elvish where a word has to be quoted, even if it is the only one.
const ELVISH: Shell = Shell {
    command: "elvish -rc rc",
    rc: r#"
        LOAD
        set edit:insert:binding[Ctrl-G] = { echo $edit:current-command >> line }
        set edit:prompt = { print "READY\n" }
    "#,
};

impl Shell {
    /// Starts it at a terminal, with its completions loaded by this.
    pub fn prompt<'s>(&self, server: &'s Server, load: &str) -> Prompt<'s> {
        server.file("rc", self.rc.replace("LOAD", load));
        let terminal = format!("TERM=xterm script -qefc '{}' /dev/null", self.command);
        let mut running = Test::shell(server, &terminal)
            .env("REDIS_STREAMER_COMPLETE_FOR", "20s")
            .env("ZDOTDIR", server.work())
            .env("HOME", server.work())
            .spawn_open();
        while !running.line().contains("READY") {}
        Prompt {
            server,
            running,
            written: server.lines("line").len(),
        }
    }
}

/// A command that loads a script of the package.
fn source(script: &str) -> String {
    format!("source {}", in_package("completions").join(script).display())
}

/// A shell that waits at its prompt.
pub struct Prompt<'s> {
    server: &'s Server,
    running: Running,
    /// How many lines were written.
    written: usize,
}

impl Prompt<'_> {
    /// The line that comes of what is typed when the key is pressed behind it.
    fn completed(&mut self, typed: &str) -> String {
        const TAB: &str = "\t";
        const WRITE: &str = "\x07";
        const CLEAR: &str = "\x15";
        self.running.feed(&format!("{typed}{TAB}{WRITE}"));
        self.written += 1;
        wait_until(typed, || self.server.lines("line").len() == self.written);
        self.running.feed(CLEAR);
        self.server.lines("line").pop().unwrap().trim_end().to_owned()
    }

    pub fn check(&mut self, lines: &[(&str, &str)]) {
        for (typed, expected) in lines {
            assert_eq!(self.completed(typed), *expected, "{typed}");
        }
    }
}

/// A server, and files beside it.
fn with_files() -> Server {
    let server = filled();
    server.file("file one.json", "");
    server.file("handler", "");
    std::fs::set_permissions(
        server.work().join("handler"),
        std::os::unix::fs::PermissionsExt::from_mode(0o755),
    )
    .unwrap();
    server
}

/// What comes of a line in each of the shells.
const EVERYWHERE: [(&str, &str); 22] = [
    ("redis-streamer cons", "redis-streamer consume"),
    ("redis-streamer -q pend", "redis-streamer -q pending"),
    ("redis-streamer compl", "redis-streamer completions"),
    // Behind a verb.
    ("redis-streamer pending --max-l", "redis-streamer pending --max-lag"),
    (
        "redis-streamer send-batch s --rece",
        "redis-streamer send-batch s --receipts",
    ),
    (
        "redis-streamer consume s --ack ma",
        "redis-streamer consume s --ack manual",
    ),
    (
        "redis-streamer consume s --ack=ma",
        "redis-streamer consume s --ack=manual",
    ),
    // What the server knows; a colon parts words in bash.
    ("redis-streamer consume pay", "redis-streamer consume payments"),
    ("redis-streamer pending orders:e", "redis-streamer pending orders:eu"),
    ("redis-streamer pending 'orders:e", "redis-streamer pending 'orders:eu'"),
    ("redis-streamer pending my", r"redis-streamer pending my\ stream"),
    ("redis-streamer pending \"my", "redis-streamer pending \"my stream\""),
    (
        "redis-streamer pending orders -l bi",
        "redis-streamer pending orders -l billing",
    ),
    (
        "redis-streamer pending orders -g orders:b",
        "redis-streamer pending orders -g orders:billing:cg",
    ),
    (
        "redis-streamer pending orders -g audit --consumer worker-1",
        "redis-streamer pending orders -g audit --consumer worker-1",
    ),
    (
        "redis-streamer ack orders -g none; redis-streamer send pay",
        "redis-streamer ack orders -g none; redis-streamer send payments",
    ),
    // Nothing is known of these, and they stay as they are.
    (
        "redis-streamer consume 'orders:{0..",
        "redis-streamer consume 'orders:{0..",
    ),
    ("redis-streamer send s --name fil", "redis-streamer send s --name fil"),
    (
        "redis-streamer -u redis://127.0.0.1:1 send pay",
        "redis-streamer -u redis://127.0.0.1:1 send pay",
    ),
    // Files, and other programs.
    ("redis-streamer --cacert=fi", r"redis-streamer --cacert=file\ one.json"),
    (
        "redis-streamer send-batch s fi",
        r"redis-streamer send-batch s file\ one.json",
    ),
    (
        "redis-streamer consume s -l x -- ./ha",
        "redis-streamer consume s -l x -- ./handler",
    ),
];

#[test]
fn bash() {
    if !is_installed_or_left_out("script") {
        return;
    }
    let server = with_files();
    let mut prompt = BASH.prompt(&server, &source("redis-streamer.bash"));
    prompt.check(&EVERYWHERE);
    prompt.check(&[
        ("redis-streamer send s @fi", r"redis-streamer send s \@file\ one.json"),
        (
            "redis-streamer consume s > fi",
            r"redis-streamer consume s > file\ one.json",
        ),
        (
            "redis-streamer consume s -l x -- printen",
            "redis-streamer consume s -l x -- printenv",
        ),
        ("echo | redis-streamer send pay", "echo | redis-streamer send payments"),
    ]);
    // Other settings than the usual, where a word is not parted.
    prompt.running.feed("COMP_WORDBREAKS=${COMP_WORDBREAKS//[:=@]/}\r");
    prompt.check(&[
        ("redis-streamer pending orders:e", "redis-streamer pending orders:eu"),
        (
            "redis-streamer consume s --ack=ma",
            "redis-streamer consume s --ack=manual",
        ),
        ("redis-streamer --cacert=fi", r"redis-streamer --cacert=file\ one.json"),
    ]);
}

#[test]
fn zsh() {
    if !is_installed_or_left_out("script") || !is_installed_or_left_out("zsh") {
        return;
    }
    let server = with_files();
    let load = format!("compinit -u -D; {}", source("_redis-streamer"));
    let mut prompt = ZSH.prompt(&server, &load);
    prompt.check(&EVERYWHERE);
    prompt.check(&[
        ("redis-streamer send s @fi", r"redis-streamer send s @file\ one.json"),
        (
            "redis-streamer consume s > fi",
            r"redis-streamer consume s > file\ one.json",
        ),
        (
            "redis-streamer consume s -l x -- printen",
            "redis-streamer consume s -l x -- printenv",
        ),
        (
            "REDIS_STREAMER_URL=redis://127.0.0.1:1 redis-streamer send pay",
            "REDIS_STREAMER_URL=redis://127.0.0.1:1 redis-streamer send pay",
        ),
    ]);
}

#[test]
fn fish() {
    if !is_installed_or_left_out("script") || !is_installed_or_left_out("fish") {
        return;
    }
    let server = with_files();
    let mut prompt = FISH.prompt(&server, &source("redis-streamer.fish"));
    prompt.check(&EVERYWHERE);
    prompt.check(&[
        ("redis-streamer send s @fi", r"redis-streamer send s @file\ one.json"),
        (
            "redis-streamer consume s > fi",
            r"redis-streamer consume s > file\ one.json",
        ),
        (
            "redis-streamer consume s -l x -- printen",
            "redis-streamer consume s -l x -- printenv",
        ),
        (
            "REDIS_STREAMER_URL=redis://127.0.0.1:1 redis-streamer send pay",
            "REDIS_STREAMER_URL=redis://127.0.0.1:1 redis-streamer send pay",
        ),
    ]);
}

#[test]
fn elvish() {
    if !is_installed_or_left_out("script") || !is_installed_or_left_out("elvish") {
        return;
    }
    let server = with_files();
    let script = std::fs::read_to_string(in_package("completions/redis-streamer.elv")).unwrap();
    let mut prompt = ELVISH.prompt(&server, &script);
    prompt.check(&[
        ("redis-streamer cons", "redis-streamer consume"),
        ("redis-streamer pending --max-l", "redis-streamer pending --max-lag"),
        (
            "redis-streamer consume s --ack ma",
            "redis-streamer consume s --ack manual",
        ),
        ("redis-streamer consume pay", "redis-streamer consume payments"),
        ("redis-streamer pending orders:e", "redis-streamer pending orders:eu"),
        (
            "redis-streamer pending orders -l bi",
            "redis-streamer pending orders -l billing",
        ),
        (
            "redis-streamer consume s -l x -- ./hand",
            "redis-streamer consume s -l x -- ./handler",
        ),
    ]);
}
