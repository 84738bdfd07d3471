//! How messages are printed: bodies, templates, times, NUL, indentation; in lines and for handlers.

use super::{GROUP, grouped, plain};
use crate::harness::{Server, Signal, Test};

const LINE: &str = r#"{"stream":"s","id":"1700000000000-0","name":"user.created","body":{ "user":{"id":1.50,"name":"Zo\u00eb"}},"fields":{"k":"v"}}"#;

/// `s` with one message that has a bit of everything.
fn one() -> Server {
    let server = Server::start();
    let body = "{\n\"user\":{\"id\":1.50,\"name\":\"Zo\\u00eb\"}}";
    server.add(
        "s",
        "1700000000000-0",
        &[("name", "user.created"), ("body", body), ("k", "v")],
    );
    server
}

fn all(server: &Server) -> Test {
    plain(server).args(["--from", "beginning", "-e"])
}

#[test]
fn a_body_stands_alone_on_its_line() {
    let server = one();
    let body = r#"{ "user":{"id":1.50,"name":"Zo\u00eb"}}"#;
    all(&server).arg("--body").stdout(format!("{body}\n")).run();
    all(&server).args(["--body", "-0"]).stdout(format!("{body}\0")).run();
    server.add("s", "*", &[("name", "n"), ("body", "NaN")]);
    server.add("s", "*", &[("name", "n"), ("body", "3")]);
    // The line is empty, and that is said: a group acknowledges the entry all the same.
    server.cli(["XGROUP", "CREATE", "s", GROUP, "0"]);
    Test::new(&server)
        .args(["-q", "consume", "s", "-l", "billing", "-e", "--body"])
        .stdout(format!("{body}\n\n3\n"))
        .stderr("warning: 1 entry without a body of JSON: an empty line for each; read without --body to see what they hold\n")
        .run();
}

#[test]
fn a_template_says_what_is_printed() {
    let server = one();
    all(&server)
        .args([
            "--template",
            "{id} {time} {name} {body.user.id} {fields.k} {body.none}|",
        ])
        .stdout("1700000000000-0 2023-11-14T22:13:20.000Z user.created 1.50 v |\n")
        .run();
    all(&server)
        .args(["--template", r#"{{"who":"{body.user.name}"}}\t{body.user}"#])
        .stdout("{\"who\":\"Zoë\"}\t{\"id\":1.50,\"name\":\"Zo\\u00eb\"}\n")
        .run();
}

#[test]
fn a_time_goes_with_the_line_and_is_no_hindrance_to_sending_it() {
    let server = one();
    let timed = LINE.replace("-0\",", "-0\",\"time\":\"2023-11-14T22:13:20.000Z\",");
    all(&server).arg("--time").stdout(timed + "\n").run();
    let copy = "redis-streamer consume s --from beginning -e --time | redis-streamer -q send-batch t --keep-ids";
    Test::shell(&server, copy).run();
    assert_eq!(server.ids("t"), server.ids("s"));
    assert_eq!(
        server.fields("t"),
        [[
            ("name", "user.created"),
            ("body", "{ \"user\":{\"id\":1.50,\"name\":\"Zo\\u00eb\"}}"),
            ("k", "v")
        ]
        .map(|(name, value)| (name.into(), value.into()))]
    );
    server.cli(["XGROUP", "CREATE", "s", GROUP, "0"]);
    let ack = "redis-streamer consume s -l billing --ack manual -e --time | redis-streamer -q ack s -l billing -";
    Test::shell(&server, ack).stdout("1\n").run();
    assert_eq!(server.pending("s", GROUP), [""; 0]);
}

#[test]
fn pretty_lines_keep_their_tokens() {
    let server = one();
    all(&server)
        .arg("--pretty")
        .stdout(
            r#"{
  "stream": "s",
  "id": "1700000000000-0",
  "name": "user.created",
  "body": {
    "user": {
      "id": 1.50,
      "name": "Zo\u00eb"
    }
  },
  "fields": {
    "k": "v"
  }
}
"#,
        )
        .run();
    all(&server)
        .args(["--pretty", "--body", "--color", "always"])
        .stdout_has(["\x1b[36m\"id\"\x1b[0m: \x1b[33m1.50\x1b[0m,\n"])
        .run();
    all(&server)
        .args(["--template", "{body.user.id}", "--color", "always"])
        .stdout("1.50\n")
        .run();
}

#[test]
fn records_that_end_with_nul_reach_xargs_whole() {
    let server = Server::start();
    for text in ["two words", "a\\nb", "'\\\"$HOME", "\\u0000"] {
        server.add_message("s", "*", "n", &format!("\"{text}\""));
    }
    let script =
        "redis-streamer consume s --from beginning -e --null --template '<{body}>' | xargs -0 -n 1 printf '%s;'";
    Test::shell(&server, script)
        .stdout("<two words>;<a\nb>;<'\"$HOME>;<\\u0000>;")
        .run();
}

#[test]
fn a_handler_gets_what_would_be_printed() {
    for (option, stdin) in [
        (&["--body"][..], "1\n"),
        (&["--body", "-0"], "1\0"),
        (&["--template", "{id}={body}"], "1-0=1\n"),
        (
            &["--time"],
            "{\"stream\":\"s\",\"id\":\"1-0\",\"time\":\"1970-01-01T00:00:00.001Z\",\"name\":\"n\",\"body\":1}\n",
        ),
    ] {
        let server = grouped(1);
        Test::new(&server)
            .args(["consume", "s", "-l", "billing", "-e"])
            .args(option)
            .args(["--", "cat"])
            .stdout(stdin)
            .run();
        assert_eq!(server.pending("s", GROUP), [""; 0]);
    }
}

#[test]
fn a_template_that_cannot_be_understood_is_refused_with_its_column() {
    for (template, column) in [("{id} {ids}", 7), ("{id", 1), ("a}", 2), ("{body[0]}", 2)] {
        Test::without_server()
            .args(["consume", "s", "--template", template])
            .status(2)
            .stderr_has([&format!("column {column}: ")])
            .run();
    }
}

#[test]
fn a_signal_while_the_pipe_is_full_tears_no_record() {
    for (options, end) in [
        (&["--pretty"][..], "\n}\n"),
        (&["--null"], "}\0"),
        (&["--template", "<\n{body}\n>"], "\n>\n"),
    ] {
        let server = grouped(20_000);
        // In one reply, whose pieces fill the pipe's pages.
        let consume = Test::new(&server).args(["consume", "s", "-l", "billing", "--count", "20000"]);
        let consume = consume.args(options);
        let mut consumer = consume.spawn_unread(60_000);
        consumer.signal(Signal::TERM);
        let output = consumer.wait();
        assert_eq!(output.status, 143, "{}", output.stderr());
        let printed = output.stdout();
        assert!(printed.ends_with(end), "{printed:?}");
        let records = printed.matches(end).count();
        // All that came out whole is acknowledged, and nothing else.
        let left = Test::new(&server)
            .args(["consume", "s", "-l", "billing", "-e", "--template", "{id}"])
            .stdout_any()
            .run();
        assert_eq!(left.stdout().lines().count(), 20_000 - records);
    }
}
