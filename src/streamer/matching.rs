//! Which messages are asked for, by their names.

use std::fmt;
use std::str::FromStr;

use super::entry::Entry;

/// The names that are asked for: those that match one of some patterns; all, where there is none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Matching(Vec<NamePattern>);

impl Matching {
    pub fn any_of(patterns: Vec<NamePattern>) -> Self {
        Self(patterns)
    }

    /// Whether every message is asked for, whatever its name.
    pub fn is_everything(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether the message has a name that is asked for.
    pub fn wants(&self, entry: &Entry<'_>) -> bool {
        self.is_everything()
            || entry
                .name()
                .is_some_and(|name| self.0.iter().any(|pattern| pattern.matches(name)))
    }
}

/// A name, in which `*` stands for any characters and `?` for one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamePattern(Vec<char>);

/// Why a text is no such pattern.
#[derive(Debug, PartialEq, Eq)]
pub enum InvalidPattern {
    Empty,
    /// It means something in other globs or in regular expressions, and would match nothing here.
    Foreign(&'static str),
}

/// What other globs and regular expressions are told by. A name may well have a `.`, also before a `*` (`user.*`); who
/// has one of these in a name writes `?` for it.
const ANYWHERE: [&str; 9] = ["{", "}", "[", "]", "!", "|", "\\", ",", ".+"];
const FIRST: [&str; 2] = ["^", ".*"];
const LAST: &str = "$";

impl fmt::Display for InvalidPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("a name must not be empty"),
            Self::Foreign(text) => write!(
                f,
                "{text} has no meaning here: only * (anything) and ? (one character) have; give the option once for each \
                 name, and write ? for a character of this kind that a name really has"
            ),
        }
    }
}

impl std::error::Error for InvalidPattern {}

impl FromStr for NamePattern {
    type Err = InvalidPattern;

    fn from_str(text: &str) -> Result<Self, InvalidPattern> {
        if text.is_empty() {
            return Err(InvalidPattern::Empty);
        }
        let anywhere = ANYWHERE.into_iter().find(|foreign| text.contains(foreign));
        let first = || FIRST.into_iter().find(|foreign| text.starts_with(foreign));
        let last = || text.ends_with(LAST).then_some(LAST);
        match anywhere.or_else(first).or_else(last) {
            Some(foreign) => Err(InvalidPattern::Foreign(foreign)),
            None => Ok(Self(text.chars().collect())),
        }
    }
}

impl NamePattern {
    fn matches(&self, name: &str) -> bool {
        let name: Vec<char> = name.chars().collect();
        let (mut at, mut taken) = (0, 0);
        // Where the last star stands, and how much of the name it takes: a failed match lets it take one more.
        let mut star = None;
        while taken < name.len() {
            match self.0.get(at) {
                Some('*') => {
                    star = Some((at, taken));
                    at += 1;
                }
                Some(c) if *c == '?' || *c == name[taken] => {
                    at += 1;
                    taken += 1;
                }
                _ => match star {
                    Some((last, by_star)) => {
                        star = Some((last, by_star + 1));
                        at = last + 1;
                        taken = by_star + 1;
                    }
                    None => return false,
                },
            }
        }
        self.0[at..].iter().all(|c| *c == '*')
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matches(pattern: &str, name: &str) -> bool {
        pattern.parse::<NamePattern>().unwrap().matches(name)
    }

    #[test]
    fn patterns_match_whole_names() {
        for (pattern, name) in [
            ("user.*", "user.created"),
            ("*", ""),
            ("*.created", "a.b.created"),
            ("?.a", "é.a"),
            ("a*b*c", "axxbyybzzc"),
            ("user.created", "user.created"),
            ("$SYS/a^b.*", "$SYS/a^b.c"),
            ("a?b?", "a|b]"),
        ] {
            assert!(matches(pattern, name), "{pattern} {name}");
        }
        for (pattern, name) in [
            ("user.*", "order.created"),
            ("a", "ab"),
            ("?", ""),
            ("a*b", "abc"),
            ("a", ""),
        ] {
            assert!(!matches(pattern, name), "{pattern} {name}");
        }
    }

    #[test]
    fn what_looks_like_another_language_is_refused() {
        for (text, foreign) in [
            ("user.{created,deleted}", "{"),
            ("user.[cd]*", "["),
            ("!user.*", "!"),
            ("user|order", "|"),
            ("^user.*", "^"),
            ("user.created$", "$"),
            (".*created", ".*"),
            ("user.+", ".+"),
            (r"user\.created", "\\"),
            ("user.created,user.deleted", ","),
        ] {
            assert_eq!(
                text.parse::<NamePattern>(),
                Err(InvalidPattern::Foreign(foreign)),
                "{text}"
            );
        }
        assert_eq!("".parse::<NamePattern>(), Err(InvalidPattern::Empty));
    }
}
