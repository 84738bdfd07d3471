//! Leaving while something else goes wrong: the server away, the disk full.

use super::{GROUP, NOTE, assert_all, assert_once, assert_settled, consume, consumers, handle, handled, ids, orders};
use crate::harness::{Running, Server, Signal, Test, wait_until};
use crate::middleman::{Middleman, Verdict, is, mentions};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

#[test]
fn what_stands_whole_in_a_file_is_not_processed_again_when_the_disk_is_full() {
    const COUNT: usize = 500;
    let server = orders(COUNT);
    // A limit on the size of files stands for the disk: the write that reaches it is cut short, the next one fails.
    let consume_into = "trap '' XFSZ; ulimit -f 8; redis-streamer consume orders -l billing --dedup -e > out";
    Test::shell(&server, consume_into)
        .status(1)
        .stderr_has(["error: ", "cannot write to stdout"])
        .run();
    let text = server.read("out");
    assert!(text.len() > 8000, "{} bytes", text.len());
    let whole = text.rsplit_once('\n').unwrap().0;
    let mut processed: Vec<String> = whole.lines().map(super::id_of).collect();
    let rest = consume(&server).args(["--dedup", "-e"]).stdout_any().run();
    processed.extend(ids(&rest));
    assert_once(&processed);
    assert_all(&processed, COUNT);
    assert_settled(&server);
}

#[test]
fn what_handlers_finish_after_a_signal_is_acknowledged_although_the_server_was_away() {
    let server = orders(6);
    let script = format!("touch started-$REDIS_STREAMER_ID; while ! [ -e go ]; do sleep 0.01; done; {NOTE}");
    let mut consumer = handle(&server, "--jobs 3", &script).spawn();
    let started = |n: usize| server.work().join(format!("started-{n}-0")).exists();
    wait_until("three handlers", || (1..=3).all(started));
    consumer.signal(Signal::TERM);
    server.kill9();
    server.file("go", "");
    wait_until("the handlers to finish", || handled(&server).len() == 3);
    server.restart();
    let output = consumer.wait();
    assert_eq!(output.status, 143, "{}", output.stderr());
    assert_eq!(server.pending("orders", GROUP), [""; 0]);
    assert_eq!(consumers(&server), [""; 0]);
    handle(&server, "-e", &script).run();
    assert_once(&handled(&server));
    assert_all(&handled(&server), 6);
    assert_settled(&server);
}

/// As many as the first read brings: all are printed before any is acknowledged.
const COUNT: usize = 4;

/// A consumer that has printed what there is and lost its connection as it went to acknowledge that; no new connection
/// works until `is_closed` is false.
struct Unacknowledged {
    server: Server,
    consumer: Running,
    is_closed: Arc<AtomicBool>,
    /// How many connections did not work.
    attempts: Arc<AtomicUsize>,
    _middleman: Middleman,
}

impl Unacknowledged {
    fn start(options: &[&str]) -> Self {
        let server = orders(COUNT);
        let is_closed = Arc::new(AtomicBool::new(false));
        let (closed, is_first) = (Arc::clone(&is_closed), AtomicBool::new(true));
        let attempts = Arc::new(AtomicUsize::new(0));
        let tried = Arc::clone(&attempts);
        let middleman = Middleman::start(&server, move |words| {
            if mentions(words, "XACK") && is_first.swap(false, Ordering::SeqCst) {
                closed.store(true, Ordering::SeqCst);
            }
            match closed.load(Ordering::SeqCst) {
                true => {
                    tried.fetch_add(1, Ordering::SeqCst);
                    Verdict::Cut
                }
                false => Verdict::Pass,
            }
        });
        let mut consumer = consume(&server).args(options).args(["-u", &middleman.url()]).spawn();
        for _ in 0..COUNT {
            consumer.line();
        }
        consumer.wait_stderr("trying again");
        assert_eq!(server.pending("orders", GROUP).len(), COUNT);
        Self {
            server,
            consumer,
            is_closed,
            attempts,
            _middleman: middleman,
        }
    }

    /// Waits until it has tried twice more to come back, or has given that up.
    fn wait_for_attempts(&mut self) {
        let goal = self.attempts.load(Ordering::SeqCst) + 2;
        wait_until("two attempts", || {
            self.attempts.load(Ordering::SeqCst) >= goal || self.consumer.has_ended()
        });
    }

    fn open(&self) {
        self.is_closed.store(false, Ordering::SeqCst);
    }
}

#[test]
fn what_is_printed_is_acknowledged_by_who_leaves_while_reconnecting() {
    for options in [&[][..], &["-c", "till-1"], &["--dedup"]] {
        let mut left = Unacknowledged::start(options);
        left.consumer.signal(Signal::TERM);
        left.wait_for_attempts();
        left.open();
        let server = &left.server;
        let output = left.consumer.wait();
        assert_eq!(output.status, 143, "{}", output.stderr());
        assert_once(&ids(&output));
        assert_all(&ids(&output), COUNT);
        assert_settled(server);
        if !options.contains(&"-c") {
            assert_eq!(consumers(server), [""; 0]);
        }
    }
}

#[test]
fn who_cannot_acknowledge_for_ten_seconds_says_so_and_leaves() {
    let mut left = Unacknowledged::start(&[]);
    let start = Instant::now();
    left.consumer.signal(Signal::TERM);
    let output = left.consumer.wait();
    let waited = start.elapsed();
    assert_eq!(output.status, 143, "{}", output.stderr());
    assert!(waited > Duration::from_secs(7), "{waited:?}");
    let stderr = output.stderr();
    let told = |line: &str| line.starts_with("warning: ") && line.contains(&COUNT.to_string());
    assert!(stderr.lines().any(told), "{stderr}");
    left.open();
    assert_eq!(left.server.pending("orders", GROUP).len(), COUNT);
}

/// Of one member each answer is there in time, but all together take longer than one may; of many members each takes longer,
/// since all ask at the same time.
#[test]
fn many_streams_of_a_slow_server_are_left_in_good_order() {
    const STREAMS: &str = "s:{0..249}";
    for (group, pause) in [("-g", 5), ("-l", 1300)] {
        let server = Server::start();
        let middleman = Middleman::start(&server, move |words| {
            let is_slow = is(words, "XPENDING") || is(words, "XGROUP");
            if is_slow {
                Verdict::Late(Duration::from_millis(pause))
            } else {
                Verdict::Pass
            }
        });
        let subscribe = ["subscribe", STREAMS, group, "billing"];
        Test::new(&server).args(subscribe).stderr_any().run();
        let consume = ["consume", STREAMS, group, "billing", "-e"];
        Test::new(&server).args(consume).args(["-u", &middleman.url()]).run();
        // Redis 6.2 counts them with those that made the groups.
        let removed = server.calls("xgroup|delconsumer") + server.calls("xgroup").saturating_sub(250);
        assert_eq!(removed, 250, "{group}");
    }
}
