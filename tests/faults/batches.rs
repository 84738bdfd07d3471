//! Consumers and servers that go down while a handler has a batch.

use super::{GROUP, assert_all, assert_once, assert_settled, dead_ids, handle, handled, orders, wait_settled};
use crate::harness::{Dice, Server, Signal, kill, wait_until};

/// Notes the IDs of a batch, all or none.
const NOTE_ALL: &str = r#"sed 's/.*"id":"\([^"]*\)".*/\1/' > batch.$$; cat batch.$$ >> handled"#;

/// Ends a consumer, and the handler that told its number, as a crash of the machine would.
fn crash(server: &Server, consumer: &mut crate::harness::Running) {
    consumer.kill9_alone();
    kill(server.read("pid").trim());
}

#[test]
fn a_batch_in_hand_of_a_killed_consumer_is_handled_and_nothing_of_it_is_dead() {
    const COUNT: usize = 30;
    let server = orders(COUNT);
    // Delivered once is as often as they may be tried; that twice nobody finished them is no fault of theirs.
    let options = "--batch 30 --claim-idle 1ms --max-deliveries 1 --dead-letter dead";
    let script = format!("echo $REDIS_STREAMER_COUNT >> runs; echo $$ > pid; [ -e go ] || exec sleep 60; {NOTE_ALL}");
    let mut first = handle(&server, options, &script).spawn();
    wait_until("a batch to be handled", || server.lines("runs") == ["30"]);
    crash(&server, &mut first);
    // The second time each is tried alone, and one of them is lost with its consumer.
    let mut second = handle(&server, options, &script).spawn();
    wait_until("one to be handled", || server.lines("runs").len() == 2);
    crash(&server, &mut second);
    drop((first, second));
    server.file("go", "");
    handle(&server, &format!("-e {options}"), &script)
        .status(1)
        .stderr_any()
        .run();
    let runs = server.lines("runs");
    assert!(runs[1..].iter().all(|count| count == "1"), "{runs:?}");
    assert_eq!(dead_ids(&server, "dead").len(), 1);
    let mut all = handled(&server);
    assert_once(&all);
    all.extend(dead_ids(&server, "dead"));
    assert_all(&all, COUNT);
    assert_settled(&server);
}

#[test]
fn what_ends_its_consumers_is_dead_in_the_end_and_nothing_else_is() {
    const COUNT: usize = 40;
    let server = orders(COUNT);
    let options = "-e --batch 16 --claim-idle 1ms --max-deliveries 2 --dead-letter dead";
    let script =
        format!(r#"cat > in.$$; if grep -q '"id":"17-0"' in.$$; then kill -9 $PPID; exit; fi; {NOTE_ALL} < in.$$"#)
            .replace("> batch.$$;", "< in.$$ > batch.$$;");
    let mut crashes = 0;
    wait_until("an end", || {
        let output = handle(&server, options, &script).spawn().wait();
        crashes += usize::from(output.status == 137);
        output.status != 137
    });
    assert!((2..=4).contains(&crashes), "{crashes}");
    assert_eq!(dead_ids(&server, "dead"), ["17-0"]);
    let mut all = handled(&server);
    all.extend(dead_ids(&server, "dead"));
    assert_all(&all, COUNT);
    assert_settled(&server);
}

#[test]
fn batches_go_on_when_the_server_comes_back() {
    const COUNT: usize = 3000;
    let server = orders(COUNT);
    let mut dice = Dice::new();
    let options = "--batch 20 --jobs 2";
    let mut consumer = handle(&server, options, NOTE_ALL).spawn();
    for _ in 0..3 {
        let goal = (handled(&server).len() + dice.between(20, 600)).min(COUNT);
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
fn what_is_deleted_while_its_batch_fails_is_let_go() {
    let server = orders(4);
    if !server.tells_of_deleted_or_left_out() {
        return;
    }
    // Long enough for the messages to be kept alive meanwhile.
    let script = format!("[ -e go ] || {{ touch began; until [ -e go ]; do sleep 0.01; done; exit 1; }}; {NOTE_ALL}");
    let mut consumer = handle(&server, "-e --batch 4 --claim-idle 300ms", &script).spawn();
    wait_until("the handler", || server.work().join("began").exists());
    server.cli(["XDEL", "orders", "2-0"]);
    let alive = server.calls("xclaim");
    wait_until("them to be kept alive twice", || server.calls("xclaim") >= alive + 2);
    server.file("go", "");
    let output = consumer.wait();
    assert_eq!(output.status, 0, "{}", output.stderr());
    let mut all = handled(&server);
    all.sort();
    assert_eq!(all, ["1-0", "3-0", "4-0"]);
    assert_eq!(server.pending("orders", GROUP), [""; 0]);
}

#[test]
fn a_signal_lets_a_batch_finish_and_hands_back_its_halves() {
    let server = orders(8);
    let script = "touch began; until [ -e go ]; do sleep 0.01; done; exit 1";
    let options = "--batch 8 --max-deliveries 1 --dead-letter dead";
    let mut consumer = handle(&server, options, script).spawn();
    wait_until("the handler", || server.work().join("began").exists());
    consumer.signal(Signal::TERM);
    consumer.wait_stderr("finishing 8 messages; again to end at once");
    server.file("go", "");
    assert_eq!(consumer.wait().status, 143);
    assert_eq!(server.entries("dead").len(), 0);
    // None of them counts as tried.
    let next = handle(&server, &format!("-e {options}"), "cat").stdout_any().run();
    assert_eq!(
        (
            next.stdout().lines().count(),
            next.stdout().matches("deliveries").count()
        ),
        (8, 0)
    );
    assert_settled(&server);
}
