//! What a group has yet to be given: how many entries, and which is the first. The server knows the number as a rule;
//! where it does not, as after an XDEL, or of a group made behind entries, the entries are counted.

use std::time::Duration;

use super::groups::GroupInfo;
use super::state::{Look, Need};
use crate::streamer::entry::EntryId;
use crate::streamer::error::{Error, ServerError};
use crate::streamer::raw_name::RawName;
use crate::streamer::wire::{Connection, Entries, Shape};

/// How many entries of a stream a group has yet to be given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lag {
    Of(u64),
    /// So many were counted, and there may be more.
    AtLeast(u64),
    /// The server does not know, and the user may not read the stream to count.
    Unknown,
}

impl Lag {
    /// The number, or the lower bound of it.
    pub fn least(self) -> Option<u64> {
        match self {
            Self::Of(count) | Self::AtLeast(count) => Some(count),
            Self::Unknown => None,
        }
    }
}

/// How far entries are counted: one more than the limit tells that there are more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CountLimit {
    pub entries: u64,
    pub bytes: usize,
}

/// How many first entries are asked for in one piece.
const GROUPS: usize = 100;
/// How many entries of a stream are asked for at once, and how many bytes they should have.
const PAGE: u64 = 1000;
const PAGE_BYTES: u64 = 1024 * 1024;

/// What is found out about one group.
#[derive(Debug)]
pub struct Ahead {
    pub lag: Lag,
    /// The first entry that was not delivered, as far as that matters: one that is pending is older.
    pub first: Option<EntryId>,
    /// Whether the user may not read the stream.
    pub is_denied: bool,
    /// How many bytes the first entry has: a page has as many of its size as are worth one.
    first_bytes: usize,
    next: Next,
}

/// What is to be asked next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Next {
    Nothing,
    /// The first entry that was not delivered.
    First,
    /// The entries behind this one.
    Behind(EntryId),
}

impl Ahead {
    /// What the server has told already, of a stream of this length and the oldest entry that is pending.
    pub fn new(info: &GroupInfo, length: u64, pending: Option<EntryId>) -> Self {
        let lag = match info.lag {
            Some(lag) => Lag::Of(lag),
            None if Self::is_all_there_is(info) => Lag::Of(length),
            None => Lag::Unknown,
        };
        let is_pending_older = pending.is_some_and(|pending| pending <= info.last_delivered);
        let is_first_needed = match lag {
            Lag::Of(0) => false,
            Lag::Of(_) => !is_pending_older,
            _ => true,
        };
        Self {
            lag,
            first: None,
            is_denied: false,
            first_bytes: 0,
            next: if is_first_needed { Next::First } else { Next::Nothing },
        }
    }

    /// Whether a group's lag is all that the stream holds, and the server does not say so.
    pub fn is_all_there_is(info: &GroupInfo) -> bool {
        info.lag.is_none() && info.last_delivered == EntryId::MIN
    }

    /// Nobody knows any more.
    fn give_up(&mut self) {
        self.is_denied = true;
        self.next = Next::Nothing;
    }

    /// Takes the first entry that was not delivered.
    fn begin(&mut self, page: Page) {
        self.first = page.last;
        self.first_bytes = page.bytes;
        self.next = match (self.lag, page.last) {
            (Lag::Unknown, None) => {
                self.lag = Lag::Of(0);
                Next::Nothing
            }
            (Lag::Unknown, Some(first)) => {
                self.lag = Lag::AtLeast(1);
                Next::Behind(first)
            }
            _ => Next::Nothing,
        };
    }
}

/// A group of a stream, and what is found out about it.
pub struct Subject<'a> {
    pub stream: &'a RawName,
    pub info: &'a GroupInfo,
    pub ahead: &'a mut Ahead,
}

/// Finds out what the server has not told. Where the user may not read the stream, that is a failure only if it is
/// needed.
pub fn look_ahead(connection: &mut Connection, subjects: &mut [Subject<'_>], look: &Look) -> Result<(), Error> {
    let mut open: Vec<_> = subjects
        .iter_mut()
        .filter(|subject| subject.ahead.next == Next::First)
        .collect();
    for some in open.chunks_mut(GROUPS) {
        let mut packed = Vec::new();
        for subject in some.iter() {
            range(subject.stream, subject.info.last_delivered, 1).write_packed_command(&mut packed);
        }
        connection.send(&packed)?;
        for subject in some {
            match receive(connection)? {
                Ok(page) => subject.ahead.begin(page),
                Err(refusal) => refused(subject, refusal, look)?,
            }
        }
    }
    for subject in open {
        count(connection, subject, look)?;
    }
    Ok(())
}

/// Counts what was not delivered, in pages: one command must not hold up a server for long.
fn count(connection: &mut Connection, subject: &mut Subject<'_>, look: &Look) -> Result<(), Error> {
    let limit = look.count;
    let mut counted = 1;
    let mut bytes = subject.ahead.first_bytes;
    while let Next::Behind(from) = subject.ahead.next {
        if counted > limit.entries || bytes > limit.bytes {
            subject.ahead.next = Next::Nothing;
            break;
        }
        let size = bytes as u64 / counted;
        let most = (PAGE_BYTES / size.max(1)).clamp(1, PAGE);
        let asked = most.min(limit.entries.saturating_add(1) - counted);
        connection.send(&range(subject.stream, from, asked).get_packed_command())?;
        let page = match receive(connection)? {
            Ok(page) => page,
            Err(refusal) => return refused(subject, refusal, look),
        };
        counted += page.entries;
        bytes += page.bytes;
        (subject.ahead.lag, subject.ahead.next) = match page.last {
            Some(last) if page.entries == asked => (Lag::AtLeast(counted), Next::Behind(last)),
            _ => (Lag::Of(counted), Next::Nothing),
        };
    }
    Ok(())
}

fn refused(subject: &mut Subject<'_>, refusal: ServerError, look: &Look) -> Result<(), Error> {
    let need = match subject.info.lag {
        Some(_) => look.behind,
        None => look.behind.max(look.lag),
    };
    match Error::refused(refusal, &subject.stream.typed(), None) {
        Error::Denied(_) | Error::KeyDenied { .. } if need == Need::IfAllowed => subject.ahead.give_up(),
        // Replaced by something else in the meantime: it is shown as it stood.
        Error::WrongType { .. } => subject.ahead.next = Next::Nothing,
        error => return Err(error),
    }
    Ok(())
}

fn range(stream: &RawName, after: EntryId, count: u64) -> redis::Cmd {
    let mut range = redis::cmd("XRANGE");
    range.arg(stream.as_bytes());
    range.arg(format!("({after}")).arg("+").arg("COUNT").arg(count);
    range
}

/// What a part of a stream holds.
#[derive(Clone, Copy, Default)]
struct Page {
    entries: u64,
    bytes: usize,
    last: Option<EntryId>,
}

fn receive(connection: &mut Connection) -> Result<Result<Page, ServerError>, Error> {
    let mut entries = match Entries::begin(connection, Shape::OneStream, Duration::ZERO)? {
        Ok(entries) => entries,
        Err(refusal) => return Ok(Err(refusal)),
    };
    let mut page = Page::default();
    while let Some((_, delivered)) = entries.next(connection, &[])? {
        page.entries += 1;
        page.last = page.last.max(Some(delivered.id()));
    }
    page.bytes = entries.size().1;
    Ok(Ok(page))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ahead(lag: Option<u64>, last_delivered: u64, pending: Option<u64>) -> (Lag, Next) {
        let info = GroupInfo {
            name: RawName::from("g"),
            consumers: 1,
            pending: pending.into_iter().count() as u64,
            last_delivered: EntryId::at_ms(last_delivered),
            read: None,
            lag,
        };
        let ahead = Ahead::new(&info, 7, pending.map(EntryId::at_ms));
        (ahead.lag, ahead.next)
    }

    #[test]
    fn nothing_is_asked_that_is_known() {
        assert_eq!(ahead(Some(0), 5, None), (Lag::Of(0), Next::Nothing));
        assert_eq!(ahead(Some(2), 5, Some(5)), (Lag::Of(2), Next::Nothing));
        assert_eq!(ahead(Some(2), 5, None), (Lag::Of(2), Next::First));
        // A group that was moved back has pending what it will be given again.
        assert_eq!(ahead(Some(2), 5, Some(6)), (Lag::Of(2), Next::First));
        assert_eq!(ahead(None, 5, Some(5)), (Lag::Unknown, Next::First));
        // What was given nothing lacks all there is.
        assert_eq!(ahead(None, 0, None), (Lag::Of(7), Next::First));
    }
}
