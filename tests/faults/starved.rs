//! A system that has no more files, processes or threads to give: that is not the messages' fault.

use super::{
    GROUP, NOTE, assert_all, assert_once, assert_settled, consume, handle, handled, ids, orders, wait_settled,
};
use crate::harness::{Running, Server, Signal, Test, wait_until};
use rustix::process::{Pid, Resource, Rlimit, geteuid, prlimit};

const COUNT: usize = 60;
const OPTIONS: &str = "--jobs 50 --max-deliveries 1 --dead-letter dead";

#[track_caller]
fn assert_handled_once(server: &Server) {
    assert_eq!(server.ids("dead"), [""; 0], "dead letters");
    assert_once(&handled(server));
    assert_all(&handled(server), COUNT);
    assert_settled(server);
}

#[track_caller]
fn assert_warned_once(stderr: &str) {
    assert_eq!(stderr.matches("warning: ").count(), 1, "{stderr}");
}

#[test]
fn few_files_mean_few_handlers() {
    let server = orders(COUNT);
    // Twenty files are enough for a handler or two.
    let script = format!(
        "ulimit -n 20; exec redis-streamer consume orders -l billing -e {OPTIONS} -- sh -c '{NOTE}; sleep 0.05'"
    );
    let output = Test::shell(&server, &script).stderr_any().run();
    assert_handled_once(&server);
    assert_warned_once(&output.stderr());
}

/// A consumer that waits for its first message.
fn waiting(server: &Server, test: Test) -> Running {
    let consumer = test.spawn();
    server.wait_blocked();
    consumer
}

/// How many entries a directory of a process in /proc has.
fn numbers(consumer: &Running, directory: &str) -> Vec<u64> {
    let entries = std::fs::read_dir(format!("/proc/{}/{directory}", consumer.pid())).unwrap();
    let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names.map(|name| name.parse().unwrap()).collect()
}

/// Leaves a process so many files it may still open.
fn leave_files(consumer: &Running, count: usize) {
    let open = numbers(consumer, "fd");
    let last = (0..).filter(|number| !open.contains(number)).take(count).last();
    let most = last.map(|number| number + 1);
    let limit = Rlimit {
        current: most,
        maximum: most,
    };
    let pid = Pid::from_raw(consumer.pid().try_into().unwrap());
    prlimit(pid, Resource::Nofile, limit).unwrap();
}

/// A consumer that can run no handler hands everything back, and says why.
#[track_caller]
fn assert_gives_up(server: &Server, mut consumer: Running) {
    let output = consumer.wait();
    assert_eq!(output.status, 1, "{}", output.stderr());
    assert!(output.stderr().contains("error: "), "{}", output.stderr());
    assert_eq!(server.ids("dead"), [""; 0], "dead letters");
    assert_eq!(handled(server), [""; 0]);
    // At once, although --claim-idle is five minutes; and no try was counted.
    let rest = consume(server).arg("-e").stdout_any().run();
    assert_once(&ids(&rest));
    assert_all(&ids(&rest), COUNT);
    assert!(!rest.stdout().contains("deliveries"), "{}", rest.stdout());
    assert_settled(server);
}

#[test]
fn without_files_for_a_handler_all_is_handed_back() {
    let server = orders(0);
    let consumer = waiting(&server, handle(&server, OPTIONS, NOTE));
    // One is left for a connection to hand back on, too few for a handler's pipe.
    leave_files(&consumer, 1);
    server.add_numbered("orders", COUNT);
    assert_gives_up(&server, consumer);
}

#[test]
fn what_was_read_at_most_once_and_finds_no_handler_is_told() {
    let server = orders(0);
    let mut consumer = waiting(&server, consume(&server).args(["--ack", "read", "--", "true"]));
    leave_files(&consumer, 1);
    server.add_numbered("orders", 3);
    let output = consumer.wait();
    assert_eq!(output.status, 1, "{}", output.stderr());
    assert!(output.stderr().contains("read and not handled"), "{}", output.stderr());
}

/// A server that a user without any rights reaches, and the program where that user may run it.
fn for_everybody() -> Server {
    use std::os::unix::fs::PermissionsExt;
    let server = Server::options().append_only().tcp4().start();
    server.cli(["XGROUP", "CREATE", "orders", GROUP, "0", "MKSTREAM"]);
    for (path, mode) in [(server.dir().to_owned(), 0o711), (server.work(), 0o777)] {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
    }
    Test::shell(
        &server,
        "cp \"$(command -v redis-streamer)\" program; chmod 755 program",
    )
    .run();
    server
}

/// A user that nobody else is, not even another run of these tests.
fn user(number: u32) -> u32 {
    1_000_000 + 8 * std::process::id() + number
}

/// A consumer of a user of its own, who has no other processes; `None` where the tests may not change the user, since
/// the limit counts everything that its user runs.
fn as_another_user(server: &Server, user: u32) -> Option<Running> {
    if !geteuid().is_root() {
        return None;
    }
    let script = format!(
        "exec setpriv --reuid={user} --regid={user} --clear-groups \
         ./program consume orders -l billing {OPTIONS} -- sh -c '{NOTE}'"
    );
    Some(waiting(server, Test::shell(server, &script)))
}

/// Limits the processes and threads of a consumer's user: only that user itself may do so for sure.
fn limit_processes(server: &Server, consumer: &Running, user: u32, most: usize) {
    let pid = consumer.pid();
    let script =
        format!("setpriv --reuid={user} --regid={user} --clear-groups prlimit --pid {pid} --nproc={most}:{most}");
    Test::shell(server, &script).run();
}

#[test]
fn few_processes_mean_few_handlers() {
    let server = for_everybody();
    let Some(mut consumer) = as_another_user(&server, user(1)) else {
        return;
    };
    let threads = numbers(&consumer, "task").len();
    limit_processes(&server, &consumer, user(1), threads + 3);
    server.add_numbered("orders", COUNT);
    wait_settled(&server);
    consumer.signal(Signal::TERM);
    let output = consumer.wait();
    assert_eq!(output.status, 143, "{}", output.stderr());
    assert_handled_once(&server);
    assert_warned_once(&output.stderr());
}

#[test]
fn without_processes_for_a_handler_all_is_handed_back() {
    let server = for_everybody();
    let Some(consumer) = as_another_user(&server, user(2)) else {
        return;
    };
    limit_processes(&server, &consumer, user(2), 1);
    server.add_numbered("orders", COUNT);
    assert_gives_up(&server, consumer);
}

#[test]
fn children_that_keep_their_stdin_open_cost_neither_threads_nor_files() {
    const MESSAGES: usize = 40;
    let server = orders(0);
    // More than a pipe holds: whoever writes it waits for a reader.
    let body = format!("\"{}\"", "x".repeat(100_000));
    for n in 1..=MESSAGES {
        server.add_message("orders", &format!("{n}-0"), "n", &body);
    }
    let script = format!("exec 3<&0; sleep 60 <&3 >/dev/null 2>&1 & echo $! >> children; {NOTE}");
    let mut consumer = handle(&server, "", &script).spawn();
    wait_until("all to be acknowledged", || {
        handled(&server).len() == MESSAGES && server.pending("orders", GROUP).is_empty()
    });
    server.wait_blocked();
    let (threads, files) = (numbers(&consumer, "task").len(), numbers(&consumer, "fd").len());
    consumer.signal(Signal::TERM);
    let ended = consumer.wait();
    for child in server.read("children").lines() {
        crate::harness::kill(child);
    }
    assert_eq!(ended.status, 143);
    assert!(threads < MESSAGES / 2, "{threads} threads");
    assert!(files < MESSAGES / 2, "{files} files");
}
