//! What `consume --ack manual` printed waits for its acknowledgement, under a name that is not the consumer's.

use crate::harness::{Running, Server, Signal, Test, wait_until};
use crate::middleman::{Middleman, Verdict, is};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

fn stream(count: usize) -> Server {
    let server = Server::start();
    server.add_numbered("s", count);
    server.cli(["XGROUP", "CREATE", "s", "g", "0"]);
    server
}

fn by_hand(server: &Server, args: &str) -> Test {
    let test = Test::new(server).args(["consume", "s", "-g", "g", "--ack", "manual"]);
    test.args(args.split_whitespace())
}

/// A pending entry: its ID, its consumer, its idle time, and how often it was delivered.
type Row = (String, String, u64, u64);

fn rows(server: &Server) -> Vec<Row> {
    let text = server.cli(["XPENDING", "s", "g", "-", "+", "100"]);
    let words: Vec<_> = text.split_whitespace().map(str::to_owned).collect();
    let row = |row: &[String]| {
        (
            row[0].clone(),
            row[1].clone(),
            row[2].parse().unwrap(),
            row[3].parse().unwrap(),
        )
    };
    words.chunks(4).map(row).collect()
}

/// IDs, their consumers, and how often they were delivered.
fn owners(server: &Server) -> Vec<(String, String, u64)> {
    let rows = rows(server).into_iter();
    rows.map(|(id, owner, _, deliveries)| (id, owner, deliveries)).collect()
}

fn owned(rows: &[(&str, &str, u64)]) -> Vec<(String, String, u64)> {
    let row = |(id, owner, deliveries): &(&str, &str, u64)| ((*id).to_owned(), (*owner).to_owned(), *deliveries);
    rows.iter().map(row).collect()
}

/// Ends a consumer that waits, and expects it to end in good order.
fn end(mut consumer: Running) {
    consumer.signal(Signal::TERM);
    let output = consumer.wait();
    assert_eq!((output.status, output.stderr()), (128 + 15, String::new()));
}

#[test]
fn a_consumer_whose_messages_are_acknowledged_elsewhere_leaves_no_name_behind() {
    let server = stream(300);
    let all = "redis-streamer consume s -g g --ack manual -e | redis-streamer ack s -g g -";
    for round in 1..=5_usize {
        Test::shell(&server, all).stdout("300\n").run();
        assert_eq!(server.pending("s", "g"), [""; 0]);
        let names = server.consumers("s", "g");
        assert!(names.iter().all(|name| name == "awaiting-ack"), "{names:?}");
        for n in 1..=300 {
            server.add_message("s", &format!("{}-0", round * 1000 + n), "n", "1");
        }
    }
}

#[test]
fn what_was_printed_keeps_its_age_and_its_count() {
    let server = stream(2);
    server.cli(["XREADGROUP", "GROUP", "g", "dead", "COUNT", "1", "STREAMS", "s", ">"]);
    server.cli([
        "XCLAIM",
        "s",
        "g",
        "dead",
        "0",
        "1-0",
        "IDLE",
        "900000",
        "RETRYCOUNT",
        "4",
        "JUSTID",
    ]);
    let mut consumer = by_hand(&server, "--claim-idle 10m").spawn();
    consumer.line();
    consumer.line();
    let name = owners(&server)[0].1.clone();
    server.cli(["XCLAIM", "s", "g", &name, "0", "1-0", "IDLE", "400000", "JUSTID"]);
    end(consumer);
    assert_eq!(
        owners(&server),
        owned(&[("1-0", "awaiting-ack", 5), ("2-0", "awaiting-ack", 1)])
    );
    let idle: Vec<_> = rows(&server).into_iter().map(|(_, _, idle, _)| idle).collect();
    assert!((400_000..500_000).contains(&idle[0]) && idle[1] < 100_000, "{idle:?}");
    assert_eq!(server.consumers("s", "g"), ["awaiting-ack", "dead"]);
    // It is claimed when it would have been, and not before.
    let claimed = by_hand(&server, "-e --claim-idle 5m").stdout_any().run().stdout();
    assert!(
        claimed.contains(r#""id":"1-0""#) && claimed.contains(r#""deliveries":6"#),
        "{claimed}"
    );
    assert_eq!(claimed.lines().count(), 1);
    by_hand(&server, "-e").run();
}

#[test]
fn what_was_not_printed_is_handed_back_and_what_is_others_stays_theirs() {
    let server = Server::start();
    for (n, name) in ["a", "a", "a", "a", "b", "c", "d"].iter().enumerate() {
        server.add_message("s", &format!("{}-0", n + 1), name, "1");
    }
    server.cli(["XGROUP", "CREATE", "s", "g", "0"]);
    // Matches are rare so far, so more is read at a time than is wanted.
    by_hand(&server, "-n 1 --match b -q").stdout_any().run();
    let left = [
        ("5-0", "awaiting-ack", 1),
        ("6-0", "handed-back", 0),
        ("7-0", "handed-back", 0),
    ];
    assert_eq!(owners(&server), owned(&left));
    let mut consumer = by_hand(&server, "").spawn();
    consumer.line();
    consumer.line();
    server.cli(["XCLAIM", "s", "g", "other", "0", "6-0", "JUSTID"]);
    end(consumer);
    let left = [
        ("5-0", "awaiting-ack", 1),
        ("6-0", "other", 1),
        ("7-0", "awaiting-ack", 1),
    ];
    assert_eq!(owners(&server), owned(&left));
    assert_eq!(server.consumers("s", "g"), ["awaiting-ack", "handed-back", "other"]);
}

#[test]
fn a_given_name_keeps_what_was_printed() {
    let server = stream(2);
    by_hand(&server, "-c till-1 -e").stdout_any().run();
    assert_eq!(owners(&server), owned(&[("1-0", "till-1", 1), ("2-0", "till-1", 1)]));
    assert_eq!(server.consumers("s", "g"), ["till-1"]);
}

#[test]
fn many_are_put_aside() {
    let server = stream(25_000);
    by_hand(&server, "-e").stdout_any().run();
    assert_eq!(server.consumers("s", "g"), ["awaiting-ack"]);
    let pending = server.cli(["XPENDING", "s", "g"]);
    assert_eq!(
        pending.split_whitespace().collect::<Vec<_>>(),
        ["25000", "1-0", "25000-0", "awaiting-ack", "25000"]
    );
}

/// A server at which commands of this name hang without being carried out.
fn hanging(server: &Server, command: &'static str) -> (Middleman, Arc<AtomicBool>) {
    let hangs = Arc::new(AtomicBool::new(false));
    let seen = Arc::clone(&hangs);
    let middleman = Middleman::start(server, move |words| {
        if !is(words, command) {
            return Verdict::Pass;
        }
        seen.store(true, Ordering::SeqCst);
        Verdict::Answer(Vec::new())
    });
    (middleman, hangs)
}

#[test]
fn whoever_is_killed_in_between_loses_nothing() {
    for (command, is_aside) in [("XCLAIM", false), ("XGROUP", true)] {
        let server = stream(3);
        let (middleman, hangs) = hanging(&server, command);
        let mut consumer = by_hand(&server, "-e").args(["-u", &middleman.url()]).spawn();
        for _ in 0..3 {
            consumer.line();
        }
        wait_until("it to leave", || hangs.load(Ordering::SeqCst));
        consumer.kill9();
        let rows = owners(&server);
        assert_eq!(rows.len(), 3);
        for (_, owner, deliveries) in &rows {
            assert_eq!(
                (owner == "awaiting-ack", *deliveries),
                (is_aside, 1),
                "{command}: {rows:?}"
            );
        }
        let ack = Test::new(&server).args(["ack", "s", "-g", "g", "1-0", "2-0"]);
        ack.stdout("2\n").run();
        let again = by_hand(&server, "-e --claim-idle 0s").stdout_any().run().stdout();
        assert!(again.contains(r#""id":"3-0""#) && again.lines().count() == 1, "{again}");
    }
}

#[test]
fn a_lost_answer_changes_nothing() {
    for command in ["XCLAIM", "XGROUP"] {
        let server = stream(3);
        let is_first = AtomicBool::new(true);
        let middleman = Middleman::start(&server, move |words| {
            if is(words, command) && is_first.swap(false, Ordering::SeqCst) {
                return Verdict::Lose;
            }
            Verdict::Pass
        });
        let run = by_hand(&server, "-e").args(["-u", &middleman.url()]);
        assert_eq!(run.stdout_any().stderr_any().run().stdout().lines().count(), 3);
        let left = ["1-0", "2-0", "3-0"].map(|id| (id, "awaiting-ack", 1));
        assert_eq!(owners(&server), owned(&left));
        assert_eq!(server.consumers("s", "g"), ["awaiting-ack"]);
    }
}

#[test]
fn what_a_lost_reply_brought_was_not_printed() {
    let server = stream(3);
    let (is_first, is_closed) = (AtomicBool::new(true), Arc::new(AtomicBool::new(false)));
    let closed = Arc::clone(&is_closed);
    let middleman = Middleman::start(&server, move |words| {
        if closed.load(Ordering::SeqCst) {
            return Verdict::Cut;
        }
        if is(words, "XREADGROUP") && is_first.swap(false, Ordering::SeqCst) {
            closed.store(true, Ordering::SeqCst);
            return Verdict::Lose;
        }
        Verdict::Pass
    });
    let mut consumer = by_hand(&server, "").args(["-u", &middleman.url()]).spawn();
    consumer.wait_stderr("trying again");
    assert_eq!(owners(&server).len(), 3);
    consumer.signal(Signal::TERM);
    is_closed.store(false, Ordering::SeqCst);
    let output = consumer.wait();
    assert_eq!((output.status, output.stdout()), (128 + 15, String::new()));
    let left = ["1-0", "2-0", "3-0"].map(|id| (id, "handed-back", 0));
    assert_eq!(owners(&server), owned(&left));
}

#[test]
fn a_user_who_may_not_claim_leaves_its_name_and_says_so() {
    let server = stream(2);
    server.cli(["ACL", "SETUSER", "default", "-xclaim"]);
    by_hand(&server, "-e")
        .stdout_any()
        .stderr_has(["warning: the consumer g.", "stays in the group"])
        .run();
    let names = server.consumers("s", "g");
    assert_eq!(names.len(), 1);
    let left = ["1-0", "2-0"].map(|id| (id, names[0].as_str(), 1));
    assert_eq!(owners(&server), owned(&left));
}

#[test]
fn what_awaits_its_acknowledgement_is_explained_and_kept() {
    let server = stream(2);
    by_hand(&server, "-e").stdout_any().run();
    let explanation =
        "awaiting-ack: not a consumer, but what others printed (--ack manual) before they ended; ack settles it\n";
    let pending = |args: &str| {
        let test = Test::new(&server).args(["pending", "s", "-g", "g"]);
        test.args(args.split_whitespace())
    };
    pending("").stdout_has([explanation]).run();
    pending("--consumer awaiting-ack").stdout_has([explanation]).run();
    pending("--dead-consumers 1ms")
        .stderr("there are no such consumers\n")
        .run();
    let unsubscribe = |args: &str| {
        let test = Test::new(&server).args(["unsubscribe", "s", "-g", "g"]);
        test.args(args.split_whitespace())
    };
    unsubscribe("-c awaiting-ack")
        .status(1)
        .stderr(
            "error: consumer awaiting-ack of group g on s is not removed: it keeps 2 entries that somebody is to acknowledge\n\
             hint: acknowledge them with ack; --force hands them back, and others get them a second time\n",
        )
        .run();
    assert_eq!(server.pending("s", "g"), ["1-0", "2-0"]);
    // Nobody is at work under that name, however young it is.
    let ack = Test::new(&server).args(["ack", "s", "-g", "g", "1-0"]);
    ack.stdout("1\n").run();
    unsubscribe("-c awaiting-ack --force")
        .stderr("removed consumer awaiting-ack of group g on s; 1 entry handed back to the others\n")
        .run();
    by_hand(&server, "-n 1 --timeout 20s").stdout_any().run();
    let ack = Test::new(&server).args(["ack", "s", "-g", "g", "2-0"]);
    ack.stdout("1\n").run();
    unsubscribe("").stderr("removed group g on s\n").run();
}
