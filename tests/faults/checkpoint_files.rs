//! The files that a sending keeps: what they may not be written over, who else may not use them, and what they say
//! after a run that was cut off and killed.

use super::sending::{
    COUNT, LOADING, assert_stream, batch, checkpointed, durable, input, length, mended_at_cut, resuming, wait_length,
};
use crate::harness::{End, Fate, NOREPLICAS, Proxy, ServerSide, Test, wait_until};
use std::collections::HashSet;
use std::os::unix::fs::symlink;
use std::time::Duration;

/// Nothing that lies beside the checkpoint is written over, whatever it is called.
#[test]
fn a_checkpoint_leaves_its_neighbours_alone() {
    let server = durable();
    let bodies = input(&server, COUNT);
    let before = server.read("input.jsonl");
    for suffix in ["new", "tmp", "lock", "bak"] {
        server.cli(["DEL", "s"]);
        let file = format!("big{suffix}.{suffix}");
        server.file(&file, &before);
        let arguments = ["--name", "n", "--checkpoint", &format!("big{suffix}")];
        let output = Test::new(&server)
            .args(["send-batch", "s", &file])
            .args(arguments)
            .spawn()
            .wait();
        assert_eq!(output.status, 0, "{suffix}: {}", output.stderr());
        assert!(server.read(&file) == before, "{file} was written over");
        assert_stream(&server, &bodies);
    }
}

#[test]
fn receipts_beside_a_checkpoint_are_kept() {
    let server = durable();
    input(&server, COUNT);
    checkpointed(&server).args(["--receipts", "c.new"]).stderr_any().run();
    assert_eq!(server.read("c.new").lines().count(), COUNT);
    checkpointed(&server).args(["--receipts", "c.new"]).stderr_any().run();
    assert_eq!(server.read("c.new").lines().count(), COUNT);
    assert_eq!(length(&server), COUNT);
    // Somebody took the receipts away: that is said.
    server.file("c.new", "");
    checkpointed(&server)
        .args(["--receipts", "c.new"])
        .stderr_has(["warning: c.new has 0 bytes", "not written again"])
        .run();
    assert_eq!(length(&server), COUNT);
}

#[test]
fn a_link_stays_a_link() {
    let server = durable();
    input(&server, 100);
    let work = server.work();
    std::fs::create_dir(work.join("kept")).unwrap();
    let files = ["checkpoint", "receipts"];
    for name in files {
        server.file(&format!("kept/{name}"), "");
        symlink(format!("kept/{name}"), work.join(name)).unwrap();
    }
    let send = || batch(&server).args(["--checkpoint", "checkpoint", "--receipts", "receipts"]);
    for _ in 0..2 {
        send().stderr_any().run();
        for name in files {
            assert!(work.join(name).is_symlink(), "{name}");
            assert!(!server.read(&format!("kept/{name}")).is_empty(), "{name}");
        }
        assert_eq!(server.read("kept/receipts").lines().count(), 100);
    }
    assert_eq!(length(&server), 100);
}

#[test]
fn a_checkpoint_in_use_is_refused() {
    let server = durable();
    let mut first = resuming(&server).spawn_open();
    first.feed("1\n");
    wait_until("the first line", || length(&server) == 1);
    resuming(&server)
        .stdin("1\n2\n")
        .status(1)
        .stderr_has(["error: ", "in use"])
        .run();
    assert_eq!(length(&server), 1);
    first.close_stdin();
    assert_eq!(first.wait().status, 0);
    // With the first its lock is gone; also with one that was killed.
    let mut killed = resuming(&server).spawn_open();
    killed.feed("1\n2\n");
    wait_until("the second line", || length(&server) == 2);
    killed.kill9();
    resuming(&server).stdin("1\n2\n3\n").stderr_any().run();
    assert_eq!(server.bodies("s"), ["1", "2", "3"]);
}

/// A copy of the checkpoint that is older than what was sent since: refused, or of no consequence.
#[test]
fn an_old_copy_of_a_checkpoint() {
    let server = durable();
    let bodies = input(&server, 3000);
    let all = server.read("input.jsonl");
    let resumable = || checkpointed(&server).args(["--receipts", "receipts"]);
    let half: String = all.split_inclusive('\n').take(1500).collect();
    server.file("input.jsonl", half);
    resumable().stderr_any().run();
    let old = server.read("c");
    server.file("input.jsonl", &all);
    let output = resumable().spawn().wait();
    if output.status != 0 {
        // A longer input is another input.
        return assert_stream(&server, &bodies[..1500]);
    }
    server.file("c", old);
    let output = resumable().spawn().wait();
    assert!([0, 1].contains(&output.status), "{}", output.stderr());
    assert_stream(&server, &bodies);
    if output.status == 0 {
        assert_eq!(server.read("receipts").lines().count(), bodies.len());
    }
}

/// Cut off, connected again, and killed then: the files hold neither more nor less than what the place is behind.
#[test]
fn receipts_and_rejects_of_a_sending_that_reconnected_and_was_killed() {
    for millis in [40, 80, 120] {
        killed_after_a_reconnect(Duration::from_millis(millis));
    }
}

fn killed_after_a_reconnect(after: Duration) {
    const LINES: usize = 60_000;
    const BAD: usize = 49;
    let server = durable();
    let is_bad = |n: &usize| n.is_multiple_of(BAD);
    let line = |n: usize| if is_bad(&n) { "{".to_owned() } else { n.to_string() };
    let lines: Vec<_> = (1..=LINES).map(line).collect();
    server.file("input.jsonl", lines.join("\n") + "\n");
    let resumable = || checkpointed(&server).args(["--rejects", "rejects", "--receipts", "receipts"]);
    // The server is away for so long that the checkpoint is due when it is back.
    let away = (0..5).map(|_| Fate::Refused(LOADING));
    // All that is in flight lands meanwhile.
    let late = Fate::Late(100_000, End::Fin, Duration::from_millis(20), ServerSide::Closed);
    let fates = [late].into_iter().chain(away);
    let proxy = Proxy::start(server.socket(), fates);
    let mut sending = resumable().args(["-u", &proxy.url()]).spawn();
    wait_until("the server to be away", || proxy.connections() >= 6);
    let landed = length(&server);
    wait_length(&server, &sending, landed + 1);
    std::thread::sleep(after);
    sending.kill9();
    resumable().status(1).stderr_any().run();
    let good: Vec<_> = lines.into_iter().filter(|line| line != "{").collect();
    assert_stream(&server, &good);
    let receipts: Vec<usize> = server.read("receipts").lines().map(line_of).collect();
    let expected: Vec<usize> = (1..=LINES).filter(|n| !is_bad(n)).collect();
    assert_eq!(
        (receipts.len(), server.read("rejects").lines().count()),
        (expected.len(), LINES / BAD),
        "receipts, and rejects, of a sending killed after {after:?}"
    );
    assert!(receipts == expected, "receipts of other lines");
}

fn line_of(receipt: &str) -> usize {
    let receipt: serde_json::Value = serde_json::from_str(receipt).unwrap();
    usize::try_from(receipt["line"].as_u64().unwrap()).unwrap()
}

/// Of a window the server refuses some and takes some: run again, what was taken is not sent once more.
#[test]
fn a_window_settled_by_refusals() {
    let server = durable();
    let bodies = input(&server, 3000);
    let proxy = mended_at_cut(&server, vec![Fate::Split(60_000)], NOREPLICAS);
    server.refuse(NOREPLICAS);
    let resumable = || checkpointed(&server).args(["--on-reject", "skip"]);
    let first = resumable().args(["-u", &proxy.url()]).spawn().wait();
    assert!(length(&server) > 0, "{}", first.stderr());
    let again = resumable().spawn().wait();
    let found = server.bodies("s");
    let different: HashSet<_> = found.iter().collect();
    assert_eq!(different.len(), found.len(), "sent twice: {}", again.stderr());
    // None is lost without a word, and exit code 0 means all.
    let said = first.stderr() + &again.stderr();
    for (index, body) in bodies.iter().enumerate().filter(|(_, body)| !different.contains(body)) {
        assert!(
            said.contains(&format!("input.jsonl:{}", index + 1)),
            "{body} is not named"
        );
        assert_eq!((first.status, again.status), (1, 1));
    }
}
