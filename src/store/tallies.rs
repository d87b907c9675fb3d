//! How many rows an application has stored lately, by the hour.

use chrono::{DateTime, Duration, Utc};
use sea_orm::{
    ActiveValue::Set,
    ColumnTrait, DatabaseTransaction, EntityTrait, ExprTrait, QueryFilter, QuerySelect,
    sea_query::{Alias, Expr, OnConflict},
};

use super::{
    Store,
    entities::row_tally::{ActiveModel, Column, Entity},
    error::Error,
};
use crate::domain::ids::ApplicationId;

/// How long rows count.
const DAY: Duration = Duration::hours(24);

/// An hour counts until the last of its rows is a day old.
const HOUR: Duration = Duration::hours(1);

fn hour_of(time: DateTime<Utc>) -> DateTime<Utc> {
    let seconds = time.timestamp();
    DateTime::from_timestamp(seconds - seconds.rem_euclid(HOUR.num_seconds()), 0).unwrap_or(time)
}

/// Counts rows in the transaction that stores them.
pub(super) async fn add(
    tx: &DatabaseTransaction,
    application: ApplicationId,
    rows: i64,
    now: DateTime<Utc>,
) -> Result<(), Error> {
    let hour = hour_of(now);
    let row = ActiveModel { application_id: Set(application.0), hour: Set(hour), row_count: Set(rows) };
    let sum = Expr::col((Entity, Column::RowCount)).add(rows);
    let counted =
        OnConflict::columns([Column::ApplicationId, Column::Hour]).value(Column::RowCount, sum).to_owned();
    Entity::insert(row).on_conflict(counted).exec_without_returning(tx).await?;
    Ok(())
}

impl Store {
    /// Rows that an application stored in the last 24 hours, of whatever import; up to an hour more, since
    /// they are counted by the hour.
    pub async fn count_rows_of_a_day(
        &self,
        application: ApplicationId,
        now: DateTime<Utc>,
    ) -> Result<i64, Error> {
        let sum = Expr::col(Column::RowCount).sum().cast_as(Alias::new("BIGINT"));
        let rows: Option<Option<i64>> = Entity::find()
            .select_only()
            .column_as(sum, "rows")
            .filter(Column::ApplicationId.eq(application.0))
            .filter(Column::Hour.gt(now - DAY - HOUR))
            .into_tuple()
            .one(&self.db)
            .await?;
        Ok(rows.flatten().unwrap_or(0))
    }

    /// Forgets tallies that count no more.
    pub async fn forget_row_tallies(&self, now: DateTime<Utc>) -> Result<(), Error> {
        self.write(move |tx| {
            Box::pin(async move {
                Entity::delete_many().filter(Column::Hour.lte(now - DAY - HOUR)).exec(tx).await?;
                Ok(())
            })
        })
        .await
    }
}
