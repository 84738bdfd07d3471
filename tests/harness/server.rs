//! A private redis-server for one test.

use super::tls;
use super::wait::wait_until;
use redis::Value;
use rustix::process::{Pid, Signal, kill_process};
use std::ffi::OsStr;
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use tempfile::TempDir;

/// Where the server listens besides its Unix socket.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Listen {
    UnixOnly,
    Tcp4,
    Tcp6,
    Tls { client_certificates: bool },
}

/// How a server is started; see [`Server::options`].
pub struct Options {
    listen: Listen,
    append_only: bool,
    password: Option<String>,
    without: Option<&'static str>,
}

/// A running server, killed when dropped; its log is shown if the test failed.
pub struct Server {
    dir: TempDir,
    args: Vec<String>,
    port: u16,
    options: Options,
    child: Mutex<Option<Child>>,
}

/// An entry as the server holds it: the ID and the fields in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    pub id: String,
    pub fields: Vec<(Vec<u8>, Vec<u8>)>,
}

/// The entry one expects, from text.
pub fn entry(id: &str, fields: &[(&str, &str)]) -> Entry {
    let fields = fields
        .iter()
        .map(|(name, value)| (name.as_bytes().to_vec(), value.as_bytes().to_vec()))
        .collect();
    Entry { id: id.into(), fields }
}

impl Options {
    /// Also listen on 127.0.0.1.
    pub fn tcp4(mut self) -> Self {
        self.listen = Listen::Tcp4;
        self
    }

    /// Also listen on [::1].
    pub fn tcp6(mut self) -> Self {
        self.listen = Listen::Tcp6;
        self
    }

    /// Also listen on 127.0.0.1 with TLS; the certificates are in the server's `dir`.
    pub fn tls(mut self) -> Self {
        self.listen = Listen::Tls {
            client_certificates: false,
        };
        self
    }

    /// As `tls`, and refuse clients without a certificate.
    pub fn tls_with_client_certificates(mut self) -> Self {
        self.listen = Listen::Tls {
            client_certificates: true,
        };
        self
    }

    /// Ask every client for this password.
    pub fn password(mut self, password: &str) -> Self {
        self.password = Some(password.into());
        self
    }

    /// Do not know this command, as older servers do not.
    pub fn without(mut self, command: &'static str) -> Self {
        self.without = Some(command);
        self
    }

    /// Keep every write on disk before it is answered, so that it survives `kill9` and `restart`.
    pub fn append_only(mut self) -> Self {
        self.append_only = true;
        self
    }

    /// Starts the server and waits until it answers.
    pub fn start(self) -> Server {
        // The path of a Unix socket may have 107 bytes: TMPDIR may be too deep for it.
        let dir = tempfile::Builder::new().prefix("rs-").tempdir_in("/tmp").unwrap();
        std::fs::create_dir(dir.path().join("work")).unwrap();
        if let Listen::Tls { .. } = self.listen {
            tls::write_certificates(dir.path());
        }
        let mut server = Server {
            dir,
            args: Vec::new(),
            port: 0,
            options: self,
            child: Mutex::new(None),
        };
        // Another process may take the free port before the server does: then try the next.
        for _ in 0..10 {
            server.choose_port();
            if server.launch() {
                return server;
            }
        }
        panic!("redis-server does not start: {}", server.log());
    }
}

impl Server {
    /// A server on a Unix socket alone, which keeps nothing.
    pub fn start() -> Self {
        Self::options().start()
    }

    pub fn options() -> Options {
        Options {
            listen: Listen::UnixOnly,
            append_only: false,
            password: None,
            without: None,
        }
    }

    /// The URL that reaches it, without any credentials.
    pub fn url(&self) -> String {
        match self.options.listen {
            Listen::UnixOnly => format!("redis+unix://{}", self.socket().display()),
            Listen::Tcp4 => format!("redis://127.0.0.1:{}", self.port),
            Listen::Tcp6 => format!("redis://[::1]:{}", self.port),
            Listen::Tls { .. } => format!("rediss://127.0.0.1:{}", self.port),
        }
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    pub fn socket(&self) -> PathBuf {
        self.dir.path().join("s")
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
        let manifest = self.dir.path().join("appendonlydir/appendonly.aof.manifest");
        if !manifest.exists() {
            return;
        }
        let mut check = Command::new("redis-check-aof")
            .arg("--fix")
            .arg(manifest)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("redis-check-aof is needed on PATH");
        // It asks only if there is something to cut.
        let _ = std::io::Write::write_all(&mut check.stdin.take().unwrap(), b"y\n");
        check.wait().unwrap();
    }

    /// Stops the server in its tracks: connections stay open, nothing is answered.
    pub fn pause(&self) {
        self.signal(Signal::STOP);
    }

    /// Lets a paused server go on.
    pub fn resume(&self) {
        self.signal(Signal::CONT);
    }

    fn signal(&self, signal: Signal) {
        let child = self.child.lock().unwrap();
        let pid = Pid::from_child(child.as_ref().unwrap());
        kill_process(pid, signal).unwrap();
    }

    /// What `redis-cli` prints for these arguments, without the last line break.
    pub fn cli<S: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = S>) -> String {
        let mut command = Command::new("redis-cli");
        command.arg("-s").arg(self.socket()).args(args);
        match &self.options.password {
            Some(password) => command.env("REDISCLI_AUTH", password),
            None => command.env_remove("REDISCLI_AUTH"),
        };
        let output = command.output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        text.strip_suffix('\n').unwrap_or(&text).to_owned()
    }

    /// One command, binary-safe, on a connection of its own; panics if the server refuses it.
    pub fn command<A: AsRef<[u8]>>(&self, args: impl IntoIterator<Item = A>) -> Value {
        self.try_command(args).unwrap()
    }

    fn try_command<A: AsRef<[u8]>>(&self, args: impl IntoIterator<Item = A>) -> redis::RedisResult<Value> {
        let url = match &self.options.password {
            Some(password) => {
                format!("redis+unix://{}?pass={password}", self.socket().display())
            }
            None => format!("redis+unix://{}", self.socket().display()),
        };
        let mut connection = redis::Client::open(url)?.get_connection()?;
        let mut command = redis::Cmd::new();
        for arg in args {
            command.arg(arg.as_ref());
        }
        command.query(&mut connection)
    }

    /// Adds an entry of these fields under this ID (`*`: the server's choice).
    pub fn add<V: AsRef<[u8]>>(&self, stream: &str, id: &str, fields: &[(V, V)]) {
        let mut args: Vec<&[u8]> = vec![b"XADD", stream.as_bytes(), id.as_bytes()];
        for (name, value) in fields {
            args.extend([name.as_ref(), value.as_ref()]);
        }
        self.command(args);
    }

    /// Adds a message under this ID.
    pub fn add_message(&self, stream: &str, id: &str, name: &str, body: &str) {
        self.add(stream, id, &[("name", name), ("body", body)]);
    }

    /// Adds the messages 1-0 to N-0, named `n`, with their number as the body.
    pub fn add_numbered(&self, stream: &str, count: usize) {
        let script = "for i = 1, ARGV[1] do \
             redis.call('XADD', KEYS[1], i .. '-0', 'name', 'n', 'body', tostring(i)) end";
        self.command(["EVAL", script, "1", stream, &count.to_string()]);
    }

    /// Every entry of a stream, byte for byte; none if it does not exist.
    pub fn entries(&self, stream: &str) -> Vec<Entry> {
        list(self.command(["XRANGE", stream, "-", "+"]))
            .into_iter()
            .map(|value| {
                let [id, fields] = list(value).try_into().unwrap();
                Entry {
                    id: text(id),
                    fields: pairs(fields),
                }
            })
            .collect()
    }

    /// The fields of every entry of a stream.
    pub fn fields(&self, stream: &str) -> Vec<Vec<(Vec<u8>, Vec<u8>)>> {
        self.entries(stream).into_iter().map(|e| e.fields).collect()
    }

    /// The bodies of every entry of a stream, in order.
    pub fn bodies(&self, stream: &str) -> Vec<String> {
        self.fields(stream)
            .into_iter()
            .flatten()
            .filter(|(name, _)| name == b"body")
            .map(|(_, value)| String::from_utf8(value).unwrap())
            .collect()
    }

    pub fn ids(&self, stream: &str) -> Vec<String> {
        self.entries(stream).into_iter().map(|e| e.id).collect()
    }

    /// The IDs that are pending in a group.
    pub fn pending(&self, stream: &str, group: &str) -> Vec<String> {
        list(self.command(["XPENDING", stream, group, "-", "+", "100000"]))
            .into_iter()
            .map(|value| text(list(value).swap_remove(0)))
            .collect()
    }

    /// The names of a group's consumers, sorted.
    pub fn consumers(&self, stream: &str, group: &str) -> Vec<String> {
        let consumers = list(self.command(["XINFO", "CONSUMERS", stream, group]));
        let mut names: Vec<_> = consumers.into_iter().map(|c| attribute(c, "name")).collect();
        names.sort();
        names
    }

    /// Each group of a stream with the ID it was given last; none if the stream does not exist.
    pub fn groups(&self, stream: &str) -> Vec<(String, String)> {
        let Ok(groups) = self.try_command(["XINFO", "GROUPS", stream]) else {
            return Vec::new();
        };
        list(groups)
            .into_iter()
            .map(|g| (attribute(g.clone(), "name"), attribute(g, "last-delivered-id")))
            .collect()
    }

    /// How often a command was called.
    pub fn calls(&self, command: &str) -> u64 {
        let stats = self.cli(["INFO", "commandstats"]);
        let line = stats
            .lines()
            .find_map(|line| line.strip_prefix(&format!("cmdstat_{command}:calls=")));
        let calls = line.and_then(|line| line.split(',').next());
        calls.map_or(0, |calls| calls.parse().unwrap())
    }

    /// Returns once a client waits in a blocking read: from then on nothing it should see is missed.
    pub fn wait_blocked(&self) {
        wait_until("a blocked client", || {
            self.cli(["INFO", "clients"]).contains("blocked_clients:1")
        });
    }

    fn choose_port(&mut self) {
        let mut args = Vec::new();
        let mut add = |name: &str, value: &str| args.extend([name.to_owned(), value.to_owned()]);
        let dir = self.dir.path();
        let path = |name: &str| dir.join(name).display().to_string();
        add("--dir", &path(""));
        add("--unixsocket", &path("s"));
        add("--logfile", &path("log"));
        add("--save", "");
        add("--databases", "16");
        add("--appendonly", if self.options.append_only { "yes" } else { "no" });
        add("--appendfsync", "always");
        if let Some(password) = &self.options.password {
            add("--requirepass", password);
        }
        let host = match self.options.listen {
            Listen::Tcp6 => "::1",
            _ => "127.0.0.1",
        };
        self.port = match self.options.listen {
            Listen::UnixOnly => 0,
            _ => free_port(host),
        };
        let port = self.port.to_string();
        match self.options.listen {
            Listen::UnixOnly => add("--port", "0"),
            Listen::Tcp4 | Listen::Tcp6 => {
                add("--port", &port);
                add("--bind", host);
            }
            Listen::Tls { client_certificates } => {
                add("--port", "0");
                add("--tls-port", &port);
                add("--bind", host);
                add("--tls-cert-file", &path("server.crt"));
                add("--tls-key-file", &path("server.key"));
                add("--tls-ca-cert-file", &path("ca.crt"));
                add("--tls-auth-clients", if client_certificates { "yes" } else { "no" });
            }
        }
        if let Some(command) = self.options.without {
            args.extend(["--rename-command", command, ""].map(String::from));
        }
        self.args = args;
    }

    /// Whether the server came up: it answers on the socket and, if it has a port, there too.
    fn launch(&self) -> bool {
        let mut child = Command::new("redis-server")
            .args(&self.args)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("redis-server is needed on PATH");
        let mut up = false;
        wait_until("redis-server to answer or to end", || {
            up = self.answers();
            up || child.try_wait().unwrap().is_some()
        });
        *self.child.lock().unwrap() = Some(child);
        up
    }

    fn answers(&self) -> bool {
        // While an append-only file is being read, commands are refused with LOADING.
        let socket = self.try_command(["PING"]).is_ok();
        let host = match self.options.listen {
            Listen::UnixOnly => return socket,
            Listen::Tcp6 => "::1",
            _ => "127.0.0.1",
        };
        socket && TcpStream::connect((host, self.port)).is_ok()
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

/// A port of this host nobody listens on.
pub fn free_port(host: &str) -> u16 {
    let listener = TcpListener::bind((host, 0)).unwrap();
    listener.local_addr().unwrap().port()
}

fn list(value: Value) -> Vec<Value> {
    match value {
        Value::Array(values) => values,
        other => panic!("not an array: {other:?}"),
    }
}

fn bytes(value: Value) -> Vec<u8> {
    match value {
        Value::BulkString(bytes) => bytes,
        Value::SimpleString(text) => text.into_bytes(),
        Value::Int(number) => number.to_string().into_bytes(),
        other => panic!("not a string: {other:?}"),
    }
}

fn text(value: Value) -> String {
    String::from_utf8(bytes(value)).unwrap()
}

fn pairs(value: Value) -> Vec<(Vec<u8>, Vec<u8>)> {
    let mut values = list(value).into_iter().map(bytes);
    let mut pairs = Vec::new();
    while let (Some(name), Some(value)) = (values.next(), values.next()) {
        pairs.push((name, value));
    }
    pairs
}

/// A value out of a reply that alternates names and values, some of which are no strings.
fn attribute(reply: Value, name: &str) -> String {
    let mut values = list(reply).into_iter();
    while let (Some(key), Some(value)) = (values.next(), values.next()) {
        if text(key) == name {
            return text(value);
        }
    }
    panic!("no attribute {name}");
}
