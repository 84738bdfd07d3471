//! Replies taken in pieces, as they arrive.

use std::ops::Range;
use std::time::Duration;

use super::{Connection, MAX_ENTRY, MAX_REPLY, RESPONSE_TIMEOUT};
use crate::streamer::error::Error;
use crate::streamer::wire::announced::Announced;
use crate::streamer::wire::resp::{Cursor, MAX_LINE, line};

impl Connection {
    /// Passes over replies for as long as they are exactly this one, at most so many; says how many they were.
    pub fn skip(&mut self, reply: &[u8], most: usize) -> Result<usize, Error> {
        if self.announces_all() {
            // One by one, each behind the answer to its announcement.
            return Ok(0);
        }
        self.let_go();
        let mut wait = self.wait(RESPONSE_TIMEOUT);
        let mut skipped = 0;
        while skipped < most {
            let here = &self.buffer[self.filled.clone()];
            let equal = here.chunks_exact(reply.len()).take(most - skipped);
            let equal = equal.take_while(|found| *found == reply).count();
            self.filled.start += equal * reply.len();
            self.expected = self.expected.saturating_sub(equal);
            skipped += equal;
            let rest = &self.buffer[self.filled.clone()];
            if skipped == most || rest.len() >= reply.len() || !reply.starts_with(rest) {
                break;
            }
            if equal > 0 {
                wait = self.wait(RESPONSE_TIMEOUT);
            }
            self.fill(&mut wait, reply.len())?;
        }
        Ok(skipped)
    }

    /// Where the next element of a reply that is walked lies, whole, until something else is received.
    pub(in crate::streamer::wire) fn element(&mut self, patience: Duration) -> Result<Range<usize>, Error> {
        self.value(patience, MAX_ENTRY)
    }

    /// An element that is here.
    pub(in crate::streamer::wire) fn at(&self, element: Range<usize>) -> Cursor<'_> {
        Cursor::new(&self.buffer[element])
    }

    /// The first line of a reply that is walked, as [`head`](Self::head).
    pub(in crate::streamer::wire) fn first_head(&mut self, patience: Duration) -> Result<&[u8], Error> {
        self.pass_over_announcement()?;
        self.head(patience)
    }

    pub(in crate::streamer::wire) fn pass_over_announcement(&mut self) -> Result<(), Error> {
        if self.announced.as_mut().is_some_and(Announced::is_next) {
            self.value(RESPONSE_TIMEOUT, MAX_REPLY)?;
        }
        Ok(())
    }

    /// The next line of a reply that is walked: the head of an array, or a short value. With its type byte.
    pub(in crate::streamer::wire) fn head(&mut self, patience: Duration) -> Result<&[u8], Error> {
        self.let_go();
        let mut wait = self.wait(patience);
        loop {
            let bytes = &self.buffer[self.filled.clone()];
            match line(bytes).map_err(|malformed| self.malformed(malformed))? {
                Some(line) => {
                    let start = self.filled.start;
                    let end = start + 1 + line.len();
                    self.handed_out = line.len() + 3;
                    return Ok(&self.buffer[start..end]);
                }
                None => self.fill(&mut wait, MAX_LINE)?,
            }
        }
    }
}
