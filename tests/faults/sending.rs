//! `send-batch` across lost connections, dead servers, refusals and its own death: the stream equals the input.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use crate::harness::{
    Dice, End, Fate, NOREPLICAS, OOM, Output, Proxy, READONLY, Refusal, Running, Server, Signal, Test, wait_until,
};

/// A server whose every write survives a kill.
pub fn durable() -> Server {
    Server::options().append_only().start()
}

/// `input.jsonl` with the bodies 1 to N, some of them long; as `add_numbered`, no two are equal.
pub fn input(server: &Server, count: usize) -> Vec<String> {
    let bodies: Vec<String> = (1..=count)
        .map(|n| format!("{{\"n\":{n},\"pad\":\"{}\"}}", "x".repeat(n * 7 % 60)))
        .collect();
    server.file("input.jsonl", bodies.join("\n") + "\n");
    bodies
}

pub fn batch(server: &Server) -> Test {
    Test::new(server).args(["send-batch", "s", "input.jsonl", "--name", "n"])
}

/// A sending of `input.jsonl` that keeps its place in `c`.
pub fn checkpointed(server: &Server) -> Test {
    batch(server).args(["--checkpoint", "c"])
}

/// A sending from stdin that keeps its place there.
pub fn resuming(server: &Server) -> Test {
    Test::new(server).args(["send-batch", "s", "--name", "n", "--checkpoint", "c"])
}

/// What a server says that is there and has yet to read its data.
pub const LOADING: &[u8] = b"-LOADING Redis is loading the dataset in memory\r\n";

/// The stream holds these bodies, in this order, and nothing else.
#[track_caller]
pub fn assert_stream(server: &Server, bodies: &[String]) {
    let found = server.bodies("s");
    let differs = found.iter().zip(bodies).position(|(a, b)| a != b);
    assert_eq!(
        (found.len(), differs),
        (bodies.len(), None),
        "length, and the first that differs"
    );
}

pub fn length(server: &Server) -> usize {
    match server.try_command(["XLEN", "s"]) {
        Ok(redis::Value::Int(length)) => usize::try_from(length).unwrap(),
        _ => 0,
    }
}

/// Waits until there is more in the stream than so much, or the sending has ended.
pub fn wait_length(server: &Server, sending: &Running, length_at_least: usize) {
    wait_until("the stream to grow", || {
        length(server) >= length_at_least || !super::runs(&sending.pid().to_string())
    });
}

pub const COUNT: usize = 25_000;

/// So slow that it is not done before something happens to it.
const SLOWLY: [&str; 2] = ["--rate", "20000"];

#[test]
fn a_server_that_dies_and_comes_back() {
    let server = durable();
    let bodies = input(&server, COUNT);
    let mut dice = Dice::new();
    let mut sending = batch(&server).spawn();
    for part in 1..=4 {
        wait_length(&server, &sending, dice.between(part * 4000, part * 4000 + 2000));
        server.kill9();
        server.restart();
    }
    let output = sending.wait();
    assert_eq!(output.status, 0, "{}", output.stderr());
    assert!(output.stderr().contains("trying again"), "{}", output.stderr());
    assert!(output.stderr().contains("sent 25,000 messages"), "{}", output.stderr());
    assert_stream(&server, &bodies);
}

#[test]
fn killed_connections() {
    let server = durable();
    let bodies = input(&server, COUNT);
    let mut dice = Dice::new();
    let mut sending = batch(&server).spawn();
    for part in 0..10 {
        wait_length(&server, &sending, part * 2000 + dice.between(1, 2000));
        server.cli(["CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"]);
    }
    let output = sending.wait();
    assert_eq!(output.status, 0, "{}", output.stderr());
    assert_stream(&server, &bodies);
}

#[test]
fn connections_cut_anywhere() {
    let mut dice = Dice::new();
    let server = Server::start();
    // About 80 bytes a line on the wire, and 22 a reply.
    let bodies = input(&server, 300);
    for round in 0..32 {
        server.cli(["FLUSHALL"]);
        let end = if round % 2 == 0 { End::Fin } else { End::Reset };
        // Not so early that it has not begun yet.
        let fate = match round % 3 {
            0 => Fate::Reply(dice.between(200, 6000), end),
            1 => Fate::Request(dice.between(500, 25_000), end),
            _ => Fate::Unanswered(b"XADD", end),
        };
        let again = Fate::Request(dice.between(300, 10_000), end);
        let proxy = Proxy::start(server.socket(), [fate, again]);
        let receipts = format!("receipts-{round}");
        let output = batch(&server)
            .args(["-u", &proxy.url(), "--ids", "--receipts", &receipts])
            .stdout_any()
            .stderr_any()
            .run();
        assert!(proxy.cuts() > 0, "round {round}");
        assert_stream(&server, &bodies);
        assert_eq!(
            output.stdout().lines().collect::<Vec<_>>(),
            server.ids("s"),
            "round {round}"
        );
        assert_eq!(server.read(&receipts).lines().count(), bodies.len());
    }
}

#[test]
fn refused_lines_across_cut_connections() {
    let mut dice = Dice::new();
    let server = Server::start();
    // One line in ten asks for an ID that is too small.
    let id = |n: usize| if n % 10 == 9 { 1 } else { n + 1 };
    let lines = (0..300).map(|n| format!("{{\"id\":\"{}-0\",\"name\":\"n\",\"body\":{n}}}\n", id(n)));
    server.file("input.jsonl", lines.collect::<String>());
    for round in 0..12 {
        server.cli(["FLUSHALL"]);
        let fate = match round % 3 {
            0 => Fate::Reply(dice.between(200, 3000), End::Fin),
            1 => Fate::Request(dice.between(500, 12_000), End::Reset),
            _ => Fate::Unanswered(b"XADD", End::Fin),
        };
        let proxy = Proxy::start(server.socket(), [fate]);
        let output = Test::new(&server)
            .args(["send-batch", "s", "input.jsonl", "--keep-ids", "--rejects", "rejects"])
            .args(["-u", &proxy.url()])
            .status(1)
            .stderr_has(["30 lines not sent"])
            .run();
        assert_eq!(proxy.cuts(), 1, "round {round}: {}", output.stderr());
        let expected: Vec<_> = (0..300)
            .filter(|n| n % 10 != 9)
            .map(|n| format!("{}-0", n + 1))
            .collect();
        assert_eq!(server.ids("s"), expected, "round {round}");
        assert_eq!(server.read("rejects").lines().count(), 30);
    }
}

#[test]
fn equal_lines_across_cut_connections() {
    let mut dice = Dice::new();
    let server = Server::start();
    server.file("input.jsonl", "1\n".repeat(400));
    let bodies = vec!["1".to_owned(); 400];
    for _ in 0..8 {
        server.cli(["FLUSHALL"]);
        let fates = [
            Fate::Reply(dice.between(200, 6000), End::Fin),
            Fate::Request(dice.between(500, 10_000), End::Reset),
        ];
        let proxy = Proxy::start(server.socket(), fates);
        batch(&server).args(["-u", &proxy.url()]).stderr_any().run();
        assert_stream(&server, &bodies);
    }
}

#[test]
fn a_hung_server_is_waited_for() {
    let server = durable();
    let bodies = input(&server, COUNT);
    let mut sending = batch(&server).spawn();
    wait_length(&server, &sending, 3000);
    server.pause();
    sending.wait_asleep();
    server.resume();
    let output = sending.wait();
    assert_eq!(output.status, 0, "{}", output.stderr());
    assert_stream(&server, &bodies);
}

#[test]
fn a_server_that_stays_away() {
    let server = durable();
    let bodies = input(&server, COUNT);
    let mut sending = batch(&server).args(["--reconnect-for", "300ms"]).args(SLOWLY).spawn();
    wait_length(&server, &sending, 3000);
    server.kill9();
    let output = sending.wait();
    assert_eq!(output.status, 3, "{}", output.stderr());
    assert!(output.stderr().contains("input.jsonl:"), "{}", output.stderr());
    assert!(output.stderr().contains("not known"), "{}", output.stderr());
    server.restart();
    assert_stream(&server, &bodies[..length(&server)]);
}

const REFUSALS: [Refusal; 3] = [READONLY, NOREPLICAS, OOM];

#[test]
fn a_server_that_refuses_for_a_while() {
    for refusal in REFUSALS {
        let server = durable();
        let bodies = input(&server, COUNT);
        let mut sending = batch(&server).args(SLOWLY).spawn();
        wait_length(&server, &sending, 3000);
        server.refuse(refusal);
        sending.wait_stderr(refusal.code);
        server.mend(refusal);
        let output = sending.wait();
        assert_eq!(output.status, 0, "{}: {}", refusal.code, output.stderr());
        assert_stream(&server, &bodies);
    }
}

#[test]
fn a_server_that_goes_on_refusing() {
    for refusal in REFUSALS {
        let server = durable();
        let bodies = input(&server, COUNT);
        let mut sending = batch(&server).args(["--reconnect-for", "300ms"]).args(SLOWLY).spawn();
        wait_length(&server, &sending, 3000);
        server.refuse(refusal);
        let output = sending.wait();
        assert_eq!(output.status, 3, "{}: {}", refusal.code, output.stderr());
        assert!(output.stderr().contains(refusal.code), "{}", output.stderr());
        assert_stream(&server, &bodies[..length(&server)]);
    }
}

/// The server refuses some of what is in flight and takes what comes behind it: a script, run by a second client
/// between two portions of 16 KB that the server takes from a connection at a time, ends the refusals. Their order
/// is lost then: the sending stops, and every line is in the stream or named; or it has sent so little at once that
/// it loses none.
#[test]
fn a_refusal_of_some_of_what_is_in_flight() {
    let (server, bodies, mut sending) = refused_in_part(vec![Fate::Split(60_000)], &[]);
    let output = sending.wait();
    if output.status == 0 {
        return assert_stream(&server, &bodies);
    }
    assert_gaps_are_named(&server, &bodies, &output);
}

/// The same, and the connection is lost before any of it is answered: the marker is behind the lines that were refused.
#[test]
fn a_refusal_of_some_of_what_is_in_flight_that_nobody_hears() {
    let (server, bodies, mut sending) = refused_in_part(vec![Fate::SplitUnheard(60_000)], &[]);
    let output = sending.wait();
    if output.status == 0 {
        return assert_stream(&server, &bodies);
    }
    assert_eq!(output.status, 1, "{}", output.stderr());
    let said = "it is not known whether input.jsonl:401 to input.jsonl:";
    assert!(output.stderr().contains(said), "{}", output.stderr());
}

/// The same, and the sending is killed before it has asked: the marker counts fewer batches than it is behind.
#[test]
fn a_refusal_of_some_of_what_is_in_flight_that_nobody_lives_to_hear() {
    let fates = vec![Fate::SplitUnheard(60_000), Fate::Swallowed];
    let (server, bodies, mut sending) = refused_in_part(fates, &["--checkpoint", "c"]);
    sending.wait_stderr("trying again");
    sending.kill9();
    let resumed = |more: &[&str]| batch(&server).args(["--checkpoint", "c"]).args(more).spawn().wait();
    for more in [&["--on-reject", "skip"][..], &[]] {
        let output = resumed(more);
        assert_eq!(output.status, 1, "{}", output.stderr());
        let said = "it is not known whether input.jsonl:401 to input.jsonl:";
        assert!(output.stderr().contains(said), "{}", output.stderr());
        assert!(output.stderr().contains("--on-ambiguous repeat"), "{}", output.stderr());
    }
    let output = resumed(&["--on-ambiguous", "repeat"]);
    assert_eq!(output.status, 0, "{}", output.stderr());
    let sent: HashSet<String> = server.bodies("s").into_iter().collect();
    assert!(bodies.iter().all(|body| sent.contains(body)));
    assert_eq!(resumed(&[]).status, 0);
}

/// A proxy with connections of these fates; the server no longer refuses like this when the first is met.
pub fn mended_at_cut(server: &Server, fates: Vec<Fate>, refusal: Refusal) -> Proxy {
    let other = server.client();
    Proxy::start(server.socket(), fates).at_cut(move || drop(other.command(refusal.mend)))
}

/// Lines sent while a server refuses some of them: those that were sent together, as far as these bytes. The proxy keeps
/// back the answer to the first, and meanwhile the rate allows for several batches.
fn refused_in_part(fates: Vec<Fate>, options: &[&str]) -> (Server, Vec<String>, Running) {
    let server = durable();
    let bodies = input(&server, 3000);
    let proxy = mended_at_cut(&server, fates, NOREPLICAS);
    let sending = batch(&server).args(["-u", &proxy.url(), "--rate", "8000"]);
    // Not a program that has to be started first: the proxy is silent for a moment only.
    let other = server.client();
    let sending = sending.args(options).spawn();
    wait_length(&server, &sending, 1);
    other.command(NOREPLICAS.begin);
    (server, bodies, sending)
}

fn assert_gaps_are_named(server: &Server, bodies: &[String], output: &Output) {
    let found = server.bodies("s");
    assert_eq!(output.status, 1, "{}", output.stderr());
    assert!(!found.is_empty() && found.len() < bodies.len(), "{}", found.len());
    let mut expected = found.iter().peekable();
    for (index, body) in bodies.iter().enumerate() {
        // What stands behind the last that is in was not on its way, or is named, too.
        if expected.peek().is_none() {
            break;
        }
        if expected.next_if(|next| *next == body).is_none() {
            let named = format!("input.jsonl:{}", index + 1);
            assert!(
                output.stderr().contains(&named),
                "not named: {named}\n{}",
                output.stderr()
            );
        }
    }
    assert_eq!(expected.next(), None, "another order");
    assert!(output.stderr().contains("NOREPLICAS"), "{}", output.stderr());
}

#[test]
fn what_was_on_its_way_when_the_output_failed_is_counted() {
    let server = Server::start();
    let script = "seq 100000 | redis-streamer send-batch s --name n --ids 2>errors > /dev/full; true";
    Test::shell(&server, script).run();
    let errors = server.read("errors");
    let sent = format!("broke off: {} lines sent, the last stdin:", render(length(&server)));
    assert!(errors.contains(&sent), "{sent} {errors}");
}

/// A number of thousands as people read it.
fn render(number: usize) -> String {
    format!("{},{:03}", number / 1000, number % 1000)
}

#[test]
fn a_signal_ends_a_sending_whose_ids_nobody_reads() {
    let server = durable();
    input(&server, COUNT);
    let mut sending = batch(&server).arg("--ids").spawn_unread(super::endings::FULL / 2);
    sending.signal(Signal::TERM);
    assert_eq!(sending.wait().status, 143);
}

#[test]
fn nobody_waits_for_replies_to_lines_that_were_not_sent() {
    let server = Server::options().tcp4().start();
    let lines = (0..40_000).map(|n| {
        if n % 40 == 0 {
            format!("{n}\n")
        } else {
            "no JSON\n".to_owned()
        }
    });
    server.file("input.jsonl", lines.collect::<String>());
    let start = Instant::now();
    let skipping = batch(&server).args(["--on-reject", "skip", "--rejects", "rejects"]);
    skipping.status(1).stderr_any().run();
    assert_eq!(length(&server), 1000);
    // A reply that does not come is waited for a quarter of a minute.
    assert!(start.elapsed() < Duration::from_secs(10), "{:?}", start.elapsed());
}
