//! What a group has yet to be given: how many entries, and which is the first. The server knows the number as a rule;
//! where it does not, as after an XDEL, or of a group made behind entries, the entries are counted.

use super::count::{Count, Counter};
use super::groups::GroupInfo;
use super::state::{Look, Need};
use crate::streamer::entry::EntryId;
use crate::streamer::error::{Error, ServerError};
use crate::streamer::raw_name::RawName;
use crate::streamer::wire::Connection;

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

impl From<Count> for Lag {
    fn from(count: Count) -> Self {
        match count {
            Count::Exactly(count) => Self::Of(count),
            Count::AtLeast(count) => Self::AtLeast(count),
        }
    }
}

/// How many first entries are asked for in one piece.
const GROUPS: usize = 100;

/// What is found out about one group.
#[derive(Debug)]
pub struct Ahead {
    pub lag: Lag,
    /// The first entry that was not delivered, as far as that matters: one that is pending is older.
    pub first: Option<EntryId>,
    /// Whether the user may not read the stream.
    pub is_denied: bool,
    /// Counts what was not delivered.
    counter: Counter,
    next: Next,
}

/// What is to be asked next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Next {
    Nothing,
    /// The first entry that was not delivered.
    First,
    /// Those behind it.
    Others,
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
            counter: Counter::new(info.last_delivered, EntryId::MAX),
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
    fn begin(&mut self, first: Option<EntryId>) {
        self.first = first;
        self.next = Next::Nothing;
        if self.lag == Lag::Unknown {
            self.lag = self.counter.count().into();
            self.next = Next::Others;
        }
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
        let (mut packed, mut asked) = (Vec::new(), Vec::new());
        for subject in some {
            match subject.ahead.counter.page(subject.stream, 1) {
                Some(request) => {
                    request.write_packed_command(&mut packed);
                    asked.push(subject);
                }
                // It stands at the last ID there can be.
                None => subject.ahead.begin(None),
            }
        }
        connection.send(&packed)?;
        for subject in asked {
            match subject.ahead.counter.take_in(connection, 1)? {
                Ok(first) => subject.ahead.begin(first),
                Err(refusal) => refused(subject, refusal, look)?,
            }
        }
    }
    for subject in open.into_iter().filter(|subject| subject.ahead.next == Next::Others) {
        count(connection, subject, look)?;
    }
    Ok(())
}

/// Counts what was not delivered.
fn count(connection: &mut Connection, subject: &mut Subject<'_>, look: &Look) -> Result<(), Error> {
    let counted = subject.ahead.counter.go_on(connection, subject.stream, look.count)?;
    subject.ahead.lag = subject.ahead.counter.count().into();
    subject.ahead.next = Next::Nothing;
    counted.or_else(|refusal| refused(subject, refusal, look))
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
