//! What a person sees of a run: its output on a terminal of so many columns, which is no window but an emulation of one.

use super::program::Test;
use super::running::Output;
use super::server::Server;
use std::num::NonZero;

/// More lines than any screen has, so that nothing scrolls away.
const ROWS: u16 = 600;

/// What stands on a terminal.
pub struct Screen {
    parser: vt100::Parser,
    columns: u16,
    raw: String,
}

fn terminal(rows: u16, columns: u16) -> vt100::Parser {
    let size = |number| NonZero::new(number).unwrap();
    vt100::Parser::new(size(rows), size(columns), 0)
}

/// Runs a command in a terminal of so many columns and rows, in which somebody waits for each text before typing what stands
/// behind it. Then says how the terminal was left.
pub fn typed(server: &Server, (columns, rows): (u16, u16), steps: &[(&str, &str)], command: &str) -> Output {
    let seen = |(text, keys): &(&str, &str)| {
        // Only what is new since the last key counts.
        format!(
            "until tail -c +$((at + 1)) shown 2>/dev/null | grep -qs -- '{text}'; do sleep 0.05; done; \
             at=$(wc -c < shown); printf '{keys}'; "
        )
    };
    let keys: String = steps.iter().map(seen).collect();
    let run = format!("stty cols {columns} rows {rows}; {command}; echo status $?; stty -a");
    std::fs::write(server.work().join("run"), run).unwrap();
    let script = format!(
        "rm -f shown; export TERM=xterm-256color LC_ALL=C.UTF-8
         (at=0; {keys} until grep -qs 'status [0-9]' shown; do sleep 0.05; done) |
         {{ script -qefc 'bash run' shown > all; cat all; }}"
    );
    Test::shell(server, &script).stdout_any().stderr_any().run()
}

impl Screen {
    /// Runs a command line of a shell on a terminal of so many columns; it has to end with this status.
    #[track_caller]
    pub fn of(server: &Server, columns: u16, command: &str, status: i32) -> Self {
        let quoted = format!("stty cols {columns} rows 50; {command}").replace('\'', r"'\''");
        let script = format!("TERM=xterm-256color LC_ALL=C.UTF-8 SHELL=/bin/sh script -qec '{quoted}' /dev/null");
        let run = Test::shell(server, &script).status(status).stdout_any().run();
        let mut parser = terminal(ROWS, columns);
        parser.process(&run.stdout);
        Self {
            parser,
            columns,
            raw: run.stdout(),
        }
    }

    /// What stood on a terminal of so many columns, on a screen of its own, when the last of what somebody typed ended the
    /// command: see [`typed`].
    #[track_caller]
    pub fn live(server: &Server, columns: u16, steps: &[(&str, &str)], command: &str) -> Self {
        const ROWS: u16 = 24;
        const LEAVE: &str = "\x1b[?1049l";
        let raw = typed(server, (columns, ROWS), steps, command).stdout();
        let (before, _) = raw.rsplit_once(LEAVE).unwrap_or_else(|| panic!("{raw:?}"));
        let mut parser = terminal(ROWS, columns);
        parser.process(before.as_bytes());
        Self {
            parser,
            columns,
            raw: before.to_owned(),
        }
    }

    /// The lines, those whole that were too long for the terminal.
    pub fn whole_lines(&self) -> Vec<String> {
        let mut whole = vec![String::new()];
        for (number, line) in self.lines().iter().enumerate() {
            whole.last_mut().unwrap().push_str(line);
            if !self.parser.screen().row_wrapped(number as u16) {
                whole.push(String::new());
            }
        }
        whole.pop();
        whole
    }

    /// The lines, without colours, as far as something stands in them.
    pub fn lines(&self) -> Vec<String> {
        let mut rows: Vec<_> = self.parser.screen().rows(0, self.columns).collect();
        rows.truncate(rows.iter().rposition(|row| !row.is_empty()).map_or(0, |last| last + 1));
        rows
    }

    /// The lines at whose end the terminal went on in the next, since they were too long.
    pub fn broken_lines(&self) -> Vec<String> {
        let is_broken = |(number, _): &(usize, String)| self.parser.screen().row_wrapped(*number as u16);
        let lines = self.lines().into_iter().enumerate().filter(is_broken);
        lines.map(|(_, line)| line).collect()
    }

    /// All that was written to the terminal.
    pub fn raw(&self) -> &str {
        &self.raw
    }

    /// What was written, without colours.
    pub fn plain(&self) -> String {
        let mut pieces = self.raw.split("\x1b[");
        let mut plain = pieces.next().unwrap().to_owned();
        for piece in pieces {
            let (code, shown) = piece.split_once('m').expect("a colour");
            assert!(
                code.chars().all(|c| c.is_ascii_digit() || c == ';'),
                "no colour: {code:?}"
            );
            plain += shown;
        }
        plain
    }

    /// Each state of the terminal at which the program went back to the start of a line, until its end.
    pub fn frames(&self) -> Vec<Screen> {
        let ends = self.raw.match_indices('\r').map(|(at, _)| at).chain([self.raw.len()]);
        let frame = |end: usize| {
            let mut parser = terminal(50, self.columns);
            let raw = self.raw[..end].to_owned();
            parser.process(raw.as_bytes());
            Screen {
                parser,
                columns: self.columns,
                raw,
            }
        };
        ends.map(frame).collect()
    }
}
