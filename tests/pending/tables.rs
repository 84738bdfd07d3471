//! Tables: folded on a terminal, whole in a pipe, first what needs attention.

use super::pending;
use crate::harness::{Server, Test};

/// Three streams: one far behind, one up to date, one that nobody reads.
fn streams() -> Server {
    let server = Server::start();
    server.add_numbered("calm", 1);
    server.add_numbered("lonely", 1);
    server.add_numbered("orders", 1500);
    for (stream, group, from) in [
        ("calm", "calm:x:cg", "$"),
        ("orders", "orders:billing:cg", "0"),
        ("orders", "orders:audit:cg", "$"),
        ("orders", "other", "1499-0"),
    ] {
        server.cli(["XGROUP", "CREATE", stream, group, from]);
    }
    server
}

fn on_terminal(server: &Server, columns: u16, command: &str) -> String {
    let script = format!("TERM=xterm script -qec 'stty cols {columns}; redis-streamer {command}' /dev/null");
    Test::shell(server, &script)
        .stdout_any()
        .run()
        .stdout()
        .replace('\r', "")
}

/// The words of each line, but for those of columns that tell a time.
fn rows(text: &str, columns: &[usize]) -> Vec<String> {
    let row = |line: &str| {
        let cells: Vec<_> = line.split_whitespace().collect();
        let kept = cells.iter().enumerate().filter(|(index, _)| columns.contains(index));
        kept.map(|(_, cell)| *cell).collect::<Vec<_>>().join(" ")
    };
    text.lines().map(row).collect()
}

#[test]
fn a_terminal_folds_groups_below_their_stream() {
    let server = streams();
    let shown = on_terminal(&server, 80, "--color never pending");
    assert_eq!(
        rows(&shown, &[0, 1, 2]),
        [
            "GROUP LAG PENDING",
            "orders: 1,500 entries",
            "billing:cg 1,500 0",
            "other 1 0",
            "audit:cg 0 0",
            "calm: 1 entry",
            "x:cg 0 0",
            "lonely: 1 entry,",
        ],
        "{shown}"
    );
    assert!(shown.contains("lonely: 1 entry, no groups\n"), "{shown}");
    assert!(shown.contains("\n  billing:cg "), "{shown}");
}

#[test]
fn a_pipe_gets_whole_rows() {
    let server = streams();
    let shown = pending(&server, &[]).stdout_any().run().stdout();
    assert_eq!(
        rows(&shown, &[0, 1, 2, 3]),
        [
            "STREAM LENGTH GROUP LAG",
            "orders 1500 orders:billing:cg 1500",
            "orders 1500 other 1",
            "orders 1500 orders:audit:cg 0",
            "calm 1 calm:x:cg 0",
            "lonely 1 - -",
        ],
        "{shown}"
    );
}

#[test]
fn names_that_would_look_alike_stay_whole() {
    let server = Server::start();
    server.add_numbered("s", 1);
    for group in ["s:a:cg", "a:cg", "s:b:cg", "s:"] {
        server.cli(["XGROUP", "CREATE", "s", group, "$"]);
    }
    let shown = on_terminal(&server, 80, "--color never pending");
    let mut names = rows(&shown, &[0]);
    names.sort();
    assert_eq!(names, ["GROUP", "a:cg", "b:cg", "s:", "s:", "s:a:cg"], "{shown}");
}

#[test]
fn what_waits_is_highlighted_and_what_exceeds_a_limit_stands_out() {
    let server = streams();
    let shown = on_terminal(&server, 80, "pending orders");
    assert!(shown.contains("\x1b[33m1,500\x1b[0m"), "{shown:?}");
    assert!(shown.contains("\x1b[1mGROUP\x1b[0m"), "{shown:?}");
    let command = "script -qec 'redis-streamer pending orders --max-lag 10' /dev/null";
    let shown = Test::shell(&server, &format!("TERM=xterm {command}"))
        .status(4)
        .stdout_any()
        .run();
    let shown = shown.stdout();
    assert!(shown.contains("\x1b[1m\x1b[31m1,500\x1b[0m"), "{shown:?}");
    assert!(shown.contains("\x1b[33m1\x1b[0m"), "{shown:?}");
}

#[test]
fn every_width_is_kept() {
    let server = streams();
    let long = "n".repeat(120);
    server.cli(["XADD", &long, "1-0", "k", "v"]);
    server.cli(["XGROUP", "CREATE", &long, &format!("{long}:{long}:cg"), "0"]);
    server.cli([
        "XREADGROUP",
        "GROUP",
        &format!("{long}:{long}:cg"),
        &long,
        "STREAMS",
        &long,
        ">",
    ]);
    for columns in [60, 80, 120, 200] {
        for command in [
            "pending",
            "pending orders",
            &format!("pending {long} -l {long}"),
            "pending --dead-consumers 0s",
        ] {
            let shown = on_terminal(&server, columns, &format!("--color never {command}"));
            let tables = shown.split("\nto hand back").next().unwrap();
            for line in tables.lines() {
                assert!(line.chars().count() <= columns.into(), "{columns}, {command}:\n{shown}");
            }
        }
    }
}
