//! Dead letters that are refused or whose answer is lost: one copy in the end, and never none.

use super::{GROUP, assert_all, assert_once, assert_settled, consume, dead_ids, handle, ids, orders};
use crate::harness::{End, Fate, OOM, Proxy, Server, Test};
use std::time::{Duration, Instant};

const OPTIONS: &str = "--max-deliveries 1 --dead-letter dead";

/// A consumer whose handlers always fail.
fn failing(server: &Server, options: &str) -> Test {
    handle(server, &format!("{OPTIONS} {options}"), "exit 7")
}

/// The IDs of the messages in the dead letters.
fn dead(server: &Server) -> Vec<String> {
    dead_ids(server, "dead")
}

#[test]
fn a_dead_letter_that_is_refused_until_the_end_is_a_failure() {
    let server = orders(1);
    server.refuse(OOM);
    let output = failing(&server, "-e --reconnect-for 3s").spawn().wait();
    assert_ne!(output.status, 0, "{}", output.stderr());
    assert!(output.stderr().contains("OOM"), "{}", output.stderr());
    assert_eq!(server.pending("orders", GROUP), ["1-0"]);
    assert_eq!(dead(&server), [""; 0]);
    server.mend(OOM);
    // It was handed back: the next consumer gets it at once, although its --claim-idle is five minutes.
    let rest = consume(&server).arg("-e").stdout_any().stderr_any().run();
    assert_eq!(ids(&rest), ["1-0"]);
    assert_settled(&server);
}

#[test]
fn a_message_whose_dead_letter_is_refused_again_and_again_stays_with_its_consumer() {
    let server = orders(1);
    server.refuse(OOM);
    let mut first = failing(&server, "-e --claim-idle 2s --reconnect-for 60s").spawn();
    first.wait_stderr("OOM");
    let mut second = consume(&server).args(["--claim-idle", "2s", "--block", "50ms"]).spawn();
    // Several times the claim idle, in which the dead letter is refused more than twice.
    assert_eq!(
        second.line_within(Duration::from_secs(9)),
        None,
        "the message was taken away"
    );
    drop(second);
    server.mend(OOM);
    let output = first.wait();
    assert_eq!(output.status, 1, "{}", output.stderr());
    assert_eq!(dead(&server), ["1-0"]);
    assert_settled(&server);
}

#[test]
fn a_dead_letter_whose_answer_is_lost_stands_once() {
    for end in [End::Fin, End::Reset] {
        let server = orders(3);
        // Whichever connection the dead letters are sent on, its answer is lost.
        let fates = (0..4).map(move |_| Fate::Unanswered(b"dead-reason", end));
        let proxy = Proxy::start(server.socket(), fates);
        let options = format!("-e -u {}", proxy.url());
        let output = failing(&server, &options).spawn().wait();
        assert_eq!(output.status, 1, "{}", output.stderr());
        assert!(proxy.cuts() > 0);
        assert_once(&dead(&server));
        assert_all(&dead(&server), 3);
        assert_settled(&server);
    }
}

#[test]
fn a_delivery_whose_reply_is_lost_is_no_try() {
    for end in [End::Fin, End::Reset] {
        let server = orders(3);
        // Twice in a row: what was read, and what was claimed in its place.
        let fates = [Fate::Unanswered(b"XREADGROUP", end), Fate::Unanswered(b"XCLAIM", end)];
        let proxy = Proxy::start(server.socket(), fates);
        let options = format!("{OPTIONS} -e -u {}", proxy.url());
        let output = handle(&server, &options, "echo $REDIS_STREAMER_ID")
            .stdout_any()
            .stderr_any()
            .run();
        assert!(proxy.cuts() > 1);
        assert_eq!(output.stdout(), "1-0\n2-0\n3-0\n");
        assert_eq!(dead(&server), [""; 0]);
        assert_settled(&server);
    }
}

#[test]
fn dead_letters_and_a_server_that_is_killed_meanwhile_stand_once() {
    const COUNT: usize = 60;
    let server = orders(COUNT);
    let mut consumer = failing(&server, "-e --jobs 4").spawn();
    let start = Instant::now();
    for goal in [5, 20, 40] {
        while dead(&server).len() < goal && start.elapsed() < Duration::from_secs(10) {
            std::thread::sleep(Duration::from_millis(1));
        }
        server.kill9();
        server.restart();
    }
    let output = consumer.wait();
    assert_eq!(output.status, 1, "{}", output.stderr());
    assert_once(&dead(&server));
    assert_all(&dead(&server), COUNT);
    assert_settled(&server);
}

/// A handler that fails after somebody else has claimed its message, and perhaps done it.
fn fails_after(server: &Server, more: &str) -> Test {
    let script = format!("redis-cli -s \"$SOCKET\" XCLAIM orders {GROUP} other 0 $REDIS_STREAMER_ID; {more} exit 7");
    handle(server, &format!("{OPTIONS} -e"), &script).env("SOCKET", server.socket())
}

#[test]
fn a_message_that_somebody_else_has_by_now_becomes_no_dead_letter() {
    let server = orders(1);
    fails_after(&server, "").stdout_any().stderr_any().run();
    assert_eq!(dead(&server), [""; 0]);
    assert_eq!(server.pending("orders", GROUP), ["1-0"]);
    let server = orders(1);
    let ack = format!("redis-cli -s \"$SOCKET\" XACK orders {GROUP} $REDIS_STREAMER_ID;");
    fails_after(&server, &ack).stdout_any().stderr_any().run();
    assert_eq!(dead(&server), [""; 0]);
    assert_settled(&server);
}

/// Also where the run has no end of its own, and the server goes on delivering.
#[test]
fn a_dead_letter_that_is_refused_for_too_long_ends_the_run() {
    let server = orders(3);
    server.refuse(OOM);
    let options = "--max-deliveries 1 --dead-letter orders:dead --retry-delay 50ms --reconnect-for 1s";
    let output = handle(&server, options, "exit 1").spawn().wait();
    assert_eq!(output.status, 3, "{}", output.stderr());
    assert!(output.stderr().contains("OOM"), "{}", output.stderr());
    server.mend(OOM);
    assert_eq!(server.cli(["EXISTS", "orders:dead"]), "0");
    assert_eq!(server.pending("orders", GROUP).len(), 3);
}
