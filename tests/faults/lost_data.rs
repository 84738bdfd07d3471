//! Servers that come back without what they had acknowledged, and failures in recovery that do not pass.

use super::sending::{assert_stream, batch, checkpointed, durable, input, wait_length};
use crate::harness::{End, Fate, Proxy, Running, Server, Test};
use std::path::PathBuf;

const COUNT: usize = 8000;
/// So slow that there is time to lose something.
const RATE: &str = "8000";

/// Loses all data behind the client's back; before it can come back, another producer adds an entry, if asked to.
fn lose_all(server: &Server, proxy: &Proxy, sending: &Running, other: bool) {
    wait_length(server, sending, COUNT / 4);
    proxy.turn_to(PathBuf::from("/nowhere"));
    server.kill9();
    server.restart_empty();
    if other {
        server.add_message("s", "*", "n", "\"theirs\"");
    }
    proxy.turn_to(server.socket());
}

/// The stream is the whole input, but for what another producer added first.
fn assert_whole(server: &Server, bodies: &[String], other: bool) {
    if other {
        let first = server.ids("s").swap_remove(0);
        server.cli(["XDEL", "s", &first]);
    }
    assert_stream(server, bodies);
}

#[test]
fn lost_lines_of_a_file_are_sent_again() {
    for other in [false, true] {
        let server = durable();
        let bodies = input(&server, COUNT);
        let proxy = Proxy::start(server.socket(), []);
        let mut sending = batch(&server).args(["-u", &proxy.url(), "--rate", RATE]).spawn();
        lose_all(&server, &proxy, &sending, other);
        let output = sending.wait();
        assert_eq!(output.status, 0, "{}", output.stderr());
        assert_whole(&server, &bodies, other);
    }
}

#[test]
fn lost_lines_of_a_pipe_are_named() {
    for other in [false, true] {
        let server = durable();
        let bodies = input(&server, COUNT);
        let proxy = Proxy::start(server.socket(), []);
        let mut sending = Test::new(&server)
            .args(["send-batch", "s", "--name", "n", "-u", &proxy.url(), "--rate", RATE])
            .stdin(bodies.join("\n") + "\n")
            .spawn();
        lose_all(&server, &proxy, &sending, other);
        let output = sending.wait();
        // It may have kept them all, and sent them again.
        if output.status == 0 {
            assert_whole(&server, &bodies, other);
            continue;
        }
        let said = output.stderr();
        // Another try would not bring them back.
        assert_eq!(output.status, 1, "{said}");
        assert!(said.contains("stdin:1"), "{said}");
        assert!(!said.contains("equal entries") && !said.contains("trimmed"), "{said}");
    }
}

#[test]
fn a_resumed_sending_finds_its_entries_lost() {
    let server = durable();
    let bodies = input(&server, COUNT);
    let mut first = checkpointed(&server).args(["--rate", RATE]).spawn();
    wait_length(&server, &first, COUNT / 4);
    first.kill9();
    server.restart_empty();
    let output = checkpointed(&server).spawn().wait();
    match output.status {
        0 => assert_stream(&server, &bodies),
        status => assert_eq!(status, 1, "{}", output.stderr()),
    }
}

#[test]
fn a_password_that_is_asked_for_in_recovery_ends_it_with_1() {
    let server = durable();
    input(&server, COUNT);
    let mut sending = batch(&server).args(["--rate", RATE]).spawn();
    wait_length(&server, &sending, COUNT / 4);
    // Only who is connected by now needs no password.
    let other = server.client();
    other.command(["CONFIG", "SET", "requirepass", "secret"]);
    other.command(["CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"]);
    let output = sending.wait();
    other.command(["CONFIG", "SET", "requirepass", ""]);
    assert_eq!(output.status, 1, "{}", output.stderr());
    assert!(output.stderr().contains("NOAUTH"), "{}", output.stderr());
    assert!(!output.stderr().contains("secret"), "{}", output.stderr());
}

/// The replica that becomes the master has all or lacks the end: either way the stream is the input.
#[test]
fn a_replica_takes_over() {
    let master = Server::options().append_only().tcp4().start();
    let replica = Server::options().append_only().replica_of(&master).start();
    replica.wait_in_sync(&master);
    let bodies = input(&master, COUNT);
    let proxy = Proxy::start(master.socket(), [Fate::Request(50_000, End::Fin)]);
    let mut sending = batch(&master).args(["-u", &proxy.url(), "--rate", RATE]).spawn();
    wait_length(&master, &sending, COUNT / 4);
    master.kill9();
    replica.promote();
    proxy.turn_to(replica.socket());
    let output = sending.wait();
    assert_eq!(output.status, 0, "{}", output.stderr());
    assert_stream(&replica, &bodies);
}
