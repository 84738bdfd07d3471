//! Masters that die, hang or are replaced in the middle of the work. A master that hung, or was replaced while it was
//! well, goes on answering for a while, and what it takes is lost.

use crate::harness::{Dice, Running, Sentinels, Server, Signal, Test, wait_until};

/// A master with a replica, and sentinels.
fn start() -> Sentinels {
    let servers = Server::options().append_only();
    Sentinels::options().replicas(1).servers(servers).start()
}

/// The program, which waits for a master: on a machine that is busy a failover may follow another one.
fn program(all: &Sentinels) -> Test {
    super::program(all).args(["--wait", "20s"])
}

/// How the master loses its place.
#[derive(Clone, Copy, Debug)]
enum Loss {
    Killed,
    /// Stopped until it is replaced; then it goes on.
    Stopped,
    /// Replaced while it is well.
    Switched,
}

impl Loss {
    fn happen(self, all: &Sentinels) {
        match self {
            Self::Killed => drop(all.fail_over(Server::kill9)),
            Self::Stopped => {
                let old = all.master();
                all.fail_over(Server::pause);
                old.resume();
            }
            Self::Switched => drop(all.switch()),
        }
    }
}

/// How many runs of each kind.
fn runs() -> u64 {
    let runs = std::env::var("SENTINEL_RUNS");
    runs.map_or(2, |runs| runs.parse().expect("SENTINEL_RUNS is a number"))
}

/// Runs from seeds of their own, two at a time: most of the time they wait for elections.
fn each_seed(run: impl Fn(&mut Dice) + Sync) {
    let first = Dice::new().seed();
    let seeds: Vec<u64> = (0..runs()).map(|run| first.wrapping_add(run)).collect();
    for seeds in seeds.chunks(2) {
        std::thread::scope(|scope| {
            for seed in seeds {
                let run = &run;
                scope.spawn(move || {
                    let told = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| run(&mut Dice::seeded(*seed))));
                    if let Err(panic) = told {
                        eprintln!("FAULT_SEED={seed}");
                        std::panic::resume_unwind(panic);
                    }
                });
            }
        });
    }
}

/// A file of so many bodies; the bodies.
fn input(all: &Sentinels, count: usize) -> Vec<String> {
    let body = |n: usize| format!("{{\"n\":{n},\"pad\":\"{}\"}}", "x".repeat(n % 90));
    let bodies: Vec<_> = (1..=count).map(body).collect();
    all.servers()[0].file("input.jsonl", bodies.join("\n") + "\n");
    bodies
}

fn send_batch(all: &Sentinels, rate: usize) -> Test {
    let rate = rate.to_string();
    program(all).args(["send-batch", "s", "input.jsonl", "--name", "n", "--rate", &rate])
}

/// Waits until so much is sent.
fn wait_length(server: &Server, sending: &mut Running, length: usize) {
    wait_until("lines in the stream", || {
        assert!(!sending.has_ended(), "it has ended: {}", sending.stderr_so_far());
        server.cli(["XLEN", "s"]).parse::<usize>().unwrap() >= length
    });
}

/// The new master has the input.
fn assert_sent(all: &Sentinels, bodies: &[String]) {
    let found = all.master().bodies("s");
    let differs = found.iter().zip(bodies).position(|(found, sent)| found != sent);
    assert!(
        found == bodies,
        "{} entries of {}, different from number {differs:?} on",
        found.len(),
        bodies.len()
    );
}

fn sending_survives(loss: Loss) {
    each_seed(|dice| {
        let all = start();
        let count = dice.between(10_000, 40_000);
        let bodies = input(&all, count);
        let mut sending = send_batch(&all, dice.between(count / 4, count)).spawn();
        wait_length(all.master(), &mut sending, dice.between(1, count * 3 / 4));
        loss.happen(&all);
        let output = sending.wait();
        assert_eq!(output.status, 0, "{}", output.stderr());
        all.wait_settled();
        assert_sent(&all, &bodies);
        assert_eq!(all.master().cli(["KEYS", "redis-streamer:*"]), "");
    });
}

#[test]
fn a_file_is_sent_whole_though_the_master_is_killed() {
    sending_survives(Loss::Killed);
}

#[test]
fn a_file_is_sent_whole_though_the_master_is_stopped_and_comes_back() {
    sending_survives(Loss::Stopped);
}

#[test]
fn a_file_is_sent_whole_though_the_master_is_replaced() {
    sending_survives(Loss::Switched);
}

#[test]
fn a_killed_sending_is_taken_up_at_the_new_master() {
    each_seed(|dice| {
        let all = start();
        let bodies = input(&all, 20_000);
        let resumable = || send_batch(&all, 10_000).args(["--checkpoint", "c", "--receipts", "receipts"]);
        let mut sending = resumable().spawn();
        wait_length(all.master(), &mut sending, dice.between(1, 15_000));
        let loss = dice.pick(&[Loss::Killed, Loss::Stopped, Loss::Switched]);
        if dice.one_in(2) {
            sending.kill9();
            loss.happen(&all);
        } else {
            loss.happen(&all);
            sending.kill9();
        }
        let output = resumable().spawn().wait();
        assert_eq!(output.status, 0, "{loss:?}: {}", output.stderr());
        all.wait_settled();
        assert_sent(&all, &bodies);
        let master = all.master();
        let receipt = |(line, id)| format!("{{\"file\":\"input.jsonl\",\"line\":{line},\"id\":\"{id}\"}}\n");
        let receipts: String = (1..).zip(master.ids("s")).map(receipt).collect();
        assert!(all.servers()[0].read("receipts") == receipts, "the receipts differ");
    });
}

#[test]
fn lines_of_a_pipe_that_a_replaced_master_took_are_named() {
    each_seed(|dice| {
        let all = start();
        let bodies: Vec<_> = (1..=20_000).map(|n: usize| n.to_string()).collect();
        let send = ["send-batch", "s", "--name", "n", "--rate", "10000"];
        let mut sending = program(&all).args(send).stdin(bodies.join("\n")).spawn();
        wait_length(all.master(), &mut sending, dice.between(1, 15_000));
        Loss::Stopped.happen(&all);
        let output = sending.wait();
        all.wait_settled();
        if output.status == 0 {
            return assert_sent(&all, &bodies);
        }
        assert_eq!(output.status, 1, "{}", output.stderr());
        let lost = "after it had confirmed them, and they cannot be read again";
        assert!(output.stderr().contains(lost), "{}", output.stderr());
        let left = all.master().bodies("s");
        assert!(bodies.starts_with(&left));
        let named = format!("the server lost stdin:{} ", left.len() + 1);
        assert!(output.stderr().contains(&named), "{named}: {}", output.stderr());
    });
}

/// The last entry is looked for at the new master, where that is allowed.
#[test]
fn without_a_marker_what_may_be_lost_is_named() {
    for (rights, statuses) in [("+xadd", [1, 1]), ("+xadd +xrange", [0, 1])] {
        let all = start();
        for server in all.servers() {
            let user = format!("ACL SETUSER eve on nopass ~s {rights} +role");
            server.cli(user.split(' '));
        }
        let send = ["send-batch", "s", "--name", "n", "--user", "eve"];
        let mut sending = program(&all).args(send).spawn_open();
        sending.feed("1\n");
        wait_length(all.master(), &mut sending, 1);
        all.switch();
        sending.close_stdin();
        let output = sending.wait();
        assert!(statuses.contains(&output.status), "{rights}: {}", output.stderr());
        let said = "it is not known whether stdin:1 went in";
        assert_eq!(
            output.stderr().contains(said),
            output.status == 1,
            "{}",
            output.stderr()
        );
        all.wait_settled();
        assert!(output.status == 1 || all.master().bodies("s") == ["1"]);
    }
}

/// The line of a message; what a failover made to come again may stand before it.
fn line_of(consumer: &mut Running, body: &str) -> String {
    let is_it =
        |line: &String| line.contains(&format!("\"body\":{body},")) || line.contains(&format!("\"body\":{body}}}"));
    std::iter::repeat_with(|| consumer.line()).find(is_it).unwrap()
}

/// Consumers at work, and whoever acknowledges for one of them.
struct Consumers {
    group: Running,
    plain: Running,
    manual: Running,
    exclusive: Running,
    ack: Running,
}

impl Consumers {
    fn start(all: &Sentinels) -> Self {
        for group in ["g", "m", "x"] {
            let subscribe = ["subscribe", "s", "-g", group];
            program(all).args(subscribe).stderr_any().run();
        }
        let consume = |args: &[&str]| program(all).args(["consume", "s", "--block", "1h"]).args(args).spawn();
        Self {
            group: consume(&["-g", "g"]),
            plain: consume(&["--from", "beginning"]),
            manual: consume(&["-g", "m", "--ack", "manual"]),
            exclusive: consume(&["-g", "x", "--exclusive", "--lease", "2s"]),
            ack: program(all).args(["ack", "-", "-g", "m"]).spawn_open(),
        }
    }

    /// All of them get a message that is sent now.
    fn pass_on(&mut self, all: &Sentinels, body: &str) {
        let send = ["send", "s", body, "--name", "n"];
        program(all).args(send).stdout_any().stderr_any().run();
        line_of(&mut self.group, body);
        line_of(&mut self.plain, body);
        line_of(&mut self.exclusive, body);
        let line = line_of(&mut self.manual, body);
        self.ack.feed(&format!("{line}\n"));
        wait_until("all to be acknowledged", || {
            let master = all.master();
            ["g", "m", "x"].iter().all(|group| master.is_settled("s", group))
        });
    }

    fn end(mut self, messages: usize) {
        for mut consumer in [self.group, self.plain, self.manual, self.exclusive] {
            consumer.signal(Signal::TERM);
            assert_eq!(consumer.wait().status, 143);
        }
        self.ack.close_stdin();
        let output = self.ack.wait();
        assert_eq!(output.status, 0, "{}", output.stderr());
        assert_eq!(output.stdout(), format!("{messages}\n"));
    }
}

#[test]
fn consumers_go_on_at_the_next_master() {
    let all = start();
    let mut consumers = Consumers::start(&all);
    let first = all.master();
    consumers.pass_on(&all, "1");
    all.servers()[1].wait_in_sync(first);
    // Nothing of it is heard, nor that it is gone.
    all.fail_over(Server::pause);
    consumers.pass_on(&all, "2");
    first.resume();
    all.wait_settled();
    consumers.pass_on(&all, "3");
    first.wait_in_sync(all.master());
    all.switch();
    // What a replaced master is told to acknowledge stays pending at the next one.
    all.wait_settled();
    consumers.pass_on(&all, "4");
    consumers.end(4);
}

/// It refuses to write, over connections that stay.
#[test]
fn a_master_that_became_a_replica_is_left() {
    let all = start();
    if !all.look_often_or_left_out() {
        return;
    }
    let mut consumers = Consumers::start(&all);
    let mut sending = program(&all).args(["send-batch", "t", "--name", "n"]).spawn_open();
    sending.feed("1\n");
    consumers.pass_on(&all, "1");
    let (first, second) = (&all.servers()[0], &all.servers()[1]);
    wait_until("the first line", || first.cli(["XLEN", "t"]) == "1");
    second.wait_in_sync(first);
    first.cli(["REPLICAOF", "127.0.0.1", &second.port().to_string()]);
    sending.feed("2\n");
    sending.close_stdin();
    let output = sending.wait();
    assert_eq!(output.status, 0, "{}", output.stderr());
    assert!(output.stderr().contains("READONLY"), "{}", output.stderr());
    consumers.pass_on(&all, "2");
    consumers.end(2);
    assert_eq!(second.bodies("t"), ["1", "2"]);
}
