//! What a person sees, on terminals of several widths: made by real runs, and free of what a terminal would break.

use super::{assert_snapshot, without_pace};
use crate::contract::COMMANDS;
use crate::harness::{Screen, Server, Test, is_installed_or_left_out, wait_until};
use std::time::{Duration, SystemTime};

const WIDTHS: [u16; 4] = [60, 80, 120, 200];

/// What IDs begin with.
const SINCE: &str = "1700000000000";

/// The commands of a screen, one after the other, each with how it ends.
struct Shot<'a> {
    server: &'a Server,
    /// What is done before each, unseen: every width starts from the same.
    before: &'a str,
    commands: &'a [(&'a str, i32)],
    /// Names in tables are shortened where there is no room for them.
    shortens: bool,
}

impl Shot<'_> {
    /// The screens at all widths, each held to what always holds.
    #[track_caller]
    fn take(&self) -> Vec<(u16, String)> {
        let mut widest = String::new();
        let mut shots = Vec::new();
        for columns in WIDTHS.into_iter().rev() {
            let shot = self.at(columns);
            if widest.is_empty() {
                widest.clone_from(&shot);
            }
            self.check_words(columns, &shot, &widest);
            shots.push((columns, shot));
        }
        shots.reverse();
        self.check_pipes();
        shots
    }

    #[track_caller]
    fn prepare(&self) {
        if !self.before.is_empty() {
            let before = Test::shell(self.server, &format!("set -e; {}", self.before));
            before.stdout_any().stderr_any().run();
        }
    }

    #[track_caller]
    fn at(&self, columns: u16) -> String {
        self.prepare();
        let mut shot = String::new();
        for (command, status) in self.commands {
            let screen = Screen::of(self.server, columns, &format!("redis-streamer {command}"), *status);
            let plain = screen.plain();
            // A document is a line for programs, however long it is.
            let documents: Vec<_> = plain
                .split("\r\n")
                .filter(|line| line.starts_with(['{', '[']))
                .collect();
            let mut broken = screen.broken_lines();
            broken.retain(|row| !documents.iter().any(|line| line.contains(row)));
            assert_eq!(broken, [""; 0], "{command} on {columns} columns");
            let is_blank_behind = |line: &&str| line.ends_with(char::is_whitespace);
            let blank: Vec<_> = plain.split("\r\n").filter(is_blank_behind).collect();
            assert_eq!(blank, [""; 0], "{command} on {columns} columns");
            shot += format!("$ redis-streamer {command}").trim_end();
            shot.push('\n');
            shot.extend(screen.whole_lines().into_iter().map(|line| line + "\n"));
        }
        shot
    }

    /// No word is torn apart, and none is missing: they are those of the widest terminal. What is shortened says so.
    #[track_caller]
    fn check_words(&self, columns: u16, shot: &str, widest: &str) {
        let words = |text: &str| -> Vec<String> { steady(text).split_whitespace().map(str::to_owned).collect() };
        let (narrow, wide) = (words(shot), words(widest));
        let mut wide = wide.iter();
        let is_whole = narrow.iter().all(|word| match word.split_once('…') {
            // It may stand for several.
            Some((start, end)) if self.shortens => {
                let end = end.trim_end_matches([':', ',']);
                wide.next().is_some_and(|first| {
                    first.starts_with(start) && (is_end(first, end) || wide.any(|last| is_end(last, end)))
                })
            }
            _ => wide.next() == Some(word),
        });
        let is_whole = is_whole && wide.next().is_none();
        assert!(is_whole, "on {columns} columns:\n{shot}\non the widest:\n{widest}");
    }

    /// Where there is no terminal, nothing is there for one.
    #[track_caller]
    fn check_pipes(&self) {
        self.prepare();
        for (command, status) in self.commands {
            let script = format!("TERM=xterm-256color redis-streamer {command}");
            let run = Test::shell(self.server, &script).status(*status);
            let all = run.stdout_any().stderr_any().run().all();
            assert!(!all.contains(['\x1b', '\r']), "{command}: {all:?}");
        }
    }

    /// Holds the screens against the file of this name, with the IDs that begin so shown as others.
    #[track_caller]
    fn compare(&self, name: &str, since: &str) {
        let shots = self.take().into_iter();
        let text: String = shots
            .map(|(columns, shot)| format!("=== {columns} columns\n{}", steady(&shot)))
            .collect();
        assert_snapshot(&format!("screens/{name}"), &text.replace(since, SINCE));
    }
}

fn is_end(word: &str, end: &str) -> bool {
    word.trim_end_matches([':', ',']).ends_with(end)
}

/// The text less what differs from run to run: how long ago something was, in a column of figures, and how long it took.
fn steady(text: &str) -> String {
    let mut steady = String::new();
    for line in text.lines() {
        for word in without_pace(line).split_inclusive(' ') {
            let bare = word.trim_end_matches(' ');
            match steady.ends_with("  ") && is_duration(bare) {
                // It keeps its place.
                true => steady += &format!("{:>1$}{2}", '~', bare.len(), &word[bare.len()..]),
                false => steady += word,
            }
        }
        steady.push('\n');
    }
    steady
}

/// `49ms`, `1.5s`: as long as a test takes.
fn is_duration(word: &str) -> bool {
    let unit = word.trim_start_matches(|c: char| c.is_ascii_digit() || c == '.');
    unit.len() < word.len() && ["ms", "s"].contains(&unit)
}

fn can_be_taken() -> bool {
    ["script", "stty"].into_iter().all(is_installed_or_left_out)
}

#[test]
fn help_of_every_command() {
    if !can_be_taken() {
        return;
    }
    let server = Server::start();
    for command in COMMANDS.iter().chain(&[""]) {
        for help in ["-h", "--help"] {
            let command = format!("{command} {help}");
            let shots = Shot {
                server: &server,
                before: "",
                commands: &[(&command, 0)],
                shortens: false,
            };
            let shots = shots.take();
            // The same options, whatever the width, and from 80 columns on in one layout.
            let options = |(_, shot): &(u16, String)| -> Vec<Shown> {
                let (_, behind_usage) = shot.split_once("Usage: ").unwrap();
                behind_usage.lines().filter_map(shown).collect()
            };
            let names = |shot| options(shot).into_iter().map(|option| option.name).collect::<Vec<_>>();
            let [narrow, usual @ .., widest] = &shots[..] else {
                panic!("several widths");
            };
            assert_eq!(names(narrow), names(widest), "{command}");
            for shot in usual {
                assert_eq!(options(shot), options(widest), "{command} on {} columns", shot.0);
            }
        }
    }
}

/// An option in a help.
#[derive(Debug, PartialEq)]
struct Shown {
    name: String,
    /// Where its text begins, if that is on the same line.
    text: Option<usize>,
}

fn shown(line: &str) -> Option<Shown> {
    let option = line.trim_start();
    let indent = line.len() - option.len();
    let is_option = option.starts_with('-') && !option.starts_with("- ") && [2, 6].contains(&indent);
    let (name, text) = match option.split_once("  ") {
        Some((name, text)) => (name, Some(line.len() - text.trim_start().len())),
        None => (option, None),
    };
    is_option.then(|| Shown {
        name: name.to_owned(),
        text,
    })
}

/// A server that stays as it is, whenever the screens are taken, and what its IDs begin with.
fn filled() -> (Server, String) {
    let server = Server::start();
    let since = fill(&server);
    (server, since)
}

/// Fills a server so; what its IDs begin with.
fn fill(server: &Server) -> String {
    let hour = Duration::from_secs(3600);
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap() - 51 * hour / 2;
    let id = |number: u32| format!("{}-{number}", since.as_millis());
    for number in 1..=12 {
        server.add_message("orders", &id(number), "order.placed", "1");
    }
    server.add("orders:returns:from:all:over:the:world", &id(1), &[("k", "v")]);
    server.add("山田", &id(1), &[("k", "v")]);
    for (stream, group, at) in [
        ("orders", "orders:billing:cg", "0"),
        ("orders", "audit", "$"),
        (
            "orders:returns:from:all:over:the:world",
            "orders:returns:from:all:over:the:world:billing:cg",
            "0",
        ),
        ("山田", "山田:billing:cg", "0"),
    ] {
        server.cli(["XGROUP", "CREATE", stream, group, at]);
    }
    let read = |consumer: &str, count: &str| {
        let group = ["XREADGROUP", "GROUP", "orders:billing:cg", consumer, "COUNT", count];
        server.cli(group.into_iter().chain(["STREAMS", "orders", ">"]));
    };
    read("till-1", "3");
    read("a-consumer.with-a-long-name.on-host-17.4711.0123abcd", "1");
    // Since a day and an hour, as all is old, which stays so for long; how long consumers have been idle is shown in seconds from then on.
    for (consumer, numbers) in [
        ("till-1", 1..=3),
        ("a-consumer.with-a-long-name.on-host-17.4711.0123abcd", 4..=4),
    ] {
        let ids = numbers.map(&id);
        let claim = ["XCLAIM", "orders", "orders:billing:cg", consumer, "0"].map(str::to_owned);
        let idle = ["IDLE", "90000000", "RETRYCOUNT", "1"].map(str::to_owned);
        server.cli(claim.into_iter().chain(ids).chain(idle));
    }
    wait_until("a second to pass", || {
        let consumers = server.cli(["XINFO", "CONSUMERS", "orders", "orders:billing:cg"]);
        let lines: Vec<_> = consumers.lines().collect();
        let mut idle = lines.windows(2).filter(|pair| pair[0] == "idle");
        idle.all(|pair| pair[1].parse::<u64>().unwrap() >= 1000)
    });
    since.as_millis().to_string()
}

#[test]
fn tables() {
    if !can_be_taken() {
        return;
    }
    let (server, since) = filled();
    if !server.is_as_captured_or_left_out() {
        return;
    }
    let (stream, group) = ("pending orders", "pending orders -l billing");
    let consumer = format!("{group} --consumer till-1");
    let gate = format!("{group} --max-lag 3 --max-pending 2");
    let shot = Shot {
        server: &server,
        before: "",
        commands: &[
            ("pending", 0),
            (stream, 0),
            (group, 0),
            (&consumer, 0),
            ("pending 山田", 0),
            (&gate, 4),
        ],
        shortens: true,
    };
    shot.compare("pending", &since);
    let empty = Server::start();
    Shot {
        server: &empty,
        before: "",
        commands: &[("pending", 0), ("pending missing", 1)],
        shortens: false,
    }
    .compare("pending-nothing", SINCE);
}

#[test]
fn receipts_and_summaries() {
    if !can_be_taken() {
        return;
    }
    let server = Server::start();
    if !server.is_as_captured_or_left_out() {
        return;
    }
    let before = "redis-cli -s $SOCKET FLUSHALL
         for n in 1 2 3 4 5; do redis-streamer send orders --name order.placed $n --id 1700000000000-$n; done
         printf '%s\\n' 1 2 no 4 > lines; printf '1\\n2\\n' > good; echo 'exit 1' > fails; rm -f rejects";
    Shot {
        server: &server,
        before,
        commands: &[
            ("subscribe orders returns -l billing --from beginning", 0),
            ("subscribe orders returns -l billing", 0),
            ("subscribe orders -g audit", 0),
            ("send returns --name order.returned 1 --id 1700000000000-1", 0),
            ("send-batch sent good --name n", 0),
            ("send-batch sent lines --name n", 1),
            ("send-batch sent lines --name n --rejects rejects", 1),
            ("consume orders -l billing -c till-1 --ack manual -n 2 -q > taken", 0),
            (
                "consume returns -l billing -e -c till-1 --max-deliveries 1 --dead-letter dead -- sh fails",
                1,
            ),
            ("consume orders -g audit -n 1 --timeout 10ms", 4),
            ("ack orders -l billing 1700000000000-1 1700000000000-1", 0),
            ("ack orders -l billing 1700000000000-1 --strict", 4),
            ("subscribe orders -g audit --reset --from beginning", 0),
            ("unsubscribe orders -l billing -c till-1 --force", 0),
            ("unsubscribe orders -l billing", 1),
            ("unsubscribe orders -l billing --force", 0),
            ("unsubscribe orders returns -l nobody", 1),
        ],
        shortens: false,
    }
    .compare("receipts", SINCE);
}

#[test]
fn what_is_moved_and_cut_off() {
    if !can_be_taken() {
        return;
    }
    let server = Server::start();
    if !server.is_as_captured_or_left_out() {
        return;
    }
    let before = "redis-cli -s $SOCKET FLUSHALL
         for n in 1 2 3 4 5; do redis-streamer send orders --name order.placed $n --id 1700000000000-$n; done
         redis-streamer subscribe orders -l billing --from beginning
         redis-cli -s $SOCKET XGROUP CREATE orders idle 0
         redis-cli -s $SOCKET XADD lost 1700000000000-1 name order.placed body 1
         redis-streamer consume orders -l billing -c till-1 --ack manual -n 4 -q";
    Shot {
        server: &server,
        before,
        commands: &[
            ("nack orders -l billing 1700000000000-1", 0),
            ("nack orders -l billing 1700000000000-2 1700000000000-9 --json", 0),
            ("nack orders -l billing 1700000000000-9 --strict", 4),
            (
                "nack orders -l billing 1700000000000-3 --dead-letter orders:dead --reason 'unknown customer'",
                0,
            ),
            ("nack orders -l billing 1700000000000-3 --dead-letter orders:dead", 2),
            ("ack orders -l billing 1700000000000-4 1700000000000-9 --json", 0),
            ("redrive orders:dead --dry-run", 0),
            ("redrive orders:dead --dry-run --json", 0),
            ("redrive orders:dead", 0),
            ("redrive orders:dead", 0),
            ("redrive lost", 1),
            ("trim orders lost --acked --dry-run", 1),
            ("trim orders --acked", 0),
            ("trim orders --maxlen 2 --dry-run", 0),
            ("trim orders --maxlen 2 --json", 0),
            ("trim orders lost --retention 1h", 0),
            ("trim gone --maxlen 2", 1),
            ("subscribe orders lost -g audit --from beginning --json", 0),
            ("subscribe orders -g audit --reset", 2),
            ("subscribe orders -g audit --reset --from latest --dry-run", 0),
            ("subscribe orders -g audit --reset --from latest --dry-run --json", 0),
            ("subscribe orders -g idle --reset --to-group audit", 0),
            ("subscribe orders -g audit --reset --to-group nobody", 1),
            ("unsubscribe orders lost -g audit --dry-run", 1),
            ("unsubscribe orders lost -g audit --dry-run --force", 0),
            ("unsubscribe orders lost -g audit --force --json", 0),
            ("pending --dead-consumers 1h", 0),
        ],
        shortens: false,
    }
    .compare("moves", SINCE);
}

#[test]
fn the_live_view() {
    if !can_be_taken() {
        return;
    }
    let server = Server::options().tcp4().start();
    if !server.is_as_captured_or_left_out() {
        return;
    }
    let since = fill(&server);
    // A single look: what comes in and goes out is not known, and does not change.
    let command = format!("redis-streamer -u {} pending --watch --interval 1h", server.url());
    const ENDS: &str = "\\003";
    let list = ("enter open", "/orders\\r");
    let group = [list, ("with .orders", "\\r")];
    let entry = [&group[..], &[("DELIVERIES", "\\r")]].concat();
    let pages: [(&str, &[_], &str); 4] = [
        ("the list", &[], "billing:cg"),
        ("a group", &group, "DELIVERIES"),
        ("an entry", &entry, "order.placed"),
        ("help", &[("enter open", "?")], "any key goes back"),
    ];
    let mut text = String::new();
    for columns in WIDTHS {
        for (name, steps, until) in pages {
            let steps = [steps, &[(until, ENDS)]].concat();
            let screen = Screen::live(&server, columns, &steps, &command);
            text += &format!("=== {name} on {columns} columns\n");
            text.extend(screen.lines().into_iter().map(|line| line.trim_end().to_owned() + "\n"));
        }
    }
    let text = steady(&text).replace(&since, SINCE);
    assert_snapshot("screens/watch", &text.replace(&format!(":{}", server.port()), ":63790"));
}

#[test]
fn errors() {
    if !can_be_taken() {
        return;
    }
    let (server, since) = filled();
    Shot {
        server: &server,
        before: "",
        commands: &[
            ("", 2),
            ("consme orders", 2),
            ("consume orders --lisener billing", 2),
            ("consume orders --ack maybe", 2),
            ("consume orders --from yesterday", 2),
            ("consume orders -l biling -e", 1),
            ("pending orders -l biling", 1),
            ("ack orders -l billing 17-x", 2),
            ("send orders '{' --name n", 1),
            ("send orders", 2),
            ("-u redis://127.0.0.1:1 pending", 3),
            ("-u mongodb://127.0.0.1 pending", 2),
            ("send-batch orders missing-file --name n", 1),
            ("--password-file missing-file pending", 1),
            ("consume orders -e -- cat", 2),
        ],
        shortens: false,
    }
    .compare("errors", &since);
}

#[test]
fn the_progress_bar_keeps_to_its_line() {
    if !can_be_taken() {
        return;
    }
    let server = Server::start();
    // Long enough for a bar to be drawn, also where the machine has little time for it.
    std::fs::write(server.work().join("lines"), "1\n".repeat(40)).unwrap();
    for columns in WIDTHS {
        let command = "redis-streamer send-batch s lines --name n --rate 20";
        let screen = Screen::of(&server, columns, command, 0);
        let frames = screen.frames();
        let bars: Vec<_> = frames
            .iter()
            .filter(|frame| frame.lines().concat().contains(" left"))
            .collect();
        assert!(!bars.is_empty(), "no bar on {columns} columns: {:?}", screen.raw());
        for bar in &bars {
            assert_eq!(bar.broken_lines(), [""; 0], "{:?}", bar.raw());
            let [line] = &bar.lines()[..] else {
                panic!("on {columns} columns: {:?}", bar.lines());
            };
            assert!(line.contains("messages") && line.contains('%'), "{line}");
        }
        // The last of them is gone.
        let [summary] = &screen.lines()[..] else {
            panic!("on {columns} columns: {:?}", screen.lines());
        };
        assert!(summary.starts_with("sent 40 messages to s in "), "{summary}");
    }
}
