//! What is pending already and to be delivered again: under this consumer's own name, left by others, handed back.
//!
//! Always in two steps. The server is asked which entries are pending, whose they are and for how long they were
//! idle; then they are claimed, each only if it was idle for as long as that. Whoever claimed one in between has had
//! it for less time, so nothing is taken from anybody. (XAUTOCLAIM is one step, but says neither whose entries
//! were nor how often they were delivered.)

use std::collections::HashSet;
use std::time::{Duration, Instant};

use super::delivery::{Claim, Sink, Walked};
use super::hand_back::by_idle;
use super::lease::Lease;
use super::member::{Member, SAFE_CLAIM_IDLE};
use super::messages::{Key, State};
use super::requests::{Page, Pending, Whose, by_count};
use super::settings::Acknowledge;
use crate::streamer::entry::EntryId;
use crate::streamer::error::Error;
use crate::streamer::wire::{Entries, Shape, receive_pending};

/// How many pending entries are listed at first, and at most.
const FIRST_PAGE: usize = 100;
const PAGE: usize = 10_000;

/// How many entries more than are claimed are looked at as that is done.
const ASIDE: usize = 100;

/// How many pages are looked through at a time: messages in hand are to be kept alive meanwhile.
const MOST_PAGES: usize = 20;

/// How often stale entries are looked for: twice within the time after which they are stale, but not so often
/// that it costs, nor so seldom that a long `--claim-idle` delays what crashed consumers left.
const CLAIM_EVERY: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(30));

/// The longest that entries of one claim may differ in how long they were idle, where nobody claims sooner.
const MOST_SPREAD: Duration = Duration::from_secs(60);

/// How far the search for entries that are pending under this consumer and not known here has come.
#[derive(Clone, Copy)]
pub struct OwnSearch {
    pub stream: usize,
    pub from: EntryId,
    /// Whether replies of this run were lost. What is found then was counted as delivered, and nobody tried it.
    pub is_after_loss: bool,
}

impl Member<'_> {
    /// Delivers entries again that are pending under this consumer and not known here: from an earlier run, or lost
    /// on the way. `None` when no more are to be found.
    pub fn take_own(&mut self, count: usize, sink: &mut impl Sink) -> Result<Option<Walked>, Error> {
        if let Some(lease) = self.run.lease {
            return self.take_over(lease, count, sink);
        }
        // What is done and not acknowledged is pending, too.
        self.settle()?;
        while let Some(OwnSearch {
            stream,
            from,
            is_after_loss,
        }) = self.own_search
        {
            if stream >= self.settings.streams.len() {
                self.own_search = None;
                self.lost_claims.clear();
                break;
            }
            let page = Page::from(from, count.clamp(1, PAGE), Whose::Ours);
            let rows = self.pending(stream, page)?;
            let next = page.behind(&rows);
            let mut lost: Vec<_> = rows.into_iter().filter(|row| self.is_lost(stream, row.id)).collect();
            if is_after_loss {
                lost.iter_mut().for_each(Pending::forget_delivery);
            }
            let walked = self.claim(stream, &lost, sink)?;
            // Only now: had the claim's reply been lost, these would be looked for again.
            let (stream, from) = next.map_or((stream + 1, EntryId::MIN), |page| (stream, page.from));
            self.own_search = Some(OwnSearch {
                stream,
                from,
                is_after_loss,
            });
            if walked.entries > 0 {
                return Ok(Some(walked));
            }
        }
        Ok(None)
    }

    /// Whether an entry that is pending under this consumer was never delivered to it, as far as it knows.
    pub fn is_lost(&self, stream: usize, id: EntryId) -> bool {
        let key = Key { stream, id };
        match self.settings.acknowledge {
            // What this run printed is pending until somebody acknowledges it.
            Acknowledge::Elsewhere { .. } => {
                id > self.delivery.positions.last_read(stream) || self.lost_claims.contains(&key)
            }
            Acknowledge::OnSuccess { .. } | Acknowledge::OnRead => !self.delivery.messages.knows(key),
        }
    }

    /// Claims some of what others left, from where the last call stopped. `None` when all streams were looked
    /// through.
    pub fn take_stale(&mut self, count: usize, sink: &mut impl Sink) -> Result<Option<Walked>, Error> {
        self.settle()?;
        let idle = self.settings.acknowledge.claim_idle();
        let mut size = FIRST_PAGE.max(count.min(PAGE));
        let mut pages = 0;
        while let Some((stream, from)) = self.stale_search {
            if stream >= self.settings.streams.len() {
                self.stale_search = None;
                break;
            }
            let page = Page::from(from, size, Whose::Anybodys);
            let rows = self.pending(stream, page)?;
            let is_full = rows.len() == page.count;
            let stale = |row: &Pending| {
                let is_known = self.delivery.messages.knows(Key { stream, id: row.id });
                row.idle >= idle && is_claimable(row.whose, is_known, self.settings.acknowledge)
            };
            let found: Vec<Pending> = rows.iter().copied().filter(stale).take(count).collect();
            let last_seen = match found.last().filter(|_| found.len() == count) {
                Some(last) => Some(last.id),
                None => rows.last().filter(|_| is_full).map(|row| row.id),
            };
            let walked = self.claim(stream, &found, sink)?;
            let next = last_seen.and_then(EntryId::next);
            self.stale_search = Some(next.map_or((stream + 1, EntryId::MIN), |next| (stream, next)));
            pages += 1;
            if walked.entries > 0 || pages == MOST_PAGES {
                return Ok(Some(walked));
            }
            // In pages that grow while there are none: whether the first are stale or none of a million is, few rows
            // are asked for in vain.
            size = (2 * size).min(PAGE);
        }
        let (soonest, latest) = CLAIM_EVERY;
        self.next_claim = Some(Instant::now() + (idle / 2).clamp(soonest, latest));
        Ok(None)
    }

    /// Whether it is time to look for what others left.
    pub fn is_claim_due(&mut self) -> bool {
        let is_due = self.stale_search.is_some() || self.next_claim.is_some_and(|due| due <= Instant::now());
        if is_due {
            self.stale_search.get_or_insert((0, EntryId::MIN));
        }
        is_due
    }

    /// Lists pending entries of a stream.
    pub fn pending(&mut self, stream: usize, page: Page) -> Result<Vec<Pending>, Error> {
        let name = &self.settings.streams[stream];
        let rows = self.requests.pending(&mut self.link.connection, name, page)?;
        rows.map_err(|refusal| self.refused(refusal, Some(stream)))
    }

    /// Claims pending entries of a stream, as they were listed, and takes them in.
    pub fn claim(&mut self, stream: usize, rows: &[Pending], sink: &mut impl Sink) -> Result<Walked, Error> {
        let mut walked = Walked::default();
        let by_deliveries = by_count(rows, |row| row.deliveries + 1);
        let spread = self.claim_spread();
        let groups = by_deliveries.iter().flat_map(|(deliveries, rows)| {
            let by_idle = by_idle(rows, spread).into_iter();
            by_idle.map(|(idle, ids)| (*deliveries, idle, ids))
        });
        for (deliveries, idle, ids) in groups.collect::<Vec<_>>() {
            // One reply's worth at a time: their sizes are not known.
            for ids in ids.chunks(self.fetch.count().max(1)) {
                self.claiming = ids.iter().map(|id| Key { stream, id: *id }).collect();
                let more = self.claim_now(Claim { stream, deliveries }, idle, ids, sink)?;
                self.claiming.clear();
                self.fetch.learn((more.entries, more.bytes));
                walked.entries += more.entries;
                walked.bytes += more.bytes;
            }
        }
        Ok(walked)
    }

    /// By how much the idle times of entries of one claim may differ.
    pub fn claim_spread(&self) -> Duration {
        (self.settings.acknowledge.claim_idle() / 2).min(MOST_SPREAD)
    }

    fn claim_now(
        &mut self,
        claim: Claim,
        idle: Duration,
        ids: &[EntryId],
        sink: &mut impl Sink,
    ) -> Result<Walked, Error> {
        let name = &self.settings.streams[claim.stream];
        let told = match self.most_counted {
            Some(most) if claim.deliveries == most.saturating_add(1) => most,
            _ => claim.deliveries,
        };
        let request = self.requests.claim(name, idle, ids, told);
        let pending = self.send_claim(&request, claim.stream, ids)?;
        let entries = self.begin_reply(Shape::OneStream)?;
        self.take_claimed(entries, claim, &pending, ids, sink)
    }

    /// Sends a claim, in one go with a look at what is still pending just then; returns that. What is acknowledged and trimmed
    /// since it was listed is no loss, and afterwards cannot be told from what is trimmed while it is pending.
    pub fn send_claim(
        &mut self,
        claim: &redis::Cmd,
        stream: usize,
        ids: &[EntryId],
    ) -> Result<HashSet<EntryId>, Error> {
        let (Some(from), Some(to)) = (ids.iter().min().copied(), ids.iter().max().copied()) else {
            return Ok(HashSet::new());
        };
        // Others' may lie in between.
        let count = 2 * ids.len() + ASIDE;
        let page = Page {
            to,
            ..Page::from(from, count, Whose::Anybodys)
        };
        let mut packed = self
            .requests
            .list(&self.settings.streams[stream], page)
            .get_packed_command();
        claim.write_packed_command(&mut packed);
        let connection = &mut self.link.connection;
        connection.send(&packed)?;
        let rows = receive_pending(connection, from, count, |row| row.id)?;
        let rows = match rows {
            Ok(rows) => rows,
            Err(refusal) => {
                // The claim was made all the same: its reply must not be taken for another one.
                connection.answer()?.ok();
                return Err(self.refused(refusal, Some(stream)));
            }
        };
        let mut pending: HashSet<EntryId> = rows.iter().copied().collect();
        if let Some(last) = rows.last().filter(|_| rows.len() == count) {
            // These were listed a moment ago.
            pending.extend(ids.iter().filter(|id| *id > last));
        }
        Ok(pending)
    }

    /// As [`claim_now`](Self::claim_now), from whoever has them, if the lease is held.
    pub fn claim_held(
        &mut self,
        lease: &Lease,
        claim: Claim,
        ids: &[EntryId],
        sink: &mut impl Sink,
    ) -> Result<Walked, Error> {
        let Claim { stream, deliveries } = claim;
        let name = &self.settings.streams[stream];
        let request = self.requests.claim(name, Duration::ZERO, ids, deliveries);
        self.claiming = ids.iter().map(|id| Key { stream, id: *id }).collect();
        let entries = self.begin_held(lease, &request.get_packed_command(), Shape::OneStream)?;
        // Nobody else is at work.
        let pending = ids.iter().copied().collect();
        let walked = self.take_claimed(entries, claim, &pending, ids, sink)?;
        self.claiming.clear();
        Ok(walked)
    }

    fn take_claimed(
        &mut self,
        entries: Entries,
        claim: Claim,
        pending: &HashSet<EntryId>,
        ids: &[EntryId],
        sink: &mut impl Sink,
    ) -> Result<Walked, Error> {
        let (walked, brought) = self.take_in(entries, Some(claim), sink)?;
        let missing = ids.iter().filter(|id| brought.binary_search(id).is_err());
        let missing: Vec<_> = missing.copied().collect();
        self.let_go(claim.stream, &missing, pending)?;
        Ok(walked)
    }

    /// Entries that could not be claimed: somebody else has them now or has acknowledged them, or they were deleted or
    /// trimmed. Of those what was `pending` as it was claimed is told of, and acknowledged, which the server has done already
    /// from Redis 7.0 on.
    pub fn let_go(&mut self, stream: usize, ids: &[EntryId], pending: &HashSet<EntryId>) -> Result<(), Error> {
        let name = &self.settings.streams[stream];
        let look = |id: &EntryId| {
            let mut range = redis::cmd("XRANGE");
            range.arg(name).arg(id.to_string()).arg(id.to_string());
            range
        };
        let looks: Vec<_> = ids.iter().map(look).collect();
        for (id, found) in ids.iter().zip(self.link.connection.query_all(&looks)?) {
            let found = found.map_err(|refusal| self.refused(refusal, Some(stream)))?;
            let found: Vec<redis::Value> = self.link.connection.read(found)?;
            let key = Key { stream, id: *id };
            if found.is_empty() && pending.contains(id) {
                self.delivery.note_gone(key);
                self.delivery.messages.settle(key);
            } else if let Some(open) = self.delivery.messages.forget(key)
                && matches!(open.state, State::Waiting(_) | State::Ready)
            {
                self.run.quota.give_back();
            }
        }
        self.delivery.report_gone();
        Ok(())
    }
}

/// Whether a stale entry may be claimed; `is_known` if it is in this member's hands, which somebody else may have taken
/// it from.
fn is_claimable(whose: Whose, is_known: bool, acknowledge: Acknowledge) -> bool {
    match (whose, acknowledge) {
        (_, _) if is_known => false,
        (Whose::Anybodys, _) => true,
        // What this run printed waits for whoever acknowledges it.
        (Whose::Ours, Acknowledge::Elsewhere { .. }) => false,
        // What was just delivered may still be on its way here.
        (Whose::Ours, _) => acknowledge.claim_idle() >= SAFE_CLAIM_IDLE,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::streamer::consumer::acknowledgement::Done;

    #[test]
    fn what_is_in_hand_or_waits_for_somebody_is_not_claimed() {
        let success = |seconds| Acknowledge::OnSuccess {
            done: Done::Kept,
            claim_idle: Some(Duration::from_secs(seconds)),
        };
        let elsewhere = Acknowledge::Elsewhere { claim_idle: None };
        for (whose, is_known, acknowledge, expected) in [
            (Whose::Anybodys, false, success(300), true),
            (Whose::Anybodys, false, success(0), true),
            (Whose::Anybodys, false, elsewhere, true),
            (Whose::Anybodys, true, success(300), false),
            (Whose::Ours, false, success(300), true),
            (Whose::Ours, true, success(300), false),
            (Whose::Ours, false, success(0), false),
            (Whose::Ours, false, elsewhere, false),
        ] {
            let found = is_claimable(whose, is_known, acknowledge);
            assert_eq!(found, expected, "{whose:?} {is_known} {acknowledge:?}");
        }
    }
}
