//! What `pending` saw, as tables for people and as JSON for programs.

use serde::Serialize;

use super::{GroupView, Rest, View};
use crate::render::{Column, NOTHING, UNKNOWN, counted, duration, heading, one_line, table};
use crate::streamer::{ConsumerInfo, GroupState, PendingEntry, StreamState};

/// A view as tables, for a terminal of `width` columns.
pub fn tables(view: &View, width: Option<u16>) -> String {
    match view {
        View::Server(streams) => streams_table(streams, width),
        View::Stream(stream) => stream_tables(stream, width),
        View::Group(view) => group_tables(view, width),
    }
}

/// Says which streams are missing from the view of all.
pub fn denied(names: &[String]) -> String {
    const NAMED: usize = 5;
    let named: Vec<_> = names.iter().take(NAMED).map(|name| one_line(name)).collect();
    let more = if names.len() > NAMED { ", …" } else { "" };
    format!(
        "this user may not look at {}, not shown: {}{more}",
        counted(names.len() as u64, "stream"),
        named.join(", ")
    )
}

/// The columns of a group's own figures.
const FIGURES: [Column; 4] = [
    Column::Figure("LAG"),
    Column::Figure("PENDING"),
    Column::Figure("OLDEST"),
    Column::Figure("CONSUMERS"),
];

/// Names are repeated on each row: a row found by `grep` stands for itself.
fn streams_table(streams: &[StreamState], width: Option<u16>) -> String {
    let mut columns = vec![Column::Name("STREAM"), Column::Figure("LENGTH"), Column::Name("GROUP")];
    columns.extend(FIGURES);
    let rows: Vec<_> = streams
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
    table(&columns, &rows, width)
}

fn stream_tables(stream: &StreamState, width: Option<u16>) -> String {
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

fn group_tables(view: &GroupView, width: Option<u16>) -> String {
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
        entries_table(&view.entries, width) + &rest(view),
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
fn rest(view: &GroupView) -> String {
    let shown = view.entries.len();
    match view.rest {
        Rest::Nothing if shown == 0 && view.state.info.pending > 0 => "no pending entry matches\n".to_owned(),
        Rest::Nothing => String::new(),
        Rest::Of(total) => format!("{shown} of {total} entries shown; see more with -n {total}\n"),
        Rest::Uncounted => format!(
            "{} shown, there are more; see them with -n N\n",
            counted(shown as u64, "entry")
        ),
    }
}

/// A table, or nothing where it would be a header alone.
fn filled(columns: &[Column], rows: &[Vec<String>], width: Option<u16>) -> String {
    match rows.is_empty() {
        true => String::new(),
        false => table(columns, rows, width),
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

/// A view as one line of JSON.
pub fn json(view: &View) -> serde_json::Result<String> {
    let mut line = match view {
        View::Server(streams) => serde_json::to_string(&streams.iter().map(StreamJson::of).collect::<Vec<_>>()),
        View::Stream(stream) => serde_json::to_string(&StreamJson::of(stream)),
        View::Group(view) => serde_json::to_string(&GroupViewJson::of(view)),
    }?;
    line.push('\n');
    Ok(line)
}

#[derive(Serialize)]
struct StreamJson<'a> {
    stream: &'a str,
    length: u64,
    groups: Vec<GroupJson<'a>>,
}

impl<'a> StreamJson<'a> {
    fn of(stream: &'a StreamState) -> Self {
        Self {
            stream: &stream.name,
            length: stream.length,
            groups: stream.groups.iter().map(GroupJson::of).collect(),
        }
    }
}

#[derive(Serialize)]
struct GroupJson<'a> {
    group: &'a str,
    consumers: u64,
    pending: u64,
    lag: Option<u64>,
    last_delivered_id: String,
    oldest_idle_ms: Option<u64>,
}

impl<'a> GroupJson<'a> {
    fn of(group: &'a GroupState) -> Self {
        Self {
            group: &group.info.name,
            consumers: group.info.consumers,
            pending: group.info.pending,
            lag: group.info.lag,
            last_delivered_id: group.info.last_delivered.to_string(),
            oldest_idle_ms: group.oldest_idle_ms,
        }
    }
}

#[derive(Serialize)]
struct GroupViewJson<'a> {
    stream: &'a str,
    group: &'a str,
    pending: u64,
    lag: Option<u64>,
    consumers: Vec<ConsumerJson<'a>>,
    entries: Vec<EntryJson<'a>>,
}

#[derive(Serialize)]
struct ConsumerJson<'a> {
    name: &'a str,
    pending: u64,
    idle_ms: u64,
    inactive_ms: Option<u64>,
}

#[derive(Serialize)]
struct EntryJson<'a> {
    id: String,
    consumer: &'a str,
    idle_ms: Option<u64>,
    deliveries: u64,
}

impl<'a> GroupViewJson<'a> {
    fn of(view: &'a GroupView) -> Self {
        let consumers = view.consumers.iter().map(|consumer| ConsumerJson {
            name: &consumer.name,
            pending: consumer.pending,
            idle_ms: consumer.idle_ms,
            inactive_ms: consumer.inactive_ms,
        });
        let entries = view.entries.iter().map(|entry| EntryJson {
            id: entry.id.to_string(),
            consumer: &entry.consumer,
            idle_ms: entry.idle_ms,
            deliveries: entry.deliveries,
        });
        Self {
            stream: &view.stream,
            group: &view.state.info.name,
            pending: view.state.info.pending,
            lag: view.state.info.lag,
            consumers: consumers.collect(),
            entries: entries.collect(),
        }
    }
}
