//! Redrives while slots move and masters are replaced.

use super::{fill, numbers};
use crate::harness::{Change, Changing, Cluster, Dice, Running, Server, Signal, Test, wait_until};
use std::time::Duration;

const DEAD: &str = "dead-letters";

/// All messages are in their targets, each once and in order, so many times; nothing is left.
#[track_caller]
fn assert_moved<'s>(node_of: &dyn Fn(&str) -> &'s Server, targets: &[&str], letters: usize, rounds: usize) {
    assert_eq!(node_of(DEAD).ids(DEAD), [""; 0]);
    for (place, target) in targets.iter().enumerate() {
        let round: Vec<usize> = (1..=letters).filter(|n| n % targets.len() == place).collect();
        let found = numbers(&node_of(target).bodies(target));
        let differs = found
            .iter()
            .zip(&round.repeat(rounds))
            .position(|(found, moved)| found != moved);
        assert!(
            differs.is_none() && found.len() == rounds * round.len(),
            "{target}: {} of {}, different from number {differs:?} on",
            found.len(),
            rounds * round.len()
        );
    }
}

/// Moves the slot of a stream slowly: its keys are at two nodes for a while.
fn move_slowly(cluster: &Cluster, stream: &str, dice: &mut Dice) {
    let (slot, masters) = (cluster.slot(stream), cluster.masters());
    let owner = cluster.owner(slot);
    let others: Vec<_> = masters.into_iter().filter(|node| !std::ptr::eq(*node, owner)).collect();
    let step = cluster.begin_move(slot, dice.pick(&others));
    while step.move_keys(1) > 0 {
        std::thread::sleep(dice.millis(0, 60));
    }
    step.finish();
}

#[test]
fn slots_move_while_dead_letters_are_moved() {
    const LETTERS: usize = 1200;
    let cluster = Cluster::start();
    let names = [0, 1, 2].map(|number| cluster.name_at(&cluster.nodes()[number], "s"));
    let targets = [&*names[0], &names[1], &names[2], "{dead-letters}:x"];
    let node_of = |stream: &str| cluster.node_of(stream);
    let mut dice = Dice::seeded(16);
    let redrive = || {
        let redrive = ["redrive", DEAD, "--rate", "3000"];
        Test::new(&cluster.nodes()[0]).args(redrive)
    };
    for round in 1..=5 {
        fill(node_of(DEAD), DEAD, LETTERS, &targets);
        let (mut running, mut moves): (Running, usize) = (redrive().spawn(), 0);
        while !running.has_ended() {
            move_slowly(&cluster, dice.pick(&[DEAD, targets[0], targets[1]]), &mut dice);
            moves += 1;
            if dice.one_in(3) && running.end_within(Duration::ZERO, Signal::KILL) {
                running.wait();
                running = redrive().spawn();
            }
        }
        let output = running.wait();
        assert_eq!(output.status, 0, "{}", output.stderr());
        assert!(moves > 0);
        assert_moved(&node_of, &targets, LETTERS, round);
    }
    for node in cluster.nodes() {
        assert_eq!(node.cli(["KEYS", "redis-streamer:*"]), "");
    }
}

/// Has a redrive move letters while the servers change, each time for a stream.
fn survives(world: &Changing, targets: &[&str], changes: &[(Change, &str)]) {
    const LETTERS: usize = 1200;
    fill(world.node_of(DEAD), DEAD, LETTERS, targets);
    world.wait_in_sync();
    let left = || world.node_of(DEAD).ids(DEAD).len();
    let mut running = world
        .program("redrive dead-letters --rate 250 --reconnect-for 1m")
        .spawn();
    for (change, stream) in changes {
        let goal = left() - 50;
        wait_until("some to be moved", || left() < goal);
        world.change(*change, stream);
        assert!(!running.has_ended(), "{}", running.stderr_so_far());
    }
    let output = running.wait();
    assert_eq!(output.status, 0, "{}", output.stderr());
    let node_of = |stream: &str| world.node_of(stream);
    assert_moved(&node_of, targets, LETTERS, 1);
    let moved = "moved 1,200 dead letters of dead-letters\n";
    assert!(output.stderr().ends_with(moved), "{}", output.stderr());
}

#[test]
fn masters_and_replicas_change_places_while_dead_letters_are_moved() {
    let world = Changing::cluster();
    let Changing::Cluster(cluster) = &world else { return };
    let names = [0, 1, 2].map(|number| cluster.name_at(&cluster.nodes()[number], "s"));
    let targets = [&*names[0], &names[1], &names[2], "{dead-letters}:x"];
    let changes = [
        (Change::Switch, DEAD),
        (Change::Move, DEAD),
        (Change::Switch, targets[0]),
    ];
    survives(&world, &targets, &changes);
}

/// Within a slot a master takes along both or neither: what is in the target, and what is gone from the dead letters.
#[test]
fn a_master_is_killed_while_dead_letters_are_moved_beside_them() {
    let world = Changing::cluster();
    let targets = ["{dead-letters}:x", "{dead-letters}:y"];
    survives(&world, &targets, &[(Change::Kill, DEAD)]);
}
