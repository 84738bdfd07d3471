//! One group or consumer: what is known of it, what is in the way of removing it, and what came of it.

use super::{Losses, Subject};
use crate::failure::{Failure, quote};
use crate::render::{counted, duration, grouped, one_line};
use crate::streamer::{
    Connections, ConsumerInfo, Count, Error, GroupRemoval, GroupUse, RawName, Removal, group_info, group_use,
    ledger_size, names, remove_consumer, remove_group, remove_idle_group, remove_ledger,
};

pub struct Item {
    pub subject: Subject,
    pub found: Found,
    pub is_removed: bool,
}

/// What is there.
pub enum Found {
    Nothing,
    Group {
        group: GroupUse,
        /// How many entries its ledger holds, if this user may look.
        ledger: Option<u64>,
    },
    Consumer {
        info: ConsumerInfo,
        /// How many entries of it were handed back.
        handed_back: u64,
    },
}

/// How a removal went.
pub enum Done {
    Removed,
    /// Something of it is left, for this reason.
    RemovedOnly(String),
}

impl Item {
    pub fn look(subject: &Subject, connections: &mut Connections) -> Result<Self, Error> {
        let looked = match &subject.consumer {
            Some(consumer) => look_at_consumer(subject, consumer, connections),
            None => look_at_group(subject, connections),
        };
        let found = match looked {
            Err(Error::NoGroup { .. } | Error::NoStream { .. }) => Found::Nothing,
            looked => looked?,
        };
        Ok(Self {
            subject: subject.clone(),
            found,
            is_removed: false,
        })
    }

    pub fn is_there(&self) -> bool {
        !matches!(self.found, Found::Nothing)
    }

    /// Why it is not removed.
    pub fn in_the_way(&self, losses: Losses) -> Vec<String> {
        match (&self.found, losses) {
            (Found::Consumer { info, .. }, _) if holds_what_was_handed_back(info) => {
                let entries = counted(info.pending, "entry");
                vec![format!("it keeps {entries} that consumers handed back as they ended")]
            }
            (Found::Nothing, _) | (_, Losses::Accepted) => Vec::new(),
            (Found::Group { group, .. }, Losses::Refused) => in_the_way_of(group),
            (Found::Consumer { info, .. }, Losses::Refused) => {
                let reason = if awaits_acks(info) {
                    let entries = counted(info.pending, "entry");
                    Some(format!("it keeps {entries} that somebody is to acknowledge"))
                } else {
                    Some(info)
                        .filter(|info| info.is_at_work())
                        .map(|info| asked(info, "it"))
                };
                reason.into_iter().collect()
            }
        }
    }

    /// What would come of it.
    pub fn plan(&self, losses: Losses) -> String {
        let name = self.subject.name();
        let reasons = self.in_the_way(losses);
        match &self.found {
            Found::Nothing => format!("{name} is not there"),
            _ if !reasons.is_empty() => format!("would not remove {name}: {}", reasons.join(", ")),
            _ => format!("would remove {name}{}", self.goes_with_it()),
        }
    }

    /// What came of it.
    pub fn told(&self) -> String {
        let name = self.subject.name();
        match &self.found {
            Found::Nothing => format!("{name} is not there"),
            _ => format!("removed {name}{}", self.goes_with_it()),
        }
    }

    fn goes_with_it(&self) -> String {
        let parts = match &self.found {
            Found::Nothing => Vec::new(),
            Found::Group { group, ledger } => {
                let mut parts = losses_of(group);
                let ledger = ledger.filter(|entries| *entries > 0);
                parts.extend(ledger.map(|entries| format!("its ledger of {}", counted(entries, "processed entry"))));
                parts
            }
            Found::Consumer { info, handed_back } => {
                let entries = if self.is_removed { *handed_back } else { info.pending };
                match entries {
                    0 => Vec::new(),
                    entries => return format!("; {} handed back to the others", counted(entries, "entry")),
                }
            }
        };
        if parts.is_empty() {
            String::new()
        } else {
            format!(", and with it {}", parts.join(", "))
        }
    }

    /// The failure that it is not removed.
    pub fn refuse(&self, losses: Losses) -> anyhow::Error {
        self.not_removed(&self.in_the_way(losses)).into()
    }

    fn not_removed(&self, reasons: &[String]) -> Failure {
        let why = match reasons {
            [] => "its stream changes all the time".to_owned(),
            reasons => reasons.join(", "),
        };
        Failure::data(format!("{} is not removed: {why}", self.subject.name())).hint(self.hint())
    }

    /// The next thing to try where it is not removed.
    pub fn hint(&self) -> String {
        let Subject { stream, option, .. } = &self.subject;
        let stream = quote(&stream.typed());
        match &self.found {
            Found::Consumer { info, .. } if holds_what_was_handed_back(info) => {
                format!("any consumer of the group gets them at once: redis-streamer consume {stream} {option}")
            }
            Found::Consumer { info, .. } if awaits_acks(info) => {
                "acknowledge them with ack; --force hands them back, and others get them a second time".to_owned()
            }
            Found::Consumer { .. } => {
                "end it first; --force hands back what it has in hand, and others get that a second time".to_owned()
            }
            _ => format!("see it: redis-streamer pending {stream} {option}; --force removes it all the same"),
        }
    }

    pub fn remove(&mut self, connections: &mut Connections, losses: Losses) -> anyhow::Result<Done> {
        let Subject {
            stream,
            group,
            consumer,
            ..
        } = self.subject.clone();
        let name = self.subject.name();
        let not_removed = |error: Error| anyhow::Error::new(error).context(format!("{name} is not removed"));
        if let Found::Consumer { handed_back, .. } = &mut self.found
            && let Some(consumer) = &consumer
        {
            let removed = connections.at(&stream, |connection| {
                remove_consumer(connection, &stream, &group, consumer)
            });
            return match removed.map_err(not_removed)? {
                Removal::Removed { handed_back: count } => {
                    (*handed_back, self.is_removed) = (count, true);
                    Ok(Done::Removed)
                }
                Removal::AtWork { taken } => {
                    let entries = counted(taken, "entry");
                    let why = format!("it is at work, and took {entries} meanwhile, which it still has");
                    Err(self.not_removed(&[why]).into())
                }
            };
        }
        if !self.is_there() {
            return Ok(Done::Removed);
        }
        let removed = connections.at(&stream, |connection| match losses {
            Losses::Refused => remove_idle_group(connection, &stream, &group),
            Losses::Accepted => remove_group(connection, &stream, &group),
        });
        match removed.map_err(not_removed)? {
            GroupRemoval::Removed => self.is_removed = true,
            GroupRemoval::InUse(found) => return Err(self.not_removed(&in_the_way_of(&found)).into()),
        }
        Ok(self.remove_ledger(connections))
    }

    /// The group is gone by now, whatever comes of its ledger.
    fn remove_ledger(&self, connections: &mut Connections) -> Done {
        let Found::Group { ledger: Some(1..), .. } = &self.found else {
            return Done::Removed;
        };
        let ledger = names::ledger_of(&self.subject.stream, &self.subject.group);
        match connections.at(&ledger, |connection| remove_ledger(connection, &ledger)) {
            Ok(()) => Done::Removed,
            Err(error) => Done::RemovedOnly(format!(
                "the ledger {} is still there: {error}",
                one_line(&ledger.to_string())
            )),
        }
    }
}

fn look_at_group(subject: &Subject, connections: &mut Connections) -> Result<Found, Error> {
    let Subject { stream, group, .. } = subject;
    let found = connections.at(stream, |connection| group_use(connection, stream, group))?;
    let ledger = names::ledger_of(stream, group);
    let ledger = match connections.at(&ledger, |connection| ledger_size(connection, &ledger)) {
        Ok(entries) => Some(entries),
        // Nobody's business, or something else: it is left.
        Err(Error::Denied(_) | Error::KeyDenied { .. } | Error::WrongType { .. }) => None,
        Err(error) => return Err(error),
    };
    Ok(Found::Group { group: found, ledger })
}

fn look_at_consumer(subject: &Subject, consumer: &RawName, connections: &mut Connections) -> Result<Found, Error> {
    let Subject { stream, group, .. } = subject;
    let (_, consumers) = connections.at(stream, |connection| group_info(connection, stream, group))?;
    let info = consumers.into_iter().find(|info| info.name == *consumer);
    Ok(info.map_or(Found::Nothing, |info| Found::Consumer { info, handed_back: 0 }))
}

/// To hand back what it keeps would give it to itself.
fn holds_what_was_handed_back(info: &ConsumerInfo) -> bool {
    info.name.is(names::HANDED_BACK) && info.pending > 0
}

/// What it keeps was printed, and may be at work.
fn awaits_acks(info: &ConsumerInfo) -> bool {
    info.name.is(names::AWAITING_ACK) && info.pending > 0
}

fn in_the_way_of(group: &GroupUse) -> Vec<String> {
    let mut reasons = losses_of(group);
    reasons.extend(
        group
            .at_work()
            .map(|info| asked(info, &one_line(&info.name.to_string()))),
    );
    reasons
}

/// What goes with a group.
fn losses_of(group: &GroupUse) -> Vec<String> {
    let mut losses = Vec::new();
    if group.info.pending > 0 {
        losses.push(format!("{} pending", counted(group.info.pending, "entry")));
    }
    match group.undelivered {
        Count::Exactly(0) => {}
        Count::Exactly(count) => losses.push(format!("{} undelivered", counted(count, "entry"))),
        Count::AtLeast(count) => losses.push(format!(">{} entries undelivered", grouped(count.saturating_sub(1)))),
    }
    losses
}

fn asked(info: &ConsumerInfo, name: &str) -> String {
    format!("{name} was at work {} ago", duration(info.idle_ms))
}
