//! Groups that vanish and entries that are gone while they are pending.

use super::{GROUP, assert_settled, consume, handle, orders, wait_settled};
use crate::harness::{Output, Running, Server, Signal, wait_until};

/// Ways in which a group vanishes, and whether its stream does, too.
const LOSSES: [(&[&str], bool); 3] = [
    (&["FLUSHALL"], true),
    (&["DEL", "orders"], true),
    (&["XGROUP", "DESTROY", "orders", GROUP], false),
];

/// A consumer that has dealt with the one message there is and waits for the next.
fn waiting(server: &Server, action: &str, handler: &[&str]) -> Running {
    let consumer = consume(server)
        .args(["--on-nogroup", action, "--block", "60s"])
        .args(handler)
        .spawn();
    wait_settled(server);
    server.wait_blocked();
    consumer
}

fn end(mut consumer: Running) -> Output {
    consumer.signal(Signal::TERM);
    let output = consumer.wait();
    assert_eq!(output.status, 143, "{}", output.stderr());
    output
}

#[test]
fn a_lost_group_ends_it() {
    for handler in [&[][..], &["--", "cat"]] {
        for (loss, _) in LOSSES {
            let server = orders(1);
            let mut consumer = waiting(&server, "fail", handler);
            server.cli(loss);
            let output = consumer.wait();
            assert_eq!(output.status, 1, "{loss:?} {}", output.stderr());
            assert!(output.stderr().contains("has no group"), "{loss:?} {}", output.stderr());
            assert!(output.stderr().contains("hint: create it"), "{}", output.stderr());
            assert_eq!(server.groups("orders"), []);
        }
    }
}

#[test]
fn a_lost_group_is_made_again_and_goes_on() {
    for handler in [&[][..], &["--", "cat"]] {
        for action in ["latest", "beginning"] {
            for (loss, stream_too) in LOSSES {
                let server = orders(1);
                let consumer = waiting(&server, action, handler);
                server.cli(loss);
                wait_until("the group", || !server.groups("orders").is_empty());
                server.wait_blocked();
                server.add_message("orders", "2-0", "n", "2");
                wait_settled(&server);
                let output = end(consumer);
                let expected: &[&str] = match (action, stream_too) {
                    ("beginning", false) => &["1-0", "1-0", "2-0"],
                    _ => &["1-0", "2-0"],
                };
                assert_eq!(super::ids(&output), expected, "{action} {loss:?}");
                assert_eq!(
                    output.stderr().matches("was missing: created from").count(),
                    1,
                    "{}",
                    output.stderr()
                );
                assert_settled(&server);
            }
        }
    }
}

#[test]
fn a_group_that_vanishes_in_the_middle_of_much_work() {
    let server = orders(20_000);
    let mut consumer = consume(&server)
        .args(["--on-nogroup", "beginning", "--count", "10"])
        .spawn();
    consumer.line();
    server.cli(["XGROUP", "DESTROY", "orders", GROUP]);
    wait_settled(&server);
    let output = end(consumer);
    super::assert_all(&super::ids(&output), 20_000);
    assert_settled(&server);
}

/// Ten entries pending under a consumer; 3-0 is deleted and 1-0 trimmed.
fn with_gone(consumer: &str) -> Server {
    let server = orders(10);
    server.cli(["XREADGROUP", "GROUP", GROUP, consumer, "STREAMS", "orders", ">"]);
    server.cli(["XDEL", "orders", "3-0"]);
    server.cli(["XTRIM", "orders", "MAXLEN", "8"]);
    assert_eq!(server.pending("orders", GROUP).len(), 10);
    server
}

#[test]
fn what_is_gone_is_acknowledged_and_reported_once() {
    for own in [false, true] {
        for handler in [&[][..], &["--jobs", "3", "--", "cat"]] {
            let server = with_gone(if own { "till-1" } else { "other" });
            let options: &[&str] = match own {
                true => &["-c", "till-1"],
                false => &["--claim-idle", "0ms"],
            };
            let output = consume(&server)
                .arg("-e")
                .args(options)
                .args(handler)
                .stdout_any()
                .stderr_any()
                .run();
            let mut printed = super::ids(&output);
            printed.sort_by_key(|id| id.trim_end_matches("-0").parse::<u32>().unwrap());
            assert_eq!(printed, ["2-0", "4-0", "5-0", "6-0", "7-0", "8-0", "9-0", "10-0"]);
            let stderr = output.stderr();
            for id in ["1-0", "3-0"] {
                let named = stderr.split([' ', ',', '\n', ':']).filter(|word| *word == id).count();
                assert_eq!(named, 1, "{id}: {stderr}");
            }
            assert_settled(&server);
        }
    }
}

#[test]
fn what_is_deleted_while_it_waits_for_its_retry_is_let_go() {
    let server = orders(1);
    let script = "redis-cli -s \"$SOCKET\" XDEL orders 1-0; exit 1";
    let consumer = handle(&server, "--retry-delay 300ms", script)
        .env("SOCKET", server.socket())
        .spawn();
    consumer.wait_stderr("deleted or trimmed");
    wait_until("it to be acknowledged", || server.pending("orders", GROUP).is_empty());
    end(consumer);
    assert_settled(&server);
}
