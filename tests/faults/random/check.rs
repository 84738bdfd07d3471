//! What a sending left, held against what is promised.

use super::input::Line;
use super::producer::{OnBad, Outcome};
use super::receipts;
use super::{Counts, Verdict, add};
use crate::harness::{Entry, Output};
use std::collections::HashSet;

/// The names of the files.
pub const INPUT: &str = "input";
pub const RECEIPTS: &str = "receipts";
pub const REJECTS: &str = "rejects";

/// Whether all is in the stream; or what is wrong.
pub fn check(outcome: &Outcome, counts: &Counts) -> Result<bool, String> {
    let last = outcome.outputs.last().unwrap();
    let wanted = wanted(outcome);
    let is_complete = compare(&outcome.ours, &wanted)
        .or_else(|difference| excused(outcome, &wanted, &difference))
        .map_err(|violation| format!("{violation}; status {}: {}", last.status, last.stderr()))?;
    if outcome.is_unfinished || !is_complete {
        add(&counts.gave_up, usize::from(!outcome.is_unfinished));
        return receipts::plausible(outcome).map(|()| false);
    }
    let expected = i32::from(!outcome.input.bad().is_empty());
    if last.status != expected {
        // All is in the stream, and the program does not know.
        return Err(format!("status {} and not {expected}: {}", last.status, last.stderr()));
    }
    rejects(outcome)?;
    receipts::exact(outcome, &wanted, counts)?;
    receipts::printed(outcome).map(|()| true)
}

/// The lines that have to be in the stream, in order.
fn wanted<'a>(outcome: &'a Outcome) -> Vec<&'a Line> {
    let lines = outcome.input.lines.iter();
    match outcome.config.on_bad {
        OnBad::Stop => lines.take_while(|line| line.fields.is_some()).collect(),
        OnBad::Skip | OnBad::Rejects => outcome.input.good(),
    }
}

/// Whether all lines are there; the first difference otherwise.
fn compare(ours: &[Entry], wanted: &[&Line]) -> Result<bool, String> {
    let differs = ours
        .iter()
        .zip(wanted)
        .position(|(added, line)| Some(&added.fields) != line.fields.as_ref());
    let at = differs.unwrap_or(ours.len().min(wanted.len()));
    if at == ours.len() && at == wanted.len() {
        return Ok(true);
    }
    let entry = ours.get(at).map_or("nothing".to_owned(), |added| {
        let known = wanted
            .iter()
            .position(|line| line.fields.as_ref() == Some(&added.fields));
        let known = known.map(|at| format!(", which equals line {}", wanted[at].number));
        format!("{}{}", added.id, known.unwrap_or_default())
    });
    let line = wanted
        .get(at)
        .map_or("the end".to_owned(), |line| format!("line {}", line.number));
    Err(format!(
        "{} entries for {} lines; where {line} should stand, there is {entry}",
        ours.len(),
        wanted.len()
    ))
}

/// Whether less than everything is allowed here: Ok(false). A sending that was ended keeps its order and repeats
/// nothing; one that gave up has named or rejected what is missing, too.
fn excused(outcome: &Outcome, wanted: &[&Line], difference: &str) -> Result<bool, String> {
    let missing = missing(&outcome.ours, wanted).ok_or_else(|| difference.to_owned())?;
    let last = outcome.outputs.last().unwrap();
    let behind = wanted.len() - missing.len();
    // What follows the last line that went in was never promised.
    let gaps: Vec<&&Line> = missing
        .iter()
        .filter(|(at, _)| *at < behind)
        .map(|(_, line)| line)
        .collect();
    if outcome.is_unfinished && !outcome.config.may_lose_order() {
        return if gaps.is_empty() {
            Ok(false)
        } else {
            Err(difference.to_owned())
        };
    }
    if ![1, 137, 143].contains(&last.status) || !outcome.config.may_lose_order() {
        return Err(difference.to_owned());
    }
    let rejected = lines_of(outcome, REJECTS);
    let said: String = outcome.outputs.iter().map(Output::stderr).collect();
    let named = named(&said);
    let is_told = |line: &Line| named.contains(&line.number) || rejected.contains(&line.text);
    // Among equal lines it takes those that were told to know which are missing.
    let rest: Vec<&Line> = wanted.iter().copied().filter(|line| !is_told(line)).collect();
    let equals = |(added, line): (&Entry, &&Line)| Some(&added.fields) == line.fields.as_ref();
    if outcome.ours.len() <= rest.len() && outcome.ours.iter().zip(&rest).all(equals) {
        return Ok(false);
    }
    match gaps.iter().find(|line| !is_told(line)) {
        Some(line) => Err(format!("line {} is missing and not named; {difference}", line.number)),
        None => Ok(false),
    }
}

/// The lines that are not there, with how many of the lines before them are; None if order is lost or one came twice.
fn missing<'a>(ours: &[Entry], wanted: &[&'a Line]) -> Option<Vec<(usize, &'a Line)>> {
    let mut left = ours.iter().peekable();
    let mut found = 0;
    let mut missing = Vec::new();
    for line in wanted {
        match left.next_if(|added| Some(&added.fields) == line.fields.as_ref()) {
            Some(_) => found += 1,
            None => missing.push((found, *line)),
        }
    }
    left.peek().is_none().then_some(missing)
}

/// The lines of the input that a text names, as `FILE:LINE`.
fn named(text: &str) -> HashSet<usize> {
    let file = format!("{INPUT}:");
    let parts = text.split(file.as_str()).skip(1);
    parts
        .chain(text.split("stdin:").skip(1))
        .filter_map(|rest| {
            let end = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
            rest[..end].parse().ok()
        })
        .collect()
}

/// The lines of a file that the program wrote; none if there is no such file.
pub fn lines_of(outcome: &Outcome, name: &str) -> Vec<String> {
    outcome.server.lines(name)
}

fn rejects(outcome: &Outcome) -> Verdict {
    if outcome.config.on_bad != OnBad::Rejects {
        return Ok(());
    }
    let bad = outcome.input.bad();
    let header = outcome.input.header().filter(|_| !bad.is_empty());
    let expected: Vec<_> = header
        .into_iter()
        .chain(bad.iter().map(|line| line.text.as_str()))
        .collect();
    let found = lines_of(outcome, REJECTS);
    if found == expected {
        return Ok(());
    }
    let differs = found.iter().zip(&expected).position(|(a, b)| a != b);
    Err(format!(
        "{} rejects for {} bad lines, the first that differs: {differs:?}",
        found.len(),
        expected.len()
    ))
}

/// A run more of a sending that is done changes nothing and ends alike.
pub fn nothing_changed(outcome: &Outcome, status: i32, again: &Output, all: &[Entry]) -> Verdict {
    if again.status != status {
        return Err(format!(
            "run again, it ended with {} and not {status}: {}",
            again.status,
            again.stderr()
        ));
    }
    match all == outcome.all {
        true => Ok(()),
        false => Err(format!(
            "run again, it added {} entries: status {status}",
            all.len() - outcome.all.len()
        )),
    }
}
