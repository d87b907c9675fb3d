//! The upload's side of an import: who may write, and what is stored for good.

use chrono::{DateTime, Utc};
use sea_orm::{
    ActiveValue::Set,
    ColumnTrait, ConnectionTrait, DatabaseTransaction, EntityTrait, ExprTrait, QueryFilter, QueryOrder,
    QuerySelect,
    sea_query::{BinOper, Expr},
};

use super::{
    Store,
    api_keys::Caller,
    audit::{self, AuditEvent},
    commit::{COMPLETE, FORGET_KEYS, MOVE_CHECKPOINT},
    entities::{application, import, segment},
    error::Error,
    imports::{self, ACTIVE},
    retries, status_rules, tallies,
};
use crate::domain::{
    fault::SourceFault,
    ids::{ApplicationId, ImportId},
    import::{Compression, Import, ImportStatus, SourceFormat},
    lines::LineEnds,
    refusal::Refusal,
    segment::SegmentRange,
};

/// Which upload stream may write to an import.
#[derive(Debug, Clone, Copy)]
pub struct UploadLease {
    /// The application.
    pub application: ApplicationId,
    /// The import.
    pub import: ImportId,
    /// The stream's number; a later stream has a higher one.
    pub epoch: i64,
}

/// What the first bytes of a source told.
#[derive(Debug, Clone)]
pub struct SourceShape {
    /// How it is written.
    pub format: SourceFormat,
    /// How it is packed.
    pub compression: Compression,
    /// Its character encoding, by label.
    pub encoding: String,
    /// CSV delimiter.
    pub delimiter: u8,
    /// CSV columns.
    pub columns: Vec<String>,
}

impl Store {
    /// Makes the caller the one who may write on from `offset`, whoever it was before; gives no lease when
    /// the import is not there to be gone on with, and then whoever it was goes on.
    pub async fn open_upload(
        &self,
        caller: Caller,
        id: ImportId,
        offset: i64,
        now: DateTime<Utc>,
    ) -> Result<(Import, Option<UploadLease>), Error> {
        let application = caller.application.ok_or(Refusal::NoApplication)?;
        self.write(move |tx| {
            Box::pin(async move {
                let opened = import::Entity::update_many()
                    .col_expr(import::Column::UploadEpoch, Expr::col(import::Column::UploadEpoch).add(1))
                    .col_expr(import::Column::UpdatedAt, Expr::value(now))
                    .filter(import::Column::ApplicationId.eq(application.0))
                    .filter(import::Column::Id.eq(id.0))
                    .filter(import::Column::UploadFinished.eq(false))
                    .filter(import::Column::Status.is_in(ACTIVE.map(ImportStatus::as_str)))
                    .filter(import::Column::CommittedSize.eq(offset))
                    .exec(tx)
                    .await?;
                let row = import::Entity::find_by_id((application.0, id.0)).one(tx).await?;
                let row = row.ok_or(Refusal::NotFound("import"))?;
                let is_open = opened.rows_affected == 1;
                if is_open && row.created_by != caller.key.map(|key| key.0) {
                    let event = AuditEvent::new(caller, Some(application), "resume_upload", id.to_string());
                    let created_by = row.created_by.map(|key| key.to_string());
                    audit::record(tx, event.with("offset", offset).with("created_by", created_by), now)
                        .await?;
                }
                let import = row.into_domain()?;
                let lease = UploadLease { application, import: id, epoch: import.upload_epoch };
                Ok((import, is_open.then_some(lease)))
            })
        })
        .await
    }

    /// The segments of an import from number `from` on.
    pub async fn list_segments(
        &self,
        application: ApplicationId,
        import: ImportId,
        from: i32,
    ) -> Result<Vec<SegmentRange>, Error> {
        let rows = segment::Entity::find()
            .filter(segment::Column::ApplicationId.eq(application.0))
            .filter(segment::Column::ImportId.eq(import.0))
            .filter(segment::Column::Seq.gte(from))
            .order_by_asc(segment::Column::Seq)
            .all(&self.db)
            .await?;
        rows.iter().map(segment::Model::range).collect()
    }

    /// Adds a stored segment, and the block of session numbers its rows may use.
    pub async fn add_segment(
        &self,
        lease: UploadLease,
        range: SegmentRange,
        line_ends: LineEnds,
        shape: SourceShape,
        committed_size: i64,
        now: DateTime<Utc>,
    ) -> Result<(), Error> {
        self.write(move |tx| {
            Box::pin(async move {
                let columns = serde_json::to_value(&shape.columns).map_err(|_| Error::Corrupt("columns"))?;
                let update = import::Entity::update_many()
                    .col_expr(import::Column::Format, Expr::value(shape.format.as_str()))
                    .col_expr(import::Column::Compression, Expr::value(shape.compression.as_str()))
                    .col_expr(import::Column::Encoding, Expr::value(shape.encoding))
                    .col_expr(import::Column::Delimiter, Expr::value(i32::from(shape.delimiter)))
                    .col_expr(import::Column::Columns, Expr::value(columns))
                    .col_expr(
                        import::Column::TotalRows,
                        Expr::col(import::Column::TotalRows).add(i64::from(range.rows)),
                    )
                    .col_expr(
                        import::Column::LineEnds,
                        Expr::col(import::Column::LineEnds).binary(BinOper::BitOr, line_ends.bits()),
                    )
                    .col_expr(import::Column::SourceBytes, Expr::value(range.byte_end()))
                    .col_expr(import::Column::CommittedSize, Expr::value(committed_size))
                    .col_expr(import::Column::Feedings, Expr::value(0));
                touch(tx, lease, update, now).await?;
                let rows = i64::from(range.rows);
                let first_session_number = reserve_numbers(tx, lease.application, rows).await?;
                tallies::add(tx, lease.application, rows, now).await?;
                let row = segment::ActiveModel {
                    application_id: Set(lease.application.0),
                    import_id: Set(lease.import.0),
                    seq: Set(range.seq),
                    kind: Set(range.kind.code()),
                    first_row: Set(range.first_row),
                    row_count: Set(range.rows),
                    byte_offset: Set(range.byte_offset),
                    byte_count: Set(range.bytes),
                    preamble: Set(range.preamble),
                    first_line: Set(range.first_line),
                    crc32c: Set(i64::from(range.crc32c)),
                    first_session_number: Set(first_session_number),
                    state: Set("READY".to_owned()),
                    owner: Set(None),
                    epoch: Set(0),
                    lease_expires_at: Set(None),
                    attempts: Set(0),
                    ledger: Set(None),
                    revision: Set(range.revision),
                    replaced_revision: Set(None),
                    reverted: Set(false),
                    deaths: Set(0),
                    isolation: Set(None),
                };
                segment::Entity::insert(row).exec_without_returning(tx).await?;
                Ok(())
            })
        })
        .await
    }

    /// Ends the upload: the source is complete, or unusable from here on (`fault`). Rows stored
    /// before a fault are still settled, and the import fails then.
    pub async fn finish_upload(
        &self,
        lease: UploadLease,
        size: i64,
        fault: Option<SourceFault>,
        now: DateTime<Utc>,
    ) -> Result<Import, Error> {
        let key = [lease.application.0.into(), lease.import.0.into()];
        let checkpoint = self.statement(MOVE_CHECKPOINT, key.clone());
        let forget = self.statement(FORGET_KEYS, key.clone());
        let complete = self.statement(COMPLETE, key.into_iter().chain([now.into()]));
        self.write(move |tx| {
            Box::pin(async move {
                let mut update = import::Entity::update_many()
                    .col_expr(import::Column::UploadFinished, Expr::value(true))
                    .col_expr(import::Column::Held, Expr::value(false))
                    .col_expr(import::Column::CommittedSize, Expr::value(size));
                if let Some(fault) = fault {
                    update = update
                        .col_expr(import::Column::FailureReason, Expr::value(fault.reason()))
                        .col_expr(import::Column::Failure, Expr::value(fault.to_string()));
                }
                touch(tx, lease, update, now).await?;
                retries::forget_corrections(tx, lease.application, lease.import).await?;
                // Separate statements: each sees what a segment that waited with us has committed.
                tx.execute_raw(checkpoint).await?;
                let completed = tx.execute_raw(complete).await?.rows_affected() == 1;
                if completed {
                    tx.execute_raw(forget).await?;
                    status_rules::settle(tx, lease.application, lease.import, now).await?;
                }
                let import = imports::find(tx, lease.application, lease.import).await?;
                let import = import.ok_or(Refusal::NotFound("import"))?;
                if completed {
                    audit::record_end(tx, &import, now).await?;
                }
                Ok(import)
            })
        })
        .await
    }
}

/// Runs an update of the import that only the stream in charge of its upload may make.
async fn touch(
    tx: &DatabaseTransaction,
    lease: UploadLease,
    update: sea_orm::UpdateMany<import::Entity>,
    now: DateTime<Utc>,
) -> Result<(), Error> {
    let updated = update
        .col_expr(import::Column::UpdatedAt, Expr::value(now))
        .col_expr(import::Column::Sequence, Expr::col(import::Column::Sequence).add(1))
        .filter(import::Column::ApplicationId.eq(lease.application.0))
        .filter(import::Column::Id.eq(lease.import.0))
        .filter(import::Column::UploadEpoch.eq(lease.epoch))
        .filter(import::Column::UploadFinished.eq(false))
        .filter(import::Column::Status.is_in(ACTIVE.map(ImportStatus::as_str)))
        .exec(tx)
        .await?;
    if updated.rows_affected == 1 {
        return Ok(());
    }
    let import =
        imports::find(tx, lease.application, lease.import).await?.ok_or(Refusal::NotFound("import"))?;
    if let Some(refusal) = import.refuses_upload() {
        return Err(refusal.into());
    }
    Err(Refusal::UploadTakenOver.into())
}

async fn reserve_numbers(
    tx: &DatabaseTransaction,
    application: ApplicationId,
    count: i64,
) -> Result<i64, Error> {
    let next = application::Column::NextSessionNumber;
    application::Entity::update_many()
        .col_expr(next, Expr::col(next).add(count))
        .filter(application::Column::Id.eq(application.0))
        .exec(tx)
        .await?;
    let end: i64 = application::Entity::find_by_id(application.0)
        .select_only()
        .column(next)
        .into_tuple()
        .one(tx)
        .await?
        .ok_or(Refusal::NotFound("application"))?;
    Ok(end - count)
}
