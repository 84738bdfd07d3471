//! Handlers that fail, misbehave, or take long.

use super::{
    GROUP, NOTE, assert_all, assert_once, assert_settled, consume, handle, handled, orders, runs, wait_settled,
};
use crate::harness::{Dice, Entry, Server, Test, wait_until};

fn field<'a>(entry: &'a Entry, name: &str) -> &'a str {
    let (_, value) = entry.fields.iter().find(|(n, _)| n == name.as_bytes()).unwrap();
    std::str::from_utf8(value).unwrap()
}

/// Whether the handler of message `n` fails at its delivery `d`: one in three does.
fn fails(n: u64, d: u64, seed: u64) -> bool {
    ((n * 2_654_435 + d * 40_503 * n + seed) / 128).is_multiple_of(3)
}

#[test]
fn each_message_is_handled_or_dead_once() {
    const COUNT: u64 = 200;
    let server = orders(COUNT as usize);
    let seed = Dice::new().seed() % 100_000;
    let script = format!(
        "n=${{REDIS_STREAMER_ID%-0}} d=$REDIS_STREAMER_DELIVERIES; \
         [ $(( (n * 2654435 + d * 40503 * n + {seed}) / 128 % 3 )) -ne 0 ] || exit 7; {NOTE}"
    );
    let options = "-e --jobs 8 --retry-delay 10ms --max-deliveries 3 --dead-letter orders:dead";
    let dead: Vec<u64> = (1..=COUNT).filter(|n| (1..=3).all(|d| fails(*n, d, seed))).collect();
    let output = handle(&server, options, &script)
        .status(i32::from(!dead.is_empty()))
        .stderr_any()
        .run();
    let buried = server.entries("orders:dead");
    let mut processed = handled(&server);
    for entry in &buried {
        let expected = format!(
            "stream orders, group {GROUP}, deliveries 3, reason exit status 7, name n, body {}",
            field(entry, "dead-id").trim_end_matches("-0")
        );
        let found = format!(
            "stream {}, group {}, deliveries {}, reason {}, name {}, body {}",
            field(entry, "dead-stream"),
            field(entry, "dead-group"),
            field(entry, "dead-deliveries"),
            field(entry, "dead-reason"),
            field(entry, "name"),
            field(entry, "body"),
        );
        assert_eq!(found, expected);
        processed.push(field(entry, "dead-id").to_owned());
    }
    assert_eq!(buried.len(), dead.len(), "FAULT_SEED={seed}");
    assert_once(&processed);
    assert_all(&processed, COUNT as usize);
    assert_settled(&server);
    assert!(output.stderr().contains("the handler failed: exit status 7; again in"));
}

#[test]
fn a_long_handler_is_not_run_twice() {
    let server = orders(4);
    let script = format!("{NOTE}; sleep 4.5");
    let options = "-e --jobs 2 --claim-idle 2s";
    let mut consumers = [
        handle(&server, options, &script).spawn(),
        handle(&server, options, &script).spawn(),
    ];
    for consumer in &mut consumers {
        let output = consumer.wait();
        assert_eq!((output.status, output.stderr().as_str()), (0, ""));
    }
    assert_once(&handled(&server));
    assert_all(&handled(&server), 4);
    assert_settled(&server);
}

#[test]
fn what_waits_for_its_retry_is_not_claimed_by_others() {
    let server = orders(1);
    let script = format!("[ $REDIS_STREAMER_DELIVERIES -eq 2 ] || exit 1; {NOTE}");
    let mut first = handle(&server, "-n 1 --retry-delay 6s --claim-idle 2s", &script).spawn();
    first.wait_stderr("again in");
    let mut second = handle(&server, "--claim-idle 2s --block 50ms", "echo stolen >> handled").spawn();
    assert_eq!(first.wait().status, 0);
    second.signal(crate::harness::Signal::TERM);
    assert_eq!(second.wait().status, 143);
    assert_eq!(handled(&server), ["1-0"]);
    assert_settled(&server);
}

/// `orders` with one message of a megabyte, more than any pipe holds.
fn large() -> Server {
    let server = orders(0);
    server.add_message("orders", "1-0", "n", &format!("\"{}\"", "x".repeat(1_000_000)));
    server
}

#[test]
fn a_handler_may_leave_its_stdin_unread() {
    for script in [
        NOTE.to_owned(),
        format!("exec <&- >&- 2>&-; {NOTE}"),
        format!("head -c 10 >/dev/null; {NOTE}"),
    ] {
        let server = large();
        handle(&server, "-e", &script).run();
        assert_eq!(handled(&server), ["1-0"]);
        assert_settled(&server);
    }
}

#[test]
fn a_handler_gets_the_whole_line() {
    let server = large();
    handle(&server, "-e", "wc -c > handled").run();
    let line = "{\"stream\":\"orders\",\"id\":\"1-0\",\"name\":\"n\",\"body\":\"\"}\n".len() + 1_000_000;
    assert_eq!(handled(&server), [line.to_string()]);
}

#[test]
fn a_handler_may_flood_stdout() {
    let server = orders(3);
    let output = handle(&server, "-e --jobs 3", &format!("yes | head -n 500000; {NOTE}"))
        .stdout_any()
        .run();
    assert_eq!(output.stdout.len(), 3 * 1_000_000);
    assert_once(&handled(&server));
    assert_all(&handled(&server), 3);
    assert_settled(&server);
}

#[test]
fn children_that_outlive_their_handler_hold_nobody_up() {
    let server = large();
    // The child keeps the pipe of stdin, unread.
    let script = format!("exec 3<&0; sleep 60 <&3 >/dev/null 2>&1 & echo $! > child; {NOTE}");
    handle(&server, "-e", &script).run();
    let child = server.read("child");
    assert!(runs(&child));
    crate::harness::kill(child.trim());
    assert_eq!(handled(&server), ["1-0"]);
    assert_settled(&server);
}

#[test]
fn a_handler_that_cannot_be_started_ends_it_and_loses_nothing() {
    for (name, mode) in [
        ("absent", None),
        ("not-executable", Some("#!/bin/sh\n")),
        ("no-program", Some("\0\0")),
        ("no-interpreter", Some("#!/absent/sh\n")),
    ] {
        let server = orders(5);
        if let Some(contents) = mode {
            let path = server.file(name, contents);
            if name.starts_with("no-") {
                use std::os::unix::fs::PermissionsExt;
                std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).unwrap();
            }
        }
        consume(&server)
            .args(["-e", "--jobs", "3", "--", &format!("./{name}")])
            .status(1)
            .stderr_has(["error: cannot run the handler", name])
            .run();
        // At once, although --claim-idle is five minutes.
        handle(&server, "-e", NOTE).run();
        assert_once(&handled(&server));
        assert_all(&handled(&server), 5);
        assert_settled(&server);
    }
}

#[test]
fn a_handler_killed_by_a_signal_has_failed() {
    let server = orders(1);
    let options = "-e --retry-delay 1ms --max-deliveries 2 --dead-letter orders:dead";
    handle(&server, options, &format!("{NOTE}; kill -9 $$"))
        .status(1)
        .stderr_has(["killed by signal 9", "1 message failed"])
        .run();
    assert_eq!(handled(&server).len(), 2);
    let dead = server.entries("orders:dead");
    assert_eq!(dead.len(), 1);
    assert_eq!(field(&dead[0], "dead-reason"), "killed by signal 9");
    assert_eq!(field(&dead[0], "dead-deliveries"), "2");
    assert_settled(&server);
}

#[test]
fn a_handler_that_overruns_its_time_is_ended_with_its_group() {
    let server = orders(1);
    let options = "-e --handler-timeout 2s --max-deliveries 1 --dead-letter orders:dead";
    // The child shrugs TERM off: it is killed once the handler itself is gone.
    let script = "sh -c 'trap \"\" TERM; echo $$ > child; exec sleep 60' & echo $$ > parent; wait";
    handle(&server, options, script)
        .status(1)
        .stderr_has(["it ran for more than 2s"])
        .run();
    for name in ["parent", "child"] {
        let pid = server.read(name);
        wait_until("the handler's processes to be gone", || !runs(&pid));
    }
    let dead = server.entries("orders:dead");
    assert_eq!(dead.len(), 1);
    assert!(field(&dead[0], "dead-reason").contains("it ran for more than 2s"));
    assert_settled(&server);
}

#[test]
fn what_a_crash_leaves_behind_too_often_is_dead() {
    let server = orders(1);
    let options = "--max-deliveries 2 --dead-letter orders:dead --claim-idle 1ms";
    for _ in 0..2 {
        let mut consumer = handle(&server, options, &format!("echo $$ > pid; {NOTE}; sleep 60")).spawn();
        let before = handled(&server).len();
        wait_until("the handler to run", || handled(&server).len() > before);
        consumer.kill9_alone();
        crate::harness::kill(server.read("pid").trim());
        drop(consumer);
    }
    handle(&server, &format!("-e {options}"), NOTE)
        .status(1)
        .stderr_any()
        .run();
    assert_eq!(handled(&server).len(), 2);
    let dead = server.entries("orders:dead");
    assert_eq!(field(&dead[0], "dead-deliveries"), "2");
    assert!(field(&dead[0], "dead-reason").contains("never finished"));
    assert_settled(&server);
}

#[test]
fn killed_consumers_have_their_messages_handled_by_others() {
    const COUNT: usize = 150;
    let server = orders(COUNT);
    let mut dice = Dice::new();
    let options = "--jobs 4 --claim-idle 100ms --block 50ms";
    let mut consumers: Vec<_> = (0..2).map(|_| handle(&server, options, NOTE).spawn()).collect();
    for _ in 0..6 {
        let goal = (handled(&server).len() + dice.between(1, 20)).min(COUNT);
        wait_until("some to be handled", || handled(&server).len() >= goal);
        let which = dice.between(0, consumers.len());
        consumers[which].kill9_alone();
        consumers[which] = handle(&server, options, NOTE).spawn();
    }
    wait_settled(&server);
    for mut consumer in consumers {
        consumer.signal(crate::harness::Signal::INT);
        assert_eq!(consumer.wait().status, 130);
    }
    assert_all(&handled(&server), COUNT);
    assert_settled(&server);
}

#[test]
fn dedup_handles_again_what_failed_but_not_what_is_done() {
    let server = orders(20);
    let script = format!("[ $(( ${{REDIS_STREAMER_ID%-0}} % 4 )) -ne 0 ] || [ -e mended ] || exit 1; {NOTE}");
    let mut first = handle(&server, "--dedup --retry-delay 1h --jobs 4", &script).spawn();
    wait_until("the good ones", || handled(&server).len() == 15);
    wait_until("the bad ones", || {
        first.stderr_so_far().matches("again in").count() == 5
    });
    first.signal(crate::harness::Signal::TERM);
    assert_eq!(first.wait().status, 143);
    server.file("mended", "");
    handle(&server, "-e --dedup", &script).run();
    assert_once(&handled(&server));
    assert_all(&handled(&server), 20);
    assert_settled(&server);
}

#[test]
fn jobs_that_are_not_needed_cost_nothing() {
    let server = orders(3);
    handle(&server, "-e --jobs 1000000", NOTE).run();
    assert_all(&handled(&server), 3);
    assert_settled(&server);
}

#[test]
fn one_streams_dead_letters_do_not_end_the_others() {
    let server = Server::start();
    for (stream, count) in [("orders", 2), ("returns", 20)] {
        server.add_numbered(stream, count);
        server.cli(["XGROUP", "CREATE", stream, &format!("{stream}:billing:cg"), "0"]);
    }
    Test::new(&server)
        .args(["consume", "orders", "returns", "-l", "billing", "-e"])
        .args(["--max-deliveries", "1", "--dead-letter", "dead"])
        .args(["--", "sh", "-c", "sleep 0.01; test $REDIS_STREAMER_STREAM = returns"])
        .status(1)
        .stderr_has(["2 messages failed; moved to dead"])
        .run();
    assert_eq!(server.entries("dead").len(), 2);
    assert_eq!(server.groups("returns")[0].1, "20-0");
    assert_eq!(server.pending("returns", "returns:billing:cg"), Vec::<String>::new());
}

#[test]
fn a_read_that_waits_keeps_no_retry_waiting() {
    let server = orders(2);
    let script = format!("[ $REDIS_STREAMER_DELIVERIES -gt 1 ] || exit 1; {NOTE}");
    handle(&server, "-n 3 --block 600s --timeout 3s --retry-delay 50ms", &script)
        .status(4)
        .stderr_has(["timed out after 3s: got 2 of 3 messages"])
        .run();
    assert_all(&handled(&server), 2);
    assert_settled(&server);
}

#[test]
fn the_last_handler_may_take_longer_than_the_timeout() {
    let server = orders(1);
    handle(&server, "-n 1 --timeout 2s", &format!("sleep 3; {NOTE}")).run();
    assert_settled(&server);
}

#[test]
fn what_fails_until_the_timeout_is_not_done() {
    let server = orders(1);
    handle(&server, "-n 1 --timeout 2s --retry-delay 10s", "exit 1")
        .status(4)
        .stderr_has(["timed out after 2s: got 0 of 1 messages; 1 had failed, and waited to be tried again"])
        .run();
    assert_eq!(server.pending("orders", GROUP), ["1-0"]);
}
