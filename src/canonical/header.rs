//! The header of a CSV source: which column is which field.

use super::field::Field;
use crate::domain::fault::SourceFault;

/// Columns of a CSV source by position; `None` is a column nobody knows, which is ignored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Header(Vec<Option<Field>>);

/// How much of the columns found an error shows, in characters.
const SHOWN_CHARS: usize = 200;

impl Header {
    /// Resolves column names.
    pub fn resolve(columns: &[String], limit: usize) -> Result<Self, SourceFault> {
        if columns.len() > limit {
            return Err(SourceFault::TooManyColumns { found: columns.len(), limit });
        }
        let fields: Vec<_> = columns.iter().map(|column| Field::from_column(column)).collect();
        for (position, field) in fields.iter().enumerate() {
            if let Some(field) = field
                && fields[..position].contains(&Some(*field))
            {
                return Err(SourceFault::DuplicateColumn(field.name().to_owned()));
            }
        }
        if !fields.contains(&Some(Field::ExternalId)) {
            let found = columns.join(", ").chars().filter(|c| !c.is_control()).take(SHOWN_CHARS).collect();
            return Err(SourceFault::MissingColumn { column: Field::ExternalId.name(), found });
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

    /// The field of a column.
    pub fn field(&self, column: usize) -> Option<Field> {
        self.0.get(column).copied().flatten()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resolve(columns: &[&str]) -> Result<Header, SourceFault> {
        Header::resolve(&columns.iter().map(|&c| c.to_owned()).collect::<Vec<_>>(), 5)
    }

    #[test]
    fn unknown_columns_are_ignored_and_faults_are_named() {
        let header = resolve(&["External_ID ", "color", "metadata"]).expect("good");
        assert_eq!(header.field(0), Some(Field::ExternalId));
        assert_eq!(header.field(1), None);
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
