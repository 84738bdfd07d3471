//! `send-batch --checkpoint`, killed and started again, or given what is not its own.

use super::sending::{COUNT, assert_stream, batch, durable, input, length, wait_length};
use crate::harness::{Dice, Server, Test, wait_until};

#[test]
fn a_killed_sending_goes_on_from_its_checkpoint() {
    let server = durable();
    let bodies = input(&server, COUNT);
    let mut dice = Dice::new();
    let resumable = || batch(&server).args(["--checkpoint", "c"]);
    for part in 1..=5 {
        let mut sending = resumable().spawn();
        wait_length(&server, &sending, dice.between(part * 4000, part * 4000 + 2000));
        sending.kill9();
        if part == 3 {
            server.kill9();
            server.restart();
        }
    }
    resumable().stderr_any().run();
    assert_stream(&server, &bodies);
    // Done is done.
    resumable().stderr_any().run();
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
    let resumable = || batch(&server).args(["--checkpoint", "c", "--rejects", "rejects", "--receipts", "receipts"]);
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
    batch(server).args(["--checkpoint", "c"]).status(1).stderr_any().run();
    lines[4500] = good;
    lines
}

#[test]
fn a_checkpoint_goes_on_behind_a_line_that_was_mended() {
    let server = Server::start();
    let lines = half_sent(&server);
    server.file("input.jsonl", lines.join("\n") + "\n");
    batch(&server).args(["--checkpoint", "c"]).stderr_any().run();
    assert_stream(&server, &lines);
}

/// The place is not the file's alone: one that is as old as the sending takes nothing back.
#[test]
fn a_sending_killed_while_it_resumed() {
    use std::io::Write;
    let server = durable();
    let bodies = input(&server, 30_000);
    let text = |from: usize, to: usize| bodies[from..to].join("\n") + "\n";
    let command = || Test::new(&server).args(["send-batch", "s", "--name", "n", "--checkpoint", "c"]);
    // The first is killed when 20,000 lines have landed; its checkpoint is as it was before the first.
    let mut first = command().command().spawn().unwrap();
    let mut stdin = first.stdin.take().unwrap();
    wait_until("the checkpoint of a sending that has begun", || {
        std::fs::read_to_string(server.work().join("c")).is_ok_and(|text| !text.is_empty())
    });
    let fresh = server.read("c");
    stdin.write_all(text(0, 20_000).as_bytes()).unwrap();
    wait_until("lines to land", || length(&server) == 20_000);
    first.kill().unwrap();
    first.wait().unwrap();
    server.file("c", &fresh);
    // The second is killed while it reads what the first has sent.
    let mut second = command().command().spawn().unwrap();
    let mut stdin = second.stdin.take().unwrap();
    stdin.write_all(text(0, 10).as_bytes()).unwrap();
    // Longer than a checkpoint is left unwritten.
    std::thread::sleep(std::time::Duration::from_millis(300));
    stdin.write_all(text(10, 15_000).as_bytes()).unwrap();
    second.kill().unwrap();
    second.wait().unwrap();
    assert_eq!(length(&server), 20_000);
    // The third sends the rest.
    let output = command().stdin(text(0, 30_000)).spawn().wait();
    assert_eq!(output.status, 0, "the checkpoint was {fresh}: {}", output.stderr());
    assert_stream(&server, &bodies);
}

/// A resumed sending that is asked to end while it reads what the first has sent: when the marker has expired, nobody
/// knows how far that is.
#[test]
fn a_sending_stopped_while_it_resumed() {
    use std::io::Write;
    let server = durable();
    let bodies = input(&server, 2000);
    let text = |from: usize, to: usize| bodies[from..to].join("\n") + "\n";
    let command = || Test::new(&server).args(["send-batch", "s", "--name", "n", "--checkpoint", "c"]);
    let mut first = command().command().spawn().unwrap();
    let mut stdin = first.stdin.take().unwrap();
    wait_until("the checkpoint of a sending that has begun", || {
        std::fs::read_to_string(server.work().join("c")).is_ok_and(|text| !text.is_empty())
    });
    let fresh = server.read("c");
    stdin.write_all(text(0, 1000).as_bytes()).unwrap();
    wait_until("lines to be added", || length(&server) == 1000);
    first.kill().unwrap();
    first.wait().unwrap();
    server.file("c", &fresh);
    let mut second = command().command().spawn().unwrap();
    let mut stdin = second.stdin.take().unwrap();
    stdin.write_all(text(0, 10).as_bytes()).unwrap();
    std::thread::sleep(std::time::Duration::from_millis(300));
    let pid = second.id().to_string();
    std::process::Command::new("kill").arg(&pid).status().unwrap();
    second.wait().unwrap();
    let state = server.read("c");
    assert!(state.contains("\"settled\":false"), "{state}");
    // The marker expires.
    let marker = server.cli(["KEYS", "redis-streamer:*"]);
    server.cli(["DEL", &marker]);
    let output = command().stdin(text(0, 2000)).spawn().wait();
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
    batch(&server).args(["--checkpoint", "c"]).stderr_any().run();
    assert_stream(&server, &bodies);
}

#[test]
fn a_checkpoint_of_a_done_sending_does_not_hide_another_input() {
    let server = Server::start();
    let done = || Test::new(&server).args(["send-batch", "s", "--name", "n", "--checkpoint", "c"]);
    done().stdin("1\n2\n3\n").stderr_any().run();
    // Exit code 0 would mean that all of these lines are in the stream.
    let output = done().stdin("4\n5\n6\n7\n").spawn().wait();
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
    batch(&server).args(["--checkpoint", "c"]).stderr_any().run();
    server.file("input.jsonl", "1\n2\n3\n4\n");
    let output = batch(&server).args(["--checkpoint", "c"]).spawn().wait();
    let found = server.bodies("s");
    assert!(
        output.status != 0 || found == ["1", "2", "3", "4"],
        "status {}, the stream holds {found:?}: {}",
        output.status,
        output.stderr()
    );
}
