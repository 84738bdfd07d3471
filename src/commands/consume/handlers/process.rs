//! One handler at work: a process of its own group, the lines of its messages on its stdin, its exit status the
//! verdict.

use std::collections::HashSet;
use std::io::{self, Write};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::thread::{Builder, JoinHandle, sleep};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::{Errno, ioctl_fionbio};
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process_group, waitid};

use super::{Environment, Handler};
use crate::failure::quote;
use crate::render::exact_duration;
use crate::streamer::{Details, Job, Verdict};

/// How long a handler that overran its time has between TERM and KILL.
pub const GRACE: Duration = Duration::from_secs(5);

/// What the pipe of a new process surely takes without anybody reading: one page, the least Linux gives.
const PIPE_TAKES: usize = 4096;

/// How often a handler that does not read is looked at: its end need not close the pipe, which its children may hold.
const LOOK_UP: Timespec = Timespec {
    tv_sec: 0,
    tv_nsec: 20_000_000,
};

/// The process groups of the handlers at work, to be ended with this process.
#[derive(Clone, Debug, Default)]
pub struct Groups {
    /// How many messages they work on.
    messages: Arc<AtomicUsize>,
    alive: Arc<Mutex<HashSet<i32>>>,
    /// Held to read while a process starts and is not among `alive` yet; to write when no other is to start.
    starting: Arc<RwLock<()>>,
    /// Of what these are a part, if they may be ended by themselves.
    whole: Option<Box<Self>>,
    /// Whether no other is to start in this part.
    is_closed: Arc<AtomicBool>,
}

/// How long a process that is starting is waited for. It takes longer only where its program cannot be read.
const START_PATIENCE: Duration = Duration::from_secs(1);
/// How often it is looked for.
const START_POLL: Duration = Duration::from_millis(1);

impl Groups {
    pub fn messages(&self) -> usize {
        self.messages.load(Ordering::SeqCst)
    }

    /// Work on so many messages begins.
    pub fn begin(&self, messages: usize) {
        self.messages.fetch_add(messages, Ordering::SeqCst);
    }

    /// Work on so many messages has ended.
    pub fn end(&self, messages: usize) {
        self.messages.fetch_sub(messages, Ordering::SeqCst);
    }

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
        self.kill_all();
    }

    /// A part of these, that may be ended by itself.
    pub fn part(&self) -> Self {
        Self {
            messages: self.messages.clone(),
            whole: Some(Box::new(self.clone())),
            ..Self::default()
        }
    }

    /// Kills those of a part, while others go on. No other starts in it: whoever tries is told so.
    pub fn close(&self) {
        self.is_closed.store(true, Ordering::SeqCst);
        // Whoever did not see that has a process among those that are alive once this is held.
        drop(self.starting.write());
        self.kill_all();
    }

    fn kill_all(&self) {
        for raw in self.lock().iter() {
            if let Some(group) = Pid::from_raw(*raw) {
                // Gone already is as good.
                let _ = kill_process_group(group, Signal::KILL);
            }
        }
    }

    /// Starts a process that leads a group of its own.
    pub fn start(&self, command: &mut Command) -> io::Result<Child> {
        let _starting = self.starting.read();
        if self.is_closed.load(Ordering::SeqCst) {
            return Err(io::Error::other("its time is up"));
        }
        let child = match &self.whole {
            Some(whole) => whole.start(command)?,
            None => command.process_group(0).spawn()?,
        };
        self.lock().insert(group_of(&child));
        Ok(child)
    }

    /// A process has ended.
    pub fn remove(&self, child: &Child) {
        self.lock().remove(&group_of(child));
        if let Some(whole) = &self.whole {
            whole.remove(child);
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashSet<i32>> {
        self.alive.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

pub fn group_of(child: &Child) -> i32 {
    child.id().cast_signed()
}

/// Runs the handler of a job to its end.
pub fn run(handler: &Handler, job: &Job, groups: &Groups) -> Verdict {
    groups.begin(job.count);
    let verdict = run_to_its_end(handler, job, groups);
    groups.end(job.count);
    verdict
}

fn run_to_its_end(handler: &Handler, job: &Job, groups: &Groups) -> Verdict {
    let mut command = command(handler, job);
    let mut child = match groups.start(&mut command) {
        Ok(child) => child,
        Err(error) => return not_started(&handler.program, &error),
    };
    let ended = attend(&mut child, job, handler.time_limit);
    if ended.is_err() {
        abandon(&mut child);
    }
    groups.remove(&child);
    match ended {
        // Whatever its status says: many programs exit with 0 when TERM ends them before their work is done.
        Ok((_, Ending::Overran(limit))) => Verdict::Failed(format!(
            "it ran for more than {}",
            exact_duration(limit.as_millis() as u64)
        )),
        Ok((status, Ending::OfItself)) if status.success() => Verdict::Done,
        Ok((status, Ending::OfItself)) => Verdict::Failed(describe(status)),
        Err(error) if is_no_room(&error) => Verdict::NoRoom(error.to_string()),
        Err(error) => Verdict::Failed(format!("it could not be run to its end: {error}")),
    }
}

/// A handler's command, with nothing said of messages.
pub fn base_command(handler: &Handler) -> Command {
    let mut command = Command::new(&handler.program);
    command.args(&handler.arguments).stdin(Stdio::piped());
    if let Environment::Only(variables) = &handler.environment {
        command.env_clear().envs(variables.iter().cloned());
    }
    // Those of a handler that we are run by are not of these messages.
    for variable in ["COUNT", "STREAM", "ID", "NAME", "DELIVERIES"] {
        command.env_remove(format!("REDIS_STREAMER_{variable}"));
    }
    command
}

fn command(handler: &Handler, job: &Job) -> Command {
    let mut command = base_command(handler);
    command.env("REDIS_STREAMER_COUNT", job.count.to_string());
    match &job.details {
        Details::One(message) => {
            command
                .env("REDIS_STREAMER_STREAM", &message.stream)
                .env("REDIS_STREAMER_ID", message.id.to_string())
                .env("REDIS_STREAMER_NAME", without_nul(&message.name))
                .env("REDIS_STREAMER_DELIVERIES", message.deliveries.to_string());
        }
        Details::Several { stream } => {
            command.envs(stream.iter().map(|stream| ("REDIS_STREAMER_STREAM", stream)));
        }
    }
    command
}

/// Why a handler did not start: for want of room, of a program, or for this message alone.
pub fn not_started(program: &str, error: &io::Error) -> Verdict {
    if is_no_room(error) {
        Verdict::NoRoom(error.to_string())
    } else if is_unusable(error) {
        Verdict::Unusable(cannot_run(program, error))
    } else {
        Verdict::Failed(format!("it could not be started: {error}"))
    }
}

pub fn cannot_run(program: &str, error: &io::Error) -> String {
    format!("cannot run the handler {}: {error}", quote(program))
}

/// A failure that tells of the system's limits: the next moment may be better, another message is not.
fn is_no_room(error: &io::Error) -> bool {
    let no_room = [Errno::MFILE, Errno::NFILE, Errno::AGAIN, Errno::NOMEM];
    let code = error.raw_os_error();
    no_room.iter().any(|errno| code == Some(errno.raw_os_error()))
}

/// A failure that tells of the command, not of the moment.
fn is_unusable(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::NotFound | io::ErrorKind::PermissionDenied | io::ErrorKind::InvalidInput
    ) || error.raw_os_error() == Some(Errno::NOEXEC.raw_os_error())
}

/// Environments cannot hold NUL; names in a stream can.
fn without_nul(name: &str) -> String {
    name.replace('\0', "")
}

/// Ends a handler that cannot be seen to its end, with its whole group.
pub fn abandon(child: &mut Child) {
    if let Some(group) = Pid::from_raw(group_of(child)) {
        let _ = kill_process_group(group, Signal::KILL);
    }
    let _ = child.wait();
}

/// Whether a handler ended before its time was up.
pub enum Ending {
    OfItself,
    Overran(Duration),
}

/// Feeds a handler and waits for its end; ends it, with its whole group, when its time is up.
fn attend(child: &mut Child, job: &Job, limit: Option<Duration>) -> io::Result<(ExitStatus, Ending)> {
    let pid = Pid::from_raw(group_of(child)).ok_or(io::ErrorKind::InvalidInput)?;
    let killer = limit.map(|limit| Killer::start(pid, limit)).transpose()?;
    let fed = match child.stdin.take() {
        Some(stdin) => feed(stdin, job, pid),
        None => Ok(()),
    };
    // The process is not reaped until the killer is done with it: its number cannot become another's.
    let exited = fed.and_then(|()| Ok(waitid(WaitId::Pid(pid), WaitIdOptions::EXITED | WaitIdOptions::NOWAIT)?));
    let ending = killer.map_or(Ending::OfItself, Killer::stop);
    exited?;
    if matches!(ending, Ending::Overran(_)) {
        // What the handler left behind in its group goes with it.
        let _ = kill_process_group(pid, Signal::KILL);
    }
    Ok((child.wait()?, ending))
}

/// Writes the lines to the handler. One that reads nothing, or not all, is free to; one that has ended is not waited
/// for, although its children may hold the pipe open.
fn feed(mut stdin: ChildStdin, job: &Job, pid: Pid) -> io::Result<()> {
    if job.lines.len() > PIPE_TAKES {
        ioctl_fionbio(&stdin, true)?;
    }
    let mut rest = job.lines.as_slice();
    while !rest.is_empty() {
        match stdin.write(rest) {
            Ok(written) => rest = &rest[written..],
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                let looked = poll(&mut [PollFd::new(&stdin, PollFlags::OUT)], Some(&LOOK_UP));
                let options = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT | WaitIdOptions::NOHANG;
                if looked == Ok(0) && waitid(WaitId::Pid(pid), options)?.is_some() {
                    break;
                }
            }
            // It reads no more.
            Err(_) => break,
        }
    }
    Ok(())
}

/// A thread that ends a handler when its time is up.
pub struct Killer {
    limit: Duration,
    ended: Sender<()>,
    thread: JoinHandle<bool>,
}

impl Killer {
    pub fn start(pid: Pid, limit: Duration) -> io::Result<Self> {
        let (ended, ends) = channel::<()>();
        let thread = Builder::new().spawn(move || {
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
        Ok(Self { limit, ended, thread })
    }

    /// The handler has ended: says how.
    pub fn stop(self) -> Ending {
        drop(self.ended);
        if self.thread.join().unwrap_or(false) {
            Ending::Overran(self.limit)
        } else {
            Ending::OfItself
        }
    }
}

pub fn describe(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("exit status {code}"),
        (None, Some(signal)) => format!("killed by signal {signal}"),
        (None, None) => "it ended strangely".to_owned(),
    }
}
