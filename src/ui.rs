//! The only door to the terminal: data, status, progress, colour, width. Knows nothing of Redis.

use std::fs::File;
use std::io::{self, IsTerminal, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::FileTypeExt;
use std::sync::OnceLock;
use std::thread;
use std::time::Duration;

use crossterm::style::Stylize;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;

/// When to colour what goes to stderr.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Color {
    /// On a terminal, unless `NO_COLOR` is set.
    #[default]
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

/// How much is said on stderr beside errors.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verbosity {
    /// Errors only.
    Quiet,
    /// What was done.
    Normal,
    /// What is being done.
    Verbose,
}

/// The terminal, or the pipes in its place.
#[derive(Clone, Copy, Debug)]
pub struct Ui {
    verbosity: Verbosity,
    color: bool,
}

/// Width of a table where nobody says how wide the terminal is.
const DEFAULT_WIDTH: u16 = 80;

impl Ui {
    /// Looks at the terminal once.
    pub fn new(verbosity: Verbosity, color: Color) -> Self {
        // https://no-color.org: present and not empty, whatever its value.
        let refused = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        Self {
            verbosity,
            color: match color {
                Color::Always => true,
                Color::Never => false,
                Color::Auto => io::stderr().is_terminal() && !refused,
            },
        }
    }

    /// Where data goes.
    pub fn data(&self) -> io::Result<Data> {
        let stdout = io::stdout();
        let file = File::from(stdout.as_fd().try_clone_to_owned()?);
        Ok(Data {
            kind: match file.metadata()?.file_type() {
                _ if stdout.is_terminal() => Kind::Terminal,
                kind if kind.is_fifo() || kind.is_socket() => Kind::Pipe,
                _ => Kind::File,
            },
            file,
            escaped: Vec::new(),
            written: 0,
        })
    }

    /// The width to lay tables out for; `None` in a pipe, where nothing is cut.
    pub fn table_width(&self) -> Option<u16> {
        io::stdout()
            .is_terminal()
            .then(|| crossterm::terminal::size().map_or(DEFAULT_WIDTH, |(columns, _)| columns))
    }

    /// Whether somebody would have to type the input.
    pub fn input_is_terminal(&self) -> bool {
        io::stdin().is_terminal()
    }

    /// Says what was done, unless asked to be quiet.
    pub fn status(&self, text: &str) {
        if self.verbosity >= Verbosity::Normal {
            self.say(text);
        }
    }

    /// Says what is being done, if asked to.
    pub fn detail(&self, text: &str) {
        if self.verbosity >= Verbosity::Verbose {
            self.say(text);
        }
    }

    /// Warns of what a person should know although the work goes on, quiet or not.
    pub fn warning(&self, text: &str) {
        let label = if self.color {
            "warning:".yellow().bold().to_string()
        } else {
            "warning:".to_owned()
        };
        self.print(&format!("{label} {}", printable(text)));
    }

    /// Reports a failure: what, why, and what to do next.
    pub fn error(&self, message: &str, causes: &[String], hint: Option<&str>) {
        let label = |text: &str| match self.color {
            true if text == "hint:" => text.cyan().bold().to_string(),
            true => text.red().bold().to_string(),
            false => text.to_owned(),
        };
        let mut text = format!("{} {}", label("error:"), printable(message));
        for cause in causes {
            text.push_str(&format!("\n  caused by: {}", printable(cause)));
        }
        if let Some(hint) = hint {
            text.push_str(&format!("\n{} {}", label("hint:"), printable(hint)));
        }
        self.print(&text);
    }

    fn say(&self, text: &str) {
        self.print(&printable(text));
    }

    /// A closed stderr is no reason to fail: the exit code still tells.
    fn print(&self, text: &str) {
        let print = || {
            let _ = writeln!(io::stderr().lock(), "{text}");
        };
        match BAR.get() {
            Some(bar) => bar.suspend(print),
            None => print(),
        }
    }

    /// Progress over `total` bytes, or over nobody knows how many. Shown on a terminal only.
    pub fn progress(&self, total: Option<u64>) -> Progress {
        let shown = self.verbosity >= Verbosity::Normal && io::stderr().is_terminal();
        let target = if shown {
            ProgressDrawTarget::stderr_with_hz(10)
        } else {
            ProgressDrawTarget::hidden()
        };
        let bar = ProgressBar::with_draw_target(total, target);
        let template = match total {
            Some(_) => "{wide_bar} {percent:>3}%  {msg}, ends in {eta}",
            None => "{spinner} {msg}  {elapsed}",
        };
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style);
        }
        if shown {
            bar.enable_steady_tick(Duration::from_millis(200));
        }
        Progress {
            bar: BAR.get_or_init(|| bar).clone(),
        }
    }
}

/// The bar on the terminal, which steps aside for messages. A process has one stderr, and one bar on it.
static BAR: OnceLock<ProgressBar> = OnceLock::new();

/// A progress bar, or nothing where there is no terminal.
pub struct Progress {
    bar: ProgressBar,
}

impl Progress {
    /// Moves to `bytes` done and shows a message.
    pub fn update(&self, bytes: u64, message: impl FnOnce() -> String) {
        if !self.bar.is_hidden() {
            self.bar.set_position(bytes);
            self.bar.set_message(message());
        }
    }

    /// Takes the bar off the screen.
    pub fn finish(&self) {
        self.bar.finish_and_clear();
    }
}

/// Standard output. Writes go straight to the descriptor: once a write returned, the data left this process.
pub struct Data {
    file: File,
    kind: Kind,
    escaped: Vec<u8>,
    /// How much of the last write went out, in a pipe.
    written: usize,
}

/// What standard output is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Terminal,
    /// Or a socket, as some programs give their children.
    Pipe,
    File,
}

/// What a pipe takes without waiting once it says that it is writable, `PIPE_BUF` of Linux and above that of
/// others; POSIX also has it that such a write is not torn apart.
const PIPE_TAKES: usize = 4096;
/// How often a full pipe is left to look whether to give up.
const LOOK_UP: Timespec = Timespec {
    tv_sec: 0,
    tv_nsec: 50_000_000,
};

impl Data {
    /// Writes lines, whatever it takes.
    pub fn write(&mut self, lines: &[u8]) -> io::Result<()> {
        self.write_unless(lines, || false)
    }

    /// Writes lines: the exact bytes into a pipe or file; on a terminal, control characters are escaped as
    /// JSON would, so that a message cannot command the terminal. A pipe that nobody empties is waited for
    /// until `give_up` says so; then the error is [`io::ErrorKind::Interrupted`].
    pub fn write_unless(&mut self, lines: &[u8], give_up: impl Fn() -> bool) -> io::Result<()> {
        self.written = 0;
        match self.kind {
            Kind::File => write_all(&self.file, lines),
            Kind::Pipe => self.write_to_pipe(lines, give_up),
            Kind::Terminal => {
                escape(lines, &mut self.escaped);
                write_all(&self.file, &self.escaped)
            }
        }
    }

    /// How many bytes of a write that failed may have reached a reader all the same.
    pub fn may_be_read(&self) -> usize {
        // The piece that failed was refused as a whole, by a pipe.
        self.written
    }

    /// Writes in pieces that cannot block, each of whole lines where they fit, so that giving up leaves no line
    /// half written.
    fn write_to_pipe(&mut self, mut lines: &[u8], give_up: impl Fn() -> bool) -> io::Result<()> {
        while !lines.is_empty() {
            let most = lines.len().min(PIPE_TAKES);
            let piece = memchr::memrchr(b'\n', &lines[..most]).map_or(most, |end| end + 1);
            self.wait_until_writable(&give_up)?;
            write_all(&self.file, &lines[..piece])?;
            self.written += piece;
            lines = &lines[piece..];
        }
        Ok(())
    }

    fn wait_until_writable(&self, give_up: impl Fn() -> bool) -> io::Result<()> {
        loop {
            match poll(&mut [PollFd::new(&self.file, PollFlags::OUT)], Some(&LOOK_UP)) {
                Ok(0) | Err(Errno::INTR) if give_up() => return Err(io::ErrorKind::Interrupted.into()),
                Ok(0) | Err(Errno::INTR) => {}
                Ok(_) => return Ok(()),
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Whether whoever reads this is still there. A pipe tells without being written to; a file has no reader to lose.
    pub fn has_reader(&self) -> bool {
        !is_closed(&self.file, Some(&Timespec::default()))
    }

    /// Runs `then`, on a thread of its own, when whoever reads this has gone.
    pub fn when_closed(&self, then: impl FnOnce() + Send + 'static) -> io::Result<()> {
        let file = self.file.try_clone()?;
        let watch = move || {
            if is_closed(&file, None) {
                then();
            }
        };
        thread::Builder::new().spawn(watch).map(drop)
    }
}

/// Whether a pipe's reader has gone; waits for it, at most for some time.
fn is_closed(file: &File, most: Option<&Timespec>) -> bool {
    let mut fds = [PollFd::new(file, PollFlags::empty())];
    while poll(&mut fds, most).is_err() {}
    // A pipe has an error then, a socket hangs up.
    fds[0].revents().intersects(PollFlags::ERR | PollFlags::HUP)
}

/// Writes everything, also where whoever opened stdout for us set it not to block.
fn write_all(mut file: &File, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        match file.write(bytes) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(written) => bytes = &bytes[written..],
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                poll(&mut [PollFd::new(&file, PollFlags::OUT)], None)?;
            }
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Lines for a terminal, with control characters as JSON escapes.
fn escape(lines: &[u8], out: &mut Vec<u8>) {
    out.clear();
    for chunk in lines.utf8_chunks() {
        for c in chunk.valid().chars() {
            match c {
                '\n' => out.push(b'\n'),
                c if is_unsafe(c) => out.extend_from_slice(format!("\\u{:04x}", u32::from(c)).as_bytes()),
                c => out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes()),
            }
        }
        if !chunk.invalid().is_empty() {
            out.extend_from_slice("\u{fffd}".as_bytes());
        }
    }
}

/// Characters that command a terminal or reorder its text: C0, DEL, C1, and the bidirectional controls.
fn is_unsafe(c: char) -> bool {
    c.is_control() || matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// A text for a terminal: control characters escaped, line breaks kept.
pub fn printable(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\n' => safe.push(c),
            c if is_unsafe(c) => safe.extend(c.escape_unicode()),
            c => safe.push(c),
        }
    }
    safe
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_characters_are_escaped_and_text_is_not() {
        assert_eq!(
            printable("a\u{1b}[2J\u{9b}\u{202e}é\n"),
            "a\\u{1b}[2J\\u{9b}\\u{202e}é\n"
        );
    }
}
