//! `--delete` of `consume` and `ack`: an entry goes once every group has acknowledged it, and not before.

use crate::harness::{Cluster, Dice, End, Fate, Proxy, Server, Signal, Test, wait_until};
use std::collections::BTreeSet;

/// A stream of entries 1-0 to N-0, with a group that begins before them.
fn stream(count: usize) -> Server {
    let server = Server::options().append_only().start();
    prepare(&server, "s", count);
    server
}

fn prepare(server: &Server, stream: &str, count: usize) {
    server.add_numbered(stream, count);
    server.cli(["XGROUP", "CREATE", stream, "g", "0"]);
}

fn consume(server: &Server, args: &str) -> Test {
    Test::new(server)
        .args(["consume", "s", "-g", "g", "--delete"])
        .args(args.split_whitespace())
}

fn ids(numbers: impl IntoIterator<Item = usize>) -> Vec<String> {
    numbers.into_iter().map(|number| format!("{number}-0")).collect()
}

#[test]
fn what_is_done_is_deleted() {
    let server = stream(2500);
    let printed = consume(&server, "-e --body").stdout_any().run().stdout();
    assert_eq!(printed.lines().count(), 2500);
    assert_eq!(server.ids("s"), [""; 0]);
    assert_eq!(server.pending("s", "g"), [""; 0]);
}

#[test]
fn what_fails_stays_and_what_becomes_a_dead_letter_goes() {
    let fails = "! grep -q '\"id\":\"2-0\"'";
    let answers = "while read -r line; do case $line in *2-0*) echo fail no;; *) echo ok;; esac; done";
    let letters = "--max-deliveries 1 --dead-letter dl";
    for (args, script, left, dead) in [
        ("-e", fails, ids([2]), 0),
        (&format!("-e {letters}"), fails, ids([]), 1),
        ("-e --batch 3", fails, ids([2]), 0),
        ("-e --worker", answers, ids([2]), 0),
        (&format!("-e --worker {letters}"), answers, ids([]), 1),
    ] {
        let server = stream(3);
        let run = consume(&server, args).args(["--", "sh", "-c", script]);
        run.status(1).stderr_any().run();
        assert_eq!(server.ids("s"), left, "{args}");
        assert_eq!(server.pending("s", "g"), left, "{args}");
        assert_eq!(server.entries("dl").len(), dead, "{args}");
    }
}

#[test]
fn with_several_groups_the_last_one_deletes() {
    let server = stream(5);
    if !server.knows_or_left_out("XACKDEL") {
        return;
    }
    server.cli(["XGROUP", "CREATE", "s", "h", "0"]);
    consume(&server, "-e").stdout_any().run();
    assert_eq!(server.ids("s"), ids(1..=5));
    let h = ["consume", "s", "-g", "h", "-n", "2", "--delete"];
    Test::new(&server).args(h).stdout_any().run();
    assert_eq!(server.ids("s"), ids(3..=5));
    assert_eq!(server.pending("s", "g"), [""; 0]);
}

#[test]
fn with_several_groups_an_older_server_refuses() {
    let server = stream(5);
    if server.knows("XACKDEL") {
        return;
    }
    server.cli(["XGROUP", "CREATE", "s", "h", "0"]);
    let said = [
        "error: stream 's' has groups beside 'g', and without XACKDEL nobody can tell what all of them have acknowledged: nothing",
        "hint: XACKDEL comes with Redis 8.2, and takes the right +xackdel; without it, trim what all groups have acknowledged",
    ];
    consume(&server, "-e").status(1).stderr_has(said).run();
    assert!(!server.is_delivered("s", "g"));
    server.cli(["XREADGROUP", "GROUP", "g", "c", "STREAMS", "s", ">"]);
    let ack = ["ack", "s", "-g", "g", "--delete", "1-0", "2-0"];
    Test::new(&server).args(ack).status(1).stderr_has(said).run();
    assert_eq!(server.pending("s", "g"), ids(1..=5));
    assert_eq!(server.ids("s"), ids(1..=5));
}

/// What the other group may want is kept from the moment on in which it is made.
#[test]
fn a_group_that_is_made_meanwhile_misses_nothing() {
    let server = stream(2);
    if server.knows("XACKDEL") {
        return;
    }
    let mut running = consume(&server, "-n 4").spawn();
    running.line();
    running.line();
    wait_until("what is done is deleted", || server.ids("s").is_empty());
    server.cli(["XGROUP", "CREATE", "s", "h", "0"]);
    for id in ["3-0", "4-0"] {
        server.add_message("s", id, "n", "1");
    }
    let output = running.wait();
    assert_eq!(output.status, 1);
    let stderr = output.stderr();
    assert!(stderr.contains("warning: s has groups beside g by now"), "{stderr}");
    assert!(
        stderr.contains("error: 2 messages acknowledged and not deleted"),
        "{stderr}"
    );
    assert_eq!(server.pending("s", "g"), [""; 0]);
    assert_eq!(server.ids("s"), ids(3..=4));
}

#[test]
fn ack_deletes_what_was_pending_alone() {
    let server = stream(5);
    server.cli(["XREADGROUP", "GROUP", "g", "c", "COUNT", "3", "STREAMS", "s", ">"]);
    let ack = |args: &str| {
        Test::new(&server)
            .args(["ack", "s", "-g", "g", "--delete"])
            .args(args.split_whitespace())
    };
    // What was not delivered yet stays, and so does what was acknowledged before.
    server.cli(["XACK", "s", "g", "2-0"]);
    ack("--json 1-0 2-0 4-0 9-0")
        .stdout(
            "{\"acknowledged\":1,\"answer_lost\":0,\"not_pending\":3,\"deleted\":1,\"undeletable\":0,\"streams\":[{\"stream\":\"s\",\
             \"group\":\"g\",\"acknowledged\":1,\"answer_lost\":0,\"not_pending\":3,\"deleted\":1,\"undeletable\":0}]}\n",
        )
        .run();
    assert_eq!(server.ids("s"), ids(2..=5));
    ack("3-0").stdout("1\n").run();
    assert_eq!(server.ids("s"), ids([2, 4, 5]));
    ack("3-0").stdout("0\n").run();
    ack("1-0").stdin("").stdout("0\n").run();
}

/// The same entries are acknowledged again over the next connection; that they are gone is as well.
#[test]
fn a_lost_answer_is_asked_for_again() {
    let has_command = stream(1).knows("XACKDEL");
    let command: &[u8] = if has_command { b"XACKDEL" } else { b"EVAL" };
    // That which asks for what the server can do, and that which acknowledges.
    for needle in [command, b"2-0"] {
        let server = stream(100);
        let proxy = Proxy::start(server.socket(), [Fate::Unanswered(needle, End::Fin)]);
        let printed = consume(&server, "-e")
            .args(["-u", &proxy.url()])
            .stdout_any()
            .stderr_any();
        assert_eq!(printed.run().stdout().lines().count(), 100);
        assert_eq!(server.ids("s"), [""; 0]);
        assert_eq!(server.pending("s", "g"), [""; 0]);
    }
}

/// Entries that were deleted while they were pending are acknowledged, and nobody waits for them.
#[test]
fn what_is_gone_already_is_acknowledged() {
    let server = stream(3);
    server.cli(["XREADGROUP", "GROUP", "g", "c", "STREAMS", "s", ">"]);
    server.cli(["XDEL", "s", "2-0"]);
    let printed = consume(&server, "-c c -e --template {id}").stderr_any();
    printed.stdout("1-0\n3-0\n").run();
    assert_eq!(server.pending("s", "g"), [""; 0]);
    assert_eq!(server.ids("s"), [""; 0]);
}

/// Whenever they are killed: what some group has not done is there, and in the end all is done and gone.
#[test]
fn killed_consumers_delete_nothing_that_is_not_done() {
    let server = stream(20_000);
    let mut groups = vec!["g"];
    if server.knows("XACKDEL") {
        server.cli(["XGROUP", "CREATE", "s", "h", "0"]);
        groups.push("h");
    }
    let consume = |group: &str, args: &str| {
        let test = Test::new(&server).args(["consume", "s", "-g", group, "--delete", "--template", "{id}"]);
        test.args(["--claim-idle", "1ms"]).args(args.split_whitespace())
    };
    let mut dice = Dice::new();
    let mut done = vec![BTreeSet::new(); groups.len()];
    for _ in 0..8 {
        let running = groups.iter().map(|group| consume(group, "").spawn_open());
        let running: Vec<_> = running.collect();
        for one in &running {
            std::thread::sleep(dice.millis(0, 30));
            one.signal(Signal::KILL);
        }
        for (done, mut one) in done.iter_mut().zip(running) {
            done.extend(one.wait().stdout().lines().map(str::to_owned));
        }
        let left: BTreeSet<_> = server.ids("s").into_iter().collect();
        let mut gone = ids(1..=20_000);
        gone.retain(|id| !left.contains(id));
        let lost: Vec<_> = gone
            .iter()
            .filter(|id| done.iter().any(|done| !done.contains(*id)))
            .collect();
        assert!(lost.is_empty(), "seed {}: {lost:?}", dice.seed());
    }
    for (done, group) in done.iter_mut().zip(&groups) {
        let rest = consume(group, "-e").stdout_any().run();
        done.extend(rest.stdout().lines().map(str::to_owned));
        assert_eq!(done.len(), 20_000, "seed {}", dice.seed());
    }
    assert_eq!(server.ids("s"), [""; 0]);
}

#[test]
fn it_works_on_a_cluster_and_with_one_reader_at_a_time() {
    let cluster = Cluster::start();
    for how in ["", "--exclusive"] {
        let names: Vec<String> = (0..4).map(|number| format!("o{how}:{number}")).collect();
        for name in &names {
            prepare(cluster.node_of(name), name, 50);
        }
        let run = |args: &str| {
            let pattern = format!("o{how}:{{0..3}}");
            let test = Test::without_server().args(["-u", &cluster.url()]);
            test.arg("consume").arg(pattern).args(args.split_whitespace())
        };
        let printed = run(&format!("-g g -e --delete {how}")).stdout_any().run().stdout();
        assert_eq!(printed.lines().count(), 200);
        for name in &names {
            assert_eq!(cluster.node_of(name).ids(name), [""; 0]);
        }
    }
}

#[test]
fn what_makes_no_sense_is_refused() {
    let server = stream(1);
    for (args, said) in [
        ("--ack manual", "hint: ack has a --delete, too"),
        ("--ack read", "with --ack read nobody says what is"),
        ("--match n", "would delete what nobody has done"),
    ] {
        consume(&server, args).status(2).stderr_has([said]).run();
    }
    let plain = Test::new(&server).args(["consume", "s", "--delete"]);
    plain.status(2).stderr_has(["--delete needs a group"]).run();
    assert_eq!(server.ids("s"), ids([1]));
}

/// Nothing is done where only a part of it may be.
#[test]
fn without_the_right_to_delete_nothing_is_acknowledged() {
    let server = Server::options()
        .user("eve on nopass ~* -@all +xack +eval +xinfo|groups +xreadgroup")
        .start();
    prepare(&server, "s", 3);
    server.cli(["XREADGROUP", "GROUP", "g", "c", "STREAMS", "s", ">"]);
    for args in ["ack s -g g --delete 1-0 2-0", "consume s -g g --delete"] {
        let test = Test::new(&server).args(["--user", "eve"]).args(args.split(' '));
        test.status(1)
            .stderr_has([
                "NOPERM",
                "hint: grant the user what deletes: ACL SETUSER USER '+eval' '+xack' '+xdel'",
            ])
            .run();
        assert_eq!(server.pending("s", "g"), ids(1..=3), "{args}");
        assert_eq!(server.ids("s"), ids(1..=3), "{args}");
    }
}

/// Of several streams, one that is refused does not keep the others from theirs.
#[test]
fn one_stream_with_several_groups_leaves_the_others_alone() {
    let server = stream(2);
    if server.knows("XACKDEL") {
        return;
    }
    prepare(&server, "t", 2);
    server.cli(["XGROUP", "CREATE", "t", "h", "0"]);
    server.cli(["XREADGROUP", "GROUP", "g", "c", "STREAMS", "s", "t", ">", ">"]);
    let lines = ["t", "s", "t", "s"].iter().zip([1, 1, 2, 2]);
    let lines: String = lines
        .map(|(stream, n)| format!("{{\"stream\":\"{stream}\",\"id\":\"{n}-0\"}}\n"))
        .collect();
    let ack = Test::new(&server)
        .args(["ack", "s", "-g", "g", "--delete"])
        .stdin(lines);
    ack.status(1)
        .stdout("2\n")
        .stderr_has(["stream 't' has groups beside 'g'"])
        .run();
    assert_eq!(server.ids("s"), [""; 0]);
    assert_eq!(server.pending("t", "g"), ids(1..=2));
}

/// As without `--delete`: what the server refuses for a while is tried again.
#[test]
fn a_server_that_refuses_for_a_while_is_waited_for() {
    let server = stream(3);
    server.cli(["CONFIG", "SET", "min-replicas-to-write", "1"]);
    let mut running = consume(&server, "-e --reconnect-for 1h --template {id}").spawn();
    wait_until("the refusal to be said", || {
        running.stderr_so_far().contains("NOREPLICAS")
    });
    server.cli(["CONFIG", "SET", "min-replicas-to-write", "0"]);
    let output = running.wait();
    assert_eq!(
        (output.status, output.stdout().lines().count()),
        (0, 3),
        "{}",
        output.stderr()
    );
    assert_eq!(server.ids("s"), [""; 0]);
}
