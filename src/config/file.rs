//! A file of settings: TOML without tables, whose keys are the names of flags.

use std::{
    ffi::OsString,
    fs::File,
    io::{self, Read},
    path::Path,
};

use clap::Arg;
use toml::de::{DeTable, DeValue};

use super::{
    fault::Fault,
    setting::{self, Shape},
};

/// Most bytes of a file.
const FILE_BYTES: u64 = 1 << 20;

/// A setting that a file gives.
pub(super) struct Entry {
    /// Id of its flag.
    pub id: String,
    /// Line it stands on.
    pub line: usize,
    /// What would say the same on a command line.
    pub flags: Vec<OsString>,
}

/// Reads a file; tells all that is wrong with it.
pub(super) fn read(path: &Path, settings: &[Arg]) -> Result<Vec<Entry>, Vec<Fault>> {
    let text = text(path).map_err(|source| vec![Fault::Read { path: path.to_owned(), source }])?;
    let (table, errors) = DeTable::parse_recoverable(&text);
    let place = |at: usize| format!("{}:{}", path.display(), line(&text, at));
    if !errors.is_empty() {
        // Not as the parser shows it: with the line, which may hold a secret.
        let syntax = |error: toml::de::Error| Fault::Syntax {
            place: place(error.span().map_or(0, |span| span.start)),
            what: error.message().to_owned(),
        };
        return Err(errors.into_iter().map(syntax).collect());
    }
    let (mut entries, mut faults) = (Vec::new(), Vec::new());
    for (key, value) in table.into_inner() {
        let at = key.span().start;
        match entry(&key.into_inner(), value.get_ref(), line(&text, at), &place(at), settings) {
            Ok(entry) => entries.push(entry),
            Err(fault) => faults.push((at, fault)),
        }
    }
    // The table is sorted by its keys.
    faults.sort_by_key(|(at, _)| *at);
    if faults.is_empty() { Ok(entries) } else { Err(faults.into_iter().map(|(_, fault)| fault).collect()) }
}

fn text(path: &Path) -> io::Result<String> {
    let mut text = String::new();
    File::open(path)?.take(FILE_BYTES + 1).read_to_string(&mut text)?;
    if text.len() as u64 > FILE_BYTES {
        return Err(io::Error::other("it is larger than 1 MiB"));
    }
    Ok(text)
}

/// The line that a byte is on.
fn line(text: &str, at: usize) -> usize {
    text.bytes().take(at).filter(|byte| *byte == b'\n').count() + 1
}

fn entry(key: &str, value: &DeValue<'_>, line: usize, place: &str, settings: &[Arg]) -> Result<Entry, Fault> {
    let (place, key) = (place.to_owned(), key.to_owned());
    let Some(setting) = settings.iter().find(|setting| setting::key(setting) == key) else {
        if value.is_table() {
            return Err(Fault::Table { place, key });
        }
        // As the variables are written, and as many files are.
        let wanted = key.to_lowercase().replace('_', "-");
        let near =
            setting::nearest(wanted.trim_start_matches("carryover-"), settings.iter().map(setting::key));
        return Err(Fault::Unknown { place, near: near.map(str::to_owned), key });
    };
    let shape = setting::shape(setting);
    let values = match texts(shape, value) {
        Ok(values) => values,
        Err(wanted) => return Err(Fault::Type { place, key, wanted }),
    };
    if let Some(why) = values.iter().find_map(|value| setting::refusal(setting, value.as_ref())) {
        return Err(Fault::Refused { place, key, why });
    }
    let flag = |value: String| match (shape, value.as_str()) {
        (Shape::Switch, "false") => None,
        (Shape::Switch, _) => Some(format!("--{key}").into()),
        _ => Some(format!("--{key}={value}").into()),
    };
    let flags = values.into_iter().filter_map(flag).collect();
    Ok(Entry { id: setting.get_id().to_string(), line, flags })
}

/// The values of a setting, or what it takes instead.
fn texts(shape: Shape, value: &DeValue<'_>) -> Result<Vec<String>, &'static str> {
    match (shape, value) {
        (Shape::Switch, DeValue::Boolean(on)) => Ok(vec![on.to_string()]),
        (Shape::Switch, _) => Err("true or false"),
        (Shape::One, value) => scalar(value).map(|one| vec![one]).ok_or("a string or a number"),
        (Shape::List, value) => value
            .as_array()
            .and_then(|items| items.iter().map(|item| scalar(item.get_ref())).collect())
            .filter(|values: &Vec<_>| !values.is_empty())
            .ok_or("a list of strings or numbers, with one at least"),
    }
}

/// A string or a number, as it would stand on a command line.
fn scalar(value: &DeValue<'_>) -> Option<String> {
    match value {
        DeValue::String(text) => Some(text.to_string()),
        DeValue::Integer(number) => Some(match i128::from_str_radix(number.as_str(), number.radix()) {
            Ok(number) => number.to_string(),
            // The flag says that it is too large.
            Err(_) => number.as_str().to_owned(),
        }),
        DeValue::Float(number) => Some(number.to_string()),
        _ => None,
    }
}
