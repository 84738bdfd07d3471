//! What becomes of a message: acknowledged, tried again, or buried; kept from others until then.

use std::time::{Duration, Instant};

use crate::commands::consume::member::Key;
use crate::commands::consume::{AckMode, Args, CLAIM_IDLE};
use crate::failure::{Failure, quote};
use crate::streamer::{Error, jittered};

use super::process::Verdict;
use super::{Desk, Task};

/// The longest pause before a retry: doubling must not end in days.
const LONGEST_RETRY_DELAY: Duration = Duration::from_secs(3600);

impl Desk<'_, '_> {
    /// Decides what a handler's end means for its message.
    pub(super) fn settle(&mut self, key: Key, verdict: Verdict) -> anyhow::Result<()> {
        let Some(task) = self.running.remove(&key) else {
            return Ok(());
        };
        let reason = match verdict {
            Verdict::Done => {
                self.tally.handled += 1;
                self.unconfirmed.push(key);
                return Ok(());
            }
            Verdict::Unusable(error) => {
                self.member.hold(key, task.deliveries);
                let program = self.run.args.command.first().map(String::as_str).unwrap_or_default();
                let why = format!("cannot run the handler {}: {error}", quote(program));
                return Err(Failure::data(why)
                    .hint("it must be on the PATH, or a path to it; a script must be executable and begin with #!")
                    .into());
            }
            // It may have written to the closed pipe and died of that: no fault of the message, which others get.
            Verdict::Failed(_) if !self.run.output.has_reader() => {
                self.member.hold(key, task.deliveries);
                self.run.stop.halt();
                return Ok(());
            }
            Verdict::Failed(reason) => reason,
        };
        let message = format!(
            "{} {}: the handler failed: {reason}",
            self.member.streams()[key.0],
            key.1
        );
        if self.run.args.ack == AckMode::Read {
            self.tally.failed += 1;
            self.run
                .context
                .ui
                .warning(&format!("{message}; not tried again, as --ack read asks"));
            return Ok(());
        }
        if self
            .run
            .args
            .max_deliveries
            .is_some_and(|most| task.deliveries >= most.get())
        {
            self.run.context.ui.warning(&message);
            return self.bury(key, &task, task.deliveries, &reason);
        }
        self.try_again(key, task.deliveries, &format!("the handler failed: {reason}"));
        Ok(())
    }

    /// Leaves a message pending until its next try, and says why.
    fn try_again(&mut self, key: Key, deliveries: u64, why: &str) {
        let delay = self.retry_delay(deliveries);
        self.run.context.ui.warning(&format!(
            "{} {}: {why}; again in {:.1} s",
            self.member.streams()[key.0],
            key.1,
            delay.as_secs_f32()
        ));
        self.waiting.insert(key, deliveries);
        self.retries.insert((Instant::now() + delay, key));
    }

    /// Doubles with each delivery, with jitter, so that what failed together is not tried again together.
    pub(super) fn retry_delay(&self, deliveries: u64) -> Duration {
        let doublings = u32::try_from(deliveries.saturating_sub(1)).unwrap_or(u32::MAX).min(31);
        let delay = self.run.args.retry_delay.saturating_mul(1 << doublings);
        jittered(delay.min(LONGEST_RETRY_DELAY))
    }

    /// Adds a message to the dead letters; only then it is acknowledged, so that a crash in between can repeat
    /// it there but never lose it.
    pub(super) fn bury(&mut self, key: Key, task: &Task, deliveries: u64, reason: &str) -> anyhow::Result<()> {
        let Some(grave) = self.run.args.dead_letter.clone() else {
            return Ok(());
        };
        let added = self.member.bury(&grave, key, (&task.fields, deliveries), reason);
        match added {
            Ok(()) => {}
            // It stays pending, and is buried when the server can take it.
            Err(error) if error.is_passing() => {
                self.doomed.insert(key, (deliveries, reason.to_owned()));
                self.try_again(key, task.deliveries, &format!("it cannot be added to {grave}: {error}"));
                return match error.is_connection() {
                    true => Err(error.into()),
                    false => Ok(()),
                };
            }
            Err(error) => {
                self.member.hold(key, task.deliveries + 1);
                return Err(error.into());
            }
        }
        self.tally.failed += 1;
        self.unconfirmed.push(key);
        Ok(())
    }

    /// Acknowledges what is settled. After a lost connection this is said again.
    pub(super) fn confirm(&mut self) -> Result<(), Error> {
        match self.queue_acks() {
            0 => Ok(()),
            acks => {
                self.member.consumer.flush()?;
                self.confirmed(acks)
            }
        }
    }

    /// Queues the acknowledgement of what is settled; says how many replies that will give.
    pub(super) fn queue_acks(&mut self) -> usize {
        if self.run.args.ack == AckMode::Read {
            self.unconfirmed.clear();
        }
        let mut by_stream = vec![Vec::new(); self.member.streams().len()];
        for (index, id) in &self.unconfirmed {
            by_stream[*index].push(*id);
        }
        let mut acks = 0;
        for (index, ids) in by_stream.iter().enumerate().filter(|(_, ids)| !ids.is_empty()) {
            self.member.queue_ack(index, ids);
            acks += 1;
        }
        acks
    }

    /// Receives the replies to queued acknowledgements.
    pub(super) fn confirmed(&mut self, acks: usize) -> Result<(), Error> {
        for _ in 0..acks {
            self.member.consumer.receive_acked()?;
        }
        self.unconfirmed.clear();
        Ok(())
    }

    /// Keeps others from claiming what is at work here or waits for its retry.
    pub(super) fn touch(&mut self) -> anyhow::Result<()> {
        self.next_touch = Instant::now() + touch_interval(self.run.args);
        if self.run.args.ack == AckMode::Read {
            return Ok(());
        }
        for index in 0..self.member.streams().len() {
            let at_hand = self.running.keys().chain(self.waiting.keys());
            let ids: Vec<_> = at_hand.filter(|(of, _)| *of == index).map(|(_, id)| *id).collect();
            self.member.touch(index, &ids)?;
        }
        Ok(())
    }
}

/// Three times within the time after which others may claim, theirs being the same as ours; but not so often that the
/// server has nothing else to do.
fn touch_interval(args: &Args) -> Duration {
    const SHORTEST: Duration = Duration::from_millis(20);
    (args.claim_idle().min(CLAIM_IDLE) / 3).max(SHORTEST)
}
