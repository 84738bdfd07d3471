//! `local`: the private server of `--local`.

use std::path::Path;

use clap::ValueEnum;
use serde::Serialize;

use super::{print, print_json};
use crate::failure::Failure;
use crate::local::{Fault, Found, Local, Notice, State};
use crate::render::{UNKNOWN, bytes, counted, duration, facts, grouped};
use crate::streamer::Ending;
use crate::ui::Ui;

/// Start or stop the private server of --local, or show whether it is at work
///
/// The server is yours alone: it is reached by a Unix socket in a directory that nobody else may enter, and listens on
/// no port. Any command with --local (or the URL local:) starts it, and it stays at work until it is stopped. Its data
/// is kept in $XDG_DATA_HOME/redis-streamer, else ~/.local/share/redis-streamer, on disk within a second.
#[derive(clap::Args)]
#[command(after_long_help = "\
Examples:
  redis-streamer send orders 1 --name order.created --local
  redis-cli -s \"$(redis-streamer local start)\" INFO server
  redis-streamer local stop")]
pub struct Args {
    /// What to do; shows the status if left out
    #[arg(default_value = "status", hide_default_value = true)]
    action: Action,
    /// Print the status as one line of JSON
    #[arg(long)]
    json: bool,
}

/// What to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Action {
    /// Start it, if it is not at work, and print the path of its socket
    Start,
    /// Stop it; its data is kept
    Stop,
    /// Show whether it is at work: exit code 0 if it is, 4 if not
    Status,
}

pub fn run(args: Args, local: &Local, ui: Ui) -> anyhow::Result<Ending> {
    match args.action {
        _ if args.json && args.action != Action::Status => {
            Err(Failure::usage("--json is for the status, and this prints none")
                .hint("redis-streamer local status --json")
                .into())
        }
        Action::Start => start(local, ui),
        Action::Stop => {
            ui.status(if local.stop()? {
                "the local server is stopped; its data is kept"
            } else {
                "the local server is not at work"
            });
            Ok(Ending::Enough)
        }
        Action::Status => status(local, args.json, ui),
    }
}

/// Makes sure that the server is at work, before anything else is done.
pub fn ensure(local: &Local, ui: Ui) -> Result<(), Fault> {
    let (socket, found) = local.ensure(&|notice| say(notice, ui))?;
    if found == Found::Started {
        ui.detail(&format!("started the local server at {}", socket.display()));
    }
    Ok(())
}

fn say(notice: Notice, ui: Ui) {
    match notice {
        Notice::Loading => ui.status("waiting for the local server to load its data"),
        Notice::Cut(size) => ui.status(&format!(
            "the local server was killed: cut {} of an unfinished transaction off its file",
            counted(size, "byte")
        )),
    }
}

fn start(local: &Local, ui: Ui) -> anyhow::Result<Ending> {
    let (socket, found) = local.ensure(&|notice| say(notice, ui))?;
    ui.status(match found {
        Found::Started => "started the local server",
        Found::AtWork => "the local server is at work already",
    });
    print(ui, format!("{}\n", socket.display()).as_bytes())
}

fn status(local: &Local, is_json: bool, ui: Ui) -> anyhow::Result<Ending> {
    let state = local.state()?;
    let socket = match &state {
        Some(state) => state.socket.clone(),
        None => local.socket()?,
    };
    let printed = if is_json {
        let mut document = serde_json::to_vec(&StatusJson::of(local, &socket, state.as_ref()))?;
        document.push(b'\n');
        print_json(ui, &document)?
    } else {
        print(ui, table(local, &socket, state.as_ref()).as_bytes())?
    };
    match state {
        Some(_) => Ok(printed),
        None => Err(Failure::unmet("the local server is not at work")
            .hint("any command with --local starts it, and so does: redis-streamer local start")
            .into()),
    }
}

fn table(local: &Local, socket: &Path, state: Option<&State>) -> String {
    let mut rows = Vec::new();
    if let Some(State { about, streams, .. }) = state {
        let streams = streams.map_or_else(|| UNKNOWN.to_owned(), grouped);
        // Servers count whole seconds.
        let uptime = duration(about.uptime_s.max(1).saturating_mul(1000));
        rows.extend([
            ("server", format!("{} {}", about.product, about.version)),
            ("pid", about.pid.to_string()),
            ("up for", uptime),
            ("memory", bytes(about.memory)),
            ("streams", streams),
        ]);
    }
    rows.extend([
        ("socket", socket.display().to_string()),
        ("data", local.data().display().to_string()),
        ("log", local.log().display().to_string()),
    ]);
    facts(&rows)
}

#[derive(Serialize)]
struct StatusJson<'a> {
    running: bool,
    #[serde(flatten)]
    server: Option<ServerJson<'a>>,
    socket: String,
    url: String,
    data: String,
    log: String,
}

#[derive(Serialize)]
struct ServerJson<'a> {
    server: &'a str,
    version: &'a str,
    pid: u64,
    uptime_ms: u64,
    memory: u64,
    /// Not known while the server loads its data.
    streams: Option<u64>,
}

impl<'a> StatusJson<'a> {
    fn of(local: &Local, socket: &Path, state: Option<&'a State>) -> Self {
        Self {
            running: state.is_some(),
            server: state.map(|State { about, streams, .. }| ServerJson {
                server: about.product,
                version: &about.version,
                pid: about.pid,
                uptime_ms: about.uptime_s.saturating_mul(1000),
                memory: about.memory,
                streams: *streams,
            }),
            socket: socket.display().to_string(),
            url: format!("unix://{}", socket.display()),
            data: local.data().display().to_string(),
            log: local.log().display().to_string(),
        }
    }
}
