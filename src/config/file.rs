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
    let flag = |value: &str| OsString::from(format!("--{key}={value}"));
    let (values, flags) = match (setting::shape(setting), value) {
        (Shape::Switch, DeValue::Boolean(false)) => (vec![], vec![]),
        (Shape::Switch, DeValue::Boolean(true)) => (vec![], vec![OsString::from(format!("--{key}"))]),
        (Shape::Switch, _) => return Err(Fault::Type { place, key, wanted: "true or false" }),
        (Shape::One, value) => {
            let wanted = "a string or an integer";
            let value = scalar(value).ok_or_else(|| Fault::Type {
                place: place.clone(),
                key: key.clone(),
                wanted,
            })?;
            (vec![value.clone()], vec![flag(&value)])
        }
        (Shape::List, value) => {
            let values: Option<Vec<_>> =
                value.as_array().and_then(|array| array.iter().map(|item| scalar(item.get_ref())).collect());
            let values = values.filter(|values| !values.is_empty());
            let wanted = "a list of strings or integers, with one at least";
            let values =
                values.ok_or_else(|| Fault::Type { place: place.clone(), key: key.clone(), wanted })?;
            let flags = values.iter().map(|value| flag(value)).collect();
            (values, flags)
        }
    };
    match values.iter().find_map(|value| setting::refusal(setting, value.as_ref())) {
        Some(why) => Err(Fault::Refused { place, key, why }),
        None => Ok(Entry { id: setting.get_id().to_string(), line, flags }),
    }
}

/// A string or an integer, as it would stand on a command line.
fn scalar(value: &DeValue<'_>) -> Option<String> {
    match value {
        DeValue::String(text) => Some(text.to_string()),
        DeValue::Integer(number) => Some(match i128::from_str_radix(number.as_str(), number.radix()) {
            Ok(number) => number.to_string(),
            // The flag says that it is too large.
            Err(_) => number.as_str().to_owned(),
        }),
        _ => None,
    }
}
