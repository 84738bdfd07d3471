//! Connections that break at their first bytes, and claims whose reply is lost.

use super::{GROUP, assert_settled, consume, ids, orders};
use crate::harness::{End, Fate, Proxy, Server, Test};
use crate::middleman::{Middleman, Verdict, is};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// Where the first connection ends: in its first request, and in what is said before the first entry comes.
fn first_bytes(end: End) -> Vec<Fate> {
    let requests = [1, 14, 30, 60].map(|bytes| Fate::Request(bytes, end));
    let replies = [1, 5, 20, 60, 100, 126].map(|bytes| Fate::Reply(bytes, end));
    requests.into_iter().chain(replies).collect()
}

const COUNT: usize = 50;

fn expected() -> Vec<String> {
    (1..=COUNT).map(|n| format!("{n}-0")).collect()
}

#[test]
fn a_group_is_read_to_its_end_although_the_first_bytes_are_cut() {
    for end in [End::Fin, End::Reset] {
        for fate in first_bytes(end) {
            let server = orders(COUNT);
            let proxy = Proxy::start(server.socket(), [fate]);
            let output = consume(&server)
                .args(["-e", "-u", &proxy.url()])
                .stdout_any()
                .stderr_any()
                .run();
            assert_eq!(ids(&output), expected());
            assert_settled(&server);
        }
    }
}

#[test]
fn a_plain_read_goes_to_the_end_although_the_first_bytes_are_cut() {
    for fate in first_bytes(End::Fin) {
        let server = orders(COUNT);
        let proxy = Proxy::start(server.socket(), [fate]);
        let output = Test::new(&server)
            .args(["consume", "orders", "--from", "beginning", "-e", "-u", &proxy.url()])
            .stdout_any()
            .stderr_any()
            .run();
        assert_eq!(ids(&output), expected());
    }
}

#[test]
fn a_batch_is_sent_although_the_first_bytes_are_cut() {
    let input: String = (1..=COUNT).map(|n| format!("{n}\n")).collect();
    for end in [End::Fin, End::Reset] {
        for fate in first_bytes(end) {
            let server = Server::start();
            let proxy = Proxy::start(server.socket(), [fate]);
            Test::new(&server)
                .args(["send-batch", "orders", "--name", "n", "-u", &proxy.url()])
                .stdin(&input)
                .stderr_any()
                .run();
            assert_eq!(server.bodies("orders").join("\n") + "\n", input);
        }
    }
}

#[test]
fn a_server_that_was_never_there_is_not_waited_for() {
    let server = Server::start();
    server.kill9();
    let start = Instant::now();
    for args in [
        &["consume", "s"][..],
        &["consume", "s", "-g", "g"],
        &["send-batch", "s"],
    ] {
        Test::new(&server)
            .args(args)
            .args(["--reconnect-for", "60s"])
            .stdin("{\"name\":\"n\",\"body\":1}\n")
            .status(3)
            .stderr_has(["error: cannot connect"])
            .run();
    }
    assert!(start.elapsed() < Duration::from_secs(10), "{:?}", start.elapsed());
}

/// Three entries that another consumer holds, and one that nobody has.
fn held_by_another() -> Server {
    let server = orders(3);
    server.command(["XREADGROUP", "GROUP", GROUP, "gone", "STREAMS", "orders", ">"]);
    server.add_message("orders", "4-0", "n", "4");
    server
}

#[test]
fn what_was_claimed_in_a_lost_reply_is_printed_by_who_claimed_it() {
    for ack in ["manual", "success"] {
        let server = held_by_another();
        let is_lost = AtomicBool::new(true);
        let is_armed = Arc::new(AtomicBool::new(false));
        let armed = Arc::clone(&is_armed);
        let middleman = Middleman::start(&server, move |words| {
            let claims = is(words, "XCLAIM") || is(words, "XAUTOCLAIM") || is(words, "EVAL");
            match claims && armed.load(Ordering::SeqCst) && is_lost.swap(false, Ordering::SeqCst) {
                true => Verdict::Lose,
                false => Verdict::Pass,
            }
        });
        let mut consumer = consume(&server)
            .args(["--ack", ack, "--claim-idle", "1500ms", "--block", "50ms"])
            .args(["-n", "4", "--timeout", "12s", "-u", &middleman.url()])
            .spawn();
        // What is claimed later stands before what it has printed already.
        assert_eq!(super::id_of(&consumer.line()), "4-0");
        is_armed.store(true, Ordering::SeqCst);
        let aged = [
            "XCLAIM", "orders", GROUP, "gone", "0", "1-0", "2-0", "3-0", "IDLE", "600000", "JUSTID",
        ];
        server.command(aged);
        let output = consumer.wait();
        assert_eq!(output.status, 0, "{ack}: {}", output.stderr());
        assert_eq!(ids(&output), ["4-0", "1-0", "2-0", "3-0"], "{ack}");
    }
}
