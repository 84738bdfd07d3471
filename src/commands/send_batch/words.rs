//! How a sending that broke off is told: each kind of trouble with its words, its hint and its exit code.

use crate::commands::durability;
use crate::failure::Failure;
use crate::streamer::producer::{Cause, Note, Span, Trouble};
use crate::streamer::{Durability, Reached, ServerError};

/// Puts lines of the input into words.
#[derive(Clone, Copy)]
pub struct Lines<'a> {
    /// What messages call the sources.
    pub names: &'a [String],
    /// Whether a later run can take the sending up.
    pub is_resumable: bool,
    /// What makes a line safe, if being in the stream does not.
    pub durability: Option<Durability>,
}

impl Lines<'_> {
    /// A place for messages: `FILE:LINE`.
    pub fn place(&self, (source, line): (usize, u64)) -> String {
        let name = self.names.get(source).map_or("?", String::as_str);
        format!("{name}:{line}")
    }

    pub fn span(&self, Span { first, last }: Span) -> String {
        match last {
            None => format!("the lines from {} on", self.place(first)),
            Some(last) if last <= first => self.place(first),
            Some(last) => format!("{} to {}", self.place(first), self.place(last)),
        }
    }

    /// A warning about lines in doubt, where the exit code tells of something else.
    pub fn doubt(&self, lines: Span) -> String {
        format!("gave up; it is not known whether {} went in", self.span(lines))
    }

    pub fn note(&self, note: &Note<'_>) -> String {
        match note {
            Note::NoMarker(refusal) => format!("{}; a lost connection will leave lines in doubt", no_marker(refusal)),
            Note::SentAgain(place) => {
                let from = self.place((place.source, place.line + 1));
                format!("the server lost entries that it had confirmed: sending again from {from} on")
            }
            Note::MarkerDeleted => "somebody deleted the marker of this sending; it is set again".to_owned(),
        }
    }

    pub fn failure(&self, trouble: Trouble<anyhow::Error>) -> anyhow::Error {
        match trouble {
            Trouble::Host(error) => error,
            Trouble::Server { error, in_doubt: None } => error.into(),
            Trouble::Server {
                error,
                in_doubt: Some(lines),
            } => {
                let doubt = self.doubt(lines);
                let failure = if error.is_passing() {
                    Failure::lost(doubt)
                } else {
                    Failure::data(doubt)
                };
                anyhow::Error::new(error).context(failure)
            }
            Trouble::NotSafe(reached) => self.not_safe(reached),
            Trouble::Ended { .. } => Failure::lost("the sending was asked to end").into(),
            Trouble::Doubt { cause, lines } => self.in_doubt(&cause, lines),
            Trouble::Lost(lines) => {
                let lines = self.span(lines);
                Failure::data(format!(
                    "the server lost {lines} after it had confirmed them, and they cannot be read again"
                ))
                .hint("send them again; `appendonly yes` with `appendfsync always` keeps a server from forgetting")
                .into()
            }
            Trouble::Twice(lines) => {
                let lines = self.span(lines);
                Failure::data(format!(
                    "{lines} are in the stream twice: an old connection delivered them after they were sent again"
                ))
                .hint("allow this user CLIENT LIST and CLIENT KILL: an old connection is then closed first")
                .into()
            }
            Trouble::Foreign { marker } => Failure::data(format!(
                "another send-batch is at work as the same producer: its marker says {marker}"
            ))
            .hint("is a copy of the checkpoint in use? each sending needs one of its own")
            .into(),
        }
    }

    fn not_safe(&self, reached: Reached) -> anyhow::Error {
        let Some(durability) = self.durability else {
            return Failure::data("not all is safe").into();
        };
        let failure = durability::shortfall(durability, reached);
        if self.is_resumable {
            let hint = "run it again when they are back: it goes on from there, once what is in the stream is safe";
            return failure.hint(hint).into();
        }
        failure.into()
    }

    fn in_doubt(&self, cause: &Cause, lines: Span) -> anyhow::Error {
        let why = match cause {
            Cause::NoMarker(refusal) => no_marker(refusal),
            Cause::MarkerGone => "the marker that would tell is gone".to_owned(),
            Cause::TwoConnections => {
                "an old connection could not be closed, and may have delivered them, too".to_owned()
            }
            Cause::Refusals => "the server refused some lines meanwhile, and took later ones".to_owned(),
        };
        let lines = self.span(lines);
        let failure = Failure::data(format!(
            "it is not known whether {lines} went in before the connection was lost: {why}"
        ));
        match cause {
            Cause::Refusals if self.is_resumable => failure
                .hint("to send them again, behind those that went in: --on-ambiguous repeat")
                .into(),
            Cause::Refusals => failure.into(),
            _ => failure
                .hint("to send them, perhaps again: --on-ambiguous repeat")
                .into(),
        }
    }
}

fn no_marker(refusal: &ServerError) -> String {
    format!("the server lets this user set no marker ({refusal})")
}
