//! Profiles: settings under a name, in a file of the user's. Which of them count for a command, `layers` decides.

mod file;
pub mod keys;

use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use crate::failure::Failure;
use crate::near::did_you_mean;
use crate::streamer::without_password;
use keys::{Key, Kind};

/// Names the file, in place of the usual one.
pub const FILE_VARIABLE: &str = "REDIS_STREAMER_CONFIG";
/// What others may not do with a file that holds a secret.
const READ_BY_OTHERS: u32 = 0o044;

/// All profiles there are.
#[derive(Debug)]
pub struct Profiles {
    pub path: PathBuf,
    /// The one that counts if none is named.
    pub default: Option<String>,
    pub all: Vec<Profile>,
}

#[derive(Clone, Debug)]
pub struct Profile {
    pub name: String,
    pub line: usize,
    pub settings: Vec<Setting>,
}

#[derive(Clone, Debug)]
pub struct Setting {
    pub key: &'static Key,
    pub value: Value,
    /// Where it stands in the file.
    pub line: usize,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// As an option would take it.
    Text(String),
    Words(Vec<String>),
}

/// A profile that is not there.
pub struct Unknown {
    pub message: String,
    pub hint: String,
}

impl Profiles {
    /// Reads the user's file; without one there are no profiles, unless it was named.
    pub fn read() -> Result<Self, Failure> {
        let named = std::env::var_os(FILE_VARIABLE).filter(|path| !path.is_empty());
        let is_named = named.is_some();
        let Some(path) = named.map(PathBuf::from).or_else(usual_path) else {
            return Ok(Self::none(PathBuf::new()));
        };
        let path = std::path::absolute(&path).unwrap_or(path);
        match std::fs::read_to_string(&path) {
            Ok(text) => file::parse(&path, &text),
            Err(error) if error.kind() == io::ErrorKind::NotFound && !is_named => Ok(Self::none(path)),
            Err(error) => {
                let what = format!("cannot read the profiles in {}: {error}", path.display());
                let failure = Failure::usage(what);
                Err(if is_named {
                    failure.hint(format!("${FILE_VARIABLE} names this file"))
                } else {
                    failure
                })
            }
        }
    }

    fn none(path: PathBuf) -> Self {
        Self {
            path,
            default: None,
            all: Vec::new(),
        }
    }

    pub fn find(&self, name: &str) -> Result<&Profile, Unknown> {
        let found = self.all.iter().find(|profile| profile.name == name);
        found.ok_or_else(|| {
            let names = || self.all.iter().map(|profile| profile.name.as_str());
            let hint = did_you_mean(name, names()).unwrap_or_else(|| match self.all.is_empty() {
                true => format!(
                    "profiles are tables, such as [profiles.prod], in {}",
                    self.path.display()
                ),
                false => format!("there are: {}", names().collect::<Vec<_>>().join(", ")),
            });
            Unknown {
                message: format!("there is no profile {name:?}"),
                hint,
            }
        })
    }

    /// What should not be as it is: a secret that others can read.
    pub fn warning(&self) -> Option<String> {
        let holds_secret = self
            .all
            .iter()
            .any(|profile| profile.settings.iter().any(Setting::is_secret));
        let facts = self.path.metadata().ok().filter(|_| holds_secret)?;
        let is_open = facts.permissions().mode() & READ_BY_OTHERS != 0;
        let path = self.path.display();
        is_open.then(|| format!("{path} holds a password, and others can read it: chmod 600 {path}"))
    }
}

/// `$XDG_CONFIG_HOME/redis-streamer/config.toml`, else `~/.config/redis-streamer/config.toml`.
fn usual_path() -> Option<PathBuf> {
    let absolute = |dir: &PathBuf| dir.is_absolute();
    let config = std::env::var_os("XDG_CONFIG_HOME").map(PathBuf::from).filter(absolute);
    let config = config.or_else(|| std::env::home_dir().filter(absolute).map(|home| home.join(".config")));
    config.map(|config| config.join(Path::new("redis-streamer/config.toml")))
}

impl Setting {
    /// The value as it may be shown.
    pub fn shown(&self) -> String {
        match &self.value {
            Value::Text(url) if self.key.kind == Kind::Url => without_password(url),
            Value::Text(text) => text.clone(),
            // Its arguments may hold what is to be secret.
            Value::Words(words) => match words.split_first() {
                Some((program, [])) => program.clone(),
                Some((program, _)) => format!("{program} …"),
                None => String::new(),
            },
        }
    }

    fn is_secret(&self) -> bool {
        matches!(&self.value, Value::Text(url) if self.key.kind == Kind::Url && without_password(url) != *url)
    }
}
