//! How much memory the program takes: it follows the largest entry or line, not how many there are.

use crate::harness::{Output, Running, Server, Test, peak_memory};
use crate::middleman::{Middleman, Verdict, is};
use std::time::{Duration, Instant};

/// Far more than any of these runs takes.
const PATIENCE: Duration = Duration::from_secs(60);

/// Watches a program to its end; as soon as it has taken more memory than so many MiB, the test fails. Where there is no
/// `/proc`, nothing is measured.
#[track_caller]
pub fn stays_below(mebibytes: u64, patience: Duration, mut running: Running) -> Output {
    let start = Instant::now();
    // A process that has ended takes none.
    while let Some(peak) = peak_memory(running.pid()) {
        assert!(peak < mebibytes * 1024, "{peak} KiB: {}", running.stderr_so_far());
        assert!(start.elapsed() < patience, "still running: {}", running.stderr_so_far());
        std::thread::sleep(Duration::from_millis(1));
    }
    running.wait()
}

/// A script whose last command takes the place of the shell, so that it is the program that is watched.
#[track_caller]
fn script_stays_below(mebibytes: u64, server: &Server, script: &str) {
    let output = stays_below(mebibytes, PATIENCE, Test::shell(server, script).spawn());
    assert_eq!(output.status, 0, "{script}\n{}", output.stderr());
}

/// Adds so many messages to `s`, with bodies of so many bytes.
fn fill(server: &Server, count: usize, bytes: usize) {
    let script = "local body = '\"' .. string.rep('x', ARGV[2] - 2) .. '\"'; \
         for i = 1, ARGV[1] do redis.call('XADD', KEYS[1], i .. '-0', 'name', 'n', 'body', body) end";
    server.command(["EVAL", script, "1", "s", &count.to_string(), &bytes.to_string()]);
}

#[test]
fn consuming_follows_the_largest_entry() {
    const COUNT: usize = 1200;
    let server = Server::start();
    fill(&server, COUNT, 1_000_000);
    for group in ["printing", "dedup", "claiming"] {
        server.cli(["XGROUP", "CREATE", "s", group, "0"]);
    }
    // Another consumer holds all of it, and is gone. The reply is made and dropped within the server.
    let script = "redis.call('XREADGROUP', 'GROUP', 'claiming', 'gone', 'STREAMS', KEYS[1], '>'); return 1";
    server.command(["EVAL", script, "1", "s"]);
    for options in [
        "--from beginning -e",
        "-g printing -e",
        "-g dedup --dedup -e",
        "-g claiming --claim-idle 0ms -e",
    ] {
        let script = format!("exec redis-streamer consume s {options} > /dev/null");
        script_stays_below(100, &server, &script);
    }
    for group in ["printing", "dedup", "claiming"] {
        assert_eq!(server.pending("s", group), [""; 0]);
    }
    let last = format!("{COUNT}-0");
    assert!(server.groups("s").iter().all(|(_, id)| *id == last));
}

#[test]
fn handlers_follow_the_largest_entry() {
    let server = Server::start();
    fill(&server, 300, 1_000_000);
    server.cli(["XGROUP", "CREATE", "s", "g", "0"]);
    script_stays_below(100, &server, "exec redis-streamer consume s -g g -e --jobs 4 -- true");
    assert_eq!(server.pending("s", "g"), [""; 0]);
}

/// Sends lines of so many bytes, and stays below so many MiB.
#[track_caller]
fn sending_stays_below(mebibytes: u64, count: usize, bytes: usize) {
    let server = Server::start();
    let line = format!("\"{}\"\n", "x".repeat(bytes - 3));
    server.file("lines", line.repeat(count));
    for more in ["", "--checkpoint checkpoint", "--ids > ids", "--receipts receipts"] {
        server.cli(["DEL", "s"]);
        script_stays_below(
            mebibytes,
            &server,
            &format!("exec redis-streamer send-batch s lines --name n {more}"),
        );
        assert_eq!(server.cli(["XLEN", "s"]), count.to_string());
    }
}

#[test]
fn sending_short_lines_takes_little() {
    sending_stays_below(32, 300_000, 150);
}

#[test]
fn sending_lines_of_ten_kilobytes_takes_little() {
    sending_stays_below(32, 20_000, 10_000);
}

#[test]
fn sending_lines_of_a_megabyte_takes_a_few_of_them() {
    sending_stays_below(100, 200, 1_000_000);
}

/// Sends lines of so many bytes to a server that answers slowly, and stays below so many MiB.
#[track_caller]
fn waiting_stays_below(mebibytes: u64, (count, bytes): (usize, usize), pause: Duration) {
    let server = Server::start();
    server.file("lines", format!("\"{}\"\n", "x".repeat(bytes - 3)).repeat(count));
    let middleman = Middleman::start(&server, move |words| match is(words, "XADD") {
        true => Verdict::Late(pause),
        false => Verdict::Pass,
    });
    let mut sending = Test::new(&server)
        .args(["-u", &middleman.url(), "send-batch", "s", "lines", "--name", "n"])
        .spawn();
    let start = Instant::now();
    while start.elapsed() < Duration::from_secs(6) {
        let peak = peak_memory(sending.pid());
        assert!(peak.unwrap_or(0) < mebibytes * 1024, "{peak:?} KiB");
        std::thread::sleep(Duration::from_millis(20));
    }
    sending.kill9();
}

#[test]
fn ten_kilobytes_a_line_do_not_pile_up_before_they_are_answered() {
    waiting_stays_below(32, (20_000, 10_000), Duration::from_millis(2));
}

#[test]
fn a_megabyte_a_line_does_not_pile_up_before_it_is_answered() {
    waiting_stays_below(100, (300, 1_000_000), Duration::from_millis(50));
}

#[test]
fn a_long_list_of_pending_entries_is_written_as_it_is_read() {
    let server = Server::start();
    server.add_numbered("s", 300_000);
    server.cli(["XGROUP", "CREATE", "s", "g", "0"]);
    let script = "redis.call('XREADGROUP', 'GROUP', 'g', 'busy', 'STREAMS', KEYS[1], '>'); return 1";
    server.command(["EVAL", script, "1", "s"]);
    script_stays_below(32, &server, "exec redis-streamer pending s -g g --json > out");
    Test::shell(&server, "jq '.entries | length' out")
        .stdout("300000\n")
        .run();
    // A table shows twenty of them, and takes no more for the rest.
    script_stays_below(32, &server, "exec redis-streamer pending s -g g > out");
}
