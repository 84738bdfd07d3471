//! What a test asks a server, and what it puts there: `redis-cli` for words, a connection where bytes count.

use super::server::Server;
use super::wait::wait_until;
use redis::{Connection, Value};
use std::ffi::OsStr;
use std::process::Command;
use std::sync::Mutex;

/// The names and values of an entry, in order.
pub type Fields = Vec<(Vec<u8>, Vec<u8>)>;

/// An entry as the server holds it: the ID and the fields in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    pub id: String,
    pub fields: Fields,
}

/// The entry one expects, from text.
pub fn entry(id: &str, fields: &[(&str, &str)]) -> Entry {
    let fields = fields
        .iter()
        .map(|(name, value)| (name.as_bytes().to_vec(), value.as_bytes().to_vec()))
        .collect();
    Entry { id: id.into(), fields }
}

impl Server {
    /// What `redis-cli` prints for these arguments, without the last line break; an error reply fails the test.
    #[track_caller]
    pub fn cli<S: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = S>) -> String {
        let args: Vec<_> = args.into_iter().map(|arg| arg.as_ref().to_owned()).collect();
        match self.try_cli(&args) {
            Ok(text) => text,
            Err(reply) => panic!("{args:?} is answered with: {reply}{}", self.crash()),
        }
    }

    /// As `cli`, where the test wants the error reply.
    pub fn try_cli<S: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = S>) -> Result<String, String> {
        let mut command = Command::new("redis-cli");
        // With -e an error is on stderr, and in the exit status.
        command.args(["-e", "-s"]).arg(self.socket()).args(args);
        match self.password() {
            Some(password) => command.env("REDISCLI_AUTH", password),
            None => command.env_remove("REDISCLI_AUTH"),
        };
        let output = command.output().expect("redis-cli is needed on PATH");
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        if !output.status.success() {
            return Err(text(output.stderr).trim_end().to_owned());
        }
        let text = text(output.stdout);
        Ok(text.strip_suffix('\n').unwrap_or(&text).to_owned())
    }

    /// A connection to its Unix socket.
    pub fn connection(&self) -> redis::RedisResult<Connection> {
        let socket = self.socket();
        let url = match self.password() {
            Some(password) => format!("redis+unix://{}?pass={password}", socket.display()),
            None => format!("redis+unix://{}", socket.display()),
        };
        redis::Client::open(url)?.get_connection()
    }

    /// One command, binary-safe, on a connection of its own; panics if the server refuses it.
    pub fn command<A: AsRef<[u8]>>(&self, args: impl IntoIterator<Item = A>) -> Value {
        self.try_command(args).unwrap()
    }

    /// As `command`, where the server may refuse.
    pub fn try_command<A: AsRef<[u8]>>(&self, args: impl IntoIterator<Item = A>) -> redis::RedisResult<Value> {
        query(&mut self.connection()?, args)
    }

    /// A connection for another thread, which has no server.
    pub fn client(&self) -> Client {
        Client(Mutex::new(self.connection().unwrap()))
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
        entries(self.command(["XRANGE", stream, "-", "+"]))
    }

    /// The fields of every entry of a stream.
    pub fn fields(&self, stream: &str) -> Vec<Fields> {
        self.entries(stream).into_iter().map(|e| e.fields).collect()
    }

    /// The bodies of every entry of a stream, in order.
    pub fn bodies(&self, stream: &str) -> Vec<String> {
        self.values(stream, &["body"])
    }

    /// The values of the fields of these names, in every entry of a stream, as they stand there.
    pub fn values(&self, stream: &str, names: &[&str]) -> Vec<String> {
        let fields = self.fields(stream).into_iter().flatten();
        fields
            .filter(|(name, _)| names.iter().any(|wanted| name == wanted.as_bytes()))
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

    /// Whether a group was given all that is in its stream; not if there is no such group.
    pub fn is_delivered(&self, stream: &str, group: &str) -> bool {
        let groups = self.groups(stream);
        groups.iter().find(|(name, _)| name == group).is_some_and(|(_, last)| {
            let next = ["XRANGE", stream, &format!("({last}"), "+", "COUNT", "1"];
            entries(self.command(next)).is_empty()
        })
    }

    /// Whether, besides, all of that is acknowledged.
    pub fn is_settled(&self, stream: &str, group: &str) -> bool {
        self.is_delivered(stream, group) && list(self.command(["XPENDING", stream, group]))[0] == Value::Int(0)
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
        let groups = match self.try_command(["XINFO", "GROUPS", stream]) {
            Ok(groups) => groups,
            Err(error) if error.to_string().contains("no such key") => return Vec::new(),
            Err(error) => panic!("no groups of {stream}: {error}{}", self.crash()),
        };
        list(groups)
            .into_iter()
            .map(|g| (attribute(g.clone(), "name"), attribute(g, "last-delivered-id")))
            .collect()
    }

    /// A line of its INFO on replication; none where there is no such line, or no answer.
    pub fn replication(&self, name: &str) -> Option<String> {
        let info = text(self.try_command(["INFO", "replication"]).ok()?);
        let value = info.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        value.map(|value| value.trim().to_owned())
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
}

/// Somebody else who does something to the server, whenever it is time.
pub struct Client(Mutex<Connection>);

impl Client {
    /// One command; panics if the server refuses it.
    pub fn command<A: AsRef<[u8]>>(&self, args: impl IntoIterator<Item = A>) -> Value {
        query(&mut self.0.lock().unwrap(), args).unwrap()
    }
}

fn query<A: AsRef<[u8]>>(connection: &mut Connection, args: impl IntoIterator<Item = A>) -> redis::RedisResult<Value> {
    let mut command = redis::Cmd::new();
    for arg in args {
        command.arg(arg.as_ref());
    }
    command.query(connection)
}

/// The entries of a reply.
pub fn entries(reply: Value) -> Vec<Entry> {
    list(reply)
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

pub(super) fn list(value: Value) -> Vec<Value> {
    match value {
        Value::Array(values) => values,
        other => panic!("not an array: {other:?}"),
    }
}

pub(super) fn bytes(value: Value) -> Vec<u8> {
    match value {
        Value::BulkString(bytes) => bytes,
        Value::SimpleString(text) => text.into_bytes(),
        Value::Int(number) => number.to_string().into_bytes(),
        other => panic!("not a string: {other:?}"),
    }
}

pub(super) fn text(value: Value) -> String {
    String::from_utf8(bytes(value)).unwrap()
}

fn pairs(value: Value) -> Fields {
    let mut values = list(value).into_iter().map(bytes);
    let mut pairs = Vec::new();
    while let (Some(name), Some(value)) = (values.next(), values.next()) {
        pairs.push((name, value));
    }
    pairs
}

/// A value out of a reply that alternates names and values, some of which are no strings.
pub(super) fn attribute(reply: Value, name: &str) -> String {
    let mut values = list(reply).into_iter();
    while let (Some(key), Some(value)) = (values.next(), values.next()) {
        if text(key) == name {
            return text(value);
        }
    }
    panic!("no attribute {name}");
}
