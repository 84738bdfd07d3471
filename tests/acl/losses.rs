//! What is needed and used after a lost connection, and what becomes of the work where a right is missing.

use super::{
    AS_OF_NOW, GONE, LOST_IDS, MARKER, MEMBER, SENT_IDS, assert_hint, denied, extras, grant, rights, three, unlisted,
    without,
};
use crate::harness::{End, Fate, OOM, Output, Proxy, Refusal, Server, Signal, Test, wait_until};

/// The rows that are for lost connections alone.
pub const ROWS: [&str; 3] = [LOST_IDS, GONE, LOST_RESERVATION];

const LOST_RESERVATION: &str = "consume in a group — --dedup, after a lost connection";

/// How many lines are sent: a few batches.
const LINES: usize = 3000;

/// Lines that are messages with an ID.
pub fn input(server: &Server) {
    let lines = (1..=LINES).map(|n| format!("{{\"id\":\"{n}-0\",\"name\":\"n\",\"body\":{n}}}\n"));
    server.file("input.jsonl", lines.collect::<String>());
}

/// Sends the input as a user with these rights, over a connection that is cut.
pub fn send(server: &Server, words: &[String], args: &[&str]) -> Output {
    send_over(server, words, Fate::Landed(60_000, End::Fin), args)
}

/// Sends the input as a user with these rights, over a connection of this fate.
pub fn send_over(server: &Server, words: &[String], fate: Fate, args: &[&str]) -> Output {
    server.cli(["FLUSHALL"]);
    for file in ["c", "r"] {
        let _ = std::fs::remove_file(server.work().join(file));
    }
    grant(server, words);
    let proxy = Proxy::start(server.socket(), [fate]);
    let url = proxy.url();
    let run = Test::new(server).args(["-u", &url, "--user", "eve", "send-batch", "s", "input.jsonl"]);
    let output = run.args(args).spawn().wait();
    assert_eq!(proxy.cuts(), 1);
    // What is late must not meet the next run.
    proxy.settle();
    output
}

fn assert_all_sent(server: &Server, output: &Output) {
    assert_eq!(output.status, 0, "{}", output.stderr());
    let bodies: Vec<_> = (1..=LINES).map(|n| n.to_string()).collect();
    assert_eq!(server.bodies("s"), bodies);
}

/// Nothing was asked for beyond what is listed.
#[track_caller]
pub fn assert_listed(server: &Server, label: &str) {
    assert_eq!(unlisted(server, label), [""; 0]);
}

#[test]
fn sending_over_a_lost_connection_needs_what_is_listed() {
    let server = Server::start();
    input(&server);
    let uses: [(&[&str], &[&str]); 7] = [
        (&[], &[]),
        (&["--ids"], &[SENT_IDS, LOST_IDS]),
        (&["--receipts", "r"], &[SENT_IDS, LOST_IDS]),
        (&["--keep-ids"], &[LOST_IDS]),
        (&["--checkpoint", "c"], &[SENT_IDS]),
        (&["--maxlen", "100000"], &["send-batch — --maxlen"]),
        (&["--retention", "1h"], &["send-batch — --retention"]),
    ];
    for (args, rows) in uses {
        let words = rights(&[&["send-batch", MARKER], rows].concat());
        let output = send(&server, &words, args);
        assert_all_sent(&server, &output);
        assert_listed(&server, "send-batch");

        let all = [words.clone(), extras("send-batch")].concat();
        assert_all_sent(&server, &send(&server, &all, args));
        assert_eq!(denied(&server), [].into(), "{args:?}");

        for word in rows
            .iter()
            .filter(|row| **row == LOST_IDS)
            .flat_map(|row| rights(&[row]))
        {
            let output = send(&server, &without(&words, &word), args);
            assert_eq!(output.status, 1, "{args:?}: {}", output.stderr());
            assert_hint(&output.stderr(), &word);
        }
    }
}

#[test]
fn sending_without_the_right_to_a_marker() {
    let server = Server::start();
    input(&server);
    let marker = rights(&[MARKER]);
    let mut all = rights(&["send-batch", MARKER]);
    all.push("+del".to_owned());
    for word in &marker {
        let words = without(&all, word);
        let output = send(&server, &words, &["-v"]);
        assert_eq!(output.status, 1, "{word}: {}", output.stderr());
        for part in [
            "the server lets this user set no marker (NOPERM",
            "input.jsonl:",
            "--on-ambiguous repeat",
        ] {
            assert!(output.stderr().contains(part), "{word}: {part}: {}", output.stderr());
        }
        // A connection that lasts leaves no doubt.
        server.cli(["FLUSHALL"]);
        let run = Test::new(&server).args(["--user", "eve", "-v", "send-batch", "s", "input.jsonl"]);
        let output = run.spawn().wait();
        assert_all_sent(&server, &output);
        let told = "the server lets this user set no marker (NOPERM";
        assert!(output.stderr().contains(told), "{word}: {}", output.stderr());
        assert_eq!(server.cli(["KEYS", "redis-streamer:*"]), "", "{word}");
    }
}

/// How often the server has refused something like this.
fn refusals(server: &Server, refusal: Refusal) -> usize {
    let stats = server.cli(["INFO", "errorstats"]);
    let start = format!("errorstat_{}:count=", refusal.code);
    let count = stats.lines().find_map(|line| line.strip_prefix(&start));
    count.map_or(0, |count| count.trim().parse().unwrap())
}

#[test]
fn without_a_marker_a_bad_line_is_rejected_once_however_often_the_next_is_refused() {
    let server = Server::start();
    server.file(
        "input.txt",
        "{\n{\"name\":\"n\",\"body\":1}\n{\n{\"name\":\"n\",\"body\":2}\n",
    );
    grant(&server, &rights(&["send-batch"]));
    server.refuse(OOM);
    let arguments = "--user eve send-batch s input.txt --on-reject skip --rejects rejects --reconnect-for 30s";
    let mut sending = Test::new(&server).args(arguments.split(' ')).spawn();
    sending.wait_stderr("OOM");
    wait_until("several refusals", || refusals(&server, OOM) > 3);
    server.mend(OOM);
    let output = sending.wait();
    assert_eq!(output.status, 1, "{}", output.stderr());
    assert_eq!(server.bodies("s"), ["1", "2"]);
    assert_eq!(server.read("rejects").lines().count(), 2, "{}", server.read("rejects"));
}

#[test]
fn a_marker_that_may_not_be_deleted_expires() {
    let server = Server::start();
    for (words, left) in [
        (rights(&["send-batch", MARKER]), 1),
        ([rights(&["send-batch", MARKER]), extras("send-batch")].concat(), 0),
    ] {
        server.cli(["FLUSHALL"]);
        grant(&server, &words);
        let run = Test::new(&server).args(["--user", "eve", "send-batch", "s", "--name", "n"]);
        run.stdin("1\n").stderr_any().run();
        let markers = server.cli(["KEYS", "redis-streamer:producer:*"]);
        assert_eq!(markers.lines().count(), left, "{words:?}");
        for marker in markers.lines() {
            assert!(server.cli(["TTL", marker]).parse::<i64>().unwrap() > 600_000);
        }
    }
}

/// Somebody deletes the marker before the next connection looks at it.
#[test]
fn a_marker_that_is_gone() {
    let server = Server::start();
    input(&server);
    let words = rights(&["send-batch", MARKER, GONE]);
    let run = |words: &[String]| {
        server.cli(["FLUSHALL"]);
        grant(&server, words);
        let other = server.client();
        let delete = move || {
            let script = "for _, key in ipairs(redis.call('KEYS', 'redis-streamer:producer:*')) do \
                          redis.call('DEL', key) end";
            other.command(["EVAL", script, "0"]);
        };
        // The first batches are answered, the next are not.
        let proxy = Proxy::start(server.socket(), [Fate::Reply(80_000, End::Fin)]).at_cut(delete);
        let url = proxy.url();
        let run = Test::new(&server).args(["-u", &url, "--user", "eve", "send-batch", "s", "input.jsonl"]);
        let output = run.args(["--rate", "20000"]).spawn().wait();
        assert_eq!(proxy.cuts(), 1);
        output
    };
    let output = run(&words);
    assert_eq!(output.status, 1, "{}", output.stderr());
    assert!(output.stderr().contains("marker"), "{}", output.stderr());
    assert!(!output.stderr().contains("NOPERM"), "{}", output.stderr());
    assert_listed(&server, "send-batch");
    for word in rights(&[GONE]) {
        let output = run(&without(&words, &word));
        assert_eq!(output.status, 1, "{word}: {}", output.stderr());
        assert_hint(&output.stderr(), &word);
    }
}

/// Consumes as a user with these rights, over connections that meet these fates.
pub fn consume(server: &Server, words: &[String], fates: Vec<Fate>, args: &[&str]) -> Output {
    three(server);
    grant(server, words);
    let proxy = Proxy::start(server.socket(), fates);
    let url = proxy.url();
    let run = Test::new(server).args(["-u", &url, "--user", "eve", "consume", "s", "-g", "g", "-e"]);
    let output = run.args(args).spawn().wait();
    assert_eq!(proxy.cuts(), 1);
    // What is late must not meet the next run.
    proxy.settle();
    output
}

#[test]
fn consuming_over_a_lost_connection_needs_what_is_listed() {
    let server = Server::start();
    let words = rights(&[MEMBER, AS_OF_NOW]);
    let cut = || vec![Fate::Unanswered(b"XREADGROUP", End::Fin)];
    let output = consume(&server, &words, cut(), &["--block", "100ms"]);
    assert_eq!(output.status, 0, "{}", output.stderr());
    assert_eq!(output.stdout().lines().count(), 2, "{}", output.stdout());
    assert_listed(&server, MEMBER);
    let stays = "does not let this user close an old connection";
    assert!(output.stderr().contains(stays), "{}", output.stderr());
    assert_eq!(server.consumers("s", "g").len(), 2);

    let all = [words, extras(MEMBER)].concat();
    let output = consume(&server, &all, cut(), &[]);
    assert_eq!(output.status, 0, "{}", output.stderr());
    assert_eq!(output.stdout().lines().count(), 2, "{}", output.stdout());
    assert_eq!(denied(&server), [].into());
    assert_eq!(server.consumers("s", "g"), ["dead"]);
}

#[test]
fn a_lost_reservation_needs_what_is_listed() {
    let server = Server::start();
    let words = rights(&[MEMBER, AS_OF_NOW, "consume in a group — --dedup", LOST_RESERVATION]);
    // The ledger has a connection of its own.
    let cut = || vec![Fate::Spared, Fate::Unanswered(b"ZADD", End::Fin)];
    let output = consume(&server, &words, cut(), &["--dedup"]);
    assert_eq!(output.status, 0, "{}", output.stderr());
    assert_eq!(output.stdout().lines().count(), 2, "{}", output.stdout());
    assert_listed(&server, MEMBER);
    for word in rights(&[LOST_RESERVATION]) {
        let output = consume(&server, &without(&words, &word), cut(), &["--dedup"]);
        assert_eq!(output.status, 1, "{word}: {}", output.stderr());
        assert_hint(&output.stderr(), &word);
    }
}

/// Without CLIENT and INFO a signal need not wait for the answer; without XGROUP DELCONSUMER the name stays.
#[test]
fn a_member_that_waits_ends_at_once() {
    let server = Server::start();
    three(&server);
    grant(&server, &rights(&[MEMBER]));
    let run = Test::new(&server).args(["--user", "eve", "consume", "s", "-g", "g", "--block", "1h"]);
    let mut running = run.spawn();
    running.line();
    running.line();
    let asked = std::time::Instant::now();
    running.signal(Signal::TERM);
    let output = running.wait();
    assert!(
        asked.elapsed() < std::time::Duration::from_secs(3),
        "{:?}",
        asked.elapsed()
    );
    assert_eq!(output.status, 143, "{}", output.stderr());
    assert!(output.stderr().contains("stays in the group"), "{}", output.stderr());
    assert!(output.stderr().contains("xgroup|delconsumer") || output.stderr().contains("'xgroup'"));
    assert_eq!(server.pending("s", "g"), ["1-0"]);
    assert_listed(&server, MEMBER);
}

/// What may be done of a transaction is of no use if it may not be ended.
#[test]
fn a_dead_letter_with_half_a_transaction() {
    let server = Server::start();
    let words = rights(&[MEMBER, AS_OF_NOW, "consume in a group — --dead-letter"]);
    let halves: [(&[&str], usize); 6] = [
        (&["+multi", "+exec", "+watch", "+xlen"], 2),
        (&["+multi", "+exec", "+xlen"], 2),
        (&["+exec"], 2),
        (&["+multi"], 2),
        (&["+multi", "+xlen"], 2),
        (&["+multi", "+watch", "+xlen"], 0),
    ];
    for (more, added) in halves {
        three(&server);
        let more = more.iter().map(|word| (*word).to_owned());
        grant(&server, &words.iter().cloned().chain(more).collect::<Vec<_>>());
        let run = Test::new(&server).args(["--user", "eve", "consume", "s", "-g", "g", "-e"]);
        let run = run.args(["--max-deliveries", "1", "--dead-letter", "dl", "--", "false"]);
        let output = run.spawn().wait();
        assert_eq!(output.status, 1, "{}", output.stderr());
        assert_eq!(server.entries("dl").len(), added, "{}", output.stderr());
        if added == 0 {
            assert_hint(&output.stderr(), "+exec");
            assert_eq!(server.pending("s", "g"), ["1-0", "2-0", "3-0"]);
        }
    }
}

/// A transaction would acknowledge the message although its letter cannot be added.
#[test]
fn dead_letters_that_may_not_be_looked_at() {
    let server = Server::start();
    let mut words = rights(&[MEMBER, AS_OF_NOW, "consume in a group — --dead-letter"]);
    words.extend(["+multi", "+exec", "+watch"].map(str::to_owned));
    three(&server);
    server.cli(["SET", "dl", "no stream"]);
    grant(&server, &words);
    let run = Test::new(&server).args(["--user", "eve", "consume", "s", "-g", "g", "-e"]);
    let run = run.args(["--max-deliveries", "1", "--dead-letter", "dl", "--", "false"]);
    run.status(1).stderr_has(["key 'dl' is not a stream"]).run();
    assert_eq!(server.pending("s", "g"), ["1-0", "2-0", "3-0"]);
}
