//! `trim`: what goes, what stays, and that nothing goes that somebody has yet to do.

use crate::harness::{Cluster, Server, Test};
use std::sync::atomic::{AtomicBool, Ordering};

fn trim(server: &Server, args: &str) -> Test {
    Test::new(server).arg("trim").args(args.split_whitespace())
}

/// A stream of so many entries, with groups that were given some of it: each by its name and how many.
fn stream(server: &Server, stream: &str, count: usize, groups: &[(&str, usize)]) {
    server.add_numbered(stream, count);
    for (group, given) in groups {
        server.cli(["XGROUP", "CREATE", stream, group, "0"]);
        let given = given.to_string();
        server.cli([
            "XREADGROUP",
            "GROUP",
            group,
            "c",
            "COUNT",
            &given,
            "STREAMS",
            stream,
            ">",
        ]);
    }
}

fn ack(server: &Server, stream: &str, group: &str, numbers: impl IntoIterator<Item = usize>) {
    for number in numbers {
        server.cli(["XACK", stream, group, &format!("{number}-0")]);
    }
}

fn first(server: &Server, stream: &str) -> Option<String> {
    server.ids(stream).into_iter().next()
}

#[test]
fn what_every_group_has_acknowledged_goes() {
    let server = Server::start();
    stream(&server, "s", 20, &[("a", 10), ("b", 8)]);
    ack(&server, "s", "a", (1..=10).filter(|number| *number != 7));
    ack(&server, "s", "b", 1..=8);
    trim(&server, "s --acked --dry-run")
        .stdout("STREAM  WOULD TRIM  LENGTH\ns                6      20\n")
        .run();
    assert_eq!(server.ids("s").len(), 20);
    // 7 is pending in one of them.
    trim(&server, "s --acked")
        .stdout("STREAM  TRIMMED  LENGTH\ns             6      14\n")
        .run();
    assert_eq!(first(&server, "s").as_deref(), Some("7-0"));
    ack(&server, "s", "a", [7]);
    // The other was given no more than 8.
    trim(&server, "s --acked --json")
        .stdout("[{\"stream\":\"s\",\"dry_run\":false,\"trimmed\":2,\"before\":\"8-1\",\"length\":12}]\n")
        .run();
    trim(&server, "s --acked")
        .stdout("STREAM  TRIMMED  LENGTH\ns             0      12\n")
        .run();
    let rest: Vec<String> = (9..=20).map(|number| format!("{number}-0")).collect();
    assert_eq!(server.ids("s"), rest);
}

#[test]
fn without_a_group_nothing_is_acknowledged() {
    let server = Server::start();
    stream(&server, "a", 10, &[("g", 10)]);
    ack(&server, "a", "g", 1..=10);
    stream(&server, "b", 10, &[]);
    // Nor does anything go from the other.
    trim(&server, "a b --acked")
        .status(1)
        .stderr(
            "error: stream 'b' has no group that could have acknowledged anything\n\
             hint: trim it by --maxlen, --retention or --before\n",
        )
        .run();
    assert_eq!(server.ids("a").len(), 10);
    trim(&server, "a --acked").stdout_any().run();
    assert_eq!(server.ids("a"), [""; 0]);
    // A group that was given nothing keeps all.
    stream(&server, "c", 10, &[]);
    server.cli(["XGROUP", "CREATE", "c", "g", "0"]);
    trim(&server, "c --acked")
        .stdout("STREAM  TRIMMED  LENGTH\nc             0      10\n")
        .run();
}

#[test]
fn the_old_end_goes_by_number_age_and_place() {
    for (args, left) in [
        ("--maxlen 3", (8..=10).collect::<Vec<_>>()),
        ("--maxlen 0", vec![]),
        ("--maxlen 11", (1..=10).collect()),
        ("--before 4-0", (4..=10).collect()),
        ("--before 4", (4..=10).collect()),
        ("--before beginning", (1..=10).collect()),
        ("--before latest", vec![]),
        ("--before -1h", vec![]),
        ("--retention 1h", vec![]),
        ("--retention 90000d", (1..=10).collect()),
    ] {
        let server = Server::start();
        stream(&server, "s", 10, &[]);
        let before = server.entries("s");
        let counted = |dry: &str| {
            let run = trim(&server, &format!("s {args} --json {dry}")).stdout_any().run();
            let rows: serde_json::Value = serde_json::from_str(&run.stdout()).unwrap();
            rows[0]["trimmed"].as_u64().unwrap()
        };
        assert_eq!(counted("--dry-run"), 10 - left.len() as u64, "{args}");
        assert_eq!(server.entries("s"), before, "{args}");
        assert_eq!(counted(""), 10 - left.len() as u64, "{args}");
        let expected: Vec<String> = left.iter().map(|number| format!("{number}-0")).collect();
        assert_eq!(server.ids("s"), expected, "{args}");
    }
}

#[test]
fn a_long_stream_goes_in_steps() {
    let server = Server::start();
    stream(&server, "s", 50_000, &[]);
    trim(&server, "s --before 45001-0")
        .stdout("STREAM  TRIMMED  LENGTH\ns         45000    5000\n")
        .run();
    assert_eq!(first(&server, "s").as_deref(), Some("45001-0"));
    assert!(server.calls("xtrim") >= 5);
    stream(&server, "t", 50_000, &[]);
    trim(&server, "t --maxlen 7")
        .stdout("STREAM  TRIMMED  LENGTH\nt         49993       7\n")
        .run();
    assert_eq!(first(&server, "t").as_deref(), Some("49994-0"));
}

#[test]
fn exactly_one_thing_is_asked_for() {
    let server = Server::start();
    stream(&server, "s", 3, &[]);
    for args in [
        "s",
        "s --acked --maxlen 2",
        "s --retention 1h --before 2-0",
        "--acked",
        "s --maxlen x",
    ] {
        trim(&server, args).status(2).stderr_has(["error: "]).run();
    }
    assert_eq!(server.ids("s").len(), 3);
    trim(&server, "nothing --maxlen 1")
        .status(1)
        .stderr_has(["error: there is no stream 'nothing'"])
        .run();
    server.cli(["SET", "text", "x"]);
    trim(&server, "s text --maxlen 1")
        .status(1)
        .stderr_has(["error: key 'text' is not a stream"])
        .run();
    assert_eq!(server.ids("s").len(), 3);
}

#[test]
fn streams_of_a_pattern_are_at_any_node() {
    let cluster = Cluster::start();
    for number in [0, 1, 2, 4] {
        let name = format!("s:{number}");
        stream(cluster.node_of(&name), &name, 10 * (number + 1), &[("g", 5)]);
        ack(cluster.node_of(&name), &name, "g", 1..=4);
    }
    // One is not there yet.
    Test::new(&cluster.nodes()[1])
        .args(["trim", "s:{0..4}", "--acked"])
        .stdout(
            "STREAM  TRIMMED  LENGTH\n\
             s:0           4       6\n\
             s:1           4      16\n\
             s:2           4      26\n\
             s:4           4      46\n",
        )
        .run();
    Test::new(&cluster.nodes()[1])
        .args(["trim", "t:{0..4}", "--acked"])
        .status(1)
        .stderr_has(["error: there is no stream 't:0'"])
        .run();
}

/// Consumers of two groups and a producer are at work while it is trimmed again and again: each group does every message.
#[test]
fn nothing_goes_that_a_consumer_has_yet_to_do() {
    const COUNT: usize = 20_000;
    let server = Server::start();
    for group in ["a", "b"] {
        server.cli(["XGROUP", "CREATE", "s", group, "0", "MKSTREAM"]);
    }
    let lines: String = (1..=COUNT).map(|number| format!("{number}\n")).collect();
    let consume = |group: &str| {
        let args = ["consume", "s", "-g", group, "-n", &COUNT.to_string(), "--count", "50"].map(str::to_owned);
        Test::new(&server).args(args)
    };
    let mut consumers = ["a", "b"].map(|group| consume(group).spawn());
    let is_over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !is_over.load(Ordering::SeqCst) {
                trim(&server, "s --acked -q").stdout_any().run();
            }
        });
        let send = Test::new(&server).args(["send-batch", "s", "--name", "n", "--rate", "20000"]);
        send.stdin(lines).stderr_any().run();
        let outputs = consumers.each_mut().map(|consumer| consumer.wait());
        is_over.store(true, Ordering::SeqCst);
        for output in outputs {
            assert_eq!(output.status, 0, "{}", output.stderr());
            let bodies = output
                .stdout()
                .lines()
                .map(|line| {
                    let line: serde_json::Value = serde_json::from_str(line).unwrap();
                    line["body"].as_u64().unwrap() as usize
                })
                .collect::<Vec<_>>();
            assert_eq!(bodies, (1..=COUNT).collect::<Vec<_>>());
            assert_eq!(output.stderr(), "");
        }
    });
    trim(&server, "s --acked").stdout_any().run();
    assert_eq!(server.ids("s"), [""; 0]);
}
