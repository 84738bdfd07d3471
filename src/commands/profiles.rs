//! `profiles`: what there is in the file of profiles, and where each setting that counts stands.

use clap::{ArgMatches, Command};
use serde::Serialize;

use super::{layout, print_json, print_tables};
use crate::layers::{ChosenBy, From, InForce, Layers};
use crate::options::parse_name;
use crate::profiles::keys::{LISTENER, URL};
use crate::profiles::{Profile, Profiles};
use crate::render::{Column, NOTHING, Row, table};
use crate::streamer::Ending;
use crate::ui::Ui;

/// List the profiles, and show where each setting comes from
///
/// A profile is a table [profiles.NAME] in $REDIS_STREAMER_CONFIG, else in $XDG_CONFIG_HOME/redis-streamer/config.toml,
/// else in ~/.config/redis-streamer/config.toml. It counts where --profile or $REDIS_STREAMER_PROFILE names it, or the
/// file does: default = "NAME". An option counts more than the environment, the environment more than the profile.
#[derive(clap::Args)]
#[command(after_long_help = "\
Examples:
  redis-streamer profiles
  redis-streamer profiles prod --json | jq -r '.settings[].from'
  redis-streamer pending --profile prod")]
pub struct Args {
    /// Show what counts with this profile
    #[arg(id = "shown", value_name = "PROFILE", value_parser = parse_name)]
    profile: Option<String>,
    /// Print one line of JSON
    #[arg(long)]
    json: bool,
}

pub fn run(args: Args, matches: &ArgMatches, cli: &Command, ui: Ui) -> anyhow::Result<Ending> {
    let layers = Layers::read(matches, args.profile.as_deref())?;
    warn(&layers, ui);
    if args.json {
        return print_json(ui, &json(&layers, cli)?);
    }
    let mut text = String::new();
    if args.profile.is_none() {
        match layers.profiles.all.is_empty() {
            true => ui.status(&format!("no profiles: {} has none", layers.profiles.path.display())),
            false => text = list(&layers, ui) + "\n",
        }
    }
    print_tables(ui, &(text + &settings(&layers, cli, ui)))
}

/// Says which profile counts for a command, and what of it.
pub fn say(layers: &Layers<'_>, ui: Ui) {
    warn(layers, ui);
    if let Some(group) = layers.group_of_consume() {
        ui.status(&format!("the group is that of the profile: {group}"));
    }
    for InForce { key, shown, from } in layers.at_work() {
        let shown = shown.map_or(String::new(), |shown| format!(" {shown}"));
        ui.detail(&format!("{}{shown}, from {}", key.name, words(layers, &from)));
    }
}

fn warn(layers: &Layers<'_>, ui: Ui) {
    for warning in [layers.profiles.warning(), layers.warning()].into_iter().flatten() {
        ui.warning(&warning);
    }
}

fn list(layers: &Layers<'_>, ui: Ui) -> String {
    const COLUMNS: [Column; 4] = [
        Column::Name("PROFILE"),
        Column::Name("URL"),
        Column::Name("LISTENER"),
        Column::Text("COUNTS"),
    ];
    let rows: Vec<_> = layers
        .profiles
        .all
        .iter()
        .map(|profile| {
            let counts = match layers.chosen_by().filter(|_| is_chosen(layers, profile)) {
                Some(ChosenBy::Option) => "by --profile",
                Some(ChosenBy::Variable) => "by $REDIS_STREAMER_PROFILE",
                Some(ChosenBy::Default) => "by default",
                None => NOTHING,
            };
            let or_nothing = |value: Option<String>| value.unwrap_or_else(|| NOTHING.to_owned());
            let url = or_nothing(value(profile, URL));
            let listener = or_nothing(value(profile, LISTENER));
            Row::Cells(vec![
                profile.name.clone().into(),
                url.into(),
                listener.into(),
                counts.into(),
            ])
        })
        .collect();
    table(&COLUMNS, rows, layout(ui))
}

fn is_chosen(layers: &Layers<'_>, profile: &Profile) -> bool {
    layers.profile().is_some_and(|chosen| chosen.name == profile.name)
}

fn value(profile: &Profile, name: &str) -> Option<String> {
    let setting = profile.settings.iter().find(|setting| setting.key.name == name);
    setting.map(|setting| setting.shown())
}

fn settings(layers: &Layers<'_>, cli: &Command, ui: Ui) -> String {
    const COLUMNS: [Column; 3] = [Column::Text("SETTING"), Column::Name("VALUE"), Column::Name("FROM")];
    let rows: Vec<_> = layers
        .in_force(cli)
        .iter()
        .map(|InForce { key, shown, from }| {
            let value = match (shown, from) {
                (Some(shown), _) => shown.as_str(),
                // What is in a variable of the environment and not shown is secret.
                (None, From::Variable(_)) => "(hidden)",
                (None, _) => NOTHING,
            };
            Row::Cells(vec![key.name.into(), value.into(), words(layers, from).into()])
        })
        .collect();
    table(&COLUMNS, rows, layout(ui))
}

fn words(layers: &Layers<'_>, from: &From) -> String {
    match from {
        From::Option => "an option".to_owned(),
        From::Variable(name) => format!("${name}"),
        From::Profile { line } => {
            let name = layers.profile().map_or("", |profile| &profile.name);
            format!("profile {name} ({}:{line})", layers.profiles.path.display())
        }
        From::BuiltIn => "built in".to_owned(),
    }
}

/// The names of all profiles, as far as the file can be read.
pub fn names() -> Vec<String> {
    let profiles = Profiles::read().map(|profiles| profiles.all).unwrap_or_default();
    profiles.into_iter().map(|profile| profile.name).collect()
}

fn json(layers: &Layers<'_>, cli: &Command) -> serde_json::Result<Vec<u8>> {
    let profiles = &layers.profiles;
    let mut document = serde_json::to_vec(&Json {
        file: profiles.path.display().to_string(),
        default: profiles.default.as_deref(),
        profile: layers.profile().map(|profile| profile.name.as_str()),
        profiles: profiles.all.iter().map(ProfileJson::of).collect(),
        settings: layers.in_force(cli).iter().map(SettingJson::of).collect(),
    })?;
    document.push(b'\n');
    Ok(document)
}

#[derive(Serialize)]
struct Json<'a> {
    file: String,
    default: Option<&'a str>,
    profile: Option<&'a str>,
    profiles: Vec<ProfileJson<'a>>,
    settings: Vec<SettingJson<'a>>,
}

#[derive(Serialize)]
struct ProfileJson<'a> {
    name: &'a str,
    line: usize,
    url: Option<String>,
    listener: Option<String>,
}

#[derive(Serialize)]
struct SettingJson<'a> {
    name: &'a str,
    value: Option<&'a str>,
    from: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    variable: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    line: Option<usize>,
}

impl<'a> ProfileJson<'a> {
    fn of(profile: &'a Profile) -> Self {
        Self {
            name: &profile.name,
            line: profile.line,
            url: value(profile, URL),
            listener: value(profile, LISTENER),
        }
    }
}

impl<'a> SettingJson<'a> {
    fn of(setting: &'a InForce) -> Self {
        let (from, variable, line) = match setting.from {
            From::Option => ("option", None, None),
            From::Variable(name) => ("environment", Some(name), None),
            From::Profile { line } => ("profile", None, Some(line)),
            From::BuiltIn => ("default", None, None),
        };
        Self {
            name: setting.key.name,
            value: setting.shown.as_deref(),
            from,
            variable,
            line,
        }
    }
}
