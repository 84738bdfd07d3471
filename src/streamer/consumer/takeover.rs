//! What is pending in a group when its stream is taken over: it is done first, in order, whoever has it. The lease says
//! that nobody else is at work, so no idle time is asked for; what is claimed is claimed only while the lease is held.

use super::claims::OwnSearch;
use super::delivery::{Claim, Sink, Walked};
use super::lease::Lease;
use super::member::Member;
use super::messages::Key;
use super::requests::{Page, Pending, Whose};
use crate::streamer::error::Error;

/// How many pending entries are listed at a time.
const PAGE: usize = 1000;

impl Member<'_> {
    /// Delivers entries again that are pending in the group and not known here. `None` when no more are to be found.
    pub fn take_over(&mut self, lease: &Lease, count: usize, sink: &mut impl Sink) -> Result<Option<Walked>, Error> {
        // What is done and not acknowledged is pending, too.
        self.settle()?;
        while let Some(search) = self.own_search {
            let page = Page::from(search.from, count.clamp(1, PAGE), Whose::Anybodys);
            let rows = self.pending(0, page)?;
            let next = page.behind(&rows);
            let mut lost: Vec<_> = rows
                .into_iter()
                .filter(|row| !self.delivery.messages.knows(Key { stream: 0, id: row.id }))
                .collect();
            if search.is_after_loss {
                let ours = lost.iter_mut().filter(|row| row.whose == Whose::Ours);
                ours.for_each(Pending::forget_delivery);
            }
            let walked = self.claim_in_order(lease, &lost, sink)?;
            // Only now: had the claim's reply been lost, these would be looked for again.
            self.own_search = next.map(|page| OwnSearch {
                from: page.from,
                ..search
            });
            if walked.entries > 0 {
                return Ok(Some(walked));
            }
        }
        Ok(None)
    }

    /// One command says of all its entries how often they are delivered: those in a row that are alike go together.
    fn claim_in_order(&mut self, lease: &Lease, rows: &[Pending], sink: &mut impl Sink) -> Result<Walked, Error> {
        let mut walked = Walked::default();
        for alike in rows.chunk_by(|a, b| a.deliveries == b.deliveries) {
            let claim = Claim {
                stream: 0,
                deliveries: alike[0].deliveries + 1,
            };
            let ids: Vec<_> = alike.iter().map(|row| row.id).collect();
            // One reply's worth at a time: their sizes are not known.
            for ids in ids.chunks(self.fetch.count().max(1)) {
                let more = self.claim_held(lease, claim, ids, sink)?;
                self.fetch.learn((more.entries, more.bytes));
                walked.entries += more.entries;
                walked.bytes += more.bytes;
            }
        }
        Ok(walked)
    }
}
