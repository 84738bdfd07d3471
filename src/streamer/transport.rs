//! The socket below a connection: TCP, TLS over TCP, or a Unix socket.

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream, ToSocketAddrs};
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use rustls::{ClientConnection, StreamOwned};
use socket2::{SockRef, TcpKeepalive};

use super::tls;
use super::{Address, Error, Target};

/// When keepalive probes begin and how far apart they are. A peer that vanished (no FIN, no RST) is noticed
/// after about `KEEPALIVE_IDLE + 3 * KEEPALIVE_INTERVAL`.
const KEEPALIVE_IDLE: Duration = Duration::from_secs(10);
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(5);

/// A connected socket.
pub enum Transport {
    /// In the clear.
    Tcp(TcpStream),
    /// Encrypted.
    Tls(Box<StreamOwned<ClientConnection, TcpStream>>),
    /// On this machine.
    Unix(UnixStream),
}

impl Transport {
    /// Connects; writes then take at most `write_timeout` each.
    pub fn open(target: &Target, write_timeout: Duration) -> Result<Self, Error> {
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
        transport.set_write_timeout(write_timeout).map_err(unreachable)?;
        Ok(transport)
    }

    /// Bounds how long a read waits.
    pub fn set_read_timeout(&self, patience: Duration) -> io::Result<()> {
        match self {
            Self::Tcp(socket) => socket.set_read_timeout(Some(patience)),
            Self::Tls(stream) => stream.sock.set_read_timeout(Some(patience)),
            Self::Unix(socket) => socket.set_read_timeout(Some(patience)),
        }
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
            Self::Tls(stream) => stream.sock.try_clone().map(Breaker::Tcp),
            Self::Unix(socket) => socket.try_clone().map(Breaker::Unix),
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
