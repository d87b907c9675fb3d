//! Row errors and warnings of a segment.

use rusqlite::{Transaction, params};

use super::{binder::time, insert_sql};
use crate::store::{
    commit::{Commit, ERROR_COLUMNS, Fence, Kept, WARNING_COLUMNS},
    error::Error,
};

/// Writes row errors and warnings as long as there is room for them; gives how many.
pub(super) fn write(tx: &Transaction<'_>, commit: &Commit, fence: &Fence) -> Result<Kept, Error> {
    let (application, import) =
        (commit.claim.application_id.0.as_bytes(), commit.claim.import_id.0.as_bytes());
    let mut statement = tx.prepare_cached(&insert_sql("row_errors", ERROR_COLUMNS, 9))?;
    let failures = commit.failures_to_keep(fence.kept);
    for failure in failures {
        statement.execute(params![
            application,
            import,
            commit.row_number(failure.row),
            failure.line_number,
            failure.byte_offset,
            failure.byte_count,
            failure.external_id,
            serde_json::to_string(&failure.issues).map_err(|_| Error::Corrupt("issue"))?,
            time(commit.now),
        ])?;
    }
    let mut statement = tx.prepare_cached(&insert_sql("row_warnings", WARNING_COLUMNS, 10))?;
    let warnings = commit.warnings_to_keep(fence.kept);
    for (of, ordinal, issue) in &warnings {
        statement.execute(params![
            application,
            import,
            commit.row_number(of.row),
            ordinal,
            of.line_number,
            of.byte_offset,
            of.byte_count,
            of.external_id,
            serde_json::to_string(issue).map_err(|_| Error::Corrupt("issue"))?,
            time(commit.now),
        ])?;
    }
    Ok(Kept { errors: failures.len() as i64, warnings: warnings.len() as i64 })
}
