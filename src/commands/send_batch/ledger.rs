//! What became of every line: counts, receipts, rejects, and the verdict at the end.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;
use std::time::Instant;

use anyhow::Context as _;
use serde::Serialize;

use super::input::{Batch, Record};
use super::{Args, OnReject};
use crate::commands::Context;
use crate::failure::Failure;
use crate::line;
use crate::render::counted;
use crate::streamer::EntryId;
use crate::ui::{Data, Ui};

/// The account of a sending.
pub struct Ledger {
    ui: Ui,
    stream: String,
    names: Vec<String>,
    on_reject: OnReject,
    rejects: Option<BufWriter<File>>,
    receipts: Option<BufWriter<File>>,
    ids: Option<Data>,
    /// IDs and receipts of the batch at hand, written together.
    id_lines: Vec<u8>,
    receipt_lines: Vec<u8>,
    started: Instant,
    sent: u64,
    rejected: u64,
    /// The last line that is in the stream.
    last_sent: Option<(usize, u64)>,
    /// The line that ends the sending, and why.
    stopped_at: Option<Stopped>,
    /// Why the first line was not sent.
    first_reason: Option<String>,
    /// The source whose header stands in the rejects.
    rejects_header: Option<usize>,
}

/// The first line that could not be sent, where that ends the sending.
struct Stopped {
    message: String,
    /// How many lines behind it were on their way and went in.
    sent_after: u64,
}

/// How a sending ended.
pub enum Ended {
    /// All input was read, or all before a line that ends the sending.
    Input,
    /// By a signal.
    Signal(i32),
}

impl Ledger {
    /// Opens the files to write.
    pub fn open(args: &Args, on_reject: OnReject, names: Vec<String>, ui: Ui) -> anyhow::Result<Self> {
        Ok(Self {
            ui,
            stream: args.stream.clone(),
            names,
            on_reject,
            rejects: args.rejects.as_deref().map(|path| create(path, args)).transpose()?,
            receipts: args.receipts.as_deref().map(|path| create(path, args)).transpose()?,
            ids: if args.ids { Some(ui.data()?) } else { None },
            id_lines: Vec::new(),
            receipt_lines: Vec::new(),
            started: Instant::now(),
            sent: 0,
            rejected: 0,
            last_sent: None,
            stopped_at: None,
            first_reason: None,
            rejects_header: None,
        })
    }

    /// A line is in the stream.
    pub fn added(&mut self, batch: &Batch, record: &Record, id: EntryId) {
        self.sent += 1;
        self.last_sent = Some((batch.source, record.line));
        if let Some(stopped) = &mut self.stopped_at {
            stopped.sent_after += 1;
        }
        if self.ids.is_some() {
            // Writing into memory cannot fail.
            let _ = writeln!(self.id_lines, "{id}");
        }
        if self.receipts.is_some() {
            self.receipt_lines.extend_from_slice(b"{\"file\":");
            line::string(&mut self.receipt_lines, &self.names[batch.source]);
            let _ = writeln!(self.receipt_lines, ",\"line\":{},\"id\":\"{id}\"}}", record.line);
        }
    }

    /// A line cannot be sent, or was refused.
    pub fn rejected(
        &mut self,
        batch: &Batch,
        record: &Record,
        column: Option<usize>,
        reason: &str,
    ) -> anyhow::Result<()> {
        self.rejected += 1;
        let bytes = &batch.input[record.input.clone()];
        let text = String::from_utf8_lossy(bytes);
        let column = column.map(|column| format!(":{column}")).unwrap_or_default();
        let place = format!("{}:{}{column}", self.names[batch.source], record.line);
        let message = format!("{place}: {reason}: {}", line::excerpt(text.trim_end()));
        self.first_reason.get_or_insert_with(|| message.clone());
        if self.on_reject == OnReject::Stop && self.stopped_at.is_none() {
            self.stopped_at = Some(Stopped { message, sent_after: 0 });
        } else if self.rejects.is_none() {
            self.ui.warning(&message);
        }
        self.write_reject(batch, bytes).context("cannot write the rejects")
    }

    /// Writes a line as it stood; before the first of CSV its header, so that the rejects can be sent again.
    fn write_reject(&mut self, batch: &Batch, bytes: &[u8]) -> std::io::Result<()> {
        let Some(file) = &mut self.rejects else {
            return Ok(());
        };
        let header = match self.rejects_header.replace(batch.source) {
            Some(source) if source == batch.source => None,
            _ => batch.header.as_deref(),
        };
        for line in header.into_iter().chain([bytes]) {
            file.write_all(line)?;
            if !line.ends_with(b"\n") {
                file.write_all(b"\n")?;
            }
        }
        Ok(())
    }

    /// Whether no further line is to be sent.
    pub fn is_stopped(&self) -> bool {
        self.stopped_at.is_some()
    }

    /// How many lines are in the stream.
    pub fn sent(&self) -> u64 {
        self.sent
    }

    /// Writes what a batch gave.
    pub fn flush(&mut self) -> anyhow::Result<()> {
        if let Some(ids) = &mut self.ids {
            ids.write(&self.id_lines).context("cannot write the IDs to stdout")?;
            self.id_lines.clear();
        }
        if let Some(receipts) = &mut self.receipts {
            receipts
                .write_all(&self.receipt_lines)
                .and_then(|()| receipts.flush())
                .context("cannot write the receipts")?;
            self.receipt_lines.clear();
        }
        if let Some(rejects) = &mut self.rejects {
            rejects.flush().context("cannot write the rejects")?;
        }
        Ok(())
    }

    /// A place for messages: `FILE:LINE`.
    pub fn place(&self, source: usize, line: u64) -> String {
        format!("{}:{line}", self.names[source])
    }

    /// What is in the stream, for a message about a sending that broke off.
    pub fn so_far(&self) -> String {
        match self.last_sent {
            None => "no line was sent".to_owned(),
            Some((source, line)) => format!(
                "{} sent, the last {}",
                counted(self.sent, "line"),
                self.place(source, line)
            ),
        }
    }

    /// Ends the account: the summary, and what the exit code says.
    pub fn close(mut self, ended: anyhow::Result<Ended>, context: &Context, args: &Args) -> anyhow::Result<()> {
        let flushed = self.flush();
        self.summary(args, context)?;
        match ended {
            Err(error) => return Err(self.broken_off(error)),
            Ok(Ended::Signal(signal)) => {
                context.ui.status(&format!("ended by a signal: {}", self.so_far()));
                return Err(Failure::signal(signal).into());
            }
            Ok(Ended::Input) => flushed?,
        }
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
            .hint("to leave such lines out and go on: --rejects FILE, or --on-reject skip")
            .into());
        }
        match (&self.first_reason, &args.rejects) {
            (None, _) => Ok(()),
            (Some(first), Some(path)) => Err(Failure::data(format!(
                "{} not sent, the first {first}; see {}",
                counted(self.rejected, "line"),
                path.display()
            ))
            .into()),
            (Some(_), None) => {
                Err(Failure::data(format!("{} not sent, each named above", counted(self.rejected, "line"))).into())
            }
        }
    }

    /// The failure that ended the sending early, with what was sent until then.
    fn broken_off(&self, error: anyhow::Error) -> anyhow::Error {
        let stopped = self
            .stopped_at
            .as_ref()
            .map(|stopped| format!("; before that, {}", stopped.message));
        error.context(format!(
            "the sending broke off: {}{}",
            self.so_far(),
            stopped.unwrap_or_default()
        ))
    }

    fn summary(&self, args: &Args, context: &Context) -> anyhow::Result<()> {
        #[derive(Serialize)]
        struct Summary<'a> {
            stream: &'a str,
            sent: u64,
            rejected: u64,
            seconds: f64,
        }
        let seconds = self.started.elapsed().as_secs_f64();
        if args.json {
            let mut text = serde_json::to_vec(&Summary {
                stream: &self.stream,
                sent: self.sent,
                rejected: self.rejected,
                seconds: (seconds * 1000.0).round() / 1000.0,
            })?;
            text.push(b'\n');
            return context
                .ui
                .data()?
                .write(&text)
                .context("cannot write the summary to stdout");
        }
        let rate = self.sent as f64 / seconds.max(0.001);
        context.ui.status(&format!(
            "sent {} to {} in {seconds:.2}s ({rate:.0}/s)",
            counted(self.sent, "message"),
            self.stream
        ));
        Ok(())
    }
}

fn create(path: &Path, args: &Args) -> anyhow::Result<BufWriter<File>> {
    // A sending that is resumed adds to what its first part wrote.
    let file = match &args.checkpoint {
        Some(_) => File::options().create(true).append(true).open(path),
        None => File::create(path),
    };
    file.map(BufWriter::new)
        .with_context(|| format!("cannot write {}", path.display()))
}
