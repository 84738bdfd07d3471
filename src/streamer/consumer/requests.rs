//! What a member asks of its server, in the server's words. Pure, but for XPENDING.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::streamer::entry::EntryId;
use crate::streamer::error::{Error, ServerError};
use crate::streamer::names::{AWAITING_ACK, HANDED_BACK};
use crate::streamer::raw_name::RawName;
use crate::streamer::wire::resp::{argument, command, id_argument, write_command};
use crate::streamer::wire::{Connection, PendingRow, receive_pending};

/// A read of new entries.
#[derive(Clone, Copy, Debug)]
pub struct Read {
    pub count: usize,
    /// How long to wait for one; `None` not at all.
    pub block: Option<Duration>,
    /// Also take over what was idle for so long (`CLAIM`, Redis 8.4).
    pub claim: Option<Duration>,
    /// Whether what is read counts as acknowledged (`NOACK`).
    pub no_ack: bool,
}

/// Who asks.
#[derive(Clone, Debug)]
pub struct Requests {
    pub group: RawName,
    pub consumer: RawName,
}

impl Requests {
    /// XREADGROUP of new entries of streams.
    pub fn read(&self, out: &mut Vec<u8>, streams: &[String], read: Read) {
        let count = read.count.to_string();
        let block = read.block.map(|block| block.as_millis().max(1).to_string());
        let claim = read.claim.map(|idle| idle.as_millis().to_string());
        let mut parts: Vec<&[u8]> = vec![b"XREADGROUP", b"GROUP"];
        parts.extend([self.group.as_bytes(), self.consumer.as_bytes()]);
        parts.extend([&b"COUNT"[..], count.as_bytes()]);
        if let Some(block) = &block {
            parts.extend([&b"BLOCK"[..], block.as_bytes()]);
        }
        if let Some(claim) = &claim {
            parts.extend([&b"CLAIM"[..], claim.as_bytes()]);
        }
        if read.no_ack {
            parts.push(b"NOACK");
        }
        parts.push(b"STREAMS");
        parts.extend(streams.iter().map(|stream| stream.as_bytes()));
        parts.extend(streams.iter().map(|_| &b">"[..]));
        write_command(out, &parts);
    }

    /// XREADGROUP of what is pending under this consumer behind any entry there can be: nothing. Before Redis 7.2 a read that
    /// waits in vain makes its consumer neither known nor look at work; this does.
    pub fn show_presence(&self, out: &mut Vec<u8>, streams: &[String]) {
        let mut parts: Vec<&[u8]> = vec![b"XREADGROUP", b"GROUP"];
        parts.extend([self.group.as_bytes(), self.consumer.as_bytes()]);
        parts.extend([&b"COUNT"[..], b"1", b"STREAMS"]);
        parts.extend(streams.iter().map(|stream| stream.as_bytes()));
        // The very last ID is what the server takes for `>`.
        parts.extend(
            streams
                .iter()
                .map(|_| &b"18446744073709551615-18446744073709551614"[..]),
        );
        write_command(out, &parts);
    }

    /// XREAD that waits for an entry behind this one, whoever is to have it.
    pub fn wait_for_news(&self, out: &mut Vec<u8>, stream: &str, block: Duration, after: &str) {
        let block = block.as_millis().max(1).to_string();
        let words = ["XREAD", "COUNT", "1", "BLOCK", &block, "STREAMS", stream, after];
        write_command(out, &words.map(str::as_bytes));
    }

    /// XCLAIM of what was idle for so long, by this consumer; with it they are delivered so often. Said again, because
    /// the reply was lost, it counts no further delivery.
    pub fn claim(&self, stream: &str, idle: Duration, ids: &[EntryId], deliveries: u64) -> redis::Cmd {
        let mut claim = self.claim_for(&self.consumer, stream, idle, ids);
        claim.arg("RETRYCOUNT").arg(deliveries);
        claim
    }

    /// XCLAIM for no further delivery: the entries are idle for no time again.
    pub fn keep_alive(&self, stream: &str, idle: Duration, ids: &[EntryId]) -> redis::Cmd {
        let mut claim = self.claim_for(&self.consumer, stream, idle, ids);
        claim.arg("JUSTID");
        claim
    }

    /// XCLAIM that leaves entries, idle for so long, to wait under a name of nobody.
    pub fn leave(&self, stream: &RawName, idle: Duration, ids: &[EntryId], to: WaitFor) -> redis::Cmd {
        match to {
            WaitFor::Anybody { deliveries } => {
                let mut claim = self.claim_for(HANDED_BACK, stream, idle, ids);
                claim.arg("TIME").arg(0).arg("RETRYCOUNT").arg(deliveries).arg("JUSTID");
                claim
            }
            WaitFor::Acknowledgement => {
                let mut claim = self.claim_for(AWAITING_ACK, stream, idle, ids);
                // Without RETRYCOUNT the count stays, whatever it is.
                claim.arg("IDLE").arg(idle.as_millis() as u64).arg("JUSTID");
                claim
            }
        }
    }

    /// XCLAIM that makes entries pending under this consumer that are pending no more, delivered so often.
    pub fn make_pending(&self, stream: &RawName, ids: &[EntryId], deliveries: u64) -> redis::Cmd {
        let mut claim = self.claim_for(&self.consumer, stream, Duration::ZERO, ids);
        claim.arg("RETRYCOUNT").arg(deliveries).arg("FORCE").arg("JUSTID");
        claim
    }

    /// XNACK (Redis 8.8), with which entries are nobody's, and delivered so often.
    pub fn nack(&self, stream: &RawName, ids: &[EntryId], deliveries: u64) -> redis::Cmd {
        let mut nack = redis::cmd("XNACK");
        nack.arg(stream.as_bytes())
            .arg(self.group.as_bytes())
            .arg("SILENT")
            .arg("IDS")
            .arg(ids.len());
        for id in ids {
            nack.arg(id.to_string());
        }
        nack.arg("RETRYCOUNT").arg(deliveries);
        nack
    }

    /// XPENDING of one entry of what was handed back, if there is any.
    pub fn peek_handed_back(&self, out: &mut Vec<u8>, stream: &str) {
        let group = self.group.as_bytes();
        write_command(
            out,
            &[
                b"XPENDING",
                stream.as_bytes(),
                group,
                b"-",
                b"+",
                b"1",
                HANDED_BACK.as_bytes(),
            ],
        );
    }

    fn claim_for(
        &self,
        consumer: impl AsRef<[u8]>,
        stream: impl AsRef<[u8]>,
        idle: Duration,
        ids: &[EntryId],
    ) -> redis::Cmd {
        let mut claim = redis::cmd("XCLAIM");
        claim
            .arg(stream.as_ref())
            .arg(self.group.as_bytes())
            .arg(consumer.as_ref());
        claim.arg(idle.as_millis() as u64);
        for id in ids {
            claim.arg(id.to_string());
        }
        claim
    }

    /// Asks which entries are pending.
    pub fn pending(
        &self,
        connection: &mut Connection,
        stream: impl AsRef<[u8]>,
        page: Page,
    ) -> Result<Result<Vec<Pending>, ServerError>, Error> {
        connection.send(&self.list(stream, page).get_packed_command())?;
        let us = self.consumer.as_bytes();
        receive_pending(connection, page.from, page.count, |row| Pending::of(row, us))
    }

    /// XPENDING of a page.
    pub fn list(&self, stream: impl AsRef<[u8]>, page: Page) -> redis::Cmd {
        let mut list = redis::cmd("XPENDING");
        list.arg(stream.as_ref()).arg(self.group.as_bytes());
        list.arg(page.from.to_string()).arg(page.to.to_string()).arg(page.count);
        if page.of == Whose::Ours {
            list.arg(self.consumer.as_bytes());
        }
        list
    }
}

/// XACK of entries of one stream.
pub fn write_ack(out: &mut Vec<u8>, stream: &str, group: &str, ids: &[EntryId]) {
    command(out, 3 + ids.len());
    argument(out, b"XACK");
    argument(out, stream.as_bytes());
    argument(out, group.as_bytes());
    for id in ids {
        id_argument(out, *id);
    }
}

/// XCLAIM by which an entry that was idle for so long stays with the consumer that has it, idle for no time again: nobody
/// else claims it then for being stale.
pub fn hold(stream: &str, group: &str, consumer: &[u8], idle: Duration, id: EntryId) -> redis::Cmd {
    let mut claim = redis::cmd("XCLAIM");
    claim.arg(stream).arg(group).arg(consumer);
    claim.arg(idle.as_millis() as u64).arg(id.to_string()).arg("JUSTID");
    claim
}

/// What entries wait for that a consumer leaves behind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WaitFor {
    /// Whoever reads next: they are idle since the epoch, and delivered so often.
    Anybody { deliveries: u64 },
    /// Their acknowledgement: they stay as old as they are, and delivered as often.
    Acknowledgement,
}

/// Which pending entries are asked for.
#[derive(Clone, Copy, Debug)]
pub struct Page {
    pub from: EntryId,
    pub to: EntryId,
    pub count: usize,
    pub of: Whose,
}

impl Page {
    /// So many at most, from an entry on.
    pub fn from(from: EntryId, count: usize, of: Whose) -> Self {
        Self {
            from,
            to: EntryId::MAX,
            count,
            of,
        }
    }

    /// The page behind these rows of it, unless they were the last.
    pub fn behind(self, rows: &[Pending]) -> Option<Self> {
        let last = rows.last().filter(|_| rows.len() == self.count);
        last.and_then(|row| row.id.next()).map(|from| Self { from, ..self })
    }

    /// One entry, if it is pending.
    pub fn of_one(id: EntryId, of: Whose) -> Self {
        Self {
            from: id,
            to: id,
            count: 1,
            of,
        }
    }
}

/// Whose an entry is, or whose entries are asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Whose {
    /// This consumer's.
    Ours,
    /// Anybody's.
    Anybodys,
}

/// An entry that was delivered and not acknowledged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pending {
    pub id: EntryId,
    pub whose: Whose,
    pub idle: Duration,
    pub deliveries: u64,
}

impl Pending {
    /// A row as this consumer sees it.
    fn of(row: PendingRow<'_>, us: &[u8]) -> Self {
        Self {
            id: row.id,
            whose: if row.consumer == us {
                Whose::Ours
            } else {
                Whose::Anybodys
            },
            idle: Duration::from_millis(row.idle_ms),
            deliveries: row.deliveries,
        }
    }

    /// Does not count the last delivery, whose reply was lost: nobody has tried the message that time.
    pub fn forget_delivery(&mut self) {
        self.deliveries = self.deliveries.saturating_sub(1);
    }
}

/// Groups entries so that one command can say of each group how often its entries count as delivered.
pub fn by_count(rows: &[Pending], count: impl Fn(&Pending) -> u64) -> BTreeMap<u64, Vec<Pending>> {
    let mut groups: BTreeMap<u64, Vec<Pending>> = BTreeMap::new();
    for row in rows {
        groups.entry(count(row)).or_default().push(*row);
    }
    groups
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pending_entry_is_ours_or_anybodys() {
        let row = |consumer| PendingRow {
            id: EntryId::at_ms(5),
            consumer,
            idle_ms: 7,
            deliveries: 3,
        };
        let read = Pending::of(row(b"us"), b"us");
        assert_eq!(
            (read.whose, read.idle, read.deliveries),
            (Whose::Ours, Duration::from_millis(7), 3)
        );
        assert_eq!(Pending::of(row(b"we"), b"us").whose, Whose::Anybodys);
    }

    #[test]
    fn reads_say_what_they_want() {
        let requests = Requests {
            group: "g".into(),
            consumer: "c".into(),
        };
        let mut out = Vec::new();
        let read = Read {
            count: 5,
            block: Some(Duration::from_millis(250)),
            claim: Some(Duration::from_secs(1)),
            no_ack: true,
        };
        requests.read(&mut out, &["a".to_owned(), "b".to_owned()], read);
        let text = String::from_utf8(out).unwrap();
        let words: Vec<_> = text
            .split("\r\n")
            .filter(|word| !word.starts_with(['*', '$']))
            .collect();
        assert_eq!(
            words.join(" ").trim_end(),
            "XREADGROUP GROUP g c COUNT 5 BLOCK 250 CLAIM 1000 NOACK STREAMS a b > >"
        );
    }
}
