//! What `unsubscribe` found and did, as one line of JSON for programs.

use serde::Serialize;

use super::item::{Found, Item};
use super::{Losses, Subject};
use crate::commands::lag_json::LagJson;
use crate::name_json::NameJson;
use crate::streamer::Lag;

pub fn document(items: &[Item]) -> serde_json::Result<String> {
    let rows: Vec<_> = items.iter().map(Row::of).collect();
    serde_json::to_string(&rows).map(|line| line + "\n")
}

#[derive(Serialize)]
struct Row<'a> {
    stream: NameJson<'a>,
    group: NameJson<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    consumer: Option<NameJson<'a>>,
    #[serde(flatten)]
    facts: Facts<'a>,
    /// What `--force` is needed for.
    in_the_way: Vec<String>,
    removed: bool,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Facts<'a> {
    Missing {
        missing: bool,
    },
    Group {
        pending: u64,
        #[serde(flatten)]
        lag: LagJson,
        consumers: Vec<NameJson<'a>>,
        at_work: Vec<NameJson<'a>>,
        /// Entries of the ledger; null where this user may not look.
        ledger: Option<u64>,
    },
    Consumer {
        pending: u64,
        idle_ms: u64,
        handed_back: u64,
    },
}

impl<'a> Row<'a> {
    fn of(item: &'a Item) -> Self {
        let Subject {
            stream,
            group,
            consumer,
            ..
        } = &item.subject;
        Self {
            stream: NameJson(stream),
            group: NameJson(group),
            consumer: consumer.as_ref().map(NameJson),
            facts: Facts::of(&item.found),
            in_the_way: item.in_the_way(Losses::Refused),
            removed: item.is_removed,
        }
    }
}

impl<'a> Facts<'a> {
    fn of(found: &'a Found) -> Self {
        match found {
            Found::Nothing => Self::Missing { missing: true },
            Found::Group { group, ledger } => Self::Group {
                pending: group.info.pending,
                lag: Lag::from(group.undelivered).into(),
                consumers: group.consumers.iter().map(|info| NameJson(&info.name)).collect(),
                at_work: group.at_work().map(|info| NameJson(&info.name)).collect(),
                ledger: *ledger,
            },
            Found::Consumer { info, handed_back } => Self::Consumer {
                pending: info.pending,
                idle_ms: info.idle_ms,
                handed_back: *handed_back,
            },
        }
    }
}
