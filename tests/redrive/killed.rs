//! Redrives that are killed at any moment, and run again, also two at once: none lost, none twice, and in order.

use super::{fill, numbers};
use crate::harness::{Cluster, Dice, Sentinels, Server, Signal, Test, wait_until};
use std::collections::BTreeMap;

const KILLS: usize = 50;
/// How many dead letters there are before each round of kills.
const LETTERS: usize = 3000;

/// What the kills are tried on.
struct Trial<'a> {
    /// The server that holds a stream.
    holder: &'a dyn Fn(&str) -> &'a Server,
    program: &'a dyn Fn() -> Test,
    dead: &'a str,
    targets: Vec<&'a str>,
}

impl Trial<'_> {
    fn fill(&self) {
        fill((self.holder)(self.dead), self.dead, LETTERS, &self.targets);
    }

    /// Kills redrives until there were so many, now and then one of two; then lets one end. `between` is done after each.
    fn run(&self, dice: &mut Dice, mut between: impl FnMut(usize)) {
        let (mut kills, mut rounds) = (0, 0);
        while kills < KILLS {
            self.fill();
            rounds += 1;
            while kills < KILLS && self.is_anything_left() {
                let mut first = (self.program)().args(["redrive", self.dead]).spawn();
                let mut second = dice
                    .one_in(4)
                    .then(|| (self.program)().args(["redrive", self.dead]).spawn());
                // From before it is connected up to when most is moved.
                let time = dice.millis(0, 120);
                if first.end_within(time, Signal::KILL) {
                    kills += 1;
                }
                first.wait();
                if let Some(second) = &mut second {
                    if second.end_within(dice.millis(0, 60), Signal::KILL) {
                        kills += 1;
                    }
                    second.wait();
                }
                between(kills);
            }
            let last = (self.program)()
                .args(["redrive", self.dead])
                .stdout_any()
                .stderr_any()
                .run();
            assert!(!last.stderr().contains("may have been"), "{}", last.stderr());
            self.check(rounds);
        }
    }

    fn is_anything_left(&self) -> bool {
        !(self.holder)(self.dead).ids(self.dead).is_empty()
    }

    /// Every message is in its target exactly once, in order.
    fn check(&self, rounds: usize) {
        assert!(!self.is_anything_left());
        for (place, target) in self.targets.iter().enumerate() {
            let round: Vec<usize> = (1..=LETTERS)
                .filter(|number| number % self.targets.len() == place)
                .collect();
            let found = numbers(&(self.holder)(target).bodies(target));
            let mut seen = BTreeMap::new();
            for number in &found {
                *seen.entry(*number).or_insert(0) += 1;
            }
            let wrong: Vec<_> = round
                .iter()
                .filter(|number| seen.get(number) != Some(&rounds))
                .collect();
            assert!(wrong.is_empty(), "lost or twice in {target}: {wrong:?}");
            assert_eq!(found, round.repeat(rounds), "{target}");
        }
    }
}

#[test]
fn killed_redrives_lose_nothing_and_move_nothing_twice() {
    let server = Server::start();
    let trial = Trial {
        holder: &|_| &server,
        program: &|| Test::new(&server),
        dead: "dead",
        targets: vec!["orders", "returns", "{x}:0"],
    };
    trial.run(&mut Dice::seeded(13), |_| {});
    // Nobody is at work any more, and nothing is left of it.
    let keys = server.cli(["KEYS", "redis-streamer:*"]);
    assert_eq!(keys, "");
}

#[test]
fn killed_redrives_across_nodes_lose_nothing_and_move_nothing_twice() {
    let cluster = Cluster::start();
    let [a, b, c] = [0, 1, 2].map(|number| cluster.name_at(&cluster.nodes()[number], "s"));
    let dead = "dead-letters";
    let trial = Trial {
        holder: &|stream| cluster.node_of(stream),
        program: &|| Test::new(&cluster.nodes()[0]),
        dead,
        targets: vec![&a, &b, &c, "{dead-letters}:x"],
    };
    trial.run(&mut Dice::seeded(14), |_| {});
    for node in cluster.nodes() {
        assert_eq!(node.cli(["KEYS", "redis-streamer:*"]), "");
    }
}

#[test]
fn killed_redrives_behind_sentinels_lose_nothing_and_move_nothing_twice() {
    let all = Sentinels::start();
    let mut failovers = 0;
    let trial = Trial {
        holder: &|_| all.master(),
        program: &|| {
            Test::without_server()
                .dir(&all.servers()[0].work())
                .env("REDIS_STREAMER_URL", all.url())
        },
        dead: "dead",
        targets: vec!["orders", "returns"],
    };
    trial.run(&mut Dice::seeded(15), |kills| {
        if kills / 20 > failovers {
            failovers += 1;
            let old = all.master();
            // All that was added is known to the next master; what was moved need not be.
            wait_until("the replicas", || {
                old.try_command(["WAIT", "2", "1000"])
                    .is_ok_and(|reply| reply == redis::Value::Int(2))
            });
            all.switch();
            all.wait_settled();
        }
    });
    assert!(failovers >= 2);
}
