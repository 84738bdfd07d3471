//! Servers that die, hang, refuse or come back while messages are consumed.

use super::{
    NOTE, assert_all, assert_once, assert_settled, consume, dead_ids, handle, handled, ids, orders, wait_settled,
    watched,
};
use crate::harness::{Dice, End, Fate, NOREPLICAS, OOM, Proxy, READONLY, Server, Signal, Test, wait_until};
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

#[test]
fn printing_goes_on_when_the_server_comes_back() {
    const COUNT: usize = 20_000;
    let server = orders(COUNT);
    let mut dice = Dice::new();
    let mut consumer = consume(&server).args(["--count", "40", "--block", "60s"]).spawn();
    for _ in 0..3 {
        for _ in 0..dice.between(100, 4000) {
            consumer.line();
        }
        server.kill9();
        server.restart();
    }
    wait_settled(&server);
    consumer.signal(Signal::TERM);
    let output = consumer.wait();
    assert_eq!(output.status, 143);
    assert!(output.stderr().contains("trying again"), "{}", output.stderr());
    // The server forgot nothing, so nothing needs to come twice.
    assert_once(&ids(&output));
    assert_all(&ids(&output), COUNT);
    assert_settled(&server);
}

/// Redis up to 7.0 ends itself when a client is unblocked that a pause of the server holds up.
#[test]
fn ending_while_the_server_holds_up_writes_leaves_it_alive() {
    for handler in [&[][..], &["--", "true"]] {
        let server = orders(0);
        let (middleman, is_waiting) = watched(&server);
        let mut consumer = consume(&server)
            .args(["--block", "100ms", "-u", &middleman.url()])
            .args(handler)
            .spawn();
        server.wait_blocked();
        server.cli(["CLIENT", "PAUSE", "1500", "WRITE"]);
        // The next read is held up.
        is_waiting.store(false, Ordering::SeqCst);
        wait_until("the next read", || is_waiting.load(Ordering::SeqCst));
        consumer.signal(Signal::TERM);
        assert_eq!(consumer.wait().status, 143);
        assert_eq!(server.cli(["PING"]), "PONG");
    }
}

#[test]
fn handlers_go_on_when_the_server_comes_back() {
    const COUNT: usize = 300;
    let server = orders(COUNT);
    let mut dice = Dice::new();
    let mut consumer = handle(&server, "--jobs 4", NOTE).spawn();
    for _ in 0..3 {
        let goal = (handled(&server).len() + dice.between(5, 60)).min(COUNT);
        wait_until("some to be handled", || handled(&server).len() >= goal);
        server.kill9();
        server.restart();
    }
    wait_settled(&server);
    consumer.signal(Signal::TERM);
    assert_eq!(consumer.wait().status, 143);
    assert_once(&handled(&server));
    assert_all(&handled(&server), COUNT);
    assert_settled(&server);
}

#[test]
fn handlers_finish_while_the_server_is_away() {
    let server = orders(3);
    let script = format!("{NOTE}; while ! [ -e go ]; do sleep 0.01; done");
    let mut consumer = handle(&server, "-e --jobs 3", &script).spawn();
    wait_until("three handlers", || handled(&server).len() == 3);
    server.kill9();
    server.file("go", "");
    server.restart();
    let output = consumer.wait();
    assert_eq!(output.status, 0, "{}", output.stderr());
    assert_once(&handled(&server));
    assert_settled(&server);
}

#[test]
fn a_server_that_stays_away_ends_it() {
    for handler in [&[][..], &["--", "true"]] {
        let server = orders(1);
        let mut consumer = consume(&server)
            .args(["--reconnect-for", "300ms", "--block", "60s"])
            .args(handler)
            .spawn();
        wait_settled(&server);
        server.wait_blocked();
        let start = Instant::now();
        server.kill9();
        let output = consumer.wait();
        assert_eq!(output.status, 3, "{}", output.stderr());
        assert!(output.stderr().contains("error: "), "{}", output.stderr());
        assert!(start.elapsed() >= Duration::from_millis(300));
        server.restart();
        assert_settled(&server);
    }
}

#[test]
fn a_signal_ends_it_while_the_server_is_away() {
    for handler in [&[][..], &["--", "true"]] {
        let server = orders(0);
        let mut consumer = consume(&server).args(handler).spawn();
        server.wait_blocked();
        server.kill9();
        consumer.wait_stderr("trying again");
        let start = Instant::now();
        consumer.signal(Signal::INT);
        assert_eq!(consumer.wait().status, 130);
        assert!(start.elapsed() < Duration::from_secs(2), "{:?}", start.elapsed());
    }
}

#[test]
fn a_server_that_hangs_for_a_while_is_waited_for() {
    const COUNT: usize = 5000;
    let server = orders(COUNT);
    let mut consumer = consume(&server).args(["-e", "--count", "20"]).spawn();
    for _ in 0..100 {
        consumer.line();
    }
    server.pause();
    // It has printed all it has: nothing more comes from a server that hangs.
    while consumer.line_within(Duration::from_millis(200)).is_some() {}
    server.resume();
    let output = consumer.wait();
    assert_eq!((output.status, output.stderr().as_str()), (0, ""));
    assert_once(&ids(&output));
    assert_all(&ids(&output), COUNT);
    assert_settled(&server);
}

#[test]
fn killed_connections_are_made_again() {
    const COUNT: usize = 20_000;
    for more in [&[][..], &["--dedup"]] {
        let server = orders(COUNT);
        let mut dice = Dice::new();
        let mut consumer = consume(&server)
            .args(["-e", "--count", "40", "--claim-idle", "off"])
            .args(more)
            .spawn();
        for _ in 0..8 {
            for _ in 0..dice.between(1, 1500) {
                consumer.line();
            }
            server.cli(["CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"]);
        }
        let output = consumer.wait();
        assert_eq!(output.status, 0, "{}", output.stderr());
        assert_once(&ids(&output));
        assert_all(&ids(&output), COUNT);
        assert_settled(&server);
    }
}

#[test]
fn a_plain_read_goes_on_where_it_was() {
    const COUNT: usize = 20_000;
    let server = Server::start();
    server.add_numbered("orders", COUNT);
    let mut dice = Dice::new();
    let mut reading = Test::new(&server)
        .args(["consume", "orders", "--from", "beginning", "-e", "--count", "40"])
        .spawn();
    for _ in 0..20 {
        for _ in 0..dice.between(1, 700) {
            reading.line();
        }
        server.cli(["CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"]);
    }
    let output = reading.wait();
    assert_eq!(output.status, 0, "{}", output.stderr());
    assert_once(&ids(&output));
    assert_all(&ids(&output), COUNT);
}

#[test]
fn connections_cut_anywhere_lose_and_repeat_nothing() {
    const COUNT: usize = 300;
    let mut dice = Dice::new();
    for round in 0..24 {
        let server = orders(COUNT);
        let end = if round % 2 == 0 { End::Fin } else { End::Reset };
        let mut fate = || match dice.between(0, 2) {
            0 => Fate::Request(dice.between(1, 3000), end),
            _ => Fate::Reply(dice.between(1, 20_000), end),
        };
        let proxy = Proxy::start(server.socket(), [fate(), fate(), fate()]);
        let more: &[&str] = if round % 4 < 2 { &["--dedup"] } else { &[] };
        let output = consume(&server)
            .args(["-e", "-c", "till-1", "--count", "15", "-u", &proxy.url()])
            .args(more)
            .stdout_any()
            .stderr_any()
            .run();
        let printed = ids(&output);
        assert_once(&printed);
        // At most once: where the ledger's answer was lost, the message counts as processed.
        if more.is_empty() {
            assert_all(&printed, COUNT);
        }
        assert_settled(&server);
    }
}

#[test]
fn a_server_that_refuses_for_a_while_is_asked_again() {
    const COUNT: usize = 3000;
    for refusal in [READONLY, NOREPLICAS] {
        for handler in [&["--count", "10"][..], &["--jobs", "4", "--", "cat"]] {
            let count = if handler.len() == 2 { COUNT } else { 60 };
            let server = orders(count);
            let mut consumer = consume(&server).arg("-e").args(handler).spawn();
            consumer.line();
            server.refuse(refusal);
            consumer.wait_stderr(refusal.code);
            server.mend(refusal);
            let output = consumer.wait();
            assert_eq!(output.status, 0, "{}", output.stderr());
            assert_once(&ids(&output));
            assert_all(&ids(&output), count);
            assert_settled(&server);
        }
    }
}

#[test]
fn a_dead_letter_that_finds_no_room_is_not_lost() {
    let server = orders(5);
    let options = "-e --jobs 2 --max-deliveries 1 --dead-letter orders:dead --reconnect-for 20s";
    server.refuse(OOM);
    let mut consumer = handle(&server, options, "exit 7").spawn();
    consumer.wait_stderr("OOM");
    assert_eq!(server.ids("orders:dead"), Vec::<String>::new());
    server.mend(OOM);
    let output = consumer.wait();
    assert_eq!(output.status, 1, "{}", output.stderr());
    let dead = dead_ids(&server, "orders:dead");
    assert_once(&dead);
    assert_all(&dead, 5);
    let reasons = server.values("orders:dead", &["dead-deliveries", "dead-reason"]);
    assert_eq!(reasons, ["1", "exit status 7"].repeat(5));
    assert_settled(&server);
}

#[test]
fn a_server_that_loads_its_data_is_waited_for() {
    // To each of the commands that a connection begins with.
    const LOADING: &[u8] = b"-LOADING Redis is loading the dataset in memory\r\n\
        -LOADING Redis is loading the dataset in memory\r\n-LOADING Redis is loading the dataset in memory\r\n";
    let server = orders(2000);
    // The connection breaks, and the server that comes back is still loading, twice.
    let fates = [
        Fate::Reply(20_000, End::Fin),
        Fate::Refused(LOADING),
        Fate::Refused(LOADING),
    ];
    let proxy = Proxy::start(server.socket(), fates);
    let mut consumer = consume(&server)
        .args(["-e", "--count", "20", "-u", &proxy.url()])
        .spawn();
    let output = consumer.wait();
    assert_eq!(output.status, 0, "{}", output.stderr());
    assert_once(&ids(&output));
    assert_all(&ids(&output), 2000);
    assert_settled(&server);
    // Told to wait for the first connection, it also waits for that.
    let proxy = Proxy::start(server.socket(), [Fate::Refused(LOADING), Fate::Refused(LOADING)]);
    consume(&server)
        .args(["-e", "--wait", "20s", "-u", &proxy.url()])
        .stderr_any()
        .run();
    let proxy = Proxy::start(server.socket(), [Fate::Refused(LOADING)]);
    consume(&server)
        .args(["-e", "-u", &proxy.url()])
        .status(3)
        .stderr_has(["LOADING"])
        .run();
}
