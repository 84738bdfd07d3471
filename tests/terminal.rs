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

#[test]
fn colour_is_for_those_who_want_it() {
    let server = Server::start();
    let bad = ["ack", "missing", "-g", "g", "oops", "--strict"];
    let shown = |test: Test| test.args(bad).status(2).stderr_any().run().stderr();
    assert!(!shown(Test::new(&server)).contains('\x1b'));
    assert!(!shown(Test::new(&server).args(["--color", "never"])).contains('\x1b'));

    server.cli(["SET", "s", "x"]);
    let send = "send s 1 --name n";
    let on_terminal = |prefix: &str, option: &str| {
        let command = format!("{prefix} redis-streamer {option} {send}");
        Test::shell(&server, &format!("script -qec '{command}' /dev/null"))
            .status(1)
            .stdout_has(["not a stream"])
            .run()
            .stdout()
    };
    assert!(on_terminal("TERM=xterm", "").contains('\x1b'));
    assert!(!on_terminal("NO_COLOR=1 TERM=xterm", "").contains('\x1b'));
    assert!(!on_terminal("TERM=xterm", "--color never").contains('\x1b'));
    Test::new(&server)
        .args(["--color", "always"])
        .args(send.split(' '))
        .status(1)
        .stderr_has(["\x1b["])
        .run();
}

/// What a terminal shows, before which somebody types when the password is asked for.
fn typed(server: &Server, command: &str, keys: &str) -> String {
    let script = format!(
        "rm -f shown; (until grep -qs 'password of' shown; do sleep 0.05; done; printf '{keys}'; sleep 0.1) |
         script -qefc 'redis-streamer {command}' shown > all; cat all"
    );
    Test::shell(server, &script).stdout_any().run().stdout()
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
