//! `consume --exclusive`: one reader a stream, in order, whoever comes and goes; on one server and on a cluster.

mod failovers;
mod fences;
mod shares;
mod soak;
mod turns;

use crate::harness::{Running, Server, Signal, Test, wait_until};

const GROUP: &str = "s:billing:cg";
const LEASE: &str = "redis-streamer:lease:{s}:s:billing:cg";
const MEMBERS: &str = "redis-streamer:members:{s}:s:billing:cg";

/// `s` with the entries 1-0 to N-0 and a group at its beginning.
fn grouped(count: usize) -> Server {
    let server = Server::start();
    server.add_numbered("s", count);
    server.cli(["XGROUP", "CREATE", "s", GROUP, "0", "MKSTREAM"]);
    server
}

/// One that reads `s` alone, with a lease that is short.
fn alone(server: &Server) -> Test {
    Test::new(server).args(["consume", "s", "-l", "billing", "--exclusive", "--lease", "1s", "-v"])
}

/// One that notes each message as its handler begins, and goes on with this script.
fn noting(server: &Server, options: &str, script: &str) -> Test {
    let script = format!("echo $REDIS_STREAMER_ID $REDIS_STREAMER_DELIVERIES >> log; {script}");
    alone(server)
        .args(options.split_whitespace())
        .args(["--", "sh", "-c", &script])
}

/// The number in a line that was printed.
fn number(line: &str) -> usize {
    let (_, id) = line.split_once("\"id\":\"").unwrap();
    id.split('-').next().unwrap().parse().unwrap()
}

/// The next so many messages that are printed.
fn take(running: &mut Running, count: usize) -> Vec<usize> {
    (0..count).map(|_| number(&running.line())).collect()
}

/// Stops it, all its threads.
fn stop(running: &Running) {
    running.signal(Signal::STOP);
    let tasks = format!("/proc/{}/task", running.pid());
    wait_until("all threads to be stopped", || {
        let mut tasks = std::fs::read_dir(&tasks).unwrap();
        tasks.all(|task| {
            let stat = std::fs::read_to_string(task.unwrap().path().join("stat"));
            stat.is_ok_and(|stat| stat.contains(") T "))
        })
    });
}

fn wait_settled(server: &Server) {
    wait_until("all to be acknowledged", || server.is_settled("s", GROUP));
}

/// Nothing of the lease and its members is left.
#[track_caller]
fn assert_no_trace(server: &Server) {
    assert_eq!(server.cli(["EXISTS", LEASE, MEMBERS]), "0");
}
