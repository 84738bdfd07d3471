//! `consume --worker`: a command that stays, and answers each line it gets.

use crate::contract::in_package;
use crate::harness::{Cluster, Sentinels, Server, Signal, Test, is_installed_or_left_out, kill, wait_until};
use std::os::unix::fs::PermissionsExt;

const GROUP: &str = "orders:billing:cg";

/// `orders` with the entries 1-0 to N-0, and a group at its beginning.
fn orders(count: usize) -> Server {
    let server = Server::start();
    fill(&server, count);
    server
}

fn fill(server: &Server, count: usize) {
    server.add_numbered("orders", count);
    server.cli(["XGROUP", "CREATE", "orders", GROUP, "0", "MKSTREAM"]);
}

fn work(server: &Server, options: &str, script: &str) -> Test {
    worker(Test::new(server), options, script)
}

fn worker(test: Test, options: &str, script: &str) -> Test {
    test.args(["consume", "orders", "-l", "billing", "--worker"])
        .args(options.split_whitespace())
        .args(["--", "sh", "-c", script])
}

/// Notes its start, then each line, and answers it.
fn answering(answer: &str) -> String {
    format!("echo $$ >> started; while read -r line; do echo \"$line\" >> lines; {answer}; done")
}

fn numbers(server: &Server) -> Vec<usize> {
    let number = |line: &String| {
        let (_, rest) = line.split_once("\"body\":").unwrap();
        rest.trim_end_matches('}').split(',').next().unwrap().parse().unwrap()
    };
    server.lines("lines").iter().map(number).collect()
}

fn up_to(count: usize) -> Vec<usize> {
    (1..=count).collect()
}

#[test]
fn one_worker_gets_all_messages_one_after_the_other() {
    let cluster = Cluster::start();
    let options = Sentinels::options().replicas(0);
    let sentinels = options.sentinels(3, Server::options()).start();
    let server = Server::start();
    let behind = Test::new(&sentinels.servers()[0]).env("REDIS_STREAMER_URL", sentinels.url());
    for (node, at, test) in [
        (&server, &server, Test::new(&server)),
        (
            cluster.node_of("orders"),
            &cluster.nodes()[0],
            Test::new(&cluster.nodes()[0]),
        ),
        (sentinels.master(), &sentinels.servers()[0], behind),
    ] {
        fill(node, 50);
        worker(test, "-e", &answering("echo ok")).run();
        assert_eq!(numbers(at), up_to(50));
        assert_eq!(at.lines("started").len(), 1);
        assert!(node.is_settled("orders", GROUP));
    }
}

#[test]
fn a_worker_has_one_message_in_hand_unless_it_may_have_more() {
    let server = orders(5);
    // It does not answer before the file is there: what it has read by then is what it was given.
    let script = "while read -r line; do echo \"$line\" >> lines; until [ -e go ]; do sleep 0.01; done; echo ok; done";
    let mut consumer = work(&server, "-e --jobs 2", script).spawn();
    wait_until("both workers", || server.lines("lines").len() == 2);
    assert_eq!(server.pending("orders", GROUP).len(), 2);
    server.file("go", "");
    assert_eq!(consumer.wait().status, 0);
    assert_eq!(server.lines("lines").len(), 5);

    let server = orders(5);
    let mut consumer = work(
        &server,
        "-e --in-flight 4",
        "until [ -e go ]; do sleep 0.01; done; while read -r line; do echo ok; done",
    )
    .spawn();
    wait_until("four to be in hand", || server.pending("orders", GROUP).len() == 4);
    server.file("go", "");
    assert_eq!(consumer.wait().status, 0);
    assert!(server.is_settled("orders", GROUP));
}

#[test]
fn what_fails_is_tried_again_and_dead_in_the_end() {
    let server = orders(3);
    let options = "-e --retry-delay 10ms --max-deliveries 2 --dead-letter dead";
    let answer = r#"case $line in *'"id":"2-0"'*) echo fail no such user ;; *) echo ok ;; esac"#;
    work(&server, options, &answering(answer))
        .status(1)
        .stderr_has([
            "orders 2-0: the handler failed: no such user; again in",
            "error: 1 message failed",
        ])
        .run();
    assert_eq!(numbers(&server), [1, 2, 3, 2]);
    assert_eq!(server.lines("started").len(), 1);
    assert_eq!(
        server.values("dead", &["dead-id", "dead-deliveries", "dead-reason"]),
        ["2-0", "2", "no such user"]
    );
}

#[test]
fn what_is_to_be_dead_is_at_once() {
    let server = orders(2);
    let options = "-e --max-deliveries 9 --dead-letter dead";
    let answer = r#"case $line in *'"id":"1-0"'*) echo dead not JSON at all ;; *) echo ok ;; esac"#;
    work(&server, options, &answering(answer))
        .status(1)
        .stderr_has(["not JSON at all; it goes to the dead letters"])
        .run();
    assert_eq!(
        server.values("dead", &["dead-id", "dead-deliveries", "dead-reason"]),
        ["1-0", "1", "not JSON at all"]
    );
    // Without dead letters it has failed.
    let server = orders(1);
    work(&server, "-e", &answering("echo dead as a doornail"))
        .status(1)
        .stderr_has(["as a doornail; handed back"])
        .run();
    assert_eq!(server.pending("orders", GROUP), ["1-0"]);
}

#[test]
fn later_is_no_failure() {
    let server = orders(1);
    // Twice as often as it may fail, and then not at all.
    let answer = "n=$((n + 1)); [ $n -gt 4 ] && echo ok || echo later 10ms";
    let options = "-e --max-deliveries 2 --dead-letter dead";
    work(&server, options, &answering(answer)).run();
    assert_eq!(numbers(&server), [1; 5]);
    assert!(!server.read("lines").contains("deliveries"));
    assert!(server.is_settled("orders", GROUP));

    let server = orders(1);
    work(&server, "-n 1 --timeout 1s", &answering("echo later 1h"))
        .status(4)
        .stderr_has(["error: timed out after 1s: got 0 of 1 messages; 1 put off by a worker for longer than that\n"])
        .run();

    let server = orders(1);
    let mut consumer = work(&server, options, &answering("echo later 1h")).spawn();
    consumer.wait_stderr("waiting for 1 message put off by a worker; the next is tried in ");
    consumer.signal(Signal::TERM);
    assert_eq!(consumer.wait().status, 143);
    // The next gets it as if for the first time.
    let next = Test::new(&server)
        .args(["consume", "orders", "-l", "billing", "-e"])
        .stdout_any()
        .run();
    assert!(!next.stdout().contains("deliveries"), "{}", next.stdout());
}

#[test]
fn a_worker_that_ends_is_started_again() {
    for (end, reason) in [
        ("exit 3", "the worker ended: exit status 3"),
        ("kill -9 $$", "the worker ended: killed by signal 9"),
    ] {
        let server = orders(4);
        let options = "-e --retry-delay 10ms --max-deliveries 2 --dead-letter dead";
        let answer = format!(r#"case $line in *'"id":"2-0"'*) {end} ;; esac; echo ok"#);
        work(&server, options, &answering(&answer))
            .status(1)
            .stderr_has([reason])
            .run();
        assert!((2..=3).contains(&server.lines("started").len()));
        assert_eq!(server.values("dead", &["dead-id", "dead-reason"]), ["2-0", reason]);
        assert!(server.is_settled("orders", GROUP));
    }
}

#[test]
fn of_what_a_worker_has_in_hand_as_it_ends_the_first_has_failed() {
    let server = orders(20);
    let options = "-e --in-flight 8 --retry-delay 10ms --max-deliveries 1 --dead-letter dead";
    let answer = r#"case $line in *'"id":"5-0"'*) exit 3 ;; esac; echo ok"#;
    work(&server, options, &answering(answer)).status(1).stderr_any().run();
    assert_eq!(server.values("dead", &["dead-id"]), ["5-0"]);
    assert_eq!(server.lines("started").len(), 2);
    let mut seen = numbers(&server);
    seen.dedup();
    assert_eq!(seen, up_to(20));
    assert!(
        !server.read("lines").contains("deliveries"),
        "those behind it were not tried"
    );
}

#[test]
fn a_worker_may_end_between_messages() {
    let server = orders(5);
    let script = "read -r line; echo \"$line\" >> lines; echo $$ >> started; echo ok; exec >&-; exit 0";
    let mut consumer = work(&server, "-n 5", script).spawn();
    let output = consumer.wait();
    assert_eq!(output.status, 0, "{}", output.stderr());
    assert!(server.is_settled("orders", GROUP));
}

#[test]
fn a_worker_that_takes_too_long_is_ended_with_its_group() {
    let server = orders(2);
    let options = "-e --handler-timeout 1s --max-deliveries 1 --dead-letter dead";
    let answer = r#"case $line in *'"id":"1-0"'*) sleep 60 & echo $! > child; wait ;; esac; echo ok"#;
    work(&server, options, &answering(answer))
        .status(1)
        .stderr_has(["it ran for more than 1s"])
        .run();
    assert_eq!(server.values("dead", &["dead-id"]), ["1-0"]);
    assert_eq!(numbers(&server), [1, 2]);
    let child = format!("/proc/{}/stat", server.read("child").trim());
    wait_until("its child to be gone", || {
        std::fs::read_to_string(&child).is_ok_and(|stat| stat.contains(") Z "))
            || !std::path::Path::new(&child).exists()
    });
}

#[test]
fn anything_else_on_stdout_is_an_error_that_is_named() {
    for (answer, told) in [
        (
            "echo Hello; echo ok",
            "it answered 'Hello', which is none of ok, fail, later and dead",
        ),
        ("echo later", "it answered 'later', which has no duration such as 10s"),
        (
            "head -c 100000 /dev/zero",
            "it answered more than 64 KiB without a line break",
        ),
    ] {
        let server = orders(1);
        work(&server, "-e --max-deliveries 1 --dead-letter dead", &answering(answer))
            .status(1)
            .stderr_has([told])
            .run();
        assert_eq!(server.values("dead", &["dead-id"]), ["1-0"]);
    }
    // One more answer than there were messages.
    let server = orders(2);
    let answer = r#"echo ok; case $line in *'"id":"1-0"'*) echo ok ;; esac"#;
    let mut consumer = work(&server, "-n 3", &answering(answer)).spawn();
    consumer.wait_stderr("a worker is ended, and started again: it answered 'ok', and nothing was asked");
    server.add_message("orders", "3-0", "n", "3");
    assert_eq!(consumer.wait().status, 0);
    assert!(server.is_settled("orders", GROUP));
}

#[test]
fn a_worker_that_cannot_be_started_ends_it_and_loses_nothing() {
    let server = orders(3);
    let script = server.file("no-interpreter", "#!/absent/sh\n");
    std::fs::set_permissions(script, std::fs::Permissions::from_mode(0o755)).unwrap();
    Test::new(&server)
        .args([
            "consume",
            "orders",
            "-l",
            "billing",
            "-e",
            "--worker",
            "--in-flight",
            "3",
            "--",
            "./no-interpreter",
        ])
        .status(1)
        .stderr_has(["error: cannot run the handler ./no-interpreter"])
        .run();
    work(&server, "-e", &answering("echo ok")).run();
    assert_eq!(numbers(&server), up_to(3));
    assert!(!server.read("lines").contains("deliveries"));
}

#[test]
fn a_signal_lets_workers_finish_and_closes_their_stdin() {
    let server = orders(5);
    let script = "trap 'echo TERM >> ended' TERM; while read -r line; do echo \"$line\" >> lines; until [ -e go ]; do sleep 0.01; done; echo ok; done; echo end >> ended";
    let mut consumer = work(&server, "--jobs 2", script).spawn();
    wait_until("both workers", || server.lines("lines").len() == 2);
    consumer.signal(Signal::INT);
    consumer.wait_stderr("finishing 2 messages; again to end at once");
    server.file("go", "");
    assert_eq!(consumer.wait().status, 130);
    assert_eq!(server.lines("ended"), ["end"; 2]);
    assert_eq!(server.pending("orders", GROUP), [""; 0]);
    assert_eq!(server.groups("orders")[0].1, "2-0");
}

#[test]
fn a_worker_that_stays_when_its_stdin_is_closed_is_ended() {
    let server = orders(1);
    let script = "read -r line; echo ok; exec sleep 60";
    work(&server, "-e", script)
        .stderr("warning: a worker did not end well: it went on although its stdin was closed, and was killed\n")
        .run();
    assert!(server.is_settled("orders", GROUP));
}

#[test]
fn what_a_worker_says_on_stderr_passes() {
    let server = orders(1);
    work(&server, "-e", "read -r line; echo to stderr >&2; echo ok")
        .stderr("to stderr\n")
        .run();
}

#[test]
fn a_killed_consumers_worker_ends_and_another_gets_the_message() {
    let server = orders(1);
    let script = "echo $$ > pid; while read -r line; do echo \"$line\" >> lines; [ -e go ] || sleep 60; echo ok; done";
    let options = "--claim-idle 1ms --max-deliveries 2 --dead-letter dead";
    let mut first = work(&server, options, script).spawn();
    wait_until("the worker", || server.lines("lines").len() == 1);
    first.kill9_alone();
    kill(server.read("pid").trim());
    drop(first);
    server.file("go", "");
    work(&server, &format!("-e {options}"), script).run();
    assert!(server.lines("lines")[1].contains("\"deliveries\":2"));
    assert!(server.is_settled("orders", GROUP));
}

#[test]
fn workers_go_on_when_the_server_comes_back() {
    const COUNT: usize = 2000;
    let server = Server::options().append_only().start();
    fill(&server, COUNT);
    let mut consumer = work(&server, "--jobs 2 --in-flight 4", &answering("echo ok")).spawn();
    for goal in [100, 900] {
        wait_until("some", || server.lines("lines").len() >= goal);
        server.kill9();
        server.restart();
    }
    wait_until("all", || server.is_settled("orders", GROUP));
    consumer.signal(Signal::TERM);
    assert_eq!(consumer.wait().status, 143);
    let mut seen = numbers(&server);
    seen.sort_unstable();
    assert_eq!(seen, up_to(COUNT), "each once");
}

#[test]
fn workers_are_shared_by_the_members_of_a_run() {
    let server = Server::start();
    for stream in ["a", "b", "c"] {
        server.add_numbered(stream, 20);
        server.cli(["XGROUP", "CREATE", stream, &format!("{stream}:l:cg"), "0"]);
    }
    Test::new(&server)
        .args([
            "consume", "a", "b", "c", "-l", "l", "-e", "--jobs", "2", "--worker", "--", "sh", "-c",
        ])
        .arg(answering("echo ok"))
        .run();
    assert_eq!(server.lines("lines").len(), 60);
    assert!(server.lines("started").len() <= 2);
}

#[test]
fn combinations_that_make_no_sense_are_refused() {
    let server = orders(0);
    for args in ["--worker --batch 3 -- cat", "--in-flight 3 -- cat", "--worker"] {
        Test::new(&server)
            .args(["consume", "orders", "-l", "billing"])
            .args(args.split_whitespace())
            .status(2)
            .stderr_any()
            .run();
    }
}

/// The example in a language, as `docs/workers.md` has it.
fn example(language: &str) -> String {
    let page = std::fs::read_to_string(in_package("docs/workers.md")).unwrap();
    let (_, rest) = page.split_once(&format!("```{language}\n")).unwrap();
    rest.split_once("\n```").unwrap().0.to_owned() + "\n"
}

#[test]
fn workers_in_several_languages() {
    for (language, program) in [("python", "python3"), ("js", "node"), ("bash", "jq")] {
        if !is_installed_or_left_out(program) {
            continue;
        }
        let server = orders(0);
        for (id, body) in [
            ("1-0", r#"{"customer":"Zoë"}"#),
            ("2-0", "{}"),
            ("3-0", r#"{"customer":7}"#),
        ] {
            server.add_message("orders", id, "n", body);
        }
        let path = server.file("charge", example(language));
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).unwrap();
        Test::new(&server)
            .args(["consume", "orders", "-l", "billing", "-e", "--worker"])
            .args(["--max-deliveries", "3", "--dead-letter", "dead", "--", "./charge"])
            .status(1)
            .stderr_has(["charged Zoë", "charged 7", "error: 1 message failed"])
            .run();
        let dead = server.values("dead", &["dead-id", "dead-reason"]);
        assert_eq!(dead, ["2-0", "without 'customer'"], "{language}");
        assert!(server.is_settled("orders", GROUP));
    }
}
