//! The socket below a connection: TCP, TLS over TCP, or a Unix socket.

use std::io::{self, Read, Write};
use std::net::{IpAddr, Shutdown, SocketAddr, TcpStream, ToSocketAddrs};
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::mpsc::channel;
use std::thread;
use std::time::{Duration, Instant};

use rustls::{ClientConnection, StreamOwned};
use socket2::{Domain, SockAddr, SockRef, Socket, TcpKeepalive, Type};

use super::endpoint::{Address, Endpoint};
use super::tls;
use crate::streamer::error::Error;

/// When keepalive probes begin and how far apart they are. A peer that vanished (no FIN, no RST) is noticed
/// after about `KEEPALIVE_IDLE + 3 * KEEPALIVE_INTERVAL`.
const KEEPALIVE_IDLE: Duration = Duration::from_secs(10);
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(5);

/// A connected socket.
pub enum Transport {
    /// In the clear.
    Tcp(TcpStream),
    /// Encrypted.
    Tls(Box<StreamOwned<ClientConnection, Timed>>),
    /// On this machine.
    Unix(UnixStream),
}

/// A socket below TLS, of whose bytes many may be needed for one read above it: each has only what time is left.
pub struct Timed {
    pub(super) socket: TcpStream,
    pub(super) until: Instant,
}

impl Read for Timed {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = self.until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(io::ErrorKind::TimedOut.into());
        }
        self.socket.set_read_timeout(Some(left))?;
        self.socket.read(buffer)
    }
}

impl Write for Timed {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.socket.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.socket.flush()
    }
}

impl Transport {
    /// Connects before the deadline; writes then take at most `write_timeout` each.
    pub fn open(endpoint: &Endpoint, deadline: Instant, write_timeout: Duration) -> Result<Self, Error> {
        let address = &endpoint.address;
        let unreachable = |source| Error::Unreachable {
            address: address.to_string(),
            source,
        };
        let transport = match (address, &endpoint.tls) {
            (Address::Unix(path), _) => Self::Unix(connect_unix(path, deadline).map_err(unreachable)?),
            (Address::Tcp { host, port }, tls) => {
                let socket = connect_tcp(host, *port, deadline).map_err(unreachable)?;
                match tls {
                    None => Self::Tcp(socket),
                    Some(tls) => {
                        socket.set_write_timeout(Some(write_timeout)).map_err(unreachable)?;
                        let socket = Timed {
                            socket,
                            until: deadline,
                        };
                        Self::Tls(Box::new(tls::wrap(socket, host, tls, address)?))
                    }
                }
            }
        };
        transport.set_write_timeout(write_timeout).map_err(unreachable)?;
        Ok(transport)
    }

    /// Bounds how long a read waits from now on; over TLS, how long until it has brought anything.
    pub fn set_read_timeout(&mut self, patience: Duration) -> io::Result<()> {
        match self {
            Self::Tcp(socket) => socket.set_read_timeout(Some(patience)),
            Self::Tls(stream) => {
                stream.sock.until = Instant::now() + patience;
                Ok(())
            }
            Self::Unix(socket) => socket.set_read_timeout(Some(patience)),
        }
    }

    /// Whether the timeout was set as a moment, and must be set for each read.
    pub fn times_out_at_a_moment(&self) -> bool {
        matches!(self, Self::Tls(_))
    }

    /// Sets how many bytes the socket gathers before it wakes up its reader: less only at a timeout and at the end.
    ///
    /// Over TLS a reply's bytes are not the socket's, and a Unix socket wakes up its reader each time all the same.
    pub fn set_low_water(&self, bytes: u16) -> io::Result<()> {
        match self {
            Self::Tcp(socket) => set_low_water(socket, bytes),
            Self::Tls(_) | Self::Unix(_) => Ok(()),
        }
    }

    /// A handle by which another thread can break the connection.
    pub fn breaker(&self) -> io::Result<Breaker> {
        match self {
            Self::Tcp(socket) => socket.try_clone().map(Breaker::Tcp),
            Self::Tls(stream) => stream.sock.socket.try_clone().map(Breaker::Tcp),
            Self::Unix(socket) => socket.try_clone().map(Breaker::Unix),
        }
    }

    fn set_write_timeout(&self, patience: Duration) -> io::Result<()> {
        match self {
            Self::Tcp(socket) => socket.set_write_timeout(Some(patience)),
            Self::Tls(stream) => stream.sock.socket.set_write_timeout(Some(patience)),
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

/// Tries every address of the host before the deadline. Each has its share of the time that is left, so that one that
/// never answers leaves some for the next.
fn connect_tcp(host: &str, port: u16, deadline: Instant) -> io::Result<TcpStream> {
    let addresses = look_up(host, port, deadline)?;
    let mut failure = match addresses.is_empty() {
        true => io::Error::new(io::ErrorKind::NotFound, "the host name has no address"),
        false => io::Error::new(io::ErrorKind::TimedOut, "the time to connect is over"),
    };
    for (tried, address) in addresses.iter().enumerate() {
        let left = deadline.saturating_duration_since(Instant::now());
        let share = left / u32::try_from(addresses.len() - tried).unwrap_or(u32::MAX);
        if share.is_zero() {
            break;
        }
        match TcpStream::connect_timeout(address, share) {
            Ok(socket) => {
                tune(&socket)?;
                return Ok(socket);
            }
            Err(error) => failure = error,
        }
    }
    Err(failure)
}

/// The addresses of a host. The system's resolver takes as long as it likes: a name is looked up on a thread.
fn look_up(host: &str, port: u16, deadline: Instant) -> io::Result<Vec<SocketAddr>> {
    if let Ok(address) = host.parse::<IpAddr>() {
        return Ok(vec![SocketAddr::new(address, port)]);
    }
    let (tell, told) = channel();
    let name = host.to_owned();
    thread::Builder::new().spawn(move || {
        let found = (name.as_str(), port).to_socket_addrs();
        // Nobody listens any more when the time is up.
        let _ = tell.send(found.map(Vec::from_iter));
    })?;
    let left = deadline.saturating_duration_since(Instant::now());
    told.recv_timeout(left).unwrap_or_else(|_| {
        let text = "the host name was not resolved in time";
        Err(io::Error::new(io::ErrorKind::TimedOut, text))
    })
}

/// How often a socket whose queue is full is tried again: such a server hangs.
const QUEUE_POLL: Duration = Duration::from_millis(20);

/// Connects to a Unix socket without waiting in its queue for longer than the deadline.
fn connect_unix(path: &Path, deadline: Instant) -> io::Result<UnixStream> {
    let address = SockAddr::unix(path)?;
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    socket.set_nonblocking(true)?;
    loop {
        match socket.connect(&address) {
            Ok(()) => break,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock && Instant::now() < deadline => {
                thread::sleep(QUEUE_POLL);
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                return Err(io::Error::new(
                    io::ErrorKind::TimedOut,
                    "the server accepts no connection",
                ));
            }
            Err(error) => return Err(error),
        }
    }
    socket.set_nonblocking(false)?;
    Ok(UnixStream::from(std::os::fd::OwnedFd::from(socket)))
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

/// Sets `SO_RCVLOWAT`: neither the standard library nor socket2 nor rustix can.
#[expect(unsafe_code, reason = "no safe setter is known")]
fn set_low_water(socket: &TcpStream, bytes: u16) -> io::Result<()> {
    let bytes = libc::c_int::from(bytes);
    let size = size_of_val(&bytes) as libc::socklen_t;
    // SAFETY: the descriptor is open as long as `socket` is borrowed, and the kernel only reads the option's value, an
    // int of the size that is told.
    let status = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_RCVLOWAT,
            (&raw const bytes).cast(),
            size,
        )
    };
    match status {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}
