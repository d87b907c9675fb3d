//! The tables that imports write records to, and how a record fills a row.

use chrono::{DateTime, NaiveDate, Utc};
use uuid::Uuid;

use super::commit::{Commit, RecordRow};
use crate::{
    canonical::{
        arena::Arena, business_verification::BusinessVerification, record::Record, transaction::Transaction,
        user_verification::UserVerification,
    },
    domain::import::ImportType,
};

/// A table of records. Its key is `(application_id, id)`.
#[derive(Debug)]
pub(super) struct Table {
    pub(super) name: &'static str,
    /// Its columns, in the order both writers fill them.
    pub(super) columns: &'static str,
    /// How many they are.
    pub(super) count: usize,
    /// The one that orders records as they were imported.
    pub(super) number: &'static str,
}

const USER_SESSIONS: Table = Table {
    name: "user_sessions",
    columns: "application_id, id, session_number, import_id, row_number, workflow_id, provider, external_id, \
        vendor_data, status, created_at, expires_at, document_type, document_subtype, document_number, \
        personal_number, first_name, last_name, full_name, date_of_birth, gender, nationality, issuing_state, \
        date_of_issue, expiration_date, address, place_of_birth, id_verification_status, email, phone, details, \
        metadata",
    count: 32,
    number: "session_number",
};

const BUSINESS_SESSIONS: Table = Table {
    name: "business_sessions",
    columns: "application_id, id, session_number, import_id, row_number, workflow_id, provider, external_id, \
        vendor_data, status, created_at, company_name, registration_number, country_code, details, metadata",
    count: 16,
    number: "session_number",
};

const TRANSACTIONS: Table = Table {
    name: "transactions",
    columns: "application_id, id, transaction_number, import_id, row_number, provider, external_id, txn_id, \
        transaction_at, transaction_type, action_type, direction, amount, currency, status, score, severity, \
        subject_entity_type, subject_vendor_data, subject_name, subject_country, counterparty_entity_type, \
        counterparty_vendor_data, counterparty_name, counterparty_country, details, metadata",
    count: 27,
    number: "transaction_number",
};

impl Table {
    /// Where records of that type go; status rules have a way of their own.
    pub(super) const fn of(import_type: ImportType) -> Option<&'static Self> {
        match import_type {
            ImportType::UserVerification => Some(&USER_SESSIONS),
            ImportType::BusinessVerification => Some(&BUSINESS_SESSIONS),
            ImportType::Transactions => Some(&TRANSACTIONS),
            ImportType::StatusRules => None,
        }
    }
}

/// Takes the cells of a row one by one.
pub(super) trait Cells {
    fn uuid(&mut self, id: Uuid);
    fn bigint(&mut self, number: i64);
    fn int(&mut self, number: i32);
    fn text(&mut self, text: Option<&str>);
    fn time(&mut self, time: Option<DateTime<Utc>>);
    fn date(&mut self, date: Option<NaiveDate>);
}

/// Fills the cells of a record, in the order of its table's columns.
pub(super) fn fill(commit: &Commit, row: &RecordRow, number: i64, cells: &mut impl Cells) {
    cells.uuid(commit.claim.application_id.0);
    cells.uuid(row.id);
    cells.bigint(number);
    cells.uuid(commit.claim.import_id.0);
    cells.bigint(commit.row_number(row.row));
    let arena = &commit.batch.arena;
    match &row.record {
        Record::User(record) => user_session(commit, record, arena, cells),
        Record::Business(record) => business_session(commit, record, arena, cells),
        Record::Transaction(record) => transaction(commit, record, arena, cells),
        // Status rules are no rows of a table of records.
        Record::Rule(_) => {}
    }
}

fn user_session(commit: &Commit, record: &UserVerification, arena: &Arena, cells: &mut impl Cells) {
    cells.uuid(commit.workflow_id.0);
    cells.text(Some(arena.find(record.provider).unwrap_or(&commit.provider)));
    cells.text(Some(arena.get(record.external_id)));
    cells.text(arena.find(record.vendor_data));
    cells.text(Some(record.status().as_str()));
    cells.time(Some(record.created_at.unwrap_or(commit.imported_at)));
    cells.time(record.expires_at);
    cells.text(record.document_type.map(|document| document.as_str()));
    cells.text(arena.find(record.document_subtype));
    cells.text(arena.find(record.document_number));
    cells.text(arena.find(record.personal_number));
    cells.text(arena.find(record.first_name));
    cells.text(arena.find(record.last_name));
    cells.text(arena.find(record.full_name));
    cells.date(record.date_of_birth);
    cells.text(record.gender.map(|gender| gender.as_str()));
    cells.text(arena.find(record.nationality));
    cells.text(record.issuing_state);
    cells.date(record.date_of_issue);
    cells.date(record.expiration_date);
    cells.text(arena.find(record.address));
    cells.text(arena.find(record.place_of_birth));
    cells.text(record.id_verification_status.map(|status| status.as_str()));
    cells.text(arena.find(record.email));
    cells.text(arena.find(record.phone));
    cells.text(arena.find(record.details));
    cells.text(arena.find(record.metadata));
}

fn business_session(commit: &Commit, record: &BusinessVerification, arena: &Arena, cells: &mut impl Cells) {
    cells.uuid(commit.workflow_id.0);
    cells.text(Some(arena.find(record.provider).unwrap_or(&commit.provider)));
    cells.text(Some(arena.get(record.external_id)));
    cells.text(arena.find(record.vendor_data));
    cells.text(Some(record.status().as_str()));
    cells.time(Some(record.created_at.unwrap_or(commit.imported_at)));
    cells.text(Some(arena.get(record.company_name)));
    cells.text(arena.find(record.registration_number));
    cells.text(record.country_code);
    cells.text(arena.find(record.details));
    cells.text(arena.find(record.metadata));
}

fn transaction(commit: &Commit, record: &Transaction, arena: &Arena, cells: &mut impl Cells) {
    cells.text(Some(arena.find(record.provider).unwrap_or(&commit.provider)));
    cells.text(Some(arena.get(record.external_id)));
    cells.text(Some(arena.get(record.txn_id)));
    cells.time(Some(record.transaction_at.unwrap_or(commit.imported_at)));
    cells.text(Some(record.category.as_str()));
    cells.text(Some(arena.find(record.action_type).unwrap_or(record.category.as_str())));
    cells.text(Some(record.direction.as_str()));
    cells.text(Some(arena.get(record.amount)));
    cells.text(Some(arena.get(record.currency)));
    cells.text(Some(record.status.as_str()));
    cells.int(record.score);
    cells.text(record.severity.map(|severity| severity.as_str()));
    for party in [Some(record.subject), record.counterparty].map(Option::unwrap_or_default) {
        cells.text(party.entity_type.map(|kind| kind.as_str()));
        cells.text(arena.find(party.vendor_data));
        cells.text(arena.find(party.full_name));
        cells.text(arena.find(party.country));
    }
    cells.text(arena.find(record.details));
    cells.text(arena.find(record.metadata));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_many_as_are_counted() {
        for import_type in ImportType::ALL {
            let Some(table) = Table::of(*import_type) else { continue };
            assert_eq!(table.columns.split(',').count(), table.count, "{}", table.name);
            assert!(table.columns.contains(table.number), "{}", table.name);
        }
    }
}
