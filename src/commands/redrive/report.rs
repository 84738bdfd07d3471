//! What a redrive did: as a table, as JSON, and in words.

use serde::Serialize;

use crate::failure::Failure;
use crate::partitions::Streams;
use crate::render::{Cell, Column, Layout, Row, counted, grouped, one_line, table};
use crate::streamer::{Mode, Outcome, Why};
use crate::ui::Ui;

/// What became of the dead letters of each stream.
pub struct Report<'a> {
    streams: &'a Streams,
    mode: Mode,
    parts: Vec<(String, Outcome)>,
}

impl<'a> Report<'a> {
    pub fn new(streams: &'a Streams, mode: Mode) -> Self {
        Self {
            streams,
            mode,
            parts: Vec::new(),
        }
    }

    pub fn add(&mut self, stream: &str, outcome: Outcome) {
        self.parts.push((stream.to_owned(), outcome));
    }

    /// Whether there is nothing to tell.
    pub fn is_empty(&self) -> bool {
        self.moved() + self.left() == 0
    }

    fn moved(&self) -> u64 {
        self.parts.iter().map(|(_, outcome)| outcome.moved()).sum()
    }

    fn left(&self) -> u64 {
        self.parts.iter().map(|(_, outcome)| outcome.left()).sum()
    }

    /// How many went where; nothing where none did.
    pub fn table(&self, layout: Layout) -> String {
        let moved = match self.mode {
            Mode::Move => "MOVED",
            Mode::Preview => "WOULD MOVE",
        };
        let mut columns = vec![Column::Name("TO"), Column::Figure(moved)];
        if self.streams.are_partitions() {
            columns.insert(0, Column::Name("FROM"));
        }
        let row = |stream: &str, to: &str, moved: u64| {
            let mut row: Vec<Cell> = vec![to.into(), layout.number(moved).into()];
            if self.streams.are_partitions() {
                row.insert(0, stream.into());
            }
            Row::Cells(row)
        };
        let parts = self.parts.iter();
        let rows: Vec<_> = parts
            .flat_map(|(stream, outcome)| outcome.moved.iter().map(move |(to, moved)| row(stream, to, *moved)))
            .collect();
        if rows.is_empty() {
            return String::new();
        }
        table(&columns, rows, layout)
    }

    /// One document: an object, or an array of them where a pattern names several streams.
    pub fn json(&self) -> serde_json::Result<String> {
        let mut parts: Vec<_> = self
            .parts
            .iter()
            .map(|(stream, outcome)| self.part(stream, outcome))
            .collect();
        let text = match (self.streams.are_partitions(), parts.pop()) {
            (false, Some(part)) => serde_json::to_string(&part),
            (_, last) => {
                parts.extend(last);
                serde_json::to_string(&parts)
            }
        };
        text.map(|text| text + "\n")
    }

    fn part<'p>(&self, stream: &'p str, outcome: &'p Outcome) -> PartJson<'p> {
        PartJson {
            stream,
            dry_run: self.mode == Mode::Preview,
            moved: outcome.moved(),
            to: outcome
                .moved
                .iter()
                .map(|(stream, moved)| ToJson { stream, moved: *moved })
                .collect(),
            left: outcome
                .left
                .iter()
                .map(|(why, left)| LeftJson {
                    reason: reason(why),
                    to: target(why),
                    count: left.count,
                    first: left.ids.iter().map(ToString::to_string).collect(),
                })
                .collect(),
            deleted_by_others: outcome.taken,
            in_doubt: outcome.in_doubt,
        }
    }

    /// Says what was done, and what was left and why.
    pub fn say(&self, ui: Ui) {
        let letters = counted(self.moved(), "dead letter");
        let streams = one_line(&self.streams.to_string());
        ui.status(&match self.mode {
            Mode::Move => format!("moved {letters} of {streams}"),
            Mode::Preview => format!("would move {letters} of {streams}"),
        });
        for (stream, outcome) in &self.parts {
            for (why, left) in &outcome.left {
                let ids: Vec<_> = left.ids.iter().map(ToString::to_string).collect();
                let more = if left.count > ids.len() as u64 { ", …" } else { "" };
                ui.warning(&format!(
                    "{} of {} left: {}: {}{more}",
                    grouped(left.count),
                    one_line(stream),
                    self.words(outcome, why),
                    ids.join(", ")
                ));
            }
            if outcome.taken > 0 {
                ui.warning(&format!(
                    "{} of {} deleted by somebody else as they were moved",
                    grouped(outcome.taken),
                    one_line(stream)
                ));
            }
            if outcome.in_doubt > 0 {
                ui.warning(&format!(
                    "{} of {} may have been moved, and are not counted: run it again for the rest",
                    grouped(outcome.in_doubt),
                    one_line(stream)
                ));
            }
        }
    }

    fn words(&self, outcome: &Outcome, why: &Why) -> String {
        match why {
            Why::NoOrigin => "no field dead-stream says where they came from".to_owned(),
            Why::UnusableOrigin => "their field dead-stream is no stream's name".to_owned(),
            Why::Empty => "they hold no field of their own".to_owned(),
            Why::Refused(target) => match outcome.refusals.get(target) {
                Some(error) => error.to_string(),
                None => format!("'{target}' takes none"),
            },
        }
    }

    /// To leave some is a failure.
    pub fn verdict(self) -> anyhow::Result<()> {
        let (left, moved) = (self.left(), self.moved());
        if left == 0 {
            return Ok(());
        }
        let message = format!(
            "{} left where {}, of {}",
            counted(left, "dead letter"),
            if left == 1 { "it is" } else { "they are" },
            grouped(left + moved)
        );
        let mut reasons = self.parts.iter().flat_map(|(_, outcome)| outcome.left.keys());
        let failure = match reasons.all(|why| matches!(why, Why::NoOrigin | Why::UnusableOrigin)) {
            true => Failure::data(message).hint("--to STREAM says where they are to go"),
            false => Failure::data(message),
        };
        let refusal = self
            .parts
            .into_iter()
            .find_map(|(_, outcome)| outcome.refusals.into_values().next());
        match refusal {
            Some(error) => Err(anyhow::Error::new(error).context(failure)),
            None => Err(failure.into()),
        }
    }
}

/// The word for a reason in JSON.
fn reason(why: &Why) -> &'static str {
    match why {
        Why::NoOrigin => "no-dead-stream",
        Why::UnusableOrigin => "unusable-dead-stream",
        Why::Empty => "no-fields",
        Why::Refused(_) => "refused",
    }
}

fn target(why: &Why) -> Option<&str> {
    match why {
        Why::Refused(target) => Some(target),
        Why::NoOrigin | Why::UnusableOrigin | Why::Empty => None,
    }
}

#[derive(Serialize)]
struct PartJson<'a> {
    stream: &'a str,
    dry_run: bool,
    moved: u64,
    to: Vec<ToJson<'a>>,
    left: Vec<LeftJson<'a>>,
    deleted_by_others: u64,
    in_doubt: u64,
}

#[derive(Serialize)]
struct ToJson<'a> {
    stream: &'a str,
    moved: u64,
}

#[derive(Serialize)]
struct LeftJson<'a> {
    reason: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    to: Option<&'a str>,
    count: u64,
    first: Vec<String>,
}
