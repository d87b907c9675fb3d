//! The header of a CSV source: which column is which field.

use super::schema::{FieldId, Schema};
use crate::domain::fault::SourceFault;

/// Columns of a CSV source by position; `None` is a column nobody knows, which is ignored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Header(Vec<Option<FieldId>>);

impl Header {
    /// Resolves column names.
    pub fn resolve(columns: &[String], schema: &Schema, limit: usize) -> Result<Self, SourceFault> {
        if columns.len() > limit {
            return Err(SourceFault::TooManyColumns { found: columns.len(), limit });
        }
        let fields: Vec<_> = columns.iter().map(|column| schema.find_column(column)).collect();
        for (position, field) in fields.iter().enumerate() {
            if let Some(field) = field
                && fields[..position].contains(&Some(*field))
            {
                return Err(SourceFault::DuplicateColumn(schema.spec(*field).name.to_owned()));
            }
        }
        for one_of in schema.required {
            if !one_of.iter().any(|field| fields.contains(&Some(*field))) {
                let found = SourceFault::shown(columns.iter().map(String::as_str));
                let column = one_of.first().map_or("", |field| schema.spec(*field).column);
                return Err(SourceFault::MissingColumn { column, found });
            }
        }
        Ok(Self(fields))
    }

    /// How many cells a record must have.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is no column; never true of a resolved header.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// How many columns are fields.
    pub fn fields(&self) -> usize {
        self.0.iter().flatten().count()
    }

    /// The field of a column.
    pub fn field(&self, column: usize) -> Option<FieldId> {
        self.0.get(column).copied().flatten()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::canonical::user_verification::{USER_VERIFICATION, UserField};

    fn resolve(columns: &[&str]) -> Result<Header, SourceFault> {
        let columns: Vec<_> = columns.iter().map(|&column| column.to_owned()).collect();
        Header::resolve(&columns, &USER_VERIFICATION, 5)
    }

    #[test]
    fn unknown_columns_are_ignored_and_faults_are_named() {
        let header = resolve(&["External_ID ", "color", "metadata"]).expect("good");
        assert_eq!(header.field(0), Some(UserField::ExternalId.id()));
        assert_eq!(header.field(1), None);
        assert_eq!((header.len(), header.fields()), (3, 2));
        assert_eq!(header.field(9), None);
        assert_eq!(
            resolve(&["id", "status"]),
            Err(SourceFault::MissingColumn { column: "external_id", found: "id, status".to_owned() })
        );
        assert_eq!(
            resolve(&["external_id", "metadata", "metadata_json"]),
            Err(SourceFault::DuplicateColumn("metadata".to_owned()))
        );
        assert_eq!(resolve(&["a"; 6]), Err(SourceFault::TooManyColumns { found: 6, limit: 5 }));
    }
}
