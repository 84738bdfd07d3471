//! Looks after the leases of the streams of one slot: tells that this process is there, sees who else is, takes leases,
//! renews them, gives them up. Whatever it writes to a lease, it writes only while the lease holds what it saw there.

mod exchange;

use std::collections::HashMap;
use std::sync::Arc;
use std::thread::{Builder, Scope};
use std::time::{Duration, Instant};

use super::TurnFailure;
use super::board::{Board, Held, State};
use super::share::{Member, Seen};
use crate::streamer::consumer::event::Event;
use crate::streamer::consumer::lease::{Lease, Moment, new_value, owner_of};
use crate::streamer::consumer::member::Run;
use crate::streamer::consumer::settings::Settings;
use crate::streamer::entry::EntryId;
use crate::streamer::error::Error;
use crate::streamer::servers::{Supervisor, Unblocker};
use crate::streamer::stop::{Ending, Halt, Stop};
use crate::streamer::wire::Connection;

/// How often it looks, in parts of a lease's length, and as a time; and how much longer for each stream.
const LOOKS: u32 = 20;
const LOOK_EVERY: (Duration, Duration) = (Duration::from_millis(20), Duration::from_millis(500));
const LOOK_LATER: Duration = Duration::from_millis(1);

/// How long a last word is tried to be said, once the work is done.
const LAST_WORD: Duration = Duration::from_secs(1);

/// The streams of one slot, as a process looks after them.
pub struct Warden<'scope, 'env, 'a, W> {
    scope: &'scope Scope<'scope, 'env>,
    run: Run<'a>,
    settings: &'env [Settings],
    /// The streams, by their places among all.
    places: Vec<usize>,
    board: &'env Board,
    work: &'env W,
    supervisor: Supervisor<'a>,
    owner: String,
    length: Duration,
    connection: Option<Connection>,
    /// Goes up each time this process says that it is there.
    beat: u64,
    /// What others said last, and when that was heard first.
    heard: HashMap<(usize, String), (String, Instant)>,
    /// Leases that are this process', by what was seen last, though it does not know: the answer was lost.
    strays: Vec<usize>,
    /// Since when nobody has the leases that nobody has.
    free_since: HashMap<usize, Instant>,
    /// Those who have not said for long that they are there.
    dead: Vec<(usize, String)>,
    /// Since when the server takes no leases back, at the end.
    failing_since: Option<Instant>,
    /// Who is waited for, as far as that was told.
    waits_for: HashMap<usize, String>,
    /// Where each stream ended at the start, if it is read to its end.
    ends: HashMap<usize, EntryId>,
}

/// What the server says of one stream.
struct Look {
    place: usize,
    /// What its lease holds.
    value: Option<String>,
    members: Vec<(String, String)>,
}

/// What is to be done about a lease.
enum Step {
    Renew(usize),
    Release(usize),
    Take(usize, String),
}

impl<'scope, 'env: 'scope, 'a: 'scope, W> Warden<'scope, 'env, 'a, W>
where
    W: Fn(Run<'_>, &Settings, &Arc<Lease>) -> Option<Ending> + Sync,
{
    pub fn new(
        scope: &'scope Scope<'scope, 'env>,
        run: Run<'a>,
        settings: &'env [Settings],
        places: Vec<usize>,
        board: &'env Board,
        work: &'env W,
    ) -> Self {
        Self {
            scope,
            run,
            settings,
            places,
            board,
            work,
            supervisor: run.supervisor(),
            owner: String::new(),
            length: Duration::ZERO,
            connection: None,
            beat: 0,
            heard: HashMap::new(),
            strays: Vec::new(),
            free_since: HashMap::new(),
            dead: Vec::new(),
            failing_since: None,
            waits_for: HashMap::new(),
            ends: HashMap::new(),
        }
    }

    /// Takes leases of this length under this name; begins with a connection that is there.
    pub fn with(mut self, owner: &str, length: Duration, connection: Option<Connection>) -> Self {
        self.owner = owner.to_owned();
        self.length = length;
        self.connection = connection;
        self
    }

    /// Goes on until the run is to end, or all is done, and no member is at work.
    pub fn run(mut self) {
        let later = LOOK_LATER * u32::try_from(self.places.len()).unwrap_or(u32::MAX);
        let every = (self.length / LOOKS).clamp(LOOK_EVERY.0, LOOK_EVERY.1) + later;
        loop {
            let looked = self.look();
            if self.is_over() {
                break;
            }
            match looked {
                Ok(()) => self.board.wait(every),
                // Members at work need their leases, however long the servers are away.
                Err(error) if self.board.is_winding_up() => {
                    self.let_expire(&error);
                    if self.is_over() {
                        break;
                    }
                    self.board.wait(every);
                }
                Err(error) => self.mend(error),
            }
        }
        self.say_goodbye();
    }

    fn is_over(&self) -> bool {
        let state = self.board.lock();
        let mut streams = self.places.iter().map(|place| &state.streams[*place]);
        streams.all(|stream| stream.held.is_none() && (stream.is_done || state.is_winding_up))
    }

    /// At the end nobody waits long for a server that takes no lease back: it lets them expire by itself.
    fn let_expire(&mut self, error: &Error) {
        let since = *self.failing_since.get_or_insert_with(Instant::now);
        if error.is_passing() && since.elapsed() < LAST_WORD {
            return;
        }
        let mut state = self.board.lock();
        for place in &self.places {
            let stream = &mut state.streams[*place];
            stream.held = stream.held.take().filter(|held| held.ended.is_none());
        }
    }

    /// Waits for servers that are away, as long as the user wants.
    fn mend(&mut self, error: Error) {
        let (servers, stream, deadline) = (
            self.run.servers,
            &self.settings[self.places[0]].streams[0],
            self.patience(),
        );
        let connect = || servers.until(Some(Instant::now() + deadline)).of_slot(stream);
        match self.supervisor.mend(error, connect) {
            Ok(connection) => self.connection = Some(connection),
            Err(Halt::Ended(_)) => {}
            Err(Halt::Failed(error)) => self.board.fail(TurnFailure::Servers(error)),
        }
    }

    /// How long a server may take: what is held is to be renewed by then, or asked for elsewhere.
    fn patience(&self) -> Duration {
        self.length / 3
    }

    /// One look at all streams, and what follows from it. After a failure the connection is of no more use.
    fn look(&mut self) -> Result<(), Error> {
        let deadline = Instant::now() + self.patience();
        let mut connection = match self.connection.take() {
            Some(connection) => connection,
            None => {
                let servers = self.run.servers.until(Some(deadline));
                servers.of_slot(&self.settings[self.places[0]].streams[0])?
            }
        };
        connection.set_deadline(Some(deadline));
        self.see_ends(&mut connection)?;
        self.see_what_others_did(&mut connection)?;
        let looks = self.ask(&mut connection)?;
        let steps = self.decide(&looks);
        self.carry_out(&mut connection, steps)?;
        self.supervisor.succeeded();
        self.connection = Some(connection);
        Ok(())
    }

    /// What follows from what the server says.
    fn decide(&mut self, looks: &[Look]) -> Vec<Step> {
        let strays = std::mem::take(&mut self.strays);
        let members: Vec<_> = looks.iter().map(|look| self.alive(look)).collect();
        let mut state = self.board.lock();
        let mut steps = Vec::new();
        for (look, members) in looks.iter().zip(members) {
            let stream = &mut state.streams[look.place];
            let holder = look.value.as_deref().map(owner_of);
            if let Some(held) = &mut stream.held {
                let is_ours = look.value.as_ref() == Some(&held.lease.value);
                if !is_ours {
                    held.lease.lose();
                    held.stop.end(Ending::Halted);
                }
                match (is_ours, held.ended) {
                    (true, None) => steps.push(Step::Renew(look.place)),
                    (true, Some(_)) => steps.push(Step::Release(look.place)),
                    (false, None) => {}
                    (false, Some(_)) => stream.held = None,
                }
            } else if holder == Some(&*self.owner) {
                match strays.contains(&look.place) {
                    // It is watched.
                    true => steps.push(Step::Release(look.place)),
                    false => self.strays.push(look.place),
                }
            }
            let keeps = stream.held.as_ref().is_some_and(|held| !held.is_given_up);
            stream.seen = Seen {
                holder: match holder {
                    _ if keeps => Some(self.owner.clone()),
                    Some(holder) if holder != self.owner => Some(holder.to_owned()),
                    _ => None,
                },
                members,
            };
        }
        self.balance(&mut state, looks, &mut steps);
        drop(state);
        self.tell_of_holders(looks);
        steps
    }

    /// Takes what is this process' share, and gives up what is more than that.
    fn balance(&mut self, state: &mut State, looks: &[Look], steps: &mut Vec<Step>) {
        if state.is_winding_up {
            return;
        }
        let shares = state.shares();
        for look in looks {
            let is_share = shares[look.place].as_ref() == Some(&self.owner);
            let is_left = self.is_left(look);
            let stream = &mut state.streams[look.place];
            match &mut stream.held {
                Some(held) if !is_share && !held.is_given_up && held.ended.is_none() => {
                    held.is_given_up = true;
                    held.stop.end(Ending::Halted);
                    self.tell(look.place, |stream, group| Event::LeaseGivenUp { stream, group });
                }
                None if (is_share || is_left) && look.value.is_none() && !stream.is_done => {
                    steps.push(Step::Take(look.place, new_value(&self.owner)));
                }
                _ => {}
            }
        }
    }

    /// Whether nobody has taken a stream for as long as a lease lasts, be it that others see something else than we.
    fn is_left(&mut self, look: &Look) -> bool {
        if look.value.is_some() {
            self.free_since.remove(&look.place);
            return false;
        }
        let since = *self.free_since.entry(look.place).or_insert_with(Instant::now);
        since.elapsed() > self.length
    }

    /// Those who have said that they are there for the time of half a lease.
    fn alive(&mut self, look: &Look) -> Vec<Member> {
        let now = Instant::now();
        let mut alive = Vec::new();
        for (name, word) in &look.members {
            let heard = self.heard.entry((look.place, name.clone()));
            let (last, since) = heard.or_insert_with(|| (word.clone(), now));
            if last != word {
                (*last, *since) = (word.clone(), now);
            }
            if *name == self.owner || now - *since < self.length / 2 {
                // Its own are known, and may be fewer by now.
                let others = word.split_once(' ').filter(|_| *name != self.owner);
                alive.push(Member {
                    name: name.clone(),
                    has: others.and_then(|(_, has)| has.parse().ok()).unwrap_or_default(),
                });
            } else if now - *since > 2 * self.length {
                self.dead.push((look.place, name.clone()));
            }
        }
        let is_there = |name: &String| look.members.iter().any(|(member, _)| member == name);
        self.heard
            .retain(|(place, name), _| *place != look.place || is_there(name));
        alive
    }

    /// Has a member work on a stream whose lease is held now.
    fn begin(&mut self, place: usize, value: String, sent: Moment) {
        let settings = &self.settings[place];
        let lease = Lease::new(&settings.streams[0], &settings.group, value, self.length, sent);
        let (lease, stop) = (Arc::new(lease), Stop::default());
        self.waits_for.remove(&place);
        self.tell(place, |stream, group| Event::LeaseTaken { stream, group });
        self.board.lock().streams[place].held = Some(Held {
            lease: lease.clone(),
            stop: stop.clone(),
            is_given_up: false,
            ended: None,
        });
        let (run, board, work) = (self.run, self.board, self.work);
        let member = move || {
            let servers = run.servers.under(&stop);
            let unblocker = Unblocker::new(&servers, &stop);
            let turn = Run {
                servers: &servers,
                stop: &stop,
                unblocker: &unblocker,
                lease: Some(&lease),
                ..run
            };
            let ended = work(turn, settings, &lease);
            if lease.is_over() {
                let (stream, group) = (&settings.streams[0], &settings.group);
                (run.tell)(Event::LeaseLost { stream, group });
            }
            board.member_ended(place, ended);
        };
        if let Err(error) = Builder::new().spawn_scoped(self.scope, member) {
            self.board.member_ended(place, None);
            self.board.fail(TurnFailure::NoThread(error));
        }
    }

    /// Says whom it waits for, once.
    fn tell_of_holders(&mut self, looks: &[Look]) {
        for look in looks {
            let holder = look
                .value
                .as_deref()
                .map(owner_of)
                .filter(|holder| *holder != self.owner);
            let Some(holder) = holder else {
                continue;
            };
            if self.waits_for.get(&look.place).is_none_or(|told| told != holder) {
                self.tell(look.place, |stream, group| Event::LeaseAwaited {
                    stream,
                    group,
                    holder,
                });
                self.waits_for.insert(look.place, holder.to_owned());
            }
        }
    }

    fn tell<'e>(&'e self, place: usize, event: impl FnOnce(&'e str, &'e str) -> Event<'e>) {
        let settings = &self.settings[place];
        (self.run.tell)(event(&settings.streams[0], &settings.group));
    }
}
