//! Rows → a table for people to read, or for `awk` in a pipe.

use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

use super::{counted, grouped, one_line};
use crate::ui::palette::{HEAD, Paint, Style};

/// Stands for what was left out of a name.
const ELLIPSIS: char = '…';
/// Between two columns.
const GAP: usize = 2;
/// No name is made shorter than this: what is left would say nothing.
const SHORTEST: usize = 5;

/// What a table is made for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Layout {
    /// How many columns there are; `None` in a pipe, where nothing is cut.
    pub width: Option<u16>,
    pub paint: Paint,
}

impl Layout {
    /// A number: in a pipe, of digits alone.
    pub fn number(self, number: u64) -> String {
        match self.width {
            Some(_) => grouped(number),
            None => number.to_string(),
        }
    }

    /// A number of things.
    pub fn counted(self, number: u64, noun: &str) -> String {
        match self.width {
            Some(_) => counted(number, noun),
            None => counted(number, noun).replace(',', ""),
        }
    }
}

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
}

/// A cell, and how it looks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cell {
    text: String,
    style: Option<Style>,
}

impl Cell {
    pub fn styled(text: impl Into<String>, style: Option<Style>) -> Self {
        Self {
            text: one_line(&text.into()),
            style,
        }
    }

    fn shown(&self, paint: Paint) -> String {
        match self.style {
            Some(style) => paint.paint(style, &self.text),
            None => self.text.clone(),
        }
    }
}

impl<T: Into<String>> From<T> for Cell {
    fn from(text: T) -> Self {
        Self::styled(text, None)
    }
}

/// A row of a table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Row {
    Cells(Vec<Cell>),
    /// What the rows below it belong to: a subject, and what is to be said of it.
    Heading(String, Vec<Cell>),
}

/// A table, a line a row, that fits into the width as far as shorter names can make it.
pub fn table(columns: &[Column], rows: Vec<Row>, layout: Layout) -> String {
    let mut rows = rows;
    if let Some(width) = layout.width {
        for (column, width) in name_widths(columns, &rows, width.into()) {
            for cell in cells(&mut rows).filter_map(|row| row.get_mut(column)) {
                cell.text = shorten(&cell.text, width);
            }
        }
    }
    let widths = widths(columns, &rows);
    let header = columns
        .iter()
        .map(|column| Cell::styled(column.header(), Some(HEAD)))
        .collect();
    let mut text = String::new();
    for row in std::iter::once(Row::Cells(header)).chain(rows) {
        match row {
            Row::Cells(cells) => text.push_str(&line(columns, &cells, &widths, layout.paint)),
            Row::Heading(subject, figures) => text.push_str(&heading(&subject, &figures, layout)),
        }
    }
    text
}

fn cells(rows: &mut [Row]) -> impl Iterator<Item = &mut Vec<Cell>> {
    rows.iter_mut().filter_map(|row| match row {
        Row::Cells(cells) => Some(cells),
        Row::Heading(..) => None,
    })
}

fn line(columns: &[Column], cells: &[Cell], widths: &[usize], paint: Paint) -> String {
    let mut line = String::new();
    for (index, (cell, (column, width))) in cells.iter().zip(columns.iter().zip(widths)).enumerate() {
        let space = " ".repeat(width.saturating_sub(cell.text.width()));
        let text = cell.shown(paint);
        if index > 0 {
            line.push_str(&" ".repeat(GAP));
        }
        match column {
            Column::Figure(_) => line.push_str(&format!("{space}{text}")),
            Column::Name(_) | Column::Text(_) => line.push_str(&format!("{text}{space}")),
        }
    }
    line.truncate(line.trim_end().len());
    line + "\n"
}

/// A line above a table: what it is about, shortened if need be, and figures.
pub fn heading(subject: &str, figures: &[Cell], layout: Layout) -> String {
    let subject = one_line(subject);
    let subject = match layout.width {
        Some(width) => {
            let taken: usize = figures.iter().map(|figure| figure.text.width() + 2).sum();
            shorten(&subject, usize::from(width).saturating_sub(taken).max(SHORTEST))
        }
        None => subject,
    };
    let figures: Vec<_> = figures.iter().map(|figure| figure.shown(layout.paint)).collect();
    format!("{}: {}\n", layout.paint.paint(HEAD, subject), figures.join(", "))
}

/// How wide the columns are.
fn widths(columns: &[Column], rows: &[Row]) -> Vec<usize> {
    let cell = |row: &Row, column: usize| match row {
        Row::Cells(cells) => cells.get(column).map(|cell| cell.text.width()),
        Row::Heading(..) => None,
    };
    let width = |(column, kind): (usize, &Column)| {
        let widest = rows.iter().filter_map(|row| cell(row, column)).max().unwrap_or(0);
        widest.max(kind.header().width())
    };
    columns.iter().enumerate().map(width).collect()
}

/// The columns of names and how wide they may be, where not all can have what they need.
fn name_widths(columns: &[Column], rows: &[Row], width: usize) -> Vec<(usize, usize)> {
    let needs = widths(columns, rows);
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
pub fn shorten(text: &str, width: usize) -> String {
    if text.width() <= width {
        return text.to_owned();
    }
    if width == 0 {
        return String::new();
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ui::palette::WARNING;

    const COLUMNS: [Column; 3] = [Column::Name("NAME"), Column::Figure("COUNT"), Column::Text("ID")];
    const PIPE: Layout = Layout {
        width: None,
        paint: Paint::Plain,
    };

    fn terminal(width: u16) -> Layout {
        Layout {
            width: Some(width),
            ..PIPE
        }
    }

    fn rows(rows: &[[&str; 3]]) -> Vec<Row> {
        let row = |row: &[&str; 3]| Row::Cells(row.map(Cell::from).to_vec());
        rows.iter().map(row).collect()
    }

    #[test]
    fn columns_are_aligned_and_lines_have_no_tail() {
        let rows = rows(&[["a", "5", "1-0"], ["orders", "123456", "12-0"]]);
        assert_eq!(
            table(&COLUMNS, rows, PIPE),
            "NAME     COUNT  ID\n\
             a            5  1-0\n\
             orders  123456  12-0\n"
        );
    }

    #[test]
    fn colours_and_headings_take_no_room() {
        let mut rows = rows(&[["a", "5", "1-0"], ["b", "6", "1-0"]]);
        rows[1] = Row::Cells(vec!["b".into(), Cell::styled("6", Some(WARNING)), "2-0".into()]);
        rows.insert(0, Row::Heading("a long subject".to_owned(), vec!["3 of it".into()]));
        let colored = Layout {
            paint: Paint::Colored,
            ..terminal(80)
        };
        assert_eq!(
            table(&COLUMNS, rows, colored),
            "\x1b[1mNAME\x1b[0m  \x1b[1mCOUNT\x1b[0m  \x1b[1mID\x1b[0m\n\
             \x1b[1ma long subject\x1b[0m: 3 of it\n\
             a         5  1-0\n\
             b         \x1b[33m6\x1b[0m  2-0\n"
        );
    }

    #[test]
    fn thousands_are_set_apart_for_eyes_alone() {
        assert_eq!(terminal(80).number(1_234_567), "1,234,567");
        assert_eq!(PIPE.number(1_234_567), "1234567");
        assert_eq!(terminal(80).counted(1000, "entry"), "1,000 entries");
        assert_eq!(PIPE.counted(1000, "entry"), "1000 entries");
    }

    #[test]
    fn a_pipe_cuts_nothing_and_a_terminal_only_names() {
        let name = "n".repeat(300);
        let rows = rows(&[[&name, "5", "1700000000000-0"]]);
        assert!(table(&COLUMNS, rows.clone(), PIPE).contains(&name));
        for width in [40, 60, 80] {
            let text = table(&COLUMNS, rows.clone(), terminal(width));
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
        let text = table(&COLUMNS, rows, terminal(10));
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
        assert_eq!([shorten("abc", 1), shorten("abc", 0)], ["…", ""]);
    }

    #[test]
    fn control_characters_neither_command_nor_break_a_row() {
        let rows = rows(&[["a\u{1b}[2J\nb\tc", "1", "1-0"]]);
        let text = table(&COLUMNS, rows, PIPE);
        assert_eq!(text.lines().count(), 2, "{text}");
        assert!(text.contains(r"a\u{1b}[2J\u{a}b\u{9}c"), "{text}");
    }

    #[test]
    fn a_heading_keeps_its_figures() {
        let figures = ["3 pending", "lag 2"].map(Cell::from);
        assert_eq!(heading("group g", &figures, PIPE), "group g: 3 pending, lag 2\n");
        let text = heading(&"x".repeat(100), &figures, terminal(30));
        assert_eq!(text.trim_end().width(), 30);
        assert!(text.ends_with("…xxxxx: 3 pending, lag 2\n"), "{text}");
    }
}
