//! The examples that open the long help of each command, run as they stand.

use crate::contract::COMMANDS;
use crate::harness::{Home, Server, Test};

/// What the examples take for granted: files, programs, and a group with a message delivered and one to come.
const BEFOREHAND: &str = r#"
echo '{"users":[{"id":1,"name":"Zoë"}]}' > f.json
printf 'id,name\n1,Zoë\n' > users.csv
printf '{"name":"order.placed","body":{"order":"A-%s"}}\n' 3 4 > big.jsonl
printf '#!/bin/sh\ncat > /dev/null\n' > bill && chmod +x bill
worker() { cat; }
printf '[profiles.prod]\nlistener = "billing"\n' > profiles.toml
export REDIS_STREAMER_CONFIG=$PWD/profiles.toml

command redis-streamer -q subscribe orders -l billing --from beginning
command redis-streamer -q subscribe orders returns -l audit
command redis-streamer send orders --name order.placed '{"order":"A-1"}' --id 1700000000000-0 > /dev/null
command redis-streamer consume orders -l billing -c till-1 --ack manual -e > done.jsonl
command redis-streamer send orders --name order.placed '{"order":"A-2"}' > /dev/null
command redis-streamer send orders:dead --name order.placed '{"order":"A-0"}' -f dead-stream=orders > /dev/null

# What would go on ends once all is printed.
redis-streamer() {
    case " $* " in
    ' consume '*' -e '*) command redis-streamer "$@" ;;
    ' consume '*) shift && command redis-streamer consume -e "$@" ;;
    *) command redis-streamer "$@" ;;
    esac
}
"#;

/// These write into the directories of the system.
const NOT_RUN: [&str; 2] = ["completions", "man"];

#[test]
fn examples_of_every_command_run_as_they_stand() {
    for command in COMMANDS.iter().filter(|command| !NOT_RUN.contains(command)) {
        let examples = examples(&[command, "--help"]);
        assert!((2..=3).contains(&examples.len()), "{command}: {examples:?}");
        examples.iter().for_each(|example| run(example));
    }
    examples(&["--help"]).iter().for_each(|example| run(example));
}

fn run(example: &str) {
    let (server, home) = (Server::start(), Home::new());
    let script = format!("set -euo pipefail\n{BEFOREHAND}\n{example}");
    home.of(Test::shell(&server, &script)).stdout_any().stderr_any().run();
}

/// The examples of a help, each with the lines that continue it.
fn examples(args: &[&str]) -> Vec<String> {
    let help = Test::without_server().args(args).stdout_any().run().stdout();
    let (_, examples) = help.split_once("Examples:\n").unwrap();
    let (examples, _) = examples.split_once("\n\n").unwrap();
    let mut whole: Vec<String> = Vec::new();
    for line in examples.lines() {
        match whole.last_mut() {
            Some(example) if example.ends_with(['\\', '|']) => *example += &format!("\n{line}"),
            _ => whole.push(line.to_owned()),
        }
    }
    whole
}
