//! What the tests rely on, held against itself: a fault that does not happen proves nothing.

mod cluster;
mod sentinel;

use super::{End, Fate, Proxy, Server, ServerSide, wait_until};
use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

/// So much later than a slow machine tells of an end.
const AFTER: Duration = Duration::from_secs(2);

fn dial(proxy: &Proxy) -> TcpStream {
    let address = proxy.url();
    let client = TcpStream::connect(address.trim_start_matches("redis://")).unwrap();
    client.set_read_timeout(Some(super::DEADLINE)).unwrap();
    client
}

#[test]
fn late_requests_arrive_when_the_client_is_long_gone() {
    let (closed, open) = (ServerSide::Closed, ServerSide::Open);
    for (fate, end, side) in [
        (Fate::LateAt(b"INCR", End::Fin, AFTER, closed), End::Fin, closed),
        (Fate::Late(8, End::Reset, AFTER, open), End::Reset, open),
    ] {
        let server = Server::start();
        let proxy = Proxy::start(server.socket(), [fate]);
        let mut client = dial(&proxy);
        client.write_all(b"PING\r\n").unwrap();
        client.read_exact(&mut [0; 7]).unwrap();
        let before = server.cli(["CLIENT", "LIST"]).lines().count();
        let begun = Instant::now();
        client.write_all(b"INCR n\r\nINCR n\r\n").unwrap();
        let told = client.read(&mut [0; 1]);
        match end {
            End::Fin => assert_eq!(told.unwrap(), 0),
            End::Reset => assert_eq!(told.unwrap_err().kind(), ErrorKind::ConnectionReset),
        }
        assert!(begun.elapsed() < AFTER, "{:?}", begun.elapsed());
        assert_eq!(server.cli(["EXISTS", "n"]), "0");
        wait_until("the late requests", || server.cli(["GET", "n"]) == "2");
        assert!(begun.elapsed() >= AFTER, "{:?}", begun.elapsed());
        let clients = || server.cli(["CLIENT", "LIST"]).lines().count();
        match side {
            ServerSide::Closed => wait_until("the end at the server", || clients() == before - 1),
            ServerSide::Open => assert_eq!(clients(), before),
        }
        assert_eq!(proxy.cuts(), 1);
    }
}

#[test]
fn what_has_landed_is_there_before_the_client_is_cut_off() {
    let server = Server::start();
    let other = server.client();
    let proxy = Proxy::start(server.socket(), [Fate::Landed(3, End::Fin)]).at_cut(move || {
        let found = other.command(["GETSET", "n", "seen"]);
        assert_eq!(found, redis::Value::BulkString(b"2".to_vec()));
    });
    let mut client = dial(&proxy);
    client.write_all(b"INCR n\r\nINCR n\r\n").unwrap();
    assert_eq!(client.read(&mut [0; 1]).unwrap(), 0);
    assert_eq!(server.cli(["GET", "n"]), "seen");
}

#[test]
fn replies_drip_and_requests_vanish() {
    let server = Server::start();
    let pause = Duration::from_millis(20);
    let proxy = Proxy::start(server.socket(), [Fate::Dripping(3, pause), Fate::Swallowed]);
    let mut client = dial(&proxy);
    let begun = Instant::now();
    client.write_all(b"PING\r\n").unwrap();
    client.read_exact(&mut [0; 7]).unwrap();
    assert!(begun.elapsed() >= 4 * pause, "{:?}", begun.elapsed());
    let mut client = dial(&proxy);
    client.set_read_timeout(Some(pause)).unwrap();
    client.write_all(b"PING\r\n").unwrap();
    assert_eq!(client.read(&mut [0; 1]).unwrap_err().kind(), ErrorKind::WouldBlock);
}

#[test]
fn a_replica_becomes_a_master() {
    let master = Server::options().tcp4().start();
    let replica = Server::options().replica_of(&master).start();
    master.add_numbered("s", 10);
    replica.wait_in_sync(&master);
    let proxy = Proxy::start(master.socket(), []);
    master.kill9();
    replica.promote();
    proxy.turn_to(replica.socket());
    let mut client = dial(&proxy);
    client.write_all(b"XLEN s\r\n").unwrap();
    let mut answer = [0; 5];
    client.read_exact(&mut answer).unwrap();
    assert_eq!(&answer, b":10\r\n");
}

#[test]
fn an_error_reply_does_not_pass_for_an_answer() {
    let server = Server::start();
    assert_eq!(
        server.try_cli(["LPUSH", "l"]),
        Err("ERR wrong number of arguments for 'lpush' command".into())
    );
    let answered = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| server.cli(["LPUSH", "l"])));
    assert!(answered.is_err());
    server.add_numbered("s", 3);
    server.kill9();
    server.restart_empty();
    assert_eq!(server.cli(["XLEN", "s"]), "0");
}

#[test]
fn a_hook_that_panics_fails_the_test() {
    let server = Server::start();
    let proxy = Proxy::start(server.socket(), [Fate::Request(1, End::Fin)]).at_cut(|| panic!("as it is meant to"));
    let mut client = dial(&proxy);
    client.write_all(b"PING\r\n").unwrap();
    // The connection ends when both of its threads have.
    let _ = client.read(&mut [0; 1]);
    let dropped = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| drop(proxy)));
    assert!(dropped.is_err());
}
