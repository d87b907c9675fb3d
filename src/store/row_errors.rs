//! Row errors and the ledger, read in row order.

use chrono::{DateTime, Utc};
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect};

use super::{
    Store,
    entities::{row_error, segment},
    error::Error,
};
use crate::domain::{
    ids::{ApplicationId, ImportId},
    issue::{Issue, IssueSeverity},
    ledger::{Ledger, Outcome},
    segment::SegmentRange,
};

/// A failed row, or one with warnings, as it is kept; the row itself is read from its source.
#[derive(Debug, Clone, PartialEq)]
pub struct StoredRowError {
    /// What its issues are.
    pub severity: IssueSeverity,
    /// Its row, from 1.
    pub row_number: i64,
    /// Its line, from 1.
    pub line_number: i64,
    /// Its first byte.
    pub byte_offset: i64,
    /// Its bytes, line end included.
    pub byte_count: i64,
    /// Its key, where that could be read.
    pub external_id: Option<String>,
    /// Every fault of it, or every warning.
    pub issues: Vec<Issue>,
    /// When the first of them was found.
    pub created_at: DateTime<Utc>,
}

/// A settled segment.
#[derive(Debug, Clone)]
pub struct SettledSegment {
    /// Where it stands.
    pub range: SegmentRange,
    /// What became of its rows.
    pub outcomes: Vec<Outcome>,
}

impl Store {
    /// Failed rows with `after < row_number <= up_to`, at most `limit`.
    pub async fn list_row_errors(
        &self,
        application: ApplicationId,
        import: ImportId,
        after: i64,
        up_to: i64,
        limit: u64,
    ) -> Result<Vec<StoredRowError>, Error> {
        let rows = row_error::Entity::find()
            .filter(row_error::Column::ApplicationId.eq(application.0))
            .filter(row_error::Column::ImportId.eq(import.0))
            .filter(row_error::Column::RowNumber.gt(after))
            .filter(row_error::Column::RowNumber.lte(up_to))
            .order_by_asc(row_error::Column::RowNumber)
            .limit(limit)
            .all(&self.db)
            .await?;
        rows.into_iter()
            .map(|row| {
                Ok(StoredRowError {
                    severity: IssueSeverity::Error,
                    row_number: row.row_number,
                    line_number: row.line_number,
                    byte_offset: row.byte_offset,
                    byte_count: row.byte_count,
                    external_id: row.external_id,
                    issues: serde_json::from_value(row.issues)
                        .map_err(|_| Error::Corrupt("row_errors.issues"))?,
                    created_at: row.created_at,
                })
            })
            .collect()
    }

    /// The segment that byte `offset` of a source lies in.
    pub async fn find_segment_at(
        &self,
        application: ApplicationId,
        import: ImportId,
        offset: i64,
    ) -> Result<Option<SegmentRange>, Error> {
        let row = segment::Entity::find()
            .filter(segment::Column::ApplicationId.eq(application.0))
            .filter(segment::Column::ImportId.eq(import.0))
            .filter(segment::Column::ByteOffset.lte(offset))
            .order_by_desc(segment::Column::Seq)
            .one(&self.db)
            .await?;
        row.map(|row| row.range()).transpose()
    }

    /// The first settled segment from number `from` on.
    pub async fn next_settled_segment(
        &self,
        application: ApplicationId,
        import: ImportId,
        from: i32,
    ) -> Result<Option<SettledSegment>, Error> {
        let row = segment::Entity::find()
            .filter(segment::Column::ApplicationId.eq(application.0))
            .filter(segment::Column::ImportId.eq(import.0))
            .filter(segment::Column::Seq.gte(from))
            .filter(segment::Column::State.eq("DONE"))
            .order_by_asc(segment::Column::Seq)
            .one(&self.db)
            .await?;
        row.map(|mut row| {
            let range = row.range()?;
            let ledger = row.ledger.take().and_then(|bits| Ledger::from_bytes(bits, range.rows as usize));
            let outcomes = ledger.ok_or(Error::Corrupt("segments.ledger"))?.iter().collect();
            Ok(SettledSegment { range, outcomes })
        })
        .transpose()
    }
}
