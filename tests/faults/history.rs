//! All that was ever added to a stream, from the server's append-only file: what others deleted and what was trimmed
//! stands there still, in the order in which it was added, whoever heard of it.

use crate::harness::Server;
use std::path::PathBuf;

pub type Fields = Vec<(Vec<u8>, Vec<u8>)>;

/// An entry that was added.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Addition {
    pub id: String,
    pub fields: Fields,
}

/// Everything that was added to a stream, in order. The server must have answered the last addition.
pub fn additions(server: &Server, stream: &str) -> Vec<Addition> {
    let mut found = Vec::new();
    for file in files(server) {
        let bytes = std::fs::read(file).unwrap();
        let mut reader = Reader { bytes: &bytes, at: 0 };
        while let Some(command) = reader.command() {
            if command[0].eq_ignore_ascii_case(b"XADD") && command[1] == stream.as_bytes() {
                found.push(addition(&command));
            }
        }
    }
    found
}

/// The files in the order in which they were written; a snapshot, which is empty here, is left out.
fn files(server: &Server) -> Vec<PathBuf> {
    let dir = server.dir().join("appendonlydir");
    let Ok(manifest) = std::fs::read_to_string(dir.join("appendonly.aof.manifest")) else {
        return vec![server.dir().join("appendonly.aof")];
    };
    let names = manifest.lines().filter_map(|line| line.split(' ').nth(1));
    names
        .filter(|name| !name.ends_with(".rdb"))
        .map(|name| dir.join(name))
        .collect()
}

fn addition(command: &[Vec<u8>]) -> Addition {
    // Options stand before the ID, the first argument that reads like one.
    let at = (2..command.len())
        .find(|at| is_id(&command[*at]))
        .unwrap_or_else(|| panic!("an XADD without an ID"));
    let pairs = command[at + 1..].chunks_exact(2);
    Addition {
        id: String::from_utf8(command[at].clone()).unwrap(),
        fields: pairs.map(|pair| (pair[0].clone(), pair[1].clone())).collect(),
    }
}

fn is_id(text: &[u8]) -> bool {
    let mut parts = text.split(|byte| *byte == b'-');
    let mut number = || {
        parts
            .next()
            .is_some_and(|part| !part.is_empty() && part.iter().all(u8::is_ascii_digit))
    };
    number() && number() && parts.next().is_none()
}

/// Commands as they stand in the file.
struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Reader<'_> {
    /// The next; None at the end, or where a kill left one half written.
    fn command(&mut self) -> Option<Vec<Vec<u8>>> {
        let mut line = self.line()?;
        while line.starts_with('#') {
            line = self.line()?;
        }
        let count: usize = line.strip_prefix('*')?.parse().ok()?;
        (0..count).map(|_| self.argument()).collect()
    }

    fn argument(&mut self) -> Option<Vec<u8>> {
        let length: usize = self.line()?.strip_prefix('$')?.parse().ok()?;
        let bytes = self.bytes.get(self.at..self.at + length)?.to_vec();
        self.at += length + 2;
        Some(bytes)
    }

    fn line(&mut self) -> Option<String> {
        let rest = self.bytes.get(self.at..)?;
        let end = rest.windows(2).position(|pair| pair == b"\r\n")?;
        self.at += end + 2;
        String::from_utf8(rest[..end].to_vec()).ok()
    }
}

#[test]
fn what_was_trimmed_and_deleted_is_still_known() {
    let server = Server::options().append_only().start();
    server.add("s", "1-0", &[("a", "1")]);
    server.cli(["XADD", "s", "MAXLEN", "~", "1", "2-0", "name", "n", "body", "2\r\n"]);
    server.cli(["XTRIM", "s", "MAXLEN", "0"]);
    server.kill9();
    server.restart();
    let script = "redis.call('XADD', KEYS[1], '3-1', 'a', 'b'); redis.call('XADD', KEYS[1], '*', 'a', 'b')";
    server.command(["EVAL", script, "1", "s"]);
    let found = additions(&server, "s");
    let ids: Vec<_> = found.iter().take(3).map(|addition| addition.id.as_str()).collect();
    assert_eq!((found.len(), ids), (4, vec!["1-0", "2-0", "3-1"]));
    assert_eq!(found[1].fields[1], (b"body".to_vec(), b"2\r\n".to_vec()));
}
