//! Where nobody looks at a screen: a line of JSON for each look.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use serde::Serialize;

use super::model::{Drain, GroupRow, Model, Reading, StreamRow};
use super::sample::Seen;
use crate::commands::Context;
use crate::commands::pending::json::{GroupJson, StreamHeadJson};
use crate::failure::Failure;
use crate::streamer::{Ending, Error, Look, Lookout};

#[derive(Serialize)]
struct LineJson<'a> {
    time_ms: u64,
    /// Nodes whose streams are missing.
    away: &'a [String],
    /// How many streams this user may not look at.
    hidden_streams: usize,
    streams: Vec<StreamJson<'a>>,
}

#[derive(Serialize)]
struct StreamJson<'a> {
    #[serde(flatten)]
    stream: StreamHeadJson<'a>,
    in_per_second: Option<f64>,
    groups: Vec<WatchedGroupJson<'a>>,
}

#[derive(Serialize)]
struct WatchedGroupJson<'a> {
    #[serde(flatten)]
    group: GroupJson<'a>,
    out_per_second: Option<f64>,
    /// Null where it is not known, or never.
    drain_ms: Option<u64>,
    nobody_reads: bool,
}

/// Prints a line for each look, until a signal comes or nobody reads them.
pub fn run(mut lookout: Lookout, look: &Look, interval: Duration, context: &Context) -> anyhow::Result<Ending> {
    let mut stdout = context.ui.data()?;
    let stop = context.stop.clone();
    stdout.when_closed(move || stop.end(Ending::ReaderGone))?;
    let begun = Instant::now();
    let mut model = Model::default();
    let mut is_lost = false;
    while context.stop.ending().is_none() {
        let next = Instant::now() + interval;
        match Seen::now(&mut lookout, look) {
            Ok(seen) => {
                if std::mem::take(&mut is_lost) {
                    context.ui.status(&format!("{} serves again", context.servers.name()));
                }
                model.update(begun.elapsed().as_millis() as u64, seen.streams);
                let line = line(&model, &seen.away, seen.hidden.len())?;
                if let Err(error) = stdout.write_json(line.as_bytes()) {
                    return Failure::stdout(error);
                }
            }
            Err(error) if is_worth_another_try(&error, &model) => {
                if !std::mem::replace(&mut is_lost, true) {
                    context.ui.warning(&format!("{error}; trying again"));
                }
            }
            Err(error) => return context.stop.ending().ok_or(error.into()),
        }
        context.stop.pause(next.saturating_duration_since(Instant::now()));
    }
    Ok(context.stop.ending().unwrap_or(Ending::Enough))
}

/// A server that was never reached may not exist.
pub fn is_worth_another_try(error: &Error, model: &Model) -> bool {
    error.is_passing() && !model.is_new()
}

fn line(model: &Model, away: &[String], hidden_streams: usize) -> serde_json::Result<String> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let line = LineJson {
        time_ms: now.as_millis() as u64,
        away,
        hidden_streams,
        streams: model.streams.iter().map(stream).collect(),
    };
    serde_json::to_string(&line).map(|line| line + "\n")
}

fn stream(row: &StreamRow) -> StreamJson<'_> {
    let groups = row.state.groups.iter().zip(&row.groups);
    StreamJson {
        stream: StreamHeadJson::of(&row.state),
        in_per_second: row.rate_in.now.map(to_the_tenth),
        groups: groups
            .map(|(state, row)| WatchedGroupJson {
                group: GroupJson::of(state),
                out_per_second: row.rate_out.now.map(to_the_tenth),
                drain_ms: drain_ms(row),
                nobody_reads: row.reading != Reading::Yes,
            })
            .collect(),
    }
}

fn drain_ms(row: &GroupRow) -> Option<u64> {
    match row.drain {
        Drain::Done => Some(0),
        Drain::In(seconds) => Some((seconds * 1000.0) as u64),
        Drain::Never | Drain::Unknown => None,
    }
}

fn to_the_tenth(rate: f64) -> f64 {
    (rate * 10.0).round() / 10.0
}
