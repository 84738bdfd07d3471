//! Signals: the first ends a command in good order, and in the end the process dies of it.

use crate::contract::in_package;
use crate::harness::{Running, Server, Signal, Test, is_installed_or_left_out, wait_until};

const SIGNALS: [Signal; 3] = [Signal::INT, Signal::TERM, Signal::HUP];
const GROUP: &str = "s:billing:cg";

fn grouped(count: usize) -> Server {
    let server = Server::start();
    server.add_numbered("s", count);
    server.cli(["XGROUP", "CREATE", "s", GROUP, "0", "MKSTREAM"]);
    server
}

/// Consumes with handlers that run until the file `go` is there, and waits until so many have begun.
fn at_work(server: &Server, options: &[&str], count: usize) -> Running {
    let script = "echo x >> started; while ! [ -e go ]; do sleep 0.01; done";
    let consumer = Test::new(server)
        .args(["consume", "s", "-l", "billing"])
        .args(options)
        .args(["--", "sh", "-c", script])
        .spawn();
    wait_until("the handlers", || server.lines("started").len() == count);
    consumer
}

#[test]
fn whatever_waits_dies_of_the_signal() {
    for signal in SIGNALS {
        let server = grouped(0);
        for command in ["consume s", "consume s -l billing", "consume s -l billing -- true"] {
            let mut running = Test::new(&server).args(command.split(' ')).spawn();
            server.wait_blocked();
            running.signal(signal);
            let output = running.wait();
            assert_eq!(output.signal, Some(signal.as_raw()), "{command}");
            assert_eq!(output.all(), "", "{command}");
            wait_until("its connections to go", || {
                !server.cli(["CLIENT", "LIST"]).contains("cmd=xread")
            });
        }
        assert_eq!(server.cli(["XINFO", "CONSUMERS", "s", GROUP]), "");
        for command in ["send-batch s --name n", "ack s -l billing -"] {
            let mut running = Test::new(&server).args(command.split(' ')).spawn_open();
            running.feed(if command.starts_with("ack") { "1-0\n" } else { "1\n" });
            running.wait_fed();
            running.wait_asleep();
            running.signal(signal);
            assert_eq!(running.wait().signal, Some(signal.as_raw()), "{command}");
        }
        assert_eq!(server.cli(["XLEN", "s"]), "1");
    }
}

#[test]
fn a_shell_sees_that_a_signal_ended_it() {
    let server = grouped(0);
    let script = "redis-streamer consume s & until [ \"$(redis-cli -s $SOCKET info clients | grep -c blocked_clients:1)\" = 1 ]; do sleep 0.05; done
        kill -HUP $!; wait $!; echo $?";
    if is_installed_or_left_out("redis-cli") {
        Test::shell(&server, script)
            .stdout("129\n")
            .stderr_has(["Hangup"])
            .run();
    }
}

#[test]
fn the_first_signal_says_at_once_what_is_waited_for() {
    for signal in SIGNALS {
        for (options, said) in [
            (&["--jobs", "1"][..], "finishing 1 message; again to end at once\n"),
            (&["--jobs", "2"], "finishing 2 messages; again to end at once\n"),
            (&["-q"], ""),
        ] {
            let server = grouped(3);
            let count = if options.contains(&"2") { 2 } else { 1 };
            let mut consumer = at_work(&server, options, count);
            consumer.signal(signal);
            consumer.wait_stderr(said);
            server.file("go", "");
            let output = consumer.wait();
            assert_eq!((output.signal, output.stderr().as_str()), (Some(signal.as_raw()), said));
            // What had begun is done, the rest is for others.
            let begun = server.lines("started").len();
            assert!((count..=3).contains(&begun), "{begun}");
            assert_eq!(server.pending("s", GROUP), [""; 0]);
            let rest = Test::new(&server).args(["consume", "s", "-l", "billing", "-e", "--template", "{id}"]);
            assert_eq!(rest.stdout_any().run().stdout().lines().count(), 3 - begun);
        }
    }
}

/// Terminals that go, and systemd with `SendSIGHUP=`, send one beside another signal.
#[test]
fn a_hangup_is_no_second_signal() {
    let server = grouped(1);
    let mut consumer = at_work(&server, &[], 1);
    consumer.signal(Signal::HUP);
    consumer.wait_stderr("finishing 1 message");
    consumer.signal(Signal::HUP);
    server.file("go", "");
    assert_eq!(consumer.wait().signal, Some(Signal::HUP.as_raw()));
    assert_eq!(server.pending("s", GROUP), [""; 0]);
}

#[test]
fn a_second_signal_ends_at_once() {
    let server = grouped(1);
    let mut consumer = at_work(&server, &[], 1);
    consumer.signal(Signal::HUP);
    consumer.wait_stderr("finishing 1 message");
    consumer.signal(Signal::INT);
    assert_eq!(consumer.wait().signal, Some(Signal::INT.as_raw()));
    assert_eq!(server.pending("s", GROUP).len(), 1);
}

#[test]
fn nohup_is_heeded() {
    if !is_installed_or_left_out("nohup") {
        return;
    }
    let server = grouped(0);
    let mut consumer = Test::shell(&server, "exec nohup redis-streamer consume s -l billing --block 60s").spawn();
    server.wait_blocked();
    consumer.signal(Signal::HUP);
    server.add_numbered("s", 1);
    assert!(consumer.line().contains("\"1-0\""));
    consumer.signal(Signal::TERM);
    assert_eq!(consumer.wait().signal, Some(Signal::TERM.as_raw()));
}

#[test]
fn the_first_process_of_a_container_exits_with_what_a_shell_would_say() {
    let may = |program: &str| {
        std::process::Command::new(program)
            .args(["--pid", "--fork", "true"])
            .output()
    };
    if !is_installed_or_left_out("unshare") || !may("unshare").is_ok_and(|output| output.status.success()) {
        return;
    }
    for (signals, status) in [(&[Signal::TERM][..], 143), (&[Signal::TERM, Signal::INT], 130)] {
        let server = grouped(1);
        let script = "exec unshare --pid --fork --kill-child redis-streamer consume s -l billing -- \
            sh -c 'echo x >> started; while ! [ -e go ]; do sleep 0.01; done'";
        let mut container = Test::shell(&server, script).spawn();
        wait_until("a handler", || server.lines("started").len() == 1);
        let children = format!("/proc/{0}/task/{0}/children", container.pid());
        let first: i32 = std::fs::read_to_string(children).unwrap().trim().parse().unwrap();
        for signal in signals {
            rustix::process::kill_process(rustix::process::Pid::from_raw(first).unwrap(), *signal).unwrap();
            container.wait_stderr("finishing 1 message");
        }
        if signals.len() == 1 {
            server.file("go", "");
        }
        let output = container.wait();
        assert_eq!((output.status, output.signal), (status, None));
        assert_eq!(server.pending("s", GROUP).len(), signals.len() - 1);
    }
}

/// The unit in the docs, with the programs that are here.
#[test]
fn systemd_takes_the_unit_of_the_docs() {
    if !is_installed_or_left_out("systemd-analyze") {
        return;
    }
    let page = std::fs::read_to_string(in_package("docs/service.md")).unwrap();
    let (_, unit) = page.split_once("```ini\n").unwrap();
    let (unit, _) = unit.split_once("```").unwrap();
    let unit = unit.replace("/usr/bin/redis-streamer", env!("CARGO_BIN_EXE_redis-streamer"));
    let server = Server::start();
    server.file("billing.service", &unit);
    let verify = "systemd-analyze verify --man=no --recursive-errors=no ./billing.service";
    Test::shell(&server, verify).run();
    // What is asked for is understood, and not only passed over.
    server.file("billing.service", unit.replace("KillMode=mixed", "KillMode=mxied"));
    Test::shell(&server, &format!("{verify} || true"))
        .stderr_has(["mxied"])
        .run();
}
