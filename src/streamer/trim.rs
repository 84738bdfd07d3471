//! Old entries cut off: by number, by age, or up to what every group has acknowledged.

use std::time::Duration;

use redis::Value;

use super::consumer::fetch_size::FetchSize;
use super::entry::EntryId;
use super::error::Error;
use super::inspect::groups::groups;
use super::inspect::server::now_ms;
use super::point::Point;
use super::wire::resp::Malformed;
use super::wire::{Connection, Entries, Shape, stream_end};

/// What is to go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cut {
    /// What every group has acknowledged.
    Acked,
    /// All but the newest so many.
    Beyond(u64),
    /// What lies before a point.
    Before(Point),
}

/// What stays of one stream: found out before anything goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keep {
    From(EntryId),
    Newest(u64),
}

/// How many entries go in one command: nobody else is served meanwhile.
const STEP: u64 = 10_000;

/// How often groups are looked at anew that go while they are looked at.
const MOST_LOOKS: usize = 10;

/// What stays of a stream, as it is now; `None` if nothing says what is done, since it has no group.
pub fn keep(connection: &mut Connection, stream: &str, cut: Cut) -> Result<Option<Keep>, Error> {
    let end = stream_end(connection, stream)?.ok_or_else(|| Error::NoStream {
        stream: stream.to_owned(),
    })?;
    match cut {
        Cut::Acked => Ok(first_not_acked(connection, stream)?.map(Keep::From)),
        Cut::Beyond(length) => Ok(Some(Keep::Newest(length))),
        Cut::Before(point) => {
            let now = match point {
                Point::Ago(_) => now_ms(connection)?,
                _ => 0,
            };
            let behind_all = end.last_id.next().unwrap_or(EntryId::MAX);
            Ok(Some(Keep::From(point.first_id(now).unwrap_or(behind_all))))
        }
    }
}

/// The first ID that some group has not acknowledged, or was not given yet.
///
/// What was given last is asked for first, what is pending then: whatever is given in between lies behind what was given
/// last, and what lies before it and is not pending was acknowledged. It does not become pending again, unless a group is
/// moved back, or somebody claims by force what is not pending.
fn first_not_acked(connection: &mut Connection, stream: &str) -> Result<Option<EntryId>, Error> {
    let mut looks = 0;
    loop {
        looks += 1;
        let groups = groups(connection, stream)?;
        let pending: Vec<_> = groups
            .iter()
            .map(|group| redis::cmd("XPENDING").arg(stream).arg(group.name.as_ref()).clone())
            .collect();
        let answers = connection.query_all(&pending)?;
        let mut first: Option<EntryId> = None;
        let mut is_gone = false;
        for (group, answer) in groups.iter().zip(answers) {
            let oldest = match answer {
                Ok(summary) => oldest_pending(connection, summary)?,
                Err(refusal) if refusal.code == "NOGROUP" && looks < MOST_LOOKS => {
                    is_gone = true;
                    break;
                }
                Err(refusal) => return Err(Error::refused(refusal, stream, Some(&group.name.typed()))),
            };
            let not_given = group.last_delivered.next().unwrap_or(EntryId::MAX);
            let open = oldest.map_or(not_given, |oldest| oldest.min(not_given));
            first = Some(first.map_or(open, |first| first.min(open)));
        }
        if !is_gone {
            return Ok(first);
        }
    }
}

/// The least ID in the summary of what is pending.
fn oldest_pending(connection: &Connection, summary: Value) -> Result<Option<EntryId>, Error> {
    let (_, least, _, _): (u64, Option<String>, Value, Value) = connection.read(summary)?;
    let malformed = || connection.malformed(Malformed("expected an entry ID"));
    least.map(|least| least.parse().map_err(|_| malformed())).transpose()
}

/// Cuts off what does not stay, in steps; says of each how many went. Run again after a failure it does the rest.
pub fn trim(connection: &mut Connection, stream: &str, keep: Keep, mut tell: impl FnMut(u64)) -> Result<(), Error> {
    loop {
        // Whole nodes of the stream, as many as fit into a step.
        let mut nodes = xtrim(stream, keep, "~");
        nodes.arg("LIMIT").arg(STEP);
        let trimmed: u64 = connection.ask(&nodes, stream, None)?;
        tell(trimmed);
        if trimmed < STEP / 2 {
            break;
        }
    }
    // What is left of the last.
    tell(connection.ask(&xtrim(stream, keep, "="), stream, None)?);
    Ok(())
}

fn xtrim(stream: &str, keep: Keep, how: &str) -> redis::Cmd {
    let mut trim = redis::cmd("XTRIM");
    trim.arg(stream);
    match keep {
        Keep::From(id) => trim.arg("MINID").arg(how).arg(id.to_string()),
        Keep::Newest(length) => trim.arg("MAXLEN").arg(how).arg(length),
    };
    trim
}

/// How many entries would go. There is no quicker way than to read them.
pub fn count(connection: &mut Connection, stream: &str, keep: Keep) -> Result<u64, Error> {
    let from = match keep {
        Keep::Newest(newest) => return Ok(length(connection, stream)?.saturating_sub(newest)),
        Keep::From(id) => id,
    };
    let Some(last) = from.previous() else {
        return Ok(0);
    };
    let (mut size, mut counted, mut next) = (FetchSize::new(None), 0, Some(EntryId::MIN));
    while let Some(from) = next.filter(|next| *next <= last) {
        let mut range = redis::cmd("XRANGE");
        range.arg(stream).arg(from.to_string()).arg(last.to_string());
        range.arg("COUNT").arg(size.count());
        connection.send(&range.get_packed_command())?;
        let begun = Entries::begin(connection, Shape::OneStream, Duration::ZERO)?;
        let mut entries = begun.map_err(|refusal| Error::refused(refusal, stream, None))?;
        next = None;
        while let Some((_, entry)) = entries.next(connection, &[])? {
            next = entry.id().next();
            counted += 1;
        }
        size.learn(entries.size());
    }
    Ok(counted)
}

/// How many entries a stream has.
pub fn length(connection: &mut Connection, stream: &str) -> Result<u64, Error> {
    connection.ask(redis::cmd("XLEN").arg(stream), stream, None)
}
