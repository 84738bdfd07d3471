//! What `subscribe` did, or would do, as one line of JSON for programs.

use serde::Serialize;

use super::{Mode, Plan};
use crate::name_json::NameJson;
use crate::streamer::{Count, EntryId, Existing, Passed, Position, Subscribed};

pub fn document(rows: &[Row<'_>]) -> serde_json::Result<String> {
    serde_json::to_string(rows).map(|line| line + "\n")
}

#[derive(Serialize)]
pub struct Row<'a> {
    stream: &'a str,
    group: &'a str,
    outcome: &'static str,
    dry_run: bool,
    /// Behind which entry the group stands; null where that is not known.
    last_delivered_id: Option<String>,
    #[serde(flatten)]
    meaning: Option<Meaning<'a>>,
}

/// What moving a group means.
#[derive(Serialize)]
struct Meaning<'a> {
    again: u64,
    skipped: u64,
    /// Whether there may be more of those.
    count_is_lower_bound: bool,
    pending: u64,
    at_work: Vec<NameJson<'a>>,
}

impl<'a> Row<'a> {
    /// What was done, and where the group stands now, as far as this user may know.
    pub fn done(plan: &'a Plan<'_>, subscribed: Subscribed, stands: Option<EntryId>) -> Self {
        Self::of(plan, subscribed, stands, Mode::Do)
    }

    /// What would be done.
    pub fn planned(plan: &'a Plan<'_>, existing: Existing) -> Self {
        let outcome = match (&plan.moves, existing) {
            (None, _) => Subscribed::Created,
            (Some(_), Existing::Keep) => Subscribed::Kept,
            (Some(_), Existing::Move) => Subscribed::Moved,
        };
        let stands = match (outcome, plan.to) {
            (Subscribed::Kept, _) => plan.moves.as_ref().map(|moves| moves.stands),
            (_, Position::Behind(id)) => Some(id),
            // That is found out as it is done.
            (_, Position::End) => None,
        };
        Self::of(plan, outcome, stands, Mode::DryRun)
    }

    fn of(plan: &'a Plan<'_>, outcome: Subscribed, stands: Option<EntryId>, mode: Mode) -> Self {
        let moves = plan.moves.as_ref().filter(|_| outcome == Subscribed::Moved);
        Self {
            stream: plan.stream,
            group: plan.group,
            outcome: match outcome {
                Subscribed::Created => "created",
                Subscribed::Kept => "kept",
                Subscribed::Moved => "moved",
            },
            dry_run: mode == Mode::DryRun,
            last_delivered_id: stands.map(|id| id.to_string()),
            meaning: moves.map(|moves| {
                let (again, skipped) = match moves.passed {
                    Passed::Again(count) => (count, Count::Exactly(0)),
                    Passed::Skipped(count) => (Count::Exactly(0), count),
                };
                Meaning {
                    again: again.least(),
                    skipped: skipped.least(),
                    count_is_lower_bound: [again, skipped].iter().any(|count| matches!(count, Count::AtLeast(_))),
                    pending: moves.pending,
                    at_work: moves.at_work.iter().map(|info| NameJson(&info.name)).collect(),
                }
            }),
        }
    }
}
