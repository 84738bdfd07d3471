//! How a consumer ends: what it holds is finished or handed back, and its name is gone.

use super::{GROUP, assert_all, assert_once, assert_settled, consume, consumers, handle, handled, ids, orders, runs};
use crate::harness::{Server, Signal, Test, wait_until};
use std::time::{Duration, Instant};

const SIGNALS: [(Signal, i32); 2] = [(Signal::INT, 130), (Signal::TERM, 143)];

/// What a pipe of short lines holds on Linux, less what one page may waste.
pub const FULL: u64 = 65_536 - 4096;

/// Long enough for any machine, short enough to tell that nothing was waited for.
const AT_ONCE: Duration = Duration::from_secs(2);

#[test]
fn a_signal_ends_waiting_handlers_at_once() {
    let server = orders(0);
    for (signal, status) in SIGNALS {
        let mut consumer = handle(&server, "--block 60s --jobs 4", "true").spawn();
        server.wait_blocked();
        let start = Instant::now();
        consumer.signal(signal);
        let output = consumer.wait();
        assert!(start.elapsed() < AT_ONCE, "{:?}", start.elapsed());
        assert_eq!((output.status, output.stderr().as_str()), (status, ""));
        assert_eq!(consumers(&server), Vec::<String>::new());
    }
}

/// Runs until the file `go` is there.
const WAIT_FOR_GO: &str = "echo $REDIS_STREAMER_ID >> started; while ! [ -e go ]; do sleep 0.01; done; \
     echo $REDIS_STREAMER_ID >> handled";

#[test]
fn handlers_at_work_finish_and_are_acknowledged() {
    for (signal, status) in SIGNALS {
        let server = orders(10);
        let mut consumer = handle(&server, "--jobs 3", WAIT_FOR_GO).spawn();
        wait_until("three handlers", || server.lines("started").len() == 3);
        consumer.signal(signal);
        const SAID: &str = "finishing 3 messages; again to end at once\n";
        consumer.wait_stderr(SAID);
        server.file("go", "");
        let output = consumer.wait();
        assert_eq!((output.status, output.stderr().as_str()), (status, SAID));
        let done = handled(&server);
        assert_once(&done);
        assert!(done.len() >= 3, "{done:?}");
        assert_eq!(done.len(), server.lines("started").len());
        assert_eq!(server.pending("orders", GROUP), Vec::<String>::new());
        assert_eq!(consumers(&server), Vec::<String>::new());
        handle(&server, "-e", WAIT_FOR_GO).run();
        assert_once(&handled(&server));
        assert_all(&handled(&server), 10);
        assert_settled(&server);
    }
}

#[test]
fn what_waits_for_its_retry_is_handed_back() {
    let server = orders(3);
    let mut consumer = handle(&server, "--jobs 3 --retry-delay 1h", "exit 1").spawn();
    wait_until("three failures", || {
        consumer.stderr_so_far().matches("the handler failed").count() == 3
    });
    consumer.signal(Signal::TERM);
    assert_eq!(consumer.wait().status, 143);
    assert_eq!(server.pending("orders", GROUP).len(), 3);
    assert_eq!(consumers(&server), Vec::<String>::new());
    // The next gets them at once, although its --claim-idle is five minutes, and knows of the first try.
    let output = consume(&server).args(["-e", "--claim-idle", "5m"]).stdout_any().run();
    assert_eq!(ids(&output), ["1-0", "2-0", "3-0"]);
    assert_eq!(output.stdout().matches("\"deliveries\":2").count(), 3);
    assert_settled(&server);
}

#[test]
fn the_second_signal_ends_handlers_too() {
    for (signal, status) in SIGNALS {
        let server = orders(2);
        let script = "echo $$ >> started; exec sleep 60";
        let mut consumer = handle(&server, "--jobs 2", script).spawn();
        wait_until("two handlers", || server.lines("started").len() == 2);
        consumer.signal(signal);
        let start = Instant::now();
        // The second one counts only once the first was heard.
        wait_until("its end", || {
            consumer.signal(signal);
            !runs(&consumer.pid().to_string())
        });
        assert_eq!(consumer.wait().status, status);
        assert!(start.elapsed() < AT_ONCE, "{:?}", start.elapsed());
        for pid in server.lines("started") {
            wait_until("the handlers to be gone", || !runs(&pid));
        }
        // Nothing was acknowledged: it is all there for others.
        let output = consume(&server).args(["-e", "--claim-idle", "1ms"]).stdout_any().run();
        assert_eq!(ids(&output), ["1-0", "2-0"]);
        assert_settled(&server);
    }
}

#[test]
fn a_signal_while_the_pipe_is_full_loses_nothing() {
    const COUNT: usize = 20_000;
    for (signal, status) in SIGNALS {
        let server = orders(COUNT);
        let mut consumer = consume(&server).spawn_unread(FULL);
        consumer.signal(signal);
        let output = consumer.wait();
        assert_eq!((output.status, output.stderr().as_str()), (status, ""));
        let mut printed = ids(&output);
        assert!(printed.len() < COUNT);
        assert_eq!(consumers(&server), Vec::<String>::new());
        let rest = consume(&server).args(["-e", "--claim-idle", "5m"]).stdout_any().run();
        printed.extend(ids(&rest));
        assert_once(&printed);
        assert_all(&printed, COUNT);
        assert_settled(&server);
    }
}

#[test]
fn what_others_processed_stays_in_the_ledger_when_the_pipe_is_full() {
    const COUNT: usize = 5000;
    // Among them is what the reads in flight bring.
    const THEIRS: usize = 3500;
    let server = orders(COUNT);
    let ledger = format!("stream:orders:group:{GROUP}:processed");
    let script = "for i = ARGV[1], ARGV[2] do redis.call('ZADD', KEYS[1], 4102444800000, i .. '-0') end";
    let (first, last) = ((COUNT - THEIRS + 1).to_string(), COUNT.to_string());
    server.command(["EVAL", script, "1", &ledger, &first, &last]);
    let mut consumer = consume(&server).arg("--dedup").spawn_unread(FULL);
    consumer.signal(Signal::TERM);
    let mut printed = ids(&consumer.wait());
    let theirs = server.cli(["ZCOUNT", &ledger, "4102444800000", "4102444800000"]);
    assert_eq!(theirs, THEIRS.to_string());
    let rest = consume(&server).args(["--dedup", "-e"]).stdout_any().run();
    printed.extend(ids(&rest));
    assert_once(&printed);
    assert_all(&printed, COUNT - THEIRS);
    assert_settled(&server);
}

#[test]
fn a_line_that_a_full_pipe_tears_is_handed_back() {
    let server = orders(0);
    let input: String = (1..=50)
        .map(|n| format!("{{\"n\":{n},\"pad\":\"{}\"}}\n", "x".repeat(10_000)))
        .collect();
    let send = Test::new(&server).args(["send-batch", "orders", "--name", "large"]);
    send.stdin(input).stderr_any().run();
    // A line takes three pages and a pipe has sixteen: five lines fit, and a page of the next.
    let mut consumer = consume(&server).args(["--count", "50"]).spawn_unread(54_000);
    consumer.signal(Signal::TERM);
    let output = consumer.wait();
    // Whole lines are done, although others of their reply are not; the torn one is not.
    assert!(!output.stdout().ends_with('\n'));
    let mut printed = ids(&output);
    let rest = consume(&server).args(["-e", "--claim-idle", "5m"]).stdout_any().run();
    printed.extend(ids(&rest));
    assert_once(&printed);
    assert_eq!(printed.len(), 50);
    assert_settled(&server);
}

#[test]
fn a_signal_ends_a_plain_read_whose_pipe_is_full() {
    let server = orders(20_000);
    let plain = Test::new(&server).args(["consume", "orders", "--from", "beginning"]);
    let mut reader = plain.spawn_unread(FULL);
    reader.signal(Signal::TERM);
    assert_eq!(reader.wait().status, 143);
}

#[test]
fn what_was_read_at_most_once_is_printed_when_the_time_is_up() {
    const COUNT: usize = 100_000;
    let server = Server::start();
    server.add_numbered("orders", COUNT);
    server.cli(["XGROUP", "CREATE", "orders", super::GROUP, "0"]);
    let output = consume(&server)
        .args(["--ack", "read", "-n", "200000", "--timeout", "40ms"])
        .status(4)
        .stdout_any()
        .stderr_any()
        .run();
    let rest = consume(&server).args(["--ack", "read", "-e"]).stdout_any().run();
    let printed = [ids(&output), ids(&rest)].concat();
    assert_once(&printed);
    assert_all(&printed, COUNT);
}

#[test]
fn the_second_signal_ends_a_consumer_whose_pipe_is_full() {
    let server = orders(20_000);
    let mut consumer = consume(&server).spawn_unread(FULL);
    wait_until("its end", || consumer.signal(Signal::TERM));
    assert_eq!(consumer.wait().status, 128 + 15);
}

#[test]
fn what_n_leaves_is_for_others_at_once() {
    let server = orders(500);
    let first = consume(&server).args(["-n", "7", "--count", "100"]).stdout_any().run();
    assert_eq!(consumers(&server), Vec::<String>::new());
    let rest = consume(&server).args(["-e", "--claim-idle", "5m"]).stdout_any().run();
    let printed = [ids(&first), ids(&rest)].concat();
    assert_eq!(ids(&first).len(), 7);
    assert!(
        !rest.stdout().contains("deliveries"),
        "a hand-back counts as no delivery"
    );
    assert_once(&printed);
    assert_all(&printed, 500);
    assert_settled(&server);
}

#[test]
fn what_is_tried_again_counts_towards_n_of_all_streams() {
    let server = Server::start();
    for stream in ["orders", "returns"] {
        server.add_message(stream, "1-0", "n", "1");
        server.cli(["XGROUP", "CREATE", stream, &format!("{stream}:billing:cg"), "0"]);
    }
    // The message of one stream fails once; meanwhile the other's is done, and makes up the number.
    let script = "case $REDIS_STREAMER_STREAM-$REDIS_STREAMER_DELIVERIES in
        orders-1) touch failed; exit 1;;
        returns-*) until [ -e failed ]; do sleep 0.01; done;;
        esac; echo $REDIS_STREAMER_STREAM >> handled";
    Test::new(&server)
        .args([
            "consume", "orders", "returns", "-l", "billing", "-n", "2", "--jobs", "2",
        ])
        .args(["--retry-delay", "500ms", "--", "sh", "-c", script])
        .stderr_has(["orders 1-0: the handler failed"])
        .run();
    assert_eq!(server.read("handled"), "returns\norders\n");
    assert_eq!(server.pending("orders", "orders:billing:cg"), Vec::<String>::new());
}

#[test]
fn head_ends_what_is_read_at_most_once_quietly() {
    let server = orders(2000);
    let script = "redis-streamer consume orders -l billing --ack read | head -1";
    Test::shell(&server, script)
        .stdout("{\"stream\":\"orders\",\"id\":\"1-0\",\"name\":\"n\",\"body\":1}\n")
        .run();
}
