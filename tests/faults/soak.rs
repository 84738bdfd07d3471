//! The long form, run by `scripts/soak`: everything at once, for a while.
#![allow(clippy::print_stdout, reason = "the report")]

use super::{consume_from, dead_ids, ids, whole_lines};
use crate::harness::{Dice, Output, Running, Server, Signal, Test, wait_until};
use std::collections::HashMap;
use std::time::{Duration, Instant};

/// How many messages go through the stream.
const COUNT: usize = 100_000;
/// How many input files they are in, each sent with a checkpoint of its own.
const PARTS: usize = 20;
/// The name of every stream's group is that of its listener.
const LISTENERS: [&str; 3] = ["printing", "dedup", "handlers"];
/// Handlers run a process each: they get one message in so many.
const HANDLED: usize = 40;

/// What was done, for the report.
#[derive(Default, Debug)]
struct Kills {
    servers: usize,
    consumers: usize,
    producers: usize,
}

/// A consumer that is killed and started again.
struct Slot {
    mode: usize,
    running: Running,
}

fn group(mode: usize) -> (&'static str, String) {
    let stream = if mode == 2 { "few" } else { "orders" };
    (stream, format!("{stream}:{}:cg", LISTENERS[mode]))
}

fn start(server: &Server, mode: usize) -> Running {
    let (stream, _) = group(mode);
    let test = consume_from(server, stream, LISTENERS[mode]).args([
        "--claim-idle",
        "300ms",
        "--block",
        "100ms",
        "-q",
        "--wait",
        "15s",
    ]);
    match mode {
        0 => test.args(["--count", "50"]),
        1 => test.args(["--count", "50", "--dedup"]),
        _ => test.args([
            "--jobs",
            "4",
            "--retry-delay",
            "10ms",
            "--max-deliveries",
            "50",
            "--dead-letter",
            "dead",
            "--",
            "sh",
            "-c",
            // One try in eleven fails.
            "[ $(( (${REDIS_STREAMER_ID#*-} + $$) % 11 )) -ne 0 ] || exit 1; echo $REDIS_STREAMER_ID",
        ]),
    }
    .spawn()
}

/// The IDs of the whole lines that a consumer printed, or its handlers.
fn processed(mode: usize, output: &Output) -> Vec<String> {
    match mode {
        2 => whole_lines(output).map(str::to_owned).collect(),
        _ => ids(output),
    }
}

/// Sends a file, killed and resumed until it is in the stream; says how often it was killed.
fn send(server: &Server, (stream, part): (&str, usize), dice: &mut Dice) -> usize {
    let file = format!("{stream}-{part}.jsonl");
    let mut kills = 0;
    loop {
        let mut sending = Test::new(server)
            .args(["send-batch", stream, &file, "--name", "n", "-q", "--wait", "15s"])
            .args(["--checkpoint", &format!("{file}.checkpoint")])
            .spawn();
        let patience = Duration::from_millis(dice.between(5, 60) as u64);
        let begun = Instant::now();
        while kills < 2 && super::runs(&sending.pid().to_string()) && begun.elapsed() < patience {
            std::thread::sleep(Duration::from_millis(1));
        }
        if kills < 2 && super::runs(&sending.pid().to_string()) {
            sending.kill9_alone();
            kills += 1;
            continue;
        }
        let output = sending.wait();
        match output.status {
            0 => return kills,
            // The server went away just as it began: worth another try.
            3 => {}
            status => panic!("{file}: status {status}: {}", output.stderr()),
        }
    }
}

/// Sends all parts over the time there is, with pauses; says how often a producer was killed.
fn produce(server: &Server, mut dice: Dice, until: Instant) -> usize {
    let mut kills = 0;
    for part in 0..PARTS {
        for stream in ["orders", "few"] {
            kills += send(server, (stream, part), &mut dice);
        }
        let left = until.saturating_duration_since(Instant::now());
        std::thread::sleep(left / (PARTS - part) as u32);
    }
    kills
}

fn write_input(server: &Server) -> HashMap<&'static str, Vec<String>> {
    let mut all = HashMap::new();
    for (stream, count) in [("orders", COUNT), ("few", COUNT / HANDLED)] {
        let bodies: Vec<String> = (1..=count).map(|n| format!("{{\"n\":{n}}}")).collect();
        for (part, lines) in bodies.chunks(count / PARTS).enumerate() {
            server.file(&format!("{stream}-{part}.jsonl"), lines.join("\n") + "\n");
        }
        all.insert(stream, bodies);
    }
    all
}

/// Kills consumers, connections and the server by turns until the time is up.
fn wreak(server: &Server, slots: &mut [Slot], dice: &mut Dice, until: Instant, done: &mut [Vec<String>; 3]) -> Kills {
    let mut kills = Kills::default();
    while Instant::now() < until {
        std::thread::sleep(Duration::from_millis(dice.between(100, 500) as u64));
        match dice.between(0, 10) {
            0..3 => {
                server.kill9();
                server.restart();
                kills.servers += 1;
            }
            3 => drop(server.cli(["CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"])),
            4 => {
                server.pause();
                std::thread::sleep(Duration::from_millis(dice.between(1, 300) as u64));
                server.resume();
            }
            _ => {
                let slot = &mut slots[dice.between(0, 6)];
                let gently = dice.between(0, 4) == 0;
                if gently {
                    slot.running.signal(Signal::TERM);
                } else {
                    slot.running.signal(Signal::KILL);
                }
                let output = slot.running.wait();
                done[slot.mode].extend(processed(slot.mode, &output));
                kills.consumers += usize::from(!gently);
                slot.running = start(server, slot.mode);
            }
        }
    }
    kills
}

/// A promise about a group's messages, held against what was processed.
fn broken(mode: usize, ids: &[String], done: &[String]) -> Vec<String> {
    let counts = super::counted(done);
    let missing = ids.iter().filter(|id| !counts.contains_key(*id)).count();
    let repeated = done.len() - counts.len();
    println!(
        "{:9} {:6} messages, {:6} processed, {missing:4} never, {repeated:4} more than once",
        LISTENERS[mode],
        ids.len(),
        counts.len()
    );
    let mut broken = Vec::new();
    if mode != 1 && missing > 0 {
        broken.push(format!("{}: {missing} messages lost", LISTENERS[mode]));
    }
    if mode == 1 && repeated > 0 {
        broken.push(format!("dedup: {repeated} messages processed again"));
    }
    broken
}

#[test]
#[ignore = "takes a minute or more: scripts/soak runs it"]
fn soak() {
    let seconds = std::env::var("SOAK_SECONDS").map_or(60, |text| text.parse().unwrap());
    let mut dice = Dice::new();
    println!("seed {}, {seconds} seconds", dice.seed());
    let server = Server::options().append_only().start();
    let bodies = write_input(&server);
    for mode in 0..3 {
        let (stream, group) = group(mode);
        server.cli(["XGROUP", "CREATE", stream, &group, "0", "MKSTREAM"]);
    }
    let mut slots: Vec<Slot> = (0..6)
        .map(|n| Slot {
            mode: n % 3,
            running: start(&server, n % 3),
        })
        .collect();
    let mut done: [Vec<String>; 3] = Default::default();
    let until = Instant::now() + Duration::from_secs(seconds);
    let producers_dice = dice.fork();
    let kills = std::thread::scope(|scope| {
        let producing = scope.spawn(|| produce(&server, producers_dice, until - Duration::from_secs(seconds) / 10));
        let mut kills = wreak(&server, &mut slots, &mut dice, until, &mut done);
        kills.producers = producing.join().unwrap();
        kills
    });
    for slot in &mut slots {
        // One that the server left as it began has ended.
        if !super::runs(&slot.running.pid().to_string()) {
            done[slot.mode].extend(processed(slot.mode, &slot.running.wait()));
            slot.running = start(&server, slot.mode);
        }
    }
    for mode in 0..3 {
        let (stream, group) = group(mode);
        wait_until("everything to be settled", || server.is_settled(stream, &group));
    }
    for mut slot in slots {
        slot.running.signal(Signal::TERM);
        let output = slot.running.wait();
        assert!(
            [143, 1].contains(&output.status),
            "{}: {}",
            output.status,
            output.stderr()
        );
        done[slot.mode].extend(processed(slot.mode, &output));
    }
    println!(
        "{} servers, {} consumers, {} producers killed",
        kills.servers, kills.consumers, kills.producers
    );
    let mut failures = Vec::new();
    for (stream, bodies) in &bodies {
        if server.bodies(stream) != *bodies {
            failures.push(format!(
                "send-batch: {stream} does not equal the input: {} of {}",
                server.cli(["XLEN", stream]),
                bodies.len()
            ));
        }
    }
    done[2].extend(dead_ids(&server, "dead"));
    for (mode, done) in done.iter().enumerate() {
        failures.extend(broken(mode, &server.ids(group(mode).0), done));
    }
    assert!(failures.is_empty(), "promises broken:\n{}", failures.join("\n"));
    println!("every promise was kept");
}
