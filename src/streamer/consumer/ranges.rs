//! Where a plain read begins and where it ends in each stream.

use std::collections::HashSet;
use std::time::Duration;

use super::plain::{PlainSettings, Start};
use super::settings::Extent;
use crate::streamer::entry::EntryId;
use crate::streamer::error::Error;
use crate::streamer::inspect::groups::last_id;
use crate::streamer::inspect::server::now_ms;
use crate::streamer::point::Point;
use crate::streamer::wire::resp::Malformed;
use crate::streamer::wire::{Connection, Entries, Shape};

/// What is still to be read of a stream.
pub struct Range {
    pub stream: String,
    /// Whether there was no such stream at the start.
    pub is_missing: bool,
    /// Reading goes on after this one.
    pub after: EntryId,
    /// Nothing behind this one is read; `None` to go on for ever.
    pub end: Option<EntryId>,
}

impl Range {
    pub fn is_open(&self) -> bool {
        self.end.is_none_or(|end| self.after < end)
    }
}

/// Where to begin and where to end in each stream.
pub fn ranges(connection: &mut Connection, settings: &PlainSettings) -> Result<Vec<Range>, Error> {
    let now = if settings.asks_for_the_time() {
        now_ms(connection)?
    } else {
        0
    };
    let mut seen = HashSet::new();
    let streams = settings.streams.iter().filter(|stream| seen.insert(*stream));
    streams.map(|stream| range(connection, settings, stream, now)).collect()
}

/// Where to begin and where to end in a stream.
fn range(connection: &mut Connection, settings: &PlainSettings, stream: &str, now: u64) -> Result<Range, Error> {
    let last = last_id(connection, stream)?;
    let is_missing = last.is_none();
    let last = last.unwrap_or(EntryId::MIN);
    let after = match settings.from {
        Start::After(id) => id,
        Start::Last(count) => before_last(connection, stream, count.get())?,
        Start::At(point) => point
            .first_id(now)
            .map_or(last, |id| id.previous().unwrap_or(EntryId::MIN)),
    };
    let end = match (settings.to, settings.extent) {
        (Some(Point::Latest), _) | (None, Extent::AsOfNow) => Some(last),
        (Some(point), _) => point.last_id(now).map(|to| to.min(last)),
        (None, Extent::Endless) => None,
    };
    Ok(Range {
        stream: stream.to_owned(),
        is_missing,
        after,
        end,
    })
}

/// The ID behind which the last `count` entries of a stream begin. Only the IDs matter, but Redis has no way to ask
/// for them alone: they are walked as they arrive.
fn before_last(connection: &mut Connection, stream: &str, count: usize) -> Result<EntryId, Error> {
    const PAGE: usize = 64;
    let (mut left, mut end, mut first) = (count, Some(EntryId::MAX), None);
    while let Some(last) = end.filter(|_| left > 0) {
        let page = left.min(PAGE);
        let mut range = redis::cmd("XREVRANGE");
        range.arg(stream).arg(last.to_string()).arg("-").arg("COUNT").arg(page);
        connection.send(&range.get_packed_command())?;
        let begun = Entries::begin(connection, Shape::OneStream, Duration::ZERO)?;
        let mut entries = begun.map_err(|refusal| Error::refused(refusal, stream, None))?;
        let mut found = 0;
        while let Some((_, delivered)) = entries.next(connection, &[])? {
            if first.is_some_and(|first| delivered.id() >= first) {
                return Err(connection.malformed(Malformed("entries out of their order")));
            }
            first = Some(delivered.id());
            found += 1;
        }
        left = left.saturating_sub(found);
        end = first.filter(|_| found >= page).and_then(EntryId::previous);
    }
    Ok(first.and_then(EntryId::previous).unwrap_or(EntryId::MIN))
}
