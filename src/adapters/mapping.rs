//! Rows of a form that no adapter knows: the caller's mapping tells which member or column is which field.
//!
//! A mapping is checked when it comes and compiled for each segment. What a row says is found first, each source
//! in a slot of its own, and then made into cells of the canonical schema.

mod check;
mod date_format;
mod given;
mod kind;
mod paths;
mod rule;
mod sheet;

use super::{draft::Draft, metadata::Metadata};
use crate::{
    canonical::{
        schema::{FieldId, Form, Schema},
        schema_of,
    },
    domain::{
        import::{ImportType, Mapping},
        issue::Issue,
    },
};
pub use check::check;
pub use given::Given;
pub use paths::Paths;
use rule::Rule;
pub use sheet::MappedSheet;

/// A mapping, ready to be used.
#[derive(Debug, Clone)]
pub struct Plan {
    schema: &'static Schema,
    /// The field that takes what has none; any where no target does so.
    metadata: FieldId,
    lenient: bool,
    /// In the order of the schema; members of metadata stand last.
    targets: Vec<Target>,
    /// What is read of a row, each once: a target names its sources by their places here.
    sources: Vec<String>,
}

/// A field that is made.
#[derive(Debug, Clone)]
struct Target {
    to: To,
    rule: Rule,
}

/// Where a value goes.
#[derive(Debug, Clone, PartialEq, Eq)]
enum To {
    Field(FieldId),
    /// A member of metadata.
    Metadata(String),
}

impl To {
    fn find(name: &str, schema: &Schema) -> Option<Self> {
        match name.strip_prefix(METADATA_MEMBER) {
            Some(key) if !key.is_empty() && schema.find_column(METADATA).is_some() => {
                Some(Self::Metadata(key.to_owned()))
            }
            _ => schema.find_column(name).map(Self::Field),
        }
    }
}

/// The field that takes what has none.
const METADATA: &str = "metadata";

/// How the field of a member of metadata begins.
const METADATA_MEMBER: &str = "metadata.";

/// Buffers that rows of a segment use one after the other.
#[derive(Debug, Default)]
pub struct Scratch {
    joined: String,
    folded: String,
}

impl Plan {
    /// Compiles a mapping of rows of that type that has been checked; nothing when it cannot be understood.
    pub fn understand(mapping: &Mapping, import_type: ImportType) -> Option<Self> {
        let schema = schema_of(import_type);
        let (mut targets, mut sources) = (Vec::with_capacity(mapping.fields.len()), Vec::new());
        for field in &mapping.fields {
            let to = To::find(&field.field, schema)?;
            let name = match &to {
                To::Field(id) => schema.spec(*id).name,
                To::Metadata(_) => METADATA_MEMBER,
            };
            let slots = field.sources.iter().map(|source| slot(&mut sources, source)).collect();
            targets.push(Target { to, rule: Rule::new(field, name, slots)? });
        }
        targets.sort_by_key(|target| match target.to {
            To::Field(id) => id.0,
            To::Metadata(_) => u8::MAX,
        });
        let metadata = schema.find_column(METADATA).unwrap_or(FieldId(0));
        Some(Self { schema, metadata, lenient: mapping.lenient, targets, sources })
    }

    /// Whether a value that is no good is left out, instead of failing its row.
    pub const fn is_lenient(&self) -> bool {
        self.lenient
    }

    /// What is read of a row: columns, or paths.
    pub fn sources(&self) -> &[String] {
        &self.sources
    }

    /// Makes cells of the open row of what its sources say; gives what is wrong with that.
    pub fn write<'a>(
        &self,
        found: impl Fn(usize) -> Given<'a>,
        scratch: &mut Scratch,
        draft: &mut Draft<'_>,
    ) -> Vec<Issue> {
        let (mut issues, mut metadata) = (Vec::new(), Metadata::default());
        for Target { to, rule } in &self.targets {
            let (field, form) = match to {
                To::Field(field) => (*field, self.schema.spec(*field).form),
                To::Metadata(_) => (self.metadata, Form::Any),
            };
            match (rule.value(&found, form, scratch), to) {
                (Ok(value), To::Field(_)) => value.put(field, form, draft),
                (Ok(value), To::Metadata(key)) => value.tell(key, &mut metadata),
                (Err(fault), _) => {
                    let issue = fault.of_field(self.schema.spec(field));
                    if self.lenient && !self.schema.requires(&issue.field) {
                        draft.leave_out(issue);
                    } else {
                        issues.push(issue);
                    }
                }
            }
        }
        if let Some(json) = metadata.finish() {
            draft.json(self.metadata, &json);
        }
        issues
    }
}

/// The place of a source among those that are read.
fn slot(sources: &mut Vec<String>, source: &str) -> usize {
    sources.iter().position(|known| known == source).unwrap_or_else(|| {
        sources.push(source.to_owned());
        sources.len() - 1
    })
}
