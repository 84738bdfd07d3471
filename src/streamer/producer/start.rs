//! The beginning of a sending: the first connection, and where an earlier run came to.

use super::batch::{Place, Span};
use super::chain::{Chain, Confirmed, is_lost};
use super::host::{Journal, LastId, Note, Source, Written};
use super::link::{Found, Link, Mode};
use super::marker::{self, Contents, Mark, Position, Writer};
use super::pipeline::Producer;
use super::trouble::{Cause, Trouble};
use super::{Earlier, EarlierEnding, First, InDoubt, MarkerAfterwards, Settings};
use crate::streamer::entry::EntryId;
use crate::streamer::error::Error;
use crate::streamer::inspect::server::now_ms;
use crate::streamer::servers::{Notify, Servers, Supervisor};
use crate::streamer::stop::{Halt, Stop};

/// A sending whose first connection is made.
pub struct Started<'a> {
    pub(super) servers: &'a Servers,
    pub(super) settings: &'a Settings,
    pub(super) stop: &'a Stop,
    pub(super) supervisor: Supervisor<'a>,
    pub(super) link: Link,
    pub(super) mode: Mode,
    pub(super) key: String,
    pub(super) chain: Chain,
    /// Where the input is to be read from.
    pub begin: Begin,
}

/// Where a sending begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Begin {
    /// Up to here all is settled and told.
    pub told: Place,
    /// Up to here all is in; what lies between is to be told once more.
    pub settled: Place,
    /// What was written of the records up to `told`.
    pub written: Written,
    /// The stream's last ID before anything was sent.
    pub origin: Option<EntryId>,
}

/// Makes the first connection, and finds out where to begin.
pub fn start<'a, E>(
    servers: &'a Servers,
    settings: &'a Settings,
    stop: &'a Stop,
    notify: Notify<'a>,
) -> Result<Started<'a>, Trouble<E>> {
    let mut supervisor = Supervisor::new(servers, notify, settings.reconnect_for, None);
    let key = marker::key(&settings.stream, &settings.producer);
    let first = first_position(settings);
    let attempt = || Link::first(servers, settings, &key, &first);
    let reached = match settings.first {
        First::Unknown { wait } => supervisor.start(wait, attempt),
        First::Reached => attempt().or_else(|error| supervisor.mend(error, attempt)),
    };
    let (mut link, mut found) = reached.map_err(|halt| match halt {
        Halt::Failed(error) => Trouble::from(error),
        Halt::Ended(_) => Trouble::Ended { in_doubt: None },
    })?;
    if settings.in_doubt == InDoubt::Repeat {
        forget_gaps(&mut link, &key, &mut found)?;
    }
    let (begin, chain) = match &settings.earlier {
        Some(earlier) => resume(settings, earlier, first, &found)?,
        None => fresh(first, &found),
    };
    Ok(Started {
        servers,
        settings,
        stop,
        supervisor,
        link,
        mode: found.mode,
        key,
        chain,
        begin,
    })
}

/// What a marker says before this run has sent anything, where there is none.
fn first_position(settings: &Settings) -> Position {
    let progress = settings.earlier.map(|earlier| earlier.progress);
    Position {
        batch: 0,
        records: progress.map_or(0, |progress| progress.records),
        place: progress.map_or(settings.beginning(), |progress| progress.place),
        writer: Writer::new(),
    }
}

fn fresh(first: Position, found: &Found) -> (Begin, Chain) {
    let root = Confirmed {
        position: first,
        last_id: match found.stream {
            Some(stream) => LastId::Exactly(stream.map(|stream| stream.last_id)),
            None => LastId::AtLeast(None),
        },
        written: Written::default(),
    };
    let begin = Begin {
        told: first.place,
        settled: first.place,
        written: Written::default(),
        origin: found.stream.flatten().map(|stream| stream.last_id),
    };
    let marker = found.marker.position.as_ref().map(|_| Mark::whole(first));
    (begin, Chain::new(root, root, marker))
}

/// What the marker says, if it is there: the earlier run came so far.
fn position_of<E>(found: &Found, earlier: &Earlier) -> Result<Option<Position>, Trouble<E>> {
    match found.marker.mark() {
        Ok(Some(mark)) if mark.has_gaps() => Err(Trouble::Doubt {
            cause: Cause::Refusals,
            lines: Span::between(earlier.progress.place, mark.position.place),
        }),
        Ok(mark) => Ok(mark.map(|mark| mark.position)),
        Err(text) => Err(Trouble::Foreign {
            marker: text.to_owned(),
        }),
    }
}

/// Batches that the server refused before one it took are to be sent again, with all behind them: the marker knows nothing
/// of that.
fn forget_gaps(link: &mut Link, key: &str, found: &mut Found) -> Result<(), Error> {
    if matches!(found.marker.mark(), Ok(Some(mark)) if mark.has_gaps()) {
        link.connection.query(&marker::delete(key))?;
        found.marker = Contents::default();
    }
    Ok(())
}

/// Where an earlier run came to: what the marker says, if it is there.
fn resume<E>(
    settings: &Settings,
    earlier: &Earlier,
    first: Position,
    found: &Found,
) -> Result<(Begin, Chain), Trouble<E>> {
    let marker = position_of(found, earlier)?;
    let noted = Confirmed {
        position: first,
        last_id: earlier.progress.last_id,
        written: earlier.written,
    };
    // Where the marker's life began: with the sending, unless it is a new one.
    let beginning = Confirmed {
        position: Position {
            batch: 0,
            records: 0,
            place: settings.beginning(),
            writer: first.writer,
        },
        last_id: LastId::Exactly(earlier.origin),
        written: Written::default(),
    };
    let Some(position) = marker else {
        let from = match without_marker(settings, earlier, found)? {
            Known::AllNoted => noted,
            Known::NothingIsIn => beginning,
        };
        let begin = begin(from, from.position.place, earlier);
        return Ok((begin, Chain::new(from, from, None)));
    };
    // The server lost what it had confirmed: what was written of it is told again, from the beginning.
    let told = if position.place.is_before(&earlier.progress.place) {
        beginning
    } else {
        noted
    };
    let last = Confirmed {
        position,
        last_id: if position.place == told.position.place {
            told.last_id
        } else {
            told.last_id.or_later(None)
        },
        ..told
    };
    let begin = begin(told, position.place, earlier);
    Ok((begin, Chain::new(beginning, last, Some(Mark::whole(position)))))
}

fn begin(told: Confirmed, settled: Place, earlier: &Earlier) -> Begin {
    Begin {
        told: told.position.place,
        settled,
        written: told.written,
        origin: earlier.origin,
    }
}

/// What is known without a marker.
enum Known {
    /// All that the earlier run noted is in, and nothing else.
    AllNoted,
    /// The server lost everything.
    NothingIsIn,
}

fn without_marker<E>(settings: &Settings, earlier: &Earlier, found: &Found) -> Result<Known, Trouble<E>> {
    let last_id = earlier.progress.last_id;
    let stream = found.stream.flatten();
    let known = stream.map(|stream| stream.last_id);
    let added = earlier.progress.records.saturating_sub(earlier.written.rejected);
    if is_lost(stream, last_id, added) {
        // Entries of this sending would have later IDs than there were before.
        if known <= earlier.origin {
            return Ok(Known::NothingIsIn);
        }
        return Err(Trouble::from(Error::RolledBack {
            stream: settings.stream.clone(),
            known,
        }));
    }
    let nothing_was_added = last_id == LastId::Exactly(known);
    if earlier.ending == EarlierEnding::Settled || nothing_was_added || settings.in_doubt == InDoubt::Repeat {
        return Ok(Known::AllNoted);
    }
    Err(Trouble::Doubt {
        cause: match &found.mode {
            Mode::Marked => Cause::MarkerGone,
            Mode::Plain(refusal) => Cause::NoMarker(refusal.clone()),
        },
        lines: Span::after(earlier.progress.place),
    })
}

impl Settings {
    /// The beginning of the input. Only what may be taken up by a later run needs to be known again.
    fn beginning(&self) -> Place {
        Place {
            digest: match self.marker {
                MarkerAfterwards::Keep => Some(0),
                MarkerAfterwards::Delete => None,
            },
            ..Place::default()
        }
    }
}

impl<'a> Started<'a> {
    /// The server's clock, in milliseconds since the Unix epoch.
    pub fn now_ms(&mut self) -> Result<u64, Error> {
        now_ms(&mut self.link.connection)
    }

    /// Nothing is to be sent: takes the marker away, unless a later run will look for it.
    pub fn give_up(mut self) {
        if self.settings.marker == MarkerAfterwards::Delete {
            // It expires by itself.
            let _ = self.link.connection.query(&marker::delete(&self.key));
        }
    }

    /// Sends what the source has until it ends.
    pub fn run<E>(self, source: &mut dyn Source<E>, journal: &mut dyn Journal<E>) -> Result<(), Trouble<E>> {
        if let Mode::Plain(refusal) = &self.mode {
            journal.note(Note::NoMarker(refusal));
        }
        Producer::new(self, source, journal).run()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::host::Progress;
    use super::super::{EntryIds, LostIds};
    use super::*;
    use crate::streamer::wire::StreamEnd;

    fn place(offset: u64) -> Place {
        Place {
            offset,
            digest: Some(offset),
            ..Place::default()
        }
    }

    fn earlier(ending: EarlierEnding) -> Earlier {
        Earlier {
            progress: Progress {
                place: place(100),
                records: 10,
                last_id: LastId::Exactly(Some(EntryId::at_ms(10))),
            },
            written: Written {
                rejected: 1,
                ..Written::default()
            },
            ending,
            origin: Some(EntryId::at_ms(1)),
        }
    }

    /// Where a run takes up an earlier one: how far is told and settled, or what is wrong.
    fn resumed(ending: EarlierEnding, marker: Option<u64>, last_id: u64) -> Result<(u64, u64), String> {
        let settings = Settings {
            stream: "s".to_owned(),
            producer: "p".to_owned(),
            producers: 1,
            entry_ids: EntryIds::Made,
            lost_ids: LostIds::Leave,
            in_doubt: InDoubt::Stop,
            marker: MarkerAfterwards::Keep,
            durability: None,
            first: First::Unknown { wait: None },
            reconnect_for: Duration::ZERO,
            earlier: Some(earlier(ending)),
        };
        let first = first_position(&settings);
        let position = |offset| Position {
            batch: 4,
            records: 5,
            place: place(offset),
            writer: Writer::new(),
        };
        let found = Found {
            mode: Mode::Marked,
            marker: marker.map_or_else(Contents::default, |offset| Mark::whole(position(offset)).into()),
            stream: Some(Some(StreamEnd {
                last_id: EntryId::at_ms(last_id),
                added: None,
            })),
        };
        resume::<()>(&settings, &earlier(ending), first, &found)
            .map(|(begin, _)| (begin.told.offset, begin.settled.offset))
            .map_err(|trouble| {
                format!("{trouble:?}")
                    .split([' ', '{'])
                    .next()
                    .unwrap_or_default()
                    .to_owned()
            })
    }

    #[test]
    fn a_run_goes_on_where_the_marker_is() {
        use EarlierEnding::{Settled, Unsettled};
        assert_eq!(resumed(Unsettled, Some(250), 20), Ok((100, 250)));
        assert_eq!(resumed(Settled, Some(100), 20), Ok((100, 100)));
        // The server lost what it had confirmed: all is told again.
        assert_eq!(resumed(Unsettled, Some(50), 5), Ok((0, 50)));
        // A marker expires; nothing was on its way.
        assert_eq!(resumed(Settled, None, 20), Ok((100, 100)));
        assert_eq!(resumed(Unsettled, None, 10), Ok((100, 100)));
        assert_eq!(resumed(Unsettled, None, 20), Err("Doubt".to_owned()));
        assert_eq!(resumed(Settled, None, 9), Err("Server".to_owned()));
        assert_eq!(resumed(Unsettled, None, 1), Ok((0, 0)));
    }
}
