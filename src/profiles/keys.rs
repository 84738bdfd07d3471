//! What a profile can say: options that somebody would set once, by their names.

use std::path::{Path, PathBuf};

use crate::near::did_you_mean;
use crate::options::is_local;
use crate::streamer::{Location, parse_duration};

/// A setting of a profile.
#[derive(Debug, PartialEq, Eq)]
pub struct Key {
    /// As in the file; an option of the same name says the same, but for those that no option says.
    pub name: &'static str,
    pub kind: Kind,
    pub scope: Scope,
}

/// What its value is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Url,
    Text,
    File,
    Words,
    Flag,
    Count,
    Duration,
    DurationOrOff,
}

/// Where it applies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// To the server of the profile's URL and to no other: nobody else is to be sent a password.
    Server,
    /// To whatever has such an option.
    Everything,
    /// To a command that cannot do without a group, and has been given none.
    Group,
    /// To what reads in a group and acknowledges what is done.
    Claims,
}

const fn key(name: &'static str, kind: Kind, scope: Scope) -> Key {
    Key { name, kind, scope }
}

pub const URL: &str = "url";
pub const PASSWORD_FILE: &str = "password-file";
pub const PASSWORD_COMMAND: &str = "password-command";
pub const SENTINEL_USER: &str = "sentinel-user";
pub const LISTENER: &str = "listener";
pub const GROUP: &str = "group";
pub const CLAIM_IDLE_KEY: &str = "claim-idle";

pub static KEYS: [Key; 19] = [
    key(URL, Kind::Url, Scope::Server),
    key("user", Kind::Text, Scope::Server),
    key(PASSWORD_FILE, Kind::File, Scope::Server),
    key(PASSWORD_COMMAND, Kind::Words, Scope::Server),
    key(SENTINEL_USER, Kind::Text, Scope::Server),
    key("sentinel-password-file", Kind::File, Scope::Server),
    key("cacert", Kind::File, Scope::Server),
    key("cert", Kind::File, Scope::Server),
    key("cert-key", Kind::File, Scope::Server),
    key("insecure", Kind::Flag, Scope::Server),
    key("connect-timeout", Kind::Duration, Scope::Everything),
    key("wait", Kind::Duration, Scope::Everything),
    key(LISTENER, Kind::Text, Scope::Group),
    key(GROUP, Kind::Text, Scope::Group),
    key(CLAIM_IDLE_KEY, Kind::DurationOrOff, Scope::Claims),
    key("reconnect-for", Kind::Duration, Scope::Everything),
    key("wait-replicas", Kind::Count, Scope::Everything),
    key("fsync", Kind::Flag, Scope::Everything),
    key("wait-timeout", Kind::Duration, Scope::Everything),
];

/// The key of a name, or what may have been meant.
pub fn find(name: &str) -> Result<&'static Key, String> {
    KEYS.iter().find(|key| key.name == name).ok_or_else(|| match name {
        "password" | "sentinel-password" => {
            format!("a password does not stand in this file: name a file with {name}-file, or a command with {PASSWORD_COMMAND}")
        }
        _ => {
            let names = KEYS.iter().map(|key| key.name);
            did_you_mean(name, names.clone())
                .unwrap_or_else(|| format!("a profile has: {}", names.collect::<Vec<_>>().join(", ")))
        }
    })
}

impl Key {
    /// What clap calls the option.
    pub fn id(&self) -> String {
        self.name.replace('-', "_")
    }
}

impl Kind {
    /// What the file has to say, in words.
    pub fn wanted(self) -> &'static str {
        match self {
            Self::Url | Self::Text | Self::File => "a text in quotes",
            Self::Words => "a list of texts, such as [\"pass\", \"show\", \"redis\"]",
            Self::Flag => "true or false",
            Self::Count => "a whole number from 1 on",
            Self::Duration => "a duration in quotes, such as \"5s\"",
            Self::DurationOrOff => "a duration in quotes, such as \"5m\", or \"off\"",
        }
    }

    /// Takes a text for a value of this kind; relative files are those beside the file of profiles.
    pub fn text(self, text: &str, beside: &Path) -> Result<String, String> {
        let duration = || match parse_duration(text) {
            Ok(_) => Ok(text.to_owned()),
            Err(error) => Err(error.to_string()),
        };
        match self {
            _ if text.is_empty() => Err("it is empty".to_owned()),
            Self::Text => Ok(text.to_owned()),
            Self::Url if is_local(text) => Ok(text.to_owned()),
            Self::Url => match Location::parse(text) {
                Ok(_) => Ok(text.to_owned()),
                Err(error) => Err(error.to_string()),
            },
            Self::File => file(text, beside),
            Self::DurationOrOff if text == "off" => Ok(text.to_owned()),
            Self::Duration | Self::DurationOrOff => duration(),
            Self::Words | Self::Flag | Self::Count => Err(format!("expected {}", self.wanted())),
        }
    }
}

fn file(text: &str, beside: &Path) -> Result<String, String> {
    let path = match text.strip_prefix("~/") {
        Some(rest) => std::env::home_dir().ok_or("there is no home directory")?.join(rest),
        None => beside.join(PathBuf::from(text)),
    };
    let path = path.into_os_string().into_string();
    path.map_err(|_| "the path is not UTF-8".to_owned())
}
