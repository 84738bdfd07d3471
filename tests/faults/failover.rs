//! `send-batch --wait-replicas` across failovers and lost connections: what was told as safe is there, and what was not
//! is sent again from memory.

use super::sending::{COUNT, assert_stream, batch, input, length, wait_length};
use crate::harness::{Dice, End, Fate, OOM, Proxy, Running, Server, Test, wait_until};

/// A master, its replica, and one that follows the replica, to whom a failover leaves a replica.
struct Chain {
    master: Server,
    replica: Server,
    second: Server,
    proxy: Proxy,
}

impl Chain {
    fn start() -> Self {
        let master = Server::options().tcp4().start();
        let replica = Server::options().tcp4().replica_of(&master).start();
        replica.wait_in_sync(&master);
        let second = Server::options().replica_of(&replica).start();
        second.wait_in_sync(&replica);
        master.wait_replicates();
        let proxy = Proxy::start(master.socket(), []);
        Self {
            master,
            replica,
            second,
            proxy,
        }
    }

    /// The sending of stdin, which cannot be read again.
    fn sending(&self, args: &[&str]) -> Test {
        let test = Test::new(&self.master).args(["send-batch", "s", "--name", "n", "-u", &self.proxy.url()]);
        test.args(["--wait-replicas", "1", "--wait-timeout", "1m"]).args(args)
    }

    /// From now on nothing that the master takes is on the replica.
    fn part(&self) {
        self.replica.promote();
    }

    /// The replica takes the place of the master.
    fn fail_over(&self) {
        self.master.kill9();
        self.proxy.turn_to(self.replica.socket());
    }
}

fn text(bodies: &[String]) -> String {
    bodies.join("\n") + "\n"
}

fn receipts(server: &Server) -> Vec<String> {
    let lines = server.lines("receipts").into_iter();
    let id = |line: String| line.rsplit('"').nth(1).unwrap().to_owned();
    lines.map(id).collect()
}

/// Sends 2000 lines that are told of, and then some of 1000 others that the master alone has.
fn send_in_part(chain: &Chain, sending: &mut Running, bodies: &[String]) {
    sending.feed(&text(&bodies[..2000]));
    for _ in 0..2000 {
        sending.line();
    }
    chain.part();
    sending.feed(&text(&bodies[2000..3000]));
    wait_length(&chain.master, sending, 2001);
    assert_eq!(length(&chain.replica), 2000);
}

/// All that the master took last is lost with it. Of that nothing was told, and it is still in memory.
#[test]
fn a_master_that_dies_with_what_no_replica_had() {
    let chain = Chain::start();
    let bodies = input(&chain.master, 5000);
    let mut sending = chain.sending(&["--ids", "--receipts", "receipts"]).spawn_open();
    send_in_part(&chain, &mut sending, &bodies);
    chain.fail_over();
    sending.feed(&text(&bodies[3000..]));
    sending.close_stdin();
    let output = sending.wait();
    assert_eq!(output.status, 0, "{}", output.stderr());
    assert!(output.stderr().contains("sending again from"), "{}", output.stderr());
    assert_stream(&chain.replica, &bodies);
    let ids = chain.replica.ids("s");
    assert!(output.stdout().lines().eq(&ids), "the IDs differ from the stream");
    assert!(receipts(&chain.master) == ids, "the receipts differ from the stream");
    chain.second.wait_in_sync(&chain.replica);
    assert_stream(&chain.second, &bodies);
}

#[test]
fn a_master_that_dies_at_any_time() {
    let mut dice = Dice::new();
    for _ in 0..3 {
        let chain = Chain::start();
        let bodies = input(&chain.master, COUNT);
        let mut sending = chain.sending(&["--ids"]).stdin(text(&bodies)).spawn();
        wait_length(&chain.master, &sending, dice.between(1, COUNT));
        chain.master.kill9();
        chain.replica.promote();
        chain.proxy.turn_to(chain.replica.socket());
        let output = sending.wait();
        assert_eq!(output.status, 0, "{}", output.stderr());
        assert_stream(&chain.replica, &bodies);
        let ids = chain.replica.ids("s");
        assert!(output.stdout().lines().eq(&ids), "the IDs differ from the stream");
    }
}

/// A sending that has told of the first lines, has the next only in the master, and is killed.
fn killed_behind(chain: &Chain, bodies: &[String], safe: usize, all: usize) {
    let mut sending = chain.checkpointed().spawn_open();
    sending.feed(&text(&bodies[..safe]));
    wait_receipts(chain, &sending, safe);
    chain.part();
    sending.feed(&text(&bodies[safe..all]));
    wait_length(&chain.master, &sending, all);
    sending.kill9();
    assert_eq!(receipts(&chain.master).len(), safe);
}

impl Chain {
    fn checkpointed(&self) -> Test {
        self.sending(&["--receipts", "receipts", "--checkpoint", "c"])
    }
}

fn wait_receipts(chain: &Chain, sending: &Running, count: usize) {
    wait_until("receipts", || {
        receipts(&chain.master).len() >= count || !super::runs(&sending.pid().to_string())
    });
}

#[test]
fn a_sending_killed_with_what_no_replica_had() {
    let chain = Chain::start();
    let bodies = input(&chain.master, 3000);
    killed_behind(&chain, &bodies, 1000, 2000);
    chain.fail_over();
    chain.checkpointed().stdin(text(&bodies)).stderr_any().run();
    assert_stream(&chain.replica, &bodies);
    assert_eq!(receipts(&chain.master), chain.replica.ids("s"));
}

/// Nothing is lost but the sending: what the master alone had must be safe before it is told of.
#[test]
fn a_sending_killed_before_its_replicas_came_back() {
    let chain = Chain::start();
    let bodies = input(&chain.master, 3000);
    killed_behind(&chain, &bodies, 1000, 2000);
    let port = chain.master.port().to_string();
    chain.replica.cli(["REPLICAOF", "127.0.0.1", &port]);
    chain.checkpointed().stdin(text(&bodies)).stderr_any().run();
    assert_stream(&chain.master, &bodies);
    assert_stream(&chain.replica, &bodies);
    assert_eq!(receipts(&chain.master), chain.replica.ids("s"));
}

#[test]
fn connections_cut_anywhere_while_replicas_are_waited_for() {
    let master = Server::options().tcp4().start();
    let replica = Server::options().replica_of(&master).start();
    replica.wait_in_sync(&master);
    master.wait_replicates();
    let bodies = input(&master, 300);
    let mut dice = Dice::new();
    for round in 0..24 {
        master.cli(["FLUSHALL"]);
        let end = if round % 2 == 0 { End::Fin } else { End::Reset };
        let fate = match round % 3 {
            0 => Fate::Reply(dice.between(200, 14_000), end),
            1 => Fate::Request(dice.between(500, 25_000), end),
            // Before the answer that tells of safety.
            _ => Fate::Unanswered(b"EXEC", end),
        };
        let proxy = Proxy::start(master.socket(), [fate, Fate::Reply(dice.between(200, 14_000), end)]);
        let receipts_file = format!("receipts-{round}");
        let run = batch(&master).args(["-u", &proxy.url(), "--ids", "--receipts", &receipts_file]);
        let run = run.args(["--wait-replicas", "1", "--rate", "2000"]);
        let output = run.stdout_any().stderr_any().run();
        assert_stream(&replica, &bodies);
        assert!(output.stdout().lines().eq(replica.ids("s")), "round {round}");
        assert_eq!(master.lines(&receipts_file).len(), bodies.len(), "round {round}");
    }
}

/// Where no marker tells, what was answered and is not safe is in doubt after a loss, too.
#[test]
fn a_master_that_dies_without_a_marker_to_tell() {
    for (ambiguous, status) in [("stop", 1), ("repeat", 0)] {
        let chain = Chain::start();
        for server in [&chain.master, &chain.replica] {
            server.cli([
                "ACL", "SETUSER", "eve", "on", "nopass", "~s", "+xadd", "+wait", "+xinfo", "+client",
            ]);
        }
        let bodies = input(&chain.master, 3000);
        let options = ["--user", "eve", "--ids", "--on-ambiguous", ambiguous];
        let mut sending = chain.sending(&options).spawn_open();
        send_in_part(&chain, &mut sending, &bodies);
        chain.fail_over();
        sending.close_stdin();
        let output = sending.wait();
        assert_eq!(output.status, status, "{}", output.stderr());
        // What was told as safe is there.
        let ids = chain.replica.ids("s");
        assert!(output.stdout().lines().zip(&ids).all(|(told, there)| told == there));
        if status == 0 {
            assert_stream(&chain.replica, &bodies);
        } else {
            assert!(
                output.stderr().contains("it is not known whether"),
                "{}",
                output.stderr()
            );
        }
    }
}

/// What was in before the refusals is told of once it is safe, and what is refused is sent again in order.
#[test]
fn a_master_that_is_out_of_memory_for_a_while() {
    let chain = Chain::start();
    let eve = ["~s", "+xadd", "+wait", "+xinfo", "+client"];
    chain
        .master
        .cli([&["ACL", "SETUSER", "eve", "on", "nopass"][..], &eve].concat());
    for user in [&[][..], &["--user", "eve"]] {
        chain.master.cli(["DEL", "s"]);
        let bodies = input(&chain.master, 3000);
        let mut sending = chain.sending(user).arg("--ids").spawn_open();
        sending.feed(&text(&bodies[..1000]));
        for _ in 0..1000 {
            sending.line();
        }
        chain.master.refuse(OOM);
        sending.feed(&text(&bodies[1000..2000]));
        sending.wait_stderr("OOM");
        chain.master.mend(OOM);
        sending.feed(&text(&bodies[2000..]));
        sending.close_stdin();
        let output = sending.wait();
        assert_eq!(output.status, 0, "{user:?}: {}", output.stderr());
        assert_stream(&chain.master, &bodies);
        assert_stream(&chain.replica, &bodies);
        assert!(output.stdout().lines().eq(chain.replica.ids("s")), "{user:?}");
    }
}

#[test]
fn a_master_whose_clients_are_paused() {
    let chain = Chain::start();
    let bodies = input(&chain.master, COUNT);
    let mut sending = chain.sending(&["--ids"]).stdin(text(&bodies)).spawn();
    wait_length(&chain.master, &sending, 1000);
    for kind in ["ALL", "WRITE"] {
        chain.master.cli(["CLIENT", "PAUSE", "200", kind]);
    }
    let output = sending.wait();
    assert_eq!(output.status, 0, "{}", output.stderr());
    assert!(output.stdout().lines().eq(chain.replica.ids("s")));
    assert_stream(&chain.replica, &bodies);
}
