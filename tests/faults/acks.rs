//! `ack` across lost connections and signals: what it was told of is acknowledged, and counted once.

use super::{GROUP, orders};
use crate::harness::{End, Fate, Proxy, Running, Server, Signal, Test, wait_until};

/// `orders` with so many entries, all of them pending.
fn pending(count: usize) -> Server {
    let server = orders(count);
    server.cli(["XREADGROUP", "GROUP", GROUP, "c", "STREAMS", "orders", ">"]);
    server
}

fn numbered(count: usize) -> String {
    (1..=count).map(|n| format!("{n}-0\n")).collect()
}

/// Acknowledges from stdin, through a proxy that cuts the first connections.
fn through(server: &Server, fates: impl IntoIterator<Item = Fate, IntoIter: Send + 'static>) -> (Proxy, Test) {
    let proxy = Proxy::start(server.socket(), fates);
    let test = Test::new(server).args(["-u", &proxy.url(), "ack", "orders", "-l", "billing", "--strict", "-"]);
    (proxy, test)
}

#[test]
fn a_cut_anywhere_costs_nothing() {
    const COUNT: usize = 1500;
    for bytes in [0, 1, 100, 5000, 50_000, 70_000] {
        for fate in [Fate::Request(bytes, End::Fin), Fate::Reply(bytes / 20, End::Reset)] {
            let server = pending(COUNT);
            let (proxy, test) = through(&server, [fate]);
            let output = test
                .stdin(numbered(COUNT))
                .stdout(format!("{COUNT}\n"))
                .stderr_any()
                .run();
            assert_eq!(proxy.cuts(), 1, "{bytes}");
            assert!(output.stderr().contains("trying again"), "{}", output.stderr());
            assert!(server.pending("orders", GROUP).is_empty());
        }
    }
}

#[test]
fn what_an_answer_was_lost_about_counts_and_is_told() {
    let server = pending(5);
    let (_, test) = through(&server, [Fate::Unanswered(b"XACK", End::Fin)]);
    test.stdin(numbered(5))
        .stdout("5\n")
        .stderr_has(["5 entries counted as acknowledged: no longer pending"])
        .run();
    assert!(server.pending("orders", GROUP).is_empty());
}

/// Acknowledges from a stdin that stays open behind the first IDs.
fn waiting(server: &Server, ids: &str, options: &[&str]) -> Running {
    let ack = Test::new(server).args(["ack", "orders", "-l", "billing", "-"]);
    let mut ack = ack.args(options).spawn_open();
    ack.feed(ids);
    ack
}

#[test]
fn a_signal_ends_it_behind_what_it_has_read() {
    let server = pending(5);
    let mut ack = waiting(&server, "1-0\n2-0\n3", &[]);
    wait_until("two to be acknowledged", || server.pending("orders", GROUP).len() == 3);
    ack.signal(Signal::TERM);
    let output = ack.wait();
    assert_eq!((output.status, output.stdout().as_str()), (143, "2\n"));
    assert_eq!(server.pending("orders", GROUP), ["3-0", "4-0", "5-0"]);
}

#[test]
fn a_signal_while_the_server_is_away_leaves_it_some_time() {
    let server = pending(5);
    let hung = Proxy::start(server.socket(), [Fate::Unanswered(b"XACK", End::Fin)]);
    let killed = std::sync::Arc::new(server);
    let at_cut = std::sync::Arc::clone(&killed);
    let hung = hung.at_cut(move || at_cut.kill9());
    let mut ack = waiting(&killed, "1-0\n2-0\n", &["-u", &hung.url()]);
    ack.wait_stderr("trying again");
    ack.signal(Signal::INT);
    killed.restart();
    let output = ack.wait();
    assert_eq!(
        (output.status, output.stdout().as_str()),
        (130, "2\n"),
        "{}",
        output.stderr()
    );
    assert_eq!(killed.pending("orders", GROUP), ["3-0", "4-0", "5-0"]);
    assert_eq!(hung.cuts(), 1);
}

#[test]
fn a_server_that_stays_away_is_given_up() {
    let server = pending(5);
    let mut ack = waiting(&server, "1-0\n", &["--reconnect-for", "300ms"]);
    wait_until("one to be acknowledged", || server.pending("orders", GROUP).len() == 4);
    server.kill9();
    ack.signal(Signal::TERM);
    // Nothing was in flight.
    assert_eq!(ack.wait().status, 143);
    let test = Test::new(&server).args(["ack", "orders", "-l", "billing", "--reconnect-for", "300ms", "2-0"]);
    test.status(3).stderr_has(["error: ", "hint: "]).run();
}
