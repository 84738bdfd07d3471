//! `pending`: what waits where, for eyes, for programs, and as a gate.

mod dead;
mod metrics;
mod names;
mod numbers;
mod tables;
mod watch;

use crate::harness::{Server, Test, wait_until};
use serde_json::{Value, json};

/// `orders` with five entries; group `g` has 1-0 and 2-0 pending at `alice`, 3-0 at `bob`.
fn orders() -> Server {
    let server = Server::start();
    server.add_numbered("orders", 5);
    server.cli(["XGROUP", "CREATE", "orders", "g", "0"]);
    for (consumer, count) in [("alice", "2"), ("bob", "1")] {
        server.cli([
            "XREADGROUP",
            "GROUP",
            "g",
            consumer,
            "COUNT",
            count,
            "STREAMS",
            "orders",
            ">",
        ]);
    }
    server
}

fn pending(server: &Server, args: &[&str]) -> Test {
    Test::new(server).arg("pending").args(args)
}

fn json(server: &Server, args: &[&str]) -> Value {
    let output = pending(server, args).arg("--json").stdout_any().run();
    serde_json::from_slice(&output.stdout).unwrap()
}

/// Checks that `value` is a number and replaces it, since it differs from run to run.
fn level(value: &mut Value) {
    assert!(value.is_u64(), "{value}");
    *value = json!(0);
}

#[test]
fn without_a_stream_all_are_told() {
    let server = orders();
    server.add_numbered("lonely", 1);
    server.cli(["SET", "other", "no stream"]);
    let mut streams = json(&server, &[]);
    let streams = streams.as_array_mut().unwrap();
    streams.sort_by_key(|stream| stream["stream"].to_string());
    let told: Vec<_> = streams.iter().map(|s| (&s["stream"], &s["length"])).collect();
    assert_eq!(told, [(&json!("lonely"), &json!(1)), (&json!("orders"), &json!(5))]);
    assert_eq!(streams[0]["groups"], json!([]));
    assert_eq!(streams[1]["groups"][0]["group"], "g");
}

#[test]
fn a_streams_groups() {
    let server = orders();
    let mut stream = json(&server, &["orders"]);
    level(&mut stream["groups"][0]["oldest_idle_ms"]);
    level(&mut stream["groups"][0]["behind_ms"]);
    let expected = json!({"stream": "orders", "length": 5, "groups": [{
        "group": "g", "consumer_count": 2, "pending": 3, "lag": 2, "lag_is_lower_bound": false,
        "last_delivered_id": "3-0", "behind_ms": 0, "oldest_idle_ms": 0,
    }]});
    assert_eq!(stream, expected);
}

#[test]
fn nothing_pending_has_no_oldest() {
    let server = Server::start();
    server.add_numbered("s", 1);
    server.cli(["XGROUP", "CREATE", "s", "g", "0"]);
    let group = &json(&server, &["s"])["groups"][0];
    assert_eq!(group["oldest_idle_ms"], Value::Null);
    assert_eq!(group["pending"], 0);
}

#[test]
fn a_groups_consumers_and_entries() {
    let server = orders();
    let mut group = json(&server, &["orders", "-g", "g"]);
    for consumer in group["consumers"].as_array_mut().unwrap() {
        level(&mut consumer["idle_ms"]);
        consumer["inactive_ms"] = Value::Null;
    }
    for entry in group["entries"].as_array_mut().unwrap() {
        level(&mut entry["idle_ms"]);
    }
    level(&mut group["oldest_idle_ms"]);
    level(&mut group["behind_ms"]);
    let consumer =
        |name: &str, pending: u64| json!({"consumer": name, "pending": pending, "idle_ms": 0, "inactive_ms": null});
    let entry = |id: &str, consumer: &str| json!({"id": id, "consumer": consumer, "idle_ms": 0, "deliveries": 1});
    let expected = json!({
        "stream": "orders", "group": "g", "pending": 3, "lag": 2, "lag_is_lower_bound": false,
        "behind_ms": 0, "oldest_idle_ms": 0, "consumer_count": 2, "last_delivered_id": "3-0",
        "consumers": [consumer("alice", 2), consumer("bob", 1)],
        "entries": [entry("1-0", "alice"), entry("2-0", "alice"), entry("3-0", "bob")],
    });
    assert_eq!(group, expected);
}

#[test]
fn a_listener_names_the_group() {
    let server = orders();
    server.cli(["XGROUP", "CREATE", "orders", "orders:billing:cg", "0"]);
    let group = json(&server, &["orders", "-l", "billing"]);
    assert_eq!(group["group"], "orders:billing:cg");
    assert_eq!(group["lag"], 5);
}

fn entry_ids(group: &Value) -> Vec<&str> {
    let entries = group["entries"].as_array().unwrap();
    entries.iter().map(|e| e["id"].as_str().unwrap()).collect()
}

#[test]
fn entries_of_one_consumer() {
    let server = orders();
    let group = json(&server, &["orders", "-g", "g", "--consumer", "bob"]);
    assert_eq!(entry_ids(&group), ["3-0"]);
}

#[test]
fn a_table_is_cut_and_json_is_whole() {
    const COUNT: usize = 1500;
    let server = Server::start();
    server.add_numbered("s", COUNT);
    server.cli(["XGROUP", "CREATE", "s", "g", "0"]);
    server.cli(["XREADGROUP", "GROUP", "g", "c", "COUNT", "1500", "STREAMS", "s", ">"]);
    assert_eq!(entry_ids(&json(&server, &["s", "-g", "g"])).len(), COUNT);
    pending(&server, &["s", "-g", "g"])
        .stdout_has(["20-0", "20 of 1500 entries shown; see more with -n 1500"])
        .run();
}

#[test]
fn so_many_entries_at_most() {
    let server = orders();
    let group = json(&server, &["orders", "-g", "g", "-n", "2"]);
    assert_eq!(entry_ids(&group), ["1-0", "2-0"]);
}

#[test]
fn entries_idle_for_long_enough() {
    let server = orders();
    server.cli([
        "XCLAIM", "orders", "g", "alice", "0", "2-0", "IDLE", "3600000", "JUSTID",
    ]);
    let group = json(&server, &["orders", "-g", "g", "--idle", "30m"]);
    assert_eq!(entry_ids(&group), ["2-0"]);
}

#[test]
fn tables_for_eyes() {
    let server = orders();
    pending(&server, &[]).stdout_has(["orders", "g", "5"]).run();
    pending(&server, &["orders"]).stdout_has(["g", "3"]).run();
    pending(&server, &["orders", "-g", "g"])
        .stdout_has(["alice", "bob", "1-0", "2-0", "3-0"])
        .run();
}

#[test]
fn an_empty_server_is_no_error() {
    let server = Server::start();
    assert_eq!(json(&server, &[]), json!([]));
    pending(&server, &[]).stdout_any().stderr_any().run();
}

#[test]
fn gates_pass() {
    let server = orders();
    pending(&server, &["orders", "--max-pending", "3", "--max-idle", "1h"])
        .stdout_has(["g"])
        .run();
    pending(
        &server,
        &["orders", "--max-lag", "2", "--max-pending", "3", "--max-idle", "1h"],
    )
    .stdout_has(["g"])
    .run();
    pending(&server, &["orders", "-g", "g", "--max-lag", "2", "--max-pending", "3"])
        .stdout_has(["alice"])
        .run();
}

#[test]
fn gates_hold() {
    let server = orders();
    let mut idle = false;
    wait_until("an entry to be idle", || {
        idle |= json(&server, &["orders"])["groups"][0]["oldest_idle_ms"].as_u64() > Some(1);
        idle
    });
    let told = if server.tells_lag() { "lag 2" } else { "lag >1" };
    for (gate, bound, actual) in [
        ("--max-lag", "1", told),
        ("--max-pending", "2", "3"),
        ("--max-idle", "1ms", "ms"),
    ] {
        for place in [&["orders"][..], &["orders", "-g", "g"], &[]] {
            pending(&server, place)
                .args([gate, bound])
                .status(4)
                .stdout_has(["g"])
                .stderr_has(["error: ", "g", bound, actual])
                .run();
        }
    }
    let output = pending(&server, &["orders", "--max-lag", "1", "--json"])
        .status(4)
        .stdout_any()
        .stderr_has(["error: "])
        .run();
    let groups: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(groups["groups"][0]["lag"], 2);
}

#[test]
fn looking_changes_nothing() {
    let server = orders();
    let before = server.consumers("orders", "g");
    pending(&server, &["orders", "-g", "g"]).stdout_any().run();
    assert_eq!(server.consumers("orders", "g"), before);
    assert_eq!(server.pending("orders", "g"), ["1-0", "2-0", "3-0"]);
}

/// Runs as a user who may look at the streams of these names alone.
fn as_user(server: &Server, names: &str, args: &[&str]) -> Test {
    server.cli(["ACL", "SETUSER", "eve", "reset", "on", "nopass", names, "+@all"]);
    pending(server, args).args(["--user", "eve"])
}

#[test]
fn what_is_hidden_is_told_and_passes_no_gate() {
    let server = orders();
    server.add_numbered("secret", 1);
    server.add_numbered("hidden", 1);
    as_user(&server, "~orders", &[])
        .stdout_has(["orders"])
        .stderr("warning: this user may not look at 2 streams, not shown: hidden, secret\n")
        .run();
    as_user(&server, "~orders", &["--max-lag", "1000"])
        .status(4)
        .stdout_has(["orders"])
        .stderr(
            "error: this user may not look at 2 streams, not shown: hidden, secret\n\
             hint: grant the user the streams (ACL SETUSER), or name one: redis-streamer pending STREAM\n",
        )
        .run();
    let told = if server.tells_lag() {
        "lag 2 exceeds --max-lag 1"
    } else {
        "lag >1 exceeds --max-lag 1"
    };
    as_user(&server, "~orders", &["--max-lag", "1"])
        .status(4)
        .stdout_has(["orders"])
        .stderr_has(["1 limit exceeded", told, "2 streams, not shown"])
        .run();
    as_user(&server, "~orders", &["orders", "--max-lag", "2"])
        .stdout_any()
        .run();
    as_user(&server, "~none", &["--max-lag", "1"])
        .status(4)
        .stderr_has(["3 streams, not shown: hidden, orders, secret"])
        .run();
    as_user(&server, "~none", &[]).status(1).stderr_has(["NOPERM"]).run();
}

#[test]
fn json_is_written_page_by_page() {
    const COUNT: usize = 25_000;
    let server = Server::start();
    server.add_numbered("s", COUNT);
    server.cli(["XGROUP", "CREATE", "s", "g", "0"]);
    server.cli(["XREADGROUP", "GROUP", "g", "c", "STREAMS", "s", ">"]);
    let group = json(&server, &["s", "-g", "g"]);
    let expected: Vec<_> = (1..=COUNT).map(|n| format!("{n}-0")).collect();
    assert_eq!(entry_ids(&group), expected);
    let group = json(&server, &["s", "-g", "g", "--idle", "1h"]);
    assert_eq!(entry_ids(&group), Vec::<&str>::new());
    // Whoever reads no more ends it, and opens no gate.
    let script = "redis-streamer pending s -g g --json --max-pending 1 | head -c 1";
    let cut = Test::shell(&server, script).status(4).stdout("{");
    cut.stderr_has(["25000 pending exceeds --max-pending 1"]).run();
}

#[test]
fn a_gate_does_not_pass_what_it_was_not_shown() {
    let server = Server::start();
    for stream in ["visible", "secret:1", "secret:2", "secret:3"] {
        server.add_numbered(stream, 2);
        server.cli(["XGROUP", "CREATE", stream, "g", "$"]);
    }
    server.cli(["ACL", "SETUSER", "guest", "on", "nopass", "~visible*", "+@all"]);
    let look = |args: &[&str]| Test::new(&server).args(["--user", "guest", "pending"]).args(args);
    for gate in [
        ["--max-pending", "5"],
        ["--max-idle", "5m"],
        ["--max-lag", "5"],
        ["--max-behind", "5m"],
    ] {
        // What can be seen is within every limit.
        look(&gate)
            .status(4)
            .stdout_has(["visible"])
            .stderr_has(["error: ", "3 streams"])
            .run();
        look(&gate)
            .arg("--json")
            .status(4)
            .stdout_any()
            .stderr_has(["error: ", "3 streams"])
            .run();
        // Nothing is hidden of a stream that is named, nor from who may see all.
        look(&gate).arg("visible").stdout_any().run();
        Test::new(&server).arg("pending").args(gate).stdout_any().run();
    }
    // To look alone is no gate.
    look(&[]).stdout_has(["visible"]).stderr_has(["3 streams"]).run();
}
