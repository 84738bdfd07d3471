//! The progress bar: on a terminal that can draw one, and gone from it in the end, however that comes.

use std::io::{self, IsTerminal, Write};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::thread::{Builder, JoinHandle};
use std::time::Duration;

use crossterm::Command;
use crossterm::cursor::{MoveDown, MoveLeft, MoveRight, MoveUp};
use crossterm::terminal::{Clear, ClearType};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle, TermLike};

use super::width;

/// The bar on the terminal, which steps aside for messages. A process has one stderr, and one bar on it.
static BAR: OnceLock<ProgressBar> = OnceLock::new();

/// On fewer columns than these, how much is done in bytes is left out.
const NARROW: u16 = 90;

/// Work that is done sooner needs no bar.
const DELAY: Duration = Duration::from_millis(300);

/// What is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    Bytes,
    Entries,
}

/// A progress bar, or nothing where there is no terminal.
pub struct Progress {
    bar: ProgressBar,
    /// Shows it when its time has come, unless the work is done by then.
    shows: Option<(Sender<()>, JoinHandle<()>)>,
}

impl Progress {
    /// Over `total` of these, or over nobody knows how many.
    pub fn start(unit: Unit, total: Option<u64>, is_wanted: bool) -> Self {
        let is_dumb = std::env::var_os("TERM").is_none_or(|term| term == "dumb");
        let is_shown = is_wanted && io::stderr().is_terminal() && !is_dumb;
        let bar = ProgressBar::with_draw_target(total, ProgressDrawTarget::hidden());
        if let Ok(style) = ProgressStyle::with_template(template(unit, total.is_some(), width())) {
            bar.set_style(if has_utf8() {
                style
            } else {
                style.progress_chars("=> ").tick_chars("|/-\\ ")
            });
        }
        let bar = BAR.get_or_init(|| bar).clone();
        let shows = is_shown.then(|| show_later(bar.clone())).flatten();
        Self { bar, shows }
    }

    /// Moves to so many done and shows a message.
    pub fn update(&self, done: u64, message: impl FnOnce() -> String) {
        if self.shows.is_some() {
            self.bar.set_position(done);
            self.bar.set_message(message());
        }
    }

    pub fn finish(&mut self) {
        if let Some((done, thread)) = self.shows.take() {
            drop(done);
            // It has nothing to tell.
            let _ = thread.join();
        }
        self.bar.finish_and_clear();
    }
}

/// Shows the bar after a while, unless the work is done by then. Without a thread for it there is no bar.
fn show_later(bar: ProgressBar) -> Option<(Sender<()>, JoinHandle<()>)> {
    let (done, is_done) = channel();
    let show = move || {
        if is_done.recv_timeout(DELAY) == Err(RecvTimeoutError::Timeout) {
            bar.set_draw_target(ProgressDrawTarget::term_like_with_hz(Box::<Line>::default(), 10));
            bar.enable_steady_tick(Duration::from_millis(200));
        }
    };
    let thread = Builder::new().spawn(show).ok()?;
    Some((done, thread))
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.finish();
    }
}

/// Prints while the bar, if there is one, stands aside.
pub fn aside(print: impl FnOnce()) {
    match BAR.get() {
        Some(bar) => bar.suspend(print),
        None => print(),
    }
}

fn template(unit: Unit, is_total_known: bool, width: u16) -> &'static str {
    match (unit, is_total_known, width < NARROW) {
        (Unit::Bytes, true, false) => {
            "{wide_bar} {percent:>3}%  {msg}  {bytes} of {total_bytes}  {bytes_per_sec}  {eta} left"
        }
        (Unit::Bytes, true, true) => "{wide_bar} {percent:>3}%  {msg}  {bytes_per_sec}  {eta} left",
        (Unit::Bytes, false, _) => "{spinner} {msg}  {bytes}  {bytes_per_sec}  {elapsed}",
        (Unit::Entries, true, _) => "{wide_bar} {percent:>3}%  {msg}  {eta} left",
        (Unit::Entries, false, _) => "{spinner} {msg}  {elapsed}",
    }
}

/// How many columns are left free at the end of the line, so that a `^C` or two that the terminal echoes there breaks no
/// line, and goes with the bar.
const ECHO: u16 = 5;

/// The line of the terminal that the bar has, written piece by piece and shown when it is flushed.
#[derive(Debug, Default)]
struct Line(Mutex<String>);

impl Line {
    fn add(&self, text: &str) -> io::Result<()> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push_str(text);
        Ok(())
    }

    fn command(&self, command: impl Command) -> io::Result<()> {
        let mut text = String::new();
        command.write_ansi(&mut text).map_err(io::Error::other)?;
        self.add(&text)
    }

    fn go(&self, columns: usize, command: impl FnOnce(u16) -> io::Result<()>) -> io::Result<()> {
        match u16::try_from(columns) {
            // By 0 the cursor would move by 1.
            Ok(0) | Err(_) => Ok(()),
            Ok(columns) => command(columns),
        }
    }
}

impl TermLike for Line {
    fn width(&self) -> u16 {
        width().saturating_sub(ECHO).max(1)
    }

    fn move_cursor_up(&self, n: usize) -> io::Result<()> {
        self.go(n, |n| self.command(MoveUp(n)))
    }

    fn move_cursor_down(&self, n: usize) -> io::Result<()> {
        self.go(n, |n| self.command(MoveDown(n)))
    }

    fn move_cursor_right(&self, n: usize) -> io::Result<()> {
        self.go(n, |n| self.command(MoveRight(n)))
    }

    fn move_cursor_left(&self, n: usize) -> io::Result<()> {
        self.go(n, |n| self.command(MoveLeft(n)))
    }

    fn write_line(&self, text: &str) -> io::Result<()> {
        self.add(text)?;
        self.add("\n")
    }

    fn write_str(&self, text: &str) -> io::Result<()> {
        self.add(text)
    }

    fn clear_line(&self) -> io::Result<()> {
        self.add("\r")?;
        self.command(Clear(ClearType::CurrentLine))
    }

    fn flush(&self) -> io::Result<()> {
        let text = std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner));
        io::stderr().write_all(text.as_bytes())
    }
}

/// Whether the locale's characters are those of UTF-8.
pub fn has_utf8() -> bool {
    let variable = |name| std::env::var(name).ok().filter(|value| !value.is_empty());
    let locale = ["LC_ALL", "LC_CTYPE", "LANG"].into_iter().find_map(variable);
    locale.is_some_and(|locale| {
        let charset = locale.to_ascii_lowercase();
        charset.contains("utf-8") || charset.contains("utf8")
    })
}
