//! One member of a group: its connection, its messages, and how it survives lost connections and vanished groups.

use std::collections::HashSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use super::acknowledgement::AckCommand;
use super::claims::OwnSearch;
use super::delivery::Delivery;
use super::event::Event;
use super::fetch_size::FetchSize;
use super::hand_back::HandBack;
use super::lease::{Lease, News};
use super::ledger::Ledger;
use super::link::{Expected, Link, OldConnections};
use super::messages::{Key, Messages};
use super::positions::Positions;
use super::quota::Quota;
use super::requests::Requests;
use super::settings::{Acknowledge, Extent, Name, Settings};
use crate::streamer::entry::EntryId;
use crate::streamer::error::{Error, ServerError};
use crate::streamer::inspect::groups::last_id;
use crate::streamer::inspect::seek::Position;
use crate::streamer::inspect::subscribe::{Existing, Subscribed, subscribe};
use crate::streamer::point::Point;
use crate::streamer::servers::{Connections, Notify, Servers, Supervisor, Unblocker};
use crate::streamer::stop::{Ending, Halt, Stop};

/// What all members of one run share.
#[derive(Clone, Copy)]
pub struct Run<'a> {
    pub servers: &'a Servers,
    pub stop: &'a Stop,
    pub unblocker: &'a Unblocker,
    pub quota: &'a Quota,
    /// How many streams all members read together.
    pub streams: usize,
    /// Counts the messages that are passed over for their names.
    pub passed_over: &'a AtomicU64,
    /// Counts the messages that were to be deleted, and are not.
    pub undeletable: &'a AtomicU64,
    /// Without which nothing may be read, where a stream has one reader at a time. Such a member has one stream.
    pub lease: Option<&'a Lease>,
    /// When the run ends in any case.
    pub deadline: Option<Instant>,
    /// How long to try to reach a lost server again.
    pub reconnect_for: Duration,
    /// Is told what happens to connections.
    pub notify: Notify<'a>,
    /// Is told what else happens.
    pub tell: &'a (dyn Fn(Event<'_>) + Sync),
}

impl<'a> Run<'a> {
    /// Sees to it that what is lost is tried again as was asked for.
    pub fn supervisor(&self) -> Supervisor<'a> {
        Supervisor::new(self.servers, self.notify, self.reconnect_for, self.deadline)
    }

    /// Opens a connection to the node of streams, all of one slot.
    pub fn open(&self, streams: &[String]) -> Result<Link, Error> {
        Link::open(self.servers, streams, self.last_answer())
    }

    /// Why to end now: as many messages are taken as were asked for, or the run is to end.
    pub fn ending_or_enough(&self) -> Option<Ending> {
        if self.quota.is_used_up() {
            return Some(self.stop.ending().unwrap_or(Ending::Enough));
        }
        self.ending()
    }

    /// Why to end now, although more could be read.
    pub fn ending(&self) -> Option<Ending> {
        match self.stop.ending() {
            Some(ending) => Some(ending),
            None if self.is_late() && !self.quota.is_used_up() => Some(Ending::TimeUp),
            None if self.lease.is_some_and(Lease::is_ending) => Some(Ending::Halted),
            None => None,
        }
    }

    /// Beyond this no answer is waited for: one that is under way as the time limit passes has a moment more.
    pub fn last_answer(&self) -> Option<Instant> {
        self.deadline.and_then(|deadline| deadline.checked_add(ANSWER_SLACK))
    }

    /// Whether the time limit has passed.
    pub fn is_late(&self) -> bool {
        self.deadline.is_some_and(|deadline| deadline <= Instant::now())
    }
}

const ANSWER_SLACK: Duration = Duration::from_millis(500);

/// A member at work.
pub struct Member<'a> {
    pub run: Run<'a>,
    pub settings: &'a Settings,
    pub requests: Requests,
    pub link: Link,
    pub delivery: Delivery<'a>,
    pub ledger: Option<Ledger>,
    /// For keys of other slots.
    pub elsewhere: Connections,
    pub supervisor: Supervisor<'a>,
    /// Nothing is waited for beyond this.
    pub deadline: Option<Instant>,
    pub old: OldConnections,
    /// Where to go on to look for entries that are pending under this consumer and not known here.
    pub own_search: Option<OwnSearch>,
    /// When to begin another such search.
    pub own_search_due: Option<Instant>,
    /// Where to wait for news without taking them.
    pub news: News,
    /// Whether there was one at the end of what is to be read.
    had_last_search: bool,
    /// Where to go on to look for what others left.
    pub stale_search: Option<(usize, EntryId)>,
    /// What is being claimed, and what was when a connection was lost: that was delivered to nobody.
    pub claiming: HashSet<Key>,
    pub lost_claims: HashSet<Key>,
    pub fetch: FetchSize,
    /// When to look for what others left; never where nothing is ever pending.
    pub next_claim: Option<Instant>,
    pub hand_back: HandBack,
    /// Whether reads that wait also claim, until the server says that it cannot do that.
    pub claims_while_waiting: bool,
    /// The most deliveries of an entry that a claim tells the server of.
    pub most_counted: Option<u64>,
}

impl<'a> Member<'a> {
    /// Joins over a connection that is there, or another one, across lost connections.
    pub fn join(run: Run<'a>, settings: &'a Settings, link: Option<Link>) -> Result<Self, Halt<Error>> {
        let mut supervisor = run.supervisor();
        let attempt = |link: Option<Link>| {
            let link = match link {
                Some(link) => link,
                None => run.open(&settings.streams)?,
            };
            Self::over(run, settings, link)
        };
        let member = match attempt(link) {
            Err(error) if error.is_passing() => supervisor.mend(error, || attempt(None))?,
            joined => joined?,
        };
        supervisor.succeeded();
        Ok(member)
    }

    fn over(run: Run<'a>, settings: &'a Settings, mut link: Link) -> Result<Self, Error> {
        let consumer = settings.name.as_str();
        (run.tell)(Event::Joined {
            streams: &settings.streams,
            group: &settings.group,
            consumer,
        });
        let ledger = settings
            .dedup
            .map(|window| Ledger::new(run.servers, &settings.streams, &settings.group, window));
        let leaves_pending = settings.acknowledge.leaves_pending();
        find_acks(&mut link, settings)?;
        for stream in &settings.streams {
            link.acks
                .see_other_groups(&mut link.connection, stream, &settings.group)?;
        }
        let positions = positions(&mut link, settings)?;
        let mut member = Self {
            run,
            settings,
            requests: Requests {
                group: settings.group.as_str().into(),
                consumer: consumer.into(),
            },
            link,
            delivery: Delivery::new(run, settings, positions),
            ledger,
            elsewhere: Connections::new(run.servers, None),
            supervisor: run.supervisor(),
            deadline: run.last_answer(),
            old: OldConnections::default(),
            own_search: None,
            own_search_due: None,
            news: News::default(),
            had_last_search: false,
            stale_search: None,
            claiming: HashSet::new(),
            lost_claims: HashSet::new(),
            fetch: FetchSize::new(settings.count),
            next_claim: leaves_pending.then(Instant::now),
            hand_back: HandBack::default(),
            claims_while_waiting: claims_while_waiting(settings),
            most_counted: None,
        };
        // It may have left some in an earlier run, or somebody else has.
        if matches!(settings.name, Name::Given(_)) || run.lease.is_some() {
            member.begin_own_search(false);
        }
        Ok(member)
    }

    /// One delivery beyond so many is told to the server only [as its try begins](Self::tell_deliveries). Reads that claim
    /// would count it themselves.
    pub fn count_no_further_than(&mut self, most: u64) {
        self.most_counted = Some(most);
        self.claims_while_waiting = false;
    }

    pub fn messages(&mut self) -> &mut Messages {
        &mut self.delivery.messages
    }

    /// From now on nothing is waited for beyond this.
    pub fn set_deadline(&mut self, deadline: Option<Instant>) {
        self.deadline = deadline;
        self.link.connection.set_deadline(deadline);
        self.elsewhere.set_deadline(deadline);
        if let Some(ledger) = &mut self.ledger {
            ledger.deadline = deadline;
        }
    }

    /// Mends what can be mended: a lost connection, a vanished group. Replies that were awaited are lost; what they
    /// brought is looked for.
    pub fn rejoin(&mut self, mut error: Error) -> Result<(), Halt<Error>> {
        self.put_away_link();
        if matches!(error, Error::LeaseLost { .. }) {
            // It was somebody else's turn.
            return Err(Halt::Ended(Ending::Halted));
        }
        let has_nothing = self.messages().settled() == 0 && self.messages().is_empty();
        if error.is_connection() && has_nothing && self.run.quota.is_used_up() {
            // Others took the last messages, and ended a read that nobody waits for any more.
            return Err(Halt::Ended(Ending::Enough));
        }
        if let (Error::NoGroup { .. }, Some(from)) = (&error, self.settings.create_from) {
            match self.recreate(from) {
                Ok(()) => return Ok(()),
                // It is still missing on the next connection, and found to be.
                Err(again) => error = again,
            }
        }
        let Self {
            run,
            settings,
            supervisor,
            old,
            deadline,
            ..
        } = self;
        let link = supervisor.mend(error, || reopen(run, settings, *deadline, old))?;
        self.take_link(link);
        Ok(())
    }

    /// Makes another connection in place of a lost one, in as many attempts as it takes.
    pub fn relink(&mut self) -> Result<(), Halt<Error>> {
        match self.relink_once(self.deadline) {
            Ok(()) => Ok(()),
            Err(error) => self.rejoin(error),
        }
    }

    /// Makes another connection in place of a lost one, in one attempt, before a deadline.
    pub fn relink_once(&mut self, deadline: Option<Instant>) -> Result<(), Error> {
        self.put_away_link();
        let mut link = reopen(&self.run, self.settings, deadline, &mut self.old)?;
        link.connection.set_deadline(self.deadline);
        self.take_link(link);
        Ok(())
    }

    /// Acknowledgements that were not confirmed are said again over the next connection.
    pub fn put_away_link(&mut self) {
        if std::mem::replace(&mut self.link.is_lost, true) {
            return;
        }
        for expected in std::mem::take(&mut self.link.expected) {
            if let Expected::Ack { stream, ids } = expected {
                self.delivery.messages.settle_again(stream, ids);
            }
        }
        self.link.queue.clear();
        self.lost_claims.extend(self.claiming.drain());
        self.old.add(self.link.identity.take());
    }

    fn take_link(&mut self, link: Link) {
        self.link = link;
        self.begin_own_search(true);
        // A read of the old connection may take an entry until its time is up.
        if self.old.may_be_served {
            self.own_search_due = Some(Instant::now() + self.settings.block + Duration::from_secs(1));
        }
    }

    fn begin_own_search(&mut self, is_after_loss: bool) {
        if self.settings.acknowledge.leaves_pending() {
            self.own_search = Some(OwnSearch {
                stream: 0,
                from: EntryId::MIN,
                is_after_loss,
            });
        }
    }

    /// At the end of what is to be read, once: a connection of an earlier run of the same name may have taken some of it,
    /// and be closed without a word. Says whether there is something to look for.
    pub fn begin_last_search(&mut self) -> bool {
        let may_be = matches!(self.settings.name, Name::Given(_)) && self.settings.acknowledge.leaves_pending();
        if !may_be || std::mem::replace(&mut self.had_last_search, true) {
            return false;
        }
        self.begin_own_search(false);
        true
    }

    /// Whether entries of this consumer are to be looked for.
    pub fn searches_own(&mut self) -> bool {
        if self.own_search_due.is_some_and(|due| due <= Instant::now()) {
            self.own_search_due = None;
            self.begin_own_search(true);
        }
        self.own_search.is_some()
    }

    /// Creates the group where it is missing, and tells of it.
    fn recreate(&mut self, from: Point) -> Result<(), Error> {
        let mut link = reopen(&self.run, self.settings, self.deadline, &mut self.old)?;
        let Settings { streams, group, .. } = self.settings;
        for stream in streams {
            let position = Position::at(&mut link.connection, from)?;
            if subscribe(&mut link.connection, stream, group, position, Existing::Keep)? == Subscribed::Created {
                (self.run.tell)(Event::GroupCreated { stream, group, from });
            }
        }
        self.take_link(link);
        Ok(())
    }

    pub fn refused(&self, refusal: ServerError, stream: Option<usize>) -> Error {
        self.settings.refused(refusal, stream)
    }

    /// Sends what is queued and takes in the replies that are still to come, of which none is a read's.
    pub fn settle(&mut self) -> Result<(), Error> {
        self.queue_acks();
        self.link.flush()?;
        while !self.link.expected.is_empty() {
            self.confirm()?;
        }
        Ok(())
    }

    /// Queues the acknowledgement of what is done.
    pub fn queue_acks(&mut self) {
        let settled = self.delivery.messages.take_settled();
        if self.settings.acknowledge == Acknowledge::OnRead {
            return;
        }
        for (stream, ids) in settled {
            let Settings { streams, group, .. } = self.settings;
            self.link
                .acks
                .write(&mut self.link.queue, &streams[stream], group, &ids);
            self.link.expected.push_back(Expected::Ack { stream, ids });
        }
    }

    /// Tells of messages that are not deleted as they were to be, and counts them.
    pub fn tell_undeletable(&self, stream: usize, count: usize) {
        if count > 0 && self.run.undeletable.fetch_add(count as u64, Ordering::Relaxed) == 0 {
            let Settings { streams, group, .. } = self.settings;
            (self.run.tell)(Event::Undeletable {
                stream: &streams[stream],
                group,
            });
        }
    }

    /// Takes in the reply to the oldest acknowledgement. It leaves the list only when its reply is here: a lost
    /// connection says it again.
    pub fn confirm(&mut self) -> Result<(), Error> {
        match self.link.acks.receive(&mut self.link.connection)? {
            Ok(acked) => {
                if let Some(Expected::Ack { stream, .. }) = self.link.expected.pop_front() {
                    self.tell_undeletable(stream, acked.undeletable);
                }
                Ok(())
            }
            Err(refusal) => {
                let stream = match self.link.expected.front() {
                    Some(Expected::Ack { stream, .. }) => Some(*stream),
                    _ => None,
                };
                Err(self.refused(refusal, stream))
            }
        }
    }
}

/// Finds out how this server acknowledges.
fn find_acks(link: &mut Link, settings: &Settings) -> Result<(), Error> {
    let Settings { streams, group, .. } = settings;
    link.acks = AckCommand::find(&mut link.connection, &streams[0], group, settings.acknowledge.done())?;
    Ok(())
}

/// Where `AsOfNow` ends, if anything does.
fn positions(link: &mut Link, settings: &Settings) -> Result<Positions, Error> {
    let mut last = vec![EntryId::MIN; settings.streams.len()];
    if settings.extent == Extent::AsOfNow {
        for (last, stream) in last.iter_mut().zip(&settings.streams) {
            *last = last_id(&mut link.connection, stream)?.unwrap_or(EntryId::MIN);
        }
    }
    Ok(Positions::new(settings.extent, last))
}

/// A time within which what is at work here is surely kept alive; where claims are made sooner, a read that waits
/// could claim what this member has in hand.
pub const SAFE_CLAIM_IDLE: Duration = Duration::from_secs(1);

fn claims_while_waiting(settings: &Settings) -> bool {
    match settings.acknowledge {
        Acknowledge::OnSuccess { .. } => settings.acknowledge.claim_idle() >= SAFE_CLAIM_IDLE,
        Acknowledge::OnRead | Acknowledge::Elsewhere { .. } => false,
    }
}

/// A new connection, once the old ones are closed at the server: what they still carried must not be served behind
/// our back.
fn reopen(
    run: &Run<'_>,
    settings: &Settings,
    deadline: Option<Instant>,
    old: &mut OldConnections,
) -> Result<Link, Error> {
    let mut link = Link::open(run.servers, &settings.streams, deadline)?;
    find_acks(&mut link, settings)?;
    old.close(&run.servers.until(deadline), &mut link.connection)?;
    if let Some(lease) = run.lease {
        lease.renew_over(&mut link.connection)?;
    }
    Ok(link)
}
