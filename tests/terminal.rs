//! What is different on a terminal: nothing is awaited from it, nothing harmful reaches it, colour does.

use crate::harness::{Server, Test};

#[test]
fn nothing_is_awaited_from_a_terminal() {
    let server = Server::start();
    for command in ["send s --name n", "ack s -g g"] {
        Test::shell(&server, &format!("script -qec 'redis-streamer {command}' /dev/null"))
            .status(2)
            .stdout_has(["error:", "terminal", "hint:"])
            .run();
    }
    assert_eq!(server.cli(["EXISTS", "s"]), "0");
}

#[test]
fn control_characters_do_not_reach_a_terminal() {
    let server = Server::start();
    server.add_message("s", "1-0", "n", "\"\u{9b}31m\u{7f}\"");
    // Characters that turn the direction of what follows make text read as what it is not.
    const TURNING: [char; 12] = [
        '\u{61c}', '\u{200e}', '\u{200f}', '\u{202a}', '\u{202b}', '\u{202c}', '\u{202d}', '\u{202e}', '\u{2066}',
        '\u{2067}', '\u{2068}', '\u{2069}',
    ];
    let turning: String = TURNING.iter().collect();
    server.add_message("s", "1-1", "n", &format!("\"{turning}\""));
    server.add("s", "2-0", &[("k", "\x1b[31m")]);
    let consume = "redis-streamer --color never consume s --from beginning -e";
    let shown = Test::shell(&server, &format!("script -qec '{consume}' /dev/null"))
        .stdout_any()
        .run()
        .stdout();
    assert!(shown.contains("31m"), "{shown:?}");
    assert!(!shown.contains(['\u{9b}', '\u{7f}', '\x1b']), "{shown:?}");
    assert!(!shown.contains(TURNING), "{shown:?}");
    // In a pipe the bytes are exact.
    Test::shell(&server, consume)
        .stdout_has(["\"body\":\"\u{9b}31m\u{7f}\"", &turning])
        .run();
    server.cli(["XGROUP", "CREATE", "s", "g\x1b[31m", "0"]);
    let pending = "redis-streamer --color never pending s";
    let shown = Test::shell(&server, &format!("script -qec '{pending}' /dev/null"))
        .stdout_any()
        .run()
        .stdout();
    assert!(!shown.contains('\x1b'), "{shown:?}");
}

/// What a terminal shows of a command.
fn on_terminal(server: &Server, environment: &str, command: &str, status: i32) -> String {
    let script = format!("{environment} script -qec 'redis-streamer {command}' /dev/null");
    Test::shell(server, &script).status(status).stdout_any().run().stdout()
}

/// Messages, help, mistakes and JSON, each with how it ends.
const COLOURED: [(&str, i32); 7] = [
    ("ack missing -g g 1-0", 1),
    ("--help", 0),
    ("send -h", 0),
    ("send --oops", 2),
    ("consume s --from beginning -e", 0),
    ("pending --json", 0),
    ("send-batch s /dev/null --name n --json -q", 0),
];

#[test]
fn all_that_is_printed_is_coloured_by_one_decision() {
    let server = Server::start();
    server.add_message("s", "1-0", "n", "1");
    for (command, status) in COLOURED {
        let coloured = |environment: &str, option: &str| {
            on_terminal(&server, environment, &format!("{command} {option}"), status).contains('\x1b')
        };
        assert!(coloured("TERM=xterm", ""), "{command}");
        assert!(!coloured("TERM=dumb", ""), "{command}");
        assert!(!coloured("NO_COLOR=1 TERM=xterm", ""), "{command}");
        assert!(!coloured("CLICOLOR=0 TERM=xterm", ""), "{command}");
        assert!(!coloured("TERM=xterm", "--color never"), "{command}");
        // What is no terminal gets colours only if asked to.
        let piped = |name: &str, value: &str, option: &str| {
            let args = format!("{command} {option}");
            let test = Test::new(&server).env("TERM", "xterm").env(name, value);
            let test = test.args(args.split_whitespace()).status(status);
            test.stdout_any().stderr_any().run().all().contains('\x1b')
        };
        assert!(!piped("CLICOLOR", "1", ""), "{command}");
        assert!(piped("CLICOLOR_FORCE", "1", ""), "{command}");
        assert!(piped("NO_COLOR", "1", "--color=always"), "{command}");
    }
}

#[test]
fn each_stream_is_coloured_by_what_it_is() {
    let server = Server::start();
    server.add_message("s", "1-0", "n", "1");
    // stdout is a pipe, stderr a terminal.
    let script = "TERM=xterm script -qec 'redis-streamer consume s missing -g g -e | cat' /dev/null";
    let shown = Test::shell(&server, script).stdout_any().run().stdout();
    assert!(shown.contains("\x1b[1m\x1b[31merror:\x1b[0m"), "{shown:?}");
    let script = "TERM=xterm script -qec 'redis-streamer consume s --last 1 -e | cat' /dev/null";
    Test::shell(&server, script)
        .stdout("{\"stream\":\"s\",\"id\":\"1-0\",\"name\":\"n\",\"body\":1}\r\n")
        .run();
}

#[test]
fn a_handler_gets_exact_bytes_wherever_it_is_run() {
    let server = Server::start();
    server.add_message("s", "1-0", "n", "\"\u{9b}31m\"");
    server.cli(["XGROUP", "CREATE", "s", "g", "0"]);
    let consume = "redis-streamer consume s -g g -e -- sh -c \"cat > line\"";
    Test::shell(&server, &format!("TERM=xterm script -qec '{consume}' /dev/null")).run();
    assert_eq!(
        std::fs::read_to_string(server.work().join("line")).unwrap(),
        "{\"stream\":\"s\",\"id\":\"1-0\",\"name\":\"n\",\"body\":\"\u{9b}31m\"}\n"
    );
}

#[test]
fn only_colours_that_can_be_read_on_any_background_are_used() {
    let server = Server::start();
    server.add_message("s", "1-0", "n", "[1,true,\"x\"]");
    for (command, status) in COLOURED {
        let shown = on_terminal(&server, "TERM=xterm-256color", command, status);
        for code in shown.split("\x1b[").skip(1) {
            let (code, _) = code.split_once('m').unwrap_or_else(|| panic!("{command}: {shown:?}"));
            assert!(
                ["0", "1", "31", "32", "33", "35", "36"].contains(&code),
                "{command}: {code}"
            );
        }
    }
}

#[test]
fn a_reader_that_leaves_the_help_is_no_failure() {
    Test::shell(&Server::start(), "redis-streamer consume --help | head -1")
        .stdout("Print the messages of streams, or run a command for each\n")
        .run();
    Test::without_server().args(["consume", "--help"]).stdout_any().run();
    Test::shell(&Server::start(), "redis-streamer consume --help > /dev/full")
        .status(1)
        .stderr_has(["error: cannot write to stdout", "No space left"])
        .run();
}

/// What a terminal shows of a command, before which somebody types once it shows something.
fn typed_at(server: &Server, prompt: &str, command: &str, keys: &str) -> String {
    let script = format!(
        "rm -f shown; (until grep -qs '{prompt}' shown; do sleep 0.05; done; printf '{keys}'; sleep 0.1) |
         {{ script -qefc 'redis-streamer {command}' shown > all; cat all; }}"
    );
    Test::shell(server, &script).stdout_any().run().stdout()
}

/// The same when the password is asked for.
fn typed(server: &Server, command: &str, keys: &str) -> String {
    typed_at(server, "password of", command, keys)
}

#[test]
fn the_progress_bar_is_gone_in_the_end_however_that_comes() {
    const CLEARED: &str = "\r\x1b[2K";
    let server = Server::start();
    std::fs::write(server.work().join("lines"), "1\n".repeat(14)).unwrap();
    let command = "send-batch s lines --name n --rate 20";
    for (environment, is_ascii) in [("LC_ALL=C", true), ("LC_ALL=C.UTF-8", false)] {
        let shown = on_terminal(&server, &format!("TERM=xterm {environment}"), command, 0);
        let (bar, sent) = shown.rsplit_once(CLEARED).expect("a bar that is cleared");
        assert!(
            bar.contains("messages") && bar.contains("B/s") && bar.contains("s left"),
            "{shown:?}"
        );
        assert_eq!(bar.is_ascii(), is_ascii, "{shown:?}");
        assert!(sent.starts_with("sent 14 messages to s in "), "{shown:?}");
    }
    let shown = typed_at(&server, "s left", "send-batch s lines --name n --rate 5", "\\003");
    let (_, last) = shown.rsplit_once(CLEARED).expect("a bar that is cleared");
    assert!(
        last.contains("ended by a signal") && !last.contains("left"),
        "{shown:?}"
    );
    // Not every terminal can take something back.
    let shown = on_terminal(&server, "TERM=dumb LC_ALL=C", command, 0);
    assert!(shown.starts_with("sent 14 messages to s in "), "{shown:?}");
}

#[test]
fn a_password_is_asked_for_and_not_shown() {
    let server = Server::options().password("s3cret").start();
    let pending = "--askpass pending";
    let shown = typed(&server, pending, "s3cret\\r");
    assert!(
        shown.contains("password of default at ") && shown.contains("no streams"),
        "{shown:?}"
    );
    assert!(!shown.contains("s3cret"), "{shown:?}");
    let shown = typed(&server, pending, "wrong\\177\\025s3cret\\r");
    assert!(shown.contains("no streams"), "{shown:?}");
    let shown = typed(&server, pending, "wrong\\r");
    assert!(shown.contains("WRONGPASS") && !shown.contains("wrong\\r"), "{shown:?}");
    let shown = typed(&server, pending, "s3c\\003");
    assert!(shown.contains("no password was given"), "{shown:?}");
    // Without a terminal nobody can be asked.
    let run = Test::shell(&server, &format!("setsid redis-streamer {pending} < /dev/null"));
    run.status(2)
        .stderr_has(["--askpass needs a terminal", "--password-file"])
        .run();
}

#[test]
fn a_read_from_the_end_says_that_it_is_one() {
    let server = Server::start();
    server.add_numbered("s", 1);
    let said = "only what is added from now on; --from beginning prints what is there";
    for (options, is_said) in [("", true), ("--last 1", false), ("--from latest", false), ("-q", false)] {
        let script = format!("TERM=xterm script -qec 'redis-streamer consume s -e {options}' /dev/null");
        let shown = Test::shell(&server, &script).stdout_any().run().stdout();
        assert_eq!(shown.contains(said), is_said, "{options}: {shown:?}");
    }
    Test::new(&server).args(["consume", "s", "-e"]).run();
}
