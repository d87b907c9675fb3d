//! Mappings, both ways.

use crate::{
    domain::import::{FieldMapping, Mapping},
    grpc::pb,
};

impl From<Mapping> for pb::Mapping {
    fn from(mapping: Mapping) -> Self {
        let field = |field: FieldMapping| pb::FieldMapping {
            field: field.field,
            sources: field.sources,
            join: field.join,
            constant: field.constant,
            values: field.values.into_iter().collect(),
            otherwise: field.otherwise,
            date_format: field.date_format,
        };
        Self { fields: mapping.fields.into_iter().map(field).collect(), lenient: mapping.lenient }
    }
}

impl From<pb::Mapping> for Mapping {
    fn from(mapping: pb::Mapping) -> Self {
        let field = |field: pb::FieldMapping| FieldMapping {
            field: field.field,
            sources: field.sources,
            join: field.join,
            constant: field.constant,
            values: field.values.into_iter().collect(),
            otherwise: field.otherwise,
            date_format: field.date_format,
        };
        Self { fields: mapping.fields.into_iter().map(field).collect(), lenient: mapping.lenient }
    }
}
