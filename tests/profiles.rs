//! Profiles: settings under a name, and what counts more than them.

use crate::harness::{Cluster, Home, Sentinels, Server, Test, set_mode};
use std::path::PathBuf;

/// The program with these profiles, and nothing else said about a server.
fn with(server: &Server, profiles: &str) -> Test {
    let file = server.file("config.toml", profiles);
    set_mode(&file, 0o600);
    Test::without_server()
        .dir(&server.work())
        .env("REDIS_STREAMER_CONFIG", file)
}

/// Profile `p` of this server, with these lines beside its URL.
fn profile(server: &Server, lines: &str) -> String {
    format!("[profiles.p]\nurl = \"{}\"\n{lines}\n", server.url())
}

fn sends(test: Test) {
    test.args(["send", "s", "1", "--name", "n"]).stdout_like("[ID]\n").run();
}

#[track_caller]
fn fails(test: Test, status: i32, parts: &[&str]) {
    test.status(status).stderr_has(["error: "].iter().chain(parts)).run();
}

#[test]
fn an_option_counts_more_than_the_environment_and_that_more_than_a_profile() {
    let [a, b, c] = [(); 3].map(|()| Server::start());
    let profiles = profile(&a, "");
    let named = || with(&a, &profiles).env("REDIS_STREAMER_PROFILE", "p");
    sends(named());
    assert_eq!(a.ids("s").len(), 1);
    sends(named().env("REDIS_URL", b.url()));
    sends(named().env("REDIS_STREAMER_URL", b.url()));
    assert_eq!(b.ids("s").len(), 2);
    sends(named().env("REDIS_STREAMER_URL", b.url()).args(["-u", &c.url()]));
    assert_eq!((a.ids("s").len(), b.ids("s").len(), c.ids("s").len()), (1, 2, 1));
    // Who names a profile is told that its URL does not count.
    with(&a, &profiles)
        .env("REDIS_URL", b.url())
        .args(["--profile", "p", "send", "s", "1", "--name", "n"])
        .stdout_any()
        .stderr("warning: $REDIS_URL counts more than the URL of profile p, which is not used\n")
        .run();
    assert_eq!(b.ids("s").len(), 3);
}

#[test]
fn a_profile_is_named_by_an_option_the_environment_or_the_file() {
    let [a, b, c] = [(); 3].map(|()| Server::start());
    let profiles = format!(
        "default = \"c\"\n[profiles]\na.url = \"{}\"\nb = {{ url = \"{}\" }}\n[profiles.c]\nurl = \"{}\"\n",
        a.url(),
        b.url(),
        c.url()
    );
    sends(with(&a, &profiles));
    let named = || with(&a, &profiles).env("REDIS_STREAMER_PROFILE", "b");
    sends(named());
    sends(named().args(["--profile", "a"]));
    for server in [&a, &b, &c] {
        assert_eq!(server.ids("s").len(), 1);
    }
    let missing = named().args(["--profile", "aa", "pending"]);
    fails(missing, 2, &["there is no profile \"aa\"", "hint: did you mean a?"]);
    let missing = named().env("REDIS_STREAMER_PROFILE", "xyz").arg("pending");
    fails(
        missing,
        2,
        &[
            "no profile \"xyz\", which $REDIS_STREAMER_PROFILE names",
            "hint: there are: a, b, c",
        ],
    );
}

#[test]
fn the_file_is_where_configuration_is() {
    let server = Server::start();
    let text = format!("default = 'p'\n{}", profile(&server, ""));
    for (variable, dir) in [("XDG_CONFIG_HOME", ""), ("HOME", ".config/")] {
        let home = tempfile::tempdir().unwrap();
        let dir = home.path().join(dir).join("redis-streamer");
        std::fs::create_dir_all(&dir).unwrap();
        std::fs::write(dir.join("config.toml"), &text).unwrap();
        sends(
            Test::without_server()
                .env("REDIS_STREAMER_CONFIG", "")
                .env(variable, home.path()),
        );
    }
    assert_eq!(server.ids("s").len(), 2);
    let named = Test::without_server().env("REDIS_STREAMER_CONFIG", "/nowhere/c.toml");
    fails(
        named.arg("pending"),
        2,
        &["/nowhere/c.toml", "hint: $REDIS_STREAMER_CONFIG names this file"],
    );
    let home = tempfile::tempdir().unwrap();
    let test = || {
        Test::without_server()
            .env("REDIS_STREAMER_CONFIG", "")
            .env("HOME", home.path())
    };
    sends(test().args(["-u", &server.url()]));
    fails(
        test().args(["--profile", "p", "pending"]),
        2,
        &[
            "no profile \"p\"",
            "hint: profiles are tables",
            ".config/redis-streamer/config.toml",
        ],
    );
}

#[test]
fn what_is_wrong_in_the_file_is_named_with_its_line() {
    let server = Server::start();
    for (text, line, parts) in [
        ("[profiles.p]\nurl = 'h\n", 2, vec![]),
        (
            "[profiles.p]\nlistner = 'x'\n",
            2,
            vec!["unknown key \"listner\"", "hint: did you mean listener?"],
        ),
        (
            "[profiles.p]\npassword = 'x'\n",
            2,
            vec!["unknown key \"password\"", "password-file"],
        ),
        ("[profiles.p]\n[profiles.p]\n", 2, vec!["duplicate key"]),
        (
            "[profiles.p]\nwait = 5\n",
            2,
            vec!["wait: expected a duration in quotes"],
        ),
        (
            "defualt = 'p'\n",
            1,
            vec!["unknown key \"defualt\"", "hint: did you mean default?"],
        ),
        (
            "default = 'prd'\n[profiles.prod]\n",
            1,
            vec!["hint: did you mean prod?"],
        ),
    ] {
        let output = with(&server, text).arg("pending").status(2).stderr_any().run();
        let stderr = output.stderr();
        assert!(stderr.contains(&format!("/config.toml:{line}: ")), "{text}: {stderr}");
        for part in parts {
            assert!(stderr.contains(part), "{text}: {stderr}");
        }
    }
}

#[test]
fn passwords_come_from_a_file_or_a_command() {
    let server = Server::options().password("s3cret").start();
    server.file("pw", "s3cret\nmore\n");
    sends(with(&server, &profile(&server, "password-file = 'pw'")).args(["--profile", "p"]));
    let command = |words: &str| {
        let profiles = profile(&server, &format!("password-command = {words}"));
        with(&server, &profiles).args(["--profile", "p"])
    };
    sends(command("['echo', 's3cret']"));
    sends(command("['sh', '-c', 'echo s3cret; echo more']"));
    // What is typed, and the environment, count more.
    sends(command("['false']").args(["--password-file", "pw"]));
    sends(command("['false']").env("REDISCLI_AUTH", "s3cret"));
    // Lines that are to be sent are not its own.
    command("['sh', '-c', 'cat; echo s3cret']")
        .args(["send-batch", "s", "-q"])
        .stdin("{\"name\":\"n\",\"body\":1}\n")
        .run();
    assert_eq!(server.ids("s").len(), 6);
    let send = |words: &str| command(words).arg("pending");
    fails(
        send("['sh', '-c', 'echo the vault is locked >&2; exit 7']"),
        1,
        &[
            "the profile's password command (sh) failed (exit status: 7)",
            "caused by: the vault is locked",
        ],
    );
    fails(send("['true']"), 1, &["printed no password"]);
    fails(
        send("['/nowhere/vault']"),
        1,
        &["cannot run the profile's password command", "/nowhere/vault"],
    );
}

#[test]
fn what_belongs_to_a_server_is_sent_to_no_other() {
    let server = Server::options().password("s3cret").start();
    // It refuses a password, having none.
    let other = Server::start();
    let profiles = profile(&server, "user = 'default'\npassword-command = ['echo', 's3cret']");
    sends(with(&server, &profiles).args(["--profile", "p"]));
    sends(with(&server, &profiles).args(["--profile", "p", "-u", &other.url()]));
    sends(
        with(&server, &profiles)
            .env("REDIS_STREAMER_PROFILE", "p")
            .env("REDIS_URL", other.url()),
    );
    assert_eq!((server.ids("s").len(), other.ids("s").len()), (1, 2));
}

#[test]
fn certificates_are_found_beside_the_file() {
    let Some(server) = Server::options().tls().start_if_it_has_tls() else {
        return;
    };
    std::fs::copy(server.dir().join("ca.crt"), server.work().join("ca.crt")).unwrap();
    let elsewhere = |lines: &str| {
        let test = with(&server, &profile(&server, lines)).dir(&PathBuf::from("/"));
        test.args(["--profile", "p"])
    };
    sends(elsewhere("cacert = 'ca.crt'"));
    sends(elsewhere("insecure = true"));
    fails(elsewhere("insecure = false").arg("pending"), 3, &["certificate"]);
}

#[test]
fn a_group_is_taken_from_a_profile_where_there_has_to_be_one() {
    let server = Server::start();
    server.add_numbered("s", 3);
    for listener in ["billing", "other"] {
        server.cli(["XGROUP", "CREATE", "s", &format!("s:{listener}:cg"), "0"]);
    }
    let run = |args: &[&str]| {
        with(&server, &profile(&server, "listener = 'billing'"))
            .args(["--profile", "p"])
            .args(args)
    };
    // A plain read stays one: it changes nothing.
    let read = ["consume", "s", "--from", "beginning", "-e"];
    assert_eq!(
        run(&read)
            .stdout_any()
            .run()
            .stdout
            .iter()
            .filter(|byte| **byte == b'\n')
            .count(),
        3
    );
    assert!(!server.is_delivered("s", "s:billing:cg"));
    run(&["consume", "s", "-e", "-n", "1", "--ack", "manual"])
        .stdout_any()
        .stderr("the group is that of the profile: listener billing\n")
        .run();
    assert_eq!(server.pending("s", "s:billing:cg").len(), 1);
    run(&["nack", "s", &server.ids("s")[0]]).stdout("1\n").run();
    run(&["ack", "s", &server.ids("s")[0]]).stdout("1\n").run();
    run(&["consume", "s", "-e", "-n", "1", "-q", "--", "true"]).run();
    // What is typed counts more.
    run(&["consume", "s", "-g", "s:other:cg", "-e", "-q", "--", "true"]).run();
    run(&["consume", "s", "-l", "other", "-e"]).run();
    run(&["subscribe", "t"])
        .stderr("created group t:billing:cg on t, from latest\n")
        .run();
    // What takes something away asks for a name.
    fails(
        run(&["subscribe", "s", "--reset", "--from", "beginning"]),
        2,
        &["neither --group nor --listener is given"],
    );
    fails(
        run(&["unsubscribe", "s"]),
        2,
        &["neither --group nor --listener is given"],
    );
    let all = run(&["pending", "s"]).stdout_any().run().stdout();
    assert!(all.contains("billing") && all.contains("other"), "{all}");
    let group = with(&server, &profile(&server, "group = 's:other:cg'"));
    group.args(["--profile", "p", "ack", "s", "9-9"]).stdout("0\n").run();
}

#[test]
fn settings_of_reading_count_where_they_mean_something() {
    let server = Server::start();
    server.add_numbered("s", 1);
    server.cli(["XGROUP", "CREATE", "s", "g", "0"]);
    server.cli(["XREADGROUP", "GROUP", "g", "gone", "STREAMS", "s", ">"]);
    let run = |args: &[&str]| {
        let profiles = profile(&server, "claim-idle = '0s'\nwait-timeout = '1s'\nreconnect-for = '1s'");
        with(&server, &profiles).args(["--profile", "p"]).args(args)
    };
    // They are no reason to refuse what does not use them.
    run(&["consume", "s", "--from", "beginning", "-e"]).stdout_any().run();
    run(&["consume", "s", "-g", "g", "-e", "--ack", "read"]).run();
    run(&["pending"]).stdout_any().run();
    assert_eq!(server.pending("s", "g").len(), 1);
    run(&["consume", "s", "-g", "g", "-e", "--claim-idle", "1h"]).run();
    run(&["consume", "s", "-g", "g", "-e"])
        .stdout_has(["\"deliveries\":2"])
        .run();
    assert!(server.is_settled("s", "g"));
    // One replica has to have it, and there is none.
    let safe = with(&server, &profile(&server, "wait-replicas = 1")).args(["--profile", "p"]);
    fails(safe.args(["send", "s", "1", "--name", "n"]), 1, &["replica"]);
}

#[test]
fn a_secret_that_others_can_read_is_warned_of() {
    let server = Server::options().tcp4().password("s3cret").start();
    let url = server.url().replace("://", "://:s3cret@");
    let run = |mode: u32, args: &[&str]| {
        let test = with(&server, &format!("default = 'p'\n[profiles.p]\nurl = '{url}'\n")).args(args);
        set_mode(&server.work().join("config.toml"), mode);
        test
    };
    let send = ["send", "s", "1", "--name", "n"];
    run(0o600, &send).stdout_any().run();
    let output = run(0o640, &send)
        .stdout_any()
        .stderr_has(["warning: ", "holds a password"])
        .run();
    assert!(output.stderr().contains("chmod 600 "), "{}", output.stderr());
    for args in [
        &["-v", "pending"][..],
        &["profiles"],
        &["profiles", "p", "--json"],
        &["-v", "pending", "-u", &url],
    ] {
        let output = run(0o600, args).stdout_any().stderr_any().run();
        assert!(
            output.all().contains(":***@") && !output.all().contains("s3cret"),
            "{}",
            output.all()
        );
    }
}

#[test]
fn where_each_setting_comes_from_is_told() {
    let server = Server::start();
    let url = server.url();
    let text = format!(
        "default = 'p'\n{}[profiles.q]\npassword-command = ['vault', 'get', 's3cret']\n",
        profile(&server, "listener = 'billing'\nconnect-timeout = '2s'")
    );
    let run = |args: &[&str]| with(&server, &text).args(args);
    let file = server.work().join("config.toml");
    let file = file.display();
    let output = run(&["-v", "pending", "--connect-timeout", "1s"])
        .stdout_any()
        .stderr_any()
        .run();
    assert!(
        output.stderr().starts_with(&format!(
            "url {url}, from profile p ({file}:3)\nconnect-timeout 1s, from an option\n"
        )),
        "{}",
        output.stderr()
    );
    let table = run(&["profiles"]).stdout_any().run().stdout();
    for line in [
        format!("p        {url}  billing   by default"),
        "q        ".to_owned(),
        "SETTING ".to_owned(),
    ] {
        assert!(table.lines().any(|other| other.starts_with(&line)), "{line}\n{table}");
    }
    let setting = |table: &str, name: &str| {
        let line = table.lines().find(|line| line.split(' ').next() == Some(name)).unwrap();
        line.split_whitespace().skip(1).collect::<Vec<_>>().join(" ")
    };
    assert_eq!(setting(&table, "url"), format!("{url} profile p ({file}:3)"));
    assert_eq!(setting(&table, "connect-timeout"), format!("2s profile p ({file}:5)"));
    assert_eq!(setting(&table, "wait"), "- built in");
    assert_eq!(setting(&table, "claim-idle"), "5m built in");
    assert_eq!(setting(&table, "reconnect-for"), "60s built in");
    let table = run(&["profiles", "q"])
        .env("REDISCLI_AUTH", "hunter2")
        .stdout_any()
        .run()
        .stdout();
    assert_eq!(setting(&table, "url"), "redis://127.0.0.1:6379 built in");
    assert_eq!(setting(&table, "password-command"), "(hidden) $REDISCLI_AUTH");
    assert!(!table.contains("hunter2") && !table.contains("s3cret"), "{table}");
    let table = run(&["profiles", "q"]).stdout_any().run().stdout();
    assert_eq!(
        setting(&table, "password-command"),
        format!("vault … profile q ({file}:7)")
    );

    let json = |args: &[&str]| -> serde_json::Value {
        let output = run(&["profiles", "--json"]).args(args).stdout_any().run();
        serde_json::from_slice(&output.stdout).unwrap()
    };
    let told = json(&["-u", "redis://:s3cret@h"]);
    assert_eq!((&told["default"], &told["profile"]), (&"p".into(), &"p".into()));
    assert_eq!(told["profiles"][0]["url"], url);
    assert_eq!(told["profiles"][1]["name"], "q");
    let url = &told["settings"][0];
    assert_eq!(
        *url,
        serde_json::json!({"name": "url", "value": "redis://:***@h", "from": "option"})
    );
    assert_eq!(json(&["q"])["profile"], "q");
    fails(run(&["profiles", "x"]), 2, &["there is no profile \"x\"", "hint: "]);
    Test::without_server()
        .args(["profiles"])
        .stdout_has(["built in"])
        .stderr("no profiles: /dev/null has none\n")
        .run();
}

#[test]
fn completions_offer_profiles_and_ask_their_server() {
    let server = Server::start();
    server.add_numbered("orders", 1);
    let text = format!(
        "default = 'prod'\n[profiles.prod]\nurl = '{0}'\n[profiles.production]\nurl = '{0}'\npassword-command = ['touch', 'run']\n",
        server.url()
    );
    let offered = |words: &[&str]| {
        let test = with(&server, &text).env("REDIS_STREAMER_COMPLETE_FOR", "20s");
        let test = test.args(["complete", "elvish", "--", "redis-streamer"]).args(words);
        test.stdout_any().run().stdout()
    };
    assert_eq!(offered(&["--profile", ""]), "words\nprod\nproduction\n");
    assert_eq!(offered(&["profiles", "produ"]), "words\nproduction\n");
    assert_eq!(offered(&["send", "ord"]), "words\norders\n");
    // A command is not run at each press of a key.
    assert_eq!(offered(&["--profile", "production", "send", "ord"]), "words\n");
    assert!(!server.work().join("run").exists());
}

#[test]
fn every_kind_of_server_can_be_a_profiles() {
    let home = Home::new();
    std::fs::write(home.path("c.toml"), "default = 'l'\n[profiles.l]\nurl = 'local:'\n").unwrap();
    let local = || home.test().env("REDIS_STREAMER_CONFIG", home.path("c.toml"));
    sends(local());
    assert_eq!(home.count("s"), 1);

    let cluster = Cluster::start();
    let node = &cluster.nodes()[0];
    for other in &cluster.nodes()[..3] {
        let stream = cluster.name_at(other, "s");
        let test = with(node, &profile(node, "listener = 'x'")).args(["--profile", "p", "subscribe", &stream]);
        test.stderr_has(["created group"]).run();
    }

    let own = Server::options()
        .password("own-secret")
        .user("eve on >eve-secret &* -@all +sentinel|get-master-addr-by-name");
    let all = Sentinels::options().replicas(0).sentinels(1, own).start();
    let master = &all.servers()[0];
    master.file("pw", "eve-secret\n");
    let text = format!(
        "[profiles.p]\nurl = '{}'\nsentinel-user = 'eve'\nsentinel-password-file = 'pw'\n",
        all.url()
    );
    sends(with(master, &text).args(["--profile", "p"]));
    fails(
        with(master, &text.replace("eve'", "mallory'")).args(["--profile", "p", "pending"]),
        1,
        &["WRONGPASS"],
    );
}
