//! Nothing is on stdout or stderr that should not be there: every verb, quiet, and with a terminal beside it.

use crate::harness::{Home, Server, Test, is_installed_or_left_out};

/// A run of each verb that succeeds, and has something to say when it is not quiet, or to draw on a terminal.
pub const RUNS: [(&str, &str); 17] = [
    ("send", "send orders 1 --name n --id 1700000000000-9"),
    ("send-batch", "send-batch orders lines --name n --rate 40"),
    ("send-batch", "send-batch orders lines --name n --json"),
    ("subscribe", "subscribe orders returns -l audit"),
    ("unsubscribe", "unsubscribe orders -l billing --force"),
    ("consume", "consume orders --from beginning -e"),
    ("consume", "consume orders -l billing -c till-2 -e"),
    ("consume", "consume orders -l billing -c till-2 -e -- true"),
    ("ack", "ack orders -l billing 1700000000000-1"),
    ("nack", "nack orders -l billing 1700000000000-1"),
    ("pending", "pending orders -l billing"),
    ("local", "local start"),
    ("redrive", "redrive dead"),
    ("trim", "trim orders --acked"),
    ("profiles", "profiles"),
    ("completions", "completions --dir scripts"),
    ("man", "man --dir pages"),
];

/// Runs in bash, for a user and on a server of its own, which always holds the same.
fn run(options: &str, command: &str, script: impl Fn(&str) -> String) -> (String, String) {
    let (server, home) = (Server::start(), Home::new());
    for number in 1..=5 {
        server.add_message("orders", &format!("1700000000000-{number}"), "n", "1");
    }
    for group in ["orders:billing:cg", "failing"] {
        server.cli(["XGROUP", "CREATE", "orders", group, "0"]);
    }
    server.file("lines", "1\n".repeat(20));
    server.file("fails", "exit 1\n");
    let before =
        "redis-streamer -q consume orders -g failing -e --max-deliveries 1 --dead-letter dead -- sh fails || true
        redis-streamer -q consume orders -l billing -c till-1 --ack manual -n 2";
    home.of(Test::shell(&server, before)).stdout_any().stderr_any().run();
    let line = format!("redis-streamer {options} {command}");
    let output = home
        .of(Test::shell(&server, &script(&line)))
        .stderr_any()
        .stdout_any()
        .run();
    (output.stdout(), output.stderr())
}

/// IDs of the server's choice, and times, differ from run to run.
fn steady(text: &str) -> String {
    text.chars()
        .filter(|c| !c.is_ascii_digit())
        .collect::<String>()
        .replace("ms", "s")
}

#[test]
fn quiet_is_quiet() {
    let mut said = 0;
    for (_, command) in RUNS {
        let (loud, told) = run("", command, str::to_owned);
        let (stdout, stderr) = run("-q", command, str::to_owned);
        assert_eq!(stderr, "", "{command}");
        assert_eq!(words(&stdout), words(&loud), "{command}");
        said += usize::from(!told.is_empty());
    }
    // Else there would be nothing to keep quiet about.
    assert!(said >= 5, "{said}");
}

/// The words, of paths only where they end: each run has folders of its own.
fn words(text: &str) -> Vec<String> {
    let steady = steady(text);
    let words = steady.split_whitespace().map(|word| match word.contains("/tmp/") {
        true => word.rsplit('/').next().unwrap_or(word),
        false => word,
    });
    words.map(str::to_owned).collect()
}

/// Where stderr is a terminal and stdout a file, all that is for people goes to the terminal.
#[test]
fn nothing_is_drawn_where_no_terminal_is() {
    if !is_installed_or_left_out("script") {
        return;
    }
    for (_, command) in RUNS {
        let (piped, _) = run("", command, str::to_owned);
        let beside = |line: &str| {
            let line = line.replace('\'', r"'\''");
            format!("TERM=xterm SHELL=/bin/sh script -qec '{line} > out' screen > /dev/null; cat out")
        };
        let (file, _) = run("", command, beside);
        assert!(!file.contains(['\x1b', '\r']), "{command}: {file:?}");
        assert_eq!(words(&file), words(&piped), "{command}");
        // The other way round: stdout is a terminal, stderr a file.
        let behind = |line: &str| {
            let line = line.replace('\'', r"'\''");
            format!("TERM=xterm SHELL=/bin/sh script -qec '{line} 2> out' screen > /dev/null; cat out")
        };
        let (file, _) = run("", command, behind);
        assert!(!file.contains(['\x1b', '\r']), "{command}: {file:?}");
    }
}
