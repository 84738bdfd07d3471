//! Groups: made, moved.

use super::server::now_ms;
use crate::streamer::error::Error;
use crate::streamer::point::Point;
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

/// Creates a group that reads from a point on, and the stream if need be.
pub fn subscribe(
    connection: &mut Connection,
    stream: &str,
    group: &str,
    from: Point,
    existing: Existing,
) -> Result<Subscribed, Error> {
    let start = start(connection, from)?;
    let mut create = redis::cmd("XGROUP");
    create.arg("CREATE").arg(stream).arg(group).arg(&start).arg("MKSTREAM");
    match connection.ask::<()>(&create, stream, Some(group)) {
        Ok(()) => Ok(Subscribed::Created),
        Err(Error::Refused(refusal)) if refusal.code == "BUSYGROUP" => match existing {
            Existing::Keep => Ok(Subscribed::Kept),
            Existing::Move => {
                let mut set_id = redis::cmd("XGROUP");
                set_id.arg("SETID").arg(stream).arg(group).arg(&start);
                let moved = connection.ask::<()>(&set_id, stream, Some(group));
                moved.map(|()| Subscribed::Moved)
            }
        },
        Err(error) => Err(error),
    }
}

/// The last ID a group counts as delivered, so that the point itself is delivered next.
fn start(connection: &mut Connection, point: Point) -> Result<String, Error> {
    let now = match point {
        Point::Ago(_) => now_ms(connection)?,
        _ => 0,
    };
    Ok(match point.first_id(now) {
        None => "$".to_owned(),
        Some(first) => match first.previous() {
            None => "0".to_owned(),
            Some(before) => before.to_string(),
        },
    })
}
