//! Row errors and warnings of a segment.

use sqlx::{AssertSqlSafe, PgConnection, Row};

use crate::{
    domain::issue::Issue,
    store::{
        commit::{Commit, ERROR_COLUMNS, Kept, RowIssues, WARNING_COLUMNS},
        error::Error,
    },
};

/// Writes row errors and warnings as long as there is room for them; gives how many.
pub(super) async fn write(tx: &mut PgConnection, commit: &Commit) -> Result<Kept, Error> {
    if commit.batch.failures.is_empty() && commit.batch.warnings.is_empty() {
        return Ok(Kept::default());
    }
    // Segments of one import are written at a time; from here on they take turns, as they do at its
    // counters anyway.
    let kept = "SELECT stored_error_count, stored_warning_count FROM imports \
        WHERE application_id = $1 AND id = $2 FOR UPDATE";
    let kept = sqlx::query(kept).bind(commit.claim.application_id.0).bind(commit.claim.import_id.0);
    let kept = kept.fetch_one(&mut *tx).await?;
    let kept = Kept { errors: kept.try_get(0)?, warnings: kept.try_get(1)? };
    let (failures, warnings) = (commit.failures_to_keep(kept), commit.warnings_to_keep(kept));
    write_errors(tx, commit, failures).await?;
    write_warnings(tx, commit, &warnings).await?;
    Ok(Kept { errors: failures.len() as i64, warnings: warnings.len() as i64 })
}

async fn write_errors(tx: &mut PgConnection, commit: &Commit, failures: &[RowIssues]) -> Result<(), Error> {
    if failures.is_empty() {
        return Ok(());
    }
    let insert = format!(
        "INSERT INTO row_errors ({ERROR_COLUMNS}) SELECT $1, $2, r, l, o, c, e, i::json, $9 \
         FROM UNNEST($3::bigint[], $4::bigint[], $5::bigint[], $6::bigint[], $7::text[], $8::text[]) AS t (r, l, o, c, e, i)"
    );
    let issues = failures.iter().map(|of| serde_json::to_string(&of.issues)).collect::<Result<Vec<_>, _>>();
    sqlx::query(AssertSqlSafe(insert))
        .bind(commit.claim.application_id.0)
        .bind(commit.claim.import_id.0)
        .bind(failures.iter().map(|of| commit.row_number(of.row)).collect::<Vec<_>>())
        .bind(failures.iter().map(|of| of.line_number).collect::<Vec<_>>())
        .bind(failures.iter().map(|of| of.byte_offset).collect::<Vec<_>>())
        .bind(failures.iter().map(|of| of.byte_count).collect::<Vec<_>>())
        .bind(failures.iter().map(|of| of.external_id.as_deref()).collect::<Vec<_>>())
        .bind(issues.map_err(|_| Error::Corrupt("issue"))?)
        .bind(commit.now)
        .execute(&mut *tx)
        .await?;
    Ok(())
}

async fn write_warnings(
    tx: &mut PgConnection,
    commit: &Commit,
    warnings: &[(&RowIssues, i16, &Issue)],
) -> Result<(), Error> {
    if warnings.is_empty() {
        return Ok(());
    }
    let insert = format!(
        "INSERT INTO row_warnings ({WARNING_COLUMNS}) SELECT $1, $2, r, n, l, o, c, e, i::json, $10 \
         FROM UNNEST($3::bigint[], $4::smallint[], $5::bigint[], $6::bigint[], $7::bigint[], $8::text[], $9::text[]) \
         AS t (r, n, l, o, c, e, i)"
    );
    let issues =
        warnings.iter().map(|(.., issue)| serde_json::to_string(issue)).collect::<Result<Vec<_>, _>>();
    sqlx::query(AssertSqlSafe(insert))
        .bind(commit.claim.application_id.0)
        .bind(commit.claim.import_id.0)
        .bind(warnings.iter().map(|(of, ..)| commit.row_number(of.row)).collect::<Vec<_>>())
        .bind(warnings.iter().map(|(_, ordinal, _)| *ordinal).collect::<Vec<_>>())
        .bind(warnings.iter().map(|(of, ..)| of.line_number).collect::<Vec<_>>())
        .bind(warnings.iter().map(|(of, ..)| of.byte_offset).collect::<Vec<_>>())
        .bind(warnings.iter().map(|(of, ..)| of.byte_count).collect::<Vec<_>>())
        .bind(warnings.iter().map(|(of, ..)| of.external_id.as_deref()).collect::<Vec<_>>())
        .bind(issues.map_err(|_| Error::Corrupt("issue"))?)
        .bind(commit.now)
        .execute(&mut *tx)
        .await?;
    Ok(())
}
