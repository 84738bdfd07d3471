//! Metrics, held against Prometheus' own checker.

use super::pending;
use crate::harness::{Server, Test, is_installed_or_left_out};

/// A stream behind which there is a group of an awkward name, one whose name is not text, and one of no group.
fn streams() -> Server {
    let server = super::orders();
    server.cli(["XGROUP", "CREATE", "orders", "a\"b\\c\nd", "$"]);
    server.add_numbered("lonely", 2);
    server.command([&b"XADD"[..], b"caf\xe8", b"*", b"a", b"b"]);
    server.command([&b"XGROUP"[..], b"CREATE", b"caf\xe8", b"g", b"$"]);
    server
}

#[test]
fn metrics_have_one_figure_for_each_stream_and_group() {
    let server = streams();
    let shown = pending(&server, &["--openmetrics"]).stdout_any().run().stdout();
    for line in [
        r#"redis_streamer_stream_length{stream="orders"} 5"#,
        r#"redis_streamer_stream_length{stream="lonely"} 2"#,
        r#"redis_streamer_stream_groups{stream="base64:Y2Fm6A=="} 1"#,
        r#"redis_streamer_group_lag{stream="orders",group="g"} 2"#,
        r#"redis_streamer_group_lag_is_lower_bound{stream="orders",group="g"} 0"#,
        r#"redis_streamer_group_pending{stream="orders",group="g"} 3"#,
        r#"redis_streamer_group_consumers{stream="orders",group="g"} 2"#,
        r#"redis_streamer_group_lag{stream="orders",group="a\"b\\c\nd"} 0"#,
        r#"redis_streamer_group_behind_seconds{stream="orders",group="a\"b\\c\nd"} 0.000"#,
        "# TYPE redis_streamer_group_lag gauge",
    ] {
        assert!(shown.lines().any(|other| other == line), "{line}\n{shown}");
    }
    let behind = shown
        .lines()
        .find_map(|line| line.strip_prefix(r#"redis_streamer_group_behind_seconds{stream="orders",group="g"} "#));
    assert!(behind.unwrap().parse::<f64>().unwrap() > 1e9, "{shown}");
    assert!(shown.ends_with("\n# EOF\n"), "{shown}");
    let one = pending(&server, &["lonely", "--openmetrics"])
        .stdout_any()
        .run()
        .stdout();
    assert!(one.contains("lonely") && !one.contains("orders"), "{one}");
    pending(&server, &["orders", "--openmetrics", "--max-lag", "1"])
        .status(4)
        .stdout_has(["group_lag"])
        .stderr_has(["exceeds --max-lag"])
        .run();
    for other in [&["--json"][..], &["orders", "-g", "g"]] {
        pending(&server, &["--openmetrics"])
            .args(other)
            .status(2)
            .stderr_has(["cannot be used with"])
            .run();
    }
}

#[test]
fn promtool_finds_no_fault() {
    if !is_installed_or_left_out("promtool") {
        return;
    }
    for server in [streams(), Server::start()] {
        Test::shell(&server, "redis-streamer pending --openmetrics | promtool check metrics").run();
    }
}
