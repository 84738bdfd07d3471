//! Starting the server, as a process of its own that outlives whoever starts it.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::thread;
use std::time::{Duration, Instant};

use super::lock::Held;
use super::{Fault, Loading, Local, Notice, STEP, is_nobody, mend, paths, program};
use crate::streamer::{Error, ready};

/// How long a server may take until it listens; loading its data it does.
const TO_LISTEN: Duration = Duration::from_secs(30);
/// A log that is longer is put aside before the next start.
const LONG_LOG: u64 = 1 << 20;
/// What the server has no business with: the credentials of others.
const SECRETS: [&str; 3] = ["REDISCLI_AUTH", "REDIS_URL", "REDIS_STREAMER_URL"];

impl Local {
    /// Starts the server, which nobody else does meanwhile, and waits until it serves.
    pub(super) fn start(&self, life: Held, notify: &dyn Fn(Notice)) -> Result<PathBuf, Fault> {
        let program = program::find()?;
        let socket = paths::socket()?;
        if let Some(dir) = socket.parent() {
            paths::make_private(dir)?;
        }
        if mend::is_in_parts(&self.data) && program::is_too_old_for_parts(&program) {
            return Err(Fault::TooOld {
                program,
                data: self.data.clone(),
            });
        }
        self.mend(notify)?;
        self.write_record(&socket)?;
        let (log, begin) = self.open_log()?;
        let child = self.spawn(&program, &socket, life, log)?;
        self.wait_until_it_serves(child, &socket, begin, notify)?;
        Ok(socket)
    }

    /// A server that is told to end removes the file of its process ID; one that was killed may have been writing.
    fn mend(&self, notify: &dyn Fn(Notice)) -> Result<(), Fault> {
        if !self.pid_file().exists() {
            return Ok(());
        }
        let cut = mend::cut_unfinished_transaction(&self.data);
        match cut.map_err(Fault::file("mend the append-only file in", &self.data))? {
            0 => {}
            bytes => notify(Notice::Cut(bytes)),
        }
        Ok(())
    }

    /// Says where the server will be before it is there: whoever comes later than a kill in between finds it.
    fn write_record(&self, socket: &Path) -> Result<(), Fault> {
        let new = self.data.join("socket.new");
        std::fs::write(&new, socket.as_os_str().as_encoded_bytes()).map_err(Fault::file("write", &new))?;
        std::fs::rename(&new, self.record()).map_err(Fault::file("write", &self.record()))
    }

    /// The log, and where what is said from now on begins.
    fn open_log(&self) -> Result<(File, u64), Fault> {
        let path = self.log();
        if path.metadata().is_ok_and(|facts| facts.len() > LONG_LOG) {
            std::fs::rename(&path, self.data.join("server.log.old")).map_err(Fault::file("rename", &path))?;
        }
        let mut options = File::options();
        let log = options.create(true).append(true).mode(0o600).open(&path);
        let log = log.map_err(Fault::file("open", &path))?;
        let begin = log.metadata().map_err(Fault::file("look at", &path))?.len();
        Ok((log, begin))
    }

    fn spawn(&self, program: &Path, socket: &Path, life: Held, log: File) -> Result<Child, Fault> {
        let to_stderr = log.try_clone().map_err(Fault::file("open", &self.log()))?;
        let mut command = Command::new(program);
        command
            .args(["--port", "0", "--unixsocketperm", "700", "--unixsocket"])
            .arg(socket)
            .args(["--appendonly", "yes", "--appendfsync", "everysec", "--save", ""])
            .args(["--aof-load-truncated", "yes", "--daemonize", "no", "--dir"])
            .arg(&self.data)
            .arg("--pidfile")
            .arg(self.pid_file())
            .current_dir(&self.data)
            // It never reads it; it holds the lock by it.
            .stdin(life.0)
            .stdout(log)
            .stderr(to_stderr);
        for name in SECRETS {
            command.env_remove(name);
        }
        leave_the_session(&mut command);
        command.spawn().map_err(Fault::file("run", program))
    }

    fn wait_until_it_serves(
        &self,
        mut child: Child,
        socket: &Path,
        begin: u64,
        notify: &dyn Fn(Notice),
    ) -> Result<(), Fault> {
        let begun = Instant::now();
        let mut loading = Loading::new(notify);
        loop {
            let asked = self.open(socket).and_then(|mut connection| ready(&mut connection));
            if let Some(status) = child.try_wait().map_err(Fault::file("wait for", socket))? {
                return Err(Fault::ended(status, self.log(), &self.said_since(begin)));
            }
            match asked {
                Ok(()) => break,
                Err(Error::Refused(refusal)) if refusal.code == "LOADING" => loading.goes_on(),
                Err(error) if is_nobody(&error) && begun.elapsed() < TO_LISTEN => {}
                Err(error) => return Err(self.silent(socket, error)),
            }
            thread::sleep(STEP);
        }
        // If it ends before this program does, it is not to stay as a zombie. Without a thread, it is until then.
        let reaper = thread::Builder::new().spawn(move || child.wait());
        drop(reaper);
        Ok(())
    }

    /// The end of the log, of what was said since this start.
    fn said_since(&self, begin: u64) -> String {
        /// More than a server says of why it ends.
        const MOST: u64 = 64 << 10;
        let mut said = Vec::new();
        let read = File::open(self.log()).and_then(|mut log| {
            let size = log.metadata()?.len();
            log.seek(SeekFrom::Start(begin.max(size.saturating_sub(MOST))))?;
            log.read_to_end(&mut said)
        });
        // What cannot be read is not said; that it ended is.
        drop(read);
        String::from_utf8_lossy(&said).into_owned()
    }
}

/// Gives a process a session of its own, so that no terminal and no shell ends it with theirs, and leaves it no file
/// beyond the three it is given: whoever waits for the end of one that happens to be open would wait for the server.
#[expect(unsafe_code, reason = "there is no other way to do something between fork and exec")]
fn leave_the_session(command: &mut Command) {
    /// Where files end that a shell, or a CI runner, leaves open in programs.
    const MOST_FILES: libc::c_int = 1024;
    // SAFETY: between fork and exec only functions that are safe in signal handlers may be called, as these two are, and
    // the memory they touch is on the stack. Files are closed as the program is executed, not before: the standard
    // library needs one until then.
    unsafe {
        command.pre_exec(|| {
            for file in 3..MOST_FILES {
                libc::fcntl(file, libc::F_SETFD, libc::FD_CLOEXEC);
            }
            match libc::setsid() {
                -1 => Err(std::io::Error::last_os_error()),
                _ => Ok(()),
            }
        });
    }
}
