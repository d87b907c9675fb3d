//! Which member or column of a source is which field, as the caller tells it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// How rows of another form are read. What is not mapped is not read.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Mapping {
    /// Fields, each once.
    pub fields: Vec<FieldMapping>,
    /// A value that is no good is left out with a warning, unless the row needs it; otherwise it fails its row.
    #[serde(default)]
    pub lenient: bool,
}

/// Where the value of a field comes from, and what is made of it on the way.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FieldMapping {
    /// The field, or a member of `metadata`.
    pub field: String,
    /// Columns (CSV) or paths (NDJSON); the first that says anything counts.
    #[serde(default)]
    pub sources: Vec<String>,
    /// What stands between the values of all sources, where they are put together.
    #[serde(default)]
    pub join: Option<String>,
    /// The value where no source says anything.
    #[serde(default)]
    pub constant: Option<String>,
    /// Words of the source and what they become; case and blanks around them do not count.
    #[serde(default)]
    pub values: BTreeMap<String, String>,
    /// What any other word becomes; without it, it stays as it is.
    #[serde(default)]
    pub otherwise: Option<String>,
    /// How a date or a point in time is written.
    #[serde(default)]
    pub date_format: Option<String>,
}
