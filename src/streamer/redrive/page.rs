//! Some dead letters, as they were read, and what is to become of each.

use std::time::Duration;

use crate::streamer::consumer::fetch_size::FetchSize;
use crate::streamer::entry::{Entry, EntryId};
use crate::streamer::error::Error;
use crate::streamer::producer::MOST_BYTES;
use crate::streamer::wire::resp::{Cursor, Delivered, Malformed};
use crate::streamer::wire::{Connection, Entries, Shape};

/// A dead letter that is to go somewhere.
#[derive(Clone)]
pub struct Item {
    pub id: EntryId,
    pub target: String,
    /// The entry as the server sent it.
    bytes: Vec<u8>,
}

impl Item {
    pub fn entry(&self) -> Result<Entry<'_>, Error> {
        entry(&self.bytes).map_err(|Malformed(what)| Error::Protocol {
            address: String::new(),
            what,
        })
    }
}

fn entry(bytes: &[u8]) -> Result<Entry<'_>, Malformed> {
    match Cursor::new(bytes).entry()? {
        Delivered::Entry(entry) => Ok(entry),
        Delivered::Gone(_) => Err(Malformed("an entry without fields")),
    }
}

/// What is to become of a dead letter.
pub enum Plan<L> {
    Move(String),
    /// It is not asked for.
    PassOver,
    Leave(L),
}

pub struct Page<L> {
    pub items: Vec<Item>,
    pub left: Vec<(EntryId, L)>,
    /// How many entries were looked at.
    pub looked: u64,
    /// Where the next page begins; `None` at the end.
    pub next: Option<EntryId>,
}

/// How large a page may be.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// How many entries it holds that are to be moved.
    pub most: usize,
    /// How many are asked for.
    pub count: usize,
}

/// Reads a page, within bounds and of a batch's bytes at most. The other entries of the reply are read over
/// and come again: memory follows the page, or the largest entry.
pub fn read<L>(
    connection: &mut Connection,
    stream: &str,
    (from, to): (EntryId, EntryId),
    Bounds { most, count }: Bounds,
    size: &mut FetchSize,
    plan: impl Fn(&Entry<'_>) -> Plan<L>,
) -> Result<Page<L>, Error> {
    let count = size.count().min(count);
    let mut range = redis::cmd("XRANGE");
    range.arg(stream).arg(from.to_string()).arg(to.to_string());
    range.arg("COUNT").arg(count);
    connection.send(&range.get_packed_command())?;
    let begun = Entries::begin(connection, Shape::OneStream, Duration::ZERO)?;
    let mut entries = begun.map_err(|refusal| Error::refused(refusal, stream, None))?;
    let mut page = Page {
        items: Vec::new(),
        left: Vec::new(),
        looked: 0,
        next: Some(from),
    };
    let (mut bytes_kept, mut is_cut) = (0, false);
    let mut malformed = None;
    while let Some((_, bytes)) = entries.next_bytes(connection, &[])? {
        let is_full = page.items.len() >= most || bytes_kept >= MOST_BYTES;
        is_cut |= is_full;
        if is_cut {
            continue;
        }
        let entry = match entry(bytes) {
            Ok(entry) => entry,
            Err(error) => {
                malformed.get_or_insert(error);
                continue;
            }
        };
        page.looked += 1;
        page.next = entry.id.next();
        match plan(&entry) {
            Plan::PassOver => {}
            Plan::Leave(why) => page.left.push((entry.id, why)),
            Plan::Move(target) => {
                bytes_kept += bytes.len();
                page.items.push(Item {
                    id: entry.id,
                    target,
                    bytes: bytes.to_vec(),
                });
            }
        }
    }
    if let Some(malformed) = malformed {
        return Err(connection.malformed(malformed));
    }
    let (seen, bytes) = entries.size();
    size.learn((seen, bytes));
    if !is_cut && seen < count {
        page.next = None;
    }
    Ok(page)
}
