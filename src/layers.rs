//! Which of the places where a setting can stand counts: an option more than the environment, that more than a profile,
//! that more than what is built in. What a profile says is put under the options as their defaults, so that each option
//! reads it as it reads what is typed.

use clap::parser::ValueSource;
use clap::{ArgMatches, Command};

use crate::failure::Failure;
use crate::options::{DEFAULT_URL, FromProfile, PASSWORD_VARIABLE, URL_VARIABLES, variable};
use crate::profiles::keys::{
    CLAIM_IDLE_KEY, GROUP, KEYS, Key, Kind, LISTENER, PASSWORD_COMMAND, PASSWORD_FILE, SENTINEL_USER, Scope, URL,
};
use crate::profiles::{Profile, Profiles, Setting, Value};
use crate::render::exact_duration;
use crate::streamer::{CLAIM_IDLE, without_password};

/// Names a profile, where no option does.
const PROFILE_VARIABLE: &str = "REDIS_STREAMER_PROFILE";
/// Commands that cannot do without a group and take nothing away by taking that of a profile.
const TAKE_GROUP: [&str; 3] = ["ack", "nack", "subscribe"];
/// What `consume` has that is of use in a group alone: without any of it, it reads and changes nothing.
const NEED_GROUP: [&str; 8] = [
    "command",
    "consumer",
    "ack",
    "claim_idle",
    "delete",
    "exclusive",
    "on_nogroup",
    "dedup",
];

/// Where a setting stands that counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum From {
    Option,
    Variable(&'static str),
    Profile { line: usize },
    BuiltIn,
}

/// A setting that counts.
#[derive(Clone, Debug)]
pub struct InForce {
    pub key: &'static Key,
    /// As it may be shown; `None` where there is nothing to show, or it is secret.
    pub shown: Option<String>,
    pub from: From,
}

/// Who chose a profile.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChosenBy {
    Option,
    Variable,
    Default,
}

/// What was typed, with the profile that counts.
pub struct Layers<'m> {
    matches: &'m ArgMatches,
    /// The command's name, and what was typed for it.
    verb: Option<(&'m str, &'m ArgMatches)>,
    pub profiles: Profiles,
    chosen: Option<(Profile, ChosenBy)>,
}

impl<'m> Layers<'m> {
    /// Reads the profiles, and finds the one that is named: by `name` before all others.
    pub fn read(matches: &'m ArgMatches, name: Option<&str>) -> Result<Self, Failure> {
        let profiles = Profiles::read()?;
        let typed = matches.get_one::<String>("profile").map(String::as_str);
        let of_environment = variable(&PROFILE_VARIABLE);
        let chosen = if let Some(name) = name.or(typed) {
            Some((name, ChosenBy::Option))
        } else if let Some(name) = &of_environment {
            Some((name.as_str(), ChosenBy::Variable))
        } else {
            profiles.default.as_deref().map(|name| (name, ChosenBy::Default))
        };
        let chosen = match chosen {
            None => None,
            Some((name, by)) => match profiles.find(name) {
                Ok(profile) => Some((profile.clone(), by)),
                Err(missing) if by == ChosenBy::Variable => {
                    return Err(
                        Failure::usage(format!("{}, which ${PROFILE_VARIABLE} names", missing.message))
                            .hint(missing.hint),
                    );
                }
                Err(missing) => return Err(Failure::usage(missing.message).hint(missing.hint)),
            },
        };
        Ok(Self {
            matches,
            verb: matches.subcommand(),
            profiles,
            chosen,
        })
    }

    pub fn profile(&self) -> Option<&Profile> {
        self.chosen.as_ref().map(|(profile, _)| profile)
    }

    pub fn chosen_by(&self) -> Option<ChosenBy> {
        self.chosen.as_ref().map(|(_, by)| *by)
    }

    /// What of the profile counts for this command.
    fn counting(&self) -> impl Iterator<Item = &Setting> {
        let settings = self.chosen.iter().flat_map(|(profile, _)| &profile.settings);
        settings.filter(|setting| self.counts(setting.key))
    }

    /// The options, with the profile as their defaults.
    pub fn under(&self, mut command: Command) -> Command {
        for setting in self.counting() {
            let Value::Text(text) = &setting.value else { continue };
            let id = setting.key.id();
            let set = |command: Command| command.mut_arg(&id, |arg| arg.default_value(text.clone()));
            if has(&command, &id) {
                command = set(command);
            } else if let Some((verb, _)) = self.verb
                && command.find_subcommand(verb).is_some_and(|verb| has(verb, &id))
            {
                command = command.mut_subcommand(verb, set);
            }
        }
        command
    }

    /// What the profile says that no option does.
    pub fn beside_options(&self) -> FromProfile {
        let mut from_profile = FromProfile::default();
        for setting in self.counting() {
            match (setting.key.name, &setting.value) {
                (PASSWORD_COMMAND, Value::Words(words)) => from_profile.password_command = Some(words.clone()),
                (SENTINEL_USER, Value::Text(user)) => from_profile.sentinel_user = Some(user.clone()),
                _ => {}
            }
        }
        from_profile
    }

    /// The group that `consume` reads in because the profile names one; nobody typed it.
    pub fn group_of_consume(&self) -> Option<String> {
        self.verb.filter(|(verb, _)| *verb == "consume")?;
        let setting = self.counting().find(|setting| setting.key.scope == Scope::Group)?;
        Some(format!("{} {}", setting.key.name, setting.shown()))
    }

    /// What a person who named the profile may not know: that its URL does not count.
    pub fn warning(&self) -> Option<String> {
        let (profile, by) = self.chosen.as_ref()?;
        let has_url = profile.settings.iter().any(|setting| setting.key.name == URL);
        match self.url_from() {
            From::Variable(name) if has_url && *by == ChosenBy::Option => Some(format!(
                "${name} counts more than the URL of profile {}, which is not used",
                profile.name
            )),
            _ => None,
        }
    }

    /// What is not built in of that which matters to this command.
    pub fn at_work(&self) -> Vec<InForce> {
        let matters = |setting: &InForce| match setting.from {
            From::BuiltIn => false,
            From::Profile { .. } => self.counts(setting.key),
            From::Option | From::Variable(_) => true,
        };
        KEYS.iter().map(|key| self.of(key)).filter(matters).collect()
    }

    /// Every setting there can be, and where the one stands that counts; `cli` has what is built in.
    pub fn in_force(&self, cli: &Command) -> Vec<InForce> {
        let with_default = |key| {
            let setting = self.of(key);
            match setting.from {
                From::BuiltIn => InForce {
                    shown: built_in(key, cli),
                    ..setting
                },
                _ => setting,
            }
        };
        KEYS.iter().map(with_default).collect()
    }

    fn of(&self, key: &'static Key) -> InForce {
        let (shown, from) = self.typed(key).or_else(|| self.of_environment(key)).unwrap_or_else(|| {
            let mut settings = self.chosen.iter().flat_map(|(profile, _)| &profile.settings);
            match settings.find(|setting| setting.key == key && self.may_count(key)) {
                Some(setting) => (Some(setting.shown()), From::Profile { line: setting.line }),
                None => (None, From::BuiltIn),
            }
        });
        InForce { key, shown, from }
    }

    fn typed(&self, key: &Key) -> Option<(Option<String>, From)> {
        if key.name == URL && self.is_typed("local") {
            return Some((Some("local:".to_owned()), From::Option));
        }
        let raw = self.is_typed(&key.id()).then(|| self.raw(&key.id()))?;
        let shown = if key.kind == Kind::Url {
            raw.map(|url| without_password(&url))
        } else {
            raw
        };
        Some((shown, From::Option))
    }

    fn of_environment(&self, key: &Key) -> Option<(Option<String>, From)> {
        match key.name {
            URL => URL_VARIABLES
                .iter()
                .find_map(|name| Some((Some(without_password(&variable(name)?)), From::Variable(name)))),
            PASSWORD_FILE | PASSWORD_COMMAND if !self.is_typed("askpass") => {
                variable(&PASSWORD_VARIABLE).map(|_| (None, From::Variable(PASSWORD_VARIABLE)))
            }
            _ => None,
        }
    }

    fn url_from(&self) -> From {
        match (self.typed(&KEYS[0]), self.of_environment(&KEYS[0])) {
            (Some((_, from)), _) | (None, Some((_, from))) => from,
            (None, None) => From::BuiltIn,
        }
    }

    /// Whether a profile's setting can count beside what was typed and what is in the environment.
    fn may_count(&self, key: &Key) -> bool {
        let passwords = [PASSWORD_FILE, PASSWORD_COMMAND];
        if passwords.contains(&key.name) {
            let typed = ["password_file", "askpass"].iter().any(|id| self.is_typed(id));
            if typed || variable(&PASSWORD_VARIABLE).is_some() {
                return false;
            }
        }
        let is_free = !self.is_typed(&key.id()) && self.of_environment(key).is_none();
        match key.scope {
            // The password of one server is not for another.
            Scope::Server => is_free && self.url_from() == From::BuiltIn,
            Scope::Group => ![LISTENER, GROUP].iter().any(|id| self.is_typed(id)),
            Scope::Everything | Scope::Claims => is_free,
        }
    }

    fn counts(&self, key: &Key) -> bool {
        self.may_count(key)
            && match key.scope {
                Scope::Server => true,
                Scope::Everything => self.has_option(&key.id()),
                Scope::Group => self.takes_group(),
                Scope::Claims => {
                    let group = [LISTENER, GROUP].iter().any(|id| self.is_typed(id)) || self.takes_group();
                    group && !self.is_typed("ack")
                }
            }
    }

    /// Whether the command is refused without a group, and would not take anything away with that of the profile: to
    /// `consume`, which changes nothing without one, a group makes all the difference.
    fn takes_group(&self) -> bool {
        match self.verb {
            Some(("consume", _)) => NEED_GROUP.iter().any(|id| self.is_typed(id)),
            // It moves where everybody is.
            Some(("subscribe", _)) if self.is_typed("reset") => false,
            Some((verb, _)) => TAKE_GROUP.contains(&verb),
            None => false,
        }
    }

    fn has_option(&self, id: &str) -> bool {
        let has = |matches: &ArgMatches| matches.try_contains_id(id).is_ok();
        has(self.matches) || self.verb.is_some_and(|(_, matches)| has(matches))
    }

    fn is_typed(&self, id: &str) -> bool {
        let typed = |matches: &ArgMatches| {
            matches.try_contains_id(id).unwrap_or(false) && matches.value_source(id) == Some(ValueSource::CommandLine)
        };
        typed(self.matches) || self.verb.is_some_and(|(_, matches)| typed(matches))
    }

    /// A value as it was typed.
    fn raw(&self, id: &str) -> Option<String> {
        let of = |matches: &ArgMatches| {
            let mut values = matches.try_get_raw(id).ok().flatten()?;
            values.next().map(|value| value.to_string_lossy().into_owned())
        };
        self.verb
            .and_then(|(_, matches)| of(matches))
            .or_else(|| of(self.matches))
    }
}

/// What counts if nobody says anything, as the help has it.
fn built_in(key: &Key, cli: &Command) -> Option<String> {
    match key.name {
        URL => return Some(DEFAULT_URL.to_owned()),
        CLAIM_IDLE_KEY => {
            return Some(exact_duration(
                u64::try_from(CLAIM_IDLE.as_millis()).unwrap_or(u64::MAX),
            ));
        }
        _ if key.kind == Kind::Flag => return Some("false".to_owned()),
        _ => {}
    }
    let id = key.id();
    let all = std::iter::once(cli).chain(cli.get_subcommands());
    let arg = all
        .flat_map(Command::get_arguments)
        .find(|arg| *arg.get_id() == id.as_str())?;
    let value = arg.get_default_values().first()?;
    Some(value.to_string_lossy().into_owned())
}

fn has(command: &Command, id: &str) -> bool {
    command.get_arguments().any(|arg| arg.get_id() == id)
}
