//! A proxy on 127.0.0.1 before a server's Unix socket, which cuts connections at chosen points.

mod link;
mod split;

use super::panics::Panics;
use super::wait::wait_until;
use link::{Late, Link};
use split::Then;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
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
    /// It ends when the server has answered all that the client sent by so many bytes of its requests, or sends behind
    /// them before it waits; those answers are lost.
    Landed(usize, End),
    /// Late delivery: it ends for the client at so many bytes of its requests; what the client had sent by then
    /// reaches the server this much later.
    Late(usize, End, Duration, ServerSide),
    /// As `Late`, at the first request that holds these bytes; they are late, too.
    LateAt(&'static [u8], End, Duration, ServerSide),
    /// Replies are held back until so many bytes of its requests have reached the server and been answered, the hook
    /// has run, and all that the client sends before it waits has followed; then it goes on unharmed.
    Split(usize),
    /// As `Split`, but those replies are lost: it ends.
    SplitUnheard(usize),
    /// Behind so many bytes its replies come a byte at a time, with this pause before each, for ever.
    Dripping(usize, Duration),
    /// Accepted, and never a word: what is sent there vanishes.
    Swallowed,
    /// Whatever is asked, this is the answer, and the end.
    Refused(&'static [u8]),
}

/// How a connection ends for the client.
#[derive(Clone, Copy, Debug)]
pub enum End {
    Fin,
    Reset,
}

/// What the server learns of the end of a connection whose last requests come late.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ServerSide {
    /// It is told of the end behind them.
    Closed,
    /// It takes the client to be alive as long as the test runs; its replies are thrown away.
    Open,
}

type Hook = Box<dyn FnOnce() + Send>;

/// What all threads share.
struct Shared {
    socket: Mutex<PathBuf>,
    /// The fates of the next connections; those after them are spared.
    fates: Mutex<Box<dyn Iterator<Item = Fate> + Send>>,
    /// Runs between the end towards the server and the end towards the client.
    hook: Mutex<Option<Hook>>,
    cuts: Mutex<usize>,
    connections: AtomicUsize,
    /// How many deliveries are still to be made.
    late: AtomicUsize,
    panics: Panics,
}

impl Shared {
    fn run_hook(&self) {
        // Not held while it runs.
        let hook = self.hook.lock().unwrap().take();
        if let Some(hook) = hook {
            self.panics.note(hook);
        }
    }

    fn connect(&self) -> Option<UnixStream> {
        let socket = self.socket.lock().unwrap().clone();
        UnixStream::connect(socket).ok()
    }
}

/// A running proxy. Its threads end with the test's process, its connections with their peers.
pub struct Proxy {
    port: u16,
    shared: Arc<Shared>,
}

impl Proxy {
    /// Listens; connections meet their fates in this order. The fates may go on for ever.
    pub fn start<F>(socket: PathBuf, fates: F) -> Self
    where
        F: IntoIterator<Item = Fate>,
        F::IntoIter: Send + 'static,
    {
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let shared = Arc::new(Shared {
            socket: Mutex::new(socket),
            fates: Mutex::new(Box::new(fates.into_iter())),
            hook: Mutex::default(),
            cuts: Mutex::default(),
            connections: AtomicUsize::new(0),
            late: AtomicUsize::new(0),
            panics: Panics::default(),
        });
        let accepting = Arc::clone(&shared);
        std::thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                let fate = accepting.fates.lock().unwrap().next().unwrap_or(Fate::Spared);
                accepting.connections.fetch_add(1, Ordering::SeqCst);
                meet(&accepting, client, fate);
            }
        });
        Self { port, shared }
    }

    /// At the first cut, runs this before the client learns of it.
    pub fn at_cut(self, hook: impl FnOnce() + Send + 'static) -> Self {
        *self.shared.hook.lock().unwrap() = Some(Box::new(hook));
        self
    }

    /// Connections from now on lead to this server.
    pub fn turn_to(&self, socket: PathBuf) {
        *self.shared.socket.lock().unwrap() = socket;
    }

    /// Waits until the server has been given all that is late.
    pub fn settle(&self) {
        wait_until("late deliveries", || self.shared.late.load(Ordering::SeqCst) == 0);
    }

    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// How many connections there were.
    pub fn connections(&self) -> usize {
        self.shared.connections.load(Ordering::SeqCst)
    }

    /// How many connections were cut.
    pub fn cuts(&self) -> usize {
        *self.shared.cuts.lock().unwrap()
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.shared.panics.assert_none();
    }
}

fn meet(shared: &Arc<Shared>, client: TcpStream, fate: Fate) {
    if let Fate::Swallowed = fate {
        std::thread::spawn(move || std::io::copy(&mut &client, &mut std::io::sink()));
        return;
    }
    let Some(server) = shared.connect() else {
        return;
    };
    let link = Link::new(Arc::clone(shared), client, server);
    match fate {
        Fate::Spared | Fate::Swallowed => link.start(),
        Fate::Request(bytes, end) => link.cut_requests(bytes, end).start(),
        Fate::Reply(bytes, end) => link.cut_replies(bytes, end).start(),
        Fate::Landed(bytes, end) => link.cut_requests(bytes, end).land().start(),
        Fate::Unanswered(needle, end) => link.cut_answer(needle, end).start(),
        Fate::Late(bytes, end, after, server_side) => {
            let late = Late { after, server_side };
            link.cut_requests(bytes, end).deliver(late).start();
        }
        Fate::LateAt(needle, end, after, server_side) => {
            let late = Late { after, server_side };
            link.cut_answer(needle, end).deliver(late).start();
        }
        Fate::Dripping(bytes, pause) => link.drip(bytes, pause).start(),
        Fate::Split(bytes) => {
            std::thread::spawn(move || split::split(link, bytes, Then::GoesOn));
        }
        Fate::SplitUnheard(bytes) => {
            std::thread::spawn(move || split::split(link, bytes, Then::Ends));
        }
        Fate::Refused(answer) => {
            std::thread::spawn(move || refuse(&link.client, answer));
        }
    }
}

fn refuse(mut client: &TcpStream, answer: &[u8]) {
    let _ = client.read(&mut [0; 65536]);
    let _ = client.write_all(answer);
    let _ = client.shutdown(Shutdown::Write);
}
