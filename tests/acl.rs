//! A user with just the rights that docs/acl.md lists can do what they are listed for, and no listed right is spare.
//! Its tables themselves are what is tested.

mod extras;
mod losses;
mod verbs;

use crate::harness::{Server, Test};
use std::collections::BTreeSet;

/// A row of one of its tables: what is run, without the marks of code, and the words for `ACL SETUSER`.
struct Row {
    label: String,
    words: Vec<String>,
}

/// The rows of the table that begins with this header. A row that begins with a dash belongs to the one above it.
fn table(header: &str) -> Vec<Row> {
    let page = include_str!("../docs/acl.md");
    let (_, behind) = page.split_once(header).expect("the table");
    let mut verb = String::new();
    let lines = behind.lines().skip(1).take_while(|line| line.starts_with('|'));
    lines
        .map(|line| {
            let line = line.replace("\\|", "\u{0}");
            let cells: Vec<_> = line.split('|').map(str::trim).collect();
            let label = cells[1].replace('`', "");
            let label = if label.starts_with('—') {
                format!("{verb} {label}")
            } else {
                verb.clone_from(&label);
                label
            };
            let words = cells[2].trim_matches('`').replace('\u{0}', "|");
            Row {
                label,
                words: words.split(' ').map(str::to_owned).collect(),
            }
        })
        .collect()
}

fn needed() -> Vec<Row> {
    table("| what is run | rights |\n")
}

fn optional() -> Vec<Row> {
    table("| what is run | rights | without them |\n")
}

/// The words of these rows, of either table.
fn rights(labels: &[&str]) -> Vec<String> {
    let rows: Vec<_> = needed().into_iter().chain(optional()).collect();
    let words = labels.iter().flat_map(|label| {
        let row = rows.iter().find(|row| row.label == *label);
        row.unwrap_or_else(|| panic!("docs/acl.md has no row {label}"))
            .words
            .clone()
    });
    words.map(|word| filled(&word)).collect()
}

/// A word with the names that the tests give to the keys.
fn filled(word: &str) -> String {
    word.replace("STREAM", "s").replace("GROUP", "g").replace("DEAD", "dl")
}

/// The words of what is used if it is allowed, for the verb of a label.
fn extras(label: &str) -> Vec<String> {
    let verb = label.split([' ', '—']).next().unwrap();
    let rows = optional().into_iter();
    let rows = rows.filter(|row| row.label.starts_with("any") || row.label.split([' ', ',']).next() == Some(verb));
    rows.flat_map(|row| row.words).map(|word| filled(&word)).collect()
}

/// All of these words but one.
fn without(words: &[String], word: &str) -> Vec<String> {
    assert!(words.iter().any(|other| other == word), "{word}");
    words.iter().filter(|other| *other != word).cloned().collect()
}

/// Makes the user `eve` anew, with these rights alone; those that this server does not know are left out.
fn grant(server: &Server, words: &[String]) {
    server.cli(["ACL", "SETUSER", "eve", "reset", "on", "nopass", "resetkeys", "-@all"]);
    for word in words {
        match server.try_cli(["ACL", "SETUSER", "eve", word]) {
            Ok(_) => {}
            Err(reply) => assert!(reply.contains("Unknown command"), "{word}: {reply}"),
        }
    }
    server.cli(["ACL", "LOG", "RESET"]);
}

/// What `eve` was denied: commands by their names, keys by `~` and theirs.
fn denied(server: &Server) -> BTreeSet<String> {
    let log = server.cli(["ACL", "LOG"]);
    let lines: Vec<_> = log.lines().collect();
    let value = |at: usize, name: &str| {
        let found = lines[at..].iter().position(|line| *line == name).unwrap();
        lines[at + found + 1]
    };
    let entries = (0..lines.len()).filter(|at| lines[*at] == "reason");
    entries
        .map(|at| match value(at, "reason") {
            "command" => value(at, "object").to_lowercase(),
            _ => format!("~{}", value(at, "object")),
        })
        .collect()
}

/// What `eve` was denied although it is not listed for the verb of this label.
fn unlisted(server: &Server, label: &str) -> Vec<String> {
    let extras = extras(label);
    let mut unlisted: Vec<_> = denied(server).into_iter().collect();
    unlisted.retain(|denied| !extras.iter().any(|word| is_for(word, denied)));
    unlisted
}

/// Whether a right is one for this command, as the server's log names it: Redis 6.2 leaves out subcommands.
fn is_for(word: &str, denied: &str) -> bool {
    let command = word.trim_start_matches('+');
    command == denied || command.split('|').next() == Some(denied)
}

/// Three messages, the first of which a consumer has left behind.
fn three(server: &Server) {
    server.cli(["FLUSHALL"]);
    server.add_numbered("s", 3);
    server.cli(["XGROUP", "CREATE", "s", "g", "0"]);
    server.cli(["XREADGROUP", "GROUP", "g", "dead", "COUNT", "1", "STREAMS", "s", ">"]);
}

/// A use of the program, and the rows that allow it.
struct Case {
    labels: &'static [&'static str],
    args: &'static [&'static str],
    stdin: &'static str,
    status: i32,
    set_up: fn(&Server),
    /// The command without which a server cannot do it.
    needs: Option<&'static str>,
    /// Which of the last row's rights this use is no test of.
    untested: &'static [&'static str],
}

impl Case {
    fn new(labels: &'static [&'static str], args: &'static [&'static str]) -> Self {
        Self {
            labels,
            args,
            stdin: "",
            status: 0,
            set_up: three,
            needs: None,
            untested: &[],
        }
    }

    fn stdin(mut self, stdin: &'static str) -> Self {
        self.stdin = stdin;
        self
    }

    fn status(mut self, status: i32) -> Self {
        self.status = status;
        self
    }

    fn set_up(mut self, set_up: fn(&Server)) -> Self {
        self.set_up = set_up;
        self
    }

    fn needs(mut self, command: &'static str) -> Self {
        self.needs = Some(command);
        self
    }

    fn untested(mut self, words: &'static [&'static str]) -> Self {
        self.untested = words;
        self
    }

    /// Runs it as a user with these rights: the exit status and all it said.
    fn run(&self, server: &Server, words: &[String]) -> (i32, String) {
        grant(server, words);
        // Some of it lasts for a few seconds only.
        (self.set_up)(server);
        let database = format!("redis://127.0.0.1:{}/1", server.port());
        let args = self.args.iter().map(|arg| arg.replace("redis://…/1", &database));
        let run = Test::new(server).args(["--user", "eve"]).args(args);
        let output = run.stdin(self.stdin).spawn().wait();
        (output.status, output.stderr())
    }

    fn check(&self, server: &Server) {
        if self.needs.is_some_and(|command| !server.knows_or_left_out(command)) {
            return;
        }
        let words = rights(self.labels);
        let last = self.labels.last().unwrap();

        let (status, stderr) = self.run(server, &words);
        assert_eq!(status, self.status, "{:?}: {stderr}", self.args);
        let unlisted = unlisted(server, last);
        assert!(unlisted.is_empty(), "{:?} asks for {unlisted:?}", self.args);

        let (status, stderr) = self.run(server, &[words.clone(), extras(last)].concat());
        assert_eq!(status, self.status, "{:?}: {stderr}", self.args);
        assert_eq!(denied(server), BTreeSet::new(), "{:?}, with all rights", self.args);

        for word in rights(&[last])
            .iter()
            .filter(|word| !self.untested.contains(&word.as_str()))
        {
            let (status, stderr) = self.run(server, &without(&words, word));
            assert_eq!(status, 1, "{:?} without {word}: {stderr}", self.args);
            assert_hint(&stderr, word);
        }
    }
}

/// The error names what is missing, and the hint the word that grants it.
fn assert_hint(stderr: &str, word: &str) {
    assert!(stderr.contains("NOPERM"), "{word}: {stderr}");
    let main = word.split('|').next().unwrap();
    let hint = stderr.lines().find(|line| line.starts_with("hint: ")).unwrap_or("");
    assert!(
        hint.contains("ACL SETUSER USER ") && hint.contains(main),
        "{word}: {stderr}"
    );
    if let Some(command) = main.strip_prefix('+') {
        // What a script runs the server does not name.
        let is_named = ["", "+"]
            .iter()
            .any(|sign| stderr.contains(&format!("'{sign}{command}")));
        assert!(is_named, "{word}: {stderr}");
    }
}

const MARKER: &str = "send-batch, the marker";
const GONE: &str = "send-batch — the marker is gone after a lost connection";
const SENT_IDS: &str = "send-batch — --receipts, --ids, --checkpoint";
const LOST_IDS: &str = "send-batch — --receipts, --ids, --keep-ids, after a lost connection";
const MEMBER: &str = "consume in a group";
const AS_OF_NOW: &str = "consume in a group — -e";
