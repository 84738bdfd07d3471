//! Rows → tables and figures for people to read. Pure: knows neither the terminal nor Redis.

use std::time::Duration;

use comfy_table::{Cell, CellAlignment, ContentArrangement, Table, presets};
use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

use crate::ui::printable;

/// What stands where a figure is not known. Never 0: nobody could tell the two apart.
pub const UNKNOWN: &str = "?";
/// What stands where there is nothing to tell.
pub const NOTHING: &str = "-";

/// `1 line`, `2 lines`, `1,000 entries`.
pub fn counted(number: u64, noun: &str) -> String {
    let text = grouped(number);
    match (number, noun.strip_suffix('y')) {
        (1, _) => format!("{text} {noun}"),
        (_, Some(stem)) => format!("{text} {stem}ies"),
        (_, None) => format!("{text} {noun}s"),
    }
}

/// `1,000`.
pub fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() * 2);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Stands for what was left out of a name.
const ELLIPSIS: char = '…';
/// Between two columns.
const GAP: usize = 2;
/// No name is made shorter than this: what is left would say nothing.
const SHORTEST: usize = 5;

/// A column: its header, and how its cells are laid out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Column {
    /// Names, which may be shortened.
    Name(&'static str),
    /// Texts that only mean something in full, such as IDs.
    Text(&'static str),
    /// Figures, set to the right.
    Figure(&'static str),
}

impl Column {
    fn header(self) -> &'static str {
        match self {
            Self::Name(header) | Self::Text(header) | Self::Figure(header) => header,
        }
    }

    fn alignment(self) -> CellAlignment {
        match self {
            Self::Name(_) | Self::Text(_) => CellAlignment::Left,
            Self::Figure(_) => CellAlignment::Right,
        }
    }
}

/// A table, a line a row, that fits into `width` columns as far as shorter names can make it; `None` cuts nothing.
pub fn table(columns: &[Column], rows: &[Vec<String>], width: Option<u16>) -> String {
    let mut rows: Vec<Vec<String>> = rows
        .iter()
        .map(|row| row.iter().map(|cell| one_line(cell)).collect())
        .collect();
    if let Some(width) = width {
        for (column, width) in name_widths(columns, &rows, width.into()) {
            for cell in rows.iter_mut().filter_map(|row| row.get_mut(column)) {
                *cell = shorten(cell, width);
            }
        }
    }
    let mut table = Table::new();
    table
        .load_style(presets::NOTHING)
        .set_content_arrangement(ContentArrangement::Disabled)
        .set_header(columns.iter().map(|column| column.header()));
    table.add_rows(rows.iter().map(|row| row.iter().map(Cell::new)));
    for (column, kind) in table.column_iter_mut().zip(columns) {
        column.set_padding((0, GAP as u16)).set_cell_alignment(kind.alignment());
    }
    table.trim_fmt() + "\n"
}

/// A line above a table: what it is about, shortened if need be, and figures.
pub fn heading(subject: &str, figures: &[String], width: Option<u16>) -> String {
    let figures = figures.join(", ");
    let subject = one_line(subject);
    let subject = match width {
        Some(width) => {
            let room = usize::from(width).saturating_sub(figures.width() + 2);
            shorten(&subject, room.max(SHORTEST))
        }
        None => subject,
    };
    format!("{subject}: {figures}\n")
}

/// Facts, each on a line behind what it is called.
pub fn facts(facts: &[(&str, String)]) -> String {
    let widest = facts.iter().map(|(label, _)| label.width()).max().unwrap_or(0);
    let line = |(label, fact): &(&str, String)| format!("{label:widest$}  {}\n", one_line(fact));
    facts.iter().map(line).collect()
}

/// A text that stays on its line and cannot command a terminal.
pub fn one_line(text: &str) -> String {
    // `printable` keeps line breaks, for texts of several lines; a name with one must not look like two rows.
    printable(text).replace('\n', "\\u{a}")
}

/// The columns of names and how wide they may be, where not all can have what they need.
fn name_widths(columns: &[Column], rows: &[Vec<String>], width: usize) -> Vec<(usize, usize)> {
    let needs: Vec<usize> = (0..columns.len())
        .map(|column| {
            let cells = rows.iter().filter_map(|row| row.get(column));
            let widest = cells.map(|cell| cell.width()).max().unwrap_or(0);
            widest.max(columns[column].header().width())
        })
        .collect();
    let mut names: Vec<(usize, usize)> = (0..columns.len())
        .filter(|column| matches!(columns[*column], Column::Name(_)))
        .map(|column| (column, needs[column]))
        .collect();
    let fixed: usize = needs.iter().sum::<usize>() - names.iter().map(|(_, need)| need).sum::<usize>();
    let gaps = GAP * columns.len().saturating_sub(1);
    let room = width.saturating_sub(fixed + gaps);
    share(&mut names, room);
    names
}

/// Cuts needs down until they fit into `room`: short names stay whole, long ones share what is left.
fn share(names: &mut [(usize, usize)], mut room: usize) {
    let mut by_need: Vec<&mut usize> = names.iter_mut().map(|(_, need)| need).collect();
    by_need.sort();
    let count = by_need.len();
    for (done, need) in by_need.into_iter().enumerate() {
        let fair = room / (count - done);
        *need = (*need).min(fair.max(SHORTEST));
        room = room.saturating_sub(*need);
    }
}

/// A name in at most `width` columns. The middle goes: names of a family differ at their ends.
fn shorten(text: &str, width: usize) -> String {
    if text.width() <= width {
        return text.to_owned();
    }
    let room = width.saturating_sub(1);
    let tail = room / 2;
    let head: String = fitting(text.chars(), room - tail).collect();
    let tail: Vec<char> = fitting(text.chars().rev(), tail).collect();
    head.chars().chain([ELLIPSIS]).chain(tail.into_iter().rev()).collect()
}

/// The first characters that fit into `width` columns.
fn fitting(chars: impl Iterator<Item = char>, width: usize) -> impl Iterator<Item = char> {
    chars
        .scan(0, |used, c| {
            *used += c.width().unwrap_or(0);
            Some((*used, c))
        })
        .take_while(move |(used, _)| *used <= width)
        .map(|(_, c)| c)
}

/// Units of a duration, with their lengths in milliseconds.
const UNITS: [(&str, u64); 5] = [
    ("d", 86_400_000),
    ("h", 3_600_000),
    ("m", 60_000),
    ("s", 1000),
    ("ms", 1),
];

/// A duration at a glance: its largest unit and the next, such as `3m 12s` or `450ms`.
pub fn duration(ms: u64) -> String {
    let first = UNITS
        .iter()
        .position(|(_, length)| ms >= *length)
        .unwrap_or(UNITS.len() - 1);
    // Beyond a second, milliseconds only flicker.
    let last = if ms < 1000 {
        first
    } else {
        (first + 1).min(UNITS.len() - 2)
    };
    in_units(ms, &UNITS[first..=last])
}

/// A number of bytes at a glance: `512 B`, `1.5 MiB`.
pub fn bytes(number: u64) -> String {
    const UNITS: [&str; 5] = ["B", "KiB", "MiB", "GiB", "TiB"];
    let steps = (number.checked_ilog2().unwrap_or(0) / 10).min(UNITS.len() as u32 - 1);
    let tenths = (u128::from(number) * 10) >> (10 * steps);
    match steps {
        0 => format!("{number} B"),
        _ => format!("{}.{} {}", tenths / 10, tenths % 10, UNITS[steps as usize]),
    }
}

/// A pause as people speak of it, to the nearest second where it is longer than that.
pub fn roughly(pause: Duration) -> String {
    let ms = u64::try_from(pause.as_millis()).unwrap_or(u64::MAX);
    if ms < 1000 {
        duration(ms)
    } else {
        duration(ms.saturating_add(500) / 1000 * 1000)
    }
}

/// A duration to the millisecond, such as `5m 20ms`.
pub fn exact_duration(ms: u64) -> String {
    in_units(ms, &UNITS)
}

fn in_units(mut ms: u64, units: &[(&str, u64)]) -> String {
    let mut parts = Vec::new();
    for (unit, length) in units {
        match ms / length {
            0 => {}
            count => parts.push(format!("{count}{unit}")),
        }
        ms %= length;
    }
    if parts.is_empty() {
        "0ms".to_owned()
    } else {
        parts.join(" ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const COLUMNS: [Column; 3] = [Column::Name("NAME"), Column::Figure("COUNT"), Column::Text("ID")];

    #[test]
    fn numbers_agree_with_what_they_count() {
        let texts = [(0, "line"), (1, "entry"), (2, "entry"), (1_234_567, "message")].map(|(n, noun)| counted(n, noun));
        assert_eq!(texts, ["0 lines", "1 entry", "2 entries", "1,234,567 messages"]);
    }

    #[test]
    fn bytes_are_counted_in_what_they_fill() {
        let texts = [0, 1023, 1024, 1_610_612, u64::MAX].map(bytes);
        assert_eq!(texts, ["0 B", "1023 B", "1.0 KiB", "1.5 MiB", "16777215.9 TiB"]);
    }

    #[test]
    fn facts_stand_below_each_other() {
        let text = facts(&[("pid", "7".to_owned()), ("server", "a\nb".to_owned())]);
        assert_eq!(text, "pid     7\nserver  a\\u{a}b\n");
    }

    fn rows(rows: &[[&str; 3]]) -> Vec<Vec<String>> {
        rows.iter().map(|row| row.map(str::to_owned).to_vec()).collect()
    }

    #[test]
    fn columns_are_aligned_and_lines_have_no_tail() {
        let rows = rows(&[["a", "5", "1-0"], ["orders", "123456", "12-0"]]);
        assert_eq!(
            table(&COLUMNS, &rows, None),
            "NAME     COUNT  ID\n\
             a            5  1-0\n\
             orders  123456  12-0\n"
        );
    }

    #[test]
    fn a_pipe_cuts_nothing_and_a_terminal_only_names() {
        let name = "n".repeat(300);
        let rows = rows(&[[&name, "5", "1700000000000-0"]]);
        assert!(table(&COLUMNS, &rows, None).contains(&name));
        for width in [40, 60, 80] {
            let text = table(&COLUMNS, &rows, Some(width));
            let lines: Vec<_> = text.lines().collect();
            assert_eq!(lines.len(), 2, "{text}");
            assert_eq!(lines[1].width(), usize::from(width), "{text}");
            assert!(
                lines[1].contains("n…n") && lines[1].ends_with("1700000000000-0"),
                "{text}"
            );
        }
    }

    #[test]
    fn a_terminal_too_narrow_for_the_figures_still_gets_them() {
        let rows = rows(&[["orders:billing:cg", "5", "1700000000000-0"]]);
        let text = table(&COLUMNS, &rows, Some(10));
        assert_eq!(text.lines().nth(1), Some("or…cg      5  1700000000000-0"));
    }

    #[test]
    fn short_names_stay_whole_and_long_ones_share() {
        let mut names = [(0, 6), (1, 50), (2, 50)];
        share(&mut names, 46);
        assert_eq!(names, [(0, 6), (1, 20), (2, 20)]);
        share(&mut names, 100);
        assert_eq!(names, [(0, 6), (1, 20), (2, 20)]);
    }

    #[test]
    fn names_are_shortened_in_the_middle_by_columns_not_bytes() {
        assert_eq!(shorten("orders:billing:cg", 17), "orders:billing:cg");
        assert_eq!(shorten("orders:billing:cg", 9), "orde…g:cg");
        assert_eq!(shorten("日本語のストリーム", 9), "日本…ーム");
        assert_eq!(shorten("日本語のストリーム", 8), "日本…ム");
        assert_eq!(shorten("é́́́abcdef", 4), "é́́́a…f");
    }

    #[test]
    fn control_characters_neither_command_nor_break_a_row() {
        let rows = rows(&[["a\u{1b}[2J\nb\tc", "1", "1-0"]]);
        let text = table(&COLUMNS, &rows, None);
        assert_eq!(text.lines().count(), 2, "{text}");
        assert!(text.contains(r"a\u{1b}[2J\u{a}b\u{9}c"), "{text}");
    }

    #[test]
    fn a_heading_keeps_its_figures() {
        let figures = ["3 pending".to_owned(), "lag 2".to_owned()];
        assert_eq!(heading("group g", &figures, None), "group g: 3 pending, lag 2\n");
        let text = heading(&"x".repeat(100), &figures, Some(30));
        assert_eq!(text.trim_end().width(), 30);
        assert!(text.ends_with("…xxxxx: 3 pending, lag 2\n"), "{text}");
    }

    #[test]
    fn durations_at_a_glance_and_exactly() {
        for (ms, glance, exact) in [
            (0, "0ms", "0ms"),
            (450, "450ms", "450ms"),
            (1_000, "1s", "1s"),
            (12_345, "12s", "12s 345ms"),
            (192_000, "3m 12s", "3m 12s"),
            (300_020, "5m", "5m 20ms"),
            (3_600_000, "1h", "1h"),
            (93_784_005, "1d 2h", "1d 2h 3m 4s 5ms"),
        ] {
            assert_eq!(duration(ms), glance, "{ms}");
            assert_eq!(exact_duration(ms), exact, "{ms}");
        }
    }

    #[test]
    fn pauses_are_rounded() {
        let texts = [0, 4, 999, 1_499, 1_500, 89_600].map(|ms| roughly(Duration::from_millis(ms)));
        assert_eq!(texts, ["0ms", "4ms", "999ms", "1s", "2s", "1m 30s"]);
    }
}
