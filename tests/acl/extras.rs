//! What is used where it is allowed: each such right is asked for, and where it is missing the work is done all the
//! same.

use super::losses::{consume, input, send, send_over};
use super::verbs::letter;
use super::{
    AS_OF_NOW, MARKER, MEMBER, SENT_IDS, denied, extras, filled, grant, is_for, optional, rights, three, without,
};
use crate::harness::{End, Fate, Output, Proxy, Sentinels, Server, ServerSide, Signal, Test};
use std::time::Duration;

/// What an old connection still carries comes this much later.
const LATER: Duration = Duration::from_millis(300);

const LATE: &str = "send-batch, after a lost connection";

const DEAD_LETTER: &str = "consume in a group — --dead-letter";

const NOT_THERE: &str = "a stream or a group that is not there";

/// Does what a row is for, as a user with these rights.
fn use_row(server: &Server, label: &str, words: &[String]) -> Output {
    let as_eve = || Test::new(server).args(["--user", "eve"]);
    match label {
        MARKER
        | "send-batch, the marker — when all is sent"
        | "send-batch, after a lost connection — the marker is gone" => send(server, words, &[]),
        LATE => send_over(
            server,
            words,
            Fate::Late(60_000, End::Fin, LATER, ServerSide::Open),
            &[],
        ),
        "send-batch, after a lost connection — without CLIENT" => {
            let client = words.iter().filter(|word| !word.starts_with("+client")).cloned();
            let late = Fate::Late(60_000, End::Fin, LATER, ServerSide::Open);
            send_over(server, &client.collect::<Vec<_>>(), late, &[])
        }
        "send-batch --keep-streams" => {
            three(server);
            grant(server, words);
            let line = "{\"stream\":\"s\",\"name\":\"n\",\"body\":1}\n";
            as_eve()
                .args(["send-batch", "--keep-streams"])
                .stdin(line)
                .spawn()
                .wait()
        }
        "consume" => {
            three(server);
            grant(server, words);
            let run = as_eve().args(["consume", "s", "-g", "g", "--block", "1h"]);
            let mut running = run.spawn();
            running.line();
            running.line();
            if words.iter().any(|word| word == "+client|unblock") {
                server.wait_blocked();
            }
            running.signal(Signal::TERM);
            running.wait()
        }
        "consume in a group, after a lost connection" => {
            let late = Fate::LateAt(b"XREADGROUP", End::Fin, LATER, ServerSide::Open);
            consume(server, words, vec![late], &["--block", "100ms"])
        }
        "consume in a group" => consume(server, words, vec![Fate::Unanswered(b"XINFO", End::Fin)], &[]),
        "consume in a group — handing back" => {
            let cut = vec![Fate::Unanswered(b"XINFO", End::Fin)];
            consume(server, words, cut, &["--", "false"])
        }
        "consume in a group — --dead-letter" => {
            let cut = vec![Fate::Unanswered(b"XINFO", End::Fin)];
            let letters = ["--max-deliveries", "1", "--dead-letter", "dl", "--", "false"];
            consume(server, words, cut, &letters)
        }
        "subscribe --json, where the group stands" => {
            three(server);
            grant(server, words);
            as_eve().args(["subscribe", "s", "-g", "new", "--json"]).spawn().wait()
        }
        "consume in a group --exclusive" => {
            three(server);
            grant(server, words);
            let run = as_eve().args(["consume", "s", "-g", "g", "-n", "3", "--exclusive"]);
            run.spawn().wait()
        }
        "consume in a group, --delete" | "ack --delete" => {
            three(server);
            grant(server, words);
            let run = match label {
                "ack --delete" => ["ack", "s", "-g", "g", "--delete", "1-0"].as_slice(),
                _ => &["consume", "s", "-g", "g", "-e", "--delete"],
            };
            as_eve().args(run).spawn().wait()
        }
        "unsubscribe, the ledger" | "unsubscribe --consumer, handing back" => {
            three(server);
            server.cli(["ZADD", "stream:s:group:g:processed", "1", "1-0"]);
            grant(server, words);
            let consumer = ["-c", "dead"].iter().filter(|_| label.contains("--consumer"));
            let run = as_eve().args(["unsubscribe", "s", "-g", "g", "--force"]).args(consumer);
            run.spawn().wait()
        }
        "nack" | "nack — --dead-letter" => {
            three(server);
            grant(server, words);
            let letters = ["--dead-letter", "dl", "--reason", "r"];
            let letters = letters.iter().filter(|_| label.contains("--dead-letter"));
            as_eve()
                .args(["nack", "s", "-g", "g", "1-0"])
                .args(letters)
                .spawn()
                .wait()
        }
        "nack, after a lost connection" => {
            three(server);
            grant(server, words);
            let late = Fate::LateAt(b"XPENDING", End::Fin, LATER, ServerSide::Open);
            let proxy = Proxy::start(server.socket(), [late]);
            let nack = ["-u", &proxy.url(), "nack", "s", "-g", "g", "1-0"];
            let output = as_eve().args(nack).spawn().wait();
            proxy.settle();
            output
        }
        "redrive" => {
            letter(server);
            grant(server, words);
            // Not before: the turn must not be over as the redrive begins.
            server.cli(["SET", "redis-streamer:redrive:{dl}:dl", "somebody", "PX", "5000"]);
            as_eve().args(["redrive", "dl"]).spawn().wait()
        }
        "any, on keys of several slots" => {
            three(server);
            grant(server, words);
            let args = "consume s -g g -e --max-deliveries 1 --dead-letter dl -- true";
            as_eve().args(args.split(' ')).spawn().wait()
        }
        "any, through sentinels" => {
            three(server);
            grant(server, words);
            let all = Sentinels::options().replicas(0).sentinels(1, Server::options()).start();
            let sentinel = &all.sentinels()[0];
            sentinel.cli([
                "SENTINEL",
                "MONITOR",
                "eves",
                "127.0.0.1",
                &server.port().to_string(),
                "1",
            ]);
            let url = format!("redis+sentinel://127.0.0.1:{}/eves", sentinel.port());
            let ack = ["-u", &url, "ack", "s", "-g", "g", "1-0"];
            as_eve().args(ack).spawn().wait()
        }
        "any, with --wait" => {
            three(server);
            grant(server, words);
            as_eve()
                .args(["--wait", "5s", "ack", "s", "-g", "g", "1-0"])
                .spawn()
                .wait()
        }
        "pending" => {
            three(server);
            server.cli(["XGROUP", "CREATE", "s", "new", "2-0"]);
            grant(server, words);
            as_eve().args(["pending", "s", "--max-pending", "9"]).spawn().wait()
        }
        NOT_THERE => {
            three(server);
            server.cli(["DEL", "s"]);
            grant(server, words);
            as_eve().args(["consume", "s", "-g", "g"]).spawn().wait()
        }
        label => panic!("nothing uses {label}"),
    }
}

#[test]
fn what_is_used_if_it_is_allowed_can_be_done_without() {
    let server = Server::options().tcp4().start();
    input(&server);
    let needed = [
        rights(&[
            "send-batch",
            MEMBER,
            AS_OF_NOW,
            DEAD_LETTER,
            "consume in a group — --exclusive",
            "consume in a group — --delete",
            "ack",
            "nack",
            "nack — --dead-letter",
            "redrive",
            "redrive — another one is at work, or was killed",
            "subscribe",
            "unsubscribe",
            "pending STREAM",
        ]),
        extras("send-batch"),
        extras(MEMBER),
        extras("ack"),
        extras("nack"),
        extras("redrive"),
        extras("unsubscribe"),
        extras("pending"),
        extras(NOT_THERE),
    ];
    let all = needed.concat();
    for row in optional() {
        let expected = use_row(&server, &row.label, &all);
        let mut beyond = denied(&server);
        beyond.retain(|denied| !(row.label.ends_with("without CLIENT") && denied.starts_with("client")));
        assert_eq!(beyond, [].into(), "{}", row.label);
        for word in row.words.iter().map(|word| filled(word)) {
            if !is_known(&server, &word) {
                continue;
            }
            let output = use_row(&server, &row.label, &without(&all, &word));
            let denied = denied(&server);
            assert!(
                denied.iter().any(|denied| is_denied(&word, denied)),
                "{}, {word}: {denied:?}",
                row.label
            );
            if row.label == MARKER || row.label.starts_with(LATE) {
                // Lines are in doubt, or in twice.
                let stderr = output.stderr();
                assert!(
                    output.status == 0 || stderr.contains("input.jsonl:"),
                    "{}, {word}: {stderr}",
                    row.label
                );
            } else {
                assert_eq!(
                    output.status,
                    expected.status,
                    "{}, {word}: {}",
                    row.label,
                    output.stderr()
                );
                let is_shown_otherwise = row.label == "pending" || row.label.starts_with("subscribe --json");
                assert!(
                    is_shown_otherwise || output.stdout() == expected.stdout(),
                    "{}, {word}: {}",
                    row.label,
                    output.stdout()
                );
            }
        }
    }
}

fn is_denied(word: &str, denied: &str) -> bool {
    match word.strip_suffix('*') {
        Some(pattern) => denied.starts_with(pattern),
        None => is_for(word, denied),
    }
}

/// Whether this server has the command.
fn is_known(server: &Server, word: &str) -> bool {
    let Some(command) = word.strip_prefix('+') else {
        return true;
    };
    let command = command.split('|').next().unwrap();
    server.cli(["COMMAND", "INFO", command]).trim() != ""
}

/// The run that takes up an earlier one asks for nothing else.
#[test]
fn a_checkpoint_is_taken_up_with_the_same_rights() {
    let server = Server::start();
    input(&server);
    let words = rights(&["send-batch", MARKER, SENT_IDS]);
    for words in [words.clone(), [words, extras("send-batch")].concat()] {
        server.cli(["FLUSHALL"]);
        let _ = std::fs::remove_file(server.work().join("c"));
        grant(&server, &words);
        let proxy = Proxy::start(server.socket(), [Fate::Landed(60_000, End::Fin)]);
        let resumable = || {
            let run = Test::new(&server).args(["--user", "eve", "send-batch", "s", "input.jsonl"]);
            run.args(["--checkpoint", "c", "--reconnect-for", "0s"])
        };
        resumable().args(["-u", &proxy.url()]).status(3).stderr_any().run();
        resumable().stderr_any().run();
        assert_eq!(server.bodies("s").len(), 3000);
        super::losses::assert_listed(&server, "send-batch");
    }
}
