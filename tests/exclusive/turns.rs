//! One stream: who reads it, who waits, and what whoever takes over does first.

use super::{GROUP, LEASE, MEMBERS, alone, assert_no_trace, grouped, noting, take, wait_settled};
use crate::harness::{Server, Signal, wait_until};

/// Delivers entries to somebody, who then leaves them behind.
fn deliver(server: &Server, consumer: &str, count: &str) {
    let read = [
        "XREADGROUP",
        "GROUP",
        GROUP,
        consumer,
        "COUNT",
        count,
        "STREAMS",
        "s",
        ">",
    ];
    server.cli(read);
}

#[test]
fn one_reads_and_the_other_takes_over_at_once_after_a_good_end() {
    let server = grouped(3);
    let mut first = alone(&server).spawn();
    assert_eq!(take(&mut first, 3), [1, 2, 3]);
    let mut second = alone(&server).spawn();
    second.wait_stderr("waiting for its turn to end");
    assert_eq!(server.cli(["HLEN", MEMBERS]), "2");
    server.add_message("s", "4-0", "n", "4");
    assert_eq!(take(&mut first, 1), [4]);
    first.signal(Signal::TERM);
    assert_eq!(first.wait().status, 143);
    server.add_message("s", "5-0", "n", "5");
    assert_eq!(take(&mut second, 1), [5]);
    assert!(second.stderr_so_far().contains("reading s alone of group s:billing:cg"));
    second.signal(Signal::TERM);
    let output = second.wait();
    assert_eq!((output.status, output.stdout().lines().count()), (143, 1));
    assert!(server.is_settled("s", GROUP));
    assert_no_trace(&server);
    assert_eq!(server.consumers("s", GROUP), Vec::<String>::new());
}

#[test]
fn the_lease_of_a_killed_process_expires() {
    let server = grouped(2);
    let mut first = alone(&server).spawn();
    assert_eq!(take(&mut first, 2), [1, 2]);
    let mut second = alone(&server).spawn();
    second.wait_stderr("waiting for its turn");
    first.kill9();
    server.add_message("s", "3-0", "n", "3");
    assert_eq!(take(&mut second, 1), [3]);
    wait_until("the dead to be forgotten", || server.cli(["HLEN", MEMBERS]) == "1");
}

#[test]
fn what_is_pending_is_done_first_and_in_order_whoever_has_it() {
    for handler in [&[][..], &["--", "cat"]] {
        let server = grouped(9);
        // Delivered once or twice, idle for no time or handed back: it makes no difference to the order.
        deliver(&server, "dead-1", "2");
        deliver(&server, "dead-2", "2");
        deliver(&server, "dead-1", "2");
        server.cli(["XCLAIM", "s", GROUP, "dead-2", "0", "1-0"]);
        let hand_back = ["XCLAIM", "s", GROUP, "handed-back", "0", "3-0", "TIME", "0", "JUSTID"];
        server.cli(hand_back);
        let output = alone(&server).arg("-e").args(handler).stdout_any().stderr_any().run();
        let numbers: Vec<_> = output.stdout().lines().map(super::number).collect();
        assert_eq!(numbers, (1..=9).collect::<Vec<_>>(), "{handler:?}");
        assert!(
            output.stdout().lines().next().unwrap().contains("\"deliveries\":3"),
            "{}",
            output.stdout()
        );
        assert!(server.is_settled("s", GROUP));
        assert_no_trace(&server);
    }
}

#[test]
fn a_message_that_fails_holds_back_those_behind_it() {
    let server = grouped(5);
    let script = "[ $REDIS_STREAMER_ID != 2-0 ] || [ $REDIS_STREAMER_DELIVERIES -gt 3 ]";
    noting(&server, "-n 5 --jobs 8 --retry-delay 10ms", script)
        .stderr_any()
        .run();
    let log = server.lines("log");
    assert_eq!(
        log,
        ["1-0 1", "2-0 1", "2-0 2", "2-0 3", "2-0 4", "3-0 1", "4-0 1", "5-0 1"]
    );
    wait_settled(&server);
}

#[test]
fn workers_and_batches_keep_the_order_too() {
    let worker = r#"while read -r line; do
        echo "$line" >> log
        case $line in *'"id":"2-0"'*) if [ ! -e once ]; then touch once; echo later 50ms; continue; fi ;; esac
        echo ok
    done"#;
    let batch = r#"cat > in; cat in >> log
        if grep -q '"id":"2-0"' in && [ ! -e once ]; then touch once; exit 1; fi"#;
    for (options, script, expected) in [
        ("-n 6 --worker --in-flight 4", worker, "1 2 2 3 4 5 6"),
        ("-n 6 --retry-delay 10ms --batch 4", batch, "1 2 3 4 1 2 3 4 5 6"),
    ] {
        let server = grouped(6);
        let run = alone(&server).args(options.split(' '));
        run.args(["--", "bash", "-c", script]).stderr_any().run();
        let log: Vec<_> = server
            .lines("log")
            .iter()
            .map(|line| super::number(line).to_string())
            .collect();
        assert_eq!(log.join(" "), expected, "{options}");
        assert!(server.is_settled("s", GROUP));
        assert_no_trace(&server);
    }
}

#[test]
fn a_dead_letter_lets_those_behind_it_pass() {
    let server = grouped(3);
    let options = "-e --retry-delay 10ms --max-deliveries 2 --dead-letter dead";
    let run = noting(&server, options, "[ $REDIS_STREAMER_ID != 2-0 ]");
    run.status(1).stderr_any().run();
    assert_eq!(server.lines("log"), ["1-0 1", "2-0 1", "2-0 2", "3-0 1"]);
    assert_eq!(server.values("dead", &["dead-id"]), ["2-0"]);
    assert!(server.is_settled("s", GROUP));
}

#[test]
fn a_message_with_one_try_ends_its_stream() {
    let server = grouped(3);
    let run = noting(&server, "-e", "[ $REDIS_STREAMER_ID != 2-0 ]");
    run.status(1).stderr_has(["1 message failed"]).run();
    assert_eq!(server.lines("log"), ["1-0 1", "2-0 1"]);
    assert_eq!(server.pending("s", GROUP), ["2-0"]);
    noting(&server, "-e", "true").stderr_any().run();
    assert_eq!(server.lines("log")[2..], ["2-0 2", "3-0 1"]);
    assert_no_trace(&server);
}

#[test]
fn what_is_in_hand_is_finished_before_another_gets_the_stream() {
    let server = grouped(3);
    let script = "while [ ! -e go ]; do sleep 0.01; done; echo done >> log";
    let mut first = noting(&server, "", script).spawn();
    wait_until("a handler", || server.lines("log").len() == 1);
    let mut second = noting(&server, "-n 2", script).spawn();
    second.wait_stderr("waiting for its turn");
    first.signal(Signal::TERM);
    // The lease is kept for as long as that takes, longer than it would last.
    let (holder, looks) = (server.cli(["GET", LEASE]), server.calls("hgetall"));
    wait_until("the lease to be renewed", || server.calls("hgetall") > looks + 60);
    assert_eq!(server.cli(["GET", LEASE]), holder);
    server.file("go", "");
    assert_eq!(first.wait().status, 143);
    assert_eq!(second.wait().status, 0);
    assert_eq!(server.lines("log"), ["1-0 1", "done", "2-0 1", "done", "3-0 1", "done"]);
}

#[test]
fn one_that_waits_ends_as_asked() {
    let server = grouped(1);
    server.cli(["SET", LEASE, "somebody 1"]);
    let mut waiting = alone(&server).spawn();
    waiting.wait_stderr("somebody reads s of group");
    waiting.signal(Signal::INT);
    assert_eq!(waiting.wait().status, 130);
    let in_vain = alone(&server).args(["-n", "1", "--timeout", "300ms"]);
    in_vain.status(4).stderr_has(["got 0 of 1 messages"]).run();
    assert_eq!(server.cli(["GET", LEASE]), "somebody 1");
    assert_eq!(server.cli(["EXISTS", MEMBERS]), "0");
}

#[test]
fn all_that_was_there_may_be_done_by_others() {
    let server = grouped(2);
    server.cli(["SET", LEASE, "somebody 1"]);
    deliver(&server, "somebody", "2");
    let mut ends = alone(&server).arg("-e").spawn();
    ends.wait_stderr("somebody reads s of group");
    server.cli(["XACK", "s", GROUP, "1-0"]);
    assert!(!ends.has_ended());
    server.cli(["XACK", "s", GROUP, "2-0"]);
    let output = ends.wait();
    assert_eq!((output.status, &*output.stdout()), (0, ""));
    assert_eq!(server.cli(["GET", LEASE]), "somebody 1");
}

#[test]
fn an_answer_about_a_lease_may_be_lost() {
    use crate::middleman::{Middleman, Verdict, has};
    use std::sync::atomic::{AtomicUsize, Ordering};
    let server = grouped(3);
    let lost = AtomicUsize::new(0);
    let middleman = Middleman::start(&server, move |words| {
        match has(words, "SET") && lost.fetch_add(1, Ordering::SeqCst) == 0 {
            true => Verdict::Lose,
            false => Verdict::Pass,
        }
    });
    let run = alone(&server).args(["-e", "-u", &middleman.url()]);
    let output = run.stdout_any().stderr_any().run();
    assert_eq!(output.stdout().lines().count(), 3);
    assert_no_trace(&server);
}
