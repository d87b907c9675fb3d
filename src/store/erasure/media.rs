//! Media: what named them goes with the records, and whose objects are gone over for what nothing names.

use std::collections::BTreeSet;

use chrono::{DateTime, Duration, Utc};
use sea_orm::{
    ColumnTrait, Condition, DatabaseTransaction, EntityTrait, QueryFilter, QueryOrder, QuerySelect,
    sea_query::{Alias, Expr, ExprTrait, Query},
};
use uuid::Uuid;

use crate::{
    domain::ids::ApplicationId,
    store::{
        Store,
        entities::{
            application,
            medium::{self, Column},
        },
        error::Error,
    },
};

/// Sessions that are looked for at a time.
const CHUNK: usize = 500;

/// Deletes what names the media of sessions, also of those that imports replaced since, and of versions of other
/// sessions that were about somebody. Gives what was stored of them.
pub(super) async fn forget(
    tx: &DatabaseTransaction,
    application: ApplicationId,
    sessions: &[Uuid],
    vendor_data: Option<&str>,
) -> Result<Vec<[u8; 32]>, Error> {
    let mut which: Vec<_> = sessions
        .chunks(CHUNK)
        .map(|sessions| Condition::all().add(Column::RecordId.is_in(sessions.iter().copied())))
        .collect();
    which.extend(
        vendor_data.map(|vendor_data| Condition::all().add(is_of_replaced(application, vendor_data))),
    );
    let mut stored = BTreeSet::new();
    for which in which {
        let which = which.add(Column::ApplicationId.eq(application.0));
        // What was about to be stored when an import ended may be there, too.
        for column in [Column::Sha256, Column::ComingSha256] {
            let hashes: Vec<Option<Vec<u8>>> = medium::Entity::find()
                .filter(which.clone())
                .filter(column.is_not_null())
                .select_only()
                .column(column)
                .distinct()
                .into_tuple()
                .all(tx)
                .await?;
            for hash in hashes.into_iter().flatten() {
                stored.insert(hash.try_into().map_err(|_| Error::Corrupt("media.sha256"))?);
            }
        }
        medium::Entity::delete_many().filter(which).exec(tx).await?;
    }
    Ok(stored.into_iter().collect())
}

/// Whether a medium is of a session as it was when it was about somebody.
fn is_of_replaced(application: ApplicationId, vendor_data: &str) -> Expr {
    let column = |name: &'static str| Expr::col(Alias::new(name));
    let replaced = Query::select()
        .columns([Alias::new("id"), Alias::new("import_id")])
        .from(Alias::new("replaced_user_sessions"))
        .and_where(column("application_id").eq(application.0))
        .and_where(column("vendor_data").eq(vendor_data))
        .to_owned();
    Expr::tuple([Expr::col(Column::RecordId), Expr::col(Column::ImportId)]).in_subquery(replaced)
}

impl Store {
    /// An application whose media nobody has gone over for so long; it counts as gone over from here on.
    pub async fn claim_media_sweep(
        &self,
        every: Duration,
        now: DateTime<Utc>,
    ) -> Result<Option<ApplicationId>, Error> {
        use application::Column;
        let is_due =
            Condition::any().add(Column::MediaSweptAt.is_null()).add(Column::MediaSweptAt.lte(now - every));
        self.write(move |tx| {
            Box::pin(async move {
                let due: Option<Uuid> = application::Entity::find()
                    .filter(is_due.clone())
                    .order_by_asc(Column::Id)
                    .select_only()
                    .column(Column::Id)
                    .into_tuple()
                    .one(tx)
                    .await?;
                let Some(id) = due else { return Ok(None) };
                let claimed = application::Entity::update_many()
                    .col_expr(Column::MediaSweptAt, Expr::value(now))
                    .filter(Column::Id.eq(id))
                    .filter(is_due)
                    .exec(tx)
                    .await?;
                Ok((claimed.rows_affected == 1).then_some(ApplicationId(id)))
            })
        })
        .await
    }
}
