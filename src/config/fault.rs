//! What may be wrong with one setting, before the settings are looked at together.

use std::{io, path::PathBuf};

use thiserror::Error;

/// A setting, or a file of settings, that cannot be used. A secret is in none of these.
#[derive(Debug, Error)]
pub enum Fault {
    /// The file cannot be read.
    #[error("read {}: {source}", path.display())]
    Read {
        /// Which one.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The file is no TOML.
    #[error("{place}: {what}")]
    Syntax {
        /// Where.
        place: String,
        /// What the parser met.
        what: String,
    },
    /// A key that is the name of no flag.
    #[error("{place}: {key} is no setting{}", hint(.near.as_deref()))]
    Unknown {
        /// Where it stands.
        place: String,
        /// The key.
        key: String,
        /// A setting whose name is like it.
        near: Option<String>,
    },
    /// A table.
    #[error("{place}: {key} is a table; there are none, every key stands at the top")]
    Table {
        /// Where it stands.
        place: String,
        /// Its name.
        key: String,
    },
    /// A value of another type.
    #[error("{place}: {key} takes {wanted}")]
    Type {
        /// Where it stands.
        place: String,
        /// The setting.
        key: String,
        /// What it takes.
        wanted: &'static str,
    },
    /// A value that the setting does not take.
    #[error("{place}: {key}: {why}")]
    Refused {
        /// Where it stands.
        place: String,
        /// The setting.
        key: String,
        /// Why.
        why: String,
    },
}

fn hint(near: Option<&str>) -> String {
    near.map(|near| format!("; is {near} meant?")).unwrap_or_default()
}
