//! One connection to one server: bytes out, values in, each whole when it is looked at.
//!
//! The socket is ours, not the redis crate's: its reader parses every reply into a tree, and after a read
//! timeout its connection is out of step. Here a value is found whole before anybody looks at it, so waiting
//! can be bounded without losing bytes, commands can be written while older replies are still to come, and
//! entries are walked where they lie (see [`Entries`](super::Entries)).

mod walking;

use std::io::{self, Read, Write};
use std::ops::Range;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use super::announced::Announced;
use super::endpoint::{Address, Endpoint};
use super::handle::Handle;
use super::reply::{Answer, Reply};
use super::resp::{Cursor, Malformed, Scanner};
use super::transport::{Breaker, Transport};
use crate::streamer::error::{Error, ServerError};
use crate::streamer::stop::Stop;

/// How long a server may take to answer before it counts as lost. Redis serves one command after another:
/// a slow neighbour's command must fit in, a hung server must not hold a pipeline for ever.
pub const RESPONSE_TIMEOUT: Duration = Duration::from_secs(15);

/// How long one read or write of the socket waits: so often it is looked whether the work is to end.
const SLICE: Duration = Duration::from_millis(200);

/// What one read of the socket can bring. Large enough that a reply of 1000 entries takes few system calls.
const BUFFER: usize = 256 * 1024;

/// How many bytes of replies are worth waking up for while more than that are certain to come: some thousand IDs. The
/// server writes them a few dozen at a time, and each time it wakes up who waits costs both sides more than the replies.
const GATHERED: u16 = 32 * 1024;

/// The shortest reply there is: `+` and a line break.
const SHORTEST_REPLY: usize = 3;

/// A buffer that one huge value made larger than this shrinks again once it is empty.
const MAX_IDLE_BUFFER: usize = 2 * BUFFER;

/// The longest reply that is looked at as a whole. Those of control commands that list much are asked for in pages.
const MAX_REPLY: usize = 64 * 1024 * 1024;

/// The longest entry: Redis takes a command of 1 GiB at most (`client-query-buffer-limit`).
const MAX_ENTRY: usize = 1024 * 1024 * 1024;

/// A connection, authenticated and on its database.
pub struct Connection {
    transport: Transport,
    node: Address,
    buffer: Vec<u8>,
    /// The part of `buffer` that was read and not yet handed out.
    filled: Range<usize>,
    /// The length of the value last handed out; it makes room at the next receive.
    handed_out: usize,
    /// Nothing is waited for beyond this.
    deadline: Option<Instant>,
    /// Once the work is asked to end, answers are waited for with less patience.
    stop: Stop,
    /// Where each command is announced, as to a node that a slot is on its way to.
    announced: Option<Announced>,
    /// By which it is broken when its server is not the master any more.
    handle: Option<Arc<Handle>>,
    read_timeout: Duration,
    /// How many replies are still to come at least.
    expected: usize,
    /// How many bytes the socket gathers before it wakes us up.
    low_water: u16,
}

impl Connection {
    /// Connects, authenticates and selects the database, all within the endpoint's time limit.
    pub fn open(endpoint: &Endpoint, stop: &Stop) -> Result<Self, Error> {
        let deadline = Instant::now() + endpoint.connect_timeout;
        let transport = Transport::open(endpoint, deadline, SLICE)?;
        let mut connection = Self {
            transport,
            node: endpoint.address.clone(),
            buffer: vec![0; BUFFER],
            filled: 0..0,
            handed_out: 0,
            deadline: Some(deadline),
            stop: stop.clone(),
            announced: None,
            handle: None,
            read_timeout: Duration::MAX,
            expected: 0,
            low_water: 1,
        };
        connection.log_in(endpoint)?;
        connection.deadline = None;
        Ok(connection)
    }

    /// The server it leads to.
    pub fn node(&self) -> &Address {
        &self.node
    }

    /// From now on nothing is waited for beyond this: an answer that is not whole by then counts as lost.
    pub fn set_deadline(&mut self, deadline: Option<Instant>) {
        self.deadline = deadline;
    }

    /// A handle by which another thread can break this connection, and so end a read that waits.
    pub fn breaker(&self) -> Result<Breaker, Error> {
        self.transport.breaker().map_err(|source| self.lost(source))
    }

    /// A handle for whoever may find that its server is not the master any more; it is of no use once the connection is
    /// closed.
    pub fn handle(&mut self) -> Result<Weak<Handle>, Error> {
        let handle = match self.handle.take() {
            Some(handle) => handle,
            None => Arc::new(Handle::new(self.breaker()?)),
        };
        Ok(Arc::downgrade(self.handle.insert(handle)))
    }

    /// From now on announces each command by ASKING.
    pub fn announce_all(&mut self) {
        self.announced = Some(Announced::default());
    }

    pub fn announces_all(&self) -> bool {
        self.announced.is_some()
    }

    /// Sends packed commands. A server that takes nothing of them within [`RESPONSE_TIMEOUT`] is lost.
    pub fn send(&mut self, packed: &[u8]) -> Result<(), Error> {
        match self.announced.as_mut().map(|announced| announced.announce(packed)) {
            None => self.write(packed),
            Some(Ok(packed)) => self.write(&packed),
            Some(Err(malformed)) => Err(self.malformed(malformed)),
        }
    }

    fn write(&mut self, packed: &[u8]) -> Result<(), Error> {
        let mut rest = packed;
        let mut wait = self.wait(RESPONSE_TIMEOUT);
        loop {
            let written = match rest {
                [] => self.transport.flush().map(|()| None),
                rest => self.transport.write(rest).map(Some),
            };
            match written {
                Ok(None) => return Ok(()),
                Ok(Some(0)) => return Err(self.lost(io::ErrorKind::WriteZero.into())),
                Ok(Some(written)) => {
                    rest = &rest[written..];
                    wait = self.wait(RESPONSE_TIMEOUT);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if is_timeout(&error) => {
                    if self.left(&mut wait).is_zero() {
                        return Err(self.late(&wait));
                    }
                }
                Err(error) => return Err(self.lost(error)),
            }
        }
    }

    /// Tells that so many more replies are certain to come, none of which is urgent while many others are to come.
    pub fn expect(&mut self, replies: usize) {
        self.expected += replies;
    }

    /// Waits for the next reply, at most [`RESPONSE_TIMEOUT`]. After a failure the connection is of no more use.
    pub fn receive(&mut self) -> Result<Reply<'_>, Error> {
        self.receive_within(RESPONSE_TIMEOUT)
    }

    fn receive_within(&mut self, patience: Duration) -> Result<Reply<'_>, Error> {
        self.pass_over_announcement()?;
        let range = self.value(patience, MAX_REPLY)?;
        self.expected = self.expected.saturating_sub(1);
        Ok(Reply {
            bytes: &self.buffer[range],
        })
    }

    /// The next reply as a tree, or the server's refusal.
    pub fn answer(&mut self) -> Result<Answer, Error> {
        let answer = self.receive()?.value();
        answer.map_err(|malformed| self.malformed(malformed))
    }

    /// Walks the next reply in place, or gives the server's refusal.
    pub fn walk<T>(
        &mut self,
        read: impl FnOnce(&mut Cursor<'_>) -> Result<T, Malformed>,
    ) -> Result<Result<T, ServerError>, Error> {
        self.walk_within(RESPONSE_TIMEOUT, read)
    }

    /// As [`walk`](Self::walk), of a command that makes the server wait.
    pub fn walk_within<T>(
        &mut self,
        patience: Duration,
        read: impl FnOnce(&mut Cursor<'_>) -> Result<T, Malformed>,
    ) -> Result<Result<T, ServerError>, Error> {
        let walked = match self.receive_within(patience)?.cursor() {
            Ok(mut cursor) => read(&mut cursor).map(Ok),
            Err(refusal) => Ok(Err(refusal)),
        };
        walked.map_err(|malformed| self.malformed(malformed))
    }

    /// Where the next value lies in the buffer, once it is there whole.
    fn value(&mut self, patience: Duration, limit: usize) -> Result<Range<usize>, Error> {
        self.let_go();
        let mut scanner = Scanner::new(limit);
        let mut wait = self.wait(patience);
        loop {
            let bytes = &self.buffer[self.filled.clone()];
            match scanner.advance(bytes) {
                Ok(Some(length)) => {
                    self.handed_out = length;
                    return Ok(self.filled.start..self.filled.start + length);
                }
                Ok(None) if bytes.len() > limit => return Err(self.malformed(Malformed("a reply too long to be one"))),
                Ok(None) => self.fill(&mut wait, scanner.at_least())?,
                Err(malformed) => return Err(self.malformed(malformed)),
            }
        }
    }

    /// What was handed out last is not looked at any more.
    fn let_go(&mut self) {
        self.filled.start += std::mem::take(&mut self.handed_out);
    }

    /// Reads what the socket has, at least one byte, of a value of at least `needed` bytes.
    fn fill(&mut self, wait: &mut Wait, needed: usize) -> Result<(), Error> {
        self.make_room(needed);
        self.set_low_water()?;
        loop {
            let left = self.left(wait);
            self.set_read_timeout(left.min(SLICE))?;
            let space = &mut self.buffer[self.filled.end..];
            match self.transport.read(space) {
                Ok(0) => {
                    let text = "the server closed the connection";
                    return Err(self.lost(io::Error::new(io::ErrorKind::UnexpectedEof, text)));
                }
                Ok(read) => {
                    self.filled.end += read;
                    // A server that answers a byte at a time must not be waited for byte by byte.
                    if self.left(wait).is_zero() {
                        return Err(self.late(wait));
                    }
                    return Ok(());
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if is_timeout(&error) => {
                    if self.left(wait).is_zero() {
                        return Err(self.late(wait));
                    }
                }
                Err(error) => return Err(self.lost(error)),
            }
        }
    }

    fn wait(&self, patience: Duration) -> Wait {
        Wait {
            patience,
            deadline: self.deadline,
            begun: None,
        }
    }

    /// How long to go on waiting.
    fn left(&self, wait: &mut Wait) -> Duration {
        let now = Instant::now();
        let begun = *wait.begun.get_or_insert(now);
        let limits = [wait.deadline, self.stop.last_answer(begun)];
        let until = limits.into_iter().flatten().fold(begun + wait.patience, Instant::min);
        until.saturating_duration_since(now)
    }

    fn late(&self, wait: &Wait) -> Error {
        let waited = wait.begun.map_or(wait.patience, |begun| begun.elapsed());
        // What it took beyond a tenth of a second says nothing.
        let step = if waited < Duration::from_secs(1) { 1 } else { 100 };
        let waited = Duration::from_millis(waited.as_millis() as u64 / step * step);
        let text = format!("no answer within {waited:?}");
        self.lost(io::Error::new(io::ErrorKind::TimedOut, text))
    }

    /// Makes room for another read. The buffer follows the largest value there is, not the largest that is claimed:
    /// it doubles as bytes come.
    fn make_room(&mut self, needed: usize) {
        if self.filled.is_empty() {
            self.filled = 0..0;
            if self.buffer.len() > MAX_IDLE_BUFFER {
                self.buffer.truncate(BUFFER);
                self.buffer.shrink_to_fit();
            }
        }
        if self.buffer.len() - self.filled.end < BUFFER / 4 {
            self.buffer.copy_within(self.filled.clone(), 0);
            self.filled = 0..self.filled.len();
            if self.buffer.len() - self.filled.end < BUFFER / 2 {
                let doubled = 2 * self.buffer.len();
                let enough = (needed + BUFFER).max(self.filled.end + BUFFER);
                self.buffer
                    .reserve_exact(doubled.min(enough).saturating_sub(self.buffer.len()));
                self.buffer.resize(doubled.min(enough), 0);
            }
        }
    }

    fn set_read_timeout(&mut self, left: Duration) -> Result<(), Error> {
        // The system's clock need not be set for each read: a timeout that comes early is waited out again.
        let left = left.max(Duration::from_millis(1));
        let fits = (left / 2..=left).contains(&self.read_timeout) && !self.transport.times_out_at_a_moment();
        if !fits {
            self.transport
                .set_read_timeout(left)
                .map_err(|source| self.lost(source))?;
            self.read_timeout = left;
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

    /// What a malformed reply means here.
    pub fn malformed(&self, Malformed(what): Malformed) -> Error {
        Error::Protocol {
            address: self.node.to_string(),
            what,
        }
    }

    fn lost(&self, source: io::Error) -> Error {
        let address = self.node.to_string();
        if self.handle.as_ref().is_some_and(|handle| handle.is_abandoned()) {
            let source = io::Error::other("it is not the master any more");
            return Error::Lost { address, source };
        }
        // Only TLS finds fault with what it reads. From version 1.3 on a server refuses a client's certificate when
        // the handshake is over on this side.
        if source.kind() == io::ErrorKind::InvalidData {
            return Error::Tls { address, source };
        }
        Error::Lost { address, source }
    }
}

/// The time one value has to arrive whole.
struct Wait {
    patience: Duration,
    deadline: Option<Instant>,
    /// Set when first asked for: a value that is here already needs no clock.
    begun: Option<Instant>,
}

fn is_timeout(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut)
}
