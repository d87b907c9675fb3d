//! Settings from flags, from the environment and from a file. What a file says becomes flags, unless the command
//! line or the environment says otherwise; so there is one definition of each setting, and one parser.

use std::{
    collections::HashMap,
    ffi::OsString,
    fmt,
    path::{Path, PathBuf},
};

use clap::{Arg, ArgMatches, Command, parser::ValueSource};

use super::{
    fault::Fault,
    file::{self, Entry},
    setting,
};

/// A command line that was parsed, with what a file had to say.
pub struct Layers {
    /// All that was said.
    pub matches: ArgMatches,
    file: PathBuf,
    /// Ids of the settings that the file gave, and their lines.
    of_file: HashMap<String, usize>,
}

/// Why a command line cannot be used.
#[derive(Debug)]
pub enum Unusable {
    /// It asks for help, or is wrong.
    CommandLine(clap::Error),
    /// Variables or a file are.
    Settings(Vec<Fault>),
}

/// Where a setting comes from.
pub(super) enum Source<'a> {
    Flag,
    Variable(&'a str),
    File(&'a Path, usize),
    Default,
}

impl fmt::Display for Source<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Flag => write!(f, "flag"),
            Self::Variable(name) => write!(f, "environment variable {name}"),
            Self::File(path, line) => write!(f, "file {}:{line}", path.display()),
            Self::Default => write!(f, "default"),
        }
    }
}

/// Parses a command line; a command that has `--config` takes from that file what is said nowhere else.
pub fn parse(command: &Command, mut line: Vec<OsString>) -> Result<Layers, Unusable> {
    let (mut file, mut of_file) = (PathBuf::new(), HashMap::new());
    // What does not parse is told by the second reading.
    if let Ok(said) = command.clone().ignore_errors(true).try_get_matches_from(&line)
        && let (depth, leaf_command, leaf) = leaf(command, &said)
        && leaf_command.get_arguments().any(|arg| arg.get_id() == setting::FILE_FLAG)
    {
        let mut faults = variable_faults(leaf_command, leaf);
        if let Ok(Some(path)) = leaf.try_get_one::<PathBuf>(setting::FILE_FLAG) {
            file.clone_from(path);
            match file::read(path, &setting::all()) {
                Err(more) => faults.extend(more),
                Ok(mut entries) => {
                    entries.retain(|Entry { id, .. }| {
                        leaf_command.get_arguments().any(|arg| arg.get_id() == id.as_str())
                            && !is_given(leaf, id)
                    });
                    of_file = entries.iter().map(|entry| (entry.id.clone(), entry.line)).collect();
                    // Behind the program and the names of its commands, before all flags.
                    line.splice(depth + 1..depth + 1, entries.into_iter().flat_map(|entry| entry.flags));
                }
            }
        }
        if !faults.is_empty() {
            return Err(Unusable::Settings(faults));
        }
    }
    let matches = command.clone().try_get_matches_from(line).map_err(Unusable::CommandLine)?;
    Ok(Layers { matches, file, of_file })
}

/// The innermost command that is named, and how many names lead to it.
fn leaf<'a>(mut command: &'a Command, mut said: &'a ArgMatches) -> (usize, &'a Command, &'a ArgMatches) {
    let mut depth = 0;
    while let Some((name, inner)) = said.subcommand()
        && let Some(inner_command) = command.find_subcommand(name)
    {
        (depth, command, said) = (depth + 1, inner_command, inner);
    }
    (depth, command, said)
}

/// Whether the command line or the environment gives a setting.
fn is_given(said: &ArgMatches, id: &str) -> bool {
    matches!(said.value_source(id), Some(ValueSource::CommandLine | ValueSource::EnvVariable))
}

/// What is wrong with variables that no flag overrides.
fn variable_faults(command: &Command, said: &ArgMatches) -> Vec<Fault> {
    let fault = |arg: &Arg| {
        let name = setting::variable(arg)?;
        let value = std::env::var_os(name)?;
        if said.value_source(arg.get_id().as_str()) == Some(ValueSource::CommandLine) {
            return None;
        }
        let place = format!("environment variable {name}");
        let why = setting::refusal(arg, &value)?;
        Some(Fault::Refused { place, key: setting::key(arg).to_owned(), why })
    };
    command.get_arguments().filter_map(fault).collect()
}

impl Layers {
    /// What was said to the innermost command.
    pub(super) fn leaf(&self) -> &ArgMatches {
        let mut leaf = &self.matches;
        while let Some((_, inner)) = leaf.subcommand() {
            leaf = inner;
        }
        leaf
    }

    /// Where a setting of the innermost command comes from; nowhere if it is not set.
    pub(super) fn source<'a>(&'a self, setting: &'a Arg) -> Option<Source<'a>> {
        let id = setting.get_id().as_str();
        if let Some(line) = self.of_file.get(id) {
            return Some(Source::File(&self.file, *line));
        }
        Some(match self.leaf().value_source(id)? {
            ValueSource::CommandLine => Source::Flag,
            ValueSource::EnvVariable => Source::Variable(setting::variable(setting).unwrap_or_default()),
            _ => Source::Default,
        })
    }
}

/// Variables that look like settings of this program but are none, and what may be meant.
pub(super) fn strange_variables(program: &Command) -> Vec<(String, String)> {
    const PREFIX: &str = "CARRYOVER_";
    let mut known = Vec::new();
    collect_variables(program, &mut known);
    let known: Vec<_> = known.iter().filter_map(|name| name.strip_prefix(PREFIX)).collect();
    let strange = |(name, _): (OsString, OsString)| {
        let name = name.into_string().ok()?;
        let own = name.strip_prefix(PREFIX).filter(|own| !known.contains(own))?;
        let near = setting::nearest(own, known.iter().copied())?;
        Some((name.clone(), format!("{PREFIX}{near}")))
    };
    std::env::vars_os().filter_map(strange).collect()
}

fn collect_variables<'a>(command: &'a Command, known: &mut Vec<&'a str>) {
    known.extend(command.get_arguments().filter_map(setting::variable));
    for inner in command.get_subcommands() {
        collect_variables(inner, known);
    }
}
