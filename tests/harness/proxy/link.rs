//! One connection, carried byte by byte until it is cut.

use super::{End, ServerSide, Shared};
use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// One connection's two sockets and how much each way may still carry.
pub(super) struct Link {
    pub(super) shared: Arc<Shared>,
    pub(super) client: TcpStream,
    pub(super) server: UnixStream,
    /// None: without limit.
    request_limit: Option<usize>,
    needle: Option<&'static [u8]>,
    reply_limit: Mutex<Option<usize>>,
    late: Option<Late>,
    lands: bool,
    drip: Option<(usize, Duration)>,
    end: End,
    is_cut: AtomicBool,
}

/// How the last requests reach the server.
#[derive(Clone, Copy)]
pub(super) struct Late {
    pub(super) after: Duration,
    pub(super) server_side: ServerSide,
}

impl Late {
    /// Hands the server what it has yet to be given; nobody hears its answers.
    fn deliver(self, server: UnixStream, held: &[u8]) {
        std::thread::sleep(self.after);
        let _ = server.set_read_timeout(None);
        let Ok(mut answers) = server.try_clone() else {
            return;
        };
        // As long as this one reads, the connection is open.
        let hearing = std::thread::spawn(move || std::io::copy(&mut answers, &mut std::io::sink()));
        let _ = (&server).write_all(held);
        if self.server_side == ServerSide::Closed {
            let _ = server.shutdown(Shutdown::Write);
            let _ = hearing.join();
        }
    }
}

/// Looks for bytes that may stand across two chunks.
struct Search {
    wanted: &'static [u8],
    tail: Vec<u8>,
}

impl Search {
    fn new(wanted: &'static [u8]) -> Self {
        Self {
            wanted,
            tail: Vec::new(),
        }
    }

    /// Where in this chunk they begin, or 0 if that was in the one before.
    fn find(&mut self, chunk: &[u8]) -> Option<usize> {
        let before = self.tail.len();
        self.tail.extend_from_slice(chunk);
        let found = self
            .tail
            .windows(self.wanted.len())
            .position(|window| window == self.wanted);
        let gone = (self.tail.len() + 1).saturating_sub(self.wanted.len());
        self.tail.drain(..gone);
        found.map(|at| at.saturating_sub(before))
    }
}

/// How long a client is silent when it has sent all that it sends without an answer.
const SILENCE: Duration = Duration::from_millis(30);

/// How long it is listened to at most.
const LISTENED: Duration = Duration::from_millis(500);

impl Link {
    pub(super) fn new(shared: Arc<Shared>, client: TcpStream, server: UnixStream) -> Self {
        Self {
            shared,
            client,
            server,
            request_limit: None,
            needle: None,
            reply_limit: Mutex::new(None),
            late: None,
            lands: false,
            drip: None,
            end: End::Fin,
            is_cut: AtomicBool::new(false),
        }
    }

    pub(super) fn cut_requests(mut self, bytes: usize, end: End) -> Self {
        self.request_limit = Some(bytes);
        self.end = end;
        self
    }

    pub(super) fn cut_replies(mut self, bytes: usize, end: End) -> Self {
        self.reply_limit = Mutex::new(Some(bytes));
        self.end = end;
        self
    }

    pub(super) fn cut_answer(mut self, needle: &'static [u8], end: End) -> Self {
        self.needle = Some(needle);
        self.end = end;
        self
    }

    /// Has the server take and answer all before the cut.
    pub(super) fn land(mut self) -> Self {
        self.lands = true;
        self
    }

    pub(super) fn deliver(mut self, late: Late) -> Self {
        self.late = Some(late);
        self
    }

    pub(super) fn drip(mut self, bytes: usize, pause: Duration) -> Self {
        self.drip = Some((bytes, pause));
        self
    }

    pub(super) fn start(self) {
        let link = Arc::new(self);
        let back = Arc::clone(&link);
        std::thread::spawn(move || {
            let held = link.carry_requests();
            let (shared, server, late) = (Arc::clone(&link.shared), link.server.try_clone(), link.late);
            // A reset reaches the client when nobody holds its socket any more.
            drop(link);
            if let (Some(held), Ok(server), Some(late)) = (held, server, late) {
                late.deliver(server, &held);
                shared.late.fetch_sub(1, Ordering::SeqCst);
            }
        });
        std::thread::spawn(move || back.carry_replies());
    }

    /// Returns what has yet to be delivered.
    fn carry_requests(&self) -> Option<Vec<u8>> {
        let mut limit = self.request_limit;
        let mut search = self.needle.map(Search::new);
        let mut chunk = [0; 16 * 1024];
        while let Ok(read @ 1..) = (&self.client).read(&mut chunk) {
            let mut passing = limit.map_or(read, |limit| limit.min(read));
            if let Some(at) = search.as_mut().and_then(|search| search.find(&chunk[..passing])) {
                search = None;
                if self.late.is_some() {
                    passing = at;
                    limit = Some(at);
                } else {
                    *self.reply_limit.lock().unwrap() = Some(0);
                }
            }
            if (&self.server).write_all(&chunk[..passing]).is_err() {
                break;
            }
            if let Some(left) = &mut limit {
                *left -= passing;
                if *left == 0 {
                    return self.end_requests(&chunk[passing..read]);
                }
            }
        }
        let _ = self.server.shutdown(Shutdown::Write);
        None
    }

    /// Ends the requests; returns what the server has yet to be given, if it gets it late.
    fn end_requests(&self, rest: &[u8]) -> Option<Vec<u8>> {
        if self.late.is_none() && !self.lands {
            self.cut();
            return None;
        }
        if self.late.is_some() {
            self.shared.late.fetch_add(1, Ordering::SeqCst);
        }
        self.is_cut.store(true, Ordering::SeqCst);
        let mut held = rest.to_vec();
        self.listen(&mut held);
        if self.lands {
            self.hand_over(&held);
            let _ = self.server.shutdown(Shutdown::Both);
        }
        self.shared.run_hook();
        self.end_client();
        self.late.map(|_| held)
    }

    /// Gives the server all that the client had sent, and waits until it is silent.
    fn hand_over(&self, held: &[u8]) {
        // Longer than a disk takes.
        let _ = self.server.set_read_timeout(Some(4 * SILENCE));
        std::thread::scope(|scope| {
            let sending = scope.spawn(|| drop((&self.server).write_all(held)));
            while self.hear() || !sending.is_finished() {}
        });
    }

    /// Takes in some of the server's answers; false if there is none.
    fn hear(&self) -> bool {
        (&self.server).read(&mut [0; 16 * 1024]).is_ok_and(|read| read > 0)
    }

    fn carry_replies(&self) {
        if self.late.is_some() || self.lands {
            // So that it lets go of the client soon after the cut.
            let _ = self.server.set_read_timeout(Some(Duration::from_millis(10)));
        }
        let mut carried = 0;
        let mut chunk = [0; 16 * 1024];
        loop {
            let read = match (&self.server).read(&mut chunk) {
                Ok(0) => break,
                // What is answered to the last requests nobody hears.
                Ok(_) if self.is_cut.load(Ordering::SeqCst) => break,
                Ok(read) => read,
                Err(error) if error.kind() == ErrorKind::WouldBlock && !self.is_cut.load(Ordering::SeqCst) => continue,
                Err(_) => break,
            };
            let mut limit = self.reply_limit.lock().unwrap();
            let passing = limit.map_or(read, |limit| limit.min(read));
            if self.pass(&chunk[..passing], &mut carried).is_err() {
                break;
            }
            if let Some(left) = &mut *limit {
                *left -= passing;
                if passing < read || *left == 0 {
                    return self.cut();
                }
            }
        }
        // After a cut the client's end is told by the cut alone.
        if !self.is_cut.load(Ordering::SeqCst) {
            let _ = self.client.shutdown(Shutdown::Both);
            let _ = self.server.shutdown(Shutdown::Both);
        }
    }

    /// Hands a reply to the client.
    fn pass(&self, reply: &[u8], carried: &mut usize) -> std::io::Result<()> {
        let Some((bytes, pause)) = self.drip else {
            return (&self.client).write_all(reply);
        };
        for byte in reply {
            if *carried >= bytes {
                std::thread::sleep(pause);
            }
            (&self.client).write_all(&[*byte])?;
            *carried += 1;
        }
        Ok(())
    }

    /// Takes in all that the client sends before it waits for an answer.
    fn listen(&self, held: &mut Vec<u8>) {
        let begun = Instant::now();
        let _ = self.client.set_read_timeout(Some(SILENCE));
        let mut chunk = [0; 16 * 1024];
        while begun.elapsed() < LISTENED {
            match (&self.client).read(&mut chunk) {
                Ok(read @ 1..) => held.extend_from_slice(&chunk[..read]),
                _ => break,
            }
        }
    }

    pub(super) fn cut(&self) {
        self.is_cut.store(true, Ordering::SeqCst);
        let _ = self.server.shutdown(Shutdown::Both);
        self.shared.run_hook();
        self.end_client();
    }

    fn end_client(&self) {
        *self.shared.cuts.lock().unwrap() += 1;
        match self.end {
            End::Fin => {
                let _ = self.client.shutdown(Shutdown::Both);
            }
            End::Reset => {
                // The reset is sent when both threads have let go of the socket; reading ends at once.
                let _ = socket2::SockRef::from(&self.client).set_linger(Some(Duration::ZERO));
                let _ = self.client.shutdown(Shutdown::Read);
            }
        }
    }
}
