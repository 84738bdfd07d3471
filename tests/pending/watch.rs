//! The live view in a pseudo-terminal, and its lines of JSON where there is none.

use super::pending;
use crate::harness::{self, Output, Server, Test, wait_until};
use serde_json::Value;

/// What leaves a screen that was drawn on: the cursor is shown, and the shell's own screen.
const LEFT: &str = "\x1b[?25h\x1b[?7h\x1b[?1049l";
const ENTERED: &str = "\x1b[?1049h";

/// What somebody sees who types, at the smallest terminal.
fn typed(server: &Server, steps: &[(&str, &str)], command: &str) -> Output {
    harness::typed(server, (80, 24), steps, command)
}

const WATCH: &str = "redis-streamer pending --watch --interval 100ms";

/// The terminal is as it was, and the command ended with this status.
#[track_caller]
fn assert_left(output: &Output, status: i32) {
    let shown = output.stdout();
    let (_, after) = shown.rsplit_once(LEFT).unwrap_or_else(|| panic!("{shown:?}"));
    assert!(after.contains(&format!("status {status}")), "{after:?}");
    assert!(is_a_shells(after), "{after:?}");
    assert_eq!(shown.matches(ENTERED).count(), shown.matches(LEFT).count(), "{shown:?}");
}

/// Whether what `stty -a` says are the settings of a shell: lines, shown as they are typed, and signals by keys.
fn is_a_shells(settings: &str) -> bool {
    ["icanon", "echo", "isig"]
        .iter()
        .all(|setting| settings.split_whitespace().any(|word| word == *setting))
}

#[test]
fn groups_are_shown_opened_and_left_by_keys() {
    let server = super::orders();
    server.add_message("orders", "9-0", "order.placed", r#"{"total":12.50}"#);
    server.cli(["XADD", "lonely", "1-0", "k", "v"]);
    let steps = [
        ("enter open", "\\r"),
        ("group g on", "\\033[B"),
        ("> 2-0", "\\r"),
        ("entry 2-0 of", "\\033"),
        ("group g on", "\\033"),
        ("sorted by behind", "s"),
        ("sorted by name", "/lon\\r"),
        ("with \"lon\"", "?"),
        ("entries added a second", " "),
        ("no groups\\|lonely", "q"),
    ];
    let output = typed(&server, &steps, WATCH);
    assert_left(&output, 0);
    let shown = output.stdout();
    assert!(
        shown.contains("alice") && shown.contains("2 streams, 1 group"),
        "{shown:?}"
    );
    assert_eq!(server.pending("orders", "g"), ["1-0", "2-0", "3-0"]);
}

#[test]
fn what_is_new_is_shown() {
    let server = super::orders();
    let add = "redis-streamer -q send orders --text news --name n > /dev/null";
    let command = format!("(sleep 0.5; {add}; {add}) & {WATCH}");
    let output = typed(&server, &[("      4", "q")], &command);
    assert_left(&output, 0);
}

#[test]
fn the_terminal_is_left_as_it_was_however_it_ends() {
    let server = super::orders();
    assert_left(&typed(&server, &[("enter open", "\\003")], WATCH), 130);
    for (signal, status) in [("TERM", 143), ("INT", 130), ("HUP", 129)] {
        let kill = format!("kill -{signal} $(cat pid)");
        let command = format!(
            "(until grep -qs 'enter open' shown; do sleep 0.05; done; {kill}) & sh -c 'echo $$ > pid; exec {WATCH}'"
        );
        assert_left(&typed(&server, &[], &command), status);
    }
    // The server does not let us in: that is said on the shell's own screen.
    server.cli(["ACL", "SETUSER", "eve", "on", "nopass", "~*", "+@all", "-xinfo"]);
    let output = typed(&server, &[], &format!("{WATCH} --user eve orders"));
    assert!(output.stdout().contains("NOPERM"), "{}", output.stdout());
    assert!(output.stdout().contains("status 1"), "{}", output.stdout());
}

#[test]
fn it_ends_with_its_terminal() {
    let server = super::orders();
    // Also where nobody is told by a signal, as under nohup.
    for trap in ["true", "trap '' HUP"] {
        let run =
            format!("{trap}; (trap '' HUP; until [ -s status ]; do sleep 0.05; done) & {WATCH}; echo $? > status");
        std::fs::write(server.work().join("run"), run).unwrap();
        let script = "rm -f shown status; export TERM=xterm-256color LC_ALL=C.UTF-8
             script -qefc 'trap : HUP; sh run' shown < /dev/null > /dev/null 2>&1 & terminal=$!
             until grep -qs 'enter open' shown; do sleep 0.05; done
             kill -KILL $terminal
             until [ -s status ]; do sleep 0.05; done; cat status";
        Test::shell(&server, script).stdout("129\n").stderr_any().run();
    }
}

#[test]
fn a_shell_has_the_terminal_while_it_is_stopped() {
    let server = super::orders();
    let command = format!("set -m; {WATCH}; stty -a | tr '\\n' ' '; echo stopped; fg");
    let steps = [("enter open", "\\032"), ("enter open", "q")];
    let output = typed(&server, &steps, &command);
    let shown = output.stdout();
    let (before, after) = shown.split_once("stopped\r\n").unwrap_or_else(|| panic!("{shown:?}"));
    assert!(before.contains(LEFT), "{before:?}");
    assert!(is_a_shells(before.rsplit(LEFT).next().unwrap()), "{before:?}");
    assert!(after.contains(ENTERED), "{after:?}");
    assert_left(&output, 0);
}

#[test]
fn a_terminal_that_changes_its_size_is_drawn_anew() {
    let server = super::orders();
    let resize = "stty cols 120 rows 30 < /dev/tty";
    let command = format!("(until grep -qs 'enter open' shown; do sleep 0.05; done; {resize}) & {WATCH}");
    let output = typed(&server, &[("HISTORY", "q")], &command);
    assert_left(&output, 0);
}

#[test]
fn lines_of_json_where_there_is_no_terminal() {
    let server = super::orders();
    let mut running = pending(&server, &["orders", "--watch", "--interval", "100ms"])
        .status(0)
        .stdout_any()
        .spawn();
    let line = |running: &mut crate::harness::Running| -> Value { serde_json::from_str(&running.line()).unwrap() };
    let first = line(&mut running);
    let group = &first["streams"][0]["groups"][0];
    assert!(first["time_ms"].as_u64() > Some(1_600_000_000_000), "{first}");
    assert_eq!(
        (&first["streams"][0]["stream"], &group["group"]),
        (&"orders".into(), &"g".into())
    );
    assert_eq!((&group["lag"], &group["pending"]), (&2.into(), &3.into()));
    assert_eq!(group["out_per_second"], Value::Null);
    server.cli(["XADD", "orders", "*", "k", "v"]);
    server.cli(["XACK", "orders", "g", "1-0", "2-0"]);
    wait_until("the rates to be told", || {
        let line = line(&mut running);
        let stream = &line["streams"][0];
        let above_nothing = |rate: &Value| rate.as_f64().is_some_and(|rate| rate > 0.0);
        stream["groups"][0]["lag"] == 3
            && above_nothing(&stream["in_per_second"])
            && above_nothing(&stream["groups"][0]["out_per_second"])
    });
    running.signal(crate::harness::Signal::TERM);
    assert_eq!(running.wait().status, 143);
    // Whoever reads no more ends it, at once and quietly.
    let script = "redis-streamer pending --watch --interval 1h | head -1 | jq -c '.streams|length'";
    Test::shell(&server, script).stdout("1\n").run();
    for args in [&["--json"][..], &["--max-lag", "1"], &["--interval", "1ms"]] {
        pending(&server, &["--watch"]).args(args).status(2).stderr_any().run();
    }
    pending(&server, &["--interval", "1s"])
        .status(2)
        .stderr_has(["--watch"])
        .run();
}

#[test]
fn a_lost_server_is_said_and_looked_for() {
    let server = super::orders();
    let mut running = pending(&server, &["orders", "--watch", "--interval", "100ms"])
        .stdout_any()
        .stderr_any()
        .spawn();
    running.line();
    server.restart();
    running.wait_stderr("trying again");
    running.wait_stderr("serves again");
    server.add_numbered("orders", 1);
    wait_until("the new one to be shown", || {
        let line: Value = serde_json::from_str(&running.line()).unwrap();
        line["streams"][0]["length"] == 1
    });
    running.signal(crate::harness::Signal::TERM);
    running.wait();
    // One that was never there is not waited for.
    let gone = pending(&server, &["--watch", "-u", "redis://127.0.0.1:1"]);
    gone.status(3).stderr_has(["cannot connect"]).run();
}

/// What a look at 100 streams costs, in calls. The page of docs says so.
#[test]
fn asking_costs_little() {
    let server = Server::start();
    for number in 0..100 {
        let stream = format!("s{number}");
        server.add_numbered(&stream, 2);
        server.cli(["XGROUP", "CREATE", &stream, "g", "0"]);
        if number < 50 {
            server.cli(["XREADGROUP", "GROUP", "g", "c", "COUNT", "1", "STREAMS", &stream, ">"]);
        }
    }
    let calls = || ["xlen", "xinfo|groups", "xpending", "xrange", "time", "scan"].map(|name| server.calls(name));
    let before = calls();
    Test::shell(&server, "redis-streamer pending --watch --interval 1h | head -1")
        .stdout_any()
        .run();
    let asked: Vec<_> = std::iter::zip(calls(), before)
        .map(|(after, before)| after - before)
        .collect();
    // What is pending is older than what is not delivered: where there is some, nothing is read, but to count a lag that
    // the server does not know.
    assert_eq!(asked[0], 100);
    let reads = if server.tells_lag() { 50 } else { 150 };
    assert_eq!((asked[2], asked[3], asked[4]), (50, reads, 1), "{asked:?}");
    assert!(asked[5] > 0, "{asked:?}");
    // The names are kept for a while.
    let scans = server.calls("scan");
    let script = "redis-streamer pending --watch --interval 100ms | head -3";
    Test::shell(&server, script).stdout_any().run();
    assert_eq!(server.calls("scan") - scans, asked[5]);
}
