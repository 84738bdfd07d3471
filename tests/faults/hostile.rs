//! Servers that answer what no server answers: an error, in bounded time and memory, whatever it is.

use crate::harness::{DEADLINE, Output, Server, Test};
use crate::memory::stays_below;
use crate::middleman::{Middleman, Verdict, has, is};
use std::sync::atomic::{AtomicUsize, Ordering};

/// Some of each verb, with the command whose answer it cannot do without.
const VERBS: [(&str, &str); 8] = [
    ("send s 1 --name n", "XADD"),
    ("send-batch s lines", "XADD"),
    ("subscribe s -g new", "XGROUP"),
    ("consume s --from beginning -e", "XREAD"),
    ("consume s --last 3 -e", "XREVRANGE"),
    ("consume s -g g -e", "XREADGROUP"),
    ("ack s -g g 1-0", "XACK"),
    ("pending", "SCAN"),
];

/// More than the program takes with a server that behaves, and far less than what is sent to it.
const MEBIBYTES: u64 = 200;

fn server() -> Server {
    let server = Server::start();
    server.add_numbered("s", 5);
    server.cli(["XGROUP", "CREATE", "s", "g", "0"]);
    server.file("lines", "{\"name\":\"n\",\"body\":1}\n");
    server
}

/// Runs a verb against a middleman: no crash, no end without an end, little memory.
#[track_caller]
fn run(server: &Server, middleman: &Middleman, verb: &str) -> Output {
    let test = Test::new(server).args(["-u", &middleman.url()]).args(verb.split(' '));
    let output = stays_below(MEBIBYTES, DEADLINE, test.spawn());
    assert!(
        output.status <= 4,
        "{verb}: status {}\n{}",
        output.status,
        output.stderr()
    );
    assert!(!output.stderr().contains("panicked"), "{verb}: {}", output.stderr());
    output
}

/// Every verb is answered like this where it matters, and fails of that.
#[track_caller]
fn all_fail(first: &[u8], rest: &[u8]) {
    let server = server();
    for (verb, command) in VERBS {
        let (first, rest) = (first.to_vec(), rest.to_vec());
        let middleman = Middleman::start(&server, move |words| match is(words, command) {
            true => Verdict::Endless(first.clone(), rest.clone()),
            false => Verdict::Pass,
        });
        let output = run(&server, &middleman, verb);
        assert!([1, 3].contains(&output.status), "{verb}: {}", output.stderr());
        assert!(output.stderr().contains("error: "), "{verb}: {}", output.stderr());
    }
}

#[test]
fn a_value_longer_than_any_is_refused() {
    // One byte more than Redis itself takes.
    all_fail(b"$536870913\r\n", &[b'x'; 65_536]);
    all_fail(b"$9223372036854775807\r\n", &[b'x'; 65_536]);
}

#[test]
fn a_field_longer_than_any_is_refused() {
    let server = server();
    let entry = |head: &str| format!("{head}*1\r\n*2\r\n$3\r\n1-0\r\n*2\r\n$1\r\nk\r\n$536870913\r\n");
    for (verb, command, head) in [
        ("consume s --from beginning -e", "XREAD", "*1\r\n*2\r\n$1\r\ns\r\n"),
        ("consume s -g g -e", "XREADGROUP", "*1\r\n*2\r\n$1\r\ns\r\n"),
        ("consume s --last 3 -e", "XREVRANGE", ""),
    ] {
        let first = entry(head);
        let middleman = Middleman::start(&server, move |words| match is(words, command) {
            true => Verdict::Endless(first.clone().into_bytes(), vec![b'x'; 65_536]),
            false => Verdict::Pass,
        });
        let output = run(&server, &middleman, verb);
        assert_eq!(output.status, 3, "{verb}: {}", output.stderr());
        assert!(output.stderr().contains("does not answer like a Redis server"));
    }
}

#[test]
fn an_array_without_end_is_refused() {
    let many = b":1\r\n".repeat(10_000);
    all_fail(b"*1000000000\r\n", &many);
    all_fail(b"*9223372036854775807\r\n", &many);
}

#[test]
fn endless_depth_is_refused() {
    all_fail(b"", &b"*1\r\n".repeat(10_000));
    all_fail(b"", &b"*2\r\n".repeat(10_000));
}

#[test]
fn a_line_without_end_is_refused() {
    all_fail(b"+", &[b'x'; 65_536]);
    all_fail(b"-ERR ", &[b'x'; 65_536]);
    all_fail(b"*", &[b'1'; 65_536]);
}

#[test]
fn what_is_no_redis_protocol_is_refused() {
    all_fail(b"HTTP/1.1 400 Bad Request\r\n\r\n", b"<html>\r\n");
    all_fail(b"\x15\x03\x03\x00\x02\x02\x46", b"\0");
    all_fail(b"\r\n", b"\r\n");
}

#[test]
fn a_scan_that_never_ends_is_given_up() {
    let server = server();
    // The cursor stands still; or it goes round.
    for cursors in [1, 3] {
        let count = AtomicUsize::new(0);
        let middleman = Middleman::start(&server, move |words| {
            let cursor = 1 + count.fetch_add(1, Ordering::SeqCst) % cursors;
            match is(words, "SCAN") {
                true => Verdict::Answer(format!("*2\r\n$1\r\n{cursor}\r\n*1\r\n$1\r\ns\r\n").into_bytes()),
                false => Verdict::Pass,
            }
        });
        let output = run(&server, &middleman, "pending");
        assert!([1, 3].contains(&output.status), "{}", output.stderr());
    }
}

/// A reply to XREADGROUP that holds these entries of `s`.
fn entries(ids: &[&str]) -> String {
    let mut reply = format!("*1\r\n*2\r\n$1\r\ns\r\n*{}\r\n", ids.len());
    for id in ids {
        reply += &format!(
            "*2\r\n${}\r\n{id}\r\n*4\r\n$4\r\nname\r\n$1\r\nn\r\n$4\r\nbody\r\n$1\r\n1\r\n",
            id.len()
        );
    }
    reply
}

#[test]
fn an_own_entry_that_comes_again_and_again_is_refused() {
    for verb in ["consume s -g g -c me -e", "consume s -g g -c me -e -- true"] {
        let server = server();
        server.command(["XREADGROUP", "GROUP", "g", "me", "COUNT", "1", "STREAMS", "s", ">"]);
        let middleman = Middleman::start(&server, |words| {
            // A read of what is pending names an ID: the same entry is always behind it.
            let own = is(words, "XREADGROUP") && !has(words, ">");
            match own {
                true => Verdict::Answer(entries(&["1-0"]).into_bytes()),
                false => Verdict::Pass,
            }
        });
        let output = run(&server, &middleman, verb);
        if output.status == 0 {
            // It may know better than to ask for what it has had.
            assert!(output.stdout().lines().count() <= 5, "{}", output.stdout());
        }
    }
}

#[test]
fn a_claim_that_never_ends_is_given_up() {
    let server = server();
    let middleman = Middleman::start(&server, |words| match is(words, "XAUTOCLAIM") {
        true => Verdict::Answer(b"*3\r\n$3\r\n2-0\r\n*0\r\n*0\r\n".to_vec()),
        false => Verdict::Pass,
    });
    run(&server, &middleman, "consume s -g g -e --claim-idle 1m");
}

#[test]
fn more_than_was_asked_for_is_no_crash() {
    let reply = entries(&["1-0", "2-0", "3-0", "4-0", "5-0"]);
    let rows = reply.strip_prefix("*1\r\n*2\r\n$1\r\ns\r\n").unwrap().to_owned();
    for (verb, command, most) in [
        ("consume s --last 2 -e", "XREVRANGE", 5),
        ("consume s --from beginning -n 2 --count 2", "XREAD", 2),
        ("consume s -g g -n 2", "XREADGROUP", 2),
        ("consume s -g g -n 2 --ack read", "XREADGROUP", 2),
    ] {
        let server = server();
        let answer = if command == "XREVRANGE" {
            rows.clone()
        } else {
            reply.clone()
        };
        let middleman = Middleman::start(&server, move |words| match is(words, command) {
            true => Verdict::Answer(answer.clone().into_bytes()),
            false => Verdict::Pass,
        });
        let output = run(&server, &middleman, verb);
        assert!(output.stdout().lines().count() <= most, "{verb}: {}", output.stdout());
    }
}

#[test]
fn an_answer_of_another_shape_is_no_crash() {
    let shapes: [&[u8]; 9] = [
        b"+OK\r\n",
        b":1\r\n",
        b":-9223372036854775808\r\n",
        b"$-1\r\n",
        b"$0\r\n\r\n",
        b"*-1\r\n",
        b"*0\r\n",
        b"*1\r\n*1\r\n*0\r\n",
        b"*2\r\n$1\r\n0\r\n*1\r\n:7\r\n",
    ];
    for shape in shapes {
        let server = server();
        for (verb, command) in VERBS {
            let shape = shape.to_vec();
            let middleman = Middleman::start(&server, move |words| match is(words, command) {
                true => Verdict::Answer(shape.clone()),
                false => Verdict::Pass,
            });
            run(&server, &middleman, verb);
        }
    }
}
