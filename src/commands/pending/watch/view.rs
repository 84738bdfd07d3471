//! What of the model is looked at, and what keys do about it. Pure.

use std::cmp::Reverse;

use super::model::{Model, StreamRow};
use crate::commands::pending::tables::attention;
use crate::streamer::{ConsumerInfo, EntryId, PendingEntry, RawName};
use crate::ui::Key;

/// What is looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Page {
    Streams,
    Group {
        stream: RawName,
        group: RawName,
    },
    Entry {
        stream: RawName,
        group: RawName,
        id: EntryId,
    },
}

/// What a page shows beside the model.
#[derive(Clone, Debug, Default)]
pub struct Detail {
    pub consumers: Vec<ConsumerInfo>,
    pub entries: Vec<PendingEntry>,
    /// The entry that is looked at, as lines of JSON; `None` if it is gone.
    pub entry: Option<Vec<String>>,
}

/// By what streams and groups are sorted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sort {
    Behind,
    Name,
    Lag,
    Pending,
    In,
    Out,
}

impl Sort {
    pub fn name(self) -> &'static str {
        match self {
            Self::Behind => "behind",
            Self::Name => "name",
            Self::Lag => "lag",
            Self::Pending => "pending",
            Self::In => "in",
            Self::Out => "out",
        }
    }

    fn next(self) -> Self {
        match self {
            Self::Behind => Self::Name,
            Self::Name => Self::Lag,
            Self::Lag => Self::Pending,
            Self::Pending => Self::In,
            Self::In => Self::Out,
            Self::Out => Self::Behind,
        }
    }
}

/// What keys change.
#[derive(Debug)]
pub struct View {
    pub page: Page,
    pub detail: Option<Detail>,
    pub sort: Sort,
    pub filter: String,
    /// Whether what is typed goes into the filter.
    pub is_typing: bool,
    pub is_help_shown: bool,
    /// The group that is selected, by its names: its row moves.
    pub selected: Option<(RawName, RawName)>,
    /// The entry, or the line of an entry, that is selected.
    pub line: usize,
}

/// What is to be done after a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Then {
    GoOn,
    /// Another page is looked at: its details are to be asked for.
    Ask,
    Quit,
    Interrupt,
}

/// How far a page key goes.
const PAGE: usize = 10;

impl View {
    pub fn new(page: Page) -> Self {
        Self {
            page,
            detail: None,
            sort: Sort::Behind,
            filter: String::new(),
            is_typing: false,
            is_help_shown: false,
            selected: None,
            line: 0,
        }
    }

    pub fn press(&mut self, key: Key, model: &Model) -> Then {
        if key == Key::Interrupt {
            return Then::Interrupt;
        }
        if self.is_typing {
            self.type_filter(key);
            return Then::GoOn;
        }
        if std::mem::take(&mut self.is_help_shown) {
            return Then::GoOn;
        }
        match key {
            Key::Char('q') => return Then::Quit,
            Key::Char('?' | 'h') => self.is_help_shown = true,
            Key::Char('r') => return Then::Ask,
            Key::Char('s') if self.page == Page::Streams => self.sort = self.sort.next(),
            Key::Char('/') if self.page == Page::Streams => self.is_typing = true,
            Key::Up | Key::Char('k') => self.go(model, |at, _| at.saturating_sub(1)),
            Key::Down | Key::Char('j') => self.go(model, |at, last| (at + 1).min(last)),
            Key::PageUp => self.go(model, |at, _| at.saturating_sub(PAGE)),
            Key::PageDown | Key::Char(' ') => self.go(model, |at, last| (at + PAGE).min(last)),
            Key::Home | Key::Char('g') => self.go(model, |_, _| 0),
            Key::End | Key::Char('G') => self.go(model, |_, last| last),
            Key::Enter => return self.open(model),
            Key::Back | Key::Erase => return self.back(),
            Key::Char(_) | Key::Interrupt => {}
        }
        Then::GoOn
    }

    fn type_filter(&mut self, key: Key) {
        match key {
            Key::Char(c) => self.filter.push(c),
            Key::Erase => {
                self.filter.pop();
            }
            Key::Back => {
                self.filter.clear();
                self.is_typing = false;
            }
            Key::Enter => self.is_typing = false,
            _ => {}
        }
    }

    fn go(&mut self, model: &Model, to: impl Fn(usize, usize) -> usize) {
        if self.page == Page::Streams {
            let groups = self.groups(model);
            let at = self.position(&groups);
            self.selected = groups.get(to(at, groups.len().saturating_sub(1))).cloned();
        } else {
            let last = self.lines().saturating_sub(1);
            self.line = to(self.line.min(last), last);
        }
    }

    /// How many lines there are to go through.
    fn lines(&self) -> usize {
        let Some(detail) = &self.detail else {
            return 0;
        };
        match self.page {
            Page::Streams => 0,
            Page::Group { .. } => detail.entries.len(),
            Page::Entry { .. } => detail.entry.as_ref().map_or(0, Vec::len),
        }
    }

    fn open(&mut self, model: &Model) -> Then {
        let page = match &self.page {
            Page::Streams => {
                let groups = self.groups(model);
                let selected = groups.get(self.position(&groups)).cloned();
                self.selected.clone_from(&selected);
                selected.map(|(stream, group)| Page::Group { stream, group })
            }
            Page::Group { stream, group } => {
                let entries = self.detail.as_ref().map(|detail| detail.entries.as_slice());
                let entry = entries.and_then(|entries| entries.get(self.line));
                entry.map(|entry| Page::Entry {
                    stream: stream.clone(),
                    group: group.clone(),
                    id: entry.id,
                })
            }
            Page::Entry { .. } => None,
        };
        page.map_or(Then::GoOn, |page| self.turn_to(page))
    }

    fn back(&mut self) -> Then {
        match &self.page {
            Page::Streams => {
                self.filter.clear();
                Then::GoOn
            }
            Page::Group { .. } => self.turn_to(Page::Streams),
            Page::Entry { stream, group, .. } => {
                let (stream, group) = (stream.clone(), group.clone());
                self.turn_to(Page::Group { stream, group })
            }
        }
    }

    fn turn_to(&mut self, page: Page) -> Then {
        self.page = page;
        self.detail = None;
        self.line = 0;
        Then::Ask
    }

    /// The place of the selected group among those that are shown; the first, if it is gone.
    fn position(&self, groups: &[(RawName, RawName)]) -> usize {
        let selected = self.selected.as_ref();
        let place = groups.iter().position(|group| Some(group) == selected);
        place.unwrap_or(0)
    }

    /// The group that is selected among those that are shown.
    pub fn selection(&self, model: &Model) -> Option<(RawName, RawName)> {
        let mut groups = self.groups(model);
        let at = self.position(&groups);
        (at < groups.len()).then(|| groups.swap_remove(at))
    }

    fn groups(&self, model: &Model) -> Vec<(RawName, RawName)> {
        let rows = self.rows(model).into_iter();
        rows.flat_map(|(row, groups)| {
            groups.into_iter().map(|index| {
                let group = &row.state.groups[index];
                (row.state.name.clone(), group.info.name.clone())
            })
        })
        .collect()
    }

    /// The streams that pass the filter, each with its groups by their places, sorted.
    pub fn rows<'m>(&self, model: &'m Model) -> Vec<(&'m StreamRow, Vec<usize>)> {
        let is_shown = |name: &RawName| name.to_string().contains(&self.filter);
        let rows = model.streams.iter().filter_map(|row| {
            let all = is_shown(&row.state.name);
            let groups = row.state.groups.iter().enumerate();
            let mut groups: Vec<_> = groups
                .filter(|(_, group)| all || is_shown(&group.info.name))
                .map(|(index, _)| index)
                .collect();
            groups.sort_by_key(|index| Reverse(self.weight_of_group(row, *index)));
            (all || !groups.is_empty()).then_some((row, groups))
        });
        let mut rows: Vec<_> = rows.collect();
        rows.sort_by_key(|(row, groups)| {
            let heaviest = groups.iter().map(|index| self.weight_of_group(row, *index)).max();
            Reverse(heaviest.max(Some(self.weight_of_stream(row))))
        });
        rows
    }

    fn weight_of_group(&self, row: &StreamRow, index: usize) -> (u64, u64, u64) {
        let group = &row.state.groups[index];
        let rate = || row.groups.get(index).and_then(|group| group.rate_out.now);
        match self.sort {
            Sort::Behind => attention(group),
            Sort::Name | Sort::In => (0, 0, 0),
            Sort::Lag => (group.lag.least().unwrap_or(0), 0, 0),
            Sort::Pending => (group.info.pending, 0, 0),
            Sort::Out => (thousandths(rate()), 0, 0),
        }
    }

    fn weight_of_stream(&self, row: &StreamRow) -> (u64, u64, u64) {
        match self.sort {
            Sort::In => (thousandths(row.rate_in.now), 0, 0),
            _ => (0, 0, 0),
        }
    }
}

/// A rate as a whole number, by which to sort.
fn thousandths(rate: Option<f64>) -> u64 {
    (rate.unwrap_or(0.0) * 1000.0) as u64
}

#[cfg(test)]
mod tests {
    use super::super::model::tests::stream;
    use super::*;

    fn model() -> Model {
        let mut model = Model::default();
        let streams = vec![
            stream("a", 5, 5, 0, 1),
            stream("b", 9, 1, 0, 1),
            stream("c", 5, 4, 3, 1),
        ];
        model.update(0, streams);
        model
    }

    fn names(view: &View, model: &Model) -> String {
        let rows = view.rows(model);
        rows.iter().map(|(row, _)| row.state.name.to_string()).collect()
    }

    #[test]
    fn rows_are_sorted_and_filtered_by_keys() {
        let model = model();
        let mut view = View::new(Page::Streams);
        assert_eq!(names(&view, &model), "bca");
        view.press(Key::Char('s'), &model);
        assert_eq!((view.sort, names(&view, &model).as_str()), (Sort::Name, "abc"));
        view.press(Key::Char('s'), &model);
        assert_eq!((view.sort, names(&view, &model).as_str()), (Sort::Lag, "bca"));
        view.press(Key::Char('s'), &model);
        assert_eq!((view.sort, names(&view, &model).as_str()), (Sort::Pending, "cab"));
        for key in ['/', 'c', ':', 'q'] {
            view.press(Key::Char(key), &model);
        }
        assert_eq!((view.filter.as_str(), names(&view, &model).as_str()), ("c:q", ""));
        assert_eq!(view.selection(&model), None);
        view.press(Key::Erase, &model);
        assert_eq!(names(&view, &model), "c");
        view.press(Key::Enter, &model);
        assert!(!view.is_typing);
        view.press(Key::Back, &model);
        assert_eq!(names(&view, &model), "cab");
    }

    #[test]
    fn a_selection_stays_with_its_group() {
        let mut model = model();
        let mut view = View::new(Page::Streams);
        let selected = |view: &View, model: &Model| view.selection(model).map(|(stream, _)| stream.to_string());
        assert_eq!(selected(&view, &model).as_deref(), Some("b"));
        view.press(Key::Down, &model);
        assert_eq!(selected(&view, &model).as_deref(), Some("c"));
        model.update(2000, vec![stream("b", 9, 1, 0, 1), stream("c", 90, 4, 3, 1)]);
        assert_eq!(names(&view, &model), "cb");
        assert_eq!(selected(&view, &model).as_deref(), Some("c"));
        view.press(Key::End, &model);
        assert_eq!(selected(&view, &model).as_deref(), Some("b"));
        model.update(4000, vec![stream("c", 90, 4, 3, 1)]);
        assert_eq!(selected(&view, &model).as_deref(), Some("c"));
    }

    #[test]
    fn pages_are_opened_and_left() {
        let model = model();
        let mut view = View::new(Page::Streams);
        assert_eq!(view.press(Key::Enter, &model), Then::Ask);
        assert!(matches!(&view.page, Page::Group { stream, .. } if *stream == RawName::from("b")));
        // Nothing is known of its entries yet.
        assert_eq!(view.press(Key::Enter, &model), Then::GoOn);
        let entry = |ms| PendingEntry {
            id: EntryId::at_ms(ms),
            consumer: RawName::from("c"),
            idle_ms: None,
            deliveries: 1,
        };
        view.detail = Some(Detail {
            entries: vec![entry(1), entry(2)],
            ..Detail::default()
        });
        view.press(Key::Down, &model);
        view.press(Key::Down, &model);
        assert_eq!(view.press(Key::Enter, &model), Then::Ask);
        assert!(matches!(view.page, Page::Entry { id, .. } if id == EntryId::at_ms(2)));
        assert_eq!(view.press(Key::Back, &model), Then::Ask);
        assert_eq!(view.press(Key::Back, &model), Then::Ask);
        assert_eq!(view.page, Page::Streams);
        view.press(Key::Char('?'), &model);
        assert!(view.is_help_shown);
        assert_eq!(view.press(Key::Char('q'), &model), Then::GoOn);
        assert_eq!(view.press(Key::Char('q'), &model), Then::Quit);
        assert_eq!(view.press(Key::Interrupt, &model), Then::Interrupt);
    }
}
