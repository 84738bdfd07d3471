//! Limits that make `pending` a gate in CI.

use std::time::Duration;

use super::settings::whole_ms;
use super::tables;
use crate::failure::{Failure, group_option, quote};
use crate::render::{counted, exact_duration, one_line};
use crate::streamer::{Behind, GroupState, Hidden, Lag, RawName, StreamState, parse_duration};

/// Limits; a figure may be as high as its limit.
#[derive(clap::Args, Clone, Copy, Debug, Default)]
#[group(id = "gates", multiple = true)]
#[command(next_help_heading = "Gates (exit code 4 if one is exceeded)")]
pub struct Gates {
    /// Allow at most N entries not yet delivered
    #[arg(long, value_name = "N")]
    max_lag: Option<u64>,
    /// Allow at most N entries pending
    #[arg(long, value_name = "N")]
    max_pending: Option<u64>,
    /// Allow no entry that is older and not acknowledged
    ///
    /// Be it pending, or not delivered yet
    #[arg(long, value_name = "DURATION", value_parser = parse_duration)]
    max_behind: Option<Duration>,
    /// Allow no pending entry idle for longer
    ///
    /// Entries that were handed back have no idle time: see --max-behind
    #[arg(long, value_name = "DURATION", value_parser = parse_duration, hide_short_help = true)]
    max_idle: Option<Duration>,
}

/// How streams came to be held against the limits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Checked {
    /// The user named them: each is to have a group.
    Named,
    /// They are what is there: one of them is to have a group.
    Found,
}

/// Which figures of a group exceed their limits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Exceeded {
    pub lag: bool,
    pub pending: bool,
    pub behind: bool,
    pub idle: bool,
}

impl Gates {
    pub fn are_given(&self) -> bool {
        self.max_lag.is_some() || self.max_pending.is_some() || self.look_at_behind() || self.max_idle.is_some()
    }

    pub fn max_lag(&self) -> Option<u64> {
        self.max_lag
    }

    /// Whether the age of entries is held against a limit.
    pub fn look_at_behind(&self) -> bool {
        self.max_behind.is_some()
    }

    /// Holds all groups against the limits. Streams that are hidden from the user may be beyond any of them, and where
    /// there is no group there is nobody to keep up.
    pub fn check(&self, streams: &[StreamState], hidden: &[Hidden], checked: Checked) -> Result<(), Failure> {
        if !self.are_given() {
            return Ok(());
        }
        let mut breaches = Vec::new();
        let mut hint = None;
        for stream in streams {
            for group in &stream.groups {
                let found = self.breaches(group);
                if !found.is_empty() {
                    hint.get_or_insert_with(|| look_at(&stream.name, &group.info.name));
                }
                breaches.extend(found.into_iter().map(|breach| named(&stream.name, group, &breach)));
            }
        }
        let exceeded = breaches.len() as u64;
        let without = streams.iter().filter(|stream| stream.groups.is_empty());
        if checked == Checked::Named {
            breaches.extend(without.map(|stream| {
                hint.get_or_insert_with(|| subscribe(&stream.name));
                format!(
                    "stream {} has no group, so nobody keeps up with it",
                    one_line(&stream.name.to_string())
                )
            }));
        } else if without.count() == streams.len() && hidden.is_empty() {
            breaches.push("there is no group to hold against a limit".to_owned());
            hint.get_or_insert_with(|| "see what there is: redis-streamer pending".to_owned());
        }
        if !hidden.is_empty() {
            breaches.push(format!("this user may not look at {}", tables::hidden(hidden)));
        }
        let failure = Failure::unmet(match breaches.as_slice() {
            [] => return Ok(()),
            [breach] => breach.clone(),
            breaches if exceeded == 0 => format!("the gate stays closed\n  {}", breaches.join("\n  ")),
            breaches => format!("{} exceeded\n  {}", counted(exceeded, "limit"), breaches.join("\n  ")),
        });
        Err(failure.hint(hint.unwrap_or_else(|| {
            "grant the user the streams (ACL SETUSER), or name one: redis-streamer pending STREAM".to_owned()
        })))
    }

    /// Holds one group against the limits, which is on the screen already.
    pub fn check_group(&self, stream: &RawName, group: &GroupState) -> Result<(), Failure> {
        match self.breaches(group).as_slice() {
            [] => Ok(()),
            [breach] => Err(Failure::unmet(named(stream, group, breach))),
            breaches => {
                let lines: Vec<_> = breaches.iter().map(|breach| named(stream, group, breach)).collect();
                let count = counted(lines.len() as u64, "limit");
                Err(Failure::unmet(format!("{count} exceeded\n  {}", lines.join("\n  "))))
            }
        }
    }

    /// What a group exceeds.
    pub fn exceeded(&self, group: &GroupState) -> Exceeded {
        Exceeded {
            lag: self.max_lag.is_some_and(|limit| match group.lag {
                Lag::Of(lag) => lag > limit,
                Lag::AtLeast(_) | Lag::Unknown => true,
            }),
            pending: self.max_pending.is_some_and(|limit| group.info.pending > limit),
            behind: self.max_behind.is_some_and(|limit| match group.behind {
                Behind::Nothing => false,
                Behind::Ms(ms) => ms > whole_ms(limit),
                Behind::Unknown => true,
            }),
            idle: self
                .max_idle
                .zip(group.oldest_idle_ms)
                .is_some_and(|(limit, idle)| idle > whole_ms(limit)),
        }
    }

    /// What a group exceeds, each with its figure and limit.
    fn breaches(&self, group: &GroupState) -> Vec<String> {
        let exceeded = self.exceeded(group);
        let beyond = |what: String, option: &str, limit: String| format!("{what} exceeds {option} {limit}");
        let time = |limit: Duration| exact_duration(whole_ms(limit));
        let lag = self.max_lag.filter(|_| exceeded.lag);
        let pending = self.max_pending.filter(|_| exceeded.pending);
        let behind = self.max_behind.filter(|_| exceeded.behind);
        let idle = self.max_idle.filter(|_| exceeded.idle).zip(group.oldest_idle_ms);
        [
            lag.map(|limit| {
                beyond(
                    format!("lag {}", tables::lag(group.lag)),
                    "--max-lag",
                    limit.to_string(),
                )
            }),
            pending.map(|limit| {
                let pending = format!("{} pending", group.info.pending);
                beyond(pending, "--max-pending", limit.to_string())
            }),
            behind.map(|limit| {
                let behind = format!("behind {}", tables::behind(group.behind, exact_duration));
                beyond(behind, "--max-behind", time(limit))
            }),
            idle.map(|(limit, idle)| {
                let idle = format!("oldest idle {}", exact_duration(idle));
                beyond(idle, "--max-idle", time(limit))
            }),
        ]
        .into_iter()
        .flatten()
        .collect()
    }
}

fn named(stream: &RawName, group: &GroupState, breach: &str) -> String {
    let (stream, group) = (stream.to_string(), group.info.name.to_string());
    format!("stream {}, group {}: {breach}", one_line(&stream), one_line(&group))
}

fn look_at(stream: &RawName, group: &RawName) -> String {
    format!(
        "see who has what: redis-streamer pending {} {}",
        one_line(&quote(&stream.typed())),
        one_line(&group_option(&stream.typed(), &group.typed()))
    )
}

fn subscribe(stream: &RawName) -> String {
    if stream.text().is_none() {
        return "its name is not UTF-8: make a group with XGROUP CREATE of redis-cli".to_owned();
    }
    format!(
        "make a group: redis-streamer subscribe {} -l NAME",
        one_line(&quote(&stream.typed()))
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::streamer::{EntryId, GroupInfo, ServerError};

    fn group(lag: Lag, pending: u64, behind: Behind, oldest_idle_ms: Option<u64>) -> GroupState {
        GroupState {
            info: GroupInfo {
                name: RawName::from("g"),
                consumers: 1,
                pending,
                last_delivered: EntryId::MIN,
                read: None,
                lag: None,
            },
            lag,
            behind,
            oldest_idle_ms,
        }
    }

    fn stream(groups: Vec<GroupState>) -> StreamState {
        StreamState {
            name: RawName::from("s"),
            length: 1,
            groups,
        }
    }

    const GATES: Gates = Gates {
        max_lag: Some(5),
        max_pending: Some(3),
        max_behind: Some(Duration::from_secs(2)),
        max_idle: Some(Duration::from_millis(1500)),
    };

    #[test]
    fn figures_may_reach_their_limits() {
        let at_limit = group(Lag::Of(5), 3, Behind::Ms(2000), Some(1500));
        assert_eq!(GATES.breaches(&at_limit), Vec::<String>::new());
        let done = group(Lag::Of(0), 0, Behind::Nothing, None);
        assert_eq!(GATES.breaches(&done), Vec::<String>::new());
        let far = group(Lag::Unknown, 99, Behind::Unknown, Some(99));
        assert_eq!(Gates::default().breaches(&far), Vec::<String>::new());
    }

    #[test]
    fn each_figure_beyond_its_limit_is_named() {
        assert_eq!(
            GATES.breaches(&group(Lag::Of(6), 4, Behind::Ms(2001), Some(1501))),
            [
                "lag 6 exceeds --max-lag 5",
                "4 pending exceeds --max-pending 3",
                "behind 2s 1ms exceeds --max-behind 2s",
                "oldest idle 1s 501ms exceeds --max-idle 1s 500ms",
            ]
        );
        assert_eq!(
            GATES.breaches(&group(Lag::AtLeast(6), 0, Behind::Nothing, None)),
            ["lag >5 exceeds --max-lag 5"]
        );
    }

    #[test]
    fn what_is_hidden_passes_no_gate() {
        let hidden = [Hidden {
            stream: RawName::from("secret"),
            refusal: ServerError::parse(b"NOPERM no"),
        }];
        let check = |gates: Gates| gates.check(&[], &hidden, Checked::Found);
        let failure = check(GATES).unwrap_err().to_string();
        assert_eq!(failure, "this user may not look at 1 stream, not shown: secret");
        assert!(check(Gates::default()).is_ok());
        let far = stream(vec![group(Lag::AtLeast(6), 4, Behind::Nothing, None)]);
        let both = GATES.check(&[far], &hidden, Checked::Found);
        let text = both.unwrap_err().to_string();
        assert!(text.starts_with("2 limits exceeded\n  stream s, group g: "), "{text}");
        assert!(
            text.ends_with("\n  this user may not look at 1 stream, not shown: secret"),
            "{text}"
        );
    }

    #[test]
    fn where_there_is_no_group_no_gate_opens() {
        let text = |streams: &[StreamState], checked| GATES.check(streams, &[], checked).err().map(|e| e.to_string());
        let done = stream(vec![group(Lag::Of(0), 0, Behind::Nothing, None)]);
        let lonely = stream(Vec::new());
        let named = text(&[done.clone(), lonely.clone()], Checked::Named);
        assert_eq!(
            named.as_deref(),
            Some("stream s has no group, so nobody keeps up with it")
        );
        assert_eq!(text(&[done, lonely.clone()], Checked::Found), None);
        let found = text(&[lonely], Checked::Found);
        assert_eq!(found.as_deref(), Some("there is no group to hold against a limit"));
    }

    #[test]
    fn what_is_not_known_exceeds_every_limit() {
        let gates = Gates {
            max_lag: Some(u64::MAX),
            max_behind: Some(Duration::MAX),
            ..Gates::default()
        };
        assert_eq!(gates.breaches(&group(Lag::Unknown, 0, Behind::Unknown, None)).len(), 2);
    }
}
