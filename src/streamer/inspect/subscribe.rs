//! Groups: made, moved.

use super::seek::Position;
use crate::streamer::error::Error;
use crate::streamer::wire::Connection;

/// What becomes of a group that is there already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Existing {
    /// It is left as it is.
    Keep,
    /// It is moved to the point: what lies after it is delivered next, again if need be.
    Move,
}

/// What subscribing did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Subscribed {
    /// The group is new.
    Created,
    /// The group was there, and is as it was.
    Kept,
    /// The group was there, and begins at the point now.
    Moved,
}

/// Creates a group that reads from a position on, and the stream if need be.
pub fn subscribe(
    connection: &mut Connection,
    stream: &str,
    group: &str,
    from: Position,
    existing: Existing,
) -> Result<Subscribed, Error> {
    let from = from.written();
    let mut create = redis::cmd("XGROUP");
    create.arg("CREATE").arg(stream).arg(group).arg(&from).arg("MKSTREAM");
    match connection.ask::<()>(&create, stream, Some(group)) {
        Ok(()) => Ok(Subscribed::Created),
        Err(Error::Refused(refusal)) if refusal.code == "BUSYGROUP" => match existing {
            Existing::Keep => Ok(Subscribed::Kept),
            Existing::Move => {
                let mut set_id = redis::cmd("XGROUP");
                set_id.arg("SETID").arg(stream).arg(group).arg(&from);
                let moved = connection.ask::<()>(&set_id, stream, Some(group));
                moved.map(|()| Subscribed::Moved)
            }
        },
        Err(error) => Err(error),
    }
}
