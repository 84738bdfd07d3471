//! The end of the account: the summary, and what the exit code says.

use std::sync::Arc;

use serde::Serialize;

use super::{Account, AtRisk};
use crate::commands::durability;
use crate::commands::send_batch::partitions::Ended;
use crate::commands::send_batch::settings::{Dealing, Stdout};
use crate::failure::Failure;
use crate::render::{counted, grouped};
use crate::streamer::producer::{Span, Trouble};
use crate::streamer::{Copies, Ending};

/// What to try where lines are JSON and no entries.
const BARE: &str = "each line a body? add --name NAME";

impl Account<'_> {
    /// What is in the stream, for a message about a sending that broke off.
    fn so_far(&self) -> String {
        if let (Some(at_risk), Some(durability)) = (self.at_risk, self.lines.durability) {
            return self.with_a_risk(at_risk, durability.copies);
        }
        match self.last_sent {
            None => "no line was sent".to_owned(),
            Some(last) => {
                let last = self.lines.place(last);
                format!("{} sent, the last {last}", counted(self.sent, "line"))
            }
        }
    }

    fn with_a_risk(&self, at_risk: AtRisk, copies: Copies) -> String {
        let (all, safe) = (counted(self.sent + at_risk.count, "line"), self.sent);
        let (place, risk) = (durability::place(copies), durability::risk(copies));
        let (some, others) = match safe {
            0 => ("none".to_owned(), "all of them"),
            safe => (grouped(safe), "the others"),
        };
        if self.settings.are_partitions() {
            // Safe lines of other streams stand between them.
            return format!("{all} sent, {some} known to be {place}; {others} are in the streams and {risk}");
        }
        let lines = self.lines.span(at_risk.lines);
        format!("{all} sent, {some} known to be {place}; {others}, {lines}, are in the stream and {risk}")
    }

    /// The same for several streams, each with its ending: what broke off first is the failure, the rest is said.
    pub fn close_all(mut self, mut ended: Vec<(Arc<str>, Ended)>) -> anyhow::Result<Ending> {
        self.stream = None;
        let is_failure =
            |ended: &Result<_, _>| matches!(ended, Err(trouble) if !matches!(trouble, Trouble::Ended { .. }));
        let failure = ended
            .iter()
            .position(|(_, ended)| !leaves_nothing(ended) && is_failure(ended));
        let failure = failure.or_else(|| ended.iter().position(|(_, ended)| !leaves_nothing(ended)));
        let failure = failure.or_else(|| ended.iter().position(|(_, ended)| is_failure(ended)));
        let failure = failure.or_else(|| ended.iter().position(|(_, ended)| ended.is_err()));
        let Some(failure) = failure else {
            return self.close(Ok(()));
        };
        let (stream, failure) = ended.swap_remove(failure);
        self.failed = Some(stream);
        for (stream, ended) in ended {
            match ended {
                Ok(()) => {}
                Err(Trouble::Ended { in_doubt }) => self.warn(in_doubt),
                Err(trouble) => {
                    let error = self.lines.failure(trouble);
                    self.ui.warning(&format!("{stream}: {error:#}"));
                }
            }
        }
        self.close(failure)
    }

    /// Ends the account: the summary, and what the exit code says.
    pub fn close(mut self, ended: Result<(), Trouble<anyhow::Error>>) -> anyhow::Result<Ending> {
        let flushed = match &ended {
            Err(Trouble::Host(_)) => self.flush_rejects(),
            _ => self.flush(),
        };
        if let Some(checkpoint) = &mut self.checkpoint
            && leaves_nothing(&ended)
        {
            // Several streams may have been stopped before they told of all that an earlier run had sent.
            let is_cut_short = self.settings.are_partitions() && self.stopped_at.is_some();
            if ended.is_ok() && self.stop.signal().is_none() && !is_cut_short {
                checkpoint.all_told();
            }
            checkpoint.settled();
        }
        let noted = self.write_checkpoint();
        self.bar.finish();
        let is_complete = ended.is_ok() && self.stop.signal().is_none() && self.stopped_at.is_none();
        let printed = self.summary(is_complete);
        // A reader that has gone hides no failure.
        let ending = self.verdict(ended, flushed.and(noted))?;
        printed.map(|printed| if ending == Ending::Enough { printed } else { ending })
    }

    /// What the exit code says.
    fn verdict(&self, ended: Result<(), Trouble<anyhow::Error>>, closed: anyhow::Result<()>) -> anyhow::Result<Ending> {
        let ended = match (self.stop.signal(), ended) {
            // A refused line asked to end: the exit code tells of that.
            (None, Err(Trouble::Ended { in_doubt })) if self.stopped_at.is_some() => {
                self.warn(in_doubt);
                Ok(())
            }
            (Some(signal), Ok(())) => return Ok(self.signalled(signal, None)),
            (Some(signal), Err(Trouble::Host(_))) if self.is_unread => return Ok(self.signalled(signal, None)),
            (Some(signal), Err(Trouble::NotSafe(_))) => return Ok(self.signalled(signal, None)),
            (Some(signal), Err(Trouble::Ended { in_doubt })) => return Ok(self.signalled(signal, in_doubt)),
            (Some(signal), Err(Trouble::Server { error, in_doubt })) if error.is_passing() => {
                return Ok(self.signalled(signal, in_doubt));
            }
            (_, Err(trouble @ Trouble::NotSafe(_))) => {
                let text = format!("{}{}", self.so_far(), self.before_that());
                return Err(self.failure(trouble).context(text));
            }
            (_, ended) => ended.map_err(|trouble| self.failure(trouble)),
        };
        ended.and(closed).map_err(|error| self.broken_off(error))?;
        self.refused_lines()
    }

    fn failure(&self, trouble: Trouble<anyhow::Error>) -> anyhow::Error {
        let is_of_the_stream = !matches!(trouble, Trouble::Host(_));
        let error = self.lines.failure(trouble);
        match self.failed.as_ref().filter(|_| is_of_the_stream) {
            Some(stream) if self.settings.dealing == Dealing::Kept => error.context(format!("the stream {stream}")),
            Some(stream) => error.context(format!("the partition {stream}")),
            None => error,
        }
    }

    fn warn(&self, in_doubt: Option<Span>) {
        if let Some(lines) = in_doubt {
            self.ui.warning(&self.lines.doubt(lines));
        }
    }

    /// The exit code tells of the signal; what is in doubt must be said all the same.
    fn signalled(&self, signal: i32, in_doubt: Option<Span>) -> Ending {
        self.warn(in_doubt);
        let text = format!("ended by a signal: {}", self.so_far());
        match self.at_risk {
            Some(_) => self.ui.warning(&text),
            None => self.ui.status(&text),
        }
        Ending::Signal(signal)
    }

    /// Lines that are not in, although all else went well.
    fn refused_lines(&self) -> anyhow::Result<Ending> {
        if let Some(stopped) = &self.stopped_at {
            let after = match stopped.sent_after {
                0 => "nothing after it".to_owned(),
                after => format!(
                    "{} after it that {} on the way",
                    counted(after, "line"),
                    if after == 1 { "was" } else { "were" }
                ),
            };
            let before = self.sent - stopped.sent_after;
            return Err(Failure::data(format!(
                "{}; {} before it sent, {after}",
                stopped.message,
                counted(before, "line")
            ))
            .hint(match self.is_bare {
                true => BARE,
                false => "to leave such lines out and go on: --rejects FILE, or --on-reject skip",
            })
            .into());
        }
        let before = self.found.rejected;
        let rejected = counted(self.rejected, "line");
        let text = match (&self.first_reason, &self.settings.rejects) {
            (None, _) if before > 0 => {
                format!("{} not sent by an earlier run of this sending", counted(before, "line"))
            }
            (None, _) => return Ok(Ending::Enough),
            (Some(first), Some(path)) => format!("{rejected} not sent, the first {first}; see {}", path.display()),
            (Some(_), None) => format!("{rejected} not sent, each named above"),
        };
        let failure = Failure::data(text);
        Err(if self.is_bare { failure.hint(BARE) } else { failure }.into())
    }

    /// The failure that ended the sending early, with what was sent until then.
    fn broken_off(&self, error: anyhow::Error) -> anyhow::Error {
        error.context(format!(
            "the sending broke off: {}{}",
            self.so_far(),
            self.before_that()
        ))
    }

    /// The refused line that had ended the sending already, if one did.
    fn before_that(&self) -> String {
        let stopped = self.stopped_at.as_ref();
        stopped.map_or_else(String::new, |stopped| format!("; before that, {}", stopped.message))
    }

    fn summary(&self, is_complete: bool) -> anyhow::Result<Ending> {
        #[derive(Serialize)]
        struct Summary<'a> {
            #[serde(skip_serializing_if = "Option::is_none")]
            stream: Option<&'a str>,
            /// How many there were, where the lines named them.
            #[serde(skip_serializing_if = "Option::is_none")]
            streams: Option<usize>,
            sent: u64,
            #[serde(skip_serializing_if = "Option::is_none")]
            safe: Option<u64>,
            rejected: u64,
            seconds: f64,
        }
        let sent = self.sent + self.at_risk.map_or(0, |at_risk| at_risk.count);
        let seconds = self.started.elapsed().as_secs_f64();
        let is_kept = self.settings.dealing == Dealing::Kept;
        if self.settings.stdout == Stdout::Summary {
            let mut text = serde_json::to_vec(&Summary {
                stream: Some(&*self.settings.stream).filter(|_| !is_kept),
                streams: Some(self.named).filter(|_| is_kept),
                sent,
                safe: self.lines.durability.map(|_| self.sent),
                rejected: self.rejected,
                seconds: (seconds * 1000.0).round() / 1000.0,
            })?;
            text.push(b'\n');
            return crate::commands::print_json(self.ui, &text);
        }
        if is_complete && self.before > 0 && sent + self.rejected == 0 {
            self.ui
                .status(&format!("already complete, {}", counted(self.before, "line")));
            return Ok(Ending::Enough);
        }
        let pace = if seconds < TOO_SHORT {
            String::new()
        } else {
            let rate = (sent as f64 / seconds).round() as u64;
            format!(" in {seconds:.1}s ({}/s)", grouped(rate))
        };
        let messages = counted(sent, "message");
        let to = if is_kept {
            counted(self.named as u64, "stream")
        } else {
            self.settings.stream.clone()
        };
        self.ui.status(&format!("sent {messages} to {to}{pace}"));
        Ok(Ending::Enough)
    }
}

/// In fewer seconds than these, a rate says more of the start than of the sending.
const TOO_SHORT: f64 = 0.1;

/// Whether nothing is on its way any more, and what is written is true of all that is in.
fn leaves_nothing(ended: &Result<(), Trouble<anyhow::Error>>) -> bool {
    match ended {
        Ok(()) | Err(Trouble::Ended { in_doubt: None }) => true,
        Err(Trouble::Server { error, in_doubt: None }) => error.is_passing(),
        Err(_) => false,
    }
}
