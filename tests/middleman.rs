//! A server that misbehaves at chosen commands: it stands before a real one and passes on everything else.
//!
//! The harness's proxy cuts at bytes. This one reads what it carries, so that a fault can hang on a command.

use crate::harness::{Panics, Server};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::Shutdown;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// The words of a command, as the client sent them.
pub type Words = Vec<Vec<u8>>;

/// What becomes of a command.
pub enum Verdict {
    /// The server gets it, and the client its reply.
    Pass,
    /// The server does not get it; this is the reply.
    Answer(Vec<u8>),
    /// As `Answer`, and the second part follows again and again.
    Endless(Vec<u8>, Vec<u8>),
    /// As `Answer`, one byte at a time.
    Dribble(Vec<u8>, Duration),
    /// The server gets it; then both connections end, and the reply is lost.
    Lose,
    /// The server gets it, and the client its reply so much later.
    Late(Duration),
    /// The server does not get it, and both connections end.
    Cut,
}

/// What the client is to get next.
enum Next {
    /// What the server replies, so long after it did.
    Reply(Duration),
    /// Nothing, once the server has replied.
    End,
    Bytes(Vec<u8>),
    Endless(Vec<u8>, Vec<u8>),
    Dribble(Vec<u8>, Duration),
}

/// Judges each command, whichever connection it comes on; it may do something first.
type Judge = dyn Fn(&Words) -> Verdict + Send + Sync;

/// A running middleman. Its threads end with the test's process, its connections with their peers.
pub struct Middleman {
    path: PathBuf,
    links: Arc<Mutex<Vec<Arc<Link>>>>,
    panics: Panics,
}

/// One connection's two sockets.
struct Link {
    client: UnixStream,
    real: UnixStream,
    /// The client's is at its end, and the server's stays open as if nothing had happened.
    is_half_open: AtomicBool,
    /// The client is not told when the server's is at its end.
    is_quiet: AtomicBool,
}

/// Numbers the sockets, of which a test may need several.
static COUNT: AtomicUsize = AtomicUsize::new(0);

impl Middleman {
    pub fn start(server: &Server, judge: impl Fn(&Words) -> Verdict + Send + Sync + 'static) -> Self {
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let path = server.dir().join(format!("m{number}"));
        let listener = UnixListener::bind(&path).unwrap();
        let (socket, judge): (_, Arc<Judge>) = (server.socket(), Arc::new(judge));
        let links = Arc::new(Mutex::new(Vec::new()));
        let known = Arc::clone(&links);
        let panics = Panics::default();
        let noting = panics.clone();
        std::thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                let Ok(real) = UnixStream::connect(&socket) else {
                    continue;
                };
                let link = Arc::new(Link {
                    client,
                    real,
                    is_half_open: AtomicBool::new(false),
                    is_quiet: AtomicBool::new(false),
                });
                known.lock().unwrap().push(Arc::clone(&link));
                let (back, judge, noting) = (Arc::clone(&link), Arc::clone(&judge), noting.clone());
                let (sender, receiver) = channel();
                std::thread::spawn(move || back.carry_replies(&receiver));
                std::thread::spawn(move || link.carry_commands(|words| noting.note(|| judge(words)), &sender));
            }
        });
        Self { path, links, panics }
    }

    /// Ends all connections for the client; the server goes on to believe in them.
    pub fn leave_half_open(&self) {
        for link in self.links.lock().unwrap().iter() {
            link.is_half_open.store(true, Ordering::SeqCst);
            let _ = link.client.shutdown(Shutdown::Both);
        }
    }

    /// From now on the server's end is not passed on to those who are connected: to them it hangs.
    pub fn keep_quiet(&self) {
        for link in self.links.lock().unwrap().iter() {
            link.is_quiet.store(true, Ordering::SeqCst);
        }
    }

    pub fn url(&self) -> String {
        format!("redis+unix://{}", self.path.display())
    }
}

impl Drop for Middleman {
    fn drop(&mut self) {
        self.panics.assert_none();
    }
}

/// Whether this is the command of that name.
pub fn is(words: &Words, name: &str) -> bool {
    words[0].eq_ignore_ascii_case(name.as_bytes())
}

/// Whether one of its words is this.
pub fn has(words: &Words, word: &str) -> bool {
    words.iter().any(|other| other == word.as_bytes())
}

/// Whether any word of the command has this in it, a script's text included.
pub fn mentions(words: &Words, part: &str) -> bool {
    words
        .iter()
        .any(|word| word.windows(part.len()).any(|window| window == part.as_bytes()))
}

impl Link {
    fn carry_commands(&self, judge: impl Fn(&Words) -> Verdict, next: &Sender<Next>) {
        let mut commands = BufReader::new(&self.client);
        while let Some((words, raw)) = read_command(&mut commands) {
            let expected = match judge(&words) {
                Verdict::Pass => Next::Reply(Duration::ZERO),
                Verdict::Answer(bytes) => Next::Bytes(bytes),
                Verdict::Endless(first, rest) => Next::Endless(first, rest),
                Verdict::Dribble(bytes, pause) => Next::Dribble(bytes, pause),
                Verdict::Lose => Next::End,
                Verdict::Late(pause) => Next::Reply(pause),
                Verdict::Cut => {
                    self.end();
                    break;
                }
            };
            let lost = matches!(expected, Next::Reply(_) | Next::End) && (&self.real).write_all(&raw).is_err();
            if lost || next.send(expected).is_err() {
                break;
            }
        }
        if !self.is_half_open() {
            let _ = self.real.shutdown(Shutdown::Write);
        }
    }

    fn is_half_open(&self) -> bool {
        self.is_half_open.load(Ordering::SeqCst)
    }

    fn end(&self) {
        let _ = self.real.shutdown(Shutdown::Both);
        let _ = self.client.shutdown(Shutdown::Both);
    }

    fn carry_replies(&self, next: &Receiver<Next>) {
        let mut replies = BufReader::new(&self.real);
        while let Ok(expected) = next.recv() {
            if self.answer(expected, &mut replies).is_none() {
                break;
            }
        }
        if self.is_half_open() {
            let _ = std::io::copy(&mut replies, &mut std::io::sink());
        }
        if !self.is_quiet.load(Ordering::SeqCst) {
            self.end();
        }
    }

    /// Gives the client what it is to get next; `None` at the end of it.
    fn answer(&self, expected: Next, replies: &mut impl BufRead) -> Option<()> {
        let mut client = &self.client;
        match expected {
            Next::Reply(pause) => {
                let mut reply = Vec::new();
                read_reply(replies, &mut reply)?;
                std::thread::sleep(pause);
                client.write_all(&reply).ok()
            }
            Next::End => {
                let _ = read_reply(replies, &mut Vec::new());
                None
            }
            Next::Bytes(bytes) => client.write_all(&bytes).ok(),
            Next::Endless(first, rest) => {
                let mut result = client.write_all(&first);
                while result.is_ok() {
                    result = client.write_all(&rest);
                }
                None
            }
            Next::Dribble(bytes, pause) => bytes.iter().try_for_each(|byte| {
                std::thread::sleep(pause);
                client.write_all(&[*byte]).ok()
            }),
        }
    }
}

/// One command, in words and as it stood.
pub fn read_command(from: &mut impl BufRead) -> Option<(Words, Vec<u8>)> {
    let mut raw = Vec::new();
    let count = read_number(from, &mut raw)?;
    let mut words = Vec::new();
    for _ in 0..count {
        let length = read_number(from, &mut raw)?;
        let start = raw.len();
        read_exactly(from, length + 2, &mut raw)?;
        words.push(raw[start..start + length].to_vec());
    }
    (!words.is_empty()).then_some((words, raw))
}

/// One reply of any depth, added to `raw`.
fn read_reply(from: &mut impl BufRead, raw: &mut Vec<u8>) -> Option<()> {
    let mut missing = 1;
    while missing > 0 {
        missing -= 1;
        let start = raw.len();
        let number = read_number(from, raw);
        match raw.get(start)? {
            // Nil has the length -1, which is no number here.
            b'$' => read_exactly(from, number.map_or(0, |length| length + 2), raw)?,
            b'*' => missing += number.unwrap_or(0),
            _ => {}
        }
    }
    Some(())
}

/// The number behind the type byte of the next line; the line is added to `raw`.
fn read_number(from: &mut impl BufRead, raw: &mut Vec<u8>) -> Option<usize> {
    let start = raw.len();
    from.read_until(b'\n', raw).ok()?;
    let line = std::str::from_utf8(raw.get(start + 1..)?).ok()?;
    line.trim_end().parse().ok()
}

fn read_exactly(from: &mut impl BufRead, length: usize, raw: &mut Vec<u8>) -> Option<()> {
    let read = from.take(length as u64).read_to_end(raw).ok()?;
    (read == length).then_some(())
}
