//! `send-batch --checkpoint`, killed and started again, or given what is not its own.

use super::sending::{COUNT, assert_stream, checkpointed, durable, input, length, resuming, wait_length};
use crate::harness::{Dice, OOM, Running, Server, Signal, Test, wait_until};
use std::time::Duration;

#[test]
fn a_killed_sending_goes_on_from_its_checkpoint() {
    let server = durable();
    let bodies = input(&server, COUNT);
    let mut dice = Dice::new();
    for part in 1..=5 {
        let mut sending = checkpointed(&server).spawn();
        wait_length(&server, &sending, dice.between(part * 4000, part * 4000 + 2000));
        sending.kill9();
        if part == 3 {
            server.kill9();
            server.restart();
        }
    }
    checkpointed(&server).stderr_any().run();
    assert_stream(&server, &bodies);
    // Done is done.
    checkpointed(&server).stderr_any().run();
    assert_stream(&server, &bodies);
}

#[test]
fn a_killed_sending_keeps_its_rejects_and_receipts_exact() {
    const BAD: usize = 50;
    let server = durable();
    let line = |n: usize| {
        if n.is_multiple_of(BAD) {
            "{".to_owned()
        } else {
            n.to_string()
        }
    };
    let lines: Vec<_> = (1..=COUNT).map(line).collect();
    server.file("input.jsonl", lines.join("\n") + "\n");
    let mut dice = Dice::new();
    let resumable = || checkpointed(&server).args(["--rejects", "rejects", "--receipts", "receipts"]);
    for part in 1..=5 {
        let mut sending = resumable().spawn();
        wait_length(&server, &sending, dice.between(part * 4000, part * 4000 + 2000));
        sending.kill9();
    }
    resumable().status(1).stderr_any().run();
    let good: Vec<_> = lines.into_iter().filter(|line| line != "{").collect();
    assert_stream(&server, &good);
    assert_eq!(server.read("rejects"), "{\n".repeat(COUNT / BAD));
    let expected: String = (1..=COUNT)
        .filter(|n| !n.is_multiple_of(BAD))
        .zip(server.ids("s"))
        .map(|(n, id)| format!("{{\"file\":\"input.jsonl\",\"line\":{n},\"id\":\"{id}\"}}\n"))
        .collect();
    assert!(
        server.read("receipts") == expected,
        "the receipts differ from the stream"
    );
    // Not all lines are in, and it is not forgotten.
    resumable()
        .status(1)
        .stderr_has([&format!("{} lines not sent by an earlier run", COUNT / BAD)])
        .run();
    assert_eq!(server.read("rejects"), "{\n".repeat(COUNT / BAD));
}

/// A checkpoint of a sending that was stopped by a bad line behind some thousands of good ones; returns the lines
/// as they should have been.
fn half_sent(server: &Server) -> Vec<String> {
    let mut lines: Vec<String> = (1..=5000)
        .map(|n| format!("{{\"n\":{n},\"pad\":\"{}\"}}", "x".repeat(100)))
        .collect();
    let good = std::mem::replace(&mut lines[4500], "{\"n\":".to_owned());
    server.file("input.jsonl", lines.join("\n") + "\n");
    checkpointed(server).status(1).stderr_any().run();
    lines[4500] = good;
    lines
}

#[test]
fn a_checkpoint_goes_on_behind_a_line_that_was_mended() {
    let server = Server::start();
    let lines = half_sent(&server);
    server.file("input.jsonl", lines.join("\n") + "\n");
    checkpointed(&server).stderr_any().run();
    assert_stream(&server, &lines);
}

/// A sending from stdin that has added so many of these lines and was killed; its checkpoint is as it was before the
/// first of them.
fn killed_behind(server: &Server, lines: &[String], count: usize) {
    let mut first = resuming(server).spawn_open();
    wait_until("the checkpoint of a sending that has begun", || {
        !server.lines("c").is_empty()
    });
    let fresh = server.read("c");
    first.feed(&text(&lines[..count]));
    wait_until("lines to be added", || length(server) == count);
    first.kill9();
    server.file("c", fresh);
}

/// A sending that goes on from there and has read these lines, for longer than a checkpoint is left unwritten.
fn resumed(server: &Server, lines: &[String]) -> Running {
    let mut second = resuming(server).spawn_open();
    second.feed(&text(lines));
    second.wait_fed();
    std::thread::sleep(Duration::from_millis(300));
    second
}

fn text(lines: &[String]) -> String {
    lines.join("\n") + "\n"
}

/// The place is not the file's alone: one that is as old as the sending takes nothing back.
#[test]
fn a_sending_killed_while_it_resumed() {
    let server = durable();
    let bodies = input(&server, 30_000);
    killed_behind(&server, &bodies, 20_000);
    let fresh = server.read("c");
    // The second is killed while it reads what the first has sent.
    let mut second = resumed(&server, &bodies[..10]);
    second.feed(&text(&bodies[10..15_000]));
    second.kill9();
    assert_eq!(length(&server), 20_000);
    // The third sends the rest.
    let output = resuming(&server).stdin(text(&bodies)).spawn().wait();
    assert_eq!(output.status, 0, "the checkpoint was {fresh}: {}", output.stderr());
    assert_stream(&server, &bodies);
}

/// A transaction is refused then, even one that reads, and what the marker says is not.
#[test]
fn a_sending_that_resumes_while_the_server_is_out_of_memory() {
    let server = durable();
    let bodies = input(&server, 2000);
    killed_behind(&server, &bodies, 1000);
    server.refuse(OOM);
    let mut second = resuming(&server).stdin(text(&bodies)).spawn();
    second.wait_stderr("OOM");
    server.mend(OOM);
    let output = second.wait();
    assert_eq!(output.status, 0, "{}", output.stderr());
    assert_stream(&server, &bodies);
}

/// A resumed sending that is asked to end while it reads what the first has sent: when the marker has expired, nobody
/// knows how far that is.
#[test]
fn a_sending_stopped_while_it_resumed() {
    let server = durable();
    let bodies = input(&server, 2000);
    killed_behind(&server, &bodies, 1000);
    let mut second = resumed(&server, &bodies[..10]);
    second.signal(Signal::TERM);
    second.wait();
    let state = server.read("c");
    assert!(state.contains("\"settled\":false"), "{state}");
    // The marker expires.
    let marker = server.cli(["KEYS", "redis-streamer:*"]);
    server.cli(["DEL", &marker]);
    let output = resuming(&server).stdin(text(&bodies)).spawn().wait();
    assert_eq!(output.status, 1, "{}", output.stderr());
    assert_eq!(length(&server), 1000);
}

#[test]
fn the_checkpoint_of_another_sending_is_refused() {
    let server = Server::start();
    let mut lines = half_sent(&server);
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
    // Also where the change is far behind what was sent last.
    lines[0] = lines[0].replace("{\"n\":1,", "{\"n\":9,");
    server.file("input.jsonl", lines.join("\n") + "\n");
    refused(&["s", "input.jsonl"]);
    server.file("c", "{}");
    refused(&["s", "input.jsonl"]);
}

#[test]
fn an_empty_checkpoint_is_a_fresh_one() {
    let server = Server::start();
    let bodies = input(&server, 3);
    server.file("c", "");
    checkpointed(&server).stderr_any().run();
    assert_stream(&server, &bodies);
}

#[test]
fn a_checkpoint_of_a_done_sending_does_not_hide_another_input() {
    let server = Server::start();
    resuming(&server).stdin("1\n2\n3\n").stderr_any().run();
    // Exit code 0 would mean that all of these lines are in the stream.
    let output = resuming(&server).stdin("4\n5\n6\n7\n").spawn().wait();
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
    checkpointed(&server).stderr_any().run();
    server.file("input.jsonl", "1\n2\n3\n4\n");
    let output = checkpointed(&server).spawn().wait();
    let found = server.bodies("s");
    assert!(
        output.status != 0 || found == ["1", "2", "3", "4"],
        "status {}, the stream holds {found:?}: {}",
        output.status,
        output.stderr()
    );
}
