//! A marker that is not what it should be: others are at work, be it an old connection that was sent again since.

use std::time::{Duration, Instant};

use super::batch::{Place, Span};
use super::chain::Confirmed;
use super::host::Note;
use super::marker::{Contents, Position, Writer};
use super::pipeline::Producer;
use super::trouble::{Cause, Trouble};
use crate::streamer::error::Error;
use crate::streamer::servers::Closed;

/// How long an old connection that could not be closed at the server is expected to deliver what it carries.
const LATE: Duration = Duration::from_secs(5);

/// Old connections that could not be closed at the server, and may still deliver what was sent again since.
#[derive(Debug, Default)]
pub struct Caution {
    until: Option<Instant>,
    old: Vec<(Writer, Place)>,
}

impl Caution {
    /// Whether to look at the marker before each batch.
    pub fn is_due(&self) -> bool {
        self.until.is_some_and(|until| Instant::now() < until)
    }

    /// An old connection may still deliver what lies behind a place.
    pub fn add(&mut self, writer: Writer, from: Place) {
        self.until = Some(Instant::now() + LATE);
        if !self.old.iter().any(|(known, _)| *known == writer) {
            self.old.push((writer, from));
        }
    }

    fn find(&self, writer: Writer) -> Option<Place> {
        let found = self.old.iter().find(|(known, _)| *known == writer);
        found.map(|(_, from)| *from)
    }
}

/// A marker that was not what this producer had written last, as a batch was added.
#[derive(Debug)]
pub struct Suspicion {
    found: Contents,
    /// What was known to be in.
    last: Confirmed,
}

impl<E> Producer<'_, '_, E> {
    /// An earlier run's connection may not have been closed.
    pub(super) fn beware_of_the_earlier_run(&mut self) {
        let last = self.chain.last().position;
        if self.link.before == Closed::Unknown {
            self.caution.add(last.writer, last.place);
        }
    }

    /// Watches the marker, so that the next batch is added only if it is still where it should be. Gives what it says
    /// if it is not.
    pub(super) fn watch(&mut self) -> Result<Option<Contents>, Error> {
        let mut watch = redis::cmd("WATCH");
        watch.arg(&self.key);
        // Where this user may not watch, looking must do.
        let _ = self.link.connection.query_all(&[watch])?;
        let found = self.link.marker(&self.key)?;
        Ok((!self.is_at(&found)).then_some(found))
    }

    /// The marker moved between a look at it and the batch, which was not executed.
    pub(super) fn overtaken(&mut self) -> Result<(), Trouble<E>> {
        self.pass_over_answer(0)?;
        self.newest = self.newest_in().writer;
        self.take_back();
        if let Some(writer) = self.again.front().and_then(|flight| flight.sent_by.last()) {
            self.newest = *writer;
        }
        let marker = self.link.marker(&self.key)?;
        self.reconcile(&marker)
    }

    /// Whether a marker holds what it should.
    fn is_at(&self, found: &Contents) -> bool {
        match self.waiting.back() {
            None => self.chain.is_at(found),
            Some(last) => self.chain.is_ahead(found, last.position, self.waiting.len() as u64),
        }
    }

    /// Compares what the marker was before a batch with what it should have been.
    pub(super) fn suspect(&mut self, found: Contents) {
        if !self.is_at(&found) && self.suspicion.is_none() {
            self.suspicion = Some(Suspicion {
                found,
                last: self.chain.last(),
            });
        }
    }

    /// Compares the marker with what it should be, when all is settled.
    pub(super) fn suspect_at_the_end(&mut self, found: Contents) -> Result<(), Trouble<E>> {
        self.suspicion = None;
        self.suspect(found);
        self.examine()
    }

    /// Finds out why the marker was not what it should have been.
    pub(super) fn examine(&mut self) -> Result<(), Trouble<E>> {
        let Some(Suspicion { found, last }) = &self.suspicion else {
            return Ok(());
        };
        if found.position.is_some() {
            return Err(self.accuse(found));
        }
        let root = self.chain.root();
        if let Some(id) = last.last_id.id()
            && *last != root
            && !self.link.has_entry(&self.settings.stream, id)?
        {
            return Err(Trouble::Lost(Span::between(root.position.place, last.position.place)));
        }
        self.journal.note(Note::MarkerDeleted);
        self.marker_is_wrong = true;
        self.suspicion = None;
        Ok(())
    }

    /// What a marker means that is not what this producer wrote last.
    pub(super) fn accuse(&self, marker: &Contents) -> Trouble<E> {
        let last = match &self.suspicion {
            Some(suspicion) => suspicion.last,
            None => self.chain.last(),
        };
        let text = marker.position.as_deref().unwrap_or_default();
        let Ok(found) = text.parse::<Position>() else {
            return foreign(text);
        };
        if let Some(from) = self.caution.find(found.writer) {
            return Trouble::Twice(Span::between(from, found.place));
        }
        match self.chain.find(&found) {
            Some(earlier) if earlier != last => {
                Trouble::Lost(Span::between(earlier.position.place, last.position.place))
            }
            _ => foreign(text),
        }
    }

    /// An old connection brought a batch, and a newer one may have brought it too.
    pub(super) fn unclear(&self, found: Position) -> Trouble<E> {
        let last = self.chain.last().position.place;
        match (self.caution.find(found.writer), self.in_doubt()) {
            (Some(from), _) if from.is_before(&last) => Trouble::Twice(Span::between(from, found.place)),
            (_, Some(lines)) => Trouble::Doubt {
                cause: Cause::TwoConnections,
                lines,
            },
            _ => foreign(&found.to_string()),
        }
    }
}

fn foreign<E>(marker: &str) -> Trouble<E> {
    Trouble::Foreign {
        marker: marker.to_owned(),
    }
}
