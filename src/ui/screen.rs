//! The whole terminal, for what is drawn again and again. It is left as it was found, however that comes: by the end, a
//! failure, a panic, a signal, or a stop for a while.

use std::fs::File;
use std::io::{self, IsTerminal, Write};
use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::Once;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crossterm::cursor::{Hide, MoveTo, Show};
use crossterm::event::{self, Event, KeyCode, KeyEvent, KeyEventKind, KeyModifiers};
use crossterm::queue;
use crossterm::style::{Attribute, Print, SetAttribute};
use crossterm::terminal::{
    self, Clear, ClearType, DisableLineWrap, EnableLineWrap, EnterAlternateScreen, LeaveAlternateScreen,
};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Signal, getpid, kill_process};
use signal_hook::consts::{SIGCONT, SIGTSTP};

use super::palette::{Paint, Style};

/// A part of a line that looks the same.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Span {
    pub text: String,
    pub style: Option<Style>,
}

impl Span {
    pub fn styled(text: impl Into<String>, style: Option<Style>) -> Self {
        Self {
            text: text.into(),
            style,
        }
    }
}

impl<T: Into<String>> From<T> for Span {
    fn from(text: T) -> Self {
        Self::styled(text, None)
    }
}

/// What was pressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Key {
    Char(char),
    Up,
    Down,
    PageUp,
    PageDown,
    Home,
    End,
    Enter,
    /// Escape, or the arrow to the left.
    Back,
    Erase,
    /// ^C: there are no signals from the keyboard while the terminal is ours.
    Interrupt,
}

/// What came from the terminal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Input {
    Key(Key),
    /// All is to be drawn anew.
    Redraw,
    /// The terminal has gone.
    Gone,
}

/// Whether the terminal is ours at the moment.
static IS_OURS: AtomicBool = AtomicBool::new(false);

pub struct Screen {
    paint: Paint,
    /// Where keys come from.
    keys: File,
    /// What each line shows.
    drawn: Vec<String>,
    /// Somebody asked the process to stop for a while.
    stops: Arc<AtomicBool>,
    /// It goes on after that.
    continues: Arc<AtomicBool>,
}

impl Screen {
    pub fn open(paint: Paint) -> io::Result<Self> {
        static HOOK: Once = Once::new();
        HOOK.call_once(|| {
            let before = std::panic::take_hook();
            std::panic::set_hook(Box::new(move |panic| {
                leave();
                before(panic);
            }));
        });
        let (stops, continues) = (Arc::default(), Arc::default());
        signal_hook::flag::register(SIGTSTP, Arc::clone(&stops))?;
        signal_hook::flag::register(SIGCONT, Arc::clone(&continues))?;
        let keys = keys()?;
        enter()?;
        Ok(Self {
            paint,
            keys,
            drawn: Vec::new(),
            stops,
            continues,
        })
    }

    /// Columns and lines.
    pub fn size(&self) -> (u16, u16) {
        match terminal::size() {
            // Some terminals that nobody looks at have none.
            Ok((0, _) | (_, 0)) | Err(_) => (80, 24),
            Ok(size) => size,
        }
    }

    /// Shows lines from the top; only those that differ are written.
    pub fn draw(&mut self, lines: &[Vec<Span>]) -> io::Result<()> {
        let mut out = Vec::new();
        if self.drawn.is_empty() {
            queue!(out, Clear(ClearType::All))?;
        }
        let (_, height) = self.size();
        for row in 0..height {
            let line = lines.get(usize::from(row)).map_or(&[][..], Vec::as_slice);
            let text: String = line.iter().map(|span| self.painted(span)).collect();
            let index = usize::from(row);
            if self.drawn.get(index) != Some(&text) {
                // Cleared before: behind a line that fills the screen its last character would go.
                queue!(out, MoveTo(0, row), Clear(ClearType::UntilNewLine), Print(&text))?;
                queue!(out, SetAttribute(Attribute::Reset))?;
            }
            if index < self.drawn.len() {
                self.drawn[index] = text;
            } else {
                self.drawn.push(text);
            }
        }
        self.drawn.truncate(height.into());
        write(&out)
    }

    fn painted(&self, span: &Span) -> String {
        match span.style {
            Some(style) => self.paint.paint(style, &span.text),
            None => span.text.clone(),
        }
    }

    /// What comes within a time, if anything does.
    pub fn input(&mut self, wait: Duration) -> io::Result<Option<Input>> {
        if self.stops.swap(false, Ordering::SeqCst) {
            return self.stop_for_a_while().map(Some);
        }
        if self.continues.swap(false, Ordering::SeqCst) {
            return self.take_again().map(Some);
        }
        // Keys that came along with the one before are there at once.
        for wait in [Duration::ZERO, wait] {
            // crossterm reads a terminal that has gone again and again, and never comes back: it is not let near one.
            match self.wait(wait)? {
                Terminal::Gone => return Ok(Some(Input::Gone)),
                Terminal::There => {}
            }
            match event::poll(Duration::ZERO) {
                Ok(true) => return self.take(event::read()?),
                Ok(false) => {}
                // A signal, which is looked at next time.
                Err(error) if error.kind() == io::ErrorKind::Interrupted => return Ok(None),
                Err(error) => return Err(error),
            }
        }
        Ok(None)
    }

    /// Waits for a key, a signal, or the end of the terminal.
    fn wait(&self, wait: Duration) -> io::Result<Terminal> {
        let mut fds = [PollFd::new(&self.keys, PollFlags::IN)];
        let most = Timespec::try_from(wait).map_err(io::Error::other)?;
        match poll(&mut fds, Some(&most)) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        Ok(match fds[0].revents().intersects(PollFlags::HUP | PollFlags::ERR) {
            true => Terminal::Gone,
            false => Terminal::There,
        })
    }

    fn take(&mut self, event: Event) -> io::Result<Option<Input>> {
        match event {
            Event::Resize(..) => {
                self.drawn.clear();
                Ok(Some(Input::Redraw))
            }
            Event::Key(key) if key.kind != KeyEventKind::Release => match of(key) {
                Pressed::Key(key) => Ok(Some(Input::Key(key))),
                Pressed::Stop => self.stop_for_a_while().map(Some),
                Pressed::Redraw => {
                    self.drawn.clear();
                    Ok(Some(Input::Redraw))
                }
                Pressed::Nothing => Ok(None),
            },
            _ => Ok(None),
        }
    }

    /// As ^Z does it: the shell has the terminal meanwhile.
    fn stop_for_a_while(&mut self) -> io::Result<Input> {
        leave();
        kill_process(getpid(), Signal::STOP)?;
        self.continues.store(false, Ordering::SeqCst);
        self.take_again()
    }

    fn take_again(&mut self) -> io::Result<Input> {
        // What the shell left of our settings is not known: they are taken anew, once for each time they are given back.
        leave();
        enter()?;
        self.drawn.clear();
        Ok(Input::Redraw)
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        leave();
    }
}

enum Terminal {
    There,
    Gone,
}

/// The terminal that crossterm reads keys from.
fn keys() -> io::Result<File> {
    let stdin = io::stdin();
    if stdin.is_terminal() {
        return stdin.as_fd().try_clone_to_owned().map(File::from);
    }
    File::open("/dev/tty")
}

enum Pressed {
    Key(Key),
    Stop,
    Redraw,
    Nothing,
}

fn of(key: KeyEvent) -> Pressed {
    let is_control = key.modifiers.contains(KeyModifiers::CONTROL);
    Pressed::Key(match key.code {
        KeyCode::Char('c') if is_control => Key::Interrupt,
        KeyCode::Char('z') if is_control => return Pressed::Stop,
        KeyCode::Char('l') if is_control => return Pressed::Redraw,
        KeyCode::Char('h') if is_control => Key::Erase,
        KeyCode::Char('f') if is_control => Key::PageDown,
        KeyCode::Char('b') if is_control => Key::PageUp,
        KeyCode::Char(_) if is_control => return Pressed::Nothing,
        KeyCode::Char(c) => Key::Char(c),
        KeyCode::Up => Key::Up,
        KeyCode::Down => Key::Down,
        KeyCode::PageUp => Key::PageUp,
        KeyCode::PageDown => Key::PageDown,
        KeyCode::Home => Key::Home,
        KeyCode::End => Key::End,
        KeyCode::Enter | KeyCode::Right => Key::Enter,
        KeyCode::Esc | KeyCode::Left => Key::Back,
        KeyCode::Backspace => Key::Erase,
        _ => return Pressed::Nothing,
    })
}

fn enter() -> io::Result<()> {
    IS_OURS.store(true, Ordering::SeqCst);
    terminal::enable_raw_mode()?;
    let mut out = Vec::new();
    queue!(out, EnterAlternateScreen, DisableLineWrap, Hide)?;
    write(&out)
}

/// Leaves the terminal as it was found. Whoever ends the process without a way back calls it before.
pub fn leave() {
    if !IS_OURS.swap(false, Ordering::SeqCst) {
        return;
    }
    let mut out = Vec::new();
    // Memory takes whatever is written to it, and a terminal that has gone has nothing to be restored.
    let _ = queue!(out, Show, EnableLineWrap, LeaveAlternateScreen);
    let _ = write(&out);
    let _ = terminal::disable_raw_mode();
}

fn write(out: &[u8]) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    stdout.write_all(out)?;
    stdout.flush()
}
