//! `--local` and `local`: a private server that is started when it is needed.

use crate::contract::in_package;
use crate::harness::{Home, Signal, Test, left_out, set_mode, wait_until};
use std::io::Write;
use std::os::unix::fs::PermissionsExt;

const NOT_AT_WORK: &str = "error: the local server is not at work\n\
    hint: any command with --local starts it, and so does: redis-streamer local start\n";

#[test]
fn a_command_starts_it_and_it_stays() {
    let home = Home::new();
    home.local()
        .args(["send", "s", "1", "--name", "n"])
        .stdout_like("[ID]\n")
        .run();
    assert_eq!(home.count("s"), 1);
    // By its other name, and by the environment.
    for url in ["local:", "local://"] {
        let read = ["consume", "s", "--from", "beginning", "-e"];
        home.test().args(["-u", url]).args(read).stdout_has(["\"n\""]).run();
        home.test()
            .env("REDIS_STREAMER_URL", url)
            .args(read)
            .stdout_has(["\"n\""])
            .run();
    }
    assert_eq!(home.starts(), 1);
    // It is of a session of its own, so that no terminal takes it along, and nobody else can reach it.
    let pid = home.pid().unwrap();
    assert_eq!(rustix::process::getsid(Some(pid)).unwrap(), pid);
    for (path, mode) in [
        (home.data(), 0o700),
        (home.path("run/redis-streamer"), 0o700),
        (home.socket(), 0o700),
    ] {
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, mode, "{path:?}");
    }
    let ports = home.test().args(["local", "status"]).stdout_any().run().stdout();
    assert!(!ports.contains("6379"), "{ports}");
}

#[test]
fn data_is_kept_across_restarts() {
    let home = Home::new();
    home.send("s");
    let stop = || home.test().args(["local", "stop"]);
    stop().stderr("the local server is stopped; its data is kept\n").run();
    assert_eq!(home.pid(), None);
    stop().stderr("the local server is not at work\n").run();
    assert_eq!(home.count("s"), 1);
    assert_eq!(home.starts(), 2);
}

#[test]
fn ten_commands_at_once_start_one() {
    let home = Home::new();
    let send = ["send", "s", "1", "--name", "n"];
    let mut running: Vec<_> = (0..10).map(|_| home.local().args(send).spawn()).collect();
    for sending in &mut running {
        let output = sending.wait();
        assert_eq!(output.status, 0, "{}", output.stderr());
    }
    assert_eq!(home.starts(), 1);
    assert_eq!(home.count("s"), 10);
}

#[test]
fn start_prints_where_it_is() {
    let home = Home::new();
    let socket = format!("{}\n", home.socket().display());
    let start = || home.test().args(["local", "start"]).stdout(&socket);
    start().stderr("started the local server\n").run();
    start().stderr("the local server is at work already\n").run();
    home.test()
        .args(["-u", socket.trim_end(), "send", "s", "1", "--name", "n"])
        .stdout_like("[ID]\n")
        .run();
}

#[test]
fn status_tells() {
    let home = Home::new();
    let status = |args: &[&str]| home.test().arg("local").args(args);
    let places = format!(
        "socket  {}\ndata    {}\nlog     {}/server.log\n",
        home.socket().display(),
        home.data().display(),
        home.data().display()
    );
    for args in [&[][..], &["status"]] {
        status(args).status(4).stdout(&places).stderr(NOT_AT_WORK).run();
    }
    let json = |test: Test| -> serde_json::Value {
        let output = test.args(["status", "--json"]).stdout_any().stderr_any().run();
        serde_json::from_slice(&output.stdout).unwrap()
    };
    assert_eq!(json(status(&[]).status(4))["running"], false);
    // Looking is not starting.
    assert_eq!((home.starts(), home.data().exists()), (0, false));

    home.send("a");
    home.send("b");
    status(&[])
        .stdout_has(["server   ", "pid      ", "memory   ", "streams  2\n", "socket   /"])
        .run();
    let told = json(status(&[]));
    assert_eq!(told["running"], true);
    assert_eq!(told["streams"], 2);
    assert_eq!(told["pid"], home.pid().unwrap().as_raw_nonzero().get());
    assert_eq!(told["url"], format!("unix://{}", home.socket().display()));
    assert!(
        ["redis", "valkey"].contains(&told["server"].as_str().unwrap()),
        "{told}"
    );
    assert!(
        told["version"]
            .as_str()
            .unwrap()
            .starts_with(|c: char| c.is_ascii_digit())
    );
    assert!(told["memory"].as_u64().unwrap() > 0);
    status(&["start", "--json"])
        .status(2)
        .stderr_has(["error: ", "hint: "])
        .run();
}

#[test]
fn one_that_was_killed_is_started_again_with_its_data() {
    let home = Home::new();
    home.send("s");
    home.kill9();
    // Its socket is left, and nobody listens at it.
    assert!(home.socket().exists());
    home.test().args(["local", "stop"]).stderr_any().run();
    home.test()
        .arg("local")
        .status(4)
        .stdout_any()
        .stderr(NOT_AT_WORK)
        .run();
    home.send("s");
    assert_eq!((home.count("s"), home.starts()), (2, 2));
}

/// Two sessions of a user may see different runtime directories. Two servers on the same files would ruin them.
#[test]
fn sessions_share_it_whatever_their_runtime_directory() {
    let home = Home::new();
    home.send("s");
    let other = home.path("other");
    std::fs::create_dir(&other).unwrap();
    for runtime in [&other, &home.path("missing"), &home.path("starts")] {
        let send = ["send", "s", "1", "--name", "n"];
        home.local()
            .env("XDG_RUNTIME_DIR", runtime)
            .args(send)
            .stdout_any()
            .run();
    }
    assert_eq!((home.count("s"), home.starts()), (4, 1));
    // Even if the socket is gone, its data is not opened twice.
    std::fs::remove_file(home.socket()).unwrap();
    let mut sending = home.local().args(["send", "s", "1", "--name", "n"]).spawn();
    sending.wait_asleep();
    assert_eq!(home.starts(), 1);
    home.signal(Signal::TERM);
    assert_eq!(sending.wait().status, 0);
    assert_eq!((home.count("s"), home.starts()), (5, 2));
}

#[test]
fn a_runtime_directory_that_does_not_do_is_passed_over() {
    let home = Home::new();
    let deep = home.path(&"d".repeat(90));
    std::fs::create_dir(&deep).unwrap();
    let user = rustix::process::geteuid().as_raw();
    let socket = home.path(&format!("redis-streamer-{user}/server.sock"));
    home.test()
        .env("XDG_RUNTIME_DIR", &deep)
        .args(["local", "start", "-q"])
        .stdout(format!("{}\n", socket.display()))
        .run();
}

#[test]
fn directories_of_others_are_refused() {
    let home = Home::new();
    let run = home.path("run/redis-streamer");
    std::fs::create_dir(&run).unwrap();
    set_mode(&run, 0o755);
    let refused = || {
        let why = ["error: the local server cannot use", "others can use it", "hint: "];
        home.test().args(["local", "start"]).status(2).stderr_has(why).run()
    };
    assert!(refused().stderr().contains(&format!("chmod 700 {}", run.display())));
    set_mode(&run, 0o700);
    home.send("s");
    // Somebody could put another server there.
    set_mode(&run, 0o777);
    refused();
    set_mode(&run, 0o700);
    set_mode(&home.data(), 0o750);
    refused();
    set_mode(&home.data(), 0o700);
    assert_eq!(home.starts(), 1);
}

#[test]
fn data_without_a_place_is_an_error() {
    let home = Home::new();
    std::fs::write(home.path(".local"), "").unwrap();
    home.test()
        .args(["local", "start"])
        .status(1)
        .stderr_has([
            "error: cannot make the directory",
            ".local/share/redis-streamer",
            "hint: ",
        ])
        .run();
}

#[test]
fn without_a_program_it_is_told_how_to_get_one() {
    let home = Home::without_program();
    home.local()
        .arg("pending")
        .status(2)
        .stderr_has([
            "error: --local needs a server",
            "valkey-server",
            "redis-server",
            "hint: install one: apt install",
        ])
        .run();
    assert!(!home.data().join("appendonlydir").exists());
}

#[test]
fn valkey_is_preferred() {
    let home = Home::new();
    std::fs::rename(home.path("bin/redis-server"), home.path("bin/valkey-server")).unwrap();
    std::fs::write(home.path("bin/redis-server"), "#!/bin/sh\nexit 9\n").unwrap();
    set_mode(&home.path("bin/redis-server"), 0o755);
    home.send("s");
}

#[test]
fn a_server_that_does_not_start_is_quoted() {
    let home = Home::new();
    home.program("--no-such-setting 1");
    let output = home
        .local()
        .arg("pending")
        .status(3)
        .stderr_has(["error: the local server ended as it started (exit status: 1)"])
        .run();
    let hint = format!("hint: see its log: {}/server.log", home.data().display());
    assert!(output.stderr().contains(&hint), "{}", output.stderr());
    assert!(output.stderr().contains("caused by: "), "{}", output.stderr());
}

#[test]
fn it_and_a_url_exclude_each_other() {
    let home = Home::new();
    home.local()
        .args(["-u", "localhost", "pending"])
        .status(2)
        .stderr_has(["cannot be used with"])
        .run();
    // What is typed counts more than the environment; a password there is meant for another server.
    home.local()
        .env("REDIS_STREAMER_URL", "redis://127.0.0.1:1")
        .env("REDISCLI_AUTH", "secret")
        .args(["send", "s", "1", "--name", "n"])
        .stdout_like("[ID]\n")
        .run();
    let environment = std::fs::read(format!("/proc/{}/environ", home.pid().unwrap().as_raw_nonzero())).unwrap();
    assert!(!String::from_utf8_lossy(&environment).contains("REDISCLI_AUTH"));
}

#[test]
fn completions_do_not_start_it() {
    let home = Home::new();
    let offered = || {
        let asked = home.test().env("REDIS_STREAMER_COMPLETE_FOR", "20s");
        let words = ["complete", "elvish", "--", "redis-streamer", "--local", "send", "or"];
        asked.args(words).stdout_any().run().stdout()
    };
    assert_eq!(offered(), "words\n");
    assert_eq!(home.starts(), 0);
    home.send("orders");
    assert_eq!(offered(), "words\norders\n");
}

#[test]
fn a_server_that_loads_is_waited_for() {
    let home = Home::new();
    let lines: String = (0..3000).map(|number| format!("{number}\n")).collect();
    home.local()
        .args(["send-batch", "s", "-q", "--name", "n"])
        .stdin(lines)
        .run();
    home.test().args(["local", "stop", "-q"]).run();
    home.program("--key-load-delay 500");
    home.local()
        .args(["consume", "s", "--from", "beginning", "-n", "1"])
        .stdout_any()
        .stderr("waiting for the local server to load its data\n")
        .run();
    assert_eq!(home.count("s"), 3000);
}

#[test]
fn one_that_does_not_answer_is_an_error() {
    let home = Home::new();
    home.send("s");
    home.signal(Signal::STOP);
    let pid = home.pid().unwrap().as_raw_nonzero();
    for args in [&["--local", "pending"][..], &["local"], &["local", "stop"]] {
        home.test()
            .args(args)
            .args(["--connect-timeout", "200ms"])
            .status(3)
            .stderr_has(["error: ", "no answer within", &format!("kill {pid}")])
            .run();
    }
    home.signal(Signal::CONT);
    home.send("s");
    assert_eq!(home.starts(), 1);
}

fn append(home: &Home, bytes: &str) {
    let mut file = std::fs::File::options().append(true).open(home.file()).unwrap();
    file.write_all(bytes.as_bytes()).unwrap();
}

#[test]
fn a_half_written_end_of_the_file_is_cut_off() {
    for tail in [
        "*5\r\n$4\r\nXADD\r\n$1\r\ns\r\n$1",
        "*1\r\n$5\r\nMULTI\r\n*5\r\n$4\r\nXADD\r\n$1\r\ns\r\n$3\r\n9-9\r\n$1\r\nk\r\n$1\r\nv\r\n",
        // A server alone would leave the beginning of the transaction, which then swallows what follows it.
        "*1\r\n$5\r\nMULTI\r\n*5\r\n$4\r\nXADD\r\n$1\r\ns\r\n$3\r\n9-9\r\n$1\r\nk",
    ] {
        let home = Home::new();
        home.send("s");
        home.kill9();
        append(&home, tail);
        home.send("s");
        assert_eq!(home.count("s"), 2);
        home.kill9();
        assert_eq!(home.count("s"), 2, "{tail:?}");
        home.test().args(["local", "stop", "-q"]).run();
        assert_eq!(home.count("s"), 2, "{tail:?}");
    }
}

#[test]
fn a_file_that_is_broken_in_the_middle_is_told_and_left() {
    let home = Home::new();
    home.send("s");
    home.send("s");
    home.test().args(["local", "stop", "-q"]).run();
    let whole = std::fs::read(home.file()).unwrap();
    let middle = whole.windows(4).rposition(|bytes| bytes == b"XADD").unwrap() - 4;
    let mut broken = whole.clone();
    broken[middle - 4] = b'?';
    std::fs::write(home.file(), &broken).unwrap();
    for _ in 0..2 {
        let output = home
            .local()
            .arg("pending")
            .status(3)
            .stderr_has(["error: the local server ended as it started", "Bad file format"])
            .run();
        for part in ["hint: its append-only file is broken", "redis-check-aof", "/server.log"] {
            assert!(output.stderr().contains(part), "{}", output.stderr());
        }
    }
    assert_eq!(std::fs::read(home.file()).unwrap(), broken);
    std::fs::write(home.file(), whole).unwrap();
    assert_eq!(home.count("s"), 2);
}

#[test]
fn a_full_disk_is_told_and_nothing_is_lost_once_there_is_room() {
    let home = Home::new();
    if !home.limit_data("256k") {
        return left_out("a small file system cannot be mounted");
    }
    let line = format!("{{\"name\":\"n\",\"body\":\"{}\"}}\n", "x".repeat(4000));
    let output = home
        .local()
        .args(["send-batch", "s", "--receipts", "receipts", "--reconnect-for", "100ms"])
        .stdin(line.repeat(200))
        .status(3)
        .stderr_any()
        .stdout_any()
        .run();
    for part in ["MISCONF", "hint: ", "is its disk full?"] {
        assert!(output.stderr().contains(part), "{}", output.stderr());
    }
    let receipts = std::fs::read_to_string(home.path("receipts")).unwrap().lines().count();
    assert!(receipts > 0 && receipts < 200, "{receipts}");
    // What it has in memory alone, it would lose.
    let stop = || home.test().args(["local", "stop"]);
    stop()
        .status(1)
        .stderr_has([
            "error: the local server cannot write to",
            "hint: is the disk full?",
            "kill",
        ])
        .run();
    assert!(home.limit_data("remount,256m"));
    // It tries again each second.
    wait_until("the server to write", || {
        stop().stderr_any().spawn().wait().status == 0 && home.pid().is_none()
    });
    assert!(home.count("s") >= receipts);
}

#[test]
fn a_disk_that_is_full_from_the_start_is_told() {
    let home = Home::new();
    if !home.limit_data("64k") {
        return left_out("a small file system cannot be mounted");
    }
    let _ = std::fs::write(home.data().join("filler"), vec![0; 1 << 20]);
    home.local()
        .arg("pending")
        .status(1)
        .stderr_has([
            "error: cannot write ",
            "No space left on device",
            "hint: the disk is full",
        ])
        .run();
    assert_eq!(home.starts(), 0);
    std::fs::remove_file(home.data().join("filler")).unwrap();
    home.send("s");
}

#[test]
fn a_starter_that_is_killed_leaves_a_server_that_is_found() {
    let home = Home::new();
    for _ in 0..5 {
        let mut starting = home.test().args(["local", "start"]).spawn();
        wait_until("a start", || home.data().join("socket").exists());
        starting.kill9();
        home.send("s");
        home.test().args(["local", "stop", "-q"]).run();
        std::fs::remove_file(home.data().join("socket")).unwrap();
    }
    assert_eq!(home.count("s"), 5);
}

/// The first minute of the README, as it stands.
#[test]
fn the_first_minute_runs() {
    let home = Home::new();
    let readme = std::fs::read_to_string(in_package("README.md")).unwrap();
    let (_, block) = readme.split_once("```console\n").unwrap();
    let (block, _) = block.split_once("\n```").unwrap();
    let (commands, answers): (Vec<&str>, Vec<&str>) = block.lines().partition(|line| line.starts_with("$ "));
    let script: String = commands.iter().map(|line| format!("{}\n", &line[2..])).collect();
    let answers: String = answers.iter().map(|line| format!("{line}\n")).collect();
    let output = home
        .test()
        .bash(&format!("exec 2>&1\n{script}"))
        .stdout_any()
        .run()
        .stdout();
    let known = |text: &str| {
        let words = text.split(['"', '\n']);
        let masked = words.map(|word| {
            if word.ends_with("-0") && word.len() == 15 {
                "ID"
            } else {
                word
            }
        });
        masked.collect::<Vec<_>>().join("\n")
    };
    assert_eq!(known(&output), known(&answers));
}
