//! `send`: one message.

use std::fmt;
use std::io::Read;
use std::path::{Path, PathBuf};

use anyhow::Context as _;

use crate::commands::{Context, durability, fields, print};
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
/// plain entry of the fields given with --field. Stdin is not read when BODY is given. With --text, BODY is taken as it
/// stands: '@' and '-' have no meaning in it.
///
/// A pattern such as 'orders:{0..15}' sends to one of orders:0 to orders:15: to that of the key, with --key, else to
/// any. With -v, stderr says to which.
#[derive(clap::Args)]
#[command(after_long_help = "\
Examples:
  redis-streamer send users '{\"user_id\": 123}' --name user.created
  redis-streamer send logs 'disk full' --name log.line --text
  redis-streamer send metrics -f sensor=7 -f celsius=21.5")]
pub struct Args {
    /// The stream, or a pattern such as 'orders:{0..15}'
    #[arg(value_parser = parse_streams)]
    stream: Streams,
    /// The body: JSON, @FILE, or - for stdin [default: stdin]
    #[arg(allow_negative_numbers = true)]
    body: Option<String>,
    /// The message's name, such as user.created
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    /// Send the body, as it stands, as a JSON string
    #[arg(long, requires = "name")]
    text: bool,
    /// Send the text in FILE as a JSON string; - for stdin
    #[arg(long, value_name = "FILE", requires = "name", conflicts_with_all = ["body", "text"])]
    text_file: Option<PathBuf>,
    /// Add a field to the entry (repeatable)
    #[arg(short, long = "field", value_name = "NAME=VALUE", value_parser = fields::parse)]
    fields: Vec<(String, String)>,
    /// Choose the stream of a pattern by the message's key, which is at POINTER: /name, /fields/NAME, /body/…
    #[arg(long, value_name = "POINTER", hide_short_help = true)]
    key: Option<Pointer>,
    /// Use this entry ID instead of one made by the server
    #[arg(long, value_name = "ID", hide_short_help = true)]
    id: Option<EntryId>,
    #[command(flatten)]
    trim: TrimArgs,
    #[command(flatten)]
    durability: DurabilityArgs,
    /// Fail if the stream does not exist, instead of creating it
    #[arg(long, hide_short_help = true)]
    no_create: bool,
}

/// What a body is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    Json,
    /// Sent as a JSON string.
    Text,
}

/// Where a body comes from.
#[derive(Debug, PartialEq, Eq)]
enum Source<'a> {
    Given(&'a str),
    File(&'a Path),
    Stdin,
}

/// Whether it looks like a whole message, as consume prints them.
fn is_line(body: &str) -> bool {
    body.starts_with('{') && ["\"name\"", "\"body\""].iter().all(|key| body.contains(key))
}

pub fn run(args: Args, context: &Context) -> anyhow::Result<Ending> {
    let body = match (&args.name, &args.body) {
        (Some(_), _) => {
            fields::must_be_no_message(&args.fields, "beside --name")?;
            let (form, source) = source(&args, context)?;
            Some(body(form, &source)?)
        }
        (None, None) if !args.fields.is_empty() => None,
        (None, body) => {
            let why = match body {
                Some(_) => "a body needs a name",
                None => "nothing to send: neither --name nor --field is given",
            };
            let stream = quote(&args.stream.to_string());
            let hint = match body {
                Some(body) if is_line(body) => {
                    format!("lines as consume prints them go to: redis-streamer send-batch {stream}")
                }
                _ => format!("redis-streamer send {stream} BODY --name NAME"),
            };
            return Err(Failure::usage(why).hint(hint).into());
        }
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

/// Where the body comes from, and what it is.
fn source<'a>(args: &'a Args, context: &Context) -> Result<(Form, Source<'a>), Failure> {
    let is_text = args.text || args.text_file.is_some();
    let form = if is_text { Form::Text } else { Form::Json };
    let file = |path: &'a Path| match path.to_str() {
        Some("-") => Source::Stdin,
        _ => Source::File(path),
    };
    let source = match (args.body.as_deref(), args.text_file.as_deref()) {
        (Some(text), _) if is_text => Source::Given(text),
        (Some("-"), _) => Source::Stdin,
        (Some(body), _) => body
            .strip_prefix('@')
            .map_or(Source::Given(body), |path| Source::File(Path::new(path))),
        (None, Some(path)) => file(path),
        (None, None) if context.ui.input_is_terminal() => {
            let hint = match form {
                Form::Json => "give the body as an argument, as @FILE, through a pipe, or - to type it",
                Form::Text => "give the text as an argument, through a pipe, or with --text-file FILE, - to type it",
            };
            return Err(Failure::usage("no body is given, and stdin is a terminal").hint(hint));
        }
        (None, None) => Source::Stdin,
    };
    Ok((form, source))
}

/// The body as it goes into the stream: JSON text.
fn body(form: Form, source: &Source<'_>) -> anyhow::Result<String> {
    let text = match source {
        Source::Given(text) => (*text).to_owned(),
        Source::Stdin => read(std::io::stdin().lock(), source)?,
        Source::File(path) => {
            let file = std::fs::File::open(path).with_context(|| format!("cannot open {source}"))?;
            read(file, source)?
        }
    };
    if form == Form::Text {
        let mut quoted = Vec::new();
        line::string(&mut quoted, &text);
        return String::from_utf8(quoted).context("a JSON string is text");
    }
    if text.trim_ascii().is_empty() {
        let failure = Failure::data(format!("{source} is empty: a body is JSON, if only null"));
        return Err(failure.hint(source.to_send_text("to send an empty text")).into());
    }
    match serde_json::from_str::<serde::de::IgnoredAny>(&text) {
        Ok(_) => Ok(text),
        Err(error) => Err(not_json(source, &text, &error).into()),
    }
}

impl fmt::Display for Source<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Given(_) => f.write_str("BODY"),
            Self::File(path) => write!(f, "{}", path.display()),
            Self::Stdin => f.write_str("stdin"),
        }
    }
}

impl Source<'_> {
    /// What to try where its text is no JSON.
    fn to_send_text(&self, what_for: &str) -> String {
        match self {
            Self::Given(_) => format!("{what_for}, add --text"),
            Self::File(path) => format!("{what_for}: --text-file {}", quote(&path.display().to_string())),
            Self::Stdin => format!("{what_for}: --text-file -"),
        }
    }
}

/// Everything a source has, without the line break at its end.
fn read(mut from: impl Read, source: &Source<'_>) -> anyhow::Result<String> {
    let mut bytes = Vec::new();
    from.read_to_end(&mut bytes)
        .with_context(|| format!("cannot read {source}"))?;
    let mut text = String::from_utf8(bytes).map_err(|error| {
        let at = error.utf8_error().valid_up_to() + 1;
        Failure::data(format!("{source}: not UTF-8 at byte {at}"))
    })?;
    if text.ends_with('\n') {
        text.pop();
        if text.ends_with('\r') {
            text.pop();
        }
    }
    Ok(text)
}

fn not_json(source: &Source<'_>, text: &str, error: &serde_json::Error) -> Failure {
    let LineError { column, reason } = LineError::from_json(error, 0);
    let (line, excerpt) = (error.line(), line::excerpt(text));
    Failure::data(format!("{source}:{line}:{column}: not JSON: {reason}: {excerpt}"))
        .hint(source.to_send_text("to send text as it is"))
}
