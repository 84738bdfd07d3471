//! Limits that make `pending` a gate in CI.

use std::time::Duration;

use super::{tables, whole_ms};
use crate::failure::{Failure, quote};
use crate::render::{counted, exact_duration, one_line};
use crate::streamer::{GroupState, Hidden, parse_duration};

/// Limits; a figure may be as high as its limit.
#[derive(clap::Args, Clone, Copy, Debug, Default)]
#[command(next_help_heading = "Gates (exit code 4 if one is exceeded)")]
pub struct Gates {
    /// Allow at most N entries not yet delivered
    ///
    /// An unknown lag is too much
    #[arg(long, value_name = "N")]
    max_lag: Option<u64>,
    /// Allow at most N entries pending
    #[arg(long, value_name = "N")]
    max_pending: Option<u64>,
    /// Allow no pending entry idle for longer
    ///
    /// Entries that were handed back have no idle time: see --max-pending
    #[arg(long, value_name = "DURATION", value_parser = parse_duration)]
    max_idle: Option<Duration>,
}

/// What a failure is to be followed by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hint {
    /// The command that shows who has what.
    WhereToLook,
    Nothing,
}

impl Gates {
    pub fn are_given(&self) -> bool {
        self.max_lag.is_some() || self.max_pending.is_some() || self.max_idle.is_some()
    }

    /// Whether the longest idle time is held against a limit.
    pub fn look_at_idle(&self) -> bool {
        self.max_idle.is_some()
    }

    /// Holds all groups against the limits. Streams that are hidden from the user may be beyond any of them.
    pub fn check(&self, groups: &[(&str, &GroupState)], hidden: &[Hidden], hint: Hint) -> Result<(), Failure> {
        if !self.are_given() {
            return Ok(());
        }
        let mut breaches = Vec::new();
        let mut first = None;
        for (stream, group) in groups {
            let place = format!("stream {}, group {}", one_line(stream), one_line(&group.info.name));
            let found = self.breaches(group);
            if !found.is_empty() {
                first.get_or_insert((*stream, group.info.name.as_str()));
            }
            breaches.extend(found.into_iter().map(|breach| format!("{place}: {breach}")));
        }
        let exceeded = breaches.len() as u64;
        if !hidden.is_empty() {
            breaches.push(format!("this user may not look at {}", tables::hidden(hidden)));
        }
        let failure = Failure::unmet(match breaches.as_slice() {
            [] => return Ok(()),
            [breach] => breach.clone(),
            breaches => format!("{} exceeded\n  {}", counted(exceeded, "limit"), breaches.join("\n  ")),
        });
        Err(match first {
            Some((stream, group)) if hint == Hint::WhereToLook => failure.hint(format!(
                "see who has what: redis-streamer pending {} -g {}",
                one_line(&quote(stream)),
                one_line(&quote(group))
            )),
            Some(_) => failure,
            None => {
                failure.hint("grant the user the streams (ACL SETUSER), or name one: redis-streamer pending STREAM")
            }
        })
    }

    /// What a group exceeds, each with its figure and limit.
    fn breaches(&self, group: &GroupState) -> Vec<String> {
        let lag = self.max_lag.and_then(|limit| match group.info.lag {
            Some(lag) if lag <= limit => None,
            Some(lag) => Some(format!("lag {lag} exceeds --max-lag {limit}")),
            None => Some(format!(
                "the server does not know the lag, which counts as exceeding --max-lag {limit}"
            )),
        });
        let pending = self
            .max_pending
            .filter(|limit| group.info.pending > *limit)
            .map(|limit| format!("{} pending exceeds --max-pending {limit}", group.info.pending));
        let idle = self
            .max_idle
            .map(whole_ms)
            .zip(group.oldest_idle_ms)
            .filter(|(limit, idle)| idle > limit)
            .map(|(limit, idle)| {
                format!(
                    "oldest idle {} exceeds --max-idle {}",
                    exact_duration(idle),
                    exact_duration(limit)
                )
            });
        [lag, pending, idle].into_iter().flatten().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::streamer::{EntryId, GroupInfo, ServerError};

    fn group(lag: Option<u64>, pending: u64, oldest_idle_ms: Option<u64>) -> GroupState {
        let info = GroupInfo {
            name: "g".to_owned(),
            consumers: 1,
            pending,
            last_delivered: EntryId::MIN,
            lag,
        };
        GroupState { info, oldest_idle_ms }
    }

    const GATES: Gates = Gates {
        max_lag: Some(5),
        max_pending: Some(3),
        max_idle: Some(Duration::from_millis(1500)),
    };

    #[test]
    fn figures_may_reach_their_limits() {
        assert_eq!(GATES.breaches(&group(Some(5), 3, Some(1500))), Vec::<String>::new());
        assert_eq!(GATES.breaches(&group(Some(0), 0, None)), Vec::<String>::new());
        assert_eq!(
            Gates::default().breaches(&group(None, 99, Some(99))),
            Vec::<String>::new()
        );
    }

    #[test]
    fn each_figure_beyond_its_limit_is_named() {
        assert_eq!(
            GATES.breaches(&group(Some(6), 4, Some(1501))),
            [
                "lag 6 exceeds --max-lag 5",
                "4 pending exceeds --max-pending 3",
                "oldest idle 1s 501ms exceeds --max-idle 1s 500ms",
            ]
        );
    }

    #[test]
    fn what_is_hidden_passes_no_gate() {
        let hidden = [Hidden {
            stream: "secret".to_owned(),
            refusal: ServerError::parse(b"NOPERM no"),
        }];
        let check = |gates: Gates| gates.check(&[], &hidden, Hint::WhereToLook);
        let failure = check(GATES).unwrap_err().to_string();
        assert_eq!(failure, "this user may not look at 1 stream, not shown: secret");
        assert!(check(Gates::default()).is_ok());
        let both = GATES.check(&[("s", &group(None, 4, None))], &hidden, Hint::WhereToLook);
        let text = both.unwrap_err().to_string();
        assert!(text.starts_with("2 limits exceeded\n  stream s, group g: "), "{text}");
        assert!(
            text.ends_with("\n  this user may not look at 1 stream, not shown: secret"),
            "{text}"
        );
    }

    #[test]
    fn an_unknown_lag_exceeds_every_limit() {
        let gates = Gates {
            max_lag: Some(u64::MAX),
            ..Gates::default()
        };
        assert_eq!(gates.breaches(&group(None, 0, None)).len(), 1);
    }
}
