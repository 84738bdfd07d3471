//! Reading the file of profiles. Whatever is wrong in it is named with its line: a setting that is passed over in silence
//! would make a command do something else than was meant.

use std::ops::Range;
use std::path::Path;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::keys::{self, GROUP, Kind, LISTENER, PASSWORD_COMMAND, PASSWORD_FILE};
use super::{Profile, Profiles, Setting, Value};
use crate::failure::Failure;
use crate::near::did_you_mean;

const DEFAULT: &str = "default";
const PROFILES: &str = "profiles";
/// Of which one alone can count.
const ALTERNATIVES: [[&str; 2]; 2] = [[LISTENER, GROUP], [PASSWORD_FILE, PASSWORD_COMMAND]];

/// A file, as far as it is read.
struct Reader<'a> {
    path: &'a Path,
    text: &'a str,
}

pub fn parse(path: &Path, text: &str) -> Result<Profiles, Failure> {
    let reader = Reader { path, text };
    let root = DeTable::parse(text).map_err(|error| {
        let span = error.span().unwrap_or(0..0);
        // Its other lines explain in the terms of the grammar.
        reader.error(&span, error.message().lines().next().unwrap_or("it is not TOML"))
    })?;
    let mut profiles = Profiles {
        path: path.to_owned(),
        default: None,
        all: Vec::new(),
    };
    let mut default = None;
    for (name, value) in root.get_ref() {
        match (name.get_ref().as_ref(), value.get_ref()) {
            (DEFAULT, DeValue::String(name)) => default = Some((value.span(), name.as_ref().to_owned())),
            (DEFAULT, _) => {
                return Err(reader.error(&value.span(), "default: expected the name of a profile in quotes"));
            }
            (PROFILES, DeValue::Table(all)) => {
                for (name, value) in all {
                    profiles.all.push(reader.profile(name, value)?);
                }
            }
            (PROFILES, _) => {
                return Err(reader.error(&value.span(), "profiles: expected tables, such as [profiles.prod]"));
            }
            (unknown, _) => {
                let hint = did_you_mean(unknown, [DEFAULT, PROFILES]).unwrap_or_else(|| {
                    "the file has `default = \"NAME\"`, and a table [profiles.NAME] for each".to_owned()
                });
                return Err(reader
                    .error(&name.span(), &format!("unknown key {unknown:?}"))
                    .hint(hint));
            }
        }
    }
    profiles.all.sort_by_key(|profile| profile.line);
    if let Some((span, name)) = default {
        profiles
            .find(&name)
            .map_err(|missing| reader.error(&span, &missing.message).hint(missing.hint))?;
        profiles.default = Some(name);
    }
    Ok(profiles)
}

impl Reader<'_> {
    fn profile(&self, name: &Spanned<impl AsRef<str>>, value: &Spanned<DeValue<'_>>) -> Result<Profile, Failure> {
        let profile = name.get_ref().as_ref();
        let DeValue::Table(table) = value.get_ref() else {
            let wanted = format!("profile {profile:?}: expected a table, such as [profiles.prod]");
            return Err(self.error(&value.span(), &wanted));
        };
        if profile.is_empty() {
            return Err(self.error(&name.span(), "a profile without a name"));
        }
        let mut settings = Vec::new();
        for (name, value) in table {
            let text = name.get_ref();
            let key = keys::find(text)
                .map_err(|hint| self.error(&name.span(), &format!("unknown key {text:?}")).hint(hint))?;
            let value_of = self.value(key.kind, value);
            let taken = value_of.map_err(|why| self.error(&value.span(), &format!("{}: {why}", key.name)))?;
            settings.push(Setting {
                key,
                value: taken,
                line: self.line(&name.span()),
            });
        }
        settings.sort_by_key(|setting: &Setting| setting.line);
        for pair in ALTERNATIVES {
            let both: Vec<_> = settings
                .iter()
                .filter(|setting| pair.contains(&setting.key.name))
                .collect();
            if let [_, second] = both[..] {
                let both = format!("{} and {} exclude each other", pair[0], pair[1]);
                return Err(self.error_at(second.line, &both));
            }
        }
        Ok(Profile {
            name: profile.to_owned(),
            line: self.line(&name.span()),
            settings,
        })
    }

    fn value(&self, kind: Kind, value: &Spanned<DeValue<'_>>) -> Result<Value, String> {
        let beside = self.path.parent().unwrap_or(Path::new("/"));
        match (kind, value.get_ref()) {
            (Kind::Flag, DeValue::Boolean(flag)) => Ok(Value::Text(flag.to_string())),
            (Kind::Count, DeValue::Integer(number)) => match number.to_string().parse::<u32>() {
                Ok(1..) => Ok(Value::Text(number.to_string())),
                _ => Err(format!("expected {}", kind.wanted())),
            },
            (Kind::Words, DeValue::Array(words)) if !words.is_empty() => {
                let text = |word: &Spanned<DeValue<'_>>| match word.get_ref() {
                    DeValue::String(word) => Ok(word.as_ref().to_owned()),
                    _ => Err(format!("expected {}", kind.wanted())),
                };
                words.iter().map(text).collect::<Result<_, _>>().map(Value::Words)
            }
            (Kind::Words, DeValue::String(_)) => Err(format!(
                "expected {}; no shell takes it apart, but for [\"sh\", \"-c\", \"…\"]",
                kind.wanted()
            )),
            (Kind::Words | Kind::Flag | Kind::Count, _) => Err(format!("expected {}", kind.wanted())),
            (kind, DeValue::String(text)) => kind.text(text, beside).map(Value::Text),
            (kind, _) => Err(format!("expected {}", kind.wanted())),
        }
    }

    fn line(&self, span: &Range<usize>) -> usize {
        let before = self.text.get(..span.start).unwrap_or(self.text);
        before.matches('\n').count() + 1
    }

    fn error(&self, span: &Range<usize>, what: &str) -> Failure {
        self.error_at(self.line(span), what)
    }

    fn error_at(&self, line: usize, what: &str) -> Failure {
        Failure::usage(format!("{}:{line}: {what}", self.path.display()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Profiles, String> {
        parse(Path::new("/etc/c.toml"), text).map_err(|failure| failure.to_string())
    }

    #[test]
    fn profiles_are_read_in_their_order() {
        let profiles = read(
            "default = 'b'\n[profiles.b]\nurl = 'rediss://h:1'\ncacert = 'ca.pem'\ninsecure = false\n\
             [profiles.a]\nwait-replicas = 2\nclaim-idle = 'off'\npassword-command = ['a', 'b c']\n",
        )
        .unwrap();
        assert_eq!(profiles.default.as_deref(), Some("b"));
        let names: Vec<_> = profiles
            .all
            .iter()
            .map(|profile| (profile.name.as_str(), profile.line))
            .collect();
        assert_eq!(names, [("b", 2), ("a", 6)]);
        let shown: Vec<_> = profiles
            .all
            .iter()
            .flat_map(|profile| &profile.settings)
            .map(|setting| (setting.key.name, setting.value.clone(), setting.line))
            .collect();
        let text = |text: &str| Value::Text(text.to_owned());
        assert_eq!(
            shown,
            [
                ("url", text("rediss://h:1"), 3),
                ("cacert", text("/etc/ca.pem"), 4),
                ("insecure", text("false"), 5),
                ("wait-replicas", text("2"), 7),
                ("claim-idle", text("off"), 8),
                (
                    "password-command",
                    Value::Words(vec!["a".to_owned(), "b c".to_owned()]),
                    9
                ),
            ]
        );
    }

    #[test]
    fn what_is_wrong_is_named_with_its_line() {
        for (text, line, part) in [
            ("[profiles.a]\nurl = \n", 2, ""),
            ("[profiles.a]\n[profiles.a]\n", 2, "duplicate"),
            ("[profiles.a]\nuser = 'x'\nuser = 'y'\n", 3, "duplicate"),
            ("\nprofile = 1\n", 2, "unknown key \"profile\""),
            ("[profiles.a]\n\nurll = 'h'\n", 3, "unknown key \"urll\""),
            ("[profiles.a]\nurl = 1\n", 2, "url: expected a text"),
            ("[profiles.a]\nurl = 'http://h'\n", 2, "url: "),
            ("[profiles.a]\nurl = ''\n", 2, "url: it is empty"),
            (
                "[profiles.a]\ninsecure = 'yes'\n",
                2,
                "insecure: expected true or false",
            ),
            (
                "[profiles.a]\nwait-replicas = 0\n",
                2,
                "wait-replicas: expected a whole number",
            ),
            ("[profiles.a]\nwait = '5'\n", 2, "wait: "),
            (
                "[profiles.a]\npassword-command = 'pass'\n",
                2,
                "password-command: expected a list",
            ),
            (
                "[profiles.a]\npassword-command = []\n",
                2,
                "password-command: expected a list",
            ),
            (
                "[profiles.a]\nlistener = 'x'\ngroup = 'y'\n",
                3,
                "listener and group exclude",
            ),
            ("default = 'b'\n[profiles.a]\n", 1, "no profile \"b\""),
            ("default = 1\n", 1, "default: expected"),
            ("profiles = 1\n", 1, "profiles: expected tables"),
            ("[profiles]\na = 1\n", 2, "profile \"a\": expected a table"),
            ("[profiles.'']\n", 1, "a profile without a name"),
        ] {
            let error = read(text).unwrap_err();
            assert!(error.starts_with(&format!("/etc/c.toml:{line}: ")), "{text}: {error}");
            assert!(error.contains(part), "{text}: {error}");
        }
    }
}
