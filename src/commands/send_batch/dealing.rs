//! The reading thread's other end where there are several streams: rows are dealt to a batch for each, and batches go to
//! the producer of each.

use std::collections::HashMap;

use super::OnReject;
use super::arrivals::{Next, Outlet, queue};
use super::keeping::Openings;
use super::place::{advance, other_input};
use super::reading::Reading;
use super::record::in_turn;
use super::settings::{Dealing, MOST_STREAMS};
use crate::line::LineError;
use crate::streamer::producer::{
    Arrival, Batch, Begin, Command, MOST_BYTES, MOST_RECORDS, Place, Record, Rewind, Sent, Unfit, Written,
};

/// How many bytes of rows the batches in the making hold together, as a rule.
const MOST_IN_THE_MAKING: usize = 4 * MOST_BYTES;

/// The fewest bytes at which a batch is full.
const FEWEST_BYTES: usize = 4 * 1024;

/// Deals rows to several streams.
pub struct Dealer {
    dealing: Dealing,
    lanes: Vec<Lane>,
    /// The batch in the making of each.
    batches: Vec<Batch>,
    /// Places that must lie between two rows, the next first: where a batch of what an earlier run sent is to end, if
    /// the place says of which stream.
    marks: Vec<(Place, Option<usize>)>,
    /// How many rows there were, of whatever kind.
    number: u64,
    /// How many rows are in the making.
    waiting: usize,
    /// The streams that came up, where the rows name them.
    kept: Option<Kept>,
}

/// Streams that rows name, each with its number, and whom to tell of a new one.
struct Kept {
    numbers: HashMap<String, usize>,
    /// Those whose keys take no entry, each with why.
    refused: HashMap<String, String>,
    openings: Openings,
}

/// The stream of rows that cannot be sent to any, where the rows name theirs.
const UNSENDABLE: usize = 0;

/// Where a sending begins that takes up none.
pub const BEGINNING: Begin = Begin {
    told: START,
    settled: START,
    written: Written {
        rejected: 0,
        rejects: 0,
        receipts: 0,
    },
    origin: None,
};

const START: Place = Place {
    source: 0,
    offset: 0,
    line: 0,
    digest: None,
};

/// One of the streams.
struct Lane {
    outlet: Outlet,
    told: Place,
    settled: Place,
}

impl Dealer {
    pub fn new(dealing: Dealing, outlets: Vec<Outlet>, begins: &[Begin]) -> Self {
        let lane = |(outlet, begin): (Outlet, &Begin)| Lane {
            outlet,
            told: begin.told,
            settled: begin.settled,
        };
        let lanes: Vec<_> = outlets.into_iter().zip(begins).map(lane).collect();
        let told = lanes.iter().map(|lane| (lane.told, None));
        let settled = (0..).zip(&lanes).map(|(number, lane)| (lane.settled, Some(number)));
        let mut marks: Vec<_> = told.chain(settled).collect();
        marks.retain(|(place, _)| (place.source, place.offset) != (0, 0));
        marks.sort_by_key(|(place, _)| std::cmp::Reverse((place.source, place.offset)));
        Self {
            dealing,
            batches: lanes.iter().map(|lane| *lane.outlet.spare()).collect(),
            lanes,
            marks,
            number: 0,
            waiting: 0,
            kept: None,
        }
    }

    /// Deals rows to the streams that they name.
    pub fn keeping(openings: Openings, unsendable: Outlet) -> Self {
        let kept = Kept {
            numbers: HashMap::new(),
            refused: HashMap::new(),
            openings,
        };
        Self {
            kept: Some(kept),
            ..Self::new(Dealing::Kept, vec![unsendable], &[BEGINNING])
        }
    }

    /// The number of a stream that a row names; a new one is opened.
    pub fn open(&mut self, stream: &str) -> Result<usize, LineError> {
        let number = self.lanes.len();
        let Some(kept) = &mut self.kept else {
            return Ok(UNSENDABLE);
        };
        let unfit = |reason| LineError { column: 1, reason };
        if let Some(number) = kept.numbers.get(stream) {
            return Ok(*number);
        }
        if let Some(reason) = kept.refused.get(stream) {
            return Err(unfit(reason.clone()));
        }
        if kept.numbers.len() >= MOST_STREAMS {
            let reason = format!("one stream too many: a sending takes {MOST_STREAMS}, each with a connection");
            return Err(unfit(reason));
        }
        if let Some(refusal) = kept.openings.refusal(stream) {
            let reason = refusal.to_string();
            // However many there are, memory stays bounded.
            if kept.refused.len() < MOST_STREAMS {
                kept.refused.insert(stream.to_owned(), reason.clone());
            }
            return Err(unfit(reason));
        }
        // The first has all the memory there is for reading ahead, the next half of it, and so on: all of them, some
        // times that.
        let (outlet, arrivals) = queue(Rewind::Impossible, number);
        kept.numbers.insert(stream.to_owned(), number);
        kept.openings.open(number, stream, arrivals);
        self.batches.push(*outlet.spare());
        self.lanes.push(Lane {
            outlet,
            told: START,
            settled: START,
        });
        Ok(number)
    }

    /// Where the XADD of a row of this stream is to be written.
    pub fn packed(&mut self, stream: usize) -> &mut Vec<u8> {
        &mut self.batches[stream].packed
    }

    /// The beginning of the input.
    pub fn beginning(&self) -> Place {
        Place {
            digest: self.lanes.first().and_then(|lane| lane.told.digest).map(|_| 0),
            ..Place::default()
        }
    }

    /// Whether a batch of this stream is full.
    fn is_full(&self, stream: usize) -> bool {
        let most_bytes = (MOST_IN_THE_MAKING / self.lanes.len()).clamp(FEWEST_BYTES, MOST_BYTES);
        let batch = &self.batches[stream];
        batch.records.len() >= MOST_RECORDS || batch.text.len() >= most_bytes
    }

    /// Tells all producers that there is no more; one of them may get something in particular.
    pub fn end(&self, event: Arrival<anyhow::Error>, to: usize) -> Next {
        let mut event = Some(event);
        for (number, lane) in self.lanes.iter().enumerate() {
            let event = event.take_if(|_| number == to);
            // One that has ended needs nothing any more.
            lane.outlet.push(event.unwrap_or(Arrival::Ended(None)));
        }
        Next::End
    }

    /// Whether all streams are past a place, so that nothing before it is of interest.
    fn is_told_to_all(&self, place: &Place) -> bool {
        self.lanes.iter().all(|lane| !lane.told.is_before(place))
    }

    /// At the end of a source: whether an earlier run came further in it.
    pub fn must_have_reached(&self, end: &Place) -> anyhow::Result<()> {
        match self.marks.last() {
            Some((mark, _)) if mark.source == end.source => Err(other_input()),
            _ => Ok(()),
        }
    }
}

impl Reading {
    /// Deals the rows of a chunk.
    pub fn deal(&mut self, chunk: &Batch) -> anyhow::Result<Next> {
        let mut at = 0;
        while at < chunk.text.len() {
            let row = self.encoder.layout().first(&chunk.text[at..]);
            let extent = at..at + row.end;
            at = extent.end;
            let before = self.place;
            advance(&mut self.place, &chunk.text[extent.clone()], row.line_breaks.max(1));
            let next = self.deal_row(&chunk.text[extent], &before)?;
            if next != Next::Go {
                return Ok(next);
            }
            let next = self.pass_marks()?;
            if next != Next::Go {
                return Ok(next);
            }
        }
        Ok(Next::Go)
    }

    fn deal_row(&mut self, row: &[u8], before: &Place) -> anyhow::Result<Next> {
        if std::mem::take(&mut self.header_due) {
            self.take_header(row)?;
            return Ok(Next::Go);
        }
        let Some(dealer) = &mut self.dealer else {
            return Ok(Next::Go);
        };
        let number = dealer.number;
        dealer.number += 1;
        if dealer.is_told_to_all(&self.place) {
            return Ok(Next::Go);
        }
        let dealt = match dealer.dealing {
            Dealing::Kept => self.encoder.keep(row, dealer),
            _ => self.encoder.deal(row, number, &dealer.dealing, &mut dealer.batches),
        };
        let (stream, command) = match dealt {
            Ok(None) => return Ok(Next::Go),
            Ok(Some((stream, command))) => (stream, Ok(command)),
            Err(LineError { column, reason }) => {
                let stream = match dealer.dealing {
                    Dealing::Kept => UNSENDABLE,
                    _ => in_turn(number, dealer.lanes.len()),
                };
                (stream, Err(Unfit { column, reason }))
            }
        };
        self.put(row, before, stream, command)
    }

    /// Puts a row into the batch of its stream, unless an earlier run told of it, or it ends the sending.
    fn put(
        &mut self,
        row: &[u8],
        before: &Place,
        stream: usize,
        command: Result<Command, Unfit>,
    ) -> anyhow::Result<Next> {
        let Some(dealer) = &mut self.dealer else {
            return Ok(Next::Go);
        };
        let (lane, batch) = (&dealer.lanes[stream], &mut dealer.batches[stream]);
        if !lane.told.is_before(&self.place) {
            if let Ok(command) = command {
                batch.packed.truncate(command.packed.start);
            }
            return Ok(Next::Go);
        }
        let is_settled = !lane.settled.is_before(&self.place);
        let start = batch.text.len();
        let ends_it = command.is_err() && self.on_reject == OnReject::Stop && !is_settled;
        let record = Record {
            line: before.line + 1,
            text: if ends_it {
                0..row.len()
            } else {
                start..start + row.len()
            },
            command,
        };
        if ends_it {
            return self.end_at(row, record, *before, stream);
        }
        if is_settled {
            batch.sent = Sent::Earlier;
        }
        (batch.source, batch.header) = (before.source, self.header.clone());
        batch.text.extend_from_slice(row);
        batch.push(record);
        dealer.waiting += 1;
        let is_paced = self.pace.as_ref().is_some_and(|pace| dealer.waiting >= pace.step);
        if is_paced {
            return Ok(self.flush());
        }
        match dealer.is_full(stream) {
            true => Ok(self.give(stream)),
            false => Ok(Next::Go),
        }
    }

    /// Ends the sending at a row that cannot be sent: all before it go, and its stream is told of it.
    fn end_at(&mut self, row: &[u8], record: Record, before: Place, stream: usize) -> anyhow::Result<Next> {
        // What is behind the batches is not settled by them.
        let behind = std::mem::replace(&mut self.place, before);
        let next = self.flush();
        self.place = behind;
        let Some(dealer) = self.dealer.as_ref().filter(|_| next == Next::Go) else {
            return Ok(next);
        };
        let mut last = dealer.lanes[stream].outlet.spare();
        (last.source, last.header) = (before.source, self.header.clone());
        last.text.extend_from_slice(row);
        last.push(record);
        last.seal(before);
        Ok(dealer.end(Arrival::Ended(Some(last)), stream))
    }

    /// Looks at the places that an earlier run came to: one that is passed, and not met, is of another input.
    fn pass_marks(&mut self) -> anyhow::Result<Next> {
        while let Some(dealer) = &mut self.dealer
            && let Some((mark, stream)) = dealer.marks.last().copied()
            && !self.place.is_before(&mark)
        {
            if mark != self.place {
                return Err(other_input());
            }
            dealer.marks.pop();
            if let Some(stream) = stream {
                let next = self.give(stream);
                if next != Next::Go {
                    return Ok(next);
                }
            }
        }
        Ok(Next::Go)
    }

    /// Hands over all batches in the making, when their time has come: those first whose producers wait.
    pub fn flush(&mut self) -> Next {
        let Some(dealer) = &mut self.dealer else {
            return Next::Go;
        };
        let (rows, streams) = (std::mem::take(&mut dealer.waiting), dealer.lanes.len());
        if let Some(pace) = &mut self.pace {
            pace.wait(rows);
        }
        self.flush_ready();
        for stream in 0..streams {
            let next = self.hand_over_dealt(stream);
            if next != Next::Go {
                return next;
            }
        }
        Next::Go
    }

    /// Hands over a batch. Where that takes a wait, others do not wait with it.
    fn give(&mut self, stream: usize) -> Next {
        let has_room = |dealer: &Dealer| dealer.lanes[stream].outlet.has_room();
        if self.dealer.as_ref().is_some_and(|dealer| !has_room(dealer)) {
            self.flush_ready();
        }
        self.hand_over_dealt(stream)
    }

    /// Hands over the batches in the making for which there is room.
    fn flush_ready(&mut self) {
        let Some(dealer) = &self.dealer else {
            return;
        };
        let ready = (0..dealer.lanes.len()).filter(|stream| dealer.lanes[*stream].outlet.has_room());
        for stream in ready.collect::<Vec<_>>() {
            // That one has ended is found out where it matters.
            self.hand_over_dealt(stream);
        }
    }

    fn hand_over_dealt(&mut self, stream: usize) -> Next {
        let Some(dealer) = &mut self.dealer else {
            return Next::Go;
        };
        if dealer.batches[stream].records.is_empty() {
            return Next::Go;
        }
        let outlet = &dealer.lanes[stream].outlet;
        let mut batch = Box::new(std::mem::replace(&mut dealer.batches[stream], *outlet.spare()));
        self.encoder.finish(stream, &mut batch, self.place);
        outlet.push(Arrival::Batch(batch))
    }
}
