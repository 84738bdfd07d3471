//! What goes wrong, and that it is said well: exit code, nothing on stdout, the facts and the next step on stderr.

use crate::harness::{Output, Server, Test, free_port};

fn fails(test: Test, status: i32, parts: &[&str]) -> Output {
    test.status(status).stderr_has(["error: "].iter().chain(parts)).run()
}

#[test]
fn no_server() {
    let server = Server::start();
    server.kill9();
    let socket = server.socket();
    let uses: &[&[&str]] = &[
        &["send", "s", "1", "--name", "n"],
        &["send-batch", "s"],
        &["subscribe", "s", "-g", "g"],
        &["consume", "s"],
        &["consume", "s", "-g", "g"],
        &["ack", "s", "-g", "g", "1-0"],
        &["pending"],
    ];
    for args in uses {
        let test = Test::new(&server).args(*args).stdin("{\"name\":\"n\",\"body\":1}\n");
        fails(test, 3, &["hint: ", &socket.display().to_string()]);
    }
}

#[test]
fn a_port_nobody_listens_on() {
    let address = format!("127.0.0.1:{}", free_port("127.0.0.1"));
    let test = Test::without_server().args(["-u", &format!("redis://{address}"), "pending"]);
    fails(test, 3, &[&address, "refused", "hint: "]);
}

#[test]
fn a_wrong_password() {
    let server = Server::options().tcp4().password("right").start();
    let url = server.url().replace("://", "://:wr0ng-one@");
    let test = Test::without_server().args(["-u", &url, "pending"]);
    let output = fails(test, 1, &["WRONGPASS", "hint: "]);
    assert!(!output.all().contains("wr0ng-one"));
}

#[test]
fn a_key_that_is_no_stream() {
    let server = Server::start();
    server.cli(["SET", "s", "x"]);
    let uses: &[&[&str]] = &[
        &["send", "s", "1", "--name", "n"],
        &["subscribe", "s", "-g", "g"],
        &["consume", "s", "--from", "beginning", "-e"],
        &["consume", "s", "-g", "g", "-e"],
        &["pending", "s"],
        &["ack", "s", "-g", "g", "1-0"],
    ];
    for args in uses {
        fails(Test::new(&server).args(*args), 1, &["not a stream", "hint: "]);
    }
}

#[test]
fn a_missing_group() {
    let server = Server::start();
    server.add_numbered("s", 1);
    for stream in ["s", "missing"] {
        let verbatim = ["consume", stream, "-g", "readers", "-e"];
        fails(
            Test::new(&server).args(verbatim),
            1,
            &["hint: ", &format!("redis-streamer subscribe {stream} -g readers")],
        );
        let listener = ["consume", stream, "-l", "billing"];
        fails(
            Test::new(&server).args(listener),
            1,
            &["hint: ", &format!("redis-streamer subscribe {stream} -l billing")],
        );
    }
    let looking = ["pending", "s", "-g", "readers"];
    fails(Test::new(&server).args(looking), 1, &["readers", "hint: "]);
    assert_eq!(server.cli(["EXISTS", "missing"]), "0");
    assert!(server.groups("s").is_empty());
}

#[test]
fn a_missing_stream_to_look_at() {
    let server = Server::start();
    fails(Test::new(&server).args(["pending", "missing"]), 1, &["missing"]);
}

#[test]
fn bad_json_is_shown_where_it_is_and_shortened() {
    let server = Server::start();
    let long = format!("{{\"name\":\"n\",\"body\":oops{}}}\n", "x".repeat(5000));
    server.file("in.jsonl", format!("{{\"name\":\"n\",\"body\":1}}\n{long}"));
    let test = Test::new(&server).args(["send-batch", "s", "in.jsonl"]);
    let output = fails(test, 1, &["in.jsonl:2:20", "oops"]);
    assert!(output.stderr().len() < 1000, "{}", output.stderr());
}

#[test]
fn an_unknown_key_is_named() {
    let server = Server::start();
    let test = Test::new(&server)
        .args(["send-batch", "s"])
        .stdin("{\"name\":\"n\",\"body\":1,\"colour\":2}\n");
    fails(test, 1, &["stdin:1", "colour"]);
}

#[test]
fn a_file_that_cannot_be_read() {
    let server = Server::start();
    let uses: &[&[&str]] = &[
        &["send-batch", "s", "nowhere.jsonl"],
        &["send", "s", "@nowhere.jsonl", "--name", "n"],
        &["--password-file", "nowhere.jsonl", "pending"],
    ];
    for args in uses {
        fails(Test::new(&server).args(*args), 1, &["nowhere.jsonl", "No such file"]);
    }
    // A directory opens, but does not read.
    let test = Test::new(&server).args(["send-batch", "s", "."]);
    fails(test, 1, &["directory"]);
}

#[test]
fn values_that_are_not_understood() {
    let server = Server::start();
    let uses: &[(&[&str], &str)] = &[
        (&["ack", "s", "-g", "g", "17-x"], "17-x"),
        (&["send", "s", "1", "--name", "n", "--id", "17-x"], "17-x"),
        (&["--connect-timeout", "5 parsecs", "pending"], "5 parsecs"),
        (&["consume", "s", "--block", "5x"], "5x"),
        (&["consume", "s", "--from", "yesterday"], "yesterday"),
        (&["subscribe", "s", "-g", "g", "--from", "1-2-3"], "1-2-3"),
        (&["consume", "s", "--count", "none"], "none"),
        (&["--color", "blue", "pending"], "blue"),
        (&["-u", "http://127.0.0.1", "pending"], "URL"),
        (&["-u", "redis://", "--nonsense", "pending"], "--nonsense"),
        (&["consum"], "consume"),
    ];
    for (args, part) in uses {
        fails(Test::new(&server).args(*args), 2, &[part]);
    }
}

#[test]
fn one_of_group_and_listener() {
    let server = Server::start();
    let uses: &[&[&str]] = &[
        &["subscribe", "s"],
        &["ack", "s", "1-0"],
        &["subscribe", "s", "-g", "g", "-l", "l"],
        &["consume", "s", "-g", "g", "-l", "l"],
        &["ack", "s", "1-0", "-g", "g", "-l", "l"],
        &["pending", "s", "-g", "g", "-l", "l"],
    ];
    for args in uses {
        fails(Test::new(&server).args(*args), 2, &["--group", "--listener"]);
    }
}

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
    server.add("s", "2-0", &[("k", "\x1b[31m")]);
    let consume = "redis-streamer --color never consume s --from beginning -e";
    let shown = Test::shell(&server, &format!("script -qec '{consume}' /dev/null"))
        .stdout_any()
        .run()
        .stdout();
    assert!(shown.contains("31m"), "{shown:?}");
    assert!(!shown.contains(['\u{9b}', '\u{7f}', '\x1b']), "{shown:?}");
    // In a pipe the bytes are exact.
    Test::shell(&server, consume)
        .stdout_has(["\"body\":\"\u{9b}31m\u{7f}\""])
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

#[test]
fn a_password_is_never_shown() {
    const SECRET: &str = "hunter2-s3cret";
    let server = Server::options().tcp4().password(SECRET).start();
    server.cli(["SET", "text", "x"]);
    let good = server.url().replace("://", &format!("://default:{SECRET}@"));
    let nowhere = format!("redis://u:{SECRET}@127.0.0.1:{}", free_port("127.0.0.1"));
    let wrong = server.url().replace("://", &format!("://u:{SECRET}@"));
    let urls = [
        good.clone(),
        nowhere,
        wrong,
        format!("redis://u:{SECRET}@127.0.0.1:port"),
        format!("redis:/u:{SECRET}@127.0.0.1"),
        format!("http://u:{SECRET}@127.0.0.1"),
        format!("{good}/db"),
        format!("rediss://u:{SECRET}@127.0.0.1:{}", server.port()),
        format!("unix:///nowhere?pass={SECRET}"),
    ];
    let uses: &[&[&str]] = &[
        &["send", "s", "1", "--name", "n"],
        &["send", "text", "1", "--name", "n"],
        &["consume", "s", "--from", "beginning", "-e"],
        &["consume", "s", "-g", "missing"],
        &["pending"],
        &["pending", "--nonsense"],
        &["pending", "--help"],
    ];
    for url in &urls {
        for args in uses {
            for by_env in [false, true] {
                let test = match by_env {
                    true => Test::without_server().env("REDIS_STREAMER_URL", url),
                    false => Test::without_server().args(["-u", url]),
                };
                // A server without TLS leaves a TLS handshake unanswered.
                let test = test.args(["-v", "--connect-timeout", "100ms"]);
                let mut process = test.args(*args).spawn();
                let output = process.wait();
                assert!(!output.all().contains(SECRET), "{url} {args:?}\n{}", output.all());
            }
        }
    }
}

#[test]
fn names_must_not_be_empty() {
    let server = Server::start();
    let uses: &[&[&str]] = &[
        &["send", "", "1", "--name", "n"],
        &["send-batch", ""],
        &["subscribe", "s", "-l", ""],
        &["subscribe", "s", "-g", ""],
        &["consume", "s", "-g", "g", "-c", ""],
        &["ack", "", "-g", "g", "1-0"],
        &["pending", ""],
    ];
    for args in uses {
        fails(Test::new(&server).args(*args), 2, &["must not be empty"]);
    }
    let counted = Test::new(&server).args(["consume", "s", "-n", "0"]);
    fails(counted, 2, &["a whole number from 1 on"]);
}

#[test]
fn dead_letters_must_not_come_back() {
    let server = Server::start();
    let consume = [
        "consume",
        "s",
        "-g",
        "g",
        "--max-deliveries",
        "1",
        "--dead-letter",
        "s",
        "--",
        "false",
    ];
    fails(Test::new(&server).args(consume), 2, &["--dead-letter s"]);
}
