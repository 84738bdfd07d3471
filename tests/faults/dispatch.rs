//! Which messages get a handler, how many at a time, and how often.

use super::{GROUP, NOTE, assert_all, assert_once, assert_settled, consume, handle, handled, ids, orders};
use crate::harness::{Server, Signal, Test, wait_until};
use crate::middleman::{Middleman, Verdict, has};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// Long enough for any machine; with a pause after every twenty entries it would take over a minute.
const WELL_UNDER_A_MINUTE: Duration = Duration::from_secs(10);
const PASSED_OVER: usize = 2000;

/// `orders` with so many entries that are passed over, and one behind them that is not.
fn with_one_behind() -> (Server, String) {
    let server = orders(PASSED_OVER);
    let last = format!("{}-0", PASSED_OVER + 1);
    server.add_message("orders", &last, "wanted", "0");
    (server, last)
}

#[test]
fn handlers_pass_over_what_does_not_match_quickly() {
    let (server, last) = with_one_behind();
    let start = Instant::now();
    handle(&server, "-e --match wanted", NOTE)
        .stderr("passed over and acknowledged 2,000 messages\n")
        .run();
    assert!(start.elapsed() < WELL_UNDER_A_MINUTE, "{:?}", start.elapsed());
    assert_eq!(handled(&server), [last]);
    assert_settled(&server);
}

#[test]
fn handlers_pass_over_what_was_processed_quickly() {
    let (server, last) = with_one_behind();
    let script = "for i = 1, ARGV[1] do redis.call('ZADD', KEYS[1], 4102444800000, i .. '-0') end";
    let ledger = format!("stream:orders:group:{GROUP}:processed");
    server.command(["EVAL", script, "1", &ledger, &PASSED_OVER.to_string()]);
    let start = Instant::now();
    handle(&server, "-e --dedup", NOTE).run();
    assert!(start.elapsed() < WELL_UNDER_A_MINUTE, "{:?}", start.elapsed());
    assert_eq!(handled(&server), [last]);
    assert_settled(&server);
}

#[test]
fn one_job_is_one_handler_for_two_streams_of_a_group() {
    let server = Server::start();
    for stream in ["orders", "returns"] {
        server.cli(["XGROUP", "CREATE", stream, "audit", "0", "MKSTREAM"]);
    }
    // Both streams have something to give just as it begins to wait for either.
    let fill = "for i = 1, 5 do for _, key in ipairs(KEYS) do \
         redis.call('XADD', key, i .. '-0', 'name', 'n', 'body', tostring(i)) end end";
    let (other, is_filled) = (server.client(), AtomicBool::new(false));
    let middleman = Middleman::start(&server, move |words| {
        if has(words, "BLOCK") && !is_filled.swap(true, Ordering::SeqCst) {
            other.command(["EVAL", fill, "2", "orders", "returns"]);
        }
        Verdict::Pass
    });
    // Only one directory of a name can be made at a time.
    let script = "mkdir running || echo both >> both; sleep 0.02; rmdir running; echo 1 >> handled";
    let mut consumer = Test::new(&server)
        .args([
            "consume",
            "orders",
            "returns",
            "-g",
            "audit",
            "--jobs",
            "1",
            "-u",
            &middleman.url(),
        ])
        .args(["--", "sh", "-c", script])
        .spawn();
    wait_until("all to be handled", || handled(&server).len() == 10);
    consumer.signal(Signal::TERM);
    assert_eq!(consumer.wait().status, 143);
    assert!(!server.work().join("both").exists(), "two handlers at once");
}

#[test]
fn a_handler_that_always_fails_gets_one_try_of_each_message() {
    let server = orders(3);
    let mut consumer = handle(&server, "-e --retry-delay 100ms", &format!("{NOTE}; exit 7")).spawn();
    let output = consumer.wait();
    assert_eq!(output.status, 1, "{}", output.stderr());
    assert!(output.stderr().contains("error: "), "{}", output.stderr());
    assert_once(&handled(&server));
    assert_all(&handled(&server), 3);
    assert_eq!(server.pending("orders", GROUP).len(), 3);
    // They were handed back with their count: the next run gets each at once.
    let rest = consume(&server).arg("-e").stdout_any().run();
    assert_eq!(ids(&rest), ["1-0", "2-0", "3-0"]);
    assert_eq!(rest.stdout().matches("\"deliveries\":2").count(), 3);
    assert_settled(&server);
}

#[test]
fn one_try_of_this_run_whatever_the_runs_before_did() {
    let server = orders(2);
    for _ in 0..3 {
        handle(&server, "-e", &format!("{NOTE}; exit 7"))
            .status(1)
            .stderr_any()
            .run();
    }
    assert_eq!(handled(&server).len(), 6);
    handle(&server, "-e", "echo $REDIS_STREAMER_DELIVERIES")
        .stdout("4\n4\n")
        .run();
    assert_settled(&server);
}

#[test]
fn what_fails_takes_no_other_message_with_it() {
    let server = orders(20);
    let script = format!("{NOTE}; test $REDIS_STREAMER_ID != 3-0");
    handle(&server, "-e --jobs 2", &script).status(1).stderr_any().run();
    assert_once(&handled(&server));
    assert_all(&handled(&server), 20);
    assert_eq!(server.pending("orders", GROUP), ["3-0"]);
}

#[test]
fn what_is_read_at_most_once_is_handled_although_it_comes_during_the_end() {
    let server = orders(1);
    // The reply to a read that waits comes when the signal has been heard, and the handler at work has ended.
    let middleman = Middleman::start(&server, |words| match has(words, "BLOCK") {
        true => Verdict::Late(Duration::from_millis(500)),
        false => Verdict::Pass,
    });
    let options = format!("--ack read --block 60s --jobs 5 -u {}", middleman.url());
    let script = format!("[ $REDIS_STREAMER_ID != 1-0 ] || until [ -e go ]; do sleep 0.01; done; {NOTE}");
    let mut consumer = handle(&server, &options, &script).spawn();
    server.wait_blocked();
    server.command(["XADD", "orders", "2-0", "name", "n", "body", "2"]);
    wait_until("it to be given out", || server.groups("orders")[0].1 == "2-0");
    consumer.signal(Signal::TERM);
    server.file("go", "");
    let output = consumer.wait();
    assert_eq!(output.status, 143, "{}", output.stderr());
    // What it was given is pending nowhere: nobody else will ever get it.
    assert_eq!(server.pending("orders", GROUP), [""; 0]);
    assert_once(&handled(&server));
    assert_all(&handled(&server), 2);
}
