//! What `pending` saw, as tables for people.

use super::group::{GroupView, Rest, Shown};
use crate::render::{Column, NOTHING, UNKNOWN, counted, duration, heading, one_line, table};
use crate::streamer::{ConsumerInfo, GroupState, Hidden, PendingEntry, StreamState};

/// How many streams are named where many are meant.
const NAMED: usize = 5;

/// Which streams the user may not look at.
pub fn hidden(hidden: &[Hidden]) -> String {
    let named: Vec<_> = hidden
        .iter()
        .take(NAMED)
        .map(|hidden| one_line(&hidden.stream))
        .collect();
    let more = if hidden.len() > NAMED { ", …" } else { "" };
    let count = counted(hidden.len() as u64, "stream");
    format!("{count}, not shown: {}{more}", named.join(", "))
}

/// Which streams of a pattern there are not.
pub fn missing(missing: &[String]) -> String {
    let named: Vec<_> = missing.iter().take(NAMED).map(|stream| one_line(stream)).collect();
    let more = if missing.len() > NAMED { ", …" } else { "" };
    format!(
        "not there yet, of the streams of the pattern: {}{more}",
        named.join(", ")
    )
}

/// Whether a last row sums up the others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Total {
    Shown,
    Left,
}

/// The columns of a group's own figures.
const FIGURES: [Column; 4] = [
    Column::Figure("LAG"),
    Column::Figure("PENDING"),
    Column::Figure("OLDEST"),
    Column::Figure("CONSUMERS"),
];

/// Names are repeated on each row: a row found by `grep` stands for itself.
pub fn streams(streams: &[StreamState], total: Total, width: Option<u16>) -> String {
    let mut columns = vec![Column::Name("STREAM"), Column::Figure("LENGTH"), Column::Name("GROUP")];
    columns.extend(FIGURES);
    let mut rows: Vec<_> = streams
        .iter()
        .flat_map(|stream| {
            let names = |group: &str| vec![stream.name.clone(), stream.length.to_string(), group.to_owned()];
            let nothing = [NOTHING; FIGURES.len()].map(str::to_owned);
            match stream.groups.as_slice() {
                [] => vec![[names(NOTHING), nothing.to_vec()].concat()],
                groups => groups
                    .iter()
                    .map(|group| [names(&group.info.name), figures(group)].concat())
                    .collect(),
            }
        })
        .collect();
    if total == Total::Shown {
        rows.push(sum(streams));
    }
    table(&columns, &rows, width)
}

/// The row that sums up streams with all their groups. A lag that is unknown leaves the sum unknown.
fn sum(streams: &[StreamState]) -> Vec<String> {
    let groups = || streams.iter().flat_map(|stream| &stream.groups);
    let lag: Option<u64> = groups().map(|group| group.info.lag).sum();
    let length: u64 = streams.iter().map(|stream| stream.length).sum();
    let pending: u64 = groups().map(|group| group.info.pending).sum();
    let consumers: u64 = groups().map(|group| group.info.consumers).sum();
    vec![
        "total".to_owned(),
        length.to_string(),
        NOTHING.to_owned(),
        lag.map_or_else(|| UNKNOWN.to_owned(), |lag| lag.to_string()),
        pending.to_string(),
        optional_duration(groups().filter_map(|group| group.oldest_idle_ms).max()),
        consumers.to_string(),
    ]
}

pub fn stream(stream: &StreamState, width: Option<u16>) -> String {
    let groups = match stream.groups.len() as u64 {
        0 => "no groups".to_owned(),
        groups => counted(groups, "group"),
    };
    let entries = counted(stream.length, "entry");
    let heading = heading(&format!("stream {}", stream.name), &[entries, groups], width);
    let mut columns = vec![Column::Name("GROUP")];
    columns.extend(FIGURES);
    let rows: Vec<_> = stream
        .groups
        .iter()
        .map(|group| [vec![group.info.name.clone()], figures(group)].concat())
        .collect();
    sections([heading, filled(&columns, &rows, width)])
}

/// The cells of [`FIGURES`].
fn figures(group: &GroupState) -> Vec<String> {
    vec![
        group.info.lag.map_or_else(|| UNKNOWN.to_owned(), |lag| lag.to_string()),
        group.info.pending.to_string(),
        optional_duration(group.oldest_idle_ms),
        group.info.consumers.to_string(),
    ]
}

pub fn group(view: &GroupView<'_>, shown: &Shown, width: Option<u16>) -> String {
    let info = &view.state.info;
    let mut figures = vec![
        format!("{} pending", info.pending),
        format!(
            "lag {}",
            info.lag.map_or_else(|| UNKNOWN.to_owned(), |lag| lag.to_string())
        ),
    ];
    figures.extend(
        view.state
            .oldest_idle_ms
            .map(|ms| format!("oldest idle {}", duration(ms))),
    );
    let subject = format!("group {} on {}", info.name, view.stream);
    sections([
        heading(&subject, &figures, width),
        consumers_table(&view.consumers, width),
        entries_table(&shown.entries, width) + &rest(view, shown),
    ])
}

fn consumers_table(consumers: &[ConsumerInfo], width: Option<u16>) -> String {
    let mut columns = vec![
        Column::Name("CONSUMER"),
        Column::Figure("PENDING"),
        Column::Figure("IDLE"),
    ];
    // Servers before Redis 7.2 do not know it of any consumer.
    let inactive_is_known = consumers.iter().any(|consumer| consumer.inactive_ms.is_some());
    if inactive_is_known {
        columns.push(Column::Figure("INACTIVE"));
    }
    let rows: Vec<_> = consumers
        .iter()
        .map(|consumer| {
            let mut row = vec![
                consumer.name.clone(),
                consumer.pending.to_string(),
                duration(consumer.idle_ms),
            ];
            row.extend(inactive_is_known.then(|| optional_duration(consumer.inactive_ms)));
            row
        })
        .collect();
    filled(&columns, &rows, width)
}

fn entries_table(entries: &[PendingEntry], width: Option<u16>) -> String {
    let columns = [
        Column::Text("ID"),
        Column::Name("CONSUMER"),
        Column::Figure("IDLE"),
        Column::Figure("DELIVERIES"),
    ];
    let rows: Vec<_> = entries
        .iter()
        .map(|entry| {
            vec![
                entry.id.to_string(),
                entry.consumer.clone(),
                optional_duration(entry.idle_ms),
                entry.deliveries.to_string(),
            ]
        })
        .collect();
    filled(&columns, &rows, width)
}

/// What is to be said below the entries: that there are more, or that the filter lets none through.
fn rest(view: &GroupView<'_>, shown: &Shown) -> String {
    let count = shown.entries.len();
    match shown.rest {
        Rest::Nothing if count == 0 && view.state.info.pending > 0 => "no pending entry matches\n".to_owned(),
        Rest::Nothing => String::new(),
        Rest::Of(total) => format!("{count} of {total} entries shown; see more with -n {total}\n"),
        Rest::Uncounted => format!(
            "{} shown, there are more; see them with -n N\n",
            counted(count as u64, "entry")
        ),
    }
}

/// A table, or nothing where it would be a header alone.
fn filled(columns: &[Column], rows: &[Vec<String>], width: Option<u16>) -> String {
    if rows.is_empty() {
        String::new()
    } else {
        table(columns, rows, width)
    }
}

/// What is not empty, a blank line between.
fn sections<const N: usize>(texts: [String; N]) -> String {
    let filled: Vec<_> = texts.into_iter().filter(|text| !text.is_empty()).collect();
    filled.join("\n")
}

fn optional_duration(ms: Option<u64>) -> String {
    ms.map_or_else(|| NOTHING.to_owned(), duration)
}
