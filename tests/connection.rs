//! Ways to a server: addresses, credentials, TLS, patience.

use crate::deadlines::black_hole;
use crate::harness::{Flaw, Server, Signal, Test, free_port, write_flawed};
use std::time::{Duration, Instant};

/// Sends one message with these arguments in front, and nothing else said about the server.
fn send(args: &[&str]) -> Test {
    Test::without_server()
        .args(args)
        .args(["send", "s", "1", "--name", "n"])
        .stdout_like("[ID]\n")
}

fn refused(args: &[&str], status: i32, parts: &[&str]) {
    send(args)
        .status(status)
        .stdout("")
        .stderr_has(["error: "].iter().chain(parts))
        .run();
}

#[test]
fn over_tcp() {
    for server in [Server::options().tcp4().start(), Server::options().tcp6().start()] {
        send(&["-u", &server.url()]).run();
        send(&["--url", &format!("{}/0", server.url())]).run();
        assert_eq!(server.ids("s").len(), 2);
    }
}

#[test]
fn by_name_alone() {
    for server in [Server::options().tcp4().start(), Server::options().tcp6().start()] {
        let name = server.url().replace("redis://", "");
        send(&["-u", &name]).run();
        send(&[]).env("REDIS_STREAMER_URL", format!("{name}/2")).run();
        send(&["-u", server.socket().to_str().unwrap()]).run();
        assert_eq!(server.ids("s").len(), 2);
        assert_eq!(server.cli(["-n", "2", "XLEN", "s"]), "1");
    }
}

#[test]
fn over_a_unix_socket() {
    let server = Server::start();
    let socket = server.socket();
    let socket = socket.display();
    send(&["-u", &format!("redis+unix://{socket}")]).run();
    send(&["-u", &format!("unix://{socket}")]).run();
    send(&["-u", &format!("unix://{socket}?db=3")]).run();
    assert_eq!(server.ids("s").len(), 2);
    assert_eq!(server.cli(["-n", "3", "XLEN", "s"]), "1");
}

#[test]
fn into_a_database() {
    let server = Server::options().tcp4().start();
    send(&["-u", &format!("{}/5", server.url())]).run();
    assert_eq!(server.cli(["-n", "5", "XLEN", "s"]), "1");
    assert_eq!(server.cli(["XLEN", "s"]), "0");
}

#[test]
fn urls_from_the_environment_in_their_order() {
    let server = Server::start();
    let nowhere = format!("redis://127.0.0.1:{}", free_port("127.0.0.1"));
    send(&[]).env("REDIS_URL", server.url()).run();
    send(&[])
        .env("REDIS_STREAMER_URL", server.url())
        .env("REDIS_URL", &nowhere)
        .run();
    send(&["-u", &server.url()])
        .env("REDIS_STREAMER_URL", &nowhere)
        .env("REDIS_URL", &nowhere)
        .run();
    assert_eq!(server.ids("s").len(), 3);
}

#[test]
fn with_a_password() {
    let server = Server::options().tcp4().password("s3cret/p@ss").start();
    let url = server.url();
    server.file("pw", "s3cret/p@ss\n");
    let file = server.work().join("pw");
    let file = file.to_str().unwrap();
    let encoded = url.replace("redis://", "redis://:s3cret%2Fp%40ss@");
    send(&["-u", &encoded]).run();
    send(&["-u", &url, "--password-file", file]).run();
    send(&["-u", &url]).env("REDISCLI_AUTH", "s3cret/p@ss").run();
    assert_eq!(server.ids("s").len(), 3);
    refused(&["-u", &url], 1, &["NOAUTH"]);
}

#[test]
fn with_a_user() {
    let server = Server::options().tcp4().start();
    server.cli(["ACL", "SETUSER", "alice", "on", ">wonder", "~*", "+@all"]);
    server.cli(["ACL", "SETUSER", "default", "-xadd"]);
    let url = server.url();
    server.file("pw", "wonder");
    let file = server.work().join("pw");
    let file = file.to_str().unwrap();
    refused(&["-u", &url], 1, &["NOPERM"]);
    send(&["-u", &url.replace("://", "://alice:wonder@")]).run();
    send(&["-u", &url, "--user", "alice", "--password-file", file]).run();
    send(&["-u", &url, "--user", "alice"])
        .env("REDISCLI_AUTH", "wonder")
        .run();
    assert_eq!(server.ids("s").len(), 3);
}

#[test]
fn over_tls_with_a_known_authority() {
    let Some(server) = Server::options().tls().start_if_it_has_tls() else {
        return;
    };
    let url = server.url();
    let ca = server.dir().join("ca.crt");
    let other = server.dir().join("other-ca.crt");
    let (ca, other) = (ca.to_str().unwrap(), other.to_str().unwrap());
    send(&["-u", &url, "--cacert", ca]).run();
    send(&["-u", &url.replace("127.0.0.1", "localhost"), "--cacert", ca]).run();
    send(&["-u", &url, "--insecure"]).run();
    assert_eq!(server.ids("s").len(), 3);
    refused(&["-u", &url], 3, &["certificate"]);
    refused(
        &["-u", &url, "--cacert", other],
        3,
        &["certificate", "hint: give the authority", "--cacert"],
    );
    assert_eq!(server.ids("s").len(), 3);
}

#[test]
fn over_tls_with_a_certificate_of_ones_own() {
    let options = Server::options().tls_with_client_certificates();
    let Some(server) = options.start_if_it_has_tls() else {
        return;
    };
    let url = server.url();
    let path = |name: &str| server.dir().join(name).to_str().unwrap().to_owned();
    let (ca, cert, key) = (path("ca.crt"), path("client.crt"), path("client.key"));
    send(&["-u", &url, "--cacert", &ca, "--cert", &cert, "--cert-key", &key]).run();
    assert_eq!(server.ids("s").len(), 1);
    let told = ["no encrypted connection", "asks for a client's certificate", "--cert"];
    refused(&["-u", &url, "--cacert", &ca], 3, &told);
    // It is no use to try again.
    let consume = ["consume", "s", "--from", "beginning", "-e", "-u", &url, "--cacert", &ca];
    Test::new(&server).args(consume).status(3).stderr_has(told).run();
    refused(&["-u", &url, "--cacert", &ca, "--cert", &cert], 2, &["--cert-key"]);
}

#[test]
fn what_is_wrong_with_a_certificate_is_told() {
    let Some(server) = Server::options().tls().start_if_it_has_tls() else {
        return;
    };
    let path = |name: &str| server.dir().join(name).to_str().unwrap().to_owned();
    for (flaw, hint) in [
        (Flaw::Expired, "hint: the server needs a new certificate"),
        (Flaw::NotValidYet, "hint: is this machine's clock right?"),
        (
            Flaw::OtherName,
            "hint: use a name in the URL that the server's certificate is for",
        ),
    ] {
        write_flawed(server.dir(), flaw);
        let (certificate, key) = (path("flawed.crt"), path("flawed.key"));
        server.cli(["CONFIG", "SET", "tls-cert-file", &certificate, "tls-key-file", &key]);
        let ca = path("flawed-ca.crt");
        let url = server.url();
        refused(&["-u", &url, "--cacert", &ca], 3, &["no encrypted connection", hint]);
        send(&["-u", &url, "--cacert", &ca, "--insecure"]).run();
    }
}

#[test]
fn plain_words_to_a_tls_port() {
    let Some(server) = Server::options().tls().start_if_it_has_tls() else {
        return;
    };
    let url = server.url().replace("rediss", "redis");
    refused(&["-u", &url], 3, &[]);
}

#[test]
fn a_server_that_does_not_speak_tls_is_told_from_none() {
    let server = Server::options().tcp4().start();
    let url = server.url().replace("redis://", "rediss://");
    refused(
        &["-u", &url, "--connect-timeout", "1s"],
        3,
        &["no answer to the TLS handshake", "does not seem to speak TLS"],
    );
}

#[test]
fn a_user_without_a_password() {
    let server = Server::start();
    server.cli(["ACL", "SETUSER", "guest", "on", "nopass", "~*", "+@all"]);
    server.cli(["ACL", "SETUSER", "alice", "on", ">wonder", "~*", "+@all"]);
    send(&["--user", "guest"])
        .args(["-u", &server.url()])
        .stdout_any()
        .run();
    refused(&["-u", &server.url(), "--user", "alice"], 1, &["WRONGPASS"]);
}

#[test]
fn an_address_that_never_answers_is_given_up() {
    let hole = black_hole("127.0.0.1:0".parse().unwrap());
    let address = hole.address;
    let start = Instant::now();
    refused(
        &["-u", &format!("redis://{address}"), "--connect-timeout", "200ms"],
        3,
        &[&address.to_string()],
    );
    let waited = start.elapsed();
    assert!(waited >= Duration::from_millis(200), "{waited:?}");
    assert!(waited < Duration::from_secs(4), "{waited:?}");
}

#[test]
fn waits_for_a_server_that_starts_later() {
    let server = Server::start();
    server.kill9();
    let mut sending = send(&["-u", &server.url(), "--wait", "20s"]).spawn();
    // Sleeping between two attempts shows that the first has failed.
    sending.wait_asleep();
    server.restart();
    assert_eq!(sending.wait().status, 0);
    assert_eq!(server.ids("s").len(), 1);
}

#[test]
fn waits_no_longer_than_told() {
    let server = Server::start();
    server.kill9();
    let start = Instant::now();
    refused(&["-u", &server.url(), "--wait", "300ms"], 3, &[]);
    assert!(start.elapsed() >= Duration::from_millis(300));
    assert!(start.elapsed() < Duration::from_secs(4));
}

#[test]
fn a_password_that_the_server_quotes_is_not_shown() {
    // Also one of which the server quotes only the beginning.
    for secret in ["hunter2-s3cret".to_owned(), "hunter2-s3cret-".repeat(20)] {
        let server = Server::options().tcp4().without("AUTH").start();
        server.file("pw", &secret);
        let with = |user: &str| server.url().replace("://", &format!("://{user}:{secret}@"));
        let runs = [
            Test::new(&server).args(["-u", &with("")]),
            Test::new(&server).args(["-u", &with("alice")]),
            Test::new(&server).args(["--password-file", "pw"]),
            Test::new(&server).args(["--user", "alice", "--password-file", "pw"]),
            Test::new(&server).env("REDISCLI_AUTH", &secret),
        ];
        for (number, test) in runs.into_iter().enumerate() {
            let verb: &[&str] = match number % 3 {
                0 => &["send", "s", "1", "--name", "n"],
                1 => &["consume", "s", "-g", "g"],
                _ => &["pending"],
            };
            let output = test.arg("-v").args(verb).spawn().wait();
            assert_eq!(output.status, 1, "{}", output.stderr());
            assert!(output.stderr().contains("unknown command"), "{}", output.stderr());
            assert!(!output.all().contains("hunter2"), "{}", output.all());
        }
    }
}

#[test]
fn a_signal_ends_the_wait_for_a_server() {
    let server = Server::start();
    let nowhere = format!("redis+unix://{}/nowhere", server.dir().display());
    for verb in [&["send-batch", "s", "--name", "n"][..], &["consume", "s", "-g", "g"]] {
        let mut waiting = Test::new(&server)
            .args(["-u", &nowhere, "--wait", "600s"])
            .args(verb)
            .spawn();
        waiting.wait_stderr("waiting for");
        // Not SIGINT, which is ignored from the start in what a script runs in the background.
        waiting.signal(Signal::TERM);
        assert_eq!(waiting.wait().status, 143, "{verb:?}");
    }
}
