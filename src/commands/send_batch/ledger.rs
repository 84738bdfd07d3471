//! What became of every line: counts, receipts, rejects, and the verdict at the end.

use std::fs::File;
use std::io::{BufWriter, ErrorKind, Seek, SeekFrom, Write};
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use anyhow::Context as _;
use serde::Serialize;

use super::checkpoint::Written;
use super::input::{Batch, Record};
use super::{Args, OnReject};
use crate::commands::Context;
use crate::failure::{self, Failure};
use crate::line;
use crate::render::counted;
use crate::signals::Stop;
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
    written: Written,
    /// The last line that is in the stream.
    last_sent: Option<(usize, u64)>,
    /// The line that ends the sending, and why.
    stopped_at: Option<Stopped>,
    /// Why the first line was not sent.
    first_reason: Option<String>,
    /// The header that stands in the rejects.
    rejects_header: Option<Arc<[u8]>>,
    /// The rejected lines that are not yet safe in the rejects, each with its reason.
    unsaved: Vec<String>,
}

/// The first line that could not be sent, where that ends the sending.
struct Stopped {
    message: String,
    /// How many lines behind it were on their way and went in.
    sent_after: u64,
}

impl Ledger {
    /// Opens the files to write; `written` is what earlier runs left in them.
    pub fn open(
        args: &Args,
        on_reject: OnReject,
        names: Vec<String>,
        ui: Ui,
        mut written: Written,
    ) -> anyhow::Result<Self> {
        let rejects = args.rejects.as_deref().map(|path| open(path, &mut written.rejects));
        let receipts = args.receipts.as_deref().map(|path| open(path, &mut written.receipts));
        Ok(Self {
            ui,
            stream: args.stream.clone(),
            names,
            on_reject,
            rejects: rejects.transpose()?,
            receipts: receipts.transpose()?,
            ids: if args.ids { Some(ui.data()?) } else { None },
            id_lines: Vec::new(),
            receipt_lines: Vec::new(),
            started: Instant::now(),
            sent: 0,
            rejected: 0,
            written,
            last_sent: None,
            stopped_at: None,
            first_reason: None,
            rejects_header: None,
            unsaved: Vec::new(),
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
        self.written.rejected += 1;
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
        } else {
            self.unsaved.push(message);
        }
        let written = self.write_reject(batch, bytes);
        written.map_err(|error| self.unsaved(error))
    }

    /// Writes a line as it stood; before the first of CSV its header, so that the rejects can be sent again.
    fn write_reject(&mut self, batch: &Batch, bytes: &[u8]) -> std::io::Result<()> {
        let Some(file) = &mut self.rejects else {
            return Ok(());
        };
        let header = match (&self.rejects_header, &batch.header) {
            (None, Some(header)) => {
                self.rejects_header = Some(header.clone());
                // An earlier run wrote it.
                Some(&**header).filter(|_| self.written.rejects == 0)
            }
            (Some(there), Some(header)) if there.trim_ascii_end() != header.trim_ascii_end() => {
                return Err(std::io::Error::other(
                    "files with other headers must be sent apart, each with rejects of its own",
                ));
            }
            _ => None,
        };
        for line in header.into_iter().chain([bytes]) {
            file.write_all(line)?;
            self.written.rejects += line.len() as u64;
            if !line.ends_with(b"\n") {
                file.write_all(b"\n")?;
                self.written.rejects += 1;
            }
        }
        Ok(())
    }

    /// Whether no further line is to be sent.
    pub fn is_stopped(&self) -> bool {
        self.stopped_at.is_some()
    }

    /// What is written by now.
    pub fn written(&self) -> Written {
        self.written
    }

    /// How many lines are in the stream.
    pub fn sent(&self) -> u64 {
        self.sent
    }

    /// Writes what a batch gave. Whoever does not read the IDs is not waited for once a signal asks to end.
    pub fn flush(&mut self, stop: &Stop) -> anyhow::Result<()> {
        if let Some(ids) = &mut self.ids {
            let written = ids.write_unless(&self.id_lines, || stop.signal().is_some());
            self.id_lines.clear();
            written.map_err(|error| match stop.signal() {
                Some(signal) if error.kind() == ErrorKind::Interrupted => Failure::signal(signal).into(),
                _ => anyhow::Error::new(error).context("cannot write the IDs to stdout"),
            })?;
        }
        if let Some(receipts) = &mut self.receipts {
            receipts
                .write_all(&self.receipt_lines)
                .and_then(|()| receipts.flush())
                .context("cannot write the receipts")?;
            self.written.receipts += self.receipt_lines.len() as u64;
            self.receipt_lines.clear();
        }
        self.flush_rejects()
    }

    fn flush_rejects(&mut self) -> anyhow::Result<()> {
        let flushed = self.rejects.as_mut().map_or(Ok(()), Write::flush);
        flushed.map_err(|error| self.unsaved(error))?;
        self.unsaved.clear();
        Ok(())
    }

    /// Names the lines that are not in the rejects, as they should be.
    fn unsaved(&mut self, error: std::io::Error) -> anyhow::Error {
        for message in self.unsaved.drain(..) {
            self.ui.warning(&message);
        }
        anyhow::Error::new(error).context("cannot write the rejects; the last of them are named above")
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
    pub fn close(
        mut self,
        ended: anyhow::Result<()>,
        context: &Context,
        args: &Args,
        stop: &Stop,
    ) -> anyhow::Result<()> {
        let ended = match ended {
            Ok(()) => self.flush(stop),
            Err(error) => self.flush_rejects().and(Err(error)),
        };
        let printed = self.summary(args, context);
        // A reader that has gone hides no failure.
        self.verdict(ended, context, args, stop).and(printed)
    }

    /// What the exit code says.
    fn verdict(&self, ended: anyhow::Result<()>, context: &Context, args: &Args, stop: &Stop) -> anyhow::Result<()> {
        if let Some(signal) = stop.signal()
            && ended.as_ref().err().is_none_or(failure::is_signal)
        {
            context.ui.status(&format!("ended by a signal: {}", self.so_far()));
            return Err(Failure::signal(signal).into());
        }
        ended.map_err(|error| self.broken_off(error))?;
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
        let before = self.written.rejected - self.rejected;
        match (&self.first_reason, &args.rejects) {
            (None, _) if before > 0 => Err(Failure::data(format!(
                "{} not sent by an earlier run of this sending",
                counted(before, "line")
            ))
            .into()),
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
            return context.ui.data()?.write(&text).map_err(Failure::stdout);
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

/// Opens a file to write behind what earlier runs left in it. What stands behind that was written after the last
/// checkpoint, and is written again; what is missing, somebody took away.
fn open(path: &Path, length: &mut u64) -> anyhow::Result<BufWriter<File>> {
    let mut open = || {
        let mut file = File::options().create(true).truncate(false).write(true).open(path)?;
        let found = file.metadata()?;
        if found.is_file() {
            *length = found.len().min(*length);
            file.set_len(*length)?;
            file.seek(SeekFrom::End(0))?;
        }
        Ok(BufWriter::new(file))
    };
    open()
        .map_err(|error: std::io::Error| anyhow::Error::new(error).context(format!("cannot write {}", path.display())))
}
