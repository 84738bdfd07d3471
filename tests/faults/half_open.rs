//! Connections that the client has lost and the server takes for alive: the read that still waits there may take no
//! entry with it.

use super::{assert_settled, consume, consumers, ids, orders};
use crate::harness::{Running, Server, Signal, wait_until};
use crate::middleman::{Middleman, Verdict};
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

/// Adds the one message.
const ADD: [&str; 7] = ["XADD", "orders", "1-0", "name", "n", "body", "1"];

/// How many commands after the loss a test looks at: those of reconnecting, and of leaving.
const GAPS: usize = 10;

/// A server whose group is empty, and a middleman that leaves the connections of a waiting consumer half open. The one
/// message comes before the `gap`th command after that.
struct HalfOpen {
    server: Server,
    middleman: Middleman,
    is_lost: Arc<AtomicBool>,
    is_added: Arc<AtomicBool>,
}

impl HalfOpen {
    fn start(gap: usize) -> Self {
        let server = orders(0);
        let (is_lost, is_added) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
        let (lost, added) = (Arc::clone(&is_lost), Arc::clone(&is_added));
        let (seen, other) = (AtomicUsize::new(0), server.client());
        let middleman = Middleman::start(&server, move |_| {
            if lost.load(Ordering::SeqCst) && seen.fetch_add(1, Ordering::SeqCst) == gap {
                other.command(ADD);
                added.store(true, Ordering::SeqCst);
            }
            Verdict::Pass
        });
        Self {
            server,
            middleman,
            is_lost,
            is_added,
        }
    }

    /// A consumer that has lost its connections while it waited, told to end just then if a signal is given; and the
    /// number at the server of the connection it waited on.
    fn consume(&self, handler: &[&str], signal: Option<Signal>) -> (Running, u64) {
        let consumer = consume(&self.server)
            .args(["--block", "60s", "--claim-idle", "off", "-u", &self.middleman.url()])
            .args(handler)
            .spawn();
        self.server.wait_blocked();
        let old = readers(&self.server)[0];
        self.is_lost.store(true, Ordering::SeqCst);
        if let Some(signal) = signal {
            // Stopped, it finds both at once when it goes on.
            consumer.signal(Signal::STOP);
            self.middleman.leave_half_open();
            consumer.signal(signal);
            consumer.signal(Signal::CONT);
        } else {
            self.middleman.leave_half_open();
        }
        (consumer, old)
    }

    fn is_added(&self) -> bool {
        self.is_added.load(Ordering::SeqCst)
    }

    /// The message comes in the end, if it did not come in between.
    fn add_at_last(&self) {
        if !self.is_added() {
            self.server.command(ADD);
        }
    }

    /// Waits until the message came, or the consumer waits for it on a new connection.
    fn wait_added_or_reading(&self, old: u64) {
        wait_until("a new connection that waits", || {
            self.is_added() || readers(&self.server).into_iter().any(|id| id > old)
        });
    }
}

/// The numbers of the connections that wait in a read of a group.
fn readers(server: &Server) -> Vec<u64> {
    let list = server.cli(["CLIENT", "LIST"]);
    let blocked = list
        .lines()
        .filter(|line| line.contains("cmd=xreadgroup") && line.contains("flags=b"));
    let ids = blocked.filter_map(|line| line.strip_prefix("id=")?.split(' ').next()?.parse().ok());
    ids.collect()
}

#[test]
fn what_comes_after_a_reconnect_goes_to_the_new_connection() {
    for handler in [&[][..], &["--", "cat"]] {
        let half_open = HalfOpen::start(usize::MAX);
        let (mut consumer, old) = half_open.consume(handler, None);
        half_open.wait_added_or_reading(old);
        half_open.add_at_last();
        assert_eq!(super::id_of(&consumer.line()), "1-0");
        consumer.signal(Signal::TERM);
        assert_eq!(consumer.wait().status, 143);
        assert_settled(&half_open.server);
    }
}

#[test]
fn what_comes_during_a_reconnect_is_printed_once() {
    for gap in 0..GAPS {
        let half_open = HalfOpen::start(gap);
        let (mut consumer, old) = half_open.consume(&[], None);
        half_open.wait_added_or_reading(old);
        half_open.add_at_last();
        assert_eq!(super::id_of(&consumer.line()), "1-0", "gap {gap}");
        consumer.signal(Signal::TERM);
        let output = consumer.wait();
        assert_eq!(output.status, 143, "{}", output.stderr());
        assert_eq!(ids(&output), ["1-0"], "gap {gap}");
        assert_settled(&half_open.server);
    }
}

#[test]
fn what_comes_while_a_consumer_leaves_is_for_others_at_once() {
    for gap in 0..GAPS {
        let half_open = HalfOpen::start(gap);
        let (mut consumer, _) = half_open.consume(&[], Some(Signal::TERM));
        let output = consumer.wait();
        assert_eq!(output.status, 143, "{}", output.stderr());
        // Also what comes after the end must not go to a connection that nobody holds any more.
        half_open.add_at_last();
        let rest = consume(&half_open.server).arg("-e").stdout_any().run();
        let printed = [ids(&output), ids(&rest)].concat();
        assert_eq!(printed, ["1-0"], "gap {gap}");
        assert_settled(&half_open.server);
        assert_eq!(consumers(&half_open.server), [""; 0], "gap {gap}");
    }
}

/// Connections of others, all waiting, up to this number at the server.
fn strangers(server: &Server, last: u64) -> Vec<UnixStream> {
    let mut strangers = Vec::new();
    loop {
        let mut stream = UnixStream::connect(server.socket()).unwrap();
        stream.write_all(b"CLIENT ID\r\n").unwrap();
        let mut answer = [0; 32];
        let read = stream.read(&mut answer).unwrap();
        let text = std::str::from_utf8(&answer[1..read]).unwrap();
        let id: u64 = text.trim_end().parse().unwrap();
        stream.write_all(b"BLPOP nothing 0\r\n").unwrap();
        strangers.push(stream);
        if id >= last {
            return strangers;
        }
    }
}

#[test]
fn a_strangers_connection_that_got_an_old_number_is_left_alone() {
    for knows in [false, true] {
        let server = orders(0);
        // So many numbers are used up that those after the restart are lower.
        drop(strangers(&server, 30));
        let middleman = Middleman::start(&server, |_| Verdict::Pass);
        let mut consumer = consume(&server)
            .args(["--block", "60s", "-u", &middleman.url()])
            .spawn();
        server.wait_blocked();
        let number = readers(&server)[0];
        if !knows {
            // The consumer goes on to wait for a server that has forgotten it.
            middleman.keep_quiet();
        }
        consumer.signal(Signal::STOP);
        server.restart();
        let strangers = strangers(&server, number);
        let waiting = format!("blocked_clients:{}", strangers.len());
        wait_until("the strangers to wait", || {
            server.cli(["INFO", "clients"]).contains(&waiting)
        });
        consumer.signal(Signal::TERM);
        consumer.signal(Signal::CONT);
        assert_eq!(consumer.wait().status, 143);
        let clients = server.cli(["INFO", "clients"]);
        assert!(clients.contains(&waiting), "{waiting}, now {clients}");
    }
}
