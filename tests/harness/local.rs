//! A user of its own for a test, with the private server of `--local`, which ends with the test.

use super::program::Test;
use super::server::binary;
use super::wait::wait_until;
use rustix::process::{Pid, Signal, kill_process};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use tempfile::TempDir;

/// A home directory, a runtime directory, and a PATH on which there is the server alone.
pub struct Home {
    dir: TempDir,
}

impl Home {
    pub fn new() -> Self {
        let home = Self::without_program();
        home.program("");
        home
    }

    /// A user without a server program.
    pub fn without_program() -> Self {
        // The path of a Unix socket has to be short.
        let dir = tempfile::Builder::new().prefix("rs-").tempdir_in("/tmp").unwrap();
        for name in ["bin", "run"] {
            std::fs::create_dir(dir.path().join(name)).unwrap();
            set_mode(&dir.path().join(name), 0o700);
        }
        Self { dir }
    }

    /// Puts a server on PATH that is started with further arguments. Each start of a server leaves a line.
    pub fn program(&self, args: &str) {
        let paths = std::env::var_os("PATH").unwrap_or_default();
        let server = std::env::split_paths(&paths)
            .map(|dir| dir.join(binary()))
            .find(|server| server.is_file())
            .expect("a server is needed");
        let starts = self.path("starts");
        let script = format!(
            "#!/bin/sh\ncase $1 in --version) ;; *) echo started >> {} ;; esac\nPATH={}\nexec {} \"$@\" {args}\n",
            starts.display(),
            paths.display(),
            server.display()
        );
        let path = self.path("bin/redis-server");
        std::fs::write(&path, script).unwrap();
        set_mode(&path, 0o755);
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Where the server keeps its things.
    pub fn data(&self) -> PathBuf {
        self.path(".local/share/redis-streamer")
    }

    pub fn socket(&self) -> PathBuf {
        self.path("run/redis-streamer/server.sock")
    }

    /// The program as this user runs it.
    pub fn test(&self) -> Test {
        let test = Test::without_server().dir(self.dir.path());
        self.of(test).env("PATH", self.path("bin"))
    }

    /// A test as it runs for this user.
    pub fn of(&self, test: Test) -> Test {
        test.env("HOME", self.dir.path())
            .env("TMPDIR", self.dir.path())
            .env("XDG_RUNTIME_DIR", self.path("run"))
    }

    /// As `test`, with `--local`.
    pub fn local(&self) -> Test {
        self.test().arg("--local")
    }

    /// How often a server was started.
    pub fn starts(&self) -> usize {
        let starts = std::fs::read_to_string(self.path("starts")).unwrap_or_default();
        starts.lines().count()
    }

    /// Sends one message, whatever is said of it on stderr.
    #[track_caller]
    pub fn send(&self, stream: &str) {
        let send = ["send", stream, "1", "--name", "n"];
        self.local().args(send).stdout_like("[ID]\n").stderr_any().run();
    }

    /// How many entries a stream has.
    #[track_caller]
    pub fn count(&self, stream: &str) -> usize {
        let read = ["consume", stream, "--from", "beginning", "-e", "-q"];
        let output = self.local().args(read).stdout_any().run();
        output.stdout().lines().count()
    }

    /// The append-only file that is written to.
    pub fn file(&self) -> PathBuf {
        let parts = self.data().join("appendonlydir/appendonly.aof.1.incr.aof");
        if parts.exists() {
            return parts;
        }
        self.data().join("appendonly.aof")
    }

    /// The process of the server that is at work.
    pub fn pid(&self) -> Option<Pid> {
        let text = std::fs::read_to_string(self.data().join("server.pid")).ok()?;
        let pid: i32 = text.trim().parse().ok()?;
        // A server that was killed leaves the file, and its number may be somebody else's by now.
        let is_ours = std::fs::read_link(format!("/proc/{pid}/cwd")).is_ok_and(|dir| dir == self.data());
        is_ours.then(|| Pid::from_raw(pid)).flatten()
    }

    pub fn signal(&self, signal: Signal) {
        kill_process(self.pid().expect("a server at work"), signal).unwrap();
    }

    pub fn kill9(&self) {
        self.signal(Signal::KILL);
        wait_until("the server to end", || self.pid().is_none());
    }

    /// Makes the data's directory a small file system of its own, or changes its size (`remount,…`), where this machine
    /// lets us.
    pub fn limit_data(&self, size: &str) -> bool {
        std::fs::create_dir_all(self.data()).unwrap();
        let (flags, size) = size.rsplit_once(',').unwrap_or(("mode=700", size));
        let mount = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &format!("{flags},size={size}"), "tmpfs"])
            .arg(self.data())
            .output();
        mount.is_ok_and(|output| output.status.success())
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let log = std::fs::read_to_string(self.data().join("server.log"));
            eprintln!("--- the server's log\n{}", log.unwrap_or_default());
        }
        if let Some(pid) = self.pid() {
            let _ = kill_process(pid, Signal::KILL);
            wait_until("the server to end", || self.pid().is_none());
        }
        // Of no effect where nothing is mounted. What has just ended may keep it busy for a moment: it goes at once all
        // the same.
        let _ = Command::new("umount").arg("-l").arg(self.data()).output();
    }
}

pub fn set_mode(path: &Path, mode: u32) {
    std::fs::set_permissions(path, PermissionsExt::from_mode(mode)).unwrap();
}
