//! What was found, as JSON or as tables. Pure.

use anyhow::Context as _;
use serde::Serialize;

use super::gather::{Consumer, Details, Entry, Group, Level, Stream, View};
use crate::render::{Column, NONE, duration, figure, table};

/// A group seen from near, as JSON tells it.
#[derive(Serialize)]
struct GroupDocument<'a> {
    stream: &'a str,
    group: &'a str,
    pending: u64,
    lag: Option<u64>,
    consumers: &'a [Consumer],
    entries: &'a [Entry],
}

/// One JSON document, in one line, without its end.
pub fn json(view: &View) -> anyhow::Result<String> {
    let whole = view.streams.first();
    let document = match (&view.level, whole) {
        (Level::Everything, _) | (_, None) => serde_json::to_string(&view.streams),
        (Level::Stream, Some(stream)) => serde_json::to_string(&stream.groups),
        (Level::Group(details), Some(stream)) => serde_json::to_string(&group_document(stream, details)),
    };
    document.context("cannot write JSON")
}

fn group_document<'a>(stream: &'a Stream, details: &'a Details) -> Option<GroupDocument<'a>> {
    let group = stream.groups.first()?;
    Some(GroupDocument {
        stream: &stream.stream,
        group: &group.group,
        pending: group.pending,
        lag: group.lag,
        consumers: &details.consumers,
        entries: &details.entries,
    })
}

/// Tables for eyes, parted by blank lines. `width` is the terminal's.
pub fn tables(view: &View, width: Option<u16>) -> String {
    let groups = groups_table(view, width);
    let Level::Group(details) = &view.level else {
        return groups;
    };
    let mut tables = vec![groups];
    // A header over nothing says less than the figures above, which tell that there is nothing.
    if !details.consumers.is_empty() {
        tables.push(consumers_table(&details.consumers, width));
    }
    if !details.entries.is_empty() {
        tables.push(entries_table(&details.entries, width));
    }
    tables.join("\n")
}

/// A row a group; the stream's name only where there may be several.
fn groups_table(view: &View, width: Option<u16>) -> String {
    let columns = [
        Column::name("STREAM"),
        Column::name("GROUP"),
        Column::number("LENGTH"),
        Column::number("LAG"),
        Column::number("PENDING"),
        Column::number("OLDEST"),
        Column::number("CONSUMERS"),
    ];
    let from = usize::from(!matches!(view.level, Level::Everything));
    let rows = view.streams.iter().flat_map(stream_rows);
    table(&columns[from..], rows.map(|row| row[from..].to_vec()).collect(), width)
}

/// A row a group; a stream without groups has one all the same, for its length.
fn stream_rows(stream: &Stream) -> Vec<[String; 7]> {
    let row = |cells: [String; 5]| {
        let [group, lag, pending, oldest, consumers] = cells;
        let length = stream.length.to_string();
        [stream.stream.clone(), group, length, lag, pending, oldest, consumers]
    };
    match stream.groups.as_slice() {
        [] => vec![row([NONE; 5].map(str::to_owned))],
        groups => groups.iter().map(|group| row(group_cells(group))).collect(),
    }
}

fn group_cells(group: &Group) -> [String; 5] {
    [
        group.group.clone(),
        figure(group.lag),
        group.pending.to_string(),
        duration_or_none(group.oldest_idle_ms),
        group.consumers.to_string(),
    ]
}

fn consumers_table(consumers: &[Consumer], width: Option<u16>) -> String {
    let columns = [
        Column::name("CONSUMER"),
        Column::number("PENDING"),
        Column::number("IDLE"),
        Column::number("INACTIVE"),
    ];
    // Servers before Redis 7.2 know of nobody since when it got nothing.
    let known = consumers.iter().any(|consumer| consumer.inactive_ms.is_some());
    let shown = if known { columns.len() } else { columns.len() - 1 };
    let rows = consumers.iter().map(|consumer| {
        let mut row = vec![
            consumer.name.clone(),
            consumer.pending.to_string(),
            duration(consumer.idle_ms),
            duration_or_none(consumer.inactive_ms),
        ];
        row.truncate(shown);
        row
    });
    table(&columns[..shown], rows.collect(), width)
}

fn entries_table(entries: &[Entry], width: Option<u16>) -> String {
    let columns = [
        Column::id("ID"),
        Column::name("CONSUMER"),
        Column::number("IDLE"),
        Column::number("DELIVERIES"),
    ];
    let rows = entries.iter().map(|entry| {
        vec![
            entry.id.clone(),
            entry.consumer.clone(),
            duration(entry.idle_ms),
            entry.deliveries.to_string(),
        ]
    });
    table(&columns, rows.collect(), width)
}

fn duration_or_none(ms: Option<u64>) -> String {
    ms.map_or_else(|| NONE.to_owned(), duration)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stream(groups: Vec<Group>) -> Stream {
        Stream {
            stream: "orders".to_owned(),
            length: 5,
            groups,
        }
    }

    fn group() -> Group {
        Group {
            group: "g".to_owned(),
            consumers: 0,
            pending: 0,
            lag: None,
            last_delivered_id: "2-0".to_owned(),
            oldest_idle_ms: None,
        }
    }

    #[test]
    fn a_stream_without_groups_is_shown() {
        let view = View {
            streams: vec![stream(Vec::new())],
            level: Level::Everything,
        };
        assert_eq!(
            tables(&view, None),
            "\
STREAM  GROUP  LENGTH  LAG  PENDING  OLDEST  CONSUMERS
orders  -           5    -        -       -          -
"
        );
    }

    #[test]
    fn an_unknown_lag_is_neither_zero_nor_left_out() {
        let view = View {
            streams: vec![stream(vec![group()])],
            level: Level::Stream,
        };
        assert_eq!(
            tables(&view, None),
            "\
GROUP  LENGTH  LAG  PENDING  OLDEST  CONSUMERS
g           5    ?        0       -          0
"
        );
        assert_eq!(
            json(&view).unwrap(),
            r#"[{"group":"g","consumers":0,"pending":0,"lag":null,"last_delivered_id":"2-0","oldest_idle_ms":null}]"#
        );
    }
}
