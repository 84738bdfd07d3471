//! Receipts and printed IDs, held against what was added.

use super::check::{RECEIPTS, lines_of};
use super::input::Line;
use super::producer::Outcome;
use super::{Counts, Verdict, add};
use crate::harness::Entry;
use std::collections::{HashMap, HashSet};

/// A line's receipt.
struct Receipt {
    line: usize,
    id: Option<String>,
}

fn read(text: &str) -> Option<Receipt> {
    let receipt: serde_json::Value = serde_json::from_str(text).ok()?;
    Some(Receipt {
        line: usize::try_from(receipt["line"].as_u64()?).ok()?,
        id: receipt["id"].as_str().map(str::to_owned),
    })
}

/// One for each line, in order, with the ID of an entry that equals it.
pub fn exact(outcome: &Outcome, wanted: &[&Line], counts: &Counts) -> Verdict {
    if !outcome.config.receipts {
        return Ok(());
    }
    let lines = lines_of(outcome, RECEIPTS);
    if lines.len() != wanted.len() {
        return Err(format!("{} receipts for {} lines", lines.len(), wanted.len()));
    }
    // Which entry is whose may be unknown where some are gone, or where the run that was answered is.
    let may_be_unknown = outcome.outputs.len() > 1 || is_torn(outcome);
    let mut seen = Seen::new(outcome);
    for ((text, line), added) in lines.iter().zip(wanted).zip(&outcome.ours) {
        let receipt = read(text).ok_or_else(|| format!("no receipt: {text}"))?;
        if receipt.line != line.number {
            return Err(format!(
                "a receipt of line {} where {} should stand",
                receipt.line, line.number
            ));
        }
        match receipt.id {
            Some(id) => seen.take(&id, Some(line))?,
            None if may_be_unknown => add(&counts.unknown_ids, 1),
            None => {
                return Err(format!(
                    "no ID for line {}, whose entry {} is there",
                    line.number, added.id
                ));
            }
        }
    }
    Ok(())
}

/// Of a sending that did not end by itself: whole receipts are in order, each of a good line, no ID twice.
pub fn plausible(outcome: &Outcome) -> Verdict {
    if !outcome.config.receipts {
        return Ok(());
    }
    let lines = lines_of(outcome, RECEIPTS);
    let by_number: HashMap<usize, &Line> = outcome.input.lines.iter().map(|line| (line.number, line)).collect();
    let mut seen = Seen::new(outcome);
    let mut before = 0;
    for (at, text) in lines.iter().enumerate() {
        let Some(receipt) = read(text) else {
            // Ended in the middle of the last.
            return if at + 1 == lines.len() {
                Ok(())
            } else {
                Err(format!("no receipt: {text}"))
            };
        };
        if receipt.line <= before {
            return Err(format!("a receipt of line {} behind that of {before}", receipt.line));
        }
        before = receipt.line;
        if let Some(id) = receipt.id {
            seen.take(&id, by_number.get(&receipt.line).copied())?;
        }
    }
    Ok(())
}

/// The IDs that are printed are those of entries, in order, none twice; where it ran but once, one for each line.
pub fn printed(outcome: &Outcome) -> Verdict {
    if !outcome.config.ids || outcome.outputs.len() > 1 {
        return Ok(());
    }
    let printed = outcome.outputs[0].stdout();
    let mut seen = Seen::new(outcome);
    for id in printed
        .lines()
        .filter(|line| line.starts_with(|c: char| c.is_ascii_digit()))
    {
        seen.take(id, None)?;
    }
    let count = printed.lines().count();
    match count == outcome.ours.len() || is_torn(outcome) {
        true => Ok(()),
        false => Err(format!("{count} IDs printed for {} lines", outcome.ours.len())),
    }
}

/// Whether anything of ours was trimmed or deleted.
fn is_torn(outcome: &Outcome) -> bool {
    outcome.ours.iter().any(|added| !outcome.present.contains(&added.id))
}

/// What was added, and which of it was named.
struct Seen<'a> {
    by_id: HashMap<&'a str, &'a Entry>,
    named: HashSet<String>,
}

impl<'a> Seen<'a> {
    fn new(outcome: &'a Outcome) -> Self {
        Self {
            by_id: outcome.all.iter().map(|added| (added.id.as_str(), added)).collect(),
            named: HashSet::new(),
        }
    }

    fn take(&mut self, id: &str, line: Option<&Line>) -> Verdict {
        let Some(added) = self.by_id.get(id) else {
            return Err(format!("nothing was ever added as {id}"));
        };
        if line.is_some_and(|line| line.fields.as_ref() != Some(&added.fields)) {
            return Err(format!("{id} is not line {}", line.map_or(0, |line| line.number)));
        }
        match self.named.insert(id.to_owned()) {
            true => Ok(()),
            false => Err(format!("{id} is named twice")),
        }
    }
}
