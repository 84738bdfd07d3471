//! Conditions that are not met, groups that are missing, options that do not go together.

use super::{GROUP, group, grouped, lines, plain};
use crate::harness::{Server, Test, entry};
use std::time::{Duration, Instant};

#[test]
fn timeout_fails_if_max_was_not_reached() {
    let server = grouped(1);
    let start = Instant::now();
    group(&server)
        .args(["-n", "2", "--timeout", "2s"])
        .status(4)
        .stdout(lines([1]))
        .stderr_has(["error: "])
        .run();
    assert!(start.elapsed() >= Duration::from_secs(2));
    assert!(server.pending("s", GROUP).is_empty());
    assert!(server.consumers("s", GROUP).is_empty());
}

#[test]
fn timeout_of_a_plain_read() {
    let server = Server::start();
    plain(&server)
        .args(["-n", "1", "--timeout", "100ms"])
        .status(4)
        .stderr_has(["error: "])
        .run();
}

#[test]
fn no_rest_outlasts_the_timeout() {
    let server = Server::start();
    server.cli(["XGROUP", "CREATE", "s", "g", "0", "MKSTREAM"]);
    for group in [&[][..], &["-g", "g"], &["-g", "g", "--", "cat"]] {
        Test::new(&server)
            .args(["consume", "s", "--rest", "600s", "-n", "1", "--timeout", "200ms"])
            .args(group)
            .status(4)
            .stderr_has(["timed out after 200ms"])
            .run();
    }
}

#[test]
fn timeout_is_quiet_when_max_was_reached() {
    let server = grouped(1);
    group(&server)
        .args(["-n", "1", "--timeout", "30s"])
        .stdout(lines([1]))
        .run();
}

#[test]
fn a_missing_group_is_created_when_asked_for() {
    for (choice, expected) in [("beginning", lines([1, 2])), ("latest", String::new())] {
        let server = Server::start();
        server.add_numbered("s", 2);
        group(&server)
            .args(["-e", "--on-nogroup", choice])
            .stdout(expected)
            .stderr_has([GROUP])
            .run();
        assert_eq!(server.groups("s"), [(GROUP.into(), "2-0".into())]);
    }
}

#[test]
fn a_group_lost_under_way() {
    let server = grouped(0);
    let mut fails = group(&server).spawn();
    server.wait_blocked();
    server.cli(["DEL", "s"]);
    let output = fails.wait();
    assert_eq!(output.status, 1);
    assert!(
        output.stderr().contains("subscribe s -l billing"),
        "{}",
        output.stderr()
    );

    server.cli(["XGROUP", "CREATE", "s", GROUP, "0", "MKSTREAM"]);
    let mut recreates = group(&server).args(["--on-nogroup", "beginning", "-n", "1"]).spawn();
    server.wait_blocked();
    server.cli(["DEL", "s"]);
    server.add_numbered("s", 1);
    let output = recreates.wait();
    assert_eq!((output.status, output.stdout()), (0, lines([1])));
    assert!(output.stderr().contains(GROUP), "{}", output.stderr());
}

#[test]
fn usage_errors() {
    let server = Server::start();
    let uses: &[&[&str]] = &[
        &["consume"],
        &["consume", "s", "--timeout", "1s"],
        &["consume", "s", "-n", "0"],
        &["consume", "s", "--ack", "manual"],
        &["consume", "s", "-l", "l", "--ack", "maybe"],
        &["consume", "s", "-l", "l", "--ack", "manual", "--dedup"],
        &["consume", "s", "-l", "l", "--from", "beginning"],
        &["consume", "s", "--last", "1", "--from", "beginning"],
    ];
    for args in uses {
        Test::new(&server).args(*args).status(2).stderr_has(["error: "]).run();
    }
}

#[test]
fn reads_do_not_write() {
    let server = Server::start();
    server.add_numbered("s", 1);
    plain(&server)
        .args(["--from", "beginning", "-e"])
        .stdout(lines([1]))
        .run();
    assert!(server.groups("s").is_empty());
    assert_eq!(server.entries("s"), [entry("1-0", &[("name", "n"), ("body", "1")])]);
}
