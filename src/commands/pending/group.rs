//! A group from near: its consumers, and the entries that wait for their acknowledgement.

use super::gates::Gates;
use super::settings::GroupScope;
use super::{json, tables};
use crate::failure::Failure;
use crate::render::Layout;
use crate::streamer::{
    Connections, ConsumerInfo, Ending, Error, GroupState, Look, PendingEntry, PendingFilter, PendingPages, RawName,
    group_state,
};
use crate::ui::Ui;
use json::Place;

/// A group but for its entries, which may be many.
pub struct GroupView<'a> {
    pub stream: &'a RawName,
    group: &'a RawName,
    filter: PendingFilter<'a>,
    connections: Connections,
    pub state: GroupState,
    pub consumers: Vec<ConsumerInfo>,
}

/// The entries of a table.
pub struct Shown {
    pub entries: Vec<PendingEntry>,
    pub rest: Rest,
}

/// What the filter lets through beyond the entries shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rest {
    Nothing,
    /// More: so many with those shown.
    Of(u64),
    /// More, nobody counted how many.
    Uncounted,
}

impl<'a> GroupView<'a> {
    pub fn gather(mut connections: Connections, scope: &'a GroupScope, look: &Look) -> Result<Self, Error> {
        let (stream, group) = (&scope.stream, &scope.group);
        let filter = PendingFilter {
            min_idle_ms: scope.min_idle_ms,
            consumer: scope.consumer.as_ref(),
            count: scope.count,
        };
        let (state, mut consumers) =
            connections.at(stream, |connection| group_state(connection, stream, group, look))?;
        if let Some(only) = filter.consumer {
            consumers.retain(|consumer| consumer.name == *only);
        }
        Ok(Self {
            stream,
            group,
            filter,
            connections,
            state,
            consumers,
        })
    }

    /// Writes entries as they are read, page by page. The first page is read before anything is written: most of
    /// what can fail fails there.
    pub fn print_json(&mut self, ui: Ui) -> anyhow::Result<Ending> {
        let mut pages = PendingPages::new(self.stream, self.group, self.filter);
        let mut page = self.next(&mut pages)?;
        let mut text = json::group_head(self)?.into_bytes();
        let mut stdout = ui.data()?;
        let mut place = Place::First;
        while let Some(entries) = page {
            json::group_entries(&mut text, &entries, place)?;
            if !entries.is_empty() {
                place = Place::Later;
            }
            if let Err(error) = stdout.write_json(&text) {
                return Failure::stdout(error);
            }
            text.clear();
            page = self.next(&mut pages)?;
        }
        stdout
            .write_json(json::GROUP_TAIL)
            .map_or_else(Failure::stdout, |()| Ok(Ending::Enough))
    }

    fn next(&mut self, pages: &mut PendingPages<'_>) -> Result<Option<Vec<PendingEntry>>, Error> {
        self.connections.at(self.stream, |connection| pages.next(connection))
    }

    pub fn tables(&mut self, gates: &Gates, layout: Layout) -> Result<String, Error> {
        let shown = self.shown()?;
        Ok(tables::group(self, &shown, gates, layout))
    }

    fn shown(&mut self) -> Result<Shown, Error> {
        let most = self.filter.count;
        // One more than is shown tells whether there are more.
        let filter = PendingFilter {
            count: most.saturating_add(1),
            ..self.filter
        };
        let mut pages = PendingPages::new(self.stream, self.group, filter);
        let mut entries = Vec::new();
        while let Some(page) = self.next(&mut pages)? {
            entries.extend(page);
        }
        let rest = match (entries.len() > most, self.filter.min_idle_ms) {
            (false, _) => Rest::Nothing,
            (true, 0) if self.filter.consumer.is_none() => Rest::Of(self.state.info.pending),
            (true, 0) => Rest::Of(self.consumers.iter().map(|consumer| consumer.pending).sum()),
            (true, _) => Rest::Uncounted,
        };
        entries.truncate(most);
        Ok(Shown { entries, rest })
    }
}
