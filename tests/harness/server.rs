//! A private server for one test: started, killed, paused, started again.

use super::options::Options;
use super::wait::wait_until;
use rustix::process::{Pid, Signal, kill_process};
use std::ffi::OsString;
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use tempfile::TempDir;

/// A running server, killed when dropped; its log is shown if the test failed.
pub struct Server {
    dir: TempDir,
    args: Vec<String>,
    port: u16,
    options: Options,
    child: Mutex<Option<Child>>,
    is_paused: AtomicBool,
}

/// The server that the tests run against: `$REDIS_STREAMER_TEST_SERVER`, else `redis-server` from PATH.
pub(super) fn binary() -> OsString {
    std::env::var_os("REDIS_STREAMER_TEST_SERVER").unwrap_or_else(|| "redis-server".into())
}

/// The program that mends its append-only files: the one beside it, since another version may not read them.
fn check_aof() -> PathBuf {
    let beside = PathBuf::from(binary()).with_file_name("redis-check-aof");
    if beside.is_absolute() && beside.exists() {
        return beside;
    }
    "redis-check-aof".into()
}

impl Server {
    /// A server on a Unix socket alone, which keeps nothing.
    pub fn start() -> Self {
        Self::options().start()
    }

    pub fn options() -> Options {
        Options::new()
    }

    pub(super) fn launched(options: Options) -> Self {
        Self::try_launched(options).unwrap_or_else(|log| panic!("the server does not start: {log}"))
    }

    /// As `launched`; gives the log of a server that does not start.
    pub(super) fn try_launched(options: Options) -> Result<Self, String> {
        // The path of a Unix socket may have 107 bytes: TMPDIR may be too deep for it.
        let dir = tempfile::Builder::new().prefix("rs-").tempdir_in("/tmp").unwrap();
        std::fs::create_dir(dir.path().join("work")).unwrap();
        options.prepare(dir.path());
        let mut server = Self {
            dir,
            args: Vec::new(),
            port: 0,
            options,
            child: Mutex::new(None),
            is_paused: AtomicBool::new(false),
        };
        // Another process may take the free port before the server does: then try the next.
        for _ in 0..10 {
            server.port = server.options.port();
            server.args = server.options.args(server.dir.path(), server.port);
            if server.launch() {
                return Ok(server);
            }
        }
        Err(server.log())
    }

    /// The URL that reaches it, without any credentials.
    pub fn url(&self) -> String {
        self.options.url(self.dir.path(), self.port)
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    /// The address it listens on besides its socket.
    pub(super) fn host(&self) -> &'static str {
        self.options.host().expect("a server with a port")
    }

    pub(super) fn has_tls(&self) -> bool {
        self.options.has_tls()
    }

    pub fn socket(&self) -> PathBuf {
        self.dir.path().join("s")
    }

    pub fn password(&self) -> Option<&str> {
        self.options.password.as_deref()
    }

    /// Where the certificates are.
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// The directory in which the programs of the test run.
    pub fn work(&self) -> PathBuf {
        self.dir.path().join("work")
    }

    /// Writes a file for the programs of the test, which know it by this name.
    pub fn file(&self, name: &str, contents: impl AsRef<[u8]>) -> PathBuf {
        let path = self.work().join(name);
        std::fs::write(&path, contents).unwrap();
        path
    }

    /// The lines that programs of the test wrote to the file of this name so far; none if there is no such file.
    pub fn lines(&self, name: &str) -> Vec<String> {
        let text = std::fs::read_to_string(self.work().join(name)).unwrap_or_default();
        text.lines().map(str::to_owned).collect()
    }

    /// What a program of the test wrote to the file of this name.
    pub fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.work().join(name)).unwrap()
    }

    /// Ends the server as a crash would.
    pub fn kill9(&self) {
        if let Some(mut child) = self.child.lock().unwrap().take() {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }

    /// Starts the server again, at the same address, after `kill9`.
    pub fn restart(&self) {
        self.kill9();
        self.repair();
        assert!(self.launch(), "no restart: {}", self.log());
    }

    /// Cuts off what a kill left half written. Redis 7.0 does so itself as it starts, except where a transaction's
    /// beginning was written whole: that it leaves in the file, and drops what is appended behind it at the next start.
    fn repair(&self) {
        let names = ["appendonlydir/appendonly.aof.manifest", "appendonly.aof"];
        let Some(file) = names
            .map(|name| self.dir.path().join(name))
            .into_iter()
            .find(|file| file.exists())
        else {
            return;
        };
        let mut check = Command::new(check_aof())
            .arg("--fix")
            .arg(file)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("redis-check-aof is needed on PATH");
        // It asks only if there is something to cut.
        let _ = std::io::Write::write_all(&mut check.stdin.take().unwrap(), b"y\n");
        check.wait().unwrap();
    }

    /// Comes back with nothing: as after a failover to a replica that had not heard of the last writes.
    pub fn restart_empty(&self) {
        self.kill9();
        for data in ["appendonlydir", "appendonly.aof", "dump.rdb"] {
            let path = self.dir.path().join(data);
            let _ = std::fs::remove_dir_all(&path);
            let _ = std::fs::remove_file(&path);
        }
        assert!(self.launch(), "no restart: {}", self.log());
    }

    /// Stops the server in its tracks: connections stay open, nothing is answered.
    pub fn pause(&self) {
        self.is_paused.store(true, Ordering::SeqCst);
        self.signal(Signal::STOP);
    }

    /// Lets a paused server go on.
    pub fn resume(&self) {
        self.signal(Signal::CONT);
        self.is_paused.store(false, Ordering::SeqCst);
    }

    fn signal(&self, signal: Signal) {
        let child = self.child.lock().unwrap();
        let pid = Pid::from_child(child.as_ref().unwrap());
        kill_process(pid, signal).unwrap();
    }

    /// Waits until this replica has all that its master has.
    pub fn wait_in_sync(&self, master: &Self) {
        wait_until("the replica to have all", || {
            let has = self.replication("slave_repl_offset");
            let link = self.replication("master_link_status");
            link.as_deref() == Some("up") && has == master.replication("master_repl_offset")
        });
    }

    /// Waits until a replica confirms what this server takes: it may yet have to, right after it has all.
    pub fn wait_replicates(&self) {
        let client = self.client();
        wait_until("a replica to confirm", || {
            client.command(["SET", "confirmed", "1"]);
            client.command(["DEL", "confirmed"]);
            client.command(["WAIT", "1", "100"]) == redis::Value::Int(1)
        });
    }

    /// Waits until the append-only file of a new replica holds what it was given.
    pub fn wait_rewritten(&self) {
        wait_until("the append-only file to be written", || {
            let info = self.cli(["INFO", "persistence"]);
            let idle = ["aof_rewrite_in_progress:0", "aof_rewrite_scheduled:0"];
            idle.iter().all(|line| info.contains(line))
        });
    }

    /// Whether it was killed and not started again.
    pub fn is_down(&self) -> bool {
        self.child.lock().unwrap().is_none()
    }

    /// Whether it is neither down nor paused.
    pub fn is_awake(&self) -> bool {
        !self.is_down() && !self.is_paused.load(Ordering::SeqCst)
    }

    /// Makes a replica a master.
    pub fn promote(&self) {
        self.cli(["REPLICAOF", "NO", "ONE"]);
    }

    /// Whether the server came up: it answers on the socket and, if it has a port, there too.
    fn launch(&self) -> bool {
        self.is_paused.store(false, Ordering::SeqCst);
        let binary = binary();
        let mut child = Command::new(&binary)
            .args(&self.args)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap_or_else(|error| panic!("{binary:?} does not run, which is needed: {error}"));
        let mut up = false;
        wait_until("the server to answer or to end", || {
            up = self.answers();
            up || child.try_wait().unwrap().is_some()
        });
        *self.child.lock().unwrap() = Some(child);
        up
    }

    fn answers(&self) -> bool {
        // While an append-only file is being read, commands are refused with LOADING.
        let socket = self.try_command(["PING"]).is_ok();
        socket
            && self
                .options
                .host()
                .is_none_or(|host| TcpStream::connect((host, self.port)).is_ok())
    }

    /// What a server says that ended by a bug of its own, as text to put behind an error; empty as a rule.
    pub fn crash(&self) -> String {
        let log = self.log();
        let line = log
            .lines()
            .find(|line| line.contains("Guru Meditation") || line.contains("crashed by signal"));
        line.map(|line| format!("; the server crashed: {line}"))
            .unwrap_or_default()
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.dir.path().join("log")).unwrap_or_default()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Ok(Some(child)) = self.child.get_mut() {
            let _ = child.kill();
            let _ = child.wait();
        }
        if std::thread::panicking() {
            eprintln!("--- the server's log\n{}", self.log());
        }
    }
}
