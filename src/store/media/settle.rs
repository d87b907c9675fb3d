//! What came of downloads, written to every row that waits for them.
//!
//! Locks are taken in one order: media, then imports, then warnings.

use std::collections::{BTreeMap, HashMap};

use chrono::{DateTime, Utc};
use sea_orm::{
    ColumnTrait, Condition, ConnectionTrait, DatabaseTransaction, EntityTrait, ExprTrait, QueryFilter,
    QueryOrder, QuerySelect,
    sea_query::{Expr, LockType},
};
use uuid::Uuid;

use super::{Download, Group, LEADS, MediaOutcome, PENDING, ROWS, row};
use crate::{
    domain::{
        ids::{ApplicationId, ImportId},
        import::{Import, ImportStatus, MediaCounters},
        issue::{Issue, IssueCode},
        media::MediaSlot,
    },
    store::{
        Bulk, Store, audit,
        commit::COMPLETE,
        entities::{
            import,
            medium::{self, Column},
            user_session,
        },
        error::Error,
        imports,
        warnings::{self, NewWarning},
    },
};

/// Downloads that one transaction settles.
const DOWNLOADS: usize = 100;

/// Rows that one statement writes.
const WRITTEN: usize = 200;

/// The place of a row's first warning that is one of its media's.
const FIRST_ORDINAL: i16 = 100;

/// What is known of a URL, as rows keep it.
enum Known {
    Stored { sha256: Vec<u8>, size: i64, media_type: String, width: Option<i32>, height: Option<i32> },
    Failed { reason: String, message: String },
}

impl Known {
    /// What a row that is settled already says; nothing where it is not.
    fn of(row: medium::Model) -> Option<Self> {
        match (row.sha256.zip(row.size).zip(row.media_type), row.reason.zip(row.message)) {
            (Some(((sha256, size), media_type)), _) => {
                Some(Self::Stored { sha256, size, media_type, width: row.width, height: row.height })
            }
            (None, Some((reason, message))) => Some(Self::Failed { reason, message }),
            (None, None) => None,
        }
    }

    /// What came of a download, as long as it fits into what is left of the budget.
    fn new(outcome: MediaOutcome, left: i64, budget: i64) -> Self {
        let pixels = |length: Option<u32>| length.and_then(|length| i32::try_from(length).ok());
        match outcome {
            MediaOutcome::Failed { reason, message } => Self::Failed { reason: reason.to_owned(), message },
            MediaOutcome::Stored(medium) => match i64::try_from(medium.size) {
                Ok(size) if size <= left => Self::Stored {
                    sha256: medium.sha256.to_vec(),
                    size,
                    media_type: medium.media_type.to_owned(),
                    width: pixels(medium.width),
                    height: pixels(medium.height),
                },
                _ => Self::Failed {
                    reason: "MEDIA_BUDGET".to_owned(),
                    message: format!("the import may fetch {budget} bytes of media (media_byte_budget)"),
                },
            },
        }
    }
}

impl Store {
    /// Settles downloads: what came of them goes to every row that links to them, and to their jobs' counters, in
    /// one transaction; a job that waited for nothing else ends. What would pass a job's byte budget fails. Gives
    /// the imports that were changed; downloads whose claim is lost, or whose job has ended, change nothing.
    pub async fn settle_media(
        &self,
        owner: Uuid,
        mut batch: Vec<(Download, MediaOutcome)>,
        now: DateTime<Utc>,
    ) -> Result<Vec<ImportId>, Error> {
        let mut changed = Vec::new();
        while !batch.is_empty() {
            let rest = batch.split_off(batch.len().min(DOWNLOADS));
            changed.extend(self.settle_some(owner, std::mem::replace(&mut batch, rest), now).await?);
        }
        Ok(changed)
    }

    async fn settle_some(
        &self,
        owner: Uuid,
        batch: Vec<(Download, MediaOutcome)>,
        now: DateTime<Utc>,
    ) -> Result<Vec<ImportId>, Error> {
        let store = self.clone();
        self.write(move |tx| {
            Box::pin(async move {
                let mut jobs: BTreeMap<_, Vec<_>> = BTreeMap::new();
                for (leader, outcome) in held(&store, tx, owner, batch).await? {
                    let group = Group::of(&leader);
                    let mut rows = waiting(&store, tx, group, now).await?;
                    rows.push(leader);
                    jobs.entry((group.application, group.job)).or_default().push((rows, outcome));
                }
                let mut changed = Vec::new();
                for ((application, job), settled) in jobs {
                    let (application, job) = (ApplicationId(application), ImportId(job));
                    let Some(import) = lock_job(&store, tx, application, job).await? else { continue };
                    let budget = import.media_budget();
                    let mut job = Job::new(&import, now);
                    for (rows, outcome) in settled {
                        let left = budget - import.media.bytes - job.change.bytes;
                        let known = Known::new(outcome, left, budget);
                        if let Known::Stored { size, .. } = &known {
                            job.change.bytes += size;
                        }
                        job.settle(tx, rows, &known).await?;
                    }
                    job.end(&store, tx).await?;
                    changed.push(import.id);
                }
                Ok(changed)
            })
        })
        .await
    }
}

/// Settles rows by what is known from one of the same URL that was settled before; tells whether there is one.
pub(super) async fn by_sibling(
    store: &Store,
    tx: &DatabaseTransaction,
    group: Group,
    now: DateTime<Utc>,
) -> Result<bool, Error> {
    let mut sibling = medium::Entity::find()
        .filter(group.rows())
        .filter(Expr::cust("state IN ('STORED', 'FAILED')"))
        .limit(1);
    if let Bulk::Postgres(_) = store.bulk {
        // Until the others name its object, too, nobody deletes it.
        sibling = sibling.lock(LockType::KeyShare);
    }
    let Some(known) = sibling.one(tx).await?.and_then(Known::of) else { return Ok(false) };
    let rows = waiting(store, tx, group, now).await?;
    let (application, job) = (ApplicationId(group.application), ImportId(group.job));
    if let Some(import) = lock_job(store, tx, application, job).await? {
        let mut job = Job::new(&import, now);
        job.settle(tx, rows, &known).await?;
        job.end(store, tx).await?;
    }
    Ok(true)
}

/// The rows that lead for downloads which are still held, locked, with what came of them.
async fn held(
    store: &Store,
    tx: &DatabaseTransaction,
    owner: Uuid,
    batch: Vec<(Download, MediaOutcome)>,
) -> Result<Vec<(medium::Model, MediaOutcome)>, Error> {
    let any = batch.iter().fold(Condition::any(), |any, (download, _)| any.add(Group::from(download).rows()));
    let mut leading = medium::Entity::find()
        .filter(Expr::cust(LEADS))
        .filter(Column::Owner.eq(owner))
        .filter(any)
        .order_by_asc(Column::ApplicationId)
        .order_by_asc(Column::RecordId)
        .order_by_asc(Column::ImportId)
        .order_by_asc(Column::Slot);
    if let Bulk::Postgres(_) = store.bulk {
        leading = leading.lock_exclusive();
    }
    let outcomes =
        batch.into_iter().map(|(download, outcome)| ((Group::from(&download), download.epoch), outcome));
    let mut outcomes: HashMap<_, _> = outcomes.collect();
    let leading = leading.all(tx).await?.into_iter();
    let held = leading.filter_map(|row| {
        let outcome = outcomes.remove(&(Group::of(&row), row.epoch))?;
        Some((row, outcome))
    });
    Ok(held.collect())
}

/// Rows of a URL, locked, that wait for the one that leads. Where there are more than one transaction goes over,
/// one of the others is made due, so that they are come back to.
async fn waiting(
    store: &Store,
    tx: &DatabaseTransaction,
    group: Group,
    now: DateTime<Utc>,
) -> Result<Vec<medium::Model>, Error> {
    let mut rows = medium::Entity::find()
        .filter(group.rows())
        .filter(Expr::cust(PENDING))
        .filter(Expr::cust(LEADS).not())
        .limit(ROWS + 1);
    if let Bulk::Postgres(_) = store.bulk {
        rows = rows.lock_exclusive();
    }
    let mut rows = rows.all(tx).await?;
    if rows.len() as u64 > ROWS
        && let Some(next) = rows.pop()
    {
        let wake = medium::Entity::update_many().col_expr(Column::DueAt, Expr::value(now));
        wake.filter(row(&next)).exec(tx).await?;
    }
    Ok(rows)
}

/// The import that fetches media, locked, unless it has ended.
async fn lock_job(
    store: &Store,
    tx: &DatabaseTransaction,
    application: ApplicationId,
    job: ImportId,
) -> Result<Option<Import>, Error> {
    let mut import = import::Entity::find_by_id((application.0, job.0));
    if let Bulk::Postgres(_) = store.bulk {
        import = import.lock_exclusive();
    }
    let import = import.one(tx).await?.map(import::Model::into_domain).transpose()?;
    Ok(import.filter(|import| matches!(import.status, ImportStatus::Processing | ImportStatus::Paused)))
}

/// What is settled of an import in one transaction.
struct Job<'j> {
    import: &'j Import,
    now: DateTime<Utc>,
    change: MediaCounters,
    /// Media that failed, and why.
    failed: Vec<(medium::Model, String)>,
}

impl<'j> Job<'j> {
    fn new(import: &'j Import, now: DateTime<Utc>) -> Self {
        Self { import, now, change: MediaCounters::default(), failed: Vec::new() }
    }

    /// Writes what is known of their URL to rows.
    async fn settle(
        &mut self,
        tx: &DatabaseTransaction,
        rows: Vec<medium::Model>,
        known: &Known,
    ) -> Result<(), Error> {
        let count = rows.len() as i64;
        self.change.pending -= count;
        for rows in rows.chunks(WRITTEN) {
            let update = medium::Entity::update_many()
                .col_expr(Column::Leads, Expr::value(false))
                .col_expr(Column::ComingSha256, Expr::value(Option::<Vec<u8>>::None))
                .col_expr(Column::Owner, Expr::value(Option::<Uuid>::None));
            let update = match known {
                Known::Stored { sha256, size, media_type, width, height } => update
                    .col_expr(Column::State, Expr::value("STORED"))
                    // It has served its turn, and may hold a token.
                    .col_expr(Column::Url, Expr::value(Option::<String>::None))
                    .col_expr(Column::Sha256, Expr::value(sha256.clone()))
                    .col_expr(Column::Size, Expr::value(*size))
                    .col_expr(Column::MediaType, Expr::value(media_type.clone()))
                    .col_expr(Column::Width, Expr::value(*width))
                    .col_expr(Column::Height, Expr::value(*height)),
                Known::Failed { reason, message } => update
                    .col_expr(Column::State, Expr::value("FAILED"))
                    .col_expr(Column::Reason, Expr::value(reason.clone()))
                    .col_expr(Column::Message, Expr::value(message.clone())),
            };
            let keys = rows.iter().map(|row| (row.record_id, row.import_id, row.slot.clone()));
            let key = [Column::RecordId, Column::ImportId, Column::Slot].map(Expr::col);
            update
                .filter(Column::ApplicationId.eq(self.import.application_id.0))
                .filter(Expr::tuple(key).in_tuples(keys))
                .exec(tx)
                .await?;
        }
        match known {
            Known::Stored { .. } => self.change.stored += count,
            Known::Failed { reason, message } => {
                self.change.failed += count;
                let why = format!("{reason}: {message}");
                self.failed.extend(rows.into_iter().map(|row| (row, why.clone())));
            }
        }
        Ok(())
    }

    /// Counts what was settled, tells of what failed, and ends the import if that was all it waited for.
    async fn end(self, store: &Store, tx: &DatabaseTransaction) -> Result<(), Error> {
        use import::Column;
        let (application, id, now) = (self.import.application_id, self.import.id, self.now);
        let add = |column: Column, by: i64| Expr::col(column).add(by);
        let change = self.change;
        imports::changed(now)
            .col_expr(Column::MediaPendingCount, add(Column::MediaPendingCount, change.pending))
            .col_expr(Column::MediaStoredCount, add(Column::MediaStoredCount, change.stored))
            .col_expr(Column::MediaFailedCount, add(Column::MediaFailedCount, change.failed))
            .col_expr(Column::TotalMediaBytes, add(Column::TotalMediaBytes, change.bytes))
            .filter(Column::ApplicationId.eq(application.0))
            .filter(Column::Id.eq(id.0))
            .exec(tx)
            .await?;
        tell_of_failed_media(tx, self.import, self.failed, now).await?;
        let complete = store.statement(COMPLETE, [application.0.into(), id.0.into(), now.into()]);
        if tx.execute_raw(complete).await?.rows_affected() == 1 {
            audit::record_end(tx, &imports::get(tx, application, id).await?, now).await?;
        }
        Ok(())
    }
}

/// Warns of media that failed, each on the row that links to it. A retry's own were told by its parent.
async fn tell_of_failed_media(
    tx: &DatabaseTransaction,
    job: &Import,
    failed: Vec<(medium::Model, String)>,
    now: DateTime<Utc>,
) -> Result<(), Error> {
    let own = failed.into_iter().filter(|(row, _)| row.import_id == job.id.0).collect::<Vec<_>>();
    let mut keys: HashMap<Uuid, String> = HashMap::new();
    for rows in own.chunks(WRITTEN) {
        use user_session::Column;
        let found: Vec<(Uuid, String)> = user_session::Entity::find()
            .filter(Column::ApplicationId.eq(job.application_id.0))
            .filter(Column::Id.is_in(rows.iter().map(|(row, _)| row.record_id)))
            .select_only()
            .columns([Column::Id, Column::ExternalId])
            .into_tuple()
            .all(tx)
            .await?;
        keys.extend(found);
    }
    let warning = |(row, why): (medium::Model, String)| {
        let slot = MediaSlot::from_word(&row.slot).ok_or(Error::Corrupt("media.slot"))?;
        Ok(NewWarning {
            row_number: row.row_number,
            ordinal: FIRST_ORDINAL + slot as i16,
            line_number: row.line_number,
            byte_offset: row.byte_offset,
            byte_count: row.byte_count,
            external_id: keys.get(&row.record_id).cloned(),
            issue: Issue::of_field(IssueCode::Media, slot.field(), why),
        })
    };
    let warnings = own.into_iter().map(warning).collect::<Result<Vec<_>, Error>>()?;
    warnings::add(tx, job.application_id, job.id, warnings, now).await
}
