//! Late delivery: the client is cut off at once, and what it had sent reaches the server when it has long gone on.

use super::sending::{LOADING, assert_stream, batch, checkpointed, durable, input, length, wait_length};
use crate::harness::{End, Fate, OOM, Proxy, Server, ServerSide, Signal, Test, wait_until};
use std::time::Duration;

const LATER: Duration = Duration::from_secs(1);

#[test]
fn what_a_cut_connection_still_delivers_is_not_sent_twice() {
    for (end, side) in [(End::Fin, ServerSide::Open), (End::Reset, ServerSide::Closed)] {
        let server = durable();
        let bodies = input(&server, 2000);
        let fates = [
            Fate::Late(20_000, end, LATER, side),
            Fate::Late(30_000, end, LATER / 2, side),
        ];
        let proxy = Proxy::start(server.socket(), fates);
        batch(&server).args(["-u", &proxy.url()]).stderr_any().run();
        assert_eq!(proxy.cuts(), 2);
        proxy.settle();
        assert_stream(&server, &bodies);
    }
}

/// The connection that is to be closed before a resumed sending goes on is the last that was used, not the first.
#[test]
fn a_sending_killed_after_a_reconnect_and_resumed() {
    for side in [ServerSide::Open, ServerSide::Closed] {
        let server = durable();
        let bodies = input(&server, 20_000);
        let fates = [
            Fate::Request(100_000, End::Fin),
            Fate::Late(200_000, End::Fin, LATER, side),
            Fate::Swallowed,
        ];
        let proxy = Proxy::start(server.socket(), fates);
        let mut first = checkpointed(&server).args(["-u", &proxy.url()]).spawn();
        wait_until("the second cut", || proxy.cuts() == 2);
        first.kill9();
        checkpointed(&server).stderr_any().run();
        proxy.settle();
        assert_stream(&server, &bodies);
    }
}

/// Nobody can close the old connection: its transactions land beside those that were sent again. The marker tells.
#[test]
fn without_client_a_late_delivery_is_noticed() {
    let server = Server::options().append_only().without("CLIENT").start();
    let bodies = input(&server, 2000);
    let late = Fate::Late(40_000, End::Fin, Duration::from_millis(300), ServerSide::Closed);
    let proxy = Proxy::start(server.socket(), [late]);
    let output = batch(&server)
        .args(["-u", &proxy.url(), "--rate", "1500"])
        .spawn()
        .wait();
    proxy.settle();
    match output.status {
        0 => assert_stream(&server, &bodies),
        1 => assert!(output.stderr().contains("input.jsonl:"), "{}", output.stderr()),
        status => panic!("status {status}: {}", output.stderr()),
    }
}

/// A signal while it is not known what landed: the checkpoint must not say that nothing is open.
#[test]
fn a_signal_during_recovery() {
    for fate in [
        Fate::Landed(4000, End::Fin),
        Fate::Request(60_000, End::Reset),
        Fate::Late(60_000, End::Fin, LATER / 4, ServerSide::Open),
    ] {
        let server = durable();
        let bodies = input(&server, 3000);
        let away = std::iter::repeat_with(|| Fate::Refused(LOADING));
        let proxy = Proxy::start(server.socket(), [fate].into_iter().chain(away));
        let mut first = checkpointed(&server).args(["-u", &proxy.url()]).spawn();
        first.wait_stderr("trying again");
        first.signal(Signal::TERM);
        let output = first.wait();
        assert_eq!(output.status, 143, "{}", output.stderr());
        checkpointed(&server).stderr_any().run();
        proxy.settle();
        assert_stream(&server, &bodies);
    }
}

/// A signal while the new connection finds out what landed, slowly: all of it is behind the place then.
#[test]
fn a_signal_while_it_is_found_out_what_landed() {
    let server = durable();
    let bodies = input(&server, 20);
    let fates = [Fate::Landed(300, End::Fin), Fate::Dripping(0, Duration::from_millis(1))];
    let proxy = Proxy::start(server.socket(), fates);
    let mut first = checkpointed(&server).args(["-u", &proxy.url()]).spawn();
    first.wait_stderr("trying again");
    // While the first words of the new connection drip in.
    wait_until("the new connection", || proxy.connections() >= 2);
    first.signal(Signal::TERM);
    let output = first.wait();
    assert_eq!(output.status, 143, "{}", output.stderr());
    checkpointed(&server).stderr_any().run();
    assert_stream(&server, &bodies);
}

/// A signal while the server refuses for a time what comes next.
#[test]
fn a_signal_while_the_server_refuses() {
    let server = durable();
    let bodies = input(&server, 6000);
    let mut first = checkpointed(&server).args(["--rate", "10000"]).spawn();
    wait_length(&server, &first, 1500);
    server.refuse(OOM);
    first.wait_stderr("trying again");
    first.signal(Signal::TERM);
    let output = first.wait();
    assert_eq!(output.status, 143, "{}", output.stderr());
    server.mend(OOM);
    checkpointed(&server).stderr_any().run();
    assert_stream(&server, &bodies);
}

/// A cut at any byte, also where the server has yet to say that it trimmed: neither 3 nor a wrong count.
#[test]
fn one_cut_at_any_byte_of_a_sending_that_trims() {
    let mut dice = crate::harness::Dice::new();
    let server = Server::start();
    let bodies = input(&server, 3000);
    for round in 0..60 {
        server.cli(["FLUSHALL"]);
        let end = if round % 2 == 0 { End::Fin } else { End::Reset };
        let fate = match round % 4 {
            0 | 1 => Fate::Reply(dice.between(400, 66_000), end),
            _ => Fate::Request(dice.between(1000, 220_000), end),
        };
        let trim = if round % 3 == 0 {
            ["--maxlen", "10000"]
        } else {
            ["--retention", "1h"]
        };
        let proxy = Proxy::start(server.socket(), [fate]);
        let output = batch(&server).args(["-u", &proxy.url()]).args(trim).spawn().wait();
        assert_eq!(output.status, 0, "round {round}: {}", output.stderr());
        assert!(
            output.stderr().contains("sent 3,000 messages"),
            "round {round}: {}",
            output.stderr()
        );
        assert_stream(&server, &bodies);
    }
}

#[test]
fn a_first_connection_that_is_cut_is_made_again() {
    let server = Server::start();
    for bytes in [0, 1, 20, 60, 100, 126] {
        for fate in [Fate::Request(bytes, End::Fin), Fate::Reply(bytes.min(10), End::Reset)] {
            let proxy = Proxy::start(server.socket(), [fate]);
            let before = length(&server);
            Test::new(&server)
                .args(["send-batch", "s", "--name", "n", "-u", &proxy.url()])
                .stdin("1\n2\n")
                .stderr_any()
                .run();
            assert_eq!(length(&server), before + 2, "{bytes}");
        }
    }
}

/// The server has no room for a marker when the second connection is made; then the first delivers what sets one.
#[test]
fn a_first_marker_that_comes_late_is_known() {
    let server = Server::start();
    server.refuse(OOM);
    let late = Fate::LateAt(b"MULTI", End::Fin, LATER, ServerSide::Open);
    let proxy = Proxy::start(server.socket(), [late]);
    let mut sending = Test::new(&server)
        .args(["send-batch", "s", "--name", "n", "--wait", "20s", "-u", &proxy.url()])
        .spawn_open();
    wait_until("the second connection", || {
        server.cli(["INFO", "commandstats"]).contains("cmdstat_exec")
    });
    server.mend(OOM);
    proxy.settle();
    wait_until("the marker", || {
        !server.cli(["KEYS", "redis-streamer:producer:*"]).is_empty()
    });
    sending.feed("1\n2\n");
    sending.close_stdin();
    let output = sending.wait();
    assert_eq!(output.status, 0, "{}", output.stderr());
    assert_eq!(server.bodies("s"), ["1", "2"]);
    assert_eq!(server.cli(["KEYS", "redis-streamer:producer:*"]), "");
}
