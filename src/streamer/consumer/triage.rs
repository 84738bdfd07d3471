//! What is done with an entry as it arrives: the one place that decides.

use crate::streamer::entry::Entry;
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
pub fn triage(delivered: &Delivered<'_>, standing: Standing, matching: Option<&str>, quota: &Quota) -> Triage {
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
    } else if !is_wanted(entry, matching) {
        Triage::PassOver
    } else if quota.take() {
        Triage::Take
    } else {
        Triage::Hold
    }
}

/// Whether the message has a name that is asked for.
pub fn is_wanted(entry: &Entry<'_>, matching: Option<&str>) -> bool {
    match matching {
        None => true,
        Some(glob) => entry.name().is_some_and(|name| matches(glob, name)),
    }
}

/// Whether a name matches a glob: `*` stands for any characters, `?` for one.
fn matches(glob: &str, name: &str) -> bool {
    let (glob, name): (Vec<char>, Vec<char>) = (glob.chars().collect(), name.chars().collect());
    let (mut g, mut n) = (0, 0);
    // Where the last star stands, and how much of the name it takes: a failed match lets it take one more.
    let mut star = None;
    while n < name.len() {
        match glob.get(g) {
            Some('*') => {
                star = Some((g, n));
                g += 1;
            }
            Some(c) if *c == '?' || *c == name[n] => {
                g += 1;
                n += 1;
            }
            _ => match star {
                Some((at, taken)) => {
                    star = Some((at, taken + 1));
                    g = at + 1;
                    n = taken + 1;
                }
                None => return false,
            },
        }
    }
    glob[g..].iter().all(|c| *c == '*')
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::streamer::entry::EntryId;

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
            (entry("a"), Standing::New, None, one(), Triage::Take),
            (entry("a"), Standing::New, Some("a"), one(), Triage::Take),
            (entry("a"), Standing::New, Some("b"), one(), Triage::PassOver),
            (entry("a"), Standing::New, None, none.clone(), Triage::Hold),
            (entry("a"), Standing::New, Some("b"), none.clone(), Triage::Hold),
            (entry("a"), Standing::Processed, None, one(), Triage::PassOver),
            (entry("a"), Standing::Processed, None, none.clone(), Triage::PassOver),
            (entry("a"), Standing::Late, None, one(), Triage::Hold),
            (entry("a"), Standing::Late, Some("b"), one(), Triage::Hold),
            (entry("a"), Standing::Ours, None, one(), Triage::Known),
            (gone.clone(), Standing::New, None, one(), Triage::Gone),
            (gone.clone(), Standing::Late, None, one(), Triage::Gone),
            (gone.clone(), Standing::Processed, None, none.clone(), Triage::Gone),
            (gone, Standing::Ours, None, none, Triage::Known),
        ];
        for (delivered, standing, matching, quota, expected) in rows {
            let found = triage(&delivered, standing, matching, &quota);
            assert_eq!(found, expected, "{delivered:?} {standing:?} {matching:?}");
        }
    }

    #[test]
    fn only_what_is_taken_counts() {
        let quota = Quota::new(Some(1));
        assert_eq!(triage(&entry("b"), Standing::New, Some("a"), &quota), Triage::PassOver);
        assert_eq!(triage(&entry("a"), Standing::New, Some("a"), &quota), Triage::Take);
        assert_eq!(triage(&entry("a"), Standing::New, Some("a"), &quota), Triage::Hold);
    }

    #[test]
    fn globs_match_whole_names() {
        for (glob, name) in [
            ("user.*", "user.created"),
            ("*", ""),
            ("*.created", "a.b.created"),
            ("?.a", "é.a"),
            ("a*b*c", "axxbyybzzc"),
            ("user.created", "user.created"),
        ] {
            assert!(matches(glob, name), "{glob} {name}");
        }
        for (glob, name) in [
            ("user.*", "order.created"),
            ("a", "ab"),
            ("?", ""),
            ("a*b", "abc"),
            ("", "a"),
        ] {
            assert!(!matches(glob, name), "{glob} {name}");
        }
    }
}
