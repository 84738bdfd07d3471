//! One consumer's life in a group: it joins, reads, takes over what others left, survives lost connections
//! and vanished groups. How it leaves is in [`leaving`](super::leaving).

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::commands::retry::{self, Retry};
use crate::streamer::{
    Batch, Claim, Claimed, Consumer, Delivery, EntryId, Error, Membership, Own, OwnedFields, Point, Streamer,
};

use super::alarm::Blockable;
use super::run::Run;
use super::{AckMode, Args, Name, OnNoGroup, SAFE_CLAIM_IDLE};

/// How often stale entries are looked for: twice within the time after which they are stale, but not so often
/// that it costs, nor so seldom that a long `--claim-idle` delays what was handed back.
const CLAIM_EVERY: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(30));

/// How many IDs a message names.
const NAMED: usize = 5;

/// A message: the place of its stream, and its ID there.
pub type Key = (usize, EntryId);

/// A member of a group, on the streams where the group has the same name.
pub struct Member<'a> {
    /// The run it is part of.
    pub run: &'a Run<'a>,
    /// The consumer, for requests whose replies the caller awaits.
    pub consumer: Consumer,
    pub(super) membership: Membership,
    pub(super) name: Name,
    blockable: Arc<Blockable>,
    retry: Retry<'a>,
    /// Whether reads that wait also take over stale entries, until the server says that it cannot do that.
    claims_as_it_waits: bool,
    next_claim: Option<Instant>,
    /// Delivered and not done, with how often: handed back at the end.
    pub(super) held: Vec<(Key, u64)>,
}

/// The streams of the command line by the names of their groups.
pub fn memberships(args: &Args, name: &Name) -> Vec<Membership> {
    let mut memberships: Vec<Membership> = Vec::new();
    for stream in &args.streams {
        let Some(group) = args.group.on(stream) else {
            continue;
        };
        match memberships.iter_mut().find(|membership| membership.group == group) {
            Some(membership) if membership.streams.contains(stream) => {}
            Some(membership) => membership.streams.push(stream.clone()),
            None => memberships.push(Membership {
                streams: vec![stream.clone()],
                group,
                consumer: name.as_str().to_owned(),
                delivery: match args.ack {
                    AckMode::Read => Delivery::AtMostOnce,
                    AckMode::Success | AckMode::Manual => Delivery::AtLeastOnce,
                },
            }),
        }
    }
    memberships
}

impl<'a> Member<'a> {
    /// A member over a connection of its own.
    pub fn join(run: &'a Run<'a>, membership: Membership, name: Name, mut streamer: Streamer) -> Result<Self, Error> {
        run.context.ui.detail(&format!(
            "consuming {} as {} of group {}",
            membership.streams.join(", "),
            membership.consumer,
            membership.group
        ));
        let blockable = Blockable::new(&mut streamer)?;
        Ok(Self {
            run,
            consumer: Consumer::new(streamer.into_connection(), membership.clone()),
            membership,
            name,
            blockable,
            retry: run.retry(),
            claims_as_it_waits: run.args.ack == AckMode::Success && run.args.claim_idle() >= SAFE_CLAIM_IDLE,
            next_claim: (run.args.ack != AckMode::Read).then(Instant::now),
            held: Vec::new(),
        })
    }

    /// The streams.
    pub fn streams(&self) -> &[String] {
        &self.membership.streams
    }

    /// The place of a stream among them.
    pub fn index_of(&self, stream: &[u8]) -> Option<usize> {
        self.streams().iter().position(|name| name.as_bytes() == stream)
    }

    /// Whether the name is the user's: it may have entries pending from an earlier run.
    pub fn has_given_name(&self) -> bool {
        matches!(self.name, Name::Given(_))
    }

    /// Mends what can be mended: a lost connection, a vanished group. Other failures are returned.
    ///
    /// Replies that were awaited are lost; what is pending under this consumer must be read again.
    pub fn mend(&mut self, error: anyhow::Error) -> anyhow::Result<()> {
        let error = match (error.downcast_ref::<Error>(), self.recreate_from()) {
            (Some(Error::NoGroup { .. }), Some(from)) => match self.recreate(from) {
                Ok(()) => return Ok(()),
                // It is still missing on the next connection, and found to be.
                Err(error) => error,
            },
            _ => error,
        };
        let (streamer, blockable) = self.retry.until_done(error, || {
            let mut streamer = Streamer::connect(&self.run.context.target)?;
            let blockable = Blockable::new(&mut streamer)?;
            Ok((streamer, blockable))
        })?;
        self.blockable = blockable;
        self.consumer = Consumer::new(streamer.into_connection(), self.membership.clone());
        Ok(())
    }

    /// Makes a new connection to leave by, after a failure that left the old one out of step. A failure that
    /// tells that there is no server to leave is returned.
    pub fn renew(&mut self, failure: anyhow::Error) -> anyhow::Result<anyhow::Error> {
        match failure.downcast_ref::<Error>() {
            Some(error) if !error.is_passing() => {}
            _ => return Err(failure),
        }
        let streamer = Streamer::connect(&self.run.context.target)?;
        self.consumer = Consumer::new(streamer.into_connection(), self.membership.clone());
        Ok(failure)
    }

    fn recreate_from(&self) -> Option<Point> {
        match self.run.args.on_nogroup {
            OnNoGroup::Fail => None,
            OnNoGroup::Latest => Some(Point::Latest),
            OnNoGroup::Beginning => Some(Point::Beginning),
        }
    }

    /// Creates the group where it is missing, and says so.
    fn recreate(&mut self, from: Point) -> anyhow::Result<()> {
        let mut streamer = Streamer::connect(&self.run.context.target)?;
        let Membership { streams, group, .. } = &self.membership;
        for stream in streams {
            if streamer.subscribe(stream, group, from)? == crate::streamer::Subscribed::Created {
                self.run
                    .context
                    .ui
                    .warning(&format!("group {group} on {stream} was missing: created from {from}"));
            }
        }
        self.blockable = Blockable::new(&mut streamer)?;
        self.consumer = Consumer::new(streamer.into_connection(), self.membership.clone());
        Ok(())
    }

    /// The server answered: the next loss begins a new count of attempts.
    pub fn succeeded(&mut self) {
        self.retry.succeeded();
    }

    /// Waits for entries, at most for the time asked for, and not past the deadline, the next claim or another
    /// moment. Where the server can, what becomes stale meanwhile is taken over as it does.
    pub fn wait(&mut self, count: usize, until: Option<Instant>, batch: &mut Batch) -> Result<(), Error> {
        let claim = self.claims_as_it_waits.then(|| self.run.args.claim_idle());
        let end = [self.run.deadline, self.next_claim, until].into_iter().flatten().min();
        let block = retry::until(self.run.args.block, end);
        let block = self.blockable.longest_block(block);
        self.consumer.queue_wait(count, block, claim);
        self.consumer.flush()?;
        let consumer = &mut self.consumer;
        let received = self
            .run
            .alarm
            .while_blocked(&self.blockable, || consumer.receive_batch(batch, Some(block)));
        match received {
            Err(Error::Refused(refusal)) if claim.is_some() && refusal.is_unknown() => {
                self.claims_as_it_waits = false;
                self.wait(count, until, batch)
            }
            received => {
                received?;
                self.retry.succeeded();
                Ok(())
            }
        }
    }

    /// Queues the acknowledgement of entries of one stream.
    pub fn queue_ack(&mut self, stream: usize, ids: &[EntryId]) {
        self.consumer.queue_ack(&self.membership.streams[stream], ids);
    }

    /// Reserves entries in the group's ledger as of a time since the Unix epoch; says of each whether it is ours.
    pub fn reserve(&mut self, stream: usize, ids: &[EntryId], now: Duration) -> Result<Vec<bool>, Error> {
        let window = self.run.args.dedup.unwrap_or(Duration::MAX);
        self.consumer
            .reserve(&self.membership.streams[stream], ids, now, window)
    }

    /// When an entry was reserved, in milliseconds since the Unix epoch; 0 if it is not.
    pub fn reserved_at(&mut self, (stream, id): Key) -> Result<u64, Error> {
        self.consumer.reserved_at(&self.membership.streams[stream], id)
    }

    /// Another connection of the same consumer, to read by while this one acknowledges.
    pub fn twin(&self) -> Result<Member<'a>, Error> {
        let twin = Self::join(
            self.run,
            self.membership.clone(),
            self.name.clone(),
            Streamer::connect(&self.run.context.target)?,
        )?;
        // One of the two claims.
        Ok(Self {
            next_claim: None,
            ..twin
        })
    }

    /// The entries pending under this consumer, and how often each was delivered. Asking does not count.
    pub fn own_pending(&mut self, stream: usize) -> Result<BTreeMap<EntryId, u64>, Error> {
        let stream = &self.membership.streams[stream];
        let pending = self.consumer.deliveries(stream, EntryId::MIN, EntryId::MAX)?;
        Ok(pending.into_iter().collect())
    }

    /// Delivers an entry again that is pending under this consumer, and says how often that makes; `None` if
    /// it is not pending under it any more.
    pub fn take_again(&mut self, (stream, id): Key, batch: &mut Batch) -> Result<Option<u64>, Error> {
        self.consumer.take_again(&self.membership.streams[stream], id, batch)
    }

    /// Keeps others from claiming entries that are still this consumer's.
    pub fn touch(&mut self, stream: usize, ids: &[EntryId]) -> Result<(), Error> {
        if ids.is_empty() {
            return Ok(());
        }
        let ours = self.deliveries(stream, ids)?;
        let ours: Vec<_> = ids.iter().copied().filter(|id| ours.contains_key(id)).collect();
        self.consumer.touch(&self.membership.streams[stream], &ours)
    }

    /// Adds an entry to the dead letters, with what is known of its end.
    pub fn bury(
        &mut self,
        grave: &str,
        (stream, id): Key,
        (fields, deliveries): (&OwnedFields, u64),
        reason: &str,
    ) -> Result<(), Error> {
        self.consumer.bury(
            grave,
            &self.membership.streams[stream],
            id,
            (fields, deliveries),
            reason,
        )
    }

    /// Reads entries pending under this consumer after an ID: the last of them, and how often each was delivered.
    pub fn read_own(
        &mut self,
        stream: usize,
        after: EntryId,
        count: usize,
        batch: &mut Batch,
    ) -> Result<(Option<EntryId>, HashMap<EntryId, u64>), Error> {
        self.consumer
            .queue_read_own(&self.membership.streams[stream], after, count);
        self.consumer.flush()?;
        self.consumer.receive_batch(batch, None)?;
        let ids = self.consumer.ids(batch.by_stream())?;
        Ok((ids.last().copied(), self.deliveries(stream, &ids)?))
    }

    /// Whether it is time to look for stale entries.
    pub fn is_claim_due(&self) -> bool {
        self.next_claim.is_some_and(|due| due <= Instant::now())
    }

    /// When to look for stale entries next.
    pub fn next_claim(&self) -> Option<Instant> {
        self.next_claim
    }

    /// Stale entries were looked for, through all streams.
    pub fn claimed_all(&mut self) {
        let (soonest, latest) = CLAIM_EVERY;
        self.next_claim = Some(Instant::now() + (self.run.args.claim_idle() / 2).clamp(soonest, latest));
    }

    /// Takes over stale entries from an ID on: where to go on, and how often each was delivered.
    pub fn claim(
        &mut self,
        stream: usize,
        from: EntryId,
        count: usize,
        batch: &mut Batch,
    ) -> Result<(Option<EntryId>, HashMap<EntryId, u64>), Error> {
        let claim = Claim {
            min_idle: self.run.args.claim_idle(),
            from,
            count,
            own: self.own_when_stale(),
        };
        let Claimed { next, gone } = self.consumer.claim(&self.membership.streams[stream], claim, batch)?;
        self.report_gone(stream, &gone);
        let ids = self.consumer.ids(batch.claimed())?;
        Ok((next, self.deliveries(stream, &ids)?))
    }

    fn own_when_stale(&self) -> Own {
        let args = self.run.args;
        match args.ack {
            // What this run printed waits for `ack`, not for us.
            AckMode::Manual => Own::Keep,
            // What is at work may not be kept fresh in time.
            _ if !args.command.is_empty() && args.claim_idle() < SAFE_CLAIM_IDLE => Own::Keep,
            AckMode::Success | AckMode::Read => Own::Redeliver,
        }
    }

    pub(super) fn deliveries(&mut self, stream: usize, ids: &[EntryId]) -> Result<HashMap<EntryId, u64>, Error> {
        match (ids.iter().min(), ids.iter().max()) {
            (Some(first), Some(last)) => self
                .consumer
                .deliveries(&self.membership.streams[stream], *first, *last),
            _ => Ok(HashMap::new()),
        }
    }

    /// Tells of entries that can never be delivered.
    pub fn report_gone(&self, stream: usize, gone: &[EntryId]) {
        if gone.is_empty() {
            return;
        }
        let named: Vec<_> = gone.iter().take(NAMED).map(ToString::to_string).collect();
        let more = if gone.len() > NAMED { ", …" } else { "" };
        self.run.context.ui.warning(&format!(
            "{}: {} pending {} deleted or trimmed before being acknowledged: {}{more}",
            self.membership.streams[stream],
            gone.len(),
            if gone.len() == 1 { "entry was" } else { "entries were" },
            named.join(", ")
        ));
    }
}
