//! The streams there are.

use std::fmt;
use std::time::Instant;

use super::survey::Away;
use crate::streamer::error::Error;
use crate::streamer::raw_name::RawName;
use crate::streamer::servers::{Node, Servers, at_once};
use crate::streamer::wire::Connection;
use crate::streamer::wire::resp::Malformed;

/// How many keys the server looks at for one page, so that it is not held up for long.
const PAGE: usize = 1000;
/// After so many pages, fewer round trips are worth more.
const MANY_PAGES: u64 = 1000;
const LARGE_PAGE: usize = 10_000;
/// More streams than this are not listed: their names alone would fill the memory of a small machine.
const MOST_STREAMS: usize = 10_000_000;
/// No server has more pages than this: they would be those of a thousand million keys.
const MOST_PAGES: u64 = 100_000;

/// Which names are meant: `*` stands for anything, `?` for one byte, all else for itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Glob(RawName);

impl Glob {
    pub fn new(pattern: RawName) -> Self {
        Self(pattern)
    }

    /// As the server writes it.
    fn pattern(&self) -> Vec<u8> {
        escaped(self.0.as_bytes(), b"[]\\")
    }
}

/// For people to read, and to type.
impl fmt::Display for Glob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The streams of the node's database, sorted; those that match one of `globs`, if there are any.
pub fn stream_keys(connection: &mut Connection, globs: &[Glob]) -> Result<Vec<RawName>, Error> {
    let mut names = Vec::new();
    for glob in globs {
        scan(connection, Some(&glob.pattern()), &mut names)?;
    }
    if globs.is_empty() {
        scan(connection, None, &mut names)?;
    }
    // SCAN may name a key twice, and two patterns may match it.
    names.sort();
    names.dedup();
    Ok(names)
}

/// The streams of all these nodes that match one of `globs`, sorted. A node that cannot tell fails it: some of its streams
/// may match.
pub fn matching_streams(nodes: Vec<Node>, globs: &[Glob]) -> Result<Vec<RawName>, Away> {
    let look = |(node, connection): Node| {
        let found = connection.and_then(|mut connection| stream_keys(&mut connection, globs));
        found.map_err(|error| Away { node, error })
    };
    let found: Result<Vec<_>, Away> = at_once(nodes, look).into_iter().collect();
    let mut names = found?.concat();
    // While a slot moves, two nodes may name its streams.
    names.sort();
    names.dedup();
    Ok(names)
}

fn scan(connection: &mut Connection, pattern: Option<&[u8]>, names: &mut Vec<RawName>) -> Result<(), Error> {
    let mut progress = Progress::default();
    let mut cursor = 0u64;
    loop {
        let mut scan = redis::cmd("SCAN");
        scan.arg(cursor);
        if let Some(pattern) = pattern {
            scan.arg("MATCH").arg(pattern);
        }
        scan.arg("TYPE").arg("stream").arg("COUNT").arg(progress.page());
        let page: Vec<Vec<u8>>;
        (cursor, page) = connection.ask(&scan, "", None)?;
        names.extend(page.into_iter().map(RawName::from));
        if cursor == 0 {
            return Ok(());
        }
        if !progress.goes_on(cursor) || names.len() > MOST_STREAMS {
            return Err(connection.malformed(Malformed("a list of keys without end")));
        }
    }
}

/// How many keys a server looks at for one page where somebody waits: a millisecond's work.
const QUICK_PAGE: usize = 5000;
/// So many pages of a node are looked at where somebody waits.
const MOST_QUICK_PAGES: usize = 20;

/// Streams of all nodes whose names begin so, each told as it is found: a look at as many keys as there is time for,
/// and as a server may be asked for in passing. There may be others.
pub fn find_streams(
    servers: &Servers,
    prefix: &[u8],
    until: Instant,
    found: &(dyn Fn(RawName) + Sync),
) -> Result<(), Error> {
    let look = |(_, connection): Node| {
        let mut connection = connection?;
        connection.set_deadline(Some(until));
        find_at(&mut connection, prefix, found)
    };
    at_once(servers.masters()?, look).into_iter().collect()
}

fn find_at(connection: &mut Connection, prefix: &[u8], found: &dyn Fn(RawName)) -> Result<(), Error> {
    let pattern = beginning(prefix);
    let mut cursor = 0u64;
    for _ in 0..MOST_QUICK_PAGES {
        let mut scan = redis::cmd("SCAN");
        scan.arg(cursor).arg("MATCH").arg(&pattern);
        scan.arg("TYPE").arg("stream").arg("COUNT").arg(QUICK_PAGE);
        let page: Vec<Vec<u8>>;
        (cursor, page) = connection.ask(&scan, "", None)?;
        for name in page {
            found(RawName::from(name));
        }
        if cursor == 0 {
            break;
        }
    }
    Ok(())
}

/// The glob for names that begin so.
fn beginning(prefix: &[u8]) -> Vec<u8> {
    let mut pattern = escaped(prefix, b"*?[]\\");
    pattern.push(b'*');
    pattern
}

/// A pattern in which these characters stand for themselves.
fn escaped(text: &[u8], special: &[u8]) -> Vec<u8> {
    let mut pattern = Vec::with_capacity(text.len());
    for byte in text {
        if special.contains(byte) {
            pattern.push(b'\\');
        }
        pattern.push(*byte);
    }
    pattern
}

/// Whether a scan gets anywhere: no cursor ever comes again, and their number has a limit.
///
/// One cursor is kept, and replaced after 1, 2, 4 … pages (Brent): a cycle of any length is found, without a list of
/// all cursors.
#[derive(Default)]
struct Progress {
    kept: u64,
    pages: u64,
}

impl Progress {
    fn page(&self) -> usize {
        if self.pages < MANY_PAGES { PAGE } else { LARGE_PAGE }
    }

    fn goes_on(&mut self, cursor: u64) -> bool {
        if cursor == self.kept || self.pages >= MOST_PAGES {
            return false;
        }
        self.pages += 1;
        if self.pages.is_power_of_two() {
            self.kept = cursor;
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scan_that_goes_round_in_circles_is_found() {
        for (before, cycle) in [(0, 1), (0, 2), (7, 3), (100, 1000)] {
            let mut progress = Progress::default();
            let cursors = (1..=before).chain((before + 1..=before + cycle).cycle());
            let pages = cursors.take_while(|cursor| progress.goes_on(*cursor)).count() as u64;
            assert!(pages >= before + cycle && pages < 4 * (before + cycle), "{pages}");
        }
    }

    #[test]
    fn a_scan_may_be_long_but_not_endless() {
        let mut progress = Progress::default();
        assert_eq!(
            (1..).take_while(|cursor| progress.goes_on(*cursor)).count() as u64,
            MOST_PAGES
        );
    }
}
