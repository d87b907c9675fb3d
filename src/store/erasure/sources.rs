//! Stored sources that are gone over, segment by segment.

use sea_orm::{ColumnTrait, Condition, EntityTrait, QueryFilter, QueryOrder, QuerySelect, sea_query::Expr};
use serde_json::{Value, json};

use super::ENDED;
use crate::{
    domain::{
        ids::{ApplicationId, ImportId},
        import::{Import, ImportStatus},
        segment::SegmentRange,
    },
    store::{
        Store,
        entities::{import, row_error, row_warning, segment},
        error::Error,
    },
};

/// Rows of a segment that were blanked out.
#[derive(Debug, Clone)]
pub struct SourceRows {
    /// The segment as it was.
    pub before: SegmentRange,
    /// The segment as it is.
    pub after: SegmentRange,
    /// Numbers of the rows.
    pub rows: Vec<i64>,
}

/// What became of putting a segment in the place of another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Revised {
    /// It is there.
    Done,
    /// Somebody else has put one there before, or the object before it is still to be deleted.
    Changed,
    /// The whole source has been deleted.
    SourceGone,
}

impl Store {
    /// Ended imports whose source is still kept, those behind `after` only, oldest first.
    pub async fn list_imports_with_source(
        &self,
        application: ApplicationId,
        after: Option<ImportId>,
        limit: u64,
    ) -> Result<Vec<Import>, Error> {
        let mut query = import::Entity::find()
            .filter(import::Column::ApplicationId.eq(application.0))
            .filter(import::Column::Status.is_in(ENDED.map(ImportStatus::as_str)))
            .filter(import::Column::SourceDeletedAt.is_null());
        if let Some(after) = after {
            query = query.filter(import::Column::Id.gt(after.0));
        }
        let rows = query.order_by_asc(import::Column::Id).limit(limit).all(&self.db).await?;
        rows.into_iter().map(import::Model::into_domain).collect()
    }

    /// Puts a segment with rows blanked out in the place of the one it was made of, and forgets what row
    /// errors and warnings say of those rows.
    pub async fn revise_segment(
        &self,
        application: ApplicationId,
        id: ImportId,
        revised: SourceRows,
    ) -> Result<Revised, Error> {
        use segment::Column;
        self.write(move |tx| {
            Box::pin(async move {
                let source = import::Entity::find_by_id((application.0, id.0)).one(tx).await?;
                if source.is_none_or(|import| import.source_deleted_at.is_some()) {
                    return Ok(Revised::SourceGone);
                }
                let changed = segment::Entity::update_many()
                    .col_expr(Column::Crc32c, Expr::value(i64::from(revised.after.crc32c)))
                    .col_expr(Column::Revision, Expr::value(revised.after.revision))
                    .col_expr(Column::ReplacedRevision, Expr::value(revised.before.revision))
                    .filter(this(application, id, revised.before.seq))
                    .filter(Column::Revision.eq(revised.before.revision))
                    .filter(Column::ReplacedRevision.is_null())
                    .exec(tx)
                    .await?;
                if changed.rows_affected != 1 {
                    return Ok(Revised::Changed);
                }
                for rows in revised.rows.chunks(500) {
                    row_error::Entity::update_many()
                        .col_expr(row_error::Column::ExternalId, Expr::value(Option::<String>::None))
                        .col_expr(row_error::Column::Issues, Expr::value(json!([erased()])))
                        .filter(row_error::Column::ApplicationId.eq(application.0))
                        .filter(row_error::Column::ImportId.eq(id.0))
                        .filter(row_error::Column::RowNumber.is_in(rows.iter().copied()))
                        .exec(tx)
                        .await?;
                    row_warning::Entity::update_many()
                        .col_expr(row_warning::Column::ExternalId, Expr::value(Option::<String>::None))
                        .col_expr(row_warning::Column::Issue, Expr::value(erased()))
                        .filter(row_warning::Column::ApplicationId.eq(application.0))
                        .filter(row_warning::Column::ImportId.eq(id.0))
                        .filter(row_warning::Column::RowNumber.is_in(rows.iter().copied()))
                        .exec(tx)
                        .await?;
                }
                Ok(Revised::Done)
            })
        })
        .await
    }

    /// Segments as they were before they were revised, whose objects may still be in the store.
    pub async fn list_replaced_segments(
        &self,
        application: ApplicationId,
    ) -> Result<Vec<(ImportId, SegmentRange)>, Error> {
        let rows = segment::Entity::find()
            .filter(segment::Column::ApplicationId.eq(application.0))
            .filter(segment::Column::ReplacedRevision.is_not_null())
            .all(&self.db)
            .await?;
        let replaced = |row: segment::Model| {
            let range = row.range()?;
            let revision = row.replaced_revision.unwrap_or(range.revision);
            Ok((ImportId(row.import_id), SegmentRange { revision, ..range }))
        };
        rows.into_iter().map(replaced).collect()
    }

    /// Writes down that the object of a replaced segment is gone.
    pub async fn forget_replaced_segment(
        &self,
        application: ApplicationId,
        id: ImportId,
        replaced: SegmentRange,
    ) -> Result<(), Error> {
        self.write(move |tx| {
            Box::pin(async move {
                segment::Entity::update_many()
                    .col_expr(segment::Column::ReplacedRevision, Expr::value(Option::<i32>::None))
                    .filter(this(application, id, replaced.seq))
                    .filter(segment::Column::ReplacedRevision.eq(replaced.revision))
                    .exec(tx)
                    .await?;
                Ok(())
            })
        })
        .await
    }
}

fn this(application: ApplicationId, id: ImportId, seq: i32) -> Condition {
    Condition::all()
        .add(segment::Column::ApplicationId.eq(application.0))
        .add(segment::Column::ImportId.eq(id.0))
        .add(segment::Column::Seq.eq(seq))
}

/// What a row error or a warning says once its row has been erased.
fn erased() -> Value {
    json!({"code": "ERASED", "field": "", "message": "the row has been erased", "value": ""})
}
