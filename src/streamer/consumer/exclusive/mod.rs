//! One reader a stream: processes take turns at streams, each of which one of them reads for as long as it holds its
//! [`Lease`], and share them evenly.
//!
//! For the streams of each slot there is a [`Warden`](warden::Warden), on a thread and a connection of its own, which
//! tells the others that this process is there, sees who else is, takes leases, renews them and gives them up. Each
//! stream that is held has a member at work on a thread of its own. This thread sees to it that members end in time, even
//! while wardens wait for servers that do not answer.

mod board;
mod share;
mod warden;

use std::io;
use std::sync::Arc;
use std::thread::{self, Builder, ScopedJoinHandle};
use std::time::Duration;

use super::lease::Lease;
use super::link::Link;
use super::member::Run;
use super::settings::{Name, Settings};
use crate::streamer::error::Error;
use crate::streamer::random::random;
use crate::streamer::stop::Ending;

use board::Board;
use warden::Warden;

/// Why turns could not be taken.
#[derive(Debug)]
pub enum TurnFailure {
    Servers(Error),
    /// The system starts no thread.
    NoThread(io::Error),
}

/// How often it is looked whether leases run out, in parts of their length, and as a time.
const LOOKS: u32 = 50;
const LOOK_EVERY: (Duration, Duration) = (Duration::from_millis(10), Duration::from_millis(200));

/// Works on streams, each in its turn. `work` joins a stream's group as its only member and works until the run or the turn
/// ends; it says how it ended, or `None` if it failed, for which the whole run ends.
pub fn take_turns<W>(
    run: Run<'_>,
    settings: &[Settings],
    length: Duration,
    link: Link,
    work: W,
) -> Result<Ending, TurnFailure>
where
    W: Fn(Run<'_>, &Settings, &Arc<Lease>) -> Option<Ending> + Sync,
{
    let board = Board::new(settings.len());
    let streams: Vec<String> = settings.iter().map(|one| one.streams[0].clone()).collect();
    let owner = owner(settings);
    let look_every = (length / LOOKS).clamp(LOOK_EVERY.0, LOOK_EVERY.1);
    let mut connection = Some(link.connection).filter(|connection| !connection.announces_all());
    thread::scope(|scope| {
        let mut wardens = Vec::new();
        for part in run.servers.by_slot(&streams) {
            let places = (0..streams.len()).filter(|place| part.contains(&streams[*place]));
            let warden = Warden::new(scope, run, settings, places.collect(), &board, &work);
            let warden = warden.with(&owner, length, connection.take());
            match Builder::new().spawn_scoped(scope, move || warden.run()) {
                Ok(warden) => wardens.push(warden),
                Err(error) => board.fail(TurnFailure::NoThread(error)),
            }
        }
        while !wardens.iter().all(ScopedJoinHandle::is_finished) {
            board.look_after(&run);
            if board.is_winding_up() {
                // A reason to end is no reason any more to look sooner.
                thread::sleep(look_every);
            } else {
                run.stop.sleep(look_every);
            }
        }
    });
    board.ended(&run)
}

/// What this process is called among those who share the streams: another one may have the same given name.
fn owner(settings: &[Settings]) -> String {
    match settings.first().map(|one| &one.name) {
        Some(Name::Made(name)) => name.clone(),
        Some(Name::Given(name)) => format!("{name}.{:08x}", random() as u32),
        None => String::new(),
    }
}
