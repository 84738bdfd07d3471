//! Names that are not text, and streams by patterns.

use super::{json, pending};
use crate::harness::{Server, Test};
use serde_json::Value;

/// Streams and a group whose names are not UTF-8; one has a consumer of such a name, with an entry.
fn bytes() -> Server {
    let server = Server::start();
    for name in [b"caf\xe8", b"caf\xe9"] {
        server.command([b"XADD", &name[..], b"*", b"a", b"b"]);
    }
    server.command([&b"XGROUP"[..], b"CREATE", b"caf\xe8", b"caf\xe8:\xff", b"0"]);
    server.command([
        &b"XREADGROUP"[..],
        b"GROUP",
        b"caf\xe8:\xff",
        b"c\xfe",
        b"STREAMS",
        b"caf\xe8",
        b">",
    ]);
    server
}

#[test]
fn names_that_are_not_text_are_told_apart() {
    let server = bytes();
    let shown = pending(&server, &[]).stdout_any().run().stdout();
    assert_eq!(shown.matches("caf").count(), 3, "{shown}");
    assert!(shown.contains("caf\\xe8") && shown.contains("caf\\xe9"), "{shown}");
    assert!(shown.contains("caf\\xe8:\\xff"), "{shown}");
    let shown = json(&server, &[]);
    assert_eq!(shown[0]["stream"], json!({"base64": "Y2Fm6A=="}));
    assert_eq!(shown[0]["groups"][0]["group"], json!({"base64": "Y2Fm6Dr/"}));
    assert_eq!(shown[1]["stream"], json!({"base64": "Y2Fm6Q=="}));
}

#[test]
fn names_that_are_told_in_base64_can_be_typed() {
    let server = bytes();
    let stream = "base64:Y2Fm6A==";
    let shown = json(&server, &[stream]);
    assert_eq!(shown["stream"], json!({"base64": "Y2Fm6A=="}));
    let args = [stream, "-g", "base64:Y2Fm6Dr/", "--consumer", "base64:Y/4="];
    let shown = json(&server, &args);
    assert_eq!(shown["consumers"][0]["consumer"], json!({"base64": "Y/4="}));
    assert_eq!(shown["entries"][0]["consumer"], json!({"base64": "Y/4="}));
    assert_eq!(shown["pending"], 1);
    pending(&server, &args).stdout_has(["c\\xfe"]).run();
    pending(&server, &[stream, "base64:Y2Fm6Q=="])
        .stdout_has(["caf\\xe8", "caf\\xe9"])
        .run();
    // A hint can be typed, too.
    pending(&server, &["--max-pending", "0"])
        .status(4)
        .stdout_any()
        .stderr_has(["hint: see who has what: redis-streamer pending base64:Y2Fm6A== -g base64:Y2Fm6Dr/"])
        .run();
    pending(&server, &[stream, "-g", "nope"])
        .status(1)
        .stderr_has(["hint: see which groups there are: redis-streamer pending base64:Y2Fm6A=="])
        .run();
    pending(&server, &["base64:Y2Fm"])
        .status(1)
        .stderr_has(["there is no stream 'caf'"])
        .run();
    // Text may be typed so as well: that is how a name begins with base64: itself.
    server.add_numbered("base64:x", 2);
    assert_eq!(json(&server, &["base64:YmFzZTY0Ong="])["stream"], "base64:x");
    for typed in ["base64:", "base64:?", "base64:Y2Fm6A"] {
        pending(&server, &[typed]).status(2).stderr_has(["base64"]).run();
    }
    server.command([&b"XGROUP"[..], b"CREATE", b"caf\xe9", b"caf\xe9:billing:cg", b"0"]);
    let shown = json(&server, &["base64:Y2Fm6Q==", "-l", "billing"]);
    assert_eq!(shown["group"], json!({"base64": "Y2Fm6TpiaWxsaW5nOmNn"}));
}

#[test]
fn names_mean_the_same_in_every_document() {
    let server = super::orders();
    let all = json(&server, &[]);
    let several = json(&server, &["orders", "orders"]);
    let one = json(&server, &["orders"]);
    let group = json(&server, &["orders", "-g", "g"]);
    let dead = json(&server, &["--dead-consumers", "0s"]);
    let keys = |value: &Value| {
        let keys = value.as_object().unwrap().keys();
        keys.map(String::from).collect::<Vec<_>>()
    };
    assert_eq!(keys(&all[0]), keys(&one));
    assert_eq!(keys(&several[1]), keys(&one));
    // A group alone is as among others, with what is seen from near.
    let mut from_near = keys(&group);
    from_near.retain(|key| !["stream", "consumers", "entries"].contains(&key.as_str()));
    assert_eq!(from_near, keys(&one["groups"][0]));
    let mut consumer = keys(&dead[0]);
    consumer.retain(|key| !["stream", "group"].contains(&key.as_str()));
    assert_eq!(consumer, keys(&group["consumers"][0]));
    for document in [&all[0], &several[0], &one, &group, &dead[0]] {
        assert_eq!(document["stream"], "orders");
    }
    for document in [&one["groups"][0], &group, &dead[0]] {
        assert_eq!(document["group"], "g");
    }
    for document in [&group["consumers"][0], &group["entries"][0], &dead[0]] {
        assert_eq!(document["consumer"], "alice");
    }
}

#[test]
fn other_verbs_take_encoded_text_and_refuse_the_rest() {
    let server = Server::start();
    Test::new(&server)
        .args(["send", "base64:b3JkZXJz", "1", "--name", "n"])
        .stdout_any()
        .run();
    assert_eq!(server.cli(["KEYS", "*"]), "orders");
    for args in [
        &["send", "base64:Y2Fm6A==", "1", "--name", "n"][..],
        &["consume", "base64:Y2Fm6A==", "-e"],
        &["subscribe", "orders", "-g", "base64:Y2Fm6A=="],
        &["ack", "base64:Y2Fm6A==", "1-0", "-g", "g"],
        &["nack", "orders", "1-0", "-g", "g", "-c", "base64:Y2Fm6A=="],
        &["trim", "base64:Y2Fm6A==", "--acked"],
        &["redrive", "base64:Y2Fm6A=="],
        &["send-batch", "base64:Y2Fm6A=="],
    ] {
        Test::new(&server)
            .args(args)
            .status(2)
            .stderr_has(["this name is not UTF-8, and only `pending` and `unsubscribe` take such names"])
            .run();
    }
    assert_eq!(server.cli(["KEYS", "*"]), "orders");
}

fn streams(server: &Server, args: &[&str]) -> Vec<String> {
    let shown = json(server, args);
    let streams = shown.as_array().unwrap().iter();
    streams
        .map(|stream| stream["stream"].as_str().unwrap().to_owned())
        .collect()
}

#[test]
fn several_streams_and_patterns() {
    let server = Server::start();
    for name in ["orders:a", "orders:bb", "x[y]", "xy", "orders"] {
        server.add_numbered(name, 1);
    }
    server.cli(["SET", "orders:no", "stream"]);
    assert_eq!(streams(&server, &["xy", "orders"]), ["xy", "orders"]);
    assert_eq!(streams(&server, &["--glob", "orders:*"]), ["orders:a", "orders:bb"]);
    assert_eq!(streams(&server, &["--glob", "orders:?", "xy"]), ["orders:a", "xy"]);
    assert_eq!(streams(&server, &["--glob", "*", "xy"]).len(), 5);
    // Brackets and backslashes are what they are.
    assert_eq!(streams(&server, &["--glob", "x[y]"]), ["x[y]"]);
    assert_eq!(streams(&server, &["--glob", "x\\y"]), [""; 0]);
    pending(&server, &["--glob", "nobody*"])
        .stderr("there are no such streams\n")
        .run();
    pending(&server, &["xy", "gone"])
        .stdout_has(["xy", "gone", "total"])
        .stderr("warning: not there yet, of the streams that were named: gone\n")
        .run();
    for (args, words) in [
        (&["xy", "orders", "-g", "g"][..], "one stream at a time"),
        (&["--glob", "orders:*", "-g", "g"], "one stream at a time"),
        (&["--glob"], "STREAM"),
        (&["xy", "orders", "--idle", "1s"], "--idle is for the entries"),
        (
            &["xy", "--dead-consumers", "1h", "--max-lag", "1"],
            "cannot be used with",
        ),
    ] {
        Test::new(&server)
            .arg("pending")
            .args(args)
            .status(2)
            .stderr_has([words])
            .run();
    }
}
