//! The canonical format itself (contract §2). Strict: it was written for us, so a bad value is an
//! issue of its row, and all of them are told at once.

mod business_verification;
mod party;
mod reader;
mod status_rule;
mod transaction;
mod user_verification;

use chrono::{DateTime, Utc};

use crate::{
    canonical::{
        arena::Arena,
        cell::Cell,
        record::Record,
        schema::{FieldSet, Schema},
        schema_of,
        user_verification::MediaLink,
    },
    domain::{import::ImportType, issue::Issue},
};
use reader::Reader;

/// Reads the rows of one segment, one after the other.
pub struct Adapter {
    import_type: ImportType,
    schema: &'static Schema,
    now: DateTime<Utc>,
    max_depth: usize,
    /// What has no column of its own, of one row.
    details: String,
    /// Media that the last row links to.
    links: Vec<MediaLink>,
}

impl Adapter {
    /// An adapter for rows of that type; `now` bounds what may not lie in the future, `max_depth` the
    /// nesting of JSON.
    pub fn new(import_type: ImportType, now: DateTime<Utc>, max_depth: usize) -> Self {
        let (details, links) = (String::new(), Vec::new());
        Self { import_type, schema: schema_of(import_type), now, max_depth, details, links }
    }

    /// Reads a record from a row's cells, which stand in the order of the schema, and the fields it gives as
    /// null; what is wrong with them goes to `issues`.
    pub fn read(
        &mut self,
        cells: &[Cell],
        nulls: FieldSet,
        arena: &mut Arena,
        issues: &mut Vec<Issue>,
    ) -> Record {
        self.details.clear();
        self.links.clear();
        let mut reader = Reader {
            cells,
            nulls,
            schema: self.schema,
            arena,
            now: self.now,
            max_depth: self.max_depth,
            issues,
            links: &mut self.links,
        };
        match self.import_type {
            ImportType::UserVerification => {
                Record::User(user_verification::read(&mut reader, &mut self.details))
            }
            ImportType::BusinessVerification => {
                Record::Business(business_verification::read(&mut reader, &mut self.details))
            }
            ImportType::Transactions => {
                Record::Transaction(transaction::read(&mut reader, &mut self.details))
            }
            ImportType::StatusRules => Record::Rule(Box::new(status_rule::read(&mut reader))),
        }
    }

    /// Media that the row read last links to, in the order of the schema.
    pub fn links(&self) -> &[MediaLink] {
        &self.links
    }
}
