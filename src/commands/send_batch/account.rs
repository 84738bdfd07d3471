//! What became of every line: counts, receipts, rejects, the checkpoint, and the verdict at the end.

mod verdict;

use std::io::{ErrorKind, Write};
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use anyhow::Context as _;

use super::OnReject;
use super::checkpoint::Checkpoint;
use super::files::Growing;
use super::input::Input;
use super::settings::{Settings, Stdout};
use super::words::Lines;
use crate::line;
use crate::render::counted;
use crate::streamer::producer::{Batch, Journal, Note, Progress, Record, Sent, Span, Why, Written};
use crate::streamer::{EntryId, Stop};
use crate::ui::{Data, Progress as Bar, Ui, Unit};

/// Why a record is rejected that is not in the stream, although the marker is behind it.
const PASSED_OVER: &str = "it was refused, or deleted since; the answer was lost with the connection";

/// The account of a sending.
pub struct Account<'a> {
    /// Which of several streams is told of.
    pub(super) stream: Option<(usize, Arc<str>)>,
    /// The one of several streams whose sending broke off.
    failed: Option<Arc<str>>,
    /// How many streams the lines named, if each names its own.
    pub(super) named: usize,
    ui: Ui,
    stop: &'a Stop,
    settings: &'a Settings,
    lines: Lines<'a>,
    checkpoint: Option<Checkpoint>,
    bar: Bar,
    /// How much input is settled.
    bytes: u64,
    rejects: Option<Growing>,
    receipts: Option<Growing>,
    ids: Option<Data>,
    /// IDs and receipts of the batch at hand, written together.
    id_lines: Vec<u8>,
    receipt_lines: Vec<u8>,
    started: Instant,
    sent: u64,
    at_risk: Option<AtRisk>,
    rejected: u64,
    /// How many records earlier runs had settled, as their checkpoint has it.
    before: u64,
    /// How many records are settled, by all runs.
    records: u64,
    written: Written,
    /// What was written when this run began.
    found: Written,
    /// The last line that is in the stream.
    last_sent: Option<(usize, u64)>,
    /// The line that ends the sending, and why.
    stopped_at: Option<Stopped>,
    /// Why the first line was not sent.
    first_reason: Option<String>,
    /// Whether that line looks like a body without its message.
    is_bare: bool,
    /// The header that stands in the rejects.
    rejects_header: Option<Arc<[u8]>>,
    /// The rejected lines that are not yet safe in the rejects, each with its reason.
    unsaved: Vec<String>,
    /// Whether nobody read the IDs until a signal came.
    is_unread: bool,
}

/// Lines that are in the stream and not known to be safe.
#[derive(Clone, Copy)]
struct AtRisk {
    count: u64,
    lines: Span,
}

/// The first line that could not be sent, where that ends the sending.
struct Stopped {
    at: (usize, u64),
    message: String,
    /// How many lines behind it were on their way and went in.
    sent_after: u64,
}

impl<'a> Account<'a> {
    /// Opens the files to write; `written` is what earlier runs left in them.
    pub fn open(
        settings: &'a Settings,
        lines: Lines<'a>,
        input: &Input,
        mut written: Written,
        ui: Ui,
        stop: &'a Stop,
    ) -> anyhow::Result<Self> {
        let open = |path: &Path, length| Growing::open(path, length, ui);
        let rejects = settings.rejects.as_deref();
        let rejects = rejects.map(|path| open(path, &mut written.rejects)).transpose()?;
        let receipts = settings.receipts.as_deref();
        let receipts = receipts.map(|path| open(path, &mut written.receipts)).transpose()?;
        let ids = match settings.stdout {
            Stdout::Ids => Some(ui.data()?),
            Stdout::Nothing | Stdout::Summary => None,
        };
        Ok(Self {
            stream: None,
            failed: None,
            named: 0,
            ui,
            stop,
            bar: ui.progress(Unit::Bytes, input.total_bytes()),
            bytes: 0,
            settings,
            lines,
            checkpoint: None,
            rejects,
            receipts,
            ids,
            id_lines: Vec::new(),
            receipt_lines: Vec::new(),
            started: Instant::now(),
            sent: 0,
            at_risk: None,
            rejected: 0,
            before: 0,
            records: 0,
            written,
            found: written,
            last_sent: None,
            stopped_at: None,
            first_reason: None,
            is_bare: false,
            rejects_header: None,
            unsaved: Vec::new(),
            is_unread: false,
        })
    }

    /// Keeps from now on in a file how far the sending is; it says how many records were settled before.
    pub fn keep(&mut self, checkpoint: Checkpoint, before: u64) {
        self.checkpoint = Some(checkpoint);
        self.before = before;
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
            file.write(line)?;
            self.written.rejects += line.len() as u64;
            if !line.ends_with(b"\n") {
                file.write(b"\n")?;
                self.written.rejects += 1;
            }
        }
        Ok(())
    }

    /// Writes what a batch gave. Whoever does not read the IDs is not waited for once a signal asks to end.
    fn flush(&mut self) -> anyhow::Result<()> {
        if let Some(ids) = &mut self.ids {
            let written = ids.write_unless(&self.id_lines, || self.stop.signal().is_some());
            self.id_lines.clear();
            self.is_unread = written
                .as_ref()
                .is_err_and(|error| error.kind() == ErrorKind::Interrupted);
            match written {
                // Whoever read the IDs has gone; the lines are sent all the same.
                Err(error) if error.kind() == ErrorKind::BrokenPipe => self.ids = None,
                written => written.context("cannot write the IDs to stdout")?,
            }
        }
        if let Some(receipts) = &mut self.receipts {
            let written = receipts.write(&self.receipt_lines).and_then(|()| receipts.flush());
            written.context("cannot write the receipts")?;
            self.written.receipts += self.receipt_lines.len() as u64;
            self.receipt_lines.clear();
        }
        self.flush_rejects()
    }

    fn flush_rejects(&mut self) -> anyhow::Result<()> {
        let flushed = self.rejects.as_mut().map_or(Ok(()), Growing::flush);
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

    /// Writes the checkpoint, after what it counts is on disk.
    fn write_checkpoint(&mut self) -> anyhow::Result<()> {
        for file in [&mut self.rejects, &mut self.receipts].into_iter().flatten() {
            file.sync()?;
        }
        self.checkpoint.as_mut().map_or(Ok(()), Checkpoint::write)
    }
}

impl Account<'_> {
    /// All of a batch was told, of a stream of which so many were rejected.
    pub fn settled_of(
        &mut self,
        stream: usize,
        rejected: u64,
        batch: &Batch,
        progress: Progress,
    ) -> anyhow::Result<Written> {
        self.flush()?;
        if let Some(checkpoint) = &mut self.checkpoint
            && checkpoint.advance(stream, progress, rejected, self.written)
        {
            self.write_checkpoint()?;
        }
        self.records = progress.records;
        self.bytes += batch.text.len() as u64;
        self.bar.update(self.bytes, || counted(self.sent, "message"));
        Ok(self.written)
    }
}

impl Journal<anyhow::Error> for Account<'_> {
    fn added(&mut self, batch: &Batch, record: &Record, id: Option<EntryId>) {
        if batch.sent == Sent::Not {
            self.sent += 1;
            // Of several streams, one may be ahead of the others.
            self.last_sent = self.last_sent.max(Some((batch.source, record.line)));
            if let Some(stopped) = &mut self.stopped_at
                && (batch.source, record.line) > stopped.at
            {
                stopped.sent_after += 1;
            }
        }
        // Writing into memory cannot fail.
        if self.ids.is_some() {
            let _ = self
                .stream
                .as_ref()
                .map(|(_, stream)| write!(self.id_lines, "{stream} "));
            let _ = match id {
                Some(id) => writeln!(self.id_lines, "{id}"),
                None => writeln!(self.id_lines, "-"),
            };
        }
        if self.receipts.is_some() {
            self.receipt_lines.extend_from_slice(b"{\"file\":");
            line::string(&mut self.receipt_lines, &self.lines.names[batch.source]);
            let _ = write!(self.receipt_lines, ",\"line\":{}", record.line);
            if let Some((_, stream)) = &self.stream {
                self.receipt_lines.extend_from_slice(b",\"stream\":");
                line::string(&mut self.receipt_lines, stream);
            }
            let _ = match id {
                Some(id) => writeln!(self.receipt_lines, ",\"id\":\"{id}\"}}"),
                None => writeln!(self.receipt_lines, ",\"id\":null}}"),
            };
        }
    }

    fn at_risk(&mut self, batch: &Batch, record: &Record) {
        let place = (batch.source, record.line);
        let before = self.at_risk.map_or(0, |before| before.count);
        let first = self.at_risk.map_or(place, |before| before.lines.first);
        self.at_risk = Some(AtRisk {
            count: before + 1,
            lines: Span {
                first,
                last: Some(place),
            },
        });
    }

    fn rejected(&mut self, batch: &Batch, record: &Record, why: Why<'_>) -> anyhow::Result<()> {
        self.rejected += 1;
        self.written.rejected += 1;
        let (column, reason) = match why {
            Why::Unfit(unfit) => (format!(":{}", unfit.column), unfit.reason.clone()),
            Why::Refused(error) => (String::new(), error.to_string()),
            Why::PassedOver => (String::new(), PASSED_OVER.to_owned()),
        };
        let bytes = &batch.text[record.text.clone()];
        let text = String::from_utf8_lossy(bytes);
        let place = self.lines.place((batch.source, record.line));
        let message = format!("{place}{column}: {reason}: {}", line::excerpt(text.trim_end()));
        if self.first_reason.is_none() {
            self.first_reason = Some(message.clone());
            self.is_bare = self.settings.lines.are_entries() && line::is_bare_body(&text);
        }
        let stops = self.settings.on_reject == OnReject::Stop && batch.sent == Sent::Not;
        if stops && self.stopped_at.is_none() {
            self.stopped_at = Some(Stopped {
                at: (batch.source, record.line),
                message,
                sent_after: 0,
            });
        } else if self.rejects.is_none() {
            self.ui.warning(&message);
        } else {
            self.unsaved.push(message);
        }
        let written = self.write_reject(batch, bytes);
        written.map_err(|error| self.unsaved(error))
    }

    fn settled(&mut self, batch: &Batch, progress: Progress) -> anyhow::Result<Written> {
        self.settled_of(0, self.written.rejected, batch, progress)
    }

    fn rewound(&mut self, written: Written, progress: Progress) -> anyhow::Result<()> {
        // The file first: what it counts must be there.
        if let Some(checkpoint) = &mut self.checkpoint {
            checkpoint.go_back(progress, written);
            checkpoint.write()?;
        }
        for (file, length) in [
            (&mut self.rejects, written.rejects),
            (&mut self.receipts, written.receipts),
        ] {
            if let Some(file) = file {
                file.cut(length)?;
            }
        }
        let rejected = self.written.rejected - written.rejected;
        let records = self.records.saturating_sub(progress.records);
        self.rejected = self.rejected.saturating_sub(rejected);
        self.sent = self.sent.saturating_sub(records - rejected.min(records));
        if written.rejects == 0 {
            self.rejects_header = None;
        }
        (self.written, self.records) = (written, progress.records);
        Ok(())
    }

    fn is_stopped(&self) -> bool {
        self.stopped_at.is_some()
    }

    fn note(&mut self, note: Note<'_>) {
        let text = self.lines.note(&note);
        match note {
            Note::NoMarker(_) => {
                if let Some(checkpoint) = &mut self.checkpoint {
                    checkpoint.is_without_marker(self.stream.as_ref().map_or(0, |(number, _)| *number));
                    // If it cannot be written, the next time it must be will say so.
                    let _ = checkpoint.write();
                }
                self.ui.detail(&text);
            }
            Note::MarkerDeleted => self.ui.detail(&text),
            Note::SentAgain(_) => self.ui.status(&text),
        }
    }
}
