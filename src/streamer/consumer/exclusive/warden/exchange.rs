//! What a warden says to its server, and what becomes of it.

use std::sync::Arc;
use std::thread::sleep;
use std::time::Instant;

use redis::{Cmd, Value};

use super::{LAST_WORD, LOOK_EVERY, Look, Step, Warden};
use crate::streamer::consumer::lease::{self, Lease, Moment};
use crate::streamer::consumer::member::Run;
use crate::streamer::consumer::settings::{Extent, Settings};
use crate::streamer::entry::EntryId;
use crate::streamer::error::Error;
use crate::streamer::inspect::groups::{is_settled_up_to, last_id};
use crate::streamer::stop::Ending;
use crate::streamer::wire::Connection;

impl<'scope, 'env: 'scope, 'a: 'scope, W> Warden<'scope, 'env, 'a, W>
where
    W: Fn(Run<'_>, &Settings, &Arc<Lease>) -> Option<Ending> + Sync,
{
    fn lease_key(&self, place: usize) -> String {
        lease::key(&self.settings[place].streams[0], &self.settings[place].group)
    }

    fn members_key(&self, place: usize) -> String {
        lease::members_key(&self.settings[place].streams[0], &self.settings[place].group)
    }

    /// Says that this process is there, and asks who else is, and who has the leases. Those that are to be written to are
    /// watched from now on.
    pub(super) fn ask(&mut self, connection: &mut Connection) -> Result<Vec<Look>, Error> {
        self.beat += 1;
        let (places, watched) = self.places_to_ask();
        let word = format!("{} {}", self.beat, self.board.lock().held());
        let mut commands = Vec::new();
        for place in &places {
            let (lease, members) = (self.lease_key(*place), self.members_key(*place));
            let of = |name: &str, key: &str| redis::cmd(name).arg(key).clone();
            commands.push(of("HSET", &members).arg(&self.owner).arg(&word).clone());
            commands.push(of("PEXPIRE", &members).arg(4 * self.length.as_millis() as u64).clone());
            commands.push(of("HGETALL", &members));
            if watched.contains(place) {
                commands.push(of("WATCH", &lease));
            }
            commands.push(of("GET", &lease));
        }
        let mut answers = connection.query_all(&commands)?.into_iter();
        let mut looks = Vec::new();
        for place in places {
            let mut take = |key: String| match answers.next() {
                Some(answer) => answer.map_err(|refusal| Error::refused(refusal, &key, None)),
                None => Ok(Value::Nil),
            };
            take(self.members_key(place))?;
            take(self.members_key(place))?;
            let members = take(self.members_key(place))?;
            if watched.contains(&place) {
                take(self.lease_key(place))?;
            }
            let value = take(self.lease_key(place))?;
            looks.push(Look {
                place,
                value: connection.read(value)?,
                members: connection.read(members)?,
            });
        }
        Ok(looks)
    }

    /// The streams that are not done, and those of them whose leases are this process', known to it or not.
    fn places_to_ask(&self) -> (Vec<usize>, Vec<usize>) {
        let state = self.board.lock();
        let is_open = |place: &usize| !state.streams[*place].is_done || state.streams[*place].held.is_some();
        let places: Vec<_> = self.places.iter().copied().filter(is_open).collect();
        let is_ours = |place: &usize| state.streams[*place].held.is_some() || self.strays.contains(place);
        let watched = places.iter().copied().filter(is_ours).collect();
        (places, watched)
    }

    /// Renews, gives up and takes leases.
    pub(super) fn carry_out(&mut self, connection: &mut Connection, steps: Vec<Step>) -> Result<(), Error> {
        let sent = Moment::now();
        let mut commands = Vec::new();
        self.clear_away(connection)?;
        for step in &steps {
            // One that is to end at once is gone: that needs no right of its own, as DEL would.
            let (place, length) = match step {
                Step::Renew(place) => (place, self.length.as_millis() as u64),
                Step::Release(place) => (place, 0),
                Step::Take(..) => continue,
            };
            commands.push(redis::cmd("PEXPIRE").arg(self.lease_key(*place)).arg(length).clone());
        }
        let (ours, taken): (Vec<_>, Vec<_>) = steps.into_iter().partition(|step| !matches!(step, Step::Take(..)));
        if !commands.is_empty() && self.transact(connection, &commands)? {
            for step in ours {
                match step {
                    Step::Renew(place) => self.renewed(place, sent),
                    Step::Release(place) => self.released(place),
                    Step::Take(..) => {}
                }
            }
        }
        self.take(connection, taken, sent)
    }

    /// Forgets those who are gone, and said nothing.
    fn clear_away(&mut self, connection: &mut Connection) -> Result<(), Error> {
        let dead = std::mem::take(&mut self.dead);
        let dead = dead.iter().map(|(place, name)| (*place, name.as_str()));
        self.strike_off(connection, dead)
    }

    /// Takes names out of the lists of those who want to read. Where the server does not let this user, they count as gone
    /// once they have not been heard of for half a lease.
    fn strike_off<'n>(
        &self,
        connection: &mut Connection,
        names: impl Iterator<Item = (usize, &'n str)>,
    ) -> Result<(), Error> {
        let strike = |(place, name)| redis::cmd("HDEL").arg(self.members_key(place)).arg(name).clone();
        let commands: Vec<_> = names.map(strike).collect();
        for answer in connection.query_all(&commands)? {
            match answer.map_err(|refusal| Error::refused(refusal, "", None)) {
                Ok(_) | Err(Error::Denied(_)) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Executes commands together, if nothing that is watched has changed. Says whether it was so; if not, the next look
    /// tells more.
    fn transact(&self, connection: &mut Connection, commands: &[Cmd]) -> Result<bool, Error> {
        let key = self.lease_key(self.places[0]);
        let done = connection.transact(commands)?;
        let done = done.map_err(|refusal| Error::refused(refusal, &key, None))?;
        Ok(done.is_some())
    }

    fn renewed(&self, place: usize, sent: Moment) {
        if let Some(held) = &self.board.lock().streams[place].held {
            held.lease.renewed(sent);
        }
    }

    fn released(&self, place: usize) {
        let mut state = self.board.lock();
        let stream = &mut state.streams[place];
        let Some(held) = stream.held.take() else {
            return;
        };
        let reads_to_the_end = self.settings[place].extent == Extent::AsOfNow;
        if reads_to_the_end && !held.is_given_up && held.ended == Some(Some(Ending::Enough)) {
            stream.is_done = true;
        }
    }

    fn take(&mut self, connection: &mut Connection, steps: Vec<Step>, sent: Moment) -> Result<(), Error> {
        let taken = steps.into_iter().filter_map(|step| match step {
            Step::Take(place, value) => Some((place, value)),
            Step::Renew(_) | Step::Release(_) => None,
        });
        let taken: Vec<_> = taken.collect();
        let set = |(place, value): &(usize, String)| {
            let mut set = redis::cmd("SET");
            set.arg(self.lease_key(*place)).arg(value).arg("NX");
            set.arg("PX").arg(self.length.as_millis() as u64);
            set
        };
        let commands: Vec<_> = taken.iter().map(set).collect();
        if commands.is_empty() {
            return Ok(());
        }
        for ((place, value), answer) in taken.into_iter().zip(connection.query_all(&commands)?) {
            let key = self.lease_key(place);
            if answer.map_err(|refusal| Error::refused(refusal, &key, None))? != Value::Nil {
                self.begin(place, value, sent);
            }
        }
        Ok(())
    }

    /// Where streams are read to their end: where that is.
    pub(super) fn see_ends(&mut self, connection: &mut Connection) -> Result<(), Error> {
        for place in &self.places {
            if self.settings[*place].extent == Extent::AsOfNow && !self.ends.contains_key(place) {
                let last = last_id(connection, &self.settings[*place].streams[0])?;
                self.ends.insert(*place, last.unwrap_or(EntryId::MIN));
            }
        }
        Ok(())
    }

    /// A stream that is read to its end is done as well if others have done all that was there.
    pub(super) fn see_what_others_did(&self, connection: &mut Connection) -> Result<(), Error> {
        for (place, end) in &self.ends {
            let is_open = {
                let state = self.board.lock();
                !state.streams[*place].is_done && state.streams[*place].held.is_none()
            };
            let settings = &self.settings[*place];
            if !is_open || !is_settled_up_to(connection, &settings.streams[0], &settings.group, *end)? {
                continue;
            }
            self.board.lock().streams[*place].is_done = true;
            self.leave(connection, &[*place])?;
        }
        Ok(())
    }

    /// Says that this process does not want to read streams any more.
    fn leave(&self, connection: &mut Connection, places: &[usize]) -> Result<(), Error> {
        self.strike_off(connection, places.iter().map(|place| (*place, self.owner.as_str())))
    }

    /// The others need not wait to find out.
    pub(super) fn say_goodbye(&mut self) {
        let until = Instant::now() + LAST_WORD;
        while Instant::now() < until {
            if self.try_to_say_goodbye(until).is_ok() {
                return;
            }
            self.connection = None;
            sleep(LOOK_EVERY.0);
        }
    }

    fn try_to_say_goodbye(&mut self, until: Instant) -> Result<(), Error> {
        let mut connection = match self.connection.take() {
            Some(connection) => connection,
            None => {
                let servers = self.run.servers.until(Some(until));
                servers.of_slot(&self.settings[self.places[0]].streams[0])?
            }
        };
        connection.set_deadline(Some(until));
        self.leave(&mut connection, &self.places)
    }
}
