//! One handler at work: a process of its own group, the message on its stdin, its exit status the verdict.

use std::collections::HashSet;
use std::io::{self, Write};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::thread::{Builder, sleep};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process_group, waitid};

use crate::commands::consume::Args;

/// How long a handler that overran its time has between TERM and KILL.
const GRACE: Duration = Duration::from_secs(5);

/// What the pipe of a new process surely takes without anybody reading: one page, the least Linux gives.
const PIPE_TAKES: usize = 4096;

/// A message as a handler gets it.
#[derive(Clone, Debug)]
pub struct Job {
    /// The stream.
    pub stream: String,
    /// The entry's ID.
    pub id: String,
    /// The message's name; empty where the entry is no message.
    pub name: String,
    /// How often it was delivered, this time included.
    pub deliveries: u64,
    /// Its line.
    pub line: Vec<u8>,
}

/// How a handler ended.
#[derive(Debug)]
pub enum Verdict {
    /// It exited with 0.
    Done,
    /// It did not; the reason, for people.
    Failed(String),
    /// It could not be started, and no other message would fare better.
    Unusable(io::Error),
}

/// The process groups of the handlers at work, to be ended with this process.
#[derive(Clone, Debug, Default)]
pub struct Groups {
    alive: Arc<Mutex<HashSet<i32>>>,
    /// Held to read while a process starts and is not among `alive` yet; to write when no other is to start.
    starting: Arc<RwLock<()>>,
}

/// How long a process that is starting is waited for. It takes longer only where its program cannot be read.
const START_PATIENCE: Duration = Duration::from_secs(1);
/// How often it is looked for.
const START_POLL: Duration = Duration::from_millis(1);

impl Groups {
    /// Kills all of them, also those that are just starting: their messages stay pending and are delivered again.
    /// No other starts from now on: this process is about to end.
    pub fn kill(&self) {
        let deadline = Instant::now() + START_PATIENCE;
        loop {
            match self.starting.try_write() {
                Ok(closed) => {
                    std::mem::forget(closed);
                    break;
                }
                Err(_) if Instant::now() < deadline => sleep(START_POLL),
                Err(_) => break,
            }
        }
        for raw in self.lock().iter() {
            if let Some(group) = Pid::from_raw(*raw) {
                // Gone already is as good.
                let _ = kill_process_group(group, Signal::KILL);
            }
        }
    }

    /// Starts a process that leads a group of its own.
    fn start(&self, command: &mut Command) -> io::Result<Child> {
        let _starting = self.starting.read();
        let child = command.process_group(0).spawn()?;
        self.lock().insert(group_of(&child));
        Ok(child)
    }

    /// A process has ended.
    fn remove(&self, child: &Child) {
        self.lock().remove(&group_of(child));
    }

    fn lock(&self) -> MutexGuard<'_, HashSet<i32>> {
        self.alive.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn group_of(child: &Child) -> i32 {
    child.id().cast_signed()
}

/// Runs the handler of a message to its end.
pub fn run(args: &Args, job: &Job, groups: &Groups) -> Verdict {
    let Some((program, arguments)) = args.command.split_first() else {
        return Verdict::Done;
    };
    let mut command = Command::new(program);
    command
        .args(arguments)
        .env("REDIS_STREAMER_STREAM", &job.stream)
        .env("REDIS_STREAMER_ID", &job.id)
        .env("REDIS_STREAMER_NAME", without_nul(&job.name))
        .env("REDIS_STREAMER_DELIVERIES", job.deliveries.to_string())
        .stdin(Stdio::piped());
    let mut child = match groups.start(&mut command) {
        Ok(child) => child,
        Err(error) if is_fatal(&error) => return Verdict::Unusable(error),
        Err(error) => return Verdict::Failed(format!("it could not be started: {error}")),
    };
    let fed = child.stdin.take().map_or(Ok(()), |stdin| feed(stdin, &job.line));
    let ended = fed.and_then(|()| wait(&mut child, args.handler_timeout));
    if ended.is_err() {
        abandon(&mut child);
    }
    groups.remove(&child);
    match ended {
        // Whatever its status says: many programs exit with 0 when TERM ends them before their work is done.
        Ok((_, Ending::Overran(limit))) => Verdict::Failed(format!("it ran for more than {} s", limit.as_secs_f64())),
        Ok((status, Ending::OfItself)) if status.success() => Verdict::Done,
        Ok((status, Ending::OfItself)) => Verdict::Failed(describe(status)),
        Err(error) => Verdict::Failed(format!("it could not be run to its end: {error}")),
    }
}

/// A failure that tells of the command, not of the moment.
fn is_fatal(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::NotFound | io::ErrorKind::PermissionDenied | io::ErrorKind::InvalidInput
    ) || error.raw_os_error() == Some(rustix::io::Errno::NOEXEC.raw_os_error())
}

/// Environments cannot hold NUL; names in a stream can.
fn without_nul(name: &str) -> String {
    name.replace('\0', "")
}

/// Writes the line to the handler. One that reads nothing, or not all, is free to.
fn feed(mut stdin: ChildStdin, line: &[u8]) -> io::Result<()> {
    if line.len() <= PIPE_TAKES {
        let _ = stdin.write_all(line);
        return Ok(());
    }
    // A child of the handler may keep the pipe open and unread after the handler's end: nobody waits for that.
    let line = line.to_vec();
    Builder::new().spawn(move || stdin.write_all(&line)).map(drop)
}

/// Ends a handler that cannot be seen to its end, with its whole group.
fn abandon(child: &mut Child) {
    if let Some(group) = Pid::from_raw(group_of(child)) {
        let _ = kill_process_group(group, Signal::KILL);
    }
    let _ = child.wait();
}

/// Whether a handler ended before its time was up.
enum Ending {
    OfItself,
    Overran(Duration),
}

/// Waits for the handler's end; ends it, with its whole group, when its time is up.
fn wait(child: &mut Child, limit: Option<Duration>) -> io::Result<(ExitStatus, Ending)> {
    let (Some(limit), Some(pid)) = (limit, Pid::from_raw(group_of(child))) else {
        return child.wait().map(|status| (status, Ending::OfItself));
    };
    let (ended, ends) = channel::<()>();
    let killer = Builder::new().spawn(move || {
        let mut overran = false;
        for (patience, signal) in [(limit, Signal::TERM), (GRACE, Signal::KILL)] {
            if ends.recv_timeout(patience) != Err(RecvTimeoutError::Timeout) {
                break;
            }
            overran = true;
            let _ = kill_process_group(pid, signal);
        }
        overran
    })?;
    // The process is not reaped until the killer is done with it: its number cannot become another's.
    let exited = waitid(WaitId::Pid(pid), WaitIdOptions::EXITED | WaitIdOptions::NOWAIT);
    drop(ended);
    let overran = killer.join().unwrap_or(false);
    exited?;
    if overran {
        // What the handler left behind in its group goes with it.
        let _ = kill_process_group(pid, Signal::KILL);
    }
    let ending = if overran {
        Ending::Overran(limit)
    } else {
        Ending::OfItself
    };
    Ok((child.wait()?, ending))
}

fn describe(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("exit status {code}"),
        (None, Some(signal)) => format!("killed by signal {signal}"),
        (None, None) => "it ended strangely".to_owned(),
    }
}
