//! A program that runs: its lines as they come, signals, its end.

use super::wait::{DEADLINE, wait_until};
use rustix::process::{Pid, Signal, kill_process, kill_process_group};
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, ChildStdout, Command, ExitStatus};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

/// How a program ended and all it printed.
pub struct Output {
    /// 128 + n where a signal n ended it.
    pub status: i32,
    /// The signal of which it died.
    pub signal: Option<i32>,
    pub stdout: Vec<u8>,
    pub stderr: Vec<u8>,
}

impl Output {
    pub fn stdout(&self) -> String {
        String::from_utf8(self.stdout.clone()).unwrap()
    }

    pub fn stderr(&self) -> String {
        String::from_utf8(self.stderr.clone()).unwrap()
    }

    /// Everything printed, on stdout and stderr.
    pub fn all(&self) -> String {
        let both = [self.stdout.as_slice(), self.stderr.as_slice()].concat();
        String::from_utf8_lossy(&both).into_owned()
    }
}

/// A program that may still run; it is killed when dropped.
pub struct Running {
    child: Child,
    own_group: bool,
    lines: Receiver<Vec<u8>>,
    seen: Vec<u8>,
    stderr: Arc<Mutex<Vec<u8>>>,
    readers: Vec<JoinHandle<()>>,
}

impl Running {
    /// Starts it, gives it its stdin (None: left open) and reads what it prints, lest it waits for a reader.
    pub fn start(mut command: Command, own_group: bool, stdin: Option<&[u8]>) -> Self {
        if own_group {
            command.process_group(0);
        }
        let mut child = command.spawn().unwrap();
        let mut readers = Vec::new();
        if let Some(stdin) = stdin {
            let stdin = stdin.to_vec();
            let mut pipe = child.stdin.take().unwrap();
            // A program that ends without reading all of it is free to.
            readers.push(std::thread::spawn(move || {
                let _ = pipe.write_all(&stdin);
            }));
        }
        let (sender, lines) = channel();
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        readers.push(std::thread::spawn(move || {
            let mut line = Vec::new();
            while stdout.read_until(b'\n', &mut line).is_ok_and(|n| n > 0) {
                let _ = sender.send(std::mem::take(&mut line));
            }
        }));
        let stderr = Arc::new(Mutex::new(Vec::new()));
        let sink = Arc::clone(&stderr);
        let mut pipe = child.stderr.take().unwrap();
        readers.push(std::thread::spawn(move || {
            let mut chunk = [0; 4096];
            while let Ok(n @ 1..) = pipe.read(&mut chunk) {
                sink.lock().unwrap().extend_from_slice(&chunk[..n]);
            }
        }));
        Self {
            child,
            own_group,
            lines,
            seen: Vec::new(),
            stderr,
            readers,
        }
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Writes to a stdin that was left open.
    pub fn feed(&mut self, text: &str) {
        self.child.stdin.as_mut().unwrap().write_all(text.as_bytes()).unwrap();
    }

    /// Returns once it has read all that it was fed.
    pub fn wait_fed(&self) {
        let stdin = self.child.stdin.as_ref().unwrap();
        wait_until("stdin to be read", || rustix::io::ioctl_fionread(stdin).unwrap() == 0);
    }

    /// Ends a stdin that was left open.
    pub fn close_stdin(&mut self) {
        drop(self.child.stdin.take());
    }

    /// The next line of stdout, without its line break.
    pub fn line(&mut self) -> String {
        let Ok(line) = self.lines.recv_timeout(DEADLINE) else {
            self.kill();
            panic!("no further line; stderr: {}", self.stderr_so_far());
        };
        self.seen.extend_from_slice(&line);
        let line = String::from_utf8(line).unwrap();
        line.trim_end_matches('\n').to_owned()
    }

    /// The next line of stdout, if one comes in time.
    pub fn line_within(&mut self, patience: Duration) -> Option<String> {
        let line = self.lines.recv_timeout(patience).ok()?;
        self.seen.extend_from_slice(&line);
        Some(String::from_utf8(line).unwrap().trim_end_matches('\n').to_owned())
    }

    /// Ends it as a crash would.
    pub fn kill9(&mut self) -> Output {
        self.kill();
        self.wait()
    }

    /// As `kill9`, where children that outlive it still hold its pipes open: what it printed is lost.
    pub fn kill9_alone(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Returns once stderr contains this.
    #[track_caller]
    pub fn wait_stderr(&self, part: &str) {
        let start = std::time::Instant::now();
        while !self.stderr_so_far().contains(part) {
            let is_late = start.elapsed() > DEADLINE;
            assert!(!is_late, "waited in vain for {part}; stderr: {}", self.stderr_so_far());
            std::thread::sleep(super::wait::POLL);
        }
    }

    pub fn stderr_so_far(&self) -> String {
        String::from_utf8_lossy(&self.stderr.lock().unwrap()).into_owned()
    }

    /// Returns once it waits for something.
    pub fn wait_asleep(&self) {
        let state = format!("/proc/{}/stat", self.pid());
        wait_until("it to wait", || {
            std::fs::read_to_string(&state).is_ok_and(|stat| stat.contains(") S "))
        });
    }

    pub fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    /// Sends it a signal after this time, unless it has ended by then; says whether it was sent.
    pub fn end_within(&mut self, time: Duration, signal: Signal) -> bool {
        let start = std::time::Instant::now();
        while start.elapsed() < time {
            if self.has_ended() {
                return false;
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        kill_process(Pid::from_child(&self.child), signal).is_ok()
    }

    pub fn has_ended(&mut self) -> bool {
        self.child.try_wait().unwrap().is_some()
    }

    fn kill(&mut self) {
        if self.own_group {
            let _ = kill_process_group(Pid::from_child(&self.child), Signal::KILL);
        }
        let _ = self.child.kill();
    }

    /// Waits for its end; one that does not come in time fails the test.
    pub fn wait(&mut self) -> Output {
        let start = std::time::Instant::now();
        let status = loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                break status;
            }
            if start.elapsed() > DEADLINE {
                self.kill();
                panic!("still running; stderr: {}", self.stderr_so_far());
            }
            std::thread::sleep(super::wait::POLL);
        };
        // What a script left behind would hold the pipes open.
        if self.own_group {
            let _ = kill_process_group(Pid::from_child(&self.child), Signal::KILL);
        }
        for reader in self.readers.drain(..) {
            reader.join().unwrap();
        }
        self.seen.extend(self.lines.try_iter().flatten());
        Output {
            status: code(status),
            signal: status.signal(),
            stdout: std::mem::take(&mut self.seen),
            stderr: std::mem::take(&mut self.stderr.lock().unwrap()),
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(None)) {
            self.kill();
            let _ = self.child.wait();
        }
    }
}

/// The most memory a process has had so far, in KiB; `None` where the system does not tell.
pub fn peak_memory(pid: u32) -> Option<u64> {
    let program = std::fs::read_link(format!("/proc/{pid}/exe"));
    if program.is_ok_and(|program| std::env::current_exe().is_ok_and(|ours| ours == program)) {
        // A copy of the tests' process, which has yet to become the program.
        return Some(0);
    }
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    peak.trim().strip_suffix(" kB")?.parse().ok()
}

/// The exit code as shells have it.
fn code(status: ExitStatus) -> i32 {
    status.code().or(status.signal().map(|n| 128 + n)).unwrap()
}

/// Kills a process that a test's program left behind, by its number.
pub fn kill(pid: &str) {
    let pid = Pid::from_raw(pid.parse().unwrap()).unwrap();
    let _ = kill_process(pid, Signal::KILL);
}

/// A program whose stdout is a pipe that nobody reads before its end; it is killed when dropped.
pub struct Unread {
    child: Child,
    pipe: ChildStdout,
}

impl Unread {
    /// Starts it and waits until the pipe holds so many bytes.
    pub fn start(mut command: Command, bytes: u64) -> Self {
        let mut child = command.spawn().unwrap();
        let pipe = child.stdout.take().unwrap();
        wait_until("a full pipe", || rustix::io::ioctl_fionread(&pipe).unwrap() >= bytes);
        Self { child, pipe }
    }

    /// Sends a signal; says whether that ended the program by now.
    pub fn signal(&mut self, signal: Signal) -> bool {
        let is_over = self.child.try_wait().unwrap().is_some();
        if !is_over {
            kill_process(Pid::from_child(&self.child), signal).unwrap();
        }
        is_over
    }

    /// Waits for the end, and reads what the pipe holds.
    pub fn wait(mut self) -> Output {
        wait_until("its end", || self.child.try_wait().unwrap().is_some());
        let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
        self.pipe.read_to_end(&mut stdout).unwrap();
        self.child.stderr.take().unwrap().read_to_end(&mut stderr).unwrap();
        let status = self.child.wait().unwrap();
        Output {
            status: code(status),
            signal: status.signal(),
            stdout,
            stderr,
        }
    }
}

impl Drop for Unread {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
