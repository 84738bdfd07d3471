//! `consume`: which entries come, how their lines read, and what the group holds afterwards.

mod conditions;
mod format;
mod group;
mod lines;
mod plain;
mod slips;

use crate::harness::{Server, Test};

const GROUP: &str = "s:billing:cg";

/// `s` with the entries 1-0 to N-0 and a group at its beginning.
fn grouped(count: usize) -> Server {
    let server = Server::start();
    server.add_numbered("s", count);
    server.cli(["XGROUP", "CREATE", "s", GROUP, "0", "MKSTREAM"]);
    server
}

/// The lines of the entries of `add_numbered` with these numbers.
fn lines(numbers: impl IntoIterator<Item = usize>) -> String {
    numbers
        .into_iter()
        .map(|n| format!("{{\"stream\":\"s\",\"id\":\"{n}-0\",\"name\":\"n\",\"body\":{n}}}\n"))
        .collect()
}

fn plain(server: &Server) -> Test {
    Test::new(server).args(["consume", "s"])
}

fn group(server: &Server) -> Test {
    Test::new(server).args(["consume", "s", "-l", "billing"])
}

/// Delivers entries to another consumer, which then leaves them behind.
fn deliver(server: &Server, consumer: &str, count: &str) {
    server.cli([
        "XREADGROUP",
        "GROUP",
        GROUP,
        consumer,
        "COUNT",
        count,
        "STREAMS",
        "s",
        ">",
    ]);
}
