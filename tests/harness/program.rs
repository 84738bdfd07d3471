//! The program under test, run to its end, with what it must print.

use super::pattern::matches;
use super::running::{Output, Running, Unread};
use super::server::Server;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

const BINARY: &str = env!("CARGO_BIN_EXE_redis-streamer");

/// Variables that would change what the program does, wherever the tests run.
const FOREIGN: [&str; 16] = [
    "REDIS_STREAMER_URL",
    "REDIS_STREAMER_COMPLETE_FOR",
    "REDIS_STREAMER_CONFIG",
    "REDIS_STREAMER_PROFILE",
    "REDIS_URL",
    "REDISCLI_AUTH",
    "POD_NAME",
    "HOSTNAME",
    "NO_COLOR",
    "CLICOLOR",
    "CLICOLOR_FORCE",
    "COLUMNS",
    "RUST_BACKTRACE",
    "XDG_CONFIG_HOME",
    "XDG_DATA_HOME",
    "XDG_RUNTIME_DIR",
];

enum Expected {
    Exactly(Vec<u8>),
    Like(String),
    Containing(Vec<String>),
    Anything,
}

/// A run and its expected outcome: unless told otherwise, status 0 and not a byte on stdout or stderr.
pub struct Test {
    program: OsString,
    args: Vec<OsString>,
    env: Vec<(OsString, OsString)>,
    dir: Option<PathBuf>,
    stdin: Vec<u8>,
    status: i32,
    stdout: Expected,
    stderr: Expected,
    own_group: bool,
}

impl Test {
    /// Runs the program with this server as `$REDIS_STREAMER_URL`, in the server's work directory.
    pub fn new(server: &Server) -> Self {
        Self::without_server()
            .dir(&server.work())
            .env("REDIS_STREAMER_URL", server.url())
    }

    /// Runs the program with nothing said about a server.
    pub fn without_server() -> Self {
        Self {
            program: BINARY.into(),
            args: Vec::new(),
            env: Vec::new(),
            dir: None,
            stdin: Vec::new(),
            status: 0,
            stdout: Expected::Exactly(Vec::new()),
            stderr: Expected::Exactly(Vec::new()),
            own_group: false,
        }
    }

    /// Runs a bash script that finds the program on PATH and the server in the environment.
    pub fn shell(server: &Server, script: &str) -> Self {
        Self::new(server).env("SOCKET", server.socket()).bash(script)
    }

    /// Runs a bash script instead, which finds the program on PATH.
    pub fn bash(self, script: &str) -> Self {
        let binaries = Path::new(BINARY).parent().unwrap().as_os_str();
        let mut path = binaries.to_owned();
        path.push(":");
        path.push(std::env::var_os("PATH").unwrap_or_default());
        let mut test = self.env("PATH", path).args(["-o", "pipefail", "-c", script]);
        test.program = "bash".into();
        test.own_group = true;
        test
    }

    pub fn args<S: AsRef<OsStr>>(mut self, args: impl IntoIterator<Item = S>) -> Self {
        self.args.extend(args.into_iter().map(|arg| arg.as_ref().into()));
        self
    }

    pub fn arg(self, arg: impl AsRef<OsStr>) -> Self {
        self.args([arg])
    }

    pub fn env(mut self, name: &str, value: impl AsRef<OsStr>) -> Self {
        self.env.push((name.into(), value.as_ref().into()));
        self
    }

    pub fn dir(mut self, dir: &Path) -> Self {
        self.dir = Some(dir.into());
        self
    }

    pub fn stdin(mut self, stdin: impl AsRef<[u8]>) -> Self {
        self.stdin = stdin.as_ref().into();
        self
    }

    /// 128 + n where a signal n ended the program, as a shell sees it.
    pub fn status(mut self, status: i32) -> Self {
        self.status = status;
        self
    }

    pub fn stdout(mut self, expected: impl AsRef<[u8]>) -> Self {
        self.stdout = Expected::Exactly(expected.as_ref().into());
        self
    }

    /// With the holes of `pattern`: `[..]`, `[ID]`, `[N]`.
    pub fn stdout_like(mut self, expected: &str) -> Self {
        self.stdout = Expected::Like(expected.into());
        self
    }

    pub fn stdout_has<S: AsRef<str>>(mut self, parts: impl IntoIterator<Item = S>) -> Self {
        self.stdout = containing(parts);
        self
    }

    pub fn stdout_any(mut self) -> Self {
        self.stdout = Expected::Anything;
        self
    }

    pub fn stderr(mut self, expected: impl AsRef<[u8]>) -> Self {
        self.stderr = Expected::Exactly(expected.as_ref().into());
        self
    }

    pub fn stderr_like(mut self, expected: &str) -> Self {
        self.stderr = Expected::Like(expected.into());
        self
    }

    pub fn stderr_has<S: AsRef<str>>(mut self, parts: impl IntoIterator<Item = S>) -> Self {
        self.stderr = containing(parts);
        self
    }

    pub fn stderr_any(mut self) -> Self {
        self.stderr = Expected::Anything;
        self
    }

    /// Runs to the end and holds the outcome against what was expected.
    #[track_caller]
    pub fn run(self) -> Output {
        let mut running = Running::start(self.command(), self.own_group, Some(&self.stdin));
        let output = running.wait();
        let mut faults = Vec::new();
        if output.status != self.status {
            faults.push(format!("status {}, expected {}", output.status, self.status));
        }
        faults.extend(self.stdout.fault("stdout", &output.stdout));
        faults.extend(self.stderr.fault("stderr", &output.stderr));
        assert!(
            faults.is_empty(),
            "{:?} {:?}\n{}\n--- status {}\n--- stdout\n{}\n--- stderr\n{}",
            self.program,
            self.args,
            faults.join("\n"),
            output.status,
            shown(&output.stdout),
            shown(&output.stderr),
        );
        output
    }

    /// Starts the program and leaves it running, stdin empty; what was expected of it is not looked at.
    pub fn spawn(self) -> Running {
        Running::start(self.command(), self.own_group, Some(&self.stdin))
    }

    /// As `spawn`, with stdin left open: see [`Running::feed`].
    pub fn spawn_open(self) -> Running {
        Running::start(self.command(), self.own_group, None)
    }

    /// Starts it with nobody to read its stdout, and waits until the pipe holds so many bytes.
    pub fn spawn_unread(self, bytes: u64) -> Unread {
        Unread::start(self.command(), bytes)
    }

    /// As `spawn`, but its pipes are left to the caller.
    pub fn command(&self) -> Command {
        let mut command = Command::new(&self.program);
        for name in FOREIGN {
            command.env_remove(name);
        }
        command
            // Whoever runs the tests may have profiles.
            .env("REDIS_STREAMER_CONFIG", "/dev/null")
            .args(&self.args)
            .envs(self.env.iter().cloned())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        if let Some(dir) = &self.dir {
            command.current_dir(dir);
        }
        command
    }
}

impl Expected {
    fn fault(&self, what: &str, got: &[u8]) -> Option<String> {
        let text = String::from_utf8_lossy(got);
        match self {
            Self::Anything => None,
            Self::Exactly(expected) => {
                (expected != got).then(|| format!("{what} is not exactly:\n{}", shown(expected)))
            }
            Self::Like(pattern) => (!matches(pattern, &text)).then(|| format!("{what} does not read as:\n{pattern}")),
            Self::Containing(parts) => parts
                .iter()
                .find(|part| !text.contains(part.as_str()))
                .map(|part| format!("{what} lacks: {part}")),
        }
    }
}

fn containing<S: AsRef<str>>(parts: impl IntoIterator<Item = S>) -> Expected {
    Expected::Containing(parts.into_iter().map(|part| part.as_ref().into()).collect())
}

/// Enough of an output to see what is wrong with it.
fn shown(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    match text.char_indices().nth(4000) {
        Some((end, _)) => format!("{}… ({} bytes)", &text[..end], bytes.len()),
        None => text.into_owned(),
    }
}
