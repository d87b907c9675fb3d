//! Retries: imports that take failed rows of another one up again.

use std::collections::{BTreeMap, HashSet};

use chrono::{DateTime, Utc};
use sea_orm::{
    ActiveValue::Set, ColumnTrait, ConnectionTrait, DatabaseTransaction, EntityTrait, ExprTrait, QueryFilter,
    QueryOrder, QuerySelect, Value, sea_query::Expr,
};
use uuid::Uuid;

use super::{
    Bulk, Store, audit,
    commit::COMPLETE,
    control::is_active,
    entities::{import, row_correction},
    error::Error,
    imports::{self, ACTIVE, changed},
};
use crate::domain::{
    ids::{ApplicationId, ImportId},
    import::{Import, ImportStatus},
    issue::IssueCode,
    refusal::Refusal,
};

/// Row errors, and imports, that are read at a time.
const PAGE: u64 = 1_000;

/// Keeps the rows a retry is to take instead of those of its parent.
pub(super) async fn keep_corrections(
    tx: &DatabaseTransaction,
    application: ApplicationId,
    id: ImportId,
    corrections: BTreeMap<i64, String>,
) -> Result<(), Error> {
    let rows: Vec<_> = corrections
        .into_iter()
        .map(|(row_number, row_text)| row_correction::ActiveModel {
            application_id: Set(application.0),
            import_id: Set(id.0),
            row_number: Set(row_number),
            row_text: Set(row_text),
        })
        .collect();
    for rows in rows.chunks(200) {
        row_correction::Entity::insert_many(rows.to_vec()).exec_without_returning(tx).await?;
    }
    Ok(())
}

/// Forgets them: the retry's own source is stored, or will not be.
pub(super) async fn forget_corrections(
    tx: &DatabaseTransaction,
    application: ApplicationId,
    id: ImportId,
) -> Result<(), Error> {
    row_correction::Entity::delete_many()
        .filter(row_correction::Column::ApplicationId.eq(application.0))
        .filter(row_correction::Column::ImportId.eq(id.0))
        .exec(tx)
        .await?;
    Ok(())
}

/// Media that one transaction takes over.
const MEDIA: usize = 1_000;

/// Media of `$2`, not stored, that `$3` takes over, from the URL `$4` on. Whoever takes others over at the same time
/// is waited for, so that fewer than asked for are the last. PostgreSQL may ask a query behind IN again for each row,
/// and a limit within it is none.
const TAKE_OVER: &str = "WITH meant AS MATERIALIZED \
    (SELECT record_id, import_id, slot FROM media WHERE application_id = $1 AND job_id = $2 AND url_id >= $4 \
     AND state <> 'STORED' AND url IS NOT NULL ORDER BY url_id LIMIT {limit} {lock}) \
    UPDATE media SET job_id = $3, state = 'PENDING', leads = FALSE, attempts = 0, due_at = $5, \
    owner = NULL, epoch = epoch + 1, coming_sha256 = NULL, reason = NULL, message = NULL \
    WHERE application_id = $1 AND job_id = $2 \
    AND (record_id, import_id, slot) IN (SELECT record_id, import_id, slot FROM meant) RETURNING url_id";

/// What a transaction took over.
struct Taken {
    count: usize,
    /// The URL that the next one begins at; none when nothing is left.
    next: Option<Uuid>,
}

async fn take_some(
    store: &Store,
    tx: &DatabaseTransaction,
    application: ApplicationId,
    (parent, id): (ImportId, ImportId),
    from: Uuid,
    now: DateTime<Utc>,
) -> Result<Taken, Error> {
    let lock = match store.bulk {
        Bulk::Postgres(_) => "FOR UPDATE",
        Bulk::Sqlite(_) => "",
    };
    let take = TAKE_OVER.replace("{limit}", &MEDIA.to_string()).replace("{lock}", lock);
    let values = [application.0, parent.0, id.0, from].map(Value::from).into_iter().chain([now.into()]);
    let taken = tx.query_all_raw(store.statement(&take, values)).await?;
    let urls: Result<Vec<Uuid>, _> = taken.iter().map(|row| row.try_get("", "url_id")).collect();
    let last = urls?.into_iter().max();
    Ok(Taken { count: taken.len(), next: last.filter(|_| taken.len() == MEDIA) })
}

/// Takes media over from an import that has ended: those that failed, and those that nobody came to. The retry
/// that is to be written has no rows; it is in work from here on, and ends with them. Where there are many,
/// [`Store::take_over_media`] goes on.
pub(super) async fn begin_with_media(
    store: &Store,
    tx: &DatabaseTransaction,
    application: ApplicationId,
    (parent, id): (ImportId, ImportId),
    retry: &mut import::ActiveModel,
    now: DateTime<Utc>,
) -> Result<(), Error> {
    let taken = take_some(store, tx, application, (parent, id), Uuid::nil(), now).await?;
    if taken.count == 0 {
        return Err(Refusal::NothingToRetry.into());
    }
    retry.status = Set(ImportStatus::Processing.as_str().to_owned());
    retry.upload_finished = Set(taken.next.is_none());
    retry.started_at = Set(Some(now));
    retry.media_pending_count = Set(taken.count as i64);
    Ok(())
}

impl Store {
    /// Takes some more media over from a retry's parent, those from the URL `from` on; gives where to go on. With
    /// the last of them the retry may end.
    pub async fn take_over_media(
        &self,
        retry: &Import,
        parent: ImportId,
        from: Uuid,
        now: DateTime<Utc>,
    ) -> Result<Option<Uuid>, Error> {
        use import::Column;
        let (store, application, id) = (self.clone(), retry.application_id, retry.id);
        self.write(move |tx| {
            Box::pin(async move {
                let taken = take_some(&store, tx, application, (parent, id), from, now).await?;
                let pending = Expr::col(Column::MediaPendingCount).add(taken.count as i64);
                let counted = changed(now)
                    .col_expr(Column::MediaPendingCount, pending)
                    .col_expr(Column::UploadFinished, Expr::value(taken.next.is_none()))
                    .col_expr(Column::Feedings, Expr::value(0))
                    .filter(is_active(application, id))
                    .filter(Column::UploadFinished.eq(false))
                    .exec(tx)
                    .await?;
                if counted.rows_affected == 0 {
                    // It has ended, or another took the last of them; what was taken here stays where it was.
                    return Err(Refusal::UploadTakenOver.into());
                }
                let complete = store.statement(COMPLETE, [application.0.into(), id.0.into(), now.into()]);
                if tx.execute_raw(complete).await?.rows_affected() == 1 {
                    audit::record_end(tx, &imports::get(tx, application, id).await?, now).await?;
                }
                Ok(taken.next)
            })
        })
        .await
    }

    /// The rows a retry is to take instead of those of its parent.
    pub async fn corrections(
        &self,
        application: ApplicationId,
        id: ImportId,
    ) -> Result<BTreeMap<i64, String>, Error> {
        let rows = row_correction::Entity::find()
            .filter(row_correction::Column::ApplicationId.eq(application.0))
            .filter(row_correction::Column::ImportId.eq(id.0))
            .all(&self.db)
            .await?;
        Ok(rows.into_iter().map(|row| (row.row_number, row.row_text)).collect())
    }

    /// Numbers of rows that have an issue of one of these kinds, as far as row errors are kept.
    pub async fn rows_with_issues(
        &self,
        application: ApplicationId,
        id: ImportId,
        codes: &[IssueCode],
    ) -> Result<HashSet<i64>, Error> {
        let (mut found, mut after) = (HashSet::new(), 0);
        loop {
            let page = self.list_row_errors(application, id, after, i64::MAX, PAGE).await?;
            let Some(last) = page.last() else { return Ok(found) };
            after = last.row_number;
            let is_meant = |code: &str| codes.iter().any(|wanted| wanted.as_str() == code);
            let meant = page.iter().filter(|row| row.issues.iter().any(|issue| is_meant(&issue.code)));
            found.extend(meant.map(|row| row.row_number));
        }
    }

    /// Writes down that the source of a retry is fed once more; not where another has come before, or it has
    /// ended.
    pub async fn begin_feeding(&self, retry: &Import, now: DateTime<Utc>) -> Result<bool, Error> {
        use import::Column;
        let begin = import::Entity::update_many()
            .col_expr(Column::Feedings, Expr::col(Column::Feedings).add(1))
            .col_expr(Column::UpdatedAt, Expr::value(now))
            .filter(is_active(retry.application_id, retry.id))
            .filter(Column::Feedings.eq(retry.feedings));
        self.write(move |tx| Box::pin(async move { Ok(begin.exec(tx).await?.rows_affected == 1) })).await
    }

    /// Says what an import waits for whose source does not come on.
    pub async fn wait_for(
        &self,
        application: ApplicationId,
        id: ImportId,
        reason: &'static str,
        now: DateTime<Utc>,
    ) -> Result<(), Error> {
        let waits = changed(now)
            .col_expr(import::Column::WaitingReason, Expr::value(reason))
            .filter(is_active(application, id));
        self.write(move |tx| Box::pin(async move { Ok(waits.exec(tx).await.map(drop)?) })).await
    }

    /// Retries whose source is not whole and has not grown since `before`: whoever fed them is gone.
    pub async fn list_standing_retries(&self, before: DateTime<Utc>) -> Result<Vec<Import>, Error> {
        let rows = import::Entity::find()
            .filter(import::Column::ParentId.is_not_null())
            .filter(import::Column::UploadFinished.eq(false))
            .filter(import::Column::Status.is_in(ACTIVE.map(ImportStatus::as_str)))
            .filter(import::Column::UpdatedAt.lt(before))
            .order_by_asc(import::Column::Id)
            .limit(PAGE)
            .all(&self.db)
            .await?;
        rows.into_iter().map(import::Model::into_domain).collect()
    }

    /// Forgets corrections of retries that ended before their source was whole.
    pub async fn forget_stray_corrections(&self) -> Result<(), Error> {
        let over = "EXISTS (SELECT 1 FROM imports i WHERE i.application_id = row_corrections.application_id \
             AND i.id = row_corrections.import_id \
             AND (i.upload_finished OR i.status NOT IN ('PENDING', 'PROCESSING', 'PAUSED')))";
        row_correction::Entity::delete_many().filter(Expr::cust(over)).exec(&self.db).await?;
        Ok(())
    }
}
