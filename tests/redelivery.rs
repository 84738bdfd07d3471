//! What others left is taken over, what is held is handed back, and what is gone is said.

use crate::harness::{Server, Signal, Test};
use crate::middleman::{Middleman, Verdict, is};
use std::sync::{Arc, Mutex};

/// A stream of `count` messages and a group at its beginning.
fn grouped(options: crate::harness::Options, count: usize) -> Server {
    let server = options.start();
    server.add_numbered("s", count);
    server.cli(["XGROUP", "CREATE", "s", "g", "0", "MKSTREAM"]);
    server
}

/// Delivers entries to another consumer, which never acknowledges them.
fn abandon(server: &Server, count: usize) {
    let count = count.to_string();
    server.cli(["XREADGROUP", "GROUP", "g", "gone", "COUNT", &count, "STREAMS", "s", ">"]);
}

fn line(number: usize, deliveries: usize) -> String {
    let again = match deliveries {
        1 => String::new(),
        more => format!(r#","deliveries":{more}"#),
    };
    format!("{{\"stream\":\"s\",\"id\":\"{number}-0\",\"name\":\"n\",\"body\":{number}{again}}}\n")
}

fn consume(server: &Server) -> Test {
    Test::new(server).args(["consume", "s", "-g", "g"])
}

#[test]
fn stale_and_new_messages_come_out_of_one_command() {
    for options in [Server::options(), Server::options().without("XAUTOCLAIM")] {
        let server = grouped(options, 3);
        abandon(&server, 2);
        consume(&server)
            .args(["-e", "--claim-idle", "0s"])
            .stdout(line(1, 2) + &line(2, 2) + &line(3, 1))
            .run();
        assert_eq!(server.pending("s", "g"), [""; 0]);
    }
}

#[test]
fn fresh_entries_of_others_are_left_alone() {
    for claim in ["5m", "off"] {
        let server = grouped(Server::options(), 3);
        abandon(&server, 2);
        consume(&server)
            .args(["-e", "--claim-idle", claim])
            .stdout(line(3, 1))
            .run();
        assert_eq!(server.pending("s", "g"), ["1-0", "2-0"]);
    }
}

#[test]
fn what_becomes_stale_while_a_consumer_waits_is_taken_over() {
    for handler in [&[][..], &["--", "cat"]] {
        let server = grouped(Server::options(), 2);
        abandon(&server, 2);
        let mut consumer = consume(&server)
            .args([
                "-n",
                "2",
                "--timeout",
                "30s",
                "--claim-idle",
                "1500ms",
                "--block",
                "600s",
            ])
            .args(handler)
            .spawn();
        server.wait_blocked();
        assert_eq!(consumer.line() + "\n", line(1, 2));
        assert_eq!(consumer.line() + "\n", line(2, 2));
        assert_eq!(consumer.wait().status, 0);
        assert_eq!(server.pending("s", "g"), [""; 0]);
    }
}

#[test]
fn a_few_stale_entries_are_found_among_many_fresh_ones() {
    let server = grouped(Server::options(), 5001);
    abandon(&server, 5000);
    for id in ["2000-0", "4000-0", "4001-0"] {
        server.cli(["XCLAIM", "s", "g", "gone", "0", id, "IDLE", "600000", "JUSTID"]);
    }
    let mut seen = String::new();
    for _ in 0..4 {
        seen += &consume(&server).args(["-n", "1"]).stdout_any().run().stdout();
    }
    assert_eq!(seen, line(2000, 2) + &line(4000, 2) + &line(4001, 2) + &line(5001, 1));
    let asked = server.calls("xpending") + server.calls("xautoclaim");
    assert!(asked < 100, "{asked} requests");
}

#[test]
fn what_becomes_stale_while_data_flows_is_taken_over() {
    let server = grouped(Server::options(), 20_000);
    abandon(&server, 1);
    // Nobody reads until the entry is stale; more is there than the pipe and the reads in flight take.
    let script = "redis-streamer consume s -g g -e --count 100 --claim-idle 500ms | { sleep 1; cat; }";
    let lines = Test::shell(&server, script).stdout_any().run().stdout();
    let stale = lines.find(&line(1, 2)).expect("the stale entry");
    assert!(
        stale < lines.find(&line(20_000, 1)).unwrap(),
        "the stale entry came last"
    );
    assert_eq!(lines.lines().count(), 20_000);
    assert_eq!(server.pending("s", "g"), [""; 0]);
}

#[test]
fn what_waits_for_ack_is_not_taken_from_oneself() {
    let server = grouped(Server::options(), 3);
    abandon(&server, 2);
    let set_idle = |id: &str, ms: &str| server.cli(["XCLAIM", "s", "g", "gone", "0", id, "IDLE", ms, "JUSTID"]);
    set_idle("1-0", "10000");
    let mut consumer = consume(&server)
        .args([
            "-c",
            "me",
            "--ack",
            "manual",
            "--claim-idle",
            "3s",
            "-n",
            "3",
            "--timeout",
            "30s",
        ])
        .spawn();
    assert_eq!(consumer.line() + "\n", line(1, 2));
    assert_eq!(consumer.line() + "\n", line(3, 1));
    // By the time this one is stale, those two have been idle for longer.
    set_idle("2-0", "0");
    assert_eq!(consumer.line() + "\n", line(2, 2));
    assert_eq!(consumer.wait().status, 0);
    assert_eq!(server.pending("s", "g"), ["1-0", "2-0", "3-0"]);
}

#[test]
fn what_was_handed_back_exceeds_no_idle_time() {
    let server = grouped(Server::options(), 2);
    // A handler that fails until a signal ends its consumer.
    let mut consumer = consume(&server).args(["--retry-delay", "10m", "--", "false"]).spawn();
    consumer.wait_stderr("again in");
    consumer.signal(Signal::TERM);
    assert_eq!(consumer.wait().status, 143);
    let pending = Test::new(&server).args(["pending", "s", "-g", "g"]);
    let output = pending.args(["--max-idle", "5m", "--json"]).stdout_any().run();
    assert!(output.stdout().contains("\"idle_ms\":null"), "{}", output.stdout());
}

#[test]
fn a_consumer_that_may_not_be_removed_is_no_failure() {
    let server = grouped(Server::options(), 1);
    // Older servers know no rule that takes one subcommand away.
    server.cli(["ACL", "SETUSER", "default", "-xgroup"]);
    consume(&server)
        .arg("-e")
        .stdout(line(1, 1))
        .stderr_has(["warning: the consumer g.", "stays in the group"])
        .run();
    assert_eq!(server.pending("s", "g"), [""; 0]);
}

#[test]
fn entries_that_are_gone_are_acknowledged_and_reported_once() {
    for options in [Server::options(), Server::options().without("XAUTOCLAIM")] {
        let server = grouped(options, 3);
        abandon(&server, 2);
        server.cli(["XDEL", "s", "1-0"]);
        consume(&server)
            .args(["-e", "--claim-idle", "0s"])
            .stdout(line(2, 2) + &line(3, 1))
            .stderr_has(["1-0", "deleted or trimmed"])
            .run();
        assert_eq!(server.pending("s", "g"), [""; 0]);
        consume(&server).args(["-e", "--claim-idle", "0s"]).run();
    }
}

/// Whoever had it acknowledges it after it was listed as stale, and `trim --acked` takes it away: nothing was lost.
#[test]
fn what_was_acknowledged_and_trimmed_in_time_is_not_reported() {
    let server = grouped(Server::options(), 3);
    abandon(&server, 2);
    let others = server.client();
    let middleman = Middleman::start(&server, move |words| {
        if is(words, "XPENDING") && words.get(3).is_some_and(|from| from == b"1-0") {
            others.command(["XACK", "s", "g", "1-0"]);
            others.command(["XTRIM", "s", "MINID", "2-0"]);
        }
        Verdict::Pass
    });
    consume(&server)
        .args(["-e", "--claim-idle", "0s", "-u", &middleman.url()])
        .stdout(line(2, 2) + &line(3, 1))
        .run();
    assert_eq!(server.pending("s", "g"), [""; 0]);
    assert_eq!(server.ids("s"), ["2-0", "3-0"]);
}

#[test]
fn a_named_consumer_first_reads_what_is_pending_under_its_name() {
    let server = grouped(Server::options(), 4);
    server.cli(["XREADGROUP", "GROUP", "g", "me", "COUNT", "2", "STREAMS", "s", ">"]);
    server.cli(["XDEL", "s", "1-0"]);
    consume(&server)
        .args(["-e", "-c", "me"])
        .stdout(line(2, 2) + &line(3, 1) + &line(4, 1))
        .stderr_has(["1-0", "deleted or trimmed"])
        .run();
    assert_eq!(server.pending("s", "g"), [""; 0]);
    assert_eq!(server.consumers("s", "g"), ["me"]);
}

#[test]
fn what_is_handed_back_is_delivered_at_once() {
    let server = grouped(Server::options(), 1);
    let mut failing = consume(&server).args(["--retry-delay", "1h", "--", "false"]).spawn();
    failing.wait_stderr("again in");
    failing.signal(Signal::TERM);
    assert_eq!(failing.wait().status, 128 + 15);
    assert_eq!(server.consumers("s", "g"), ["handed-back"]);
    consume(&server)
        .args(["-n", "1", "--timeout", "20s"])
        .stdout(line(1, 2))
        .run();
    assert_eq!(server.pending("s", "g"), [""; 0]);
}

#[test]
fn xnack_hands_back_where_the_server_has_it() {
    let server = grouped(Server::options(), 1);
    // It knows XNACK, as Redis 8.8 does and no server that can be installed here.
    let nacks = Arc::new(Mutex::new(Vec::new()));
    let heard = Arc::clone(&nacks);
    let newer = Middleman::start(&server, move |words| {
        if !is(words, "XNACK") {
            return Verdict::Pass;
        }
        let line = String::from_utf8(words.join(&b' ')).unwrap();
        heard.lock().unwrap().push(line);
        Verdict::Answer(b":1\r\n".to_vec())
    });
    let mut failing = consume(&server)
        .args(["-u", &newer.url(), "--retry-delay", "1h", "--", "false"])
        .spawn();
    failing.wait_stderr("again in");
    failing.signal(Signal::TERM);
    assert_eq!(failing.wait().status, 128 + 15);
    assert_eq!(*nacks.lock().unwrap(), ["XNACK s g SILENT IDS 1 1-0 RETRYCOUNT 1"]);
}

/// What a connection of an earlier run of the same name takes while the run is at work is not left behind.
#[test]
fn what_an_old_connection_takes_meanwhile_is_handled_too() {
    for (handler, count) in [(true, 6), (false, 6)] {
        let server = Server::start();
        server.add_numbered("s", count);
        server.cli(["XGROUP", "CREATE", "s", "g", "0"]);
        let socket = server.socket();
        let steal = format!(
            "redis-cli -e -s {} XREADGROUP GROUP g me COUNT 1 STREAMS s '>' > /dev/null; cat",
            socket.display()
        );
        let test = Test::new(&server).args(["consume", "s", "-g", "g", "-c", "me", "-e", "--count", "1"]);
        let output = match handler {
            true => test.args(["--", "sh", "-c", &steal]).stdout_any().run(),
            false => {
                let mut running = test.args(["--rest", "300ms"]).spawn();
                running.line();
                server.cli(["XREADGROUP", "GROUP", "g", "me", "COUNT", "1", "STREAMS", "s", ">"]);
                running.wait()
            }
        };
        assert_eq!(output.status, 0, "{}", output.stderr());
        assert_eq!(output.stdout().lines().count(), count, "{handler}: {}", output.stdout());
        assert_eq!(server.pending("s", "g"), Vec::<String>::new(), "{handler}");
    }
}
