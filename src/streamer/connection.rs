//! One connection to one server: bytes out, whole replies in.
//!
//! The socket is ours, not the redis crate's: its reader parses every reply into a tree, and after a read
//! timeout its connection is out of step. Here a reply is found whole before anybody looks at it, so waiting
//! can be bounded without losing bytes, commands can be written while older replies are still to come, and
//! entries are walked where they lie.

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream, ToSocketAddrs};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use redis::{Cmd, Value};
use rustls::{ClientConnection, StreamOwned};
use socket2::{SockRef, TcpKeepalive};

use super::error::ServerError;
use super::resp::{Cursor, Malformed, Scanner};
use super::tls;
use super::{Address, Error, Target};

/// How long a server may take to answer before it counts as lost. Redis serves one command after another:
/// a slow neighbour's command must fit in, a hung server must not hold a pipeline for ever.
pub const RESPONSE_TIMEOUT: Duration = Duration::from_secs(15);

/// When keepalive probes begin and how far apart they are. A peer that vanished (no FIN, no RST) is noticed
/// after about `KEEPALIVE_IDLE + 3 * KEEPALIVE_INTERVAL`.
const KEEPALIVE_IDLE: Duration = Duration::from_secs(10);
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(5);

/// What one read of the socket can bring. Large enough that a reply of 1000 entries takes few system calls.
const BUFFER: usize = 256 * 1024;

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
}

enum Transport {
    Tcp(TcpStream),
    Tls(Box<StreamOwned<ClientConnection, TcpStream>>),
    Unix(UnixStream),
}

impl Connection {
    /// Connects, authenticates and selects the database.
    pub fn open(target: &Target) -> Result<Self, Error> {
        let transport = Transport::open(target)?;
        let mut connection = Self {
            transport,
            address: target.address.clone(),
            buffer: vec![0; BUFFER],
            filled: 0..0,
            handed_out: 0,
            read_timeout: None,
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
        let socket = match &self.transport {
            Transport::Tcp(socket) => socket.try_clone().map(Breaker::Tcp),
            Transport::Tls(stream) => stream.sock.try_clone().map(Breaker::Tcp),
            Transport::Unix(socket) => socket.try_clone().map(Breaker::Unix),
        };
        socket.map_err(|source| self.lost(source))
    }

    /// Sends packed commands.
    pub fn send(&mut self, packed: &[u8]) -> Result<(), Error> {
        self.transport
            .write_all(packed)
            .and_then(|()| self.transport.flush())
            .map_err(|source| self.lost(source))
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

/// Breaks a connection from another thread.
#[derive(Debug)]
pub enum Breaker {
    /// Of a connection over TCP, encrypted or not.
    Tcp(TcpStream),
    /// Of a connection over a Unix socket.
    Unix(UnixStream),
}

impl Breaker {
    /// Breaks the connection: whoever waits for it gets [`Error::Lost`].
    pub fn break_now(&self) {
        // One that is broken already is as good.
        let _ = match self {
            Self::Tcp(socket) => socket.shutdown(Shutdown::Both),
            Self::Unix(socket) => socket.shutdown(Shutdown::Both),
        };
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

impl Transport {
    fn open(target: &Target) -> Result<Self, Error> {
        let unreachable = |source| Error::Unreachable {
            address: target.address.to_string(),
            source,
        };
        let transport = match (&target.address, &target.tls) {
            (Address::Unix(path), _) => Self::Unix(UnixStream::connect(path).map_err(unreachable)?),
            (Address::Tcp { host, port }, tls) => {
                let socket = connect_tcp(host, *port, target.connect_timeout).map_err(unreachable)?;
                match tls {
                    None => Self::Tcp(socket),
                    Some(tls) => Self::Tls(Box::new(tls::wrap(socket, host, tls, &target.address)?)),
                }
            }
        };
        transport.set_write_timeout(RESPONSE_TIMEOUT).map_err(unreachable)?;
        Ok(transport)
    }

    fn set_read_timeout(&self, patience: Duration) -> io::Result<()> {
        match self {
            Self::Tcp(socket) => socket.set_read_timeout(Some(patience)),
            Self::Tls(stream) => stream.sock.set_read_timeout(Some(patience)),
            Self::Unix(socket) => socket.set_read_timeout(Some(patience)),
        }
    }

    fn set_write_timeout(&self, patience: Duration) -> io::Result<()> {
        match self {
            Self::Tcp(socket) => socket.set_write_timeout(Some(patience)),
            Self::Tls(stream) => stream.sock.set_write_timeout(Some(patience)),
            Self::Unix(socket) => socket.set_write_timeout(Some(patience)),
        }
    }
}

impl Read for Transport {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(socket) => socket.read(buffer),
            Self::Tls(stream) => stream.read(buffer),
            Self::Unix(socket) => socket.read(buffer),
        }
    }
}

impl Write for Transport {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(socket) => socket.write(bytes),
            Self::Tls(stream) => stream.write(bytes),
            Self::Unix(socket) => socket.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Tls(stream) => stream.flush(),
            Self::Tcp(_) | Self::Unix(_) => Ok(()),
        }
    }
}

/// Tries every address of the host within one time limit.
fn connect_tcp(host: &str, port: u16, timeout: Duration) -> io::Result<TcpStream> {
    let deadline = Instant::now() + timeout;
    let mut failure = io::Error::new(io::ErrorKind::NotFound, "the host name has no address");
    for address in (host, port).to_socket_addrs()? {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            break;
        }
        match TcpStream::connect_timeout(&address, left) {
            Ok(socket) => {
                tune(&socket)?;
                // Bounds the TLS handshake; every later read sets its own.
                socket.set_read_timeout(Some(timeout))?;
                return Ok(socket);
            }
            Err(error) => failure = error,
        }
    }
    Err(failure)
}

/// Nagle's algorithm costs a quarter of a pipeline's throughput; keepalive notices a peer that vanished.
fn tune(socket: &TcpStream) -> io::Result<()> {
    socket.set_nodelay(true)?;
    let keepalive = TcpKeepalive::new()
        .with_time(KEEPALIVE_IDLE)
        .with_interval(KEEPALIVE_INTERVAL)
        .with_retries(3);
    SockRef::from(socket).set_tcp_keepalive(&keepalive)
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
