//! What an argument's values are, by what its help calls them: a new verb that calls a stream STREAM has streams
//! completed. Pure.

use clap::Arg;
use clap::builder::PossibleValue;

/// What can be offered for a value.
#[derive(Clone, Debug, PartialEq)]
pub enum Kind {
    /// One of these.
    OneOf(Vec<PossibleValue>),
    /// Words that mean something beside values that cannot be listed.
    Words(&'static [(&'static str, &'static str)]),
    File,
    /// A body: a file behind `@`.
    Body,
    Directory,
    /// One of the program's own commands.
    Verb,
    /// A stream that is there.
    Stream,
    /// A group of the stream that was named.
    Group,
    /// The listener of such a group.
    Listener,
    /// A consumer of the group that was named.
    Consumer,
    /// The ID of an entry that is pending.
    Pending,
    /// A profile of the user's.
    Profile,
    /// Nobody but the user knows.
    Free,
}

const POINTS: &[(&str, &str)] = &[
    ("beginning", "The first entry there is"),
    ("latest", "Behind the last entry"),
    ("now", "The time of the server"),
];
const OFF: &[(&str, &str)] = &[("off", "Only what was handed back")];

/// What the values of an argument are; `None` if nobody has said yet.
pub fn kind(arg: &Arg) -> Option<Kind> {
    let possible: Vec<_> = arg
        .get_possible_values()
        .into_iter()
        .filter(|value| !value.is_hide_set())
        .collect();
    if !possible.is_empty() {
        return Some(Kind::OneOf(possible));
    }
    let name = arg.get_value_names().and_then(|names| names.first());
    Some(match (arg.get_id().as_str(), name?.as_str()) {
        ("body", _) => Kind::Body,
        ("claim_idle", _) => Kind::Words(OFF),
        ("consumer", _) => Kind::Consumer,
        ("ids", "ID") => Kind::Pending,
        ("listener", _) => Kind::Listener,
        (_, "COMMAND") => Kind::Verb,
        (_, "PROFILE") => Kind::Profile,
        (_, "STREAM") => Kind::Stream,
        (_, "GROUP") => Kind::Group,
        (_, "FILE") => Kind::File,
        (_, "DIR") => Kind::Directory,
        (_, "POINT") => Kind::Words(POINTS),
        (
            _,
            "CHAR" | "CMD" | "DURATION" | "GLOB" | "ID" | "N" | "NAME" | "NAME=VALUE" | "POINTER" | "TEMPLATE" | "TEXT"
            | "URL" | "USER" | "WINDOW",
        ) => Kind::Free,
        _ => return None,
    })
}
