//! Where printed messages go, and how many may still go there.

use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use crate::failure::Failure;
use crate::signals::Stop;
use crate::streamer::Entry;
use crate::ui::{Data, Ui};

use super::Args;

/// Stdout, shared by all who print.
pub struct Output {
    data: Mutex<Data>,
    budget: Budget,
    matching: Option<String>,
}

/// How many messages may still be taken.
#[derive(Debug)]
pub struct Budget(Option<AtomicUsize>);

impl Budget {
    /// Takes one; false when none is left.
    pub fn take(&self) -> bool {
        let Some(left) = &self.0 else {
            return true;
        };
        left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1))
            .is_ok()
    }

    /// How many are left, at most `most`.
    pub fn left(&self, most: usize) -> usize {
        self.0
            .as_ref()
            .map_or(most, |left| left.load(Ordering::SeqCst).min(most))
    }
}

impl Output {
    /// Stdout, as the options say.
    pub fn open(ui: Ui, args: &Args) -> anyhow::Result<Self> {
        Ok(Self {
            data: Mutex::new(ui.data()?),
            budget: Budget(args.max.map(|max| AtomicUsize::new(max.get()))),
            matching: args.matching.clone(),
        })
    }

    /// How many messages may still be taken.
    pub fn budget(&self) -> &Budget {
        &self.budget
    }

    /// Whether every entry is asked for.
    pub fn takes_all(&self) -> bool {
        self.matching.is_none()
    }

    /// Whether an entry is asked for.
    pub fn wants(&self, entry: &Entry<'_>) -> bool {
        match &self.matching {
            None => true,
            Some(glob) => entry.name().is_some_and(|name| matches(glob, name)),
        }
    }

    /// Writes lines. When this returns they have left this process.
    ///
    /// A reader that does not read is not waited for once a signal asks to end.
    pub fn write(&self, lines: &[u8], stop: &Stop) -> anyhow::Result<()> {
        if lines.is_empty() {
            return Ok(());
        }
        let give_up = || stop.signal().is_some();
        self.lock().write_unless(lines, give_up).map_err(Failure::stdout)
    }

    /// How many bytes of a write that failed may have reached a reader all the same.
    pub fn may_be_read(&self) -> usize {
        self.lock().may_be_read()
    }

    /// Whether somebody may still read what is in the pipe.
    pub fn has_reader(&self) -> bool {
        self.lock().has_reader()
    }

    /// Ends the command when whoever reads has gone, even while it waits for messages.
    pub fn halt_when_closed(&self, stop: &Stop) -> std::io::Result<()> {
        let stop = stop.clone();
        self.lock().when_closed(move || stop.halt())
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Data> {
        self.data.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How many entries to ask for at a time: as many as asked, fewer where they are large, so that memory does
/// not grow with the size of messages.
#[derive(Clone, Copy, Debug)]
pub struct Appetite {
    count: usize,
    given: bool,
}

/// How many entries to read at a time when printing.
const COUNT: usize = 1000;
/// The first read, while nobody knows how large entries are.
const FIRST_COUNT: usize = 64;
/// What a reply should not exceed.
const REPLY_BYTES: usize = 1024 * 1024;

impl Appetite {
    /// An appetite of `count`, or one that learns.
    pub fn new(count: Option<NonZeroUsize>) -> Self {
        Self {
            count: count.map_or(FIRST_COUNT, NonZeroUsize::get),
            given: count.is_some(),
        }
    }

    /// How many entries to ask for.
    pub fn count(&self) -> usize {
        self.count
    }

    /// Learns from a reply of so many bytes and entries.
    pub fn learn(&mut self, bytes: usize, entries: usize) {
        if !self.given && entries > 0 {
            self.count = (REPLY_BYTES / (bytes / entries).max(1)).clamp(1, COUNT);
        }
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

    #[test]
    fn a_budget_is_never_overdrawn() {
        let budget = Budget(Some(AtomicUsize::new(2)));
        assert_eq!(
            (budget.take(), budget.left(9), budget.take(), budget.take()),
            (true, 1, true, false)
        );
        assert_eq!(Budget(None).left(9), 9);
    }
}
