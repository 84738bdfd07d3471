//! Entries that change hands: taken over from consumers that left them, delivered again, handed back, buried.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use redis::{Cmd, Value};

use super::connection::RESPONSE_TIMEOUT;
use super::entry::{Field, OwnedFields};
use super::produce::{AddOptions, Missing, receive_added, write_add};
use super::resp::Malformed;
use super::{Batch, Consumer, Entries, EntryId, Error};

/// How many pending entries are listed at a time.
const PAGE: usize = 10_000;
/// How many are looked at first in search of stale ones.
const FIRST_PAGE: usize = 100;

/// XAUTOCLAIM looks at ten entries for each that it may take: for fewer than this, too few at a time.
const FEW: usize = 100;

/// What to take over from other consumers.
#[derive(Clone, Copy, Debug)]
pub struct Claim {
    /// Only what was idle for so long.
    pub min_idle: Duration,
    /// Only from this ID on.
    pub from: EntryId,
    /// At most so many.
    pub count: usize,
    /// Whether entries may be taken that are this consumer's own.
    pub own: Own,
}

/// What is done with a consumer's own entries that are idle for long enough.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Own {
    /// They are delivered again, like those of others: the server need not be asked whose they are.
    Redeliver,
    /// They are left alone.
    Keep,
}

/// Where a claim stopped, and what it found to be gone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claimed {
    /// Where to go on; `None` when everything was looked at.
    pub next: Option<EntryId>,
    /// Entries deleted or trimmed while pending; they are pending no more.
    pub gone: Vec<EntryId>,
}

impl Consumer {
    /// Takes over entries of one stream that other consumers left pending, into `batch` (one of
    /// [`Batch::claimed`]).
    pub fn claim(&mut self, stream: &str, claim: Claim, batch: &mut Batch) -> Result<Claimed, Error> {
        if claim.own == Own::Keep || claim.count < FEW {
            return self.claim_by_hand(stream, claim, batch);
        }
        match self.autoclaim(stream, claim, batch) {
            Err(Error::Refused(refusal)) if refusal.is_unknown() => self.claim_by_hand(stream, claim, batch),
            claimed => claimed,
        }
    }

    /// XAUTOCLAIM, from Redis 6.2.
    fn autoclaim(&mut self, stream: &str, claim: Claim, batch: &mut Batch) -> Result<Claimed, Error> {
        let mut request = redis::cmd("XAUTOCLAIM");
        request
            .arg(stream)
            .arg(&self.membership.group)
            .arg(&self.membership.consumer)
            .arg(claim.min_idle.as_millis() as u64)
            .arg(claim.from.to_string())
            .arg("COUNT")
            .arg(claim.count);
        self.fetch(stream, &request, batch)?;
        let (mut claimed, nils) = read_autoclaim(batch).map_err(|malformed| self.malformed(malformed))?;
        if nils > 0 {
            // Redis 6.2 claims what is gone, too, and does not say its ID.
            let there: HashSet<EntryId> = self.ids(batch.claimed())?.into_iter().collect();
            let held = self.deliveries(stream, EntryId::MIN, EntryId::MAX)?;
            let suspects: Vec<_> = held.into_keys().filter(|id| !there.contains(id)).collect();
            claimed.gone = self.acknowledge_gone(stream, &suspects)?;
        }
        Ok(claimed)
    }

    /// XPENDING and XCLAIM: for servers without XAUTOCLAIM, and where it matters whose entries are taken or how many
    /// are passed over for a few.
    fn claim_by_hand(&mut self, stream: &str, claim: Claim, batch: &mut Batch) -> Result<Claimed, Error> {
        let (stale, last_seen) = self.find_stale(stream, claim)?;
        batch.clear();
        let mut gone = Vec::new();
        if !stale.is_empty() {
            let min_idle = claim.min_idle.as_millis() as u64;
            self.fetch(
                stream,
                &self.xclaim(stream, &self.membership.consumer, min_idle, &stale),
                batch,
            )?;
            let there: HashSet<EntryId> = self.ids(batch.claimed())?.into_iter().collect();
            let missing: Vec<_> = stale.into_iter().filter(|id| !there.contains(id)).collect();
            gone = self.acknowledge_gone(stream, &missing)?;
        }
        Ok(Claimed {
            next: last_seen.and_then(EntryId::next),
            gone,
        })
    }

    /// The first stale entries, and the last entry that was looked at, unless all were. In pages that grow until
    /// there are some: whether the first are stale or none of a million is, few rows are asked for in vain.
    fn find_stale(&mut self, stream: &str, claim: Claim) -> Result<(Vec<EntryId>, Option<EntryId>), Error> {
        let min_idle = claim.min_idle.as_millis() as u64;
        let consumer = self.membership.consumer.clone();
        let is_takeable = |owner: &[u8]| claim.own == Own::Redeliver || owner != consumer.as_bytes();
        let (mut from, mut page) = (claim.from, FIRST_PAGE);
        loop {
            let mut pending = redis::cmd("XPENDING");
            pending.arg(stream).arg(&self.membership.group);
            pending.arg(from.to_string()).arg("+").arg(page);
            let rows: Vec<(Vec<u8>, Vec<u8>, u64, u64)> = self.ask(&pending, stream)?;
            let stale: Vec<EntryId> = rows
                .iter()
                .filter(|(_, owner, idle, _)| *idle >= min_idle && is_takeable(owner))
                .filter_map(|(id, ..)| EntryId::from_wire(id))
                .take(claim.count)
                .collect();
            let last_row = rows
                .last()
                .filter(|_| rows.len() == page)
                .and_then(|(id, ..)| EntryId::from_wire(id));
            match last_row.and_then(EntryId::next).filter(|_| stale.is_empty()) {
                Some(next) => (from, page) = (next, (2 * page).min(PAGE)),
                None => {
                    let last_seen = match stale.len() == claim.count {
                        true => stale.last().copied(),
                        false => last_row,
                    };
                    return Ok((stale, last_seen));
                }
            }
        }
    }

    /// Acknowledges those of the entries that are not in the stream any more, and returns them.
    fn acknowledge_gone(&mut self, stream: &str, ids: &[EntryId]) -> Result<Vec<EntryId>, Error> {
        let mut gone = Vec::new();
        for id in ids {
            let mut range = redis::cmd("XRANGE");
            range.arg(stream).arg(id.to_string()).arg(id.to_string());
            let found: Vec<Value> = self.ask(&range, stream)?;
            if found.is_empty() {
                let mut ack = redis::cmd("XACK");
                ack.arg(stream).arg(&self.membership.group).arg(id.to_string());
                self.ask::<u64>(&ack, stream)?;
                gone.push(*id);
            }
        }
        Ok(gone)
    }

    /// How often each of this consumer's pending entries from `first` to `last` was delivered.
    pub fn deliveries(&mut self, stream: &str, first: EntryId, last: EntryId) -> Result<HashMap<EntryId, u64>, Error> {
        let mut deliveries = HashMap::new();
        let mut from = Some(first);
        while let Some(start) = from {
            let page = self.pending_page(stream, start, last, PAGE)?;
            from = match page.len() {
                PAGE => page.last().and_then(|(id, _)| id.next()).filter(|next| *next <= last),
                _ => None,
            };
            deliveries.extend(page);
        }
        Ok(deliveries)
    }

    pub(super) fn pending_page(
        &mut self,
        stream: &str,
        first: EntryId,
        last: EntryId,
        count: usize,
    ) -> Result<Vec<(EntryId, u64)>, Error> {
        let mut pending = redis::cmd("XPENDING");
        pending
            .arg(stream)
            .arg(&self.membership.group)
            .arg(first.to_string())
            .arg(last.to_string())
            .arg(count)
            .arg(&self.membership.consumer);
        let rows: Vec<(Vec<u8>, Vec<u8>, u64, u64)> = self.ask(&pending, stream)?;
        Ok(rows
            .into_iter()
            .filter_map(|(id, _, _, deliveries)| Some((EntryId::from_wire(&id)?, deliveries)))
            .collect())
    }

    /// Delivers an entry of this consumer again, into `batch` (one of [`Batch::of_one_stream`]): how often that
    /// makes, or `None` if it is not pending under this consumer any more.
    pub fn take_again(&mut self, stream: &str, id: EntryId, batch: &mut Batch) -> Result<Option<u64>, Error> {
        let Some((_, deliveries)) = self.pending_page(stream, id, id, 1)?.pop() else {
            return Ok(None);
        };
        let claim = self.xclaim(stream, &self.membership.consumer, 0, &[id]);
        self.fetch(stream, &claim, batch)?;
        Ok(Some(deliveries + 1))
    }

    /// Sets the idle time of entries of this consumer back to 0, without counting it as a delivery.
    pub fn touch(&mut self, stream: &str, ids: &[EntryId]) -> Result<(), Error> {
        for ids in ids.chunks(1000) {
            let mut claim = self.xclaim(stream, &self.membership.consumer, 0, ids);
            self.ask::<Value>(claim.arg("JUSTID"), stream)?;
        }
        Ok(())
    }

    /// Hands entries back, each given with how often it was delivered, so that whoever looks for stale ones gets
    /// them at once; this delivery does not count. Where the server has no XNACK (Redis 8.8), they go to the
    /// consumer `heir`, idle since the epoch.
    pub fn hand_back(&mut self, stream: &str, entries: &[(EntryId, u64)], heir: &str) -> Result<(), Error> {
        let mut by_deliveries: HashMap<u64, Vec<EntryId>> = HashMap::new();
        for (id, deliveries) in entries {
            by_deliveries.entry(deliveries.saturating_sub(1)).or_default().push(*id);
        }
        for (before, ids) in by_deliveries {
            let mut nack = redis::cmd("XNACK");
            nack.arg(stream)
                .arg(&self.membership.group)
                .arg("SILENT")
                .arg("IDS")
                .arg(ids.len());
            for id in &ids {
                nack.arg(id.to_string());
            }
            match self.ask::<Value>(nack.arg("RETRYCOUNT").arg(before), stream) {
                Ok(_) => continue,
                // Unknown to the server, or to its ACL.
                Err(Error::Refused(refusal)) if refusal.is_unknown() => {}
                Err(Error::Denied(_)) => {}
                Err(error) => return Err(error),
            }
            let mut claim = self.xclaim(stream, heir, 0, &ids);
            claim.arg("TIME").arg(0).arg("RETRYCOUNT").arg(before).arg("JUSTID");
            self.ask::<Value>(&claim, stream)?;
        }
        Ok(())
    }

    /// Adds an entry to a stream of dead letters: its own fields, and where it came from and why.
    pub fn bury(
        &mut self,
        grave: &str,
        stream: &str,
        id: EntryId,
        (fields, deliveries): (&OwnedFields, u64),
        reason: &str,
    ) -> Result<(), Error> {
        let (id, deliveries) = (id.to_string(), deliveries.to_string());
        let mut all: Vec<Field<'_>> = fields.iter().map(|(n, v)| (n.as_slice(), v.as_slice())).collect();
        all.extend([
            (&b"dead-stream"[..], stream.as_bytes()),
            (b"dead-group", self.membership.group.as_bytes()),
            (b"dead-id", id.as_bytes()),
            (b"dead-deliveries", deliveries.as_bytes()),
            (b"dead-reason", reason.as_bytes()),
        ]);
        let options = AddOptions {
            id: None,
            missing: Missing::Create,
            trim: None,
        };
        let mut request = Vec::new();
        write_add(&mut request, grave.as_bytes(), options, &all);
        self.connection.send(&request)?;
        receive_added(&mut self.connection)?
            .map(drop)
            .map_err(|refusal| refusal.into_error(grave))
    }

    fn xclaim(&self, stream: &str, to: &str, min_idle_ms: u64, ids: &[EntryId]) -> Cmd {
        let mut claim = redis::cmd("XCLAIM");
        claim.arg(stream).arg(&self.membership.group).arg(to).arg(min_idle_ms);
        for id in ids {
            claim.arg(id.to_string());
        }
        claim
    }

    /// Sends a request whose reply brings entries.
    fn fetch(&mut self, stream: &str, request: &Cmd, batch: &mut Batch) -> Result<(), Error> {
        self.connection.send(&request.get_packed_command())?;
        batch
            .receive(&mut self.connection, RESPONSE_TIMEOUT)?
            .map_err(|refusal| self.refused(refusal, Some(stream)))
    }

    /// The IDs of a reply's entries, there or gone.
    pub fn ids(&self, entries: Entries<'_>) -> Result<Vec<EntryId>, Error> {
        let ids: Result<Vec<_>, _> = entries.map(|element| element.map(|(_, entry)| entry.id())).collect();
        ids.map_err(|malformed| self.malformed(malformed))
    }
}

/// What XAUTOCLAIM says beside the entries, and in place of how many entries it says nil.
fn read_autoclaim(batch: &Batch) -> Result<(Claimed, usize), Malformed> {
    let (next, mut entries) = batch.autoclaimed()?;
    let mut nils = entries.announced();
    for entry in entries.by_ref() {
        entry?;
        nils -= 1;
    }
    let mut rest = entries.into_cursor();
    let mut gone = Vec::new();
    // From Redis 7.0 a third element lists what is gone, which is pending no more.
    if rest.remaining() > 0 {
        for _ in 0..rest.array()?.unwrap_or(0) {
            gone.push(rest.id()?);
        }
    }
    let next = Some(next).filter(|next| *next != EntryId::MIN);
    Ok((Claimed { next, gone }, nils))
}
