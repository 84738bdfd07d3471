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
        .args(["subscribe", "s", "-g", "g", "--reset"])
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
