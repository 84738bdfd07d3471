//! One sending: drawn, carried out across faults, and handed over to be checked.

use super::check;
use super::input::{Format, Input};
use super::world::{Fault, Others, Over, Weather, calm, fates};
use super::{Counts, Verdict, add};
use crate::faults::history;
use crate::harness::{Dice, Entry, Fields, Output, Proxy, Server, Signal, Test};
use std::collections::HashSet;
use std::panic::resume_unwind;
use std::time::Duration;

/// What becomes of bad lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnBad {
    Stop,
    Skip,
    Rejects,
}

/// All that was drawn.
#[derive(Debug, Clone)]
pub struct Config {
    pub format: Format,
    pub lines: usize,
    /// How many different lines there are.
    pub distinct: usize,
    /// One line in so many is bad.
    pub bad_in: Option<usize>,
    pub on_bad: OnBad,
    pub maxlen: Option<usize>,
    pub receipts: bool,
    pub ids: bool,
    pub checkpoint: bool,
    pub from_stdin: bool,
    pub rate: Option<usize>,
    /// Runs once more when all is done.
    pub again: bool,
    /// When, and how, the program is ended from outside.
    pub ends: Vec<(Duration, Signal)>,
    pub others: Others,
    pub cuts: usize,
    pub weather: Weather,
    /// The replica becomes the master after this time.
    pub failover: Option<Duration>,
}

/// What came of it.
pub struct Outcome<'a> {
    pub config: &'a Config,
    pub input: &'a Input,
    pub server: &'a Server,
    /// What this producer added, in order.
    pub ours: Vec<Entry>,
    /// What anybody added.
    pub all: &'a [Entry],
    /// What is in the stream in the end.
    pub present: HashSet<String>,
    /// How each run of the program ended.
    pub outputs: Vec<Output>,
    /// The last was ended from outside, and there is no checkpoint to go on from.
    pub is_unfinished: bool,
}

impl Config {
    fn draw(dice: &mut Dice) -> Self {
        let format = dice.pick(&[
            Format::Bodies,
            Format::Bodies,
            Format::Messages,
            Format::KeptIds,
            Format::Text,
            Format::Csv,
        ]);
        let lines = dice.pick(&[100, 400, 1500, 4000, 8000]);
        let failover = dice.one_in(12).then(|| dice.millis(5, 300));
        let checkpoint = dice.one_in(2);
        let may_end = checkpoint || dice.one_in(5);
        let ends = if may_end { dice.between(0, 4) } else { 0 };
        // A run of which nothing is left in the end cannot go on.
        let ends = if checkpoint { ends } else { ends.min(1) };
        Self {
            format,
            lines,
            distinct: dice.pick(&[lines, lines, 1, 3, 50]).min(lines),
            bad_in: (format.has_bad_lines() && dice.one_in(3)).then(|| dice.pick(&[10, 50, 400])),
            on_bad: dice.pick(&[OnBad::Skip, OnBad::Rejects, OnBad::Rejects, OnBad::Stop]),
            maxlen: dice.one_in(4).then(|| dice.between(10, 500)),
            receipts: failover.is_none() && dice.one_in(2),
            // What is printed cannot be taken back.
            ids: dice.one_in(4) && failover.is_none(),
            checkpoint,
            from_stdin: failover.is_none() && dice.one_in(4),
            // So slow that the whole takes a second at most.
            rate: dice.one_in(2).then(|| lines * dice.between(1, 6)),
            again: dice.one_in(3),
            ends: (0..ends)
                .map(|_| {
                    (
                        dice.millis(5, 400),
                        dice.pick(&[Signal::KILL, Signal::KILL, Signal::TERM]),
                    )
                })
                .collect(),
            others: Others::draw(dice, format != Format::KeptIds),
            cuts: dice.pick(&[0, 1, 1, 2, 4, 8]),
            weather: Weather::draw(dice),
            failover,
        }
        .possible()
    }

    /// Without what cannot be together.
    fn possible(mut self) -> Self {
        if self.format == Format::KeptIds && self.on_bad == OnBad::Stop {
            // Which of the lines behind a refused one were on their way is not laid down.
            self.on_bad = OnBad::Skip;
        }
        if self.format == Format::KeptIds {
            // Whether an ID was refused or its entry deleted, nobody can know where the answer was lost.
            self.maxlen = None;
            self.others.trim = false;
            self.others.delete = false;
        }
        if self.failover.is_some() {
            // The one fault of servers. What was written of lines that it loses is not laid down.
            self.weather.faults.clear();
            self.bad_in = None;
        }
        self
    }

    fn command(&self, server: &Server, url: &str, input: &Input) -> Test {
        let mut test = Test::new(server)
            .args(["send-batch", "s", "--wait", "20s", "-u", url])
            .args(self.format.args());
        let mut option = |option: &str, value: Option<String>| {
            test = std::mem::replace(&mut test, Test::without_server())
                .arg(option)
                .args(value);
        };
        if self.from_stdin {
            option("-", None);
        } else {
            option(check::INPUT, None);
        }
        match self.on_bad {
            OnBad::Stop => {}
            OnBad::Skip => option("--on-reject", Some("skip".to_owned())),
            OnBad::Rejects => option("--rejects", Some(check::REJECTS.to_owned())),
        }
        if let Some(most) = self.maxlen {
            option("--maxlen", Some(most.to_string()));
        }
        if let Some(rate) = self.rate {
            option("--rate", Some(rate.to_string()));
        }
        if self.receipts {
            option("--receipts", Some(check::RECEIPTS.to_owned()));
        }
        if self.checkpoint {
            option("--checkpoint", Some("checkpoint".to_owned()));
        }
        if self.ids {
            option("--ids", None);
        }
        if self.from_stdin {
            test.stdin(input.text())
        } else {
            test
        }
    }

    /// Runs the program until it ends by itself, or no checkpoint tells how to go on.
    fn send(&self, test: impl Fn() -> Test, dice: &mut Dice, counts: &Counts) -> (Vec<Output>, bool) {
        let mut outputs = Vec::new();
        for (time, signal) in &self.ends {
            let mut sending = test().spawn();
            let ended = sending.end_within(*time, *signal);
            outputs.push(sending.wait());
            if !ended || ![137, 143].contains(&outputs.last().unwrap().status) {
                return (outputs, false);
            }
            add(&counts.kills, 1);
            if !self.checkpoint {
                return (outputs, true);
            }
            std::thread::sleep(dice.millis(0, 50));
        }
        outputs.push(test().spawn().wait());
        (outputs, false)
    }
}

/// The servers of a run, and the way to them.
struct Setting {
    server: Server,
    replica: Option<Server>,
    proxy: Proxy,
}

impl Setting {
    fn start(config: &Config, input: &Input, dice: &mut Dice) -> Self {
        let durable = || {
            Server::options()
                .append_only()
                .setting("auto-aof-rewrite-percentage", "0")
                .setting("aof-use-rdb-preamble", "no")
        };
        let server = match config.failover {
            Some(_) => durable().tcp4().start(),
            None => durable().start(),
        };
        let replica = config.failover.map(|_| {
            let replica = durable().replica_of(&server).start();
            replica.wait_in_sync(&server);
            replica.wait_rewritten();
            replica
        });
        server.file(check::INPUT, input.text());
        let bytes = input.text().len();
        let fates = fates(dice.fork(), config.cuts, bytes * 2 + 500, config.lines * 25 + 500);
        let proxy = Proxy::start(server.socket(), fates);
        Self { server, replica, proxy }
    }

    /// The replica takes the master's place.
    fn fail_over(&self, after: Duration, over: &Over, counts: &Counts) {
        let Some(replica) = &self.replica else {
            return;
        };
        if !over.wait(after) {
            self.server.kill9();
            replica.promote();
            self.proxy.turn_to(replica.socket());
            add(&counts.server_faults, 1);
        }
    }

    /// The server that counts in the end.
    fn last(&self) -> &Server {
        match &self.replica {
            Some(replica) if self.server.is_down() => replica,
            _ => &self.server,
        }
    }
}

pub fn run(seed: u64, counts: &Counts) -> Verdict {
    let mut dice = Dice::seeded(seed);
    let config = Config::draw(&mut dice);
    let on_bad = config.bad_in.filter(|_| config.format.has_bad_lines());
    let input = Input::draw(config.format, config.lines, config.distinct, on_bad, &mut dice);
    super::carry_out(seed, &config, || carry_out(&config, &input, &mut dice, counts))
}

fn carry_out(config: &Config, input: &Input, dice: &mut Dice, counts: &Counts) -> Verdict {
    let setting = Setting::start(config, input, dice);
    let server = &setting.server;
    let url = setting.proxy.url();
    let over = Over::default();
    let theirs: Vec<Fields> = input.good().iter().filter_map(|line| line.fields.clone()).collect();
    let (mut weather_dice, mut others_dice) = (dice.fork(), dice.fork());
    let (outputs, is_unfinished) = std::thread::scope(|scope| {
        let _end = over.at_end();
        let blowing = scope.spawn(|| match config.failover {
            Some(after) => setting.fail_over(after, &over, counts),
            None => config.weather.blow(server, &mut weather_dice, &over, counts),
        });
        scope.spawn(|| config.others.work(server, &theirs, &mut others_dice, &over, counts));
        let sent = config.send(|| config.command(server, &url, input), dice, counts);
        drop(over.at_end());
        blowing.join().unwrap_or_else(|panic| resume_unwind(panic));
        sent
    });
    let server = setting.last();
    calm(server, &[&setting.proxy]);
    add(&counts.lines, config.lines);
    add(&counts.cuts, setting.proxy.cuts());
    let all = history::additions(server, "s");
    let others = Others::ids(server);
    let outcome = Outcome {
        config,
        input,
        server: &setting.server,
        ours: all
            .iter()
            .filter(|added| !others.contains(&added.id))
            .cloned()
            .collect(),
        all: &all,
        present: server.ids("s").into_iter().collect(),
        outputs,
        is_unfinished,
    };
    let is_complete = check::check(&outcome, counts)?;
    if config.checkpoint && config.again && is_complete {
        let status = outcome.outputs.last().unwrap().status;
        let again = config.command(&setting.server, &server.url(), input).spawn().wait();
        check::nothing_changed(&outcome, status, &again, &history::additions(server, "s"))?;
    }
    Ok(())
}

impl Config {
    /// Whether the server may take later lines before earlier ones, so that the sending has to give up.
    pub fn may_lose_order(&self) -> bool {
        self.weather.has(Fault::OutOfMemory)
    }
}
