//! A process that does not know that its turn is over: what it can still do, and what it cannot.

use super::{GROUP, LEASE, alone, grouped, noting, stop, take, wait_settled};
use crate::harness::{Server, Signal, wait_until};
use crate::middleman::{Middleman, Verdict, has};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

#[test]
fn a_process_that_was_stopped_reads_nothing_more() {
    for handler in [&[][..], &["--", "cat"]] {
        let server = grouped(2);
        let mut first = alone(&server).args(handler).spawn();
        assert_eq!(take(&mut first, 2), [1, 2]);
        wait_settled(&server);
        let mut second = alone(&server).args(handler).spawn();
        second.wait_stderr("waiting for its turn");
        stop(&first);
        server.add_message("s", "3-0", "n", "3");
        assert_eq!(take(&mut second, 1), [3]);
        first.signal(Signal::CONT);
        first.wait_stderr("was not renewed in time");
        server.add_message("s", "4-0", "n", "4");
        assert_eq!(take(&mut second, 1), [4]);
        // It has its turn again.
        first.wait_stderr("reads s of group");
        second.signal(Signal::TERM);
        second.wait();
        server.add_message("s", "5-0", "n", "5");
        assert_eq!(take(&mut first, 1), [5]);
        first.signal(Signal::TERM);
        assert_eq!(first.wait().status, 143);
        assert!(server.is_settled("s", GROUP));
    }
}

#[test]
fn a_handler_of_a_process_that_was_stopped_is_done_again_by_whoever_takes_over() {
    let server = grouped(2);
    let script = "while [ ! -e go ]; do sleep 0.01; done; echo ended >> log";
    let mut first = noting(&server, "", script).spawn();
    wait_until("a handler", || server.lines("log") == ["1-0 1"]);
    stop(&first);
    let mut second = noting(&server, "-n 2", script).spawn();
    wait_until("another one", || server.lines("log") == ["1-0 1", "1-0 2"]);
    first.signal(Signal::CONT);
    first.wait_stderr("was not renewed in time");
    // The first process' handler was ended, and its message handed to nobody else.
    first.wait_stderr("waiting for its turn");
    server.file("go", "");
    assert_eq!(second.wait().status, 0);
    assert_eq!(server.lines("log")[2..], ["ended", "2-0 1", "ended"]);
    first.signal(Signal::TERM);
    assert_eq!(first.wait().status, 143);
    assert!(server.is_settled("s", GROUP));
}

#[test]
fn a_handler_is_ended_before_its_lease_is_over() {
    let server = grouped(1);
    let mut process = noting(&server, "--reconnect-for 1h", "echo $$ > pid; exec sleep 600").spawn();
    wait_until("a handler", || server.lines("pid").len() == 1);
    server.pause();
    let handler = format!("/proc/{}", server.lines("pid")[0]);
    wait_until("its end", || !std::path::Path::new(&handler).exists());
    server.resume();
    // By then the lease may have expired, and somebody else would have had time to take it; nobody did.
    wait_until("another try", || server.lines("log").len() == 2);
    process.kill9_alone();
    crate::harness::kill(&server.lines("pid")[0]);
}

/// Somebody else has the lease just before a command of this kind gets through, once so many have.
fn overtaken(server: &Server, command: &'static str, after: usize) -> Middleman {
    let (client, seen) = (server.client(), AtomicUsize::new(0));
    Middleman::start(server, move |words| {
        if has(words, command) && seen.fetch_add(1, Ordering::SeqCst) == after {
            client.command(["SET", LEASE, "somebody 1", "PX", "600000"]);
        }
        Verdict::Pass
    })
}

#[test]
fn nothing_is_read_under_a_lease_that_is_somebody_elses() {
    for handler in [&[][..], &["--", "cat"]] {
        let server = grouped(3);
        // It has seen that the lease is its own; the read is on its way.
        let middleman = overtaken(&server, "XREADGROUP", 0);
        let mut late = alone(&server).args(["-u", &middleman.url()]).args(handler).spawn();
        late.wait_stderr("somebody reads s of group");
        assert_eq!(server.pending("s", GROUP), Vec::<String>::new());
        late.signal(Signal::TERM);
        let output = late.wait();
        assert_eq!((output.status, &*output.stdout()), (143, ""));
        assert_eq!(server.groups("s")[0].1, "0-0");
    }
}

#[test]
fn nothing_is_taken_over_under_a_lease_that_is_somebody_elses() {
    let server = grouped(3);
    let read = ["XREADGROUP", "GROUP", GROUP, "somebody", "STREAMS", "s", ">"];
    server.cli(read);
    let middleman = overtaken(&server, "XCLAIM", 0);
    let mut late = alone(&server).args(["-u", &middleman.url()]).spawn();
    late.wait_stderr("somebody reads s of group");
    late.signal(Signal::TERM);
    assert_eq!(late.wait().stdout(), "");
    assert_eq!(server.consumers("s", GROUP), ["somebody"]);
    assert_eq!(server.pending("s", GROUP).len(), 3);
}

#[test]
fn what_an_old_connection_carries_is_of_no_effect() {
    for handler in [&[][..], &["--", "cat"]] {
        let server = grouped(0);
        server.cli(["ACL", "SETUSER", "eve", "on", "nopass", "~*", "+@all", "-client"]);
        let late = Arc::new(AtomicUsize::new(0));
        let seen = Arc::clone(&late);
        // The first transaction that reads hangs on its way until another connection is made.
        let middleman = Middleman::start(&server, move |words| {
            if has(words, "XREADGROUP") && seen.fetch_add(1, Ordering::SeqCst) == 0 {
                std::thread::sleep(Duration::from_millis(700));
            }
            Verdict::Pass
        });
        let run = alone(&server).args(["-u", &middleman.url(), "--user", "eve", "--reconnect-for", "1h"]);
        let mut process = run.args(handler).spawn();
        wait_until("a read on its way", || late.load(Ordering::SeqCst) > 0);
        middleman.leave_half_open();
        for n in 1..=20 {
            server.add_message("s", &format!("{n}-0"), "n", &n.to_string());
        }
        assert_eq!(take(&mut process, 20), (1..=20).collect::<Vec<_>>());
        process.signal(Signal::TERM);
        process.wait();
    }
}
