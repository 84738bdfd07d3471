//! Groups: made, moved.

use super::{Error, Point, Streamer};

/// What subscribing did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Subscribed {
    /// The group is new.
    Created,
    /// The group was there; it is as it was.
    Existing,
}

impl Streamer {
    /// Creates a group that reads from a point on, and the stream if need be. An existing group is left as it is.
    pub fn subscribe(&mut self, stream: &str, group: &str, from: Point) -> Result<Subscribed, Error> {
        let start = self.group_start(from)?;
        let mut create = redis::cmd("XGROUP");
        create.arg("CREATE").arg(stream).arg(group).arg(start).arg("MKSTREAM");
        match self.ask::<()>(&create, stream, Some(group)) {
            Ok(()) => Ok(Subscribed::Created),
            Err(Error::Refused(refusal)) if refusal.code == "BUSYGROUP" => Ok(Subscribed::Existing),
            Err(error) => Err(error),
        }
    }

    /// Moves an existing group to a point: what lies after it is delivered next, again if need be.
    pub fn move_group(&mut self, stream: &str, group: &str, to: Point) -> Result<(), Error> {
        let start = self.group_start(to)?;
        let mut set_id = redis::cmd("XGROUP");
        set_id.arg("SETID").arg(stream).arg(group).arg(start);
        self.ask(&set_id, stream, Some(group))
    }

    /// The last ID a group counts as delivered, so that the point itself is delivered next.
    fn group_start(&mut self, point: Point) -> Result<String, Error> {
        let now = match point {
            Point::Ago(_) => self.now_ms()?,
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
}
