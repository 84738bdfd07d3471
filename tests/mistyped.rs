//! Names that are not there: those that are near are asked for, once a command has failed, and not before.

use crate::harness::{Cluster, Server, Test};

fn server() -> Server {
    let server = Server::start();
    for stream in ["orders", "orders:eu", "payments"] {
        server.add_numbered(stream, 1);
    }
    for group in ["orders:billing:cg", "orders:shipping:cg", "auditors"] {
        server.cli(["XGROUP", "CREATE", "orders", group, "0"]);
    }
    server
}

#[track_caller]
fn fails(test: Test, args: &[&str], hint: &str) {
    let output = test.args(args).status(1).stderr_has(["error: "]).run();
    let stderr = output.stderr();
    let told = stderr.lines().find_map(|line| line.strip_prefix("hint: ")).unwrap();
    assert_eq!(told.split(" else ").next().unwrap(), hint, "{args:?}: {stderr}");
}

#[test]
fn near_groups_are_suggested() {
    let server = server();
    let create = "create it: redis-streamer subscribe orders";
    for (args, hint) in [
        (&["consume", "orders", "-l", "biling"][..], "did you mean -l billing?"),
        (&["pending", "orders", "-l", "Shiping"], "did you mean -l shipping?"),
        (
            &["consume", "orders", "-g", "auditor", "--", "true"],
            "did you mean -g auditors?",
        ),
        // The one for the other.
        (&["pending", "orders", "-g", "billing"], "did you mean -l billing?"),
        (&["consume", "orders", "-l", "auditors"], "did you mean -g auditors?"),
        (&["consume", "orders", "-l", "xyz"], &format!("{create} -l xyz")),
        // A stream without groups is not a mistyped one.
        (
            &["consume", "payments", "-l", "x"],
            "create it: redis-streamer subscribe payments -l x",
        ),
    ] {
        fails(Test::new(&server), args, hint);
    }
    Test::new(&server)
        .args(["consume", "orders", "-l", "biling"])
        .status(1)
        .stderr(
            "error: stream 'orders' has no group 'orders:biling:cg'\n\
             hint: did you mean -l billing? else create it: redis-streamer subscribe orders -l biling\n",
        )
        .run();
}

#[test]
fn near_streams_are_suggested() {
    let server = server();
    let add = ["send", "ordres", "1", "--name", "n", "--no-create"];
    for args in [
        &["pending", "ordres"][..],
        &["consume", "ordres", "-g", "auditors"],
        &add,
    ] {
        fails(Test::new(&server), args, "did you mean orders?");
    }
    assert_eq!(server.cli(["EXISTS", "ordres"]), "0");
}

#[test]
fn they_are_asked_for_after_a_failure_only_and_a_refusal_is_not_missed() {
    let server = server();
    Test::new(&server)
        .args(["consume", "orders", "-l", "billing", "-e"])
        .stdout_any()
        .run();
    Test::new(&server)
        .args(["consume", "orders", "-l", "xyz", "--on-nogroup", "latest", "-e"])
        .stdout_any()
        .stderr_any()
        .run();
    assert_eq!(server.calls("scan"), 0);
    server.cli(["ACL", "SETUSER", "default", "-scan", "-xinfo"]);
    fails(
        Test::new(&server),
        &["consume", "ordres", "-g", "auditors"],
        "create it: redis-streamer subscribe ordres -g auditors",
    );
    fails(
        Test::new(&server),
        &["send", "ordres", "1", "--name", "n", "--no-create"],
        "list the streams there are: redis-streamer pending; the first message sent without --no-create makes one",
    );
}

#[test]
fn in_a_cluster_all_nodes_are_asked() {
    let cluster = Cluster::start();
    let nodes = &cluster.nodes()[..3];
    let streams: Vec<_> = nodes.iter().map(|node| cluster.name_at(node, "orders")).collect();
    for stream in &streams {
        let group = format!("{stream}:billing:cg");
        cluster
            .node_of(stream)
            .cli(["XGROUP", "CREATE", stream, &group, "0", "MKSTREAM"]);
    }
    for stream in &streams {
        for node in nodes {
            fails(
                Test::new(node),
                &["consume", stream, "-l", "biling"],
                "did you mean -l billing?",
            );
        }
        let mistyped = format!("{stream}x");
        let output = Test::new(&nodes[0])
            .args(["pending", &mistyped])
            .status(1)
            .stderr_has(["hint: did you mean ", stream])
            .run();
        assert!(output.stdout.is_empty());
    }
}
