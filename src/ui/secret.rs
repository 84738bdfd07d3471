//! A secret typed at the terminal: read from the terminal itself, whatever stdin is, and not shown.

use std::fs::File;
use std::io::{self, Read, Write};

use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};

const INTERRUPT: u8 = 0x03;
const END: u8 = 0x04;
const BACKSPACE: u8 = 0x08;
const ERASE_LINE: u8 = 0x15;
const DELETE: u8 = 0x7f;

/// What was typed.
#[derive(Debug, PartialEq, Eq)]
pub enum Typed {
    Secret(String),
    /// ^C, or ^D before anything else.
    Nothing,
}

/// Asks for a secret. Fails where there is no terminal.
pub fn ask(prompt: &str) -> io::Result<Typed> {
    let mut terminal = File::options().read(true).write(true).open("/dev/tty")?;
    let hidden = Hidden::new(&terminal)?;
    terminal.write_all(prompt.as_bytes())?;
    let typed = read(&mut hidden.terminal.try_clone()?);
    drop(hidden);
    terminal.write_all(b"\n")?;
    typed
}

/// A terminal that shows nothing of what is typed, until this is dropped. Keys that send signals are read like others: the
/// terminal must not be left like this.
struct Hidden {
    terminal: File,
    before: Termios,
}

impl Hidden {
    fn new(terminal: &File) -> io::Result<Self> {
        let before = tcgetattr(terminal)?;
        let mut hidden = before.clone();
        hidden.local_modes -= LocalModes::ECHO | LocalModes::ICANON | LocalModes::ISIG;
        tcsetattr(terminal, OptionalActions::Flush, &hidden)?;
        Ok(Self {
            terminal: terminal.try_clone()?,
            before,
        })
    }
}

impl Drop for Hidden {
    fn drop(&mut self) {
        // There is nobody to tell.
        let _ = tcsetattr(&self.terminal, OptionalActions::Flush, &self.before);
    }
}

/// Reads keys up to the end of a line.
fn read(keys: &mut impl Read) -> io::Result<Typed> {
    let mut typed = Vec::new();
    let mut key = [0];
    while keys.read(&mut key)? > 0 {
        match key[0] {
            b'\r' | b'\n' => break,
            INTERRUPT => return Ok(Typed::Nothing),
            END if typed.is_empty() => return Ok(Typed::Nothing),
            END => break,
            BACKSPACE | DELETE => remove_last(&mut typed),
            ERASE_LINE => typed.clear(),
            byte => typed.push(byte),
        }
    }
    String::from_utf8(typed)
        .map(Typed::Secret)
        .map_err(|_| io::Error::new(io::ErrorKind::InvalidData, "what was typed is not UTF-8"))
}

/// Takes away the last character, of however many bytes.
fn remove_last(typed: &mut Vec<u8>) {
    while let Some(byte) = typed.pop() {
        let goes_on = byte & 0xc0 == 0x80;
        if !goes_on {
            break;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_read_as_a_line_is_edited() {
        let secret = |text: &str| Typed::Secret(text.to_owned());
        for (keys, expected) in [
            ("hunter2\rmore", secret("hunter2")),
            ("huß\u{7f}nter\n", secret("hunter")),
            ("oops\u{15}ok\u{8}k\r", secret("ok")),
            ("\u{7f}\r", secret("")),
            ("half\u{4}", secret("half")),
            ("\u{4}", Typed::Nothing),
            ("half\u{3}", Typed::Nothing),
        ] {
            assert_eq!(read(&mut keys.as_bytes()).unwrap(), expected, "{keys:?}");
        }
        assert!(read(&mut &b"\xff\r"[..]).is_err());
    }
}
