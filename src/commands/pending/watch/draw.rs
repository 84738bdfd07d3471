//! Frames: what is looked at, as lines for a screen of a size. Pure.

mod figures;
mod pages;
mod rows;

use std::time::Duration;

use super::model::Model;
use super::view::{Page, View};
use crate::render::{duration, one_line, shorten};
use crate::ui::Span;
use crate::ui::palette::{ASIDE, ERROR, HEAD, SELECTED, Style, WARNING};
use unicode_width::UnicodeWidthStr;

/// A line of a frame.
pub type Line = Vec<Span>;

/// What a frame shows.
pub struct Scene<'a> {
    pub model: &'a Model,
    pub view: &'a View,
    pub server: &'a str,
    pub interval: Duration,
    pub status: &'a Status,
    pub letters: Letters,
}

/// How it goes with the servers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Status {
    /// Nothing was seen yet.
    Waiting,
    Well,
    /// What is shown is old, or not all.
    Trouble(String),
}

/// What characters a terminal has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Letters {
    Ascii,
    Unicode,
}

/// The lines of a screen of this size, from the top.
pub fn frame(scene: &Scene<'_>, width: u16, height: u16) -> Vec<Line> {
    let (width, height) = (usize::from(width), usize::from(height));
    let mut lines = vec![title(scene, width)];
    lines.extend(trouble(scene.status, width));
    let room = height.saturating_sub(lines.len() + 1);
    lines.extend(if scene.view.is_help_shown {
        help(scene.letters, width)
    } else if *scene.status == Status::Waiting {
        vec![vec!["connecting …".replace('…', scene.letters.ellipsis()).into()]]
    } else {
        match &scene.view.page {
            Page::Streams => rows::streams(scene, width, room),
            Page::Group { stream, group } => pages::group(scene, stream, group, width, room),
            Page::Entry { stream, group, id } => pages::entry(scene, (stream, group), *id, width, room),
        }
    });
    lines.resize(height.saturating_sub(1), Vec::new());
    lines.push(keys(scene, width));
    lines.truncate(height);
    lines
}

fn title(scene: &Scene<'_>, width: usize) -> Line {
    let every = format!(
        "every {}",
        duration(scene.interval.as_millis().try_into().unwrap_or(u64::MAX))
    );
    let room = width.saturating_sub(every.width() + 2);
    let left = shorten(&format!("pending on {}", one_line(scene.server)), room);
    let space = " ".repeat(width.saturating_sub(left.width() + every.width()));
    vec![
        Span::styled(left, Some(HEAD)),
        space.into(),
        Span::styled(every, Some(ASIDE)),
    ]
}

fn trouble(status: &Status, width: usize) -> Option<Line> {
    match status {
        Status::Trouble(text) => Some(vec![Span::styled(shorten(&one_line(text), width), Some(ERROR))]),
        Status::Waiting | Status::Well => None,
    }
}

fn keys(scene: &Scene<'_>, width: usize) -> Line {
    let view = scene.view;
    if view.is_typing {
        let typed = format!("filter: {}_", one_line(&view.filter));
        return vec![Span::styled(shorten(&typed, width), Some(WARNING))];
    }
    let keys = match view.page {
        _ if view.is_help_shown => "any key goes back",
        Page::Streams => "? help  enter open  s sort  / filter  q quit",
        Page::Group { .. } => "? help  enter look at an entry  esc back  q quit",
        Page::Entry { .. } => "? help  esc back  q quit",
    };
    vec![Span::styled(shorten(keys, width), Some(ASIDE))]
}

fn help(letters: Letters, width: usize) -> Vec<Line> {
    let arrows = match letters {
        Letters::Unicode => "↑ ↓ k j",
        Letters::Ascii => "up down k j",
    };
    let rows = [
        (arrows, "select; page up and down, g and G go further"),
        ("enter", "open a group, then an entry of it"),
        ("esc", "back; in the list, show all again"),
        ("s", "sort by: behind, name, lag, pending, in, out"),
        ("/", "show only what has something in its name"),
        ("r", "ask at once, also for streams that are new"),
        ("q", "quit"),
        ("", ""),
        ("LAG", "entries not yet delivered"),
        ("PENDING", "entries delivered and not acknowledged"),
        ("BEHIND", "age of the oldest entry not acknowledged"),
        ("IN/s", "entries added a second"),
        ("OUT/s", "entries acknowledged a second"),
        ("DRAIN", "time until all is done, at this rate"),
        ("!", "no consumer, or nothing delivered for 10s"),
    ];
    let row = |(key, text): (&str, &str)| {
        let key = format!("  {key:<12}");
        let room = width.saturating_sub(key.width());
        vec![Span::styled(key, Some(HEAD)), shorten(text, room).into()]
    };
    rows.into_iter().map(row).collect()
}

impl Letters {
    fn ellipsis(self) -> &'static str {
        match self {
            Self::Unicode => "…",
            Self::Ascii => "...",
        }
    }
}

/// A text in a column, cut and filled.
fn fit(text: &str, width: usize, letters: Letters) -> String {
    let text = shorten(text, width);
    let text = match letters {
        Letters::Unicode => text,
        Letters::Ascii => text.replace('…', "~"),
    };
    format!("{text}{}", " ".repeat(width.saturating_sub(text.width())))
}

/// A figure in a column, to the right.
fn right(text: &str, width: usize) -> String {
    format!("{}{text}", " ".repeat(width.saturating_sub(text.width())))
}

/// What is selected looks like that, and has a mark for terminals without.
fn select(line: Line, width: usize) -> Line {
    let shown: usize = line.iter().map(|span| span.text.width()).sum();
    let space = Span::from(" ".repeat(width.saturating_sub(shown)));
    let whole = line.into_iter().chain([space]);
    whole.map(|span| Span::styled(span.text, Some(SELECTED))).collect()
}

/// The part of many lines that is shown, so that one of them is among it.
fn window(lines: usize, room: usize, shown: usize) -> std::ops::Range<usize> {
    let start = shown.saturating_sub(room / 2).min(lines.saturating_sub(room));
    start..(start + room).min(lines)
}

fn styled(is: bool, style: Style) -> Option<Style> {
    is.then_some(style)
}

#[cfg(test)]
mod tests;
