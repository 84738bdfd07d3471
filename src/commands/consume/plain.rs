//! Reading without a group: from a position on, leaving no trace at the server.

use std::collections::HashSet;
use std::time::Duration;

use crate::commands::Context;
use crate::commands::retry::{Retry, until};
use crate::line;
use crate::streamer::{Batch, Delivered, EntryId, Error, Point, Position, Reader, Streamer};

use super::Args;
use super::alarm::Blockable;
use super::output::Appetite;
use super::run::Run;

/// Runs `consume` without a group.
pub fn run(args: &Args, context: &Context) -> anyhow::Result<()> {
    let (run, mut streamer) = Run::start(args, context, || ())?;
    let now = streamer.now_ms()?;
    let mut streams = args.streams.clone();
    let mut seen = HashSet::new();
    streams.retain(|stream| seen.insert(stream.clone()));
    let ranges: Result<Vec<_>, _> = streams
        .iter()
        .map(|stream| range(&mut streamer, args, stream, now))
        .collect();
    let mut reading = Reading {
        run: &run,
        retry: run.retry(),
        ranges: ranges?,
        appetite: Appetite::new(args.count),
        lines: Vec::new(),
    };
    loop {
        let error = match reading.read(streamer) {
            Ok(()) => return run.told(Ok(())),
            Err(error) => error,
        };
        // Positions are kept: the next connection goes on behind the last entry printed.
        let attempt = || Streamer::connect(&context.target);
        streamer = match reading.retry.until_done(error, attempt) {
            Ok(streamer) => streamer,
            Err(error) => return run.told(Err(error)),
        };
    }
}

/// What is still to be read of a stream.
struct Range {
    position: Position,
    /// Nothing behind this one is read; `None` to go on for ever.
    end: Option<EntryId>,
}

impl Range {
    fn is_open(&self) -> bool {
        self.end.is_none_or(|end| self.position.after < end)
    }
}

/// Where to begin and where to end in a stream.
fn range(streamer: &mut Streamer, args: &Args, stream: &str, now: u64) -> Result<Range, Error> {
    let last = streamer.stream_info(stream)?.map_or(EntryId::MIN, |info| info.last_id);
    let after = match (args.last, args.from) {
        (Some(count), _) => streamer.before_last(stream, count.get())?,
        (None, Some(point)) => point
            .first_id(now)
            .map_or(last, |id| id.previous().unwrap_or(EntryId::MIN)),
        (None, None) if args.to.is_some() => EntryId::MIN,
        (None, None) => last,
    };
    let end = match (args.to, args.exit_on_empty) {
        (Some(Point::Latest), _) | (None, true) => Some(last),
        (Some(point), _) => point.last_id(now).map(|to| to.min(last)),
        (None, false) => None,
    };
    Ok(Range {
        position: Position {
            stream: stream.to_owned(),
            after,
        },
        end,
    })
}

/// A plain read under way.
struct Reading<'a> {
    run: &'a Run<'a>,
    retry: Retry<'a>,
    ranges: Vec<Range>,
    appetite: Appetite,
    lines: Vec<u8>,
}

impl Reading<'_> {
    /// Reads until the end, over one connection.
    fn read(&mut self, mut streamer: Streamer) -> anyhow::Result<()> {
        let blockable = Blockable::new(&mut streamer)?;
        let mut reader = Reader::new(streamer.into_connection());
        let mut batch = Batch::default();
        loop {
            self.drain(&mut reader, &mut batch)?;
            if self.run.is_over()? || self.ranges.iter().all(|range| range.end.is_some()) {
                return Ok(());
            }
            self.run.rest(None);
            if self.run.is_over()? {
                return Ok(());
            }
            let block = blockable.longest_block(until(self.run.args.block, self.run.deadline));
            self.request(&mut reader, Some(block))?;
            self.run
                .alarm
                .while_blocked(&blockable, || reader.receive(&mut batch, Some(block)))?;
            self.retry.succeeded();
            self.advance(&batch, &reader)?;
            self.print(&batch, &reader)?;
        }
    }

    /// Prints what is there. While one reply is printed, the server prepares the next one.
    fn drain(&mut self, reader: &mut Reader, batch: &mut Batch) -> anyhow::Result<()> {
        let mut asked = self.request(reader, None)?;
        while asked > 0 && !self.run.is_over()? {
            reader.receive(batch, None)?;
            self.retry.succeeded();
            let read = self.advance(batch, reader)?;
            self.appetite.learn(batch.bytes(), read);
            let next = match read < asked {
                true => Ok(0),
                false => self.request(reader, None),
            };
            // Printed even if the connection is lost by now: the next one goes on behind it.
            self.print(batch, reader)?;
            asked = next?;
        }
        Ok(())
    }

    /// Asks for what follows; says how many entries at most, 0 if nothing is left to ask for.
    fn request(&self, reader: &mut Reader, block: Option<Duration>) -> Result<usize, Error> {
        let positions: Vec<_> = self
            .ranges
            .iter()
            .filter(|range| range.is_open())
            .map(|range| range.position.clone())
            .collect();
        if positions.is_empty() {
            return Ok(0);
        }
        let count = match self.run.output.takes_all() {
            true => self.run.left(self.appetite.count()),
            // How many of them are asked for shows when they are here.
            false => self.appetite.count(),
        };
        reader.request(&positions, count, block)?;
        Ok(count)
    }

    /// Moves behind what a reply brings; says how many entries that is.
    fn advance(&mut self, batch: &Batch, reader: &Reader) -> Result<usize, Error> {
        let mut read = 0;
        for element in batch.by_stream() {
            let (stream, delivered) = element.map_err(|malformed| reader.malformed(malformed))?;
            read += 1;
            if let Some(range) = find(&mut self.ranges, stream) {
                range.position.after = delivered.id();
            }
        }
        Ok(read)
    }

    /// Prints the entries of a reply, up to the end.
    fn print(&mut self, batch: &Batch, reader: &Reader) -> anyhow::Result<()> {
        self.lines.clear();
        for element in batch.by_stream() {
            let (stream, delivered) = element.map_err(|malformed| reader.malformed(malformed))?;
            let (Delivered::Entry(entry), Some(range)) = (delivered, find(&mut self.ranges, stream)) else {
                continue;
            };
            let in_range = range.end.is_none_or(|end| entry.id <= end);
            if in_range && self.run.output.wants(&entry) && self.run.output.budget().take() {
                line::write(&mut self.lines, &range.position.stream, &entry);
            }
        }
        self.run.output.write(&self.lines, &self.run.stop)
    }
}

fn find<'r>(ranges: &'r mut [Range], stream: &[u8]) -> Option<&'r mut Range> {
    ranges
        .iter_mut()
        .find(|range| range.position.stream.as_bytes() == stream)
}
