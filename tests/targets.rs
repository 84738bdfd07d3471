//! What is added to a stream in the transaction that lets go of it elsewhere, while others write to that stream's key at the
//! worst moment: nothing is let go that was not added, and nothing is added twice.

use crate::harness::{Cluster, Output, Server, Test};
use crate::middleman::{Middleman, Verdict, has, is};
use std::sync::Mutex;

const GROUP: &str = "s:billing:cg";

/// Three messages, pending under `dead`, and as many dead letters of `t`.
fn server() -> Server {
    let server = Server::start();
    fill(&server);
    server
}

fn fill(server: &Server) {
    server.add_numbered("s", 3);
    server.cli(["XGROUP", "CREATE", "s", GROUP, "0"]);
    server.cli(["XREADGROUP", "GROUP", GROUP, "dead", "STREAMS", "s", ">"]);
    server.cli([
        "XCLAIM", "s", GROUP, "dead", "0", "1-0", "2-0", "3-0", "TIME", "0", "JUSTID",
    ]);
    for number in ["1", "2", "3"] {
        server.add("letters", "*", &[("name", "n"), ("body", number), ("dead-stream", "t")]);
    }
}

/// The ways to add and let go in one transaction: each adds three messages to `t`.
const WAYS: [(&str, &str); 3] = [
    ("consume", "s -l billing -e --dead-letter t --max-deliveries 1 -- false"),
    ("nack", "s -l billing 1-0 2-0 3-0 --dead-letter t --reason r"),
    ("redrive", "letters"),
];

/// One of them, over a middleman.
fn run(server: &Server, middleman: &Middleman, (verb, args): (&str, &str)) -> Output {
    let run = Test::new(server).args([verb, "--reconnect-for", "0s", "-u", &middleman.url()]);
    run.args(args.split(' ')).spawn().wait()
}

/// What is not let go.
fn held(server: &Server, verb: &str) -> Vec<String> {
    match verb {
        "redrive" => server.bodies("letters"),
        _ => server.pending("s", GROUP),
    }
}

fn added(server: &Server) -> Vec<String> {
    let mut bodies = server.values("t", &["body"]);
    bodies.sort();
    bodies
}

/// Before the first messages are added, others do something to their target, so often.
fn meddle(server: &Server, times: usize, command: &'static [&'static str]) -> Middleman {
    let (others, left) = (server.client(), Mutex::new(times));
    Middleman::start(server, move |words| {
        let mut left = left.lock().unwrap();
        if is(words, "XADD") && has(words, "t") && *left > 0 {
            *left -= 1;
            others.command(command);
        }
        Verdict::Pass
    })
}

#[test]
fn what_its_target_refuses_at_the_last_moment_is_not_let_go() {
    for way @ (verb, _) in WAYS {
        let server = server();
        let middleman = meddle(&server, 1, &["SET", "t", "no stream"]);
        let output = run(&server, &middleman, way);
        assert_ne!(output.status, 0, "{verb}: {}", output.stderr());
        assert!(
            output.stderr().contains("'t' is not a stream"),
            "{verb}: {}",
            output.stderr()
        );
        assert_eq!(held(&server, verb).len(), 3, "{verb}: {}", output.stderr());
        // Not for a moment: a kill would have left it so.
        assert_eq!(server.calls("xack") + server.calls("xdel"), 0, "{verb}");
        assert_eq!(server.cli(["GET", "t"]), "no stream", "{verb}");
    }
}

#[test]
fn a_target_that_others_write_to_gets_each_message_once() {
    // Also one that is never left alone.
    for times in [3, usize::MAX] {
        for way @ (verb, _) in WAYS {
            let server = server();
            let middleman = meddle(&server, times, &["XADD", "t", "*", "name", "other", "body", "0"]);
            let output = run(&server, &middleman, way);
            // A handler that failed a message is a failure of `consume`.
            let expected = i32::from(verb == "consume");
            assert_eq!(output.status, expected, "{verb}: {}", output.stderr());
            let mut added = added(&server);
            added.retain(|body| body != "0");
            assert_eq!(added, ["1", "2", "3"], "{verb}");
            assert_eq!(held(&server, verb), [""; 0], "{verb}");
        }
    }
}

#[test]
fn a_target_at_another_node_that_changes_gets_each_message_once() {
    let cluster = Cluster::start();
    let [node, there] = [0, 1].map(|number| &cluster.nodes()[number]);
    let (letters, target) = (cluster.name_at(node, "letters"), cluster.name_at(there, "t"));
    for number in ["1", "2", "3"] {
        node.add(
            &letters,
            "*",
            &[("name", "n"), ("body", number), ("dead-stream", &target)],
        );
    }
    // Others write to it for as long as the redrive is at work.
    std::thread::scope(|scope| {
        let (end, until) = std::sync::mpsc::channel::<()>();
        let target = target.as_str();
        scope.spawn(move || {
            let others = there.client();
            while until.try_recv() == Err(std::sync::mpsc::TryRecvError::Empty) {
                others.command(["XADD", target, "*", "name", "other", "body", "0"]);
            }
        });
        Test::new(node)
            .args(["redrive", &letters])
            .stdout_any()
            .stderr_any()
            .run();
        drop(end);
    });
    assert_eq!(node.ids(&letters), [""; 0]);
    let mut bodies = there.bodies(&target);
    bodies.retain(|body| body != "0");
    assert_eq!(bodies, ["1", "2", "3"]);
}
