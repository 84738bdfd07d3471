//! The private server of `--local`: one for each user, reached by a Unix socket alone, started when it is first needed,
//! and at work until it is stopped. Knows neither options nor the terminal.
//!
//! Two locks in its data directory keep it one. Whoever starts or stops it holds `start.lock`. The server itself holds
//! `server.lock` for as long as it lives, as its stdin: so no second one ever opens the same files, whatever became of
//! the socket, of whoever started the first, or of the runtime directory, which another session may see elsewhere.

mod fault;
mod lock;
mod mend;
mod paths;
mod program;
mod start;

use std::ffi::OsString;
use std::io;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use crate::streamer::{About, Connection, Error, Location, Servers, Stop, about, ready, shut_down, stream_keys};

pub use fault::{Fault, Reason};
use lock::Held;

/// How often a server that starts or ends is looked at.
const STEP: Duration = Duration::from_millis(5);
/// How long a server that does not listen is waited for: until it does, or ends.
const TO_COME_OR_GO: Duration = Duration::from_secs(10);

/// The private server, be it at work or not.
pub struct Local {
    /// Where its data is, with all that is to be found again.
    data: PathBuf,
    /// Time limit for one attempt to connect.
    patience: Duration,
}

/// What there is to say meanwhile.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Notice {
    /// It reads the data that it has.
    Loading,
    /// Bytes of a transaction without an end were cut off its append-only file.
    Cut(u64),
}

/// Whether a server was there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Found {
    AtWork,
    Started,
}

/// What was found where a server may be.
enum Met<T> {
    Server(T),
    /// With the right to be the server.
    Nobody(Held),
}

/// A server that was asked.
pub struct State {
    pub socket: PathBuf,
    pub about: About,
    /// How many streams there are; `None` while it loads its data.
    pub streams: Option<u64>,
}

impl Local {
    pub fn of_this_user(patience: Duration) -> Result<Self, Fault> {
        let data = paths::data()?;
        Ok(Self { data, patience })
    }

    pub fn data(&self) -> &Path {
        &self.data
    }

    /// What the server says of itself.
    pub fn log(&self) -> PathBuf {
        self.data.join("server.log")
    }

    /// Where the server is, or where one would be.
    pub fn socket(&self) -> Result<PathBuf, Fault> {
        self.recorded()?.map_or_else(paths::socket, Ok)
    }

    /// Makes sure that the server is at work and serves, by starting it if need be. Many may do so at the same time.
    pub fn ensure(&self, notify: &dyn Fn(Notice)) -> Result<(PathBuf, Found), Fault> {
        if let Some(socket) = self.serving(notify)? {
            return Ok((socket, Found::AtWork));
        }
        paths::make_private(&self.data)?;
        let _turn = self.turn()?;
        match self.met(|| self.serving(notify))? {
            Met::Server(socket) => Ok((socket, Found::AtWork)),
            Met::Nobody(life) => Ok((self.start(life, notify)?, Found::Started)),
        }
    }

    /// What the server tells, if it is at work.
    pub fn state(&self) -> Result<Option<State>, Fault> {
        let Some((socket, mut connection)) = self.connect()? else {
            return Ok(None);
        };
        let failed = |error| self.silent(&socket, error);
        let about = about(&mut connection).map_err(failed)?;
        connection.set_deadline(None);
        let streams = match stream_keys(&mut connection, &[]) {
            Err(Error::Refused(refusal)) if refusal.code == "LOADING" => None,
            keys => Some(keys.map_err(failed)?.len() as u64),
        };
        Ok(Some(State { socket, about, streams }))
    }

    /// Ends the server, which keeps its data. Says whether there was one.
    pub fn stop(&self) -> Result<bool, Fault> {
        if !self.data.exists() {
            return Ok(false);
        }
        paths::must_be_private(&self.data)?;
        let _turn = self.turn()?;
        let (socket, mut connection) = match self.met(|| self.connect())? {
            Met::Server(reached) => reached,
            Met::Nobody(_) => return Ok(false),
        };
        let failed = |error| self.silent(&socket, error);
        let about = about(&mut connection).map_err(failed)?;
        if !about.can_write {
            return Err(Fault::Unsaved {
                data: self.data.clone(),
                pid: about.pid,
            });
        }
        connection.set_deadline(None);
        shut_down(&mut connection).map_err(failed)?;
        self.met(|| Ok(None::<()>)).map(|_| true)
    }

    /// The server, or what it holds as long as it lives: one that is just starting, because whoever did that was killed,
    /// does not listen yet, and one that is ending not any more.
    fn met<T>(&self, reach: impl Fn() -> Result<Option<T>, Fault>) -> Result<Met<T>, Fault> {
        let begun = Instant::now();
        loop {
            if let Some(reached) = reach()? {
                return Ok(Met::Server(reached));
            }
            if let Some(life) = lock::take(&self.data.join("server.lock"))? {
                return Ok(Met::Nobody(life));
            }
            if begun.elapsed() >= TO_COME_OR_GO {
                return Err(Fault::NotListening {
                    data: self.data.clone(),
                    pid: self.pid(),
                });
            }
            thread::sleep(STEP);
        }
    }

    /// The socket of the server, once it serves; `None` if there is none.
    fn serving(&self, notify: &dyn Fn(Notice)) -> Result<Option<PathBuf>, Fault> {
        let mut loading = Loading::new(notify);
        loop {
            let Some((socket, mut connection)) = self.connect()? else {
                return Ok(None);
            };
            match ready(&mut connection) {
                Ok(()) => return Ok(Some(socket)),
                Err(Error::Refused(refusal)) if refusal.code == "LOADING" => loading.goes_on(),
                // It ended between the two.
                Err(error) if is_nobody(&error) => {}
                Err(error) => return Err(self.silent(&socket, error)),
            }
            thread::sleep(STEP);
        }
    }

    /// A connection to the server, if it listens, for a word or two: what takes longer needs another deadline.
    fn connect(&self) -> Result<Option<(PathBuf, Connection)>, Fault> {
        let Some(socket) = self.recorded()? else {
            return Ok(None);
        };
        match self.open(&socket) {
            Ok(connection) => Ok(Some((socket, connection))),
            Err(error) if is_nobody(&error) => Ok(None),
            Err(error) => Err(self.silent(&socket, error)),
        }
    }

    fn open(&self, socket: &Path) -> Result<Connection, Error> {
        let mut location = Location::at_socket(socket);
        location.endpoint.connect_timeout = self.patience;
        // All keys are at the one server there is.
        let mut connection = Servers::at(location, &Stop::default()).of_slot("")?;
        connection.set_deadline(Some(Instant::now() + self.patience));
        Ok(connection)
    }

    /// Where the server is that was started last.
    fn recorded(&self) -> Result<Option<PathBuf>, Fault> {
        let path = self.record();
        let bytes = match std::fs::read(&path) {
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
                return Ok(None);
            }
            bytes => bytes.map_err(Fault::file("read", &path))?,
        };
        paths::must_be_private(&self.data)?;
        let socket = PathBuf::from(OsString::from_vec(bytes));
        match socket.parent() {
            // The runtime directory goes with the user's last session, the temporary one when the machine starts.
            Some(dir) if dir.exists() => paths::must_be_private(dir)?,
            _ => return Ok(None),
        }
        Ok(Some(socket))
    }

    fn record(&self) -> PathBuf {
        self.data.join("socket")
    }

    fn pid_file(&self) -> PathBuf {
        self.data.join("server.pid")
    }

    /// The right to start and to stop the server.
    fn turn(&self) -> Result<Held, Fault> {
        lock::wait(&self.data.join("start.lock"))
    }

    /// The process of the server that is at work, or was the last to end without having been told to.
    fn pid(&self) -> Option<u32> {
        let text = std::fs::read_to_string(self.pid_file()).ok()?;
        text.trim().parse().ok()
    }

    fn silent(&self, socket: &Path, source: Error) -> Fault {
        Fault::Silent {
            socket: socket.to_owned(),
            pid: self.pid(),
            source,
        }
    }
}

/// Whether nobody listens at a socket, or not any more.
fn is_nobody(error: &Error) -> bool {
    match error {
        Error::Unreachable { source, .. } => {
            matches!(
                source.kind(),
                io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused | io::ErrorKind::ConnectionReset
            )
        }
        // One that ends, and not one that does not answer.
        Error::Lost { source, .. } => source.kind() != io::ErrorKind::TimedOut,
        _ => false,
    }
}

/// Says once that data is being loaded.
struct Loading<'a> {
    notify: &'a dyn Fn(Notice),
    is_said: bool,
}

impl<'a> Loading<'a> {
    fn new(notify: &'a dyn Fn(Notice)) -> Self {
        Self { notify, is_said: false }
    }

    fn goes_on(&mut self) {
        if !std::mem::replace(&mut self.is_said, true) {
            (self.notify)(Notice::Loading);
        }
    }
}
