//! Consumers that are killed while they print.

use super::{GROUP, assert_all, assert_once, assert_settled, clean_up, consume, ids, is_delivered, orders};
use crate::harness::{Dice, End, Fate, Proxy, Running, Server, Test};
use std::time::Duration;

/// Keeps three consumers running and kills one at a time, after so many lines as the dice say, until all was
/// delivered; returns what they printed.
fn kill_consumers(server: &Server, dice: &mut Dice, more: &[&str]) -> (Vec<String>, usize) {
    let start = || {
        consume(server)
            .args(["--count", "40", "--block", "50ms"])
            .args(more)
            .spawn()
    };
    let mut consumers: Vec<Running> = (0..3).map(|_| start()).collect();
    let (mut printed, mut kills) = (Vec::new(), 0);
    while !is_delivered(server) {
        let which = dice.between(0, consumers.len());
        for _ in 0..dice.between(1, 300) {
            // It may find nothing more.
            if consumers[which].line_within(Duration::from_millis(500)).is_none() {
                break;
            }
        }
        printed.extend(ids(&consumers[which].kill9()));
        kills += 1;
        consumers[which] = start();
    }
    for mut consumer in consumers {
        printed.extend(ids(&consumer.kill9()));
    }
    (printed, kills)
}

#[test]
fn killed_consumers_lose_nothing() {
    const COUNT: usize = 20_000;
    let server = orders(COUNT);
    let mut dice = Dice::new();
    let (mut printed, kills) = kill_consumers(&server, &mut dice, &["--claim-idle", "300ms"]);
    assert!(kills >= 3, "{kills} kills");
    printed.extend(clean_up(&server, &[]));
    assert_all(&printed, COUNT);
    assert_settled(&server);
}

#[test]
fn killed_consumers_with_dedup_repeat_nothing() {
    let server = orders(10_000);
    let mut dice = Dice::new();
    let (mut printed, kills) = kill_consumers(&server, &mut dice, &["--dedup", "--claim-idle", "50ms"]);
    assert!(kills >= 2, "{kills} kills");
    printed.extend(clean_up(&server, &["--dedup"]));
    assert_once(&printed);
    assert_settled(&server);
}

/// Reads, reserves in the ledger and acknowledges by hand, as the wire contract says; returns the IDs reserved.
fn consume_by_hand(connection: &mut redis::Connection) -> Option<Vec<String>> {
    type Entries = Vec<(String, Vec<String>)>;
    let read: Option<Vec<(String, Entries)>> = redis::cmd("XREADGROUP")
        .arg(&["GROUP", GROUP, "by-hand", "COUNT", "20", "STREAMS", "orders", ">"])
        .query(connection)
        .unwrap();
    let entries = read?.pop()?.1;
    let mut processed = Vec::new();
    for (id, _) in entries {
        let ours: u64 = redis::cmd("ZADD")
            .arg(format!("stream:orders:group:{GROUP}:processed"))
            .arg(&["NX", "4102444800000", &id])
            .query(connection)
            .unwrap();
        if ours == 1 {
            processed.push(id.clone());
        }
        let _: u64 = redis::cmd("XACK")
            .arg(&["orders", GROUP, &id])
            .query(connection)
            .unwrap();
    }
    Some(processed)
}

#[test]
fn dedup_shares_its_ledger_with_other_clients() {
    const COUNT: usize = 6000;
    let server = orders(COUNT);
    // So short a time that entries are claimed while their consumers are at work.
    let start = || {
        consume(&server)
            .args(["--dedup", "--claim-idle", "1ms", "--count", "50"])
            .spawn()
    };
    let mut consumers = [start(), start()];
    let mut connection = server.connection().unwrap();
    let mut processed = Vec::new();
    while let Some(ids) = consume_by_hand(&mut connection) {
        processed.extend(ids);
    }
    crate::harness::wait_until("all to be acknowledged", || server.pending("orders", GROUP).is_empty());
    for consumer in &mut consumers {
        consumer.signal(crate::harness::Signal::TERM);
        processed.extend(ids(&consumer.wait()));
    }
    assert_once(&processed);
    assert_all(&processed, COUNT);
    assert_settled(&server);
}

#[test]
fn dedup_prints_nothing_again_that_a_reader_saw_before_it_left() {
    let server = orders(0);
    // Lines so long that one write is more than the pipe takes: it is cut short when the reader leaves.
    let script = "for i = 1, 3000 do \
         redis.call('XADD', KEYS[1], i .. '-0', 'name', 'n', 'body', '\"' .. string.rep('x', 300) .. '\"') end";
    server.command(["EVAL", script, "1", "orders"]);
    let first = Test::shell(
        &server,
        "redis-streamer consume orders -l billing --dedup | head -c 60000",
    )
    .stdout_any()
    .run();
    let mut printed = ids(&first);
    assert!(printed.len() > 64, "{}", printed.len());
    printed.extend(clean_up(&server, &["--dedup"]));
    assert_once(&printed);
}

#[test]
fn dedup_does_not_take_an_unanswered_reservation_for_its_own() {
    let server = orders(1);
    // Another consumer has processed it, and ended before it acknowledged.
    server.cli(["XREADGROUP", "GROUP", GROUP, "other", "STREAMS", "orders", ">"]);
    server.cli([
        "ZADD",
        &format!("stream:orders:group:{GROUP}:processed"),
        "4102444800000",
        "1-0",
    ]);
    // The ledger has a connection of its own, which loses its answer.
    let fates = [Fate::Spared, Fate::Unanswered(b"ZADD", End::Fin)];
    let proxy = Proxy::start(server.socket(), fates);
    let output = consume(&server)
        .args(["-e", "--dedup", "--claim-idle", "0ms", "-u", &proxy.url()])
        .stdout_any()
        .stderr_has(["trying again"])
        .run();
    assert_eq!(proxy.cuts(), 1);
    assert_eq!(ids(&output), Vec::<String>::new());
    assert_settled(&server);
}

#[test]
fn a_consumer_with_a_name_of_its_own_comes_back_to_what_it_held() {
    const COUNT: usize = 5000;
    let server = orders(COUNT);
    let mut dice = Dice::new();
    let mut printed = Vec::new();
    let named = || consume(&server).args(["-c", "till-1", "--count", "30"]);
    for _ in 0..4 {
        let mut consumer = named().spawn();
        for _ in 0..dice.between(1, 200) {
            if consumer.line_within(Duration::from_millis(500)).is_none() {
                break;
            }
        }
        printed.extend(ids(&consumer.kill9()));
    }
    printed.extend(ids(&named().arg("-e").stdout_any().run()));
    assert_all(&printed, COUNT);
    assert_settled(&server);
}
