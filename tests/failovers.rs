//! Handlers, batches and workers that have messages in hand while their master is replaced or their slot moves: each
//! message is done, the exit code tells the truth, and nothing is left pending.

use std::collections::BTreeSet;

use crate::harness::{Change, Changing, Running, wait_long, wait_until};

const MESSAGES: usize = 400;
/// What fails whenever it is tried.
const BAD: usize = 333;

/// A group, how its messages are handled, and by what. A batch is noted as a whole, or not at all.
const GROUPS: [(&str, &str, &str); 4] = [
    (
        "one",
        "--jobs 2",
        "line=$(cat); wait_held \"$line\"; is_good \"$line\" && echo \"$line\" >> one",
    ),
    (
        "batch",
        "--batch 20 --jobs 2",
        "lines=$(cat); wait_held \"$lines\"; is_good \"$lines\" && echo \"$lines\" >> batch",
    ),
    ("worker", "--worker --jobs 2", WORKER),
    ("ahead", "--worker --in-flight 8", WORKER),
];

const WORKER: &str = "while read -r line; do
        wait_held \"$line\"
        if is_good \"$line\"; then echo \"$line\" >> $0; echo ok; else echo fail bad; fi
    done";

/// How many messages are done between two changes. The others are held until their change is over.
const PART: usize = 80;

const FUNCTIONS: &str = r#"wait_held() {
        last=${1##*\"body\":} last=${last%%[,\}]*} part=$(((last - 1) / 80))
        until [ -e go-$part ]; do touch held-$0-$part; sleep 0.02; done
    }
    is_good() { case $1 in *'"body":333'[,}]*) return 1 ;; esac; }
    "#;

fn start(world: &Changing, (group, options, script): (&str, &str, &str)) -> Running {
    let dead = format!("--retry-delay 10ms --max-deliveries 2 --dead-letter {{orders}}:{group}");
    let consume = format!("consume orders -g {group} -e {options} {dead} --reconnect-for 1h -v");
    let script = format!("{FUNCTIONS}{script}");
    world
        .program(&consume)
        .args(["--", "bash", "-c", &script, group])
        .spawn()
}

/// The numbers of the messages that a group has done.
fn done(world: &Changing, group: &str) -> BTreeSet<usize> {
    let number = |line: &String| {
        let (_, rest) = line.split_once("\"body\":").unwrap();
        rest.split([',', '}']).next().unwrap().parse().unwrap()
    };
    world.server().lines(group).iter().map(number).collect()
}

fn survives(world: &Changing, changes: &[Change]) {
    let node = world.node_of("orders");
    node.add_numbered("orders", MESSAGES);
    for (group, ..) in GROUPS {
        node.cli(["XGROUP", "CREATE", "orders", group, "0"]);
    }
    world.wait_in_sync();
    let work = world.server().work();
    let mut running: Vec<_> = GROUPS.into_iter().map(|group| start(world, group)).collect();
    for (part, change) in changes.iter().enumerate() {
        for (group, ..) in GROUPS {
            let held = work.join(format!("held-{group}-{part}"));
            wait_long("a handler to have a message in hand", || held.exists());
        }
        world.change(*change, "orders");
        world.server().file(&format!("go-{part}"), "");
    }
    for part in changes.len()..=MESSAGES / PART {
        world.server().file(&format!("go-{part}"), "");
    }
    for (mut running, (group, ..)) in running.drain(..).zip(GROUPS) {
        wait_until("its end", || running.has_ended());
        let output = running.wait();
        let said = || format!("{group}: {}", output.stderr());
        assert_eq!(output.status, 1, "{}", said());
        assert!(output.stderr().contains("failed"), "{}", said());
        let mut expected: BTreeSet<usize> = (1..=MESSAGES).collect();
        expected.remove(&BAD);
        let done = done(world, group);
        let missing: Vec<_> = expected.difference(&done).collect();
        assert!(missing.is_empty() && !done.contains(&BAD), "{missing:?} {}", said());
        let node = world.node_of("orders");
        assert!(node.is_settled("orders", group), "{}", said());
        assert_eq!(node.consumers("orders", group), [""; 0], "{}", said());
        let dead = node.values(&format!("{{orders}}:{group}"), &["dead-id"]);
        assert_eq!(dead, [format!("{BAD}-0")], "{}", said());
    }
}

#[test]
fn handlers_survive_failovers_and_moves_of_a_cluster() {
    let changes = [Change::Kill, Change::Move, Change::Switch, Change::Stop];
    survives(&Changing::cluster(), &changes);
}

#[test]
fn handlers_survive_failovers_behind_sentinels() {
    survives(&Changing::sentinels(), &[Change::Kill, Change::Stop, Change::Switch]);
}
