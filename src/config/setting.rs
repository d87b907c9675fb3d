//! A setting: one flag of `serve`. What the flag is called and takes, its variable and its key in a file do, too.

use std::{
    error::Error,
    ffi::{OsStr, OsString},
};

use clap::{
    Arg, ArgAction, Args, Command,
    error::{ContextKind, ContextValue},
};

use super::ServeArgs;

/// Id of the flag that names the file, which is no setting.
pub(super) const FILE_FLAG: &str = "config";

/// How many values a setting has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shape {
    /// None: it is on or off.
    Switch,
    /// One.
    One,
    /// Any number.
    List,
}

/// All settings, in the order of `--help`.
pub(super) fn all() -> Vec<Arg> {
    let command = ServeArgs::augment_args(Command::new("serve"));
    command.get_arguments().filter(|arg| arg.get_id() != FILE_FLAG).cloned().collect()
}

/// Settings under their headings.
pub(super) fn by_heading(settings: &[Arg]) -> Vec<(&str, Vec<&Arg>)> {
    let mut groups: Vec<(&str, Vec<&Arg>)> = Vec::new();
    for setting in settings {
        let heading = setting.get_help_heading().unwrap_or("Server");
        match groups.iter_mut().find(|(known, _)| *known == heading) {
            Some((_, members)) => members.push(setting),
            None => groups.push((heading, vec![setting])),
        }
    }
    groups
}

/// The key of a setting in a file, which is the flag without its dashes.
pub(super) fn key(setting: &Arg) -> &str {
    setting.get_long().unwrap_or_default()
}

/// The environment variable of a setting.
pub(super) fn variable(setting: &Arg) -> Option<&str> {
    setting.get_env().and_then(OsStr::to_str)
}

pub(super) fn shape(setting: &Arg) -> Shape {
    match setting.get_action() {
        ArgAction::SetTrue => Shape::Switch,
        ArgAction::Append => Shape::List,
        _ => Shape::One,
    }
}

/// Whether its value is never shown.
pub(super) fn is_secret(setting: &Arg) -> bool {
    setting.is_hide_env_values_set()
}

/// Why a setting does not take a value, by the flag's own parser.
pub(super) fn refusal(setting: &Arg, value: &OsStr) -> Option<String> {
    let mut probe = Arg::new("value")
        .long("value")
        .action(ArgAction::Append)
        .value_parser(setting.get_value_parser().clone());
    if let Some(delimiter) = setting.get_value_delimiter() {
        probe = probe.value_delimiter(delimiter);
    }
    let mut flag = OsString::from("--value=");
    flag.push(value);
    let refused = Command::new("probe").no_binary_name(true).arg(probe).try_get_matches_from([flag]);
    let error = refused.err()?;
    if is_secret(setting) {
        return Some("its value cannot be used".to_owned());
    }
    let why = match error.get(ContextKind::ValidValue) {
        Some(ContextValue::Strings(valid)) if !valid.is_empty() => format!("must be {}", valid.join(" or ")),
        _ => error.source().map_or_else(|| "a value is needed".to_owned(), ToString::to_string),
    };
    Some(format!("{:?} cannot be used: {why}", value.to_string_lossy()))
}

/// The name most like one that nobody knows.
pub(super) fn nearest<'a>(unknown: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    /// Below this they have little in common.
    const ALIKE: f64 = 0.8;
    let likeness = |name: &str| strsim::jaro(unknown, name);
    let best = known.map(|name| (likeness(name), name)).max_by(|one, other| one.0.total_cmp(&other.0))?;
    (best.0 > ALIKE).then_some(best.1)
}
