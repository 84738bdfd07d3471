//! Reading without a group.

use super::{lines, plain};
use crate::harness::{Server, Signal, Test};

#[test]
fn follows_from_the_end() {
    let server = Server::start();
    server.add_numbered("s", 3);
    let mut consume = plain(&server).spawn();
    server.wait_blocked();
    server.add_message("s", "4-0", "n", "4");
    assert_eq!(consume.line() + "\n", lines([4]));
    server.add_message("s", "5-0", "n", "5");
    assert_eq!(consume.line() + "\n", lines([5]));
    consume.signal(Signal::TERM);
    assert_eq!(consume.wait().status, 128 + 15);
}

#[test]
fn follows_a_stream_that_is_yet_to_come() {
    let server = Server::start();
    let consume = plain(&server).args(["-n", "1"]).spawn();
    server.wait_blocked();
    server.add_numbered("s", 1);
    let output = { consume }.wait();
    assert_eq!((output.status, output.stdout()), (0, lines([1])));
}

#[test]
fn from_the_beginning_to_the_end() {
    let server = Server::start();
    server.add_numbered("s", 5);
    plain(&server)
        .args(["--from", "beginning", "--exit-on-empty"])
        .stdout(lines(1..=5))
        .run();
    plain(&server).arg("-e").run();
}

#[test]
fn from_and_to_a_point() {
    let server = Server::start();
    server.add_numbered("s", 5);
    for (from, to, expected) in [
        ("2-5", "4-5", 3..=4),
        ("2-0", "4-0", 2..=4),
        ("beginning", "3-0", 1..=3),
        ("4-0", "latest", 4..=5),
    ] {
        plain(&server)
            .args(["--from", from, "--to", to])
            .stdout(lines(expected))
            .run();
    }
    plain(&server).args(["--from", "4-0", "-e"]).stdout(lines([4, 5])).run();
    plain(&server).args(["--to", "2-0"]).stdout(lines([1, 2])).run();
}

#[test]
fn from_a_time_ago() {
    let server = Server::start();
    server.add_numbered("s", 2);
    server.add_message("s", "*", "now", "1");
    let output = plain(&server).args(["--from", "-15m", "-e"]).stdout_any().run();
    let got = output.stdout();
    assert_eq!(got.lines().count(), 1);
    assert!(got.contains(r#""name":"now""#));
}

#[test]
fn last_n_start_before_the_end() {
    let server = Server::start();
    server.add_numbered("s", 5);
    for (last, expected) in [("2", 4..=5), ("9", 1..=5)] {
        plain(&server)
            .args(["--last", last, "-e"])
            .stdout(lines(expected))
            .run();
    }
    let mut consume = plain(&server).args(["--last", "1", "-n", "2"]).spawn();
    assert_eq!(consume.line() + "\n", lines([5]));
    server.add_message("s", "6-0", "n", "6");
    assert_eq!(consume.line() + "\n", lines([6]));
    assert_eq!(consume.wait().status, 0);
}

#[test]
fn max_ends_it() {
    let server = Server::start();
    server.add_numbered("s", 5);
    for n in ["-n", "--max"] {
        plain(&server)
            .args(["--from", "beginning", n, "2"])
            .stdout(lines([1, 2]))
            .run();
    }
}

#[test]
fn count_is_only_the_size_of_a_read() {
    let server = Server::start();
    server.add_numbered("s", 50);
    plain(&server)
        .args(["--from", "beginning", "-e", "--count", "3"])
        .stdout(lines(1..=50))
        .run();
}

#[test]
fn many_streams_in_one_read() {
    let server = Server::start();
    server.add_numbered("a", 2);
    server.add_numbered("b", 2);
    let output = Test::new(&server)
        .args(["consume", "a", "b", "--from", "beginning", "-e"])
        .stdout_any()
        .run();
    let got = output.stdout();
    let mut places: Vec<_> = got.lines().map(|line| &line[..24]).collect();
    places.sort_unstable();
    let expected = [("a", 1), ("a", 2), ("b", 1), ("b", 2)]
        .map(|(stream, n)| format!("{{\"stream\":\"{stream}\",\"id\":\"{n}-0\""));
    assert_eq!(places, expected.each_ref().map(|place| &place[..24]));
}

#[test]
fn match_is_a_glob_on_names() {
    let server = Server::start();
    for (id, name) in [("1-0", "user.created"), ("2-0", "order.paid"), ("3-0", "user.gone")] {
        server.add_message("s", id, name, "1");
    }
    server.add("s", "4-0", &[("t", "1")]);
    plain(&server)
        .args(["--from", "beginning", "-e", "--match", "user.*"])
        .stdout(
            "{\"stream\":\"s\",\"id\":\"1-0\",\"name\":\"user.created\",\"body\":1}\n\
             {\"stream\":\"s\",\"id\":\"3-0\",\"name\":\"user.gone\",\"body\":1}\n",
        )
        .run();
}

#[test]
fn rare_matches_are_looked_for_in_large_replies() {
    let server = Server::start();
    server.add_numbered("s", 2000);
    server.add_message("s", "2001-0", "rare", "1");
    plain(&server)
        .args(["--from", "beginning", "-n", "1", "--match", "rare"])
        .stdout("{\"stream\":\"s\",\"id\":\"2001-0\",\"name\":\"rare\",\"body\":1}\n")
        .run();
    assert!(server.calls("xread") < 20, "{} reads", server.calls("xread"));
}
