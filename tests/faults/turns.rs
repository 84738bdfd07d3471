//! Several streams in one command: each has its turn, its end, and wakes the others.

use crate::harness::{Server, Signal, Test, wait_until};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// `busy` and `quiet`, each with the group `g` at its beginning.
fn two(busy: usize, quiet: usize) -> Server {
    let server = Server::start();
    for (stream, count) in [("busy", busy), ("quiet", quiet)] {
        server.add_numbered(stream, count);
        server.cli(["XGROUP", "CREATE", stream, "g", "0", "MKSTREAM"]);
    }
    server
}

fn consume(server: &Server) -> Test {
    Test::new(server).args(["consume", "busy", "quiet", "-g", "g"])
}

#[test]
fn a_busy_stream_leaves_others_their_turn() {
    let server = two(200, 1);
    let script = "echo $REDIS_STREAMER_STREAM >> handled";
    consume(&server).args(["-n", "6", "--", "sh", "-c", script]).run();
    assert!(server.read("handled").contains("quiet"), "{}", server.read("handled"));
}

#[test]
fn an_end_that_others_have_read_to_is_an_end() {
    for handler in [&[][..], &["--", "cat"]] {
        let server = two(5, 3);
        // All of one is done; the other goes on and on.
        server.cli(["XGROUP", "SETID", "quiet", "g", "$"]);
        let (other, is_over) = (server.client(), Arc::new(AtomicBool::new(false)));
        let over = Arc::clone(&is_over);
        let producer = std::thread::spawn(move || {
            while !over.load(Ordering::SeqCst) {
                other.command(["XADD", "busy", "*", "name", "n", "body", "1"]);
            }
        });
        let output = consume(&server).arg("-e").args(handler).stdout_any().spawn().wait();
        is_over.store(true, Ordering::SeqCst);
        producer.join().unwrap();
        assert_eq!(output.status, 0, "{}", output.stderr());
    }
}

#[test]
fn what_one_takes_ends_the_rest_of_another() {
    let server = Server::start();
    for stream in ["busy", "quiet"] {
        server.cli(["XGROUP", "CREATE", stream, &format!("{stream}:x:cg"), "0", "MKSTREAM"]);
    }
    server.add_message("busy", "1-0", "n", "1");
    // Each stream has a member of its own here; one takes all that is asked for while the other pauses.
    let options = ["-n", "1", "--rest", "600s", "--claim-idle", "1h"];
    let mut consumer = Test::new(&server)
        .args(["consume", "quiet", "busy", "-l", "x"])
        .args(options)
        .spawn();
    assert_eq!(consumer.wait().status, 0);
}

#[test]
fn a_message_that_waits_for_a_handler_costs_nothing() {
    let server = two(2, 0);
    let script = "if [ $REDIS_STREAMER_ID = 1-0 ]; then exit 1; fi; touch long; sleep 60";
    let mut consumer = consume(&server)
        .args(["--retry-delay", "10ms", "--", "sh", "-c", script])
        .spawn();
    wait_until("the long handler", || server.work().join("long").exists());
    let before = ticks(consumer.pid());
    std::thread::sleep(std::time::Duration::from_secs(1));
    // Of the hundred that a processor has in that time.
    assert!(
        ticks(consumer.pid()) - before < 20,
        "it is busy although nothing can be done"
    );
    // The second one counts only once the first was heard.
    wait_until("its end", || {
        consumer.signal(Signal::TERM);
        consumer.has_ended()
    });
}

/// How much processor time a process has had, in hundredths of a second.
fn ticks(pid: u32) -> u64 {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let fields: Vec<&str> = stat.rsplit_once(") ").unwrap().1.split(' ').collect();
    fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap()
}
