//! Servers behind sentinels: every verb, what can be wrong with the sentinels, and failovers (`failovers`).

mod failovers;

use crate::harness::{Sentinels, Server, Test, free_port};

/// The program with these sentinels as `$REDIS_STREAMER_URL`, in the work directory of the first server.
fn program(all: &Sentinels) -> Test {
    Test::without_server()
        .dir(&all.servers()[0].work())
        .env("REDIS_STREAMER_URL", all.url())
}

/// A master without replicas, of which a busy machine makes no other one, and this many sentinels.
fn alone(sentinels: usize) -> Sentinels {
    let options = Sentinels::options().replicas(0);
    options.sentinels(sentinels, Server::options()).start()
}

/// Where these sentinels are, for a URL.
fn seeds(all: &Sentinels) -> String {
    let seeds = all.sentinels().iter().map(|one| format!("127.0.0.1:{}", one.port()));
    seeds.collect::<Vec<_>>().join(",")
}

/// Runs every verb; `with` adds what it takes to be let in.
fn use_every_verb(with: impl Fn(&[&str]) -> Test) {
    with(&["subscribe", "s", "-g", "g"]).stderr_any().run();
    with(&["send", "s", "1", "--name", "n"]).stdout_any().run();
    let lines = "{\"name\":\"n\",\"body\":2}\n{\"name\":\"n\",\"body\":3}\n";
    with(&["send-batch", "s"]).stdin(lines).stderr_any().run();
    let group = with(&["consume", "s", "-g", "g", "-e", "--ack", "manual"])
        .stdout_any()
        .stderr_any()
        .run();
    assert_eq!(group.stdout().lines().count(), 3, "{}", group.all());
    with(&["pending", "s", "-g", "g", "--max-pending", "2"])
        .status(4)
        .stdout_any()
        .stderr_any()
        .run();
    with(&["ack", "-", "-g", "g"])
        .stdin(group.stdout())
        .stdout("3\n")
        .stderr_any()
        .run();
    with(&["pending", "--max-pending", "0"]).stdout_any().stderr_any().run();
    let plain = with(&["consume", "s", "--from", "beginning", "-e"]).stdout_any().run();
    assert_eq!(plain.stdout().lines().count(), 3);
}

#[test]
fn every_verb_finds_the_master() {
    let all = alone(3);
    use_every_verb(|args| program(&all).args(args));
    assert_eq!(all.master().bodies("s"), ["1", "2", "3"]);
    let url = format!("redis-sentinel://{}/2?sentinelMasterId=mymaster", seeds(&all));
    let send = ["send", "t", "4", "--name", "n", "-u", &url];
    program(&all).args(send).stdout_any().run();
    assert_eq!(all.master().cli(["-n", "2", "XLEN", "t"]), "1");
    sentinels_that_are_away_are_passed_over(&all);
}

/// The last of them alone answers, in the end none.
fn sentinels_that_are_away_are_passed_over(all: &Sentinels) {
    all.sentinels()[0].kill9();
    all.sentinels()[1].pause();
    // A busy machine may make one attempt too short.
    let program = |args: &[&str]| program(all).args(args).stdout_any().stderr_any();
    program(&["send", "s", "5", "--name", "n", "--wait", "20s"]).run();
    let foreign = Server::options().tcp4().start();
    let url = format!("redis+sentinel://127.0.0.1:{},{}/mymaster", foreign.port(), seeds(all));
    program(&["-u", &url, "pending", "--wait", "20s"]).run();
    all.sentinels()[1].resume();
    all.sentinels().iter().for_each(Server::kill9);
    let expected = format!(
        "error: no sentinel answers of {}\n  caused by: cannot connect to 127.0.0.1:{}\n  caused by: [..]\nhint: are the sentinels running?[..]\n",
        seeds(all),
        all.sentinels()[0].port()
    );
    program(&["pending"]).status(3).stdout("").stderr_like(&expected).run();
}

#[test]
fn what_is_wrong_with_sentinels_is_said() {
    let all = alone(1);
    let url = format!("redis+sentinel://{}/nobody", seeds(&all));
    program(&all)
        .args(["-u", &url, "pending"])
        .status(1)
        .stderr(format!(
            "error: there is no service 'nobody' at the sentinels {}\nhint: the sentinels know: mymaster\n",
            seeds(&all)
        ))
        .run();
    let port = all.servers()[0].port();
    program(&all)
        .args(["-u", &format!("redis+sentinel://127.0.0.1:{port}/mymaster"), "pending"])
        .status(1)
        .stderr_has([&format!("error: 127.0.0.1:{port} is not a sentinel\nhint: ")])
        .run();
    let nobody = format!("redis+sentinel://127.0.0.1:{}/mymaster", free_port("127.0.0.1"));
    program(&all)
        .args(["-u", &nobody, "send", "s", "1", "--name", "n"])
        .status(3)
        .stderr_has(["error: no sentinel answers of 127.0.0.1:"])
        .run();
    let file = all.servers()[0].file("password", "hunter2\n");
    program(&all)
        .args(["pending", "--sentinel-password-file"])
        .arg(&file)
        .status(1)
        .stderr_has(["hint: the sentinels have no password: give none"])
        .run();
    Test::new(&all.servers()[0])
        .args(["pending", "--sentinel-password-file"])
        .arg(&file)
        .status(2)
        .stderr_has(["--sentinel-password-file is for sentinels, and the URL names none"])
        .run();
    program(&all)
        .args(["-u", &format!("redis+sentinel://{}", seeds(&all)), "pending"])
        .status(2)
        .stderr_has(["error: the URL cannot be used: it names no service"])
        .run();
}

#[test]
fn sentinels_have_credentials_of_their_own() {
    let servers = Server::options().password("data-secret");
    let own = Server::options()
        .password("own-secret")
        .user("eve on >eve-secret &* -@all +sentinel|get-master-addr-by-name");
    let all = Sentinels::options()
        .replicas(0)
        .servers(servers)
        .sentinels(1, own)
        .start();
    let master = &all.servers()[0];
    let (data, file) = (master.file("data", "data-secret\n"), master.file("own", "own-secret\n"));
    let with = |args: &[&str]| {
        let test = program(&all).args(args).arg("--password-file").arg(&data);
        test.arg("--sentinel-password-file").arg(&file)
    };
    use_every_verb(with);
    let url = |parameters: &str| format!("redis+sentinel://:data-secret@{}/mymaster{parameters}", seeds(&all));
    for parameters in [
        "?sentinel_password=own-secret",
        "?sentinel_username=eve&sentinel_password=eve-secret",
    ] {
        let output = program(&all)
            .args(["-v", "-u", &url(parameters), "pending"])
            .stdout_any()
            .stderr_any()
            .run();
        assert!(!output.all().contains("secret"), "{}", output.all());
    }
    for (parameters, status, said) in [
        (
            "",
            1,
            "NOAUTH Authentication required.\nhint: give the sentinels' password with --sentinel-password-file",
        ),
        ("?sentinel_password=wrong-secret", 1, "WRONGPASS"),
        ("?sentinel_username=eve", 1, "WRONGPASS"),
        (
            "?secret=1",
            2,
            "sentinel_username, sentinel_password and sentinelMasterId",
        ),
    ] {
        let output = program(&all)
            .args(["-u", &url(parameters), "pending"])
            .status(status)
            .stderr_has([said])
            .run();
        assert!(!output.all().contains("-secret"), "{}", output.all());
    }
    let wrong = format!(
        "redis+sentinel://:wrong-one@{}/mymaster?sentinel_password=own-secret",
        seeds(&all)
    );
    program(&all)
        .args(["-u", &wrong, "pending"])
        .status(1)
        .stderr_has(["error: the server denies access: WRONGPASS"])
        .run();
}

#[test]
fn addresses_of_the_sixth_version_are_used_as_they_are() {
    let options = Sentinels::options().replicas(0).servers(Server::options().tcp6());
    let all = options.sentinels(1, Server::options()).start();
    assert!(all.url().contains("//[::1]:"), "{}", all.url());
    use_every_verb(|args| program(&all).args(args));
}

#[test]
fn names_of_hosts_are_used_as_they_are() {
    let all = alone(1);
    let sentinel = &all.sentinels()[0];
    for setting in ["resolve-hostnames", "announce-hostnames"] {
        sentinel.cli(["SENTINEL", "CONFIG", "SET", setting, "yes"]);
    }
    let port = all.servers()[0].port().to_string();
    sentinel.cli(["SENTINEL", "MONITOR", "named", "localhost", &port, "1"]);
    let named = sentinel.cli(["SENTINEL", "GET-MASTER-ADDR-BY-NAME", "named"]);
    assert_eq!(named, format!("localhost\n{port}"));
    let url = format!("redis+sentinel://{}/named", seeds(&all));
    use_every_verb(|args| program(&all).args(["-u", &url]).args(args));
}

#[test]
fn sentinels_and_servers_are_reached_by_tls() {
    let servers = Server::options().tls_with_client_certificates();
    let options = Sentinels::options().replicas(0).servers(servers);
    let Some(all) = options.sentinels(1, Server::options()).start_if_able() else {
        return;
    };
    let files = all.servers()[0].dir();
    let path = |name: &str| files.join(name).display().to_string();
    let (ca, cert, key) = (path("ca.crt"), path("client.crt"), path("client.key"));
    let tls = ["--cacert", &ca, "--cert", &cert, "--cert-key", &key];
    use_every_verb(|args| program(&all).args(args).args(tls));
    program(&all)
        .args(["pending", "--cacert", &path("other-ca.crt")])
        .status(3)
        .stderr_has(["error: no encrypted connection to 127.0.0.1:"])
        .run();
}
