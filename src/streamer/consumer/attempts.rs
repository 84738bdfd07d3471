//! Work from outside a group, over connections that are made again when they are lost.

use std::time::{Duration, Instant};

use crate::streamer::error::Error;
use crate::streamer::servers::{Connections, Supervisor};
use crate::streamer::stop::{Ending, Halt};

/// How long to go on trying to reach a lost server after the work was asked to end, and the answer that was waited for
/// did not come.
const GRACE: Duration = Duration::from_secs(5);

pub struct Attempts<'a> {
    connections: Connections,
    supervisor: Supervisor<'a>,
}

impl<'a> Attempts<'a> {
    pub fn new(connections: Connections, supervisor: Supervisor<'a>) -> Self {
        Self {
            connections,
            supervisor,
        }
    }

    /// Makes attempts until one succeeds. To be asked to end is no reason to leave off while the server is there.
    pub fn until_done<T>(
        &mut self,
        mut work: impl FnMut(&mut Connections) -> Result<T, Error>,
    ) -> Result<T, Halt<Error>> {
        loop {
            let failure = match work(&mut self.connections) {
                Ok(done) => {
                    self.supervisor.succeeded();
                    return Ok(done);
                }
                Err(failure) => failure,
            };
            self.connections.clear();
            // The work connects where it has to, and does what it can at the nodes that are there.
            match self.supervisor.mend(failure, || Ok(())) {
                Err(Halt::Ended(Ending::Signal(_))) => {
                    let until = Instant::now() + GRACE;
                    self.supervisor.begin_grace(until);
                    self.connections.set_deadline(Some(until));
                }
                mended => mended?,
            }
        }
    }
}
