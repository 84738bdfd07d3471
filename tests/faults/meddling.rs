//! Others at work on the stream while a sending is cut off: equal entries, XDEL, XTRIM. None of it can be mistaken for
//! what became of a line.

use super::history::additions;
use super::sending::{assert_stream, batch, durable, input};
use crate::harness::{Dice, End, Fate, Proxy, Server, wait_until};

/// The bodies of all that was ever added.
fn added(server: &Server) -> Vec<String> {
    let bodies = additions(server, "s")
        .into_iter()
        .map(|entry| entry.fields[1].1.clone());
    bodies.map(|body| String::from_utf8(body).unwrap()).collect()
}

#[track_caller]
fn assert_added(server: &Server, bodies: &[String], what: &str) {
    let found = added(server);
    assert_eq!(
        (found.len(), found == bodies),
        (bodies.len(), true),
        "{what}: how many were added, and whether they are the lines"
    );
}

/// Does something on a connection of its own, when the client is about to be cut off.
fn at_cut(server: &Server, fate: Fate, script: &'static str) -> Proxy {
    let other = server.client();
    Proxy::start(server.socket(), [fate]).at_cut(move || {
        // So that all the server was sent is in the stream.
        let mut before = None;
        loop {
            let length = Some(other.command(["XLEN", "s"]));
            if before == length {
                break;
            }
            before = length;
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
        other.command(["EVAL", script, "1", "s"]);
    })
}

const DELETE_NEWEST: &str = "for _, entry in ipairs(redis.call('XREVRANGE', KEYS[1], '+', '-', 'COUNT', 25)) do \
                             redis.call('XDEL', KEYS[1], entry[1]) end";
const TRIM_ALL: &str = "redis.call('XTRIM', KEYS[1], 'MAXLEN', 0)";
const TRIM_MOST: &str = "redis.call('XTRIM', KEYS[1], 'MAXLEN', 7)";

#[test]
fn entries_deleted_while_the_connection_is_cut_are_not_sent_again() {
    for script in [DELETE_NEWEST, TRIM_ALL, TRIM_MOST] {
        for fate in [Fate::Landed(20_000, End::Fin), Fate::Request(20_000, End::Reset)] {
            let server = durable();
            let bodies = input(&server, 600);
            let proxy = at_cut(&server, fate, script);
            let output = batch(&server).args(["-u", &proxy.url()]).spawn().wait();
            assert_eq!(output.status, 0, "{script}: {}", output.stderr());
            assert!(output.stderr().contains("sent 600 messages"), "{}", output.stderr());
            assert_added(&server, &bodies, script);
        }
    }
}

#[test]
fn a_line_whose_entry_was_deleted_before_its_receipt_has_one_without_an_id() {
    let server = durable();
    input(&server, 600);
    let proxy = at_cut(&server, Fate::Landed(20_000, End::Fin), TRIM_ALL);
    batch(&server)
        .args(["-u", &proxy.url(), "--receipts", "receipts"])
        .stderr_any()
        .run();
    let receipts = server.read("receipts");
    assert_eq!(receipts.lines().count(), 600);
    for (line, receipt) in receipts.lines().enumerate() {
        let start = format!("{{\"file\":\"input.jsonl\",\"line\":{},\"id\":", line + 1);
        assert!(receipt.starts_with(&start), "{receipt}");
    }
    assert!(receipts.contains("\"id\":null}"), "{receipts}");
}

#[test]
fn equal_lines_that_are_trimmed_meanwhile() {
    let mut dice = Dice::new();
    let bodies = vec!["1".to_owned(); 20_000];
    for round in 0..8 {
        let server = durable();
        server.file("input.jsonl", bodies.join("\n") + "\n");
        let fate = match round % 3 {
            0 => Fate::Reply(dice.between(300, 200_000), End::Fin),
            1 => Fate::Landed(dice.between(1000, 900_000), End::Fin),
            _ => Fate::Request(dice.between(1000, 900_000), End::Reset),
        };
        let proxy = Proxy::start(server.socket(), [fate]);
        batch(&server)
            .args(["-u", &proxy.url(), "--maxlen", "100"])
            .stderr_has(["sent 20,000 messages"])
            .run();
        assert_added(&server, &bodies, "trimmed");
    }
}

#[test]
fn two_producers_of_equal_lines() {
    const COUNT: usize = 10_000;
    let mut dice = Dice::new();
    let server = durable();
    let bodies = vec!["1".to_owned(); COUNT];
    server.file("input.jsonl", bodies.join("\n") + "\n");
    let mut fate = || match dice.between(0, 2) {
        0 => Fate::Request(dice.between(2000, 300_000), End::Fin),
        _ => Fate::Reply(dice.between(200, 100_000), End::Reset),
    };
    let proxies: Vec<_> = (0..2)
        .map(|_| Proxy::start(server.socket(), [fate(), fate(), fate(), fate()]))
        .collect();
    let mut sendings: Vec<_> = proxies
        .iter()
        .map(|proxy| batch(&server).args(["-u", &proxy.url()]).spawn())
        .collect();
    for sending in &mut sendings {
        let output = sending.wait();
        assert_eq!(output.status, 0, "{}", output.stderr());
    }
    assert!(proxies.iter().all(|proxy| proxy.cuts() > 0));
    assert_eq!(server.cli(["XLEN", "s"]), (2 * COUNT).to_string());
}

/// Another producer adds an entry equal to a line that is still to come: it is that producer's.
#[test]
fn an_equal_entry_of_another_producer_is_not_taken_for_a_line() {
    let server = durable();
    let bodies = input(&server, 100);
    let script = "redis.call('XADD', KEYS[1], '*', 'name', 'n', 'body', '{\"n\":96,\"pad\":\"xxxxxxxxxxxx\"}')";
    assert_eq!(bodies[95], "{\"n\":96,\"pad\":\"xxxxxxxxxxxx\"}");
    let proxy = at_cut(&server, Fate::Request(3000, End::Fin), script);
    batch(&server).args(["-u", &proxy.url()]).stderr_any().run();
    let mut found = server.bodies("s");
    assert_eq!(found.len(), 101);
    let theirs = found.iter().position(|body| *body == bodies[95]).unwrap();
    found.remove(theirs);
    assert_eq!(found, bodies);
}

/// A user who may not write the marker: what was in flight on a lost connection cannot be known.
#[test]
fn without_the_right_to_a_marker_lines_are_in_doubt() {
    for (action, status) in [("stop", 1), ("repeat", 0)] {
        let server = Server::start();
        let bodies = input(&server, 300);
        server.cli(["ACL", "SETUSER", "default", "resetkeys", "~s"]);
        // Not so early that the right to a marker has not been tried.
        let proxy = Proxy::start(server.socket(), [Fate::Landed(15_000, End::Fin)]);
        let output = batch(&server)
            .args(["-u", &proxy.url(), "--on-ambiguous", action, "--rate", "600"])
            .status(status)
            .stderr_has([if status == 1 {
                "--on-ambiguous repeat"
            } else {
                "sent 300 messages"
            }])
            .run();
        let found = server.bodies("s");
        if action == "stop" {
            assert!(output.stderr().contains("input.jsonl:"), "{}", output.stderr());
            assert!(!found.is_empty());
            assert_stream(&server, &bodies[..found.len()]);
        } else {
            // Once more, perhaps, and none is missing.
            assert!(bodies.iter().all(|body| found.contains(body)));
            assert!(found.ends_with(&bodies[bodies.len() - 10..]));
        }
    }
}

/// The marker's key is taken for something else while a window of transactions is in flight: those are executed, and
/// their replies are read as what they are.
#[test]
fn a_marker_that_becomes_something_else_in_the_middle_of_a_window() {
    const TAKE: &str = "local key = redis.call('KEYS', 'redis-streamer:*')[1] \
                        if not key or redis.call('XLEN', KEYS[1]) == 0 then return 0 end \
                        redis.call('DEL', key) redis.call('RPUSH', key, 'x') return 1";
    let server = Server::start();
    let bodies = input(&server, 50_000);
    let mut sending = batch(&server).args(["-u", &server.url()]).spawn();
    wait_until("a marker to take", || server.cli(["EVAL", TAKE, "1", "s"]) == "1");
    let output = sending.wait();
    assert_eq!(output.status, 0, "{}", output.stderr());
    assert_stream(&server, &bodies);
}

/// The marker's name is part of the contract, for whoever cleans up or grants rights.
#[test]
fn the_marker_is_named_after_the_stream_and_gone_in_the_end() {
    for (stream, tag) in [("s", "{s}"), ("a{t}b", "{t}")] {
        let server = Server::start();
        let send = |more: &[&str]| {
            crate::harness::Test::new(&server)
                .args(["send-batch", stream, "--name", "n"])
                .args(more)
                .stdin("1\n2\n")
                .stderr_any()
                .run()
        };
        let pattern = format!("redis-streamer:producer:{tag}:*");
        send(&[]);
        assert_eq!(server.cli(["KEYS", "redis-streamer:*"]), "");
        send(&["--checkpoint", "c"]);
        let key = server.cli(["KEYS", &pattern]);
        assert_eq!(key.lines().count(), 1, "{}", server.cli(["KEYS", "*"]));
        let seconds: usize = server.cli(["TTL", &key]).parse().unwrap();
        assert!((6 * 86_400..=7 * 86_400).contains(&seconds), "{seconds}");
    }
}
