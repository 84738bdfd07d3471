//! `send-batch --checkpoint` to several partitions, killed and started again.

use super::batches::{PARTITIONS, dealt, partitions_of_users, send_batch};
use super::{World, names};
use crate::harness::{Dice, Running, Server, Test, wait_until};

const COUNT: usize = 20_000;
const BAD: usize = 97;

/// Lines of users in turn, numbered; now and then one without a user.
fn lines() -> Vec<String> {
    let line = |n: usize| match n.is_multiple_of(BAD) {
        true => format!("{{\"n\":{n}}}"),
        false => format!("{{\"user\":\"u{}\",\"n\":{n}}}", n * 7 % 23),
    };
    (1..=COUNT).map(line).collect()
}

fn is_good(line: &str) -> bool {
    line.contains("user")
}

fn resumable(server: &Server) -> Test {
    let options = "in --key /body/user --checkpoint c --receipts receipts --rejects rejects --rate 60000";
    send_batch(server, options)
}

fn sent(world: &World) -> usize {
    let length = |name: String| world.node_of(&name).cli(["XLEN", &name]).parse::<usize>().unwrap();
    names(PARTITIONS).map(length).sum()
}

/// Kills a sending when there are so many entries, unless it has ended by then.
fn kill_at(world: &World, mut sending: Running, count: usize) {
    wait_until("entries to be added", || sent(world) >= count || sending.has_ended());
    sending.kill9();
}

/// Each receipt once, each the ID of its line's entry.
fn assert_receipts(world: &World, lines: &[String]) {
    let mut told = vec![Vec::new(); PARTITIONS];
    for receipt in world.server().lines("receipts") {
        let receipt: serde_json::Value = serde_json::from_str(&receipt).unwrap();
        let partition: usize = receipt["stream"].as_str().unwrap()[2..].parse().unwrap();
        let line = usize::try_from(receipt["line"].as_u64().unwrap()).unwrap();
        told[partition].push((receipt["id"].as_str().unwrap().to_owned(), lines[line - 1].clone()));
    }
    for (name, told) in names(PARTITIONS).zip(told) {
        let node = world.node_of(&name);
        let expected: Vec<_> = node.ids(&name).into_iter().zip(node.bodies(&name)).collect();
        assert!(told == expected, "the receipts of {name} differ from what it holds");
    }
}

#[test]
fn a_killed_sending_is_resumed_exactly_in_all_partitions() {
    let users = partitions_of_users();
    let lines = lines();
    let expected = dealt(&lines, &users, is_good);
    World::each(|world| {
        world.server().file("in", lines.join("\n") + "\n");
        let mut dice = Dice::new();
        for part in 0..6 {
            let count = dice.between(part * 3000, part * 3000 + 3000);
            kill_at(world, resumable(world.server()).spawn(), count);
        }
        resumable(world.server()).status(1).stderr_any().run();
        assert!(world.bodies(PARTITIONS) == expected, "the partitions differ");
        assert_receipts(world, &lines);
        let mut rejects = world.server().lines("rejects");
        let mut bad: Vec<_> = lines.iter().filter(|line| !is_good(line)).cloned().collect();
        rejects.sort();
        bad.sort();
        assert_eq!(rejects, bad);
        // Done is done, and what was rejected is not forgotten.
        let again = resumable(world.server()).status(1);
        again.stderr_has(["lines not sent by an earlier run"]).run();
        assert!(world.bodies(PARTITIONS) == expected, "sent twice");
    });
}

#[test]
fn lines_in_turn_are_resumed_alike() {
    World::each(|world| {
        let lines = lines();
        world.server().file("in", lines.join("\n") + "\n");
        let mut dice = Dice::new();
        let resumable = || send_batch(world.server(), "in --checkpoint c --rate 60000");
        for part in 0..4 {
            let count = dice.between(part * 4000, part * 4000 + 4000);
            kill_at(world, resumable().spawn(), count);
        }
        resumable().stderr_any().run();
        assert!(world.bodies(PARTITIONS) == in_turn(&lines));
    });
}

#[test]
fn a_checkpoint_of_another_pattern_or_key_or_input_is_refused() {
    let server = Server::start();
    server.file("in", "{\"user\":1}\n");
    send_batch(&server, "in --key /body/user --checkpoint c")
        .stderr_any()
        .run();
    for args in [
        "send-batch p:{0..5} in --name n --key /body/user",
        "send-batch p:{0..4} in --name n --key /body/id",
        "send-batch p:{0..4} in --name n",
        "send-batch p:0 in --name n",
    ] {
        let run = Test::new(&server)
            .args(args.split_whitespace())
            .args(["--checkpoint", "c"]);
        run.status(1)
            .stderr_has(["is for another sending: in to p:{0..4} by /body/user"])
            .run();
    }
    server.file("in", "{\"user\":2}\n{\"user\":3}\n");
    let run = send_batch(&server, "in --key /body/user --checkpoint c");
    run.status(1)
        .stderr_has(["the input is not the one the checkpoint was written for"])
        .run();
}

#[test]
fn what_a_server_lost_is_named_and_sent_by_the_next_run() {
    let world = World::One(Server::start());
    let lines = lines();
    world.server().file("in", lines.join("\n") + "\n");
    let sending = |rate: &str| send_batch(world.server(), &format!("in --checkpoint c --rate {rate}"));
    let mut first = sending("20000").spawn();
    wait_until("entries to be added", || sent(&world) >= 3000);
    world.server().restart_empty();
    let output = first.wait();
    let stderr = output.stderr();
    assert!(
        output.status == 1 && stderr.contains("the partition p:"),
        "{}: {stderr}",
        output.status
    );
    assert!(stderr.contains("after it had confirmed them"), "{stderr}");
    sending("60000").stderr_any().run();
    assert!(world.bodies(PARTITIONS) == in_turn(&lines));
}

/// What each partition holds when lines are dealt in turn.
fn in_turn(lines: &[String]) -> Vec<Vec<String>> {
    let turn = |first| lines.iter().skip(first).step_by(PARTITIONS).cloned().collect();
    (0..PARTITIONS).map(turn).collect()
}
