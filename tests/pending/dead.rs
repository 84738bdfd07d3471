//! Consumers that hold entries, or only pile up, and nobody comes back for.

use super::{json, orders, pending};
use crate::harness::wait_until;

#[test]
fn dead_consumers_are_named_with_what_to_do() {
    let server = orders();
    server.cli(["XGROUP", "CREATECONSUMER", "orders", "g", "carol"]);
    server.cli(["XGROUP", "CREATECONSUMER", "orders", "g", "handed-back"]);
    server.cli(["XGROUP", "CREATE", "orders", "other", "$"]);
    server.cli(["XGROUP", "CREATECONSUMER", "orders", "other", "d'Arc"]);
    pending(&server, &["--dead-consumers", "1h"])
        .stderr("there are no such consumers\n")
        .run();
    assert_eq!(json(&server, &["--dead-consumers", "1h"]), json!([]));
    wait_until("all to be idle for a moment", || {
        json(&server, &["--dead-consumers", "2ms"]).as_array().unwrap().len() == 4
    });
    for args in [&[][..], &["orders"], &["--glob", "ord*"]] {
        let dead = json(&server, &[args, &["--dead-consumers", "1ms"]].concat());
        let told: Vec<_> = dead
            .as_array()
            .unwrap()
            .iter()
            .map(|dead| (&dead["group"], &dead["consumer"], &dead["pending"]))
            .collect();
        // Those who hold most first.
        assert_eq!(told[0], (&json!("g"), &json!("alice"), &json!(2)));
        assert_eq!(told[1], (&json!("g"), &json!("bob"), &json!(1)));
        assert_eq!(told.len(), 4);
    }
    pending(&server, &["--dead-consumers", "1ms"])
        .stdout_has([
            "CONSUMER",
            "alice",
            "carol",
            "redis-streamer unsubscribe orders -g g --consumer NAME\n",
            r"redis-streamer unsubscribe orders -g other --consumer 'd'\''Arc'",
        ])
        .run();
    let only = json(&server, &["orders", "-g", "other", "--dead-consumers", "1ms"]);
    assert_eq!(only.as_array().unwrap().len(), 1);
    pending(
        &server,
        &["orders", "-g", "g", "--dead-consumers", "1h", "--idle", "1s"],
    )
    .status(2)
    .stderr_has(["--idle is for the entries"])
    .run();
}

#[test]
fn what_was_handed_back_is_explained() {
    let server = orders();
    let explanation = "handed-back: not a consumer";
    let shown = pending(&server, &["orders", "-g", "g"]).stdout_any().run().stdout();
    assert!(!shown.contains(explanation), "{shown}");
    server.cli(["XCLAIM", "orders", "g", "handed-back", "0", "1-0"]);
    pending(&server, &["orders", "-g", "g"]).stdout_has([explanation]).run();
    pending(&server, &["orders", "-g", "g", "--consumer", "handed-back"])
        .stdout_has([explanation])
        .run();
}
