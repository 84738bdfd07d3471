//! All that was ever added to a stream, from the server's append-only file: what others deleted and what was trimmed
//! stands there still, in the order in which it was added, whoever heard of it.

use crate::harness::{Entry, Server};
use crate::middleman::read_command;
use std::io::BufRead;
use std::path::PathBuf;

/// Everything that was added to a stream, in order. The server must have answered the last addition.
pub fn additions(server: &Server, stream: &str) -> Vec<Entry> {
    let mut found = Vec::new();
    for file in files(server) {
        let bytes = std::fs::read(file).unwrap();
        let mut rest = bytes.as_slice();
        // There is none at the end, or where a kill left one half written.
        while let Some((words, _)) = read_command(skip_notes(&mut rest)) {
            if words[0].eq_ignore_ascii_case(b"XADD") && words[1] == stream.as_bytes() {
                found.push(addition(&words));
            }
        }
    }
    found
}

/// Skips the lines that the server writes between commands, such as times.
fn skip_notes<'a, 'b>(file: &'a mut &'b [u8]) -> &'a mut &'b [u8] {
    while file.starts_with(b"#") {
        file.skip_until(b'\n').unwrap();
    }
    file
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

fn addition(command: &[Vec<u8>]) -> Entry {
    // Options stand before the ID, the first argument that reads like one.
    let at = (2..command.len())
        .find(|at| is_id(&command[*at]))
        .unwrap_or_else(|| panic!("an XADD without an ID"));
    let pairs = command[at + 1..].chunks_exact(2);
    Entry {
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
    let ids: Vec<_> = found.iter().take(3).map(|entry| entry.id.as_str()).collect();
    assert_eq!((found.len(), ids), (4, vec!["1-0", "2-0", "3-1"]));
    assert_eq!(found[1].fields[1], (b"body".to_vec(), b"2\r\n".to_vec()));
}
