//! Messages made fit for the width of a terminal, which by itself would tear words apart. Pure.

use unicode_width::UnicodeWidthStr;

/// How much further in a line goes on than it began.
const DEEPER: usize = 2;

/// Ends lines at a space before they pass `width` columns. What has no space is left to the terminal: names, paths and URLs are
/// to be copied as they are.
pub fn fold(text: &str, width: u16) -> String {
    let lines: Vec<_> = text.split('\n').map(|line| fold_line(line, width.into())).collect();
    lines.join("\n")
}

fn fold_line(line: &str, width: usize) -> String {
    let mut margin = line.len() - line.trim_start_matches(' ').len();
    let deeper = margin + DEEPER;
    let mut folded = String::with_capacity(line.len() + DEEPER);
    let mut column = 0;
    for word in line.split_inclusive(' ') {
        if column > margin && column + columns(word.trim_end_matches(' ')) > width {
            folded.truncate(folded.trim_end_matches(' ').len());
            folded.push('\n');
            folded.extend(std::iter::repeat_n(' ', deeper));
            (column, margin) = (deeper, deeper);
        }
        folded.push_str(word);
        column += columns(word);
    }
    folded
}

/// How many columns a text takes, in which colours take none.
fn columns(text: &str) -> usize {
    let mut pieces = text.split("\x1b[");
    let first = pieces.next().unwrap_or_default().width();
    let behind = |piece: &str| piece.split_once('m').map_or(0, |(_, shown)| shown.width());
    first + pieces.map(behind).sum::<usize>()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_end_at_spaces() {
        assert_eq!(fold("one two three", 7), "one two\n  three");
        assert_eq!(fold("one two three", 6), "one\n  two\n  three");
        assert_eq!(fold("one two three", 13), "one two three");
        assert_eq!(fold("", 5), "");
        assert_eq!(fold("one\n\ntwo", 5), "one\n\ntwo");
    }

    #[test]
    fn what_is_indented_goes_on_deeper() {
        assert_eq!(fold("  one two three", 9), "  one two\n    three");
    }

    #[test]
    fn words_stay_whole() {
        assert_eq!(fold("path /a/long/path it is", 8), "path\n  /a/long/path\n  it is");
        assert_eq!(fold("/a/long/path", 8), "/a/long/path");
    }

    #[test]
    fn colours_take_no_room_and_wide_letters_take_two() {
        assert_eq!(
            fold("\x1b[1m\x1b[31merror:\x1b[0m no 山田", 14),
            "\x1b[1m\x1b[31merror:\x1b[0m no 山田"
        );
        assert_eq!(fold("error: no 山田", 13), "error: no\n  山田");
    }
}
