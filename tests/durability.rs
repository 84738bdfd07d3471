//! `--wait-replicas` and `--fsync`: what is told as done is where it was asked to be, and what is not is said.

use crate::harness::{Running, Server, Signal, Test, wait_until};

/// A master and a replica that has all it has.
fn pair() -> (Server, Server) {
    let master = Server::options().tcp4().start();
    let replica = Server::options().replica_of(&master).start();
    replica.wait_in_sync(&master);
    master.wait_replicates();
    (master, replica)
}

fn send(server: &Server) -> Test {
    Test::new(server).args(["send", "s", "1", "--name", "n"])
}

/// A sending of lines that are bodies, which prints the ID of each that is safe.
fn batch(server: &Server) -> Test {
    Test::new(server).args(["send-batch", "s", "--name", "n", "--ids"])
}

fn numbers(range: std::ops::RangeInclusive<usize>) -> String {
    range.map(|n| format!("{n}\n")).collect()
}

#[test]
fn replicas_have_what_was_sent() {
    let (master, replica) = pair();
    let output = send(&master).args(["--wait-replicas", "1"]).stdout_like("[ID]\n").run();
    assert_eq!(replica.ids("s"), [output.stdout().trim_end()]);
    let output = batch(&master)
        .args(["--wait-replicas", "1"])
        .stdin(numbers(1..=20_000))
        .stdout_any()
        .stderr_has(["sent 20,000 messages"])
        .run();
    // Not later: now.
    let ids = replica.ids("s");
    assert_eq!(ids[1..].join("\n") + "\n", output.stdout());
    assert_eq!(master.cli(["KEYS", "redis-streamer:*"]), "");
}

#[test]
fn nothing_is_sent_to_a_server_with_too_few_replicas() {
    let (master, _replica) = pair();
    let lonely = Server::start();
    for (server, wanted, there) in [(&master, "2", "1 of the 2"), (&lonely, "1", "0 of the 1")] {
        let wanted = ["--wait-replicas", wanted, "--wait-timeout", "50ms"];
        let error = format!(
            "error: too few replicas answer the server: {there} asked for\n\
             hint: nothing was sent; see what follows this server: redis-cli INFO replication\n"
        );
        send(server).args(wanted).status(1).stderr(&error).run();
        batch(server).args(wanted).stdin("1\n").status(1).stderr(&error).run();
        assert_eq!(server.cli(["KEYS", "*"]), "");
    }
}

#[test]
fn a_message_that_no_replica_has_is_named() {
    let (master, replica) = pair();
    replica.pause();
    send(&master)
        .args(["--wait-replicas", "1", "--wait-timeout", "50ms"])
        .status(1)
        .stderr_like(
            "error: entry [ID] is in the stream, and not known to be on 1 replica: it may be lost in a failover\n  \
             caused by: 0 replicas had it within 50ms, and 1 was asked for\n\
             hint: see how far they are: redis-cli INFO replication; --wait-timeout gives them more time\n",
        )
        .run();
    assert_eq!(master.bodies("s"), ["1"]);
    replica.resume();
}

#[test]
fn lines_that_no_replica_has_are_counted_and_named() {
    let (master, replica) = pair();
    let limits = ["--wait-replicas", "1"];
    let options = ["--receipts", "receipts", "--checkpoint", "c", "-"];
    let mut sending = batch(&master).args(limits).args(options).spawn_open();
    sending.feed(&numbers(1..=800));
    for _ in 1..=800 {
        sending.line();
    }
    replica.pause();
    sending.feed(&numbers(801..=1000));
    sending.close_stdin();
    let output = sending.wait();
    assert_eq!(output.status, 1);
    let error = "error: 1,000 lines sent, 800 known to be on 1 replica; the others, stdin:801 to stdin:1000, are in the \
                 stream and may be lost in a failover\n  caused by: 0 replicas had it within 3s, and 1 was asked for\n\
                 hint: run it again when they are back";
    assert!(output.stderr().contains(error), "{}", output.stderr());
    assert_eq!(output.stdout().lines().count(), 800);
    assert_eq!(master.lines("receipts").len(), 800);
    assert_eq!(master.ids("s").len(), 1000);

    // Nothing of this is told while it is not safe.
    let again = || batch(&master).args(limits).args(options).stdin(numbers(1..=1200));
    again().status(1).stderr_has(["no line was sent"]).run();
    assert_eq!(master.lines("receipts").len(), 800);
    replica.resume();
    replica.wait_in_sync(&master);
    again().stdout_any().stderr_any().run();
    let bodies: Vec<_> = (1..=1200).map(|n| n.to_string()).collect();
    assert_eq!(master.bodies("s"), bodies);
    assert_eq!(replica.bodies("s"), bodies);
    let ids = master.ids("s");
    for (receipt, id) in master.lines("receipts").iter().zip(&ids) {
        assert!(receipt.contains(id), "{receipt} {id}");
    }
    assert_eq!(master.lines("receipts").len(), ids.len());
}

#[test]
fn the_summary_counts_what_is_safe() {
    let (master, replica) = pair();
    let batch = || Test::new(&master).args(["send-batch", "s", "--name", "n", "--json", "--wait-replicas", "1"]);
    let both = "{\"stream\":\"s\",\"sent\":3,\"safe\":3,\"rejected\":0,\"seconds\":[..]}\n";
    batch().stdin(numbers(1..=3)).stdout_like(both).run();
    replica.pause();
    batch()
        .args(["--wait-timeout", "50ms"])
        .stdin(numbers(1..=3))
        .status(1)
        .stdout_like("{\"stream\":\"s\",\"sent\":3,\"safe\":0,\"rejected\":0,\"seconds\":[..]}\n")
        .stderr_has(["3 lines sent, none known to be on 1 replica; all of them, stdin:1 to stdin:3, are in the stream"])
        .run();
    replica.resume();
}

/// A sending whose hundred lines are in the stream, and which waits for a replica that is stopped.
fn waiting() -> (Server, Server, Running) {
    let (master, replica) = pair();
    replica.pause();
    let mut sending = batch(&master)
        .args(["--wait-replicas", "1", "--wait-timeout", "1h", "-"])
        .spawn_open();
    sending.feed(&numbers(1..=100));
    wait_until("the lines to be in the stream", || master.cli(["XLEN", "s"]) == "100");
    master.wait_blocked();
    (master, replica, sending)
}

#[test]
fn a_replica_that_comes_back_in_time() {
    let (_master, replica, mut sending) = waiting();
    replica.resume();
    for _ in 1..=100 {
        sending.line();
    }
    sending.close_stdin();
    assert_eq!(sending.wait().status, 0);
    assert_eq!(replica.ids("s").len(), 100);
}

/// A signal does not wait for replicas as long as the sending would.
#[test]
fn a_signal_while_replicas_are_waited_for() {
    let (master, replica, mut sending) = waiting();
    sending.signal(Signal::TERM);
    let output = sending.wait();
    assert_eq!(output.status, 143, "{}", output.stderr());
    let told = "100 lines sent, none known to be on 1 replica";
    assert!(output.stderr().contains(told), "{}", output.stderr());
    assert_eq!((output.stdout().as_str(), master.ids("s").len()), ("", 100));
    replica.resume();
}

#[test]
fn a_bad_line_behind_lines_that_are_not_safe() {
    let (master, replica) = pair();
    replica.pause();
    let limits = ["--wait-replicas", "1", "--wait-timeout", "50ms"];
    batch(&master)
        .args(limits)
        .args(["--rejects", "rejects"])
        .stdin("1\n{\n2\n")
        .status(1)
        .stderr_has(["2 lines sent, none known to be on 1 replica; all of them, stdin:1 to stdin:3,"])
        .run();
    assert_eq!(master.lines("rejects"), ["{"]);
    replica.resume();
}

/// A server that is as older ones are.
fn without_waitaof() -> Server {
    let server = Server::options().append_only();
    if Server::start().knows("WAITAOF") {
        return server.without("WAITAOF").start();
    }
    server.start()
}

#[test]
fn a_server_that_does_not_know_waitaof_is_sent_nothing() {
    let server = without_waitaof();
    let error = "error: the server cannot tell what is on disk: it has no WAITAOF\n\
                 hint: --fsync needs Redis 7.2 or a Valkey; --wait-replicas works with any server\n";
    for options in [&["--fsync"][..], &["--fsync", "--wait-replicas", "1"]] {
        send(&server).args(options).status(1).stderr(error).run();
        batch(&server).args(options).stdin("1\n").status(1).stderr(error).run();
    }
    assert_eq!(server.cli(["KEYS", "*"]), "");
}

#[test]
fn a_server_that_keeps_nothing_is_sent_nothing() {
    let server = Server::start();
    if !server.knows_or_left_out("WAITAOF") {
        return;
    }
    let error = "error: the server keeps nothing on disk as it comes: appendonly is off\n\
                 hint: turn it on: redis-cli CONFIG SET appendonly yes; or use --wait-replicas without --fsync\n";
    send(&server).arg("--fsync").status(1).stderr(error).run();
    batch(&server).arg("--fsync").stdin("1\n").status(1).stderr(error).run();
    assert_eq!(server.cli(["KEYS", "*"]), "");
}

#[test]
fn what_was_sent_is_on_disk() {
    let server = Server::options().append_only().start();
    if !server.knows_or_left_out("WAITAOF") {
        return;
    }
    send(&server).arg("--fsync").stdout_like("[ID]\n").run();
    batch(&server)
        .arg("--fsync")
        .stdin(numbers(1..=20_000))
        .stdout_any()
        .stderr_any()
        .run();
    server.kill9();
    server.restart();
    assert_eq!(server.ids("s").len(), 20_001);
}

#[test]
fn what_was_sent_is_on_the_disk_of_a_replica() {
    let master = Server::options().append_only().tcp4().start();
    if !master.knows_or_left_out("WAITAOF") {
        return;
    }
    let replica = Server::options().append_only().replica_of(&master).start();
    replica.wait_in_sync(&master);
    replica.wait_rewritten();
    let both = ["--fsync", "--wait-replicas", "1", "--wait-timeout", "1m"];
    send(&master).args(both).stdout_like("[ID]\n").run();
    batch(&master)
        .args(both)
        .stdin(numbers(1..=20_000))
        .stdout_any()
        .stderr_any()
        .run();
    assert_eq!(replica.ids("s").len(), 20_001);
    // A replica that keeps nothing is not enough.
    replica.cli(["CONFIG", "SET", "appendonly", "no"]);
    send(&master)
        .args(["--fsync", "--wait-replicas", "1", "--wait-timeout", "50ms"])
        .status(1)
        .stderr_has(["0 replicas had it on disk within 50ms, and 1 was asked for"])
        .run();
}

#[test]
fn limits_that_mean_nothing_are_refused() {
    for verb in [&["send", "s", "1", "--name", "n"][..], &["send-batch", "s"]] {
        for options in [
            &["--wait-replicas", "0"][..],
            &["--fsync", "--wait-timeout", "0"],
            &["--wait-timeout", "1s"],
        ] {
            let run = Test::without_server().args(verb).args(options);
            run.status(2).stderr_any().run();
        }
    }
}
