//! `send`: one message.

use std::io::Read;
use std::path::Path;

use anyhow::Context as _;

use crate::commands::{Context, durability, print};
use crate::failure::{Failure, quote};
use crate::line::{self, LineError};
use crate::options::{DurabilityArgs, TrimArgs};
use crate::partitions::{Streams, of_key, parse_streams};
use crate::pointer::Pointer;
use crate::streamer::{
    AddOptions, BODY, Durability, Ending, EntryId, Error, Field, Missing, NAME, Reached, ServerError, add, now_ms,
    random,
};

/// Send one message to a stream, and print its ID
///
/// With --name, the entry is a message whose body is BODY, or stdin if BODY is not given. Without --name, it is a
/// plain entry of the fields given with --field. Stdin is not read when BODY is given.
///
/// A pattern such as 'orders:{0..15}' sends to one of orders:0 to orders:15: to that of the key, with --key, else to
/// any. With -v, stderr says to which.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  redis-streamer send users '{\"user_id\": 123}' --name user.created
  redis-streamer send users @user.json --name user.created -f trace=4bf92f
  echo 'disk full' | redis-streamer send logs --name log.line --text
  redis-streamer send metrics -f sensor=7 -f celsius=21.5
  redis-streamer send 'orders:{0..15}' @o.json --name new \\
    --key /body/user_id")]
pub struct Args {
    /// The stream, or a pattern such as 'orders:{0..15}'
    #[arg(value_parser = parse_streams)]
    stream: Streams,
    /// The body: JSON, @FILE to read it from a file, or - to read it from stdin [default: stdin, with --name]
    #[arg(allow_hyphen_values = true)]
    body: Option<String>,
    /// The message's name, such as user.created
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    /// Treat the body as text, and send it as a JSON string
    #[arg(long, requires = "name")]
    text: bool,
    /// Add a field to the entry (repeatable)
    #[arg(short, long = "field", value_name = "NAME=VALUE", value_parser = parse_field)]
    fields: Vec<(String, String)>,
    /// Choose the stream of a pattern by the message's key, which is at POINTER: /name, /fields/NAME, /body/…
    #[arg(long, value_name = "POINTER")]
    key: Option<Pointer>,
    /// Use this entry ID instead of one made by the server
    #[arg(long, value_name = "ID")]
    id: Option<EntryId>,
    #[command(flatten)]
    trim: TrimArgs,
    #[command(flatten)]
    durability: DurabilityArgs,
    /// Fail if the stream does not exist, instead of creating it
    #[arg(long)]
    no_create: bool,
}

fn parse_field(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err("expected NAME=VALUE".to_owned()),
    }
}

pub fn run(args: Args, context: &Context) -> anyhow::Result<Ending> {
    let body = match (&args.name, &args.body) {
        (Some(_), _) => Some(body(&args, context)?),
        (None, Some(_)) => {
            return Err(Failure::usage("a body needs a name")
                .hint(format!(
                    "redis-streamer send {} BODY --name NAME",
                    quote(&args.stream.to_string())
                ))
                .into());
        }
        (None, None) if args.fields.is_empty() => {
            return Err(Failure::usage("nothing to send: neither --name nor --field is given")
                .hint(format!(
                    "redis-streamer send {} BODY --name NAME",
                    quote(&args.stream.to_string())
                ))
                .into());
        }
        (None, None) => None,
    };
    let mut fields: Vec<(&[u8], &[u8])> = Vec::new();
    if let (Some(name), Some(body)) = (&args.name, &body) {
        fields.extend([(NAME, name.as_bytes()), (BODY, body.as_bytes())]);
    }
    fields.extend(
        args.fields
            .iter()
            .map(|(name, value)| (name.as_bytes(), value.as_bytes())),
    );

    args.stream.warn(context.ui);
    let stream = stream(&args, &fields)?;
    let retention = args.trim.retention();
    let durability = args.durability.durability();
    let (id, reached) = context.connect_to(stream)?.at(stream, |connection| {
        durability.map_or(Ok(()), |durability| durability.check(connection))?;
        let now = retention.clock(|| now_ms(connection))?;
        let options = AddOptions {
            id: args.id,
            missing: if args.no_create {
                Missing::Refuse
            } else {
                Missing::Create
            },
            trim: retention.trim(now),
        };
        let id = add(connection, stream, options, &fields)?;
        // Nothing that fails from here on is a reason to add it again.
        Ok((
            id,
            durability.map(|durability| (durability, durability.ask(connection))),
        ))
    })?;
    if let Some((durability, reached)) = reached {
        must_be_safe(id, durability, reached)?;
    }
    if args.stream.are_partitions() {
        context.ui.detail(&format!("added to {stream}"));
    }
    print(context.ui, format!("{id}\n").as_bytes())
        .with_context(|| format!("the entry {id} was added, but its ID could not be printed"))
}

/// The entry is in the stream; what was asked for beyond that must be so, too.
fn must_be_safe(
    id: EntryId,
    durability: Durability,
    reached: Result<Result<Reached, ServerError>, Error>,
) -> anyhow::Result<()> {
    let place = durability::place(durability.copies);
    let risk = durability::risk(durability.copies);
    let not_safe = || format!("entry {id} is in the stream, and not known to be {place}: it {risk}");
    let answer = reached.and_then(|answer| answer.map_err(|refusal| durability.refused(refusal)));
    let reached = answer.with_context(not_safe)?;
    if durability.is_met(reached) {
        return Ok(());
    }
    Err(anyhow::Error::new(durability::shortfall(durability, reached)).context(not_safe()))
}

/// The stream to send to: the only one, that of the key, or any.
fn stream<'a>(args: &'a Args, fields: &[Field<'_>]) -> Result<&'a str, Failure> {
    let names = args.stream.names();
    let number = match &args.key {
        None if names.len() > 1 => random() as usize % names.len(),
        None => 0,
        Some(_) if !args.stream.are_partitions() => {
            return Err(
                Failure::usage(format!("--key chooses a stream of several, and {} is one", args.stream))
                    .hint("name them by a pattern, such as 'orders:{0..15}'"),
            );
        }
        Some(pointer) => match pointer.key(fields) {
            Some(key) => of_key(&key, names.len()),
            None => {
                return Err(Failure::data(format!("no key at {pointer}"))
                    .hint("a key is a string, a number, true or false; without --key any of the streams is taken"));
            }
        },
    };
    Ok(names.get(number).map_or("", String::as_str))
}

/// The body as it goes into the stream: JSON text.
fn body(args: &Args, context: &Context) -> anyhow::Result<String> {
    let (text, source) = match args.body.as_deref() {
        None if context.ui.input_is_terminal() => {
            return Err(Failure::usage("no body is given, and stdin is a terminal")
                .hint("give the body as an argument, as @FILE, through a pipe, or - to type it")
                .into());
        }
        None | Some("-") => (read(std::io::stdin().lock(), "stdin")?, "stdin"),
        Some(argument) => match argument.strip_prefix('@') {
            Some(path) => {
                let file = std::fs::File::open(Path::new(path)).with_context(|| format!("cannot open {path}"))?;
                (read(file, path)?, path)
            }
            None => (argument.to_owned(), "BODY"),
        },
    };
    if args.text {
        let mut quoted = Vec::new();
        line::string(&mut quoted, &text);
        return String::from_utf8(quoted).context("a JSON string is text");
    }
    if text.trim_ascii().is_empty() {
        return Err(
            Failure::data(format!("{source} is empty: a body is JSON, if only null"))
                .hint("to send an empty text, add --text")
                .into(),
        );
    }
    match serde_json::from_str::<serde::de::IgnoredAny>(&text) {
        Ok(_) => Ok(text),
        Err(error) => Err(not_json(source, &text, &error)),
    }
}

/// Everything a source has, without the line break at its end.
fn read(mut source: impl Read, name: &str) -> anyhow::Result<String> {
    let mut bytes = Vec::new();
    source
        .read_to_end(&mut bytes)
        .with_context(|| format!("cannot read {name}"))?;
    let mut text = String::from_utf8(bytes).map_err(|error| {
        Failure::data(format!(
            "{name}: not UTF-8 at byte {}",
            error.utf8_error().valid_up_to() + 1
        ))
    })?;
    if text.ends_with('\n') {
        text.pop();
        if text.ends_with('\r') {
            text.pop();
        }
    }
    Ok(text)
}

fn not_json(source: &str, text: &str, error: &serde_json::Error) -> anyhow::Error {
    let LineError { column, reason } = LineError::from_json(error, 0);
    let excerpt = line::excerpt(text);
    Failure::data(format!(
        "{source}:{}:{column}: not JSON: {reason}: {excerpt}",
        error.line()
    ))
    .hint("to send text as it is, add --text")
    .into()
}
