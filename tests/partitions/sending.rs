//! One message to one of several partitions.

use super::{World, names};
use crate::harness::{Server, Test};

/// The partition of a key, as the server counts: its slot modulo the number of partitions.
pub fn partition_of(server: &Server, key: &str, partitions: u64) -> usize {
    let slot: u64 = server.cli(["CLUSTER", "KEYSLOT", key]).parse().unwrap();
    usize::try_from(slot % partitions).unwrap()
}

#[test]
fn a_message_goes_to_the_partition_of_its_key() {
    World::each(|world| {
        let cluster = crate::harness::Cluster::start();
        let judge = &cluster.nodes()[0];
        for (pointer, body, key) in [
            ("/body/user_id", r#"{"user_id":123}"#, "123"),
            ("/body/user_id", r#"{"user_id":"a {tag} b"}"#, "a {tag} b"),
            ("/body/a/1", r#"{"a":[0,1.50]}"#, "1.50"),
            ("/body", "true", "true"),
            ("/name", "1", "n"),
            ("/fields/trace", "2", "t"),
        ] {
            let expected = format!("p:{}", partition_of(judge, key, 5));
            let before = world.node_of(&expected).bodies(&expected).len();
            let run = world.program("send p:{0..4} --name n -f trace=t -v --key");
            let output = run.args([pointer, body]).stdout_any().stderr_any().run();
            assert!(
                output.stderr().contains(&format!("added to {expected}\n")),
                "{}",
                output.stderr()
            );
            let bodies = world.node_of(&expected).bodies(&expected);
            assert_eq!(
                (bodies.len(), bodies.last().unwrap().as_str()),
                (before + 1, body),
                "{key}"
            );
            let id = world.node_of(&expected).ids(&expected).pop().unwrap();
            assert_eq!(output.stdout(), format!("{id}\n"));
        }
    });
}

#[test]
fn a_message_without_a_key_goes_to_any_partition() {
    let server = Server::start();
    for _ in 0..8 {
        Test::new(&server)
            .args(["send", "p:{0..3}", "1", "--name", "n"])
            .stdout_any()
            .run();
    }
    let sent: usize = names(4).map(|name| server.bodies(&name).len()).sum();
    assert_eq!(sent, 8);
}

#[test]
fn no_key_and_no_pattern_are_refused() {
    let server = Server::start();
    let send = |stream: &str, body: &str| {
        let args = ["send", stream, body, "--name", "n", "--key", "/body/k"];
        Test::new(&server).args(args)
    };
    for body in ["{}", r#"{"k":null}"#, r#"{"k":[1]}"#, r#"{"k":{"k":1}}"#, "7"] {
        send("p:{0..3}", body).status(1).stderr_has(["no key at /body/k"]).run();
    }
    send("p", r#"{"k":1}"#)
        .status(2)
        .stderr_has(["--key", "'orders:{0..15}'"])
        .run();
    let pointer = Test::new(&server).args(["send", "p:{0..3}", "1", "--name", "n", "--key", "k"]);
    pointer.status(2).stderr_has(["expected a JSON pointer"]).run();
}
