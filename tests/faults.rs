//! Crashes, lost servers, cut connections, handlers that misbehave: nothing is lost, and what is promised once
//! happens once. Random faults come from a seed that a failure prints: set `FAULT_SEED` to repeat them.

mod acks;
mod checkpoint_files;
mod checkpoints;
mod dead_letters;
mod dispatch;
mod endings;
mod groups;
mod half_open;
mod handed_back;
mod handlers;
mod history;
mod hostile;
mod killed;
mod late;
mod leaving;
mod lost_data;
mod lost_replies;
mod meddling;
mod random;
mod sending;
mod servers;
mod soak;
mod starved;
mod turns;

use crate::harness::{Output, Server, Test, wait_until};
use std::collections::HashMap;

const GROUP: &str = "orders:billing:cg";

/// `orders` with the entries 1-0 to N-0, and the group of the listener `billing` at its beginning; every write
/// survives a kill of the server.
fn orders(count: usize) -> Server {
    let server = Server::options().append_only().start();
    server.add_numbered("orders", count);
    server.cli(["XGROUP", "CREATE", "orders", GROUP, "0", "MKSTREAM"]);
    server
}

/// A consumer of `orders` in that group.
fn consume(server: &Server) -> Test {
    consume_from(server, "orders", "billing")
}

fn consume_from(server: &Server, stream: &str, listener: &str) -> Test {
    Test::new(server).args(["consume", stream, "-l", listener])
}

/// The IDs of the whole lines of an output; what was cut off by a kill was not processed.
fn ids(output: &Output) -> Vec<String> {
    let whole = output
        .stdout
        .iter()
        .rposition(|byte| *byte == b'\n')
        .map_or(0, |at| at + 1);
    let text = std::str::from_utf8(&output.stdout[..whole]).unwrap();
    text.lines().map(id_of).collect()
}

/// The ID in a line.
fn id_of(line: &str) -> String {
    let start = line.find("\"id\":\"").unwrap() + "\"id\":\"".len();
    line[start..].split('"').next().unwrap().to_owned()
}

/// How often each of them stands there.
fn counted<S: AsRef<str>>(ids: &[S]) -> HashMap<String, usize> {
    let mut counts = HashMap::new();
    for id in ids {
        *counts.entry(id.as_ref().to_owned()).or_insert(0) += 1;
    }
    counts
}

/// Each of 1-0 to N-0 stands there.
#[track_caller]
fn assert_all<S: AsRef<str>>(ids: &[S], count: usize) {
    let counts = counted(ids);
    let missing: Vec<_> = (1..=count)
        .filter(|n| !counts.contains_key(&format!("{n}-0")))
        .collect();
    assert!(
        missing.is_empty(),
        "{} lost: {:?}",
        missing.len(),
        &missing[..missing.len().min(10)]
    );
}

/// None stands there twice.
#[track_caller]
fn assert_once<S: AsRef<str>>(ids: &[S]) {
    let twice: Vec<_> = counted(ids).into_iter().filter(|(_, count)| *count > 1).collect();
    assert!(
        twice.is_empty(),
        "{} repeated: {:?}",
        twice.len(),
        &twice[..twice.len().min(10)]
    );
}

#[track_caller]
fn assert_settled(server: &Server) {
    assert_eq!(server.pending("orders", GROUP), Vec::<String>::new());
    assert_eq!(undelivered(server), 0);
}

/// How many entries the group has not been given yet.
fn undelivered(server: &Server) -> usize {
    let last = &server.groups("orders")[0].1;
    let rest = server.cli(["XRANGE", "orders", &format!("({last}"), "+", "COUNT", "1"]);
    usize::from(!rest.is_empty())
}

/// Takes on what is left until nothing is pending; returns the IDs.
fn clean_up(server: &Server, more: &[&str]) -> Vec<String> {
    let mut processed = Vec::new();
    wait_until("nothing to be pending", || {
        let output = consume(server)
            .args(["-e", "--claim-idle", "1ms"])
            .args(more)
            .stdout_any()
            .stderr_any()
            .run();
        processed.extend(ids(&output));
        server.pending("orders", GROUP).is_empty()
    });
    processed
}

/// Whether a process is there, and no zombie.
fn runs(pid: &str) -> bool {
    std::fs::read_to_string(format!("/proc/{}/stat", pid.trim())).is_ok_and(|stat| !stat.contains(") Z "))
}
