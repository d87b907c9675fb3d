//! The canonical records and their fields, which parse themselves. Pure.

pub mod arena;
pub mod business_verification;
pub mod cell;
pub mod country;
pub mod date;
pub mod decimal;
pub mod document;
pub mod header;
pub mod json;
pub mod object_writer;
pub mod party;
pub mod record;
pub mod scalar;
pub mod schema;
pub mod status;
pub mod status_rule;
pub mod transaction;
pub mod user_verification;

use crate::domain::import::ImportType;
use schema::Schema;

/// The fields of what an import's rows describe.
pub fn schema_of(import_type: ImportType) -> &'static Schema {
    match import_type {
        ImportType::UserVerification => &user_verification::USER_VERIFICATION,
        ImportType::BusinessVerification => &business_verification::BUSINESS_VERIFICATION,
        ImportType::Transactions => &transaction::TRANSACTION,
        ImportType::StatusRules => &status_rule::STATUS_RULE,
    }
}
