//! Limits that make the command fail when a group exceeds one, for use in CI.

use std::time::Duration;

use super::gather::{Group, Stream};
use crate::failure::Failure;
use crate::render::{duration, one_line};
use crate::streamer::parse_duration;

/// The limits, for every group shown.
#[derive(clap::Args)]
#[command(next_help_heading = "Gates (exit code 4 when a group shown exceeds one)")]
pub struct Gates {
    /// At most N entries still to be delivered; a lag the server does not know exceeds any N
    #[arg(long, value_name = "N")]
    max_lag: Option<u64>,
    /// At most N entries pending
    #[arg(long, value_name = "N")]
    max_pending: Option<u64>,
    /// No pending entry idle for longer
    #[arg(long, value_name = "DURATION", value_parser = parse_duration)]
    max_idle: Option<Duration>,
}

impl Gates {
    /// Whether a limit is about the entry that is idle longest.
    pub fn need_oldest(&self) -> bool {
        self.max_idle.is_some()
    }

    /// Fails if a group exceeds a limit, and names every such group, figure and limit.
    pub fn check(&self, streams: &[Stream]) -> Result<(), Failure> {
        let exceeded: Vec<String> = streams
            .iter()
            .flat_map(|stream| stream.groups.iter().map(move |group| (stream, group)))
            .flat_map(|(stream, group)| {
                let place = format!("group {} on {}", one_line(&group.group), one_line(&stream.stream));
                self.exceeded(group).map(move |what| format!("{place}: {what}"))
            })
            .collect();
        match exceeded.as_slice() {
            [] => Ok(()),
            [one] => Err(Failure::unmet(one)),
            all => Err(Failure::unmet(format!(
                "{} limits are exceeded\n  {}",
                all.len(),
                all.join("\n  ")
            ))),
        }
    }

    fn exceeded(&self, group: &Group) -> impl Iterator<Item = String> + use<> {
        [self.lag(group), self.pending(group), self.idle(group)]
            .into_iter()
            .flatten()
    }

    fn lag(&self, group: &Group) -> Option<String> {
        let limit = self.max_lag?;
        match group.lag {
            Some(lag) if lag <= limit => None,
            Some(lag) => Some(format!("lag {lag} exceeds --max-lag {limit}")),
            // To take it for 0 would open the gate when nobody knows.
            None => Some(format!(
                "lag unknown to the server, which counts as exceeding --max-lag {limit}"
            )),
        }
    }

    fn pending(&self, group: &Group) -> Option<String> {
        let (pending, limit) = (group.pending, self.max_pending?);
        (pending > limit).then(|| format!("{pending} pending exceeds --max-pending {limit}"))
    }

    fn idle(&self, group: &Group) -> Option<String> {
        let (idle, limit) = (group.oldest_idle_ms?, self.max_idle?);
        let exceeds = u128::from(idle) > limit.as_millis();
        exceeds.then(|| format!("oldest idle {} exceeds --max-idle {}", told(idle, limit), span(limit)))
    }
}

/// A limit in words.
fn span(limit: Duration) -> String {
    duration(u64::try_from(limit.as_millis()).unwrap_or(u64::MAX))
}

/// What exceeds a limit in words: to the millisecond where it would read like the limit itself.
fn told(idle_ms: u64, limit: Duration) -> String {
    match duration(idle_ms) {
        same if same == span(limit) => format!("{idle_ms}ms"),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NO_GATES: Gates = Gates {
        max_lag: None,
        max_pending: None,
        max_idle: None,
    };

    fn streams(lag: Option<u64>) -> Vec<Stream> {
        vec![Stream {
            stream: "orders".to_owned(),
            length: 9,
            groups: vec![Group {
                group: "g".to_owned(),
                consumers: 1,
                pending: 3,
                lag,
                last_delivered_id: "1-0".to_owned(),
                oldest_idle_ms: Some(60_400),
            }],
        }]
    }

    fn error(gates: &Gates, lag: Option<u64>) -> String {
        gates
            .check(&streams(lag))
            .map_or_else(|failure| failure.to_string(), |()| String::new())
    }

    #[test]
    fn a_limit_that_is_reached_is_not_exceeded() {
        let gates = Gates {
            max_lag: Some(2),
            max_pending: Some(3),
            max_idle: Some(Duration::from_millis(60_400)),
        };
        assert_eq!(error(&gates, Some(2)), "");
    }

    #[test]
    fn every_exceeded_limit_is_named() {
        let gates = Gates {
            max_lag: Some(1),
            max_pending: Some(2),
            max_idle: Some(Duration::from_secs(60)),
        };
        assert_eq!(
            error(&gates, Some(2)),
            "3 limits are exceeded
  group g on orders: lag 2 exceeds --max-lag 1
  group g on orders: 3 pending exceeds --max-pending 2
  group g on orders: oldest idle 60400ms exceeds --max-idle 1m"
        );
    }

    #[test]
    fn an_unknown_lag_exceeds_every_limit() {
        let gates = Gates {
            max_lag: Some(u64::MAX),
            ..NO_GATES
        };
        assert!(error(&gates, None).contains("unknown"));
        assert_eq!(error(&NO_GATES, None), "");
    }
}
