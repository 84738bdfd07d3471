//! What somebody may want who types a word of redis-cli, or of another tool, and where it is found here.

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Command, Error};

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
            typed(&answer, ContextKind::InvalidSubcommand).and_then(|word| of_command(&word).map(str::to_owned))
        }
        ErrorKind::UnknownArgument => {
            typed(&answer, ContextKind::InvalidArg).and_then(|word| of_argument(&word, &words, cli))
        }
        _ => None,
    };
    if let Some(tip) = tip {
        // What is merely spelt alike is not meant.
        answer.remove(ContextKind::SuggestedArg);
        answer.insert(ContextKind::Suggested, ContextValue::StyledStrs(vec![tip.into()]));
    }
    answer
}

fn of_command(word: &str) -> Option<&'static str> {
    Some(match word.to_ascii_lowercase().as_str() {
        "xadd" | "produce" | "publish" => "send adds an entry, send-batch many",
        "xrange" | "xread" | "read" | "tail" => "consume prints entries: with --from beginning those that are there",
        "xreadgroup" | "xautoclaim" | "xclaim" => {
            "consume reads with a group (-g GROUP), and claims what is left behind"
        }
        "xgroup" => "subscribe creates or moves a group, unsubscribe removes it",
        "xack" => "ack acknowledges entries",
        "xinfo" | "xlen" | "xpending" | "scan" | "keys" | "list" | "ls" | "lag" => {
            "pending shows streams, their groups and what is pending"
        }
        "xtrim" => "trim cuts old entries off",
        _ => return None,
    })
}

fn of_argument(argument: &str, words: &[String], cli: &Command) -> Option<String> {
    let verb = words.iter().find(|word| !word.starts_with('-')).map(String::as_str);
    let tip = match (verb, argument) {
        (_, "-p" | "--port" | "--host") => "the server is named by -u HOST:PORT",
        (_, "-a" | "--pass" | "--password") => "a password is given by --askpass, --password-file or $REDISCLI_AUTH",
        (_, "-s" | "--socket") => "a server's socket is named by -u redis+unix:///PATH",
        (Some("consume"), "--json") => "each message is a line of JSON as it is; --pretty indents it",
        (Some("consume"), "--format") => "--body and --template say what is printed of a message",
        (Some("send-batch"), "--format" | "--csv" | "--text") => "--input jsonl, text or csv says what the input holds",
        (Some("send"), _) => return beside_body(argument, words, &options(cli, "send")),
        _ => return None,
    };
    Some(tip.to_owned())
}

/// The options of a verb, as they are typed.
fn options(cli: &Command, verb: &str) -> Vec<String> {
    let of_verb = cli.find_subcommand(verb).into_iter().flat_map(Command::get_arguments);
    cli.get_arguments()
        .chain(of_verb)
        .flat_map(|arg| {
            let long = arg.get_long().map(|long| format!("--{long}"));
            long.into_iter().chain(arg.get_short().map(|short| format!("-{short}")))
        })
        .collect()
}

/// What made a word one too many for `send`.
fn beside_body(argument: &str, words: &[String], options: &[String]) -> Option<String> {
    let before = words.iter().position(|word| word == argument)?;
    let [.., last] = &words[..before] else {
        return None;
    };
    if last.starts_with('-') && last.parse::<f64>().is_err() {
        if options.contains(last) {
            return None;
        }
        return Some(format!("send has no option '{last}': it was taken as BODY"));
    }
    let stem = |word: &str| word.trim_end_matches(|c: char| c.is_ascii_digit()).to_owned();
    let is_next = stem(last) == stem(argument) && stem(last) != *last;
    is_next.then(|| format!("quote a pattern, or the shell expands it: '{}{{0..3}}'", stem(last)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(line: &str) -> Vec<String> {
        line.split(' ').map(str::to_owned).collect()
    }

    #[test]
    fn an_option_that_is_not_there_is_no_body() {
        let tip = beside_body("x", &words("send orders --nmae x 1"), &[]);
        assert_eq!(
            tip.as_deref(),
            Some("send has no option '--nmae': it was taken as BODY")
        );
    }

    #[test]
    fn an_option_that_is_there_is_not_doubted() {
        let options = ["--text".to_owned()];
        assert_eq!(beside_body("x", &words("send orders 1 --text x"), &options), None);
        assert_eq!(beside_body("x", &words("send orders -1 x"), &options), None);
    }

    #[test]
    fn an_expanded_pattern_is_seen() {
        let tip = beside_body("o:2", &words("send o:0 o:1 o:2 1"), &[]);
        assert_eq!(
            tip.as_deref(),
            Some("quote a pattern, or the shell expands it: 'o:{0..3}'")
        );
        assert_eq!(beside_body("value", &words("send orders field value"), &[]), None);
    }
}
