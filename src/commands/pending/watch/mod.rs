//! `pending --watch`: how things go, on a screen that answers keys; a line of JSON for each look where there is none.

mod draw;
mod lines;
mod model;
mod sample;
mod view;

use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Context as _;

use super::settings::{GroupScope, Scope};
use crate::commands::Context;
use crate::signals;
use crate::streamer::{Ending, Error, Look, Lookout, Watched};
use crate::ui::{Screen, ScreenInput, leave_screen};
use draw::{Letters, Scene, Status, frame};
use model::Model;
use sample::{Report, look_often};
use view::{Page, Then, View};

/// How long a key may wait for what is new from the servers.
const POLL: Duration = Duration::from_millis(100);

pub fn run(scope: &Scope, look: &Look, interval: Duration, context: &Context) -> anyhow::Result<Ending> {
    let watched = match scope {
        Scope::Server(globs) => Watched::Matching(globs.clone()),
        Scope::Streams(names) => Watched::Named(names.clone()),
        Scope::Stream(stream) | Scope::Group(GroupScope { stream, .. }) => Watched::Named(vec![stream.clone()]),
    };
    // What --wait says counts for the first connection, and what fails there fails plainly.
    match scope {
        Scope::Server(_) => drop(context.connect_to_all()?),
        Scope::Streams(names) => drop(context.connect_to(&names[0])?),
        Scope::Stream(stream) | Scope::Group(GroupScope { stream, .. }) => drop(context.connect_to(stream)?),
    }
    let lookout = Lookout::new(&context.servers, watched);
    signals::listen(&context.stop, || {}, leave_screen)?;
    let Some(screen) = context.ui.screen().context("cannot draw on the terminal")? else {
        return lines::run(lookout, look, interval, context);
    };
    let page = match scope {
        Scope::Group(scope) => Page::Group {
            stream: scope.stream.clone(),
            group: scope.group.clone(),
        },
        _ => Page::Streams,
    };
    let (ask, pages) = channel();
    let (report, reports) = channel();
    let look = *look;
    let asking = thread::Builder::new();
    asking
        .spawn(move || look_often(lookout, look, interval, &pages, &report))
        .context("cannot start a thread to ask the servers")?;
    Watch {
        screen,
        view: View::new(page),
        model: Model::default(),
        status: Status::Waiting,
        begun: Instant::now(),
        interval,
        context,
    }
    .run(&ask, &reports)
}

struct Watch<'a> {
    screen: Screen,
    view: View,
    model: Model,
    status: Status,
    begun: Instant,
    interval: Duration,
    context: &'a Context,
}

impl Watch<'_> {
    fn run(mut self, ask: &Sender<Page>, reports: &Receiver<Report>) -> anyhow::Result<Ending> {
        if self.view.page != Page::Streams {
            // Nobody to ask is found out by what is missing.
            let _ = ask.send(self.view.page.clone());
        }
        self.draw()?;
        loop {
            if let Some(ending) = self.context.stop.ending() {
                return Ok(ending);
            }
            let input = self.screen.input(POLL).context("cannot read from the terminal")?;
            let mut is_new = false;
            while let Ok(report) = reports.try_recv() {
                self.take(report)?;
                is_new = true;
            }
            match input {
                None => {}
                Some(ScreenInput::Redraw) => is_new = true,
                Some(ScreenInput::Gone) => return Ok(Ending::Signal(signal_hook::consts::SIGHUP)),
                Some(ScreenInput::Key(key)) => {
                    is_new = true;
                    match self.view.press(key, &self.model) {
                        Then::GoOn => {}
                        Then::Ask => drop(ask.send(self.view.page.clone())),
                        Then::Quit => return Ok(Ending::Enough),
                        Then::Interrupt => return Ok(Ending::Signal(signal_hook::consts::SIGINT)),
                    }
                }
            }
            if is_new {
                self.draw()?;
            }
        }
    }

    fn take(&mut self, report: Report) -> Result<(), Error> {
        match report {
            Report::Seen(at, seen) => {
                let at_ms = at.saturating_duration_since(self.begun).as_millis() as u64;
                self.status = seen.trouble().map_or(Status::Well, Status::Trouble);
                self.model.update(at_ms, seen.streams);
            }
            Report::Failed(error) if lines::is_worth_another_try(&error, &self.model) => {
                self.status = Status::Trouble(format!("{error}; trying again"));
            }
            Report::Failed(error) => return Err(error),
            Report::Detail(page, Ok(detail)) if page == self.view.page => self.view.detail = Some(detail),
            Report::Detail(page, Err(error)) if page == self.view.page => {
                self.status = Status::Trouble(error.to_string());
            }
            // Another page is looked at by now.
            Report::Detail(..) => {}
        }
        Ok(())
    }

    fn draw(&mut self) -> anyhow::Result<()> {
        let (width, height) = self.screen.size();
        let server = self.context.servers.name();
        let scene = Scene {
            model: &self.model,
            view: &self.view,
            server: &server,
            interval: self.interval,
            status: &self.status,
            letters: match self.context.ui.has_utf8() {
                true => Letters::Unicode,
                false => Letters::Ascii,
            },
        };
        let lines = frame(&scene, width, height);
        self.screen.draw(&lines).context("cannot draw on the terminal")
    }
}
