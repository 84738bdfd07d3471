//! Streams of libraries that people use: each really writes, and goes on where we have been in its group.
//!
//! They are installed once, below `target`; where that cannot be done, the tests are left out.

use crate::contract::in_package;
use crate::harness::{Entry, Server, Test, is_installed_or_left_out, left_out};
use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

/// The longest that an installation may take.
const PATIENCE: Duration = Duration::from_secs(120);

/// Runs it to its end, in time; else says why not.
fn finish(command: &mut Command) -> Result<String, String> {
    let (output, error) = (
        tempfile::NamedTempFile::new().unwrap(),
        tempfile::NamedTempFile::new().unwrap(),
    );
    let mut child = command
        .stdin(Stdio::null())
        .stdout(output.reopen().unwrap())
        .stderr(error.reopen().unwrap())
        .spawn()
        .map_err(|error| error.to_string())?;
    let start = Instant::now();
    loop {
        match child.try_wait().unwrap() {
            Some(status) if status.success() => break Ok(std::fs::read_to_string(output.path()).unwrap()),
            Some(status) => break Err(format!("{status}: {}", std::fs::read_to_string(error.path()).unwrap())),
            None if start.elapsed() > PATIENCE => {
                let _ = child.kill();
                let _ = child.wait();
                break Err("it took too long".to_owned());
            }
            None => std::thread::sleep(Duration::from_millis(20)),
        }
    }
}

/// The folder with what this manifest asks for, installed if it is not there; None, with the reason said, where it cannot be.
fn installed(manifest: &str, program: &str, install: impl FnOnce(&Path) -> Result<String, String>) -> Option<PathBuf> {
    let asked = std::fs::read(in_package("tests/libraries").join(manifest)).unwrap();
    // What is compiled is for one version of the program.
    let version = match finish(Command::new(program).arg("--version")) {
        Ok(version) => version,
        Err(why) => {
            left_out(&format!("{program} does not run: {why}"));
            return None;
        }
    };
    let mut hasher = DefaultHasher::new();
    (asked, version).hash(&mut hasher);
    let all = Path::new(env!("CARGO_TARGET_TMPDIR")).join("libraries");
    let folder = all.join(format!("{program}-{:016x}", hasher.finish()));
    if !folder.exists() {
        std::fs::create_dir_all(&all).unwrap();
        let new = tempfile::tempdir_in(&all).unwrap();
        std::fs::copy(in_package("tests/libraries").join(manifest), new.path().join(manifest)).unwrap();
        if let Err(why) = install(new.path()) {
            left_out(&format!("{manifest} cannot be installed: {why}"));
            return None;
        }
        // Another run of the tests may have been faster.
        let is_first = std::fs::rename(new.path(), &folder).is_ok();
        assert!(is_first || folder.exists());
    }
    Some(folder)
}

/// Only one test installs; the others wait for it.
fn once(place: &OnceLock<Option<PathBuf>>, install: impl FnOnce() -> Option<PathBuf>) -> Option<PathBuf> {
    place.get_or_init(install).clone()
}

fn python() -> Option<PathBuf> {
    static FOLDER: OnceLock<Option<PathBuf>> = OnceLock::new();
    let install = |folder: &Path| {
        let pip = [
            "-m",
            "pip",
            "install",
            "--quiet",
            "--disable-pip-version-check",
            "--target",
            ".",
        ];
        finish(
            Command::new("python3")
                .args(pip)
                .args(["-r", "requirements.txt"])
                .current_dir(folder),
        )
    };
    let is_here = is_installed_or_left_out("python3");
    is_here.then(|| once(&FOLDER, || installed("requirements.txt", "python3", install)))?
}

fn node() -> Option<PathBuf> {
    static FOLDER: OnceLock<Option<PathBuf>> = OnceLock::new();
    let install = |folder: &Path| {
        let npm = [
            "install",
            "--silent",
            "--no-audit",
            "--no-fund",
            "--ignore-scripts",
            "--no-package-lock",
        ];
        finish(Command::new("npm").args(npm).current_dir(folder))
    };
    let is_here = is_installed_or_left_out("node") && is_installed_or_left_out("npm");
    is_here.then(|| once(&FOLDER, || installed("package.json", "node", install)))?
}

/// A program of `tests/libraries`, with its libraries, and a server for it.
struct Library {
    server: Server,
    command: String,
    folder: PathBuf,
}

impl Library {
    fn start(folder: Option<PathBuf>, runtime: &str, program: &str) -> Option<Self> {
        let (folder, server) = (folder?, Server::options().tcp4().start());
        let program = in_package("tests/libraries").join(program);
        let command = format!("{runtime} {} {}", program.display(), server.port());
        Some(Self {
            server,
            command,
            folder,
        })
    }

    fn python(program: &str) -> Option<Self> {
        Self::start(python(), "python3", program)
    }

    /// What it prints for these arguments.
    #[track_caller]
    fn run(&self, args: &str) -> String {
        let test = Test::shell(&self.server, &format!("{} {args}", self.command));
        let test = test
            .env("PYTHONPATH", &self.folder)
            .env("NODE_PATH", self.folder.join("node_modules"));
        test.stdout_any().run().stdout()
    }

    /// What we print for these arguments.
    #[track_caller]
    fn ours(&self, args: &str) -> String {
        let test = Test::shell(&self.server, &format!("redis-streamer {args}"));
        test.stdout_any().run().stdout()
    }

    /// Its stream and its group are shown, the group behind by so many.
    #[track_caller]
    fn check_is_listed(&self, stream: &str, group: &str, lag: usize) {
        assert!(self.ours("pending").contains(stream));
        assert!(self.ours(&format!("pending {stream}")).contains(group));
        let gate = |most: usize| {
            let pending = format!("redis-streamer pending {stream} -g {group} --max-lag {most}");
            Test::shell(&self.server, &pending).stdout_any()
        };
        gate(lag).run();
        gate(lag - 1).status(4).stderr_has(["lag"]).run();
    }

    /// Copies a stream, and holds the copy against it.
    #[track_caller]
    fn check_is_copied(&self, stream: &str, copy: &str) -> Vec<Entry> {
        self.ours(&format!(
            "consume {stream} --from beginning -e | redis-streamer -q send-batch {copy} --keep-ids"
        ));
        let entries = self.server.entries(stream);
        assert!(!entries.is_empty());
        assert_eq!(self.server.entries(copy), entries);
        entries
    }
}

/// BullMQ tells what becomes of jobs in a stream, without groups.
#[test]
fn bullmq() {
    let Some(library) = Library::start(node(), "node", "bullmq_queue.cjs") else {
        return;
    };
    let stream = "bull:orders:events";
    // Before the first job, as somebody would who is to miss none.
    library.ours(&format!("-q subscribe {stream} -l audit"));
    library.run("work orders");
    let group = format!("{stream}:audit:cg");
    library.check_is_listed(stream, &group, library.server.entries(stream).len());
    let audited = library.ours(&format!(
        "consume {stream} -l audit -e | jq -r '.fields|select(.event==\"completed\").returnvalue'"
    ));
    assert_eq!(
        audited,
        "{\"billed\":1,\"to\":\"Zoë\"}\n{\"billed\":3,\"to\":\"Zoë\"}\n"
    );
    assert!(library.server.is_settled(stream, &group));
    // Those who listen to the copy hear what those heard who listened to the queue.
    let heard = library.run("events orders");
    assert_eq!(heard.lines().count(), 3, "{heard}");
    assert!(heard.contains("2 failed no such customer\n"), "{heard}");
    library.check_is_copied(stream, "bull:copy:events");
    assert_eq!(library.run("events copy"), heard);
}

#[test]
fn taskiq_redis() {
    let Some(library) = Library::python("taskiq_broker.py") else {
        return;
    };
    library.run("send 0 2");
    library.check_is_listed("tasks", "taskiq", 2);
    let ours = library.ours("consume tasks -g taskiq -e | jq -c '.fields.data|fromjson|[.task_name,.args]'");
    assert_eq!(ours, "[\"bill\",[0]]\n[\"bill\",[1]]\n");
    assert!(library.server.is_settled("tasks", "taskiq"));
    // Its worker does what is new, and nothing that we did.
    library.run("send 2 4");
    assert_eq!(library.run("work 2"), "[2]\n[3]\n");
    assert!(library.server.is_settled("tasks", "taskiq"));
    assert_eq!(library.check_is_copied("tasks", "copy").len(), 4);
}

#[test]
fn faststream() {
    let Some(library) = Library::python("faststream_broker.py") else {
        return;
    };
    library.ours("-q subscribe orders -g billing");
    library.run("send 0 2");
    library.check_is_listed("orders", "billing", 2);
    // The body stands behind headers, in an envelope that is no text.
    let bodies = "jq -r '.fields.__data__.base64|@base64d' | grep -ao '{\"order.*}'";
    let ours = library.ours(&format!("consume orders -g billing -e | {bodies}"));
    assert_eq!(
        ours,
        "{\"order\":0,\"customer\":\"Zoë\"}\n{\"order\":1,\"customer\":\"Zoë\"}\n"
    );
    assert!(library.server.is_settled("orders", "billing"));
    library.run("send 2 4");
    assert_eq!(library.run("work 2"), "2 Zoë\n3 Zoë\n");
    assert!(library.server.is_settled("orders", "billing"));
    assert_eq!(library.check_is_copied("orders", "copy").len(), 4);
}

#[test]
fn walrus() {
    let Some(library) = Library::python("walrus_group.py") else {
        return;
    };
    library.run("create");
    library.run("send 0 2");
    library.check_is_listed("orders", "billing", 2);
    assert_eq!(
        library.ours("consume orders -g billing -e | jq -r .fields.order"),
        "0\n1\n"
    );
    library.run("send 2 5");
    assert_eq!(library.run("read"), "2\n3\n4\n");
    // What it reads, we may acknowledge.
    let ids = library.server.ids("orders");
    assert_eq!(
        library.run("pending"),
        format!("{} till\n{} till\n{} till\n", ids[2], ids[3], ids[4])
    );
    library.ours(&format!("ack orders -g billing {} {}", ids[2], ids[4]));
    assert_eq!(library.run("pending"), format!("{} till\n", ids[3]));
    assert_eq!(library.check_is_copied("orders", "copy").len(), 5);
}
