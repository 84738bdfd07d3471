//! `subscribe`: groups where there were none, and those that are left as they are.

use crate::harness::{Server, Test};
use std::time::{SystemTime, UNIX_EPOCH};

/// The one group of stream `s`: its name and where it stands.
fn group(server: &Server) -> (String, String) {
    let [group] = server.groups("s").try_into().unwrap();
    group
}

#[test]
fn creates_group_and_stream() {
    let server = Server::start();
    Test::new(&server)
        .args(["subscribe", "s", "-g", "readers"])
        .stderr("created group readers on s, from latest\n")
        .run();
    assert_eq!(group(&server), ("readers".into(), "0-0".into()));
    assert_eq!(server.cli(["XLEN", "s"]), "0");
}

#[test]
fn starts_at_the_end_unless_told() {
    let server = Server::start();
    server.add_numbered("s", 3);
    Test::new(&server)
        .args(["subscribe", "s", "-g", "g"])
        .stderr("created group g on s, from latest\n")
        .run();
    assert_eq!(group(&server).1, "3-0");
}

#[test]
fn from_the_beginning() {
    let server = Server::start();
    server.add_numbered("s", 3);
    Test::new(&server)
        .args(["subscribe", "s", "-g", "g", "--from", "beginning"])
        .stderr("created group g on s, from beginning\n")
        .run();
    assert_eq!(group(&server).1, "0-0");
}

#[test]
fn from_a_point_delivers_what_comes_after() {
    let server = Server::start();
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis() as u64;
    let ids = [
        "5-0".to_owned(),
        // 2020-01-01T00:00:00Z
        "1577836800000-0".to_owned(),
        format!("{}-0", now - 3_600_000),
        format!("{}-0", now - 1000),
    ];
    for id in &ids {
        server.add_message("s", id, "n", "1");
    }
    for (from, first) in [
        ("4-9", 0),
        ("6-0", 1),
        ("2020-01-01T00:00:00Z", 1),
        ("2019-12-31T23:00:00-01:00", 1),
        ("2020-01-01T00:00:01Z", 2),
        ("-15m", 3),
        ("-2h", 2),
    ] {
        let group = format!("from {from}");
        Test::new(&server)
            .args(["subscribe", "s", "-g", &group, "--from", from])
            .stderr_has(["created group"])
            .run();
        let output = Test::new(&server)
            .args(["consume", "s", "-g", &group, "-e"])
            .stdout_any()
            .run();
        let lines = output.stdout();
        let got: Vec<_> = lines.lines().map(id).collect();
        assert_eq!(got, ids[first..], "--from {from}");
    }
}

fn id(line: &str) -> String {
    let line: serde_json::Value = serde_json::from_str(line).unwrap();
    line["id"].as_str().unwrap().to_owned()
}

#[test]
fn many_streams_at_once() {
    let server = Server::start();
    server.add_numbered("b", 1);
    Test::new(&server)
        .args(["subscribe", "a", "b", "-l", "billing"])
        .stderr(
            "created group a:billing:cg on a, from latest\n\
             created group b:billing:cg on b, from latest\n",
        )
        .run();
    assert_eq!(server.groups("a"), [("a:billing:cg".into(), "0-0".into())]);
    assert_eq!(server.groups("b"), [("b:billing:cg".into(), "1-0".into())]);
}

#[test]
fn listener_names_are_sanitised() {
    let server = Server::start();
    let long = "x".repeat(200);
    for (listener, group) in [
        ("my listener!?", "s:my-listener-:cg".to_owned()),
        ("a.b_c:d-E9", "s:a.b_c:d-E9:cg".to_owned()),
        ("é", "s:-:cg".to_owned()),
        (long.as_str(), format!("s:{}:cg", "x".repeat(128))),
    ] {
        Test::new(&server)
            .args(["subscribe", "s", "-l", listener])
            .stderr(format!("created group {group} on s, from latest\n"))
            .run();
        assert!(server.groups("s").iter().any(|(name, _)| *name == group));
    }
}

#[test]
fn a_group_is_taken_verbatim() {
    let server = Server::start();
    Test::new(&server)
        .args(["subscribe", "s", "-g", "my group!"])
        .stderr_any()
        .run();
    assert_eq!(group(&server).0, "my group!");
}

#[test]
fn an_existing_group_is_left_as_it_is() {
    let server = Server::start();
    server.add_numbered("s", 3);
    server.cli(["XGROUP", "CREATE", "s", "g", "2-0"]);
    Test::new(&server)
        .args(["subscribe", "s", "-g", "g", "--from", "beginning"])
        .stderr("group g on s exists, left as it is\n")
        .run();
    assert_eq!(group(&server).1, "2-0");
}

#[test]
fn reset_moves_an_existing_group() {
    let server = Server::start();
    server.add_numbered("s", 3);
    server.cli(["XGROUP", "CREATE", "s", "g", "2-0"]);
    for (from, stands) in [("beginning", "0-0"), ("latest", "3-0")] {
        Test::new(&server)
            .args(["subscribe", "s", "-g", "g", "--from", from, "--reset"])
            .stderr_has(["moved group g on s to ", from])
            .run();
        assert_eq!(group(&server).1, stands);
    }
}

#[test]
fn reset_creates_what_is_missing() {
    let server = Server::start();
    Test::new(&server)
        .args(["subscribe", "s", "-g", "g", "--reset", "--from", "latest"])
        .stderr("created group g on s, from latest\n")
        .run();
    assert_eq!(group(&server).0, "g");
}

#[test]
fn quiet_says_nothing() {
    let server = Server::start();
    Test::new(&server).args(["subscribe", "s", "-g", "g", "--quiet"]).run();
    assert_eq!(group(&server).0, "g");
}

/// Delivers entries to a consumer of `g`.
fn deliver(server: &Server, count: usize) {
    let count = count.to_string();
    server.cli(["XREADGROUP", "GROUP", "g", "till", "COUNT", &count, "STREAMS", "s", ">"]);
}

fn reset(server: &Server, args: &str) -> Test {
    Test::new(server)
        .args(["subscribe", "s", "-g", "g", "--reset"])
        .args(args.split_whitespace())
}

#[test]
fn reset_asks_where_to() {
    let server = Server::start();
    reset(&server, "")
        .status(2)
        .stderr_has([
            "error: --reset moves the group, and nothing says where to\n",
            "hint: --from beginning delivers all there is again, --from latest skips it;",
        ])
        .run();
    reset(&server, "--from latest --to-group x")
        .status(2)
        .stderr_has(["cannot be used with"])
        .run();
    assert_eq!(server.cli(["EXISTS", "s"]), "0");
}

#[test]
fn reset_tells_the_time_and_what_comes_again_or_is_skipped() {
    let server = Server::start();
    server.add_numbered("s", 10);
    server.cli(["XGROUP", "CREATE", "s", "g", "5-0"]);
    for (from, told, stands) in [
        ("beginning", "beginning: 5 entries come again", "0-0"),
        (
            "3-0",
            "3-0 (1970-01-01T00:00:00.003Z): 2 entries are skipped",
            "2-18446744073709551615",
        ),
        (
            "1970-01-01T00:00:00.002Z",
            "1970-01-01T00:00:00.002Z: 1 entry comes again",
            "1-18446744073709551615",
        ),
        (
            "1970-01-01T00:00:00.002Z",
            "1970-01-01T00:00:00.002Z: nothing is skipped",
            "1-18446744073709551615",
        ),
        ("latest", "latest: 9 entries are skipped", "10-0"),
    ] {
        reset(&server, &format!("--from {from} --dry-run"))
            .stdout_has(["would move group g on s to "])
            .run();
        reset(&server, &format!("--from {from}"))
            .stderr(format!("moved group g on s to {told}\n"))
            .run();
        assert_eq!(group(&server).1, stands, "{from}");
    }
    let told = reset(&server, "--from -1h")
        .stderr_has(["moved group g on s to 3600s ago (20"])
        .run();
    assert!(told.stderr().ends_with("Z): nothing is skipped\n"), "{}", told.stderr());
}

#[test]
fn what_would_come_of_it_is_counted_up_to_a_bound() {
    let server = Server::start();
    server.add_numbered("s", 10_001);
    server.cli(["XGROUP", "CREATE", "s", "g", "10000-0"]);
    for (from, told) in [
        ("beginning", "beginning: 10,000 entries would come again\n"),
        ("latest", "latest: 1 entry would be skipped\n"),
    ] {
        reset(&server, &format!("--from {from} --dry-run"))
            .stdout(format!("would move group g on s to {told}"))
            .run();
    }
    server.cli(["XGROUP", "SETID", "s", "g", "10001-0"]);
    reset(&server, "--from beginning --dry-run")
        .stdout("would move group g on s to beginning: 10,001 entries would come again\n")
        .run();
    server.add_message("s", "10002-0", "n", "1");
    server.cli(["XGROUP", "SETID", "s", "g", "10002-0"]);
    reset(&server, "--from beginning --dry-run")
        .stdout("would move group g on s to beginning: >10,000 entries would come again\n")
        .run();
    assert_eq!(group(&server).1, "10002-0");
    reset(&server, "--from beginning")
        .stderr("moved group g on s to beginning: >10,000 entries come again\n")
        .run();
}

#[test]
fn large_entries_are_counted_up_to_fewer() {
    let server = Server::start();
    let megabyte = "x".repeat(1 << 20);
    for n in 1..=40 {
        server.add("s", &format!("{n}-0"), &[("k", megabyte.as_str())]);
    }
    server.cli(["XGROUP", "CREATE", "s", "g", "$"]);
    let told = reset(&server, "--from beginning --dry-run")
        .stdout_has([": >"])
        .run()
        .stdout();
    let counted: u64 = told.split(['>', ' ']).find_map(|word| word.parse().ok()).unwrap();
    assert!((15..40).contains(&counted), "{told}");
}

#[test]
fn what_is_pending_stays_so_and_consumers_at_work_are_named() {
    let server = Server::start();
    server.add_numbered("s", 5);
    server.cli(["XGROUP", "CREATE", "s", "g", "0"]);
    deliver(&server, 3);
    let warned = "warning: consumers of group g on s are at work, and go on from the new place at once: till ";
    let again = "3 entries come again; 3 entries pending before and after\n";
    reset(&server, "--from beginning").stderr_has([warned, again]).run();
    assert_eq!(server.pending("s", "g"), ["1-0", "2-0", "3-0"]);
    reset(&server, "--from latest --dry-run")
        .stdout("would move group g on s to latest: 5 entries would be skipped; 3 entries pending before and after\n")
        .stderr_has([warned])
        .run();
}

#[test]
fn a_point_in_the_future_needs_force() {
    let server = Server::start();
    server.add_numbered("s", 3);
    server.cli(["XGROUP", "CREATE", "s", "g", "$"]);
    for from in ["2999-01-01T00:00:00Z", "32472144000000-5"] {
        reset(&server, &format!("--from {from}"))
            .status(2)
            .stderr_has([
                &*format!("error: {from} is "),
                " in the future: nothing would be delivered until then\nhint: --force ",
            ])
            .run();
        assert_eq!(group(&server).1, "3-0");
        reset(&server, &format!("--from {from} --force"))
            .stderr_has(["moved group g on s to "])
            .run();
        assert!(group(&server).1.starts_with("32472143999999-") || group(&server).1 == "32472144000000-4");
        server.cli(["XGROUP", "SETID", "s", "g", "3-0"]);
    }
    // The server's clock counts, and who only makes sure of a group is not asked.
    Test::new(&server)
        .args(["subscribe", "s", "-g", "g", "--from", "2999-01-01T00:00:00Z"])
        .stderr("group g on s exists, left as it is\n")
        .run();
}

#[test]
fn a_group_begins_where_another_one_stands() {
    let server = Server::start();
    server.add_numbered("s", 5);
    server.cli(["XGROUP", "CREATE", "s", "g", "0"]);
    server.cli(["XGROUP", "CREATE", "s", "s:billing:cg", "3-0"]);
    server.cli(["XGROUP", "CREATE", "s", "raw", "4-0"]);
    reset(&server, "--to-group billing")
        .stderr("moved group g on s to where billing stands, behind 3-0 (1970-01-01T00:00:00.003Z): 3 entries are skipped\n")
        .run();
    reset(&server, "--to-group raw")
        .stderr("moved group g on s to where raw stands, behind 4-0 (1970-01-01T00:00:00.004Z): 1 entry is skipped\n")
        .run();
    assert_eq!(server.groups("s")[0], ("g".into(), "4-0".into()));
    Test::new(&server)
        .args(["subscribe", "s", "-l", "new", "--to-group", "s:billing:cg"])
        .stderr_has(["created group s:new:cg on s, from where s:billing:cg stands, behind 3-0"])
        .run();
    assert!(server.groups("s").contains(&("s:new:cg".into(), "3-0".into())));
    reset(&server, "--to-group nobody")
        .status(1)
        .stderr(
            "error: stream 's' has no group 'nobody', and none of a listener of that name\n\
             hint: its groups: g, raw, s:billing:cg, s:new:cg\n",
        )
        .run();
}

#[test]
fn all_are_looked_at_before_one_is_moved() {
    let server = Server::start();
    for stream in ["s", "t"] {
        server.add_numbered(stream, 2);
        server.cli(["XGROUP", "CREATE", stream, "g", "0"]);
    }
    server.cli(["XGROUP", "CREATE", "s", "other", "2-0"]);
    reset(&server, "t --to-group other")
        .status(1)
        .stderr_has(["error: stream 't' has no group 'other'"])
        .run();
    assert_eq!(server.groups("s")[0].1, "0-0");
}

#[test]
fn a_dry_run_makes_no_stream() {
    let server = Server::start();
    Test::new(&server)
        .args(["subscribe", "s", "-g", "g", "--dry-run"])
        .stdout("would create group g on s, from latest\n")
        .run();
    assert_eq!(server.cli(["EXISTS", "s"]), "0");
    server.cli(["XGROUP", "CREATE", "s", "g", "$", "MKSTREAM"]);
    Test::new(&server)
        .args(["subscribe", "s", "-g", "g", "--dry-run", "--from", "beginning"])
        .stdout("group g on s exists, and would be left as it is\n")
        .run();
}

#[test]
fn json_tells_what_was_done_and_where_groups_stand() {
    let server = Server::start();
    server.add_numbered("s", 5);
    server.cli(["XGROUP", "CREATE", "s", "g", "2-0"]);
    server.cli(["XREADGROUP", "GROUP", "g", "till", "COUNT", "1", "STREAMS", "s", ">"]);
    let subscribe = |args: &str, rows: &str| {
        let test = Test::new(&server).args(["subscribe", "s", "t", "-g", "g", "--json"]);
        let test = test.args(args.split_whitespace());
        let test = if args.contains("--reset") {
            test.stderr_has(["till"])
        } else {
            test
        };
        test.stdout(rows).run();
    };
    let row = |stream: &str, outcome: &str, dry_run: bool, id: &str, more: &str| {
        format!(
            r#"{{"stream":"{stream}","group":"g","outcome":"{outcome}","dry_run":{dry_run},"last_delivered_id":{id}{more}}}"#
        )
    };
    let rows = |rows: [String; 2]| format!("[{}]\n", rows.join(","));
    let (kept, none) = (row("s", "kept", true, "\"3-0\"", ""), "null");
    subscribe("--dry-run", &rows([kept, row("t", "created", true, none, "")]));
    assert!(server.groups("t").is_empty());
    let kept = row("s", "kept", false, "\"3-0\"", "");
    subscribe("", &rows([kept, row("t", "created", false, "\"0-0\"", "")]));
    let means = |again: u64, skipped: u64, pending: u64, at_work: &str| {
        format!(
            r#","again":{again},"skipped":{skipped},"count_is_lower_bound":false,"pending":{pending},"at_work":[{at_work}]"#
        )
    };
    let nothing = means(0, 0, 0, "");
    let moved = |id: &str, dry_run, means: String| {
        let id = format!("\"{id}\"");
        rows([
            row("s", "moved", dry_run, &id, &means),
            row("t", "moved", dry_run, &id, &nothing),
        ])
    };
    let back = means(2, 0, 1, "\"till\"");
    let before = format!("1-{}", u64::MAX);
    subscribe("--reset --from 2-0 --dry-run", &moved(&before, true, back.clone()));
    assert_eq!(group(&server).1, "3-0");
    subscribe("--reset --from 2-0", &moved(&before, false, back));
    assert_eq!(group(&server).1, before);
}

#[test]
fn json_tells_what_was_done_before_a_failure() {
    let server = Server::start();
    server.cli(["SET", "t", "no stream"]);
    Test::new(&server)
        .args(["subscribe", "s", "t", "-g", "g", "--json"])
        .status(1)
        .stdout("[{\"stream\":\"s\",\"group\":\"g\",\"outcome\":\"created\",\"dry_run\":false,\"last_delivered_id\":\"0-0\"}]\n")
        .stderr_has(["error: "])
        .run();
}
