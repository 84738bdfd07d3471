//! Keeps others from claiming what a member has in hand.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use super::hand_back::claimed;
use super::member::Member;
use super::messages::{Key, State, by_age};
use super::settings::{Acknowledge, CLAIM_IDLE};
use crate::streamer::entry::EntryId;
use crate::streamer::error::Error;

/// The server shall have other things to do, too.
const SHORTEST: Duration = Duration::from_millis(20);

/// A server looks at its clock once for several commands.
const CLOCK_SLACK: Duration = Duration::from_millis(5);

/// How many entries one command names.
const MOST: usize = 1000;

impl Member<'_> {
    /// How often messages are kept alive: three times within the time after which others may claim, theirs being the
    /// same as ours.
    pub fn keep_alive_every(&self) -> Duration {
        (self.others_claim_idle() / 3).max(SHORTEST)
    }

    /// Where this member's own does not tell: the default.
    fn others_claim_idle(&self) -> Duration {
        self.settings.acknowledge.claim_idle().min(CLAIM_IDLE)
    }

    /// Sets the idle time of the messages in hand back to nothing. Those that somebody claimed all the same are his;
    /// where their handlers are not at work yet, they never will be.
    pub fn keep_alive(&mut self) -> Result<(), Error> {
        if self.settings.acknowledge == Acknowledge::OnRead {
            return Ok(());
        }
        let (every, spread) = (self.keep_alive_every(), self.others_claim_idle() / 2);
        for stream in 0..self.settings.streams.len() {
            let aging = self.delivery.messages.aging(stream, every / 2);
            for (age, ids) in by_age(aging, spread.max(Duration::from_millis(1))) {
                for ids in ids.chunks(MOST) {
                    self.refresh(stream, age, ids)?;
                }
            }
        }
        Ok(())
    }

    /// Tells the server how often a message counts as delivered, which it was not told as it was claimed. False if the
    /// message is not this consumer's any more, and let go.
    pub fn tell_deliveries(&mut self, key: Key) -> Result<bool, Error> {
        let Some(open) = self.delivery.messages.get(key) else {
            return Ok(false);
        };
        let (age, deliveries) = (open.fresh.elapsed().saturating_sub(CLOCK_SLACK), open.deliveries);
        let name = &self.settings.streams[key.stream];
        let mut claim = self.requests.keep_alive(name, age, &[key.id]);
        claim.arg("RETRYCOUNT").arg(deliveries);
        let pending = self.send_claim(&claim, key.stream, &[key.id])?;
        let answer = self.link.connection.answer()?;
        let claimed = answer.map_err(|refusal| self.refused(refusal, Some(key.stream)))?;
        let is_claimed = !self.link.connection.read::<Vec<String>>(claimed)?.is_empty();
        if !is_claimed {
            self.let_go(key.stream, &[key.id], &pending)?;
        }
        Ok(is_claimed)
    }

    fn refresh(&mut self, stream: usize, age: Duration, ids: &[EntryId]) -> Result<(), Error> {
        let name = &self.settings.streams[stream];
        let claim = self.requests.keep_alive(name, age.saturating_sub(CLOCK_SLACK), ids);
        let connection = &mut self.link.connection;
        let answer = connection.ask(&claim, name, Some(&self.settings.group))?;
        let claimed: HashSet<EntryId> = claimed(connection, answer)?.into_iter().collect();
        self.delivery.messages.refreshed(stream, &claimed, Instant::now());
        for id in ids.iter().filter(|id| !claimed.contains(id)) {
            let key = Key { stream, id: *id };
            match self.delivery.messages.get(key).map(|open| &open.state) {
                Some(State::Ready | State::Waiting(_)) => {
                    self.run.quota.give_back();
                    self.delivery.messages.forget(key);
                }
                Some(State::Held { .. }) => drop(self.delivery.messages.forget(key)),
                _ => {}
            }
        }
        Ok(())
    }
}
