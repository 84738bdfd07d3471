//! A proxy on 127.0.0.1 before a server's Unix socket, which cuts connections at chosen points.

use std::collections::VecDeque;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// What happens to one connection.
pub enum Fate {
    /// Nothing.
    Spared,
    /// It ends when so many bytes of its requests have reached the server.
    Request(usize, End),
    /// It ends when so many bytes of its replies have reached the client; the server has all of its requests.
    Reply(usize, End),
    /// It ends when the server has answered a request that holds these bytes; the answer is lost.
    Unanswered(&'static [u8], End),
    /// Replies are held back until so many bytes of its requests have reached the server and been answered, the hook
    /// has run, and all that the client sends before it waits has followed; then it goes on unharmed.
    Split(usize),
    /// Whatever is asked, this is the answer, and the end.
    Refused(&'static [u8]),
}

/// How a connection ends for the client.
#[derive(Clone, Copy, Debug)]
pub enum End {
    Fin,
    Reset,
}

type Hook = Box<dyn FnOnce() + Send>;

/// What all threads share.
struct Shared {
    socket: PathBuf,
    /// The fates of the next connections; those after them are spared.
    fates: Mutex<VecDeque<Fate>>,
    /// Runs between the end towards the server and the end towards the client.
    hook: Mutex<Option<Hook>>,
    cuts: Mutex<usize>,
}

/// A running proxy. Its threads end with the test's process, its connections with their peers.
pub struct Proxy {
    port: u16,
    shared: Arc<Shared>,
}

impl Proxy {
    /// Listens; connections meet their fates in this order.
    pub fn start(socket: PathBuf, fates: impl IntoIterator<Item = Fate>) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let shared = Arc::new(Shared {
            socket,
            fates: Mutex::new(fates.into_iter().collect()),
            hook: Mutex::default(),
            cuts: Mutex::default(),
        });
        let accepting = Arc::clone(&shared);
        std::thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                let fate = accepting.fates.lock().unwrap().pop_front().unwrap_or(Fate::Spared);
                connect(&accepting, client, fate);
            }
        });
        Self { port, shared }
    }

    /// At the first cut, runs this before the client learns of it.
    pub fn at_cut(self, hook: impl FnOnce() + Send + 'static) -> Self {
        *self.shared.hook.lock().unwrap() = Some(Box::new(hook));
        self
    }

    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// How many connections were cut.
    pub fn cuts(&self) -> usize {
        *self.shared.cuts.lock().unwrap()
    }
}

/// One connection's two sockets and how much each way may still carry.
struct Link {
    shared: Arc<Shared>,
    client: TcpStream,
    server: UnixStream,
    /// None: without limit.
    reply_limit: Mutex<Option<usize>>,
    end: End,
    is_cut: AtomicBool,
}

fn connect(shared: &Arc<Shared>, mut client: TcpStream, fate: Fate) {
    let Ok(server) = UnixStream::connect(&shared.socket) else {
        return;
    };
    let (requests, replies, needle, end) = match fate {
        Fate::Spared => (None, None, None, End::Fin),
        Fate::Request(bytes, end) => (Some(bytes), None, None, end),
        Fate::Reply(bytes, end) => (None, Some(bytes), None, end),
        Fate::Unanswered(needle, end) => (None, None, Some(needle), end),
        Fate::Split(bytes) => {
            let shared = Arc::clone(shared);
            std::thread::spawn(move || split(&shared, &client, &server, bytes));
            return;
        }
        Fate::Refused(answer) => {
            std::thread::spawn(move || {
                let _ = client.read(&mut [0; 65536]);
                let _ = client.write_all(answer);
                let _ = client.shutdown(Shutdown::Write);
            });
            return;
        }
    };
    let link = Arc::new(Link {
        shared: Arc::clone(shared),
        client,
        server,
        reply_limit: Mutex::new(replies),
        end,
        is_cut: AtomicBool::new(false),
    });
    let back = Arc::clone(&link);
    std::thread::spawn(move || link.carry_requests(requests, needle));
    std::thread::spawn(move || back.carry_replies());
}

/// How long a side is silent when it has said all it has to say.
const SILENCE: Duration = Duration::from_millis(200);

fn split(shared: &Shared, client: &TcpStream, server: &UnixStream, mut left: usize) {
    let mut held = Vec::new();
    // Requests that are answered one at a time go through as they come.
    let _ = client.set_read_timeout(Some(SILENCE));
    let _ = server.set_read_timeout(Some(SILENCE));
    let mut chunk = [0; 16 * 1024];
    while left > 0 {
        let most = left.min(chunk.len());
        match (&mut &*client).read(&mut chunk[..most]) {
            Ok(read @ 1..) => {
                let _ = (&mut &*server).write_all(&chunk[..read]);
                left -= read;
            }
            Ok(_) => return,
            Err(_) => {
                let answered = drain(server, &mut held);
                let _ = (&mut &*client).write_all(&std::mem::take(&mut held));
                if !answered {
                    continue;
                }
            }
        }
    }
    drain(server, &mut held);
    if let Some(hook) = shared.hook.lock().unwrap().take() {
        hook();
    }
    let mut rest = Vec::new();
    while let Ok(read @ 1..) = (&mut &*client).read(&mut chunk) {
        rest.extend_from_slice(&chunk[..read]);
    }
    let _ = (&mut &*server).write_all(&rest);
    drain(server, &mut held);
    let _ = (&mut &*client).write_all(&held);
    let _ = client.set_read_timeout(None);
    let _ = server.set_read_timeout(None);
    let (Ok(mut from_client), Ok(mut to_server)) = (client.try_clone(), server.try_clone()) else {
        return;
    };
    std::thread::spawn(move || {
        let _ = std::io::copy(&mut from_client, &mut to_server);
        let _ = to_server.shutdown(Shutdown::Both);
    });
    let _ = std::io::copy(&mut &*server, &mut &*client);
    let _ = client.shutdown(Shutdown::Both);
}

/// Takes in what a server answers until it is silent; says whether that was anything.
fn drain(mut server: &UnixStream, held: &mut Vec<u8>) -> bool {
    let before = held.len();
    let mut chunk = [0; 16 * 1024];
    while let Ok(read @ 1..) = server.read(&mut chunk) {
        held.extend_from_slice(&chunk[..read]);
    }
    held.len() > before
}

impl Link {
    fn carry_requests(&self, mut limit: Option<usize>, mut needle: Option<&[u8]>) {
        let mut seen = Vec::new();
        let mut chunk = [0; 16 * 1024];
        while let Ok(read @ 1..) = (&self.client).read(&mut chunk) {
            let passing = limit.map_or(read, |limit| limit.min(read));
            if let Some(wanted) = needle {
                seen.extend_from_slice(&chunk[..passing]);
                if seen.windows(wanted.len()).any(|window| window == wanted) {
                    *self.reply_limit.lock().unwrap() = Some(0);
                    needle = None;
                }
            }
            if (&self.server).write_all(&chunk[..passing]).is_err() {
                break;
            }
            if let Some(left) = &mut limit {
                *left -= passing;
                if *left == 0 {
                    return self.cut();
                }
            }
        }
        let _ = self.server.shutdown(Shutdown::Write);
    }

    fn carry_replies(&self) {
        let mut chunk = [0; 16 * 1024];
        while let Ok(read @ 1..) = (&self.server).read(&mut chunk) {
            let mut limit = self.reply_limit.lock().unwrap();
            let passing = limit.map_or(read, |limit| limit.min(read));
            if (&self.client).write_all(&chunk[..passing]).is_err() {
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

    fn cut(&self) {
        self.is_cut.store(true, Ordering::SeqCst);
        let _ = self.server.shutdown(Shutdown::Both);
        if let Some(hook) = self.shared.hook.lock().unwrap().take() {
            hook();
        }
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
