//! What `subscribe` says of groups that it creates and moves.

use super::{Plan, Settings, Start};
use crate::render::{counted, duration, grouped, one_line};
use crate::streamer::{Count, EntryId, Existing, Move, Passed, Point, Position, Subscribed};

/// How many consumers are named.
const NAMED: usize = 5;

/// What was done.
pub fn done(plan: &Plan<'_>, start: &Start, subscribed: Subscribed) -> String {
    let name = name(plan);
    match subscribed {
        Subscribed::Created => format!("created {name}, from {}", place(plan.to, start)),
        Subscribed::Kept => format!("{name} exists, left as it is"),
        Subscribed::Moved => {
            let moved = format!("moved {name} to {}", place(plan.to, start));
            let meaning = plan
                .moves
                .as_ref()
                .map(|moves| meaning(moves, ["come", "comes", "are", "is"]));
            moved + &meaning.unwrap_or_default()
        }
    }
}

/// What would be done.
pub fn planned(plan: &Plan<'_>, settings: &Settings) -> String {
    let (name, place) = (name(plan), place(plan.to, &settings.start));
    match (&plan.moves, settings.existing) {
        (None, _) => format!("would create {name}, from {place}"),
        (Some(_), Existing::Keep) => format!("{name} exists, and would be left as it is"),
        (Some(moves), Existing::Move) => {
            let meaning = meaning(moves, ["would come", "would come", "would be", "would be"]);
            format!("would move {name} to {place}{meaning}")
        }
    }
}

pub fn at_work(plan: &Plan<'_>, moves: &Move) -> String {
    let named = moves.at_work.iter().take(NAMED);
    let named: Vec<_> = named
        .map(|consumer| {
            format!(
                "{} {} ago",
                one_line(&consumer.name.to_string()),
                duration(consumer.idle_ms)
            )
        })
        .collect();
    let more = match moves.at_work.len().saturating_sub(NAMED) {
        0 => String::new(),
        more => format!(" and {}", counted(more as u64, "other")),
    };
    format!(
        "consumers of {} are at work, and go on from the new place at once: {}{more}",
        name(plan),
        named.join(", ")
    )
}

fn name(plan: &Plan<'_>) -> String {
    format!("group {} on {}", one_line(plan.group), one_line(plan.stream))
}

/// Where a group begins, with its time where that is not what was typed.
fn place(to: Position, start: &Start) -> String {
    match (start, to) {
        (Start::At(point @ Point::Id(id)), _) => format!("{point} ({})", time(*id)),
        (Start::At(point @ Point::Ago(_)), Position::Behind(id)) => {
            format!("{point} ({})", time(id.next().unwrap_or(id)))
        }
        (Start::At(point), _) => point.to_string(),
        (Start::Group(other), Position::Behind(EntryId::MIN) | Position::End) => {
            format!("where {} stands, the beginning", one_line(other))
        }
        (Start::Group(other), Position::Behind(id)) => {
            format!("where {} stands, behind {id} ({})", one_line(other), time(id))
        }
    }
}

fn time(id: EntryId) -> Point {
    Point::Time(id.ms)
}

/// What moving means; `verbs` are those of coming again and being skipped, of many and of one.
fn meaning(moves: &Move, [come, comes, are, is]: [&str; 4]) -> String {
    let passed = match moves.passed {
        Passed::Again(count) => format!("{} again", entries(count, comes, come)),
        Passed::Skipped(count) => format!("{} skipped", entries(count, is, are)),
    };
    match moves.pending {
        0 => format!(": {passed}"),
        pending => format!(": {passed}; {} pending before and after", counted(pending, "entry")),
    }
}

fn entries(count: Count, one: &str, many: &str) -> String {
    match count {
        Count::Exactly(0) => format!("nothing {one}"),
        Count::Exactly(1) => format!("1 entry {one}"),
        Count::Exactly(count) => format!("{} {many}", counted(count, "entry")),
        Count::AtLeast(count) => format!(">{} entries {many}", grouped(count.saturating_sub(1))),
    }
}
