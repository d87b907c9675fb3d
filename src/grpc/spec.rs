//! Requests, read: all that is wrong with one is told at once.

mod import;
mod options;
mod preview;
mod session;

use uuid::Uuid;

use super::pb;
use crate::domain::{
    ids::ImportId,
    import::{ImportStatus, ImportType},
    issue::IssueSeverity,
    ledger::Outcome,
    limits::LimitSettings,
    refusal::{FieldViolation, Refusal},
};

pub(super) use import::{import_spec, retry_request};
pub(super) use preview::preview_request;
pub(super) use session::session_filter;

/// Gathers what is wrong with a request.
#[derive(Default)]
struct Violations(Vec<FieldViolation>);

impl Violations {
    fn add(&mut self, field: &str, description: &str) {
        self.0.push(FieldViolation::new(field, description));
    }

    fn check(&mut self, good: bool, field: &str, description: &str) {
        if !good {
            self.add(field, description);
        }
    }

    fn none_or<T>(self, value: T) -> Result<T, Refusal> {
        if self.0.is_empty() { Ok(value) } else { Err(Refusal::InvalidFields(self.0)) }
    }
}

/// Reads an import type; none for one that is not known, or not set.
pub(super) fn import_type(number: i32) -> Option<ImportType> {
    match pb::ImportType::try_from(number) {
        Ok(pb::ImportType::UserVerification) => Some(ImportType::UserVerification),
        Ok(pb::ImportType::BusinessVerification) => Some(ImportType::BusinessVerification),
        Ok(pb::ImportType::Transactions) => Some(ImportType::Transactions),
        Ok(pb::ImportType::StatusRules) => Some(ImportType::StatusRules),
        Ok(pb::ImportType::Unspecified) | Err(_) => None,
    }
}

/// Reads the limits an application has of its own.
pub(super) fn limit_settings(limits: pb::ApplicationLimits) -> LimitSettings {
    // A negative number is no limit, and is refused as one that is too large to be kept.
    let number = |limit: Option<i64>| limit.map(|limit| u64::try_from(limit).unwrap_or(u64::MAX));
    LimitSettings {
        upload_bytes: number(limits.upload_bytes),
        rows: number(limits.rows),
        rows_per_day: number(limits.rows_per_day),
        row_bytes: number(limits.row_bytes),
        columns: number(limits.columns),
        cell_bytes: number(limits.cell_bytes),
        json_depth: number(limits.json_depth),
        stored_row_errors: number(limits.stored_row_errors),
        stored_warnings: number(limits.stored_warnings),
        source_retention_days: number(limits.source_retention_days),
    }
}

/// Whether a database can look for a text at all.
fn is_text(text: &str) -> bool {
    !text.contains('\0')
}

const NOT_TEXT: &str = "must hold no NUL character";

/// Values of one filter; there are 249 countries.
const FILTER_VALUES: usize = 300;

/// Reads the key of a user or business.
pub(super) fn vendor_data(text: &str) -> Result<&str, Refusal> {
    if is_text(text) { Ok(text) } else { Err(Refusal::field("vendor_data", NOT_TEXT)) }
}

/// Reads a UUID; anything else names nothing that exists.
pub(super) fn id(text: &str, what: &'static str) -> Result<Uuid, Refusal> {
    Uuid::parse_str(text).map_err(|_| Refusal::NotFound(what))
}

/// Reads an import's id.
pub(super) fn import_id(text: &str) -> Result<ImportId, Refusal> {
    id(text, "import").map(ImportId)
}

/// Reads import states.
pub(super) fn import_statuses(statuses: &[i32]) -> Result<Vec<ImportStatus>, Refusal> {
    let word = |status: &i32| {
        let name = pb::ImportStatus::try_from(*status).ok()?.as_str_name();
        ImportStatus::from_word(name.strip_prefix("IMPORT_STATUS_")?)
    };
    let read =
        |status| word(status).ok_or_else(|| Refusal::field("statuses", "holds a value that is no status"));
    statuses.iter().map(read).collect()
}

/// Reads whether errors or warnings are meant; not set means errors.
pub(super) fn severity(severity: i32) -> Result<IssueSeverity, Refusal> {
    match pb::IssueSeverity::try_from(severity) {
        Ok(pb::IssueSeverity::Unspecified | pb::IssueSeverity::Error) => Ok(IssueSeverity::Error),
        Ok(pb::IssueSeverity::Warning) => Ok(IssueSeverity::Warning),
        Err(_) => Err(Refusal::field("severity", "must be ERROR or WARNING")),
    }
}

/// Reads outcomes; none means failed, and any where rows with warnings are meant.
pub(super) fn outcomes(outcomes: &[i32], severity: IssueSeverity) -> Result<Vec<Outcome>, Refusal> {
    if outcomes.is_empty() {
        return Ok(match severity {
            IssueSeverity::Error => vec![Outcome::Failed],
            IssueSeverity::Warning => Outcome::ALL.to_vec(),
        });
    }
    let read = |outcome: &i32| match pb::RowOutcome::try_from(*outcome) {
        Ok(pb::RowOutcome::Created) => Ok(Outcome::Created),
        Ok(pb::RowOutcome::Updated) => Ok(Outcome::Updated),
        Ok(pb::RowOutcome::Skipped) => Ok(Outcome::Skipped),
        Ok(pb::RowOutcome::Failed) => Ok(Outcome::Failed),
        _ => Err(Refusal::field("outcomes", "holds a value that is no outcome")),
    };
    outcomes.iter().map(read).collect()
}
