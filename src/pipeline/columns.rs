//! Which columns of a CSV source are read, and as what.

#[cfg(test)]
use crate::domain::import::ImportType;
use crate::{
    adapters::{
        mapping::{MappedSheet, Plan},
        registry::{Native, NativeSheet},
    },
    canonical::{
        header::Header,
        schema::{FieldId, Schema},
        schema_of,
    },
    domain::{fault::SourceFault, import::ImportSpec},
};

/// The columns that an import knows, before a header is seen.
#[derive(Debug)]
pub struct Columns {
    schema: &'static Schema,
    label: String,
    native: Option<Native>,
    plan: Option<Plan>,
}

/// A header, resolved.
#[derive(Debug, Clone)]
pub enum Sheet {
    /// The canonical columns.
    Canonical(Header),
    /// Those of a provider's own CSV.
    Native(NativeSheet),
    /// Those of a mapping.
    Mapped(Plan, MappedSheet),
}

impl Columns {
    /// The columns that an import of that spec knows.
    pub fn of(spec: &ImportSpec) -> Result<Self, SourceFault> {
        Ok(Self {
            schema: schema_of(spec.import_type),
            label: spec.provider.clone(),
            native: Native::of(spec),
            plan: plan_of(spec)?,
        })
    }

    /// The canonical columns alone.
    #[cfg(test)]
    pub fn canonical(import_type: ImportType) -> Self {
        Self { schema: schema_of(import_type), label: String::new(), native: None, plan: None }
    }

    /// How many of a header's columns are known; nothing where one is missing that must be there.
    pub fn known(&self, header: &[&str]) -> Option<usize> {
        if let Some(plan) = &self.plan {
            return Some(MappedSheet::known(plan, header.iter().copied())).filter(|count| *count > 0);
        }
        let fields = || header.iter().filter_map(|column| self.schema.find_column(column));
        let mandatory: &[FieldId] = self.schema.required.first().copied().unwrap_or_default();
        if fields().any(|field| mandatory.contains(&field)) {
            return Some(fields().count());
        }
        let native = NativeSheet::resolve(self.native.as_ref()?, header)?;
        Some(native.columns().count())
    }

    /// Resolves a header of at most `limit` columns: by the mapping, if there is one; else it is canonical, or
    /// the provider's own.
    pub fn resolve(&self, header: &[String], limit: usize) -> Result<Sheet, SourceFault> {
        if header.len() > limit {
            return Err(SourceFault::TooManyColumns { found: header.len(), limit });
        }
        if let Some(plan) = &self.plan {
            return Ok(Sheet::Mapped(plan.clone(), MappedSheet::resolve(plan, header)?));
        }
        let (column, found) = match Header::resolve(header, self.schema, limit) {
            Ok(header) => return Ok(Sheet::Canonical(header)),
            Err(SourceFault::MissingColumn { column, found }) => (column, found),
            Err(fault) => return Err(fault),
        };
        let names: Vec<_> = header.iter().map(String::as_str).collect();
        match self.native.as_ref().and_then(|native| NativeSheet::resolve(native, &names)) {
            Some(sheet) => Ok(Sheet::Native(sheet)),
            None => Err(match self.native.as_ref().and_then(NativeSheet::expected) {
                Some(expected) => {
                    SourceFault::UnknownHeader { provider: self.label.clone(), expected, column, found }
                }
                None => SourceFault::MissingColumn { column, found },
            }),
        }
    }
}

impl Sheet {
    /// How many cells a record must have.
    pub(super) fn width(&self) -> usize {
        match self {
            Self::Canonical(header) => header.len(),
            Self::Native(sheet) => sheet.width(),
            Self::Mapped(_, sheet) => sheet.width(),
        }
    }

    /// How many columns are read.
    pub(super) fn fields(&self) -> usize {
        match self {
            Self::Canonical(header) => header.fields(),
            Self::Native(sheet) => sheet.columns().count(),
            Self::Mapped(plan, _) => plan.sources().len(),
        }
    }

    /// Columns of its header that are not read.
    pub fn ignored(&self, header: &[String]) -> Vec<String> {
        let reads = |(place, column): &(usize, &String)| match self {
            Self::Canonical(header) => header.field(*place).is_some(),
            Self::Native(sheet) => sheet.columns().any(|column| column == *place),
            Self::Mapped(plan, _) => MappedSheet::reads(plan, column),
        };
        let ignored = header.iter().enumerate().filter(|column| !reads(column));
        ignored.map(|(_, column)| column.clone()).collect()
    }
}

/// The mapping of a spec, ready to be used.
pub(super) fn plan_of(spec: &ImportSpec) -> Result<Option<Plan>, SourceFault> {
    let plan = spec.mapping.as_ref().map(|mapping| Plan::understand(mapping, spec.import_type));
    match plan {
        Some(None) => Err(SourceFault::Mapping),
        plan => Ok(plan.flatten()),
    }
}
