//! Partitions on three masters with replicas, sent to and read from while a master is killed, its replica takes its
//! place, and slots move.
#![allow(clippy::print_stdout, reason = "the report of a long run")]

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};

use super::names;
use crate::harness::{Cluster, Dice, Running, Server, Signal, Test, wait_long, wait_until};

const PARTITIONS: usize = 16;
const USERS: usize = 500;
/// About how long a receipt is.
const RECEIPT: u64 = 68;

/// What was done, and what was seen.
#[derive(Debug, Default)]
struct Counts {
    sendings_killed: usize,
    consumers_killed: usize,
    consumers_ended: usize,
    slots_moved: usize,
    printed_again: usize,
}

/// A change of the cluster.
#[derive(Clone, Copy, Debug)]
enum Change {
    /// A master is killed, a replica promoted, and what was killed comes back as its replica.
    Kill,
    /// A master and its replica change places.
    Switch,
    /// Slots move to other masters, with their keys.
    Move,
}

struct Run {
    cluster: Cluster,
    /// What each partition is to hold, in order.
    expected: Vec<Vec<String>>,
    count: usize,
    rate: usize,
}

impl Run {
    fn start(count: usize, rate: usize) -> Self {
        let nodes = Server::options().append_only();
        let cluster = Cluster::options().replicas(1).nodes(nodes).start();
        let run = Self {
            expected: dealt(&cluster, count),
            cluster,
            count,
            rate,
        };
        let input = (1..=count).map(|n| line(n) + "\n").collect::<String>();
        run.seed().file("in", input);
        run.program("subscribe p:{0..15} -g g").stderr_any().run();
        for master in run.cluster.masters() {
            run.cluster.replicas_of(master)[0].wait_in_sync(master);
        }
        run
    }

    /// The node that holds the files; it is never killed, but may become a replica.
    fn seed(&self) -> &Server {
        &self.cluster.nodes()[0]
    }

    fn program(&self, args: &str) -> Test {
        let test = Test::new(self.seed()).args(args.split_whitespace());
        test.args(["-u", &self.cluster.url()])
    }

    fn sending(&self) -> Running {
        let safety = "--wait-replicas 1 --wait-timeout 1m --receipts receipts --checkpoint c --wait 1m";
        let options = format!("--name n --key /body/user --rate {} {safety}", self.rate);
        self.program(&format!("send-batch p:{{0..15}} in {options}")).spawn()
    }

    fn consumer(&self) -> Running {
        self.program("consume p:{0..15} -g g --claim-idle 1s --block 200ms --wait 1m -q")
            .spawn()
    }

    /// About how many lines are known to be safe.
    fn sent(&self) -> usize {
        let receipts = std::fs::metadata(self.seed().work().join("receipts"));
        receipts.map_or(0, |receipts| (receipts.len() / RECEIPT) as usize)
    }

    /// Sends all, through the changes; now and then the sending is killed and begun again.
    fn send(&self, changes: &[Change], dice: &mut Dice, counts: &mut Counts) {
        let mut sending = self.sending();
        for (number, change) in changes.iter().enumerate() {
            let part = self.count / (changes.len() + 1);
            let place = part * number + dice.between(part / 2, part);
            wait_until("lines to be sent", || self.sent() >= place || sending.has_ended());
            if dice.one_in(3) && !sending.has_ended() {
                sending.kill9();
                counts.sendings_killed += 1;
                sending = self.sending();
            }
            self.change(*change, dice, counts);
        }
        let output = sending.wait();
        assert_eq!(output.status, 0, "{changes:?}: {}", output.stderr());
    }

    fn change(&self, change: Change, dice: &mut Dice, counts: &mut Counts) {
        let partition = |dice: &mut Dice| format!("p:{}", dice.between(0, PARTITIONS));
        match change {
            Change::Kill => {
                let masters = self.cluster.masters();
                let others: Vec<_> = masters
                    .into_iter()
                    .filter(|node| !std::ptr::eq(*node, self.seed()))
                    .collect();
                let master = dice.pick(&others);
                let heir = self.cluster.fail_over(master, Server::kill9);
                master.restart();
                master.wait_in_sync(heir);
            }
            Change::Switch => {
                let master = self.cluster.node_of(&partition(dice));
                self.cluster.switch_to(self.cluster.replicas_of(master)[0]);
            }
            Change::Move => {
                for _ in 0..4 {
                    let slot = self.cluster.slot(&partition(dice));
                    let owner = self.cluster.owner(slot);
                    let masters = self.cluster.masters();
                    let others: Vec<_> = masters.into_iter().filter(|node| !std::ptr::eq(*node, owner)).collect();
                    self.cluster.move_slots(slot..=slot, dice.pick(&others));
                    counts.slots_moved += 1;
                }
            }
        }
    }

    /// Four consumers, now and then one killed or told to end, and another begun in its place.
    fn consume(&self, is_sent: &AtomicBool, dice: &mut Dice, counts: &mut Counts) -> Vec<String> {
        let mut printed = Vec::new();
        let mut take = |output: crate::harness::Output| {
            let end = output
                .stdout
                .iter()
                .rposition(|byte| *byte == b'\n')
                .map_or(0, |at| at + 1);
            let whole = std::str::from_utf8(&output.stdout[..end]).unwrap();
            printed.extend(whole.lines().map(body));
        };
        let mut running: Vec<_> = (0..4).map(|_| self.consumer()).collect();
        while !is_sent.load(Ordering::SeqCst) {
            std::thread::sleep(dice.millis(200, 1000));
            let slot = &mut running[dice.between(0, 4)];
            assert!(
                !slot.has_ended(),
                "a consumer ended by itself: {}",
                slot.wait().stderr()
            );
            if dice.one_in(4) {
                slot.signal(Signal::TERM);
                take(slot.wait());
                counts.consumers_ended += 1;
            } else {
                take(slot.kill9());
                counts.consumers_killed += 1;
            }
            *slot = self.consumer();
        }
        for name in names(PARTITIONS) {
            wait_long("all to be acknowledged", || {
                self.cluster.node_of(&name).is_settled(&name, "g")
            });
        }
        for mut slot in running {
            slot.signal(Signal::TERM);
            let output = slot.wait();
            assert_eq!(output.status, 143, "{}", output.stderr());
            take(output);
        }
        printed
    }

    fn carry_out(&self, seed: u64) -> Counts {
        let mut dice = Dice::seeded(seed);
        let mut changes = [Change::Kill, Change::Move, Change::Switch];
        changes.rotate_left(dice.between(0, 3));
        let (mut counts, mut producing) = (Counts::default(), Counts::default());
        let mut consumers_dice = dice.fork();
        let is_sent = AtomicBool::new(false);
        let printed = std::thread::scope(|scope| {
            let consuming = scope.spawn(|| self.consume(&is_sent, &mut consumers_dice, &mut counts));
            // Whatever becomes of the sending, the consumers are to end.
            let told = Told(&is_sent);
            self.send(&changes, &mut dice, &mut producing);
            drop(told);
            consuming.join().unwrap()
        });
        self.check(&printed);
        counts.printed_again = printed.len() - self.count;
        counts.sendings_killed = producing.sendings_killed;
        counts.slots_moved = producing.slots_moved;
        counts
    }

    /// Each line once and in order in the partition of its key, and printed at least once.
    fn check(&self, printed: &[String]) {
        for (name, expected) in names(PARTITIONS).zip(&self.expected) {
            let bodies = self.cluster.node_of(&name).bodies(&name);
            assert!(
                bodies == *expected,
                "{name} holds {} entries, and not its {} lines in order",
                bodies.len(),
                expected.len()
            );
        }
        let mut times: HashMap<&str, usize> = HashMap::new();
        for body in printed {
            *times.entry(body).or_default() += 1;
        }
        assert_eq!(times.len(), self.count, "lines that no consumer printed");
    }
}

/// Tells that all is sent as it goes.
struct Told<'a>(&'a AtomicBool);

impl Drop for Told<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

fn user(n: usize) -> String {
    format!("u{}", n * 7 % USERS)
}

fn line(n: usize) -> String {
    format!("{{\"user\":\"{}\",\"n\":{n}}}", user(n))
}

/// The body in a line that was printed.
fn body(line: &str) -> String {
    let (_, body) = line.split_once("\"body\":").unwrap();
    body[..=body.find('}').unwrap()].to_owned()
}

/// The lines of each partition, by slots as a server counts them.
fn dealt(cluster: &Cluster, count: usize) -> Vec<Vec<String>> {
    let partition = |n: usize| (user(n), usize::from(cluster.slot(&user(n))) % PARTITIONS);
    let partitions: HashMap<String, usize> = (0..USERS).map(partition).collect();
    let mut dealt = vec![Vec::new(); PARTITIONS];
    for n in 1..=count {
        dealt[partitions[&user(n)]].push(line(n));
    }
    dealt
}

#[test]
fn a_cluster_changes_while_partitions_are_sent_to_and_read() {
    let seed = std::env::var("FAULT_SEED").map_or(1, |text| text.parse().unwrap());
    let counts = Run::start(20_000, 4000).carry_out(seed);
    assert!(counts.slots_moved > 0);
}

#[test]
#[ignore = "takes as long as it is told: scripts/soak --cluster N"]
fn soak() {
    let number = |name: &str, default| std::env::var(name).map_or(default, |text| text.parse().unwrap());
    let (runs, first) = (number("FAULT_RUNS", 10), number("FAULT_SEED", 1));
    for seed in first..first + runs {
        let counts = Run::start(200_000, 12_000).carry_out(seed);
        println!("seed {seed}: 200000 lines in 16 partitions, each once and in order, all printed; {counts:?}");
    }
}
