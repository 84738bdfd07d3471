//! The reading thread at work: chunks of input into batches of commands, at a pace, behind what an earlier run sent.

use std::io;
use std::mem;
use std::ops::Range;
use std::sync::Arc;
use std::thread;

use super::OnReject;
use super::arrivals::{Arrivals, Next, Outlet, queue};
use super::dealing::{BEGINNING, Dealer};
use super::input::{Input, LONGEST_RECORD, Source};
use super::keeping::Openings;
use super::place::{advance, lies_before, must_reach};
use super::record::{Encoder, Layout};
use super::settings::Settings;
use crate::commands::pace::Pace;
use crate::failure::{Failure, quote};
use crate::line::LineError;
use crate::streamer::producer::{Arrival, Batch, Begin, MOST_BYTES, MOST_RECORDS, Place, Record, Rewind, Sent, Unfit};

/// The reading thread's state.
pub struct Reading {
    pub(super) encoder: Encoder,
    pub(super) pace: Option<Pace>,
    pub(super) on_reject: OnReject,
    outlet: Outlet,
    /// Deals rows to several streams, if there are several.
    pub(super) dealer: Option<Dealer>,
    /// The chunk before, whose memory is used again.
    chunk: Option<Box<Batch>>,
    /// What messages call the source being read, and its header, as it stands.
    name: String,
    pub(super) header: Option<Arc<[u8]>>,
    /// Whether the next row is its header.
    pub(super) header_due: bool,
    /// How far the input was read.
    pub(super) place: Place,
    /// What lies before was told of by an earlier run.
    told: Place,
    /// What lies before is in the stream.
    settled: Place,
}

impl Reading {
    /// Starts the thread. What is returned gives its batches.
    pub fn start(input: Input, settings: &Settings, encoder: Encoder, begin: &Begin) -> io::Result<Arrivals> {
        let (outlet, arrivals) = queue(input.can_rewind(), 1);
        let reading = Self::new(settings, encoder, outlet, None, begin);
        thread::Builder::new().spawn(move || reading.run(input.sources))?;
        Ok(arrivals)
    }

    /// The same for several streams, each with batches of its own. None of them can be read again by itself.
    pub fn start_dealing(
        input: Input,
        settings: &Settings,
        encoder: Encoder,
        begins: &[Begin],
    ) -> io::Result<Vec<Arrivals>> {
        let queues = begins.iter().map(|_| queue(Rewind::Impossible, begins.len()));
        let (outlets, arrivals): (Vec<_>, Vec<_>) = queues.unzip();
        let dealer = Dealer::new(settings.dealing.clone(), outlets, begins);
        let begin = Begin {
            told: dealer.beginning(),
            ..begins[0]
        };
        // What is read is dealt, and never handed over as it is.
        let (outlet, _) = queue(Rewind::Impossible, 1);
        let reading = Self::new(settings, encoder, outlet, Some(dealer), &begin);
        thread::Builder::new().spawn(move || reading.run(input.sources))?;
        Ok(arrivals)
    }

    /// The same for streams that the lines name: each is opened as its first line comes. What is returned gives the lines
    /// that cannot be sent to any.
    pub fn start_keeping(
        input: Input,
        settings: &Settings,
        encoder: Encoder,
        openings: Openings,
    ) -> io::Result<Arrivals> {
        let (unsendable, arrivals) = queue(Rewind::Impossible, 1);
        let dealer = Dealer::keeping(openings, unsendable);
        let (outlet, _) = queue(Rewind::Impossible, 1);
        let reading = Self::new(settings, encoder, outlet, Some(dealer), &BEGINNING);
        thread::Builder::new().spawn(move || reading.run(input.sources))?;
        Ok(arrivals)
    }

    fn new(settings: &Settings, encoder: Encoder, outlet: Outlet, dealer: Option<Dealer>, begin: &Begin) -> Self {
        Self {
            encoder,
            pace: settings.rate.map(Pace::new),
            on_reject: settings.on_reject,
            outlet,
            dealer,
            chunk: None,
            name: String::new(),
            header: None,
            header_due: false,
            place: Place::default(),
            told: begin.told,
            settled: begin.settled,
        }
    }

    /// Reads all sources to their end, or to a record that ends the sending; again, if the server lost what it had.
    fn run(mut self, mut sources: Vec<Source>) {
        loop {
            let next = match self.all(&mut sources) {
                Ok(Next::Go) => self.end(Arrival::Ended(None)),
                Ok(next) => next,
                Err(error) => self.end(Arrival::Failed(error)),
            };
            let Next::Back(place) = next else {
                return;
            };
            (self.told, self.settled) = (place, place);
            if let Err(error) = sources.iter_mut().try_for_each(Source::rewind) {
                self.outlet.push(Arrival::Failed(error));
                return;
            }
        }
    }

    fn end(&self, event: Arrival<anyhow::Error>) -> Next {
        match &self.dealer {
            Some(dealer) => dealer.end(event, 0),
            None => self.outlet.end(event),
        }
    }

    fn all(&mut self, sources: &mut [Source]) -> anyhow::Result<Next> {
        self.place = Place {
            digest: self.told.digest.map(|_| 0),
            ..Place::default()
        };
        for (index, source) in sources.iter_mut().enumerate() {
            self.name.clone_from(&source.name);
            self.place = Place {
                source: index,
                digest: self.place.digest,
                ..Place::default()
            };
            let next = self.one(source)?;
            if next != Next::Go {
                return Ok(next);
            }
            match &self.dealer {
                Some(dealer) => dealer.must_have_reached(&self.place)?,
                None => must_reach(&self.place, &self.settled)?,
            }
        }
        Ok(Next::Go)
    }

    fn one(&mut self, source: &mut Source) -> anyhow::Result<Next> {
        let layout = self.encoder.layout();
        let mut carry = Vec::new();
        self.header = None;
        self.header_due = matches!(layout, Layout::Rows(_));
        let mut more = true;
        while more {
            let mut batch = self.empty_chunk();
            batch.text.append(&mut carry);
            let mut complete = 0;
            while more && complete == 0 {
                more = source.fill(&mut batch.text)?;
                complete = if more {
                    layout.complete(&batch.text)
                } else {
                    batch.text.len()
                };
                if complete == 0 && batch.text.len() > LONGEST_RECORD {
                    let (name, line) = (&source.name, self.place.line + 1);
                    anyhow::bail!("{name}:{line}: the record is longer than 512 MiB");
                }
            }
            carry.extend_from_slice(&batch.text[complete..]);
            batch.text.truncate(complete);
            let next = match self.dealer {
                Some(_) => self.deal_now(batch, more && source.is_ready())?,
                None => self.encode(batch)?,
            };
            if next != Next::Go {
                return Ok(next);
            }
        }
        Ok(Next::Go)
    }

    /// Deals the rows of a chunk; unless more are there already, they go at once.
    fn deal_now(&mut self, chunk: Box<Batch>, more: bool) -> anyhow::Result<Next> {
        let next = self.deal(&chunk)?;
        self.chunk = Some(chunk);
        match next {
            Next::Go if !more => Ok(self.flush()),
            next => Ok(next),
        }
    }

    fn empty_batch(&self) -> Box<Batch> {
        let mut batch = self.outlet.spare();
        batch.source = self.place.source;
        batch.header.clone_from(&self.header);
        batch
    }

    /// A batch to read into.
    fn empty_chunk(&mut self) -> Box<Batch> {
        let Some(mut chunk) = self.chunk.take() else {
            return self.empty_batch();
        };
        chunk.clear();
        chunk
    }

    /// Encodes the records of a batch and hands it over, in parts where there are many or a rate is to be kept.
    fn encode(&mut self, mut batch: Box<Batch>) -> anyhow::Result<Next> {
        let most = self
            .pace
            .as_ref()
            .map_or(MOST_RECORDS, |pace| pace.step.min(MOST_RECORDS));
        let mut at = 0;
        while at < batch.text.len() {
            if batch.records.len() >= most || at >= MOST_BYTES || self.is_where_others_came_to(&batch) {
                // Not into a buffer used before: each would grow to a whole chunk, for batches of a few short lines.
                let rest = batch.text[at..].to_vec();
                batch.text.truncate(at);
                let next = self.hand_over(batch, self.place);
                if next != Next::Go {
                    return Ok(next);
                }
                batch = self.empty_batch();
                batch.text = rest;
                at = 0;
            }
            let row = self.encoder.layout().first(&batch.text[at..]);
            let extent = at..at + row.end;
            at = extent.end;
            let before = self.place;
            advance(&mut self.place, &batch.text[extent.clone()], row.line_breaks.max(1));
            if let Some(unfit) = self.take(&mut batch, extent.clone(), &before)? {
                let last = self.last(&batch, extent, before, unfit);
                batch.text.truncate(at);
                let next = self.hand_over(batch, before);
                return Ok(match next {
                    Next::Go => self.outlet.end(Arrival::Ended(Some(last))),
                    next => next,
                });
            }
        }
        Ok(self.hand_over(batch, self.place))
    }

    /// Whether a batch of what an earlier run sent is to end here.
    fn is_where_others_came_to(&self, batch: &Batch) -> bool {
        batch.sent == Sent::Earlier && self.place == self.settled
    }

    /// Takes the row a batch has come to, which begins at `before`: as the header, as nothing, or as a record. One that
    /// ends the sending is not taken; it is said what is wrong with it.
    fn take(&mut self, batch: &mut Batch, extent: Range<usize>, before: &Place) -> anyhow::Result<Option<Unfit>> {
        let row = &batch.text[extent.clone()];
        let is_told = lies_before(before, &self.place, &self.told)?;
        let is_settled = lies_before(before, &self.place, &self.settled)?;
        if mem::take(&mut self.header_due) {
            self.take_header(row)?;
            batch.header.clone_from(&self.header);
            return Ok(None);
        }
        if is_told {
            return Ok(None);
        }
        let command = match self.encoder.encode(row, &mut batch.packed) {
            Ok(None) => return Ok(None),
            Ok(Some(command)) => Ok(command),
            Err(LineError { column, reason }) => {
                let unfit = Unfit { column, reason };
                if self.on_reject == OnReject::Stop && !is_settled {
                    return Ok(Some(unfit));
                }
                Err(unfit)
            }
        };
        if is_settled {
            batch.sent = Sent::Earlier;
        }
        batch.push(Record {
            line: before.line + 1,
            text: extent,
            command,
        });
        Ok(None)
    }

    /// A batch of the record that ends the sending.
    fn last(&self, batch: &Batch, extent: Range<usize>, before: Place, unfit: Unfit) -> Box<Batch> {
        let mut last = self.empty_batch();
        last.text.extend_from_slice(&batch.text[extent]);
        last.push(Record {
            line: before.line + 1,
            text: 0..last.text.len(),
            command: Err(unfit),
        });
        last.seal(before);
        last
    }

    pub(super) fn take_header(&mut self, row: &[u8]) -> anyhow::Result<()> {
        self.header = Some(row.into());
        if let Some(delimiter) = self.encoder.unexpected_delimiter(row) {
            let (name, delimiter) = (&self.name, quote(&delimiter.to_string()));
            return Err(
                Failure::data(format!("{name}:1:1: the header is one column, with {delimiter} in it"))
                    .hint(format!(
                        "if that parts its columns: --csv-delimiter {delimiter}; if it is one column: --csv-delimiter ,"
                    ))
                    .into(),
            );
        }
        self.encoder.take_header(row).map_err(|error| {
            let (name, column) = (&self.name, error.column);
            Failure::data(format!("{name}:1:{column}: the header cannot be read: {error}")).into()
        })
    }

    fn hand_over(&mut self, mut batch: Box<Batch>, end: Place) -> Next {
        self.encoder.finish(0, &mut batch, end);
        if let Some(pace) = &mut self.pace {
            pace.wait(batch.records.len());
        }
        self.outlet.push(Arrival::Batch(batch))
    }
}
