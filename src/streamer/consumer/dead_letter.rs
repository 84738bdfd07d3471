//! Dead letters: a message that failed too often goes to another stream and is acknowledged, both or neither.

use std::time::{Duration, Instant};

use super::member::Member;
use super::messages::{Key, State};
use super::requests::{Page, Whose};
use crate::streamer::entry::{EntryId, Field};
use crate::streamer::error::Error;
use crate::streamer::letter::{DEAD_DELIVERIES, DEAD_GROUP, DEAD_ID, DEAD_REASON, DEAD_STREAM};
use crate::streamer::producer::add::{AddOptions, Missing, receive_added, write_add};
use crate::streamer::wire::Connection;

/// How long another node may take at least.
const LEAST_PATIENCE: Duration = Duration::from_secs(2);

/// What became of a message that was to become a dead letter.
#[derive(Debug)]
pub enum DeadLetter {
    /// It is one, and acknowledged.
    Added,
    /// It is one, and still to be acknowledged.
    AddedOnly,
    /// It is somebody else's by now.
    Elsewhere,
}

/// Where a message came from, and how often it was delivered there.
#[derive(Clone, Copy, Debug)]
pub struct Origin<'a> {
    pub stream: &'a str,
    pub group: &'a str,
    pub id: EntryId,
    pub deliveries: u64,
}

/// Writes the command that adds a dead letter: the message's own fields, and where it came from and why.
pub fn write_dead_letter(out: &mut Vec<u8>, to: &str, own: &[(Vec<u8>, Vec<u8>)], origin: Origin<'_>, reason: &str) {
    let (id, deliveries) = (origin.id.to_string(), origin.deliveries.to_string());
    let mut fields: Vec<Field<'_>> = own.iter().map(|(n, v)| (n.as_slice(), v.as_slice())).collect();
    fields.extend([
        (DEAD_STREAM, origin.stream.as_bytes()),
        (DEAD_GROUP, origin.group.as_bytes()),
        (DEAD_ID, id.as_bytes()),
        (DEAD_DELIVERIES, deliveries.as_bytes()),
        (DEAD_REASON, reason.as_bytes()),
    ]);
    let options = AddOptions {
        id: None,
        missing: Missing::Create,
        trim: None,
    };
    write_add(out, to.as_bytes(), options, &fields);
}

/// How often a transaction is begun anew because somebody else wrote to its target meanwhile. Each takes two round trips, in
/// which what else is in hand is not kept alive, and a turn of a redrive runs out.
const MOST_TRIES: usize = 8;

/// How a target is looked at before it is added to.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Look {
    /// If it changes from then on, nothing is done.
    Watch,
    Once,
}

impl Look {
    /// One for each time that a transaction is tried: to a target that others write to all the time it is added, too, as
    /// it was when it was looked at last.
    pub fn tries() -> impl Iterator<Item = Self> {
        [Self::Watch; MOST_TRIES].into_iter().chain([Self::Once])
    }
}

/// What became of a transaction.
#[derive(Clone, Debug, PartialEq)]
pub enum Transacted {
    /// All was; this is the answer to the acknowledgement.
    Done(redis::Value),
    /// Nothing was: the server does not let this user.
    Impossible,
}

/// Adds so many dead letters to a stream and acknowledges their messages, by the commands given, in one transaction.
///
/// A command that fails as a transaction is executed does not undo the others: so the target is looked at before, and
/// watched. If it changed in between, nothing was done, and it is begun anew; to one that others write to all the time it is
/// added, too, as it was when it was looked at last. `before_exec` is called before each try.
pub fn transact(
    connection: &mut Connection,
    to: &str,
    mut packed: Vec<u8>,
    letters: usize,
    mut before_exec: impl FnMut(),
) -> Result<Transacted, Error> {
    redis::cmd("EXEC").write_packed_command(&mut packed);
    for look in Look::tries() {
        if !begin(connection, to, look)? {
            break;
        }
        before_exec();
        connection.send(&packed)?;
        if let Some(acknowledged) = finish(connection, letters, to)? {
            return Ok(Transacted::Done(acknowledged));
        }
    }
    Ok(Transacted::Impossible)
}

/// Opens a transaction, if the server lets this user.
fn begin(connection: &mut Connection, to: &str, target: Look) -> Result<bool, Error> {
    let watch = [redis::cmd("WATCH").arg(to).clone()];
    let look = [redis::cmd("XLEN").arg(to).clone(), redis::cmd("MULTI")];
    let commands: Vec<_> = watch
        .into_iter()
        .filter(|_| target == Look::Watch)
        .chain(look)
        .collect();
    let mut answers = connection.query_all(&commands)?;
    let is_open = answers.pop().is_some_and(|multi| multi.is_ok());
    let Some(refusal) = answers.into_iter().find_map(Result::err) else {
        return Ok(is_open);
    };
    if is_open {
        // Of nothing: needs no right of its own, as DISCARD would. To refuse it ends the transaction, too.
        let _ = connection.query_all(&[redis::cmd("EXEC")])?;
    }
    match Error::refused(refusal, to, None) {
        // The user may not look. What is added by itself is acknowledged only if that went well.
        Error::Denied(_) => Ok(false),
        error => Err(error),
    }
}

/// Reads the answers to a transaction, and returns the last one of its commands; `None` if its target had changed.
fn finish(connection: &mut Connection, letters: usize, to: &str) -> Result<Option<redis::Value>, Error> {
    // The last is the acknowledgement.
    let queued = (0..=letters)
        .map(|_| connection.answer())
        .collect::<Result<Vec<_>, _>>()?;
    let done = connection.answer()?;
    // What was refused as it was queued is the reason why nothing was done.
    for queued in queued {
        queued.map_err(|refusal| Error::refused(refusal, to, None))?;
    }
    let results = done.map_err(|refusal| Error::refused(refusal.cause(), to, None))?;
    if results == redis::Value::Nil {
        return Ok(None);
    }
    let mut results: Vec<redis::Value> = connection.read(results)?;
    let acknowledged = results.pop();
    for result in results.into_iter().chain(acknowledged.clone()) {
        if let redis::Value::ServerError(error) = result {
            return Err(Error::refused(error.into(), to, None));
        }
    }
    Ok(acknowledged)
}

fn add_to(connection: &mut Connection, stream: &str, packed: &[u8]) -> Result<(), Error> {
    connection.send(packed)?;
    let added = receive_added(connection)?;
    added.map(drop).map_err(|refusal| refusal.into_error(stream))
}

impl Member<'_> {
    /// Adds a message to a stream of dead letters: its own fields, and where it came from and why. Together with its
    /// acknowledgement this is one transaction: neither is done without the other, nor twice.
    pub fn add_dead_letter(&mut self, key: Key, to: &str, reason: &str, in_doubt: bool) -> Result<DeadLetter, Error> {
        if let Some(known) = self.resolve(key, in_doubt)? {
            return Ok(known);
        }
        let add = self.dead_letter(key, to, reason);
        let stream = &self.settings.streams[key.stream];
        if !self.adds_over_own_connection(key, to) {
            // Meanwhile others must not claim what is in hand.
            let until = Instant::now() + self.keep_alive_every().max(LEAST_PATIENCE);
            self.elsewhere
                .set_deadline(Some(self.deadline.map_or(until, |deadline| deadline.min(until))));
            self.elsewhere.at(to, |connection| add_to(connection, to, &add))?;
            return Ok(DeadLetter::AddedOnly);
        }
        let mut ack = Vec::new();
        self.link.acks.write(&mut ack, stream, &self.settings.group, &[key.id]);
        let connection = &mut self.link.connection;
        if let Transacted::Done(answer) = transact(connection, to, [add.as_slice(), &ack].concat(), 1, || ())? {
            self.tell_undeletable(key.stream, self.link.acks.undeletable(&answer));
            return Ok(DeadLetter::Added);
        }
        // Without a transaction the message is acknowledged only once the letter is there.
        add_to(connection, to, &add)?;
        Ok(DeadLetter::AddedOnly)
    }

    /// Whether a dead letter goes over the member's connection: no transaction reaches over two slots, and where a slot is
    /// on its way, that connection is for the stream alone.
    pub fn adds_over_own_connection(&self, key: Key, to: &str) -> bool {
        let stream = &self.settings.streams[key.stream];
        self.run.servers.share_a_slot(stream, to) && !self.link.connection.announces_all()
    }

    /// Whether the message is still this consumer's: somebody may have claimed or acknowledged it. What became of a
    /// transaction whose answer was lost is told by the same, once the connection that carried it is closed.
    fn resolve(&mut self, key: Key, in_doubt: bool) -> Result<Option<DeadLetter>, Error> {
        let page = Page::of_one(key.id, Whose::Anybodys);
        Ok(match self.pending(key.stream, page)?.first().map(|row| row.whose) {
            None if in_doubt => Some(DeadLetter::Added),
            None => Some(DeadLetter::Elsewhere),
            Some(Whose::Ours) => None,
            Some(Whose::Anybodys) => Some(DeadLetter::Elsewhere),
        })
    }

    fn dead_letter(&self, key: Key, to: &str, reason: &str) -> Vec<u8> {
        let mut packed = Vec::new();
        let Some(open) = self.delivery.messages.get(key) else {
            return packed;
        };
        let origin = Origin {
            stream: &self.settings.streams[key.stream],
            group: &self.settings.group,
            id: key.id,
            deliveries: open.deliveries,
        };
        write_dead_letter(&mut packed, to, &open.fields, origin, reason);
        packed
    }

    /// Notes that the answer about a dead letter was lost.
    pub fn doubt(&mut self, key: Key) {
        if let Some(State::Dying { reason, .. }) = self.messages().get(key).map(|open| open.state.clone()) {
            self.messages().set(key, State::Dying { reason, in_doubt: true });
        }
    }
}
