//! What is done with an entry as it arrives: the one place that decides.

use crate::streamer::matching::Matching;
use crate::streamer::wire::resp::Delivered;

use super::quota::Quota;

/// What is done with a delivered entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Triage {
    /// Printed or handled.
    Take,
    /// Acknowledged unseen: nobody asked for it, or somebody processed it already.
    PassOver,
    /// Handed back at the end: as many as were asked for are taken.
    Hold,
    /// Acknowledged and told of: it was deleted or trimmed while it was pending.
    Gone,
    /// Nothing: it is being dealt with already.
    Known,
}

/// What is known of an entry beside what it holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    New,
    /// It came when nothing more is taken on.
    Late,
    /// This member deals with it.
    Ours,
    /// Somebody processed it, as the ledger says.
    Processed,
}

/// Decides, and takes from the quota if the entry is to be taken.
pub fn triage(delivered: &Delivered<'_>, standing: Standing, matching: &Matching, quota: &Quota) -> Triage {
    let entry = match (delivered, standing) {
        (_, Standing::Ours) => return Triage::Known,
        (Delivered::Gone(_), _) => return Triage::Gone,
        (Delivered::Entry(_), Standing::Processed) => return Triage::PassOver,
        (Delivered::Entry(_), Standing::Late) => return Triage::Hold,
        (Delivered::Entry(entry), Standing::New) => entry,
    };
    // Once the quota is used up nothing is acknowledged unseen any more: others may ask for it.
    if quota.is_used_up() {
        Triage::Hold
    } else if !matching.wants(entry) {
        Triage::PassOver
    } else if quota.take() {
        Triage::Take
    } else {
        Triage::Hold
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::streamer::entry::{Entry, EntryId};

    fn named(pattern: &str) -> Matching {
        Matching::any_of(vec![pattern.parse().unwrap()])
    }

    fn entry(name: &'static str) -> Delivered<'static> {
        Delivered::Entry(Entry {
            id: EntryId::at_ms(1),
            fields: vec![(b"name", name.as_bytes()), (b"body", b"1")],
            deliveries: None,
        })
    }

    #[test]
    fn every_entry_has_one_way() {
        let gone = Delivered::Gone(EntryId::at_ms(1));
        let one = || Quota::new(Some(1));
        let none = Quota::new(Some(0));
        let rows = [
            (entry("a"), Standing::New, Matching::default(), one(), Triage::Take),
            (entry("a"), Standing::New, named("a"), one(), Triage::Take),
            (entry("a"), Standing::New, named("b"), one(), Triage::PassOver),
            (
                entry("a"),
                Standing::New,
                Matching::default(),
                none.clone(),
                Triage::Hold,
            ),
            (entry("a"), Standing::New, named("b"), none.clone(), Triage::Hold),
            (
                entry("a"),
                Standing::Processed,
                Matching::default(),
                one(),
                Triage::PassOver,
            ),
            (
                entry("a"),
                Standing::Processed,
                Matching::default(),
                none.clone(),
                Triage::PassOver,
            ),
            (entry("a"), Standing::Late, Matching::default(), one(), Triage::Hold),
            (entry("a"), Standing::Late, named("b"), one(), Triage::Hold),
            (entry("a"), Standing::Ours, Matching::default(), one(), Triage::Known),
            (gone.clone(), Standing::New, Matching::default(), one(), Triage::Gone),
            (gone.clone(), Standing::Late, Matching::default(), one(), Triage::Gone),
            (
                gone.clone(),
                Standing::Processed,
                Matching::default(),
                none.clone(),
                Triage::Gone,
            ),
            (gone, Standing::Ours, Matching::default(), none, Triage::Known),
        ];
        for (delivered, standing, matching, quota, expected) in rows {
            let found = triage(&delivered, standing, &matching, &quota);
            assert_eq!(found, expected, "{delivered:?} {standing:?} {matching:?}");
        }
    }

    #[test]
    fn only_what_is_taken_counts() {
        let quota = Quota::new(Some(1));
        assert_eq!(
            triage(&entry("b"), Standing::New, &named("a"), &quota),
            Triage::PassOver
        );
        assert_eq!(triage(&entry("a"), Standing::New, &named("a"), &quota), Triage::Take);
        assert_eq!(triage(&entry("a"), Standing::New, &named("a"), &quota), Triage::Hold);
    }
}
