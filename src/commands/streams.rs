//! STREAMs of verbs that work on several: by their names, by a pattern of partitions, or with `--glob` by patterns that the
//! names there are match.

use crate::commands::Context;
use crate::failure::{Failure, quote};
use crate::partitions::{Streams, expand, parse_streams};
use crate::render::{counted, grouped, one_line};
use crate::streamer::{Away, Glob, RawName, matching_streams};

/// How many names that are left out a message tells.
const NAMED: usize = 5;

#[derive(clap::Args)]
pub struct StreamArgs {
    /// The streams; 'orders:{0..15}' for orders:0 to orders:15
    #[arg(required = true, value_name = "STREAM", value_parser = parse_streams)]
    streams: Vec<Streams>,
    /// Take STREAMs as patterns with * and ? for the streams there are
    ///
    /// Which these are is looked up once, at the start
    #[arg(long, hide_short_help = true)]
    glob: bool,
}

impl StreamArgs {
    /// What is typed: all streams that are named, or the patterns.
    pub fn typed(&self) -> Vec<String> {
        match self.glob {
            true => self.streams.iter().map(ToString::to_string).collect(),
            false => self.streams.iter().flat_map(Streams::names).cloned().collect(),
        }
    }

    /// Whether there may be several.
    pub fn may_be_several(&self) -> bool {
        self.glob || self.typed().len() > 1
    }

    /// The streams; those that patterns match are asked for at all nodes. `not` is none of them.
    pub fn find(&self, not: Option<&str>, context: &Context) -> anyhow::Result<Vec<String>> {
        if !self.glob {
            return Ok(expand(&self.streams, context.ui));
        }
        let globs = self.globs()?;
        let found = matching_streams(context.connect_to_all()?, &globs).map_err(not_whole)?;
        let (left, found): (Vec<_>, Vec<_>) = found.into_iter().partition(|name| not.is_some_and(|not| name.is(not)));
        let (text, other): (Vec<_>, Vec<_>) = found.into_iter().partition(|name| name.text().is_some());
        if !other.is_empty() {
            context.ui.warning(&left_out(&other));
        }
        let names: Vec<String> = text.iter().filter_map(RawName::text).map(str::to_owned).collect();
        let besides = left.first().map(|name| format!(" besides {name}")).unwrap_or_default();
        let patterns = one_line(&(self.typed().join(", ") + &besides));
        match names.len() as u64 {
            0 => Err(Failure::data(format!("no stream matches {patterns}"))
                .hint("* stands for anything, ? for one byte, all else for itself; list the streams there are: redis-streamer pending")
                .into()),
            1 => {
                context.ui.status(&format!("1 stream matches {patterns}"));
                Ok(names)
            }
            several => {
                context.ui.status(&format!("{} match {patterns}", counted(several, "stream")));
                Ok(names)
            }
        }
    }

    /// Refuses what cannot be meant, before any server is asked.
    pub fn check(&self) -> Result<(), Failure> {
        self.globs().map(drop)
    }

    fn globs(&self) -> Result<Vec<Glob>, Failure> {
        if let Some(partitions) = self
            .streams
            .iter()
            .find(|streams| self.glob && streams.are_partitions())
        {
            return Err(Failure::usage(format!(
                "{partitions} names partitions, and --glob takes patterns with * and ?"
            ))
            .hint(format!("without --glob {} names them", quote(&partitions.to_string()))));
        }
        let glob = |streams: &Streams| Glob::new(RawName::from(streams.to_string().as_str()));
        Ok(self.streams.iter().map(glob).collect())
    }
}

/// A part of the streams is not what was asked for.
fn not_whole(Away { node, error }: Away) -> anyhow::Error {
    if !error.is_passing() {
        return error.into();
    }
    anyhow::Error::new(error).context(Failure::lost(format!(
        "the streams of {node} cannot be listed, and some may match"
    )))
}

fn left_out(names: &[RawName]) -> String {
    let named: Vec<_> = names
        .iter()
        .take(NAMED)
        .map(|name| one_line(&name.to_string()))
        .collect();
    let more = match names.len().saturating_sub(NAMED) {
        0 => String::new(),
        more => format!(" and {} more", grouped(more as u64)),
    };
    format!(
        "left out, since only a name that is UTF-8 can be used here: {}{more}",
        named.join(", ")
    )
}
