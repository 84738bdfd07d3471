//! What happens to a run: connections that are cut, servers that fail, other producers.

use super::{Counts, add};
use crate::harness::{Dice, End, Fate, Fields, OOM, Proxy, Server, ServerSide, wait_until};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// A fault of the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    Killed,
    Stopped,
    ConnectionsKilled,
    Paused,
    OutOfMemory,
}

const FAULTS: [Fault; 5] = [
    Fault::Killed,
    Fault::Stopped,
    Fault::ConnectionsKilled,
    Fault::Paused,
    Fault::OutOfMemory,
];

/// Which faults there are in a run, and how many.
#[derive(Debug, Clone)]
pub struct Weather {
    pub faults: Vec<Fault>,
    pub count: usize,
}

impl Weather {
    pub fn draw(dice: &mut Dice) -> Self {
        let kinds = dice.pick(&[0, 1, 1, 2, 3]);
        Self {
            faults: (0..kinds).map(|_| dice.pick(&FAULTS)).collect(),
            count: dice.between(1, 7),
        }
    }

    pub fn has(&self, fault: Fault) -> bool {
        self.faults.contains(&fault)
    }

    /// Brings the faults about until they are spent or the run is over; the server is well in the end.
    pub fn blow(&self, server: &Server, dice: &mut Dice, over: &Over, counts: &Counts) {
        for _ in 0..self.count {
            if self.faults.is_empty() || over.wait(dice.millis(1, 120)) {
                return;
            }
            bring_about(dice.pick(&self.faults), server, dice);
            add(&counts.server_faults, 1);
        }
    }
}

fn bring_about(fault: Fault, server: &Server, dice: &mut Dice) {
    match fault {
        Fault::Killed => {
            server.kill9();
            std::thread::sleep(dice.millis(0, 60));
            server.restart();
        }
        Fault::Stopped => {
            server.pause();
            std::thread::sleep(dice.millis(1, 150));
            server.resume();
        }
        Fault::ConnectionsKilled => drop(server.cli(["CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"])),
        Fault::Paused => {
            let kind = dice.pick(&["ALL", "WRITE"]);
            server.cli(["CLIENT", "PAUSE", &dice.between(1, 150).to_string(), kind]);
        }
        Fault::OutOfMemory => {
            server.refuse(OOM);
            std::thread::sleep(dice.millis(1, 80));
            server.mend(OOM);
        }
    }
}

/// Whether a run is over: told also when it fails.
#[derive(Default)]
pub struct Over(AtomicBool);

impl Over {
    /// Waits for so long, or until the run is over; says whether it is.
    pub fn wait(&self, time: Duration) -> bool {
        let begun = Instant::now();
        while !self.0.load(Ordering::SeqCst) && begun.elapsed() < time {
            std::thread::sleep(Duration::from_millis(1));
        }
        self.0.load(Ordering::SeqCst)
    }

    /// Something that, when it is dropped, says that it is over.
    pub fn at_end(&self) -> impl Drop {
        struct AtEnd<'a>(&'a AtomicBool);
        impl Drop for AtEnd<'_> {
            fn drop(&mut self) {
                self.0.store(true, Ordering::SeqCst);
            }
        }
        AtEnd(&self.0)
    }
}

/// The fates of connections of which so many are cut, each within so many bytes of its requests or replies.
pub fn fates(mut dice: Dice, cuts: usize, requests: usize, replies: usize) -> impl Iterator<Item = Fate> + Send {
    (0..cuts).map(move |_| {
        let end = dice.pick(&[End::Fin, End::Reset]);
        let side = dice.pick(&[ServerSide::Closed, ServerSide::Open]);
        let after = dice.millis(10, 300);
        match dice.between(0, 9) {
            8 => Fate::Landed(dice.of_any_size(requests), end),
            0 | 1 => Fate::Request(dice.of_any_size(requests), end),
            2 | 3 => Fate::Reply(dice.of_any_size(replies), end),
            4 | 5 => Fate::Late(dice.of_any_size(requests), end, after, side),
            6 => Fate::LateAt(dice.pick(&[b"XADD", b"XREA", b"XACK", b"EXEC"]), end, after, side),
            _ => Fate::Unanswered(dice.pick(&[b"XADD", b"XREA", b"XACK", b"EXEC", b"ZADD"]), end),
        }
    })
}

/// Waits until nothing is on its way to the server any more.
pub fn calm(server: &Server, proxies: &[&Proxy]) {
    for proxy in proxies {
        proxy.settle();
    }
    // What the server has read it has also executed, where it waits for nothing.
    wait_until("all requests to be taken", || {
        let clients = server.cli(["CLIENT", "LIST"]);
        clients
            .lines()
            .all(|client| client.contains(" qbuf=0 ") || client.contains("cmd=client"))
    });
}

/// What other producers do meanwhile.
#[derive(Debug, Clone, Copy)]
pub struct Others {
    pub add: bool,
    pub trim: bool,
    pub delete: bool,
}

/// The IDs of what others added, written together with it.
const THEIRS: &str = "theirs";

const ADD: &str = "local id = redis.call('XADD', KEYS[1], '*', unpack(ARGV)); redis.call('SADD', KEYS[2], id)";
const DELETE: &str = "for _, entry in ipairs(redis.call('XREVRANGE', KEYS[1], '+', '-', 'COUNT', ARGV[1])) do \
                      redis.call('XDEL', KEYS[1], entry[1]) end";

impl Others {
    pub fn draw(dice: &mut Dice, may_add: bool) -> Self {
        let mut one = || dice.one_in(3);
        Self {
            add: one() && may_add,
            trim: one() && one(),
            delete: one() && one(),
        }
    }

    pub fn delete_anything(self) -> bool {
        self.trim || self.delete
    }

    /// Goes on until the run is over; what a server in trouble refuses is let go.
    pub fn work(self, server: &Server, lines: &[Fields], dice: &mut Dice, over: &Over, counts: &Counts) {
        if !self.add && !self.delete_anything() {
            return;
        }
        while !over.wait(dice.millis(0, 12)) {
            let count = dice.between(1, 40).to_string();
            let fields: Vec<&[u8]> = lines[dice.between(0, lines.len())]
                .iter()
                .flat_map(|(name, value)| [name.as_slice(), value])
                .collect();
            let done = match dice.between(0, 8) {
                0 if self.trim => server.try_command(["XTRIM", "s", "MAXLEN", &count]),
                1 if self.delete => server.try_command(["EVAL", DELETE, "1", "s", &count]),
                2.. if self.add => {
                    let script: [&[u8]; 5] = [b"EVAL", ADD.as_bytes(), b"2", b"s", THEIRS.as_bytes()];
                    server.try_command(script.into_iter().chain(fields))
                }
                _ => continue,
            };
            add(&counts.others, usize::from(done.is_ok()));
        }
    }

    /// The IDs of what others added.
    pub fn ids(server: &Server) -> std::collections::HashSet<String> {
        let ids = server.cli(["SMEMBERS", THEIRS]);
        ids.lines().map(str::to_owned).collect()
    }
}
