//! What `pending` saw, as tables for people.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use super::dead::DeadConsumer;
use super::gates::Gates;
use super::group::{GroupView, Rest, Shown};
use crate::failure::{group_option, quote};
use crate::render::{Cell, Column, Layout, NOTHING, Row, UNKNOWN, counted, duration, heading, one_line, table};
use crate::streamer::{Behind, ConsumerInfo, GroupState, Hidden, Lag, PendingEntry, RawName, StreamState, names};
use crate::ui::palette::{ERROR, Style, WARNING};

/// How many streams are named where many are meant.
const NAMED: usize = 5;

/// An entry that was not acknowledged for so long catches the eye.
pub const OLD_MS: u64 = 60_000;

/// Which streams the user may not look at.
pub fn hidden(hidden: &[Hidden]) -> String {
    let named = some(hidden.iter().map(|hidden| &hidden.stream));
    format!("{}, not shown: {named}", counted(hidden.len() as u64, "stream"))
}

/// Which streams of those that were named there are not.
pub fn missing(missing: &[RawName]) -> String {
    format!(
        "not there yet, of the streams that were named: {}",
        some(missing.iter())
    )
}

fn some<'a>(names: impl ExactSizeIterator<Item = &'a RawName>) -> String {
    let more = if names.len() > NAMED { ", …" } else { "" };
    let named: Vec<_> = names.take(NAMED).map(|name| one_line(&name.to_string())).collect();
    named.join(", ") + more
}

/// How the streams came together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// What there is.
    All,
    /// Several that were named: they are summed up.
    Several,
    One,
}

/// The columns of a group's own figures.
const FIGURES: [Column; 5] = [
    Column::Figure("LAG"),
    Column::Figure("PENDING"),
    Column::Figure("BEHIND"),
    Column::Figure("OLDEST"),
    Column::Figure("CONSUMERS"),
];

/// Streams and their groups, first what needs attention. On a terminal each stream heads its groups; in a pipe names are
/// repeated on each row: a row found by `grep` stands for itself.
pub fn streams(streams: &[StreamState], shape: Shape, gates: &Gates, layout: Layout) -> String {
    let mut sorted: Vec<_> = streams.iter().map(|stream| (stream, by_attention(stream))).collect();
    sorted.sort_by_key(|(_, groups)| Reverse(groups.first().map(|group| attention(group))));
    match (shape, layout.width, sorted.as_slice()) {
        (Shape::One, _, [(stream, groups)]) => one(stream, groups, gates, layout),
        (_, Some(_), _) => folded(&sorted, shape, gates, layout),
        (_, None, _) => flat(&sorted, shape, gates, layout),
    }
}

/// The groups of a stream, first those that need attention.
fn by_attention(stream: &StreamState) -> Vec<&GroupState> {
    let mut groups: Vec<_> = stream.groups.iter().collect();
    groups.sort_by_key(|group| Reverse(attention(group)));
    groups
}

/// How urgently a group is to be looked at.
pub fn attention(group: &GroupState) -> (u64, u64, u64) {
    let behind = match group.behind {
        Behind::Ms(ms) => ms,
        Behind::Nothing | Behind::Unknown => 0,
    };
    (behind, group.lag.least().unwrap_or(0), group.info.pending)
}

fn flat(streams: &[(&StreamState, Vec<&GroupState>)], shape: Shape, gates: &Gates, layout: Layout) -> String {
    let mut columns = vec![Column::Name("STREAM"), Column::Figure("LENGTH"), Column::Name("GROUP")];
    columns.extend(FIGURES);
    let mut rows = Vec::new();
    for (stream, groups) in streams {
        let names = |group: String| vec![stream.name.to_string(), layout.number(stream.length), group];
        let row = |names: Vec<String>, figures| Row::Cells(names.into_iter().map(Cell::from).chain(figures).collect());
        if groups.is_empty() {
            rows.push(row(names(NOTHING.to_owned()), FIGURES.map(|_| NOTHING.into()).to_vec()));
        }
        rows.extend(
            groups
                .iter()
                .map(|group| row(names(group.info.name.to_string()), figures(group, gates, layout))),
        );
    }
    if shape == Shape::Several {
        let length = streams.iter().map(|(stream, _)| stream.length).sum();
        let head = ["total".to_owned(), layout.number(length), NOTHING.to_owned()];
        rows.push(Row::Cells(
            head.map(Cell::from).into_iter().chain(sum(streams, layout)).collect(),
        ));
    }
    table(&columns, rows, layout)
}

fn folded(streams: &[(&StreamState, Vec<&GroupState>)], shape: Shape, gates: &Gates, layout: Layout) -> String {
    let mut rows = Vec::new();
    for (stream, groups) in streams {
        rows.push(Row::Heading(stream.name.to_string(), size(stream, layout)));
        let indented = |group: &&GroupState| {
            let name = Cell::from(format!("  {}", short_name(stream, &group.info.name)));
            Row::Cells([vec![name], figures(group, gates, layout)].concat())
        };
        rows.extend(groups.iter().map(indented));
    }
    if shape == Shape::Several {
        rows.push(Row::Cells([vec![Cell::from("total")], sum(streams, layout)].concat()));
    }
    let mut columns = vec![Column::Name("GROUP")];
    columns.extend(FIGURES);
    table(&columns, rows, layout)
}

/// What is said of a stream above its groups.
fn size(stream: &StreamState, layout: Layout) -> Vec<Cell> {
    let entries = layout.counted(stream.length, "entry");
    let groups = stream
        .groups
        .is_empty()
        .then(|| Cell::styled("no groups", Some(WARNING)));
    std::iter::once(entries.into()).chain(groups).collect()
}

/// A group's name below its stream, whose name it need not repeat, unless it would look like that of another one.
pub fn short_name(stream: &StreamState, group: &RawName) -> String {
    let prefix = [stream.name.as_bytes(), b":"].concat();
    let rest = group
        .as_bytes()
        .strip_prefix(prefix.as_slice())
        .filter(|rest| !rest.is_empty());
    match rest.map(|rest| RawName::from(rest.to_vec())) {
        Some(rest) if stream.groups.iter().all(|other| other.info.name != rest) => rest.to_string(),
        _ => group.to_string(),
    }
}

/// The figures of all groups together. A lag that is unknown leaves the sum unknown.
fn sum(streams: &[(&StreamState, Vec<&GroupState>)], layout: Layout) -> Vec<Cell> {
    let groups = || streams.iter().flat_map(|(_, groups)| groups);
    let all = groups().try_fold((0, false), |(sum, is_bound), group| match group.lag {
        Lag::Of(count) => Some((sum + count, is_bound)),
        Lag::AtLeast(count) => Some((sum + count, true)),
        Lag::Unknown => None,
    });
    let lag = match all {
        Some((sum, false)) => Lag::Of(sum),
        Some((sum, true)) => Lag::AtLeast(sum),
        None => Lag::Unknown,
    };
    let behind = groups().filter_map(|group| match group.behind {
        Behind::Ms(ms) => Some(ms),
        Behind::Nothing | Behind::Unknown => None,
    });
    [
        number_of(lag, layout),
        layout.number(groups().map(|group| group.info.pending).sum()),
        optional_duration(behind.max()),
        optional_duration(groups().filter_map(|group| group.oldest_idle_ms).max()),
        layout.number(groups().map(|group| group.info.consumers).sum()),
    ]
    .map(Cell::from)
    .to_vec()
}

fn one(stream: &StreamState, groups: &[&GroupState], gates: &Gates, layout: Layout) -> String {
    let count = match stream.groups.len() as u64 {
        0 => "no groups".to_owned(),
        groups => layout.counted(groups, "group"),
    };
    let entries = layout.counted(stream.length, "entry");
    let heading = heading(
        &format!("stream {}", stream.name),
        &[entries.into(), count.into()],
        layout,
    );
    let mut columns = vec![Column::Name("GROUP")];
    columns.extend(FIGURES);
    let name = |group: &GroupState| match layout.width {
        Some(_) => short_name(stream, &group.info.name),
        None => group.info.name.to_string(),
    };
    let row = |group: &&GroupState| Row::Cells([vec![name(group).into()], figures(group, gates, layout)].concat());
    sections([heading, filled(&columns, groups.iter().map(row).collect(), layout)])
}

/// The cells of [`FIGURES`]: what exceeds a limit stands out, and what waits catches the eye.
fn figures(group: &GroupState, gates: &Gates, layout: Layout) -> Vec<Cell> {
    let exceeded = gates.exceeded(group);
    let style = |is_exceeded, catches_eye| -> Option<Style> {
        match (is_exceeded, catches_eye) {
            (true, _) => Some(ERROR),
            (_, true) => Some(WARNING),
            _ => None,
        }
    };
    let is_old = matches!(group.behind, Behind::Ms(ms) if ms >= OLD_MS);
    let lags = group.lag.least().is_some_and(|lag| lag > 0);
    vec![
        Cell::styled(number_of(group.lag, layout), style(exceeded.lag, lags)),
        Cell::styled(layout.number(group.info.pending), style(exceeded.pending, false)),
        Cell::styled(behind(group.behind, duration), style(exceeded.behind, is_old)),
        Cell::styled(optional_duration(group.oldest_idle_ms), style(exceeded.idle, false)),
        layout.number(group.info.consumers).into(),
    ]
}

/// A lag in digits; one that is only known to be larger as `>10000`.
pub fn lag(lag: Lag) -> String {
    lag_in(lag, |count| count.to_string())
}

fn number_of(lag: Lag, layout: Layout) -> String {
    lag_in(lag, |count| layout.number(count))
}

fn lag_in(lag: Lag, number: impl Fn(u64) -> String) -> String {
    match lag {
        Lag::Of(count) => number(count),
        Lag::AtLeast(count) => format!(">{}", number(count.saturating_sub(1))),
        Lag::Unknown => UNKNOWN.to_owned(),
    }
}

/// An age.
pub fn behind(behind: Behind, duration: impl Fn(u64) -> String) -> String {
    match behind {
        Behind::Nothing => NOTHING.to_owned(),
        Behind::Ms(ms) => duration(ms),
        Behind::Unknown => UNKNOWN.to_owned(),
    }
}

pub fn group(view: &GroupView<'_>, shown: &Shown, gates: &Gates, layout: Layout) -> String {
    let state = &view.state;
    let exceeded = gates.exceeded(state);
    let figure = |text: String, is_exceeded: bool| Cell::styled(text, is_exceeded.then_some(ERROR));
    let mut figures = vec![
        figure(
            format!("{} pending", layout.number(state.info.pending)),
            exceeded.pending,
        ),
        figure(format!("lag {}", number_of(state.lag, layout)), exceeded.lag),
    ];
    if state.behind != Behind::Nothing {
        figures.push(figure(
            format!("behind {}", behind(state.behind, duration)),
            exceeded.behind,
        ));
    }
    figures.extend(
        state
            .oldest_idle_ms
            .map(|ms| figure(format!("oldest idle {}", duration(ms)), exceeded.idle)),
    );
    let subject = format!("group {} on {}", state.info.name, view.stream);
    sections([
        heading(&subject, &figures, layout),
        consumers_table(&view.consumers, layout),
        entries_table(&shown.entries, layout) + &rest(view, shown, layout),
        explained(view, shown),
    ])
}

/// What the names of nobody stand for.
const NOBODIES: [(&str, &str); 2] = [
    (
        names::HANDED_BACK,
        "what others gave back as they ended; whoever reads next gets it",
    ),
    (
        names::AWAITING_ACK,
        "what others printed (--ack manual) before they ended; ack settles it",
    ),
];

/// Whoever meets such a name wonders who that is.
fn explained(view: &GroupView<'_>, shown: &Shown) -> String {
    let consumers = view.consumers.iter().map(|consumer| &consumer.name);
    let names = consumers.chain(shown.entries.iter().map(|entry| &entry.consumer));
    let met = NOBODIES
        .iter()
        .filter(|(nobody, _)| names.clone().any(|name| name.is(nobody)));
    met.map(|(nobody, is)| format!("{nobody}: not a consumer, but {is}\n"))
        .collect()
}

fn consumers_table(consumers: &[ConsumerInfo], layout: Layout) -> String {
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
    let row = |consumer: &ConsumerInfo| {
        let mut row = vec![
            consumer.name.to_string(),
            layout.number(consumer.pending),
            duration(consumer.idle_ms),
        ];
        row.extend(inactive_is_known.then(|| optional_duration(consumer.inactive_ms)));
        Row::Cells(row.into_iter().map(Cell::from).collect())
    };
    filled(&columns, consumers.iter().map(row).collect(), layout)
}

fn entries_table(entries: &[PendingEntry], layout: Layout) -> String {
    let columns = [
        Column::Text("ID"),
        Column::Name("CONSUMER"),
        Column::Figure("IDLE"),
        Column::Figure("DELIVERIES"),
    ];
    let row = |entry: &PendingEntry| {
        let cells = [
            entry.id.to_string(),
            entry.consumer.to_string(),
            optional_duration(entry.idle_ms),
            layout.number(entry.deliveries),
        ];
        Row::Cells(cells.map(Cell::from).to_vec())
    };
    filled(&columns, entries.iter().map(row).collect(), layout)
}

/// What is to be said below the entries: that there are more, or that the filter lets none through.
fn rest(view: &GroupView<'_>, shown: &Shown, layout: Layout) -> String {
    let count = shown.entries.len();
    match shown.rest {
        Rest::Nothing if count == 0 && view.state.info.pending > 0 => "no pending entry matches\n".to_owned(),
        Rest::Nothing => String::new(),
        Rest::Of(total) => {
            let all = layout.counted(total, "entry");
            format!("{count} of {all} shown; see more with -n {total}\n")
        }
        Rest::Uncounted => format!(
            "{} shown, there are more; see them with -n N\n",
            layout.counted(count as u64, "entry")
        ),
    }
}

/// Consumers that are taken for dead, and what to do about them.
pub fn dead_consumers(dead: &[DeadConsumer], layout: Layout) -> String {
    let columns = [
        Column::Name("STREAM"),
        Column::Name("GROUP"),
        Column::Name("CONSUMER"),
        Column::Figure("PENDING"),
        Column::Figure("IDLE"),
    ];
    let row = |dead: &DeadConsumer| {
        let holds = (dead.info.pending > 0).then_some(WARNING);
        Row::Cells(vec![
            dead.stream.to_string().into(),
            dead.group.to_string().into(),
            dead.info.name.to_string().into(),
            Cell::styled(layout.number(dead.info.pending), holds),
            duration(dead.info.idle_ms).into(),
        ])
    };
    let rows = dead.iter().map(row).collect();
    sections([table(&columns, rows, layout), advice(dead)])
}

/// A command for each group: with the name where it is one.
fn advice(dead: &[DeadConsumer]) -> String {
    let mut groups: BTreeMap<(&RawName, &RawName), Vec<&RawName>> = BTreeMap::new();
    for dead in dead {
        groups
            .entry((&dead.stream, &dead.group))
            .or_default()
            .push(&dead.info.name);
    }
    let command = |((stream, group), names): (&(&RawName, &RawName), &Vec<&RawName>)| {
        let word = |name: &RawName| one_line(&quote(&name.typed()));
        let name = match names.as_slice() {
            [one] => word(one),
            _ => "NAME".to_owned(),
        };
        format!(
            "  redis-streamer unsubscribe {} {} --consumer {name}\n",
            word(stream),
            one_line(&group_option(&stream.typed(), &group.typed()))
        )
    };
    let commands: String = groups.iter().map(command).collect();
    format!("to hand back what they hold, and remove their names:\n{commands}")
}

/// A table, or nothing where it would be a header alone.
fn filled(columns: &[Column], rows: Vec<Row>, layout: Layout) -> String {
    if rows.is_empty() {
        String::new()
    } else {
        table(columns, rows, layout)
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
