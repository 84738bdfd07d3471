//! Figures for columns that must not grow.

use super::super::model::Drain;
use super::Letters;
use crate::render::{NOTHING, UNKNOWN, duration, grouped};

/// A number in at most seven columns.
pub fn number(number: u64) -> String {
    const UNITS: [(u64, &str); 4] = [
        (1_000_000_000_000, "T"),
        (1_000_000_000, "G"),
        (1_000_000, "M"),
        (1_000, "k"),
    ];
    if number < 100_000 {
        return grouped(number);
    }
    let unit = UNITS.iter().find(|(size, _)| number >= *size);
    let (size, unit) = unit.copied().unwrap_or((1, ""));
    let whole = number / size;
    if whole >= 100 {
        format!("{}{unit}", grouped(whole))
    } else {
        format!("{whole}.{}{unit}", number % size * 10 / size)
    }
}

/// A rate in at most seven columns; small ones are told to the tenth.
pub fn rate(rate: Option<f64>) -> String {
    match rate {
        None => UNKNOWN.to_owned(),
        Some(rate) if rate < 0.05 => "0".to_owned(),
        Some(rate) if rate < 9.95 => format!("{rate:.1}"),
        Some(rate) => number(rate.round() as u64),
    }
}

pub fn drain(drain: Drain) -> String {
    match drain {
        Drain::Done => NOTHING.to_owned(),
        Drain::In(seconds) => duration((seconds.ceil() * 1000.0) as u64),
        Drain::Never => "never".to_owned(),
        Drain::Unknown => UNKNOWN.to_owned(),
    }
}

/// The last values as a line of bars, each in proportion to the largest.
pub fn sparkline(values: &[f64], width: usize, letters: Letters) -> String {
    let bars: &[char] = match letters {
        Letters::Unicode => &['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'],
        Letters::Ascii => &['_', '.', ':', '-', '=', '+', '*', '#'],
    };
    let shown = &values[values.len().saturating_sub(width)..];
    let largest = shown.iter().copied().fold(0.0, f64::max);
    let bar = |value: &f64| {
        let share = if largest > 0.0 { value / largest } else { 0.0 };
        let index = (share * (bars.len() - 1) as f64).round() as usize;
        // What is not nothing is seen.
        let least = usize::from(*value > 0.0);
        bars.get(index.max(least)).copied().unwrap_or(' ')
    };
    let line: String = shown.iter().map(bar).collect();
    format!("{}{line}", " ".repeat(width - shown.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_stay_within_seven_columns() {
        for (value, text) in [
            (0, "0"),
            (99_999, "99,999"),
            (100_000, "100k"),
            (999_999, "999k"),
            (1_250_000, "1.2M"),
            (123_456_789, "123M"),
            (9_876_543_210, "9.8G"),
        ] {
            assert_eq!(number(value), text);
        }
        assert!(number(u64::MAX).len() > 7);
        let rates = [
            None,
            Some(0.0),
            Some(0.04),
            Some(0.5),
            Some(9.94),
            Some(9.96),
            Some(1234.4),
        ]
        .map(rate);
        assert_eq!(rates, ["?", "0", "0", "0.5", "9.9", "10", "1,234"]);
    }

    #[test]
    fn a_sparkline_has_its_width_and_shows_what_is_not_nothing() {
        let values = [9.0, 0.0, 0.01, 4.0, 8.0];
        assert_eq!(sparkline(&values, 4, Letters::Unicode), "▁▂▅█");
        assert_eq!(sparkline(&values[1..], 6, Letters::Ascii), "  _.=#");
        assert_eq!(sparkline(&[], 3, Letters::Ascii), "   ");
    }

    #[test]
    fn the_time_to_drain_is_told_in_words() {
        let texts = [Drain::Done, Drain::In(61.2), Drain::Never, Drain::Unknown].map(drain);
        assert_eq!(texts, ["-", "1m 2s", "never", "?"]);
    }
}
