//! The providers whose own records are read, and how one is told from a canonical record.

use chrono::{DateTime, Utc};

use super::{
    draft::{Draft, Sidecar},
    idenfy, incode, jumio, metamap,
    normal::fold,
    onfido, persona,
    shape::{Raw, Top, Tree},
    sumsub, trulioo, veriff,
};
use crate::{
    canonical::arena::Arena,
    domain::{
        import::{ImportSpec, ImportType, ProviderOptions},
        issue::{Issue, IssueCode},
    },
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

/// Source labels of the providers, the likeliest first.
const LABELS: &[(&str, Provider)] = &[
    ("sumsub", Provider::Sumsub),
    ("metamap", Provider::MetaMap),
    ("veriff", Provider::Veriff),
    ("onfido", Provider::Onfido),
    ("persona", Provider::Persona),
    ("trulioo", Provider::Trulioo),
    ("jumio", Provider::Jumio),
    ("incode", Provider::Incode),
    ("idenfy", Provider::Idenfy),
    #[cfg(test)]
    ("example", Provider::Example),
];

impl Provider {
    /// The provider of a source label.
    pub fn of(label: &str) -> Option<Self> {
        match fold(label).as_str() {
            "mati" => Some(Self::MetaMap),
            folded => LABELS.iter().find(|(label, _)| *label == folded).map(|(_, provider)| *provider),
        }
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

/// The name of what holds links of the customer's own, beside the provider's members or columns.
const SIDECAR: &str = "_media";

/// A line on its way into the open row.
pub(super) struct Export<'a> {
    /// The record; nothing where it is no JSON.
    pub(super) record: Raw<'a>,
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

/// Reads a line that is a record of the provider's own; nothing when it is none, and so to be read as a
/// canonical record. A canonical record has a key that no provider uses.
pub fn read(native: &Native, line: &str, draft: &mut Draft<'_>) -> Option<Result<(), Issue>> {
    // Canonical rows nearly always begin with their key, and so are not gone over twice.
    if line.strip_prefix('{').is_some_and(|rest| rest.trim_start().starts_with("\"external_id\"")) {
        return None;
    }
    let tree = Tree::read(line)?;
    let (record, top) = (tree.raw(), Top::of(tree.root())?);
    if top.has_exactly("external_id") {
        return None;
    }
    let export = Export { record, top, native, sidecar: top.get(SIDECAR).read() };
    match read_own(&export, draft) {
        Some(read) => Some(strictly(native, draft, read)),
        None => unknown(&export).map(Err),
    }
}

/// Reads a record of the provider's own; nothing where it is in none of its forms.
fn read_own(export: &Export<'_>, draft: &mut Draft<'_>) -> Option<Result<(), Issue>> {
    match export.native.provider {
        Provider::Sumsub => sumsub::read(export, draft),
        Provider::MetaMap => metamap::read(export, draft),
        Provider::Veriff => veriff::read(export, draft),
        Provider::Onfido => onfido::read(export, draft),
        Provider::Persona => persona::read(export, draft),
        Provider::Trulioo => trulioo::read(export, draft),
        Provider::Incode => incode::read(export, draft),
        Provider::Jumio => jumio::read(export, draft),
        Provider::Idenfy => idenfy::read(export, draft),
        #[cfg(test)]
        Provider::Example => super::example::read(export, draft),
    }
}

/// What whoever sent a record without its key, and without naming a provider, should know: whose own form it is in.
/// Nothing where it is in nobody's. Every provider is asked, so this is for records that have failed.
pub fn whose(import_type: ImportType, line: &str) -> Option<String> {
    let tree = Tree::read(line)?;
    let (record, top) = (tree.raw(), Top::of(tree.root())?);
    let is_in_form_of = |provider: Provider| {
        let native = Native { provider, import_type, options: ProviderOptions::default(), as_of: None };
        let (mut arena, mut cells, mut warnings) = (Arena::default(), Vec::new(), Vec::new());
        let export = Export { record, top, native: &native, sidecar: Sidecar::default() };
        read_own(&export, &mut Draft::new(&mut arena, &mut cells, &mut warnings)).is_some()
    };
    let labels = LABELS.iter().filter(|(_, provider)| is_in_form_of(*provider)).map(|(label, _)| *label);
    let labels: Vec<_> = labels.collect();
    let told =
        || format!("the record looks like one of {}; name that provider in the import", labels.join(" or "));
    (!labels.is_empty()).then(told)
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
    width: usize,
    /// Columns that are members of the provider's record.
    members: Vec<(usize, sumsub::sheet::Put)>,
    /// The column with links of the customer's own.
    sidecar: Option<usize>,
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
        let puts = match native.provider {
            Provider::Sumsub => sumsub::sheet::columns(header)?,
            _ => return None,
        };
        let members = puts.into_iter().enumerate().filter_map(|(column, put)| Some((column, put?)));
        Some(Self {
            native: native.clone(),
            width: header.len(),
            members: members.collect(),
            sidecar: header.iter().position(|name| *name == SIDECAR),
        })
    }

    /// The columns that are read.
    pub fn columns(&self) -> impl Iterator<Item = usize> {
        self.members.iter().map(|(column, _)| *column).chain(self.sidecar)
    }

    /// How many cells a record must have.
    pub const fn width(&self) -> usize {
        self.width
    }

    /// Reads a record into the open row, by its cells of the columns that are read.
    pub fn read<'a>(&self, cell: impl Fn(usize) -> &'a str, draft: &mut Draft<'_>) -> Result<(), Issue> {
        let sidecar = self.sidecar.and_then(|column| Tree::read(cell(column)));
        let export = Export {
            record: Raw::default(),
            top: Top::default(),
            native: &self.native,
            sidecar: sidecar.as_ref().map(|tree| tree.raw().read()).unwrap_or_default(),
        };
        let members = self.members.iter().map(|(column, put)| (*put, cell(*column)));
        let read = sumsub::sheet::read(&export, members, draft);
        strictly(&self.native, draft, read)
    }
}
