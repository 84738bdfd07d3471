//! Connections as others can find them at a server: to close what an old one still carries before anything is
//! concluded from what the server says.

use super::unblock::Unheard;
use crate::streamer::error::{Error, ServerError};
use crate::streamer::names;
use crate::streamer::wire::{Address, Answer, Connection};

/// A connection, as another one can find it: by its number, which is never used again until the server is
/// restarted, and by its name, which nobody else has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    pub node: Address,
    pub id: u64,
    pub name: String,
    /// Whether the server is known to let this user also end its blocked reads.
    pub can_unblock: bool,
}

/// What is known of an old connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Closed {
    /// It is closed: what it carried is done, or never will be.
    Surely,
    /// The server does not let this user look: what it still carries may be done later.
    Unknown,
}

/// Gives a connection that will block a name of its own, in one round trip; `None` where the server does not let this
/// user.
pub fn identify(connection: &mut Connection) -> Result<Option<Identity>, Error> {
    let name = names::new_consumer("redis-streamer");
    let mut commands = introduction(&name);
    // No connection has the number 0.
    commands.push(client(&["UNBLOCK", "0"]));
    let mut answers = connection.query_all(&commands)?.into_iter();
    let identity = introduced(connection, &name, &mut answers)?;
    let can_unblock = answers.next().map(allowed).transpose()?.flatten().is_some();
    Ok(identity.map(|identity| Identity {
        can_unblock,
        ..identity
    }))
}

fn client(arguments: &[&str]) -> redis::Cmd {
    redis::cmd("CLIENT").arg(arguments).clone()
}

/// The commands that give a connection its name, for a round trip that is shared with others.
pub fn introduction(name: &str) -> Vec<redis::Cmd> {
    vec![client(&["SETNAME", name]), client(&["ID"])]
}

/// Takes the answers to an introduction, the first of those that are given.
pub fn introduced(
    connection: &Connection,
    name: &str,
    answers: &mut impl Iterator<Item = Answer>,
) -> Result<Option<Identity>, Error> {
    let mut answers = answers.map(allowed);
    let (named, id) = (answers.next(), answers.next());
    let (Some(_), Some(id)) = (named.transpose()?.flatten(), id.transpose()?.flatten()) else {
        return Ok(None);
    };
    Ok(Some(Identity {
        node: connection.node().clone(),
        id: connection.read(id)?,
        name: name.to_owned(),
        can_unblock: false,
    }))
}

/// Closes another connection at its server, if it is still there.
pub(super) fn close(connection: &mut Connection, old: &Identity) -> Result<Closed, Error> {
    let list = redis::cmd("CLIENT").arg("LIST").arg("ID").arg(old.id).clone();
    close_listed(connection, &list, &old.name)
}

/// Closes whatever connection has this name, looking through all of them.
pub fn close_named(connection: &mut Connection, name: &str) -> Result<Closed, Error> {
    close_listed(connection, redis::cmd("CLIENT").arg("LIST"), name)
}

/// Whether a connection of this name is there; `None` where the server does not let this user look.
pub fn is_named(connection: &mut Connection, name: &str) -> Result<Option<bool>, Error> {
    let Some(listed) = allow(connection.query(redis::cmd("CLIENT").arg("LIST")))? else {
        return Ok(None);
    };
    let listed: String = connection.read(listed)?;
    Ok(Some(ids_of(&listed, name).next().is_some()))
}

/// The list and the kill are asked for over one connection: the server was not restarted in between, so that a number
/// cannot have become somebody else's.
fn close_listed(connection: &mut Connection, list: &redis::Cmd, name: &str) -> Result<Closed, Error> {
    let Some(listed) = allow(connection.query(list))? else {
        return Ok(Closed::Unknown);
    };
    let listed: String = connection.read(listed)?;
    for id in ids_of(&listed, name) {
        let kill = redis::cmd("CLIENT").arg("KILL").arg("ID").arg(id).clone();
        if allow(connection.query(&kill))?.is_none() {
            return Ok(Closed::Unknown);
        }
    }
    Ok(Closed::Surely)
}

/// Ends another connection's blocked read; not that of a stranger with the same number.
pub(super) fn unblock(connection: &mut Connection, blocked: &Identity, unheard: Unheard) -> Result<(), Error> {
    let commands = [
        redis::cmd("CLIENT").arg("LIST").arg("ID").arg(blocked.id).clone(),
        redis::cmd("INFO").arg("server").clone(),
    ];
    let mut texts = Vec::new();
    for answer in connection.query_all(&commands)? {
        let Some(text) = allowed(answer)? else {
            // Its read ends by itself before long.
            return Ok(());
        };
        texts.push(connection.read::<String>(text)?);
    }
    if ids_of(&texts[0], &blocked.name).next().is_none() {
        return Ok(());
    }
    let mut end = redis::cmd("CLIENT");
    match (can_unblock_safely(&texts[1]), unheard) {
        (true, _) => end.arg("UNBLOCK").arg(blocked.id),
        (false, Unheard::Kept) => end.arg("KILL").arg("ID").arg(blocked.id),
        // Its read ends by itself before long.
        (false, Unheard::Lost) => return Ok(()),
    };
    // Where it may not be killed, the connection is broken at this side before long.
    allow(connection.query(&end)).map(drop)
}

/// Whether CLIENT UNBLOCK does no harm to a connection that is only held up by CLIENT PAUSE: Redis 6.2 and 7.0 end with an
/// assertion, and a pause may begin at any moment, as in a failover.
fn can_unblock_safely(server: &str) -> bool {
    let version = fact(server, "redis_version").and_then(|version| {
        let mut parts = version.split('.').map(str::parse::<u32>);
        Some((parts.next()?.ok()?, parts.next()?.ok()?))
    });
    version.is_some_and(|version| version >= (7, 2))
}

/// A figure of INFO.
pub fn fact<'a>(info: &'a str, name: &str) -> Option<&'a str> {
    info.lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))
        .map(str::trim)
}

/// The numbers of the connections of this name, in the text of CLIENT LIST.
fn ids_of<'a>(listed: &'a str, name: &'a str) -> impl Iterator<Item = &'a str> {
    let named = format!(" name={name} ");
    listed
        .lines()
        .filter(move |line| line.contains(&named))
        .filter_map(|line| line.strip_prefix("id=")?.split(' ').next())
}

/// An answer, or `None` where the server does not let this user ask.
fn allowed(answer: Answer) -> Result<Option<redis::Value>, Error> {
    allow(answer.map_err(Error::Refused))
}

fn allow(answer: Result<redis::Value, Error>) -> Result<Option<redis::Value>, Error> {
    match answer {
        Ok(value) => Ok(Some(value)),
        Err(Error::Refused(refusal)) if !is_about_the_server(&refusal) => Ok(None),
        Err(error) => Err(error),
    }
}

/// A refusal that has nothing to do with the command.
fn is_about_the_server(refusal: &ServerError) -> bool {
    refusal.is_passing() || refusal.code == "NOAUTH"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connection_is_known_by_its_number_and_its_name() {
        let listed = "id=3 addr=a name=x.1 db=0\nid=4 addr=b name=x.12 db=0\nid=5 addr=c name=x.1 db=0\n";
        assert_eq!(ids_of(listed, "x.1").collect::<Vec<_>>(), ["3", "5"]);
        assert_eq!(ids_of(listed, "x").count(), 0);
    }

    #[test]
    fn old_servers_are_not_asked_to_unblock() {
        for (version, is_safe) in [("6.2.14", false), ("7.0.15", false), ("7.2.4", true), ("10.0.0", true)] {
            assert_eq!(
                can_unblock_safely(&format!("redis_version:{version}\r\n")),
                is_safe,
                "{version}"
            );
        }
        assert!(!can_unblock_safely(""));
    }
}
