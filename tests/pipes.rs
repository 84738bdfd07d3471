//! The program between other programs: pipes, closed pipes, loops, signals.

use crate::harness::{DEADLINE, Entry, Server, Signal, Test, peak_memory, wait_until};
use std::io::Read;
use std::time::{Duration, Instant};

const GROUP: &str = "orders:billing:cg";

/// `orders` with the entries 1-0 to N-0 and the group of the listener `billing` at its beginning.
fn orders(count: usize) -> Server {
    let server = Server::start();
    server.add_numbered("orders", count);
    server.cli(["XGROUP", "CREATE", "orders", GROUP, "0", "MKSTREAM"]);
    server
}

#[test]
fn jq_into_send_batch() {
    let server = Server::start();
    server.file("f.json", r#"{"users":[{"id":1,"n":"é"},{"id":2},{"id":3}]}"#);
    Test::shell(
        &server,
        "jq -c '.users[]' f.json | redis-streamer send-batch users --name user.created",
    )
    .stderr_like("sent 3 messages to users[..]\n")
    .run();
    assert_eq!(
        server.bodies("users"),
        [r#"{"id":1,"n":"é"}"#, r#"{"id":2}"#, r#"{"id":3}"#]
    );
    assert_eq!(server.fields("users")[0][0].1, b"user.created");
}

#[test]
fn a_worker_between_consume_and_ack() {
    let server = orders(4);
    // The worker passes on what it is done with: the even ones.
    Test::shell(
        &server,
        "redis-streamer consume orders -l billing --ack manual -e \
         | jq -c 'select(.body % 2 == 0)' \
         | redis-streamer ack orders -l billing -",
    )
    .stdout("2\n")
    .run();
    assert_eq!(server.pending("orders", GROUP), ["1-0", "3-0"]);
}

/// Entries that are easily mangled.
fn awkward(server: &Server) {
    type Fields<'a> = &'a [(&'a [u8], &'a [u8])];
    let entries: &[Fields] = &[
        &[(b"name", b"n"), (b"body", b"{ \"a\": 1.0, \"a\": 1e400 }")],
        &[(b"name", b"n"), (b"body", b"NaN")],
        &[(b"name", b"n"), (b"body", b"\"\\ud800\"")],
        &[(b"name", b"\xff\xfe"), (b"body", b"1")],
        &[(b"name", b"n"), (b"body", b"\"\xff\"")],
        &[(b"name", b"n"), (b"body", b"1"), (b"x", b"1"), (b"x", b"2")],
        &[(b"name", b"n"), (b"body", b"1"), (b"\xff", b"\x00\x01")],
        &[(b"trace", b"7"), (b"name", b"n"), (b"body", b"1")],
        &[(b"name", b"n"), (b"trace", b"7"), (b"body", b"1")],
        &[(b"body", b"1"), (b"name", b"n")],
        &[(b"body", b"1"), (b"name", b"n"), (b"body", b"2")],
        &[(b"name", b"n"), (b"name", b"n"), (b"body", b"1")],
        &[(b"base64", b"AA=="), (b"", b"")],
        &[(b"name", b""), (b"body", b"\"\"")],
        &[(b"k", b"line\nbreak\ttab\x7f\x1b[31m\xc2\x9b")],
        &[(b"stream", b"s"), (b"id", b"1-1"), (b"deliveries", b"9")],
        &[(b"z", b"1"), (b"b", b"2"), (b"a", b"3"), (b"10", b"4"), (b"9", b"5")],
    ];
    for (n, fields) in entries.iter().enumerate() {
        server.add("a", &format!("{}-{n}", n + 1), fields);
    }
}

fn assert_same_fields(server: &Server) {
    let (a, b) = (server.fields("a"), server.fields("b"));
    for (n, (a, b)) in a.iter().zip(&b).enumerate() {
        assert_eq!(a, b, "entry {n}");
    }
    assert_eq!(a.len(), b.len());
}

#[test]
fn a_copy_of_a_stream_is_equal_field_by_field() {
    let server = Server::start();
    awkward(&server);
    Test::shell(
        &server,
        "redis-streamer consume a --from beginning -e | redis-streamer -q send-batch b",
    )
    .run();
    assert_same_fields(&server);
    assert_ne!(server.ids("a"), server.ids("b"));
}

#[test]
fn a_copy_with_its_ids_is_equal_id_by_id() {
    let server = Server::start();
    awkward(&server);
    Test::shell(
        &server,
        "redis-streamer consume a --from beginning -e | redis-streamer -q send-batch b --keep-ids",
    )
    .run();
    assert_same_fields(&server);
    assert_eq!(server.ids("a"), server.ids("b"));
}

#[test]
fn a_copy_keeps_the_spaces_around_a_body() {
    let server = Server::start();
    for body in [" 1", "{} ", "\t[1]\t"] {
        server.add("a", "*", &[("name", "n"), ("body", body)]);
    }
    Test::shell(
        &server,
        "redis-streamer consume a --from beginning -e | redis-streamer -q send-batch b",
    )
    .run();
    assert_same_fields(&server);
}

#[test]
fn a_stream_copied_onto_itself_ends_at_its_old_end() {
    let server = Server::start();
    server.add_numbered("s", 3000);
    Test::shell(
        &server,
        "redis-streamer consume s --from beginning -e | redis-streamer -q send-batch s",
    )
    .run();
    assert_eq!(server.cli(["XLEN", "s"]), "6000");
}

#[test]
fn a_busy_producer_cannot_keep_a_group_running() {
    let server = orders(3000);
    let output = Test::shell(
        &server,
        "redis-streamer consume orders -l billing -e \
         | tee >(redis-streamer -q send-batch orders) \
         | jq -r .id",
    )
    .stdout_any()
    .run();
    let text = output.stdout();
    let printed: Vec<_> = text.lines().collect();
    for (n, id) in printed.iter().take(3000).enumerate() {
        assert_eq!(*id, format!("{}-0", n + 1));
    }
    assert!(printed.len() >= 3000, "{}", printed.len());
}

#[test]
fn a_check_in_ci() {
    let server = orders(0);
    let script = "redis-streamer consume orders -l ci --on-nogroup latest -q -n 1 --timeout 15s | jq -e .body.ok";
    for (ok, status) in [("true", 0), ("false", 1)] {
        server.cli(["DEL", "orders"]);
        server.cli(["XGROUP", "CREATE", "orders", "orders:ci:cg", "0", "MKSTREAM"]);
        let mut check = Test::shell(&server, script).spawn();
        server.wait_blocked();
        server.add_message("orders", "1-0", "checked", &format!("{{\"ok\":{ok}}}"));
        let output = check.wait();
        assert_eq!((output.status, output.stdout()), (status, format!("{ok}\n")));
        assert_eq!(output.stderr(), "");
    }
    Test::shell(&server, &script.replace("15s", "50ms"))
        .status(4)
        .stderr_has(["error: "])
        .run();
}

#[test]
fn head_ends_it_quietly() {
    let server = orders(20_000);
    for source in ["orders --from beginning", "orders -l billing"] {
        Test::shell(&server, &format!("redis-streamer consume {source} | head -1"))
            .stdout("{\"stream\":\"orders\",\"id\":\"1-0\",\"name\":\"n\",\"body\":1}\n")
            .run();
    }
}

/// What is sent does not depend on who reads the IDs.
#[test]
fn head_of_the_ids_keeps_no_line_from_being_sent() {
    let server = Server::start();
    let send = "seq 1 20000 | { redis-streamer send-batch s --name n --ids; echo $? > status; } | head -1";
    Test::shell(&server, send).stdout_any().stderr_any().run();
    assert_eq!(server.read("status"), "0\n");
    assert_eq!(server.cli(["XLEN", "s"]), "20000");
}

#[test]
fn head_ends_handlers_quietly() {
    let server = orders(40);
    let handle = "redis-streamer consume orders -l billing --max-deliveries 1 --dead-letter dead";
    Test::shell(&server, &format!("{handle} --jobs 2 -- sh -c 'cat || exit' | head -1"))
        .stdout_has(["\n"])
        .run();
    // None of the messages is to blame, and none is lost.
    assert_eq!(server.entries("dead").len(), 0);
    let rest = Test::new(&server).args(["consume", "orders", "-l", "billing", "-e"]);
    assert!(rest.stdout_any().run().stdout().contains("\"40-0\""));
    assert!(server.pending("orders", GROUP).is_empty());
}

#[test]
fn a_closed_pipe_ends_it_even_with_nothing_to_write() {
    let server = orders(1);
    for source in ["orders --from beginning", "orders -l billing"] {
        Test::shell(
            &server,
            &format!("redis-streamer consume {source} --block 100ms | head -1"),
        )
        .stdout("{\"stream\":\"orders\",\"id\":\"1-0\",\"name\":\"n\",\"body\":1}\n")
        .run();
    }
    assert!(server.pending("orders", GROUP).is_empty());
    assert!(server.consumers("orders", GROUP).is_empty());
}

#[test]
fn what_was_not_flushed_is_not_acknowledged() {
    const COUNT: usize = 20_000;
    /// What a pipe holds on Linux.
    const PIPE: usize = 65_536;
    let server = orders(COUNT);
    let mut child = Test::new(&server)
        .args(["consume", "orders", "-l", "billing"])
        .command()
        .spawn()
        .unwrap();
    let mut read = [0; 100];
    let mut stdout = child.stdout.take().unwrap();
    stdout.read_exact(&mut read).unwrap();
    drop(stdout);
    let start = Instant::now();
    let status = loop {
        if let Some(status) = child.try_wait().unwrap() {
            break status;
        }
        if start.elapsed() > DEADLINE {
            child.kill().unwrap();
        }
        std::thread::sleep(Duration::from_millis(3));
    };
    let mut stderr = String::new();
    child.stderr.take().unwrap().read_to_string(&mut stderr).unwrap();
    assert_eq!((status.code(), stderr.as_str()), (Some(0), ""));

    let last = &server.groups("orders")[0].1;
    let delivered: usize = last.split_once('-').unwrap().0.parse().unwrap();
    let acknowledged = delivered - server.pending("orders", GROUP).len();
    let flushed: usize = server.entries("orders")[..acknowledged].iter().map(line_length).sum();
    assert!(
        flushed <= PIPE + read.len(),
        "{acknowledged} acknowledged: {flushed} bytes"
    );

    // And the rest is for others at once.
    let rest = Test::new(&server)
        .args(["consume", "orders", "-l", "billing", "-e"])
        .stdout_any()
        .run();
    assert_eq!(acknowledged + rest.stdout().lines().count(), COUNT);
    assert!(server.pending("orders", GROUP).is_empty());
}

#[test]
fn what_cannot_be_written_is_an_error_and_not_acknowledged() {
    let server = orders(3);
    Test::shell(&server, "redis-streamer consume orders -l billing -e >/dev/full")
        .status(1)
        .stderr_has(["error: ", "No space left"])
        .run();
    Test::new(&server)
        .args(["consume", "orders", "-l", "billing", "-e"])
        .stdout_has(["\"1-0\"", "\"2-0\"", "\"3-0\""])
        .run();
    let sent = Test::shell(&server, "redis-streamer send s 1 --name n >/dev/full")
        .status(1)
        .stderr_has(["error: ", "No space left"])
        .run();
    // Who sends it again sends it twice.
    assert!(sent.stderr().contains(&format!("{} was added", server.ids("s")[0])));
}

#[test]
fn a_reader_that_has_gone_hides_no_failure() {
    let server = orders(3);
    server.file("lines", "{\"name\":\"n\",\"body\":1}\noops\n");
    for (args, status, said) in [
        ("ack orders -l billing --strict 1-0", 4, "1 of 1 was not pending"),
        ("pending orders -l billing --max-lag 1", 4, "exceed"),
        ("send-batch s lines --json", 1, "lines:2:1"),
        ("send-batch s lines --ids --rejects rejects", 1, "lines:2:1"),
    ] {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let mut command = Test::new(&server).args(args.split(' ')).command();
        let output = command.stdout(writer).output().unwrap();
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(status), "{args}: {stderr}");
        assert!(stderr.contains(said), "{args}: {stderr}");
    }
}

#[test]
fn memory_does_not_grow_with_large_messages() {
    const COUNT: usize = 200;
    /// In KiB: some messages' worth, not all of them.
    const MOST: u64 = 100 * 1024;
    let server = Server::start();
    let line = format!("{{\"name\":\"n\",\"body\":\"{}\"}}\n", "x".repeat(1_000_000));
    server.file("lines", line.repeat(COUNT));
    // Stdin keeps it from ending.
    let send = Test::new(&server).args(["-q", "send-batch", "s", "lines", "-"]);
    let mut sending = send.spawn_open();
    wait_until("all messages", || server.cli(["XLEN", "s"]) == COUNT.to_string());
    let peak = peak_memory(sending.pid());
    assert!(peak.is_none_or(|peak| peak < MOST), "send-batch: {peak:?}");
    sending.close_stdin();
    assert_eq!(sending.wait().status, 0);

    server.cli(["XGROUP", "CREATE", "s", "g", "0"]);
    for how in [&["--from", "beginning"], &["-g", "g"]] {
        let mut consumer = Test::new(&server).args(["consume", "s"]).args(how).spawn();
        for _ in 0..COUNT {
            consumer.line();
        }
        let peak = peak_memory(consumer.pid());
        assert!(peak.is_none_or(|peak| peak < MOST), "{how:?}: {peak:?}");
    }
}

/// The length of the line of one of the `orders`.
fn line_length(entry: &Entry) -> usize {
    let body = &entry.fields[1].1;
    r#"{"stream":"orders","id":"","name":"n","body":}"#.len() + entry.id.len() + body.len() + 1
}

#[test]
fn a_loop_keeps_its_stdin() {
    let server = Server::start();
    Test::shell(
        &server,
        "while read -r n; do redis-streamer send s \"$n\" --name n; done >/dev/null",
    )
    .stdin("1\n2\n3\n")
    .run();
    assert_eq!(server.bodies("s"), ["1", "2", "3"]);
}

#[test]
fn a_loop_of_acks_keeps_its_stdin() {
    let server = orders(3);
    Test::shell(
        &server,
        "redis-streamer consume orders -l billing --ack manual -e | jq -r .id \
         | while read -r id; do redis-streamer ack orders -l billing \"$id\"; done",
    )
    .stdout("1\n1\n1\n")
    .run();
    assert!(server.pending("orders", GROUP).is_empty());
}

#[test]
fn lines_come_through_as_they_are_written() {
    let server = Server::start();
    // No line waits in a buffer for the next one.
    let mut consume = Test::shell(
        &server,
        "redis-streamer consume s --from beginning | jq -c --unbuffered .body",
    )
    .spawn();
    for n in 1..=3 {
        server.add_message("s", &format!("{n}-0"), "n", &n.to_string());
        assert_eq!(consume.line(), n.to_string());
    }
}

#[test]
fn signals_end_a_blocked_consume_at_once() {
    let server = orders(0);
    for args in [&["-l", "billing"][..], &[], &["-l", "billing", "--block", "60s"]] {
        for (signal, status) in [(Signal::INT, 130), (Signal::TERM, 143)] {
            let mut consume = Test::new(&server).args(["consume", "orders"]).args(args).spawn();
            server.wait_blocked();
            let start = Instant::now();
            consume.signal(signal);
            let output = consume.wait();
            assert!(start.elapsed() < Duration::from_secs(2), "{:?}", start.elapsed());
            assert_eq!(output.status, status);
            assert_eq!(output.stderr(), "");
            assert!(server.consumers("orders", GROUP).is_empty());
        }
    }
}

#[test]
fn a_signal_leaves_the_name_of_who_has_entries() {
    let server = orders(2);
    let mut consume = Test::new(&server)
        .args(["consume", "orders", "-l", "billing", "--ack", "manual"])
        .spawn();
    consume.line();
    consume.line();
    server.wait_blocked();
    consume.signal(Signal::TERM);
    assert_eq!(consume.wait().status, 143);
    assert_eq!(server.pending("orders", GROUP), ["1-0", "2-0"]);
    assert_eq!(server.consumers("orders", GROUP).len(), 1);
}
