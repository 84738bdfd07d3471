//! LAG where the server does not know it, and BEHIND.

use super::{json, pending};
use crate::harness::{Server, Test};
use serde_json::Value;

/// A stream of so many entries, and a group made in its midst, behind `delivered` of them: no server knows its lag.
fn unknown_lag(count: usize, delivered: usize) -> Server {
    let server = Server::start();
    server.add_numbered("s", count);
    server.cli(["XGROUP", "CREATE", "s", "g", &format!("{delivered}-0")]);
    let info = server.cli(["XINFO", "GROUPS", "s"]);
    assert!(!server.tells_lag() || info.trim_end().ends_with("lag"), "{info}");
    server
}

fn lag(server: &Server, args: &[&str]) -> (Value, Value) {
    let group = json(server, args)["groups"][0].clone();
    (group["lag"].clone(), group["lag_is_lower_bound"].clone())
}

#[test]
fn a_lag_the_server_does_not_know_is_counted() {
    let server = unknown_lag(2500, 2);
    assert_eq!(lag(&server, &["s"]), (json!(2498), json!(false)));
    assert_eq!(json(&server, &["s", "-g", "g"])["lag"], 2498);
    assert_eq!(json(&server, &[])[0]["groups"][0]["lag"], 2498);
    pending(&server, &["s"]).stdout_has(["2498"]).run();
    // What was deleted is not waited for.
    server.cli(["XDEL", "s", "3-0", "2000-0"]);
    assert_eq!(lag(&server, &["s"]), (json!(2496), json!(false)));
    server.cli(["XGROUP", "SETID", "s", "g", "2500-0"]);
    assert_eq!(lag(&server, &["s"]), (json!(0), json!(false)));
}

#[test]
fn a_table_counts_up_to_a_bound() {
    let server = unknown_lag(10_002, 2);
    assert_eq!(lag(&server, &["s"]), (json!(10_000), json!(false)));
    server.cli(["XADD", "s", "20000-0", "k", "v"]);
    assert_eq!(lag(&server, &["s"]), (json!(10_001), json!(true)));
    for args in [&["s"][..], &[], &["s", "-g", "g"]] {
        pending(&server, args).stdout_has([">10000"]).run();
    }
}

#[test]
fn a_gate_counts_one_more_than_it_allows() {
    let server = unknown_lag(3, 2);
    pending(&server, &["s", "--max-lag", "1000"]).stdout_has(["g"]).run();
    pending(&server, &["s", "--max-lag", "1"]).stdout_has(["g"]).run();
    pending(&server, &["s", "--max-lag", "0"])
        .status(4)
        .stdout_has([">0"])
        .stderr_has(["stream s, group g: lag >0 exceeds --max-lag 0"])
        .run();
    server.add("s", "4-0", &[("k", "v")]);
    pending(&server, &["s", "--max-lag", "1"])
        .status(4)
        .stdout_any()
        .stderr_has(["lag >1"])
        .run();
    pending(&server, &["s", "--max-lag", "2"]).stdout_any().run();
    assert_eq!(lag(&server, &["s", "--max-lag", "2"]), (json!(2), json!(false)));
}

#[test]
fn entries_are_counted_in_chunks_and_not_beyond_the_limit() {
    let server = unknown_lag(5000, 2);
    let before = server.calls("xrange");
    pending(&server, &["s", "--max-lag", "1500"])
        .status(4)
        .stdout_any()
        .stderr_any()
        .run();
    assert_eq!(server.calls("xrange") - before, 3);
    // Large entries are asked for a few at a time, and no more of them than a table is worth.
    server.cli(["DEL", "s"]);
    let large = "x".repeat(1024 * 1024);
    for id in 1..=25 {
        server.add("s", &format!("{id}-0"), &[("k", &large)]);
    }
    server.cli(["XGROUP", "CREATE", "s", "g", "2-0"]);
    let (lag, is_bound) = lag(&server, &["s"]);
    assert!(
        is_bound == true && lag.as_u64() >= Some(16) && lag.as_u64() < Some(23),
        "{lag}"
    );
    pending(&server, &["s", "--max-lag", "23"]).stdout_any().run();
}

/// Milliseconds since the epoch, by the server's clock.
fn now(server: &Server) -> u64 {
    let time = server.cli(["TIME"]);
    time.lines().next().unwrap().parse::<u64>().unwrap() * 1000
}

fn behind(server: &Server) -> u64 {
    json(server, &["s"])["groups"][0]["behind_ms"].as_u64().unwrap()
}

#[test]
fn behind_is_the_age_of_the_oldest_entry_not_acknowledged() {
    let server = Server::start();
    let id = |seconds: u64| format!("{}-0", now(&server) - seconds * 1000);
    let (oldest, middle, newest) = (id(3000), id(2000), id(1000));
    for id in [&oldest, &middle, &newest] {
        server.add("s", id, &[("k", "v")]);
    }
    let is_about = |seconds: u64| {
        let found = behind(&server);
        assert!(
            (seconds * 1000..seconds * 1000 + 60_000).contains(&found),
            "{found} is not {seconds} s"
        );
    };
    server.cli(["XGROUP", "CREATE", "s", "g", "0"]);
    is_about(3000);
    let read = |count: &str| server.cli(["XREADGROUP", "GROUP", "g", "c", "COUNT", count, "STREAMS", "s", ">"]);
    read("2");
    is_about(3000);
    // What is pending need not be what was delivered first.
    server.cli(["XACK", "s", "g", &oldest]);
    is_about(2000);
    server.cli(["XACK", "s", "g", &middle]);
    is_about(1000);
    pending(&server, &["s", "--max-behind", "20m"])
        .stdout_has(["BEHIND", "16m"])
        .run();
    for args in [&["s"][..], &[], &["s", "-g", "g"]] {
        pending(&server, args)
            .args(["--max-behind", "16m"])
            .status(4)
            .stdout_any()
            .stderr_has(["stream s, group g: behind 16m ", " exceeds --max-behind 16m"])
            .run();
    }
    // Moved back, it has before it what was acknowledged, and what is pending.
    read("1");
    server.cli(["XGROUP", "SETID", "s", "g", "0"]);
    is_about(3000);
    server.cli(["XGROUP", "SETID", "s", "g", "$"]);
    is_about(1000);
    server.cli(["XACK", "s", "g", &newest]);
    assert_eq!(behind(&server), 0);
    pending(&server, &["s", "--max-behind", "0s"]).stdout_any().run();
}

#[test]
fn an_id_in_the_future_is_no_age() {
    let server = Server::start();
    server.add("s", &format!("{}-0", now(&server) + 3_600_000), &[("k", "v")]);
    server.cli(["XGROUP", "CREATE", "s", "g", "0"]);
    assert_eq!(behind(&server), 0);
}

#[test]
fn a_gate_needs_a_group() {
    let server = Server::start();
    server.add_numbered("s", 3);
    server.add_numbered("p:0", 3);
    server.add_numbered("p:1", 3);
    server.cli(["XGROUP", "CREATE", "p:1", "g", "$"]);
    for gate in [
        ["--max-lag", "9"],
        ["--max-pending", "9"],
        ["--max-behind", "1h"],
        ["--max-idle", "1h"],
    ] {
        pending(&server, &["s"])
            .args(gate)
            .status(4)
            .stdout_any()
            .stderr(
                "error: stream s has no group, so nobody keeps up with it\n\
                 hint: make a group: redis-streamer subscribe s -l NAME\n",
            )
            .run();
        pending(&server, &["p:{0..1}"])
            .args(gate)
            .status(4)
            .stdout_any()
            .stderr_has(["stream p:0 has no group"])
            .run();
        // Streams that were not named need not have one: dead letters do without.
        pending(&server, &[]).args(gate).stdout_any().run();
        pending(&server, &["--glob", "p:?"]).args(gate).stdout_any().run();
        let none = pending(&server, &["--glob", "?"]).args(gate).status(4).stdout_any();
        none.stderr_has(["there is no group"]).run();
    }
    let empty = Server::start();
    pending(&empty, &["--max-lag", "9"])
        .status(4)
        .stderr_has(["there is no group"])
        .run();
}

#[test]
fn a_user_who_may_not_read_sees_what_he_may() {
    let server = unknown_lag(4, 2);
    server.cli([
        "ACL", "SETUSER", "eve", "on", "nopass", "~s", "+@all", "-xrange", "-time",
    ]);
    let as_eve = |args: &[&str]| Test::new(&server).args(["--user", "eve", "pending", "s"]).args(args);
    let shown = as_eve(&["--json"]).stdout_any().run().stdout();
    let shown: Value = serde_json::from_str(&shown).unwrap();
    let group = &shown["groups"][0];
    assert_eq!((&group["lag"], &group["behind_ms"]), (&Value::Null, &Value::Null));
    as_eve(&[]).stdout_has(["?"]).run();
    for gate in [["--max-lag", "9"], ["--max-behind", "1h"]] {
        as_eve(&gate).status(1).stderr_has(["NOPERM", "xrange"]).run();
    }
    as_eve(&["--max-pending", "9"]).stdout_any().run();
}
