//! `send-batch` across lost connections, dead servers, refusals and its own death: the stream equals the input.

use crate::harness::{Dice, End, Fate, Proxy, Running, Server, Test, wait_until};

/// A server whose every write survives a kill.
fn durable() -> Server {
    Server::options().append_only().start()
}

/// `input.jsonl` with the bodies 1 to N, some of them long; as `add_numbered`, no two are equal.
fn input(server: &Server, count: usize) -> Vec<String> {
    let bodies: Vec<String> = (1..=count)
        .map(|n| format!("{{\"n\":{n},\"pad\":\"{}\"}}", "x".repeat(n * 7 % 60)))
        .collect();
    server.file("input.jsonl", bodies.join("\n") + "\n");
    bodies
}

fn batch(server: &Server) -> Test {
    Test::new(server).args(["send-batch", "s", "input.jsonl", "--name", "n"])
}

/// The stream holds these bodies, in this order, and nothing else.
#[track_caller]
fn assert_stream(server: &Server, bodies: &[String]) {
    let found = server.bodies("s");
    let differs = found.iter().zip(bodies).position(|(a, b)| a != b);
    assert_eq!(
        (found.len(), differs),
        (bodies.len(), None),
        "length, and the first that differs"
    );
}

fn length(server: &Server) -> usize {
    server.cli(["XLEN", "s"]).parse().unwrap_or(0)
}

/// Waits until there is more in the stream than so much, or the sending has ended.
fn wait_length(server: &Server, sending: &Running, length_at_least: usize) {
    wait_until("the stream to grow", || {
        length(server) >= length_at_least || !super::runs(&sending.pid().to_string())
    });
}

const COUNT: usize = 25_000;

#[test]
fn a_server_that_dies_and_comes_back() {
    let server = durable();
    let bodies = input(&server, COUNT);
    let mut dice = Dice::new();
    let mut sending = batch(&server).spawn();
    for part in 1..=4 {
        wait_length(&server, &sending, dice.between(part * 4000, part * 4000 + 2000));
        server.kill9();
        server.restart();
    }
    let output = sending.wait();
    assert_eq!(output.status, 0, "{}", output.stderr());
    assert!(output.stderr().contains("trying again"), "{}", output.stderr());
    assert!(output.stderr().contains("sent 25,000 messages"), "{}", output.stderr());
    assert_stream(&server, &bodies);
}

#[test]
fn killed_connections() {
    let server = durable();
    let bodies = input(&server, COUNT);
    let mut dice = Dice::new();
    let mut sending = batch(&server).spawn();
    for part in 0..10 {
        wait_length(&server, &sending, part * 2000 + dice.between(1, 2000));
        server.cli(["CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"]);
    }
    let output = sending.wait();
    assert_eq!(output.status, 0, "{}", output.stderr());
    assert_stream(&server, &bodies);
}

#[test]
fn connections_cut_anywhere() {
    let mut dice = Dice::new();
    let server = Server::start();
    // About 80 bytes a line on the wire, and 22 a reply.
    let bodies = input(&server, 300);
    for round in 0..32 {
        server.cli(["FLUSHALL"]);
        let end = if round % 2 == 0 { End::Fin } else { End::Reset };
        // Not so early that it has not begun yet.
        let fate = match round % 3 {
            0 => Fate::Reply(dice.between(200, 6000), end),
            1 => Fate::Request(dice.between(500, 25_000), end),
            _ => Fate::Unanswered(b"XADD", end),
        };
        let again = Fate::Request(dice.between(300, 10_000), end);
        let proxy = Proxy::start(server.socket(), [fate, again]);
        let receipts = format!("receipts-{round}");
        let output = batch(&server)
            .args(["-u", &proxy.url(), "--ids", "--receipts", &receipts])
            .stdout_any()
            .stderr_any()
            .run();
        assert!(proxy.cuts() > 0, "round {round}");
        assert_stream(&server, &bodies);
        assert_eq!(
            output.stdout().lines().collect::<Vec<_>>(),
            server.ids("s"),
            "round {round}"
        );
        assert_eq!(server.read(&receipts).lines().count(), bodies.len());
    }
}

#[test]
fn equal_lines_across_cut_connections() {
    let mut dice = Dice::new();
    let server = Server::start();
    server.file("input.jsonl", "1\n".repeat(400));
    let bodies = vec!["1".to_owned(); 400];
    for _ in 0..8 {
        server.cli(["FLUSHALL"]);
        let fates = [
            Fate::Reply(dice.between(200, 6000), End::Fin),
            Fate::Request(dice.between(500, 10_000), End::Reset),
        ];
        let proxy = Proxy::start(server.socket(), fates);
        batch(&server).args(["-u", &proxy.url()]).stderr_any().run();
        assert_stream(&server, &bodies);
    }
}

#[test]
fn a_killed_sending_goes_on_from_its_checkpoint() {
    let server = durable();
    let bodies = input(&server, COUNT);
    let mut dice = Dice::new();
    let resumable = || batch(&server).args(["--checkpoint", "c"]);
    for part in 1..=5 {
        let mut sending = resumable().spawn();
        wait_length(&server, &sending, dice.between(part * 4000, part * 4000 + 2000));
        sending.kill9();
        if part == 3 {
            server.kill9();
            server.restart();
        }
    }
    resumable().stderr_any().run();
    assert_stream(&server, &bodies);
    // Done is done.
    resumable().stderr_any().run();
    assert_stream(&server, &bodies);
}

#[test]
fn a_hung_server_is_waited_for() {
    let server = durable();
    let bodies = input(&server, COUNT);
    let mut sending = batch(&server).spawn();
    wait_length(&server, &sending, 3000);
    server.pause();
    let state = format!("/proc/{}/stat", sending.pid());
    wait_until("it to wait", || {
        std::fs::read_to_string(&state).is_ok_and(|stat| stat.contains(") S "))
    });
    server.resume();
    let output = sending.wait();
    assert_eq!(output.status, 0, "{}", output.stderr());
    assert_stream(&server, &bodies);
}

#[test]
fn a_server_that_stays_away() {
    let server = durable();
    let bodies = input(&server, COUNT);
    let mut sending = batch(&server).args(["--reconnect-for", "300ms"]).spawn();
    wait_length(&server, &sending, 3000);
    server.kill9();
    let output = sending.wait();
    assert_eq!(output.status, 3, "{}", output.stderr());
    assert!(output.stderr().contains("input.jsonl:"), "{}", output.stderr());
    assert!(output.stderr().contains("not known"), "{}", output.stderr());
    server.restart();
    assert_stream(&server, &bodies[..length(&server)]);
}

/// Refusals that pass, and how they are brought about and mended.
const REFUSALS: [(&str, &[&str], &[&str]); 3] = [
    (
        "READONLY",
        &["REPLICAOF", "127.0.0.1", "1"],
        &["REPLICAOF", "NO", "ONE"],
    ),
    (
        "NOREPLICAS",
        &["CONFIG", "SET", "min-replicas-to-write", "1"],
        &["CONFIG", "SET", "min-replicas-to-write", "0"],
    ),
    (
        "OOM",
        &["CONFIG", "SET", "maxmemory", "1"],
        &["CONFIG", "SET", "maxmemory", "0"],
    ),
];

#[test]
fn a_server_that_refuses_for_a_while() {
    for (code, refuse, mend) in REFUSALS {
        let server = durable();
        let bodies = input(&server, COUNT);
        let mut sending = batch(&server).spawn();
        wait_length(&server, &sending, 3000);
        server.cli(refuse);
        sending.wait_stderr(code);
        server.cli(mend);
        let output = sending.wait();
        assert_eq!(output.status, 0, "{code} {}", output.stderr());
        assert_stream(&server, &bodies);
    }
}

#[test]
fn a_server_that_goes_on_refusing() {
    for (code, refuse, _) in REFUSALS {
        let server = durable();
        let bodies = input(&server, COUNT);
        let mut sending = batch(&server).args(["--reconnect-for", "300ms"]).spawn();
        wait_length(&server, &sending, 3000);
        server.cli(refuse);
        let output = sending.wait();
        assert_eq!(output.status, 3, "{code} {}", output.stderr());
        assert!(output.stderr().contains(code), "{}", output.stderr());
        assert_stream(&server, &bodies[..length(&server)]);
    }
}

/// The server refuses some of what is in flight and takes what comes behind it: a script, run by a second client
/// between two portions of 16 KB that the server takes from a connection at a time, ends the refusals. Their order
/// is lost then: the sending stops, and every line is in the stream or named.
#[test]
fn a_refusal_of_some_of_what_is_in_flight() {
    let server = durable();
    let bodies = input(&server, 3000);
    let proxy = Proxy::start(server.socket(), [Fate::Split(60_000)]);
    let socket = server.socket();
    let proxy = proxy.at_cut(move || {
        let url = format!("redis+unix://{}", socket.display());
        let mut connection = redis::Client::open(url).unwrap().get_connection().unwrap();
        let _: () = redis::cmd("CONFIG")
            .arg(&["SET", "min-replicas-to-write", "0"])
            .query(&mut connection)
            .unwrap();
    });
    server.cli(["CONFIG", "SET", "min-replicas-to-write", "1"]);
    let output = batch(&server).args(["-u", &proxy.url()]).spawn().wait();
    let found = server.bodies("s");
    assert_eq!(output.status, 1, "{}", output.stderr());
    assert!(!found.is_empty() && found.len() < bodies.len(), "{}", found.len());
    let mut expected = found.iter().peekable();
    for (index, body) in bodies.iter().enumerate() {
        if expected.next_if(|next| *next == body).is_none() {
            let named = format!("input.jsonl:{}: the server refused: NOREPLICAS", index + 1);
            assert!(output.stderr().contains(&named), "line {} is not named", index + 1);
        }
    }
    assert_eq!(expected.next(), None, "another order");
}

#[test]
fn an_equal_entry_of_another_producer_leaves_doubt() {
    for (action, status) in [("stop", 1), ("repeat", 0)] {
        let server = Server::start();
        let bodies = input(&server, 100);
        let other = bodies[95].clone();
        let socket = server.socket();
        // The server gets a part of the lines; then another producer adds one that is still to come.
        let proxy = Proxy::start(server.socket(), [Fate::Request(3000, End::Fin)]).at_cut(move || {
            let url = format!("redis+unix://{}", socket.display());
            let mut connection = redis::Client::open(url).unwrap().get_connection().unwrap();
            let _: String = redis::cmd("XADD")
                .arg(&["s", "*", "name", "n", "body", &other])
                .query(&mut connection)
                .unwrap();
        });
        let output = batch(&server)
            .args(["-u", &proxy.url(), "--on-ambiguous", action])
            .status(status)
            .stderr_any()
            .run();
        let mut found = server.bodies("s");
        let theirs = found.iter().position(|body| *body == bodies[95]).unwrap();
        assert!(theirs > 0 && theirs < 95, "{theirs}");
        found.remove(theirs);
        if action == "stop" {
            assert!(
                output.stderr().contains("input.jsonl:96") && output.stderr().contains("may or may not have been sent"),
                "{}",
                output.stderr()
            );
            assert!(output.stderr().contains("--on-ambiguous repeat"), "{}", output.stderr());
            assert_eq!(found, bodies[..found.len()]);
        } else {
            assert_eq!(found, bodies);
        }
    }
}

/// A checkpoint of a sending that was stopped by a bad line behind some thousands of good ones; returns the lines
/// as they should have been.
fn half_sent(server: &Server) -> Vec<String> {
    let mut lines: Vec<String> = (1..=5000)
        .map(|n| format!("{{\"n\":{n},\"pad\":\"{}\"}}", "x".repeat(100)))
        .collect();
    let good = std::mem::replace(&mut lines[4500], "{\"n\":".to_owned());
    server.file("input.jsonl", lines.join("\n") + "\n");
    batch(server).args(["--checkpoint", "c"]).status(1).stderr_any().run();
    lines[4500] = good;
    lines
}

#[test]
fn a_checkpoint_goes_on_behind_a_line_that_was_mended() {
    let server = Server::start();
    let lines = half_sent(&server);
    server.file("input.jsonl", lines.join("\n") + "\n");
    batch(&server).args(["--checkpoint", "c"]).stderr_any().run();
    assert_stream(&server, &lines);
}

#[test]
fn a_sending_killed_while_it_resumed() {
    use std::io::Write;
    let server = durable();
    let bodies = input(&server, 30_000);
    let text = |from: usize, to: usize| bodies[from..to].join("\n") + "\n";
    let command = || Test::new(&server).args(["send-batch", "s", "--name", "n", "--checkpoint", "c"]);
    // The first is killed when 20,000 lines have landed and its checkpoint still says that none has.
    let mut first = command().command().spawn().unwrap();
    let mut stdin = first.stdin.take().unwrap();
    // It is written twice: before and after the first look at the server.
    wait_until("the checkpoint of a sending that has begun", || {
        std::fs::read_to_string(server.work().join("c")).is_ok_and(|text| text.contains("\"settled\":false"))
    });
    let fresh = server.read("c");
    stdin.write_all(text(0, 20_000).as_bytes()).unwrap();
    wait_until("lines to land", || length(&server) == 20_000);
    first.kill().unwrap();
    first.wait().unwrap();
    server.file("c", &fresh);
    // The second finds them in the stream, and is killed while it still does.
    let mut second = command().command().spawn().unwrap();
    let mut stdin = second.stdin.take().unwrap();
    stdin.write_all(text(0, 10).as_bytes()).unwrap();
    // Longer than the checkpoint is left unwritten.
    std::thread::sleep(std::time::Duration::from_millis(300));
    stdin.write_all(text(10, 20_000).as_bytes()).unwrap();
    wait_until("the checkpoint to be written", || server.read("c") != fresh);
    second.kill().unwrap();
    second.wait().unwrap();
    // The third sends the rest.
    let output = command().stdin(text(0, 30_000)).spawn().wait();
    let found = server.bodies("s");
    assert_eq!(
        (output.status, found.len()),
        (0, bodies.len()),
        "the checkpoint was {}: {}",
        server.read("c"),
        output.stderr()
    );
    assert_stream(&server, &bodies);
}

#[test]
fn the_checkpoint_of_another_sending_is_refused() {
    let server = Server::start();
    half_sent(&server);
    let before = server.bodies("s");
    let refused = |args: &[&str]| {
        Test::new(&server)
            .arg("send-batch")
            .args(args)
            .args(["--name", "n", "--checkpoint", "c"])
            .status(1)
            .stderr_has(["error: "])
            .run();
        assert_eq!(server.bodies("s"), before);
        assert_eq!(server.bodies("t"), Vec::<String>::new());
    };
    server.file("other.jsonl", server.read("input.jsonl"));
    refused(&["t", "input.jsonl"]);
    refused(&["s", "other.jsonl"]);
    refused(&["s", "input.jsonl", "other.jsonl"]);
    for changed in ["1\n2\n3\n".to_owned(), "{\"n\":1000000}\n".repeat(5000), String::new()] {
        server.file("input.jsonl", changed);
        refused(&["s", "input.jsonl"]);
    }
    server.file("c", "{}");
    refused(&["s", "input.jsonl"]);
}

#[test]
fn a_checkpoint_of_a_done_sending_does_not_hide_another_input() {
    let server = Server::start();
    let done = || Test::new(&server).args(["send-batch", "s", "--name", "n", "--checkpoint", "c"]);
    done().stdin("1\n2\n3\n").stderr_any().run();
    // Exit code 0 would mean that all of these lines are in the stream.
    let output = done().stdin("4\n5\n6\n7\n").spawn().wait();
    let found = server.bodies("s");
    assert!(
        output.status != 0 || found == ["1", "2", "3", "4", "5", "6", "7"],
        "status {}, the stream holds {found:?}: {}",
        output.status,
        output.stderr()
    );
}

#[test]
fn a_checkpoint_of_a_done_sending_does_not_hide_lines_that_were_added() {
    let server = Server::start();
    server.file("input.jsonl", "1\n2\n3\n");
    batch(&server).args(["--checkpoint", "c"]).stderr_any().run();
    server.file("input.jsonl", "1\n2\n3\n4\n");
    let output = batch(&server).args(["--checkpoint", "c"]).spawn().wait();
    let found = server.bodies("s");
    assert!(
        output.status != 0 || found == ["1", "2", "3", "4"],
        "status {}, the stream holds {found:?}: {}",
        output.status,
        output.stderr()
    );
}
