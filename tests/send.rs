//! `send`: one message, its body from everywhere it may come from, and what the server holds afterwards.

use crate::harness::{Server, Test, entry};

#[test]
fn adds_a_message_and_prints_its_id() {
    let server = Server::start();
    let output = Test::new(&server)
        .args(["send", "orders", r#"{"user_id":123}"#])
        .args(["--name", "user.created"])
        .stdout_like("[ID]\n")
        .run();
    let fields = [("name", "user.created"), ("body", r#"{"user_id":123}"#)];
    let id = output.stdout();
    assert_eq!(server.entries("orders"), [entry(id.trim_end(), &fields)]);
}

#[test]
fn the_body_stays_as_it_was_written() {
    let server = Server::start();
    let bodies = [
        r#"{ "a" : 1.0,  "a":1e400, "é":"\u00e9\ud83d\ude00" }"#,
        "[\n  1,\r\n\t2\n]",
        "12345678901234567890123.0000",
        r#""{{ not a template }}""#,
        "null",
    ];
    for body in bodies {
        Test::new(&server)
            .args(["send", "s", body, "--name", "n"])
            .stdout_like("[ID]\n")
            .run();
    }
    assert_eq!(server.bodies("s"), bodies);
}

#[test]
fn deeply_nested_json_is_json() {
    let server = Server::start();
    let body = format!("{}{}", "[".repeat(500), "]".repeat(500));
    Test::new(&server)
        .args(["send", "s", &body, "--name", "n"])
        .stdout_like("[ID]\n")
        .run();
    assert_eq!(server.bodies("s"), [body]);
}

#[test]
fn body_from_stdin_loses_one_line_break() {
    let server = Server::start();
    for (arg, stdin) in [
        (Some("-"), "{\"a\":1}\n"),
        (None, "{\"a\":2}\n"),
        (None, "{\"a\":3}"),
        (None, "{\n\"a\":4\n}\n\n"),
        (None, "{\"a\":5}\r\n"),
    ] {
        Test::new(&server)
            .args(["send", "s", "--name", "n"])
            .args(arg)
            .stdin(stdin)
            .stdout_like("[ID]\n")
            .run();
    }
    let expected = ["{\"a\":1}", "{\"a\":2}", "{\"a\":3}", "{\n\"a\":4\n}\n", "{\"a\":5}"];
    assert_eq!(server.bodies("s"), expected);
}

#[test]
fn body_from_a_file() {
    let server = Server::start();
    server.file("body.json", "{\"a\": 1}\n");
    Test::new(&server)
        .args(["send", "s", "@body.json", "--name", "n"])
        .stdout_like("[ID]\n")
        .run();
    assert_eq!(server.bodies("s"), [r#"{"a": 1}"#]);
}

#[test]
fn text_becomes_a_json_string() {
    let server = Server::start();
    let texts = [
        (r#"say "hi" \ {"#, r#""say \"hi\" \\ {""#),
        ("123", r#""123""#),
        ("", r#""""#),
    ];
    for (text, _) in texts {
        Test::new(&server)
            .args(["send", "s", text, "--text", "--name", "n"])
            .stdout_like("[ID]\n")
            .run();
    }
    assert_eq!(server.bodies("s"), texts.map(|(_, body)| body));
}

#[test]
fn text_is_taken_as_it_stands() {
    let server = Server::start();
    server.file("note", "a file\n");
    for text in ["@note", "-", "@", "@nowhere", "-1.5e3", "-x", "--", "- item"] {
        Test::new(&server)
            .args(["send", "s", "--text", "--name", "n"])
            // What could be an option stands behind what ends them.
            .args(["--"].iter().filter(|_| ["-x", "--", "- item"].contains(&text)))
            .arg(text)
            .stdin("not read")
            .stdout_like("[ID]\n")
            .run();
    }
    assert_eq!(
        server.bodies("s"),
        [
            "\"@note\"",
            "\"-\"",
            "\"@\"",
            "\"@nowhere\"",
            "\"-1.5e3\"",
            "\"-x\"",
            "\"--\"",
            "\"- item\""
        ]
    );
}

#[test]
fn a_misspelt_option_is_no_body() {
    let server = Server::start();
    for (args, tip) in [
        ("--text --no-creat", "a similar argument exists: '--no-create'"),
        ("--text -x", "a BODY that begins with - goes behind --"),
        ("--nmae x", "a similar argument exists: '--name'"),
    ] {
        Test::new(&server)
            .args(["send", "s", "--name", "n"])
            .args(args.split(' '))
            .stdin("the body")
            .status(2)
            .stderr_has([tip])
            .run();
    }
    assert_eq!(server.cli(["DBSIZE"]), "0");
}

#[test]
fn text_from_files_and_stdin_keeps_its_inner_line_breaks() {
    let server = Server::start();
    server.file("note", "say \"hi\"\r\n\nbye\n");
    for args in [&["--text-file", "-"][..], &["--text"], &["--text-file", "note"]] {
        Test::new(&server)
            .args(["send", "s", "--name", "n"])
            .args(args)
            .stdin("one\ntwo\n")
            .stdout_like("[ID]\n")
            .run();
    }
    let expected = [r#""one\ntwo""#, r#""one\ntwo""#, r#""say \"hi\"\r\n\nbye""#];
    assert_eq!(server.bodies("s"), expected);
}

#[test]
fn with_a_body_stdin_is_left_to_whoever_comes_next() {
    let server = Server::start();
    server.file("body", "1");
    let uses = [
        "1 --name n",
        "@body --name n",
        "--text @x --name n",
        "--text - --name n",
        "--text-file body --name n",
        "-f k=v",
    ];
    for args in uses {
        let script = format!("redis-streamer send s {args} >ids && cat");
        Test::shell(&server, &script)
            .stdin("one\ntwo\n")
            .stdout("one\ntwo\n")
            .run();
    }
    assert_eq!(server.ids("s").len(), uses.len());
}

#[test]
fn fields_follow_name_and_body_in_the_order_given() {
    let server = Server::start();
    Test::new(&server)
        .args(["send", "s", "1", "--name", "n", "-f", "z=1"])
        .args(["--field", "a=x=y", "-f", "z=", "-f", "é=ü"])
        .stdout_like("[ID]\n")
        .run();
    let expected = [
        ("name", "n"),
        ("body", "1"),
        ("z", "1"),
        ("a", "x=y"),
        ("z", ""),
        ("é", "ü"),
    ];
    assert_eq!(server.fields("s"), [entry("", &expected).fields]);
}

#[test]
fn fields_alone_make_a_plain_entry() {
    let server = Server::start();
    Test::new(&server)
        .args(["send", "s", "-f", "temperature=21.5", "-f", "unit=C"])
        .stdout_like("[ID]\n")
        .run();
    let expected = [("temperature", "21.5"), ("unit", "C")];
    assert_eq!(server.fields("s"), [entry("", &expected).fields]);
}

#[test]
fn id_is_taken_as_given() {
    let server = Server::start();
    let send = |id| Test::new(&server).args(["send", "s", "1", "--name", "n", "--id", id]);
    send("5-1").stdout("5-1\n").run();
    // Not above the last one: the server refuses it.
    send("5-1").status(1).stderr_has(["error: ", "ID", "hint: "]).run();
    send("5-0").status(1).stderr_has(["error: "]).run();
    assert_eq!(server.ids("s"), ["5-1"]);
}

#[test]
fn maxlen_trims_as_it_adds() {
    let server = Server::start();
    server.add_numbered("s", 500);
    Test::new(&server)
        .args(["send", "s", "0", "--name", "n", "--maxlen", "100"])
        .stdout_like("[ID]\n")
        .run();
    let length = server.ids("s").len();
    // Redis trims whole nodes of 100 where it may be approximate.
    assert!((100..=200).contains(&length), "{length} entries");
}

#[test]
fn retention_drops_what_is_older() {
    let server = Server::start();
    server.add_numbered("s", 500); // IDs of January 1970
    Test::new(&server)
        .args(["send", "s", "0", "--name", "n", "--retention", "1h"])
        .stdout_like("[ID]\n")
        .run();
    let length = server.ids("s").len();
    assert!((1..=100).contains(&length), "{length} entries");
    Test::new(&server)
        .args(["send", "s", "0", "--name", "n", "--retention", "1h"])
        .stdout_like("[ID]\n")
        .run();
    assert_eq!(server.ids("s").len(), length + 1, "the young ones stay");
}

#[test]
fn no_create_leaves_a_missing_stream_missing() {
    let server = Server::start();
    let send = || Test::new(&server).args(["send", "s", "1", "--name", "n", "--no-create"]);
    send().status(1).stderr_has(["error: ", "s"]).run();
    assert_eq!(server.cli(["EXISTS", "s"]), "0");
    server.add_message("s", "1-0", "n", "1");
    send().stdout_like("[ID]\n").run();
    assert_eq!(server.ids("s").len(), 2);
}

#[test]
fn quiet_still_prints_the_id() {
    let server = Server::start();
    Test::new(&server)
        .args(["-q", "send", "s", "1", "--name", "n"])
        .stdout_like("[ID]\n")
        .run();
}

#[test]
fn what_is_not_json_is_refused() {
    let server = Server::start();
    for body in ["{\"a\":1", "NaN", "hello", "", "1 2", "'a'", "[1,]"] {
        Test::new(&server)
            .args(["send", "s", body, "--name", "n"])
            .status(1)
            .stderr_has(["error: ", "hint: ", "--text"])
            .run();
    }
    assert_eq!(server.cli(["EXISTS", "s"]), "0");
}

#[test]
fn the_place_in_bad_json_is_named() {
    let server = Server::start();
    server.file("body.json", "{\n  \"a\": 1,\n  oops\n}\n");
    let output = Test::new(&server)
        .args(["send", "s", "@body.json", "--name", "n"])
        .status(1)
        .stderr_has(["body.json", "hint: ", "--text-file body.json"])
        .run()
        .stderr();
    let place = output.contains(":3:3") || output.contains("line 3 column 3");
    assert!(place, "{output}");
}

#[test]
fn usage_errors() {
    let server = Server::start();
    let uses: &[&[&str]] = &[
        &["send"],
        &["send", "s"],
        &["send", "s", "1"],
        &["send", "s", "1", "-f", "a=b"],
        &["send", "s", "1", "--name", "n", "-f", "novalue"],
        &["send", "s", "1", "--name", "n", "-f", "name=m"],
        &["send", "s", "1", "--name", "n", "-f", "k=v", "-f", "body=2"],
        &["send", "s", "1", "--text"],
        &["send", "s", "--text-file", "-"],
        &["send", "s", "1", "--name", "n", "--text-file", "-"],
        &["send", "s", "--text", "--text-file", "-", "--name", "n"],
        &["send", "s", "1", "--name", "n", "--id", "abc"],
        &["send", "s", "1", "--name", "n", "--maxlen", "-1"],
        &["send", "s", "1", "--name", "n", "--retention", "soon"],
        &["send", "s", "1", "--name", "n", "--maxlen", "1", "--retention", "1h"],
    ];
    for args in uses {
        Test::new(&server).args(*args).status(2).stderr_has(["error: "]).run();
    }
    assert_eq!(server.cli(["DBSIZE"]), "0");
}
