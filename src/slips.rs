//! What somebody may want who types a word of redis-cli, or of another tool, and where it is found here.

use std::ffi::OsString;

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Command, Error};

use crate::near::near;
use crate::streamer::parse_duration;

/// The answer to what could not be parsed, with a tip if it is a known slip.
pub fn with_tip(mut answer: Error, cli: &Command) -> Error {
    let words: Vec<String> = std::env::args_os()
        .skip(1)
        .map(|word| word.to_string_lossy().into_owned())
        .collect();
    let typed = |answer: &Error, kind| match answer.get(kind) {
        Some(ContextValue::String(word)) => Some(word.clone()),
        _ => None,
    };
    let tip = match answer.kind() {
        ErrorKind::InvalidSubcommand => {
            let word = typed(&answer, ContextKind::InvalidSubcommand).unwrap_or_default();
            suggest_commands(&mut answer, &word, cli);
            of_command(&word).map(str::to_owned)
        }
        ErrorKind::UnknownArgument => {
            let is_near = answer.get(ContextKind::SuggestedArg).is_some();
            typed(&answer, ContextKind::InvalidArg).and_then(|word| of_argument(&word, is_near, &words))
        }
        _ => None,
    };
    if let Some(tip) = tip {
        // What is merely spelt alike is not meant.
        answer.remove(ContextKind::SuggestedArg);
        answer.remove(ContextKind::SuggestedSubcommand);
        answer.insert(ContextKind::Suggested, ContextValue::StyledStrs(vec![tip.into()]));
    }
    answer
}

/// Suggests commands that a person may type, not those that completion scripts run: what is spelt alike, else what
/// begins so.
fn suggest_commands(answer: &mut Error, word: &str, cli: &Command) {
    answer.remove(ContextKind::SuggestedSubcommand);
    answer.remove(ContextKind::Suggested);
    let shown = cli.get_subcommands().filter(|command| !command.is_hide_set());
    let names: Vec<_> = shown.map(Command::get_name).collect();
    let mut meant = near(word, names.iter().copied());
    if meant.is_empty() && word.len() > 1 {
        meant = names.into_iter().filter(|name| name.starts_with(word)).collect();
    }
    if !meant.is_empty() {
        let meant = meant.into_iter().map(str::to_owned).collect();
        answer.insert(ContextKind::SuggestedSubcommand, ContextValue::Strings(meant));
    }
}

/// What was typed, with `help VERB -h` as `VERB -h`: the help of a verb is asked for twice then.
pub fn without_help_twice(mut words: Vec<OsString>) -> Vec<OsString> {
    let asks = |word: &OsString| word == "-h" || word == "--help";
    while words.get(1).is_some_and(|word| word == "help") && words.iter().any(asks) {
        words.remove(1);
    }
    words
}

fn of_command(word: &str) -> Option<&'static str> {
    Some(match word.to_ascii_lowercase().as_str() {
        "xadd" | "produce" | "publish" => "send adds an entry, send-batch many",
        "xrange" | "xrevrange" | "xread" | "read" | "tail" => {
            "consume prints entries: with --from beginning those that are there"
        }
        "xreadgroup" | "xautoclaim" | "xclaim" => {
            "consume reads with a group (-g GROUP), and claims what is left behind"
        }
        "xgroup" => "subscribe creates or moves a group, unsubscribe removes it",
        "xack" => "ack acknowledges entries",
        "xinfo" | "xlen" | "xpending" | "info" | "scan" | "keys" | "list" | "ls" | "lag" => {
            "pending shows streams, their groups and what is pending"
        }
        "xtrim" => "trim cuts old entries off",
        "xdel" => "ack --delete deletes what every group has acknowledged, trim cuts old entries off",
        "del" | "unlink" | "delete" | "rm" => "trim cuts old entries off; a whole stream goes with redis-cli DEL",
        _ => return None,
    })
}

/// `is_near` says that there is an option which is spelt alike.
fn of_argument(argument: &str, is_near: bool, words: &[String]) -> Option<String> {
    if let Some(tip) = of_duration(argument, words) {
        return Some(tip);
    }
    let verb = words.iter().find(|word| !word.starts_with('-')).map(String::as_str);
    let tip = match (verb, argument) {
        (_, "-p" | "--port" | "--host") => "the server is named by -u HOST:PORT",
        (_, "-a" | "--pass" | "--password") => "a password is given by --askpass, --password-file or $REDISCLI_AUTH",
        (_, "-s" | "--socket") => "a server's socket is named by -u redis+unix:///PATH",
        (Some("consume"), "--json") => "each message is a line of JSON as it is; --pretty indents it",
        (Some("consume"), "--format") => "--body and --template say what is printed of a message",
        (Some("send-batch"), "--format" | "--csv" | "--text") => "--input jsonl, text or csv says what the input holds",
        (Some("send"), _) if argument.starts_with('-') && !is_near => "a BODY that begins with - goes behind --",
        (Some("send"), _) => return one_too_many(argument, words),
        _ => return None,
    };
    Some(tip.to_owned())
}

/// A duration was given a sign, as a point has one that is so long ago.
fn of_duration(argument: &str, words: &[String]) -> Option<String> {
    let is_it = |word: &String| word.starts_with(argument);
    let at = words.iter().position(is_it)?;
    let (option, word) = (words.get(at.checked_sub(1)?)?, &words[at]);
    let duration = word.strip_prefix('-').filter(|rest| parse_duration(rest).is_ok())?;
    option
        .starts_with("--")
        .then(|| format!("a duration has no sign: did you mean {option} {duration}?"))
}

/// What made a word one too many for `send`.
fn one_too_many(argument: &str, words: &[String]) -> Option<String> {
    let before = words.iter().position(|word| word == argument)?;
    let [.., last] = &words[..before] else {
        return None;
    };
    let stem = |word: &str| word.trim_end_matches(|c: char| c.is_ascii_digit()).to_owned();
    let is_next = stem(last) == stem(argument) && stem(last) != *last;
    // As XADD has it: the word behind the stream is the first that is no option, nor an option's.
    if let ["send", _, name, ..] = words.iter().map(String::as_str).collect::<Vec<_>>()[..]
        && name == last
        && name.starts_with(|c: char| c.is_ascii_alphabetic())
        && !is_next
    {
        return Some(format!("a field and its value are given as -f {name}={argument}"));
    }
    is_next.then(|| format!("quote a pattern, or the shell expands it: '{}{{0..3}}'", stem(last)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(line: &str) -> Vec<String> {
        line.split(' ').map(str::to_owned).collect()
    }

    #[test]
    fn an_option_that_is_near_is_left_to_its_suggestion() {
        let line = words("send orders --nmae x 1");
        assert_eq!(of_argument("--nmae", true, &line), None);
        let tip = of_argument("-", false, &words("send orders --text -\u{a0}item"));
        assert_eq!(tip.as_deref(), Some("a BODY that begins with - goes behind --"));
    }

    #[test]
    fn a_duration_has_no_sign() {
        let tip = |line, argument| of_argument(argument, false, &words(line));
        assert_eq!(
            tip("trim s --retention -1h", "-1").as_deref(),
            Some("a duration has no sign: did you mean --retention 1h?")
        );
        assert_eq!(tip("trim s --retention -x", "-x"), None);
        assert_eq!(tip("trim s -1h", "-1"), None);
    }

    #[test]
    fn an_expanded_pattern_is_seen() {
        let tip = one_too_many("o:2", &words("send o:0 o:1 o:2 1"));
        assert_eq!(
            tip.as_deref(),
            Some("quote a pattern, or the shell expands it: 'o:{0..3}'")
        );
        assert_eq!(one_too_many("value", &words("send orders 1 value")), None);
        assert_eq!(
            one_too_many("7", &words("send orders id 7")).as_deref(),
            Some("a field and its value are given as -f id=7")
        );
    }

    #[test]
    fn help_is_asked_for_once() {
        let typed = |line: &str| {
            let words = words(line).into_iter().map(OsString::from).collect();
            let words = without_help_twice(words);
            words
                .iter()
                .map(|word| word.to_string_lossy())
                .collect::<Vec<_>>()
                .join(" ")
        };
        assert_eq!(typed("redis-streamer help -h"), "redis-streamer -h");
        assert_eq!(typed("redis-streamer help send --help"), "redis-streamer send --help");
        assert_eq!(typed("redis-streamer help send"), "redis-streamer help send");
        assert_eq!(typed("redis-streamer send help -h"), "redis-streamer send help -h");
    }
}
