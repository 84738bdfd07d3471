//! What a target or the server refuses stays where it is; what is not known is not guessed.

use super::{fill, numbers, redrive};
use crate::harness::{Cluster, Dice, End, Fate, OOM, Proxy, Server, Signal, Test, wait_until};

#[test]
fn what_a_target_refuses_stays() {
    let server = Server::start();
    fill(&server, "dead", 1000, &["orders", "returns"]);
    server.cli(["SET", "returns", "no stream"]);
    redrive(&server, "dead")
        .status(1)
        .stdout("TO      MOVED\norders    500\n")
        .stderr_has([
            "moved 500 dead letters of dead\n",
            "warning: 500 of dead left: key 'returns' is not a stream: ",
            "error: 500 dead letters left where they are, of 1,000\n  caused by: key 'returns' is not a stream\n",
        ])
        .run();
    let left: Vec<usize> = (1..=1000).filter(|number| number % 2 == 1).collect();
    assert_eq!(numbers(&server.bodies("dead")), left);
    server.cli(["DEL", "returns"]);
    redrive(&server, "dead")
        .stdout("TO       MOVED\nreturns    500\n")
        .stderr_any()
        .run();
    assert_eq!(numbers(&server.bodies("returns")), left);
}

#[test]
fn what_a_target_at_another_node_refuses_stays() {
    let cluster = Cluster::start();
    let [a, b] = [0, 1].map(|number| cluster.name_at(&cluster.nodes()[number], "s"));
    let dead = cluster.name_at(&cluster.nodes()[2], "dead");
    fill(cluster.node_of(&dead), &dead, 1000, &[&a, &b]);
    cluster.node_of(&b).cli(["SET", &b, "no stream"]);
    let run = || Test::new(&cluster.nodes()[0]).args(["redrive", &dead]).stdout_any();
    run()
        .status(1)
        .stderr_has(["moved 500 ", &format!("key '{b}' is not a stream")])
        .run();
    let left: Vec<usize> = (1..=1000).filter(|number| number % 2 == 1).collect();
    assert_eq!(numbers(&cluster.node_of(&dead).bodies(&dead)), left);
    cluster.node_of(&b).cli(["DEL", &b]);
    run().stderr_any().run();
    assert_eq!(numbers(&cluster.node_of(&b).bodies(&b)), left);
    assert_eq!(cluster.node_of(&dead).ids(&dead), [""; 0]);
}

#[test]
fn a_user_who_may_not_write_a_target_leaves_its_messages() {
    let server = Server::start();
    fill(&server, "dead", 400, &["orders", "returns"]);
    let rights = "on nopass resetkeys ~dead ~orders ~redis-streamer:redrive* -@all +xinfo|stream +xlen +watch +get \
         +pttl +multi +exec +set +del +smembers +xrange +xadd +xdel +cluster|slots";
    let words = ["ACL", "SETUSER", "eve"].into_iter().chain(rights.split_whitespace());
    server.cli(words);
    redrive(&server, "dead --user eve")
        .status(1)
        .stdout("TO      MOVED\norders    200\n")
        .stderr_has(["warning: 200 of dead left: the server denies access to key 'returns'"])
        .run();
    assert_eq!(server.ids("dead").len(), 200);
    assert_eq!(server.ids("orders").len(), 200);
}

#[test]
fn without_transactions_nothing_is_moved() {
    for missing in ["multi", "watch", "set", "xdel"] {
        let server = Server::start();
        fill(&server, "dead", 10, &["orders"]);
        let words = [
            "ACL",
            "SETUSER",
            "eve",
            "on",
            "nopass",
            "allkeys",
            "+@all",
            &format!("-{missing}"),
        ]
        .map(str::to_owned);
        server.cli(&words);
        redrive(&server, "dead --user eve")
            .status(1)
            .stderr_has([format!("has no permissions to run the '{missing}' command").as_str()])
            .run();
        assert_eq!(server.ids("dead").len(), 10, "{missing}");
        assert_eq!(server.ids("orders"), [""; 0], "{missing}");
    }
}

#[test]
fn a_server_short_of_memory_is_waited_for() {
    let server = Server::start();
    fill(&server, "dead", 1000, &["orders"]);
    server.refuse(OOM);
    let output = redrive(&server, "dead --reconnect-for 1s").spawn().wait();
    assert_eq!(output.status, 3, "{}", output.stderr());
    assert!(output.stderr().contains("OOM"), "{}", output.stderr());
    assert_eq!(server.ids("dead").len(), 1000);
    let mut running = redrive(&server, "dead").spawn();
    running.wait_stderr("trying again");
    server.mend(OOM);
    assert_eq!(running.wait().status, 0);
    assert_eq!(numbers(&server.bodies("orders")), (1..=1000).collect::<Vec<_>>());
}

#[test]
fn a_second_redrive_is_turned_away() {
    let server = Server::start();
    fill(&server, "dead", 400, &["orders"]);
    let mut first = redrive(&server, "dead --rate 20").spawn();
    wait_until("the first at work", || !server.ids("orders").is_empty());
    redrive(&server, "dead")
        .status(1)
        .stderr_has(["error: another redrive of 'dead' is at work\n", "hint: "])
        .stdout("")
        .run();
    first.signal(Signal::INT);
    let output = first.wait();
    assert_eq!(output.status, 130, "{}", output.stderr());
    // It has given back its turn.
    redrive(&server, "dead").stdout_any().stderr_any().run();
    assert_eq!(numbers(&server.bodies("orders")), (1..=400).collect::<Vec<_>>());
}

#[test]
fn one_that_was_paused_for_too_long_does_nothing_more() {
    let server = Server::start();
    fill(&server, "dead", 400, &["orders"]);
    let mut first = redrive(&server, "dead --rate 20").spawn();
    wait_until("the first at work", || !server.ids("orders").is_empty());
    first.signal(Signal::STOP);
    // Its connection is there, but its time is over.
    redrive(&server, "dead").stdout_any().stderr_any().run();
    first.signal(Signal::CONT);
    let output = first.wait();
    assert_eq!(output.status, 0, "{}", output.stderr());
    assert_eq!(numbers(&server.bodies("orders")), (1..=400).collect::<Vec<_>>());
    assert_eq!(server.ids("dead"), [""; 0]);
}

#[test]
fn lost_answers_move_nothing_twice() {
    for end in [End::Fin, End::Reset] {
        let server = Server::start();
        fill(&server, "dead", 2000, &["orders", "returns"]);
        let mut dice = Dice::seeded(7);
        let fates: Vec<Fate> = (0..20)
            .map(|number| match number % 2 {
                0 => Fate::Reply(dice.between(1, 60_000), end),
                _ => Fate::Request(dice.between(1, 30_000), end),
            })
            .collect();
        let proxy = Proxy::start(server.socket(), fates);
        let output = redrive(&server, "dead").args(["-u", &proxy.url()]).spawn().wait();
        assert_eq!(output.status, 0, "{}", output.stderr());
        assert!(proxy.cuts() > 3);
        assert!(
            output.stderr().contains("moved 2,000 dead letters of dead\n"),
            "{}",
            output.stderr()
        );
        for (rest, stream) in [(0, "orders"), (1, "returns")] {
            let expected: Vec<usize> = (1..=2000).filter(|number| number % 2 == rest).collect();
            assert_eq!(numbers(&server.bodies(stream)), expected);
        }
    }
}
