//! Reading without a group: from a position on, leaving no trace at the server.

use std::num::NonZeroUsize;
use std::time::Duration;

use super::event::Event;
use super::fetch_size::FetchSize;
use super::link::Link;
use super::member::Run;
use super::pipeline::Output;
use super::ranges::{Range, ranges};
use super::settings::Extent;
use crate::streamer::entry::EntryId;
use crate::streamer::error::{Error, ServerError};
use crate::streamer::matching::Matching;
use crate::streamer::point::Point;
use crate::streamer::servers::{Servers, Supervisor, Unheard, until};
use crate::streamer::stop::{Ending, Halt};
use crate::streamer::wire::resp::{Cursor, Delivered, Malformed, write_command};
use crate::streamer::wire::{Connection, Entries, Shape};

/// What is read, and how.
#[derive(Clone, Debug)]
pub struct PlainSettings {
    pub streams: Vec<String>,
    pub from: Start,
    /// Where to stop; that point is included.
    pub to: Option<Point>,
    pub extent: Extent,
    pub matching: Matching,
    pub count: Option<NonZeroUsize>,
    pub block: Duration,
    pub rest: Duration,
}

impl PlainSettings {
    /// One for each part of the streams that can be read by one command.
    pub fn by_slot(&self, servers: &Servers) -> Vec<Self> {
        let with = |streams| Self {
            streams,
            ..self.clone()
        };
        servers.by_slot(&self.streams).into_iter().map(with).collect()
    }

    /// Whether one of its ends is so long before now.
    pub fn asks_for_the_time(&self) -> bool {
        matches!(self.from, Start::At(Point::Ago(_))) || matches!(self.to, Some(Point::Ago(_)))
    }
}

/// Where a plain read begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    At(Point),
    /// Behind this entry.
    After(EntryId),
    /// So many entries before the end.
    Last(NonZeroUsize),
}

/// A connection, and what is to be read over it.
fn begin(run: &Run<'_>, settings: &PlainSettings, link: Option<Link>) -> Result<(Link, Vec<Range>), Error> {
    let mut link = match link {
        Some(link) => link,
        None => run.open(&settings.streams)?,
    };
    let ranges = ranges(&mut link.connection, settings)?;
    Ok((link, ranges))
}

/// A plain read under way.
pub struct Plain<'a, 'o, O> {
    run: Run<'a>,
    settings: &'a PlainSettings,
    supervisor: Supervisor<'a>,
    output: &'o mut O,
    ranges: Vec<Range>,
    fetch: FetchSize,
    /// Entries that are read and not printed, as they came, each with the place of its range and where it ends.
    gathered: Vec<u8>,
    ends: Vec<(usize, usize)>,
    lines: Vec<u8>,
    /// What ended the writing.
    ended: Option<Ending>,
}

/// How many bytes of entries are gathered before they are printed.
const GATHERED: usize = 1024 * 1024;

impl<'a, 'o, O: Output> Plain<'a, 'o, O> {
    /// Reads until the end, across lost connections.
    pub fn run(
        run: Run<'a>,
        settings: &'a PlainSettings,
        link: Option<Link>,
        output: &'o mut O,
    ) -> Result<Ending, Error> {
        let mut supervisor = run.supervisor();
        let begun = match begin(&run, settings, link) {
            Err(error) if error.is_about_the_node() => supervisor.mend(error, || begin(&run, settings, None)),
            begun => begun.map_err(Halt::Failed),
        };
        let (link, ranges) = match begun {
            Ok(begun) => begun,
            Err(Halt::Ended(ending)) => return Ok(ending),
            Err(Halt::Failed(error)) => return Err(error),
        };
        supervisor.succeeded();
        for range in ranges.iter().filter(|range| range.is_missing) {
            (run.tell)(Event::NoStream {
                stream: &range.stream,
                is_waited_for: range.end.is_none(),
            });
        }
        let plain = Self {
            run,
            settings,
            supervisor,
            output,
            ranges,
            fetch: FetchSize::new(settings.count),
            gathered: Vec::new(),
            ends: Vec::new(),
            lines: Vec::new(),
            ended: None,
        };
        plain.go_on(link)
    }

    /// Reads on; the next connection goes on behind the last entry printed.
    fn go_on(mut self, mut link: Link) -> Result<Ending, Error> {
        loop {
            let error = match self.read(&mut link) {
                Ok(ending) => return Ok(ending),
                // Others printed the last messages, and ended a read that nobody waits for any more.
                Err(error) if error.is_connection() && self.run.quota.is_used_up() => return Ok(Ending::Enough),
                Err(error) => error,
            };
            let (run, streams) = (self.run, &self.settings.streams);
            link = match self.supervisor.mend(error, || run.open(streams)) {
                Ok(link) => link,
                Err(Halt::Ended(ending)) => return Ok(ending),
                Err(Halt::Failed(error)) => return Err(error),
            };
        }
    }

    fn read(&mut self, link: &mut Link) -> Result<Ending, Error> {
        loop {
            self.take_all(link)?;
            if let Some(ending) = self.ending() {
                return Ok(ending);
            }
            if self.ranges.iter().all(|range| range.end.is_some()) {
                return Ok(Ending::Enough);
            }
            self.run.stop.sleep(until(self.settings.rest, self.run.deadline));
            if let Some(ending) = self.ending() {
                return Ok(ending);
            }
            let block = link
                .blockable
                .longest_block(until(self.settings.block, self.run.deadline));
            let Some(request) = self.request(Some(block)) else {
                return Ok(Ending::Enough);
            };
            link.connection.send(&request.packed)?;
            let connection = &mut link.connection;
            let wait = || Entries::begin(connection, Shape::ByStream, block);
            let begun = self.run.unblocker.while_blocked(&link.blockable, Unheard::Kept, wait)?;
            let gathered = self.gather(&mut link.connection, begun, &request);
            self.print();
            gathered?;
        }
    }

    /// Prints what is there. While the lines of one reply are made and written, the server prepares the next one.
    fn take_all(&mut self, link: &mut Link) -> Result<(), Error> {
        let mut asked = self.ask(link)?;
        while let Some(request) = asked.take() {
            let begun = Entries::begin(&mut link.connection, Shape::ByStream, Duration::ZERO)?;
            let gathered = self.gather(&mut link.connection, begun, &request);
            // Printed even if the connection is lost by now: the next one goes on behind what is gathered.
            let next = match gathered {
                Ok(entries) if entries >= request.count && self.ending().is_none() => self.ask(link),
                Ok(_) => Ok(None),
                Err(error) => Err(error),
            };
            self.print();
            asked = next?.filter(|_| self.ending().is_none());
        }
        Ok(())
    }

    fn ask(&self, link: &mut Link) -> Result<Option<Request>, Error> {
        let request = self.request(None);
        if let Some(request) = &request {
            link.connection.send(&request.packed)?;
        }
        Ok(request)
    }

    /// Gathers the entries of a reply, and moves behind them; says how many there were. What does not fit into memory
    /// is printed at once.
    fn gather(
        &mut self,
        connection: &mut Connection,
        begun: Result<Entries, ServerError>,
        request: &Request,
    ) -> Result<usize, Error> {
        let mut entries = begun.map_err(|refusal| Error::refused(refusal, &request.streams[0], None))?;
        while let Some((stream, bytes)) = entries.next_bytes(connection, &request.streams)? {
            let start = self.gathered.len();
            self.gathered.extend_from_slice(bytes);
            self.ends.push((request.ranges[stream], self.gathered.len()));
            let id = entry_id(&self.gathered[start..]);
            let id = id.map_err(|malformed| connection.malformed(malformed))?;
            self.ranges[request.ranges[stream]].after = id;
            if self.gathered.len() >= GATHERED {
                self.print();
            }
        }
        self.supervisor.succeeded();
        let (count, bytes) = entries.size();
        self.fetch.learn((count, bytes));
        Ok(count)
    }

    /// Makes and writes the lines of what is gathered, up to the ends.
    fn print(&mut self) {
        let mut start = 0;
        for (place, end) in std::mem::take(&mut self.ends) {
            let bytes = &self.gathered[start..end];
            start = end;
            let range = &self.ranges[place];
            // It was found to be an entry when it was gathered.
            let Ok(Delivered::Entry(entry)) = Cursor::new(bytes).entry() else {
                continue;
            };
            let is_in_range = range.end.is_none_or(|end| entry.id <= end);
            let is_wanted = is_in_range && self.settings.matching.wants(&entry);
            if is_wanted && self.run.quota.take() {
                self.output.line(&mut self.lines, &range.stream, &entry);
            }
        }
        self.gathered.clear();
        self.gathered.shrink_to(2 * GATHERED);
        self.flush();
    }

    fn flush(&mut self) {
        if !self.lines.is_empty() && self.ended.is_none() {
            self.ended = self.output.write(&self.lines).err().map(|unwritten| unwritten.ending);
        }
        self.lines.clear();
        self.lines.shrink_to(2 * GATHERED);
    }

    fn ending(&self) -> Option<Ending> {
        self.ended.or_else(|| self.run.ending_or_enough())
    }

    /// Asks for what follows; `None` if nothing is left to ask for.
    fn request(&self, block: Option<Duration>) -> Option<Request> {
        let places: Vec<usize> = (0..self.ranges.len())
            .filter(|place| self.ranges[*place].is_open())
            .collect();
        let open: Vec<&Range> = places.iter().map(|place| &self.ranges[*place]).collect();
        if open.is_empty() {
            return None;
        }
        let count = if self.settings.matching.is_everything() {
            self.run.quota.left(self.fetch.count()).max(1)
        } else {
            // How many of them are asked for shows when they are here.
            self.fetch.count()
        };
        let text = count.to_string();
        let wait = block.map(|block| block.as_millis().max(1).to_string());
        let ids: Vec<String> = open.iter().map(|range| range.after.to_string()).collect();
        let mut parts: Vec<&[u8]> = vec![b"XREAD", b"COUNT", text.as_bytes()];
        if let Some(wait) = &wait {
            parts.extend([&b"BLOCK"[..], wait.as_bytes()]);
        }
        parts.push(b"STREAMS");
        parts.extend(open.iter().map(|range| range.stream.as_bytes()));
        parts.extend(ids.iter().map(|id| id.as_bytes()));
        let mut packed = Vec::new();
        write_command(&mut packed, &parts);
        Some(Request {
            packed,
            count,
            streams: open.iter().map(|range| range.stream.clone()).collect(),
            ranges: places,
        })
    }
}

/// A read that is asked for.
struct Request {
    packed: Vec<u8>,
    count: usize,
    streams: Vec<String>,
    /// The places of their ranges.
    ranges: Vec<usize>,
}

/// The ID of an entry, as it came.
fn entry_id(bytes: &[u8]) -> Result<EntryId, Malformed> {
    let mut cursor = Cursor::new(bytes);
    cursor.array()?;
    cursor.id()
}
