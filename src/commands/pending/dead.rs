//! Consumers that have not asked for entries for long: what they hold waits for nothing, and their names pile up.

use std::time::Duration;

use super::settings::{Format, whole_ms};
use super::{json, tables};
use crate::commands::{layout, print_json, print_tables};
use crate::streamer::{Connections, ConsumerInfo, Ending, Error, RawName, StreamState, consumers, names};
use crate::ui::Ui;

/// A consumer of a group that is taken for dead.
pub struct DeadConsumer {
    pub stream: RawName,
    pub group: RawName,
    pub info: ConsumerInfo,
}

pub fn show(
    connections: &mut Connections,
    streams: &[StreamState],
    only: Option<&RawName>,
    idle: Duration,
    format: Format,
    ui: Ui,
) -> anyhow::Result<Ending> {
    let dead = find(connections, streams, only, whole_ms(idle))?;
    match format {
        Format::Json => print_json(ui, json::dead_consumers(&dead)?.as_bytes()),
        Format::Tables if dead.is_empty() => {
            ui.status("there are no such consumers");
            Ok(Ending::Enough)
        }
        Format::Tables => print_tables(ui, &tables::dead_consumers(&dead, layout(ui))),
    }
}

/// Those who hold most first.
fn find(
    connections: &mut Connections,
    streams: &[StreamState],
    only: Option<&RawName>,
    idle_ms: u64,
) -> Result<Vec<DeadConsumer>, Error> {
    let mut dead = Vec::new();
    for stream in streams {
        let groups = stream.groups.iter().map(|group| &group.info.name);
        for group in groups.filter(|group| only.is_none_or(|only| only == *group)) {
            let found = match connections.at(&stream.name, |connection| consumers(connection, &stream.name, group)) {
                Ok(found) => found,
                // Deleted in the meantime.
                Err(Error::NoGroup { .. } | Error::WrongType { .. } | Error::NoStream { .. }) => continue,
                Err(error) => return Err(error),
            };
            let is_dead = |info: &ConsumerInfo| info.idle_ms >= idle_ms && !names::is_nobody(&info.name);
            dead.extend(found.into_iter().filter(is_dead).map(|info| DeadConsumer {
                stream: stream.name.clone(),
                group: group.clone(),
                info,
            }));
        }
    }
    dead.sort_by_key(|dead| std::cmp::Reverse((dead.info.pending, dead.info.idle_ms)));
    Ok(dead)
}
