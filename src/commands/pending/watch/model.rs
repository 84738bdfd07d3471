//! What was seen over time: streams and groups with their rates. Pure.

use std::collections::{BTreeMap, VecDeque};

use crate::streamer::{EntryId, GroupState, Lag, RawName, StreamState};

/// How many intervals a history has.
const HISTORY: usize = 60;
/// Over how many intervals a rate is told: one alone only flickers.
const SMOOTH: usize = 5;
/// A group whose lag does not move for so long, and for at least so many samples, is not read.
const STALL_MS: u64 = 10_000;
const STALL_SAMPLES: usize = 3;

/// A group that keeps up has always something in hand: no more than it does in so many seconds.
const AT_WORK_SECONDS: f64 = 2.0;

/// All that is known, as of the last sample.
#[derive(Debug, Default)]
pub struct Model {
    pub streams: Vec<StreamRow>,
    is_seen: bool,
    tracks: BTreeMap<RawName, StreamTrack>,
}

/// A stream as it stands.
#[derive(Clone, Debug)]
pub struct StreamRow {
    pub state: StreamState,
    /// Entries added a second.
    pub rate_in: Rate,
    /// One for each group of the state.
    pub groups: Vec<GroupRow>,
}

/// What its past tells of a group.
#[derive(Clone, Debug)]
pub struct GroupRow {
    /// Entries acknowledged a second.
    pub rate_out: Rate,
    pub drain: Drain,
    pub reading: Reading,
}

/// A rate, and what it was.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Rate {
    /// `None` until it is known.
    pub now: Option<f64>,
    /// One for each interval, the oldest first.
    pub history: Vec<f64>,
}

/// When a group will have done all there is, if things go on like this.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Drain {
    /// It has, but for what it is at.
    Done,
    /// In so many seconds.
    In(f64),
    /// More comes in than goes out.
    Never,
    Unknown,
}

/// Whether anybody reads for a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reading {
    Yes,
    /// It has no consumer at all.
    NoConsumer,
    /// Nothing was delivered for a while, although there is something.
    Stalled,
}

/// A number that only grows, seen over time.
#[derive(Debug, Default)]
struct Track {
    /// Milliseconds and the number, the oldest first.
    seen: VecDeque<(u64, f64)>,
    source: Option<Source>,
}

#[derive(Debug, Default)]
struct StreamTrack {
    added: Track,
    groups: BTreeMap<RawName, GroupTrack>,
}

#[derive(Debug, Default)]
struct GroupTrack {
    done: Track,
    delivered: Option<(u64, EntryId)>,
    samples: usize,
}

/// By what a number is known: two kinds cannot be compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Source {
    /// The server counts.
    Counted,
    /// From what is there.
    Estimated,
}

impl Model {
    /// Takes what was seen at a time, in milliseconds since anything.
    pub fn update(&mut self, at_ms: u64, streams: Vec<StreamState>) {
        self.is_seen = true;
        self.tracks
            .retain(|name, _| streams.iter().any(|stream| stream.name == *name));
        self.streams = streams
            .into_iter()
            .map(|state| self.tracks.entry(state.name.clone()).or_default().update(at_ms, state))
            .collect();
    }

    /// Whether nothing was seen yet.
    pub fn is_new(&self) -> bool {
        !self.is_seen
    }

    pub fn find(&self, stream: &RawName, group: &RawName) -> Option<(&StreamRow, &GroupState, &GroupRow)> {
        let row = self.streams.iter().find(|row| row.state.name == *stream)?;
        let index = row.state.groups.iter().position(|state| state.info.name == *group)?;
        Some((row, row.state.groups.get(index)?, row.groups.get(index)?))
    }
}

impl StreamTrack {
    fn update(&mut self, at_ms: u64, state: StreamState) -> StreamRow {
        let counted = state
            .groups
            .iter()
            .find_map(|group| Some(group.info.read? + group.info.lag?));
        let (source, added) = match counted {
            Some(added) => (Source::Counted, added),
            // What is trimmed at the same time is missing.
            None => (Source::Estimated, state.length),
        };
        self.added.add(at_ms, source, added as f64);
        let rate_in = self.added.rate();
        self.groups
            .retain(|name, _| state.groups.iter().any(|group| group.info.name == *name));
        let groups = state
            .groups
            .iter()
            .map(|group| {
                let track = self.groups.entry(group.info.name.clone()).or_default();
                track.update(at_ms, group, added, rate_in.now)
            })
            .collect();
        StreamRow { state, rate_in, groups }
    }
}

impl GroupTrack {
    fn update(&mut self, at_ms: u64, group: &GroupState, added: u64, rate_in: Option<f64>) -> GroupRow {
        let known = match (group.info.read, group.lag) {
            (Some(read), _) => Some((Source::Counted, read as f64)),
            (None, Lag::Of(lag)) => Some((Source::Estimated, added as f64 - lag as f64)),
            (None, Lag::AtLeast(_) | Lag::Unknown) => None,
        };
        match known {
            Some((source, delivered)) => self.done.add(at_ms, source, delivered - group.info.pending as f64),
            None => self.done = Track::default(),
        }
        let rate_out = self.done.rate();
        let backlog = group.lag.least().map(|lag| lag + group.info.pending);
        GroupRow {
            drain: drain(backlog, rate_in, rate_out.now),
            rate_out,
            reading: self.reading(at_ms, group),
        }
    }

    fn reading(&mut self, at_ms: u64, group: &GroupState) -> Reading {
        let waits = group.lag.least().is_some_and(|lag| lag > 0);
        let last = group.info.last_delivered;
        let since = match self.delivered {
            Some((since, id)) if id == last && waits => since,
            _ => {
                self.samples = 0;
                at_ms
            }
        };
        self.delivered = Some((since, last));
        self.samples += 1;
        match group.info.consumers {
            0 => Reading::NoConsumer,
            _ if waits && self.samples > STALL_SAMPLES && at_ms - since >= STALL_MS => Reading::Stalled,
            _ => Reading::Yes,
        }
    }
}

/// How long it takes to do what there is, at what comes in and goes out a second.
fn drain(backlog: Option<u64>, rate_in: Option<f64>, rate_out: Option<f64>) -> Drain {
    match (backlog, rate_in, rate_out) {
        (Some(0), ..) => Drain::Done,
        (Some(backlog), _, Some(rate_out)) if backlog as f64 <= rate_out * AT_WORK_SECONDS => Drain::Done,
        (Some(backlog), Some(rate_in), Some(rate_out)) if rate_out > rate_in => {
            Drain::In(backlog as f64 / (rate_out - rate_in))
        }
        (Some(_), Some(_), Some(_)) => Drain::Never,
        _ => Drain::Unknown,
    }
}

impl Track {
    fn add(&mut self, at_ms: u64, source: Source, number: f64) {
        if self.source.replace(source) != Some(source) {
            self.seen.clear();
        }
        self.seen.push_back((at_ms, number));
        while self.seen.len() > HISTORY + 1 {
            self.seen.pop_front();
        }
    }

    fn rate(&self) -> Rate {
        let pairs = self.seen.iter().zip(self.seen.iter().skip(1));
        let history: Vec<f64> = pairs.map(|(before, after)| a_second(*before, *after)).collect();
        let first = self.seen.len().saturating_sub(SMOOTH + 1);
        let now = match (self.seen.get(first), self.seen.back()) {
            (Some(before), Some(after)) if before.0 < after.0 => Some(a_second(*before, *after)),
            _ => None,
        };
        Rate { now, history }
    }
}

/// What was set back is no negative work.
fn a_second(before: (u64, f64), after: (u64, f64)) -> f64 {
    let seconds = after.0.saturating_sub(before.0) as f64 / 1000.0;
    if seconds > 0.0 {
        ((after.1 - before.1) / seconds).max(0.0)
    } else {
        0.0
    }
}

#[cfg(test)]
pub mod tests {
    use super::*;
    use crate::streamer::{Behind, GroupInfo};

    /// A stream with one group `STREAM:g:cg` that was delivered `read` of `added` entries, some of which are pending.
    pub fn stream(name: &str, added: u64, read: u64, pending: u64, consumers: u64) -> StreamState {
        let lag = added - read;
        StreamState {
            name: RawName::from(name),
            length: added,
            groups: vec![GroupState {
                info: GroupInfo {
                    name: RawName::from(format!("{name}:g:cg").as_str()),
                    consumers,
                    pending,
                    last_delivered: EntryId::at_ms(read),
                    read: Some(read),
                    lag: Some(lag),
                },
                lag: Lag::Of(lag),
                behind: if lag + pending > 0 {
                    Behind::Ms(lag * 1000)
                } else {
                    Behind::Nothing
                },
                oldest_idle_ms: None,
            }],
        }
    }

    #[test]
    fn rates_and_the_time_to_drain_are_told_from_what_changed() {
        let mut model = Model::default();
        model.update(0, vec![stream("s", 1000, 0, 0, 1)]);
        assert_eq!(model.streams[0].rate_in.now, None);
        assert_eq!(model.streams[0].groups[0].drain, Drain::Unknown);
        model.update(2000, vec![stream("s", 1020, 120, 20, 1)]);
        let row = &model.streams[0];
        assert_eq!(row.rate_in.now, Some(10.0));
        assert_eq!(row.groups[0].rate_out.now, Some(50.0));
        // 920 are left, and 40 fewer each second.
        assert_eq!(row.groups[0].drain, Drain::In(23.0));
        assert_eq!(row.rate_in.history, [10.0]);
        model.update(4000, vec![stream("s", 2020, 120, 20, 1)]);
        assert_eq!(model.streams[0].groups[0].drain, Drain::Never);
        model.update(6000, vec![stream("s", 2020, 2020, 0, 1)]);
        assert_eq!(model.streams[0].groups[0].drain, Drain::Done);
        assert_eq!(model.streams[0].rate_in.history, [10.0, 500.0, 0.0]);
    }

    #[test]
    fn a_group_that_keeps_up_has_nothing_to_drain() {
        let mut model = Model::default();
        for at in 0..=8 {
            model.update(at * 1000, vec![stream("s", 1000 + at * 100, 990 + at * 100, 100, 1)]);
        }
        assert_eq!(model.streams[0].groups[0].drain, Drain::Done);
        model.update(9000, vec![stream("s", 1900, 1890, 400, 1)]);
        assert_eq!(model.streams[0].groups[0].drain, Drain::Never);
    }

    #[test]
    fn a_group_that_nobody_reads_is_found() {
        let mut model = Model::default();
        model.update(0, vec![stream("s", 10, 0, 0, 0)]);
        assert_eq!(model.streams[0].groups[0].reading, Reading::NoConsumer);
        for at in 1..=6 {
            model.update(at * 2000, vec![stream("s", 10 + at, 5, 0, 1)]);
            let expected = if at == 6 { Reading::Stalled } else { Reading::Yes };
            assert_eq!(model.streams[0].groups[0].reading, expected, "{at}");
        }
        model.update(14_000, vec![stream("s", 16, 6, 0, 1)]);
        assert_eq!(model.streams[0].groups[0].reading, Reading::Yes);
        // Where nothing waits, nothing has to move.
        for at in 8..=20 {
            model.update(at * 2000, vec![stream("s", 16, 16, 0, 1)]);
            assert_eq!(model.streams[0].groups[0].reading, Reading::Yes, "{at}");
        }
    }

    #[test]
    fn what_is_set_back_is_no_negative_work() {
        let mut model = Model::default();
        model.update(0, vec![stream("s", 100, 100, 0, 1)]);
        model.update(1000, vec![stream("s", 100, 0, 0, 1)]);
        assert_eq!(model.streams[0].groups[0].rate_out.now, Some(0.0));
        model.update(2000, Vec::new());
        assert!(model.streams.is_empty() && model.tracks.is_empty());
    }

    #[test]
    fn a_history_has_an_end() {
        let mut model = Model::default();
        for at in 0..200 {
            model.update(at * 1000, vec![stream("s", at, 0, 0, 1)]);
        }
        assert_eq!(model.streams[0].rate_in.history.len(), HISTORY);
        assert_eq!(model.streams[0].rate_in.now, Some(1.0));
    }
}
