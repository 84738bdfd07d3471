//! What goes wrong, and that it is said well: the whole text on stderr, nothing on stdout, the exit code.

use crate::harness::{Server, Test, free_port};
use crate::snapshots::Transcript;

/// Every verb that asks a server for something.
const VERBS: [&[&str]; 7] = [
    &["send", "s", "1", "--name", "n"],
    &["send-batch", "s"],
    &["subscribe", "s", "-g", "g"],
    &["consume", "s", "--from", "beginning", "-e"],
    &["consume", "s", "-g", "g", "-e"],
    &["ack", "s", "-g", "g", "1-0"],
    &["pending", "s"],
];

/// Runs each against a server, which shows in the texts as a socket of a common path.
#[track_caller]
fn all_fail(name: &'static str, server: &Server, status: i32, uses: &[&[&str]]) {
    let mut transcript = Transcript::new(name).hide(server.socket().display(), "/run/redis.sock");
    for args in uses {
        let test = Test::new(server).stdin("{\"name\":\"n\",\"body\":1}\n");
        transcript.fails(status, test, args);
    }
    transcript.compare();
}

/// A stream `s` of three messages with a group `g` at its beginning.
fn grouped() -> Server {
    let server = Server::start();
    server.add_numbered("s", 3);
    server.cli(["XGROUP", "CREATE", "s", "g", "0"]);
    server
}

#[test]
fn words_of_other_tools() {
    let server = Server::start();
    let uses: &[&[&str]] = &[
        &["XADD", "s", "*", "k", "v"],
        &["xgroup", "create", "s", "g"],
        &["-p", "6379", "pending"],
        &["send", "s", "--nmae", "n", "1"],
        &["send", "s", "1", "--text", "n"],
        &["send", "s:0", "s:1", "s:2", "1", "--name", "n"],
        &["send", "s", "{\"name\":\"n\",\"body\":1}"],
        &["consume", "s", "--json"],
        &["consume", "s", "--format", "{id}"],
        &["consme", "s"],
        &["comp"],
        &["xdel", "s", "1-0"],
        &["del", "s"],
        &["send", "s", "id", "7"],
        &["help", "redriv"],
        &["send", "s", "--name", "n", "--text", "--no-creat"],
        &["send", "s", "--name", "n", "--text", "- item"],
        &["trim", "s", "--retention", "-1h"],
    ];
    all_fail("errors/slips", &server, 2, uses);
    all_fail("errors/unquoted-glob", &server, 1, &[&["pending", "or*"]]);
    assert_eq!(server.cli(["DBSIZE"]), "0");
}

#[test]
fn no_server() {
    let server = Server::start();
    server.kill9();
    all_fail("errors/no-server", &server, 3, &VERBS);
}

#[test]
fn a_port_nobody_listens_on() {
    let address = format!("127.0.0.1:{}", free_port("127.0.0.1"));
    let mut transcript = Transcript::new("errors/no-listener").hide(&address, "127.0.0.1:6379");
    transcript.fails(
        3,
        Test::without_server(),
        &["-u", &format!("redis://{address}"), "pending"],
    );
    transcript.compare();
}

#[test]
fn access_denied() {
    let server = Server::options().tcp4().password("right").start();
    let wrong = server.url().replace("://", "://:wr0ng-one@");
    server.cli(["ACL", "SETUSER", "guest", "on", "nopass", "~*", "+@all", "-xadd"]);
    // Servers have different words for this one, and for what it is about below.
    let refusal = || {
        let refused = server.try_cli(["--user", "guest", "XADD", "s", "*", "a", "b"]);
        refused.unwrap_err()
    };
    let mut transcript = Transcript::new("errors/access").hide(server.port(), "6379").hide(
        refusal(),
        "NOPERM this user has no permissions to run the 'xadd' command",
    );
    transcript.fails(1, Test::without_server(), &["-u", &wrong, "pending"]);
    transcript.fails(1, Test::without_server(), &["-u", &server.url(), "pending"]);
    let guest = ["-u", &server.url(), "--user", "guest", "send", "s", "1", "--name", "n"];
    transcript.fails(1, Test::without_server(), &guest);
    server.cli(["ACL", "SETUSER", "guest", "resetkeys", "~orders", "+xadd"]);
    let of_keys = "NOPERM this user has no permissions to access one of the keys used as arguments";
    let mut transcript = transcript.hide(refusal(), of_keys);
    transcript.fails(1, Test::without_server(), &guest);
    let open = Server::options().tcp4().start();
    let mut transcript = transcript.hide(open.port(), "6379");
    let needless = open.url().replace("://", "://:needless@");
    transcript.fails(1, Test::without_server(), &["-u", &needless, "pending"]);
    transcript.compare();
}

#[test]
fn a_key_that_is_no_stream() {
    let server = Server::start();
    server.cli(["SET", "s", "x"]);
    all_fail("errors/no-stream", &server, 1, &VERBS);
}

#[test]
fn a_missing_group() {
    let server = Server::start();
    server.add_numbered("s", 1);
    let uses: &[&[&str]] = &[
        &["consume", "s", "-g", "readers", "-e"],
        &["consume", "missing", "-g", "readers", "-e"],
        &["consume", "s", "-l", "billing"],
        &["consume", "missing", "-l", "billing"],
        &["consume", "s", "-l", "billing", "--", "true"],
        &["pending", "s", "-g", "readers"],
    ];
    all_fail("errors/no-group", &server, 1, uses);
    assert_eq!(server.cli(["EXISTS", "missing"]), "0");
    assert!(server.groups("s").is_empty());
}

#[test]
fn a_missing_stream() {
    let server = Server::start();
    let uses: &[&[&str]] = &[
        &["pending", "missing"],
        &["send", "missing", "1", "--name", "n", "--no-create"],
    ];
    all_fail("errors/missing-stream", &server, 1, uses);
}

#[test]
fn bad_lines() {
    let server = Server::start();
    // A long line is shortened.
    let long = format!("{{\"name\":\"n\",\"body\":oops{}}}\n", "x".repeat(5000));
    server.file("json", format!("{{\"name\":\"n\",\"body\":1}}\n{long}"));
    server.file("key", "{\"name\":\"n\",\"body\":1,\"colour\":2}\n");
    server.file("nameless", "{\"body\":1}\n");
    server.file("csv", "a,b\n1,2\n1,2,3\n");
    // Quietly: how long it took is another matter.
    let uses: &[&[&str]] = &[
        &["-q", "send-batch", "s", "json"],
        &["-q", "send-batch", "s", "key"],
        &["-q", "send-batch", "s", "nameless"],
        &["-q", "send-batch", "s", "json", "--on-reject", "skip"],
        &["-q", "send-batch", "s", "json", "--rejects", "rejects"],
        &["-q", "send-batch", "s", "csv", "--input", "csv", "--name", "n"],
        &["send", "s", "oops", "--name", "n"],
        &["-q", "send-batch", "s", "key", "key", "--keep-ids"],
    ];
    all_fail("errors/bad-lines", &server, 1, uses);
}

#[test]
fn a_file_that_cannot_be_read() {
    let server = Server::start();
    let uses: &[&[&str]] = &[
        &["send-batch", "s", "nowhere.jsonl"],
        &["send", "s", "@nowhere.jsonl", "--name", "n"],
        &["--password-file", "nowhere.jsonl", "pending"],
        // A directory opens, but does not read.
        &["send-batch", "s", "."],
    ];
    all_fail("errors/files", &server, 1, uses);
}

#[test]
fn what_the_server_refuses() {
    let server = grouped();
    let mut transcript = Transcript::new("errors/refused");
    transcript.fails(1, Test::new(&server), &["send", "s", "1", "--name", "n", "--id", "1-0"]);
    transcript.fails(1, Test::new(&server), &["send", "s", "1", "--name", "n", "--id", "0-0"]);
    server.file("old", "{\"id\":\"1-0\",\"name\":\"n\",\"body\":1}\n");
    transcript.fails(1, Test::new(&server), &["-q", "send-batch", "s", "old", "--keep-ids"]);
    for (setting, [on, off]) in [("maxmemory", ["1", "0"]), ("min-replicas-to-write", ["1", "0"])] {
        server.cli(["CONFIG", "SET", setting, on]);
        transcript.fails(3, Test::new(&server), &["send", "s", "1", "--name", "n"]);
        server.cli(["CONFIG", "SET", setting, off]);
    }
    server.cli(["REPLICAOF", "127.0.0.1", "1"]);
    transcript.fails(3, Test::new(&server), &["send", "s", "1", "--name", "n"]);
    transcript.compare();
}

#[test]
fn conditions_that_are_not_met() {
    let server = grouped();
    if !server.tells_lag_or_left_out() {
        return;
    }
    let mut transcript = Transcript::new("errors/conditions");
    let test = || Test::new(&server);
    transcript.fails_after_data(1, test(), &["ack", "s", "-g", "missing", "1-0"]);
    transcript.fails_after_data(4, test(), &["ack", "s", "-g", "g", "--strict", "1-0", "2-0"]);
    transcript.fails_after_data(4, test(), &["pending", "s", "--max-lag", "2"]);
    let few = ["consume", "s", "-g", "g", "-n", "5", "--timeout", "1s"];
    transcript.fails_after_data(4, test(), &few);
    transcript.fails_after_data(4, test(), &["consume", "s", "-n", "1", "--timeout", "50ms"]);
    server.add_numbered("t", 3);
    server.cli(["XGROUP", "CREATE", "t", "g", "0"]);
    server.cli(["XREADGROUP", "GROUP", "g", "c", "STREAMS", "t", ">"]);
    transcript.fails_after_data(4, test(), &["pending", "t", "--max-pending", "2"]);
    transcript.fails_after_data(
        4,
        test(),
        &["pending", "t", "-g", "g", "--max-pending", "2", "--max-lag", "9"],
    );
    transcript.compare();
}

#[test]
fn handlers_that_fail() {
    let server = grouped();
    let mut transcript = Transcript::new("errors/handlers");
    let consume = [
        "consume",
        "s",
        "-g",
        "g",
        "-e",
        "--max-deliveries",
        "1",
        "--dead-letter",
        "dead",
    ];
    transcript.fails(1, Test::new(&server), &[&consume[..], &["--", "./absent"]].concat());
    transcript.fails(
        1,
        Test::new(&server),
        &[&consume[..], &["--", "sh", "-c", "exit 7"]].concat(),
    );
    server.cli(["XGROUP", "SETID", "s", "g", "2-0"]);
    transcript.fails(
        1,
        Test::new(&server),
        &["consume", "s", "-g", "g", "-e", "--", "sh", "-c", "kill -9 $$"],
    );
    // Also where there is nothing to do, and no server to ask.
    server.kill9();
    server.file("not-executable", "#!/bin/sh\n");
    for program in ["no-such-command", "./not-executable", "/"] {
        let consume = ["consume", "s", "-g", "g", "-e", "--", program];
        transcript.fails(1, Test::new(&server), &consume);
    }
    transcript.compare();
}

#[test]
fn values_that_are_not_understood() {
    let server = Server::start();
    let uses: &[&[&str]] = &[
        &["ack", "s", "-g", "g", "17-x"],
        &["send", "s", "1", "--name", "n", "--id", "17-x"],
        &["--connect-timeout", "5 parsecs", "pending"],
        &["consume", "s", "--block", "5x"],
        &["consume", "s", "--from", "yesterday"],
        &["consume", "s", "--from", "1h"],
        &["trim", "s", "--before", "1h30m"],
        &["send-batch", "s:{0..3}", "--key", "/user"],
        &["send-batch", "s:{0..3}", "--key", "user/id"],
        &["send-batch", "s:{0..3}", "--key", "/etc/tls.key"],
        &["consume", "s", "--count", "none"],
        &["consume", "s", "-n", "0"],
        &["subscribe", "s", "-g", "g", "--from", "1-2-3"],
        &["--color", "blue", "pending"],
        &["-u", "http://127.0.0.1", "pending"],
        &["-u", "redis://", "--nonsense", "pending"],
        &["consum"],
    ];
    all_fail("errors/values", &server, 2, uses);
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
    all_fail("errors/group-or-listener", &server, 2, uses);
}

#[test]
fn options_that_do_not_go_together() {
    let server = Server::start();
    let in_a_group = |more: &'static str| ["consume s -g g ", more].concat();
    let with_handler = |more: &'static str| ["consume s -g g ", more, " -- true"].concat();
    let uses = [
        "consume s --ack manual".to_owned(),
        "consume s -c me".to_owned(),
        "consume s --claim-idle 1m".to_owned(),
        "consume s --on-nogroup latest".to_owned(),
        "consume s --dedup".to_owned(),
        "consume s -- true".to_owned(),
        "consume s --timeout 1s".to_owned(),
        "consume s --from 1-0 --last 3".to_owned(),
        in_a_group("--from 1-0"),
        in_a_group("--to 1-0"),
        in_a_group("--last 3"),
        in_a_group("--ack manual --dedup"),
        in_a_group("--ack read --claim-idle 1m"),
        in_a_group("--jobs 2"),
        in_a_group("--max-deliveries 2"),
        with_handler("--ack manual"),
        with_handler("--max-deliveries 2"),
        with_handler("--dead-letter dead"),
        with_handler("--ack read --max-deliveries 2 --dead-letter dead"),
        with_handler("--max-deliveries 1 --dead-letter s"),
        with_handler("--pretty"),
        "consume s --body --time".to_owned(),
        "consume s --body --template {id}".to_owned(),
        "consume s --time --template {id}".to_owned(),
        "consume s --pretty --template {id}".to_owned(),
        "consume s --template {id}{nmae}".to_owned(),
        "send-batch s --json --ids".to_owned(),
        "send-batch s --input csv".to_owned(),
        "pending --idle 1s".to_owned(),
    ];
    let uses: Vec<Vec<&str>> = uses.iter().map(|line| line.split(' ').collect()).collect();
    let uses: Vec<&[&str]> = uses.iter().map(Vec::as_slice).collect();
    all_fail("errors/options", &server, 2, &uses);
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
    all_fail("errors/empty-names", &server, 2, uses);
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
