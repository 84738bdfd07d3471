//! Crashes, lost servers, cut connections, handlers that misbehave: nothing is lost, and what is promised once
//! happens once. Random faults come from a seed that a failure prints: set `FAULT_SEED` to repeat them.

mod acks;
mod batches;
mod checkpoint_files;
mod checkpoints;
mod dead_letters;
mod dispatch;
mod endings;
mod failover;
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
use crate::middleman::{Middleman, Verdict, has};
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

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

/// A consumer that runs this shell script for each message; scripts append to files of the server's work directory.
fn handle(server: &Server, options: &str, script: &str) -> Test {
    consume(server)
        .args(options.split_whitespace())
        .args(["--", "sh", "-c", script])
}

/// What a handler's script does to note its message: all of it in the shell itself, which needs no further process.
const NOTE: &str = "echo $REDIS_STREAMER_ID >> handled";

/// The IDs that were noted.
fn handled(server: &Server) -> Vec<String> {
    server.lines("handled")
}

/// The IDs of the messages that became dead letters in a stream.
fn dead_ids(server: &Server, stream: &str) -> Vec<String> {
    server.values(stream, &["dead-id"])
}

/// The names in the group, but for the one that what was handed back is kept under.
fn consumers(server: &Server) -> Vec<String> {
    let mut names = server.consumers("orders", GROUP);
    names.retain(|name| name != "handed-back");
    names
}

/// The IDs of the whole lines of an output; what was cut off by a kill was not processed.
fn ids(output: &Output) -> Vec<String> {
    whole_lines(output).map(id_of).collect()
}

fn whole_lines(output: &Output) -> impl Iterator<Item = &str> {
    let end = output.stdout.iter().rposition(|byte| *byte == b'\n');
    let whole = &output.stdout[..end.map_or(0, |at| at + 1)];
    std::str::from_utf8(whole).unwrap().lines()
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
    assert!(is_delivered(server), "not all was delivered");
}

/// Whether the group was given all there is.
fn is_delivered(server: &Server) -> bool {
    server.is_delivered("orders", GROUP)
}

/// Waits until all there is was given to the group and acknowledged.
#[track_caller]
fn wait_settled(server: &Server) {
    wait_until("all to be acknowledged", || server.is_settled("orders", GROUP));
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

/// A middleman that tells when its client waits for entries: the number of blocked clients
/// does not where there are others, or where it stays the same.
fn watched(server: &Server) -> (Middleman, Arc<AtomicBool>) {
    let is_waiting = Arc::new(AtomicBool::new(false));
    let seen = Arc::clone(&is_waiting);
    let middleman = Middleman::start(server, move |words| {
        seen.fetch_or(has(words, "BLOCK"), Ordering::SeqCst);
        Verdict::Pass
    });
    (middleman, is_waiting)
}

/// Whether a process is there, and no zombie.
fn runs(pid: &str) -> bool {
    std::fs::read_to_string(format!("/proc/{}/stat", pid.trim())).is_ok_and(|stat| !stat.contains(") Z "))
}
