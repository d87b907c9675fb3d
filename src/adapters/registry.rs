//! The providers whose own records are read, and how one is told from a canonical record.

use chrono::{DateTime, Utc};

use super::{
    draft::{Draft, Sidecar},
    idenfy, incode, jumio, metamap,
    normal::fold,
    onfido, persona,
    shape::Top,
    sumsub, trulioo, veriff,
};
use crate::domain::{
    import::{ImportSpec, ImportType, ProviderOptions},
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
    /// Nobody's: what a provider more takes.
    #[cfg(test)]
    Example,
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
            #[cfg(test)]
            "example" => Self::Example,
            _ => return None,
        })
    }

    /// Whether names and numbers of its records may hold signs that nobody sees: what a camera read, or
    /// somebody pasted.
    pub(super) const fn leaves_marks(self) -> bool {
        matches!(self, Self::Trulioo | Self::Jumio | Self::Incode | Self::Idenfy)
    }
}

/// How records of a provider are read; the same for all of an import.
#[derive(Debug, Clone)]
pub struct Native {
    /// The provider.
    pub provider: Provider,
    /// What the import is of.
    pub import_type: ImportType,
    /// Which of two readings is meant where there are two.
    pub options: ProviderOptions,
    /// When the import was created: what is old is old by then, however often its rows are read. Without it
    /// nothing is.
    pub as_of: Option<DateTime<Utc>>,
}

impl Native {
    /// How records of an import of that spec are read; nothing where its provider has no form of its own.
    pub fn of(spec: &ImportSpec) -> Option<Self> {
        Some(Self {
            provider: Provider::of(&spec.provider)?,
            import_type: spec.import_type,
            options: spec.provider_options.clone(),
            as_of: None,
        })
    }
}

/// A line on its way into the open row.
pub(super) struct Export<'a> {
    /// The line; empty where the record is no JSON.
    pub(super) line: &'a str,
    /// Its members.
    pub(super) top: Top<'a>,
    /// How it is read.
    pub(super) native: &'a Native,
    /// Links of the customer's own.
    pub(super) sidecar: Sidecar<'a>,
}

impl Export<'_> {
    /// Refuses a record of another kind than the import is of.
    pub(super) fn must_be(&self, import_type: ImportType, what: &str) -> Result<(), Issue> {
        if self.native.import_type == import_type {
            return Ok(());
        }
        let message = format!(
            "the record is {what}, and the import of {}: import it as {}",
            self.native.import_type.as_str(),
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
pub fn read(native: &Native, line: &str, draft: &mut Draft<'_>) -> Option<Result<(), Issue>> {
    // Canonical rows nearly always begin with their key, and so are not gone over twice.
    if line.strip_prefix('{').is_some_and(|rest| rest.trim_start().starts_with("\"external_id\"")) {
        return None;
    }
    let top = Top::read(line)?;
    if top.has_exactly("external_id") {
        return None;
    }
    let sidecar = top.get("_media").and_then(|raw| serde_json::from_str(raw).ok()).unwrap_or_default();
    let export = Export { line, top, native, sidecar };
    let read = match native.provider {
        Provider::Sumsub => sumsub::read(&export, draft),
        Provider::MetaMap => metamap::read(&export, draft),
        Provider::Veriff => veriff::read(&export, draft),
        Provider::Onfido => onfido::read(&export, draft),
        Provider::Persona => persona::read(&export, draft),
        Provider::Trulioo => trulioo::read(&export, draft),
        Provider::Incode => incode::read(&export, draft),
        Provider::Jumio => jumio::read(&export, draft),
        Provider::Idenfy => idenfy::read(&export, draft),
        #[cfg(test)]
        Provider::Example => super::example::read(&export, draft),
    };
    match read {
        Some(read) => Some(strictly(native, draft, read)),
        None => unknown(&export).map(Err),
    }
}

/// The issue of a record that is in no form of the provider's, and no canonical one either: it has no key.
fn unknown(export: &Export<'_>) -> Option<Issue> {
    let key = match export.native.import_type {
        ImportType::UserVerification | ImportType::BusinessVerification => "external_id",
        ImportType::Transactions => "transaction_id",
        ImportType::StatusRules => return None,
    };
    let message = "must be given: the record is in no form that the provider is known to give out";
    (!export.top.has_exactly(key)).then(|| Issue::of_field(IssueCode::Required, key, message))
}

/// Refuses a record whose outcome nobody can tell, if the import says so.
fn strictly(native: &Native, draft: &Draft<'_>, read: Result<(), Issue>) -> Result<(), Issue> {
    let no_outcome = draft.no_outcome().filter(|_| native.options.unknown_outcome_fails);
    read.and_then(|()| match no_outcome {
        Some(why) => Err(Issue::of_field(IssueCode::InvalidValue, "status", why)),
        None => Ok(()),
    })
}

/// A provider's own CSV, told by its header.
#[derive(Debug, Clone)]
pub struct NativeSheet {
    native: Native,
    columns: Vec<Option<sumsub::sheet::Put>>,
}

impl NativeSheet {
    /// The columns by which a provider's own CSV is told; nothing where it has none that is published.
    pub const fn expected(native: &Native) -> Option<&'static str> {
        match native.provider {
            Provider::Sumsub => Some(sumsub::sheet::EXPECTED),
            _ => None,
        }
    }

    /// Resolves a header; nothing when it is not that of the provider's own CSV.
    pub fn resolve(native: &Native, header: &[&str]) -> Option<Self> {
        let columns = match native.provider {
            Provider::Sumsub => sumsub::sheet::columns(header)?,
            _ => return None,
        };
        Some(Self { native: native.clone(), columns })
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
        let export =
            Export { line: "", top: Top::default(), native: &self.native, sidecar: Sidecar::default() };
        let read = sumsub::sheet::read(&export, self.columns.iter().flatten().copied().zip(cells), draft);
        strictly(&self.native, draft, read)
    }
}
