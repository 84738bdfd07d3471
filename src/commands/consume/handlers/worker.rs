//! One worker: a process of its own group, which gets lines on stdin and answers each, in order, with a line on stdout.
//! A thread attends to it from its start to its end, and to those that take its place.

use std::collections::VecDeque;
use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::process::{Child, ChildStdin, ChildStdout, ExitStatus, Stdio};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::ioctl_fionbio;
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process_group, waitid};

use crate::render::exact_duration;
use crate::streamer::Verdict;

use super::answer::{self, NoAnswer};
use super::process::{Ending, GRACE, Killer, abandon, base_command, describe, group_of, not_started};
use super::workers::{How, Inbox, Task};

/// The pause before a worker is started again that ended without an answer, at first and at most.
const BACK_OFF: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(10));

/// How often it is looked whether a process has ended whose children hold its stdout open, or whether the run is to end.
const LOOK_UP: Duration = Duration::from_millis(100);

/// How much is read at a time.
const READ: usize = 64 * 1024;

/// Attends to one worker.
pub struct Attendant {
    how: Arc<How>,
    inbox: Arc<Inbox>,
    woken: UnixStream,
    /// For the next process.
    tasks: VecDeque<Task>,
    is_over: bool,
    /// How many processes in a row ended without an answer, and when the next may start.
    vain: u32,
    not_before: Option<Instant>,
}

/// Why a process is given up.
enum Gone {
    /// It ended, or closed stdin or stdout.
    Ended,
    Overran(Duration),
    Protocol(NoAnswer),
    Failed(io::Error),
}

impl From<io::Error> for Gone {
    fn from(error: io::Error) -> Self {
        Self::Failed(error)
    }
}

impl Attendant {
    pub fn new(how: Arc<How>, inbox: Arc<Inbox>, woken: UnixStream) -> Self {
        Self {
            how,
            inbox,
            woken,
            tasks: VecDeque::new(),
            is_over: false,
            vain: 0,
            not_before: None,
        }
    }

    /// Runs processes one after the other, until nothing more is to be done.
    pub fn work(mut self) {
        while self.wait_for_work() {
            self.inbox.is_down.store(false, Ordering::SeqCst);
            match self.start() {
                Ok(process) => self.attend(process),
                Err(verdict) => self.refuse(&verdict),
            }
        }
    }

    /// Takes what is in the inbox.
    fn collect(&mut self) {
        let (tasks, is_over) = self.inbox.take();
        self.how.groups.begin(tasks.len());
        self.tasks.extend(tasks);
        self.is_over |= is_over;
    }

    fn ended(&self, task: Task, verdict: Verdict) {
        self.how.groups.end(1);
        self.inbox.ended(task, verdict);
    }

    /// Waits until there is something to do and a process may be started for it; false when there will be no more.
    /// What cannot be begun before the run ends is given back.
    fn wait_for_work(&mut self) -> bool {
        loop {
            self.collect();
            if self.how.stop.ending().is_some() && self.not_before.is_some() {
                self.give_back();
            }
            let pause = self
                .not_before
                .map_or(Duration::ZERO, |until| until.saturating_duration_since(Instant::now()));
            match (self.tasks.is_empty(), pause.is_zero()) {
                (true, _) if self.is_over => return false,
                (false, true) => return true,
                (true, _) => self.sleep(None),
                (false, false) => self.sleep(Some(pause.min(LOOK_UP))),
            }
        }
    }

    /// Sleeps until something is put into the inbox.
    fn sleep(&mut self, most: Option<Duration>) {
        let most = most.map(timespec);
        // Woken or not, it is looked what there is.
        let _ = poll(&mut [PollFd::new(&self.woken, PollFlags::IN)], most.as_ref());
        self.forget_wakes();
    }

    fn forget_wakes(&mut self) {
        // Nothing is in it that matters.
        let _ = self.woken.read(&mut [0; 64]);
    }

    /// Gives back what no process has got.
    fn give_back(&mut self) {
        // Each goes to the front of its queue.
        while let Some(task) = self.tasks.pop_back() {
            self.ended(task, Verdict::Untried);
        }
    }

    fn start(&self) -> Result<Process, Verdict> {
        let handler = &self.how.handler;
        let mut command = base_command(handler);
        command.stdout(Stdio::piped());
        let mut child = match self.how.groups.start(&mut command) {
            Ok(child) => child,
            Err(error) => return Err(not_started(&handler.program, &error)),
        };
        match Process::of(&mut child) {
            Ok((stdin, stdout)) => Ok(Process {
                child,
                stdin,
                stdout,
                out: Vec::new(),
                written: 0,
                answers: Vec::new(),
                hand: VecDeque::new(),
                has_answered: false,
                is_deaf: false,
                since: Instant::now(),
            }),
            Err(error) => {
                abandon(&mut child);
                self.how.groups.remove(&child);
                Err(Verdict::NoRoom(error.to_string()))
            }
        }
    }

    /// No process can be started.
    fn refuse(&mut self, why: &Verdict) {
        while let Some(task) = self.tasks.pop_back() {
            let verdict = match why {
                Verdict::NoRoom(why) => Verdict::NoRoom(why.clone()),
                Verdict::Unusable(why) => Verdict::Unusable(why.clone()),
                Verdict::Failed(why) => Verdict::Failed(why.clone()),
                _ => Verdict::Untried,
            };
            self.ended(task, verdict);
        }
        self.back_off();
    }

    fn back_off(&mut self) {
        let (first, most) = BACK_OFF;
        let pause = first.saturating_mul(1 << self.vain.min(16)).min(most);
        self.vain += 1;
        self.not_before = Some(Instant::now() + pause);
        self.inbox.is_down.store(true, Ordering::SeqCst);
    }

    /// Sees a process to its end.
    fn attend(&mut self, mut process: Process) {
        let gone = loop {
            self.collect();
            process.hand_over(&mut self.tasks);
            if self.is_over && process.hand.is_empty() {
                return self.let_end(process);
            }
            if let Err(gone) = self.turn(&mut process) {
                break gone;
            }
        };
        self.inbox.is_down.store(true, Ordering::SeqCst);
        let has_answered = process.has_answered;
        let is_idle = matches!(gone, Gone::Ended) && process.hand.is_empty();
        let (why, mut hand) = self.end(process, gone);
        // One that ends with nothing in hand may have had enough.
        if hand.is_empty() && !is_idle {
            self.how
                .ui
                .warning(&format!("a worker is ended, and started again: {why}"));
        }
        // It answers in order: what it had in hand is the first, and of the others it may know nothing.
        let first = hand.pop_front();
        // The next process gets them before all others.
        while let Some(task) = hand.pop_back() {
            self.tasks.push_front(task);
        }
        if let Some(task) = first {
            self.ended(task, Verdict::Failed(why));
        }
        if has_answered {
            self.vain = 0;
            self.not_before = None;
            self.inbox.is_down.store(false, Ordering::SeqCst);
        } else {
            self.back_off();
        }
    }

    /// Waits for something to happen, and deals with it.
    fn turn(&mut self, process: &mut Process) -> Result<(), Gone> {
        process.write()?;
        let limit = self.how.handler.time_limit.filter(|_| !process.hand.is_empty());
        let left = limit.map(|limit| limit.saturating_sub(process.since.elapsed()));
        let patience = left.map_or(LOOK_UP, |left| left.min(LOOK_UP));
        // With nothing in hand, its end closes its stdout, or is seen at the next message.
        let patience = (!process.hand.is_empty()).then(|| timespec(patience));
        let mut fds = vec![
            PollFd::new(&self.woken, PollFlags::IN),
            PollFd::new(&process.stdout, PollFlags::IN),
        ];
        if process.is_behind() {
            fds.push(PollFd::new(&process.stdin, PollFlags::OUT));
        }
        let ready = match poll(&mut fds, patience.as_ref()) {
            Err(rustix::io::Errno::INTR) => return Ok(()),
            polled => polled.map_err(io::Error::from)?,
        };
        let (is_woken, has_answers) = (!fds[0].revents().is_empty(), !fds[1].revents().is_empty());
        if is_woken {
            self.forget_wakes();
        }
        if has_answers {
            return self.read(process);
        }
        if let (Some(limit), Some(left)) = (limit, left)
            && left.is_zero()
        {
            return Err(Gone::Overran(limit));
        }
        if ready == 0 && (process.is_deaf || process.has_ended()?) {
            return Err(Gone::Ended);
        }
        Ok(())
    }

    /// Reads answers, and settles what they are to.
    fn read(&mut self, process: &mut Process) -> Result<(), Gone> {
        let before = process.answers.len();
        process.answers.resize(before + READ, 0);
        let got = process.stdout.read(&mut process.answers[before..]);
        process.answers.truncate(before + *got.as_ref().unwrap_or(&0));
        match got {
            Ok(0) => return Err(Gone::Ended),
            Err(error) if is_passing(&error) => return Ok(()),
            got => drop(got?),
        }
        let mut answers = std::mem::take(&mut process.answers);
        let mut from = 0;
        while let Some(length) = answers[from..].iter().position(|byte| *byte == b'\n') {
            self.answer(process, &answers[from..from + length])?;
            from += length + 1;
        }
        answers.drain(..from);
        if answers.len() > answer::LONGEST {
            return Err(Gone::Protocol(answer::too_long()));
        }
        process.answers = answers;
        Ok(())
    }

    fn answer(&self, process: &mut Process, line: &[u8]) -> Result<(), Gone> {
        let answered = answer::parse(line);
        if process.hand.is_empty() {
            let NoAnswer(said) = answered.err().unwrap_or_else(|| {
                let text = String::from_utf8_lossy(line);
                NoAnswer(format!("it answered '{}'", crate::render::one_line(&text)))
            });
            return Err(Gone::Protocol(NoAnswer(format!("{said}, and nothing was asked"))));
        }
        let verdict = answered.map_err(Gone::Protocol)?;
        process.has_answered = true;
        process.since = Instant::now();
        if let Some(task) = process.hand.pop_front() {
            self.ended(task, verdict);
        }
        Ok(())
    }

    /// Ends a process that is given up: why it was, and what it had in hand.
    fn end(&self, mut process: Process, gone: Gone) -> (String, VecDeque<Task>) {
        let hand = std::mem::take(&mut process.hand);
        let patience = match gone {
            // It has ended, or is about to.
            Gone::Ended => GRACE,
            Gone::Overran(_) | Gone::Protocol(_) | Gone::Failed(_) => Duration::ZERO,
        };
        let ended = self.wait(process, patience);
        let why = match (gone, ended) {
            (Gone::Overran(limit), _) => format!("it ran for more than {}", exact_duration(limit.as_millis() as u64)),
            (Gone::Protocol(NoAnswer(why)), _) => why,
            (Gone::Failed(error), _) | (Gone::Ended, Err(error)) => {
                format!("it could not be run to its end: {error}")
            }
            (Gone::Ended, Ok((status, Ending::OfItself))) => format!("the worker ended: {}", describe(status)),
            (Gone::Ended, Ok((_, Ending::Overran(_)))) => "the worker closed its stdin or stdout".to_owned(),
        };
        (why, hand)
    }

    /// Nothing more is to be done: a process ends as its stdin does.
    fn let_end(&self, process: Process) {
        let warn = |why: &str| self.how.ui.warning(&format!("a worker did not end well: {why}"));
        match self.wait(process, GRACE) {
            Ok((status, Ending::OfItself)) if status.success() => {}
            Ok((status, Ending::OfItself)) => warn(&describe(status)),
            Ok((_, Ending::Overran(_))) => warn("it went on although its stdin was closed, and was killed"),
            Err(error) => warn(&error.to_string()),
        }
    }

    /// Closes a process' stdin, and waits for its end; after so long, ends it with its whole group.
    fn wait(&self, process: Process, patience: Duration) -> io::Result<(ExitStatus, Ending)> {
        let Process {
            mut child,
            stdin,
            stdout,
            ..
        } = process;
        drop(stdin);
        let ended = wait(&mut child, patience);
        if ended.is_err() {
            abandon(&mut child);
        }
        drop(stdout);
        self.how.groups.remove(&child);
        ended
    }
}

fn wait(child: &mut Child, patience: Duration) -> io::Result<(ExitStatus, Ending)> {
    let pid = Pid::from_raw(group_of(child)).ok_or(io::ErrorKind::InvalidInput)?;
    let killer = Killer::start(pid, patience)?;
    // It is not reaped until the killer is done with it: its number cannot become another's.
    let exited = waitid(WaitId::Pid(pid), WaitIdOptions::EXITED | WaitIdOptions::NOWAIT);
    let ending = killer.stop();
    exited?;
    if matches!(ending, Ending::Overran(_)) {
        let _ = kill_process_group(pid, Signal::KILL);
    }
    Ok((child.wait()?, ending))
}

/// A worker's process.
struct Process {
    child: Child,
    stdin: ChildStdin,
    stdout: ChildStdout,
    /// Lines for it, and how many bytes of them it has.
    out: Vec<u8>,
    written: usize,
    /// What it has answered, up to the next line break.
    answers: Vec<u8>,
    /// What it has not answered yet, in order.
    hand: VecDeque<Task>,
    has_answered: bool,
    /// Whether it has closed its stdin.
    is_deaf: bool,
    /// Since when the first of them is the first.
    since: Instant,
}

impl Process {
    fn of(child: &mut Child) -> io::Result<(ChildStdin, ChildStdout)> {
        let (stdin, stdout) = (child.stdin.take(), child.stdout.take());
        let (stdin, stdout) = stdin.zip(stdout).ok_or(io::ErrorKind::BrokenPipe)?;
        ioctl_fionbio(&stdin, true)?;
        ioctl_fionbio(&stdout, true)?;
        Ok((stdin, stdout))
    }

    /// Queues messages for it.
    fn hand_over(&mut self, tasks: &mut VecDeque<Task>) {
        if self.hand.is_empty() {
            self.since = Instant::now();
        }
        for task in tasks.drain(..) {
            self.out.extend_from_slice(&task.line);
            self.hand.push_back(task);
        }
    }

    fn is_behind(&self) -> bool {
        self.written < self.out.len()
    }

    /// Writes as much as it takes now.
    fn write(&mut self) -> Result<(), Gone> {
        while self.is_behind() {
            match self.stdin.write(&self.out[self.written..]) {
                Ok(written) => self.written += written,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                // It reads no more. What it has answered all the same is read first.
                Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {
                    self.is_deaf = true;
                    self.written = self.out.len();
                }
                Err(error) => return Err(Gone::Failed(error)),
            }
        }
        self.out.clear();
        self.written = 0;
        Ok(())
    }

    fn has_ended(&self) -> io::Result<bool> {
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT | WaitIdOptions::NOHANG;
        let pid = Pid::from_raw(group_of(&self.child)).ok_or(io::ErrorKind::InvalidInput)?;
        Ok(waitid(WaitId::Pid(pid), options)?.is_some())
    }
}

fn is_passing(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::Interrupted | io::ErrorKind::WouldBlock)
}

fn timespec(duration: Duration) -> Timespec {
    Timespec {
        tv_sec: duration.as_secs().try_into().unwrap_or(i64::MAX),
        tv_nsec: duration.subsec_nanos().into(),
    }
}
