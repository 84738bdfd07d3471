//! Completions: what is offered, and what comes of it in the shells themselves.

pub mod shells;

use crate::harness::{Cluster, Server, Test};
use crate::manual::assert_up_to_date;

#[test]
fn scripts_are_up_to_date() {
    assert_up_to_date("completions", "completions");
}

/// What is answered where the last of these words is being typed, without a limit of time that a busy machine could
/// exceed.
fn asked(server: &Server, words: &str) -> Test {
    Test::new(server)
        .env("REDIS_STREAMER_COMPLETE_FOR", "20s")
        .args(["complete", "elvish", "--", "redis-streamer"])
        .args(words.split(' '))
}

/// The words that are offered.
#[track_caller]
fn offered(server: &Server, words: &str) -> Vec<String> {
    let answer = asked(server, words).stdout_has(["words\n"]).run().stdout();
    answer.lines().skip(1).map(str::to_owned).collect()
}

/// A server with streams, groups, consumers and pending entries.
pub fn filled() -> Server {
    let server = Server::start();
    for stream in ["orders", "orders:eu", "payments", "od[d*s", "my stream"] {
        server.add_numbered(stream, 3);
    }
    server.cli(["SET", "ordinary", "1"]);
    server.cli(["XGROUP", "CREATE", "orders", "orders:billing:cg", "0"]);
    server.cli(["XGROUP", "CREATE", "orders", "audit", "0"]);
    server.cli([
        "XREADGROUP",
        "GROUP",
        "audit",
        "worker-1",
        "COUNT",
        "2",
        "STREAMS",
        "orders",
        ">",
    ]);
    server.cli([
        "XREADGROUP",
        "GROUP",
        "orders:billing:cg",
        "till",
        "STREAMS",
        "orders",
        ">",
    ]);
    server.cli(["XGROUP", "CREATECONSUMER", "orders", "audit", "worker-2"]);
    server
}

#[test]
fn streams_are_offered() {
    let server = filled();
    let all = ["my stream", "od[d*s", "orders", "orders:eu", "payments"];
    assert_eq!(offered(&server, "consume "), all);
    assert_eq!(offered(&server, "send ord"), ["orders", "orders:eu"]);
    assert_eq!(offered(&server, "send od["), ["od[d*s"]);
    assert_eq!(offered(&server, "pending *"), [""; 0]);
    assert_eq!(offered(&server, "consume orders o"), ["od[d*s", "orders:eu"]);
    assert_eq!(
        offered(&server, "consume orders -l x --dead-letter=ord"),
        ["--dead-letter=orders", "--dead-letter=orders:eu"]
    );
    assert_eq!(offered(&server, "consume orders:{0..1"), [""; 0]);
    assert_eq!(offered(&server, "pending orders o"), ["od[d*s", "orders:eu"]);
    // One stream and a body were all it takes: options are left.
    assert!(offered(&server, "send orders 1 ").contains(&"--name".to_owned()));
}

#[test]
fn groups_are_offered_and_what_is_in_them() {
    let server = filled();
    assert_eq!(offered(&server, "consume orders -g "), ["audit", "orders:billing:cg"]);
    assert_eq!(offered(&server, "consume orders -gau"), ["-gaudit"]);
    assert_eq!(offered(&server, "pending orders --listener b"), ["billing"]);
    assert_eq!(
        offered(&server, "pending orders -g audit --consumer "),
        ["worker-1", "worker-2"]
    );
    assert_eq!(offered(&server, "consume orders -l billing -c "), ["till"]);
    let ids = server.ids("orders");
    assert_eq!(offered(&server, "ack orders -g audit "), ids[..2]);
    assert_eq!(offered(&server, &format!("ack orders -g audit {} ", ids[0])), ids[1..2]);
    assert_eq!(offered(&server, "ack orders "), ids);
    // Of a pattern, the first stream speaks for all.
    server.cli(["XGROUP", "CREATE", "parts:0", "parts:0:shipping:cg", "0", "MKSTREAM"]);
    assert_eq!(offered(&server, "consume parts:{0..3} -l "), ["shipping"]);
    for nothing in [
        "consume -g ",
        "consume missing -g ",
        "pending orders --consumer ",
        "ack missing -g g 1",
    ] {
        assert_eq!(offered(&server, nothing), [""; 0], "{nothing}");
    }
}

#[test]
fn what_is_known_without_a_server_is_offered() {
    let server = Server::start();
    assert_eq!(offered(&server, "sen"), ["send", "send-batch"]);
    assert_eq!(offered(&server, "help cons"), ["consume"]);
    assert_eq!(offered(&server, "man pen"), ["pending"]);
    assert_eq!(offered(&server, "compl"), ["completions"]);
    assert_eq!(offered(&server, "completions z"), ["zsh"]);
    assert_eq!(offered(&server, "--color "), ["auto", "always", "never"]);
    assert_eq!(offered(&server, "consume s --ack=m"), ["--ack=manual"]);
    assert_eq!(offered(&server, "consume s --from b"), ["beginning"]);
    assert_eq!(offered(&server, "consume s --max"), ["--max", "--max-deliveries"]);
    assert_eq!(
        offered(&server, "subscribe s -l x --reset --from "),
        ["beginning", "latest", "now"]
    );
    // What cannot be given again, or beside what is given.
    assert_eq!(offered(&server, "consume s -l x --lis"), [""; 0]);
    assert_eq!(offered(&server, "consume s -l x --gr"), [""; 0]);
    assert_eq!(offered(&server, "consume s --last 3 --fro"), [""; 0]);
    assert_eq!(offered(&server, "send s 1 -f a=b --fie"), ["--field"]);
    // What only the user knows.
    for free in [
        "send s --name ",
        "consume s --timeout ",
        "consume s -n ",
        "send s --id ",
        "-u ",
    ] {
        assert_eq!(offered(&server, free), [""; 0], "{free}");
    }
    for (words, answer) in [
        ("send-batch s ", "files \n"),
        ("send-batch s --receipts=r", "files --receipts=\n"),
        ("--cacert ", "files \n"),
        ("send s @", "files @\n"),
        ("man --dir ", "directories \n"),
        ("consume s -l x -- ", "command 1\n"),
        ("consume s -l x -- jq -r", "command 2\n"),
    ] {
        asked(&server, words).stdout(answer).run();
    }
}

/// Whatever is wrong, nothing is offered, nothing is said, and the status is that of a good end.
#[test]
fn trouble_is_silence() {
    let server = Server::options().password("s3cret").start();
    let silent = |test: Test| test.stdout("words\n").run();
    let ask = || asked(&server, "consume ");
    silent(ask());
    silent(ask().env("REDISCLI_AUTH", "wrong"));
    silent(ask().env("REDIS_STREAMER_URL", "redis+unix:///nowhere/socket"));
    silent(ask().env("REDIS_STREAMER_URL", "no URL"));
    silent(ask().env("REDIS_STREAMER_COMPLETE_FOR", "soon"));
    for words in [
        "--password-file missing consume ",
        "--askpass consume ",
        "--cert x consume ",
        "-u rediss://localhost:1 --cacert missing consume ",
        "consume --unknown --wait x ",
        "consume s --unknown -g ",
    ] {
        silent(asked(&server, words));
    }
    // A server that hangs is waited for only so long.
    server.pause();
    silent(ask().env("REDIS_STREAMER_COMPLETE_FOR", "100ms"));
    server.resume();
    let stranger = Server::start();
    stranger.cli(["SET", "orders", "no stream"]);
    silent(asked(&stranger, "consume orders -g "));
}

/// The settings of the line being typed are those by which the server is asked.
#[test]
fn the_line_says_which_server_is_asked() {
    let (server, other) = (filled(), Server::options().password("s3cret").start());
    other.cli(["XADD", "elsewhere", "1-0", "k", "v"]);
    let url = other.url();
    server.file("secret", "s3cret\n");
    let ask = |words: &str| {
        let answer = asked(&server, words).env("OTHER", &url).stdout_any().run().stdout();
        answer.lines().skip(1).map(str::to_owned).collect::<Vec<_>>()
    };
    let elsewhere = ["elsewhere"];
    assert_eq!(ask(&format!("-u {url} --password-file secret consume ")), elsewhere);
    assert_eq!(ask("consume --url=$OTHER --password-file=secret "), elsewhere);
    assert_eq!(
        ask("consume -u${OTHER} -q --wait 5s --password-file secret "),
        elsewhere
    );
    let scans = server.calls("scan");
    // Only the shell knows what this is: names of another server would mislead.
    assert_eq!(ask("-u $UNKNOWN consume "), [""; 0]);
    assert_eq!(ask("-u `url` consume "), [""; 0]);
    let none = asked(&server, "consume ").env("REDIS_STREAMER_COMPLETE_FOR", "0");
    none.stdout("words\n").run();
    assert_eq!(server.calls("scan"), scans);
}

#[test]
fn a_server_is_looked_at_only_in_passing() {
    let server = Server::start();
    let populate = "for i = 1, ARGV[1] do redis.call('SET', 'key' .. i, 1) end";
    server.cli(["EVAL", populate, "0", "20000"]);
    for number in 0..300 {
        server.cli(["XADD", &format!("stream{number}"), "1-0", "k", "v"]);
    }
    assert_eq!(offered(&server, "consume ").len(), 300);
    assert!(server.calls("scan") <= 6, "{}", server.calls("scan"));
    server.cli(["EVAL", populate, "0", "300000"]);
    let scans = server.calls("scan");
    assert!(offered(&server, "consume ").len() < 300);
    assert_eq!(server.calls("scan") - scans, 20);
}

#[test]
fn names_of_bytes_are_left_out() {
    let server = Server::start();
    server.cli(["XADD", "a\tb\nc", "1-0", "k", "v"]);
    server.cli(["XADD", "a\x1b[31m", "1-0", "k", "v"]);
    server.cli(["XADD", "ä", "1-0", "k", "v"]);
    let command: [&[u8]; 5] = [b"XADD", b"a\xff", b"1-0", b"k", b"v"];
    server.command(command);
    assert_eq!(offered(&server, "consume "), ["ä"]);
}

#[test]
fn a_cluster_is_asked_as_a_whole() {
    let cluster = Cluster::start();
    let streams: Vec<_> = cluster.nodes()[..3]
        .iter()
        .map(|node| cluster.name_at(node, "s"))
        .collect();
    for stream in &streams {
        cluster.node_of(stream).cli([
            "XGROUP",
            "CREATE",
            stream,
            &format!("{stream}:billing:cg"),
            "0",
            "MKSTREAM",
        ]);
    }
    let mut sorted = streams.clone();
    sorted.sort();
    assert_eq!(offered(&cluster.nodes()[0], "consume s"), sorted);
    for stream in &streams {
        assert_eq!(
            offered(&cluster.nodes()[0], &format!("consume {stream} -l ")),
            ["billing"]
        );
    }
    // What the others know is offered all the same.
    cluster.node_of(&streams[1]).kill9();
    sorted.retain(|stream| *stream != streams[1]);
    assert_eq!(offered(&cluster.nodes()[0], "consume s"), sorted);
}
