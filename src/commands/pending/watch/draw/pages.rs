//! A group from near, and an entry.

use super::super::model::Reading;
use super::figures::{drain, number, rate};
use super::rows::{lag, note, nothing};
use super::{Letters, Line, Scene, fit, right, select, shorten, window};
use crate::commands::pending::tables::behind;
use crate::json::{Kind, tokens};
use crate::render::{NOTHING, duration, one_line};
use crate::streamer::{Behind, ConsumerInfo, EntryId, PendingEntry, RawName};
use crate::ui::palette::{ERROR, HEAD, JSON_KEY, JSON_NUMBER, JSON_TEXT, JSON_WORD};
use crate::ui::{Span, printable};
use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

/// How wide columns of figures are.
const FIGURE: usize = 10;
const GAP: usize = 2;

pub fn group(scene: &Scene<'_>, stream: &RawName, group: &RawName, width: usize, room: usize) -> Vec<Line> {
    let mut lines = vec![
        heading(stream, group, width),
        state(scene, stream, group, width),
        Vec::new(),
    ];
    let Some(detail) = &scene.view.detail else {
        lines.push(nothing("asking"));
        return lines;
    };
    let left = room.saturating_sub(lines.len());
    // Entries get what consumers leave, which is half at least.
    let consumers = consumers(&detail.consumers, width, left / 2, scene.letters);
    let left = left.saturating_sub(consumers.len() + 1);
    lines.extend(consumers);
    lines.push(Vec::new());
    lines.extend(entries(&detail.entries, scene, width, left));
    lines
}

fn heading(stream: &RawName, group: &RawName, width: usize) -> Line {
    let text = format!("group {group} on {stream}");
    vec![Span::styled(shorten(&one_line(&text), width), Some(HEAD))]
}

fn state(scene: &Scene<'_>, stream: &RawName, group: &RawName, width: usize) -> Line {
    let Some((row, state, group)) = scene.model.find(stream, group) else {
        return vec![Span::styled("it is gone", Some(ERROR))];
    };
    let mut parts = vec![
        format!("{} pending", number(state.info.pending)),
        format!("lag {}", lag(state.lag)),
    ];
    if state.behind != Behind::Nothing {
        parts.push(format!("behind {}", behind(state.behind, duration)));
    }
    parts.push(format!("in {}/s", rate(row.rate_in.now)));
    parts.push(format!("out {}/s", rate(group.rate_out.now)));
    parts.push(format!("drain {}", drain(group.drain)));
    let text = shorten(&parts.join(", "), width);
    let left = width.saturating_sub(text.width());
    match group.reading {
        Reading::Yes => vec![text.into()],
        reading => {
            let note = shorten(&format!("; {}", note(reading)), left);
            vec![text.into(), Span::styled(note, Some(ERROR))]
        }
    }
}

/// The room that names have beside so many figures.
fn name_room(width: usize, figures: usize) -> usize {
    width.saturating_sub(figures * (FIGURE + GAP)).max(1)
}

fn row(name: &str, name_width: usize, figures: &[String], letters: Letters) -> String {
    let mut text = fit(&one_line(name), name_width, letters);
    for figure in figures {
        text.push_str(&" ".repeat(GAP));
        text.push_str(&right(figure, FIGURE));
    }
    text
}

fn consumers(consumers: &[ConsumerInfo], width: usize, room: usize, letters: Letters) -> Vec<Line> {
    let names = name_room(width, 3);
    let head = ["PENDING", "IDLE", "INACTIVE"].map(str::to_owned);
    let mut lines = vec![vec![Span::styled(row("CONSUMER", names, &head, letters), Some(HEAD))]];
    let most = room.saturating_sub(1);
    let mut sorted: Vec<_> = consumers.iter().collect();
    sorted.sort_by_key(|consumer| std::cmp::Reverse(consumer.pending));
    let shown = if sorted.len() > most {
        most.saturating_sub(1)
    } else {
        sorted.len()
    };
    for consumer in &sorted[..shown] {
        let figures = [
            number(consumer.pending),
            duration(consumer.idle_ms),
            consumer.inactive_ms.map_or_else(|| NOTHING.to_owned(), duration),
        ];
        lines.push(vec![row(&consumer.name.to_string(), names, &figures, letters).into()]);
    }
    match sorted.len() - shown {
        0 if sorted.is_empty() => lines.push(nothing("")),
        0 => {}
        more => lines.push(vec![format!("and {more} more").into()]),
    }
    lines
}

fn entries(entries: &[PendingEntry], scene: &Scene<'_>, width: usize, room: usize) -> Vec<Line> {
    const ID: usize = 20;
    let letters = scene.letters;
    let names = name_room(width.saturating_sub(ID + GAP + 2), 2);
    let line = |mark: &str, id: &str, consumer: &str, figures: &[String]| {
        format!(
            "{mark}{}  {}",
            fit(id, ID, letters),
            row(consumer, names, figures, letters)
        )
    };
    let head = line("  ", "ID", "CONSUMER", &["IDLE", "DELIVERIES"].map(str::to_owned));
    let mut lines = vec![vec![Span::styled(shorten(&head, width), Some(HEAD))]];
    if entries.is_empty() {
        lines.push(nothing("nothing is pending"));
        return lines;
    }
    let selected = scene.view.line.min(entries.len() - 1);
    for index in window(entries.len(), room.saturating_sub(1), selected) {
        let entry = &entries[index];
        let figures = [
            entry.idle_ms.map_or_else(|| NOTHING.to_owned(), duration),
            number(entry.deliveries),
        ];
        let mark = if index == selected { "> " } else { "  " };
        let text = line(mark, &entry.id.to_string(), &entry.consumer.to_string(), &figures);
        let shown = vec![shorten(&text, width).into()];
        lines.push(if index == selected { select(shown, width) } else { shown });
    }
    lines
}

pub fn entry(
    scene: &Scene<'_>,
    (stream, group): (&RawName, &RawName),
    id: EntryId,
    width: usize,
    room: usize,
) -> Vec<Line> {
    let text = format!("entry {id} of {stream}, pending in {group}");
    let mut lines = vec![
        vec![Span::styled(shorten(&one_line(&text), width), Some(HEAD))],
        Vec::new(),
    ];
    match scene.view.detail.as_ref().map(|detail| detail.entry.as_ref()) {
        None => lines.push(nothing("asking")),
        Some(None) => lines.push(nothing("it was deleted or trimmed while it was pending")),
        Some(Some(json)) => {
            let shown = json.iter().skip(scene.view.line);
            let left = room.saturating_sub(lines.len());
            lines.extend(shown.flat_map(|line| wrapped(line, width)).take(left));
        }
    }
    lines
}

/// A line of JSON in its colours, as many lines as it takes.
fn wrapped(json: &str, width: usize) -> Vec<Line> {
    let mut lines = vec![Line::new()];
    let mut used = 0;
    for token in tokens(&printable(json)) {
        let style = match token.kind {
            Kind::Key => Some(JSON_KEY),
            Kind::Text => Some(JSON_TEXT),
            Kind::Number => Some(JSON_NUMBER),
            Kind::Word => Some(JSON_WORD),
            Kind::Mark | Kind::Space => None,
        };
        let mut piece = String::new();
        for c in token.text.chars() {
            let needs = c.width().unwrap_or(0);
            if used + needs > width {
                add(&mut lines, std::mem::take(&mut piece), style);
                lines.push(Line::new());
                used = 0;
            }
            piece.push(c);
            used += needs;
        }
        add(&mut lines, piece, style);
    }
    lines
}

fn add(lines: &mut [Line], text: String, style: Option<crate::ui::palette::Style>) {
    if let Some(line) = lines.last_mut().filter(|_| !text.is_empty()) {
        line.push(Span::styled(text, style));
    }
}
