//! `consume --batch`: what a handler gets at a time, and what its failure means for each of its messages.

use crate::harness::{Cluster, Sentinels, Server, Signal, Test, wait_until};

const GROUP: &str = "orders:billing:cg";

/// Where the streams live.
enum World {
    One(Server),
    Three(Cluster),
    Sentinels(Sentinels),
}

impl World {
    /// Runs a test on one server, on a cluster of three masters, and behind sentinels.
    fn each(test: impl Fn(&Self)) {
        test(&Self::One(Server::start()));
        test(&Self::Three(Cluster::start()));
        let options = Sentinels::options().replicas(0);
        test(&Self::Sentinels(options.sentinels(3, Server::options()).start()));
    }

    fn node_of(&self, stream: &str) -> &Server {
        match self {
            Self::One(server) => server,
            Self::Three(cluster) => cluster.node_of(stream),
            Self::Sentinels(all) => all.master(),
        }
    }

    /// The server in whose work directory the program runs.
    fn server(&self) -> &Server {
        match self {
            Self::One(server) => server,
            Self::Three(cluster) => &cluster.nodes()[0],
            Self::Sentinels(all) => &all.servers()[0],
        }
    }

    fn handle(&self, args: &str, script: &str) -> Test {
        let test = Test::new(self.server()).args(["consume"]).args(args.split_whitespace());
        let test = match self {
            Self::Sentinels(all) => test.env("REDIS_STREAMER_URL", all.url()),
            _ => test,
        };
        test.args(["--", "sh", "-c", script])
    }
}

/// `orders` with the entries 1-0 to N-0, and a group at its beginning.
fn orders(count: usize) -> Server {
    let server = Server::start();
    fill(&server, "orders", count);
    server
}

fn fill(server: &Server, stream: &str, count: usize) {
    server.add_numbered(stream, count);
    let group = format!("{stream}:billing:cg");
    server.cli(["XGROUP", "CREATE", stream, &group, "0", "MKSTREAM"]);
}

fn handle(server: &Server, options: &str, script: &str) -> Test {
    Test::new(server)
        .args(["consume", "orders", "-l", "billing"])
        .args(options.split_whitespace())
        .args(["--", "sh", "-c", script])
}

/// Notes how many messages a handler got, and each of their lines: all or none.
const NOTE: &str = "echo $REDIS_STREAMER_COUNT >> runs; cat > batch.$$; ";

/// Looks at the whole batch first, as a transaction would: one with a bad message leaves nothing behind.
fn note_unless(bad: &str) -> String {
    format!("{NOTE} if grep -qE '{bad}' batch.$$; then exit 7; fi; cat batch.$$ >> handled")
}

fn runs(server: &Server) -> Vec<usize> {
    server
        .lines("runs")
        .iter()
        .map(|count| count.parse().unwrap())
        .collect()
}

/// The numbers of the messages whose lines were noted, in order.
fn numbers(server: &Server) -> Vec<usize> {
    let number = |line: &String| {
        let (_, rest) = line.split_once("\"body\":").unwrap();
        rest.trim_end_matches('}').split(',').next().unwrap().parse().unwrap()
    };
    let mut numbers: Vec<_> = server.lines("handled").iter().map(number).collect();
    numbers.sort_unstable();
    numbers
}

fn all_but(count: usize, bad: &[usize]) -> Vec<usize> {
    (1..=count).filter(|number| !bad.contains(number)).collect()
}

#[test]
fn a_handler_gets_up_to_so_many_lines() {
    let server = orders(10);
    let script = "echo $REDIS_STREAMER_COUNT $(wc -l)";
    handle(&server, "-e --batch 4", script).stdout("4 4\n4 4\n2 2\n").run();
    assert!(server.is_settled("orders", GROUP));
}

#[test]
fn variables_tell_of_one_message_or_of_what_several_share() {
    let variables = "echo $REDIS_STREAMER_COUNT ${REDIS_STREAMER_STREAM-none} ${REDIS_STREAMER_ID-none} \
         ${REDIS_STREAMER_NAME-none} ${REDIS_STREAMER_DELIVERIES-none}";
    let server = orders(4);
    fill(&server, "returns", 1);
    let run = |args: &str| {
        let test = Test::new(&server).env("REDIS_STREAMER_ID", "outer").arg("consume");
        let test = test.args(args.split_whitespace()).args(["--", "sh", "-c", variables]);
        test.stdout_any().run().stdout()
    };
    assert_eq!(
        run("orders -l billing -e --batch 3"),
        "3 orders none none none\n1 orders 4-0 n 1\n"
    );
    for stream in ["orders", "returns"] {
        server.cli(["XGROUP", "CREATE", stream, "both", "0"]);
    }
    assert_eq!(run("orders returns -g both -e --batch 9"), "5 none none none none\n");
    server.cli(["XGROUP", "CREATE", "returns", "one", "0"]);
    assert_eq!(run("returns -g one -e"), "1 returns 1-0 n 1\n");
}

/// Ten thousand messages, seven of which make every handler fail that gets them.
#[test]
fn bad_messages_take_no_others_with_them() {
    const COUNT: usize = 10_000;
    const BAD: [usize; 7] = [1, 499, 500, 501, 4711, 4712, 10_000];
    let script = note_unless(r#""body":(1|499|500|501|4711|4712|10000)[,}]"#);
    World::each(|world| {
        fill(world.node_of("orders"), "orders", COUNT);
        let options = "orders -l billing -e --batch 500 --retry-delay 10ms --max-deliveries 2 --dead-letter dead";
        let run = world.handle(options, &script).status(1).stderr_any().run();
        let error = "error: 7 messages failed; moved to dead";
        assert!(run.stderr().contains(error), "{}", run.stderr());
        assert_eq!(numbers(world.server()), all_but(COUNT, &BAD));
        let dead = world.node_of("dead");
        assert_eq!(dead.values("dead", &["body"]).len(), BAD.len());
        let mut ids = dead.values("dead", &["dead-id"]);
        ids.sort_by_key(|id| id.len());
        let expected = BAD.map(|number| format!("{number}-0"));
        assert!(expected.iter().all(|id| ids.contains(id)), "{ids:?}");
        // They failed alone as often as was asked for; that they failed with others does not count.
        assert_eq!(dead.values("dead", &["dead-deliveries"]), ["2"; 7]);
        assert_eq!(dead.values("dead", &["dead-reason"]), ["exit status 7"; 7]);
        let runs = runs(world.server());
        assert!(runs.len() < 300, "{} handlers", runs.len());
        assert!(world.node_of("orders").is_settled("orders", GROUP));
    });
}

#[test]
fn a_batch_has_messages_of_several_streams() {
    World::each(|world| {
        for stream in ["{o}orders", "{o}returns"] {
            fill(world.node_of("{o}orders"), stream, 10);
            world
                .node_of("{o}orders")
                .cli(["XGROUP", "CREATE", stream, "both", "0"]);
        }
        let options = "--batch 20 --max-deliveries 1 --dead-letter dead";
        let script = note_unless(r#""stream":"\{o\}returns","id":"3-0""#);
        let args = format!("{{o}}orders {{o}}returns -g both -e {options}");
        world.handle(&args, &script).status(1).stderr_any().run();
        assert_eq!(runs(world.server())[0], 20);
        assert_eq!(numbers(world.server()).len(), 19);
        let dead = world.node_of("dead");
        assert_eq!(dead.values("dead", &["dead-stream", "dead-id"]), ["{o}returns", "3-0"]);
    });
}

#[test]
fn with_an_end_and_no_dead_letters_a_message_gets_one_try_alone() {
    let server = orders(20);
    let script = note_unless(r#""body":(7|20)[,}]"#);
    let run = handle(&server, "-v -e --batch 20", &script)
        .status(1)
        .stderr_any()
        .run();
    assert!(
        run.stderr()
            .contains("orders 1-0 and 19 others: the handler failed: exit status 7; each half is tried by itself"),
        "{}",
        run.stderr()
    );
    assert!(
        run.stderr()
            .contains("orders 7-0: the handler failed: exit status 7; handed back")
    );
    assert!(run.stderr().contains("error: 2 messages failed"), "{}", run.stderr());
    assert_eq!(numbers(&server), all_but(20, &[7, 20]));
    assert_eq!(server.pending("orders", GROUP), ["7-0", "20-0"]);
    // The next run gets them at once, and with one try counted.
    let next = handle(&server, "-e --batch 20", "cat").stdout_any().run();
    assert_eq!(next.stdout().matches("\"deliveries\":2").count(), 2);
    assert!(server.is_settled("orders", GROUP));
}

#[test]
fn what_counts_as_read_is_not_tried_again() {
    let server = orders(10);
    handle(&server, "-e --ack read --batch 5", &note_unless(r#""body":3[,}]"#))
        .status(1)
        .stderr_has([
            "orders 1-0 and 4 others: the handler failed",
            "error: 5 messages failed",
        ])
        .run();
    assert_eq!(runs(&server), [5, 5]);
    assert_eq!(numbers(&server), [6, 7, 8, 9, 10]);
}

#[test]
fn what_is_there_goes_at_once_unless_it_is_to_be_held() {
    let server = orders(2);
    let mut consumer = handle(&server, "--batch 100 -n 5", &note_unless("none")).spawn();
    wait_until("what was there", || numbers(&server).len() == 2);
    server.wait_blocked();
    server.add_message("orders", "3-0", "n", "3");
    wait_until("what came", || numbers(&server).len() == 3);
    consumer.signal(Signal::TERM);
    assert_eq!(consumer.wait().status, 143);
    assert_eq!(runs(&server), [2, 1]);
}

#[test]
fn a_batch_is_held_until_it_is_full() {
    let server = orders(2);
    let mut consumer = handle(&server, "--batch 3 --batch-wait 1h", &note_unless("none")).spawn();
    wait_until("both to be given out", || server.pending("orders", GROUP).len() == 2);
    server.wait_blocked();
    server.add_message("orders", "3-0", "n", "3");
    wait_until("all three", || numbers(&server).len() == 3);
    server.add_message("orders", "4-0", "n", "4");
    wait_until("it to be given out", || server.pending("orders", GROUP) == ["4-0"]);
    consumer.signal(Signal::TERM);
    assert_eq!(consumer.wait().status, 143);
    assert_eq!(runs(&server), [3]);
    // What was held is handed back, and was never tried.
    handle(&server, "-e", "echo $REDIS_STREAMER_ID $REDIS_STREAMER_DELIVERIES")
        .stdout("4-0 1\n")
        .run();
}

#[test]
fn a_batch_is_held_for_so_long_and_not_past_the_last_message() {
    let server = orders(1);
    let mut consumer = handle(&server, "--batch 100 --batch-wait 200ms -n 3", &note_unless("none")).spawn();
    wait_until("the first", || numbers(&server).len() == 1);
    assert!(!consumer.has_ended());
    server.command([
        "EVAL",
        "for i = 2, 3 do redis.call('XADD', KEYS[1], i .. '-0', 'name', 'n', 'body', tostring(i)) end",
        "1",
        "orders",
    ]);
    assert_eq!(consumer.wait().status, 0);
    assert_eq!(runs(&server), [1, 2]);
    let server = orders(5);
    for end in ["-e", "-n 5"] {
        let options = format!("{end} --batch 100 --batch-wait 1h");
        handle(&server, &options, "echo $REDIS_STREAMER_COUNT")
            .stdout("5\n")
            .run();
        server.cli(["XGROUP", "SETID", "orders", GROUP, "0"]);
    }
}

#[test]
fn a_batch_ends_at_so_many_bytes() {
    let server = orders(0);
    let body = format!("\"{}\"", "x".repeat(3 << 20));
    for id in ["1-0", "2-0", "3-0"] {
        server.add_message("orders", id, "n", &body);
    }
    handle(&server, "-e --batch 10", "echo $REDIS_STREAMER_COUNT $(wc -l)")
        .stdout("2 2\n1 1\n")
        .run();
    assert!(server.is_settled("orders", GROUP));
}

#[test]
fn a_handler_of_a_batch_may_leave_it_unread() {
    let server = orders(5000);
    for (status, script) in [
        (1, "head -c 1 > /dev/null; exit 1"),
        (0, "head -c 1 > /dev/null"),
        (0, "exec <&-"),
    ] {
        let options = "-e --batch 5000 --ack read";
        handle(&server, options, script)
            .status(status)
            .stdout_any()
            .stderr_any()
            .run();
        server.cli(["XGROUP", "SETID", "orders", GROUP, "0"]);
    }
}

#[test]
fn a_batch_that_overruns_its_time_is_halved_too() {
    let server = orders(4);
    let script =
        format!("{NOTE} if grep -q '\"body\":3[,}}]' batch.$$; then exec sleep 60; fi; cat batch.$$ >> handled");
    let options = "-e --batch 4 --handler-timeout 1s --max-deliveries 1 --dead-letter dead";
    handle(&server, options, &script)
        .status(1)
        .stderr_has(["it ran for more than 1s"])
        .run();
    assert_eq!(numbers(&server), [1, 2, 4]);
    assert_eq!(server.values("dead", &["dead-id"]), ["3-0"]);
}

#[test]
fn a_failed_batch_is_not_taken_for_processed_by_the_ledger() {
    let server = orders(10);
    let options = "-e --dedup --batch 10 --max-deliveries 1 --dead-letter dead";
    handle(&server, options, &note_unless(r#""body":5[,}]"#))
        .status(1)
        .stderr_any()
        .run();
    assert_eq!(numbers(&server), all_but(10, &[5]));
    assert_eq!(server.values("dead", &["dead-id"]), ["5-0"]);
}

#[test]
fn several_batches_are_handled_at_a_time() {
    let server = orders(400);
    // Each waits for the other.
    let script = "touch at.$$; until [ $(ls at.* | wc -l) -ge 2 ]; do sleep 0.01; done; cat >> handled";
    handle(&server, "-e --batch 200 --jobs 2", script).run();
    assert_eq!(numbers(&server), all_but(400, &[]));
}

/// What was trimmed while its batch failed is not said to be handed back.
#[test]
fn what_is_gone_as_its_batch_fails_is_not_handed_back() {
    let server = orders(3);
    if !server.tells_of_deleted_or_left_out() {
        return;
    }
    let script = "redis-cli -s \"$SOCKET\" XTRIM orders MINID 3-0; exit 7";
    let run = Test::new(&server).args(["consume", "orders", "-l", "billing", "-e", "--batch", "3"]);
    let run = run.args(["--", "sh", "-c", script]).env("SOCKET", server.socket());
    let output = run.spawn().wait();
    assert_eq!(output.status, 1, "{}", output.stderr());
    let stderr = output.stderr();
    for id in ["1-0", "2-0"] {
        let told =
            format!("orders {id}: the handler failed: exit status 7; it is gone meanwhile, or another consumer's");
        assert!(stderr.contains(&told), "{stderr}");
        assert!(
            stderr.contains(&format!("deleted or trimmed before being acknowledged: {id}\n")),
            "{stderr}"
        );
    }
    assert!(
        stderr.contains("orders 3-0: the handler failed: exit status 7; handed back"),
        "{stderr}"
    );
    assert_eq!(server.pending("orders", GROUP), ["3-0"]);
}
