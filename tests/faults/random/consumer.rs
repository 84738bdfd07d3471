//! Three consumers of one group: drawn, killed, cut off, told to end and started again, and held against the promises.

use super::world::{Over, Weather, calm, fates};
use super::{Counts, Verdict, add};
use crate::faults::{GROUP, NOTE, consume, counted, dead_ids, handled, ids, is_delivered};
use crate::harness::{DEADLINE, Dice, Output, Proxy, Running, Server, Signal, Test};
use std::collections::HashSet;
use std::panic::resume_unwind;
use std::time::{Duration, Instant};

/// What is done with messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    Printing,
    Dedup,
    Handlers,
    /// One message in seven fails for ever, and becomes a dead letter.
    DeadLetters,
}

#[derive(Debug)]
struct Config {
    mode: Mode,
    messages: usize,
    count: usize,
    jobs: usize,
    /// How consumers are ended from outside.
    ends: Vec<Signal>,
    /// So long that nobody claims from a consumer that lives, or shorter than some troubles last.
    claim_idle: Duration,
    cuts: usize,
    weather: Weather,
    /// Others delete one entry in so many, after it was delivered or before.
    deleted_in: Option<usize>,
}

const LONG: Duration = Duration::from_secs(4);

impl Config {
    fn draw(dice: &mut Dice) -> Self {
        let mode = dice.pick(&[Mode::Printing, Mode::Dedup, Mode::Handlers, Mode::DeadLetters]);
        let signals = dice.pick(&[[Signal::TERM, Signal::TERM], [Signal::KILL, Signal::TERM]]);
        Self {
            mode,
            messages: match mode {
                Mode::Printing | Mode::Dedup => dice.pick(&[50, 500, 3000]),
                Mode::Handlers | Mode::DeadLetters => dice.pick(&[20, 60, 120]),
            },
            count: dice.pick(&[1, 7, 50]),
            jobs: dice.pick(&[1, 2, 4]),
            ends: (0..dice.between(0, 6)).map(|_| dice.pick(&signals)).collect(),
            claim_idle: match mode {
                // A late transaction of a dead consumer must not meet that of who claimed its message.
                Mode::DeadLetters => LONG,
                _ => dice.pick(&[LONG, Duration::from_millis(300)]),
            },
            cuts: dice.pick(&[0, 1, 2, 4]),
            weather: Weather::draw(dice),
            deleted_in: dice.one_in(3).then(|| dice.pick(&[5, 20])),
        }
    }

    /// At least once: what a consumer did that was killed, or was away for longer than others wait, is done again.
    fn may_repeat(&self) -> bool {
        self.mode != Mode::Dedup && (self.ends.contains(&Signal::KILL) || self.claim_idle < LONG)
    }

    fn command(&self, server: &Server, url: &str) -> Test {
        let test = consume(server).args(["-q", "--wait", "15s", "--block", "100ms", "-u", url]);
        let idle = format!("{}ms", self.claim_idle.as_millis());
        let test = test.args(["--claim-idle", &idle]);
        self.work(match self.mode {
            Mode::Printing | Mode::Dedup => test.args(["--count", &self.count.to_string()]),
            Mode::Handlers | Mode::DeadLetters => test,
        })
    }

    /// What all consumers do alike, the one that cleans up too.
    fn work(&self, test: Test) -> Test {
        let jobs = self.jobs.to_string();
        match self.mode {
            Mode::Printing => test,
            Mode::Dedup => test.arg("--dedup"),
            Mode::Handlers => test.args(["--jobs", &jobs, "--"]).args(["sh", "-c", NOTE]),
            Mode::DeadLetters => test
                .args(["--jobs", &jobs, "--retry-delay", "10ms"])
                .args(["--max-deliveries", "3", "--dead-letter", "dead", "--"])
                .args(["sh", "-c", FAILING]),
        }
    }
}

/// Whether a message fails for ever.
fn fails(id: &str) -> bool {
    id.trim_end_matches("-0").parse::<usize>().unwrap() % 7 == 0
}

const FAILING: &str = "[ $(( ${REDIS_STREAMER_ID%-*} % 7 )) -ne 0 ] && echo $REDIS_STREAMER_ID >> handled";

/// A place for a consumer, each with a way of its own to the server.
struct Place {
    proxy: Proxy,
    running: Running,
}

pub fn run(seed: u64, counts: &Counts) -> Verdict {
    let mut dice = Dice::seeded(seed);
    let config = Config::draw(&mut dice);
    super::carry_out(seed, &config, || carry_out(&config, &mut dice, counts))
}

fn carry_out(config: &Config, dice: &mut Dice, counts: &Counts) -> Verdict {
    let server = crate::faults::orders(config.messages);
    let (requests, replies) = (config.messages * 40 + 1000, config.messages * 60 + 1000);
    let mut places: Vec<Place> = (0..3)
        .map(|_| {
            let proxy = Proxy::start(server.socket(), fates(dice.fork(), config.cuts, requests, replies));
            let running = config.command(&server, &proxy.url()).spawn();
            Place { proxy, running }
        })
        .collect();
    let over = Over::default();
    let (mut weather_dice, mut deleting_dice) = (dice.fork(), dice.fork());
    let mut printed = Vec::new();
    let deleted: Result<_, String> = std::thread::scope(|scope| {
        let _end = over.at_end();
        let blowing = scope.spawn(|| config.weather.blow(&server, &mut weather_dice, &over, counts));
        let deleting = scope.spawn(|| delete(config, &server, &mut deleting_dice, &over, counts));
        let ended = end_some(config, &server, &mut places, dice, counts, &mut printed);
        blowing.join().unwrap_or_else(|panic| resume_unwind(panic));
        let settled = ended.and_then(|()| wait_delivered(&server, &mut places));
        drop(over.at_end());
        settled.map(|()| deleting.join().unwrap())
    });
    let deleted = deleted.map_err(|violation| violation + &server.crash())?;
    for place in &mut places {
        printed.extend(finish(place)?);
        add(&counts.cuts, place.proxy.cuts());
    }
    calm(&server, &places.iter().map(|place| &place.proxy).collect::<Vec<_>>());
    printed.extend(clean_up(config, &server)?);
    add(&counts.messages, config.messages);
    check(config, &server, &printed, &deleted)
}

/// Ends consumers and starts others in their place.
fn end_some(
    config: &Config,
    server: &Server,
    places: &mut [Place],
    dice: &mut Dice,
    counts: &Counts,
    printed: &mut Vec<String>,
) -> Verdict {
    for signal in &config.ends {
        let place = &mut places[dice.between(0, 3)];
        if !place.running.end_within(dice.millis(5, 300), *signal) {
            return Err(by_itself(&place.running.wait()));
        }
        printed.extend(ended(&mut place.running, *signal)?);
        add(&counts.kills, 1);
        place.running = config.command(server, &place.proxy.url()).spawn();
    }
    Ok(())
}

fn by_itself(output: &Output) -> String {
    format!(
        "a consumer ended by itself, status {}: {}",
        output.status,
        output.stderr()
    )
}

/// Waits until the group was given everything, and the consumers have had time to work on it.
fn wait_delivered(server: &Server, places: &mut [Place]) -> Verdict {
    let begun = Instant::now();
    while !is_delivered(server) {
        if let Some(place) = places
            .iter_mut()
            .find_map(|place| place.running.has_ended().then_some(place))
        {
            return Err(by_itself(&place.running.wait()));
        }
        if begun.elapsed() > DEADLINE {
            return Err("messages are there, and no consumer reads them".to_owned());
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    Ok(())
}

/// Tells a consumer to end; returns what it printed.
fn finish(place: &mut Place) -> Result<Vec<String>, String> {
    if place.running.has_ended() {
        return Err(by_itself(&place.running.wait()));
    }
    place.running.signal(Signal::TERM);
    ended(&mut place.running, Signal::TERM)
}

/// Waits for the end of a consumer that was sent a signal; returns what it printed.
fn ended(running: &mut Running, signal: Signal) -> Result<Vec<String>, String> {
    let output = running.wait();
    match output.status == 128 + signal.as_raw() {
        true => Ok(ids(&output)),
        false => Err(format!(
            "sent {signal:?}, a consumer ended with {}: {}",
            output.status,
            output.stderr()
        )),
    }
}

/// Deletes entries here and there; returns their IDs.
fn delete(config: &Config, server: &Server, dice: &mut Dice, over: &Over, counts: &Counts) -> HashSet<String> {
    let mut deleted = HashSet::new();
    let Some(cases) = config.deleted_in else {
        return deleted;
    };
    for _ in 0..config.messages / cases {
        if over.wait(dice.millis(0, 10)) {
            break;
        }
        let id = format!("{}-0", dice.between(1, config.messages + 1));
        // What is not answered may have happened.
        let gone = server.try_command(["XDEL", "orders", &id]);
        if gone != Ok(redis::Value::Int(0)) {
            add(&counts.others, 1);
            deleted.insert(id);
        }
    }
    deleted
}

/// Runs one consumer more until nothing is pending; it must not say that all is done before.
fn clean_up(config: &Config, server: &Server) -> Result<Vec<String>, String> {
    let mut printed = Vec::new();
    let begun = Instant::now();
    while begun.elapsed() < DEADLINE {
        let test = consume(server).args(["-e", "-q", "--claim-idle", "1ms"]);
        let output = config.work(test).spawn().wait();
        printed.extend(ids(&output));
        let pending = server.pending("orders", GROUP);
        match output.status {
            0 | 1 if pending.is_empty() => return Ok(printed),
            // Dead letters make it 1.
            0 if pending
                .iter()
                .any(|id| !server.cli(["XRANGE", "orders", id, id]).is_empty()) =>
            {
                return Err(format!(
                    "exit code 0 with {} messages pending: {}",
                    pending.len(),
                    output.stderr()
                ));
            }
            0 | 1 => {}
            status => return Err(format!("the last consumer ended with {status}: {}", output.stderr())),
        }
    }
    Err(format!("still pending: {:?}", server.pending("orders", GROUP)))
}

fn check(config: &Config, server: &Server, printed: &[String], deleted: &HashSet<String>) -> Verdict {
    let mut processed = handled(server);
    processed.extend_from_slice(printed);
    let dead = dead_ids(server, "dead");
    let twice = |ids: &[String]| counted(ids).into_iter().find(|(_, times)| *times > 1);
    if let Some((id, times)) = twice(&dead) {
        return Err(format!("{id} became {times} dead letters"));
    }
    if let Some(id) = dead.iter().find(|id| !fails(id)) {
        return Err(format!("{id} became a dead letter and never failed"));
    }
    if let Some((id, times)) = twice(&processed)
        && !config.may_repeat()
    {
        return Err(format!("{id} was processed {times} times"));
    }
    if config.mode == Mode::Dedup {
        return Ok(());
    }
    let done: HashSet<&String> = processed.iter().chain(&dead).collect();
    let lost: Vec<_> = (1..=config.messages)
        .map(|n| format!("{n}-0"))
        .filter(|id| !done.contains(id) && !deleted.contains(id))
        .collect();
    match lost.first() {
        None => Ok(()),
        Some(first) => Err(format!("{} messages never processed, the first {first}", lost.len())),
    }
}
