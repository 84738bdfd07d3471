//! Points in a stream, as people name them.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use super::entry::EntryId;

/// Where to begin or end in a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Point {
    /// The end as it stands: only what is added from now on lies after it.
    Latest,
    /// Before the first entry.
    Beginning,
    /// An entry, there or not.
    Id(EntryId),
    /// A moment, in milliseconds since the Unix epoch.
    Time(u64),
    /// So long before now, by the server's clock.
    Ago(Duration),
}

impl Point {
    /// The last ID at or before this point, the millisecond included; `None` for [`Point::Latest`].
    pub fn last_id(self, now_ms: u64) -> Option<EntryId> {
        let first = self.first_id(now_ms)?;
        match self {
            Self::Time(_) | Self::Ago(_) => Some(EntryId { seq: u64::MAX, ..first }),
            Self::Latest | Self::Beginning | Self::Id(_) => Some(first),
        }
    }

    /// The first ID at or after this point, `None` for [`Point::Latest`], which only the server knows.
    ///
    /// `now_ms` is the server's clock: entry IDs are made by it, not by this machine's.
    pub fn first_id(self, now_ms: u64) -> Option<EntryId> {
        match self {
            Self::Latest => None,
            Self::Beginning => Some(EntryId::MIN),
            Self::Id(id) => Some(id),
            Self::Time(ms) => Some(EntryId::at_ms(ms)),
            Self::Ago(ago) => Some(EntryId::at_ms(now_ms.saturating_sub(ago.as_millis() as u64))),
        }
    }
}

/// Why a text names no point in a stream.
#[derive(Debug, PartialEq, Eq)]
pub enum InvalidPoint {
    Unknown,
    /// A duration: it may be meant to lie so long ago.
    Duration(String),
}

impl fmt::Display for InvalidPoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Self::Duration(duration) = self {
            return write!(
                f,
                "a duration is no point in a stream: did you mean -{duration}, so long ago?"
            );
        }
        f.write_str(
            "not a point in a stream: expected latest, beginning, now, an entry ID, a date or a time (UTC) such as 2026-01-31 or 2026-01-31T12:00:00Z, or a time ago such as -15m",
        )
    }
}

impl std::error::Error for InvalidPoint {}

impl FromStr for Point {
    type Err = InvalidPoint;

    fn from_str(text: &str) -> Result<Self, InvalidPoint> {
        match text {
            "latest" | "$" => return Ok(Self::Latest),
            // As XGROUP CREATE and XREAD have it.
            "beginning" | "0" | "0-0" => return Ok(Self::Beginning),
            "now" => return Ok(Self::Ago(Duration::ZERO)),
            _ => {}
        }
        if let Some(ago) = text.strip_prefix('-') {
            return parse_duration(ago).map(Self::Ago).map_err(|_| InvalidPoint::Unknown);
        }
        if let Ok(id) = text.parse::<EntryId>() {
            let is_whole_ms = !text.contains('-');
            return Ok(if is_whole_ms { Self::Time(id.ms) } else { Self::Id(id) });
        }
        let time = midnight(text)
            .or_else(|| text.parse().ok())
            .ok_or_else(|| no_point(text))?;
        u64::try_from(time.as_millisecond())
            .map(Self::Time)
            .map_err(|_| InvalidPoint::Unknown)
    }
}

fn no_point(text: &str) -> InvalidPoint {
    match parse_duration(text) {
        Ok(_) => InvalidPoint::Duration(text.to_owned()),
        Err(InvalidDuration) => InvalidPoint::Unknown,
    }
}

/// When a day begins, in UTC. What stands behind a date is not for us to leave out: then it is none.
fn midnight(text: &str) -> Option<jiff::Timestamp> {
    const DATE: usize = "2026-01-31".len();
    let date: jiff::civil::Date = text.parse().ok().filter(|_| text.len() == DATE)?;
    let midnight = date.to_zoned(jiff::tz::TimeZone::UTC).ok()?;
    Some(midnight.timestamp())
}

impl fmt::Display for Point {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Latest => f.write_str("latest"),
            Self::Beginning => f.write_str("beginning"),
            Self::Id(id) => write!(f, "{id}"),
            Self::Time(ms) => match i64::try_from(*ms).map(jiff::Timestamp::from_millisecond) {
                Ok(Ok(time)) => write!(f, "{time}"),
                _ => write!(f, "{ms}"),
            },
            Self::Ago(Duration::ZERO) => f.write_str("now"),
            // Durations print as they are written: 900s, 250ms.
            Self::Ago(ago) => write!(f, "{ago:?} ago"),
        }
    }
}

/// Why a text is no duration.
#[derive(Debug, PartialEq, Eq)]
pub struct InvalidDuration;

impl fmt::Display for InvalidDuration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not a duration: expected a number and a unit (ms, s, m, h, d), such as 250ms, 5s or 7d")
    }
}

impl std::error::Error for InvalidDuration {}

/// Reads `250ms`, `5s`, `1.5h`, `7d`, `1h30m`. A bare `0` needs no unit; anything else does.
pub fn parse_duration(text: &str) -> Result<Duration, InvalidDuration> {
    if text == "0" {
        return Ok(Duration::ZERO);
    }
    let span: jiff::Span = text.parse().map_err(|_| InvalidDuration)?;
    let duration = span
        .to_duration(jiff::SpanRelativeTo::days_are_24_hours())
        .map_err(|_| InvalidDuration)?;
    Duration::try_from(duration).map_err(|_| InvalidDuration)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_read_as_people_write_them() {
        for (text, ms) in [
            ("250ms", 250),
            ("5s", 5_000),
            ("0s", 0),
            ("0", 0),
            ("2m", 120_000),
            ("24h", 86_400_000),
            ("7d", 604_800_000),
            ("1h30m", 5_400_000),
            ("1.5s", 1_500),
        ] {
            assert_eq!(parse_duration(text), Ok(Duration::from_millis(ms)), "{text}");
        }
        for text in [
            "",
            "5",
            "s",
            "-5s",
            "5 parsecs",
            "1e9s",
            "99999999999999999999s",
            "5s ago",
        ] {
            assert_eq!(parse_duration(text), Err(InvalidDuration), "{text:?}");
        }
    }

    #[test]
    fn points_read_in_every_form() {
        for (text, point) in [
            ("latest", Point::Latest),
            ("beginning", Point::Beginning),
            ("0", Point::Beginning),
            ("5-1", Point::Id(EntryId { ms: 5, seq: 1 })),
            ("1700000000000", Point::Time(1_700_000_000_000)),
            ("2023-11-14T22:13:20Z", Point::Time(1_700_000_000_000)),
            ("2023-11-14T23:13:20+01:00", Point::Time(1_700_000_000_000)),
            ("2023-11-14", Point::Time(1_699_920_000_000)),
            ("-15m", Point::Ago(Duration::from_secs(900))),
            ("now", Point::Ago(Duration::ZERO)),
        ] {
            assert_eq!(text.parse(), Ok(point), "{text}");
        }
        for text in [
            "",
            "-",
            "-15",
            "1969-01-01T00:00:00Z",
            "1969-12-31",
            "2023-02-30",
            "2023-11-14T22:13:20",
            "2023-11-14 22:13",
            "5-x",
        ] {
            assert_eq!(text.parse::<Point>(), Err(InvalidPoint::Unknown), "{text:?}");
        }
        for text in ["1h", "1h30m", "250ms", "7d"] {
            let error = text.parse::<Point>().unwrap_err();
            assert_eq!(error, InvalidPoint::Duration(text.to_owned()));
            assert!(error.to_string().contains(&format!("did you mean -{text}, ")));
        }
    }
}
