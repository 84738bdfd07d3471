//! Rows → tables: a header, aligned columns, no lines; made to fit the terminal. Pure.

use comfy_table::{CellAlignment, ContentArrangement, Table, presets};
use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

use crate::ui::printable;

/// What stands where there is nothing to show.
pub const NONE: &str = "-";
/// What stands for a figure that the server does not know.
const UNKNOWN: &str = "?";
/// Columns of space between two columns.
const GAP: u16 = 2;
/// A name is not shortened below this: `o…:cg` can still be told from its neighbours.
const SHORTEST_NAME: usize = 5;

/// A column of a table.
#[derive(Clone, Copy, Debug)]
pub struct Column {
    heading: &'static str,
    kind: Kind,
}

/// How a column is aligned, and whether it gives way on a narrow terminal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// Somebody's choice, of any length: shortened where room is short.
    Name,
    /// Always shown whole.
    Id,
    /// Always shown whole, to the right.
    Number,
}

impl Column {
    /// A column of names, which are shortened where room is short.
    pub const fn name(heading: &'static str) -> Self {
        Self {
            heading,
            kind: Kind::Name,
        }
    }

    /// A column of texts that are only of use as a whole.
    pub const fn id(heading: &'static str) -> Self {
        Self {
            heading,
            kind: Kind::Id,
        }
    }

    /// A column of figures.
    pub const fn number(heading: &'static str) -> Self {
        Self {
            heading,
            kind: Kind::Number,
        }
    }
}

/// A table, each of its lines ended. `width` is the terminal's; without one nothing is shortened.
pub fn table(columns: &[Column], rows: Vec<Vec<String>>, width: Option<u16>) -> String {
    let mut rows: Vec<Vec<String>> = rows
        .into_iter()
        .map(|row| row.iter().map(|cell| one_line(cell)).collect())
        .collect();
    if let Some(width) = width {
        shorten_names(columns, &mut rows, usize::from(width));
    }
    lay_out(columns, rows)
        .lines()
        .map(|line| {
            let line = line.trim_end();
            match width {
                Some(width) => clip(line, usize::from(width)) + "\n",
                None => format!("{line}\n"),
            }
        })
        .collect()
}

fn lay_out(columns: &[Column], rows: Vec<Vec<String>>) -> Table {
    let mut table = Table::new();
    table
        .load_style(presets::NOTHING)
        .set_content_arrangement(ContentArrangement::Disabled)
        .set_header(columns.iter().map(|column| column.heading))
        .add_rows(rows);
    for (column, laid_out) in columns.iter().zip(table.column_iter_mut()) {
        laid_out.set_padding((0, GAP));
        if column.kind == Kind::Number {
            laid_out.set_cell_alignment(CellAlignment::Right);
        }
    }
    table
}

/// Shortens names until the rows fit, the longest column first.
fn shorten_names(columns: &[Column], rows: &mut [Vec<String>], width: usize) {
    let mut widths: Vec<usize> = columns
        .iter()
        .enumerate()
        .map(|(at, column)| {
            let cells = rows.iter().filter_map(|row| row.get(at));
            cells.map(|cell| cell.width()).fold(column.heading.width(), usize::max)
        })
        .collect();
    let gaps = usize::from(GAP) * columns.len().saturating_sub(1);
    while widths.iter().sum::<usize>() + gaps > width {
        let longest = columns
            .iter()
            .zip(&mut widths)
            .filter(|(column, room)| column.kind == Kind::Name && **room > column.heading.width().max(SHORTEST_NAME))
            .max_by_key(|(_, room)| **room);
        match longest {
            Some((_, room)) => *room -= 1,
            None => break,
        }
    }
    for row in rows {
        for ((cell, column), width) in row.iter_mut().zip(columns).zip(&widths) {
            if column.kind == Kind::Name {
                *cell = shorten(cell, *width);
            }
        }
    }
}

/// Takes out a piece of a name, and keeps more of its end than of its beginning: groups begin like their stream and
/// consumers like their group, so that it is the end that tells them apart.
fn shorten(text: &str, width: usize) -> String {
    if text.width() <= width {
        return text.to_owned();
    }
    let room = width.saturating_sub(1);
    let head = fitting(text.chars(), room / 3);
    let tail: Vec<char> = fitting(text.chars().rev(), room - room / 3).chars().collect();
    head + "…" + &tail.into_iter().rev().collect::<String>()
}

/// A line that does not run over the edge of a terminal too narrow even for shortened names.
fn clip(line: &str, width: usize) -> String {
    if line.width() <= width {
        return line.to_owned();
    }
    fitting(line.chars(), width.saturating_sub(1)) + "…"
}

/// As many characters as fit.
fn fitting(chars: impl Iterator<Item = char>, width: usize) -> String {
    let mut used = 0;
    chars
        .take_while(|c| {
            used += c.width().unwrap_or(0);
            used <= width
        })
        .collect()
}

/// A text from the server as it may stand in a line: nothing in it commands the terminal or breaks the line.
pub fn one_line(text: &str) -> String {
    printable(text).replace('\n', "\\n")
}

/// A figure that the server may not know.
pub fn figure(known: Option<u64>) -> String {
    known.map_or_else(|| UNKNOWN.to_owned(), |figure| figure.to_string())
}

/// Milliseconds as people say them, in their two largest units: `450ms`, `12s`, `3m 12s`, `2d 4h`.
pub fn duration(ms: u64) -> String {
    const UNITS: [(u64, &str); 4] = [(86_400, "d"), (3_600, "h"), (60, "m"), (1, "s")];
    let seconds = ms / 1000;
    let Some(at) = UNITS.iter().position(|(unit, _)| seconds >= *unit) else {
        return format!("{ms}ms");
    };
    let (unit, name) = UNITS[at];
    let whole = format!("{}{name}", seconds / unit);
    match UNITS.get(at + 1) {
        Some((next, name)) if seconds % unit >= *next => format!("{whole} {}{name}", seconds % unit / next),
        _ => whole,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const COLUMNS: [Column; 3] = [Column::name("GROUP"), Column::number("LAG"), Column::id("ID")];

    fn row(cells: [&str; 3]) -> Vec<String> {
        cells.map(str::to_owned).to_vec()
    }

    #[test]
    fn columns_are_aligned_and_lines_have_no_blanks_at_their_end() {
        let rows = vec![row(["orders:billing:cg", "12", "1-0"]), row(["g", "?", "-"])];
        let expected = "\
GROUP              LAG  ID
orders:billing:cg   12  1-0
g                    ?  -
";
        assert_eq!(table(&COLUMNS, rows.clone(), None), expected);
        assert_eq!(table(&COLUMNS, rows, Some(27)), expected);
    }

    #[test]
    fn a_table_without_rows_is_its_header() {
        assert_eq!(table(&COLUMNS, Vec::new(), Some(80)), "GROUP  LAG  ID\n");
    }

    #[test]
    fn names_give_way_and_figures_do_not() {
        let rows = vec![row(["orders:billing:cg", "12345", "1700000000000-0"])];
        let shown = table(&COLUMNS, rows.clone(), Some(36));
        assert_eq!(shown, "GROUP           LAG  ID\nord…lling:cg  12345  1700000000000-0\n");
        assert!(table(&COLUMNS, rows, None).contains("orders:billing:cg"));
    }

    #[test]
    fn no_line_runs_over_the_edge() {
        let rows = vec![
            row(["漢字漢字漢字漢字", "12345", "1700000000000-0"]),
            row(["g", "1", "2-0"]),
        ];
        for width in 1..60 {
            for line in table(&COLUMNS, rows.clone(), Some(width)).lines() {
                assert!(line.width() <= usize::from(width), "{width}: {line}");
            }
        }
    }

    #[test]
    fn names_from_the_server_stay_in_their_line() {
        let shown = table(&COLUMNS, vec![row(["a\nb\x1b[31m c\t", "1", "1-0"])], None);
        assert_eq!(shown.lines().count(), 2, "{shown}");
        assert!(shown.contains("a\\nb\\u{1b}[31m c\\u{9}  "), "{shown}");
    }

    #[test]
    fn a_shortened_name_keeps_its_end() {
        assert_eq!(shorten("orders:billing:cg", 17), "orders:billing:cg");
        assert_eq!(shorten("orders:billing:cg", 9), "or…ing:cg");
        assert_eq!(shorten("漢字漢字", 6), "…漢字");
    }

    #[test]
    fn durations_have_two_units_at_most() {
        for (ms, text) in [
            (0, "0ms"),
            (450, "450ms"),
            (1_000, "1s"),
            (59_999, "59s"),
            (60_000, "1m"),
            (192_000, "3m 12s"),
            (3_600_000, "1h"),
            (3_630_000, "1h"),
            (7_500_000, "2h 5m"),
            (187_200_000, "2d 4h"),
        ] {
            assert_eq!(duration(ms), text);
        }
    }

    #[test]
    fn an_unknown_figure_is_no_zero() {
        assert_eq!(figure(None), "?");
        assert_eq!(figure(Some(0)), "0");
    }
}
