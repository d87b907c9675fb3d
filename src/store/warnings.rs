//! Warnings of rows: as many are kept as the import's limit allows, and all are counted.
//!
//! Those of a segment are written by its transaction; [`add`] is for all others.

use chrono::{DateTime, Utc};
use sea_orm::{
    ActiveValue::Set,
    ColumnTrait, DatabaseTransaction, EntityTrait, ExprTrait, QueryFilter, QueryOrder, QuerySelect, Select,
    sea_query::{Expr, OnConflict},
};

use super::{
    Store, StoredRowError,
    entities::{
        import,
        row_warning::{self, Column},
    },
    error::Error,
    imports,
};
use crate::domain::{
    ids::{ApplicationId, ImportId},
    issue::{Issue, IssueSeverity},
    segment::SegmentRange,
};

/// A warning of a row.
pub(super) struct NewWarning {
    /// The row, from 1.
    pub(super) row_number: i64,
    /// Its place among those of the row: from 0 on what was found when the row was read, from 100 on what came
    /// after it was settled.
    pub(super) ordinal: i16,
    /// The row's line, from 1.
    pub(super) line_number: i64,
    /// The row's first byte.
    pub(super) byte_offset: i64,
    /// The row's bytes, line end included.
    pub(super) byte_count: i64,
    /// The row's key, where it is known.
    pub(super) external_id: Option<String>,
    /// What it says.
    pub(super) issue: Issue,
}

/// Counts warnings of an import, and keeps those there is room for; none any more once its source is deleted.
/// Locks the import's row first. A warning that is there already stays, and counts once more.
pub(super) async fn add(
    tx: &DatabaseTransaction,
    application: ApplicationId,
    id: ImportId,
    warnings: Vec<NewWarning>,
    now: DateTime<Utc>,
) -> Result<(), Error> {
    if warnings.is_empty() {
        return Ok(());
    }
    let this = |update: sea_orm::UpdateMany<import::Entity>| {
        update.filter(import::Column::ApplicationId.eq(application.0)).filter(import::Column::Id.eq(id.0))
    };
    let count = Expr::col(import::Column::WarningCount).add(warnings.len() as i64);
    let counted = this(imports::changed(now).col_expr(import::Column::WarningCount, count));
    let Some(import) = counted.exec_with_returning(tx).await?.pop() else { return Ok(()) };
    let import = import.into_domain()?;
    let limit = if import.source_deleted_at.is_some() { 0 } else { import.limits.stored_warnings };
    let room = limit.saturating_sub(import.stored_warnings.unsigned_abs());
    let rows = warnings.into_iter().take(usize::try_from(room).unwrap_or(usize::MAX)).map(|warning| {
        Ok(row_warning::ActiveModel {
            application_id: Set(application.0),
            import_id: Set(id.0),
            row_number: Set(warning.row_number),
            ordinal: Set(warning.ordinal),
            line_number: Set(warning.line_number),
            byte_offset: Set(warning.byte_offset),
            byte_count: Set(warning.byte_count),
            external_id: Set(warning.external_id),
            issue: Set(serde_json::to_value(warning.issue).map_err(|_| Error::Corrupt("warning"))?),
            created_at: Set(now),
        })
    });
    let rows = rows.collect::<Result<Vec<_>, Error>>()?;
    let mut kept = 0;
    for rows in rows.chunks(200) {
        kept += row_warning::Entity::insert_many(rows.to_vec())
            .on_conflict(OnConflict::new().do_nothing().to_owned())
            .exec_without_returning(tx)
            .await?;
    }
    let stored = Expr::col(import::Column::StoredWarningCount).add(kept as i64);
    let kept = import::Entity::update_many().col_expr(import::Column::StoredWarningCount, stored);
    this(kept).exec(tx).await?;
    Ok(())
}

impl Store {
    /// Rows with warnings and `after < row_number <= up_to`, at most `limit` rows.
    pub async fn list_row_warnings(
        &self,
        application: ApplicationId,
        import: ImportId,
        after: i64,
        up_to: i64,
        limit: u64,
    ) -> Result<Vec<StoredRowError>, Error> {
        let numbers: Vec<i64> = between(application, import, after, up_to)
            .select_only()
            .column(Column::RowNumber)
            .distinct()
            .order_by_asc(Column::RowNumber)
            .limit(limit)
            .into_tuple()
            .all(&self.db)
            .await?;
        let Some(last) = numbers.last() else { return Ok(Vec::new()) };
        let warnings = between(application, import, after, *last)
            .order_by_asc(Column::RowNumber)
            .order_by_asc(Column::Ordinal)
            .all(&self.db)
            .await?;
        let mut rows: Vec<StoredRowError> = Vec::with_capacity(numbers.len());
        for warning in warnings {
            let issue =
                serde_json::from_value(warning.issue).map_err(|_| Error::Corrupt("row_warnings.issue"))?;
            match rows.last_mut().filter(|row| row.row_number == warning.row_number) {
                Some(row) => row.issues.push(issue),
                None => rows.push(StoredRowError {
                    severity: IssueSeverity::Warning,
                    row_number: warning.row_number,
                    line_number: warning.line_number,
                    byte_offset: warning.byte_offset,
                    byte_count: warning.byte_count,
                    external_id: warning.external_id,
                    issues: vec![issue],
                    created_at: warning.created_at,
                }),
            }
        }
        Ok(rows)
    }

    /// Numbers of the rows of a segment that have warnings, in order.
    pub async fn rows_with_warnings(
        &self,
        application: ApplicationId,
        import: ImportId,
        range: &SegmentRange,
    ) -> Result<Vec<i64>, Error> {
        let before = range.first_row - 1;
        let numbers = between(application, import, before, before + i64::from(range.rows))
            .select_only()
            .column(Column::RowNumber)
            .distinct()
            .order_by_asc(Column::RowNumber)
            .into_tuple()
            .all(&self.db)
            .await?;
        Ok(numbers)
    }
}

/// Warnings of rows with `after < row_number <= up_to`.
fn between(application: ApplicationId, id: ImportId, after: i64, up_to: i64) -> Select<row_warning::Entity> {
    row_warning::Entity::find()
        .filter(Column::ApplicationId.eq(application.0))
        .filter(Column::ImportId.eq(id.0))
        .filter(Column::RowNumber.gt(after))
        .filter(Column::RowNumber.lte(up_to))
}
