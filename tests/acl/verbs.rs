//! Each verb, on a server that is not lost.

use super::{AS_OF_NOW, Case, MEMBER, SENT_IDS, needed, three};
use crate::harness::Server;
use std::collections::BTreeSet;

fn sending() -> Vec<Case> {
    let batch = |labels, args| Case::new(labels, args).stdin("1\n2\n");
    vec![
        Case::new(&["send"], &["send", "s", "1", "--name", "n"]),
        Case::new(&["send"], &["send", "s", "1", "--name", "n", "--no-create"]),
        Case::new(&["send"], &["send", "s", "1", "--name", "n", "--maxlen", "2"]),
        Case::new(
            &["send", "send — --retention"],
            &["send", "s", "1", "--name", "n", "--retention", "1h"],
        ),
        Case::new(
            &["send", "a URL with a database (/1)"],
            &["send", "s", "1", "--name", "n", "-u", "redis://…/1"],
        ),
        Case::new(
            &["send", "send — --wait-replicas"],
            &["send", "s", "1", "--name", "n", "--wait-replicas", "1"],
        ),
        Case::new(
            &["send", "send — --fsync"],
            &["send", "s", "1", "--name", "n", "--fsync", "--wait-replicas", "1"],
        )
        .needs("WAITAOF"),
        batch(&["send-batch"], &["send-batch", "s", "--name", "n"]),
        batch(
            &["send-batch", "send-batch — --wait-replicas"],
            &["send-batch", "s", "--name", "n", "--wait-replicas", "1"],
        ),
        batch(
            &["send-batch", "send-batch — --fsync"],
            &["send-batch", "s", "--name", "n", "--fsync"],
        )
        .needs("WAITAOF"),
        batch(&["send-batch", SENT_IDS], &["send-batch", "s", "--name", "n", "--ids"]),
        batch(
            &["send-batch", SENT_IDS],
            &["send-batch", "s", "--name", "n", "--receipts", "r"],
        ),
        batch(
            &["send-batch", "send-batch — --maxlen"],
            &["send-batch", "s", "--name", "n", "--maxlen", "1"],
        ),
        batch(
            &["send-batch", "send-batch — --retention"],
            &["send-batch", "s", "--name", "n", "--retention", "1h"],
        ),
        Case::new(&["send-batch"], &["send-batch", "--keep-streams"])
            .stdin("{\"stream\":\"s\",\"name\":\"n\",\"body\":1}\n")
            // Without it the line is rejected, and the hint is about that.
            .untested(&["~s"]),
        Case::new(&["send-batch"], &["send-batch", "s", "--keep-ids"])
            .stdin("{\"id\":\"7-0\",\"name\":\"n\",\"body\":1}\n"),
    ]
}

fn reading() -> Vec<Case> {
    vec![
        Case::new(&["subscribe"], &["subscribe", "s", "-g", "new"]),
        Case::new(
            &["subscribe", "subscribe — --reset"],
            &["subscribe", "s", "-g", "g", "--reset", "--from", "beginning"],
        ),
        Case::new(
            &[
                "subscribe",
                "subscribe — --reset",
                "subscribe — --reset, to an ID or a time",
            ],
            &["subscribe", "s", "-g", "g", "--reset", "--from", "2-0"],
        ),
        Case::new(
            &["subscribe", "subscribe — --to-group"],
            &["subscribe", "s", "-g", "new", "--to-group", "g"],
        ),
        Case::new(
            &["subscribe", "subscribe — --dry-run"],
            &["subscribe", "s", "-g", "g", "--dry-run"],
        ),
        Case::new(
            &["subscribe", "subscribe — --from -15m"],
            &["subscribe", "s", "-g", "new", "--from", "-15m"],
        ),
        Case::new(
            &["consume without a group"],
            &["consume", "s", "--from", "beginning", "-e"],
        ),
        Case::new(
            &["consume without a group"],
            &["consume", "s", "--from", "beginning", "-n", "3"],
        ),
        Case::new(
            &["subscribe", "subscribe — --glob"],
            &["subscribe", "s", "--glob", "-g", "new"],
        ),
        Case::new(
            &["consume without a group", "consume without a group — --glob"],
            &["consume", "s", "--glob", "--from", "beginning", "-e"],
        ),
        Case::new(
            &["consume without a group", "consume without a group — --last"],
            &["consume", "s", "--last", "2", "-e"],
        ),
        Case::new(
            &[
                "consume without a group",
                "consume without a group — --from -15m, --to -1m",
            ],
            &["consume", "s", "--from", "-15m", "-e"],
        ),
        Case::new(
            &[
                "consume without a group",
                "consume without a group — --from -15m, --to -1m",
            ],
            &["consume", "s", "--from", "beginning", "--to", "-1m"],
        ),
    ]
}

fn unsubscribing() -> Vec<Case> {
    let read = |server: &Server| {
        three(server);
        server.cli(["XGROUP", "DESTROY", "s", "g"]);
        server.cli(["XGROUP", "CREATE", "s", "g", "$"]);
        server.cli(["ZADD", "stream:s:group:g:processed", "1", "1-0"]);
    };
    vec![
        Case::new(&["unsubscribe"], &["unsubscribe", "s", "-g", "g"]).set_up(read),
        Case::new(&["unsubscribe --force"], &["unsubscribe", "s", "-g", "g", "--force"]),
        Case::new(
            &["unsubscribe --consumer"],
            &["unsubscribe", "s", "-g", "g", "-c", "dead", "--force"],
        ),
    ]
}

fn consuming() -> Vec<Case> {
    let no_group = |server: &Server| {
        three(server);
        server.cli(["XGROUP", "DESTROY", "s", "g"]);
    };
    let gone = |server: &Server| {
        three(server);
        server.cli(["XDEL", "s", "1-0"]);
    };
    let member = |labels, args| Case::new(labels, args);
    vec![
        member(&[MEMBER], &["consume", "s", "-g", "g", "-n", "3", "--claim-idle", "0s"]),
        member(
            &[MEMBER],
            &["consume", "s", "-g", "g", "-n", "3", "--claim-idle", "0s", "--", "cat"],
        ),
        member(
            &[MEMBER, EXCLUSIVE],
            &[
                "consume",
                "s",
                "-g",
                "g",
                "-n",
                "4",
                "--timeout",
                "500ms",
                "--exclusive",
            ],
        )
        .status(4),
        member(
            &[MEMBER, EXCLUSIVE],
            &["consume", "s", "-g", "g", "-n", "3", "--exclusive", "--", "cat"],
        )
        .untested(&["+xread"]),
        member(
            &[MEMBER, AS_OF_NOW, EXCLUSIVE, "consume in a group — --exclusive -e"],
            &["consume", "s", "-g", "g", "-e", "--exclusive"],
        ),
        member(&[MEMBER, AS_OF_NOW], &["consume", "s", "-g", "g", "-e"]),
        member(
            &[MEMBER, AS_OF_NOW, "consume in a group — --delete"],
            &["consume", "s", "-g", "g", "-e", "--delete"],
        ),
        member(
            &[MEMBER, AS_OF_NOW],
            &["consume", "s", "-g", "g", "-e", "--ack", "manual"],
        ),
        member(
            &[MEMBER, AS_OF_NOW, "consume in a group — --glob"],
            &["consume", "s", "--glob", "-g", "g", "-e"],
        ),
        // Handed back.
        member(&[MEMBER, AS_OF_NOW], &["consume", "s", "-g", "g", "-e", "--", "false"]).status(1),
        member(
            &[
                MEMBER,
                AS_OF_NOW,
                "consume in a group — entries that are gone, or that another consumer took",
            ],
            &["consume", "s", "-g", "g", "-e", "--claim-idle", "0s"],
        )
        .set_up(gone),
        member(
            &[MEMBER, AS_OF_NOW, "consume in a group — --on-nogroup"],
            &["consume", "s", "-g", "g", "-e", "--on-nogroup", "beginning"],
        )
        .set_up(no_group),
        member(
            &[MEMBER, AS_OF_NOW, DEDUP],
            &["consume", "s", "-g", "g", "-e", "--dedup"],
        )
        .untested(&["+zrem"]),
        member(
            &[MEMBER, AS_OF_NOW, DEDUP],
            &["consume", "s", "-g", "g", "-e", "--dedup", "--", "false"],
        )
        .status(1),
        member(
            &[MEMBER, AS_OF_NOW, "consume in a group — --dead-letter"],
            &[
                "consume",
                "s",
                "-g",
                "g",
                "-e",
                "--max-deliveries",
                "1",
                "--dead-letter",
                "dl",
                "--",
                "false",
            ],
        )
        .status(1),
        member(
            &["consume in a group, --ack read"],
            &["consume", "s", "-g", "g", "-n", "2", "--ack", "read"],
        ),
    ]
}

fn looking() -> Vec<Case> {
    // Nobody has had anything, and the server does not know how much there is.
    let in_the_midst = |server: &Server| {
        three(server);
        server.cli(["XGROUP", "DESTROY", "s", "g"]);
        server.cli(["XGROUP", "CREATE", "s", "g", "2-0"]);
    };
    vec![
        Case::new(&["ack"], &["ack", "s", "-g", "g", "1-0"]),
        Case::new(
            &["ack", "ack — none of the entries was pending"],
            &["ack", "s", "-g", "g", "9-9"],
        ),
        Case::new(&["ack", "ack — --delete"], &["ack", "s", "-g", "g", "--delete", "1-0"]),
        Case::new(&["nack"], &["nack", "s", "-g", "g", "1-0"]),
        Case::new(
            &["nack", "nack — --dead-letter"],
            &["nack", "s", "-g", "g", "1-0", "--dead-letter", "dl", "--reason", "r"],
        )
        .untested(&["+xack"]),
        Case::new(&["pending"], &["pending"]),
        Case::new(&["pending"], &["pending", "--json"]),
        Case::new(&["pending"], &["pending", "--max-pending", "9", "--max-idle", "1h"]).untested(&[
            "~s",
            "+xlen",
            "+xinfo|groups",
        ]),
        Case::new(&["pending STREAM"], &["pending", "s"]),
        Case::new(&["pending STREAM"], &["pending", "s", "--json", "--max-pending", "9"]),
        Case::new(
            &[
                "pending STREAM",
                "pending STREAM — --max-lag, where the server does not know it",
            ],
            &["pending", "s", "--max-lag", "9"],
        )
        .set_up(in_the_midst),
        Case::new(
            &["pending STREAM", "pending STREAM — --max-behind"],
            &["pending", "s", "--max-behind", "90000d"],
        )
        .set_up(in_the_midst),
        Case::new(
            &["pending STREAM", "pending STREAM — --dead-consumers"],
            &["pending", "s", "--dead-consumers", "1h"],
        ),
        Case::new(&["pending STREAM of a group"], &["pending", "s", "-g", "g"]),
        Case::new(
            &["pending STREAM of a group"],
            &["pending", "s", "-g", "g", "--json", "--max-idle", "1h"],
        ),
    ]
}

fn redriving() -> Vec<Case> {
    const KEYS: &[&str] = &["~redis-streamer:redrive*"];
    let held = |server: &Server| {
        letter(server);
        let key = "redis-streamer:redrive:{dl}:dl";
        server.cli(["SET", key, "somebody", "PX", "3000"]);
    };
    let redrive = |labels, args| Case::new(labels, args).set_up(letter);
    vec![
        redrive(&["redrive"], &["redrive", "dl"]).untested(KEYS),
        redrive(&["redrive"], &["redrive", "dl", "--to", "s", "--json"]).untested(KEYS),
        redrive(
            &["redrive", "redrive — --from -15m, --before -15m"],
            &["redrive", "dl", "--from", "-15m"],
        ),
        // A single server has no other slots.
        redrive(
            &["redrive", "redrive — to other slots of a cluster"],
            &["redrive", "dl"],
        )
        .untested(&["+sadd", "+srem"]),
        redrive(
            &["redrive", "redrive — another one is at work, or was killed"],
            &["redrive", "dl"],
        )
        .set_up(held),
    ]
}

fn trimming() -> Vec<Case> {
    vec![
        Case::new(&["trim --maxlen, --before"], &["trim", "s", "--maxlen", "1"]),
        Case::new(&["trim --maxlen, --before"], &["trim", "s", "--before", "2-0"]),
        Case::new(&["trim --retention"], &["trim", "s", "--retention", "1h"]),
        Case::new(&["trim --acked"], &["trim", "s", "--acked", "--json"]),
        Case::new(&["trim --dry-run"], &["trim", "s", "--before", "2-0", "--dry-run"]),
    ]
}

/// A dead letter besides.
pub(super) fn letter(server: &Server) {
    three(server);
    server.add("dl", "*", &[("name", "n"), ("body", "1"), ("dead-stream", "s")]);
}

const EXCLUSIVE: &str = "consume in a group — --exclusive";
const DEDUP: &str = "consume in a group — --dedup";

#[test]
fn sending_needs_what_is_listed() {
    let server = Server::options().tcp4().append_only().start();
    let replica = Server::options().append_only().replica_of(&server).start();
    replica.wait_in_sync(&server);
    server.wait_replicates();
    for case in &sending() {
        case.check(&server);
    }
}

#[test]
fn reading_needs_what_is_listed() {
    check(&reading());
}

#[test]
fn consuming_in_a_group_needs_what_is_listed() {
    check(&consuming());
}

#[test]
fn unsubscribing_needs_what_is_listed() {
    check(&unsubscribing());
}

#[test]
fn looking_and_acknowledging_need_what_is_listed() {
    check(&looking());
}

#[test]
fn redriving_and_trimming_need_what_is_listed() {
    check(&redriving());
    check(&trimming());
}

fn check(cases: &[Case]) {
    let server = Server::options().tcp4().start();
    for case in cases {
        case.check(&server);
    }
}

/// No row is there that no test is for.
#[test]
fn every_row_is_tested() {
    let cases = [
        sending(),
        reading(),
        unsubscribing(),
        consuming(),
        looking(),
        redriving(),
        trimming(),
    ]
    .into_iter()
    .flatten();
    let mut tested: BTreeSet<_> = cases.flat_map(|case| case.labels.to_vec()).collect();
    tested.extend(super::losses::ROWS);
    let rows: BTreeSet<_> = needed().into_iter().map(|row| row.label).collect();
    let rows: BTreeSet<_> = rows.iter().map(String::as_str).collect();
    assert_eq!(rows, tested);
}
