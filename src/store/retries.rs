//! Retries: imports that take failed rows of another one up again.

use std::collections::{BTreeMap, HashSet};

use chrono::{DateTime, Utc};
use sea_orm::{
    ActiveValue::Set, ColumnTrait, DatabaseTransaction, EntityTrait, ExprTrait, QueryFilter, QueryOrder,
    QuerySelect, sea_query::Expr,
};

use uuid::Uuid;

use super::{
    Store,
    control::is_active,
    entities::{import, medium, row_correction},
    error::Error,
    imports::{ACTIVE, changed},
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

/// Takes media over from an import that has ended: those that failed, and those that nobody came to. The retry
/// that is to be written has no rows; it is in work from here on, and ends with them.
pub(super) async fn take_over_media(
    tx: &DatabaseTransaction,
    application: ApplicationId,
    (parent, id): (ImportId, ImportId),
    retry: &mut import::ActiveModel,
    now: DateTime<Utc>,
) -> Result<(), Error> {
    use medium::Column;
    let nothing = || Expr::value(Option::<String>::None);
    let taken = medium::Entity::update_many()
        .col_expr(Column::JobId, Expr::value(id.0))
        .col_expr(Column::State, Expr::value("PENDING"))
        .col_expr(Column::Leads, Expr::value(false))
        .col_expr(Column::Attempts, Expr::value(0))
        .col_expr(Column::DueAt, Expr::value(now))
        .col_expr(Column::Owner, Expr::value(Option::<Uuid>::None))
        .col_expr(Column::Epoch, Expr::col(Column::Epoch).add(1))
        .col_expr(Column::Reason, nothing())
        .col_expr(Column::Message, nothing())
        .filter(Column::ApplicationId.eq(application.0))
        .filter(Column::JobId.eq(parent.0))
        .filter(Column::State.ne("STORED"))
        .filter(Column::Url.is_not_null())
        .exec(tx)
        .await?;
    let count = i64::try_from(taken.rows_affected).unwrap_or(i64::MAX);
    if count == 0 {
        return Err(Refusal::NothingToRetry.into());
    }
    retry.status = Set(ImportStatus::Processing.as_str().to_owned());
    retry.upload_finished = Set(true);
    retry.started_at = Set(Some(now));
    retry.media_pending_count = Set(count);
    Ok(())
}

impl Store {
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
