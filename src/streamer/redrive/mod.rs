//! Dead letters moved back to where they came from, or to another stream: each once, whoever is killed meanwhile, and
//! however many try at the same time.
//!
//! A target in the slot of the dead letters is added to in the transaction that deletes them there: what is among the dead
//! letters is not in its target, and there is nothing else to know. No transaction reaches over two slots: a target
//! elsewhere gets a marker beside it, which names in the transaction that adds messages which dead letters they were; they are
//! deleted then, before the next are added. After a kill the markers tell what is yet to be deleted, and a set beside the
//! dead letters tells which targets have markers. That only one redrive is at work, [`guard`] sees to: by transactions that
//! fail, not by locks that are kept in time.
//!
//! What is not seen to: entries that others add, delete or move by other means.

mod guard;
mod page;
mod session;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::time::Duration;

use super::consumer::fetch_size::FetchSize;
use super::entry::{Entry, EntryId};
use super::error::{Error, ServerError};
use super::inspect::server::now_ms;
use super::letter::{Letter, NoOrigin};
use super::matching::Matching;
use super::point::Point;
use super::servers::{Connections, Notify, Servers, Supervisor};
use super::stop::{Ending, Halt};
use super::trim::length;
use super::wire::{Connection, stream_end};
use guard::{Interrupted, new_owner};
use page::{Bounds, Item, Page, Plan};
use session::{Added, Session, TargetRefused};

/// What is to be moved, and where to.
#[derive(Clone, Debug)]
pub struct Settings {
    pub stream: String,
    /// Where all are to go; else each goes where it came from.
    pub to: Option<String>,
    /// Which names a message may have.
    pub matching: Matching,
    pub from: Point,
    /// Where to end, if not at the end as it stands at the beginning.
    pub before: Option<Point>,
    pub most: Option<u64>,
    /// How many are moved at a time at most.
    pub step: usize,
    pub mode: Mode,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    Move,
    /// Nothing is done but to look.
    Preview,
}

/// What became of dead letters.
#[derive(Debug, Default)]
pub struct Outcome {
    /// How many went where, or would.
    pub moved: BTreeMap<String, u64>,
    /// Those that stay although they were asked for.
    pub left: BTreeMap<Why, Left>,
    /// What a target answered that takes none.
    pub refusals: BTreeMap<String, Error>,
    /// How many somebody else deleted as they were moved.
    pub taken: u64,
    /// How many were on their way when the work ended.
    pub in_doubt: u64,
}

/// Why a dead letter stays.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Why {
    /// It does not say where it came from.
    NoOrigin,
    /// Where it came from cannot be the name of a stream.
    UnusableOrigin,
    /// It has no field of its own.
    Empty,
    /// This target takes none.
    Refused(String),
}

/// How many stay for one reason, and the first of them.
#[derive(Debug, Default)]
pub struct Left {
    pub count: u64,
    pub ids: Vec<EntryId>,
}

/// How many are moved in one transaction at most: to delete an entry by its ID takes the server ten times as long as to add
/// one, and nobody else is served meanwhile.
const MOST: usize = 200;

/// How many are named.
const NAMED: usize = 10;

/// What is told after each step.
#[derive(Clone, Copy, Debug)]
pub struct Step {
    /// How many dead letters were looked at since the beginning, or since a connection was lost.
    pub looked: u64,
    /// Of how many, where that is known.
    pub total: Option<u64>,
    /// How many were moved by this step.
    pub moved: u64,
}

impl Outcome {
    pub fn moved(&self) -> u64 {
        self.moved.values().sum()
    }

    pub fn left(&self) -> u64 {
        self.left.values().map(|left| left.count).sum()
    }

    fn move_one(&mut self, target: &str) {
        match self.moved.get_mut(target) {
            Some(moved) => *moved += 1,
            None => drop(self.moved.insert(target.to_owned(), 1)),
        }
    }

    fn leave(&mut self, id: EntryId, why: Why) {
        let left = self.left.entry(why).or_default();
        left.count += 1;
        if left.ids.len() < NAMED {
            left.ids.push(id);
        }
    }
}

/// What lies between the ends that were asked for.
#[derive(Clone, Copy, Debug)]
struct Range {
    first: EntryId,
    last: EntryId,
    /// How many entries that are, where it is known.
    length: Option<u64>,
}

/// A redrive of one stream.
pub struct Redrive<'a> {
    servers: &'a Servers,
    supervisor: Supervisor<'a>,
    settings: &'a Settings,
    /// The connection to begin with.
    first: Option<Connection>,
    /// What lies between the ends that were asked for, found out once: what dies again meanwhile is left to the next
    /// redrive.
    range: Option<Range>,
    /// By which names this redrive had its turns.
    owners: Vec<String>,
    /// What was sent, and not answered yet.
    on_their_way: Vec<(EntryId, String)>,
    /// What was deleted and not added: to be put back first of all.
    lost: Vec<Item>,
    pub outcome: Outcome,
}

/// What is told after each step.
pub type Tell<'t> = &'t mut dyn FnMut(Step);

/// How the work is done over one connection.
enum Work<'a> {
    Move(Session<'a>),
    Preview {
        connection: Connection,
        others: Connections,
        seen: HashSet<String>,
    },
}

impl<'a> Redrive<'a> {
    pub fn new(
        servers: &'a Servers,
        settings: &'a Settings,
        notify: Notify<'a>,
        reconnect_for: Duration,
        first: Connection,
    ) -> Self {
        Self {
            servers,
            supervisor: Supervisor::new(servers, notify, reconnect_for, None),
            settings,
            first: Some(first),
            range: None,
            owners: Vec::new(),
            on_their_way: Vec::new(),
            lost: Vec::new(),
            outcome: Outcome::default(),
        }
    }

    /// Moves all, across lost connections. What became of them stands in `outcome`, also after a failure.
    pub fn run(&mut self, tell: Tell<'_>) -> Result<Ending, Error> {
        let ended = loop {
            let failure = match self.attempt(&mut *tell) {
                Ok(ending) => break Ok(ending),
                Err(Interrupted::TurnLost) => continue,
                Err(Interrupted::Failed(failure)) => failure,
            };
            match self.supervisor.mend(failure, || Ok(())) {
                Ok(()) => {}
                Err(Halt::Ended(ending)) => break Ok(ending),
                Err(Halt::Failed(failure)) => break Err(failure),
            }
        };
        self.outcome.in_doubt = self.on_their_way.len() as u64;
        ended
    }

    fn attempt(&mut self, tell: Tell<'_>) -> Result<Ending, Interrupted> {
        let mut connection = self.connect()?;
        let range = match self.range {
            Some(range) => range,
            None => *self.range.insert(find_range(&mut connection, self.settings)?),
        };
        // What is left is found anew.
        self.outcome.left.clear();
        self.outcome.refusals.clear();
        let mut work = match self.settings.mode {
            Mode::Move => Work::Move(self.take_turn(connection)?),
            Mode::Preview => {
                self.outcome.moved.clear();
                Work::Preview {
                    connection,
                    others: Connections::new(self.servers, None),
                    seen: HashSet::new(),
                }
            }
        };
        let ending = self.go_through(&mut work, range, tell)?;
        match work {
            Work::Move(session) => session.end()?,
            Work::Preview { .. } => {}
        }
        Ok(ending)
    }

    fn connect(&mut self) -> Result<Connection, Error> {
        let stream = &self.settings.stream;
        let Some(mut first) = self.first.take() else {
            return self.servers.of_slot(stream);
        };
        // Whether targets are elsewhere must be known before anything is moved.
        match self.servers.learn(&mut first)? {
            true => self.servers.of_slot(stream),
            false => Ok(first),
        }
    }

    /// Takes the turn, and brings to an end what was begun: by this redrive over another connection, or by another.
    fn take_turn(&mut self, connection: Connection) -> Result<Session<'a>, Interrupted> {
        let owner = new_owner();
        self.owners.push(owner.clone());
        let mut session = Session::begin(self.servers, &self.settings.stream, connection, owner, &self.owners)?;
        for target in session.unsettled()? {
            session.open(&target)?;
        }
        while let Some(item) = self.lost.last() {
            session.put_back(item)?;
            self.lost.pop();
        }
        self.count_those_on_their_way(&mut session)?;
        Ok(session)
    }

    /// Which of those are in their targets whose answer was lost: they are gone.
    fn count_those_on_their_way(&mut self, session: &mut Session<'_>) -> Result<(), Error> {
        let range = |(id, _): &(EntryId, String)| {
            let (mut range, id) = (redis::cmd("XRANGE"), id.to_string());
            range.arg(&self.settings.stream).arg(&id).arg(&id).clone()
        };
        let ranges: Vec<_> = self.on_their_way.iter().map(range).collect();
        let answers = session.connection.query_all(&ranges)?;
        let mut gone = Vec::new();
        for (answer, (_, target)) in answers.into_iter().zip(&self.on_their_way) {
            let found = answer.map_err(|refusal| Error::refused(refusal, &self.settings.stream, None))?;
            if session.connection.read::<Vec<redis::Value>>(found)?.is_empty() {
                gone.push(target.clone());
            }
        }
        self.on_their_way.clear();
        gone.iter().for_each(|target| self.outcome.move_one(target));
        Ok(())
    }

    fn go_through(&mut self, work: &mut Work<'a>, range: Range, tell: Tell<'_>) -> Result<Ending, Interrupted> {
        let mut size = FetchSize::new(None);
        let mut looked = 0;
        let mut next = Some(range.first);
        while let Some(from) = next.filter(|from| *from <= range.last) {
            if let Some(ending) = self.servers.stop().ending() {
                return Ok(ending);
            }
            let most = self.room();
            if most == 0 {
                break;
            }
            let count = if self.settings.matching.is_everything() {
                most
            } else {
                usize::MAX
            };
            let bounds = Bounds { most, count };
            let plan = |entry: &Entry<'_>| self.plan(entry);
            let stream = &self.settings.stream;
            let page = page::read(work.connection(), stream, (from, range.last), bounds, &mut size, plan)?;
            if !self.prepare(work, &page)? {
                continue;
            }
            let before = self.outcome.moved();
            match work {
                Work::Move(session) => self.move_page(session, &page)?,
                Work::Preview { .. } => page.items.iter().for_each(|item| self.outcome.move_one(&item.target)),
            }
            self.supervisor.succeeded();
            next = page.next;
            for (id, why) in page.left {
                self.outcome.leave(id, why);
            }
            looked += page.looked;
            tell(Step {
                looked,
                total: range.length,
                moved: self.outcome.moved() - before,
            });
        }
        Ok(Ending::Enough)
    }

    /// How many more may be moved in one step.
    fn room(&self) -> usize {
        let left = self
            .settings
            .most
            .map_or(u64::MAX, |most| most.saturating_sub(self.outcome.moved()));
        usize::try_from(left)
            .unwrap_or(usize::MAX)
            .min(self.settings.step)
            .min(MOST)
    }

    fn plan(&self, entry: &Entry<'_>) -> Plan<Why> {
        if !self.settings.matching.wants(entry) {
            return Plan::PassOver;
        }
        let letter = Letter::of(entry);
        if letter.fields.is_empty() {
            return Plan::Leave(Why::Empty);
        }
        let target = match (self.settings.to.as_deref(), letter.from) {
            (Some(to), _) => to,
            (None, Ok(from)) => from,
            (None, Err(NoOrigin::Missing)) => return Plan::Leave(Why::NoOrigin),
            (None, Err(NoOrigin::Unusable)) => return Plan::Leave(Why::UnusableOrigin),
        };
        match self.outcome.refusals.contains_key(target) {
            true => Plan::Leave(Why::Refused(target.to_owned())),
            false => Plan::Move(target.to_owned()),
        }
    }

    /// Sees to targets that are new. Where one is, the page is to be read anew: what was added to it before is gone from
    /// there.
    fn prepare(&mut self, work: &mut Work<'a>, page: &Page<Why>) -> Result<bool, Interrupted> {
        let mut is_ready = true;
        let mut seen_here = HashSet::new();
        for item in page.items.iter().filter(|item| seen_here.insert(&item.target)) {
            let target = &item.target;
            let prepared = match work {
                Work::Move(session) if session.is_open(target) => continue,
                Work::Move(session) => session.open(target),
                Work::Preview { seen, .. } if seen.contains(target) => continue,
                Work::Preview { seen, others, .. } => {
                    seen.insert(target.clone());
                    look(others, target).map_err(Interrupted::Failed)
                }
            };
            is_ready = false;
            match prepared {
                Err(Interrupted::Failed(error)) if !error.is_passing() => self.refuse(target, error),
                prepared => prepared?,
            }
        }
        Ok(is_ready)
    }

    fn refuse(&mut self, target: &str, error: Error) {
        self.outcome.refusals.insert(target.to_owned(), error);
    }

    fn refuse_by(&mut self, target: &str, refusal: ServerError) {
        self.refuse(target, Error::refused(refusal, target, None));
    }

    /// Moves the messages of a page. Those of targets that refuse them stay.
    fn move_page(&mut self, session: &mut Session<'a>, page: &Page<Why>) -> Result<(), Interrupted> {
        let on_their_way = page.items.iter().map(|item| (item.id, item.target.clone()));
        self.on_their_way = on_their_way.collect();
        let mut refused = HashSet::new();
        let (here, elsewhere): (Vec<&Item>, Vec<&Item>) =
            page.items.iter().partition(|item| session.is_here(&item.target));
        let mut added = Vec::new();
        for (target, items) in by_target(&elsewhere) {
            let refusals = match session.add_elsewhere(target, &items)? {
                Added::Done { refused, .. } => refused,
                Added::Refused(TargetRefused { refusal, .. }) => vec![Some(refusal); items.len()],
            };
            for (item, refusal) in items.into_iter().zip(refusals) {
                match refusal {
                    None => added.push(item),
                    Some(refusal) => {
                        refused.insert(item.id);
                        self.refuse_by(target, refusal);
                    }
                }
            }
        }
        self.move_here(session, here, &added, &mut refused)?;
        self.on_their_way.clear();
        for item in page.items.iter() {
            match refused.contains(&item.id) {
                true => self.outcome.leave(item.id, Why::Refused(item.target.clone())),
                false => self.outcome.move_one(&item.target),
            }
        }
        Ok(())
    }

    fn move_here(
        &mut self,
        session: &mut Session<'a>,
        mut here: Vec<&Item>,
        added: &[&Item],
        refused: &mut HashSet<EntryId>,
    ) -> Result<(), Interrupted> {
        let added: Vec<EntryId> = added.iter().map(|item| item.id).collect();
        loop {
            if here.is_empty() && added.is_empty() {
                return session.renew();
            }
            match session.move_here(&here, &added)? {
                Added::Refused(TargetRefused { target, refusal }) => {
                    let target = target.to_owned();
                    let (leave, rest) = here.into_iter().partition(|item| item.target == target);
                    here = rest;
                    let leave: Vec<&Item> = leave;
                    refused.extend(leave.iter().map(|item| item.id));
                    self.refuse_by(&target, refusal);
                }
                Added::Done {
                    refused: refusals,
                    deleted,
                } => {
                    let sent = here.len() + added.len();
                    self.outcome.taken += (sent as u64).saturating_sub(deleted);
                    return self.put_back(session, &here, refusals, refused);
                }
            }
        }
    }

    /// What its target refused only as the transaction was executed is no dead letter any more, and is made one again.
    fn put_back(
        &mut self,
        session: &mut Session<'a>,
        items: &[&Item],
        refusals: Vec<Option<ServerError>>,
        refused: &mut HashSet<EntryId>,
    ) -> Result<(), Interrupted> {
        for (item, refusal) in items.iter().zip(refusals) {
            if let Some(refusal) = refusal {
                refused.insert(item.id);
                self.refuse_by(&item.target, refusal);
                self.on_their_way.retain(|(id, _)| *id != item.id);
                self.lost.push((*item).clone());
            }
        }
        while let Some(item) = self.lost.last() {
            session.put_back(item)?;
            self.lost.pop();
        }
        Ok(())
    }
}

impl Work<'_> {
    fn connection(&mut self) -> &mut Connection {
        match self {
            Self::Move(session) => &mut session.connection,
            Self::Preview { connection, .. } => connection,
        }
    }
}

fn find_range(connection: &mut Connection, settings: &Settings) -> Result<Range, Error> {
    let stream = &settings.stream;
    let end = stream_end(connection, stream)?.ok_or_else(|| Error::NoStream { stream: stream.clone() })?;
    let is_ago = |point: &Point| matches!(point, Point::Ago(_));
    let now = match [Some(settings.from), settings.before].iter().flatten().any(is_ago) {
        true => now_ms(connection)?,
        false => 0,
    };
    let before = settings.before.and_then(|before| before.first_id(now));
    let last = match before {
        None => Some(end.last_id),
        Some(before) => before.previous().map(|last| last.min(end.last_id)),
    };
    let is_all = settings.from == Point::Beginning && before.is_none();
    let length = is_all.then(|| length(connection, stream)).transpose()?;
    Ok(match (settings.from.first_id(now), last) {
        (Some(first), Some(last)) => Range { first, last, length },
        _ => Range {
            first: EntryId::MAX,
            last: EntryId::MIN,
            length: Some(0),
        },
    })
}

/// Whether a target could be added to.
fn look(others: &mut Connections, target: &str) -> Result<(), Error> {
    others.at(target, |connection| length(connection, target).map(drop))
}

/// Messages by their targets, in the order of each.
fn by_target<'i>(items: &[&'i Item]) -> Vec<(&'i str, Vec<&'i Item>)> {
    let mut parts: Vec<(&str, Vec<&Item>)> = Vec::new();
    let mut places: HashMap<&str, usize> = HashMap::new();
    for item in items {
        let place = *places.entry(&item.target).or_insert_with(|| {
            parts.push((&item.target, Vec::new()));
            parts.len() - 1
        });
        parts[place].1.push(item);
    }
    parts
}
