//! The providers whose own records are read, and how one is told from a canonical record.

use super::{
    draft::{Draft, Sidecar},
    idenfy, incode, jumio, metamap,
    normal::fold,
    onfido, persona,
    shape::Top,
    sumsub, trulioo, veriff,
};
use crate::domain::{
    import::ImportType,
    issue::{Issue, IssueCode},
};

/// A provider with a form of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Provider {
    /// Sumsub.
    Sumsub,
    /// MetaMap, which was Mati.
    MetaMap,
    /// Veriff.
    Veriff,
    /// Onfido.
    Onfido,
    /// Persona.
    Persona,
    /// Trulioo.
    Trulioo,
    /// Jumio.
    Jumio,
    /// Incode.
    Incode,
    /// iDenfy.
    Idenfy,
}

impl Provider {
    /// The provider of a source label.
    pub fn of(label: &str) -> Option<Self> {
        Some(match fold(label).as_str() {
            "sumsub" => Self::Sumsub,
            "metamap" | "mati" => Self::MetaMap,
            "veriff" => Self::Veriff,
            "onfido" => Self::Onfido,
            "persona" => Self::Persona,
            "trulioo" => Self::Trulioo,
            "jumio" => Self::Jumio,
            "incode" => Self::Incode,
            "idenfy" => Self::Idenfy,
            _ => return None,
        })
    }
}

/// A line on its way into the open row.
pub(super) struct Export<'a> {
    /// The line; empty where the record is no JSON.
    pub(super) line: &'a str,
    /// Its members.
    pub(super) top: Top<'a>,
    /// What the import is of.
    pub(super) import_type: ImportType,
    /// Links of the customer's own.
    pub(super) sidecar: Sidecar<'a>,
}

impl Export<'_> {
    /// Refuses a record of another kind than the import is of.
    pub(super) fn must_be(&self, import_type: ImportType, what: &str) -> Result<(), Issue> {
        if self.import_type == import_type {
            return Ok(());
        }
        let message = format!(
            "the record is {what}, and the import of {}: import it as {}",
            self.import_type.as_str(),
            import_type.as_str()
        );
        Err(Issue::of_record(IssueCode::WrongKind, message))
    }
}

/// The issue of a line that is JSON for some and not for others.
pub(super) fn bad_json(error: &serde_json::Error) -> Issue {
    let text = error.to_string();
    let what = text.split(" at line ").next().unwrap_or_default();
    Issue::of_record(
        IssueCode::BadJson,
        format!("the line cannot be read: {what} at column {}", error.column()),
    )
}

/// Reads a line that is a record of the provider's own; nothing when it is none, and so to be read as a
/// canonical record. A canonical record has a key that no provider uses.
pub fn read(
    provider: Provider,
    import_type: ImportType,
    line: &str,
    draft: &mut Draft<'_>,
) -> Option<Result<(), Issue>> {
    // Canonical rows nearly always begin with their key, and so are not gone over twice.
    if line.strip_prefix('{').is_some_and(|rest| rest.trim_start().starts_with("\"external_id\"")) {
        return None;
    }
    let top = Top::read(line)?;
    if top.has_exactly("external_id") {
        return None;
    }
    let sidecar = top.get("_media").and_then(|raw| serde_json::from_str(raw).ok()).unwrap_or_default();
    let export = Export { line, top, import_type, sidecar };
    match provider {
        Provider::Sumsub => sumsub::read(&export, draft),
        Provider::MetaMap => metamap::read(&export, draft),
        Provider::Veriff => veriff::read(&export, draft),
        Provider::Onfido => onfido::read(&export, draft),
        Provider::Persona => persona::read(&export, draft),
        Provider::Trulioo => trulioo::read(&export, draft),
        Provider::Incode => incode::read(&export, draft),
        Provider::Jumio => jumio::read(&export, draft),
        Provider::Idenfy => idenfy::read(&export, draft),
    }
}

/// A provider's own CSV, told by its header.
#[derive(Debug, Clone)]
pub struct NativeSheet {
    import_type: ImportType,
    columns: Vec<Option<sumsub::sheet::Put>>,
}

impl NativeSheet {
    /// The columns by which a provider's own CSV is told; nothing where it has none that is published.
    pub const fn expected(provider: Provider) -> Option<&'static str> {
        match provider {
            Provider::Sumsub => Some(sumsub::sheet::EXPECTED),
            _ => None,
        }
    }

    /// Resolves a header; nothing when it is not that of the provider's own CSV.
    pub fn resolve(provider: Provider, import_type: ImportType, header: &[&str]) -> Option<Self> {
        let columns = match provider {
            Provider::Sumsub => sumsub::sheet::columns(header)?,
            _ => return None,
        };
        Some(Self { import_type, columns })
    }

    /// How many columns are known.
    pub fn known(&self) -> usize {
        self.columns.iter().flatten().count()
    }

    /// Whether a column is read.
    pub fn reads(&self, column: usize) -> bool {
        self.columns.get(column).is_some_and(Option::is_some)
    }

    /// How many cells a record must have.
    pub fn width(&self) -> usize {
        self.columns.len()
    }

    /// Reads a record into the open row. `cells` are those of the columns that are read, in their order.
    pub fn read<'a>(&self, cells: impl Iterator<Item = &'a str>, draft: &mut Draft<'_>) -> Result<(), Issue> {
        let export = Export {
            line: "",
            top: Top::default(),
            import_type: self.import_type,
            sidecar: Sidecar::default(),
        };
        sumsub::sheet::read(&export, self.columns.iter().flatten().copied().zip(cells), draft)
    }
}
