//! Times that were asked for hold, whatever the server does.

use crate::harness::{Running, Server, Signal, Test, wait_until};
use crate::middleman::{Middleman, Verdict, is};
use std::io::{Read, Write};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream};
use std::time::{Duration, Instant};

/// What tells a deadline of a second that holds from the fifteen that an answer may take.
const HOLDS: Duration = Duration::from_secs(5);

/// Ways to wait for one message for a second.
const WAITS: [&str; 4] = [
    "consume s",
    "consume s -g g",
    "consume s -g g --ack manual",
    "consume s -g g --handler",
];

fn server() -> Server {
    let server = Server::start();
    server.cli(["XGROUP", "CREATE", "s", "g", "0", "MKSTREAM"]);
    server
}

fn wait_for_one(server: &Server, wait: &str, url: &str) -> Test {
    let (args, handler): (_, &[&str]) = match wait.strip_suffix(" --handler") {
        Some(args) => (args, &["--", "cat"]),
        None => (wait, &[]),
    };
    Test::new(server)
        .args(args.split(' '))
        .args(["-n", "1", "--timeout", "1s", "--block", "60s", "-u", url])
        .args(handler)
}

#[track_caller]
fn assert_holds(start: Instant, mut running: Running, what: &str, statuses: &[i32]) {
    let output = running.wait();
    assert!(start.elapsed() < HOLDS, "{what}: {:?}", start.elapsed());
    assert!(
        statuses.contains(&output.status),
        "{what}: status {}: {}",
        output.status,
        output.stderr()
    );
}

#[test]
fn a_timeout_holds_although_the_server_begins_to_hang() {
    for wait in WAITS {
        let server = server();
        let start = Instant::now();
        let running = wait_for_one(&server, wait, &server.url()).spawn();
        server.wait_blocked();
        server.pause();
        assert_holds(start, running, wait, &[4]);
    }
}

#[test]
fn a_timeout_holds_although_the_server_hangs_from_the_start() {
    for wait in WAITS {
        let server = server();
        server.pause();
        let start = Instant::now();
        let running = wait_for_one(&server, wait, &server.url()).spawn();
        // It has not been reached either.
        assert_holds(start, running, wait, &[3, 4]);
    }
}

#[test]
fn a_timeout_holds_although_an_answer_trickles_in() {
    for wait in WAITS {
        let server = server();
        server.add_numbered("s", 1);
        server.cli(["XGROUP", "SETID", "s", "g", "$"]);
        let middleman = Middleman::start(&server, |words| match is(words, "XREAD") || is(words, "XREADGROUP") {
            true => Verdict::Dribble(b"$60\r\n".repeat(100), Duration::from_secs(1)),
            false => Verdict::Pass,
        });
        let start = Instant::now();
        let running = wait_for_one(&server, wait, &middleman.url()).spawn();
        assert_holds(start, running, wait, &[4]);
    }
}

#[test]
fn an_answer_has_to_be_whole_in_time() {
    let server = server();
    // It never stops for long, and would take ten minutes.
    let middleman = Middleman::start(&server, |words| match is(words, "XADD") || is(words, "XINFO") {
        true => Verdict::Dribble(b"+".repeat(600), Duration::from_secs(1)),
        false => Verdict::Pass,
    });
    let verbs = ["send s 1 --name n", "pending s"];
    let mut running = verbs.map(|verb| {
        Test::new(&server)
            .args(verb.split(' '))
            .args(["-u", &middleman.url()])
            .spawn()
    });
    for running in &mut running {
        let output = running.wait();
        assert_eq!(output.status, 3, "{}", output.stderr());
    }
}

/// A server on 127.0.0.1 that takes connections and says only this, a byte every tenth of a second.
fn mumbler(says: &'static [u8]) -> SocketAddr {
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for mut client in listener.incoming().map_while(Result::ok) {
            std::thread::spawn(move || {
                for byte in says {
                    std::thread::sleep(Duration::from_millis(100));
                    if client.write_all(&[*byte]).is_err() {
                        return;
                    }
                }
                // Nothing more comes, and no end either.
                let _ = client.read_to_end(&mut Vec::new());
            });
        }
    });
    address
}

#[test]
fn the_time_for_a_connection_covers_the_password_and_tls() {
    const SILENT: &[u8] = b"";
    const ENDLESS: &[u8] = &[b'+'; 1000];
    // The head of a TLS record that is never whole.
    const RECORD: &[u8] = &[
        0x16, 3, 3, 0x40, 0, 2, 0, 0x3f, 0xf0, 3, 3, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
    ];
    for (says, scheme) in [
        (SILENT, "redis://:secret@"),
        (ENDLESS, "redis://:secret@"),
        (SILENT, "redis://user:secret@"),
        (SILENT, "rediss://"),
        (RECORD, "rediss://"),
    ] {
        let url = format!("{scheme}{}", mumbler(says));
        for verb in ["pending", "consume s", "send-batch s"] {
            let start = Instant::now();
            let running = Test::without_server()
                .args(["--connect-timeout", "500ms", "-u", &url])
                .args(verb.split(' '))
                .args(if verb == "pending" {
                    &[][..]
                } else {
                    &["--reconnect-for", "0s"]
                })
                .spawn();
            assert_holds(start, running, &url, &[3]);
        }
    }
}

/// A socket with a queue of one that is full: further connections are neither taken nor refused.
pub struct BlackHole {
    pub address: SocketAddr,
    _socket: socket2::Socket,
    _held: Vec<TcpStream>,
}

pub fn black_hole(address: SocketAddr) -> BlackHole {
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    socket.bind(&address.into()).unwrap();
    socket.listen(0).unwrap();
    // It had the port 0, perhaps: any.
    let address = socket.local_addr().unwrap().as_socket().unwrap();
    let mut held = Vec::new();
    while let Ok(stream) = TcpStream::connect_timeout(&address, Duration::from_millis(100)) {
        held.push(stream);
    }
    BlackHole {
        address,
        _socket: socket,
        _held: held,
    }
}

#[test]
fn an_address_that_never_answers_does_not_use_up_the_time_of_the_others() {
    let server = Server::options().tcp4().start();
    // The address that is tried first is the one that does not answer.
    if server.try_cli(["CONFIG", "SET", "bind", "127.0.0.2"]).is_err() {
        return;
    }
    let first: IpAddr = "127.0.0.1".parse().unwrap();
    let _hole = black_hole(SocketAddr::new(first, server.port()));
    server.file(
        "hosts",
        "127.0.0.1 localhost\n127.0.0.1 both.test\n127.0.0.2 both.test\n",
    );
    // A name with two addresses, for this program alone: only where the tests may have namespaces of their own.
    let own_names = "unshare --mount sh -c 'mount --bind hosts /etc/hosts && exec \"$@\"' sh";
    let allowed = format!("{own_names} getent ahosts both.test | grep -q 127.0.0.2 || echo no");
    if Test::shell(&server, &allowed).stdout_any().stderr_any().run().stdout() == "no\n" {
        return;
    }
    let url = format!("redis://both.test:{}", server.port());
    let send = format!("{own_names} redis-streamer -u {url} --connect-timeout 3s send s 1 --name n");
    Test::shell(&server, &send).stdout_like("[ID]\n").run();
    assert_eq!(server.ids("s").len(), 1);
}

/// What tells the ten seconds that are left once the work is to end from the fifteen that an answer may take.
const ENDS: Duration = Duration::from_secs(14);

#[test]
fn a_signal_holds_although_the_server_hangs() {
    let work = [
        ("send-batch s --name n --rate 2000 input", &[][..]),
        ("consume s -g g", &[]),
        ("consume s -g g --ack manual", &[]),
        ("consume s -g g --jobs 3", &["--", "sleep", "0.1"]),
    ];
    std::thread::scope(|scope| {
        for (args, handler) in work {
            scope.spawn(move || {
                let server = server();
                server.file("input", "1\n".repeat(100_000));
                server.add_numbered("s", 1000);
                let mut running = Test::new(&server).args(args.split(' ')).args(handler).spawn();
                wait_until("the work", || {
                    server.calls("xreadgroup") > 1 || server.calls("exec") > 10
                });
                server.pause();
                std::thread::sleep(Duration::from_millis(300));
                let start = Instant::now();
                running.signal(Signal::TERM);
                let output = running.wait();
                assert!(start.elapsed() < ENDS, "{args}: {:?}", start.elapsed());
                assert_eq!(output.status, 143, "{args}: {}", output.stderr());
            });
        }
    });
}
