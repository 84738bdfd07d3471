//! What a handler finds in its environment.

use crate::harness::{Server, Test};

/// What handlers have no business with; also what the program itself needs of it.
const SECRET: &str = "hunter2";

/// All of it that `--clean-env` leaves.
const KEPT: [&str; 12] = [
    "HOME",
    "LANG",
    "LC_ALL",
    "PATH",
    "REDIS_STREAMER_COUNT",
    "REDIS_STREAMER_DELIVERIES",
    "REDIS_STREAMER_ID",
    "REDIS_STREAMER_NAME",
    "REDIS_STREAMER_STREAM",
    "TMPDIR",
    "TZ",
    "USER",
];

fn server() -> Server {
    let server = Server::options().password(SECRET).start();
    server.add_message("s", "1-0", "user created", "1");
    server.cli(["XGROUP", "CREATE", "s", "g", "0"]);
    server
}

/// Handles the one message with `env`, and returns what that prints, in lines.
fn environment(server: &Server, options: &[&str]) -> Vec<String> {
    let mut test = Test::new(server).args(["consume", "s", "-g", "g", "-e"]).args(options);
    for name in ["HOME", "LANG", "LC_ALL", "TMPDIR", "USER"] {
        test = test.env(name, "/tmp");
    }
    let output = test
        .env("TZ", "UTC")
        .env("REDISCLI_AUTH", SECRET)
        .env("REDIS_URL", "redis://:hunter2@127.0.0.1")
        .env("AWS_SECRET_ACCESS_KEY", SECRET)
        .args(["--", "env"])
        .stdout_any()
        .run();
    output.stdout().lines().map(str::to_owned).collect()
}

#[test]
fn a_clean_environment_holds_no_secrets() {
    let server = server();
    let lines = environment(&server, &["--clean-env"]);
    let mut names: Vec<_> = lines.iter().map(|line| line.split_once('=').unwrap().0).collect();
    names.sort_unstable();
    assert_eq!(names, KEPT);
    for expected in [
        "REDIS_STREAMER_STREAM=s",
        "REDIS_STREAMER_ID=1-0",
        "REDIS_STREAMER_NAME=user created",
        "REDIS_STREAMER_DELIVERIES=1",
        "TZ=UTC",
    ] {
        assert!(lines.iter().any(|line| line == expected), "{expected}: {lines:?}");
    }
    assert_eq!(server.pending("s", "g"), [""; 0]);
}

#[test]
fn without_it_a_handler_inherits_everything() {
    let lines = environment(&server(), &[]);
    for expected in ["AWS_SECRET_ACCESS_KEY=hunter2", "REDIS_STREAMER_ID=1-0"] {
        assert!(lines.iter().any(|line| line == expected), "{expected}: {lines:?}");
    }
}

#[test]
fn a_clean_environment_is_a_handlers() {
    let server = server();
    Test::new(&server)
        .env("REDISCLI_AUTH", SECRET)
        .args(["consume", "s", "-g", "g", "-e", "--clean-env"])
        .status(2)
        .stderr_has(["error: ", "CMD"])
        .run();
}
