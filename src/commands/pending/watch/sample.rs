//! The servers are asked on a thread of their own: what is drawn answers keys at once, however long they take.

use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender};
use std::time::{Duration, Instant};

use super::view::{Detail, Page};
use crate::commands::pending::tables;
use crate::json;
use crate::line;
use crate::streamer::{Entry, Error, Hidden, Look, Lookout, RawName, StreamState};

/// More entries of a group than these nobody goes through on a screen.
const MOST_ENTRIES: usize = 200;

/// What came of a look.
pub enum Report {
    Seen(Instant, Seen),
    Detail(Page, Result<Detail, Error>),
    Failed(Error),
}

/// What was seen.
pub struct Seen {
    pub streams: Vec<StreamState>,
    /// Nodes that could not be asked.
    pub away: Vec<String>,
    /// Streams that the user may not look at.
    pub hidden: Vec<Hidden>,
}

impl Seen {
    /// Looks once. To see nothing but what is hidden is a failure.
    pub fn now(lookout: &mut Lookout, look: &Look) -> Result<Self, Error> {
        let survey = lookout.look(look)?;
        match survey.hidden.first() {
            Some(first) if survey.streams.is_empty() => {
                Err(Error::refused(first.refusal.clone(), &first.stream.typed(), None))
            }
            _ => Ok(Self {
                streams: survey.streams,
                away: survey.away.into_iter().map(|away| away.node).collect(),
                hidden: survey.hidden,
            }),
        }
    }

    /// What is missing, in words.
    pub fn trouble(&self) -> Option<String> {
        match (self.away.as_slice(), self.hidden.as_slice()) {
            ([], []) => None,
            ([], hidden) => Some(format!("this user may not look at {}", tables::hidden(hidden))),
            (away, _) => Some(format!("the streams of {} are missing", away.join(" and "))),
        }
    }
}

/// Looks at the streams each `interval`, and at a page's details when they are asked for, until nobody listens.
pub fn look_often(
    mut lookout: Lookout,
    look: Look,
    interval: Duration,
    pages: &Receiver<Page>,
    reports: &Sender<Report>,
) {
    let mut page = Page::Streams;
    loop {
        let next = Instant::now() + interval;
        let report = match Seen::now(&mut lookout, &look) {
            Ok(seen) => Report::Seen(Instant::now(), seen),
            Err(error) => Report::Failed(error),
        };
        let is_well = matches!(report, Report::Seen(..));
        if reports.send(report).is_err() || (is_well && !tell(&mut lookout, &page, reports)) {
            return;
        }
        loop {
            match pages.recv_timeout(next.saturating_duration_since(Instant::now())) {
                Ok(other) if other == page && page == Page::Streams => {
                    // Asked for again: streams that are new are wanted.
                    lookout.forget_names();
                    break;
                }
                Ok(other) => page = other,
                Err(RecvTimeoutError::Timeout) => break,
                Err(RecvTimeoutError::Disconnected) => return,
            }
            if !tell(&mut lookout, &page, reports) {
                return;
            }
        }
    }
}

/// Tells the details of a page; false if nobody listens.
fn tell(lookout: &mut Lookout, page: &Page, reports: &Sender<Report>) -> bool {
    let detail = match page {
        Page::Streams => return true,
        Page::Group { stream, group } => {
            lookout
                .group(stream, group, MOST_ENTRIES)
                .map(|(consumers, entries)| Detail {
                    consumers,
                    entries,
                    entry: None,
                })
        }
        Page::Entry { stream, id, .. } => {
            let entry = lookout.entry(stream, *id, |entry| lines(stream, entry));
            entry.map(|entry| Detail {
                entry,
                ..Detail::default()
            })
        }
    };
    reports.send(Report::Detail(page.clone(), detail)).is_ok()
}

/// An entry as its line of JSON, indented.
fn lines(stream: &RawName, entry: &Entry<'_>) -> Vec<String> {
    let (mut written, mut indented) = (Vec::new(), Vec::new());
    line::write(&mut written, &stream.typed(), entry);
    json::indent(&String::from_utf8_lossy(&written), &mut indented);
    let text = String::from_utf8_lossy(&indented);
    text.lines().map(str::to_owned).collect()
}
