//! The list of streams, each above its groups.

use super::super::model::{Drain, GroupRow, Model, Rate, Reading, StreamRow};
use super::figures::{drain, number, rate, sparkline};
use super::{Letters, Line, Scene, fit, right, select, shorten, styled, window};
use crate::commands::pending::tables::{OLD_MS, behind, short_name};
use crate::render::{NOTHING, UNKNOWN, counted, duration, grouped, one_line};
use crate::streamer::{Behind, GroupState, Lag};
use crate::ui::Span;
use crate::ui::palette::{ASIDE, ERROR, HEAD, WARNING};
use unicode_width::UnicodeWidthStr;

/// A column of figures, and how wide it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Column {
    Length,
    Lag,
    Pending,
    Behind,
    In,
    Out,
    History,
    Drain,
    Consumers,
    Note,
}

impl Column {
    fn header(self) -> &'static str {
        match self {
            Self::Length => "LENGTH",
            Self::Lag => "LAG",
            Self::Pending => "PENDING",
            Self::Behind => "BEHIND",
            Self::In => "IN/s",
            Self::Out => "OUT/s",
            Self::History => "HISTORY",
            Self::Drain => "DRAIN",
            Self::Consumers => "CONSUMERS",
            Self::Note => "NOTE",
        }
    }

    fn width(self) -> usize {
        match self {
            Self::Length | Self::Lag | Self::Pending | Self::Behind | Self::Drain => 7,
            Self::In | Self::Out => 6,
            Self::History => 16,
            Self::Consumers => 9,
            Self::Note => 14,
        }
    }

    /// What a screen of a width has room for, beside names.
    fn of(width: usize) -> &'static [Self] {
        match width {
            0..80 => &[Self::Lag, Self::Pending, Self::Behind, Self::In, Self::Out],
            80..110 => &[Self::Lag, Self::Pending, Self::Behind, Self::In, Self::Out, Self::Drain],
            110..150 => &[
                Self::Lag,
                Self::Pending,
                Self::Behind,
                Self::In,
                Self::Out,
                Self::History,
                Self::Drain,
                Self::Note,
            ],
            _ => &[
                Self::Length,
                Self::Lag,
                Self::Pending,
                Self::Behind,
                Self::In,
                Self::Out,
                Self::History,
                Self::Drain,
                Self::Consumers,
                Self::Note,
            ],
        }
    }
}

/// Between two columns, and before the names: a mark.
const GAP: usize = 2;
const MARK: usize = 2;
/// No name needs more.
const LONGEST_NAME: usize = 80;

pub fn streams(scene: &Scene<'_>, width: usize, room: usize) -> Vec<Line> {
    let columns = Column::of(width);
    let taken: usize = columns.iter().map(|column| column.width() + GAP).sum();
    let name_width = width.saturating_sub(taken + MARK).clamp(1, LONGEST_NAME);
    let selection = scene.view.selection(scene.model);
    let mut lines = Vec::new();
    let mut selected = 0;
    for (row, groups) in scene.view.rows(scene.model) {
        lines.push(of_stream(row, columns, name_width, scene.letters));
        for index in groups {
            let (Some(state), Some(group)) = (row.state.groups.get(index), row.groups.get(index)) else {
                continue;
            };
            let is_selected = selection
                .as_ref()
                .is_some_and(|(stream, name)| *stream == row.state.name && *name == state.info.name);
            let name = short_name(&row.state, &state.info.name);
            let line = of_group(&name, (state, group), columns, name_width, scene.letters, is_selected);
            if is_selected {
                selected = lines.len();
                lines.push(select(line, width));
            } else {
                lines.push(line);
            }
        }
    }
    let shown = window(lines.len(), room.saturating_sub(3), selected);
    let more = lines.len() > shown.len();
    let mut all = vec![summary(scene, width, more), Vec::new(), head(columns, name_width)];
    all.extend(lines.drain(shown));
    all
}

/// All of it on one line.
fn summary(scene: &Scene<'_>, width: usize, more: bool) -> Line {
    let Model { streams, .. } = scene.model;
    let groups: u64 = streams.iter().map(|row| row.groups.len() as u64).sum();
    let unread = streams
        .iter()
        .flat_map(|row| &row.groups)
        .filter(|group| group.reading != Reading::Yes)
        .count() as u64;
    let mut parts = vec![
        counted(streams.len() as u64, "stream"),
        counted(groups, "group"),
        format!("sorted by {}", scene.view.sort.name()),
    ];
    if !scene.view.filter.is_empty() {
        parts.push(format!("with \"{}\"", one_line(&scene.view.filter)));
    }
    if more {
        parts.push("more below or above".to_owned());
    }
    let text = parts.join(", ");
    // In few words where there is no room for many: that somebody has to see.
    let (mark, short) = match unread {
        0 => (String::new(), String::new()),
        unread => (
            format!("; {} that nobody reads", counted(unread, "group")),
            format!("; {} unread", grouped(unread)),
        ),
    };
    let left = shorten(&text, width.saturating_sub(short.width()));
    let room = width.saturating_sub(left.width());
    let mark = if mark.width() <= room { mark } else { short };
    vec![left.into(), Span::styled(shorten(&mark, room), Some(ERROR))]
}

fn head(columns: &[Column], name_width: usize) -> Line {
    let mut text = format!(
        "{}{}",
        " ".repeat(MARK),
        fit("STREAM / GROUP", name_width, Letters::Ascii)
    );
    for column in columns {
        text.push_str(&" ".repeat(GAP));
        text.push_str(&match column {
            Column::Note | Column::History => fit(column.header(), column.width(), Letters::Ascii),
            column => right(column.header(), column.width()),
        });
    }
    vec![Span::styled(text, Some(HEAD))]
}

fn of_stream(row: &StreamRow, columns: &[Column], name_width: usize, letters: Letters) -> Line {
    let name = fit(&one_line(&row.state.name.to_string()), name_width, letters);
    let mut line: Line = vec![" ".repeat(MARK).into(), Span::styled(name, Some(HEAD))];
    for column in columns {
        line.push(" ".repeat(GAP).into());
        let width = column.width();
        line.push(match column {
            Column::Length => right(&number(row.state.length), width).into(),
            Column::In => right(&rate(row.rate_in.now), width).into(),
            Column::History => history(&row.rate_in, width, letters),
            Column::Note if row.state.groups.is_empty() => {
                Span::styled(fit("no groups", width, letters), Some(WARNING))
            }
            _ => " ".repeat(width).into(),
        });
    }
    line
}

fn of_group(
    name: &str,
    (state, row): (&GroupState, &GroupRow),
    columns: &[Column],
    name_width: usize,
    letters: Letters,
    is_selected: bool,
) -> Line {
    let is_unread = row.reading != Reading::Yes;
    let mark = match (is_selected, is_unread) {
        (true, true) => ">!",
        (true, false) => "> ",
        (false, true) => " !",
        (false, false) => "  ",
    };
    let name = fit(&format!("  {}", one_line(name)), name_width, letters);
    let mut line: Line = vec![Span::styled(mark, styled(is_unread, ERROR)), name.into()];
    for column in columns {
        line.push(" ".repeat(GAP).into());
        line.push(cell(*column, state, row, letters));
    }
    line
}

fn cell(column: Column, state: &GroupState, row: &GroupRow, letters: Letters) -> Span {
    let width = column.width();
    let figure = |text: String, is_odd: bool| Span::styled(right(&text, width), styled(is_odd, WARNING));
    match column {
        Column::Lag => figure(lag(state.lag), state.lag.least().is_some_and(|lag| lag > 0)),
        Column::Pending => figure(number(state.info.pending), false),
        Column::Behind => {
            let is_old = matches!(state.behind, Behind::Ms(ms) if ms >= OLD_MS);
            figure(behind(state.behind, duration), is_old)
        }
        Column::Out => figure(rate(row.rate_out.now), false),
        Column::History => history(&row.rate_out, width, letters),
        Column::Drain => figure(drain(row.drain), row.drain == Drain::Never),
        Column::Consumers => figure(number(state.info.consumers), false),
        Column::Note => {
            let note = note(row.reading);
            Span::styled(fit(note, width, letters), styled(!note.is_empty(), ERROR))
        }
        Column::Length | Column::In => " ".repeat(width).into(),
    }
}

fn history(rate: &Rate, width: usize, letters: Letters) -> Span {
    Span::styled(sparkline(&rate.history, width, letters), Some(ASIDE))
}

pub fn note(reading: Reading) -> &'static str {
    match reading {
        Reading::Yes => "",
        Reading::NoConsumer => "nobody reads",
        Reading::Stalled => "stalled",
    }
}

/// A lag in few columns.
pub fn lag(lag: Lag) -> String {
    match lag {
        Lag::Of(count) => number(count),
        Lag::AtLeast(count) => format!(">{}", number(count.saturating_sub(1))),
        Lag::Unknown => UNKNOWN.to_owned(),
    }
}

/// What stands where a page has nothing.
pub fn nothing(text: &str) -> Line {
    vec![if text.is_empty() { NOTHING.into() } else { text.into() }]
}
