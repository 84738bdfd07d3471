//! Rows → tables and figures for people to read. Pure: knows neither the terminal nor Redis.

mod table;

use std::time::Duration;

use unicode_width::UnicodeWidthStr;

use crate::ui::printable;

pub use table::{Cell, Column, Layout, Row, heading, shorten, table};

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

/// Units of a duration, with their lengths in milliseconds.
const UNITS: [(&str, u64); 5] = [
    ("d", 86_400_000),
    ("h", 3_600_000),
    ("m", 60_000),
    ("s", 1000),
    ("ms", 1),
];

/// So many days are not told to the hour.
const MANY_DAYS: u64 = 100;

/// A duration at a glance: its largest unit and the next, such as `3m 12s` or `450ms`.
pub fn duration(ms: u64) -> String {
    let first = UNITS
        .iter()
        .position(|(_, length)| ms >= *length)
        .unwrap_or(UNITS.len() - 1);
    // Beyond a second, milliseconds only flicker.
    let last = if ms < 1000 || ms >= MANY_DAYS * UNITS[0].1 {
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
            (8_643_600_000, "100d", "100d 1h"),
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
