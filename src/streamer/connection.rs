//! One connection to one server: bytes out, whole replies in.
//!
//! The socket is ours, not the redis crate's: its reader parses every reply into a tree, and after a read
//! timeout its connection is out of step. Here a reply is found whole before anybody looks at it, so waiting
//! can be bounded without losing bytes, commands can be written while older replies are still to come, and
//! entries are walked where they lie.

use std::io::{self, Read, Write};
use std::time::Duration;

use redis::{Cmd, Value};

use super::error::ServerError;
use super::resp::{Cursor, Malformed, Scanner};
use super::transport::{Breaker, Transport};
use super::{Address, Error, Target};

/// How long a server may take to answer before it counts as lost. Redis serves one command after another:
/// a slow neighbour's command must fit in, a hung server must not hold a pipeline for ever.
pub const RESPONSE_TIMEOUT: Duration = Duration::from_secs(15);

/// What one read of the socket can bring. Large enough that a reply of 1000 entries takes few system calls.
const BUFFER: usize = 256 * 1024;

/// How many bytes of replies are worth waking up for while more than that are certain to come: some thousand IDs. The
/// server writes them a few dozen at a time, and each time it wakes up who waits costs both sides more than the replies.
const GATHERED: u16 = 32 * 1024;

/// The shortest reply there is: `+` and a line break.
const SHORTEST_REPLY: usize = 3;

/// A buffer that one huge reply made larger than this shrinks again once it is empty.
const MAX_IDLE_BUFFER: usize = 8 * BUFFER;

/// A connection, authenticated and on its database.
pub struct Connection {
    transport: Transport,
    address: Address,
    buffer: Vec<u8>,
    /// The part of `buffer` that was read and not yet handed out.
    filled: std::ops::Range<usize>,
    /// The length of the reply last handed out; it makes room at the next receive.
    handed_out: usize,
    read_timeout: Option<Duration>,
    /// How many replies are still to come at least.
    expected: usize,
    /// How many bytes the socket gathers before it wakes us up.
    low_water: u16,
}

impl Connection {
    /// Connects, authenticates and selects the database.
    pub fn open(target: &Target) -> Result<Self, Error> {
        let transport = Transport::open(target, RESPONSE_TIMEOUT)?;
        let mut connection = Self {
            transport,
            address: target.address.clone(),
            buffer: vec![0; BUFFER],
            filled: 0..0,
            handed_out: 0,
            read_timeout: None,
            expected: 0,
            low_water: 1,
        };
        connection.set_read_timeout(target.connect_timeout)?;
        connection.handshake(target)?;
        Ok(connection)
    }

    /// No round trip is spent when there is nothing to say. When there is, nothing else is sent before the
    /// server agreed: a command behind a failed SELECT would reach another database.
    fn handshake(&mut self, target: &Target) -> Result<(), Error> {
        if let Some(password) = &target.password {
            let mut auth = redis::cmd("AUTH");
            if let Some(user) = &target.user {
                auth.arg(user);
            }
            self.query(auth.arg(&password.0)).map_err(|error| match error {
                Error::Refused(refusal) => Error::Denied(refusal),
                other => other,
            })?;
        }
        if target.database != 0 {
            self.query(redis::cmd("SELECT").arg(target.database))?;
        }
        Ok(())
    }

    /// A handle by which another thread can break this connection, and so end a read that waits.
    pub fn breaker(&self) -> Result<Breaker, Error> {
        self.transport.breaker().map_err(|source| self.lost(source))
    }

    /// Sends packed commands.
    pub fn send(&mut self, packed: &[u8]) -> Result<(), Error> {
        self.transport
            .write_all(packed)
            .and_then(|()| self.transport.flush())
            .map_err(|source| self.lost(source))
    }

    /// Tells that so many more replies are certain to come, none of which is urgent while many others are to come.
    pub fn expect(&mut self, replies: usize) {
        self.expected += replies;
    }

    /// Waits for the next reply, at most [`RESPONSE_TIMEOUT`].
    pub fn receive(&mut self) -> Result<Reply<'_>, Error> {
        self.receive_within(RESPONSE_TIMEOUT)
    }

    /// Waits for the next reply. After a failure the connection is of no more use: drop it.
    pub fn receive_within(&mut self, patience: Duration) -> Result<Reply<'_>, Error> {
        self.filled.start += std::mem::take(&mut self.handed_out);
        let mut scanner = Scanner::default();
        loop {
            let bytes = &self.buffer[self.filled.clone()];
            match scanner.advance(bytes) {
                Ok(Some(length)) => {
                    self.handed_out = length;
                    self.expected = self.expected.saturating_sub(1);
                    let start = self.filled.start;
                    return Ok(Reply {
                        bytes: &self.buffer[start..start + length],
                    });
                }
                Ok(None) => self.fill(patience)?,
                Err(malformed) => return Err(self.malformed(malformed)),
            }
        }
    }

    /// Reads what the socket has, at least one byte.
    fn fill(&mut self, patience: Duration) -> Result<(), Error> {
        self.set_read_timeout(patience)?;
        self.set_low_water()?;
        if self.filled.is_empty() {
            self.filled = 0..0;
            self.buffer.truncate(MAX_IDLE_BUFFER);
            self.buffer.shrink_to_fit();
        }
        if self.buffer.len() - self.filled.end < BUFFER / 4 {
            self.buffer.copy_within(self.filled.clone(), 0);
            self.filled = 0..self.filled.len();
            if self.buffer.len() - self.filled.end < BUFFER / 2 {
                self.buffer.resize(self.buffer.len() * 2, 0);
            }
        }
        let space = &mut self.buffer[self.filled.end..];
        match retry_interrupted(|| self.transport.read(space)) {
            Ok(0) => Err(self.lost(io::Error::new(
                io::ErrorKind::UnexpectedEof,
                "the server closed the connection",
            ))),
            Ok(read) => {
                self.filled.end += read;
                Ok(())
            }
            Err(error) if is_timeout(&error) => {
                let text = format!("no answer within {} s", patience.as_secs());
                Err(self.lost(io::Error::new(io::ErrorKind::TimedOut, text)))
            }
            Err(error) => Err(self.lost(error)),
        }
    }

    /// Sends a command and returns its reply; a refusal is an error.
    pub fn query(&mut self, command: &Cmd) -> Result<Value, Error> {
        self.send(&command.get_packed_command())?;
        let address = self.address.to_string();
        self.receive()?
            .value()
            .map_err(|malformed| Error::malformed(&address, malformed))?
            .map_err(Error::Refused)
    }

    /// Sends commands in one piece and returns their replies, each a value or a refusal.
    pub fn query_all(&mut self, commands: &[Cmd]) -> Result<Vec<Result<Value, ServerError>>, Error> {
        let mut packed = Vec::new();
        for command in commands {
            command.write_packed_command(&mut packed);
        }
        self.send(&packed)?;
        let address = self.address.to_string();
        commands
            .iter()
            .map(|_| {
                self.receive()?
                    .value()
                    .map_err(|malformed| Error::malformed(&address, malformed))
            })
            .collect()
    }

    fn set_read_timeout(&mut self, patience: Duration) -> Result<(), Error> {
        if self.read_timeout != Some(patience) {
            self.transport
                .set_read_timeout(patience)
                .map_err(|source| self.lost(source))?;
            self.read_timeout = Some(patience);
        }
        Ok(())
    }

    /// Of the first reply that is to come, all but the end may be here.
    fn set_low_water(&mut self) -> Result<(), Error> {
        let certain = self.expected.saturating_sub(1) * SHORTEST_REPLY;
        let low_water = if certain >= usize::from(GATHERED) { GATHERED } else { 1 };
        if low_water != self.low_water {
            match self.transport.set_low_water(low_water) {
                Ok(()) => self.low_water = low_water,
                // Where the system cannot gather, it wakes us up each time.
                Err(_) if low_water > self.low_water => {}
                Err(source) => return Err(self.lost(source)),
            }
        }
        Ok(())
    }

    pub(super) fn malformed(&self, malformed: Malformed) -> Error {
        Error::malformed(&self.address.to_string(), malformed)
    }

    fn lost(&self, source: io::Error) -> Error {
        Error::Lost {
            address: self.address.to_string(),
            source,
        }
    }
}

/// A whole reply, in the connection's buffer.
#[derive(Clone, Copy, Debug)]
pub struct Reply<'a> {
    bytes: &'a [u8],
}

impl<'a> Reply<'a> {
    /// The reply's bytes, or the server's refusal.
    pub fn bytes(self) -> Result<&'a [u8], ServerError> {
        match self.bytes {
            [b'-', line @ ..] => Err(ServerError::parse(line)),
            bytes => Ok(bytes),
        }
    }

    /// Walks the reply in place, or gives the server's refusal.
    pub fn cursor(self) -> Result<Cursor<'a>, ServerError> {
        self.bytes().map(Cursor::new)
    }

    /// The reply as a tree, for the small replies of control commands.
    pub fn value(self) -> Result<Result<Value, ServerError>, Malformed> {
        match self.bytes() {
            Err(refusal) => Ok(Err(refusal)),
            Ok(bytes) => match redis::parse_redis_value(bytes) {
                Ok(value) => Ok(Ok(value)),
                Err(_) => Err(Malformed("a reply that cannot be read")),
            },
        }
    }
}

fn is_timeout(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut)
}

fn retry_interrupted<T>(mut call: impl FnMut() -> io::Result<T>) -> io::Result<T> {
    loop {
        match call() {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            result => return result,
        }
    }
}
